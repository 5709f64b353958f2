//! Statements that change definitions: CREATE and DROP.
//!
//! One at a time. A new catalog is on disk before anything is published under it; what a crash
//! leaves half made is found by the next start and made anew or ignored.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::defaults::only_where_written;
use super::index::{check_droppable, with_constraints};
use super::instance::Lotic;
use super::plan::{Planner, Purpose, query_of};
use super::recovery::topic_spec;
use super::settings::parse_duration;
use super::source;
use crate::base::{CancelFlag, Error, Kind, ObjectId, Result};
use crate::catalog::{
    Catalog, Definition, ModelOptions, Object, Relation, SinkInput, TopicDefinition,
    WatermarkDefinition,
};
use crate::planner::parse::Unique;
use crate::planner::prepass;

/// The columns and options of a table or source that is to be made.
pub(crate) struct NewRelation {
    pub(crate) name: String,
    /// Declared columns; none where they are inferred from the connector.
    pub(crate) schema: Option<SchemaRef>,
    pub(crate) primary_key: Vec<String>,
    /// The UNIQUE constraints of a table.
    pub(crate) unique: Vec<Unique>,
    /// The expressions of DEFAULT, by column.
    pub(crate) defaults: BTreeMap<String, String>,
    /// WATERMARK: the column and how far the watermark stays behind it, in microseconds.
    pub(crate) watermark: Option<(String, i64)>,
    pub(crate) options: BTreeMap<String, String>,
    /// The statement.
    pub(crate) sql: String,
    /// Where relative paths start.
    pub(crate) base_dir: String,
    /// Whether a client wants it, whose rights on files are limited.
    pub(crate) is_client: bool,
}

/// A view or model that is to be made.
pub(crate) struct NewQuery {
    pub(crate) name: String,
    /// Names of the columns, where the statement gives them.
    pub(crate) columns: Vec<String>,
    pub(crate) query: String,
    pub(crate) options: BTreeMap<String, String>,
    /// EMIT ON WINDOW CLOSE was written.
    pub(crate) emit_on_close: bool,
    pub(crate) sql: String,
}

impl Lotic {
    /// Makes a table. With a connector it is filled from it once.
    pub(super) async fn create_table(
        self: &Arc<Self>,
        new: NewRelation,
        stop: &CancelFlag,
    ) -> Result<()> {
        let _guard = self.turn(stop).await?;
        if new.watermark.is_some() {
            return Err(Error::unsupported(format!(
                "table \"{}\" has a WATERMARK, and rows of a table change at any time",
                new.name
            ))
            .with_hint("CREATE SOURCE makes a stream, whose rows only come"));
        }
        let mut options = new.options.clone();
        let topic = take_topic_options(&mut options)?;
        let connector = (!options.is_empty()).then_some(options);
        let schema = match (&new.schema, &connector) {
            (Some(schema), None) => Arc::clone(schema),
            (declared, Some(connector)) => {
                self.schema_of(&new, connector, declared.clone()).await?
            }
            (None, None) => {
                return Err(Error::syntax(format!(
                    "table \"{}\" has no columns",
                    new.name
                )));
            }
        };
        let (schema, primary_key) = with_key(&schema, &new.primary_key)?;
        // they are computed to be checked
        self.compute_defaults(&schema, &new.defaults).await?;
        let definition = Definition::Table {
            primary_key,
            connector,
            topic,
            defaults: new.defaults.clone(),
        };
        let object = self.object(&new, schema, definition)?;
        self.add_relation(object, &new.unique, stop).await
    }

