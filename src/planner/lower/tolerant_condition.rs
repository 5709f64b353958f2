//! A join condition that is not met where it fails.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::tolerant::{Outcome, RowErrors};
use super::tolerant_exec::truth;
use crate::base::Error;

/// A join condition that is not met where it fails.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    inner: Arc<dyn PhysicalExpr>,
    errors: RowErrors,
}

impl Condition {
    /// `inner` is boolean.
    pub(super) fn new(inner: Arc<dyn PhysicalExpr>, errors: RowErrors) -> Self {
        Self { inner, errors }
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.inner.as_ref() == other.inner.as_ref()
    }
}

impl Eq for Condition {}

impl Hash for Condition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tolerant({})", self.inner)
    }
}

impl PhysicalExpr for Condition {
    fn data_type(&self, _schema: &Schema) -> Outcome<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Outcome<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Outcome<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Outcome<ColumnarValue> {
        let truth = truth(&self.inner, batch, |error, row| {
            self.errors.add(error, row, "join condition");
        })?;
        Ok(ColumnarValue::Array(Arc::new(truth)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Outcome<Arc<dyn PhysicalExpr>> {
        let inner = children
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("a join condition lost its expression"))?;
        Ok(Arc::new(Self {
            inner,
            errors: self.errors.clone(),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
