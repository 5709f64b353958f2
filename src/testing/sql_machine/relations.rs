//! Random queries: tables, joins, groups, windows, set operations, subqueries.

use super::choices::Choices;
use super::expressions::{Column, KINDS, Kind, value};

const T: &[(&str, Kind)] = &[
    ("k", Kind::Int),
    ("a", Kind::Int),
    ("b", Kind::Big),
    ("s", Kind::Text),
    ("x", Kind::Float),
    ("d", Kind::Num),
    ("f", Kind::Bool),
    ("ts", Kind::Time),
];
const U: &[(&str, Kind)] = &[
    ("k", Kind::Int),
    ("a", Kind::Int),
    ("c", Kind::Big),
    ("s", Kind::Text),
];
const W: &[(&str, Kind)] = &[("k", Kind::Int), ("g", Kind::Int), ("y", Kind::Float)];
const TABLES: [(&str, &[(&str, Kind)]); 3] = [("t", T), ("u", U), ("w", W)];

/// Makes one query; names are numbered so that none comes twice.
pub(super) struct Queries<'a> {
    choices: &'a mut Choices,
    names: usize,
}

/// A random query.
pub(super) fn query(choices: &mut Choices) -> String {
    let kinds = some_kinds(choices);
    Queries { choices, names: 0 }.of(&kinds, 2)
}

fn some_kinds(choices: &mut Choices) -> Vec<Kind> {
    (0..=choices.below(3))
        .map(|_| *choices.pick(&KINDS))
        .collect()
}