    /// Makes a source: a push topic, a tailed topic, or a bounded source that is read in place.
    pub(super) async fn create_source(
        self: &Arc<Self>,
        new: NewRelation,
        stop: &CancelFlag,
    ) -> Result<()> {
        let _guard = self.turn(stop).await?;
        let mut options = new.options.clone();
        let topic = take_topic_options(&mut options)?;
        let watermark = take_watermark(&new, &mut options)?;
        if !new.primary_key.is_empty() {
            return Err(Error::unsupported(format!(
                "source \"{}\" has a primary key, and sources are append-only",
                new.name
            ))
            .with_hint("CREATE TABLE ... WITH (connector = ...) keeps one row a key"));
        }
        if !new.unique.is_empty() {
            return Err(Error::unsupported(format!(
                "source \"{}\" has a UNIQUE constraint, and sources are append-only",
                new.name
            ))
            .with_hint("CREATE TABLE ... WITH (connector = ...) may have some"));
        }
        only_where_written(&new.defaults, options.is_empty())?;
        let (schema, definition) = if options.is_empty() {
            let Some(schema) = &new.schema else {
                return Err(
                    Error::syntax(format!("source \"{}\" has no columns", new.name))
                        .with_hint("a push topic declares its columns; a connector infers them"),
                );
            };
            self.compute_defaults(schema, &new.defaults).await?;
            (
                Arc::clone(schema),
                Definition::Stream {
                    connector: None,
                    topic,
                    defaults: new.defaults.clone(),
                    watermark,
                },
            )
        } else {
            let declared = new.schema.clone();
            let schema = self.schema_of(&new, &options, declared).await?;
            let definition = if source::is_tail(&options) {
                Definition::Stream {
                    connector: Some(options),
                    topic,
                    defaults: BTreeMap::new(),
                    watermark,
                }
            } else if watermark.is_some() {
                return Err(Error::unsupported(format!(
                    "source \"{}\" is read as a whole, so that no row of it comes late",
                    new.name
                ))
                .with_hint("leave WATERMARK out, or follow the files with mode = 'tail'"));
            } else {
                Definition::Bounded { connector: options }
            };
            (schema, definition)
        };
        let object = self.object(&new, schema, definition)?;
        self.add_relation(object, &[], stop).await
    }

    /// Makes a view.
    pub(super) async fn create_view(
        self: &Arc<Self>,
        new: NewQuery,
        replace: bool,
        stop: &CancelFlag,
    ) -> Result<()> {
        let _guard = self.turn(stop).await?;
        if replace {
            stop.take_effect()?;
            self.clear_for_replacement(&new.name, Relation::View)
                .await?;
        }
        let (schema, dependencies) = self.shape_of(&new).await?;
        let object = Object {
            id: self.world().catalog.next_id(),
            name: new.name.clone(),
            sql: new.sql.clone(),
            schema,
            definition: Definition::View {
                query: with_columns(&new),
            },
            dependencies,
            base_dir: String::new(),
        };
        stop.take_effect()?;
        self.publish_with(object).await
    }

    /// Makes a model and fills it, or ends with 57014 once `stop` is raised.
    pub(super) async fn create_model(
        self: &Arc<Self>,
        new: NewQuery,
        replace: bool,
        stop: &CancelFlag,
    ) -> Result<()> {
        let _guard = self.turn(stop).await?;
        if replace {
            self.clear_for_replacement(&new.name, Relation::Model)
                .await?;
        }
        let options = model_options(&new)?;
        let (schema, dependencies) = self.shape_of(&new).await?;
        let object = Object {
            id: self.world().catalog.next_id(),
            name: new.name.clone(),
            sql: new.sql.clone(),
            schema,
            definition: Definition::Model {
                query: with_columns(&new),
                options,
            },
            dependencies,
            base_dir: String::new(),
        };
        if !self.options().maintain {
            self.check_closes(&object).await?;
            stop.take_effect()?;
            return self.publish_with(object).await;
        }
        let catalog = Arc::new(self.world().catalog.with(object.clone())?);
        self.fill_model(&object, Some(Arc::clone(&catalog)), stop)
            .await?;
        // readers see it a moment before its definition is durable; a crash between loses a
        // statement that nobody was told had worked
        if let Err(error) = self.save(&catalog) {
            self.drop_objects(&[object.id], false).await?;
            return Err(error);
        }
        Ok(())
    }

