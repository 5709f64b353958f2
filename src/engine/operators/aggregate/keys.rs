//! Group keys in columns, a slot a group: looked up by hash, copied on admission, slots reused.

use arrow::array::{Array, ArrayData, ArrayRef, make_array, new_null_array};
use arrow::buffer::{Buffer, MutableBuffer, NullBuffer};
use arrow::datatypes::DataType;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::base::{Error, Result};
use crate::engine::accumulate::keep_at;
use crate::zset::hash::row_hashes;

/// Fewer slots are left as they are; tests have few groups, and are to meet new numbers all the same.
const FEW: usize = if cfg!(test) { 4 } else { 1 << 10 };

/// The groups there are, each with a slot `0..slots()`.
#[derive(Debug)]
pub(super) struct GroupTable {
    table: HashTable<(u64, usize)>,
    columns: Vec<KeyColumn>,
    /// The hash of each slot's key, to find its place in the table again.
    hashes: Vec<u64>,
    free: Vec<usize>,
}

impl GroupTable {
    /// No groups; keys of the types `types`.
    ///
    /// # Errors
    /// When a type cannot be a key.
    pub(super) fn new(types: &[DataType]) -> Result<Self> {
        let columns = types.iter().map(KeyColumn::new).collect::<Result<_>>()?;
        Ok(Self {
            table: HashTable::new(),
            columns,
            hashes: Vec::new(),
            free: Vec::new(),
        })
    }

