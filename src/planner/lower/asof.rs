//! ASOF joins, Lotic's own node in a plan.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;

use super::expressions::NoForm;
use super::keyed::without_order;
use super::lowering::{Formed, Lowering};
use crate::base::Result;
use crate::engine::operators::{self, AsofConfig};
use crate::planner::asof::AsofNode;

impl Lowering<'_> {
    /// The operator of an ASOF join; `None` when `plan` is none.
    pub(super) fn asof(&mut self, plan: &LogicalPlan, depth: usize) -> Result<Option<Formed>> {
        let LogicalPlan::Extension(extension) = plan else {
            return Ok(None);
        };
        let Some(node) = extension.node.as_any().downcast_ref::<AsofNode>() else {
            return Ok(None);
        };
        let (left, right) = (node.left.schema().inner(), node.right.schema().inner());
        let fields = left.fields().iter().chain(right.fields());
        if let Some(reason) = without_order(fields) {
            return Ok(Some(Err(reason)));
        }
        let mut keys = node.places()?;
        let Some(times) = keys.pop() else {
            return Ok(Some(Err(NoForm::because("an ASOF join without a time"))));
        };
        let config = AsofConfig {
            left: Arc::clone(left),
            right: Arc::clone(right),
            keys,
            times,
            matching: node.on.matching,
            outer: node.on.outer,
            schema: Arc::clone(node.schema.inner()),
        };
        let inputs = [
            self.node(&node.left, depth + 1)?,
            self.node(&node.right, depth + 1)?,
        ];
        let join = operators::AsofJoin::new(config)?;
        Ok(Some(Ok(self.add(join, &inputs))))
    }
}
