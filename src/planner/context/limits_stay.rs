//! A LIMIT that stays where its sort goes.
//!
//! DataFusion keeps the LIMIT behind an ORDER BY in the sort, and loses it in some plans in which it finds that the rows stand in that
//! order already, as behind a window over several partitions. Here the LIMIT stands above the sort on its own as well; where the
//! sort stays, a later rule of DataFusion's takes it away again.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use super::each_node::EachNode;

/// The rule. It runs before orders are enforced.
pub(super) const LIMITS_STAY: EachNode = EachNode {
    name: "limits_stay",
    change: |node| {
        let fetch = node
            .downcast_ref::<SortExec>()
            .filter(|sort| !sort.preserve_partitioning())
            .and_then(SortExec::fetch);
        Ok(match fetch {
            Some(fetch) => Transformed::yes(Arc::new(GlobalLimitExec::new(node, 0, Some(fetch)))),
            None => Transformed::no(node),
        })
    },
};
