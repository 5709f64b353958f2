//! The columns of a GAP_FILL, once those of its table are known.

use std::sync::Arc;

use datafusion::common::{Column, DataFusionError, plan_err};
use datafusion::functions_nested::expr_fn::cardinality;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, cast, lit, when};

use super::json::call;
use crate::planner::prepass::{GapSpec, STEP, STEPS, Strategy, filled_as, next_of};

type Outcome<T> = Result<T, DataFusionError>;

/// `plan` with the columns of its table, filled, where it is the rows of a GAP_FILL.
pub(super) fn filled(plan: LogicalPlan) -> Outcome<LogicalPlan> {
    let mut fields = plan.schema().fields().iter();
    let Some(spec) = fields.find_map(|field| GapSpec::of_name(field.name())) else {
        return Ok(plan);
    };
    let schema = Arc::clone(plan.schema());
    let named = |name: &str| -> Outcome<Expr> {
        match schema.iter().find(|(_, field)| field.name() == name) {
            Some(field) => Ok(Expr::Column(Column::from(field))),
            None => plan_err!("column \"{name}\" does not exist in the table of GAP_FILL"),
        }
    };
    let step = named(STEP)?;
    let only_itself = |column: Expr| when(step.clone().eq(lit(0_i64)), column).end();
    let mut columns = Vec::new();
    for (qualifier, field) in schema.iter() {
        let name = field.name().as_str();
        if name.starts_with("__lotic_gap") {
            continue;
        }
        let column = Expr::Column(Column::from((qualifier, field)));
        columns.push(if name == spec.time {
            let length = lit(spec.length_us);
            call(lotic_udfs::GAP_TIME, vec![column, step.clone(), length])?.alias(name)
        } else if spec.keys.iter().any(|key| key == name) {
            column.alias(name)
        } else {
            only_itself(column)?.alias(name)
        });
    }
    for (strategy, name) in &spec.filled {
        let column = named(name)?;
        let value = match strategy {
            Strategy::Locf => column,
            Strategy::KeepNull => only_itself(column)?,
            Strategy::Interpolate => {
                let steps = cast(
                    cardinality(named(STEPS)?),
                    arrow::datatypes::DataType::Int64,
                );
                let next = named(&next_of(name))?;
                call(
                    lotic_udfs::GAP_VALUE,
                    vec![column, next, step.clone(), steps],
                )?
            }
        };
        columns.push(value.alias(filled_as(*strategy, name)));
    }
    let projection = Projection::try_new(columns, Arc::new(plan))?;
    Ok(LogicalPlan::Projection(projection))
}