    /// Makes a sink and lets it follow.
    pub(super) async fn create_sink(
        self: &Arc<Self>,
        new: &NewRelation,
        input: SinkInput,
        stop: &CancelFlag,
    ) -> Result<()> {
        let _guard = self.turn(stop).await?;
        let world = self.world();
        let dependencies = match &input {
            SinkInput::Object(name) => vec![world.catalog.get(name)?.id],
            SinkInput::Query(query) => {
                let planned = Planner::new(self, &world, Purpose::Shape)
                    .plan_text(query)
                    .await?;
                planned.reads.into_iter().collect()
            }
        };
        let definition = Definition::Sink {
            input,
            connector: new.options.clone(),
        };
        let mut object = self.object(new, Arc::new(Schema::empty()), definition)?;
        object.dependencies = dependencies;
        let options = super::sink::options_of(&object)?;
        if new.is_client {
            self.check_sink_rights(&options)?;
        }
        stop.take_effect()?;
        self.publish_with(object.clone()).await?;
        self.start_sink(&object)
    }

    /// Drops `name`, and with `cascade` what reads it.
    pub(super) async fn drop_relation(
        self: &Arc<Self>,
        kind: Relation,
        name: &str,
        cascade: bool,
        stop: &CancelFlag,
    ) -> Result<()> {
        let _guard = self.turn(stop).await?;
        let catalog = Arc::clone(&self.world().catalog);
        let object = match catalog.find(name) {
            None if kind == Relation::Index => {
                let message = format!("index \"{name}\" does not exist");
                return Err(Error::new(Kind::Missing, "42704", message));
            }
            None => return Err(Error::no_relation(name)),
            Some(object) => object,
        };
        if object.relation() != kind {
            let article = if kind == Relation::Index { "an" } else { "a" };
            return Err(Error::new(
                Kind::Invalid,
                "42809",
                format!("\"{name}\" is not {article} {}", kind.words()),
            )
            .with_hint(format!(
                "use DROP {} to remove {} {}",
                object.relation().words().to_ascii_uppercase(),
                if object.relation() == Relation::Index {
                    "an"
                } else {
                    "a"
                },
                object.relation().words()
            )));
        }
        check_droppable(&catalog, object)?;
        let mut gone = all_dependents(&catalog, object.id);
        let readers = without_indexes(&catalog, &gone);
        if !cascade && !readers.is_empty() {
            return Err(in_use(&catalog, object, &readers));
        }
        gone.push(object.id);
        stop.take_effect()?;
        self.drop_objects(&gone, true).await
    }

    /// Takes objects out of the catalog, the driver and the log.
    async fn drop_objects(self: &Arc<Self>, gone: &[ObjectId], durable: bool) -> Result<()> {
        let before = Arc::clone(&self.world().catalog);
        let mut catalog = Catalog::clone(&before);
        for id in gone {
            catalog = catalog.without(*id);
        }
        let catalog = Arc::new(catalog);
        if durable {
            self.save(&catalog)?;
        }
        for id in gone {
            self.feeds.stop(*id);
        }
        let ids = gone.to_vec();
        self.driver()
            .run(move |driver| {
                for id in &ids {
                    driver.remove(*id);
                }
                driver.set_catalog(catalog, &ids);
            })
            .await?;
        for index in gone.iter().filter_map(|id| before.by_id(*id)) {
            let table = index.dependencies.first().and_then(|id| self.writer(*id));
            if let (Some(_), Some(writer)) = (index.unique_columns(), table) {
                // a statement that checks its keys now needs what is taken away
                let _exclusive = writer.exclusive().await?;
                writer.remove_unique(index.id);
            }
        }
        for id in gone {
            self.remove_writer(*id);
            if let Some(store) = self.store() {
                store.drop_topic(Catalog::topic_of(*id))?;
            }
        }
        Ok(())
    }

