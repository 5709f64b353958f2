//! GROUP BY and DISTINCT.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction as Call, Alias};
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, ExprSchemable};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};

use super::expressions::NoForm;
use super::grouping::{Sets, sets_of};
use super::lowering::{Formed, Lowering};
use crate::base::Result;
use crate::engine::accumulate::AggregateFunction;
use crate::engine::operators::{self, AggregateCall, AggregateConfig};

type Exprs = Vec<Arc<dyn PhysicalExpr>>;
type Partly<T> = std::result::Result<T, NoForm>;

impl Lowering<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, depth: usize) -> Result<Formed> {
        let input_schema = aggregate.input.schema();
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
        let schema = Arc::clone(aggregate.schema.inner());
        let input = self.node(&aggregate.input, depth + 1)?;
        if !calls.is_empty() {
            let config = AggregateConfig { group, calls, schema };
            return Ok(Ok(self.add(operators::Aggregate::new(config)?, &[input])));
        }
        let keys = self.add(operators::Project::new(group, Arc::clone(&schema)), &[input]);
        Ok(Ok(self.add(operators::Distinct::new(schema), &[keys])))
    }

    /// Every input row once for each set, the columns outside the set NULL, then one aggregation over all.
    fn grouping_sets(&mut self, aggregate: &Aggregate, sets: &Sets, depth: usize) -> Result<Formed> {
        let input_schema = aggregate.input.schema();
        let width = sets.exprs.len() + 1;
        let expanded = expanded_schema(aggregate, width)?;
        let keys = match self.physical_all(&sets.exprs, input_schema)? {
            Ok(keys) => keys,
            Err(reason) => return Ok(Err(reason)),
        };
        let calls = match self.calls(aggregate, &expanded)? {
            Ok(calls) => calls,
            Err(reason) => return Ok(Err(reason)),
        };
        let rows = expanded_rows(aggregate, sets, &keys)?;
        let input = self.node(&aggregate.input, depth + 1)?;
        let schema = Arc::clone(aggregate.schema.inner());
        let wide = Arc::clone(expanded.inner());
        let expand = self.add(operators::Expand::new(rows, Arc::clone(&wide)), &[input]);
        let group = columns(&wide, 0..width);
        if calls.is_empty() {
            let keys = self.add(operators::Project::new(group, Arc::clone(&schema)), &[expand]);
            return Ok(Ok(self.add(operators::Distinct::new(schema), &[keys])));
        }
        let config = AggregateConfig { group, calls, schema };
        Ok(Ok(self.add(operators::Aggregate::new(config)?, &[expand])))
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

    fn call(&self, expr: &Expr, field: FieldRef, input: &DFSchema) -> Result<Partly<AggregateCall>> {
        let call = match unaliased(expr) {
            Expr::AggregateFunction(call) => call,
            _ => return Ok(Err(NoForm::because("an aggregate is not a function call"))),
        };
        let Some(function) = function_of(call, input, field.data_type())? else {
            let name = call.func.name();
            return Ok(Err(NoForm::because(format!("aggregate {name} has no incremental form yet"))));
        };
        let args = match function {
            AggregateFunction::CountRows => Ok(Vec::new()),
            _ => self.physical_all(&call.params.args, input)?,
        };
        let filter = call.params.filter.as_deref();
        let filter = filter.map(|filter| self.physical(filter, input)).transpose()?.transpose();
        Ok(args.and_then(|args| {
            Ok(AggregateCall { function, args, filter: filter?, distinct: call.params.distinct, field })
        }))
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(Alias { expr, .. }) => unaliased(expr),
        expr => expr,
    }
}

/// The engine's function behind a call, if it computes this very function for these types.
fn function_of(
    call: &Call,
    input: &DFSchema,
    output: &DataType,
) -> Result<Option<AggregateFunction>> {
    if !is_known(&call.func) {
        return Ok(None);
    }
    let constant = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if !value.is_null());
    let function = match call.func.name() {
        "count" if !call.params.distinct && call.params.args.iter().all(constant) => {
            return Ok(Some(AggregateFunction::CountRows));
        }
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "avg" | "mean" => AggregateFunction::Avg,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        "bool_and" => AggregateFunction::BoolAnd,
        "bool_or" => AggregateFunction::BoolOr,
        _ => return Ok(None),
    };
    let args = &call.params.args;
    let types = args.iter().map(|arg| Ok(arg.get_type(input)?)).collect::<Result<Vec<_>>>()?;
    Ok(function.states(&types, output, call.params.distinct).is_ok().then_some(function))
}

/// Whether `udaf` is one that the engine's states compute too: another function of the same name does
/// something else.
fn is_known(udaf: &AggregateUDF) -> bool {
    datafusion::functions_aggregate::all_default_aggregate_functions().iter().any(|known| known.as_ref() == udaf)
}

/// The grouping columns, the grouping number, then the input's own columns.
fn expanded_schema(aggregate: &Aggregate, width: usize) -> Result<DFSchema> {
    let keys = aggregate.schema.fields().iter().take(width).enumerate().map(|(index, field)| {
        // Generated names: the input's own columns of the same name stand beside them.
        (None, Arc::new(field.as_ref().clone().with_name(format!("__lotic_key_{index}"))))
    });
    let rest = aggregate.input.schema().iter().map(|(q, field)| (q.cloned(), Arc::clone(field)));
    Ok(DFSchema::new_with_metadata(keys.chain(rest).collect(), std::collections::HashMap::new())?)
}

fn expanded_rows(aggregate: &Aggregate, sets: &Sets, keys: &Exprs) -> Result<Vec<Exprs>> {
    let input = aggregate.input.schema().inner();
    sets.sets
        .iter()
        .map(|set| {
            let mut row: Exprs = Vec::with_capacity(keys.len() + 1 + input.fields().len());
            for ((key, null), expr) in keys.iter().zip(&set.nulls).zip(&sets.exprs) {
                row.push(if *null {
                    let kind = expr.get_type(aggregate.input.schema())?;
                    Arc::new(Literal::new(ScalarValue::try_from(&kind)?))
                } else {
                    Arc::clone(key)
                });
            }
            row.push(Arc::new(Literal::new(set.id.clone())));
            row.extend(columns(input, 0..input.fields().len()));
            Ok(row)
        })
        .collect()
}

fn columns(schema: &Schema, range: std::ops::Range<usize>) -> Exprs {
    let column = |index: usize| {
        let name = schema.fields().get(index).map_or("", |field: &Arc<Field>| field.name().as_str());
        Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>
    };
    range.map(column).collect()
}
