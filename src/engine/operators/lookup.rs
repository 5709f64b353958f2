//! Lookup join: every left row beside the right rows of its key that are there when it comes.
//!
//! Law: a left row that comes in a step gives `{ left } x { right rows with equal keys }` over the right rows after that step's
//! changes of the right side, or stands beside NULLs; a left row that goes takes back what one that came before it was given,
//! the oldest first. Changes of the right side give nothing. So the output depends on the order of steps, and is no
//! function of the inputs' sums. A NULL in a key matches nothing.
//!
//! State: the right rows by key, and for a left side that takes rows back what each of its rows was given.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;

use crate::base::{Error, Result};
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::state::{Ordered, OrderedRows};
use crate::zset::equal::any_null;
use crate::zset::{Delta, Merged, batch_of, merge};

/// What a [`Lookup`] computes.
#[derive(Clone, Debug)]
pub struct LookupConfig {
    /// The left input's columns, all of which have an order.
    pub left: SchemaRef,
    /// The right input's columns, all of which have an order.
    pub right: SchemaRef,
    /// How many of the left and of the right columns come out; those behind are keys.
    pub widths: (usize, usize),
    /// The left columns of the keys and the right ones, of equal types.
    pub keys: Vec<(usize, usize)>,
    /// Whether a left row without a right row stands beside NULLs.
    pub outer: bool,
    /// The output: the left columns and the right ones.
    pub schema: SchemaRef,
}

/// Right rows with their copies.
type Found = Arc<[(Box<[u8]>, i64)]>;

/// What some copies of a left row were given.
#[derive(Debug)]
struct Given {
    /// Never 0; below 0 where a row was taken back before it came.
    copies: i64,
    rows: Found,
}

/// Left rows with the right rows that they were given.
#[derive(Debug)]
pub struct Lookup {
    config: LookupConfig,
    /// Holds no rows: it makes bytes of left rows and rows of bytes.
    left: Ordered,
    right: Ordered,
    /// What is to be taken back, the oldest first; `None` for a left side that never takes a row back.
    given: Option<BTreeMap<Box<[u8]>, VecDeque<Given>>>,
    given_bytes: usize,
}

/// What comes out: left rows by their place, right rows as bytes.
#[derive(Default)]
struct Pairs {
    left: Vec<u32>,
    /// For each left row the place of its right one.
    at: Vec<Option<u32>>,
    right: Vec<Box<[u8]>>,
    weights: Vec<i64>,
}

impl Pairs {
    fn add(&mut self, left: usize, found: &Found, copies: i64, outer: bool) -> Result<()> {
        let place = |number: usize| {
            u32::try_from(number).map_err(|_| Error::limit("a lookup of too many rows"))
        };
        if found.is_empty() && outer {
            self.left.push(place(left)?);
            self.at.push(None);
            self.weights.push(copies);
        }
        for (row, weight) in found.iter() {
            self.left.push(place(left)?);
            self.at.push(Some(place(self.right.len())?));
            self.right.push(row.clone());
            let weight = weight.checked_mul(copies);
            self.weights
                .push(weight.ok_or_else(|| Error::limit("a weight passes 64 bits"))?);
        }
        Ok(())
    }
}

impl Lookup {
    /// No rows yet.
    ///
    /// # Errors
    /// When a column's type has no order, or the sides' keys differ in type.
    pub fn new(config: LookupConfig) -> Result<Self> {
        for (left, right) in &config.keys {
            let left = config.left.fields().get(*left);
            let right = config.right.fields().get(*right);
            let types = (
                left.map(|field| field.data_type()),
                right.map(|field| field.data_type()),
            );
            if types.0.is_none() || types.0 != types.1 {
                return Err(Error::internal("a lookup over columns of two types"));
            }
        }
        let (left, right): (Vec<usize>, Vec<usize>) = config.keys.iter().copied().unzip();
        Ok(Self {
            left: Ordered::new(&config.left, &left, &[])?,
            right: Ordered::new(&config.right, &right, &[])?,
            given: Some(BTreeMap::new()),
            given_bytes: 0,
            config,
        })
    }

    fn change_right(&mut self, piece: &Merged) -> Result<()> {
        let keys = self.right.encode(&piece.batch)?;
        let columns: Vec<ArrayRef> = self
            .config
            .keys
            .iter()
            .map(|(_, right)| Arc::clone(piece.batch.column(*right)))
            .collect();
        let nulls = any_null(&columns);
        for (row, weight) in piece.weights.iter().enumerate() {
            if !nulls.as_ref().is_some_and(|nulls| nulls[row]) {
                self.right.add(&keys, row, *weight)?;
            }
        }
        Ok(())
    }

