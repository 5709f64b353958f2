//! A recursive term over the rows of all rounds at once: each row carries its round, and no node mixes rounds.
//!
//! The term of WITH RECURSIVE runs once a round, over the rows of the round before. Here the round becomes a
//! column that joins and projections pass on and that aggregates and windows have among their keys, so that one graph of operators
//! serves all rounds and keeps what the term joins with once. What does not read the recursion is cut out of
//! the term: it is an input like any other.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchema, DFSchemaRef, DataFusionError, JoinType, TableReference,
};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::expr::{Alias, GroupingSet};
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{
    Aggregate, Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Projection, RecursiveQuery,
    SubqueryAlias, TableScan, TableType, Unnest, Window,
};
use datafusion::physical_plan::ExecutionPlan;

use super::expressions::NoForm;
use crate::base::Error;
use crate::engine::operators::ROUND;

/// Why a term cannot be run over all rounds at once, or what failed.
#[derive(Debug)]
pub(super) enum Stop {
    NoForm(NoForm),
    Failed(Error),
}

impl From<DataFusionError> for Stop {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(error.into())
    }
}

pub(super) type Outcome<T> = Result<T, Stop>;

/// The term of `query` with the round as one of its columns; the others keep their order.
pub(super) fn by_round(query: &RecursiveQuery) -> Outcome<LogicalPlan> {
    if !reads(&query.recursive_term, &query.name) {
        return none("the recursion is not read by its own term");
    }
    let rows = rows_of(&query.recursive_term, &query.name)?;
    let term = Term {
        name: &query.name,
        rows: &rows,
    };
    term.node(&query.recursive_term)
}

/// The round's column among those of `plan`.
pub(super) fn round_of(schema: &DFSchema) -> Outcome<Column> {
    let mut rounds = schema
        .iter()
        .filter(|(_, field)| field.name() == ROUND)
        .map(Column::from);
    match (rounds.next(), rounds.next()) {
        (Some(round), None) => Ok(round),
        _ => Err(Stop::Failed(Error::internal(
            "a recursive term lost the round of its rows",
        ))),
    }
}

/// What a scan in a term by rounds stands for.
pub(super) enum Leaf {
    /// The rows of the round before.
    Rows,
    /// A plan that does not read the recursion.
    Fixed(Arc<LogicalPlan>),
}

/// What `scan` stands for, if a term by rounds made it.
pub(super) fn leaf_of(scan: &TableScan) -> Option<Leaf> {
    let provider = source_as_provider(&scan.source).ok()?;
    let leaf = (provider.as_ref() as &dyn Any).downcast_ref::<LeafTable>()?;
    Some(match &leaf.fixed {
        None => Leaf::Rows,
        Some(plan) => Leaf::Fixed(Arc::clone(plan)),
    })
}

pub(super) struct Term<'a> {
    name: &'a str,
    /// The scan of the recursion.
    rows: &'a TableScan,
}

