//! The walk over a plan, from the top down: what a rewrite puts below is visited too.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlan};

use super::domain::{Domain, plan_size};
use super::scope::{free_columns, has_subquery, is_lateral, subquery_of};
use super::{Outcome, lateral, values};
use crate::base::{Error, Result};
use crate::planner::parse::too_deep;

/// The most nodes that a plan may have once domains are copied in. A domain holds a copy of the outer rows' plan,
/// so subqueries within subqueries double it at each level.
const MAX_NODES: usize = 20_000;

/// Relations made here have names that begin so.
const PREFIX: &str = "__lotic_outer_";

/// Rewrites every correlated subquery of `plan` that DataFusion would refuse.
pub(in crate::planner::context) fn rewrite(
    state: &SessionState,
    plan: LogicalPlan,
) -> Result<LogicalPlan> {
    if !holds_any(&plan)? {
        return Ok(plan);
    }
    let mut rewriter = Rewriter {
        calls: Calls::of(state)?,
        names: 0,
        size: plan_size(&plan, MAX_NODES),
    };
    Ok(rewriter.plan(plan)?)
}

/// Whether `plan` holds a subquery in an expression or in FROM at all; most do not, and stay as they are.
fn holds_any(plan: &LogicalPlan) -> Outcome<bool> {
    plan.exists(|node| {
        let mut found = matches!(node, LogicalPlan::Join(join) if is_lateral(&join.right));
        node.apply_expressions(|expr| {
            found = found || has_subquery(expr);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    })
}

/// The functions that rewritten plans call.
pub(super) struct Calls {
    pub(super) count: Arc<AggregateUDF>,
    pub(super) min: Arc<AggregateUDF>,
    pub(super) max: Arc<AggregateUDF>,
    pub(super) bool_or: Arc<AggregateUDF>,
    pub(super) bool_and: Arc<AggregateUDF>,
}

impl Calls {
    fn of(state: &SessionState) -> Result<Self> {
        let call = |name: &str| {
            let known = state.aggregate_functions().get(name).map(Arc::clone);
            known.ok_or_else(|| Error::internal(format!("{name}() is not registered")))
        };
        Ok(Self {
            count: call("count")?,
            min: call("min")?,
            max: call("max")?,
            bool_or: call("bool_or")?,
            bool_and: call("bool_and")?,
        })
    }
}

pub(super) struct Rewriter {
    pub(super) calls: Calls,
    names: usize,
    size: usize,
}

impl Rewriter {
    /// `plan` and everything below it, rewritten.
    pub(super) fn plan(&mut self, plan: LogicalPlan) -> Outcome<LogicalPlan> {
        let plan = self.lateral(plan)?;
        let plan = values::rewrite(self, plan)?;
        let mut changed = false;
        let plan = plan
            .map_children(|child| {
                let child = self.plan(child)?;
                changed = true;
                Ok(Transformed::yes(child))
            })?
            .data;
        let plan = plan
            .map_expressions(|expr| {
                expr.transform_up(|expr| {
                    if subquery_of(&expr).is_none() {
                        return Ok(Transformed::no(expr));
                    }
                    Ok(Transformed::yes(values::map_subquery(expr, |subquery| {
                        self.subquery(subquery)
                    })?))
                })
            })?
            .data;
        if changed {
            plan.recompute_schema()
        } else {
            Ok(plan)
        }
    }

    /// A FROM item that reads the items before it becomes a plain join.
    pub(super) fn lateral(&mut self, plan: LogicalPlan) -> Outcome<LogicalPlan> {
        match plan {
            LogicalPlan::Join(join) if is_lateral(&join.right) => lateral::rewrite(self, join),
            plan => Ok(plan),
        }
    }

    fn subquery(&mut self, subquery: Subquery) -> Outcome<Subquery> {
        let plan = self.plan(Arc::unwrap_or_clone(subquery.subquery))?;
        // What a LATERAL within it reads is no look outside, for which DataFusion would take it.
        let free = free_columns(&plan)?;
        let mut outer_ref_columns = plan.all_out_ref_exprs();
        outer_ref_columns.retain(
            |expr| matches!(expr, Expr::OuterReferenceColumn(_, column) if free.contains(column)),
        );
        Ok(Subquery {
            subquery: Arc::new(plan),
            outer_ref_columns,
            ..subquery
        })
    }

    /// A relation name that the plan does not have yet.
    pub(super) fn name(&mut self) -> String {
        self.names += 1;
        format!("{PREFIX}{}", self.names)
    }

    /// The domain of `outer` in the rows of `input`.
    pub(super) fn domain(&mut self, outer: Vec<Column>, input: &LogicalPlan) -> Outcome<Domain> {
        refuse_volatile(input)?;
        let name = self.name();
        let domain = Domain::new(name, outer, input.clone())?;
        self.charge(&domain)?;
        Ok(domain)
    }

    /// `plan` is about to stand in the plan a second time.
    pub(super) fn copied(&mut self, plan: &LogicalPlan) -> Outcome<()> {
        refuse_volatile(plan)?;
        self.grown(plan_size(plan, MAX_NODES))
    }

    /// `domain` once more, for a second place.
    pub(super) fn again(&mut self, domain: &Domain) -> Outcome<Domain> {
        self.charge(domain)?;
        Ok(domain.renamed(self.name()))
    }

    fn charge(&mut self, domain: &Domain) -> Outcome<()> {
        self.grown(domain.size(MAX_NODES))
    }

    fn grown(&mut self, nodes: usize) -> Outcome<()> {
        self.size = self.size.saturating_add(nodes);
        if self.size > MAX_NODES {
            return Err(too_deep().into());
        }
        Ok(())
    }
}

/// A domain holds the outer rows' plan a second time, where `random()` would give other rows.
fn refuse_volatile(input: &LogicalPlan) -> Outcome<()> {
    let volatile = input.exists(|node| {
        let mut found = false;
        node.apply_expressions(|expr| {
            found = found || expr.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    })?;
    if volatile {
        return Err(Error::unsupported(
            "a subquery that reads a row outside which a function like random() has made is not supported",
        )
        .with_hint("store the rows in a table first")
        .into());
    }
    Ok(())
}
