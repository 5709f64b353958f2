//! From a parsed query to a plan over one pinned world.
//!
//! Each statement sees a catalog of just the relations that it names, built for it: tables and
//! models as snapshots of the pinned world, bounded sources in place, views as their plans.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, TableProvider,
};
use datafusion::datasource::ViewTable;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast;

use super::check::with_schema;
use super::instance::Lotic;
use super::source;
use super::system;
use super::topic_table::TopicTable;
use super::world::World;
use crate::base::{Error, Kind, ObjectId, Result};
use crate::catalog::{Definition, Object, Relation};
use crate::models::{Snapshot, SnapshotTable};
use crate::planner::context::{self, ContextOptions, ModelMemory, PlanFor};
use crate::planner::parse::{self, Name, Statement};
use crate::planner::prepass;
use crate::planner::stack::{on_big_stack, poll_on_big_stack};

/// What a query is planned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To run once over the pinned world.
    Read,
    /// As `Read`, by the rules of models: what a model must be equal to.
    Batch,
    /// To become a model: only shapes matter, no rows are read.
    Shape,
}

/// A query that is ready to run.
pub(crate) struct Planned {
    /// The session that planned it.
    pub(crate) state: SessionState,
    /// Before DataFusion's optimizer.
    pub(crate) plan: LogicalPlan,
    /// Everything that it reads, views followed to what they read.
    pub(crate) reads: BTreeSet<ObjectId>,
    /// The objects that it names itself.
    pub(crate) direct: Vec<ObjectId>,
}

impl Planned {
    /// The columns of the result, under the names that the user wrote.
    pub(crate) fn schema(&self) -> SchemaRef {
        prepass::restore_names(self.plan.schema().as_arrow())
    }
}

impl Planned {
    /// As [`Self::schema`], with the types that rows will have once both sides of a UNION and of
    /// every comparison have been brought to one type.
    ///
    /// # Errors
    /// When the types do not go together.
    pub(crate) fn analysed_schema(&self) -> Result<SchemaRef> {
        let options = self.state.config_options();
        let plan = self.plan.clone();
        let analysed = on_big_stack(|| {
            self.state
                .analyzer()
                .execute_and_check(plan, options, |_, _| {})
        })?;
        Ok(prepass::restore_names(analysed.schema().as_arrow()))
    }
}

/// Plans queries over one world.
pub(crate) struct Planner {
    lotic: Arc<Lotic>,
    world: Arc<World>,
    purpose: Purpose,
    /// What `now()` is for a model that is computed, in microseconds since 1970.
    now_us: i64,
    /// How many partitions its operators may use.
    partitions: usize,
    /// Made by the first session and shared by those of views.
    runtime: OnceLock<Arc<RuntimeEnv>>,
    /// How many views stand around the query, at most `MAX_VIEWS`.
    nesting: usize,
}

/// The deepest nesting of views on views.
const MAX_VIEWS: usize = 64;

impl Planner {
    /// A planner over `world`.
    pub(crate) fn new(lotic: &Arc<Lotic>, world: &Arc<World>, purpose: Purpose) -> Self {
        Self {
            lotic: Arc::clone(lotic),
            world: Arc::clone(world),
            purpose,
            now_us: match purpose {
                Purpose::Read => lotic.options().clock.now_us(),
                Purpose::Batch | Purpose::Shape => world.now_us,
            },
            partitions: lotic.options().threads,
            runtime: OnceLock::new(),
            nesting: 0,
        }
    }

    /// For models as they are at another moment than the world's.
    pub(crate) fn at(mut self, now_us: i64) -> Self {
        self.now_us = now_us;
        self
    }

    /// For rows whose order is kept from what is read to the result.
    pub(crate) fn in_order(mut self) -> Self {
        self.partitions = 1;
        self
    }

