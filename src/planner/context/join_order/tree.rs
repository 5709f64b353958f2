//! An order of joins: its cost, the cheap one, and the plan that it is.

use std::sync::Arc;

use datafusion::common::{DataFusionError, NullEquality};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Join, JoinConstraint, JoinType, LogicalPlan};

use super::graph::{Edge, Graph, Parts};
use super::sizes::Size;

type Outcome<T> = Result<T, DataFusionError>;

/// Which joins are made of which.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    Part(usize),
    Join(Box<Tree>, Box<Tree>),
    /// A semi or anti join, by its number.
    Reduce(Box<Tree>, usize),
}

/// Parts that are joined already.
#[derive(Clone, Debug)]
struct Joined {
    tree: Tree,
    parts: Parts,
    size: Size,
}

/// What a step costs, in rows.
struct Price {
    makes: f64,
    keeps: f64,
}

/// A side waits beside a table that has, times this, no more rows than it: as in the engine's joins.
const MUCH: f64 = 16.0;
/// What rows cost that wait and are only looked up, as a part of what they would cost in an index.
const LOOKED_UP: f64 = 0.1;

/// The rows that a join keeps of both its sides.
fn kept_both(left: Size, right: Size) -> f64 {
    let (left_rows, right_rows) = (left.rows(), right.rows());
    if right.base * MUCH <= left_rows {
        left_rows * LOOKED_UP + right_rows
    } else if left.base * MUCH <= right_rows {
        left_rows + right_rows * LOOKED_UP
    } else {
        left_rows + right_rows
    }
}

/// What may be done next.
#[derive(Clone, Copy)]
enum Step {
    Join(usize, usize),
    Reduce(usize, usize),
}

impl Graph {
    /// The rows that the joins of an order keep and make, all together, and a part of those that they only look up.
    pub(super) fn cost(&self, tree: &Tree) -> f64 {
        self.measure(tree).2
    }

    fn measure(&self, tree: &Tree) -> (Parts, Size, f64) {
        match tree {
            Tree::Part(part) => (1 << part, self.parts[*part].size, 0.0),
            Tree::Join(left, right) => {
                let (left, right) = (self.measure(left), self.measure(right));
                let size = self.joined((left.0, left.1), (right.0, right.1));
                let rows = kept_both(left.1, right.1) + size.rows();
                (left.0 | right.0, size, left.2 + right.2 + rows)
            }
            Tree::Reduce(input, reducer) => {
                let (parts, size, cost) = self.measure(input);
                let less = size.less(self.reducers[*reducer].share);
                (parts, less, cost + size.rows() + less.rows())
            }
        }
    }

    fn joined(&self, left: (Parts, Size), right: (Parts, Size)) -> Size {
        let mut between = self.between(left.0, right.0);
        if between.any(|(edge, _)| edge.is_lookup) {
            left.1.lookup(right.1)
        } else {
            left.1.pairs(right.1)
        }
    }

    /// The edges between two sets of parts, and whether they lead from the right one to the left.
    fn between(&self, left: Parts, right: Parts) -> impl Iterator<Item = (&Edge, bool)> {
        self.edges.iter().filter_map(move |edge| {
            let [one, other] = edge.parts.map(|part| 1 << part);
            if left & one != 0 && right & other != 0 {
                Some((edge, false))
            } else if left & other != 0 && right & one != 0 {
                Some((edge, true))
            } else {
                None
            }
        })
    }

    /// The cheaper one of two orders: that which always does next what makes the fewest rows, and that which always does
    /// next what costs least. `None` where some parts have nothing in common.
    pub(super) fn cheapest(&self) -> Option<Tree> {
        let smallest = self.least_first(|step| step.makes)?;
        let cheapest = self.least_first(|step| step.makes + step.keeps)?;
        Some(if self.cost(&cheapest) < self.cost(&smallest) {
            cheapest
        } else {
            smallest
        })
    }

