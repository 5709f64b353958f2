//! A pipeline: folders and files of SQL, applied in the order of their names.
//!
//! Applying a pipeline again changes only what has changed: a definition with the same text stays
//! and keeps its rows; a view or model with another text is made anew, and so is what reads it. A
//! table or source with another text is refused, since its rows would go with it. INSERT, UPDATE,
//! DELETE and COPY of a pipeline run when their table was made by this very application, so that a
//! restart does not insert twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::instance::Lotic;
use super::session::{Response, Session};
use crate::base::{CancelFlag, Error, Kind, Result};
use crate::catalog::{Object, Relation};
use crate::planner::parse::{self, Parsed, Statement};
use crate::planner::prepass;

/// One statement of a pipeline and where it stands.
#[derive(Clone, Debug)]
pub struct Step {
    /// The file.
    pub file: PathBuf,
    /// The statement.
    pub parsed: Parsed,
}

/// The statements of a pipeline, in order.
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    /// The statements.
    pub steps: Vec<Step>,
}

/// What an application did with a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It ran.
    Ran,
    /// Its object is there already, with the same text.
    Unchanged,
}

impl Step {
    /// `file:line`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.parsed.line)
    }

    /// What the statement makes: kind and name.
    pub fn creates(&self) -> Option<(&'static str, &str)> {
        match &self.parsed.statement {
            Statement::CreateTable(create) => Some(("table", &create.name.name)),
            Statement::CreateSource(create) => Some(("source", &create.name.name)),
            Statement::CreateExternalTable(create) => Some(("external table", &create.name.name)),
            Statement::CreateView(create) => Some(("view", &create.name.name)),
            Statement::CreateMaterializedView(create) => {
                Some(("materialized view", &create.view.name.name))
            }
            Statement::CreateSink(create) => Some(("sink", &create.name.name)),
            Statement::CreateIndex(create) => Some(("index", create.name.as_ref()?.name.as_str())),
            _ => None,
        }
    }
}

impl Pipeline {
    /// Reads files and folders; `${name}` becomes its value.
    ///
    /// # Errors
    /// When a path is not there, a name has no value, or a statement does not parse: with the place.
    pub fn read(paths: &[PathBuf], variables: &BTreeMap<String, String>) -> Result<Self> {
        let mut steps = Vec::new();
        for file in files_of(paths)? {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| Error::io(format!("read {}", file.display()), &error))?;
            let named = |error: Error| error.at(file.display());
            let text = parse::substitute(&text, variables).map_err(named)?;
            for parsed in parse::parse(&text).map_err(named)? {
                if parsed.statement != Statement::Empty {
                    steps.push(Step {
                        file: file.clone(),
                        parsed,
                    });
                }
            }
        }
        let pipeline = Self { steps };
        pipeline.check_order()?;
        Ok(pipeline)
    }

    /// Finds definitions that read each other, and ones that come before what they read.
    fn check_order(&self) -> Result<()> {
        let mut places: BTreeMap<&str, (usize, String)> = BTreeMap::new();
        for (position, step) in self.steps.iter().enumerate() {
            if let Some((_, name)) = step.creates()
                && let Some((_, earlier)) = places.insert(name, (position, step.place()))
            {
                let message = format!("relation \"{name}\" is defined twice, first at {earlier}");
                return Err(Error::new(Kind::Conflict, "42P07", message).at(step.place()));
            }
        }
        let mut reads: Vec<BTreeSet<usize>> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let names = names_read(&step.parsed.statement).map_err(|e| e.at(step.place()))?;
            reads.push(
                names
                    .iter()
                    .filter_map(|name| places.get(name.as_str()))
                    .map(|(p, _)| *p)
                    .collect(),
            );
        }
        for (position, needed) in reads.iter().enumerate() {
            let Some(later) = needed.iter().find(|needed| **needed >= position) else {
                continue;
            };
            let step = &self.steps[position];
            let name = |step: &Step| step.creates().map_or("?", |(_, name)| name).to_owned();
            if let Some(circle) = circle_from(position, &reads) {
                let names: Vec<String> = circle.iter().map(|at| name(&self.steps[*at])).collect();
                let defined = |at: &usize| {
                    let step = &self.steps[*at];
                    format!("{} at {}", name(step), step.place())
                };
                // the last of a circle is its first
                let places: Vec<String> = circle.iter().skip(1).map(defined).collect();
                return Err(Error::new(
                    Kind::Invalid,
                    "42P19",
                    format!("definitions read each other: {}", names.join(" -> ")),
                )
                .at(step.place())
                .with_detail(format!("They are defined: {}.", places.join(", ")))
                .with_hint("a view or model cannot read itself, not through others either"));
            }
            let other = &self.steps[*later];
            return Err(Error::no_relation(name(other))
                .at(step.place())
                .with_hint(format!(
                    "it is defined later, at {}: files are applied in the order of their names",
                    other.place()
                )));
        }
        Ok(())
    }
}

