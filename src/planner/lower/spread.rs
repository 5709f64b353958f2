//! A union of projections of one relation, as HOP is, reads the relation once.
//!
//! What all branches compute is computed once a row, and no other column than those that are asked for is kept: rows that are then
//! equal can be added up before each becomes several. A branch with a filter of its own is left as it is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as DfResult};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, Projection, Union};
use datafusion::physical_expr::PhysicalExpr;

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

impl Lowering<'_> {
    /// The operators of `union`, where all its branches are projections of one relation.
    pub(super) fn spread(&mut self, union: &Union, depth: usize) -> Result<Option<NodeId>> {
        let Some((relation, lists)) = self.lists(union)? else {
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

    /// The relation that all branches read, and what each computes of it.
    fn lists<'p>(&self, union: &'p Union) -> Result<Option<(&'p LogicalPlan, Vec<Vec<Expr>>)>> {
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
        Ok((known && self.is_told_by_its_names(relation)?).then_some((relation, lists)))
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
        if !branch.exprs.iter().chain(&inner.expr).all(is_plain) {
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

/// Whether `expr` is the same wherever its columns are, and reads nothing else.
fn is_plain(expr: &Expr) -> bool {
    let mut plain = !expr.is_volatile();
    let walked = expr.apply(|expr| {
        plain &= !matches!(
            expr,
            Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::ScalarSubquery(_)
                | Expr::OuterReferenceColumn(..)
        );
        Ok(TreeNodeRecursion::Continue)
    });
    plain && walked.is_ok()
}

/// What has to be computed once, each under a name, and `lists` over those names.
fn computed_once(lists: Vec<Vec<Expr>>) -> DfResult<(Vec<Vec<Expr>>, Vec<Expr>)> {
    let mut uses: HashMap<Expr, usize> = HashMap::new();
    for list in &lists {
        let mut of_list = HashSet::new();
        for expr in list {
            expr.apply(|expr| {
                of_list.insert(expr.clone());
                Ok(if is_conditional(expr) {
                    TreeNodeRecursion::Jump
                } else {
                    TreeNodeRecursion::Continue
                })
            })?;
        }
        for expr in of_list {
            *uses.entry(expr).or_default() += 1;
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
                    || uses.get(&expr) == Some(&everywhere)
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
