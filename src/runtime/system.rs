//! The relations of schema `lotic`: how the engine itself is doing, as tables.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Int64Builder, RecordBatch, StringViewBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::filling::BuildState;
use super::instance::Lotic;
use super::world::World;
use crate::base::Result;
use crate::catalog::{Definition, Object};
use crate::models::Snapshot;

/// A value of a system relation.
enum Cell {
    Text(String),
    MaybeText(Option<String>),
    Number(i64),
    MaybeNumber(Option<i64>),
    Flag(bool),
    Bytes(Vec<u8>),
    Time(i64),
    MaybeTime(Option<i64>),
}

#[derive(Clone, Copy)]
enum Shape {
    Text,
    Number,
    Flag,
    Bytes,
    Time,
}

/// A system relation: name, columns, and what fills it.
struct SystemRelation {
    name: &'static str,
    columns: &'static [(&'static str, Shape)],
    rows: fn(&Lotic, &World) -> Result<Vec<Vec<Cell>>>,
}

const RELATIONS: &[SystemRelation] = &[
    SystemRelation {
        name: "sources",
        columns: &[
            ("name", Shape::Text),
            ("kind", Shape::Text),
            ("connector", Shape::Text),
            ("rows", Shape::Number),
            ("loaded", Shape::Flag),
            ("quarantined", Shape::Number),
            ("state", Shape::Text),
            ("last_error", Shape::Text),
            ("watermark", Shape::Time),
            ("late", Shape::Number),
        ],
        rows: sources,
    },
    SystemRelation {
        name: "topics",
        columns: &[
            ("name", Shape::Text),
            ("partition", Shape::Number),
            ("first_offset", Shape::Number),
            ("next_offset", Shape::Number),
            ("topic_bytes", Shape::Number),
        ],
        rows: topics,
    },
    SystemRelation {
        name: "models",
        columns: &[
            ("name", Shape::Text),
            ("state", Shape::Text),
            ("rows", Shape::Number),
            ("bytes", Shape::Number),
            ("error_rows", Shape::Number),
            ("last_error", Shape::Text),
            ("changed_epoch", Shape::Number),
            ("step_us", Shape::Number),
            ("busy_us", Shape::Number),
        ],
        rows: models,
    },
    SystemRelation {
        name: "builds",
        columns: &[
            ("name", Shape::Text),
            ("operators", Shape::Number),
            ("operators_done", Shape::Number),
            ("rows_taken", Shape::Number),
            ("running_ms", Shape::Number),
        ],
        rows: builds,
    },
    SystemRelation {
        name: "operators",
        columns: &[
            ("model", Shape::Text),
            ("position", Shape::Number),
            ("operator", Shape::Text),
            ("rows_in", Shape::Number),
            ("rows_out", Shape::Number),
            ("busy_us", Shape::Number),
            ("state_bytes", Shape::Number),
            ("state_rows", Shape::Number),
        ],
        rows: operators,
    },
    SystemRelation {
        name: "model_errors",
        columns: &[
            ("model", Shape::Text),
            ("operator", Shape::Text),
            ("code", Shape::Text),
            ("message", Shape::Text),
            ("row", Shape::Text),
            ("copies", Shape::Number),
        ],
        rows: model_errors,
    },
    SystemRelation {
        name: "quarantine",
        columns: &[
            ("at", Shape::Time),
            ("source", Shape::Text),
            ("place", Shape::Text),
            ("reason", Shape::Text),
            ("bytes", Shape::Bytes),
        ],
        rows: quarantine,
    },
    SystemRelation {
        name: "indexes",
        columns: &[
            ("name", Shape::Text),
            ("relation", Shape::Text),
            ("columns", Shape::Text),
            ("is_unique", Shape::Flag),
            ("is_constraint", Shape::Flag),
        ],
        rows: indexes,
    },
    SystemRelation {
        name: "objects",
        columns: &[
            ("id", Shape::Number),
            ("name", Shape::Text),
            ("kind", Shape::Text),
            ("definition", Shape::Text),
        ],
        rows: objects,
    },
];

/// The rows of system relation `name`, if there is one.
///
/// # Errors
/// When the quarantine cannot be read.
pub(crate) fn snapshot(name: &str, lotic: &Lotic, world: &World) -> Result<Option<Snapshot>> {
    let Some(relation) = RELATIONS.iter().find(|relation| relation.name == name) else {
        return Ok(None);
    };
    let schema = schema_of(relation);
    let rows = (relation.rows)(lotic, world)?;
    let batch = build(&schema, relation.columns, rows)?;
    Ok(Some(Snapshot::from_batches(schema, vec![batch])))
}

