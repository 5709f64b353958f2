//! Arithmetic with lengths of time that DataFusion lacks or does otherwise than PostgreSQL.
//!
//! `INTERVAL '1 day' * n` and `INTERVAL '1 day' / n` have no operators in DataFusion. A date and a length are a timestamp; DataFusion keeps
//! the date, and the hours of the length are lost. `EXTRACT(SECOND ..)` has its fraction, and years are PostgreSQL's.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, Operator, cast, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use sqlparser::ast::BinaryOperator;

use crate::base::Error;
use crate::planner::functions::date_part::date_part;
use crate::planner::functions::length_order::is_length;
use crate::planner::functions::scaled;
use crate::planner::functions::seconds::micros_of_minute;

type Outcome<T> = Result<T, DataFusionError>;

/// Plans these operators and EXTRACT.
#[derive(Debug)]
pub(super) struct LengthsOfTime;

impl ExprPlanner for LengthsOfTime {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Outcome<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{Divide, Minus, Multiply, Plus};
        if !matches!(expr.op, Multiply | Divide | Plus | Minus) {
            return Ok(PlannerResult::Original(expr));
        }
        let (left, right) = (kind(&expr.left, schema), kind(&expr.right, schema));
        let length = |expr| cast(expr, DataType::Interval(IntervalUnit::MonthDayNano));
        let number = |expr| cast(expr, DataType::Float64);
        let planned = match (&expr.op, left, right) {
            (Multiply, Kind::Length, Kind::Number) => {
                scaled::times(length(expr.left), number(expr.right))
            }
            (Multiply, Kind::Number, Kind::Length) => {
                scaled::times(length(expr.right), number(expr.left))
            }
            (Divide, Kind::Length, Kind::Number) => {
                scaled::divided(length(expr.left), number(expr.right))
            }
            (Plus, Kind::Date, Kind::Length) => shifted(expr.left, Operator::Plus, expr.right),
            (Plus, Kind::Length, Kind::Date) => shifted(expr.right, Operator::Plus, expr.left),
            (Minus, Kind::Date, Kind::Length) => shifted(expr.left, Operator::Minus, expr.right),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(planned))
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Outcome<PlannerResult<Vec<Expr>>> {
        let places = match &args[..] {
            [Expr::Literal(part, _), _] => match part.try_as_str().flatten() {
                Some(part) if is_one_of(part, &["second", "seconds"]) => 6,
                Some(part) if is_one_of(part, &["millisecond", "milliseconds"]) => 3,
                Some(part) if is_one_of(part, &["microsecond", "microseconds"]) => 0,
                _ => return Ok(PlannerResult::Planned(date_part().call(args))),
            },
            _ => return Ok(PlannerResult::Original(args)),
        };
        let Some(micros) = args.into_iter().nth(1).map(micros_of_minute) else {
            return Err(Error::internal("EXTRACT is of something").into());
        };
        if places == 0 {
            return Ok(PlannerResult::Planned(micros));
        }
        let micros = cast(micros, DataType::Decimal128(10, 0));
        let one = ScalarValue::Decimal128(Some(1), 7, places);
        Ok(PlannerResult::Planned(micros * lit(one)))
    }
}

fn is_one_of(part: &str, names: &[&str]) -> bool {
    names.iter().any(|name| part.eq_ignore_ascii_case(name))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Length,
    Number,
    Date,
    Other,
}

/// What an operand is. A parameter beside a length is a number.
fn kind(expr: &Expr, schema: &DFSchema) -> Kind {
    match expr.get_type(schema) {
        _ if matches!(expr, Expr::Placeholder(_)) => Kind::Number,
        Ok(DataType::Date32) => Kind::Date,
        Ok(data_type) if is_length(&data_type) => Kind::Length,
        Ok(data_type) if data_type.is_numeric() || data_type.is_null() => Kind::Number,
        _ => Kind::Other,
    }
}

/// The moment at `length` from the first of `date`. Of two constants it is one already, so that what it is compared with can stay a date: see `dates`.
fn shifted(date: Expr, op: Operator, length: Expr) -> Expr {
    let is_constant = is_constant(&date) && is_constant(&length);
    let moment = cast(date, DataType::Timestamp(TimeUnit::Microsecond, None));
    let moment = Expr::BinaryExpr(BinaryExpr::new(Box::new(moment), op, Box::new(length)));
    if !is_constant {
        return moment;
    }
    let folded = ExprSimplifier::new(SimplifyContext::default()).simplify(moment.clone());
    match folded {
        Ok(folded @ Expr::Literal(..)) => folded,
        _ => moment,
    }
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::Cast(Cast { expr, field }) => {
            *field.data_type() == DataType::Date32 && matches!(**expr, Expr::Literal(..))
        }
        _ => false,
    }
}
