//! Random expressions, each of the type that is asked for, so that nearly all of them plan.

use super::generator::{Column, Generator};
use super::kinds::Kind;

impl Generator<'_> {
    /// An expression of type `kind` over `scope`, `depth` calls deep at most.
    pub(super) fn value(&mut self, scope: &[Column], kind: Kind, depth: usize) -> String {
        if depth == 0 || self.choices.below(3) == 0 {
            return self.leaf(scope, kind);
        }
        let below = depth - 1;
        match self.choices.below(9) {
            0 => {
                let (left, right) = self.two(scope, kind, below);
                format!("coalesce({left}, {right})")
            }
            1 => {
                let test = self.value(scope, Kind::Bool, below);
                let (left, right) = self.two(scope, kind, below);
                format!("CASE WHEN {test} THEN {left} ELSE {right} END")
            }
            2 => {
                let (left, right) = self.two(scope, kind, below);
                format!("nullif({left}, {right})")
            }
            3 if kind != Kind::Bool && kind != Kind::Span => {
                let call = *self.choices.pick(&["greatest", "least"]);
                let (left, right) = self.two(scope, kind, below);
                format!("{call}({left}, {right})")
            }
            _ => self.call(scope, kind, below),
        }
    }

    fn two(&mut self, scope: &[Column], kind: Kind, depth: usize) -> (String, String) {
        let left = self.value(scope, kind, depth);
        (left, self.value(scope, kind, depth))
    }

    fn leaf(&mut self, scope: &[Column], kind: Kind) -> String {
        let columns: Vec<&Column> = scope.iter().filter(|column| column.kind == kind).collect();
        if !columns.is_empty() && self.choices.below(5) < 4 {
            return self.choices.pick(&columns).name.clone();
        }
        kind.literal(self.choices)
    }

    fn call(&mut self, scope: &[Column], kind: Kind, depth: usize) -> String {
        match kind {
            Kind::Bool => self.test(scope, depth),
            Kind::Text => self.text(scope, depth),
            Kind::Date | Kind::Time | Kind::Zoned | Kind::Span | Kind::Ints => {
                self.moment(scope, kind, depth)
            }
            Kind::Float | Kind::Real => self.float(scope, kind, depth),
            _ => self.exact(scope, kind, depth),
        }
    }

    /// An integer or a decimal.
    fn exact(&mut self, scope: &[Column], kind: Kind, depth: usize) -> String {
        let sql = kind.sql();
        let operator = *self.choices.pick(&["+", "-", "*", "/", "%"]);
        match (kind, self.choices.below(6)) {
            (Kind::Int, 0) => {
                let text = self.value(scope, Kind::Text, depth);
                format!("cast(length({text}) AS int)")
            }
            (Kind::Int, 1) => {
                let from = *self.choices.pick(&[Kind::Small, Kind::Bool, Kind::Big]);
                let value = self.value(scope, from, depth);
                format!("({value})::int")
            }
            (Kind::Big, 0) => {
                let from = *self.choices.pick(&[Kind::Int, Kind::Num, Kind::Float]);
                let value = self.value(scope, from, depth);
                format!("({value})::bigint")
            }
            (Kind::Big, 1) => {
                let part = *self.choices.pick(&["year", "day", "month", "minute"]);
                let from = *self.choices.pick(&[Kind::Time, Kind::Date, Kind::Zoned]);
                let value = self.value(scope, from, depth);
                format!("cast(extract({part} FROM {value}) AS bigint)")
            }
            (Kind::Num | Kind::Wide, 0) => {
                let from = *self.choices.pick(&[Kind::Int, Kind::Small, Kind::Num]);
                let value = self.value(scope, from, depth);
                format!("({value})::{sql}")
            }
            (Kind::Num | Kind::Wide, 1) => {
                let value = self.value(scope, kind, depth);
                format!("round({value}, 1)::{sql}")
            }
            (Kind::Small, 0) => {
                let value = self.value(scope, Kind::Int, depth);
                format!("({value} % 100)::smallint")
            }
            (_, 2) => {
                let call = *self.choices.pick(&["abs", "-"]);
                let value = self.value(scope, kind, depth);
                format!("({call}({value}))::{sql}")
            }
            _ => {
                let (left, right) = self.two(scope, kind, depth);
                if matches!(kind, Kind::Int | Kind::Big) {
                    return format!("({left} {operator} {right})");
                }
                format!("({left} {operator} {right})::{sql}")
            }
        }
    }

    fn float(&mut self, scope: &[Column], kind: Kind, depth: usize) -> String {
        let sql = kind.sql();
        match self.choices.below(5) {
            0 => {
                let from = *self.choices.pick(&[
                    Kind::Int,
                    Kind::Num,
                    Kind::Real,
                    Kind::Float,
                    Kind::Wide,
                ]);
                let value = self.value(scope, from, depth);
                format!("({value})::{sql}")
            }
            1 => {
                let call = *self.choices.pick(&["abs", "floor", "ceil", "round", "-"]);
                let value = self.value(scope, kind, depth);
                format!("({call}({value}))::{sql}")
            }
            2 => {
                let value = self.value(scope, kind, depth);
                format!("sqrt({value})::{sql}")
            }
            _ => {
                let operator = *self.choices.pick(&["+", "*", "-", "/"]);
                let (left, right) = self.two(scope, kind, depth);
                format!("({left} {operator} {right})")
            }
        }
    }

    fn text(&mut self, scope: &[Column], depth: usize) -> String {
        match self.choices.below(8) {
            0 => {
                let call = *self
                    .choices
                    .pick(&["upper", "lower", "trim", "reverse", "initcap"]);
                let value = self.value(scope, Kind::Text, depth);
                format!("{call}({value})")
            }
            1 => {
                let from = *self.choices.pick(&[
                    Kind::Int,
                    Kind::Bool,
                    Kind::Date,
                    Kind::Time,
                    Kind::Num,
                    Kind::Float,
                ]);
                let value = self.value(scope, from, depth);
                format!("({value})::varchar")
            }
            2 => {
                let value = self.value(scope, Kind::Text, depth);
                format!("substr({value}, 1, 2)")
            }
            3 => {
                let call = *self.choices.pick(&["left", "right", "repeat"]);
                let value = self.value(scope, Kind::Text, depth);
                format!("{call}({value}, {})", self.choices.below(3))
            }
            4 => {
                let value = self.value(scope, Kind::Text, depth);
                format!("replace({value}, 'a', 'bc')")
            }
            5 => {
                let value = self.value(scope, Kind::Text, depth);
                format!("split_part({value}, 'b', 1)")
            }
            _ => {
                let (left, right) = self.two(scope, Kind::Text, depth);
                if self.choices.once_in(4) {
                    return format!("concat({left}, {right})");
                }
                format!("({left} || {right})")
            }
        }
    }

    fn moment(&mut self, scope: &[Column], kind: Kind, depth: usize) -> String {
        let which = self.choices.below(4);
        let sign = *self.choices.pick(&["+", "-"]);
        let unit = *self
            .choices
            .pick(&["minute", "day", "month", "year", "hour"]);
        match (kind, which) {
            (Kind::Time | Kind::Zoned, 0) => {
                let value = self.value(scope, kind, depth);
                format!("date_trunc('{unit}', {value})")
            }
            (Kind::Time | Kind::Zoned | Kind::Span, 1) => {
                let (left, span) = (self.value(scope, kind, depth), self.leaf(scope, Kind::Span));
                format!("({left} {sign} {span})")
            }
            (Kind::Time, 2) => format!("({})::timestamp", self.value(scope, Kind::Date, depth)),
            (Kind::Zoned, 2) => format!("({})::timestamptz", self.value(scope, Kind::Time, depth)),
            (Kind::Span, _) => {
                let (left, right) = self.two(scope, Kind::Time, depth);
                format!("(({left} - {right})::interval)")
            }
            (Kind::Date, 0 | 1) => {
                let from = *self.choices.pick(&[Kind::Time, Kind::Zoned]);
                format!("({})::date", self.value(scope, from, depth))
            }
            (Kind::Date, _) => {
                let value = self.value(scope, kind, depth);
                format!("({value} {sign} INTERVAL '1 {unit}')::date")
            }
            _ => format!(
                "({} {sign} INTERVAL '1 {unit}')",
                self.value(scope, kind, depth)
            ),
        }
    }

    /// A truth value.
    fn test(&mut self, scope: &[Column], depth: usize) -> String {
        let kind = self.kind();
        match self.choices.below(11) {
            0 => {
                let known = *self.choices.pick(&["NULL", "NOT NULL"]);
                format!("({} IS {known})", self.value(scope, kind, depth))
            }
            1 => {
                let (left, right) = self.two(scope, Kind::Bool, depth);
                format!("({left} AND {right})")
            }
            2 => {
                let (left, right) = self.two(scope, Kind::Bool, depth);
                format!("({left} OR {right})")
            }
            3 => format!("(NOT {})", self.value(scope, Kind::Bool, depth)),
            4 => {
                let not = *self.choices.pick(&["", "NOT "]);
                let value = self.value(scope, kind, depth);
                let (one, other) = self.two(scope, kind, depth);
                format!("({value} {not}IN ({one}, {other}))")
            }
            5 => {
                let value = self.value(scope, kind, depth);
                let (low, high) = self.two(scope, kind, depth);
                format!("({value} BETWEEN {low} AND {high})")
            }
            6 => {
                let like = *self.choices.pick(&["LIKE", "NOT LIKE", "ILIKE"]);
                let pattern = *self.choices.pick(&["a%", "%b%", "_", "%"]);
                let value = self.value(scope, Kind::Text, depth);
                format!("({value} {like} '{pattern}')")
            }
            7 => {
                let what = *self.choices.pick(&["TRUE", "NOT TRUE", "FALSE", "UNKNOWN"]);
                format!("({} IS {what})", self.value(scope, Kind::Bool, depth))
            }
            _ => {
                let operator = *self.choices.pick(&[
                    "=",
                    "<",
                    "<=",
                    "<>",
                    ">",
                    "IS DISTINCT FROM",
                    "IS NOT DISTINCT FROM",
                ]);
                let (left, right) = self.two(scope, kind, depth);
                format!("({left} {operator} {right})")
            }
        }
    }
}
