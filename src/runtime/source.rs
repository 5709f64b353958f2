//! Connectors meet the engine here: reading in place, filling a table once, loading a source so that
//! models can follow it, and REFRESH.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::execution::session_state::SessionState;
use futures::TryStreamExt;
use parking_lot::RwLock;

use super::ddl::{NewRelation, all_dependents};
use super::instance::{Lotic, blocking};
use super::source_time::SourceTime;
use super::writer::{FROM_CONNECTOR, WriteOptions, holds_rows};
use crate::base::{Error, Kind, Offset, PartitionId, Result};
use crate::catalog::{Definition, Object};
use crate::models::{Collection, Snapshot, SnapshotTable};
use crate::sources::{self, BoundedSource, Format, Mode, Quarantine, SourceOptions};
use crate::zset::encode::decode_delta;
use crate::zset::{Delta, Weights, consolidate};

/// Whether the options ask for a source that is followed.
pub(super) fn is_tail(options: &BTreeMap<String, String>) -> bool {
    options
        .get("mode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("tail"))
}

/// The source behind an object, where its connector is.
async fn bounded_of(lotic: &Lotic, object: &Object) -> Result<Arc<dyn BoundedSource>> {
    let mut options = options_of(object)?;
    options.meter = Arc::clone(lotic.meter());
    sources::bounded(&options, Some(Arc::clone(&object.schema))).await
}

/// The checked options of an object's connector.
pub(super) fn options_of(object: &Object) -> Result<SourceOptions> {
    let (Definition::Table {
        connector: Some(connector),
        ..
    }
    | Definition::Stream {
        connector: Some(connector),
        ..
    }
    | Definition::Bounded { connector }) = &object.definition
    else {
        return Err(Error::internal(format!(
            "\"{}\" has no connector",
            object.name
        )));
    };
    SourceOptions::new(
        &object.name,
        connector,
        start_of_paths(connector, &object.base_dir),
    )
}

/// Whether the source is on another machine.
pub(super) fn is_remote(object: &Object) -> bool {
    options_of(object).is_ok_and(|options| options.is_remote())
}

/// Where a relative path starts: at the pipeline file where it begins with a dot, else at the
/// working directory.
pub(super) fn start_of_paths<'a>(options: &BTreeMap<String, String>, folder: &'a str) -> &'a Path {
    let dotted = |path: &String| path.starts_with("./") || path.starts_with("../");
    let is_dotted = ["path", "url"]
        .iter()
        .filter_map(|name| options.get(*name))
        .any(dotted);
    Path::new(if is_dotted { folder } else { "" })
}

/// Whether the source's files say how many rows they hold.
pub(super) fn knows_its_size(object: &Object) -> bool {
    let format = options_of(object).ok().and_then(|options| options.format);
    matches!(format, Some(Format::Parquet | Format::Arrow))
}

/// A table that reads the source where it is.
pub(super) async fn in_place(
    lotic: &Lotic,
    state: &SessionState,
    object: &Object,
) -> Result<Arc<dyn TableProvider>> {
    if object.watermark().is_some() {
        // which of its rows are late depends on those before them
        let rows = lotic.read_source(object).await?;
        let snapshot = Snapshot::from_batches(Arc::clone(&object.schema), rows);
        return Ok(Arc::new(SnapshotTable::new(Arc::new(snapshot))));
    }
    let quarantine: Arc<dyn Quarantine> = Arc::clone(lotic.quarantine()) as _;
    bounded_of(lotic, object)
        .await?
        .table_provider(state, quarantine)
        .await
}

impl Lotic {
    /// The columns of a relation with a connector: declared, else as the source has them.
    pub(super) async fn schema_of(
        &self,
        new: &NewRelation,
        options: &BTreeMap<String, String>,
        declared: Option<SchemaRef>,
    ) -> Result<SchemaRef> {
        let start = start_of_paths(options, &new.base_dir);
        let options = SourceOptions::new(&new.name, options, start)?;
        if new.is_client {
            self.check_source_rights(&options)?;
        }
        if let (Mode::Tail, Some(declared)) = (options.mode, &declared) {
            // the files may come later
            return Ok(Arc::clone(declared));
        }
        Ok(sources::bounded(&options, declared).await?.schema())
    }

