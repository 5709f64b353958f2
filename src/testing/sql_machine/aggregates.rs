//! Random aggregate calls of the type that is asked for.

use super::generator::{Column, Generator};
use super::kinds::Kind;

impl Generator<'_> {
    /// An aggregate call over `scope`, with FILTER now and then.
    pub(super) fn aggregate(&mut self, kind: Kind, scope: &[Column]) -> String {
        let call = match self.choices.below(5) {
            0 | 1 => self.extreme(kind, scope),
            2 => self.chosen(kind, scope),
            _ => self.own(kind, scope),
        };
        if call.ends_with(" IGNORE NULLS") || !self.choices.once_in(5) {
            return cast(&call, kind);
        }
        let test = self.value(scope, Kind::Bool, 1);
        cast(&format!("{call} FILTER (WHERE {test})"), kind)
    }

    fn extreme(&mut self, kind: Kind, scope: &[Column]) -> String {
        if kind == Kind::Bool {
            return self.own(kind, scope);
        }
        let call = *self.choices.pick(&["max", "min"]);
        let value = self.value(scope, kind, 1);
        format!("{call}({value})")
    }

    /// One value of the group, by an order.
    fn chosen(&mut self, kind: Kind, scope: &[Column]) -> String {
        let value = self.value(scope, kind, 1);
        let by = self.kind();
        let order = self.value(scope, by, 1);
        let way = *self
            .choices
            .pick(&["", " DESC", " DESC NULLS LAST", " NULLS FIRST"]);
        match self.choices.below(7) {
            0 => format!("first_value({value} ORDER BY {order}{way})"),
            1 => format!("last_value({value} ORDER BY {order}{way})"),
            2 => format!("nth_value({value}, 2 ORDER BY {order}{way})"),
            3 => format!("mode() WITHIN GROUP (ORDER BY {value}{way})"),
            4 => format!("percentile_disc(0.4) WITHIN GROUP (ORDER BY {value}{way})"),
            5 => format!("first_value({value} ORDER BY {order}{way}) IGNORE NULLS"),
            _ => format!("any_value({value})"),
        }
    }

    /// A call that only this type has.
    fn own(&mut self, kind: Kind, scope: &[Column]) -> String {
        let distinct = *self.choices.pick(&["", "", "DISTINCT "]);
        match kind {
            Kind::Bool => {
                let call = *self.choices.pick(&["bool_and", "bool_or", "every"]);
                format!("{call}({})", self.value(scope, Kind::Bool, 1))
            }
            Kind::Big => match self.choices.below(3) {
                0 => "count(*)".to_owned(),
                1 => {
                    let of = self.kind();
                    format!("count({distinct}{})", self.value(scope, of, 1))
                }
                _ => {
                    let of = *self.choices.pick(&[Kind::Int, Kind::Small, Kind::Big]);
                    format!("sum({distinct}{})", self.value(scope, of, 1))
                }
            },
            Kind::Int | Kind::Small => {
                let call = *self
                    .choices
                    .pick(&["bit_and", "bit_or", "bit_xor", "median"]);
                format!("{call}({})", self.value(scope, kind, 1))
            }
            Kind::Num | Kind::Wide => {
                let call = *self.choices.pick(&["sum", "avg", "median"]);
                format!("{call}({distinct}{})", self.value(scope, kind, 1))
            }
            Kind::Float | Kind::Real => self.statistic(kind, scope, distinct),
            Kind::Text => {
                let value = self.value(scope, kind, 1);
                match self.choices.below(4) {
                    0 => format!("string_agg({distinct}{value}, ',' ORDER BY {value})"),
                    1 => format!("string_agg({distinct}{value}, '-')"),
                    2 => format!("array_to_string(array_agg({distinct}{value}), ',')"),
                    _ => {
                        let by = self.kind();
                        let order = self.value(scope, by, 1);
                        format!("string_agg({value}, ',' ORDER BY {order} DESC)")
                    }
                }
            }
            _ => self.chosen(kind, scope),
        }
    }

    fn statistic(&mut self, kind: Kind, scope: &[Column], distinct: &str) -> String {
        let of = *self.choices.pick(&[kind, Kind::Int, Kind::Big]);
        match self.choices.below(4) {
            0 => format!("sum({distinct}{})", self.value(scope, kind, 1)),
            1 => format!("avg({distinct}{})", self.value(scope, of, 1)),
            2 => {
                let call =
                    *self
                        .choices
                        .pick(&["stddev", "var_pop", "var_samp", "stddev_pop", "median"]);
                format!("{call}({})", self.value(scope, of, 1))
            }
            _ => {
                let call = *self
                    .choices
                    .pick(&["corr", "covar_samp", "covar_pop", "regr_slope"]);
                let left = self.value(scope, kind, 1);
                format!("{call}({left}, {})", self.value(scope, of, 1))
            }
        }
    }
}

/// Sums and averages have types of their own.
fn cast(call: &str, kind: Kind) -> String {
    format!("cast({call} AS {})", kind.sql())
}
