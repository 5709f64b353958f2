//! A recursive term reads its recursion once: a second reference has no meaning in SQL, and no plan in DataFusion.

use std::any::Any;

use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{LogicalPlan, TableScan};

use crate::base::{Error, Kind, Result};

/// Refuses a plan with a recursion whose term reads it more than once (42P19).
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    let mut twice = None;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::RecursiveQuery(query) = node
            && count(&query.recursive_term, &query.name) > 1
        {
            twice = Some(query.name.clone());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match twice {
        None => Ok(()),
        Some(name) => Err(Error::new(
            Kind::Invalid,
            "42P19",
            format!("recursive reference to query \"{name}\" must not appear more than once"),
        )),
    }
}

/// How often `plan` reads the recursion `name` that is defined around it.
fn count(plan: &LogicalPlan, name: &str) -> usize {
    let mut reads = match plan {
        LogicalPlan::TableScan(scan) => usize::from(is_read(scan, name)),
        // What has the name within a recursion of the same name is another.
        LogicalPlan::RecursiveQuery(query) if query.name == name => {
            return count(&query.static_term, name);
        }
        other => other
            .inputs()
            .into_iter()
            .map(|input| count(input, name))
            .sum(),
    };
    let walked = plan.apply_subqueries(|subquery| {
        reads += count(subquery, name);
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "the closure never fails");
    reads
}

fn is_read(scan: &TableScan, name: &str) -> bool {
    scan.table_name.table() == name
        && source_as_provider(&scan.source)
            .is_ok_and(|provider| (provider.as_ref() as &dyn Any).is::<CteWorkTable>())
}
