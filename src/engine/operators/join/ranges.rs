//! The candidates of a join without a key, by the order of what its condition compares.
//!
//! Of a condition such as `s.at >= t.start AND s.at < t.finish` each side's values become numbers that stand as the values do, and
//! either side's rows are kept in the order of that value which is in most of the comparisons ([`ByNumbers`]). A row of a delta finds the
//! stretch of the other side that lies within its own values, and leaves out what its further comparisons rule out. Where the
//! value of a delta's rows is in more of the comparisons than any of the other side, and there are many of them, the
//! other side's rows search among them instead.
//!
//! What is found may be too much, never too little: long texts and decimals are compared by what of them fits in a number, and the
//! whole condition is asked of every candidate. Texts that begin with the same eight bytes are not told apart.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};

use super::side::{Piece, Side};
use crate::base::Result;
use crate::state::{ByNumbers, Emit, Keyed, Pairs, SlotChanges, Window};
use crate::zset::batch_of;
use crate::zset::canonical::canonical;

/// A delta of fewer rows searches the other side, whatever is compared. Tests have small deltas.
const FEW: usize = if cfg!(test) { 3 } else { 256 };
/// So many rows become numbers at a time.
const ROWS: usize = 1 << 15;
/// Where more than one row of so many changed, the order is made anew.
const PART: usize = 4;

/// A comparison that holds for every pair: `left op right`, over the left and the right input's columns. It cannot fail.
#[derive(Clone, Debug)]
pub struct Bound {
    /// What is compared of the left row.
    pub left: Arc<dyn PhysicalExpr>,
    /// `<`, `<=`, `>` or `>=`.
    pub op: Operator,
    /// What is compared of the right row, of the same type.
    pub right: Arc<dyn PhysicalExpr>,
}

impl Bound {
    fn side(&self, is_left: bool) -> &Arc<dyn PhysicalExpr> {
        if is_left { &self.left } else { &self.right }
    }
}

/// What a join compares.
#[derive(Clone, Debug)]
pub(super) struct Comparisons {
    tests: Vec<Test>,
    /// Whether a pair for which they hold is one.
    are_all: bool,
}

/// A comparison of one number of each side.
#[derive(Clone, Copy, Debug)]
struct Test {
    /// Which of the left side's values, and which of the right one's.
    values: [usize; 2],
    /// `left op right`.
    op: Operator,
    /// Whether different values have different numbers.
    is_exact: bool,
}

impl Test {
    /// Where the numbers lie whose rows are candidates for a row with `number`, or those of which it is certain that they pass.
    fn window(&self, number: u64, of_left: bool, certain: bool) -> Window {
        let op = match of_left {
            true => Some(self.op),
            false => self.op.swap(),
        };
        let is_strict = match self.is_exact {
            true => matches!(op, Some(Operator::Lt | Operator::Gt)),
            false => certain,
        };
        let step = u64::from(is_strict);
        match op {
            Some(Operator::Gt | Operator::GtEq) => number.checked_add(step).map(|least| Window {
                least,
                ..Window::ALL
            }),
            _ => number.checked_sub(step).map(|greatest| Window {
                greatest,
                ..Window::ALL
            }),
        }
        .unwrap_or(Window::NONE)
    }
}

/// The rows of one side in the order of what is compared of them.
#[derive(Debug)]
pub(super) struct Compared {
    /// The one that is in most of the comparisons comes first, and orders the rows.
    values: Vec<Arc<dyn PhysicalExpr>>,
    /// How many comparisons that one is in.
    most: usize,
    rows: ByNumbers,
}

impl Comparisons {
    /// What `bounds` compare and `residual` asks for, with both sides, the left one first; `None` where there are no bounds.
    pub(super) fn new(
        bounds: &[Bound],
        residual: Option<&Arc<dyn PhysicalExpr>>,
        left: &SchemaRef,
    ) -> Result<Option<(Self, [Compared; 2])>> {
        if bounds.is_empty() {
            return Ok(None);
        }
        let sides = [true, false].map(|is_left| Compared::new(bounds, is_left));
        let test = |bound: &Bound| {
            Ok(Test {
                values: [sides[0].place(&bound.left), sides[1].place(&bound.right)],
                op: bound.op,
                is_exact: is_exact(&bound.left.data_type(left)?),
            })
        };
        let tests = bounds.iter().map(test).collect::<Result<_>>()?;
        let asked = residual.map_or(0, |residual| split_conjunction(residual).len());
        let are_all = asked == bounds.len();
        Ok(Some((Self { tests, are_all }, sides)))
    }

    /// Narrows `windows`, one for each value of the side that is searched, to what one row of the other side finds.
    fn narrow(&self, numbers: &[u64], of_left: bool, certain: bool, windows: &mut [Window]) {
        windows.fill(Window::ALL);
        for test in &self.tests {
            let [left, right] = test.values;
            let (searched, searching) = if of_left {
                (left, right)
            } else {
                (right, left)
            };
            let window = test.window(numbers[searching], of_left, certain);
            windows[searched] = windows[searched].and(window);
        }
    }
}

