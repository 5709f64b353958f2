//! Statements that change rows: INSERT, UPDATE, DELETE and TRUNCATE.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::physical_plan;
use sqlparser::ast;

use super::defaults::{Defaults, is_default};
use super::instance::Lotic;
use super::plan::{Planner, Purpose};
use super::values::{check_not_null, literal_rows, place_of, strict_cast};
use super::writer::{Exclusive, Receipt, WriteOptions, Writer};
use crate::base::{Error, Kind, Result};
use crate::catalog::{Definition, Object};
use crate::zset::Delta;

/// What a statement did: rows, and when others see them.
pub(crate) struct Written {
    /// How many rows.
    pub(crate) rows: u64,
    /// The receipt, where anything was written.
    pub(crate) receipt: Option<Receipt>,
}

impl Written {
    const NOTHING: Self = Self {
        rows: 0,
        receipt: None,
    };
}

impl Lotic {
    /// The table or push topic `name`, with its writer.
    ///
    /// # Errors
    /// When there is none, or statements do not change its kind.
    pub(super) async fn writable(
        self: &Arc<Self>,
        name: &str,
        only_append: bool,
    ) -> Result<(Object, Arc<Writer>)> {
        let world = self.world();
        let object = world.catalog.get(name)?.clone();
        match &object.definition {
            Definition::Table { .. } => {}
            Definition::Stream {
                connector: None, ..
            } if only_append => {}
            Definition::Stream {
                connector: None, ..
            } => {
                return Err(not_for(
                    &object,
                    "rows of a topic are never changed or taken away",
                ));
            }
            Definition::Stream { .. } | Definition::Bounded { .. } => {
                return Err(
                    not_for(&object, "its connector is what writes it").with_hint(
                        "CREATE TABLE ... WITH (connector = ...) takes statements as well",
                    ),
                );
            }
            Definition::View { .. } | Definition::Model { .. } => {
                return Err(not_for(&object, "change the tables that it reads"));
            }
            Definition::Sink { .. } => return Err(not_for(&object, "it is a sink")),
            Definition::Index { .. } => return Err(not_for(&object, "it is an index")),
        }
        self.hold_contents(&object).await?;
        let writer = self
            .writer(object.id)
            .ok_or_else(|| Error::internal(format!("table \"{name}\" has no writer")))?;
        Ok((object, writer))
    }

    /// Runs an INSERT whose source is `source`.
    pub(super) async fn insert(
        self: &Arc<Self>,
        table: &str,
        columns: &[String],
        source: &ast::Query,
        parameters: &[ScalarValue],
    ) -> Result<Written> {
        let (object, writer) = self.writable(table, true).await?;
        let targets = targets(&object, columns)?;
        let defaults = self.defaults_of(&object).await?;
        let replaced = defaults.in_values(source, &targets)?;
        let source = replaced.as_ref().unwrap_or(source);
        let literal = match simple_rows(source) {
            Some(rows) => {
                let targets = if columns.is_empty() {
                    let width = rows.first().map_or(0, Vec::len);
                    targets.get(..width).unwrap_or(&targets)
                } else {
                    targets.as_slice()
                };
                literal_rows(&rows, targets, &object, &defaults, parameters)?
            }
            None => None,
        };
        let batches = match literal {
            Some(batch) => vec![batch],
            None => {
                let world = self.world();
                let planner = Planner::new(self, &world, Purpose::Read);
                // the rows of a stream come one after the other, and its watermark follows them
                let is_stream = matches!(object.definition, Definition::Stream { .. });
                let planner = if is_stream {
                    planner.in_order()
                } else {
                    planner
                };
                let batches = self
                    .collect_by(&planner, source.clone(), parameters)
                    .await?;
                selected_rows(&object, &targets, &defaults, &batches)?
            }
        };
        let rows = count_rows(&batches);
        if rows == 0 {
            return Ok(Written::NOTHING);
        }
        let receipt = writer.insert(batches, WriteOptions::default()).await?;
        Ok(Written {
            rows,
            receipt: Some(receipt),
        })
    }

    /// All rows of a query over the newest world.
    pub(super) async fn collect(
        self: &Arc<Self>,
        query: ast::Query,
        parameters: &[ScalarValue],
    ) -> Result<Vec<RecordBatch>> {
        let world = self.world();
        let planner = Planner::new(self, &world, Purpose::Read);
        self.collect_by(&planner, query, parameters).await
    }