    /// Removes what CREATE OR REPLACE replaces. What reads it must go first.
    async fn clear_for_replacement(self: &Arc<Self>, name: &str, kind: Relation) -> Result<()> {
        let catalog = Arc::clone(&self.world().catalog);
        let Some(object) = catalog.find(name) else {
            return Ok(());
        };
        if object.relation() != kind {
            return Err(Error::new(
                Kind::Conflict,
                "42809",
                format!(
                    "\"{name}\" is a {}, not a {}",
                    object.relation().words(),
                    kind.words()
                ),
            ));
        }
        let mut gone = all_dependents(&catalog, object.id);
        let readers = without_indexes(&catalog, &gone);
        if !readers.is_empty() {
            return Err(in_use(&catalog, object, &readers)
                .with_hint("drop these first, or put them in the pipeline folder: serving it again rebuilds all of them"));
        }
        gone.push(object.id);
        self.drop_objects(&gone, true).await
    }

    /// Adds a table or source with its UNIQUE constraints and brings it to life. One with a connector may be read for
    /// long, so it can be cancelled until that is done, and goes again then.
    async fn add_relation(
        self: &Arc<Self>,
        object: Object,
        unique: &[Unique],
        stop: &CancelFlag,
    ) -> Result<()> {
        let catalog = self.world().catalog.with(object.clone())?;
        let catalog = with_constraints(catalog, &object, unique)?;
        if !has_connector(&object) {
            stop.take_effect()?;
        }
        self.publish(&object, catalog).await?;
        let outcome = self.bring_up(&object).await;
        let outcome = outcome.and_then(|()| stop.take_effect());
        if outcome.is_err() {
            let mut gone = all_dependents(&self.world().catalog, object.id);
            gone.push(object.id);
            self.drop_objects(&gone, true).await?;
        }
        outcome
    }

    async fn bring_up(self: &Arc<Self>, object: &Object) -> Result<()> {
        let in_place = !self.options().maintain;
        match &object.definition {
            // in batch its connector is read in place until a statement changes it
            Definition::Table {
                connector: Some(_), ..
            } if in_place => return Ok(()),
            Definition::Stream {
                connector: Some(_), ..
            } if in_place => return Ok(()),
            Definition::Table { connector, .. } | Definition::Stream { connector, .. } => {
                self.open_writer(object).await?;
                let (id, catalog) = (object.id, Arc::clone(&self.world().catalog));
                self.driver()
                    .run(move |driver| driver.set_catalog(catalog, &[id]))
                    .await?;
                if connector.is_none() {
                    return Ok(());
                }
            }
            _ => return Ok(()),
        }
        match &object.definition {
            Definition::Table { .. } => self.seed(object).await,
            _ => self.start_tail(object).await,
        }
    }

    /// Stores and publishes the catalog with `object` in it.
    pub(super) async fn publish_with(self: &Arc<Self>, object: Object) -> Result<()> {
        let catalog = self.world().catalog.with(object.clone())?;
        self.publish(&object, catalog).await
    }

    /// Stores and publishes `catalog`, in which `object` is new. Its topic is made before, so that a topic that the
    /// stored catalog names is there or lost.
    async fn publish(self: &Arc<Self>, object: &Object, catalog: Catalog) -> Result<()> {
        let catalog = Arc::new(catalog);
        if let (Some(store), Some(layout)) = (self.store(), object.topic()) {
            store.make_topic(topic_spec(object, layout))?;
        }
        if let Err(error) = self.save(&catalog) {
            if let Some(store) = self.store()
                && let Err(left) = store.drop_topic(Catalog::topic_of(object.id))
            {
                tracing::warn!(%left, "a topic without an owner is left for the next start to drop");
            }
            return Err(error);
        }
        self.driver()
            .run(move |driver| driver.set_catalog(catalog, &[]))
            .await
    }

    fn save(&self, catalog: &Catalog) -> Result<()> {
        self.store()
            .map_or(Ok(()), |store| store.save_catalog(catalog))
    }

