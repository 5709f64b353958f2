//! Joins that look up a table as it is when a row arrives.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::JoinType;
use datafusion::logical_expr::{Expr, Join, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;

use super::lowering::{Formed, Lowering};
use crate::base::{Error, Result};
use crate::engine::NodeId;
use crate::engine::operators::{self, LookupConfig};
use crate::planner::lookup::{PresentNode, present_below};

/// What EXPLAIN says of it.
const NOTE: &str = "each left row is joined once, with the right rows there are when it comes: \
                    not the query over the tables as they are later";

impl Lowering<'_> {
    /// The operator of a lookup; `None` when `plan` is none.
    pub(super) fn lookup(&mut self, plan: &LogicalPlan, depth: usize) -> Result<Option<Formed>> {
        if let LogicalPlan::Extension(extension) = plan
            && let Some(node) = extension.node.as_any().downcast_ref::<PresentNode>()
        {
            return Ok(Some(Ok(self.node(&node.input, depth + 1)?)));
        }
        let LogicalPlan::Join(join) = plan else {
            return Ok(None);
        };
        if !present_below(&join.right) {
            return Ok(None);
        }
        let outer = match join.join_type {
            JoinType::Inner => false,
            JoinType::Left => true,
            _ => return Err(refused("this kind of join")),
        };
        if join.on.is_empty() {
            return Err(refused("a condition without an equality of both sides"));
        }
        if outer && join.filter.is_some() {
            return Err(refused(
                "a LEFT JOIN with more than equalities in its condition",
            ));
        }
        let line = self.explain.current();
        self.explain.note(line, NOTE);
        let (left_on, right_on): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
        // Recomputing such a join would give other rows: what has no direct form is refused.
        let Ok(left) = self.keyed(&left_on, &[], join.left.schema())? else {
            return Err(refused("a key that can fail, or a type without an order"));
        };
        let Ok(right) = self.keyed(&right_on, &[], join.right.schema())? else {
            return Err(refused("a key that can fail, or a type without an order"));
        };
        let residual = match &join.filter {
            None => None,
            Some(filter) => match self.physical(filter, &join.schema)? {
                Ok(filter) => Some(filter),
                Err(_) => return Err(refused("a subquery in the condition")),
            },
        };
        let inputs = [
            self.node(&join.left, depth + 1)?,
            self.node(&join.right, depth + 1)?,
        ];
        let inputs = [
            self.widened(inputs[0], &left),
            self.widened(inputs[1], &right),
        ];
        let config = LookupConfig {
            widths: (
                join.left.schema().fields().len(),
                join.right.schema().fields().len(),
            ),
            keys: left.group.into_iter().zip(right.group).collect(),
            left: left.wide,
            right: right.wide,
            outer,
            schema: Arc::clone(join.schema.inner()),
        };
        let node = self.lookup_join(config, &inputs, join, residual)?;
        Ok(Some(Ok(node)))
    }

    fn lookup_join(
        &mut self,
        config: LookupConfig,
        inputs: &[NodeId],
        join: &Join,
        residual: Option<Arc<dyn PhysicalExpr>>,
    ) -> Result<NodeId> {
        let schema: Arc<Schema> = Arc::clone(join.schema.inner());
        debug_assert_eq!(config.schema, schema);
        let rows = self.add(operators::Lookup::new(config)?, inputs);
        Ok(match residual {
            None => rows,
            Some(residual) => self.add(operators::Filter::new(residual), &[rows]),
        })
    }
}

fn refused(what: &str) -> Error {
    Error::unsupported(format!(
        "{what} is not supported in a JOIN ... FOR SYSTEM_TIME AS OF PROCTIME()"
    ))
}
