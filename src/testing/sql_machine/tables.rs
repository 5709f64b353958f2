//! The tables and views that random queries read, and CREATE TABLE for them.

use super::kinds::Kind;

/// A column: its name, its type, and whether it may be NULL.
pub(super) type ColumnOf = (&'static str, Kind, bool);

/// A table.
#[derive(Debug)]
pub(super) struct TableOf {
    pub(super) name: &'static str,
    pub(super) columns: &'static [ColumnOf],
    /// The first so many columns are the primary key.
    pub(super) key: usize,
}

/// A view: its name, its query, and its columns.
pub(super) type ViewOf = (&'static str, &'static str, &'static [(&'static str, Kind)]);

/// Every table.
pub(super) const TABLES: [TableOf; 6] = [
    TableOf {
        name: "t",
        columns: &[
            ("k", Kind::Int, true),
            ("a", Kind::Int, true),
            ("b", Kind::Big, true),
            ("s", Kind::Text, true),
            ("x", Kind::Float, true),
            ("d", Kind::Num, true),
            ("f", Kind::Bool, true),
            ("ts", Kind::Time, true),
        ],
        key: 0,
    },
    TableOf {
        name: "u",
        columns: &[
            ("k", Kind::Int, true),
            ("a", Kind::Int, true),
            ("c", Kind::Big, true),
            ("s", Kind::Text, true),
            ("day", Kind::Date, true),
            ("z", Kind::Zoned, true),
        ],
        key: 0,
    },
    TableOf {
        name: "w",
        columns: &[
            ("k", Kind::Int, false),
            ("g", Kind::Int, false),
            ("y", Kind::Float, false),
        ],
        key: 0,
    },
    TableOf {
        name: "p",
        columns: &[
            ("id", Kind::Int, false),
            ("i", Kind::Small, true),
            ("r", Kind::Real, true),
            ("n", Kind::Wide, true),
            ("v", Kind::Span, true),
            ("s", Kind::Text, false),
        ],
        key: 1,
    },
    TableOf {
        name: "e",
        columns: &[("src", Kind::Int, true), ("dst", Kind::Int, true)],
        key: 0,
    },
    TableOf {
        name: "l",
        columns: &[("k", Kind::Int, true), ("items", Kind::Ints, true)],
        key: 0,
    },
];

/// Every view.
pub(super) const VIEWS: [ViewOf; 3] = [
    (
        "v_groups",
        "SELECT k, count(*) AS n, max(a) AS m, sum(d) AS sd FROM t WHERE f OR f IS NULL GROUP BY k",
        &[("k", Kind::Int), ("n", Kind::Big), ("m", Kind::Int)],
    ),
    (
        "v_pairs",
        "SELECT t.k AS tk, u.a AS ua, u.s AS us FROM t LEFT JOIN u ON t.k = u.k AND u.c > 0",
        &[("tk", Kind::Int), ("ua", Kind::Int), ("us", Kind::Text)],
    ),
    (
        "v_first",
        "SELECT id, s, i FROM (SELECT id, s, i, row_number() OVER (PARTITION BY i ORDER BY s) AS r FROM p) AS q WHERE r <= 2",
        &[("id", Kind::Int), ("s", Kind::Text), ("i", Kind::Small)],
    ),
];

impl TableOf {
    /// CREATE TABLE with the columns that `keeps` says.
    pub(super) fn create(&self, keeps: impl Fn(&str) -> bool) -> String {
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .filter(|(name, _, _)| keeps(name))
            .map(|(name, kind, nullable)| {
                let bound = if *nullable { "" } else { " NOT NULL" };
                format!("{name} {}{bound}", kind.sql())
            })
            .collect();
        if self.key > 0 {
            let names: Vec<&str> = self.columns[..self.key]
                .iter()
                .map(|column| column.0)
                .collect();
            parts.push(format!("PRIMARY KEY ({})", names.join(", ")));
        }
        format!("CREATE TABLE {} ({})", self.name, parts.join(", "))
    }
}
