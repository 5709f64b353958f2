//! Derived tables whose columns share a name.
//!
//! PostgreSQL lets two columns of a derived table have one name, and complains only when that name is referred to.
//! The pre-pass marks a column that stands beside `*`, because it cannot know what `*` stands for. Here the columns are
//! known: a marked name that nobody else has is the plain name again, and of several equal names none is plain, so that a
//! reference finds no column and is told that it is ambiguous.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::{Column, DataFusionError, Spans};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use sqlparser::ast::TableFactor;

use super::correlated::free_columns;
use super::dependencies::independent;
use super::gap_fill;
use super::unions::of_one_type;
use crate::planner::prepass::{copy_name, output_name};

type Outcome<T> = Result<T, DataFusionError>;

/// Names the columns of derived tables.
#[derive(Debug, Default)]
pub(super) struct DerivedNames {
    /// Whether a table is being planned that was asked for here.
    asked: AtomicBool,
}

impl RelationPlanner for DerivedNames {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Outcome<RelationPlanning> {
        if matches!(relation, TableFactor::Table { .. }) {
            // It comes by here once more, and is left alone then.
            if self.asked.swap(true, Ordering::Relaxed) {
                self.asked.store(false, Ordering::Relaxed);
                return Ok(RelationPlanning::Original(Box::new(relation)));
            }
            let plan = independent(of_one_type(context.plan(relation)?)?)?;
            let planned = PlannedRelation::new(plan, None);
            return Ok(RelationPlanning::Planned(Box::new(planned)));
        }
        let TableFactor::Derived {
            lateral,
            subquery,
            alias: Some(alias),
            sample: None,
        } = relation
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        // Without an alias it comes by here once more, and is left alone.
        let plan = context.plan(TableFactor::Derived {
            lateral,
            subquery,
            alias: None,
            sample: None,
        })?;
        let plan = if lateral {
            marked(plan)?
        } else {
            named(gap_fill::filled(plan)?)?
        };
        let plan = independent(of_one_type(plan)?)?;
        let planned = PlannedRelation::new(plan, Some(alias));
        Ok(RelationPlanning::Planned(Box::new(planned)))
    }
}

/// A LATERAL item that reads the items before it in a subquery of its own alone: DataFusion sees no deeper than the item's plan, and
/// would take it for one that reads nothing.
fn marked(plan: LogicalPlan) -> Outcome<LogicalPlan> {
    if !plan.all_out_ref_exprs().is_empty() || free_columns(&plan)?.is_empty() {
        return Ok(plan);
    }
    Ok(LogicalPlan::Subquery(Subquery {
        subquery: Arc::new(plan),
        outer_ref_columns: Vec::new(),
        spans: Spans::new(),
    }))
}

/// `plan` with its names made plain where one column has them, and marked where several do.
fn named(plan: LogicalPlan) -> Outcome<LogicalPlan> {
    let mut copies: BTreeMap<&str, usize> = BTreeMap::new();
    let schema = Arc::clone(plan.schema());
    for field in schema.fields() {
        *copies.entry(output_name(field.name())).or_default() += 1;
    }
    let right = |name: &str| {
        let own = output_name(name);
        (copies.get(own) == Some(&1)) == (own.len() == name.len())
    };
    if schema.fields().iter().all(|field| right(field.name())) {
        return Ok(plan);
    }
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (qualifier, field) in schema.iter() {
        let own = output_name(field.name());
        let column = Expr::Column(Column::from((qualifier, field)));
        columns.push(if copies.get(own) == Some(&1) {
            column.alias(own)
        } else {
            let number = numbers.entry(own).or_default();
            *number += 1;
            column.alias(copy_name(own, *number))
        });
    }
    let projection = Projection::try_new(columns, Arc::new(plan))?;
    Ok(LogicalPlan::Projection(projection))
}