impl Term<'_> {
    /// `plan`, which reads the recursion.
    pub(super) fn node(&self, plan: &LogicalPlan) -> Outcome<LogicalPlan> {
        if self.in_subquery(plan)? {
            return none("the recursion is read in a subquery of its term");
        }
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Projection(projection) => {
                let input = self.node(&projection.input)?;
                let round = round_of(input.schema())?;
                let schema = with_round(&projection.schema, projection.expr.len(), &round)?;
                let exprs = projection.expr.iter().cloned();
                let exprs = exprs.chain([Expr::Column(round)]).collect();
                let input = Arc::new(input);
                Ok(LogicalPlan::Projection(Projection::try_new_with_schema(
                    exprs, input, schema,
                )?))
            }
            LogicalPlan::Filter(filter) => {
                let input = Arc::new(self.node(&filter.input)?);
                let predicate = filter.predicate.clone();
                Ok(LogicalPlan::Filter(Filter::try_new(predicate, input)?))
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let input = Arc::new(self.node(&alias.input)?);
                let alias = SubqueryAlias::try_new(input, alias.alias.clone())?;
                Ok(LogicalPlan::SubqueryAlias(alias))
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.node(&sort.input),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Sort(sort) => self.first_rows(sort, 0, sort.fetch),
            LogicalPlan::RecursiveQuery(_) => none("a recursion within a recursive term"),
            other => none(format!("{} within a recursive term", other.display())),
        }
    }

    /// The rows of the round before, with their round.
    pub(super) fn scan(&self, scan: &TableScan) -> Outcome<LogicalPlan> {
        let mut fields: Vec<FieldRef> = scan.source.schema().fields().iter().cloned().collect();
        let places = scan.projection.clone();
        let places = places.map(|places| places.into_iter().chain([fields.len()]).collect());
        fields.push(Arc::new(Field::new(ROUND, DataType::Int64, false)));
        let rows = LeafTable {
            schema: Arc::new(arrow::datatypes::Schema::new(fields)),
            fixed: None,
        };
        let source = provider_as_source(Arc::new(rows));
        let scan = TableScanBuilder::new(scan.table_name.clone(), source)
            .with_projection(places)
            .with_filters(scan.filters.clone())
            .build()?;
        Ok(LogicalPlan::TableScan(scan))
    }

    /// Groups are kept apart by round. One without keys would have a row for no rows.
    fn aggregate(&self, aggregate: &Aggregate) -> Outcome<LogicalPlan> {
        let groups = &aggregate.group_expr;
        if groups.is_empty() {
            return none("an aggregate without GROUP BY within a recursive term");
        }
        if let [Expr::GroupingSet(GroupingSet::Rollup(_) | GroupingSet::Cube(_))]
        | [Expr::GroupingSet(GroupingSet::GroupingSets(_))] = groups.as_slice()
        {
            return none("grouping sets within a recursive term");
        }
        let input = self.node(&aggregate.input)?;
        let round = round_of(input.schema())?;
        let schema = with_round(&aggregate.schema, groups.len(), &round)?;
        let groups = groups.iter().cloned().chain([Expr::Column(round)]);
        Ok(LogicalPlan::Aggregate(Aggregate::try_new_with_schema(
            Arc::new(input),
            groups.collect(),
            aggregate.aggr_expr.clone(),
            schema,
        )?))
    }

    /// Partitions are kept apart by round.
    fn window(&self, window: &Window) -> Outcome<LogicalPlan> {
        let input = self.node(&window.input)?;
        let round = Expr::Column(round_of(input.schema())?);
        let first = window.input.schema().fields().len();
        let calls = window.window_expr.iter().enumerate();
        let calls = calls
            .map(|(index, call)| {
                let name = window.schema.field(first + index).name();
                Ok(in_partition(call.clone(), &round)?.alias(name))
            })
            .collect::<Outcome<Vec<_>>>()?;
        Ok(LogicalPlan::Window(Window::try_new(
            calls,
            Arc::new(input),
        )?))
    }

    /// The side that reads the recursion must be one whose rows the output consists of.
    fn join(&self, join: &Join) -> Outcome<LogicalPlan> {
        let sides = (reads(&join.left, self.name), reads(&join.right, self.name));
        let (left, right) = match (sides, join.join_type) {
            ((true, true), _) => return none("the recursion is read twice"),
            (
                (true, false),
                JoinType::Inner
                | JoinType::Left
                | JoinType::LeftSemi
                | JoinType::LeftAnti
                | JoinType::LeftMark,
            ) => (self.node(&join.left)?, fixed(&join.right)?),
            (
                (false, true),
                JoinType::Inner
                | JoinType::Right
                | JoinType::RightSemi
                | JoinType::RightAnti
                | JoinType::RightMark,
            ) => (fixed(&join.left)?, self.node(&join.right)?),
            _ => {
                return none(
                    "the recursion stands on the side of an outer join that may be missing",
                );
            }
        };
        Ok(LogicalPlan::Join(Join::try_new(
            Arc::new(left),
            Arc::new(right),
            join.on.clone(),
            join.filter.clone(),
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?))
    }

    fn unnest(&self, unnest: &Unnest) -> Outcome<LogicalPlan> {
        let input = self.node(&unnest.input)?;
        let (columns, options) = (unnest.exec_columns.clone(), unnest.options.clone());
        let opened =
            LogicalPlanBuilder::from(input).unnest_columns_with_options(columns, options)?;
        Ok(opened.build()?)
    }

    /// The rounds that have rows, each once.
    pub(super) fn rounds(&self) -> Outcome<LogicalPlan> {
        let rows = self.scan(self.rows)?;
        let round = Expr::Column(round_of(rows.schema())?);
        let none: [Expr; 0] = [];
        let rounds = LogicalPlanBuilder::from(rows).aggregate([round], none)?;
        Ok(rounds.build()?)
    }

    /// Whether `plan` reads the recursion.
    pub(super) fn is_read_by(&self, plan: &LogicalPlan) -> bool {
        reads(plan, self.name)
    }

    /// Whether an expression of `plan` has a subquery that reads the recursion.
    fn in_subquery(&self, plan: &LogicalPlan) -> Outcome<bool> {
        let mut found = false;
        plan.apply_subqueries(|subquery| {
            found = found || reads(subquery, self.name);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    }
}

pub(super) fn none<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Stop::NoForm(NoForm::because(reason)))
}