    /// All rows of an object's source, bad records quarantined, and those that are late in the order of the source.
    pub(super) async fn read_source(&self, object: &Object) -> Result<Vec<RecordBatch>> {
        let source = bounded_of(self, object).await?;
        let meter = Arc::clone(self.meter());
        let quarantine: Arc<dyn Quarantine> = Arc::clone(self.quarantine()) as _;
        let schema = Arc::clone(&object.schema);
        let reading = async move {
            let stream = source.scan(quarantine).await?;
            let stream = stream.inspect_ok(|batch| meter.add_rows(batch.num_rows()));
            let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(Error::from)?;
            batches
                .into_iter()
                .filter(|batch| batch.num_rows() > 0)
                .map(|batch| {
                    super::values::check_not_null(&schema, batch.columns())?;
                    Ok(RecordBatch::try_new(
                        Arc::clone(&schema),
                        batch.columns().to_vec(),
                    )?)
                })
                .collect::<Result<Vec<_>>>()
        };
        let task = self.queries().spawn(reading);
        let rows = task
            .await
            .map_err(|error| Error::internal(error.to_string()))??;
        match SourceTime::new(object, None, self.quarantine(), &self.options().clock) {
            None => Ok(rows),
            Some(time) => {
                let place = Some("read as a whole".to_owned());
                Ok(time.judge(rows, place).await?.on_time)
            }
        }
    }

    /// Whether a table has had rows: its connector does not fill it any more.
    pub(super) fn is_seeded(&self, object: &Object) -> bool {
        let writer = self.writer(object.id);
        let topic = writer.as_ref().and_then(|writer| writer.topic());
        topic.is_some_and(|topic| {
            (0..topic.partitions())
                .any(|partition| topic.bounds(PartitionId(partition)).1 > Offset(0))
        })
    }

    /// Fills a table from its connector, once: a table that has had rows from it is left alone.
    pub(super) async fn seed(self: &Arc<Self>, object: &Object) -> Result<()> {
        let Some(writer) = self.writer(object.id) else {
            return Ok(());
        };
        if self.is_seeded(object) {
            return Ok(());
        }
        let batches = self.read_source(object).await?;
        if batches.is_empty() {
            return Ok(());
        }
        let options = WriteOptions {
            flags: FROM_CONNECTOR,
            ..WriteOptions::default()
        };
        let receipt = writer.insert(batches, options).await?;
        receipt
            .visible
            .await
            .map_err(|_| Error::internal("the engine forgot a write"))??;
        Ok(())
    }

    /// Holds a bounded source in memory, so that models can follow it.
    pub(super) async fn load_bounded(self: &Arc<Self>, object: &Object) -> Result<()> {
        // a model that the start could not fill has no rows that another one could follow
        if matches!(object.definition, Definition::Model { .. }) {
            let text = format!(
                "{} \"{}\" could not be filled",
                object.relation().words(),
                object.name
            );
            return Err(Error::new(Kind::Unavailable, "55000", text)
                .with_hint("lotic.models and lotic.sources say why"));
        }
        let batches = match self.read_source(object).await {
            Ok(batches) => batches,
            Err(error) => {
                self.set_source_state(object.id, "failed", Some(error.message().to_owned()));
                return Err(error);
            }
        };
        self.set_source_state(object.id, "ok", None);
        self.hold_bounded(object, batches).await
    }