impl Queries<'_> {
    /// A query with columns `c0`, `c1` and so on of the types `kinds`.
    fn of(&mut self, kinds: &[Kind], depth: usize) -> String {
        if depth > 0 && self.choices.once_in(6) {
            let operator = *self.choices.pick(&[
                "UNION ALL",
                "UNION",
                "EXCEPT",
                "INTERSECT",
                "EXCEPT ALL",
                "INTERSECT ALL",
            ]);
            let (left, right) = (self.select(kinds, depth - 1), self.select(kinds, depth - 1));
            return format!("({left}) {operator} ({right})");
        }
        let select = match self.choices.below(5) {
            0 | 1 => self.select(kinds, depth),
            2 => self.groups(kinds, depth),
            3 => self.window(kinds, depth),
            _ => {
                let select = self.select(kinds, depth);
                select.replacen("SELECT", "SELECT DISTINCT", 1)
            }
        };
        if self.choices.once_in(6) {
            // Every column is a key: which rows are first is never open.
            let keys: Vec<String> = (0..kinds.len()).map(|at| format!("c{at}")).collect();
            let (limit, offset) = (self.choices.below(4), self.choices.below(2));
            let keys = keys.join(", ");
            return format!(
                "SELECT * FROM ({select}) AS z ORDER BY {keys} LIMIT {limit} OFFSET {offset}"
            );
        }
        select
    }

    fn select(&mut self, kinds: &[Kind], depth: usize) -> String {
        let (from, scope) = self.from(depth);
        let filter = self.filter(&scope, depth);
        let columns = self.columns(kinds, &scope);
        format!("SELECT {columns} FROM {from}{filter}")
    }

    fn columns(&mut self, kinds: &[Kind], scope: &[Column]) -> String {
        let columns = kinds.iter().enumerate().map(|(at, kind)| {
            let value = value(self.choices, scope, *kind, 2);
            format!("{value} AS c{at}")
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Groups by one or two expressions; every column is a key or an aggregate of its type.
    fn groups(&mut self, kinds: &[Kind], depth: usize) -> String {
        let (from, scope) = self.from(depth);
        let filter = self.filter(&scope, depth);
        let (first, second) = (*self.choices.pick(&KINDS), *self.choices.pick(&KINDS));
        // A bare number would be the position of a column.
        let keys = [first, second].map(|kind| {
            let key = value(self.choices, &scope, kind, 1);
            format!("coalesce({key}, {key})")
        });
        let columns: Vec<String> = (0..kinds.len())
            .map(|at| format!("{} AS c{at}", self.aggregate(kinds[at], &scope)))
            .collect();
        let columns = columns.join(", ");
        let [left, right] = keys;
        let group = match self.choices.below(5) {
            0 => String::new(),
            1 => format!(" GROUP BY {left}"),
            2 => format!(" GROUP BY {left}, {right}"),
            3 => format!(" GROUP BY ROLLUP ({left}, {right})"),
            _ => format!(" GROUP BY CUBE ({left}, {right})"),
        };
        let having = if self.choices.once_in(4) {
            " HAVING count(*) > 1"
        } else {
            ""
        };
        format!("SELECT {columns} FROM {from}{filter}{group}{having}")
    }

    fn aggregate(&mut self, kind: Kind, scope: &[Column]) -> String {
        let value = value(self.choices, scope, kind, 1);
        let distinct = if self.choices.once_in(3) {
            "DISTINCT "
        } else {
            ""
        };
        let call = match (kind, self.choices.below(3)) {
            (Kind::Bool, 0) => format!("bool_and({value})"),
            (Kind::Bool, _) => format!("bool_or({value})"),
            (Kind::Big, 0) => format!("count({distinct}{value})"),
            (Kind::Float, 0) => format!("sum({distinct}{value})"),
            (Kind::Float, 1) => format!("avg({value})"),
            (Kind::Text, 0) => format!("string_agg({value}, ',' ORDER BY {value})"),
            (_, 1) => format!("max({value})"),
            _ => format!("min({value})"),
        };
        if self.choices.once_in(4) {
            let test = super::expressions::value(self.choices, scope, Kind::Bool, 1);
            return format!("{call} FILTER (WHERE {test})");
        }
        call
    }

    /// Window calls whose answer ties do not change.
    fn window(&mut self, kinds: &[Kind], depth: usize) -> String {
        let (from, scope) = self.from(depth);
        let filter = self.filter(&scope, depth);
        let mut columns = Vec::new();
        for (at, kind) in kinds.iter().enumerate() {
            let (by, order) = (*self.choices.pick(&KINDS), *self.choices.pick(&KINDS));
            let by = value(self.choices, &scope, by, 1);
            let order = value(self.choices, &scope, order, 1);
            let argument = value(self.choices, &scope, *kind, 1);
            let call = match (kind, self.choices.below(4)) {
                (Kind::Bool, _) => argument,
                (Kind::Big, 0) => {
                    format!("cast(rank() OVER (PARTITION BY {by} ORDER BY {order}) AS bigint)")
                }
                (Kind::Big, 1) => {
                    format!("count({argument}) OVER (PARTITION BY {by} ORDER BY {order})")
                }
                (_, 2) => format!("max({argument}) OVER (PARTITION BY {by})"),
                _ => format!("min({argument}) OVER (PARTITION BY {by} ORDER BY {order})"),
            };
            columns.push(format!("{call} AS c{at}"));
        }
        format!("SELECT {} FROM {from}{filter}", columns.join(", "))
    }

    fn filter(&mut self, scope: &[Column], depth: usize) -> String {
        match self.choices.below(4) {
            0 | 1 => String::new(),
            2 if depth > 0 => format!(" WHERE {}", self.membership(scope, depth - 1)),
            _ => format!(" WHERE {}", value(self.choices, scope, Kind::Bool, 2)),
        }
    }

    /// A test with a subquery.
    fn membership(&mut self, scope: &[Column], depth: usize) -> String {
        let kind = *self.choices.pick(&KINDS);
        let left = value(self.choices, scope, kind, 1);
        let inner = self.of(&[kind], depth);
        self.names += 1;
        let name = format!("q{}", self.names);
        match self.choices.below(5) {
            0 => format!("{left} IN ({inner})"),
            1 => format!("{left} NOT IN ({inner})"),
            2 => format!("EXISTS (SELECT 1 FROM ({inner}) AS {name} WHERE {name}.c0 = {left})"),
            3 => format!("NOT EXISTS (SELECT 1 FROM ({inner}) AS {name} WHERE {name}.c0 = {left})"),
            _ => format!("({left} IN ({inner})) IS NOT TRUE"),
        }
    }

    fn from(&mut self, depth: usize) -> (String, Vec<Column>) {
        let (left, mut scope) = self.one(depth);
        if depth == 0 || self.choices.below(2) == 0 {
            return (left, scope);
        }
        let (right, more) = self.one(depth - 1);
        let join = *self
            .choices
            .pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let key = *self.choices.pick(&KINDS);
        let on = [&scope, &more].map(|scope| value(self.choices, scope, key, 1));
        scope.extend(more);
        let residual = match self.choices.below(3) {
            2 => format!(" AND {}", value(self.choices, &scope, Kind::Bool, 1)),
            _ => String::new(),
        };
        let [one, other] = on;
        (
            format!("{left} {join} {right} ON {one} = {other}{residual}"),
            scope,
        )
    }

    /// A table or a query in FROM.
    fn one(&mut self, depth: usize) -> (String, Vec<Column>) {
        self.names += 1;
        let name = format!("q{}", self.names);
        let column = |at: &str, kind: Kind| Column {
            name: format!("{name}.{at}"),
            kind,
        };
        if depth > 0 && self.choices.once_in(4) {
            let kinds = some_kinds(self.choices);
            let inner = self.of(&kinds, depth - 1);
            let scope = kinds
                .iter()
                .enumerate()
                .map(|(at, kind)| column(&format!("c{at}"), *kind));
            return (format!("({inner}) AS {name}"), scope.collect());
        }
        let (table, columns) = *self.choices.pick(&TABLES);
        let scope = columns.iter().map(|(at, kind)| column(at, *kind));
        (format!("{table} AS {name}"), scope.collect())
    }
}
