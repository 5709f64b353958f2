//! Building a model: plan, lower, fill from one pinned world, catch up, follow.
//!
//! The fill runs beside the driver, which keeps what the inputs get meanwhile. The model joins at
//! an epoch boundary, so it neither stalls the others nor starves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast;

use super::filling::Filling;
use super::instance::{Lotic, blocking};
use super::model::{Model, ModelSeams};
use super::plan::{Planned, Planner, Purpose, query_of};
use super::world::World;
use crate::base::{CancelFlag, Error, Kind, ObjectId, Result};
use crate::catalog::{Catalog, Definition, Object};
use crate::models::Collection;
use crate::planner::context;
use crate::planner::lower::{self, Bound, Bounds, DataFusionEvaluators, Lowered, Resolved};
use crate::planner::prepass;
use crate::zset::Delta;

/// What is known of a model from its plan.
#[derive(Clone)]
pub(crate) struct ModelFacts {
    /// For the plans of models that read it.
    resolved: Resolved,
    /// The sources whose watermark it acts on.
    pub(super) clocks: Vec<ObjectId>,
}

impl ModelFacts {
    fn of(id: ObjectId, lowered: &Lowered) -> Self {
        Self {
            resolved: Resolved {
                id,
                append_only: lowered.dataflow.is_append_only(),
                bounds: lowered.bounds.clone(),
            },
            clocks: lowered.dataflow.clocks().to_vec(),
        }
    }
}

impl Lotic {
    /// The optimised plan of a model's query, and what it reads.
    pub(super) async fn plan_model(
        self: &Arc<Self>,
        world: &Arc<World>,
        query: ast::Query,
    ) -> Result<(Planned, LogicalPlan)> {
        let shape = self.plan_shape(world, query).await?;
        prepass::check_model_plan(&shape.0.plan)?;
        lower::refuse_unstable(&shape.1)?;
        Ok(shape)
    }

    /// The optimised plan of a query by the rules of models.
    pub(super) async fn plan_shape(
        self: &Arc<Self>,
        world: &Arc<World>,
        query: ast::Query,
    ) -> Result<(Planned, LogicalPlan)> {
        let planned = Planner::new(self, world, Purpose::Shape)
            .plan(query)
            .await?;
        let optimised = context::optimize(&planned.state, planned.plan.clone())?;
        Ok((planned, optimised))
    }

    /// The dataflow of a model.
    pub(super) fn lower_model(
        &self,
        world: &World,
        planned: &Planned,
        optimised: &LogicalPlan,
        emit_on_close: bool,
    ) -> Result<Lowered> {
        let resolve = self.resolver(world);
        let evaluators = DataFusionEvaluators::new(&planned.state);
        if emit_on_close {
            lower::lower_on_close(optimised, &resolve, &evaluators)
        } else {
            lower::lower(optimised, &resolve, &evaluators)
        }
    }

    /// Refuses a model that emits on window close and has no window that closes.
    pub(super) async fn check_closes(self: &Arc<Self>, object: &Object) -> Result<()> {
        let Definition::Model { query, options } = &object.definition else {
            return Ok(());
        };
        if !options.emit_on_close {
            return Ok(());
        }
        let world = self.world();
        let (planned, optimised) = self.plan_model(&world, query_of(query)?).await?;
        self.lower_model(&world, &planned, &optimised, true)
            .map(drop)
    }

    /// What plans are told of the relations that they read.
    pub(super) fn resolver(
        &self,
        world: &World,
    ) -> impl Fn(&TableReference) -> Option<Resolved> + use<> {
        let catalog = Arc::clone(&world.catalog);
        let facts = self.model_facts.lock().clone();
        move |table: &TableReference| {
            let object = catalog.find(table.table())?;
            if let Some(facts) = facts.get(&object.id) {
                return Some(facts.resolved.clone());
            }
            let mut bounds = Bounds::new();
            if let Some(watermark) = object.watermark()
                && let Some(field) = object.schema.fields().get(watermark.column)
            {
                bounds.resize(watermark.column, None);
                bounds.push(Some(Bound::of_source(object.id, field.data_type())));
            }
            Some(Resolved {
                id: object.id,
                // nothing ever goes from a stream, nor do its rows change
                append_only: matches!(object.definition, Definition::Stream { .. }),
                bounds,
            })
        }
    }

    /// Fills a model and lets it follow. Its definition is in the catalog already, or comes with
    /// `publish` at the same epoch.
    ///
    /// # Errors
    /// When the query cannot be planned or its first run fails; nothing is left behind then.
    pub(super) async fn start_model(self: &Arc<Self>, object: &Object) -> Result<()> {
        self.fill_model(object, None, &CancelFlag::new()).await
    }

