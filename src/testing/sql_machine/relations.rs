//! Random relations in FROM: tables, views, queries, VALUES, windows of time, and joins of all kinds.

use super::generator::{Column, Generator, columns_of};
use super::kinds::Kind;
use super::tables::{TABLES, VIEWS};

impl Generator<'_> {
    /// What follows FROM, and the columns that it gives.
    pub(super) fn from(&mut self, depth: usize) -> (String, Vec<Column>) {
        let (mut text, mut scope) = self.one(depth);
        let joins = match self.choices.below(6) {
            0..=2 => 0,
            3 | 4 => 1,
            _ => 2,
        };
        for _ in 0..joins.min(depth) {
            let (join, more) = self.join(&scope, depth - 1);
            text.push_str(&join);
            scope.extend(more);
        }
        (text, scope)
    }

    fn join(&mut self, scope: &[Column], depth: usize) -> (String, Vec<Column>) {
        match self.choices.below(12) {
            0 => self.lateral(scope, depth),
            1 => self.asof(scope, depth),
            2 => self.series(scope),
            3 => {
                let (right, more) = self.one(depth);
                (format!(" CROSS JOIN {right}"), more)
            }
            _ => self.plain_join(scope, depth),
        }
    }

    fn plain_join(&mut self, scope: &[Column], depth: usize) -> (String, Vec<Column>) {
        let (right, more) = self.one(depth);
        let join = *self
            .choices
            .pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let both = [scope, &more].concat();
        let kind = self.kind();
        let depth = self.choices.below(2);
        let (left, other) = (
            self.value(scope, kind, depth),
            self.value(&more, kind, depth),
        );
        let mut on = match self.choices.below(8) {
            // DataFusion has no full join without an equality.
            7 if join != "FULL JOIN" => format!("{left} < {other}"),
            6 => format!("{left} IS NOT DISTINCT FROM {other}"),
            _ => format!("{left} = {other}"),
        };
        if self.choices.once_in(3) {
            on = format!("{on} AND {}", self.value(&both, Kind::Bool, 1));
        }
        (format!(" {join} {right} ON {on}"), more)
    }

    /// A subquery that reads the rows before it, with LIMIT now and then.
    fn lateral(&mut self, scope: &[Column], depth: usize) -> (String, Vec<Column>) {
        let (from, inner) = self.from(depth.min(1));
        let filter = self.correlated(scope, &inner);
        let kinds = self.some_kinds();
        let grouped = self.choices.once_in(3);
        let columns: Vec<String> = (0..kinds.len())
            .map(|at| {
                let value = if grouped {
                    self.aggregate(kinds[at], &inner)
                } else {
                    self.value(&inner, kinds[at], 1)
                };
                format!("{value} AS c{at}")
            })
            .collect();
        let limit = match self.choices.below(3) {
            0 => String::new(),
            1 => format!(" ORDER BY c0 LIMIT {}", 1 + self.choices.below(2)),
            _ => " ORDER BY c0 DESC LIMIT 1 OFFSET 1".to_owned(),
        };
        let name = self.name();
        let columns = columns.join(", ");
        let query = format!("LATERAL (SELECT {columns} FROM {from}{filter}{limit}) AS {name}");
        let join = match self.choices.below(2) {
            0 => format!(" CROSS JOIN {query}"),
            _ => format!(" LEFT JOIN {query} ON true"),
        };
        (join, columns_of(&name, &kinds))
    }

    fn asof(&mut self, scope: &[Column], depth: usize) -> (String, Vec<Column>) {
        let (right, more) = self.one(depth);
        let join = *self.choices.pick(&["ASOF JOIN", "ASOF LEFT JOIN"]);
        let operator = *self.choices.pick(&[">=", ">", "<=", "<"]);
        // One column of each side: constants are no time of a row.
        let pairs: Vec<(&Column, &Column)> = scope
            .iter()
            .filter(|column| !matches!(column.kind, Kind::Bool | Kind::Ints | Kind::Span))
            .flat_map(|column| more.iter().map(move |other| (column, other)))
            .filter(|(column, other)| column.kind == other.kind)
            .collect();
        if pairs.is_empty() {
            return (format!(" CROSS JOIN {right}"), more);
        }
        let (left, other) = *self.choices.pick(&pairs);
        let on = if self.choices.below(4) == 0 {
            String::new()
        } else {
            let (key, same) = *self.choices.pick(&pairs);
            format!(" ON {} = {}", key.name, same.name)
        };
        let text = format!(
            " {join} {right} MATCH_CONDITION ({} {operator} {}){on}",
            left.name, other.name
        );
        (text, more)
    }

    /// The elements of a list, or a series up to a column.
    fn series(&mut self, scope: &[Column]) -> (String, Vec<Column>) {
        let lists: Vec<&Column> = scope
            .iter()
            .filter(|column| column.kind == Kind::Ints)
            .collect();
        let ints: Vec<&Column> = scope
            .iter()
            .filter(|column| column.kind == Kind::Int)
            .collect();
        let call = if lists.is_empty() {
            let last = if ints.is_empty() {
                "3"
            } else {
                &self.choices.pick(&ints).name
            };
            format!("generate_series(1, {last} % 4)")
        } else {
            format!("unnest({})", self.choices.pick(&lists).name)
        };
        let name = self.name();
        // DataFusion's series are of bigints.
        let kind = if lists.is_empty() {
            Kind::Big
        } else {
            Kind::Int
        };
        let join = match self.choices.below(2) {
            0 => format!(" CROSS JOIN {call} AS {name}(c0)"),
            _ => format!(" LEFT JOIN LATERAL {call} AS {name}(c0) ON true"),
        };
        (join, columns_of(&name, &[kind]))
    }

    /// A table or a query in FROM.
    fn one(&mut self, depth: usize) -> (String, Vec<Column>) {
        let full = self.is_full();
        match self.choices.below(16) {
            11 | 12 if depth > 0 && !full => {
                let kinds = self.some_kinds();
                let inner = self.query(&kinds, depth - 1);
                let name = self.name();
                (format!("({inner}) AS {name}"), columns_of(&name, &kinds))
            }
            13 => self.windowed(),
            14 if self.choices.below(2) == 0 => self.values(),
            14 | 15 if !self.named.is_empty() => {
                let (with, kinds) = self.choices.pick(&self.named).clone();
                let name = self.name();
                (format!("{with} AS {name}"), columns_of(&name, &kinds))
            }
            10 => {
                let (view, _, columns) = *self.choices.pick(&VIEWS);
                let name = self.name();
                let scope = scope_of(&name, columns.iter().copied());
                (format!("{view} AS {name}"), scope)
            }
            _ => self.table(),
        }
    }

    fn table(&mut self) -> (String, Vec<Column>) {
        let at = self.choices.below(8);
        // The tables of the commonest types more often.
        let table = &TABLES[if at < TABLES.len() {
            at
        } else {
            at - TABLES.len()
        }];
        let name = self.name();
        let columns = table
            .columns
            .iter()
            .map(|(column, kind, _)| (*column, *kind));
        let scope = scope_of(&name, columns);
        (format!("{} AS {name}", table.name), scope)
    }

    /// A table with its windows of time.
    fn windowed(&mut self) -> (String, Vec<Column>) {
        let (table, time) = *self.choices.pick(&[(0, "ts"), (1, "day"), (1, "z")]);
        let table = &TABLES[table];
        let day = time == "day";
        let size = if day { "2 days" } else { "40 seconds" };
        let name = self.name();
        let call = match self.choices.below(3) {
            0 => format!("TUMBLE({}, {time}, INTERVAL '{size}')", table.name),
            1 => {
                let slide = if day { "1 day" } else { "20 seconds" };
                format!(
                    "HOP({}, {time}, INTERVAL '{slide}', INTERVAL '{size}')",
                    table.name
                )
            }
            _ => format!("SESSION({}, {time}, INTERVAL '{size}', k)", table.name),
        };
        let mut columns: Vec<(&str, Kind)> = table
            .columns
            .iter()
            .map(|(column, kind, _)| (*column, *kind))
            .collect();
        let kind = if time == "z" { Kind::Zoned } else { Kind::Time };
        columns.extend([("window_start", kind), ("window_end", kind)]);
        let scope = scope_of(&name, columns.into_iter());
        (format!("{call} AS {name}"), scope)
    }

    fn values(&mut self) -> (String, Vec<Column>) {
        let kinds = self.some_kinds();
        let rows: Vec<String> = (0..=self.choices.below(3))
            .map(|_| {
                let row: Vec<String> = (0..kinds.len())
                    .map(|at| kinds[at].literal(self.choices))
                    .collect();
                format!("({})", row.join(", "))
            })
            .collect();
        let name = self.name();
        let columns: Vec<String> = (0..kinds.len()).map(|at| format!("c{at}")).collect();
        let text = format!(
            "(VALUES {}) AS {name}({})",
            rows.join(", "),
            columns.join(", ")
        );
        (text, columns_of(&name, &kinds))
    }
}

fn scope_of<'a>(name: &str, columns: impl Iterator<Item = (&'a str, Kind)>) -> Vec<Column> {
    let columns = columns.map(|(column, kind)| Column {
        name: format!("{name}.{column}"),
        kind,
    });
    columns.collect()
}