impl Compared {
    fn new(bounds: &[Bound], is_left: bool) -> Self {
        let mut values: Vec<(usize, Arc<dyn PhysicalExpr>)> = Vec::new();
        for bound in bounds {
            let value = bound.side(is_left);
            match values.iter_mut().find(|(_, known)| known == value) {
                Some((times, _)) => *times += 1,
                None => values.push((1, Arc::clone(value))),
            }
        }
        values.sort_by_key(|(times, _)| std::cmp::Reverse(*times));
        Self {
            most: values.first().map_or(0, |(times, _)| *times),
            rows: ByNumbers::new(values.len()),
            values: values.into_iter().map(|(_, value)| value).collect(),
        }
    }

    fn place(&self, value: &Arc<dyn PhysicalExpr>) -> usize {
        let place = self.values.iter().position(|known| known == value);
        place.unwrap_or_default()
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    /// Forgets the order where most of it does not hold any more.
    pub(super) fn let_go(&mut self, state: &Keyed) {
        if state.most_changed() && !self.rows.is_empty() {
            self.rows = ByNumbers::new(self.values.len());
        }
    }

    /// Takes in what changed in the state since this was called before.
    pub(super) fn follow(&mut self, state: &mut Keyed) -> Result<()> {
        let changed = match state.take_changes() {
            SlotChanges::Some(changed) if changed.len() * PART <= state.len() => changed,
            _ => {
                let (slots, numbers) = self.stored(state, &state.slots())?;
                self.rows.load(&slots, &numbers);
                return Ok(());
            }
        };
        let mut there = Vec::new();
        // the last entry of a slot says whether it has a row; whatever row it had before is gone
        let mut last: Vec<(u32, usize, bool)> = Vec::with_capacity(changed.len());
        for (number, (slot, is_there)) in changed.into_iter().enumerate() {
            self.rows.cut(slot);
            last.push((slot, number, is_there));
        }
        last.sort_unstable();
        for entries in last.chunk_by(|one, two| one.0 == two.0) {
            if let Some((slot, _, true)) = entries.last() {
                there.push(*slot);
            }
        }
        let width = self.values.len();
        let (slots, numbers) = self.stored(state, &there)?;
        for (slot, numbers) in slots.iter().zip(numbers.chunks_exact(width)) {
            self.rows.put(*slot, numbers);
        }
        Ok(())
    }

    /// The numbers of stored rows; those with a NULL, which no comparison holds for, are left out.
    fn stored(&self, state: &Keyed, slots: &[u32]) -> Result<(Vec<u32>, Vec<u64>)> {
        let width = self.values.len();
        let all: Vec<usize> = (0..state.schema().fields().len()).collect();
        let mut kept = Vec::with_capacity(slots.len());
        let mut numbers = Vec::with_capacity(slots.len() * width);
        for slots in slots.chunks(ROWS) {
            let columns = state.gather(slots, &all)?;
            let found = Numbers::of(&self.values, state.schema(), columns, slots.len())?;
            for (row, slot) in slots.iter().enumerate() {
                if found.is_known(row) {
                    kept.push(*slot);
                    numbers.extend_from_slice(found.row(row));
                }
            }
        }
        Ok((kept, numbers))
    }
}

/// The numbers of some rows, and which of them have a NULL.
struct Numbers {
    width: usize,
    /// One row's behind the other's.
    numbers: Vec<u64>,
    nulls: Option<NullBuffer>,
}

impl Numbers {
    /// Those of `values` over `rows` rows.
    fn of(
        values: &[Arc<dyn PhysicalExpr>],
        schema: &SchemaRef,
        columns: Vec<ArrayRef>,
        rows: usize,
    ) -> Result<Self> {
        let batch = batch_of(schema, columns, rows)?;
        let width = values.len();
        let mut numbers = vec![0; rows * width];
        let mut nulls = None;
        for (place, value) in values.iter().enumerate() {
            let column = canonical(&value.evaluate(&batch)?.into_array(rows)?)?;
            nulls = NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref());
            for (row, number) in numbers_of(&column)?.into_iter().enumerate() {
                numbers[row * width + place] = number;
            }
        }
        Ok(Self {
            width,
            numbers,
            nulls,
        })
    }

    fn is_known(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }

    fn row(&self, row: usize) -> &[u64] {
        &self.numbers[row * self.width..(row + 1) * self.width]
    }
}

/// The candidates of a piece's rows.
pub(super) struct Ranges<'a> {
    comparisons: &'a Comparisons,
    own_is_left: bool,
    own: Numbers,
    /// The other side's rows.
    other: &'a ByNumbers,
    /// The piece's rows by their numbers, where the other side's rows search among them.
    among: Option<ByNumbers>,
    /// Which rows need not be given, by their first number.
    but: Window,
}

