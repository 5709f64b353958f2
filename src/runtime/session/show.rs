//! SET, SHOW, DESCRIBE and DISCARD.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{Response, Session, done, rows};
use crate::base::{Error, Result};
use crate::catalog::{Definition, Relation};
use crate::planner::parse::{Name, SetValue, Show, Statement};
use crate::runtime::world::World;

impl Session {
    pub(super) fn set(&mut self, name: &str, value: &SetValue) -> Result<Response> {
        match value {
            SetValue::Values(values) => self.settings.set(name, &values.join(", "))?,
            SetValue::Default => self.settings.reset(Some(name))?,
        }
        done("SET")
    }

    pub(super) fn discard(&mut self, word: &str) -> Result<Response> {
        if word == "ALL" {
            self.settings.reset(None)?;
            self.cursors.clear();
        }
        done(&format!("DISCARD {word}"))
    }

    pub(super) fn show(&mut self, show: &Show) -> Result<Response> {
        let kind = match show {
            Show::Setting(name) => {
                let value = self.settings.get(name)?.to_owned();
                let schema = text_schema(&[name]);
                return Ok(rows(text_batch(&schema, &[vec![value]])?, "SHOW"));
            }
            Show::All => {
                let lines: Vec<Vec<String>> = self
                    .settings
                    .all()
                    .map(|(name, value, about)| {
                        vec![name.to_owned(), value.to_owned(), about.to_owned()]
                    })
                    .collect();
                let schema = text_schema(&["name", "setting", "description"]);
                return Ok(rows(text_batch(&schema, &lines)?, "SHOW"));
            }
            Show::Tables => Some(Relation::Table),
            Show::Sources => Some(Relation::Source),
            Show::Views => Some(Relation::View),
            Show::MaterializedViews => Some(Relation::Model),
            Show::Sinks => Some(Relation::Sink),
            Show::Topics => None,
            Show::Columns(name) => return self.describe(name),
        };
        let world = self.lotic.world();
        let lines: Vec<Vec<String>> = world
            .catalog
            .objects()
            .filter(|object| match kind {
                Some(kind) => object.relation() == kind,
                None => object.topic().is_some(),
            })
            .map(|object| vec![object.name.clone()])
            .collect();
        Ok(rows(text_batch(&text_schema(&["name"]), &lines)?, "SHOW"))
    }

    pub(super) fn describe(&mut self, name: &Name) -> Result<Response> {
        let world = self.lotic.world();
        let object = world.catalog.get(&name.name)?;
        if !object.is_readable() {
            return Err(Error::invalid(format!(
                "{} \"{}\" has no columns",
                object.relation().words(),
                object.name
            )));
        }
        let unique: Vec<usize> = world
            .catalog
            .indexes_of(object.id)
            .filter_map(|index| index.unique_columns())
            .filter(|columns| columns.len() == 1)
            .flatten()
            .collect();
        let lines: Vec<Vec<String>> = object
            .schema
            .fields()
            .iter()
            .enumerate()
            .map(|(position, field)| {
                let key = object.primary_key().contains(&position);
                let watermark = object.watermark();
                let is_time = watermark.is_some_and(|watermark| watermark.column == position);
                vec![
                    field.name().clone(),
                    type_name(field.data_type()),
                    if field.is_nullable() { "YES" } else { "NO" }.to_owned(),
                    match (key, unique.contains(&position)) {
                        (true, _) => "PRI",
                        (false, true) => "UNI",
                        (false, false) if is_time => "WATERMARK",
                        (false, false) => "",
                    }
                    .to_owned(),
                    object
                        .defaults()
                        .and_then(|defaults| defaults.get(field.name()).cloned())
                        .unwrap_or_default(),
                ]
            })
            .collect();
        Ok(rows(text_batch(&describe_schema(), &lines)?, "DESCRIBE"))
    }

