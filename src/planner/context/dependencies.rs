//! What depends on a key: only as far as it is so.
//!
//! DataFusion drops keys of GROUP BY and of ORDER BY that depend on others, and a DISTINCT over what is unique. It takes the key of a
//! table, or of groups, for one of an aggregate's rows though these hold columns of another side of a join too; it keeps keys above
//! UNNEST, which repeats rows, and takes those of the first term of a recursion for those of all, and those of a table for those of its rows
//! at several moments. `SELECT DISTINCT id FROM (SELECT id, y
//! FROM a JOIN b .. GROUP BY id, y)` gave an id more than once. So below such a node one column of the key goes through a
//! function that DataFusion knows nothing of, which is taken out at the end.
//!
//! While a query is planned, GROUP BY a key stands for the columns that depend on it, as in PostgreSQL: of the tables that FROM
//! names, not of what subqueries, views and common table expressions give.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, FunctionalDependencies};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Projection};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::around::{Outcome, Rule};
use super::dependent_keys::narrowed;
use super::each_node::EachPlan;
use crate::planner::functions::{is_same, same};

/// The optimizer rule.
#[derive(Debug)]
struct Dependencies;

impl OptimizerRule for Dependencies {
    fn name(&self) -> &'static str {
        "lotic_dependencies"
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Outcome<Transformed<LogicalPlan>> {
        narrowed(plan, None, hide)
    }
}

/// The rules that rely on dependencies; others before them make joins and aggregates.
const RELYING: [&str; 2] = ["eliminate_duplicated_expr", "optimize_projections"];

/// `rules` with this one at the beginning and before those that rely on it, and at the end the one that undoes it.
pub(crate) fn depend_rightly(rules: &mut Vec<Rule>) {
    for name in RELYING {
        if let Some(place) = rules.iter().position(|rule| rule.name() == name) {
            rules.insert(place, Arc::new(Dependencies));
        }
    }
    rules.insert(0, Arc::new(Dependencies));
    rules.push(Arc::new(SHOWN));
}

/// The rule that takes the functions out again.
const SHOWN: EachPlan = EachPlan {
    name: "lotic_dependencies_shown",
    change: show,
};

