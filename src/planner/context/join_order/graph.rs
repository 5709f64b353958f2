//! The joins of one part of a plan, taken apart: what is joined, by which columns, under which conditions.

use std::collections::BTreeMap;

use datafusion::common::{Column, NullEquality};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan};

use super::sizes::{HALF, Size, size_of};
use super::tree::Tree;
use crate::planner::lower::may_fail;

/// A set of parts, a bit each.
pub(super) type Parts = u64;

/// The most parts that a set holds.
const MOST: usize = 64;

/// What is joined.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) plan: LogicalPlan,
    pub(super) size: Size,
}

/// Two expressions that must be equal, each over one part.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) ends: [Expr; 2],
    pub(super) parts: [usize; 2],
    /// Whether one of the ends is taken for a key.
    pub(super) is_lookup: bool,
}

/// A semi or anti join, by its right side.
#[derive(Debug)]
pub(super) struct Reducer {
    pub(super) join: Join,
    /// What its left side must have.
    pub(super) reads: Parts,
    /// What it leaves.
    pub(super) share: f64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) parts: Vec<Part>,
    pub(super) edges: Vec<Edge>,
    pub(super) reducers: Vec<Reducer>,
    /// Other conditions, with the parts that they read.
    pub(super) conditions: Vec<(Expr, Parts)>,
    owners: BTreeMap<Column, usize>,
}

impl Graph {
    /// The joins at the top of `plan`, and their present order; `None` where they had better stay.
    pub(super) fn of(plan: &LogicalPlan) -> Option<(Self, Tree)> {
        let mut graph = Self::default();
        let mut equal = Vec::new();
        let mut conditions = Vec::new();
        let tree = graph.take_apart(plan, &mut equal, &mut conditions)?;
        if graph.parts.len() < 2 || graph.parts.len() + graph.reducers.len() < 3 {
            return None;
        }
        for (left, right) in equal {
            let parts = [graph.only_part(&left)?, graph.only_part(&right)?];
            graph.edges.push(Edge {
                ends: [left, right],
                parts,
                is_lookup: true,
            });
        }
        for condition in conditions {
            let reads = graph.parts_of(&condition)?;
            graph.conditions.push((condition, reads));
        }
        for index in 0..graph.reducers.len() {
            let join = &graph.reducers[index].join;
            let mut right = join.right.schema().columns().into_iter();
            if right.any(|column| graph.owners.contains_key(&column)) {
                return None;
            }
            let mut reads = 0;
            for (left, _) in &join.on {
                reads |= graph.parts_of(left)?;
            }
            if let Some(filter) = &join.filter {
                let left = join.left.schema();
                let columns = filter.column_refs().into_iter();
                reads |= graph.parts_with(columns.filter(|column| left.has_column(column)))?;
            }
            graph.reducers[index].reads = reads;
        }
        graph.find_keys();
        Some((graph, tree))
    }

    fn take_apart(
        &mut self,
        plan: &LogicalPlan,
        equal: &mut Vec<(Expr, Expr)>,
        conditions: &mut Vec<Expr>,
    ) -> Option<Tree> {
        match plan {
            LogicalPlan::Join(join) if is_free(join) && join.join_type == JoinType::Inner => {
                let left = self.take_apart(&join.left, equal, conditions)?;
                let right = self.take_apart(&join.right, equal, conditions)?;
                equal.extend(join.on.iter().cloned());
                if let Some(filter) = &join.filter {
                    conditions.extend(split_conjunction_owned(filter.clone()));
                }
                Some(Tree::Join(Box::new(left), Box::new(right)))
            }
            LogicalPlan::Join(join) if is_free(join) && is_reducer(join) => {
                let left = self.take_apart(&join.left, equal, conditions)?;
                let known = size_of(&join.right).map_or(HALF, |size| size.share.min(HALF));
                self.reducers.push(Reducer {
                    join: join.clone(),
                    reads: 0,
                    share: if join.join_type == JoinType::LeftSemi {
                        known
                    } else {
                        HALF
                    },
                });
                Some(Tree::Reduce(Box::new(left), self.reducers.len() - 1))
            }
            // Which columns go on is decided anew, once the order is.
            LogicalPlan::Projection(projection)
                if leads_to_join(&projection.input)
                    && projection
                        .expr
                        .iter()
                        .all(|expr| matches!(expr, Expr::Column(_))) =>
            {
                self.take_apart(&projection.input, equal, conditions)
            }
            plan => self.part(plan),
        }
    }