    /// The slots of the keys in `keys`, one a row; unknown keys get a slot. Floats must be canonical.
    ///
    /// # Errors
    /// When the keys have other types than the table.
    pub(super) fn admit(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<usize>> {
        let mut hashes = Vec::new();
        row_hashes(keys, rows, &mut hashes)?;
        let incoming = self
            .columns
            .iter()
            .zip(keys)
            .map(|(column, keys)| column.read(keys))
            .collect::<Result<Vec<_>>>()?;
        let mut slots = Vec::with_capacity(rows);
        for (row, hash) in hashes.into_iter().enumerate() {
            let columns = &self.columns;
            let same = |held: &(u64, usize)| {
                held.0 == hash
                    && columns
                        .iter()
                        .zip(&incoming)
                        .all(|(column, key)| column.equal(held.1, key, row))
            };
            let slot = match self.table.entry(hash, same, |held| held.0) {
                Entry::Occupied(held) => held.get().1,
                Entry::Vacant(place) => {
                    let slot = self.free.pop().unwrap_or(self.hashes.len());
                    place.insert((hash, slot));
                    if slot == self.hashes.len() {
                        self.hashes.push(hash);
                    } else {
                        self.hashes[slot] = hash;
                    }
                    for (column, key) in self.columns.iter_mut().zip(&incoming) {
                        column.set(slot, key, row);
                    }
                    slot
                }
            };
            slots.push(slot);
        }
        Ok(slots)
    }

    /// Forgets the group of a slot; the slot is given out again.
    pub(super) fn release(&mut self, slot: usize) {
        let hash = self.hashes[slot];
        if let Ok(held) = self.table.find_entry(hash, |held| held.1 == slot) {
            held.remove();
            self.free.push(slot);
        }
    }

    /// Where most slots are free, gives the groups that are left the first ones: says which slots they had, rising.
    pub(super) fn shrink(&mut self) -> Option<Vec<usize>> {
        let slots = self.hashes.len();
        if slots < FEW || self.free.len() * 4 < slots * 3 {
            return None;
        }
        let mut is_free = vec![false; slots];
        for slot in &self.free {
            is_free[*slot] = true;
        }
        let kept: Vec<usize> = (0..slots).filter(|slot| !is_free[*slot]).collect();
        let mut now = vec![0; slots];
        for (new, old) in kept.iter().enumerate() {
            now[*old] = new;
        }
        for held in self.table.iter_mut() {
            held.1 = now[held.1];
        }
        self.table.shrink_to(0, |held| held.0);
        keep_at(&mut self.hashes, &kept);
        for column in &mut self.columns {
            column.keep(&kept);
        }
        self.free = Vec::new();
        Some(kept)
    }

    /// The keys of `slots`, in that order.
    ///
    /// # Errors
    /// When Arrow cannot rebuild a column.
    pub(super) fn gather(&self, slots: &[usize]) -> Result<Vec<ArrayRef>> {
        self.columns
            .iter()
            .map(|column| column.gather(slots))
            .collect()
    }

    /// How many slots exist, free ones included.
    pub(super) fn slots(&self) -> usize {
        self.hashes.len()
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.table.allocation_size()
            + (self.hashes.capacity() + self.free.capacity()) * 8
            + self.columns.iter().map(KeyColumn::bytes).sum::<usize>()
    }
}

/// One column of the keys.
#[derive(Debug)]
enum KeyColumn {
    /// Values of a fixed number of bytes; those of a NULL are zero.
    Fixed {
        data_type: DataType,
        width: usize,
        bytes: Vec<u8>,
        valid: Vec<bool>,
    },
    /// Any other type, in Arrow's row format.
    Encoded {
        data_type: DataType,
        converter: RowConverter,
        rows: Vec<OwnedRow>,
        bytes: usize,
    },
}

/// One column of keys that come in.
enum Incoming {
    Fixed {
        buffer: Buffer,
        nulls: Option<NullBuffer>,
    },
    Encoded(Rows),
}

impl KeyColumn {
    fn new(data_type: &DataType) -> Result<Self> {
        let data_type = data_type.clone();
        if let Some(width) = data_type.primitive_width() {
            return Ok(Self::Fixed {
                data_type,
                width,
                bytes: Vec::new(),
                valid: Vec::new(),
            });
        }
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())])
            .map_err(|_| Error::unsupported(format!("cannot group by a column of {data_type}")))?;
        Ok(Self::Encoded {
            data_type,
            converter,
            rows: Vec::new(),
            bytes: 0,
        })
    }

    fn read(&self, keys: &ArrayRef) -> Result<Incoming> {
        match self {
            Self::Fixed {
                data_type, width, ..
            } => {
                if keys.data_type() != data_type {
                    let found = keys.data_type();
                    return Err(Error::internal(format!(
                        "a group key of {found} where {data_type} was"
                    )));
                }
                let data = keys.to_data();
                let buffer =
                    data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width);
                Ok(Incoming::Fixed {
                    buffer,
                    nulls: keys.nulls().cloned(),
                })
            }
            Self::Encoded { converter, .. } => Ok(Incoming::Encoded(
                converter.convert_columns(std::slice::from_ref(keys))?,
            )),
        }
    }

    fn equal(&self, slot: usize, incoming: &Incoming, row: usize) -> bool {
        match (self, incoming) {
            (
                Self::Fixed {
                    width,
                    bytes,
                    valid,
                    ..
                },
                Incoming::Fixed { buffer, nulls },
            ) => {
                let known = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                valid[slot] == known
                    && (!known
                        || bytes[slot * width..(slot + 1) * width]
                            == buffer[row * width..(row + 1) * width])
            }
            (Self::Encoded { rows, .. }, Incoming::Encoded(incoming)) => {
                rows[slot].as_ref() == incoming.row(row).as_ref()
            }
            _ => false,
        }
    }

    fn set(&mut self, slot: usize, incoming: &Incoming, row: usize) {
        match (self, incoming) {
            (
                Self::Fixed {
                    width,
                    bytes,
                    valid,
                    ..
                },
                Incoming::Fixed { buffer, nulls },
            ) => {
                let known = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                if slot == valid.len() {
                    valid.push(known);
                    bytes.resize((slot + 1) * *width, 0);
                }
                valid[slot] = known;
                let place = &mut bytes[slot * *width..(slot + 1) * *width];
                if known {
                    place.copy_from_slice(&buffer[row * *width..(row + 1) * *width]);
                } else {
                    place.fill(0);
                }
            }
            (Self::Encoded { rows, bytes, .. }, Incoming::Encoded(incoming)) => {
                let key = incoming.row(row).owned();
                *bytes += key.as_ref().len();
                if slot == rows.len() {
                    rows.push(key);
                } else {
                    *bytes -= rows[slot].as_ref().len();
                    rows[slot] = key;
                }
            }
            // read() made the incoming column of this one's kind
            _ => {}
        }
    }

    fn gather(&self, slots: &[usize]) -> Result<ArrayRef> {
        match self {
            Self::Fixed {
                data_type,
                width,
                bytes,
                valid,
            } => {
                // this buffer is aligned for every type
                let mut gathered = MutableBuffer::with_capacity(slots.len() * width);
                for slot in slots {
                    gathered.extend_from_slice(&bytes[slot * width..(slot + 1) * width]);
                }
                let nulls: NullBuffer = slots.iter().map(|slot| valid[*slot]).collect();
                let data = ArrayData::builder(data_type.clone())
                    .len(slots.len())
                    .add_buffer(gathered.into())
                    .nulls(Some(nulls).filter(|nulls| nulls.null_count() > 0))
                    .build()?;
                Ok(make_array(data))
            }
            Self::Encoded {
                data_type,
                converter,
                rows,
                ..
            } => {
                if slots.is_empty() {
                    return Ok(new_null_array(data_type, 0));
                }
                let mut columns =
                    converter.convert_rows(slots.iter().map(|slot| rows[*slot].row()))?;
                Ok(columns.swap_remove(0))
            }
        }
    }

    /// Keeps the keys of `slots`, which rise, as those of the slots `0..`.
    fn keep(&mut self, slots: &[usize]) {
        match self {
            Self::Fixed {
                width,
                bytes,
                valid,
                ..
            } => {
                let kept = slots.iter();
                *bytes = kept
                    .flat_map(|slot| &bytes[slot * *width..(slot + 1) * *width])
                    .copied()
                    .collect();
                keep_at(valid, slots);
            }
            Self::Encoded { rows, bytes, .. } => {
                keep_at(rows, slots);
                *bytes = rows.iter().map(|row| row.as_ref().len()).sum();
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Fixed { bytes, valid, .. } => bytes.capacity() + valid.capacity(),
            Self::Encoded { rows, bytes, .. } => rows.capacity() * size_of::<OwnedRow>() + bytes,
        }
    }
}
