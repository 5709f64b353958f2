//! The distinct values of the outer columns that a subquery reads.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, JoinConstraint, JoinType, NullEquality, ScalarValue, TableReference,
};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Distinct, Expr, Join, LogicalPlan, LogicalPlanBuilder, Operator, Projection, Sort, SortExpr,
    SubqueryAlias, binary_expr,
};

use super::Outcome;

/// The values, as a relation of its own.
#[derive(Clone)]
pub(super) struct Domain {
    name: TableReference,
    /// The columns outside, one for each column of the relation.
    outer: Vec<Column>,
    /// The distinct values without a name.
    values: Arc<LogicalPlan>,
}

impl Domain {
    /// The values that `outer` has in the rows of `input`.
    pub(super) fn new(name: String, outer: Vec<Column>, input: LogicalPlan) -> Outcome<Self> {
        let name = TableReference::bare(name);
        if outer.is_empty() {
            // Nothing of the outer row is read: there is one result for all rows.
            return Ok(Self {
                name,
                outer,
                values: Arc::new(LogicalPlanBuilder::empty(true).build()?),
            });
        }
        let values = outer
            .iter()
            .enumerate()
            .map(|(place, column)| Expr::Column(column.clone()).alias(value_name(place)))
            .collect();
        let values = LogicalPlan::Projection(Projection::try_new(values, Arc::new(input))?);
        Ok(Self {
            name,
            outer,
            values: Arc::new(LogicalPlan::Distinct(Distinct::All(Arc::new(values)))),
        })
    }

    /// The same values under another name, for a second place in a join.
    pub(super) fn renamed(&self, name: String) -> Self {
        Self {
            name: TableReference::bare(name),
            ..self.clone()
        }
    }

    /// The relation.
    pub(super) fn plan(&self) -> Outcome<LogicalPlan> {
        Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(
            Arc::clone(&self.values),
            self.name.clone(),
        )?))
    }

    pub(super) fn outer(&self) -> &[Column] {
        &self.outer
    }

    /// The relation's columns.
    pub(super) fn columns(&self) -> Vec<Column> {
        (0..self.outer.len())
            .map(|place| Column::new(Some(self.name.clone()), value_name(place)))
            .collect()
    }

    /// The relation's columns, as expressions.
    pub(super) fn exprs(&self) -> Vec<Expr> {
        self.columns().into_iter().map(Expr::Column).collect()
    }

    /// The column that holds the values of `outer`.
    pub(super) fn column_of(&self, outer: &Column) -> Option<Column> {
        let place = self.outer.iter().position(|column| column == outer)?;
        Some(Column::new(Some(self.name.clone()), value_name(place)))
    }

    /// Whether one of `columns` is among the outer ones.
    pub(super) fn has_any(&self, columns: &[Column]) -> bool {
        columns.iter().any(|column| self.outer.contains(column))
    }

    /// How many nodes the relation adds to a plan, counted no further than `most`.
    pub(super) fn size(&self, most: usize) -> usize {
        plan_size(&self.values, most)
    }
}

fn value_name(place: usize) -> String {
    // no column of a query is called so: one without a qualifier would be ambiguous beside it
    format!("__lotic_c{}", place + 1)
}

/// The nodes of `plan`, counted no further than `most`.
pub(super) fn plan_size(plan: &LogicalPlan, most: usize) -> usize {
    let mut size = 0_usize;
    let _done = plan.apply_with_subqueries(|_| {
        size += 1;
        Ok(if size > most {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    size
}

/// A join in which the pairs of columns are equal, NULL to NULL, and `filter` holds.
///
/// The join's own rule for NULL would hold for all its keys, and DataFusion's optimizer makes keys of the equalities in
/// `filter` and of those above the join without asking for the rule. So a pair that may be NULL is two plain keys: both
/// are NULL or neither, and the values are equal with something else in the place of NULL.
pub(super) fn join_on_values(
    left: LogicalPlan,
    right: LogicalPlan,
    kind: JoinType,
    pairs: Vec<(Column, Column)>,
    filter: Option<Expr>,
) -> Outcome<LogicalPlan> {
    let mut on = Vec::with_capacity(2 * pairs.len());
    for (left_column, right_column) in pairs {
        let (_, field) = left.schema().qualified_field_from_column(&left_column)?;
        let (nullable, data_type) = (field.is_nullable(), field.data_type().clone());
        let (left_key, right_key) = (Expr::Column(left_column), Expr::Column(right_column));
        if nullable {
            let other = Expr::Literal(ScalarValue::new_default(&data_type)?, None);
            on.push((left_key.clone().is_null(), right_key.clone().is_null()));
            on.push((
                coalesce(vec![left_key, other.clone()]),
                coalesce(vec![right_key, other]),
            ));
        } else {
            on.push((left_key, right_key));
        }
    }
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        filter,
        kind,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )?))
}

/// The whole condition of `join` as one expression: its keys may have to stand beside keys with another rule for NULL.
pub(super) fn condition_of(join: &Join) -> Option<Expr> {
    let keys = join.on.iter().map(|(left, right)| {
        let (left, right) = (left.clone(), right.clone());
        match join.null_equality {
            NullEquality::NullEqualsNothing => left.eq(right),
            NullEquality::NullEqualsNull => binary_expr(left, Operator::IsNotDistinctFrom, right),
        }
    });
    conjunction(keys.chain(join.filter.clone()))
}

/// `plan` with a fixed choice of rows: it is going to stand twice in one plan, and a LIMIT without ORDER BY could
/// choose other rows in each place.
pub(super) fn with_fixed_choices(plan: LogicalPlan) -> Outcome<LogicalPlan> {
    Ok(plan
        .transform_up(|node| {
            let LogicalPlan::Limit(mut limit) = node else {
                return Ok(Transformed::no(node));
            };
            if is_ordered(&limit.input) {
                return Ok(Transformed::no(LogicalPlan::Limit(limit)));
            }
            let keys: Vec<SortExpr> = limit
                .input
                .schema()
                .columns()
                .into_iter()
                .map(|column| Expr::Column(column).sort(true, false))
                .collect();
            if keys.is_empty() {
                return Ok(Transformed::no(LogicalPlan::Limit(limit)));
            }
            limit.input = Arc::new(LogicalPlan::Sort(Sort {
                expr: keys,
                input: limit.input,
                fetch: None,
            }));
            Ok(Transformed::yes(LogicalPlan::Limit(limit)))
        })?
        .data)
}

fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => is_ordered(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_ordered(&alias.input),
        _ => false,
    }
}
