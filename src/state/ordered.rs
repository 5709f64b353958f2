//! An ordered store: different rows with a weight each, in a total order and in groups.
//!
//! A row is its bytes in Arrow's row format: the columns of the group, then those of the order, then all others, so
//! that no two rows are equal and the bytes compare as the rows do. Rows of one group stand together, and
//! within it rows that the order calls equal. The row itself is decoded from the bytes: it is held once.
//!
//! The order is the one DataFusion sorts by, given canonical floats: NaN above all numbers, text by bytes.
//! About 60 bytes a row stand beside the row's own.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::row::{RowConverter, RowParser, Rows, SortField};

use crate::base::{Error, Result};
use crate::zset::consolidate::add_weights;

/// What a row takes beside its bytes: its place in the tree, which is about two thirds full, and the allocator's share.
const ROW_BYTES: usize = 60;

/// A column of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderKey {
    /// The column's index.
    pub column: usize,
    /// Its direction, and where NULL stands.
    pub options: SortOptions,
}

/// A row's weight, and how many of its bytes are its group and its place in the order.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Never 0; below 0 while the row's insertion is still to come.
    weight: i64,
    peer_bytes: u32,
}

/// A row that is there, with at least one copy.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The row's bytes.
    pub key: &'a [u8],
    /// The part of them that it shares with the rows of its group that the order calls equal.
    pub peers: &'a [u8],
    /// How many copies there are, above 0.
    pub copies: i64,
}

/// How many copies of a row were there and are there now. A weight below 0 is no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Before.
    pub before: i64,
    /// Now.
    pub after: i64,
}

/// Rows of a batch as bytes.
#[derive(Debug)]
pub struct OrderedRows {
    whole: Rows,
    group: Option<Rows>,
    peers: Option<Rows>,
}

impl OrderedRows {
    /// The bytes of row `row`.
    pub fn key(&self, row: usize) -> &[u8] {
        self.whole.row(row).data()
    }

    /// The part of the bytes that is the row's group; empty when there are no groups.
    pub fn group(&self, row: usize) -> &[u8] {
        self.group.as_ref().map_or(&[], |rows| rows.row(row).data())
    }

    /// The part of the bytes that the row shares with the rows of its group that the order calls equal.
    pub fn peers(&self, row: usize) -> &[u8] {
        self.peers.as_ref().map_or(&[], |rows| rows.row(row).data())
    }

    fn peer_bytes(&self, row: usize) -> usize {
        self.peers.as_ref().map_or(0, |rows| rows.row_len(row))
    }
}

/// So many rows are decoded at a time where all are looked through.
const DECODED_AT_ONCE: usize = 1 << 13;

/// Rows with weights in order.
pub struct Ordered {
    schema: SchemaRef,
    /// The columns in the order of the bytes.
    columns: Vec<usize>,
    /// Where each column of the schema stands in them.
    places: Vec<usize>,
    whole: RowConverter,
    parser: RowParser,
    /// The first columns alone, to learn how many bytes they take; none where there are no such columns.
    group: Option<(usize, RowConverter)>,
    peers: Option<(usize, RowConverter)>,
    rows: BTreeMap<Box<[u8]>, Held>,
    key_bytes: usize,
}

