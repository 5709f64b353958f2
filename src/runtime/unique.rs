//! Keys that hold once in a table: its primary key and its unique indexes.
//!
//! A key is free when no row of the collection has it and no statement whose rows are on their way
//! holds it. A NULL in a key makes it differ from every other.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use arrow::row::{OwnedRow, RowConverter, SortField};
use hashbrown::HashSet;
use parking_lot::Mutex;

use super::driver::SharedCollection;
use crate::base::{Error, Kind, ObjectId, Result};
use crate::zset::Delta;
use crate::zset::canonical::canonical;

/// One such key.
pub(super) struct UniqueKey {
    /// What errors call it.
    name: String,
    columns: Vec<usize>,
    /// The index that it is; none for the primary key, by which the collection is indexed anyway.
    index: Option<ObjectId>,
    converter: RowConverter,
    on_their_way: Mutex<HashSet<OwnedRow>>,
}

impl UniqueKey {
    /// The key over `columns` of rows with `schema`.
    ///
    /// # Errors
    /// When a type cannot be compared.
    pub(super) fn new(
        name: String,
        schema: &Schema,
        columns: Vec<usize>,
        index: Option<ObjectId>,
    ) -> Result<Self> {
        let fields = columns
            .iter()
            .map(|column| SortField::new(schema.field(*column).data_type().clone()))
            .collect();
        Ok(Self {
            name,
            columns,
            index,
            converter: RowConverter::new(fields)?,
            on_their_way: Mutex::default(),
        })
    }

    /// The index that it is, where it is one.
    pub(super) fn index(&self) -> Option<ObjectId> {
        self.index
    }

    /// Lets `collection` look the key up from now on.
    ///
    /// # Errors
    /// 23505 when two of its rows have the same.
    pub(super) fn attach(&self, collection: &SharedCollection) -> Result<()> {
        let Some(index) = self.index else {
            return Ok(());
        };
        let twice = collection.write().add_key(index, self.columns.clone())?;
        let Some(row) = twice else {
            return Ok(());
        };
        let message = format!("could not create unique index \"{}\"", self.name);
        Err(Error::new(Kind::Conflict, "23505", message)
            .with_detail(format!("Key {} is duplicated.", self.text_of(&row, 0))))
    }

    /// Checks that no key of `batches` is there, and holds them until the answer is dropped.
    ///
    /// # Errors
    /// 23505 when one is there or on its way already; none is held then.
    pub(super) fn reserve(
        self: &Arc<Self>,
        collection: &SharedCollection,
        batches: &[RecordBatch],
    ) -> Result<KeyHold> {
        let mut hold = KeyHold {
            from: Arc::clone(self),
            keys: Vec::new(),
        };
        let mut held = self.on_their_way.lock();
        for batch in batches {
            let columns = self.columns_of(batch)?;
            let present = self.present(collection, &columns, batch.num_rows())?;
            let rows = self.converter.convert_columns(&columns)?;
            for (row, present) in present.into_iter().enumerate() {
                if has_null(&columns, row) {
                    continue;
                }
                let key = rows.row(row).owned();
                if present || !held.insert(key.clone()) {
                    drop(held);
                    return Err(self.duplicate(batch, row));
                }
                hold.keys.push(key);
            }
        }
        drop(held);
        Ok(hold)
    }

    /// Checks the keys that `deltas` add, apart from those of rows that they take away.
    ///
    /// # Errors
    /// 23505 when one is there already.
    pub(super) fn check_change(
        &self,
        collection: &SharedCollection,
        deltas: &[Delta],
    ) -> Result<()> {
        let mut gone = HashSet::new();
        for delta in deltas {
            let rows = self
                .converter
                .convert_columns(&self.columns_of(delta.batch())?)?;
            gone.extend(
                (0..delta.rows())
                    .filter(|row| delta.weight(*row) < 0)
                    .map(|row| rows.row(row).owned()),
            );
        }
        let mut come = HashSet::new();
        for delta in deltas {
            let columns = self.columns_of(delta.batch())?;
            let present = self.present(collection, &columns, delta.rows())?;
            let rows = self.converter.convert_columns(&columns)?;
            for (row, present) in present.into_iter().enumerate() {
                if delta.weight(row) <= 0 || has_null(&columns, row) {
                    continue;
                }
                let key = rows.row(row).owned();
                if (present && !gone.contains(&key)) || !come.insert(key) {
                    return Err(self.duplicate(delta.batch(), row));
                }
            }
        }
        Ok(())
    }

    /// For each key whether the collection has it.
    fn present(
        &self,
        collection: &SharedCollection,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<Vec<bool>> {
        match self.index {
            Some(index) => collection.read().contains_key(index, columns, rows),
            None => collection.read().contains(columns, rows),
        }
    }

    /// The key's columns, equal values with equal bytes.
    fn columns_of(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.columns
            .iter()
            .map(|column| canonical(batch.column(*column)))
            .collect()
    }

    fn duplicate(&self, batch: &RecordBatch, row: usize) -> Error {
        let message = format!(
            "duplicate key value violates unique constraint \"{}\"",
            self.name
        );
        Error::new(Kind::Conflict, "23505", message)
            .with_detail(format!("Key {} already exists.", self.text_of(batch, row)))
    }

    /// `(columns)=(values)`.
    fn text_of(&self, batch: &RecordBatch, row: usize) -> String {
        let schema = batch.schema();
        let mut names = Vec::new();
        let mut values = Vec::new();
        for column in &self.columns {
            names.push(schema.field(*column).name().clone());
            let text = arrow::util::display::array_value_to_string(batch.column(*column), row);
            values.push(text.unwrap_or_else(|_| "?".to_owned()));
        }
        format!("({})=({})", names.join(", "), values.join(", "))
    }
}

fn has_null(columns: &[ArrayRef], row: usize) -> bool {
    columns.iter().any(|column| column.is_null(row))
}

/// Keys that one statement holds until its rows are visible or have failed.
pub(super) struct KeyHold {
    from: Arc<UniqueKey>,
    keys: Vec<OwnedRow>,
}

impl Drop for KeyHold {
    fn drop(&mut self) {
        let mut held = self.from.on_their_way.lock();
        for key in &self.keys {
            held.remove(key);
        }
    }
}