    /// Holds the rows of a bounded source.
    pub(super) async fn hold_bounded(
        self: &Arc<Self>,
        object: &Object,
        batches: Vec<RecordBatch>,
    ) -> Result<()> {
        let mut collection = Collection::new(Arc::clone(&object.schema), object.primary_key());
        let collection = blocking(move || {
            let deltas: Vec<Delta> = batches.into_iter().map(Delta::inserts).collect();
            collection.apply(&deltas)?;
            Ok(collection)
        })
        .await?;
        let (id, shared) = (object.id, Arc::new(RwLock::new(collection)));
        self.driver()
            .run(move |driver| {
                driver.add_base(id, shared);
                let catalog = driver.current_catalog();
                driver.set_catalog(catalog, &[id]);
            })
            .await
    }

    /// Makes sure that a table's rows are in memory: in batch, one with a connector is read in place
    /// until a statement changes it.
    pub(super) async fn hold_contents(self: &Arc<Self>, object: &Object) -> Result<()> {
        if self.writer(object.id).is_some() {
            return Ok(());
        }
        self.open_writer(object).await?;
        let (id, catalog) = (object.id, Arc::clone(&self.world().catalog));
        self.driver()
            .run(move |driver| driver.set_catalog(catalog, &[id]))
            .await?;
        if matches!(
            object.definition,
            Definition::Table {
                connector: Some(_),
                ..
            }
        ) {
            self.seed(object).await?;
        }
        Ok(())
    }

    /// Reads a bounded source again and applies the difference. Gives rows added and taken away.
    ///
    /// For a table the difference is between what the connector gave before and what it gives now,
    /// so that rows which statements added stay, and rows which statements took away stay away.
    ///
    /// # Errors
    /// When the source cannot be read; nothing has changed then.
    pub(super) async fn refresh(self: &Arc<Self>, name: &str) -> Result<(u64, u64)> {
        let _guard = self.definitions.lock().await;
        let world = self.world();
        let object = world.catalog.get(name)?.clone();
        match &object.definition {
            Definition::Bounded { .. } => self.refresh_source(&object).await,
            Definition::Table {
                connector: Some(_), ..
            } => self.refresh_table(&object).await,
            _ => Err(Error::invalid(format!(
                "{} \"{name}\" has no bounded source to read again",
                object.relation().words()
            ))),
        }
    }

    async fn refresh_source(self: &Arc<Self>, object: &Object) -> Result<(u64, u64)> {
        let Some(before) = self.world().snapshot(object.id).cloned() else {
            // it is read in place: every query sees it as it is
            self.revive_readers(object).await?;
            return Ok((0, 0));
        };
        let now = self.read_source(object).await?;
        let deltas = blocking(move || difference(now, before.batches()?, &[])).await?;
        let counts = count(&deltas);
        let (tell, visible) = tokio::sync::oneshot::channel();
        let message = super::driver::Rows {
            object: object.id,
            deltas,
            watermark_us: None,
            visible: Some(tell),
            held: None,
        };
        let driver = self.driver().clone();
        blocking(move || {
            driver.send_rows(message);
            Ok(())
        })
        .await?;
        visible
            .await
            .map_err(|_| Error::internal("the engine forgot a write"))??;
        Ok(counts)
    }

    /// Fills the models that the start could not fill because this source was away, so that they
    /// follow it again.
    async fn revive_readers(self: &Arc<Self>, object: &Object) -> Result<()> {
        if !self.options().maintain {
            return Ok(());
        }
        let catalog = Arc::clone(&self.world().catalog);
        let mut readers = all_dependents(&catalog, object.id);
        readers.reverse();
        for model in readers.iter().filter_map(|id| catalog.by_id(*id)) {
            let waits = matches!(model.definition, Definition::Model { .. })
                && self.world().snapshot(model.id).is_none();
            if waits {
                self.start_model(model).await?;
                self.set_source_state(model.id, "ok", None);
            }
        }
        Ok(())
    }

