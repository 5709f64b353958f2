//! The catalog as bytes: a JSON document with a format number, sealed by the caller.
//!
//! | format | since |
//! |---|---|
//! | 1 | the first |
//! | 2 | tables and topics have `defaults`; a 1 is a 2 without any |
//! | 3 | there are indexes; a 2 is a 3 without any |
//! | 4 | topics have watermarks and models `emit_on_close`; a 3 is a 4 without any |
//!
//! Schemas are kept as base64 of an Arrow IPC schema message, the one stable form that Arrow has.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Catalog;
use super::object::{Definition, Object};
use crate::base::{Error, ObjectId, Result};

/// The number of this format. A higher one was written by a newer Lotic.
const FORMAT: u32 = 4;
/// The oldest format that can be read.
const FORMAT_MIN: u32 = 1;

#[derive(Serialize, Deserialize)]
struct StoredCatalog {
    format: u32,
    next: u64,
    objects: Vec<StoredObject>,
}

#[derive(Serialize, Deserialize)]
struct StoredObject {
    id: ObjectId,
    name: String,
    sql: String,
    schema: String,
    dependencies: Vec<ObjectId>,
    base_dir: String,
    definition: Definition,
}

/// The catalog as bytes.
///
/// # Errors
/// When a schema has no IPC form.
pub fn encode_catalog(catalog: &Catalog) -> Result<Vec<u8>> {
    let mut objects = Vec::new();
    for object in catalog.objects.values() {
        objects.push(StoredObject {
            id: object.id,
            name: object.name.clone(),
            sql: object.sql.clone(),
            schema: schema_to_text(&object.schema)?,
            dependencies: object.dependencies.clone(),
            base_dir: object.base_dir.clone(),
            definition: object.definition.clone(),
        });
    }
    let stored = StoredCatalog {
        format: FORMAT,
        next: catalog.next,
        objects,
    };
    serde_json::to_vec(&stored).map_err(|error| Error::internal(format!("catalog: {error}")))
}

/// The catalog from bytes.
///
/// # Errors
/// When the bytes are not a catalog of this format.
pub fn decode_catalog(bytes: &[u8]) -> Result<Catalog> {
    let stored: StoredCatalog = serde_json::from_slice(bytes)
        .map_err(|error| Error::corrupt(format!("the catalog does not parse: {error}")))?;
    if !(FORMAT_MIN..=FORMAT).contains(&stored.format) {
        return Err(Error::corrupt(format!(
            "the catalog has format {}, this version of Lotic reads {FORMAT_MIN} to {FORMAT}",
            stored.format
        ))
        .with_hint("open the folder with the version that wrote it"));
    }
    let mut catalog = Catalog {
        next: stored.next,
        ..Catalog::default()
    };
    for object in stored.objects {
        let schema = schema_from_text(&object.schema)?;
        catalog.names.insert(object.name.clone(), object.id);
        catalog.objects.insert(
            object.id,
            Object {
                id: object.id,
                name: object.name,
                sql: object.sql,
                schema,
                definition: object.definition,
                dependencies: object.dependencies,
                base_dir: object.base_dir,
            },
        );
    }
    Ok(catalog)
}

/// A schema as text, for definitions that must not change under their rows.
///
/// # Errors
/// When a type has no IPC form.
pub fn schema_to_text(schema: &Schema) -> Result<String> {
    let writer = StreamWriter::try_new(Vec::new(), schema)?;
    Ok(STANDARD.encode(writer.get_ref()))
}

/// A schema from the text that [`schema_to_text`] gave.
///
/// # Errors
/// When the text is not such a schema.
pub fn schema_from_text(text: &str) -> Result<SchemaRef> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| Error::corrupt(format!("a stored schema is not base64: {error}")))?;
    let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None)
        .map_err(|error| Error::corrupt(format!("a stored schema does not decode: {error}")))?;
    Ok(Arc::clone(&reader.schema()))
}
