//! Guesses of how many rows a part of a plan has.

use datafusion::common::stats::Precision;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Operator, TableScan};

/// Rows, as those of the largest table and the share of them that is left. A lookup adds no rows to that table, and takes
/// away what it takes away from its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) base: f64,
    pub(super) share: f64,
}

/// Of the rows of a group's input, how many groups there are.
const GROUPS: f64 = 0.25;
/// What a join by columns that are no key leaves of all pairs.
const PAIRS: f64 = 0.1;
/// What a semi or anti join leaves about which nothing is known.
pub(super) const HALF: f64 = 0.5;

impl Size {
    pub(super) fn rows(self) -> f64 {
        self.base * self.share
    }

    pub(super) fn less(self, share: f64) -> Self {
        Self {
            base: self.base,
            share: self.share * share,
        }
    }

    /// Joined by columns of which one side's are a key.
    pub(super) fn lookup(self, other: Self) -> Self {
        Self {
            base: self.base.max(other.base),
            share: self.share * other.share,
        }
    }

    /// Joined by columns that are no key.
    pub(super) fn pairs(self, other: Self) -> Self {
        Self {
            base: self.base * other.base * PAIRS,
            share: self.share * other.share,
        }
    }
}

/// The size of `plan`, where all its tables have known numbers of rows.
pub(super) fn size_of(plan: &LogicalPlan) -> Option<Size> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let share = scan.filters.iter().map(share_of).product();
            Some(table(scan)?.less(share))
        }
        LogicalPlan::Filter(filter) => {
            Some(size_of(&filter.input)?.less(share_of(&filter.predicate)))
        }
        LogicalPlan::Projection(projection) => size_of(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => size_of(&alias.input),
        LogicalPlan::Aggregate(aggregate) => {
            let input = size_of(&aggregate.input)?;
            Some(Size {
                base: (input.base * GROUPS).max(1.0),
                share: input.share,
            })
        }
        LogicalPlan::Join(join) => {
            let (left, right) = (size_of(&join.left)?, size_of(&join.right)?);
            Some(match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left.less(HALF),
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right.less(HALF),
                _ => left.lookup(right),
            })
        }
        _ => None,
    }
}

fn table(scan: &TableScan) -> Option<Size> {
    let rows = source_as_provider(&scan.source)
        .ok()?
        .statistics()?
        .num_rows;
    let (Precision::Exact(rows) | Precision::Inexact(rows)) = rows else {
        return None;
    };
    // An empty table says nothing about what it is going to be.
    let rows = u32::try_from(rows).ok().filter(|rows| *rows > 0)?;
    Some(Size {
        base: f64::from(rows),
        share: 1.0,
    })
}

/// Which share of rows a condition may leave.
fn share_of(condition: &Expr) -> f64 {
    split_conjunction(condition)
        .into_iter()
        .map(|condition| match condition {
            Expr::IsNotNull(_) => 1.0,
            Expr::Like(_) => 0.1,
            Expr::InList(list) => {
                if list.negated {
                    0.9
                } else {
                    0.2
                }
            }
            Expr::BinaryExpr(binary) => match binary.op {
                Operator::Eq => 0.1,
                Operator::NotEq => 0.9,
                Operator::Or => (share_of(&binary.left) + share_of(&binary.right)).min(1.0),
                _ => 0.3,
            },
            _ => 0.3,
        })
        .product()
}