/// `call` within one round.
fn in_partition(call: Expr, round: &Expr) -> Outcome<Expr> {
    match call {
        Expr::Alias(Alias { expr, .. }) => in_partition(*expr, round),
        Expr::WindowFunction(mut call) => {
            call.params.partition_by.push(round.clone());
            Ok(Expr::WindowFunction(call))
        }
        _ => none("a window without a call"),
    }
}

/// `schema` with the round at `place`.
pub(super) fn with_round(schema: &DFSchema, place: usize, round: &Column) -> Outcome<DFSchemaRef> {
    let mut fields: Vec<(Option<TableReference>, FieldRef)> = schema
        .iter()
        .map(|(relation, field)| (relation.cloned(), Arc::clone(field)))
        .collect();
    let field = Arc::new(Field::new(ROUND, DataType::Int64, false));
    fields.insert(place.min(fields.len()), (round.relation.clone(), field));
    let schema = DFSchema::new_with_metadata(fields, schema.metadata().clone())?;
    Ok(Arc::new(schema))
}

/// A scan that stands for `plan`, under its columns' names.
pub(super) fn fixed(plan: &Arc<LogicalPlan>) -> Outcome<LogicalPlan> {
    let table = LeafTable {
        schema: Arc::clone(plan.schema().inner()),
        fixed: Some(Arc::clone(plan)),
    };
    let source = provider_as_source(Arc::new(table));
    let mut scan = TableScanBuilder::new("__lotic_fixed", source).build()?;
    scan.projected_schema = Arc::clone(plan.schema());
    Ok(LogicalPlan::TableScan(scan))
}

/// The scan of the recursion `name` in its term.
fn rows_of(plan: &LogicalPlan, name: &str) -> Outcome<TableScan> {
    let mut found = None;
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && is_work_table(scan)
            && scan.table_name.table() == name
        {
            found = Some(scan.clone());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match found {
        Some(scan) => Ok(scan),
        None => none("the recursion is read in a subquery of its term"),
    }
}

/// Whether `plan` reads the rows of the recursion `name` that is defined around it.
fn reads(plan: &LogicalPlan, name: &str) -> bool {
    let here = match plan {
        LogicalPlan::TableScan(scan) => is_work_table(scan) && scan.table_name.table() == name,
        // What has the name within a recursion of the same name is another.
        LogicalPlan::RecursiveQuery(query) => {
            let hidden = query.name == name;
            return reads(&query.static_term, name)
                || (!hidden && reads(&query.recursive_term, name));
        }
        other => other.inputs().into_iter().any(|input| reads(input, name)),
    };
    let mut found = here;
    let walked = plan.apply_subqueries(|subquery| {
        found = found || reads(subquery, name);
        Ok(TreeNodeRecursion::Continue)
    });
    found || walked.is_err()
}

/// Whether `scan` reads the rows that a recursion made in the round before.
pub(super) fn is_work_table(scan: &TableScan) -> bool {
    source_as_provider(&scan.source)
        .is_ok_and(|provider| (provider.as_ref() as &dyn Any).is::<CteWorkTable>())
}

/// A leaf of a term: a place in a plan, never scanned.
#[derive(Debug)]
struct LeafTable {
    schema: SchemaRef,
    /// `None`: the rows of the round before.
    fixed: Option<Arc<LogicalPlan>>,
}

#[async_trait]
impl TableProvider for LeafTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        None
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        Err(Error::internal("a leaf of a recursive term was run").into())
    }
}