    /// The order that always does next what has the least `weight`; of equal ones, what stands first.
    fn least_first(&self, weight: impl Fn(&Price) -> f64) -> Option<Tree> {
        let parts = self.parts.iter().enumerate();
        let mut joined: Vec<Joined> = parts
            .map(|(index, part)| Joined {
                tree: Tree::Part(index),
                parts: 1 << index,
                size: part.size,
            })
            .collect();
        let mut left: Vec<usize> = (0..self.reducers.len()).collect();
        while joined.len() > 1 || !left.is_empty() {
            let (step, size) = self.next(&joined, &left, &weight)?;
            match step {
                Step::Join(one, other) => {
                    let right = joined.remove(other);
                    let left = &mut joined[one];
                    left.tree = Tree::Join(Box::new(left.tree.clone()), Box::new(right.tree));
                    left.parts |= right.parts;
                    left.size = size;
                }
                Step::Reduce(one, reducer) => {
                    let input = &mut joined[one];
                    input.tree = Tree::Reduce(Box::new(input.tree.clone()), reducer);
                    input.size = size;
                    left.retain(|other| *other != reducer);
                }
            }
        }
        joined.pop().map(|joined| joined.tree)
    }

    fn next(
        &self,
        joined: &[Joined],
        reducers: &[usize],
        weight: impl Fn(&Price) -> f64,
    ) -> Option<(Step, Size)> {
        let mut best: Option<(Step, Size, f64)> = None;
        let mut offer = |step, size: Size, keeps: f64| {
            let weight = weight(&Price {
                makes: size.rows(),
                keeps,
            });
            if best.is_none_or(|(_, _, least)| weight < least) {
                best = Some((step, size, weight));
            }
        };
        for (one, left) in joined.iter().enumerate() {
            for reducer in reducers {
                let held = &self.reducers[*reducer];
                if held.reads & !left.parts == 0 {
                    let less = left.size.less(held.share);
                    offer(Step::Reduce(one, *reducer), less, left.size.rows());
                }
            }
            for (other, right) in joined.iter().enumerate().skip(one + 1) {
                if self.between(left.parts, right.parts).next().is_some() {
                    let size = self.joined((left.parts, left.size), (right.parts, right.size));
                    let keeps = kept_both(left.size, right.size);
                    offer(Step::Join(one, other), size, keeps);
                }
            }
        }
        best.map(|(step, size, _)| (step, size))
    }

    /// The plan of an order. Its columns stand as the order has them.
    pub(super) fn plan(&self, tree: &Tree) -> Outcome<LogicalPlan> {
        let mut placed = vec![false; self.conditions.len()];
        Ok(self.build(tree, &mut placed)?.0)
    }

    fn build(&self, tree: &Tree, placed: &mut [bool]) -> Outcome<(LogicalPlan, Parts)> {
        match tree {
            Tree::Part(part) => Ok((self.parts[*part].plan.clone(), 1 << part)),
            Tree::Reduce(input, reducer) => {
                let (input, parts) = self.build(input, placed)?;
                let join = self.reducers[*reducer].join.clone();
                let join = Join::try_new(
                    Arc::new(input),
                    join.right,
                    join.on,
                    join.filter,
                    join.join_type,
                    join.join_constraint,
                    join.null_equality,
                    join.null_aware,
                )?;
                Ok((LogicalPlan::Join(join), parts))
            }
            Tree::Join(left, right) => {
                let (left, left_parts) = self.build(left, placed)?;
                let (right, right_parts) = self.build(right, placed)?;
                let parts = left_parts | right_parts;
                let on = self
                    .between(left_parts, right_parts)
                    .map(|(edge, turned)| {
                        let [one, other] = edge.ends.clone();
                        if turned { (other, one) } else { (one, other) }
                    })
                    .collect();
                let mut conditions: Vec<Expr> = Vec::new();
                for ((condition, reads), placed) in self.conditions.iter().zip(placed.iter_mut()) {
                    if !*placed && reads & !parts == 0 {
                        *placed = true;
                        conditions.push(condition.clone());
                    }
                }
                let join = Join::try_new(
                    Arc::new(left),
                    Arc::new(right),
                    on,
                    conjunction(conditions),
                    JoinType::Inner,
                    JoinConstraint::On,
                    NullEquality::NullEqualsNothing,
                    false,
                )?;
                Ok((LogicalPlan::Join(join), parts))
            }
        }
    }
}
