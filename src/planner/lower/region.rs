//! The smallest part of a plan that DataFusion evaluates as a whole: one node, or the few that only make
//! sense together, over placeholders for what lies below.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::rounds::is_work_table;
use crate::base::{Error, Result};

/// A plan over placeholders and the plans that the placeholders stand for, in order.
pub(super) struct Region {
    /// The plan; placeholder `i` scans input `i`.
    pub(super) plan: LogicalPlan,
    /// What lies below the region.
    pub(super) inputs: Vec<LogicalPlan>,
    /// The nodes of the region below its root, each with its depth below the root.
    pub(super) inner: Vec<(usize, LogicalPlan)>,
}

/// The region whose root is `plan`.
pub(super) fn region_of(plan: &LogicalPlan) -> Result<Region> {
    let mut cut = Cut {
        inputs: Vec::new(),
        inner: Vec::new(),
    };
    let plan = cut.keep(plan.clone(), 0)?;
    Ok(Region {
        plan,
        inputs: cut.inputs,
        inner: cut.inner,
    })
}

struct Cut {
    inputs: Vec<LogicalPlan>,
    inner: Vec<(usize, LogicalPlan)>,
}

impl Cut {
    /// Keeps `plan` in the region, with placeholders for what it need not hold.
    fn keep(&mut self, plan: LogicalPlan, depth: usize) -> Result<LogicalPlan, DataFusionError> {
        let kept = children_to_keep(&plan);
        let mut child = 0;
        let plan = plan
            .map_subqueries(|subquery| self.cut_subquery(subquery))?
            .data;
        let plan = plan.map_children(|input| {
            let keep = kept.contains(&child);
            child += 1;
            if keep {
                self.inner.push((depth + 1, input.clone()));
                Ok(Transformed::yes(self.keep(input, depth + 1)?))
            } else {
                Ok(Transformed::yes(self.placeholder(input)))
            }
        })?;
        Ok(plan.data)
    }

    fn cut_subquery(
        &mut self,
        plan: LogicalPlan,
    ) -> Result<Transformed<LogicalPlan>, DataFusionError> {
        let LogicalPlan::Subquery(subquery) = plan else {
            return Ok(Transformed::no(plan));
        };
        if !subquery.outer_ref_columns.is_empty() {
            return Err(
                Error::unsupported("this correlated subquery has no form as a join")
                    .with_hint("write it as a join or as a window function")
                    .into(),
            );
        }
        let Subquery {
            subquery,
            outer_ref_columns,
            spans,
        } = subquery;
        let inner = self.placeholder(Arc::unwrap_or_clone(subquery));
        Ok(Transformed::yes(LogicalPlan::Subquery(Subquery {
            subquery: Arc::new(inner),
            outer_ref_columns,
            spans,
        })))
    }

    fn placeholder(&mut self, plan: LogicalPlan) -> LogicalPlan {
        let index = self.inputs.len();
        let schema = Arc::clone(plan.schema());
        let provider = Placeholder {
            index,
            schema: Arc::clone(schema.inner()),
            rows: Vec::new(),
        };
        self.inputs.push(plan);
        LogicalPlan::TableScan(TableScan {
            table_name: TableReference::bare(format!("__lotic_input_{index}")),
            source: provider_as_source(Arc::new(provider)),
            projection: None,
            projected_schema: schema,
            filters: Vec::new(),
            fetch: None,
            statistics_requests: BTreeSet::new(),
        })
    }
}

/// The positions of the children that mean something else when they are cut off.
fn children_to_keep(plan: &LogicalPlan) -> Vec<usize> {
    // The order in which rows arrive is lost below an operator, and LIMIT is about that order.
    let ordered = matches!(
        plan,
        LogicalPlan::Limit(_) | LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_)
    );
    let keep = |input: &&LogicalPlan| {
        // A term that reads the recursion's own rows changes with every round.
        (ordered && leads_to_sort(input)) || reads_open_recursion(input, &mut Vec::new())
    };
    let inputs = plan.inputs();
    inputs
        .iter()
        .enumerate()
        .filter(|(_, input)| keep(input))
        .map(|(position, _)| position)
        .collect()
}

/// Whether the rows of `plan` come in the order of a Sort.
pub(super) fn leads_to_sort(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(sort) => sort.fetch.is_none(),
        LogicalPlan::Projection(projection) => leads_to_sort(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => leads_to_sort(&alias.input),
        _ => false,
    }
}

/// Whether `plan` scans the rows of a recursion that is defined around it.
fn reads_open_recursion(plan: &LogicalPlan, closed: &mut Vec<String>) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => {
            is_work_table(scan) && !closed.iter().any(|name| name == scan.table_name.table())
        }
        LogicalPlan::RecursiveQuery(query) => {
            if reads_open_recursion(&query.static_term, closed) {
                return true;
            }
            closed.push(query.name.clone());
            let reads = reads_open_recursion(&query.recursive_term, closed);
            closed.pop();
            reads
        }
        other => other
            .inputs()
            .into_iter()
            .any(|input| reads_open_recursion(input, closed)),
    }
}

/// A table whose rows are given at each evaluation.
#[derive(Debug)]
struct Placeholder {
    index: usize,
    schema: SchemaRef,
    rows: Vec<RecordBatch>,
}

#[async_trait]
impl TableProvider for Placeholder {
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
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let plan = MemorySourceConfig::try_new_exec(
            std::slice::from_ref(&self.rows),
            Arc::clone(&self.schema),
            projection.cloned(),
        )?;
        Ok(plan)
    }
}

/// `plan` with `inputs` as the rows of its placeholders.
pub(super) fn bind(plan: &LogicalPlan, inputs: &[Vec<RecordBatch>]) -> Result<LogicalPlan> {
    let bound = plan.clone().transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else {
            return Ok(Transformed::no(node));
        };
        let rows = {
            let provider = source_as_provider(&scan.source)?;
            match (provider.as_ref() as &dyn Any).downcast_ref::<Placeholder>() {
                None => None,
                Some(placeholder) => Some(Placeholder {
                    index: placeholder.index,
                    schema: Arc::clone(&placeholder.schema),
                    rows: rows_of(inputs, placeholder)?,
                }),
            }
        };
        let Some(rows) = rows else {
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        scan.source = provider_as_source(Arc::new(rows));
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok(bound.data)
}

fn rows_of(
    inputs: &[Vec<RecordBatch>],
    placeholder: &Placeholder,
) -> Result<Vec<RecordBatch>, DataFusionError> {
    let batches = inputs.get(placeholder.index).ok_or_else(|| {
        Error::internal(format!(
            "input {} of a recomputed node is missing",
            placeholder.index
        ))
    })?;
    // The planner's schema may carry metadata that the rows lack; the types are the same.
    batches
        .iter()
        .map(|batch| Ok(batch.clone().with_schema(Arc::clone(&placeholder.schema))?))
        .collect()
}
