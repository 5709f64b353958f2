//! Dates beside moments: dates still where a constant moment is compared with them.
//!
//! DataFusion's own coercion casts the column, so that parts of files cannot be passed over by their dates: `day < DATE '1994-01-01' + INTERVAL
//! '1 year'`.

use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Between, BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, cast, lit,
};
use datafusion::optimizer::AnalyzerRule;

use crate::planner::functions::checked::rewrite_over_inputs;

type Outcome<T> = Result<T, DataFusionError>;

const DAY_MICROS: i64 = 86_400_000_000;

/// The analyzer rule. It runs before DataFusion's coercion.
#[derive(Debug, Default)]
pub(super) struct DatesAsMoments;

impl AnalyzerRule for DatesAsMoments {
    fn name(&self) -> &str {
        "lotic_dates_as_moments"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Outcome<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| rewrite_over_inputs(node, rewrite))
            .data()
    }
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(call) => Ok(part_of(call, schema)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let by_date = if is_date(&left, schema) {
                bound(op, &right)
            } else if is_date(&right, schema) {
                // the sides change places
                op.swap().and_then(|op| bound(op, &left))
            } else {
                None
            };
            let Some((op, day)) = by_date else {
                let same = BinaryExpr { left, op, right };
                return Ok(Transformed::no(Expr::BinaryExpr(same)));
            };
            let date = if is_date(&left, schema) { left } else { right };
            let compared = BinaryExpr::new(date, op, Box::new(day));
            Ok(Transformed::yes(Expr::BinaryExpr(compared)))
        }
        Expr::Between(Between {
            expr,
            negated: false,
            low,
            high,
        }) if is_date(&expr, schema) && (is_moment(&low) || is_moment(&high)) => {
            let over = BinaryExpr::new(expr.clone(), Operator::GtEq, low);
            let under = BinaryExpr::new(expr, Operator::LtEq, high);
            let over = rewrite(Expr::BinaryExpr(over), schema)?.data;
            let under = rewrite(Expr::BinaryExpr(under), schema)?.data;
            Ok(Transformed::yes(over.and(under)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// A part of a length between two moments is that of an interval, which knows days from hours.
fn part_of(call: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    let ScalarFunction { func, args } = call;
    let mut changed = false;
    let args = args.into_iter().map(|arg| match arg.get_type(schema) {
        Ok(DataType::Duration(_)) if func.name() == "date_part" => {
            changed = true;
            cast(arg, DataType::Interval(IntervalUnit::MonthDayNano))
        }
        _ => arg,
    });
    let args = args.collect();
    let call = Expr::ScalarFunction(ScalarFunction { func, args });
    Transformed::new_transformed(call, changed)
}

fn is_date(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr.get_type(schema), Ok(DataType::Date32))
}

fn is_moment(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(_), None), _)
    )
}

/// `op` and a constant moment as a comparison with a date; none where no date can stand for the moment.
fn bound(op: Operator, moment: &Expr) -> Option<(Operator, Expr)> {
    let Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), None), _) = moment else {
        return None;
    };
    let is_midnight = micros.rem_euclid(DAY_MICROS) == 0;
    let op = match op {
        Operator::Lt | Operator::GtEq if is_midnight => op,
        Operator::Lt | Operator::LtEq => Operator::LtEq,
        Operator::Gt | Operator::GtEq => Operator::Gt,
        Operator::Eq | Operator::NotEq if is_midnight => op,
        _ => return None,
    };
    let day = i32::try_from(micros.div_euclid(DAY_MICROS)).ok()?;
    Some((op, lit(ScalarValue::Date32(Some(day)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_before_a_moment_of_its_day_unless_that_is_its_first() {
        let moment = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), None));
        let day = |day| lit(ScalarValue::Date32(Some(day)));
        let noon = DAY_MICROS + DAY_MICROS / 2;
        for (op, micros, wanted) in [
            (Operator::Lt, DAY_MICROS, Some((Operator::Lt, 1))),
            (Operator::Lt, noon, Some((Operator::LtEq, 1))),
            (Operator::LtEq, DAY_MICROS, Some((Operator::LtEq, 1))),
            (Operator::LtEq, noon, Some((Operator::LtEq, 1))),
            (Operator::Gt, DAY_MICROS, Some((Operator::Gt, 1))),
            (Operator::Gt, noon, Some((Operator::Gt, 1))),
            (Operator::GtEq, DAY_MICROS, Some((Operator::GtEq, 1))),
            (Operator::GtEq, noon, Some((Operator::Gt, 1))),
            (Operator::GtEq, -1, Some((Operator::Gt, -1))),
            (Operator::Eq, DAY_MICROS, Some((Operator::Eq, 1))),
            (Operator::Eq, noon, None),
            (Operator::IsDistinctFrom, DAY_MICROS, None),
        ] {
            let wanted = wanted.map(|(op, number)| (op, day(number)));
            assert_eq!(bound(op, &moment(micros)), wanted, "{op} {micros}");
        }
        assert_eq!(bound(Operator::Lt, &day(1)), None);
    }
}