    /// The columns of statements whose rows do not come from a plan.
    pub(super) async fn fixed_schema(
        &mut self,
        statement: &Statement,
    ) -> Result<Option<SchemaRef>> {
        Ok(match statement {
            Statement::Show(Show::Setting(name)) => Some(text_schema(&[name])),
            Statement::Show(Show::All) => Some(text_schema(&["name", "setting", "description"])),
            Statement::Show(Show::Columns(_)) => Some(describe_schema()),
            Statement::Show(_) => Some(text_schema(&["name"])),
            Statement::Describe(_) => Some(describe_schema()),
            Statement::Explain(_) => Some(text_schema(&["QUERY PLAN"])),
            Statement::Fetch(fetch) if !fetch.move_only => self
                .cursors
                .get(&fetch.name)
                .map(|cursor| Arc::clone(&cursor.schema)),
            Statement::CheckMaterializedView(name) => {
                let world = self.world().await?;
                Some(crate::runtime::check::difference_schema(
                    world.catalog.get(&name.name)?,
                ))
            }
            Statement::CheckAll => Some(crate::runtime::check::summary_schema()),
            _ => None,
        })
    }

    pub(super) async fn check(&mut self, name: Option<&str>) -> Result<Response> {
        let world = self.world().await?;
        if let Some(name) = name {
            let (schema, batches) = Arc::clone(&self.lotic).check_model(&world, name).await?;
            let batch = arrow::compute::concat_batches(&schema, &batches)?;
            self.tell_not_compared(&world, name).await?;
            return Ok(rows(batch, "CHECK"));
        }
        let mut lines = Vec::new();
        for object in world.catalog.objects() {
            if !matches!(object.definition, Definition::Model { .. }) {
                continue;
            }
            let name = &object.name;
            let differing = match Arc::clone(&self.lotic).check_model(&world, name).await {
                Ok((_, batches)) => {
                    self.tell_not_compared(&world, name).await?;
                    Some(batches.iter().map(RecordBatch::num_rows).sum())
                }
                // one that fails says nothing of the others
                Err(error) => {
                    self.warn(
                        "01000",
                        format!("model \"{name}\" was not compared: {}", error.message()),
                    );
                    None
                }
            };
            lines.push((name.clone(), differing));
        }
        Ok(rows(crate::runtime::check::summary(&lines)?, "CHECK"))
    }

    /// Warns where a model cannot be compared with its query.
    async fn tell_not_compared(&mut self, world: &Arc<World>, name: &str) -> Result<()> {
        let why = Arc::clone(&self.lotic).not_compared(world, name).await?;
        if let Some(message) = why {
            self.warn("01000", message);
        }
        Ok(())
    }
}

fn describe_schema() -> SchemaRef {
    text_schema(&["column_name", "data_type", "is_nullable", "key", "default"])
}

/// Columns of text.
pub(super) fn text_schema(names: &[&str]) -> SchemaRef {
    let fields: Vec<Field> = names
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8View, false))
        .collect();
    Arc::new(Schema::new(fields))
}

/// Lines of text as a batch.
pub(super) fn text_batch(schema: &SchemaRef, lines: &[Vec<String>]) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = (0..schema.fields().len())
        .map(|column| {
            let cells: StringViewArray = lines
                .iter()
                .map(|line| line.get(column).map(String::as_str))
                .collect();
            Arc::new(cells) as ArrayRef
        })
        .collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The name by which PostgreSQL knows a type.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint".to_owned(),
        DataType::Int32 | DataType::UInt16 => "integer".to_owned(),
        DataType::Int64 | DataType::UInt32 => "bigint".to_owned(),
        DataType::UInt64 => "numeric(20,0)".to_owned(),
        DataType::Float16 | DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => format!("numeric({p},{s})"),
        DataType::Utf8 | DataType::Utf8View => "text".to_owned(),
        DataType::LargeUtf8 => "jsonb".to_owned(),
        DataType::Binary
        | DataType::BinaryView
        | DataType::LargeBinary
        | DataType::FixedSizeBinary(_) => "bytea".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        DataType::List(item) | DataType::LargeList(item) => {
            format!("{}[]", type_name(item.data_type()))
        }
        DataType::Dictionary(_, values) => type_name(values),
        other => other.to_string(),
    }
}
