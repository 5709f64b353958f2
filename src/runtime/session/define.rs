//! CREATE, DROP: from the statement to what the engine makes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::{Response, Session, done, public};
use crate::base::{CancelFlag, Error, RaiseOnDrop, Result, task};
use crate::catalog::{Relation, SinkInput};
use crate::planner::parse::{
    self, Column, CreateExternalTable, CreateIndex, CreateRelation, CreateSink, CreateView,
    ObjectKind, Statement,
};
use crate::planner::prepass;
use crate::runtime::Lotic;
use crate::runtime::ddl::{NewQuery, NewRelation};
use crate::runtime::index::NewIndex;

/// Where a definition comes from.
struct Origin<'a> {
    text: &'a str,
    /// Where relative paths beginning with a dot start.
    base_dir: &'a str,
    is_client: bool,
}

impl Session {
    /// Runs a definition. `folder` is where relative paths beginning with a dot start; by default
    /// the working directory.
    pub(crate) async fn define(
        &mut self,
        statement: &Statement,
        text: &str,
        folder: Option<&str>,
    ) -> Result<Response> {
        self.refuse_in_block("a definition")?;
        let from = Origin {
            text,
            base_dir: folder.unwrap_or_default(),
            is_client: self.is_client,
        };
        match statement {
            Statement::CreateTable(create) => self.create_table(create, &from).await,
            Statement::CreateSource(create) => {
                let new = new_relation(create, &from)?;
                if self.skip_existing(&create.name.name, create.if_not_exists) {
                    return done("CREATE SOURCE");
                }
                self.whole(|lotic, stop| async move { lotic.create_source(new, &stop).await })
                    .await?;
                done("CREATE SOURCE")
            }
            Statement::CreateExternalTable(create) => {
                if self.skip_existing(&create.name.name, create.if_not_exists) {
                    return done("CREATE EXTERNAL TABLE");
                }
                let new = new_external(create, &from)?;
                self.whole(|lotic, stop| async move { lotic.create_source(new, &stop).await })
                    .await?;
                done("CREATE EXTERNAL TABLE")
            }
            Statement::CreateView(create) => {
                if self.skip_existing(&create.name.name, create.if_not_exists) {
                    return done("CREATE VIEW");
                }
                let new = new_query(create, BTreeMap::new(), false, text)?;
                let replace = create.or_replace;
                self.whole(
                    |lotic, stop| async move { lotic.create_view(new, replace, &stop).await },
                )
                .await?;
                done("CREATE VIEW")
            }
            Statement::CreateMaterializedView(create) => {
                if self.skip_existing(&create.view.name.name, create.view.if_not_exists) {
                    return done("CREATE MATERIALIZED VIEW");
                }
                let options = create.options.clone();
                let new = new_query(&create.view, options, create.emit_on_close, text)?;
                self.world().await?;
                let replace = create.view.or_replace;
                self.whole(
                    |lotic, stop| async move { lotic.create_model(new, replace, &stop).await },
                )
                .await?;
                done("CREATE MATERIALIZED VIEW")
            }
            Statement::CreateSink(create) => {
                if self.skip_existing(&create.name.name, create.if_not_exists) {
                    return done("CREATE SINK");
                }
                let (new, input) = new_sink(create, &from)?;
                self.whole(
                    |lotic, stop| async move { lotic.create_sink(&new, input, &stop).await },
                )
                .await?;
                done("CREATE SINK")
            }
            Statement::CreateIndex(create) => self.create_index(create, text).await,
            Statement::Drop(drop) => self.drop(drop).await,
            _ => Err(Error::internal("not a definition")),
        }
    }

