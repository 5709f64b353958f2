//! NOT IN over values that may be NULL.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Join, col, lit};
use datafusion::physical_expr::PhysicalExpr;

use super::expressions::{NoForm, columns_as};
use super::lowering::{Formed, Lowering};
use crate::base::Result;
use crate::engine::NodeId;
use crate::engine::accumulate::AggregateFunction;
use crate::engine::operators::{
    self, AggregateCall, AggregateConfig, CallForm, JoinConfig, JoinKind,
};

/// How many rows the right side has, and how many of them have a value.
const ROWS: &str = "__lotic_rows";
const VALUES: &str = "__lotic_values";

impl Lowering<'_> {
    /// `left NOT IN right` with SQL's three values: the left rows without an equal value, kept if the right side
    /// has no row at all, or if it has no NULL and the left value is not NULL either.
    ///
    /// So: an anti join, beside the one row that counts the right side, and a filter over both.
    pub(super) fn not_in(&mut self, join: &Join, depth: usize) -> Result<Formed> {
        let ([(left_key, right_key)], None) = (join.on.as_slice(), &join.filter) else {
            // DataFusion runs no such plan either, so there is nothing to be equal to.
            return Ok(Err(NoForm::because(
                "NOT IN with a further condition has no form",
            )));
        };
        let (left_schema, right_schema) = (join.left.schema(), join.right.schema());
        let keys = [
            self.physical(left_key, left_schema)?,
            self.physical(right_key, right_schema)?,
        ];
        let (left_value, right_value) = match keys {
            [Ok(left), Ok(right)] => (left, right),
            [Err(reason), _] | [_, Err(reason)] => return Ok(Err(reason)),
        };
        let wide = with_counts(left_schema)?;
        let keep = col(ROWS).eq(lit(0_i64)).or(col(ROWS)
            .eq(col(VALUES))
            .and(left_key.clone().is_not_null()));
        let keep = match self.physical(&keep, &wide)? {
            Ok(keep) => keep,
            Err(reason) => return Ok(Err(reason)),
        };
        let left = self.node(&join.left, depth + 1)?;
        let right = self.node(&join.right, depth + 1)?;
        let counts = self.right_counts(&right_value, right)?;
        let narrow = Arc::clone(left_schema.inner());
        let unmatched = JoinConfig {
            kind: JoinKind::LeftAnti,
            left: Arc::clone(&narrow),
            right: Arc::clone(right_schema.inner()),
            on: vec![(left_value, right_value)],
            null_equals_null: false,
            residual: None,
            schema: Arc::clone(&narrow),
        };
        let unmatched = self.add(operators::Join::new(unmatched), &[left, right]);
        let beside = JoinConfig {
            kind: JoinKind::Inner,
            left: Arc::clone(&narrow),
            right: count_schema(),
            on: Vec::new(),
            null_equals_null: false,
            residual: None,
            schema: Arc::clone(wide.inner()),
        };
        let beside = self.add(operators::Join::new(beside), &[unmatched, counts]);
        let kept = self.add(operators::Filter::new(keep), &[beside]);
        let exprs = columns_as(&narrow, &narrow);
        let schema = Arc::clone(join.schema.inner());
        Ok(Ok(self.add(operators::Project::new(exprs, schema), &[kept])))
    }

    fn right_counts(&mut self, value: &Arc<dyn PhysicalExpr>, right: NodeId) -> Result<NodeId> {
        let schema = count_schema();
        let call = |function, args: Vec<Arc<dyn PhysicalExpr>>, field: &FieldRef| AggregateCall {
            form: CallForm::Exact(function),
            args,
            filter: None,
            distinct: false,
            field: Arc::clone(field),
        };
        let calls = match schema.fields().as_ref() {
            [rows, values] => vec![
                call(AggregateFunction::CountRows, Vec::new(), rows),
                call(AggregateFunction::Count, vec![Arc::clone(value)], values),
            ],
            _ => Vec::new(),
        };
        let config = AggregateConfig {
            group: Vec::new(),
            calls,
            schema: Arc::clone(&schema),
        };
        Ok(self.add(operators::Aggregate::new(config)?, &[right]))
    }
}

fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(ROWS, DataType::Int64, false),
        Field::new(VALUES, DataType::Int64, false),
    ]))
}

fn with_counts(left: &DFSchema) -> Result<DFSchema> {
    let counts = DFSchema::try_from(count_schema())?;
    Ok(left.join(&counts)?)
}