    /// A planner for the view `name` in the query of this one.
    fn of_view(&self, name: &str) -> Result<Self> {
        // What is being made is going to be read: it is one of the views then.
        let around = self.nesting + usize::from(self.purpose == Purpose::Shape);
        if around >= MAX_VIEWS {
            return Err(parse::too_deep()
                .at(format!("view \"{name}\""))
                .with_hint(format!(
                    "views nest more than {MAX_VIEWS} deep: make one of them a materialized view"
                )));
        }
        Ok(Self {
            lotic: Arc::clone(&self.lotic),
            world: Arc::clone(&self.world),
            purpose: self.purpose,
            now_us: self.now_us,
            partitions: self.partitions,
            runtime: self.runtime.clone(),
            nesting: self.nesting + 1,
        })
    }

    /// The plan of the query in `text`.
    ///
    /// # Errors
    /// When it does not parse or names what is not there.
    pub(crate) async fn plan_text(&self, text: &str) -> Result<Planned> {
        self.plan(query_of(text)?).await
    }

    /// The plan of `query`.
    ///
    /// # Errors
    /// When it names what is not there or DataFusion cannot plan it.
    pub(crate) async fn plan(&self, mut query: ast::Query) -> Result<Planned> {
        let names = prepass::prepare_query(&mut query)?;
        let mut reads = BTreeSet::new();
        let state = self.state_for(&names.relations, &mut reads).await?;
        let plan = context::plan_query(&state, &query).await?;
        context::check_size(&plan)?;
        let direct = names
            .relations
            .iter()
            .filter(|name| {
                name.schema
                    .as_deref()
                    .is_none_or(|schema| schema == "public")
            })
            .filter_map(|name| self.world.catalog.find(&name.name))
            .map(|object| object.id)
            .collect();
        Ok(Planned {
            state,
            plan,
            reads,
            direct,
        })
    }

    /// A session whose catalog holds `names` and nothing else.
    pub(crate) async fn state_for(
        &self,
        names: &BTreeSet<Name>,
        reads: &mut BTreeSet<ObjectId>,
    ) -> Result<SessionState> {
        let catalog = Arc::new(MemoryCatalogProvider::new());
        for name in ["public", "lotic", "topics", "pg_catalog"] {
            catalog.register_schema(name, Arc::new(MemorySchemaProvider::new()))?;
        }
        let options = self.lotic.options();
        let memory_bytes = options.statement_memory_bytes;
        let (plan_for, memory_pool): (_, Option<Arc<dyn MemoryPool>>) = match self.purpose {
            Purpose::Read => (PlanFor::Query, None),
            Purpose::Batch | Purpose::Shape => (
                PlanFor::Model,
                Some(Arc::new(ModelMemory::new(options.model_memory_bytes))),
            ),
        };
        let mut state = context::session_state(&ContextOptions {
            memory_bytes,
            memory_pool,
            target_partitions: self.partitions,
            plan_for,
            runtime: self.runtime.get().map(Arc::clone),
            ..self.lotic.functions().options(Arc::clone(&catalog) as _)
        })?;
        self.runtime.get_or_init(|| Arc::clone(state.runtime_env()));
        if self.purpose == Purpose::Read {
            // now() is the start of the statement
            let start = chrono::DateTime::from_timestamp_micros(self.now_us);
            state.execution_props_mut().query_execution_start_time = start;
        }
        for name in names {
            let schema_name = name.schema.as_deref().unwrap_or("public");
            if schema_name == "information_schema" {
                self.register_all(&catalog).await?;
                continue;
            }
            let Some(schema) = catalog.schema(schema_name) else {
                return Err(Error::no_relation(format!("{schema_name}.{}", name.name)));
            };
            if schema.table_exist(&name.name) {
                continue;
            }
            let table = Box::pin(self.table(&state, schema_name, &name.name, reads)).await?;
            if let Some(table) = table {
                schema.register_table(name.name.clone(), table)?;
            }
        }
        Ok(state)
    }

    /// Every object by shape alone, for `information_schema`.
    async fn register_all(&self, catalog: &Arc<MemoryCatalogProvider>) -> Result<()> {
        let Some(public) = catalog.schema("public") else {
            return Ok(());
        };
        for object in self
            .world
            .catalog
            .objects()
            .filter(|object| object.is_readable())
        {
            if !public.table_exist(&object.name) {
                let empty = Snapshot::empty(Arc::clone(&object.schema));
                public.register_table(
                    object.name.clone(),
                    Arc::new(SnapshotTable::new(Arc::new(empty))),
                )?;
            }
        }
        tokio::task::consume_budget().await;
        Ok(())
    }

