//! Random queries: selects, groups, windows, set operations, first rows, WITH and recursion.

use super::generator::{Column, Generator};
use super::kinds::Kind;

impl Generator<'_> {
    /// A whole query.
    pub(super) fn statement(&mut self) -> String {
        let kinds = self.some_kinds();
        let mut with = Vec::new();
        if self.choices.once_in(20) {
            with.push(self.recursion());
        }
        if self.choices.once_in(8) {
            let kinds = self.some_kinds();
            let query = self.query(&kinds, 1);
            let name = self.name();
            with.push(format!("{name} AS ({query})"));
            self.named.push((name, kinds));
        }
        let query = self.query(&kinds, 2);
        if with.is_empty() {
            return query;
        }
        format!("WITH RECURSIVE {} {query}", with.join(", "))
    }

    /// Ways along the edges, at most a few steps long.
    fn recursion(&mut self) -> String {
        let name = self.name();
        let union = *self.choices.pick(&["UNION", "UNION ALL"]);
        let edges = vec![
            Column {
                name: "e.src".to_owned(),
                kind: Kind::Int,
            },
            Column {
                name: "e.dst".to_owned(),
                kind: Kind::Int,
            },
        ];
        let first = self
            .choices
            .once_in(3)
            .then(|| self.value(&edges, Kind::Bool, 1));
        let mut both = edges;
        both.push(Column {
            name: format!("{name}.c0"),
            kind: Kind::Int,
        });
        let then = self
            .choices
            .once_in(3)
            .then(|| self.value(&both, Kind::Bool, 1));
        let first = first.map_or_else(String::new, |test| format!(" WHERE {test}"));
        let then = then.map_or_else(String::new, |test| format!(" AND {test}"));
        self.named.push((name.clone(), vec![Kind::Int, Kind::Int]));
        format!(
            "{name}(c0, c1) AS (SELECT src, 0 FROM e{first} {union} SELECT e.dst, {name}.c1 + 1 \
             FROM {name} JOIN e ON e.src = {name}.c0 WHERE {name}.c1 < 3{then})"
        )
    }

    /// A query with columns `c0`, `c1` and so on of the types `kinds`.
    pub(super) fn query(&mut self, kinds: &[Kind], depth: usize) -> String {
        if depth > 0 && self.choices.once_in(7) {
            let operator = *self.choices.pick(&[
                "UNION ALL",
                "UNION",
                "EXCEPT",
                "INTERSECT",
                "EXCEPT ALL",
                "INTERSECT ALL",
            ]);
            let left = self.select(kinds, depth - 1);
            let right = self.query(kinds, depth - 1);
            return format!("({left}) {operator} ({right})");
        }
        let select = match self.choices.below(8) {
            0..=2 => self.select(kinds, depth),
            3 | 4 => self.groups(kinds, depth),
            5 | 6 => self.windows(kinds, depth),
            _ => {
                let select = self.select(kinds, depth);
                select.replacen("SELECT", "SELECT DISTINCT", 1)
            }
        };
        if self.choices.once_in(6) {
            return self.first_rows(kinds, &select);
        }
        select
    }

    /// The first rows of a query: ties are broken by its other columns.
    fn first_rows(&mut self, kinds: &[Kind], select: &str) -> String {
        let key = self.choices.below(kinds.len());
        let way = *self.choices.pick(&["", " DESC", " NULLS FIRST"]);
        let inner = format!("({select}) AS z");
        let count = 1 + self.choices.below(3);
        match self.choices.below(5) {
            0 => format!("SELECT DISTINCT ON (z.c{key}) * FROM {inner} ORDER BY z.c{key}{way}"),
            1 => format!("SELECT * FROM {inner} LIMIT {count}"),
            2 => format!(
                "SELECT * FROM {inner} ORDER BY z.c{key}{way} FETCH FIRST {count} ROWS WITH TIES"
            ),
            _ => {
                let offset = self.choices.below(2);
                format!(
                    "SELECT * FROM {inner} ORDER BY z.c{key}{way} LIMIT {count} OFFSET {offset}"
                )
            }
        }
    }

    fn select(&mut self, kinds: &[Kind], depth: usize) -> String {
        let (from, scope) = self.from(depth);
        let filter = self.filter(&scope, depth);
        let columns: Vec<String> = (0..kinds.len())
            .map(|at| format!("{} AS c{at}", self.column(&scope, kinds[at], depth)))
            .collect();
        format!("SELECT {} FROM {from}{filter}", columns.join(", "))
    }

    fn column(&mut self, scope: &[Column], kind: Kind, depth: usize) -> String {
        if depth > 0 && self.choices.once_in(10) {
            return self.scalar(scope, kind, depth - 1);
        }
        if kind == Kind::Bool && depth > 0 && self.choices.once_in(5) {
            return format!("({})", self.subquery_test(scope, depth - 1));
        }
        self.value(scope, kind, 2)
    }

    fn filter(&mut self, scope: &[Column], depth: usize) -> String {
        match self.choices.below(8) {
            0..=3 => String::new(),
            4 if depth > 0 => format!(" WHERE {}", self.subquery_test(scope, depth - 1)),
            5 => self
                .moving(scope)
                .unwrap_or_else(|| format!(" WHERE {}", self.value(scope, Kind::Bool, 1))),
            _ => format!(" WHERE {}", self.value(scope, Kind::Bool, 2)),
        }
    }

    /// A comparison with the present moment.
    fn moving(&mut self, scope: &[Column]) -> Option<String> {
        let times: Vec<&Column> = scope
            .iter()
            .filter(|column| matches!(column.kind, Kind::Time | Kind::Zoned))
            .collect();
        if times.is_empty() || !self.choices.once_in(2) {
            return None;
        }
        let time = self.choices.pick(&times).name.clone();
        let operator = *self.choices.pick(&[">", ">=", "<", "<="]);
        Some(format!(
            " WHERE {time} {operator} now() - INTERVAL '30 seconds'"
        ))
    }

    /// Groups by one or two expressions; every column is a key or an aggregate of its type.
    fn groups(&mut self, kinds: &[Kind], depth: usize) -> String {
        let (from, scope) = self.from(depth);
        let filter = self.filter(&scope, depth);
        let (first, second) = (self.kind(), self.kind());
        // Within ROLLUP and its like the parser takes a bracket for that of a list.
        let [left, right] = [first, second].map(|kind| {
            let key = self.key(&scope, kind);
            if key.starts_with('(') {
                format!("coalesce({key}, {key})")
            } else {
                key
            }
        });
        let shape = self.choices.below(7);
        let group = match shape {
            0 => String::new(),
            1 => format!(" GROUP BY {left}"),
            2 | 3 => format!(" GROUP BY {left}, {right}"),
            4 => format!(" GROUP BY ROLLUP ({left}, {right})"),
            5 => format!(" GROUP BY CUBE ({left}, {right})"),
            _ => format!(" GROUP BY GROUPING SETS (({left}), ({left}, {right}), ())"),
        };
        let columns: Vec<String> = (0..kinds.len())
            .map(|at| {
                let call = match self.choices.below(6) {
                    1 if shape > 0 && kinds[at] == first => left.clone(),
                    2 if shape > 3 && kinds[at] == Kind::Int => format!("grouping({left})"),
                    3 if kinds[at] == Kind::Big => {
                        "cast(sum(count(*)) OVER () AS bigint)".to_owned()
                    }
                    _ => self.aggregate(kinds[at], &scope),
                };
                format!("{call} AS c{at}")
            })
            .collect();
        let columns = columns.join(", ");
        let having = match self.choices.below(5) {
            3 => " HAVING count(*) > 1".to_owned(),
            4 => {
                let kind = self.kind();
                let (call, other) = (self.aggregate(kind, &scope), kind.literal(self.choices));
                format!(" HAVING {call} > {other}")
            }
            _ => String::new(),
        };
        format!("SELECT {columns} FROM {from}{filter}{group}{having}")
    }

    fn windows(&mut self, kinds: &[Kind], depth: usize) -> String {
        let (from, scope) = self.from(depth);
        let filter = self.filter(&scope, depth);
        let columns: Vec<String> = (0..kinds.len())
            .map(|at| {
                let value = match self.choices.below(3) {
                    0 if kinds.len() > 1 => self.value(&scope, kinds[at], 1),
                    _ => self.window_call(kinds[at], &scope),
                };
                format!("{value} AS c{at}")
            })
            .collect();
        let qualify = if self.choices.once_in(5) {
            let call = *self
                .choices
                .pick(&["row_number()", "rank()", "dense_rank()"]);
            let bound = *self.choices.pick(&["<= 2", "= 1", "> 1", "< 3"]);
            format!(
                " QUALIFY {call} OVER ({}) {bound}",
                self.over(&scope, false)
            )
        } else {
            String::new()
        };
        format!("SELECT {} FROM {from}{filter}{qualify}", columns.join(", "))
    }
}