/// A way from `start` back to itself.
fn circle_from(start: usize, reads: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    let mut open = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop() {
        for next in reads.get(*path.last()?)? {
            let mut longer = path.clone();
            longer.push(*next);
            if *next == start {
                return Some(longer);
            }
            if seen.insert(*next) {
                open.push(longer);
            }
        }
    }
    None
}

/// The relations that a definition reads, without those of other schemas.
fn names_read(statement: &Statement) -> Result<Vec<String>> {
    let query = match statement {
        Statement::CreateView(create) => &create.query,
        Statement::CreateMaterializedView(create) => &create.view.query,
        Statement::CreateSink(create) => match &create.input {
            parse::SinkInput::Relation(name) => return Ok(vec![name.name.clone()]),
            parse::SinkInput::Query(query) => query,
        },
        Statement::CreateIndex(create) => return Ok(vec![create.relation.name.clone()]),
        _ => return Ok(Vec::new()),
    };
    let mut tree = query.query.as_ref().clone();
    let found = prepass::prepare_query(&mut tree)?;
    Ok(found
        .relations
        .into_iter()
        .filter(|relation| {
            relation
                .schema
                .as_deref()
                .is_none_or(|schema| schema == "public")
        })
        .map(|relation| relation.name)
        .collect())
}

/// The `.sql` files of `paths`, those of a folder in the order of their names.
fn files_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let io = |error: std::io::Error| Error::io(format!("read {}", path.display()), &error);
        if !std::fs::metadata(path).map_err(io)?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(io)? {
            let file = entry.map_err(io)?.path();
            if file.extension().is_some_and(|extension| extension == "sql") {
                found.push(file);
            }
        }
        if found.is_empty() {
            return Err(Error::invalid(format!(
                "folder {} has no .sql file",
                path.display()
            )));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

impl Lotic {
    /// Applies a pipeline. `report` hears of each statement before it runs and after.
    ///
    /// # Errors
    /// The first error, with file and line. What was applied before it stays.
    pub async fn apply(
        self: &Arc<Self>,
        pipeline: &Pipeline,
        mut report: impl FnMut(&Step, Option<Applied>),
    ) -> Result<()> {
        let mut session = self.session("lotic");
        let mut made = BTreeSet::new();
        self.drop_changed(pipeline).await?;
        for step in &pipeline.steps {
            report(step, None);
            let applied = self
                .apply_step(&mut session, step, &mut made)
                .await
                .map_err(|error| error.at(step.place()))?;
            report(step, Some(applied));
        }
        self.driver().flush().await?;
        Ok(())
    }

    async fn apply_step(
        self: &Arc<Self>,
        session: &mut Session,
        step: &Step,
        made: &mut BTreeSet<String>,
    ) -> Result<Applied> {
        let parsed = &step.parsed;
        if let Some((_, name)) = step.creates() {
            if self.world().catalog.find(name).is_some() {
                return Ok(Applied::Unchanged);
            }
            let folder = step
                .file
                .parent()
                .unwrap_or(Path::new(""))
                .to_string_lossy();
            session.begin_statement();
            let defined = session.define(&parsed.statement, &parsed.text, Some(&folder));
            Box::pin(defined).await?;
            made.insert(name.to_owned());
            return Ok(Applied::Ran);
        }
        if matches!(parsed.statement, Statement::CreateIndex(_)) && self.has_index(&parsed.text) {
            return Ok(Applied::Unchanged);
        }
        let target = match &parsed.statement {
            Statement::Insert(insert) => Some(&insert.table.name),
            Statement::Update(update) => Some(&update.table.name),
            Statement::Delete(delete) => Some(&delete.table.name),
            _ => None,
        };
        if target.is_some_and(|table| !made.contains(table)) {
            return Ok(Applied::Unchanged);
        }
        let prepared = session.prepare(parsed.clone(), &[]).await?;
        match session.execute(&prepared, &[]).await? {
            Response::Done { .. } | Response::Empty => Ok(Applied::Ran),
            Response::Rows { .. } | Response::CopyIn(_) | Response::CopyOut { .. } => Err(
                Error::unsupported("a pipeline defines and fills; it does not return rows")
                    .with_hint("run queries with lotic sql, or with psql against lotic serve"),
            ),
        }
    }

    /// Whether an index was made by this very text: one that has no name of its own is known by it.
    fn has_index(&self, text: &str) -> bool {
        let catalog = Arc::clone(&self.world().catalog);
        catalog
            .objects()
            .any(|object| object.relation() == Relation::Index && object.sql == text)
    }

    /// Drops views, models and sinks whose text has changed, and what reads them: the pipeline makes
    /// them anew.
    async fn drop_changed(self: &Arc<Self>, pipeline: &Pipeline) -> Result<()> {
        for step in &pipeline.steps {
            let Some((_, name)) = step.creates() else {
                continue;
            };
            let catalog = Arc::clone(&self.world().catalog);
            let Some(object) = catalog.find(name) else {
                continue;
            };
            if object.sql == step.parsed.text {
                continue;
            }
            match object.relation() {
                Relation::Table | Relation::Source => {
                    return Err(changed_table(object).at(step.place()));
                }
                kind => {
                    self.check_replaceable(object, pipeline)
                        .map_err(|e| e.at(step.place()))?;
                    self.drop_relation(kind, name, true, &CancelFlag::new())
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// What reads a changed object goes with it, so the pipeline must be able to make it again.
    fn check_replaceable(&self, object: &Object, pipeline: &Pipeline) -> Result<()> {
        let catalog = Arc::clone(&self.world().catalog);
        let defined: BTreeSet<&str> = pipeline
            .steps
            .iter()
            .filter_map(|step| step.creates())
            .map(|(_, name)| name)
            .collect();
        let mut open = vec![object.id];
        while let Some(id) = open.pop() {
            let readers = catalog.dependents(id).into_iter();
            for reader in readers.filter(|reader| reader.relation() != Relation::Index) {
                if !defined.contains(reader.name.as_str()) {
                    let kind = reader.relation().words();
                    return Err(Error::new(
                        Kind::Conflict,
                        "2BP01",
                        format!(
                            "\"{}\" has changed, and {kind} \"{}\", which reads it, is not part of the pipeline",
                            object.name, reader.name
                        ),
                    )
                    .with_hint("drop the reader first, or add it to the pipeline"));
                }
                open.push(reader.id);
            }
        }
        Ok(())
    }
}

fn changed_table(object: &Object) -> Error {
    let kind = object.relation().words();
    Error::new(
        Kind::Conflict,
        "42P07",
        format!("{kind} \"{}\" is there with another definition", object.name),
    )
    .with_hint(format!(
        "its rows would be lost: DROP {} \"{}\" CASCADE by hand first, or serve from another data folder",
        kind.to_ascii_uppercase(),
        object.name
    ))
}