    /// All rows of a query as `planner` plans it, one partition after the other.
    async fn collect_by(
        &self,
        planner: &Planner,
        query: ast::Query,
        parameters: &[ScalarValue],
    ) -> Result<Vec<RecordBatch>> {
        let planned = planner.plan(query).await?;
        let plan = planned
            .plan
            .with_param_values(ParamValues::from(parameters.to_vec()))?;
        let state = planned.state;
        let collected = self.queries().spawn(async move {
            let physical = state.create_physical_plan(&plan).await?;
            physical_plan::collect_partitioned(physical, state.task_ctx()).await
        });
        let batches = collected
            .await
            .map_err(|error| Error::internal(error.to_string()))??;
        Ok(batches
            .into_iter()
            .flatten()
            .filter(|batch| batch.num_rows() > 0)
            .collect())
    }

    /// Runs an UPDATE: `assignments` are pairs of column and expression.
    pub(super) async fn update(
        self: &Arc<Self>,
        table: &str,
        alias: Option<&str>,
        assignments: &[(String, ast::Expr)],
        filter: Option<&ast::Expr>,
        parameters: &[ScalarValue],
    ) -> Result<Written> {
        let (object, writer) = self.writable(table, false).await?;
        let mut changed = Vec::new();
        for (column, _) in assignments {
            let target = column_of(&object, column)?;
            if changed.contains(&target) {
                return Err(Error::syntax(format!(
                    "multiple assignments to column \"{column}\""
                )));
            }
            changed.push(target);
        }
        let exclusive = writer.exclusive().await?;
        let mut expressions: Vec<ast::Expr> =
            assignments.iter().map(|(_, expr)| expr.clone()).collect();
        if expressions.iter().any(is_default) {
            let defaults = self.defaults_of(&object).await?;
            for (expr, column) in expressions.iter_mut().zip(&changed) {
                if is_default(expr) {
                    *expr = defaults.literal(*column)?;
                }
            }
        }
        let query = rows_of(&object, alias, expressions, filter)?;
        let mut deltas = Vec::new();
        let width = object.schema.fields().len();
        let batches = self.collect(query, parameters).await?;
        for batch in &batches {
            let old = batch.columns().get(..width).unwrap_or_default();
            let new = batch.columns().get(width..).unwrap_or_default();
            let replaced = changed.iter().copied().zip(new);
            let kept = (0..width).filter(|column| !changed.contains(column));
            let all = kept.map(|column| (column, &old[column])).chain(replaced);
            let new = place(&object, &Defaults::default(), batch.num_rows(), all)?;
            let old = RecordBatch::try_new(Arc::clone(&object.schema), old.to_vec())?;
            deltas.push(Delta::deletes(old));
            deltas.push(Delta::inserts(new));
        }
        let rows = count_rows(&batches);
        change(&writer, exclusive, rows, deltas).await
    }

    /// How many rows an UPDATE or DELETE would touch now.
    pub(super) async fn count_matching(
        self: &Arc<Self>,
        table: &str,
        alias: Option<&str>,
        filter: Option<&ast::Expr>,
        parameters: &[ScalarValue],
    ) -> Result<u64> {
        let (object, _) = self.writable(table, false).await?;
        let query = rows_of(&object, alias, Vec::new(), filter)?;
        Ok(count_rows(&self.collect(query, parameters).await?))
    }

    /// Runs a DELETE, or a TRUNCATE without a filter.
    pub(super) async fn delete(
        self: &Arc<Self>,
        table: &str,
        alias: Option<&str>,
        filter: Option<&ast::Expr>,
        parameters: &[ScalarValue],
    ) -> Result<Written> {
        let (object, writer) = self.writable(table, false).await?;
        let exclusive = writer.exclusive().await?;
        let query = rows_of(&object, alias, Vec::new(), filter)?;
        let mut deltas = Vec::new();
        let batches = self.collect(query, parameters).await?;
        for batch in &batches {
            let rows = RecordBatch::try_new(Arc::clone(&object.schema), batch.columns().to_vec())?;
            deltas.push(Delta::deletes(rows));
        }
        let rows = count_rows(&batches);
        change(&writer, exclusive, rows, deltas).await
    }
}