    fn change_left(&mut self, piece: &Merged) -> Result<Deltas> {
        let keys = self.left.encode(&piece.batch)?;
        let columns: Vec<ArrayRef> = self
            .config
            .keys
            .iter()
            .map(|(left, _)| Arc::clone(piece.batch.column(*left)))
            .collect();
        let nulls = any_null(&columns);
        let mut pairs = Pairs::default();
        for (row, weight) in piece.weights.iter().copied().enumerate() {
            let lone = nulls.as_ref().is_some_and(|nulls| nulls[row]);
            let left = self.take_back(&keys, row, weight, &mut pairs)?;
            if left == 0 {
                continue;
            }
            let found: Found = if lone {
                Arc::from([])
            } else {
                let rows = self.right.of_group(keys.group(row));
                rows.map(|row| (row.key.into(), row.copies)).collect()
            };
            pairs.add(row, &found, left, self.config.outer)?;
            self.keep(keys.key(row), left, found);
        }
        self.output(piece, &pairs)
    }

    /// Undoes what rows of the opposite sign were given; gives the weight that is left to look up.
    fn take_back(
        &mut self,
        keys: &OrderedRows,
        row: usize,
        weight: i64,
        pairs: &mut Pairs,
    ) -> Result<i64> {
        let mut left = weight;
        let Some(given) = &mut self.given else {
            return Ok(left);
        };
        let key = keys.key(row);
        let Some(queue) = given.get_mut(key) else {
            return Ok(left);
        };
        while left != 0 {
            let Some(oldest) = queue.front_mut() else {
                break;
            };
            if oldest.copies.signum() == left.signum() {
                break;
            }
            let undone = left.signum() * left.abs().min(oldest.copies.abs());
            pairs.add(row, &oldest.rows, undone, self.config.outer)?;
            left -= undone;
            oldest.copies += undone;
            if oldest.copies == 0 {
                let gone = queue.pop_front();
                self.given_bytes -= gone.map_or(0, |gone| bytes_of(&gone.rows));
            }
        }
        if queue.is_empty() {
            given.remove(key);
            self.given_bytes -= key.len();
        }
        Ok(left)
    }

    fn keep(&mut self, key: &[u8], copies: i64, rows: Found) {
        let Some(given) = &mut self.given else { return };
        if !given.contains_key(key) {
            self.given_bytes += key.len();
            given.insert(key.into(), VecDeque::new());
        }
        let Some(queue) = given.get_mut(key) else {
            return;
        };
        // Copies that were given the same are one entry.
        if let Some(last) = queue.back_mut()
            && last.rows == rows
        {
            last.copies += copies;
            return;
        }
        self.given_bytes += bytes_of(&rows);
        queue.push_back(Given { copies, rows });
    }

    fn output(&self, piece: &Merged, pairs: &Pairs) -> Result<Deltas> {
        if pairs.left.is_empty() {
            return Ok(Deltas::new());
        }
        let places = UInt32Array::from(pairs.left.clone());
        let (width, right_width) = self.config.widths;
        let mut columns = Vec::with_capacity(width + right_width);
        for column in piece.batch.columns().iter().take(width) {
            columns.push(take(column, &places, None)?);
        }
        if pairs.right.is_empty() {
            for field in self.config.schema.fields().iter().skip(width) {
                columns.push(new_null_array(field.data_type(), pairs.left.len()));
            }
        } else {
            let at = UInt32Array::from(pairs.at.clone());
            let right = self.right.decode(pairs.right.iter().map(AsRef::as_ref))?;
            for column in right.iter().take(right_width) {
                columns.push(take(column, &at, None)?);
            }
        }
        let batch = batch_of(&self.config.schema, columns, pairs.left.len())?;
        Ok(vec![Delta::new(
            batch,
            Int64Array::from(pairs.weights.clone()),
        )?])
    }
}

fn bytes_of(found: &Found) -> usize {
    const ENTRY: usize = 48;
    ENTRY
        + found
            .iter()
            .map(|(row, _)| row.len() + ENTRY)
            .sum::<usize>()
}

impl Operator for Lookup {
    fn name(&self) -> &'static str {
        "lookup_join"
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        let append_only = inputs.first() == Some(&true);
        if append_only {
            self.given = None;
        }
        append_only
    }

    fn step(&mut self, inputs: &[Deltas], _cx: &mut StepContext) -> Result<Deltas> {
        for piece in merge(input(inputs, 1, self.name())?)? {
            self.change_right(&piece)?;
        }
        let mut output = Deltas::new();
        for piece in merge(input(inputs, 0, self.name())?)? {
            output.extend(self.change_left(&piece)?);
        }
        Ok(output)
    }

    fn state_bytes(&self) -> usize {
        self.right.bytes() + self.given_bytes
    }

    fn state_rows(&self) -> usize {
        self.right.len() + self.given.as_ref().map_or(0, BTreeMap::len)
    }
}