fn show(plan: LogicalPlan) -> Outcome<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    let shown = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let plain = expr.transform_up(|expr| match expr {
            Expr::ScalarFunction(mut call) if is_same(&call.func) && call.args.len() == 1 => {
                Ok(Transformed::yes(call.args.swap_remove(0)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(if plain.transformed {
            plain.update_data(|expr| name.restore(expr))
        } else {
            plain
        })
    })?;
    let undone = shown.transformed;
    Ok(shown.update_data(|plan| match plan {
        LogicalPlan::Projection(projection) if undone && changes_nothing(&projection) => {
            Arc::unwrap_or_clone(projection.input)
        }
        other => other,
    }))
}

/// Whether a projection gives the columns of its input as they are.
fn changes_nothing(projection: &Projection) -> bool {
    let mut given = projection.expr.iter().zip(projection.schema.columns());
    let as_it_is = |(expr, column): (&Expr, Column)| match expr {
        Expr::Column(read) => *read == column,
        Expr::Alias(alias) => {
            matches!(alias.expr.as_ref(), Expr::Column(read) if *read == column)
                && alias.relation == column.relation
                && alias.name == column.name
        }
        _ => false,
    };
    projection.schema.columns() == projection.input.schema().columns() && given.all(as_it_is)
}

/// The columns of a relation of FROM that is no table, without what depends on what.
pub(super) fn independent(plan: LogicalPlan) -> Outcome<LogicalPlan> {
    if plan.schema().functional_dependencies().is_empty() {
        return Ok(plan);
    }
    Ok(match plan {
        LogicalPlan::Projection(mut projection) => {
            projection.schema = bare(&projection.schema)?;
            LogicalPlan::Projection(projection)
        }
        LogicalPlan::SubqueryAlias(mut alias) if !is_table(&alias.input) => {
            alias.schema = bare(&alias.schema)?;
            LogicalPlan::SubqueryAlias(alias)
        }
        LogicalPlan::Aggregate(mut aggregate) => {
            aggregate.schema = bare(&aggregate.schema)?;
            LogicalPlan::Aggregate(aggregate)
        }
        LogicalPlan::Window(mut window) => {
            window.schema = bare(&window.schema)?;
            LogicalPlan::Window(window)
        }
        LogicalPlan::Unnest(mut unnest) => {
            unnest.schema = bare(&unnest.schema)?;
            LogicalPlan::Unnest(unnest)
        }
        LogicalPlan::Join(mut join) => {
            join.schema = bare(&join.schema)?;
            LogicalPlan::Join(join)
        }
        LogicalPlan::Sort(mut sort) => {
            sort.input = Arc::new(independent(Arc::unwrap_or_clone(sort.input))?);
            LogicalPlan::Sort(sort)
        }
        LogicalPlan::Limit(mut limit) => {
            limit.input = Arc::new(independent(Arc::unwrap_or_clone(limit.input))?);
            LogicalPlan::Limit(limit)
        }
        LogicalPlan::Filter(mut filter) => {
            filter.input = Arc::new(independent(Arc::unwrap_or_clone(filter.input))?);
            LogicalPlan::Filter(filter)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let input = independent(Arc::unwrap_or_clone(input))?;
            LogicalPlan::Distinct(Distinct::All(Arc::new(input)))
        }
        other => other,
    })
}

fn is_table(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::TableScan(_))
}

type Schema = datafusion::common::DFSchemaRef;

fn bare(schema: &Schema) -> Outcome<Schema> {
    let schema = schema.as_ref().clone();
    let none = FunctionalDependencies::empty();
    Ok(Arc::new(schema.with_functional_dependencies(none)?))
}

/// `plan` above a projection that hides the keys it would take for its own.
fn hide(plan: LogicalPlan) -> Outcome<Transformed<LogicalPlan>> {
    let hidden = match &plan {
        LogicalPlan::Aggregate(aggregate) => {
            let groups = aggregate.group_expr.iter().collect::<Vec<_>>();
            let is_set = matches!(groups[..], [Expr::GroupingSet(_)]);
            if is_set {
                return Ok(Transformed::no(plan));
            }
            short_keys(&aggregate.input, &groups)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let columns: Vec<Expr> = input
                .schema()
                .columns()
                .into_iter()
                .map(Expr::Column)
                .collect();
            short_keys(input, &columns.iter().collect::<Vec<_>>())
        }
        LogicalPlan::Unnest(unnest) => all_keys(&unnest.input),
        LogicalPlan::RecursiveQuery(query) => all_keys(&query.static_term),
        LogicalPlan::Extension(extension) => match extension.node.inputs()[..] {
            // a table at several moments
            [input] => all_keys(input),
            _ => return Ok(Transformed::no(plan)),
        },
        _ => return Ok(Transformed::no(plan)),
    };
    if hidden.is_empty() {
        return Ok(Transformed::no(plan));
    }
    // the input whose keys they are is the first one
    let mut first = true;
    let above = plan.map_children(|input| {
        if !std::mem::take(&mut first) {
            return Ok(Transformed::no(input));
        }
        let columns = input.schema().columns().into_iter().enumerate();
        let columns = columns.map(|(place, column)| {
            if !hidden.contains(&place) {
                return Expr::Column(column);
            }
            let Column { relation, name, .. } = column.clone();
            same(Expr::Column(column)).alias_qualified(relation, name)
        });
        let columns = columns.collect();
        let projection = Projection::try_new(columns, Arc::new(input))?;
        Ok(Transformed::yes(LogicalPlan::Projection(projection)))
    })?;
    above.data.recompute_schema().map(Transformed::yes)
}

/// One column of each key of `input` that is among `groups`, where not all of these depend on it.
fn short_keys(input: &LogicalPlan, groups: &[&Expr]) -> BTreeSet<usize> {
    let schema = input.schema();
    let places: Vec<Option<usize>> = groups
        .iter()
        .map(|group| match group {
            Expr::Column(column) => schema.maybe_index_of_column(column),
            _ => None,
        })
        .collect();
    let mut hidden = BTreeSet::new();
    for dependence in schema.functional_dependencies().iter() {
        let key = &dependence.source_indices;
        if !key.iter().all(|place| places.contains(&Some(*place))) {
            continue;
        }
        let depends =
            |place: &usize| key.contains(place) || dependence.target_indices.contains(place);
        let all_depend = groups.iter().zip(&places).all(|(group, place)| {
            place.as_ref().map_or_else(
                || {
                    let mut columns = group.column_refs().into_iter();
                    columns.all(|column| {
                        schema
                            .maybe_index_of_column(column)
                            .as_ref()
                            .is_some_and(depends)
                    })
                },
                depends,
            )
        });
        if !all_depend {
            hidden.extend(key.first());
        }
    }
    hidden
}

/// One column of each key of `input`.
fn all_keys(input: &LogicalPlan) -> BTreeSet<usize> {
    let dependencies = input.schema().functional_dependencies().iter();
    dependencies
        .filter_map(|dependence| dependence.source_indices.first().copied())
        .collect()
}