/// How many rows.
pub(super) fn count_rows(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}

/// Writes what an UPDATE or DELETE does to `rows` rows, if there are any.
async fn change(
    writer: &Writer,
    exclusive: Exclusive,
    rows: u64,
    deltas: Vec<Delta>,
) -> Result<Written> {
    if rows == 0 {
        return Ok(Written::NOTHING);
    }
    let receipt = writer
        .change(exclusive, deltas, WriteOptions::default())
        .await?;
    Ok(Written {
        rows,
        receipt: Some(receipt),
    })
}

/// The rows of INSERT ... SELECT, in the table's columns.
fn selected_rows(
    object: &Object,
    targets: &[usize],
    defaults: &Defaults,
    batches: &[RecordBatch],
) -> Result<Vec<RecordBatch>> {
    let placed = batches.iter().map(|batch| {
        if batch.num_columns() > targets.len() {
            return Err(Error::syntax(
                "INSERT has more expressions than target columns",
            ));
        }
        let columns = batch.columns().iter().zip(targets);
        let columns = columns.map(|(column, target)| (*target, column));
        place(object, defaults, batch.num_rows(), columns)
    });
    placed.collect()
}

fn not_for(object: &Object, why: &str) -> Error {
    let words = object.relation().words();
    Error::new(
        Kind::Invalid,
        "42809",
        format!("{words} \"{}\" cannot be changed so: {why}", object.name),
    )
}

/// The columns that the positions of an INSERT go to.
pub(super) fn targets(object: &Object, columns: &[String]) -> Result<Vec<usize>> {
    if columns.is_empty() {
        return Ok((0..object.schema.fields().len()).collect());
    }
    let mut targets = Vec::with_capacity(columns.len());
    for column in columns {
        let target = column_of(object, column)?;
        if targets.contains(&target) {
            let message = format!("column \"{column}\" specified more than once");
            return Err(Error::new(Kind::Invalid, "42701", message));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn column_of(object: &Object, column: &str) -> Result<usize> {
    object.schema.index_of(column).map_err(|_| {
        Error::new(
            Kind::Missing,
            "42703",
            format!(
                "column \"{column}\" of relation \"{}\" does not exist",
                object.name
            ),
        )
    })
}

/// The expressions of a plain VALUES list.
fn simple_rows(source: &ast::Query) -> Option<Vec<Vec<&ast::Expr>>> {
    let plain = source.with.is_none() && source.order_by.is_none() && source.limit_clause.is_none();
    match source.body.as_ref() {
        ast::SetExpr::Values(values) if plain => {
            Some(values.rows.iter().map(|row| row.iter().collect()).collect())
        }
        _ => None,
    }
}

/// A batch of the table's schema with these columns, cast; the others have their defaults.
fn place<'a>(
    object: &Object,
    defaults: &Defaults,
    rows: usize,
    given: impl Iterator<Item = (usize, &'a ArrayRef)>,
) -> Result<RecordBatch> {
    let schema: &SchemaRef = &object.schema;
    let mut columns = defaults.columns(schema, rows)?;
    for (target, column) in given {
        columns[target] = strict_cast(column, schema.field(target).data_type())
            .map_err(|error| error.at(place_of(object, target)))?;
    }
    check_not_null(schema, &columns)?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// `SELECT <all columns>, <expressions> FROM table [alias] WHERE filter`.
fn rows_of(
    object: &Object,
    alias: Option<&str>,
    expressions: Vec<ast::Expr>,
    filter: Option<&ast::Expr>,
) -> Result<ast::Query> {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let from = quote(alias.unwrap_or(&object.name));
    let columns: Vec<String> = object
        .schema
        .fields()
        .iter()
        .map(|field| format!("{from}.{}", quote(field.name())))
        .collect();
    let mut text = format!("SELECT {} FROM {}", columns.join(", "), quote(&object.name));
    if let Some(alias) = alias {
        text.push_str(&format!(" AS {}", quote(alias)));
    }
    let mut query = super::plan::query_of(&text)?;
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        select.selection = filter.cloned();
        for (position, expr) in expressions.into_iter().enumerate() {
            let alias = ast::Ident::with_quote('"', format!("__new_{position}"));
            select
                .projection
                .push(ast::SelectItem::ExprWithAlias { expr, alias });
        }
    }
    Ok(query)
}