fn schema_of(relation: &SystemRelation) -> SchemaRef {
    let fields = relation.columns.iter().map(|(name, shape)| {
        let data_type = match shape {
            Shape::Text => DataType::Utf8View,
            Shape::Number => DataType::Int64,
            Shape::Flag => DataType::Boolean,
            Shape::Bytes => DataType::Binary,
            Shape::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        Field::new(*name, data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn build(
    schema: &SchemaRef,
    columns: &[(&str, Shape)],
    rows: Vec<Vec<Cell>>,
) -> Result<RecordBatch> {
    let count = rows.len();
    let mut by_column: Vec<Vec<Cell>> = columns.iter().map(|_| Vec::with_capacity(count)).collect();
    for row in rows {
        for (column, cell) in by_column.iter_mut().zip(row) {
            column.push(cell);
        }
    }
    let arrays = columns
        .iter()
        .zip(by_column)
        .map(|((_, shape), cells)| column(*shape, cells))
        .collect::<Vec<_>>();
    Ok(RecordBatch::try_new(Arc::clone(schema), arrays)?)
}

fn column(shape: Shape, cells: Vec<Cell>) -> ArrayRef {
    match shape {
        Shape::Text => {
            let mut builder = StringViewBuilder::new();
            for cell in cells {
                match cell {
                    Cell::Text(text) | Cell::MaybeText(Some(text)) => builder.append_value(text),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        Shape::Number => {
            let mut builder = Int64Builder::new();
            for cell in cells {
                match cell {
                    Cell::Number(number) | Cell::MaybeNumber(Some(number)) => {
                        builder.append_value(number);
                    }
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        Shape::Flag => {
            let mut builder = BooleanBuilder::new();
            for cell in cells {
                builder.append_option(if let Cell::Flag(flag) = cell {
                    Some(flag)
                } else {
                    None
                });
            }
            Arc::new(builder.finish())
        }
        Shape::Bytes => {
            let mut builder = BinaryBuilder::new();
            for cell in cells {
                match cell {
                    Cell::Bytes(bytes) => builder.append_value(bytes),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        Shape::Time => {
            let mut builder = TimestampMicrosecondBuilder::new().with_timezone("UTC");
            for cell in cells {
                builder.append_option(match cell {
                    Cell::Time(time) => Some(time),
                    Cell::MaybeTime(time) => time,
                    _ => None,
                });
            }
            Arc::new(builder.finish())
        }
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn large(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn connector_of(object: &Object) -> Option<String> {
    let options = match &object.definition {
        Definition::Table { connector, .. } | Definition::Stream { connector, .. } => {
            connector.as_ref()?
        }
        Definition::Bounded { connector } | Definition::Sink { connector, .. } => connector,
        Definition::View { .. } | Definition::Model { .. } | Definition::Index { .. } => {
            return None;
        }
    };
    Some(
        options
            .get("connector")
            .cloned()
            .unwrap_or_else(|| "file".to_owned()),
    )
}

fn sources(lotic: &Lotic, world: &World) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    for object in world.catalog.objects() {
        let kind = match object.definition {
            Definition::Table {
                connector: Some(_), ..
            } => "table",
            Definition::Stream {
                connector: Some(_), ..
            } => "tail",
            Definition::Stream {
                connector: None, ..
            } => "push",
            Definition::Bounded { .. } => "bounded",
            _ => continue,
        };
        let held = world.snapshot(object.id);
        let (state, error) = match lotic.source_state(object.id) {
            ("ok", error) if lotic.is_idle(object.id) => ("idle", error),
            known => known,
        };
        rows.push(vec![
            Cell::Text(object.name.clone()),
            Cell::Text(kind.to_owned()),
            Cell::MaybeText(connector_of(object)),
            Cell::MaybeNumber(held.map(|snapshot| count(snapshot.rows()))),
            Cell::Flag(held.is_some()),
            Cell::Number(large(lotic.quarantine().count(&object.name))),
            Cell::Text(state.to_owned()),
            Cell::MaybeText(error),
            Cell::MaybeTime(world.watermarks.get(&object.id).copied()),
            Cell::Number(large(lotic.quarantine().late(&object.name))),
        ]);
    }
    Ok(rows)
}

fn topics(lotic: &Lotic, world: &World) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    for object in world.catalog.objects() {
        let Some(writer) = lotic.writer(object.id) else {
            continue;
        };
        let Some(topic) = writer.topic() else {
            continue;
        };
        for partition in 0..topic.partitions() {
            let (first, next) = topic.bounds(crate::base::PartitionId(partition));
            rows.push(vec![
                Cell::Text(object.name.clone()),
                Cell::Number(i64::from(partition)),
                Cell::Number(large(first.0)),
                Cell::Number(large(next.0)),
                Cell::Number(large(topic.size_bytes())),
            ]);
        }
    }
    Ok(rows)
}

fn builds(lotic: &Lotic, _world: &World) -> Result<Vec<Vec<Cell>>> {
    let row = |build: BuildState| {
        vec![
            Cell::Text(build.name),
            Cell::Number(count(build.reached.operators)),
            Cell::Number(count(build.reached.done)),
            Cell::Number(large(build.reached.rows)),
            Cell::Number(i64::try_from(build.running.as_millis()).unwrap_or(i64::MAX)),
        ]
    };
    Ok(lotic.builds().into_iter().map(row).collect())
}

fn models(lotic: &Lotic, world: &World) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    for object in world.catalog.objects() {
        if !matches!(object.definition, Definition::Model { .. }) {
            continue;
        }
        let content = world.contents.get(&object.id);
        let health = content.map(|content| &content.health);
        let failure = health.and_then(|health| health.failure.as_ref());
        // one that could not be started is computed when it is read, and says why
        let (start, start_error) = lotic.source_state(object.id);
        let start_error = start_error.filter(|_| content.is_none());
        let state = match (content, failure) {
            (None, _) if start != "ok" => start,
            (None, _) => "computed when read",
            (Some(_), Some(_)) => "failed",
            (Some(_), None) => "live",
        };
        let error = failure.map(|error| error.message().to_owned());
        rows.push(vec![
            Cell::Text(object.name.clone()),
            Cell::Text(state.to_owned()),
            Cell::MaybeNumber(content.map(|content| count(content.snapshot.rows()))),
            Cell::MaybeNumber(content.map(|content| count(content.snapshot.bytes()))),
            Cell::MaybeNumber(health.map(|health| health.failed_rows.count())),
            Cell::MaybeText(error.or(start_error)),
            Cell::MaybeNumber(health.map(|health| large(health.changed.0))),
            Cell::MaybeNumber(health.map(|health| large(health.step_us))),
            Cell::MaybeNumber(health.map(|health| large(health.busy_us))),
        ]);
    }
    Ok(rows)
}

fn operators(_: &Lotic, world: &World) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    for object in world.catalog.objects() {
        let Some(content) = world.contents.get(&object.id) else {
            continue;
        };
        for (position, figures) in content.health.operators.iter().enumerate() {
            rows.push(vec![
                Cell::Text(object.name.clone()),
                Cell::Number(count(position)),
                Cell::Text(figures.name.to_owned()),
                Cell::Number(large(figures.rows_in)),
                Cell::Number(large(figures.rows_out)),
                Cell::Number(large(figures.busy_us)),
                Cell::Number(large(figures.state_bytes)),
                Cell::Number(large(figures.state_rows)),
            ]);
        }
    }
    Ok(rows)
}

fn model_errors(_: &Lotic, world: &World) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    for object in world.catalog.objects() {
        let Some(content) = world.contents.get(&object.id) else {
            continue;
        };
        for (failed, copies) in content.health.failed_rows.iter() {
            rows.push(vec![
                Cell::Text(object.name.clone()),
                Cell::Text(failed.operator.clone()),
                Cell::Text(failed.code.to_owned()),
                Cell::Text(failed.message.clone()),
                Cell::Text(failed.row.clone()),
                Cell::Number(copies),
            ]);
        }
    }
    Ok(rows)
}

fn quarantine(lotic: &Lotic, _: &World) -> Result<Vec<Vec<Cell>>> {
    let rows = lotic.quarantine().rows()?.into_iter();
    Ok(rows
        .map(|row| {
            vec![
                Cell::Time(row.at_us),
                Cell::Text(row.source),
                Cell::Text(row.place),
                Cell::Text(row.reason),
                Cell::Bytes(row.bytes),
            ]
        })
        .collect())
}

fn indexes(_: &Lotic, world: &World) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    for object in world.catalog.objects() {
        let on = object.dependencies.first();
        let (
            Definition::Index {
                columns,
                unique,
                constraint,
            },
            Some(table),
        ) = (
            &object.definition,
            on.and_then(|id| world.catalog.by_id(*id)),
        )
        else {
            continue;
        };
        rows.push(vec![
            Cell::Text(object.name.clone()),
            Cell::Text(table.name.clone()),
            Cell::Text(super::index::columns_text(table, columns)),
            Cell::Flag(*unique),
            Cell::Flag(*constraint),
        ]);
    }
    Ok(rows)
}

fn objects(_: &Lotic, world: &World) -> Result<Vec<Vec<Cell>>> {
    Ok(world
        .catalog
        .objects()
        .map(|object| {
            vec![
                Cell::Number(large(object.id.0)),
                Cell::Text(object.name.clone()),
                Cell::Text(object.relation().words().to_owned()),
                Cell::Text(super::masked::definition(object)),
            ]
        })
        .collect())
}
