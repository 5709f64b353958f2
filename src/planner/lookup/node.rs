//! The logical node over the table that is looked up.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use crate::base::Error;

/// The rows of `input` as they are at the moment at which a join asks for them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct PresentNode {
    /// The table.
    pub input: Arc<LogicalPlan>,
}

impl UserDefinedLogicalNodeCore for PresentNode {
    fn name(&self) -> &str {
        "Present"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Present: as of PROCTIME()")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Ok([input]) = <[LogicalPlan; 1]>::try_from(inputs) else {
            return Err(Error::internal("a lookup has one table").into());
        };
        Ok(Self {
            input: Arc::new(input),
        })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

/// The node that `plan` is.
fn present(plan: &LogicalPlan) -> Option<&PresentNode> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}

/// Whether `plan`, the right input of a join, is a table that is looked up: other nodes may have come between.
pub fn present_below(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().into_iter().any(present_below)
        }
        plan => present(plan).is_some(),
    }
}

/// Whether some join of `plan` looks a table up, so that its model is not its query over the present tables.
pub fn has_lookup(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked = plan.apply(|node| {
        found |= present(node).is_some();
        Ok(TreeNodeRecursion::Continue)
    });
    found && walked.is_ok()
}
