//! Definitions of tables, sources, views, models and sinks: names and shapes, no behaviour.
//!
//! A catalog is an immutable value. A change makes a new one, which is written to disk and then
//! published together with the data, so that a query sees names and rows of one moment.

mod codec;
mod object;
mod watermark;

use std::collections::BTreeMap;

use crate::base::{Error, ObjectId, Result, TopicId};

pub use codec::{decode_catalog, encode_catalog, schema_from_text, schema_to_text};
pub use object::{
    Definition, IndexColumn, ModelOptions, Object, Relation, SinkInput, TopicDefinition,
};
pub use watermark::WatermarkDefinition;

/// All objects at one moment.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    objects: BTreeMap<ObjectId, Object>,
    names: BTreeMap<String, ObjectId>,
    next: u64,
}

impl Catalog {
    /// The object called `name`, if any.
    pub fn find(&self, name: &str) -> Option<&Object> {
        self.objects.get(self.names.get(name)?)
    }

    /// The object called `name`.
    ///
    /// # Errors
    /// 42P01 when there is none.
    pub fn get(&self, name: &str) -> Result<&Object> {
        self.find(name).ok_or_else(|| Error::no_relation(name))
    }

    /// The object `id`, if it still exists.
    pub fn by_id(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(&id)
    }

    /// All objects, oldest first: an object stands after everything that it reads.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    /// The objects that read `id` directly, oldest first.
    pub fn dependents(&self, id: ObjectId) -> Vec<&Object> {
        self.objects
            .values()
            .filter(|object| object.dependencies.contains(&id))
            .collect()
    }

    /// The indexes of a table or model, oldest first.
    pub fn indexes_of(&self, id: ObjectId) -> impl Iterator<Item = &Object> {
        self.objects.values().filter(move |object| {
            object.relation() == Relation::Index && object.dependencies.contains(&id)
        })
    }

    /// An empty catalog whose first object gets number `first`.
    pub fn starting_at(first: u64) -> Self {
        Self {
            next: first.saturating_sub(1),
            ..Self::default()
        }
    }

    /// An identity that no object has had.
    pub fn next_id(&self) -> ObjectId {
        ObjectId(self.next + 1)
    }

    /// The topic of an object has the object's number.
    pub fn topic_of(id: ObjectId) -> TopicId {
        TopicId(id.0)
    }

    /// A catalog with `object` added.
    ///
    /// # Errors
    /// 42P07 when the name is taken.
    pub fn with(&self, object: Object) -> Result<Self> {
        if self.names.contains_key(&object.name) {
            return Err(Error::relation_exists(&object.name));
        }
        let mut next = self.clone();
        next.next = next.next.max(object.id.0);
        next.names.insert(object.name.clone(), object.id);
        next.objects.insert(object.id, object);
        Ok(next)
    }

    /// A catalog without `id`. Its number stays used.
    #[must_use]
    pub fn without(&self, id: ObjectId) -> Self {
        let mut next = self.clone();
        if let Some(object) = next.objects.remove(&id) {
            next.names.remove(&object.name);
        }
        next
    }
}
