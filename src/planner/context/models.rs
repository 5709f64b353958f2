//! The optimizer's rules for models.
//!
//! Off, because they trade a cheap incremental form for a cheap batch form or change which rows are chosen:
//! `EliminateJoin` (an inner join is bilinear, a semi join counts matches; and it trusts declared keys),
//! `SingleDistinctToGroupBy` (two levels of state instead of one), `PushDownLimit` (more top-k, other rows).
//! Beside that, joins are put in order ([`super::join_order`]).
//! Whoever optimises a model passes no start time, so that `now()` is not frozen: see `plan::optimize`.

use std::sync::Arc;

use datafusion::optimizer::Optimizer;

use super::join_order::JoinOrder;

const OFF: [&str; 3] = [
    "eliminate_join",
    "single_distinct_aggregation_to_group_by",
    "push_down_limit",
];

/// The rule that drops columns, which has to see the joins in their order.
const LAST: &str = "optimize_projections";

/// DataFusion's optimizer without the rules that harm models.
pub fn model_optimizer() -> Optimizer {
    let mut optimizer = Optimizer::new();
    optimizer.rules.retain(|rule| !OFF.contains(&rule.name()));
    let rules = &mut optimizer.rules;
    let last = rules.iter().position(|rule| rule.name() == LAST);
    rules.insert(last.unwrap_or(rules.len()), Arc::new(JoinOrder));
    optimizer
}