    async fn create_table(
        &mut self,
        create: &CreateRelation,
        from: &Origin<'_>,
    ) -> Result<Response> {
        if self.skip_existing(&create.name.name, create.if_not_exists) {
            return done("CREATE TABLE");
        }
        if create.or_replace {
            return Err(
                Error::unsupported("CREATE OR REPLACE TABLE is not supported")
                    .with_hint("DROP TABLE first: it takes the rows with it"),
            );
        }
        let mut new = new_relation(create, from)?;
        let Some(query) = &create.query else {
            self.whole(|lotic, stop| async move { lotic.create_table(new, &stop).await })
                .await?;
            return done("CREATE TABLE");
        };
        let planned = self.plan(query.query.as_ref().clone()).await?;
        let schema = planned.schema();
        let batches = self
            .lotic
            .collect(query.query.as_ref().clone(), &[])
            .await?;
        let fields: Vec<Field> = schema
            .fields()
            .iter()
            .map(|f| f.as_ref().clone().with_nullable(true))
            .collect();
        new.schema = Some(Arc::new(Schema::new(fields)));
        self.whole(|lotic, stop| async move { lotic.create_table(new, &stop).await })
            .await?;
        let (object, writer) = self.lotic.writable(&create.name.name, true).await?;
        let batches = batches
            .iter()
            .map(|batch| crate::runtime::check::with_schema(batch, &object.schema))
            .collect::<Result<Vec<_>>>()?;
        let rows: usize = batches
            .iter()
            .map(arrow::array::RecordBatch::num_rows)
            .sum();
        if rows > 0 {
            let receipt = writer.insert(batches, Default::default()).await?;
            self.unseen.lock().push(receipt.visible);
        }
        done(&format!("SELECT {rows}"))
    }

    async fn create_index(&mut self, create: &CreateIndex, text: &str) -> Result<Response> {
        public(&create.relation)?;
        if let Some(name) = &create.name {
            public(name)?;
            if self.skip_existing(&name.name, create.if_not_exists) {
                return done("CREATE INDEX");
            }
        }
        let new = NewIndex {
            name: create.name.as_ref().map(|name| name.name.clone()),
            relation: create.relation.name.clone(),
            columns: create.columns.clone(),
            unique: create.unique,
            sql: text.to_owned(),
        };
        self.whole(|lotic, stop| async move { lotic.create_index(new, &stop).await })
            .await?;
        done("CREATE INDEX")
    }

    async fn drop(&mut self, drop: &parse::Drop) -> Result<Response> {
        let (kind, words) = match drop.kind {
            ObjectKind::Table => (Relation::Table, "DROP TABLE"),
            ObjectKind::Source => (Relation::Source, "DROP SOURCE"),
            ObjectKind::View => (Relation::View, "DROP VIEW"),
            ObjectKind::MaterializedView => (Relation::Model, "DROP MATERIALIZED VIEW"),
            ObjectKind::Sink => (Relation::Sink, "DROP SINK"),
            ObjectKind::Index => (Relation::Index, "DROP INDEX"),
        };
        for name in &drop.names {
            public(name)?;
            let found = self
                .lotic
                .world()
                .catalog
                .find(&name.name)
                .map(|o| o.relation());
            if found.is_none() && drop.if_exists {
                let words = kind.words();
                self.notice(
                    "00000",
                    format!("{words} \"{}\" does not exist, skipping", name.name),
                );
                continue;
            }
            // an external table is a source that was declared by another word
            let kind = match (kind, found) {
                (Relation::Table, Some(Relation::Source)) => Relation::Source,
                _ => kind,
            };
            let (name, cascade) = (name.name.clone(), drop.cascade);
            self.whole(|lotic, stop| async move {
                lotic.drop_relation(kind, &name, cascade, &stop).await
            })
            .await?;
        }
        done(words)
    }

    /// Changes definitions, whole or not at all: a session that is cancelled or goes away stops waiting for it, and the
    /// flag that `work` is given is raised then. Work that has taken effect by that flag is waited for.
    fn whole<W, F>(&self, work: W) -> impl Future<Output = Result<()>> + Send + use<W, F>
    where
        W: FnOnce(Arc<Lotic>, CancelFlag) -> F,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let stop = self.stop.clone();
        let raise = RaiseOnDrop::new(&stop);
        let work = work(Arc::clone(&self.lotic), stop);
        async move {
            let outcome = task::whole("definition", work).await;
            raise.disarm();
            outcome
        }
    }

    fn skip_existing(&mut self, name: &str, if_not_exists: bool) -> bool {
        let exists = self.lotic.world().catalog.find(name).is_some();
        if exists && if_not_exists {
            self.notice(
                "42P07",
                format!("relation \"{name}\" already exists, skipping"),
            );
        }
        exists && if_not_exists
    }
}

