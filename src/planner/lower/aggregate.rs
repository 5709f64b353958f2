//! GROUP BY and DISTINCT.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::common::ScalarValue;

use super::expressions::NoForm;
use super::grouping::{Sets, sets_of};
use super::lowering::{Formed, Lowering};
use crate::base::Result;
use crate::engine::operators;

type Exprs = Vec<Arc<dyn PhysicalExpr>>;

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
        if !aggregate.aggr_expr.is_empty() {
            return Ok(Err(NoForm::because("aggregates wait for their operator")));
        }
        let schema = Arc::clone(aggregate.schema.inner());
        let input = self.node(&aggregate.input, depth + 1)?;
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
        if !aggregate.aggr_expr.is_empty() {
            return Ok(Err(NoForm::because("aggregates wait for their operator")));
        }
        let rows = expanded_rows(aggregate, sets, &keys)?;
        let input = self.node(&aggregate.input, depth + 1)?;
        let schema = Arc::clone(aggregate.schema.inner());
        let wide = Arc::clone(expanded.inner());
        let expand = self.add(operators::Expand::new(rows, Arc::clone(&wide)), &[input]);
        let group = columns(&wide, 0..width);
        let keys = self.add(operators::Project::new(group, Arc::clone(&schema)), &[expand]);
        Ok(Ok(self.add(operators::Distinct::new(schema), &[keys])))
    }
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
