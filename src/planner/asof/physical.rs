//! What DataFusion's planner learns of Lotic's own nodes.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::exec::AsofExec;
use super::nearest::Compared;
use super::node::AsofNode;
use crate::base::Error;
use crate::planner::lookup::PresentNode;
use crate::planner::lower::TolerantWindowPlanner;

/// DataFusion's planner, and the nodes that it does not have.
#[derive(Debug)]
pub struct LoticQueryPlanner;

#[async_trait]
impl QueryPlanner for LoticQueryPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![
            Arc::new(AsofPlanner),
            Arc::new(TolerantWindowPlanner),
        ]);
        planner.create_physical_plan(logical_plan, session).await
    }
}

struct AsofPlanner;

impl fmt::Debug for AsofPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsofPlanner")
    }
}

#[async_trait]
impl ExtensionPlanner for AsofPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if node.as_any().is::<PresentNode>() {
            // In batch the present is all there is.
            return Ok(physical_inputs.first().map(Arc::clone));
        }
        let Some(node) = node.as_any().downcast_ref::<AsofNode>() else {
            return Ok(None);
        };
        let [left, right] = physical_inputs else {
            return Err(Error::internal("an ASOF join has two inputs").into());
        };
        let compared = Compared {
            on: node.places()?,
            matching: node.on.matching,
            outer: node.on.outer,
            schema: Arc::clone(node.schema.inner()),
        };
        let exec = AsofExec::new(Arc::clone(left), Arc::clone(right), compared);
        Ok(Some(Arc::new(exec)))
    }
}
