//! EMIT ON WINDOW CLOSE: a filter that lets a row through once nothing can change it any more.
//!
//! It stands as high in the plan as there is a column with a bound. A model's filter is an operator that follows the
//! watermarks; the batch run that a model must be equal to compares with the watermarks of one moment. A batch run over
//! everything that there will ever be has no such filter: all windows are closed then.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::Int64Array;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Column, DFSchema, DataFusionError, ScalarValue, TableReference};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::{
    Aggregate, ColumnarValue, Expr, Filter, Join, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, binary_expr, lit,
};

use super::bounds::{Bound, Bounds, Resolve, TIME, all_of, bounds_of, has_other_reasons, of_join};
use super::expressions;
use super::keyed::{column_of, without_order};
use super::lowering::{Lowering, Resolved};
use crate::base::{Error, Result};
use crate::engine::operators::OnClose;
use crate::engine::{Closing, Frontier, FrontierTerm, NodeId, Watermarks};

/// The name of the mark, as EXPLAIN shows it.
const CLOSED: &str = "window_closed";

static MARK: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(Mark {
        signature: Signature::any(1, Volatility::Immutable),
    }))
});

/// Stands in a plan for "no row with this value or an earlier one changes any more"; an operator or a comparison takes its place.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Mark {
    signature: Signature,
}

impl ScalarUDFImpl for Mark {
    fn name(&self) -> &str {
        CLOSED
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        Err(DataFusionError::Internal(format!(
            "{CLOSED} has no value by itself"
        )))
    }
}

/// A rewritten plan with the mark in it.
pub(super) fn marked(plan: &LogicalPlan, resolve: Resolve<'_>) -> Result<LogicalPlan> {
    placed(plan, resolve, &|column, _, _| Ok(MARK.call(vec![column])))
}

/// A model's optimised plan as it is while its windows are closed by `watermarks`, for [`super::run_batch`].
///
/// # Errors
/// 0A000 when nothing of the plan is bounded by a watermark.
pub fn closed_at(
    plan: &LogicalPlan,
    resolve: &dyn Fn(&TableReference) -> Option<Resolved>,
    watermarks: &Watermarks,
    props: &ExecutionProps,
) -> Result<LogicalPlan> {
    let plan = super::batch::plan_batch(plan)?;
    placed(&plan, resolve, &|column, bound, data_type| {
        let mut frontier = frontier(bound, props)?;
        let Some(value) = frontier.value(watermarks) else {
            return Ok(lit(false));
        };
        let value = cast(&Int64Array::from(vec![value]), data_type)?;
        let value = ScalarValue::try_from_array(&value, 0)?;
        Ok(binary_expr(
            column,
            Operator::Lt,
            Expr::Literal(value, None),
        ))
    })
}

type Condition<'a> = &'a dyn Fn(Expr, &Bound, &DataType) -> Result<Expr>;

fn placed(
    plan: &LogicalPlan,
    resolve: Resolve<'_>,
    condition: Condition<'_>,
) -> Result<LogicalPlan> {
    let bounds = bounds_of(plan, resolve)?;
    if let Some((place, bound)) = first(&bounds) {
        let (qualifier, field) = plan.schema().qualified_field(place);
        let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        let predicate = condition(column, bound, field.data_type())?;
        let filter = Filter::try_new(predicate, Arc::new(plan.clone()))?;
        return Ok(LogicalPlan::Filter(filter));
    }
    match plan {
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_)
            if !has_other_reasons(plan) =>
        {
            let input = plan.inputs().first().copied().ok_or_else(nothing_closes)?;
            let input = placed(input, resolve, condition)?;
            Ok(plan.with_new_exprs(plan.expressions(), vec![input])?)
        }
        _ => Err(nothing_closes()),
    }
}

fn first(bounds: &Bounds) -> Option<(usize, &Bound)> {
    let mut bounds = bounds.iter().enumerate();
    bounds.find_map(|(place, bound)| Some((place, bound.as_ref()?)))
}

fn nothing_closes() -> Error {
    Error::unsupported("EMIT ON WINDOW CLOSE needs a result that a watermark closes").with_hint(
        "group by window_start or window_end of a window over the column of a source's WATERMARK",
    )
}

/// The column of the mark that `predicate` is.
pub(super) fn mark_of(predicate: &Expr) -> Option<&Expr> {
    match predicate {
        Expr::ScalarFunction(call) if call.func.name() == CLOSED => call.args.first(),
        _ => None,
    }
}

/// `bound` as operators follow it.
fn frontier(bound: &Bound, props: &ExecutionProps) -> Result<Frontier> {
    let mut terms = Vec::with_capacity(bound.terms.len());
    for term in &bound.terms {
        let fields = vec![Field::new(TIME, term.time.clone(), true)];
        let input = Arc::new(Schema::new(fields));
        let schema = DFSchema::from_unqualified_fields(input.fields().clone(), HashMap::new())?;
        let value = expressions::physical(&term.value, &schema, props)?;
        terms.push(FrontierTerm {
            source: term.source,
            input,
            value: value.map_err(|reason| Error::internal(reason.0))?,
        });
    }
    Ok(Frontier::new(terms))
}

