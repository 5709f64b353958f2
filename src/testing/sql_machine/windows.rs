//! Random window calls: every function and frame.

use super::generator::{Column, Generator};
use super::kinds::Kind;

const BOUNDS: [&str; 5] = [
    "UNBOUNDED PRECEDING",
    "PRECEDING",
    "CURRENT ROW",
    "FOLLOWING",
    "UNBOUNDED FOLLOWING",
];

impl Generator<'_> {
    /// A window call of type `kind`.
    pub(super) fn window_call(&mut self, kind: Kind, scope: &[Column]) -> String {
        let call = match (kind, self.choices.below(6)) {
            (Kind::Big | Kind::Int | Kind::Small, 0) => {
                let call =
                    *self
                        .choices
                        .pick(&["row_number()", "rank()", "dense_rank()", "ntile(3)"]);
                let over = self.over(scope, false);
                format!("{call} OVER ({over})")
            }
            (Kind::Float, 0) => {
                let call = *self.choices.pick(&["percent_rank()", "cume_dist()"]);
                let over = self.over(scope, false);
                format!("{call} OVER ({over})")
            }
            (_, 1 | 2) => self.shifted(kind, scope),
            (_, 3) => {
                let value = self.value(scope, kind, 1);
                let call = match self.choices.below(3) {
                    0 => format!("first_value({value})"),
                    1 => format!("last_value({value})"),
                    _ => format!("nth_value({value}, 2)"),
                };
                let nulls = *self.choices.pick(&["", "", " IGNORE NULLS"]);
                let over = self.over(scope, true);
                format!("{call}{nulls} OVER ({over})")
            }
            _ => self.running(kind, scope),
        };
        format!("cast({call} AS {})", kind.sql())
    }

    fn shifted(&mut self, kind: Kind, scope: &[Column]) -> String {
        let call = *self.choices.pick(&["lag", "lead"]);
        let value = self.value(scope, kind, 1);
        let rest = match self.choices.below(3) {
            0 => String::new(),
            1 => format!(", {}", self.choices.below(3)),
            _ => format!(", 1, {}", kind.literal(self.choices)),
        };
        let nulls = *self.choices.pick(&["", "", " IGNORE NULLS"]);
        let over = self.over(scope, false);
        format!("{call}({value}{rest}){nulls} OVER ({over})")
    }

    fn running(&mut self, kind: Kind, scope: &[Column]) -> String {
        let call = match kind {
            Kind::Bool => format!("bool_or({})", self.value(scope, kind, 1)),
            Kind::Big if self.choices.below(2) == 0 => {
                let of = self.kind();
                let distinct = *self.choices.pick(&["", "", "DISTINCT "]);
                format!("count({distinct}{})", self.value(scope, of, 1))
            }
            kind if kind.is_number() && self.choices.below(3) < 2 => {
                let call = *self.choices.pick(&["sum", "avg", "sum", "median"]);
                format!("{call}({})", self.value(scope, kind, 1))
            }
            Kind::Text if self.choices.below(2) == 0 => {
                format!("string_agg({}, ',')", self.value(scope, kind, 1))
            }
            kind => {
                let call = *self.choices.pick(&["max", "min"]);
                format!("{call}({})", self.value(scope, kind, 1))
            }
        };
        let filter = if self.choices.once_in(6) {
            format!(" FILTER (WHERE {})", self.value(scope, Kind::Bool, 1))
        } else {
            String::new()
        };
        let over = self.over(scope, true);
        format!("{call}{filter} OVER ({over})")
    }

    /// What stands in OVER's brackets.
    pub(super) fn over(&mut self, scope: &[Column], framed: bool) -> String {
        let mut parts = Vec::new();
        if self.choices.below(4) < 3 {
            let kind = self.kind();
            parts.push(format!("PARTITION BY {}", self.key(scope, kind)));
        }
        let mut kind = self.kind();
        if kind == Kind::Span {
            // DataFusion has no default frame over an order of intervals.
            kind = Kind::Int;
        }
        let way = *self
            .choices
            .pick(&["", "", " DESC", " DESC NULLS LAST", " NULLS FIRST"]);
        parts.push(format!("ORDER BY {}{way}", self.key(scope, kind)));
        let mut several = false;
        if self.choices.once_in(4) {
            several = true;
            let kind = self.kind();
            let last = parts.pop().unwrap();
            parts.push(format!("{last}, {}", self.key(scope, kind)));
        }
        if framed && self.choices.below(2) == 1 {
            let units = *self.choices.pick(&["ROWS", "RANGE", "GROUPS"]);
            parts.push(self.frame(units, (!several).then_some(kind)));
        } else if framed && self.choices.once_in(5) {
            // Without an order the frame is the whole partition.
            parts.retain(|part| part.starts_with("PARTITION"));
        }
        parts.join(" ")
    }

    /// A frame; `order` is the type of the only key.
    fn frame(&mut self, units: &str, order: Option<Kind>) -> String {
        let offset = match (units, order) {
            ("RANGE", Some(Kind::Time | Kind::Zoned | Kind::Date)) => Some("INTERVAL '1 day'"),
            ("RANGE", Some(Kind::Num | Kind::Wide | Kind::Float | Kind::Real)) => Some("1.5"),
            ("RANGE", Some(Kind::Int | Kind::Big | Kind::Small)) => Some("1"),
            ("RANGE", _) => None,
            _ => Some("1"),
        };
        let mut bound = |least: usize, most: usize| {
            let at = least + self.choices.below(most + 1 - least);
            let far = self.choices.once_in(3);
            let text = match (BOUNDS[at], offset) {
                (word @ ("PRECEDING" | "FOLLOWING"), Some(offset)) => {
                    let offset = if far {
                        offset.replace('1', "2")
                    } else {
                        offset.to_owned()
                    };
                    format!("{offset} {word}")
                }
                ("PRECEDING" | "FOLLOWING", None) => "CURRENT ROW".to_owned(),
                (word, _) => word.to_owned(),
            };
            (at, text)
        };
        let (first, start) = bound(0, 3);
        let (last, end) = bound(first.max(1), 4);
        if first == last {
            return format!("{units} BETWEEN {start} AND {start}");
        }
        format!("{units} BETWEEN {start} AND {end}")
    }

    /// An expression that is no bare number, which would be the position of a column.
    pub(super) fn key(&mut self, scope: &[Column], kind: Kind) -> String {
        let key = self.value(scope, kind, 1);
        if key.starts_with(|first: char| first.is_ascii_digit() || first == '\'') {
            return format!("coalesce({key}, {key})");
        }
        key
    }
}