    async fn refresh_table(self: &Arc<Self>, object: &Object) -> Result<(u64, u64)> {
        self.hold_contents(object).await?;
        let Some(writer) = self.writer(object.id) else {
            return Err(Error::internal("a table has no writer"));
        };
        let now = self.read_source(object).await?;
        let exclusive = writer.exclusive().await?;
        let held = self.world().snapshot(object.id).cloned();
        let (topic, table) = (writer.topic().cloned(), object.clone());
        let deltas = blocking(move || {
            let given = match &topic {
                Some(topic) => given_before(topic, &table)?,
                None => Vec::new(),
            };
            let held = held.map_or(Ok(Vec::new()), |snapshot| snapshot.batches())?;
            let wanted = difference(now, Vec::new(), &given)?;
            applicable(&wanted, held)
        })
        .await?;
        let counts = count(&deltas);
        if deltas.is_empty() {
            return Ok(counts);
        }
        let options = WriteOptions {
            flags: FROM_CONNECTOR,
            ..WriteOptions::default()
        };
        let receipt = writer.change(exclusive, deltas, options).await?;
        receipt
            .visible
            .await
            .map_err(|_| Error::internal("the engine forgot a write"))??;
        Ok(counts)
    }
}

/// What a table's connector has given so far, from the topic.
fn given_before(topic: &crate::transport::Topic, object: &Object) -> Result<Vec<Delta>> {
    let mut given = Vec::new();
    for partition in 0..topic.partitions() {
        let partition = PartitionId(partition);
        for record in topic.read(partition, topic.bounds(partition).0)? {
            let record = record?;
            if holds_rows(record.flags) && record.flags & FROM_CONNECTOR != 0 {
                given.push(decode_delta(&object.schema, &record.payload)?);
            }
        }
    }
    Ok(given)
}

/// `now - before - given`, equal rows merged.
fn difference(
    now: Vec<RecordBatch>,
    before: Vec<RecordBatch>,
    given: &[Delta],
) -> Result<Vec<Delta>> {
    let mut all: Vec<Delta> = now.into_iter().map(Delta::inserts).collect();
    all.extend(before.into_iter().map(Delta::deletes));
    all.extend(given.iter().map(Delta::negate));
    consolidate(&all)
}

/// The part of `wanted` that a table with rows `held` can take: rows that are not there any more
/// are not taken away again.
fn applicable(wanted: &[Delta], held: Vec<RecordBatch>) -> Result<Vec<Delta>> {
    let taken: Vec<Delta> = wanted
        .iter()
        .map(|delta| keep_sign(delta, -1))
        .collect::<Result<_>>()?;
    let mut added: Vec<Delta> = wanted
        .iter()
        .map(|delta| keep_sign(delta, 1))
        .collect::<Result<_>>()?;
    // held + taken is negative exactly where a row to take away is missing
    let mut sum: Vec<Delta> = held.into_iter().map(Delta::inserts).collect();
    sum.extend(taken.iter().cloned());
    let missing: Vec<Delta> = consolidate(&sum)?
        .iter()
        .map(|delta| keep_sign(delta, -1))
        .collect::<Result<_>>()?;
    let mut present = taken;
    present.extend(missing.iter().map(Delta::negate));
    added.extend(consolidate(&present)?);
    added.retain(|delta| delta.rows() > 0);
    Ok(added)
}

/// The rows of `delta` whose weight has this sign.
fn keep_sign(delta: &Delta, sign: i64) -> Result<Delta> {
    let keep: arrow::array::BooleanArray = (0..delta.rows())
        .map(|row| Some(delta.weight(row).signum() == sign))
        .collect();
    let batch = arrow::compute::filter_record_batch(delta.batch(), &keep)?;
    match delta.weights() {
        Weights::Ones => Ok(Delta::inserts(batch)),
        Weights::Each(weights) => {
            let weights = arrow::compute::filter(weights, &keep)?;
            Delta::new(batch, arrow::array::AsArray::as_primitive(&weights).clone())
        }
    }
}

fn count(deltas: &[Delta]) -> (u64, u64) {
    let mut counts = (0, 0);
    for delta in deltas {
        for row in 0..delta.rows() {
            let weight = delta.weight(row);
            if weight > 0 {
                counts.0 += weight.unsigned_abs();
            } else {
                counts.1 += weight.unsigned_abs();
            }
        }
    }
    counts
}