    fn object(
        &self,
        new: &NewRelation,
        schema: SchemaRef,
        definition: Definition,
    ) -> Result<Object> {
        let catalog = &self.world().catalog;
        if catalog.find(&new.name).is_some() {
            return Err(Error::relation_exists(&new.name));
        }
        Ok(Object {
            id: catalog.next_id(),
            name: new.name.clone(),
            sql: new.sql.clone(),
            schema,
            definition,
            dependencies: Vec::new(),
            base_dir: new.base_dir.clone(),
        })
    }

    /// The columns of a query and the objects that it names.
    async fn shape_of(self: &Arc<Self>, new: &NewQuery) -> Result<(SchemaRef, Vec<ObjectId>)> {
        let world = self.world();
        if world.catalog.find(&new.name).is_some() {
            return Err(Error::relation_exists(&new.name));
        }
        let query = query_of(&with_columns(new))?;
        let (planned, optimised) = self.plan_shape(&world, query).await?;
        // the types of the optimised plan are those that rows really have
        let fields: Vec<Field> = prepass::restore_names(optimised.schema().as_arrow())
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true))
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        for field in &fields {
            if !seen.insert(field.name().clone()) {
                let message = format!("column \"{}\" specified more than once", field.name());
                return Err(Error::new(Kind::Invalid, "42701", message)
                    .with_hint("give the columns different names with AS"));
            }
        }
        Ok((Arc::new(Schema::new(fields)), planned.direct))
    }
}

fn has_connector(object: &Object) -> bool {
    match &object.definition {
        Definition::Table { connector, .. } | Definition::Stream { connector, .. } => {
            connector.is_some()
        }
        _ => false,
    }
}

/// The query, its columns renamed where the statement names them.
fn with_columns(new: &NewQuery) -> String {
    if new.columns.is_empty() {
        return new.query.clone();
    }
    let names: Vec<String> = new
        .columns
        .iter()
        .map(|name| format!("\"{}\"", name.replace('"', "\"\"")))
        .collect();
    format!(
        "SELECT * FROM ({}) AS \"q\" ({})",
        new.query,
        names.join(", ")
    )
}

/// The watermark of a source; takes its options out of `options`.
fn take_watermark(
    new: &NewRelation,
    options: &mut BTreeMap<String, String>,
) -> Result<Option<WatermarkDefinition>> {
    let idle = options.remove("watermark_idle_timeout");
    let Some((name, delay_us)) = &new.watermark else {
        if idle.is_some() {
            return Err(Error::invalid(format!(
                "source \"{}\" has watermark_idle_timeout and no WATERMARK",
                new.name
            )));
        }
        return Ok(None);
    };
    let idle_us = idle.map(|text| {
        parse_duration(&text)
            .and_then(|time| i64::try_from(time.as_micros()).ok())
            .filter(|time| *time > 0)
            .ok_or_else(|| {
                Error::invalid(format!(
                    "watermark_idle_timeout is a time such as '10s' or '5m', not '{text}'"
                ))
            })
    });
    let fields = new.schema.iter().flat_map(|schema| schema.fields().iter());
    let Some((column, field)) = fields.enumerate().find(|(_, field)| field.name() == name) else {
        let message = format!("column \"{name}\" does not exist");
        return Err(Error::new(Kind::Invalid, "42703", message));
    };
    if !matches!(
        field.data_type(),
        DataType::Timestamp(TimeUnit::Microsecond, _)
    ) {
        let message = format!("the watermark column \"{name}\" is not a timestamp");
        return Err(Error::new(Kind::Invalid, "42804", message));
    }
    Ok(Some(WatermarkDefinition {
        column,
        delay_us: *delay_us,
        idle_us: idle_us.transpose()?,
    }))
}

