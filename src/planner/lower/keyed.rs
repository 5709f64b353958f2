//! Groups and an order as columns: what the operators that keep rows in order are given.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::Sort as SortKey;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use super::expressions::{NoForm, columns_as, may_fail, unaliased};
use super::lowering::Lowering;
use crate::base::Result;
use crate::engine::NodeId;
use crate::engine::operators::{self, OrderKey};
use crate::zset::order::has_order;

type Exprs = Vec<Arc<dyn PhysicalExpr>>;
type Partly<T> = std::result::Result<T, NoForm>;

/// Groups and an order over the columns of an input, which has more columns where a key is no column of its own.
pub(super) struct Keyed {
    pub(super) group: Vec<usize>,
    pub(super) order: Vec<OrderKey>,
    /// The input's columns and the keys behind them.
    pub(super) wide: SchemaRef,
    /// What computes them; `None` when no key was added.
    widen: Option<Exprs>,
}

impl Lowering<'_> {
    /// Groups and order as columns, or why they cannot be.
    pub(super) fn keyed(
        &self,
        group: &[Expr],
        order: &[SortKey],
        schema: &DFSchema,
    ) -> Result<Partly<Keyed>> {
        let mut fields: Vec<FieldRef> = schema.fields().iter().map(Arc::clone).collect();
        let mut widen = columns_as(schema.inner(), schema.inner());
        let mut columns = Vec::with_capacity(group.len() + order.len());
        for expr in group.iter().chain(order.iter().map(|key| &key.expr)) {
            if let Some(column) = column_of(expr, schema) {
                columns.push(column);
                continue;
            }
            if may_fail(expr, schema) {
                return Ok(Err(NoForm::because("a key of the order can fail on a row")));
            }
            match self.physical(expr, schema)? {
                Ok(expr) => widen.push(expr),
                Err(reason) => return Ok(Err(reason)),
            }
            columns.push(fields.len());
            let name = format!("__lotic_key_{}", fields.len());
            fields.push(Arc::new(Field::new(name, expr.get_type(schema)?, true)));
        }
        if fields.is_empty() {
            // A row has to be something.
            let field = Field::new("__lotic_row", DataType::Boolean, true);
            fields.push(Arc::new(field));
            widen.push(Arc::new(Literal::new(ScalarValue::Boolean(None))));
        }
        if let Some(reason) = without_order(&fields) {
            return Ok(Err(reason));
        }
        let order_columns = columns.split_off(group.len());
        let order = order_columns
            .into_iter()
            .zip(order)
            .map(|(column, key)| OrderKey {
                column,
                options: SortOptions::new(!key.asc, key.nulls_first),
            })
            .collect();
        let added = fields.len() > schema.fields().len();
        Ok(Ok(Keyed {
            group: columns,
            order,
            wide: if added {
                Arc::new(Schema::new(fields))
            } else {
                Arc::clone(schema.inner())
            },
            widen: added.then_some(widen),
        }))
    }

    pub(super) fn widened(&mut self, input: NodeId, keyed: &Keyed) -> NodeId {
        match &keyed.widen {
            None => input,
            Some(exprs) => {
                let wide = Arc::clone(&keyed.wide);
                self.add(operators::Project::new(exprs.clone(), wide), &[input])
            }
        }
    }
}

/// The column that `expr` is, perhaps under another name.
pub(super) fn column_of(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match unaliased(expr) {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    }
}

/// Why rows of `fields` cannot be kept in order, where they cannot.
pub(super) fn without_order<'f>(fields: impl IntoIterator<Item = &'f FieldRef>) -> Option<NoForm> {
    let field = fields
        .into_iter()
        .find(|field| !keeps_order(field.data_type()))?;
    let kind = field.data_type();
    Some(NoForm::because(format!(
        "values of the type {kind} have no order"
    )))
}

/// Whether the engine's order of such values is DataFusion's, and gives them back as they were.
fn keeps_order(data_type: &DataType) -> bool {
    let is_encoded = matches!(
        data_type,
        DataType::Dictionary(..) | DataType::RunEndEncoded(..)
    );
    !is_encoded && has_order(data_type)
}
