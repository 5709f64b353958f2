//! Columns of text, filled by copying pieces of one long random text.

use std::sync::Arc;

use arrow::array::builder::make_view;
use arrow::array::{ArrayRef, StringArray, StringViewArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use super::dice::{Dice, scale};
use crate::base::{Error, Result};

/// Bytes of the long texts.
const POOL_BYTES: usize = 1 << 20;
/// The shortest piece that [`Pool::word`] gives.
const SHORTEST: u64 = 3;

/// A long random text that pieces are cut from.
#[derive(Debug)]
pub(super) struct Pool {
    letters: Vec<u8>,
}

impl Pool {
    /// Small letters; `special`, where there is one, in every thirteenth place on average.
    pub(super) fn new(dice: Dice, special: Option<u8>) -> Self {
        let letters = (0..POOL_BYTES as u64)
            .map(|at| {
                let bits = dice.bits(at);
                match special {
                    Some(special) if scale(bits << 32, 13) == 0 => special,
                    _ => b'a' + u8::try_from(scale(bits, 26)).unwrap_or(0),
                }
            })
            .collect();
        Self { letters }
    }

    /// `length` letters that `bits` choose.
    pub(super) fn piece(&self, bits: u64, length: usize) -> &[u8] {
        let room = self.letters.len().saturating_sub(length);
        let at = usize::try_from(scale(bits, room as u64)).unwrap_or(0);
        self.letters.get(at..at + length).unwrap_or_default()
    }

    /// A piece of at least 3 and less than `longest` letters that `bits` choose, without blanks around.
    pub(super) fn word(&self, bits: u64, longest: u64) -> &[u8] {
        let length = SHORTEST + scale(bits << 32, longest - SHORTEST);
        self.piece(bits, usize::try_from(length).unwrap_or(0))
            .trim_ascii()
    }
}

/// How long the filling of an event must be so that its size, `size` without it, is `average` on average:
/// a fifth more or less of what is missing.
pub(super) fn filling(bits: u64, size: usize, average: usize) -> usize {
    let Some(missing) = average.checked_sub(size) else {
        return 0;
    };
    let spread = (missing + 2) / 5;
    let chosen = match spread {
        0 => 0,
        _ => scale(bits << 32, 2 * spread as u64),
    };
    missing - spread + usize::try_from(chosen).unwrap_or(0)
}

/// A column of texts that are copied into it.
#[derive(Debug)]
pub(super) struct TextColumn {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

impl TextColumn {
    /// Room for `rows` texts of `average` bytes.
    pub(super) fn with_capacity(rows: usize, average: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            offsets,
            bytes: Vec::with_capacity(rows * average),
        }
    }

    /// Adds a piece to the text that is being written.
    pub(super) fn write(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// Ends the text that is being written, and gives its length.
    pub(super) fn end(&mut self) -> usize {
        let start = self.offsets.last().copied().unwrap_or(0);
        let end = i32::try_from(self.bytes.len()).unwrap_or(i32::MAX);
        self.offsets.push(end);
        usize::try_from(end - start).unwrap_or(0)
    }

    /// The column.
    ///
    /// # Errors
    /// When a piece was not UTF-8 or there were more than 2 GiB.
    pub(super) fn finish(self) -> Result<ArrayRef> {
        if self.offsets.last() == Some(&i32::MAX) {
            return Err(Error::limit(
                "a block of events holds more than 2 GiB of text",
            ));
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let texts = StringArray::try_new(offsets, Buffer::from_vec(self.bytes), None)?;
        Ok(Arc::new(StringViewArray::from(&texts)))
    }
}

/// Texts of at most 12 bytes that a column picks from: no byte of them is copied.
#[derive(Debug)]
pub(super) struct Choices {
    views: Vec<u128>,
}

impl Choices {
    /// # Errors
    /// When a text is longer than a view holds.
    pub(super) fn new(texts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Self> {
        let views = texts
            .into_iter()
            .map(|text| match text.as_ref() {
                short if short.len() <= 12 => Ok(make_view(short, 0, 0)),
                _ => Err(Error::internal("a choice of more than 12 bytes")),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { views })
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.views.len() as u64
    }

    /// How long text `choice` is.
    pub(super) fn length(&self, choice: u64) -> usize {
        let view = self.view(choice);
        usize::try_from(view & 0xFFFF_FFFF).unwrap_or(0)
    }

    fn view(&self, choice: u64) -> u128 {
        usize::try_from(choice)
            .ok()
            .and_then(|at| self.views.get(at))
            .copied()
            .unwrap_or(0)
    }

    /// A column of the texts that `choices` name.
    ///
    /// # Errors
    /// When a text is not UTF-8.
    pub(super) fn column(&self, choices: impl Iterator<Item = u64>) -> Result<ArrayRef> {
        let views: Vec<u128> = choices.map(|choice| self.view(choice)).collect();
        let column = StringViewArray::try_new(ScalarBuffer::from(views), Vec::new(), None)?;
        Ok(Arc::new(column))
    }
}