impl<'a> Ranges<'a> {
    /// The candidates of `piece` on the other side. With `by_change`, nothing is asked of a pair but its weight, so that stored rows
    /// need not be given that gain as much by the piece as they lose.
    pub(super) fn new(
        comparisons: &'a Comparisons,
        piece: &Piece,
        [(own, compared), (_, others)]: [(&Side, &'a Compared); 2],
        own_is_left: bool,
        by_change: bool,
    ) -> Result<Self> {
        let rows = piece.rows.rows();
        let columns = piece.rows.batch.columns()[..own.width].to_vec();
        let numbers = Numbers::of(&compared.values, own.state.schema(), columns, rows)?;
        let mut ranges = Self {
            comparisons,
            own_is_left,
            own: numbers,
            other: &others.rows,
            among: None,
            but: Window::NONE,
        };
        if compared.most > others.most && rows >= FEW {
            let known: Vec<u32> = (0u32..)
                .zip(0..rows)
                .filter(|(_, row)| ranges.own.is_known(*row))
                .map(|(number, _)| number)
                .collect();
            let mut numbers = Vec::with_capacity(known.len() * compared.values.len());
            for row in known.iter().map(|row| at(*row)) {
                numbers.extend_from_slice(ranges.own.row(row));
            }
            let mut among = ByNumbers::new(compared.values.len());
            among.load(&known, &numbers);
            ranges.among = Some(among);
        } else if by_change && comparisons.are_all && others.values.len() == 1 {
            ranges.but = ranges.both(&piece.rows.weights);
        }
        Ok(ranges)
    }

    /// What certainly passes for both rows of a piece of which one comes as often as the other goes.
    fn both(&self, weights: &[i64]) -> Window {
        match weights {
            [one, two] if one.checked_add(*two) == Some(0) => {}
            _ => return Window::NONE,
        }
        if !self.own.is_known(0) || !self.own.is_known(1) {
            return Window::NONE;
        }
        let mut certain = [Window::ALL; 2];
        for (row, window) in certain.iter_mut().enumerate() {
            let window = std::slice::from_mut(window);
            self.comparisons
                .narrow(self.own.row(row), !self.own_is_left, true, window);
        }
        certain[0].and(certain[1])
    }

    /// Whether the candidates of some of the piece's rows can be found without those of the others.
    pub(super) fn can_be_split(&self) -> bool {
        self.among.is_none()
    }

    /// Gives the candidates of the piece's rows `range`, which are all of them unless [`Ranges::can_be_split`].
    pub(super) fn give(&self, range: Range<usize>, emit: Emit<'_>) -> Result<()> {
        let mut pairs = Pairs::new(emit);
        if let Some(among) = &self.among {
            let mut windows = vec![Window::ALL; self.own.width];
            for slot in self.other.slots() {
                let numbers = self.other.numbers(slot);
                self.comparisons
                    .narrow(numbers, self.own_is_left, false, &mut windows);
                among.find(&windows, Window::NONE, &mut |rows| {
                    pairs.push_rows(rows, slot)
                })?;
            }
            return pairs.finish();
        }
        let mut windows = vec![Window::ALL; self.other.width()];
        for row in range.filter(|row| self.own.is_known(*row)) {
            let number = u32::try_from(row).unwrap_or(u32::MAX);
            self.comparisons
                .narrow(self.own.row(row), !self.own_is_left, false, &mut windows);
            self.other.find(&windows, self.but, &mut |slots| {
                pairs.push_slots(number, slots)
            })?;
        }
        pairs.finish()
    }
}

/// Whether different values of a type have different numbers.
fn is_exact(kind: &DataType) -> bool {
    let bytes = kind.primitive_width();
    bytes.is_some_and(|bytes| bytes <= size_of::<u64>())
}

/// Numbers that stand as the values of a canonical column do, though different values may have one; those of NULLs mean
/// nothing.
fn numbers_of(column: &ArrayRef) -> Result<Vec<u64>> {
    Ok(match column.data_type() {
        DataType::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>().values();
            values.iter().map(|value| rounded(*value)).collect()
        }
        DataType::Decimal256(..) => {
            let values = column.as_primitive::<Decimal256Type>().values();
            let near = |value: &arrow::datatypes::i256| {
                let limit = if value.is_negative() {
                    i128::MIN
                } else {
                    i128::MAX
                };
                rounded(value.to_i128().unwrap_or(limit))
            };
            values.iter().map(near).collect()
        }
        kind => {
            let converter = RowConverter::new(vec![SortField::new(kind.clone())])?;
            let rows = converter.convert_columns(std::slice::from_ref(column))?;
            rows.iter().map(|row| first_bytes(row.data())).collect()
        }
    })
}

/// The bytes behind the first, which tells NULL and no text from others, as far as they fit.
fn first_bytes(row: &[u8]) -> u64 {
    let mut bytes = [0; size_of::<u64>()];
    for (byte, known) in bytes.iter_mut().zip(row.get(1..).unwrap_or_default()) {
        *byte = *known;
    }
    u64::from_be_bytes(bytes)
}

/// A number that stands as the nearest float does.
#[expect(
    clippy::cast_precision_loss,
    reason = "what is lost is asked for once more"
)]
fn rounded(value: i128) -> u64 {
    let bits = (value as f64).to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

fn at(row: u32) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}
