//! From the data folder to a running engine: collections from topics, then models from collections.
//!
//! State is disposable: what a restart needs is the definitions and the topics. Models are filled
//! in the order of their making, which is an order of dependency.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::RwLock;

use super::driver::SharedCollection;
use super::instance::{Lotic, blocking};
use super::lateness::Lateness;
use super::source_time::SourceTime;
use super::writer::{WATERMARK, Writer, holds_rows};
use crate::base::{Error, Offset, PartitionId, Result};
use crate::catalog::{Catalog, Definition, Object, TopicDefinition};
use crate::models::Collection;
use crate::transport::{Durability, Retention, Topic, TopicSpec};
use crate::zset::encode::decode_delta;
use crate::zset::{Delta, Weights, consolidate};

impl Lotic {
    /// Brings every object of the catalog to life. A model that cannot be built is `failed`, and the
    /// rest goes on; a topic that is damaged ends the start.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<()> {
        let catalog = Arc::clone(&self.world().catalog);
        if let Some(store) = self.store() {
            store.drop_orphans(&catalog)?;
        }
        for object in catalog.objects() {
            match &object.definition {
                Definition::Table { .. } | Definition::Stream { .. } => {
                    self.open_writer(object).await?;
                }
                _ => {}
            }
        }
        let ids = catalog
            .objects()
            .map(|object| object.id)
            .collect::<Vec<_>>();
        self.driver()
            .run(move |driver| driver.set_catalog(catalog, &ids))
            .await?;
        let catalog = Arc::clone(&self.world().catalog);
        let mut waiting = BTreeSet::new();
        for object in catalog.objects() {
            if self.waits_for_remote(&catalog, object, &waiting) {
                waiting.insert(object.id);
                self.revive_later(object, waiting.clone());
            } else {
                self.revive(object).await;
            }
        }
        Ok(())
    }

    /// Lets a recovered object follow its inputs again; what fails is noted and the rest goes on.
    async fn revive(self: &Arc<Self>, object: &Object) {
        let outcome = match &object.definition {
            Definition::Model { .. } if self.options().maintain => self.start_model(object).await,
            Definition::Table {
                connector: Some(_), ..
            } => self.seed(object).await,
            Definition::Stream {
                connector: Some(_), ..
            } => self.resume_tail(object).await,
            Definition::Sink { .. } => self.start_sink(object),
            _ => Ok(()),
        };
        if let Err(error) = outcome {
            tracing::error!(object = object.name, %error, "could not be started");
            self.set_source_state(object.id, "failed", Some(error.message().to_owned()));
        }
    }

    /// Opens the topic of a table or stream, reads what it holds, and gives it a writer.
    pub(super) async fn open_writer(self: &Arc<Self>, object: &Object) -> Result<Arc<Writer>> {
        let topic = match (self.store(), object.topic()) {
            (Some(store), Some(_)) => {
                let owner = format!("{} \"{}\"", object.relation().words(), object.name);
                Some(store.topic(Catalog::topic_of(object.id), &owner)?)
            }
            _ => None,
        };
        let collection = match &topic {
            Some(topic) => {
                let (topic, object) = (Arc::clone(topic), object.clone());
                blocking(move || read_collection(&topic, &object)).await?
            }
            None => (empty_collection(object), None),
        };
        let (collection, lateness) = collection;
        let watermark_us = lateness.and_then(|lateness| lateness.watermark_us());
        let time = SourceTime::new(object, lateness, self.quarantine(), &self.options().clock);
        let shared: SharedCollection = Arc::new(RwLock::new(collection));
        let writer = Writer::new(object, topic, Arc::clone(&shared), self.driver().clone())?;
        let writer = Arc::new(writer.with_time(time));
        let (keyed, catalog, table) = (
            Arc::clone(&writer),
            Arc::clone(&self.world().catalog),
            object.id,
        );
        blocking(move || {
            let mut indexes = catalog.indexes_of(table);
            indexes.try_for_each(|index| keyed.add_unique(index))
        })
        .await?;
        let id = object.id;
        self.driver()
            .run(move |driver| {
                driver.add_base(id, shared);
                driver.raise_watermark(id, watermark_us);
            })
            .await?;
        self.add_writer(id, Arc::clone(&writer));
        self.watch_idle(object);
        Ok(writer)
    }
}

/// The topic of an object as the log wants it.
pub(super) fn topic_spec(object: &Object, layout: &TopicDefinition) -> TopicSpec {
    TopicSpec {
        id: Catalog::topic_of(object.id),
        partitions: layout.partitions.max(1),
        retention: Retention {
            max_age_us: layout.retention_us,
            max_bytes: layout.retention_bytes,
        },
        durability: if layout.durable {
            Durability::Disk
        } else {
            Durability::Os
        },
    }
}

/// A collection for the rows of a table or stream.
fn empty_collection(object: &Object) -> Collection {
    let schema = Arc::clone(&object.schema);
    let key = object.primary_key();
    match object.definition {
        Definition::Stream { .. } if key.is_empty() => Collection::append_only(schema),
        _ => Collection::new(schema, key),
    }
}

/// The rows that a topic holds, and how far they brought the time of a source.
fn read_collection(topic: &Topic, object: &Object) -> Result<(Collection, Option<Lateness>)> {
    let mut collection = empty_collection(object);
    let mut lateness = object.watermark().as_ref().map(Lateness::new);
    let mut changes: Vec<Delta> = Vec::new();
    let mut retracts = false;
    for partition in 0..topic.partitions() {
        let partition = PartitionId(partition);
        let (first, _) = topic.bounds(partition);
        if first > Offset(0) {
            tracing::warn!(
                object = object.name,
                %partition,
                from = first.0,
                "retention has removed older rows: models built now start from this offset"
            );
        }
        for record in topic.read(partition, first)? {
            let record = record?;
            if let (WATERMARK, Some(lateness)) = (record.flags, &mut lateness) {
                lateness.raise(Some(stored_watermark(&record.payload)?));
            }
            if !holds_rows(record.flags) {
                continue;
            }
            let delta = decode_delta(&object.schema, &record.payload)
                .map_err(|error| error.at(format!("topic of \"{}\"", object.name)))?;
            if let Some(lateness) = &mut lateness {
                lateness.pass(delta.batch())?;
            }
            retracts |= matches!(delta.weights(), Weights::Each(_));
            changes.push(delta);
        }
    }
    // a retraction may lie in another partition than its row, so only the sum is sure to apply
    let changes = if retracts {
        consolidate(&changes)?
    } else {
        changes
    };
    collection.apply(&changes).map_err(|error| {
        Error::corrupt(format!(
            "the topic of \"{}\" does not add up: {error}",
            object.name
        ))
    })?;
    Ok((collection, lateness))
}

fn stored_watermark(payload: &[u8]) -> Result<i64> {
    payload
        .try_into()
        .map(i64::from_le_bytes)
        .map_err(|_| Error::corrupt("a stored watermark does not have 8 bytes"))
}