fn schema_of(columns: &[Column]) -> Result<Option<SchemaRef>> {
    if columns.is_empty() {
        return Ok(None);
    }
    let mut fields: Vec<Field> = Vec::with_capacity(columns.len());
    for column in columns {
        if fields.iter().any(|field| *field.name() == column.name) {
            let message = format!("column \"{}\" specified more than once", column.name);
            return Err(Error::new(crate::base::Kind::Invalid, "42701", message));
        }
        fields.push(Field::new(
            &column.name,
            column.data_type.clone(),
            column.nullable,
        ));
    }
    Ok(Some(Arc::new(Schema::new(fields))))
}

fn defaults_of(columns: &[Column]) -> BTreeMap<String, String> {
    columns
        .iter()
        .filter_map(|column| Some((column.name.clone(), column.default.as_ref()?.to_string())))
        .collect()
}

fn new_relation(create: &CreateRelation, from: &Origin<'_>) -> Result<NewRelation> {
    public(&create.name)?;
    if create.or_replace {
        return Err(
            Error::unsupported("OR REPLACE of a table or source is not supported")
                .with_hint("DROP it first: it takes its rows with it"),
        );
    }
    let watermark = create.watermark.as_ref().map(|watermark| {
        let delay_us = prepass::watermark_delay_us(watermark)?;
        Ok::<_, Error>((watermark.column.clone(), delay_us))
    });
    let mut options = create.options.clone();
    if let Some(encoding) = &create.encoding {
        if encoding.format != "PLAIN" || !encoding.options.is_empty() {
            return Err(Error::unsupported(format!(
                "FORMAT {} is not supported yet",
                encoding.format
            )));
        }
        let format = match encoding.encode.as_str() {
            "JSON" => "ndjson".to_owned(),
            other => other.to_ascii_lowercase(),
        };
        if options.contains_key("connector") {
            options.insert("format".to_owned(), format);
        }
    }
    Ok(NewRelation {
        name: create.name.name.clone(),
        schema: schema_of(&create.columns)?,
        primary_key: create.primary_key.clone(),
        unique: create.unique.clone(),
        defaults: defaults_of(&create.columns),
        watermark: watermark.transpose()?,
        options,
        sql: from.text.to_owned(),
        base_dir: from.base_dir.to_owned(),
        is_client: from.is_client,
    })
}

fn new_external(create: &CreateExternalTable, from: &Origin<'_>) -> Result<NewRelation> {
    public(&create.name)?;
    if create.or_replace {
        return Err(
            Error::unsupported("OR REPLACE of an external table is not supported")
                .with_hint("DROP it first; its files stay"),
        );
    }
    let mut options = create.options.clone();
    options.insert("connector".to_owned(), "file".to_owned());
    options.insert("path".to_owned(), create.location.clone());
    options.insert("format".to_owned(), create.format.clone());
    Ok(NewRelation {
        name: create.name.name.clone(),
        schema: schema_of(&create.columns)?,
        primary_key: Vec::new(),
        unique: Vec::new(),
        defaults: defaults_of(&create.columns),
        watermark: None,
        options,
        sql: from.text.to_owned(),
        base_dir: from.base_dir.to_owned(),
        is_client: from.is_client,
    })
}

fn new_query(
    create: &CreateView,
    options: BTreeMap<String, String>,
    emit_on_close: bool,
    text: &str,
) -> Result<NewQuery> {
    public(&create.name)?;
    Ok(NewQuery {
        name: create.name.name.clone(),
        columns: create.columns.clone(),
        query: create.query.text.clone(),
        options,
        emit_on_close,
        sql: text.to_owned(),
    })
}

fn new_sink(create: &CreateSink, from: &Origin<'_>) -> Result<(NewRelation, SinkInput)> {
    public(&create.name)?;
    if create.or_replace {
        return Err(Error::unsupported("OR REPLACE of a sink is not supported")
            .with_hint("DROP it first; what it has written stays"));
    }
    let input = match &create.input {
        parse::SinkInput::Relation(name) => SinkInput::Object(name.name.clone()),
        parse::SinkInput::Query(query) => SinkInput::Query(query.text.clone()),
    };
    let new = NewRelation {
        name: create.name.name.clone(),
        schema: None,
        primary_key: Vec::new(),
        unique: Vec::new(),
        defaults: BTreeMap::new(),
        watermark: None,
        options: create.options.clone(),
        sql: from.text.to_owned(),
        base_dir: from.base_dir.to_owned(),
        is_client: from.is_client,
    };
    Ok((new, input))
}
