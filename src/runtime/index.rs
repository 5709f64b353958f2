//! CREATE INDEX and the UNIQUE of tables.
//!
//! A unique index is enforced by its table's writer. Any other is kept, listed and dropped with its
//! table, and that is all: queries read columns that are in memory, and models keep arrangements of
//! their own by exactly the columns that they look up.

use std::sync::Arc;

use arrow::datatypes::Schema;

use super::instance::{Lotic, blocking};
use crate::base::{CancelFlag, Error, Kind, Result};
use crate::catalog::{Catalog, Definition, IndexColumn, Object, Relation};
use crate::planner::parse::{OrderedColumn, Unique};

/// An index that is to be made.
pub(crate) struct NewIndex {
    /// None means one made of the names of the relation and the columns.
    pub(crate) name: Option<String>,
    pub(crate) relation: String,
    pub(crate) columns: Vec<OrderedColumn>,
    pub(crate) unique: bool,
    /// The statement.
    pub(crate) sql: String,
}

impl Lotic {
    /// Makes an index. A unique one checks the rows that are there.
    pub(super) async fn create_index(
        self: &Arc<Self>,
        new: NewIndex,
        stop: &CancelFlag,
    ) -> Result<()> {
        let _guard = self.turn(stop).await?;
        let catalog = Arc::clone(&self.world().catalog);
        let table = catalog.get(&new.relation)?.clone();
        check_kind(&table, new.unique)?;
        let definition = Definition::Index {
            columns: columns_of(&table, &new.columns)?,
            unique: new.unique,
            constraint: false,
        };
        let names: Vec<&str> = new.columns.iter().map(|c| c.name.as_str()).collect();
        let name = match &new.name {
            Some(name) if catalog.find(name).is_some() => return Err(Error::relation_exists(name)),
            Some(name) => name.clone(),
            None => free_name(&catalog, &table.name, &names, "idx"),
        };
        let index = index_of(&catalog, &table, name, definition, &new.sql);
        if !new.unique {
            stop.take_effect()?;
            return self.publish_with(index).await;
        }
        self.hold_contents(&table).await?;
        let Some(writer) = self.writer(table.id) else {
            return Err(Error::internal("a table has no writer"));
        };
        // no row may come between the check and the constraint
        let _exclusive = writer.exclusive().await?;
        let (checked, object) = (Arc::clone(&writer), index.clone());
        blocking(move || checked.add_unique(&object)).await?;
        let id = index.id;
        let outcome = match stop.take_effect() {
            Ok(()) => self.publish_with(index).await,
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            writer.remove_unique(id);
        }
        outcome
    }
}

/// `catalog` with the indexes of the UNIQUE constraints of `table`, which is in it.
///
/// # Errors
/// When a column is not there, or a name is taken.
pub(super) fn with_constraints(
    catalog: Catalog,
    table: &Object,
    constraints: &[Unique],
) -> Result<Catalog> {
    let mut catalog = catalog;
    let mut made: Vec<Vec<IndexColumn>> = Vec::new();
    for constraint in constraints {
        let ordered: Vec<OrderedColumn> =
            constraint.columns.iter().map(|c| plain_column(c)).collect();
        let columns = columns_of(table, &ordered)?;
        let positions: Vec<usize> = columns.iter().map(|column| column.position).collect();
        // one that says what another one says already is left out, as PostgreSQL does
        if constraint.name.is_none()
            && (positions == table.primary_key() || made.contains(&columns))
        {
            continue;
        }
        let names: Vec<&str> = constraint.columns.iter().map(String::as_str).collect();
        let name = match &constraint.name {
            Some(name) => name.clone(),
            None => free_name(&catalog, &table.name, &names, "key"),
        };
        made.push(columns.clone());
        let definition = Definition::Index {
            columns,
            unique: true,
            constraint: true,
        };
        let index = index_of(&catalog, table, name, definition, "");
        catalog = catalog.with(index)?;
    }
    Ok(catalog)
}

/// Refuses to drop the index of a constraint by itself.
///
/// # Errors
/// 2BP01 where it is one.
pub(super) fn check_droppable(catalog: &Catalog, index: &Object) -> Result<()> {
    let Definition::Index {
        constraint: true, ..
    } = index.definition
    else {
        return Ok(());
    };
    let table = index.dependencies.first().and_then(|id| catalog.by_id(*id));
    let (name, table) = (&index.name, table.map_or("?", |table| table.name.as_str()));
    let message =
        format!("cannot drop index {name} because constraint {name} on table {table} requires it");
    Err(Error::new(Kind::Conflict, "2BP01", message)
        .with_hint("a constraint goes with its table alone"))
}

/// The columns of an index as users write them.
pub(super) fn columns_text(table: &Object, columns: &[IndexColumn]) -> String {
    let columns = columns.iter().map(|column| {
        let name = table.schema.field(column.position).name();
        let order = match (column.descending, column.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        };
        format!("{name}{order}")
    });
    columns.collect::<Vec<_>>().join(", ")
}

fn check_kind(object: &Object, unique: bool) -> Result<()> {
    match object.relation() {
        Relation::Table => Ok(()),
        Relation::Model if unique => Err(Error::unsupported(format!(
            "a unique index on materialized view \"{}\" is not supported",
            object.name
        ))
        .with_hint("its rows follow from its query: GROUP BY or DISTINCT ON keeps one row a key")),
        Relation::Model => Ok(()),
        kind => {
            let message = format!("cannot create index on relation \"{}\"", object.name);
            Err(
                Error::new(Kind::Invalid, "42809", message).with_detail(format!(
                    "This operation is not supported for {}.",
                    plural(kind)
                )),
            )
        }
    }
}

fn plural(kind: Relation) -> &'static str {
    match kind {
        Relation::Index => "indexes",
        Relation::View => "views",
        Relation::Sink => "sinks",
        Relation::Source => "sources",
        Relation::Table => "tables",
        Relation::Model => "materialized views",
    }
}

fn plain_column(name: &str) -> OrderedColumn {
    OrderedColumn {
        name: name.to_owned(),
        descending: false,
        nulls_first: false,
    }
}

fn columns_of(table: &Object, columns: &[OrderedColumn]) -> Result<Vec<IndexColumn>> {
    let positions = columns.iter().map(|column| {
        let position = table.schema.index_of(&column.name).map_err(|_| {
            let message = format!("column \"{}\" named in key does not exist", column.name);
            Error::new(Kind::Missing, "42703", message)
        })?;
        Ok(IndexColumn {
            position,
            descending: column.descending,
            nulls_first: column.nulls_first,
        })
    });
    positions.collect()
}

/// A name that nothing has: `table_column_suffix`, with a number where that is taken.
fn free_name(catalog: &Catalog, table: &str, columns: &[&str], suffix: &str) -> String {
    let stem = format!("{table}_{}_{suffix}", columns.join("_"));
    let numbered = (1_u64..).map(|number| format!("{stem}{number}"));
    std::iter::once(stem.clone())
        .chain(numbered)
        .find(|name| catalog.find(name).is_none())
        .unwrap_or(stem)
}

fn index_of(
    catalog: &Catalog,
    table: &Object,
    name: String,
    definition: Definition,
    sql: &str,
) -> Object {
    Object {
        id: catalog.next_id(),
        name,
        sql: sql.to_owned(),
        schema: Arc::new(Schema::empty()),
        definition,
        dependencies: vec![table.id],
        base_dir: String::new(),
    }
}
