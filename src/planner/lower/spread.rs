//! A union of projections of one relation, as HOP is, reads the relation once.
//!
//! What all branches compute is computed once a row, and no other column than those that are asked for is kept: rows that are then
//! equal can be added up before each becomes several. A branch with a filter of its own is left as it is.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as DfResult};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, Projection, Union};
use datafusion::physical_expr::PhysicalExpr;

use super::expressions::{may_fail, reads_elsewhere};
use super::lowering::Lowering;
use super::merge::{projection_below, substituted};
use crate::base::Result;
use crate::engine::{NodeId, operators};

/// The name of a column that all branches share.
const SHARED: &str = "__lotic_shared_";

/// A branch of the union, its projections made one.
struct Branch<'p> {
    exprs: Vec<Expr>,
    relation: &'p LogicalPlan,
}

/// All branches of a union, which read one relation.
struct Branches<'p> {
    /// What each computes.
    lists: Vec<Vec<Expr>>,
    relation: &'p LogicalPlan,
}

impl Lowering<'_> {
    /// The operators of `union`, where all its branches are projections of one relation.
    pub(super) fn spread(&mut self, union: &Union, depth: usize) -> Result<Option<NodeId>> {
        let Some(Branches { lists, relation }) = self.branches(union)? else {
            return Ok(None);
        };
        let line = self.explain.current();
        let (lists, once) = computed_once(lists)?;
        let once = Projection::try_new(once, Arc::new(relation.clone()))?;
        let Ok(columns) = self.physical_all(&once.expr, relation.schema())? else {
            return Ok(None);
        };
        let mut rows: Vec<Vec<Arc<dyn PhysicalExpr>>> = Vec::with_capacity(lists.len());
        for list in &lists {
            let Ok(list) = self.physical_all(list, &once.schema)? else {
                return Ok(None);
            };
            rows.push(list);
        }
        self.explain.note(
            line,
            &format!("{} rows of each one below, which is read once", rows.len()),
        );
        let plan = LogicalPlan::Projection(once.clone());
        let depth = depth + 1;
        self.explain.open(&plan, depth);
        let input = self.node(relation, depth + 1)?;
        let narrow = Arc::clone(once.schema.inner());
        let narrow = self.add(operators::Project::new(columns, narrow), &[input]);
        let schema = Arc::clone(union.schema.inner());
        let expand = operators::Expand::apart(rows, schema);
        Ok(Some(self.add(expand, &[narrow])))
    }

    /// The branches of `union`, where all read one relation.
    fn branches<'p>(&self, union: &'p Union) -> Result<Option<Branches<'p>>> {
        let mut relation: Option<&LogicalPlan> = None;
        let mut lists = Vec::with_capacity(union.inputs.len());
        for input in &union.inputs {
            let types = |at: usize| input.schema().field(at).data_type();
            let columns = union.schema.fields().iter().enumerate();
            if !columns
                .into_iter()
                .all(|(at, field)| types(at) == field.data_type())
            {
                return Ok(None);
            }
            let Some(branch) = branch_of(input)? else {
                return Ok(None);
            };
            if *relation.get_or_insert(branch.relation) != branch.relation {
                return Ok(None);
            }
            lists.push(branch.exprs);
        }
        let Some(relation) = relation.filter(|_| lists.len() > 1) else {
            return Ok(None);
        };
        // without a column to keep apart there is nothing to compute
        let known = lists.iter().flatten().any(|expr| expr.any_column_refs());
        let told = known && self.is_told_by_its_names(relation)?;
        Ok(told.then_some(Branches { lists, relation }))
    }
}