fn model_options(new: &NewQuery) -> Result<ModelOptions> {
    let mut options = ModelOptions {
        emit_on_close: new.emit_on_close,
        ..ModelOptions::default()
    };
    for (name, value) in &new.options {
        match (name.as_str(), value.as_str()) {
            ("on_error", "fail") => options.fail_on_error = true,
            ("on_error", "skip") => options.fail_on_error = false,
            ("on_error", other) => {
                return Err(Error::invalid(format!(
                    "on_error is 'skip' or 'fail', not '{other}'"
                )));
            }
            _ => {
                return Err(Error::invalid(format!(
                    "a materialized view has no option \"{name}\""
                ))
                .with_hint("known: on_error"));
            }
        }
    }
    Ok(options)
}

/// The schema with its key columns NOT NULL, and their positions.
fn with_key(schema: &SchemaRef, key: &[String]) -> Result<(SchemaRef, Vec<usize>)> {
    let mut fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut positions = Vec::with_capacity(key.len());
    for column in key {
        let position = schema.index_of(column).map_err(|_| {
            let message = format!("column \"{column}\" named in key does not exist");
            Error::new(Kind::Missing, "42703", message)
        })?;
        fields[position] = fields[position].clone().with_nullable(false);
        positions.push(position);
    }
    Ok((Arc::new(Schema::new(fields)), positions))
}

/// Takes the options of a topic out of `options`.
fn take_topic_options(options: &mut BTreeMap<String, String>) -> Result<TopicDefinition> {
    let mut topic = TopicDefinition {
        partitions: 1,
        durable: true,
        ..TopicDefinition::default()
    };
    if let Some(text) = options.remove("partitions") {
        topic.partitions = text
            .parse()
            .ok()
            .filter(|n| (1..=1024).contains(n))
            .ok_or_else(|| {
                Error::invalid(format!(
                    "partitions is a number from 1 to 1024, not '{text}'"
                ))
            })?;
    }
    if let Some(text) = options.remove("retention_time") {
        let time = parse_duration(&text).ok_or_else(|| {
            Error::invalid(format!(
                "retention_time is a time such as '12h' or '7d', not '{text}'"
            ))
        })?;
        topic.retention_us = i64::try_from(time.as_micros()).ok();
    }
    if let Some(text) = options.remove("retention_bytes") {
        topic.retention_bytes =
            Some(text.parse().map_err(|_| {
                Error::invalid(format!("retention_bytes is a number, not '{text}'"))
            })?);
    }
    match options.remove("durability").as_deref() {
        None | Some("disk") => {}
        Some("os") => topic.durable = false,
        Some(other) => {
            return Err(Error::invalid(format!(
                "durability is 'disk' or 'os', not '{other}'"
            )));
        }
    }
    Ok(topic)
}

/// Everything that reads `id`, directly or not, the last reader first.
pub(super) fn all_dependents(catalog: &Catalog, id: ObjectId) -> Vec<ObjectId> {
    let mut found = std::collections::BTreeSet::new();
    let mut open = vec![id];
    while let Some(next) = open.pop() {
        for reader in catalog.dependents(next) {
            if found.insert(reader.id) {
                open.push(reader.id);
            }
        }
    }
    found.into_iter().rev().collect()
}

/// Indexes do not read: they go with what they are on.
fn without_indexes(catalog: &Catalog, ids: &[ObjectId]) -> Vec<ObjectId> {
    let is_index = |id: &ObjectId| {
        catalog
            .by_id(*id)
            .is_some_and(|object| object.relation() == Relation::Index)
    };
    ids.iter().copied().filter(|id| !is_index(id)).collect()
}

fn in_use(catalog: &Catalog, object: &Object, readers: &[ObjectId]) -> Error {
    let names: Vec<String> = readers
        .iter()
        .filter_map(|id| catalog.by_id(*id))
        .map(|reader| format!("{} \"{}\"", reader.relation().words(), reader.name))
        .collect();
    Error::new(
        Kind::Conflict,
        "2BP01",
        format!(
            "cannot drop {} \"{}\" because others read it",
            object.relation().words(),
            object.name
        ),
    )
    .with_detail(format!("{} read it.", names.join(", ")))
    .with_hint("use DROP ... CASCADE to drop them too")
}