    async fn table(
        &self,
        state: &SessionState,
        schema: &str,
        name: &str,
        reads: &mut BTreeSet<ObjectId>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        match schema {
            "public" => {
                let Some(object) = self.world.catalog.find(name) else {
                    return Ok(None);
                };
                if !object.is_readable() {
                    return Err(not_readable(object));
                }
                Ok(Some(self.object_table(state, object, reads).await?))
            }
            "lotic" => {
                let snapshot = system::snapshot(name, &self.lotic, &self.world)?;
                Ok(snapshot.map(|rows| Arc::new(SnapshotTable::new(Arc::new(rows))) as _))
            }
            "topics" => {
                let Some(object) = self.world.catalog.find(name) else {
                    return Ok(None);
                };
                let Some(writer) = self.lotic.writer(object.id) else {
                    return Ok(None);
                };
                let Some(topic) = writer.topic() else {
                    return Ok(None);
                };
                Ok(Some(Arc::new(TopicTable::new(
                    Arc::clone(topic),
                    &object.schema,
                ))))
            }
            _ => Ok(None),
        }
    }

    /// The rows of one object as a table.
    async fn object_table(
        &self,
        state: &SessionState,
        object: &Object,
        reads: &mut BTreeSet<ObjectId>,
    ) -> Result<Arc<dyn TableProvider>> {
        let held = self.world.snapshot(object.id).is_some();
        match &object.definition {
            Definition::View { query } => {
                let views = self.of_view(&object.name)?;
                // a future within a future a view: the worker's own stack would not hold them
                let planned = poll_on_big_stack(views.plan_text(query)).await?;
                reads.extend(planned.reads);
                return Ok(Arc::new(ViewTable::new(planned.plan, None)));
            }
            // where models are not maintained, one that is not held is computed when it is read,
            // by the rule that a failing row is left out, which a view would not keep
            Definition::Model { query, .. } if !held && self.purpose != Purpose::Shape => {
                let run =
                    Box::pin(self.lotic.batch_rows_at(&self.world, query, self.now_us)).await?;
                let batches = run
                    .batches
                    .iter()
                    .map(|batch| with_schema(batch, &object.schema))
                    .collect::<Result<Vec<_>>>()?;
                let rows = Snapshot::from_batches(Arc::clone(&object.schema), batches);
                return Ok(Arc::new(SnapshotTable::new(Arc::new(rows))));
            }
            _ => {}
        }
        reads.insert(object.id);
        let rows = self.world.snapshot(object.id);
        let table = if self.purpose == Purpose::Shape {
            let rows = rows.map_or(0, |rows| rows.rows());
            Some(SnapshotTable::shape(Arc::clone(&object.schema), rows))
        } else {
            rows.map(|rows| SnapshotTable::new(Arc::clone(rows)))
        };
        if let Some(table) = table {
            return Ok(Arc::new(table.with_key(enforced_key(object))));
        }
        source::in_place(&self.lotic, state, object).await
    }
}

/// The primary key of a table: its writer holds every row to it.
fn enforced_key(object: &Object) -> &[usize] {
    match object.definition {
        Definition::Table { .. } => object.primary_key(),
        _ => &[],
    }
}

fn not_readable(object: &Object) -> Error {
    if object.relation() == Relation::Index {
        let message = format!("cannot open relation \"{}\"", object.name);
        return Error::new(Kind::Invalid, "42809", message)
            .with_detail("This operation is not supported for indexes.");
    }
    Error::invalid(format!("\"{}\" is a sink and cannot be read", object.name))
}

/// The one query in `text`.
///
/// # Errors
/// When it is not one query.
pub(crate) fn query_of(text: &str) -> Result<ast::Query> {
    let mut statements = parse::parse(text)?;
    match (statements.pop(), statements.is_empty()) {
        (
            Some(parse::Parsed {
                statement: Statement::Query(query),
                ..
            }),
            true,
        ) => Ok(*query),
        _ => Err(Error::syntax("a query was expected")),
    }
}
