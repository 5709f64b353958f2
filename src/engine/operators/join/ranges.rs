//! The candidates of a join without a key, by the order of what its condition compares.
//!
//! Of a condition such as `s.at >= t.start AND s.at < t.finish` one side's value is sorted, and each row of the other finds the
//! stretch of it that lies within its own values. The side whose value is in more of the comparisons is the sorted one. Sorting is done for each
//! delta anew: of a few rows it is cheaper to look at everything. What is found may be too much, never too little: the
//! whole condition is asked of every candidate.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use super::side::{Piece, Side};
use crate::base::Result;
use crate::state::Emit;
use crate::zset::batch_of;
use crate::zset::canonical::canonical;

/// So many rows of a delta at most are compared with everything. Tests have small deltas.
const FEW: usize = if cfg!(test) { 2 } else { 16 };
/// How many candidates are given at a time.
const PAIRS: usize = 1 << 14;

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

/// The values of one comparison for the rows that search.
struct Limit {
    values: Rows,
    nulls: Option<NullBuffer>,
    /// `sorted op value`.
    op: Operator,
}

impl Limit {
    fn holds(&self, sorted: &[u8], row: usize) -> bool {
        let value = self.values.row(row);
        match self.op {
            Operator::Lt => sorted < value.data(),
            Operator::LtEq => sorted <= value.data(),
            Operator::Gt => sorted > value.data(),
            _ => sorted >= value.data(),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Whether it holds from some place on, not up to one.
    fn is_least(&self) -> bool {
        matches!(self.op, Operator::Gt | Operator::GtEq)
    }
}

/// The candidates of a piece's rows.
pub(super) struct Ranges {
    /// The other side's rows.
    slots: Vec<u32>,
    /// Whether the piece's rows search among the slots, rather than the slots' rows among those of the piece.
    piece_searches: bool,
    /// The rows that are searched, by number, without those whose value is NULL; in the order of their values when `is_sorted`.
    order: Vec<u32>,
    values: Rows,
    is_sorted: bool,
    limits: Vec<Limit>,
}

impl Ranges {
    /// How to find them; `None` where `bounds` are of no help.
    pub(super) fn new(
        bounds: &[Bound],
        piece: &Piece,
        [own, other]: [&Side; 2],
        [own_schema, other_schema]: [&SchemaRef; 2],
        own_is_left: bool,
    ) -> Result<Option<Self>> {
        let rows = piece.rows.rows();
        if bounds.is_empty() || rows == 0 || other.state.is_empty() {
            return Ok(None);
        }
        let mut slots = Vec::with_capacity(other.state.len());
        other.state.probe(piece.keys(), 0..1, &mut |_, found| {
            slots.extend_from_slice(found);
            Ok(())
        })?;
        let (by_own, by_other) = (
            most_compared(bounds, own_is_left),
            most_compared(bounds, !own_is_left),
        );
        let piece_searches = by_other.len() >= by_own.len();
        let chosen = if piece_searches { by_other } else { by_own };
        let own_columns = &piece.rows.batch.columns()[..own.width];
        let of_own = |expr: &_| value_of(expr, own_schema, own_columns, rows);
        let of_other = |expr: &_| stored_value(expr, other_schema, other, &slots);
        let sorted_is_left = own_is_left != piece_searches;
        let searched = chosen[0].side(sorted_is_left);
        let searched = match piece_searches {
            true => of_other(searched)?,
            false => of_own(searched)?,
        };
        let converter = RowConverter::new(vec![SortField::new(searched.data_type().clone())])?;
        let mut limits = Vec::with_capacity(chosen.len());
        for bound in chosen {
            let searching = bound.side(!sorted_is_left);
            let searching = match piece_searches {
                true => of_own(searching)?,
                false => of_other(searching)?,
            };
            if searching.data_type() != searched.data_type() {
                return Ok(None);
            }
            let op = match sorted_is_left {
                true => Some(bound.op),
                false => bound.op.swap(),
            };
            let Some(op) = op else { return Ok(None) };
            limits.push(Limit {
                nulls: searching.logical_nulls(),
                values: converter.convert_columns(&[searching])?,
                op,
            });
        }
        let nulls = searched.logical_nulls();
        let known = |row: &u32| {
            let row = usize::try_from(*row).unwrap_or(usize::MAX);
            nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
        };
        let mut order: Vec<u32> = (0u32..).take(searched.len()).filter(known).collect();
        let values = converter.convert_columns(&[searched])?;
        let is_sorted = rows > FEW || !piece_searches;
        if is_sorted {
            order.sort_unstable_by(|one, two| at(&values, *one).cmp(at(&values, *two)));
        }
        Ok(Some(Self {
            slots,
            piece_searches,
            order,
            values,
            is_sorted,
            limits,
        }))
    }

    /// Whether the candidates of some of the piece's rows can be found without those of the others.
    pub(super) fn can_be_split(&self) -> bool {
        self.piece_searches
    }

    /// Gives the candidates of the piece's rows `range`, which are all of them unless [`Ranges::can_be_split`].
    pub(super) fn give(&self, range: Range<usize>, emit: Emit<'_>) -> Result<()> {
        let searching = match self.piece_searches {
            true => range,
            false => 0..self.slots.len(),
        };
        let (mut rows, mut slots) = (Vec::new(), Vec::new());
        for searcher in searching {
            if self.limits.iter().any(|limit| limit.is_null(searcher)) {
                continue;
            }
            let number = u32::try_from(searcher).unwrap_or(u32::MAX);
            for found in &self.order[self.stretch(searcher)] {
                if !self.is_sorted && !self.all_hold(*found, searcher) {
                    continue;
                }
                let (row, slot) = match self.piece_searches {
                    true => (number, *found),
                    false => (*found, number),
                };
                rows.push(row);
                slots.push(self.slots[usize::try_from(slot).unwrap_or(usize::MAX)]);
                if rows.len() == PAIRS {
                    emit(&rows, &slots)?;
                    rows.clear();
                    slots.clear();
                }
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        emit(&rows, &slots)
    }

    fn all_hold(&self, found: u32, searcher: usize) -> bool {
        let value = at(&self.values, found);
        self.limits.iter().all(|limit| limit.holds(value, searcher))
    }

    /// Where in the order the rows lie that a searching row finds.
    fn stretch(&self, searcher: usize) -> Range<usize> {
        let mut stretch = 0..self.order.len();
        if !self.is_sorted {
            return stretch;
        }
        for limit in &self.limits {
            let is_least = limit.is_least();
            let place = self
                .order
                .partition_point(|row| limit.holds(at(&self.values, *row), searcher) != is_least);
            if is_least {
                stretch.start = stretch.start.max(place);
            } else {
                stretch.end = stretch.end.min(place);
            }
        }
        stretch.start = stretch.start.min(stretch.end);
        stretch
    }
}

fn at(values: &Rows, row: u32) -> &[u8] {
    values
        .row(usize::try_from(row).unwrap_or(usize::MAX))
        .data()
}

/// The comparisons of that value of one side which is in most of them.
fn most_compared(bounds: &[Bound], is_left: bool) -> Vec<&Bound> {
    let alike = |one: &Bound| {
        let same = |two: &&Bound| two.side(is_left) == one.side(is_left);
        bounds.iter().filter(same).collect::<Vec<_>>()
    };
    // the first of those with as many
    let groups = bounds.iter().map(alike).rev();
    groups.max_by_key(Vec::len).unwrap_or_default()
}

/// `expr` over `columns`, as keys are compared.
fn value_of(
    expr: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    columns: &[ArrayRef],
    rows: usize,
) -> Result<ArrayRef> {
    let batch = batch_of(schema, columns.to_vec(), rows)?;
    canonical(&expr.evaluate(&batch)?.into_array(rows)?)
}

/// `expr` over the rows of `slots`.
fn stored_value(
    expr: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    side: &Side,
    slots: &[u32],
) -> Result<ArrayRef> {
    let any: &dyn Any = expr.as_ref();
    if let Some(column) = any.downcast_ref::<Column>() {
        let columns = side.state.gather(slots, &[column.index()])?;
        return canonical(&columns[0]);
    }
    value_of(
        expr,
        schema,
        &side.state.gather(slots, &side.all)?,
        slots.len(),
    )
}
