//! CHECK MATERIALIZED VIEW: the model's query in batch over one pinned world, against its rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;

use super::instance::{Lotic, blocking};
use super::plan::{Planner, Purpose, query_of};
use super::world::World;
use crate::base::{Error, Result};
use crate::catalog::{Definition, Object};
use crate::planner::{context, lookup, lower};
use crate::zset::{Delta, differences};

impl Lotic {
    /// The rows in which a model and its query differ, with `_difference`: how many copies the
    /// model has too many (or, negative, too few). No rows means they are equal, or that [`Self::not_compared`] says why
    /// they are not compared.
    ///
    /// # Errors
    /// When there is no such model, or its query fails as a whole.
    pub(super) async fn check_model(
        self: &Arc<Self>,
        world: &Arc<World>,
        name: &str,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let object = world.catalog.get(name)?;
        let Definition::Model { query, options } = &object.definition else {
            return Err(Error::invalid(format!(
                "\"{name}\" is a {}, not a materialized view",
                object.relation().words()
            )));
        };
        let schema = difference_schema(object);
        if !self.is_comparable(world, query).await? {
            return Ok((schema, Vec::new()));
        }
        let Some(held) = world.snapshot(object.id).cloned() else {
            // computed when read: there is nothing that could differ
            return Ok((schema, Vec::new()));
        };
        let run = if options.emit_on_close {
            self.closed_rows(world, query).await?
        } else {
            self.batch_rows(world, query).await?
        };
        let batch = run.batches;
        let types = Arc::clone(&object.schema);
        let differing = blocking(move || {
            let fresh = batch
                .into_iter()
                .map(|batch| Ok(Delta::inserts(with_schema(&batch, &types)?)))
                .collect::<Result<Vec<_>>>()?;
            let kept: Vec<Delta> = held.batches()?.into_iter().map(Delta::inserts).collect();
            differences(&kept, &fresh)
        })
        .await?;
        let rows = differing
            .iter()
            .map(|delta| with_difference(delta, &schema))
            .collect::<Result<Vec<_>>>()?;
        Ok((schema, rows))
    }

    /// Whether a model of `query` is what the query gives over the tables as they are: not where it looks a table up as
    /// of PROCTIME(), because what it gave out stays as it was then.
    ///
    /// # Errors
    /// When the query has no plan.
    async fn is_comparable(self: &Arc<Self>, world: &Arc<World>, query: &str) -> Result<bool> {
        let (_, optimised) = self.plan_shape(world, query_of(query)?).await?;
        Ok(!lookup::has_lookup(&optimised))
    }

    /// What CHECK says of a model that cannot be compared; none for others.
    ///
    /// # Errors
    /// When there is no such model, or its query has no plan.
    pub(super) async fn not_compared(
        self: &Arc<Self>,
        world: &Arc<World>,
        name: &str,
    ) -> Result<Option<String>> {
        match &world.catalog.get(name)?.definition {
            Definition::Model { query, .. } if !self.is_comparable(world, query).await? => {
                Ok(Some(format!(
                    "model \"{name}\" was not compared: it joins FOR SYSTEM_TIME AS OF PROCTIME(), and what it gave \
                     out stays as it was then, whatever its query gives now"
                )))
            }
            _ => Ok(None),
        }
    }

    /// As [`Self::batch_rows_at`], at the moment of the world.
    pub(super) async fn batch_rows(
        self: &Arc<Self>,
        world: &Arc<World>,
        query: &str,
    ) -> Result<lower::BatchRun> {
        self.batch_rows_at(world, query, world.now_us).await
    }

    /// As [`Self::batch_rows`], of a model that emits on window close: what is closed by the watermarks of the world.
    async fn closed_rows(
        self: &Arc<Self>,
        world: &Arc<World>,
        query: &str,
    ) -> Result<lower::BatchRun> {
        let planned = Planner::new(self, world, Purpose::Batch)
            .plan_text(query)
            .await?;
        let optimised = context::optimize(&planned.state, planned.plan)?;
        let optimised = lower::closed_at(
            &optimised,
            &self.resolver(world),
            &world.watermarks,
            planned.state.execution_props(),
        )?;
        let optimised = lower::at_moment(&optimised, world.now_us)?;
        self.run_optimised(planned.state, optimised).await
    }

    async fn run_optimised(
        &self,
        state: SessionState,
        optimised: LogicalPlan,
    ) -> Result<lower::BatchRun> {
        let task = self
            .queries()
            .spawn(async move { lower::run_batch(&state, &optimised).await });
        task.await
            .map_err(|error| Error::internal(error.to_string()))?
    }

    /// The rows of a model's query, computed by DataFusion; a row whose expressions fail is left
    /// out, as the model leaves it out. `now_us` is what `now()` is.
    pub(super) async fn batch_rows_at(
        self: &Arc<Self>,
        world: &Arc<World>,
        query: &str,
        now_us: i64,
    ) -> Result<lower::BatchRun> {
        let planned = Planner::new(self, world, Purpose::Batch)
            .at(now_us)
            .plan_text(query)
            .await?;
        let optimised = context::optimize(&planned.state, planned.plan)?;
        let optimised = lower::at_moment(&optimised, now_us)?;
        self.run_optimised(planned.state, optimised).await
    }
}

/// The columns of a model and `_difference`.
pub(super) fn difference_schema(object: &Object) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = object.schema.fields().iter().map(Arc::clone).collect();
    fields.push(Arc::new(Field::new("_difference", DataType::Int64, false)));
    Arc::new(Schema::new(fields))
}

fn with_difference(delta: &Delta, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = delta.batch().columns().to_vec();
    let weights = (0..delta.rows()).map(|row| delta.weight(row));
    columns.push(Arc::new(Int64Array::from_iter_values(weights)));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The same columns under the model's names and nullability.
pub(super) fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| super::values::strict_cast(column, field.data_type()))
        .collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// One line a model: its name and how many rows differ; none where its query fails.
pub(super) fn summary(lines: &[(String, Option<usize>)]) -> Result<RecordBatch> {
    let names: StringViewArray = lines.iter().map(|(name, _)| Some(name.as_str())).collect();
    let counts: Int64Array = lines
        .iter()
        .map(|(_, differing)| differing.map(|n| i64::try_from(n).unwrap_or(i64::MAX)))
        .collect();
    Ok(RecordBatch::try_new(
        summary_schema(),
        vec![Arc::new(names), Arc::new(counts)],
    )?)
}

/// The columns of [`summary`].
pub(super) fn summary_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("model", DataType::Utf8View, false),
        Field::new("differing_rows", DataType::Int64, true),
    ]))
}