/// An aggregate that may hold its rows back itself, so that nothing has to stand above it. It has no other reader: nothing but
/// renaming and filters stands between it and the plan's result.
pub(super) struct Hold {
    /// Where the aggregate's node lies in the plan that is being lowered: it is this one, not one that is equal.
    address: usize,
    /// The key by which its groups are closed.
    key: usize,
    /// Whether it does.
    taken: bool,
}

impl Hold {
    pub(super) fn is(&self, aggregate: &Aggregate) -> bool {
        self.address == std::ptr::from_ref(aggregate).addr()
    }
}

/// The aggregate that the column `column` of `plan` is a key of, if nothing but renaming and filters stands between.
fn aggregate_below(plan: &LogicalPlan, column: usize) -> Option<Hold> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => aggregate_below(&alias.input, column),
        LogicalPlan::Filter(filter) => aggregate_below(&filter.input, column),
        LogicalPlan::Projection(projection) => {
            let input = column_of(projection.expr.get(column)?, projection.input.schema())?;
            aggregate_below(&projection.input, input)
        }
        LogicalPlan::Aggregate(aggregate) if column < aggregate.group_expr.len() => Some(Hold {
            address: std::ptr::from_ref(aggregate).addr(),
            key: column,
            taken: false,
        }),
        _ => None,
    }
}

impl Lowering<'_> {
    /// By which key `aggregate`, the node of `plan`, holds its rows back, if it is asked to and can.
    pub(super) fn held_by(
        &mut self,
        aggregate: &Aggregate,
        plan: &LogicalPlan,
    ) -> Result<Option<Closing>> {
        let Some(key) = self
            .hold
            .as_ref()
            .filter(|hold| hold.is(aggregate))
            .map(|hold| hold.key)
        else {
            return Ok(None);
        };
        let bounds = bounds_of(plan, self.resolve)?;
        let Some(bound) = bounds.get(key).and_then(Option::as_ref) else {
            return Ok(None);
        };
        let frontier = frontier(bound, &self.props)?;
        if let Some(hold) = &mut self.hold {
            hold.taken = true;
        }
        Ok(Some(Closing { key, frontier }))
    }

    /// The operator of the mark; `None` when `plan` is none.
    pub(super) fn on_close(&mut self, plan: &LogicalPlan, depth: usize) -> Result<Option<NodeId>> {
        let LogicalPlan::Filter(filter) = plan else {
            return Ok(None);
        };
        let Some(column) = mark_of(&filter.predicate) else {
            return Ok(None);
        };
        let schema = filter.input.schema();
        let column = column_of(column, schema)
            .ok_or_else(|| Error::internal("the mark of a window is no column"))?;
        if let Some(reason) = without_order(schema.fields()) {
            return Err(Error::unsupported(format!(
                "EMIT ON WINDOW CLOSE over rows with such a column: {}",
                reason.0
            )));
        }
        let bounds = bounds_of(&filter.input, self.resolve)?;
        let bound = bounds.get(column).cloned().flatten();
        let bound = bound.ok_or_else(|| Error::internal("the mark of a window has no bound"))?;
        let line = self.explain.current();
        self.explain.note(line, "rows come once they are closed");
        self.hold = aggregate_below(&filter.input, column);
        let input = self.node(&filter.input, depth + 1)?;
        if self.hold.take().is_some_and(|hold| hold.taken) {
            return Ok(Some(input));
        }
        let frontier = frontier(&bound, &self.props)?;
        let gate = OnClose::new(Arc::clone(schema.inner()), column, frontier)?;
        Ok(Some(self.add(gate, &[input])))
    }

    /// By which of the first `keys` columns of `plan` its groups are closed, if by one.
    pub(super) fn closing(&self, plan: &LogicalPlan, keys: usize) -> Result<Option<Closing>> {
        // what a recursive term reads is not what a source gave
        if !self.outside.is_empty() {
            return Ok(None);
        }
        let mut bounds = bounds_of(plan, self.resolve)?;
        bounds.truncate(keys);
        self.closing_by(&bounds)
    }

    /// By which of `exprs` over the rows of `input` groups are closed, if by one.
    pub(super) fn closing_of(
        &self,
        exprs: &[Expr],
        input: &LogicalPlan,
    ) -> Result<Option<Closing>> {
        if !self.outside.is_empty() {
            return Ok(None);
        }
        let bounds = bounds_of(input, self.resolve)?;
        self.closing_by(&all_of(exprs, &bounds, input.schema())?)
    }

    /// By which columns the sides of a join are closed. Of the pairs only those count for which `above` is true.
    pub(super) fn closing_sides(
        &self,
        join: &Join,
        above: Option<&Expr>,
    ) -> Result<[Option<Closing>; 2]> {
        if !self.outside.is_empty() {
            return Ok([None, None]);
        }
        let [left, right] = of_join(join, above, self.resolve)?;
        Ok([self.closing_by(&left)?, self.closing_by(&right)?])
    }

    /// The first of `bounds` that there is.
    pub(super) fn closing_by(&self, bounds: &Bounds) -> Result<Option<Closing>> {
        let Some((key, bound)) = first(bounds) else {
            return Ok(None);
        };
        let frontier = frontier(bound, &self.props)?;
        Ok(Some(Closing { key, frontier }))
    }
}
