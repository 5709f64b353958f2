//! Pairs of a probing row and a stored one, gathered and given a bounded number at a time.

use crate::base::Result;

/// About how many pairs are given at a time.
const PAIRS: usize = 1 << 14;

/// Takes pairs of a probing row and the slot of a stored one.
pub type Emit<'a> = &'a mut dyn FnMut(&[u32], &[u32]) -> Result<()>;

/// Pairs on their way. [`Pairs::finish`] gives the last ones.
pub struct Pairs<'a> {
    rows: Vec<u32>,
    slots: Vec<u32>,
    emit: Emit<'a>,
}

impl<'a> Pairs<'a> {
    /// None yet.
    pub fn new(emit: Emit<'a>) -> Self {
        Self {
            rows: Vec::new(),
            slots: Vec::new(),
            emit,
        }
    }

    /// One pair more.
    ///
    /// # Errors
    /// Those of whoever takes them.
    pub fn push(&mut self, row: u32, slot: u32) -> Result<()> {
        self.rows.push(row);
        self.slots.push(slot);
        self.flush(PAIRS)
    }

    /// One probing row with several slots.
    ///
    /// # Errors
    /// Those of whoever takes them.
    pub fn push_slots(&mut self, row: u32, slots: &[u32]) -> Result<()> {
        self.slots.extend_from_slice(slots);
        self.rows.resize(self.slots.len(), row);
        self.flush(PAIRS)
    }

    /// Several probing rows with one slot.
    ///
    /// # Errors
    /// Those of whoever takes them.
    pub fn push_rows(&mut self, rows: &[u32], slot: u32) -> Result<()> {
        self.rows.extend_from_slice(rows);
        self.slots.resize(self.rows.len(), slot);
        self.flush(PAIRS)
    }

    /// Gives those that are left.
    ///
    /// # Errors
    /// Those of whoever takes them.
    pub fn finish(mut self) -> Result<()> {
        self.flush(1)
    }

    fn flush(&mut self, enough: usize) -> Result<()> {
        if self.rows.len() < enough {
            return Ok(());
        }
        (self.emit)(&self.rows, &self.slots)?;
        self.rows.clear();
        self.slots.clear();
        Ok(())
    }
}

impl std::fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pairs")
            .field("waiting", &self.rows.len())
            .finish_non_exhaustive()
    }
}
