//! One object of the catalog.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;

use super::watermark::WatermarkDefinition;
use crate::base::ObjectId;

/// A named object and its definition.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its identity, never reused.
    pub id: ObjectId,
    /// Its name, in schema `public`, as the parser folded it.
    pub name: String,
    /// The statement that made it, after substitution of `${name}`.
    pub sql: String,
    /// Columns. Empty for sinks.
    pub schema: SchemaRef,
    /// What it is.
    pub definition: Definition,
    /// The objects that its definition reads.
    pub dependencies: Vec<ObjectId>,
    /// The folder that relative paths of its options start from.
    pub base_dir: String,
}

/// What kind of object, with what only that kind has.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Definition {
    /// Rows that statements change.
    Table {
        /// Positions of the primary key's columns; empty for none.
        primary_key: Vec<usize>,
        /// Options of the connector that fills it first, if any.
        connector: Option<BTreeMap<String, String>>,
        /// How its changes are kept.
        topic: TopicDefinition,
        /// The expressions of DEFAULT, by column.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        defaults: BTreeMap<String, String>,
    },
    /// An append-only stream that a topic keeps: pushed, or tailed from files.
    Stream {
        /// Options of the connector that feeds it; none means pushed.
        connector: Option<BTreeMap<String, String>>,
        /// How its rows are kept.
        topic: TopicDefinition,
        /// The expressions of DEFAULT, by column; for pushed topics only.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        defaults: BTreeMap<String, String>,
        /// How late its rows may come; none: as late as they like.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        watermark: Option<WatermarkDefinition>,
    },
    /// Files or a table elsewhere, read in place.
    Bounded {
        /// Options of the connector.
        connector: BTreeMap<String, String>,
    },
    /// A named query.
    View {
        /// The text of the query.
        query: String,
    },
    /// A query whose answer is kept fresh.
    Model {
        /// The text of the query.
        query: String,
        /// Options of WITH.
        options: ModelOptions,
    },
    /// Columns of a table or model, the first of its dependencies, by which rows are looked for.
    Index {
        /// In order, at least one.
        columns: Vec<IndexColumn>,
        /// Whether two rows may not agree in all of them, unless one is NULL.
        unique: bool,
        /// Whether a UNIQUE of CREATE TABLE made it: it goes with the table alone.
        constraint: bool,
    },
    /// Where the rows of an object or a query go.
    Sink {
        /// What it writes.
        input: SinkInput,
        /// Options of the connector.
        connector: BTreeMap<String, String>,
    },
}

/// One column of an index.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IndexColumn {
    /// Its position in the table.
    pub position: usize,
    /// DESC was written.
    pub descending: bool,
    /// NULLS FIRST was written, or DESC alone.
    pub nulls_first: bool,
}

/// How a topic is laid out and how long it keeps rows.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct TopicDefinition {
    /// The number of partitions, at least 1.
    pub partitions: u32,
    /// Rows older than this may go, in microseconds.
    pub retention_us: Option<i64>,
    /// The oldest rows may go beyond this size.
    pub retention_bytes: Option<u64>,
    /// Whether an acknowledgement waits for the disk.
    pub durable: bool,
}

/// What a model does beyond its query.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct ModelOptions {
    /// A row whose expressions fail ends the model instead of going to its errors.
    pub fail_on_error: bool,
    /// EMIT ON WINDOW CLOSE: a row comes once nothing can change it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emit_on_close: bool,
}

/// What a sink writes.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum SinkInput {
    /// The rows of one object, by name.
    Object(String),
    /// The answer of a query.
    Query(String),
}

/// The kinds of object as users name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `CREATE TABLE`
    Table,
    /// `CREATE SOURCE` or `CREATE EXTERNAL TABLE`
    Source,
    /// `CREATE VIEW`
    View,
    /// `CREATE MATERIALIZED VIEW`
    Model,
    /// `CREATE SINK`
    Sink,
    /// `CREATE INDEX`
    Index,
}

impl Relation {
    /// The words in messages and command tags.
    pub fn words(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Source => "source",
            Self::View => "view",
            Self::Model => "materialized view",
            Self::Sink => "sink",
            Self::Index => "index",
        }
    }
}

impl Object {
    /// The kind as users name it.
    pub fn relation(&self) -> Relation {
        match self.definition {
            Definition::Table { .. } => Relation::Table,
            Definition::Stream { .. } | Definition::Bounded { .. } => Relation::Source,
            Definition::View { .. } => Relation::View,
            Definition::Model { .. } => Relation::Model,
            Definition::Sink { .. } => Relation::Sink,
            Definition::Index { .. } => Relation::Index,
        }
    }

    /// The topic's layout, for objects that have one.
    pub fn topic(&self) -> Option<&TopicDefinition> {
        match &self.definition {
            Definition::Table { topic, .. } | Definition::Stream { topic, .. } => Some(topic),
            _ => None,
        }
    }

    /// Positions of the primary key's columns; empty for none.
    pub fn primary_key(&self) -> &[usize] {
        match &self.definition {
            Definition::Table { primary_key, .. } => primary_key,
            _ => &[],
        }
    }

    /// The expressions of DEFAULT by column, for objects that may have some.
    pub fn defaults(&self) -> Option<&BTreeMap<String, String>> {
        match &self.definition {
            Definition::Table { defaults, .. } | Definition::Stream { defaults, .. } => {
                Some(defaults)
            }
            _ => None,
        }
    }

    /// How late its rows may come, where that is bounded.
    pub fn watermark(&self) -> Option<WatermarkDefinition> {
        match &self.definition {
            Definition::Stream { watermark, .. } => *watermark,
            _ => None,
        }
    }

    /// Positions of the columns of a unique index; none for what is not one.
    pub fn unique_columns(&self) -> Option<Vec<usize>> {
        match &self.definition {
            Definition::Index {
                columns,
                unique: true,
                ..
            } => Some(columns.iter().map(|column| column.position).collect()),
            _ => None,
        }
    }

    /// The query of a view or model.
    pub fn query(&self) -> Option<&str> {
        match &self.definition {
            Definition::View { query } | Definition::Model { query, .. } => Some(query),
            _ => None,
        }
    }

    /// Whether a query reads it as a relation.
    pub fn is_readable(&self) -> bool {
        !matches!(
            self.definition,
            Definition::Sink { .. } | Definition::Index { .. }
        )
    }
}