impl std::fmt::Debug for Ordered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ordered")
            .field("columns", &self.columns)
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl Ordered {
    /// No rows. They are of `schema`, in groups of equal `group` columns, each ordered by `order` and then by all
    /// other columns.
    ///
    /// # Errors
    /// When there is no column, or one whose type has no order.
    pub fn new(schema: &SchemaRef, group: &[usize], order: &[OrderKey]) -> Result<Self> {
        let rising = |column| OrderKey {
            column,
            options: SortOptions::new(false, false),
        };
        let mut keys: Vec<OrderKey> = group.iter().copied().map(rising).collect();
        keys.extend(order);
        let leading = keys.len();
        let others: Vec<usize> = (0..schema.fields().len())
            .filter(|column| keys.iter().all(|key| key.column != *column))
            .collect();
        keys.extend(others.into_iter().map(rising));
        let mut fields = Vec::with_capacity(keys.len());
        for key in &keys {
            let field = schema
                .fields()
                .get(key.column)
                .ok_or_else(|| Error::internal("an order over a column that is not there"))?;
            let data_type = field.data_type().clone();
            fields.push(SortField::new_with_options(data_type, key.options));
        }
        if fields.is_empty() {
            return Err(Error::internal("an order over no columns"));
        }
        let columns: Vec<usize> = keys.iter().map(|key| key.column).collect();
        let places = (0..schema.fields().len())
            .filter_map(|column| columns.iter().position(|held| *held == column))
            .collect();
        let whole = RowConverter::new(fields.clone())?;
        Ok(Self {
            schema: SchemaRef::clone(schema),
            columns,
            places,
            parser: whole.parser(),
            whole,
            group: part(&fields, group.len())?,
            peers: part(&fields, leading)?,
            rows: BTreeMap::new(),
            key_bytes: 0,
        })
    }

    /// The columns' names and types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The number of different rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// About how many bytes everything takes.
    pub fn bytes(&self) -> usize {
        self.key_bytes + self.rows.len() * ROW_BYTES + self.whole.size()
    }

    /// The rows of `batch` as bytes. Floats must be canonical.
    ///
    /// # Errors
    /// When the batch has other columns than the store.
    pub fn encode(&self, batch: &RecordBatch) -> Result<OrderedRows> {
        let columns: Vec<ArrayRef> = self
            .columns
            .iter()
            .map(|column| ArrayRef::clone(batch.column(*column)))
            .collect();
        let first = |part: &Option<(usize, RowConverter)>| match part {
            None => Ok(None),
            Some((width, converter)) => converter.convert_columns(&columns[..*width]).map(Some),
        };
        Ok(OrderedRows {
            whole: self.whole.convert_columns(&columns)?,
            group: first(&self.group)?,
            peers: first(&self.peers)?,
        })
    }

    /// Rows as bytes of which only the columns of the group and the order are known, in that order. They compare with
    /// those parts of other rows.
    ///
    /// # Errors
    /// When these are other columns.
    pub fn encode_leading(&self, columns: &[ArrayRef]) -> Result<Rows> {
        match &self.peers {
            Some((width, converter)) if *width == columns.len() => {
                Ok(converter.convert_columns(columns)?)
            }
            _ => Err(Error::internal("the keys of an order are other columns")),
        }
    }

    /// Adds to the weight of row `row` of `rows`.
    ///
    /// # Errors
    /// When the weight passes 64 bits, or the row four gigabytes.
    pub fn add(&mut self, rows: &OrderedRows, row: usize, weight: i64) -> Result<Change> {
        let key = rows.key(row);
        let Some(held) = self.rows.get_mut(key) else {
            if weight != 0 {
                let peer_bytes = u32::try_from(rows.peer_bytes(row))
                    .map_err(|_| Error::limit("the keys of a row take more than 4 GiB"))?;
                self.rows.insert(key.into(), Held { weight, peer_bytes });
                self.key_bytes += key.len();
            }
            return Ok(change(0, weight));
        };
        let before = held.weight;
        held.weight = add_weights(before, weight)?;
        let after = held.weight;
        if after == 0 {
            self.rows.remove(key);
            self.key_bytes -= key.len();
        }
        Ok(change(before, after))
    }

    /// The bytes that rows of one group and one place in the order begin with. `columns` are those of group and order,
    /// a row long.
    ///
    /// # Errors
    /// When the columns are of other types.
    pub fn edge(&self, columns: &[ArrayRef]) -> Result<Vec<u8>> {
        let Some((_, converter)) = &self.peers else {
            return Ok(Vec::new());
        };
        let rows = converter.convert_columns(columns)?;
        Ok(rows
            .iter()
            .next()
            .map_or_else(Vec::new, |row| row.data().to_vec()))
    }

    /// The first row, whatever its weight.
    pub fn first(&self) -> Option<&[u8]> {
        self.rows.first_key_value().map(|(key, _)| &**key)
    }

    /// Takes out the rows before some bytes, with their weights.
    pub fn take_before(&mut self, end: &[u8]) -> Vec<(Box<[u8]>, i64)> {
        let mut taken = Vec::new();
        while let Some(first) = self.rows.first_entry() {
            if **first.key() >= *end {
                break;
            }
            let (key, held) = first.remove_entry();
            self.key_bytes -= key.len();
            taken.push((key, held.weight));
        }
        taken
    }

    /// Forgets the rows behind `key` that begin with the bytes `group`, all of them where that is empty.
    pub fn forget_behind(&mut self, key: &[u8], group: &[u8]) {
        let behind = self
            .rows
            .range::<[u8], _>((Excluded(key), Unbounded))
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(group));
        let gone: Vec<Box<[u8]>> = behind.cloned().collect();
        for key in gone {
            self.key_bytes -= key.len();
            self.rows.remove(&key);
        }
    }

    /// Forgets the rows whose value in `column`, a time, lies below `bound`.
    ///
    /// # Errors
    /// When the column is none of times.
    pub fn forget_below(&mut self, column: usize, bound: i64) -> Result<()> {
        let mut gone: Vec<Box<[u8]>> = Vec::new();
        let mut keys = self.rows.keys().peekable();
        while keys.peek().is_some() {
            let piece: Vec<&Box<[u8]>> = keys.by_ref().take(DECODED_AT_ONCE).collect();
            let columns = self.decode(piece.iter().map(|key| &***key))?;
            let values = columns
                .get(column)
                .ok_or_else(|| Error::internal("rows are closed by a column that is not there"))?;
            let values = cast(values, &DataType::Int64)?;
            let below = values.as_primitive::<Int64Type>().iter();
            let below = below.map(|value| value.is_some_and(|value| value < bound));
            let below = piece.iter().zip(below).filter(|(_, below)| *below);
            gone.extend(below.map(|(key, _)| (*key).clone()));
        }
        self.forget(&gone);
        Ok(())
    }

    /// Forgets rows by their bytes.
    pub fn forget(&mut self, keys: &[Box<[u8]>]) {
        for key in keys {
            if self.rows.remove(key).is_some() {
                self.key_bytes -= key.len();
            }
        }
    }

    /// How many copies of a row are there.
    pub fn copies(&self, key: &[u8]) -> i64 {
        self.rows.get(key).map_or(0, |held| held.weight.max(0))
    }

    /// The rows behind `key`, or all of them, from the first on.
    pub fn behind(&self, key: Option<&[u8]>) -> impl Iterator<Item = Standing<'_>> {
        let from = key.map_or(Unbounded, Excluded);
        self.rows
            .range::<[u8], _>((from, Unbounded))
            .filter_map(|(key, held)| standing(key, *held))
    }

    /// The rows from `key` on, its own included.
    pub fn onward<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = Standing<'a>> {
        self.rows
            .range::<[u8], _>((Included(key), Unbounded))
            .filter_map(|(key, held)| standing(key, *held))
    }

    /// The rows before `key`, from the last on.
    pub fn before(&self, key: &[u8]) -> impl Iterator<Item = Standing<'_>> {
        self.rows
            .range::<[u8], _>((Unbounded, Excluded(key)))
            .rev()
            .filter_map(|(key, held)| standing(key, *held))
    }

    /// The rows from some bytes on, up to others or to the end.
    pub fn between(&self, from: &[u8], to: Option<&[u8]>) -> impl Iterator<Item = Standing<'_>> {
        let to = to.map_or(Unbounded, |to| Excluded(to.max(from)));
        self.rows
            .range::<[u8], _>((Included(from), to))
            .filter_map(|(key, held)| standing(key, *held))
    }

    /// The rows of a group, in order.
    pub fn of_group<'a>(&'a self, group: &'a [u8]) -> impl Iterator<Item = Standing<'a>> {
        // No row's group is the beginning of another's: the format ends each value.
        self.onward(group)
            .take_while(move |row| row.key.starts_with(group))
    }

    /// The rows behind some bytes that this store gave, in that order: a column a column of the schema.
    ///
    /// # Errors
    /// When Arrow cannot rebuild a column.
    pub fn decode<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let keys: Vec<&[u8]> = keys.into_iter().collect();
        let rows = keys.iter().map(|key| self.parser.parse(key));
        let columns = self.whole.convert_rows(rows)?;
        let column = |place: &usize| {
            columns
                .get(*place)
                .map(ArrayRef::clone)
                .ok_or_else(|| Error::internal("a row was decoded into too few columns"))
        };
        self.places.iter().map(column).collect()
    }
}

fn change(before: i64, after: i64) -> Change {
    Change {
        before: before.max(0),
        after: after.max(0),
    }
}

fn standing(key: &[u8], held: Held) -> Option<Standing<'_>> {
    let peers = usize::try_from(held.peer_bytes)
        .ok()
        .and_then(|bytes| key.get(..bytes))?;
    (held.weight > 0).then_some(Standing {
        key,
        peers,
        copies: held.weight,
    })
}

fn part(fields: &[SortField], width: usize) -> Result<Option<(usize, RowConverter)>> {
    if width == 0 {
        return Ok(None);
    }
    let converter = RowConverter::new(fields[..width].to_vec())?;
    Ok(Some((width, converter)))
}
