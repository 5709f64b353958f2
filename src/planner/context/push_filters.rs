//! Filters pushed down a physical plan, but not past columns of one name.
//!
//! DataFusion's rule finds the column that a filter reads in a node's input by its name. Where two columns have one name, as both `id`
//! of `p AS a JOIN p AS b`, it takes the first for the second, and `a.id = b.id` becomes `b.id = b.id`. While the rule runs, a
//! veil lies over every node with such columns.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_plan::ExecutionPlan;

use super::veil::{Known, Veil};

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;
type Node = Arc<dyn ExecutionPlan>;

/// `rules` with this one around both of DataFusion's.
pub(super) fn push_filters_rightly(rules: &mut [Rule]) {
    let theirs = [
        FilterPushdown::new(),
        FilterPushdown::new_post_optimization(),
    ];
    for rule in rules {
        if theirs.iter().any(|known| known.name() == rule.name()) {
            *rule = Arc::new(PushFilters(Arc::clone(rule)));
        }
    }
}

#[derive(Debug)]
struct PushFilters(Rule);

impl PhysicalOptimizerRule for PushFilters {
    fn optimize(&self, plan: Node, config: &ConfigOptions) -> Result<Node> {
        let veiled = plan.transform_up(|node| {
            Ok(if has_one_name_twice(&node) {
                Transformed::yes(Veil::over(node, Known::Everything))
            } else {
                Transformed::no(node)
            })
        })?;
        let pushed = self.0.optimize(veiled.data, config)?;
        if !veiled.transformed {
            return Ok(pushed);
        }
        pushed.transform_up(unveiled).data()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn unveiled(node: Node) -> Result<Transformed<Node>> {
    Ok(match node.downcast_ref::<Veil>() {
        Some(veil) if veil.known() == Known::Everything => {
            Transformed::yes(Arc::clone(veil.input()))
        }
        _ => Transformed::no(node),
    })
}

fn has_one_name_twice(node: &Node) -> bool {
    let schema = node.schema();
    let mut names = BTreeSet::new();
    !schema
        .fields()
        .iter()
        .all(|field| names.insert(field.name().as_str()))
}