/// `plan` as one projection of what lies below its projections.
fn branch_of(plan: &LogicalPlan) -> Result<Option<Branch<'_>>> {
    let Some(top) = projection_below(plan) else {
        return Ok(None);
    };
    let mut branch = Branch {
        exprs: top.expr.iter().map(|expr| expr.clone().unalias()).collect(),
        relation: &top.input,
    };
    let mut above = top;
    while let Some(inner) = projection_below(&above.input) {
        let plain = branch.exprs.iter().chain(&inner.expr).all(is_plain);
        if !plain || hides_a_failure(&branch.exprs, &above.input, inner)? {
            return Ok(None);
        }
        let exprs = branch.exprs.into_iter();
        let exprs = exprs.map(|expr| substituted(expr, &above.input, inner));
        branch = Branch {
            exprs: exprs.collect::<DfResult<_>>()?,
            relation: &inner.input,
        };
        above = inner;
    }
    Ok(branch.exprs.iter().all(is_plain).then_some(branch))
}

/// Whether a column of `inner`, whose names are those of `input`, may fail on a row on which `exprs` do not ask for it.
fn hides_a_failure(exprs: &[Expr], input: &LogicalPlan, inner: &Projection) -> DfResult<bool> {
    let mut asked_for = vec![false; inner.expr.len()];
    for expr in exprs {
        each_unconditional(expr, |part| {
            if let Expr::Column(column) = part {
                asked_for[input.schema().index_of_column(column)?] = true;
            }
            Ok(())
        })?;
    }
    let schema = inner.input.schema();
    let mut columns = inner.expr.iter().zip(asked_for);
    Ok(columns.any(|(expr, asked_for)| !asked_for && may_fail(expr, schema)))
}

/// Whether `expr` is the same wherever its columns are, and reads nothing else.
fn is_plain(expr: &Expr) -> bool {
    !expr.is_volatile() && !reads_elsewhere(expr)
}

/// Calls `each` for the parts of `expr` that are computed on every row, `expr` itself first.
fn each_unconditional(expr: &Expr, mut each: impl FnMut(&Expr) -> DfResult<()>) -> DfResult<()> {
    expr.apply(|part| {
        each(part)?;
        Ok(if is_conditional(part) {
            TreeNodeRecursion::Jump
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    Ok(())
}

/// What has to be computed once, each under a name, and `lists` over those names.
fn computed_once(lists: Vec<Vec<Expr>>) -> DfResult<(Vec<Vec<Expr>>, Vec<Expr>)> {
    // in how many lists an expression stands, and in which it was met last
    let mut uses: HashMap<Expr, (usize, usize)> = HashMap::new();
    for (number, list) in lists.iter().enumerate() {
        for expr in list {
            each_unconditional(expr, |part| {
                let (count, last) = uses.entry(part.clone()).or_default();
                if *count == 0 || *last != number {
                    (*count, *last) = (*count + 1, number);
                }
                Ok(())
            })?;
        }
    }
    let everywhere = lists.len();
    let mut names: HashMap<Expr, Column> = HashMap::new();
    let mut once = Vec::new();
    let mut named = |expr: Expr| {
        let name = names.entry(expr.clone()).or_insert_with(|| {
            let name = format!("{SHARED}{}", once.len());
            once.push(expr.alias(&name));
            Column::from_name(name)
        });
        Expr::Column(name.clone())
    };
    let mut rewritten = Vec::with_capacity(lists.len());
    for list in lists {
        let list = list.into_iter().map(|expr| {
            let expr = expr.transform_down(|expr| {
                let shared = matches!(expr, Expr::Column(_))
                    || uses
                        .get(&expr)
                        .is_some_and(|(count, _)| *count == everywhere)
                        && !matches!(expr, Expr::Alias(_))
                        && expr.any_column_refs();
                Ok(if shared {
                    Transformed::new(named(expr), true, TreeNodeRecursion::Jump)
                } else {
                    Transformed::no(expr)
                })
            })?;
            Ok(expr.data)
        });
        rewritten.push(list.collect::<DfResult<Vec<Expr>>>()?);
    }
    Ok((rewritten, once))
}

/// Whether a part of `expr` may not be computed on every row.
fn is_conditional(expr: &Expr) -> bool {
    match expr {
        Expr::Case(_) => true,
        Expr::BinaryExpr(binary) => matches!(binary.op, Operator::And | Operator::Or),
        Expr::ScalarFunction(call) => call.func.short_circuits(),
        _ => false,
    }
}
