//! Figures of the engine for monitors and the command line.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::instance::Lotic;
use crate::base::{Error, Result};
use crate::catalog::Definition;

/// One figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it counts, as in `rows`.
    pub name: &'static str,
    /// The object that it is of, if any.
    pub object: Option<String>,
    /// The value.
    pub value: u64,
}

/// The rows of a model, computed in batch.
#[derive(Clone, Debug)]
pub struct ModelRows {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Rows that failed in an expression and are left out.
    pub failed_rows: u64,
}

impl Lotic {
    /// Figures of the newest epoch.
    pub fn figures(&self) -> Vec<Figure> {
        let world = self.world();
        let engine = [("epoch", world.epoch.0), ("epochs_us", world.epochs_us)];
        let engine = engine.map(|(name, value)| Figure {
            name,
            object: None,
            value,
        });
        let mut figures = engine.to_vec();
        for object in world.catalog.objects() {
            let Some(content) = world.contents.get(&object.id) else {
                continue;
            };
            let mut add = |name, value| {
                figures.push(Figure {
                    name,
                    object: Some(object.name.clone()),
                    value,
                });
            };
            add("rows", content.snapshot.rows() as u64);
            add("bytes", content.snapshot.bytes() as u64);
            if matches!(object.definition, Definition::Model { .. }) {
                let health = &content.health;
                add("model_up", u64::from(health.failure.is_none()));
                add("model_step_us", health.step_us);
                add(
                    "model_error_rows",
                    health.failed_rows.count().unsigned_abs(),
                );
                if let Some(sample) = self.samples.of(object.id) {
                    add("model_checks", sample.checks);
                    add("model_failed_checks", sample.failed);
                    add("model_differing_rows", sample.differing_rows);
                }
            }
            add("quarantined", self.quarantine().count(&object.name));
            if object.watermark().is_some() {
                add("late_rows", self.quarantine().late(&object.name));
            }
        }
        figures
    }

    /// Rows that are held in memory, tables and models together.
    pub fn rows_held(&self) -> u64 {
        self.world()
            .contents
            .values()
            .map(|content| content.snapshot.rows() as u64)
            .sum()
    }

    /// The names of all models, in the order of their making.
    pub fn model_names(&self) -> Vec<String> {
        let world = self.world();
        let models = world
            .catalog
            .objects()
            .filter(|object| matches!(object.definition, Definition::Model { .. }));
        models.map(|object| object.name.clone()).collect()
    }

    /// How many rows of a maintained model differ from its query.
    ///
    /// # Errors
    /// When there is no such model or its query fails.
    pub async fn count_differences(self: &Arc<Self>, name: &str) -> Result<usize> {
        let world = self.world();
        let (_, batches) = self.check_model(&world, name).await?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    }

    /// Why a model cannot be compared with its query; none where it can be.
    ///
    /// # Errors
    /// When there is no such model or its query has no plan.
    pub async fn why_not_compared(self: &Arc<Self>, name: &str) -> Result<Option<String>> {
        let world = self.world();
        self.not_compared(&world, name).await
    }

    /// Computes a model in batch and keeps its rows for the models that read it.
    ///
    /// # Errors
    /// When there is no such model or its query fails.
    pub async fn compute_model(self: &Arc<Self>, name: &str) -> Result<ModelRows> {
        let world = self.world();
        let object = world.catalog.get(name)?.clone();
        let Definition::Model { query, .. } = &object.definition else {
            return Err(Error::invalid(format!(
                "\"{name}\" is not a materialized view"
            )));
        };
        let world = self.hold_text_sources(&world, query).await?;
        let run = self.batch_rows(&world, query).await?;
        let batches = run
            .batches
            .iter()
            .map(|batch| super::check::with_schema(batch, &object.schema))
            .collect::<Result<Vec<_>>>()?;
        let kept = batches.clone();
        self.driver()
            .run(move |driver| driver.hold_result(&object, kept))
            .await?;
        let schema = Arc::clone(&world.catalog.get(name)?.schema);
        Ok(ModelRows {
            schema,
            batches,
            failed_rows: run.failed_rows,
        })
    }
}