    fn part(&mut self, plan: &LogicalPlan) -> Option<Tree> {
        let index = self.parts.len();
        if index == MOST {
            return None;
        }
        for column in plan.schema().columns() {
            // Two columns of one name cannot stand side by side.
            if self.owners.insert(column, index).is_some() {
                return None;
            }
        }
        self.parts.push(Part {
            plan: plan.clone(),
            size: size_of(plan)?,
        });
        Some(Tree::Part(index))
    }

    fn parts_of(&self, expr: &Expr) -> Option<Parts> {
        self.parts_with(expr.column_refs().into_iter())
    }

    fn parts_with<'a>(&self, mut columns: impl Iterator<Item = &'a Column>) -> Option<Parts> {
        columns.try_fold(0, |parts, column| {
            Some(parts | 1 << self.owners.get(column)?)
        })
    }

    fn only_part(&self, expr: &Expr) -> Option<usize> {
        let parts = self.parts_of(expr)?;
        (parts.count_ones() == 1)
            .then(|| usize::try_from(parts.trailing_zeros()).ok())
            .flatten()
    }

    /// Of the columns that must be equal to each other, that of the smallest table is taken for a key. An edge between two
    /// others makes pairs.
    fn find_keys(&mut self) {
        let ends = |edge: &Edge| match &edge.ends {
            [Expr::Column(left), Expr::Column(right)] => Some([left.clone(), right.clone()]),
            _ => None,
        };
        let mut class: BTreeMap<Column, usize> = BTreeMap::new();
        for (number, edge) in self.edges.iter().enumerate() {
            let Some(columns) = ends(edge) else { continue };
            let old: Vec<usize> = columns
                .iter()
                .filter_map(|c| class.get(c).copied())
                .collect();
            for joined in class.values_mut().filter(|joined| old.contains(joined)) {
                *joined = number;
            }
            class.extend(columns.map(|column| (column, number)));
        }
        let mut least: BTreeMap<usize, f64> = BTreeMap::new();
        for (column, class) in &class {
            if let Some(part) = self.owners.get(column) {
                let base = self.parts[*part].size.base;
                let least = least.entry(*class).or_insert(base);
                *least = least.min(base);
            }
        }
        let is_lookup = |edge: &Edge| {
            let Some([left, _]) = ends(edge) else {
                return true;
            };
            let least = class.get(&left).and_then(|class| least.get(class));
            let base = |part: usize| self.parts[part].size.base;
            least.is_none_or(|least| edge.parts.iter().any(|part| base(*part) <= *least))
        };
        let lookups: Vec<bool> = self.edges.iter().map(is_lookup).collect();
        for (edge, is_lookup) in self.edges.iter_mut().zip(lookups) {
            edge.is_lookup = is_lookup;
        }
    }
}

fn is_reducer(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti) && !join.on.is_empty()
}

/// Whether a join may stand anywhere: it has keys, NULL meets nothing, and nothing in it can fail on a row.
fn is_free(join: &Join) -> bool {
    let (left, right) = (join.left.schema(), join.right.schema());
    let total = |(one, other): &(Expr, Expr)| !may_fail(one, left) && !may_fail(other, right);
    let filter_total = join.filter.as_ref().is_none_or(|filter| {
        left.join(right)
            .is_ok_and(|pair| !may_fail(filter, &pair) && !filter.is_volatile())
    });
    !join.null_aware
        && !join.on.is_empty()
        && join.null_equality == NullEquality::NullEqualsNothing
        && join.on.iter().all(total)
        && filter_total
}

fn leads_to_join(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(_) => true,
        LogicalPlan::Projection(projection) => leads_to_join(&projection.input),
        _ => false,
    }
}