    /// As [`Self::start_model`], with a catalog to publish in the epoch in which the model appears. It ends with 57014
    /// once `stop` is raised.
    pub(super) async fn fill_model(
        self: &Arc<Self>,
        object: &Object,
        publish: Option<Arc<Catalog>>,
        stop: &CancelFlag,
    ) -> Result<()> {
        let Definition::Model { query, options } = &object.definition else {
            return Err(Error::internal("only a model can be filled"));
        };
        let mut filling = Filling::begin(self, object.id, &object.name, stop);
        let world = self.world();
        let (planned, optimised) = self.plan_model(&world, query_of(query)?).await?;
        check_inputs(&world, &planned.reads)?;
        self.load_inputs(&world, &planned.reads).await?;
        let lowered = self.lower_model(&world, &planned, &optimised, options.emit_on_close)?;
        let facts = ModelFacts::of(object.id, &lowered);
        let inputs: Vec<ObjectId> = lowered.sources.iter().map(|(id, _)| *id).collect();
        let (id, watched) = (object.id, inputs.clone());
        filling.open();
        let pinned = self
            .driver()
            .run(move |driver| {
                driver.catch_up();
                driver.begin_building(id, watched);
                driver.current_world()
            })
            .await?;
        let mut model = Model::new(
            lowered.dataflow,
            inputs.clone(),
            // most models over streams only grow, and one that does not makes its index then
            Collection::append_only(Arc::clone(&object.schema)),
            options.clone(),
            ModelSeams {
                clock: Arc::clone(&self.options().clock),
                memory_bytes: self.options().model_memory_bytes,
                all_models: Arc::clone(&self.all_models),
                stop: stop.clone(),
                progress: Arc::clone(&filling.progress),
            },
        );
        let filled = blocking(move || {
            let input = first_input(&pinned, &inputs)?;
            model.step(&input, &pinned.moment(), true)?;
            Ok(model)
        })
        .await;
        let filled = filled.and_then(|model| stop.take_effect().map(|()| model));
        // before anybody sees the model
        self.model_facts.lock().insert(id, facts);
        let finished = self
            .driver()
            .run(move |driver| match filled {
                Ok(model) => {
                    driver.finish_building(id, model)?;
                    let catalog = publish.unwrap_or_else(|| driver.current_catalog());
                    driver.set_catalog(catalog, &[id]);
                    Ok(())
                }
                Err(error) => {
                    driver.abandon_building(id);
                    Err(error)
                }
            })
            .await?;
        filling.finish();
        if finished.is_err() {
            self.model_facts.lock().remove(&id);
        }
        finished
    }

    /// Reads what a model needs from sources other than Parquet and Arrow files into memory, so that
    /// a batch run reads each of them once, and knows how large it is. Gives the world with them.
    pub(super) async fn hold_text_sources(
        self: &Arc<Self>,
        world: &Arc<World>,
        query: &str,
    ) -> Result<Arc<World>> {
        let planned = Planner::new(self, world, Purpose::Shape)
            .plan_text(query)
            .await?;
        for id in &planned.reads {
            if world.snapshot(*id).is_some() {
                continue;
            }
            if let Some(object) = world.catalog.by_id(*id)
                && !super::source::knows_its_size(object)
            {
                self.load_bounded(object).await?;
            }
        }
        Ok(self.world())
    }

    /// Loads the bounded sources that a model reads, so that it can follow their changes.
    async fn load_inputs(
        self: &Arc<Self>,
        world: &Arc<World>,
        reads: &BTreeSet<ObjectId>,
    ) -> Result<()> {
        for id in reads {
            if world.snapshot(*id).is_some() {
                continue;
            }
            if let Some(object) = world.catalog.by_id(*id) {
                self.load_bounded(object).await?;
            }
        }
        Ok(())
    }
}

/// Refuses a model that reads one that has failed: its rows do not change any more.
fn check_inputs(world: &World, reads: &BTreeSet<ObjectId>) -> Result<()> {
    let failed = reads.iter().find_map(|id| {
        let failure = world.contents.get(id)?.health.failure.as_ref()?;
        Some((world.catalog.by_id(*id)?, failure))
    });
    match failed {
        Some((input, failure)) => Err(stopped_input(&input.name, failure)),
        None => Ok(()),
    }
}

/// A model cannot follow `input`, which has stopped with `failure`.
pub(super) fn stopped_input(input: &str, failure: &Error) -> Error {
    let text = format!("its input \"{input}\" failed, so that nothing can follow it");
    Error::new(Kind::Unavailable, "55000", text)
        .with_detail(format!("It stopped with: {}", failure.message()))
        .with_hint(format!(
            "drop \"{input}\" and make it again: it starts with what there is then"
        ))
}

/// Everything that the inputs hold, as additions.
pub(super) fn first_input(
    world: &World,
    inputs: &[ObjectId],
) -> Result<BTreeMap<ObjectId, Vec<Delta>>> {
    let mut all = BTreeMap::new();
    for input in inputs {
        let Some(snapshot) = world.snapshot(*input) else {
            return Err(Error::internal("an input of the model is not loaded"));
        };
        let deltas: Vec<Delta> = snapshot
            .batches()?
            .into_iter()
            .map(Delta::inserts)
            .collect();
        if !deltas.is_empty() {
            all.insert(*input, deltas);
        }
    }
    Ok(all)
}
