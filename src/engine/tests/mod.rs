//! The operators against their laws, the graph against its promises.

mod asof;
mod dataflow;
mod joins;
mod linear;
mod lookup;
mod recursion;
mod session;
mod shards;
mod stateful;
mod top_k;
mod unnest;
mod windows;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator as Binary;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, lit};

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, data_type)| Field::new(*name, data_type.clone(), true))
        .collect();
    Arc::new(Schema::new(fields))
}

fn column(index: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(&format!("c{index}"), index))
}

fn binary(
    left: Arc<dyn PhysicalExpr>,
    operator: Binary,
    right: Arc<dyn PhysicalExpr>,
) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(left, operator, right))
}

fn literal(value: i64) -> Arc<dyn PhysicalExpr> {
    lit(ScalarValue::Int64(Some(value)))
}
