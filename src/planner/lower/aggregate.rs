//! GROUP BY and DISTINCT.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Field, FieldRef, Schema};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::AggregateFunction as Call;
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};

use super::expressions::{NoForm, unaliased};
use super::grouping::{Set, Sets, sets_of};
use super::lowering::{Formed, Lowering};
use super::scan::unit_rows;
use crate::base::Result;
use crate::engine::NodeId;
use crate::engine::accumulate::AggregateFunction;
use crate::engine::operators::{self, AggregateCall, AggregateConfig, CallForm};
use crate::planner::functions::{aggregate_function, all_udafs, ordered_set_function};

type Exprs = Vec<Arc<dyn PhysicalExpr>>;
type Partly<T> = std::result::Result<T, NoForm>;

impl Lowering<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, depth: usize) -> Result<Formed> {
        let input_schema = aggregate.input.schema();
        let line = self.explain.current();
        if let [Expr::GroupingSet(set)] = aggregate.group_expr.as_slice() {
            return self.grouping_sets(aggregate, &sets_of(set)?, depth);
        }
        let group = match self.physical_all(&aggregate.group_expr, input_schema)? {
            Ok(group) => group,
            Err(reason) => return Ok(Err(reason)),
        };
        let calls = match self.calls(aggregate, input_schema)? {
            Ok(calls) => calls,
            Err(reason) => return Ok(Err(reason)),
        };
        self.note_evaluated(line, aggregate, &calls);
        let schema = Arc::clone(aggregate.schema.inner());
        let plan = LogicalPlan::Aggregate(aggregate.clone());
        let held = self.held_by(aggregate, &plan)?;
        let holds = held.is_some();
        let closing = match held {
            None => self.closing(&plan, group.len())?,
            held => held,
        };
        if let Some(closing) = &closing {
            let key = schema.field(closing.key).name();
            let told = if holds { "given and let go" } else { "let go" };
            self.explain
                .note(line, &format!("groups are {told} once {key} is closed"));
        }
        let input = self.node(&aggregate.input, depth + 1)?;
        if !calls.is_empty() || closing.is_some() {
            let config = AggregateConfig {
                group,
                calls,
                schema,
            };
            let mut operator = operators::Aggregate::new(config)?.with_closing(closing);
            if holds {
                operator = operator.holding();
            }
            return Ok(Ok(self.add(operator, &[input])));
        }
        let keys = self.add(
            operators::Project::new(group, Arc::clone(&schema)),
            &[input],
        );
        Ok(Ok(self.add(operators::Distinct::new(schema), &[keys])))
    }

    /// Every input row once for each set, the columns outside the set NULL, then one aggregation over all. A set
    /// without a column has its one row even over no input, so it is aggregated without keys.
    fn grouping_sets(
        &mut self,
        aggregate: &Aggregate,
        sets: &Sets,
        depth: usize,
    ) -> Result<Formed> {
        let input_schema = aggregate.input.schema();
        let expanded = expanded_schema(aggregate, sets.exprs.len() + 1)?;
        let keys = match self.physical_all(&sets.exprs, input_schema)? {
            Ok(keys) => keys,
            Err(reason) => return Ok(Err(reason)),
        };
        let calls = match self.calls(aggregate, &expanded)? {
            Ok(calls) => calls,
            Err(reason) => return Ok(Err(reason)),
        };
        let totals = match self.calls(aggregate, input_schema)? {
            Ok(calls) => calls,
            Err(reason) => return Ok(Err(reason)),
        };
        self.note_evaluated(self.explain.current(), aggregate, &calls);
        let (total, keyed): (Vec<&Set>, Vec<&Set>) = sets
            .sets
            .iter()
            .partition(|set| set.nulls.iter().all(|null| *null));
        let nulls = null_keys(aggregate, sets)?;
        let input = self.node(&aggregate.input, depth + 1)?;
        let mut parts = Vec::new();
        if !keyed.is_empty() {
            let rows = expanded_rows(aggregate, &keyed, &keys, &nulls);
            parts.push(self.keyed_sets(aggregate, rows, &expanded, calls, input)?);
        }
        if !total.is_empty() {
            parts.extend(self.total_sets(aggregate, &total, &nulls, totals, input)?);
        }
        let schema = Arc::clone(aggregate.schema.inner());
        Ok(Ok(self.add(operators::Union::new(schema), &parts)))
    }

    fn keyed_sets(
        &mut self,
        aggregate: &Aggregate,
        rows: Vec<Exprs>,
        expanded: &DFSchema,
        calls: Vec<AggregateCall>,
        input: NodeId,
    ) -> Result<NodeId> {
        let schema = Arc::clone(aggregate.schema.inner());
        let wide = Arc::clone(expanded.inner());
        let group = columns(&wide, 0..schema.fields().len() - calls.len());
        let expand = self.add(operators::Expand::new(rows, wide), &[input]);
        if calls.is_empty() {
            let keys = self.add(
                operators::Project::new(group, Arc::clone(&schema)),
                &[expand],
            );
            return Ok(self.add(operators::Distinct::new(schema), &[keys]));
        }
        let config = AggregateConfig {
            group,
            calls,
            schema,
        };
        Ok(self.add(operators::Aggregate::new(config)?, &[expand]))
    }

    fn total_sets(
        &mut self,
        aggregate: &Aggregate,
        sets: &[&Set],
        nulls: &Exprs,
        calls: Vec<AggregateCall>,
        input: NodeId,
    ) -> Result<Vec<NodeId>> {
        let schema = aggregate.schema.inner();
        let width = calls.len();
        let fields: Vec<FieldRef> = schema
            .fields()
            .iter()
            .skip(nulls.len() + 1)
            .map(Arc::clone)
            .collect();
        let results = Arc::new(Schema::new(fields));
        let one_row = if calls.is_empty() {
            self.constant(unit_rows(1)?)
        } else {
            let config = AggregateConfig {
                group: Vec::new(),
                calls,
                schema: Arc::clone(&results),
            };
            self.add(operators::Aggregate::new(config)?, &[input])
        };
        let mut nodes = Vec::with_capacity(sets.len());
        for set in sets {
            let mut exprs = nulls.clone();
            exprs.push(Arc::new(Literal::new(set.id.clone())));
            exprs.extend(columns(&results, 0..width));
            nodes.push(self.add(
                operators::Project::new(exprs, Arc::clone(schema)),
                &[one_row],
            ));
        }
        Ok(nodes)
    }

    fn calls(&self, aggregate: &Aggregate, input: &DFSchema) -> Result<Partly<Vec<AggregateCall>>> {
        let fields = aggregate.schema.fields();
        let first = fields.len() - aggregate.aggr_expr.len();
        let mut calls = Vec::with_capacity(aggregate.aggr_expr.len());
        for (expr, field) in aggregate.aggr_expr.iter().zip(fields.iter().skip(first)) {
            match self.call(expr, Arc::clone(field), input)? {
                Ok(call) => calls.push(call),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        Ok(Ok(calls))
    }

    fn call(
        &self,
        expr: &Expr,
        field: FieldRef,
        input: &DFSchema,
    ) -> Result<Partly<AggregateCall>> {
        let Expr::AggregateFunction(call) = unaliased(expr) else {
            return Ok(Err(NoForm::because("an aggregate is not a function call")));
        };
        let filter = call.params.filter.as_deref();
        let filter = filter
            .map(|filter| self.physical(filter, input))
            .transpose()?
            .transpose();
        let filter = match filter {
            Ok(filter) => filter,
            Err(reason) => return Ok(Err(reason)),
        };
        let args = match self.physical_all(&call.params.args, input)? {
            Ok(args) => args,
            Err(reason) => return Ok(Err(reason)),
        };
        if let Some((function, args, distinct)) = exact_call(call, args, input, &field)? {
            return Ok(Ok(AggregateCall {
                form: CallForm::Exact(function),
                args,
                filter,
                distinct,
                field,
            }));
        }
        let order = call.params.order_by.iter().map(|key| &key.expr);
        if let Err(reason) = self.physical_all(order, input)? {
            return Ok(Err(reason));
        }
        let evaluated = self.evaluated_call(expr, &field, input)?;
        Ok(evaluated.map(|(evaluated, args)| AggregateCall {
            form: CallForm::Evaluated(evaluated),
            args,
            filter,
            distinct: false,
            field,
        }))
    }

    /// Says in EXPLAIN which calls are run anew over the groups that are touched; the others are exact.
    fn note_evaluated(&mut self, line: usize, aggregate: &Aggregate, calls: &[AggregateCall]) {
        let (mut evaluated, mut exact) = (Vec::new(), Vec::new());
        for (expr, call) in aggregate.aggr_expr.iter().zip(calls) {
            let name = match unaliased(expr) {
                Expr::AggregateFunction(call) => call.func.name(),
                _ => call.field.name(),
            };
            let names = match call.form {
                CallForm::Exact(_) => &mut exact,
                CallForm::Evaluated(_) => &mut evaluated,
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if evaluated.is_empty() {
            return;
        }
        let mut note = format!("touched groups run {} anew", evaluated.join(", "));
        if !exact.is_empty() {
            note.push_str(&format!("; {} by exact states", exact.join(", ")));
        }
        self.explain.note(line, &note);
    }
}

/// The engine's function behind a call, if it computes this very function for these types; its arguments; and whether
/// each value counts once.
fn exact_call(
    call: &Call,
    mut args: Exprs,
    input: &DFSchema,
    field: &Field,
) -> Result<Option<(AggregateFunction, Exprs, bool)>> {
    let params = &call.params;
    let descending = params.order_by.first().is_some_and(|key| !key.asc);
    let own = ordered_set_function(&call.func, &args, descending, params.distinct)?;
    let (function, distinct) = match own {
        Some(own) => {
            // what is left is the percentile
            args.truncate(1);
            own
        }
        None if is_known(&call.func) => match aggregate_function(call.func.name()) {
            Some(function) => (function, params.distinct),
            None => return Ok(None),
        },
        None => return Ok(None),
    };
    let constant = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if !value.is_null());
    if function == AggregateFunction::Count && !distinct && params.args.iter().all(constant) {
        return Ok(Some((AggregateFunction::CountRows, Vec::new(), false)));
    }
    let types = args
        .iter()
        .map(|arg| Ok(arg.data_type(input.inner())?))
        .collect::<Result<Vec<_>>>()?;
    let states = function.states(&types, field.data_type(), distinct);
    Ok(states.is_ok().then_some((function, args, distinct)))
}

/// Whether `udaf` is one that the engine's states compute too: another function of the same name does something
/// else.
pub(super) fn is_known(udaf: &AggregateUDF) -> bool {
    KNOWN.iter().any(|known| known.as_ref() == udaf)
}

/// The function that queries mean by the name of `theirs`, one of DataFusion's.
pub(super) fn own(theirs: &Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    let own = KNOWN.iter().find(|own| own.name() == theirs.name());
    Arc::clone(own.unwrap_or(theirs))
}

/// Lotic's own aggregates, and those of DataFusion whose answer is exact in any order as it is.
static KNOWN: LazyLock<Vec<Arc<AggregateUDF>>> = LazyLock::new(|| {
    let mut known = all_udafs();
    known.push(count_udaf());
    known
});

/// The grouping columns, the grouping number, then the input's own columns.
fn expanded_schema(aggregate: &Aggregate, width: usize) -> Result<DFSchema> {
    let keys = aggregate
        .schema
        .fields()
        .iter()
        .take(width)
        .enumerate()
        .map(|(index, field)| {
            // Generated names: the input's own columns of the same name stand beside them.
            (
                None,
                Arc::new(
                    field
                        .as_ref()
                        .clone()
                        .with_name(format!("__lotic_key_{index}")),
                ),
            )
        });
    let rest = aggregate
        .input
        .schema()
        .iter()
        .map(|(q, field)| (q.cloned(), Arc::clone(field)));
    Ok(DFSchema::new_with_metadata(
        keys.chain(rest).collect(),
        std::collections::HashMap::new(),
    )?)
}

fn expanded_rows(aggregate: &Aggregate, sets: &[&Set], keys: &Exprs, nulls: &Exprs) -> Vec<Exprs> {
    let input = aggregate.input.schema().inner();
    let row = |set: &&Set| {
        let choose = |((key, null), is_null): ((&_, &_), &bool)| {
            Arc::clone(if *is_null { null } else { key })
        };
        let mut row: Exprs = keys.iter().zip(nulls).zip(&set.nulls).map(choose).collect();
        row.push(Arc::new(Literal::new(set.id.clone())));
        row.extend(columns(input, 0..input.fields().len()));
        row
    };
    sets.iter().map(row).collect()
}

/// A NULL of each grouping expression's type.
fn null_keys(aggregate: &Aggregate, sets: &Sets) -> Result<Exprs> {
    sets.exprs
        .iter()
        .map(|expr| {
            let kind = expr.get_type(aggregate.input.schema())?;
            Ok(Arc::new(Literal::new(ScalarValue::try_from(&kind)?)) as Arc<dyn PhysicalExpr>)
        })
        .collect()
}

fn columns(schema: &Schema, range: std::ops::Range<usize>) -> Exprs {
    let column = |index: usize| {
        let name = schema
            .fields()
            .get(index)
            .map_or("", |field: &Arc<Field>| field.name().as_str());
        Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>
    };
    range.map(column).collect()
}
