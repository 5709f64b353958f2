//! Unnest: an output row an element of a row's lists, and a column a field of its structs.
//!
//! Law: `out = { (r with the i-th element of each list) : w | r : w in input, 1 <= i <= the longest list }`, shorter
//! lists padded with NULL. A list within a list opens level by level, the deepest first, as DataFusion does
//! it. Linear, so no state.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, NullBufferBuilder, OffsetSizeTrait, RecordBatch,
    UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef};

use crate::base::{Error, Result};
use crate::engine::budget::Budget;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::zset::{Delta, Weights, batch_of, own_bytes};

/// How many output rows stand in one batch, unless one input row gives more.
const OUTPUT_ROWS: usize = 1 << 14;

/// What a row without elements becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyList {
    /// Nothing, and a NULL neither.
    Drop,
    /// Nothing; but a NULL becomes a row with NULL for the element.
    KeepNull,
    /// A row with NULL for the element, as a NULL does.
    Keep,
}

/// One list column to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListColumn {
    /// Its place in the input.
    pub index: usize,
    /// How many levels of lists to open, from 1.
    pub depth: usize,
}

/// What an [`Unnest`] computes.
#[derive(Clone, Debug)]
pub struct UnnestConfig {
    /// The lists, in the order of their output columns; a column may be opened to several depths.
    pub lists: Vec<ListColumn>,
    /// The places of the structs in the input. None of them is a list to open.
    pub structs: Vec<usize>,
    /// What a row without elements becomes.
    pub empty: EmptyList,
    /// The output: the input's columns, each replaced by its elements' columns or its fields.
    pub schema: SchemaRef,
}

/// Opens lists and structs.
#[derive(Debug)]
pub struct Unnest {
    config: UnnestConfig,
    /// The largest depth; 0: there are structs only.
    deepest: usize,
}

impl Unnest {
    /// Opens what `config` names.
    pub fn new(config: UnnestConfig) -> Self {
        let deepest = config.lists.iter().map(|list| list.depth).max();
        Self {
            config,
            deepest: deepest.unwrap_or(0),
        }
    }

    /// How many rows of `delta` from row `from` on make about [`OUTPUT_ROWS`] rows, at least one.
    fn rows_at_once(&self, delta: &Delta, from: usize) -> Result<usize> {
        let rows = (delta.rows() - from).min(OUTPUT_ROWS);
        let mut most = vec![1_usize; rows];
        for list in &self.config.lists {
            let lists = column(delta, list.index)?.slice(from, rows);
            for (most, span) in most.iter_mut().zip(spans_of(&lists)?) {
                *most = span.length.max(*most);
            }
        }
        let mut made = 0_usize;
        let fits = most.iter().take_while(|length| {
            made = made.saturating_add(**length);
            made <= OUTPUT_ROWS
        });
        Ok(fits.count().max(1))
    }

    /// The output of `delta`.
    fn open(&self, delta: &Delta, budget: Option<&Budget>, output: &mut Deltas) -> Result<()> {
        if self.deepest == 0 {
            let columns = delta.batch().columns().to_vec();
            output.push(delta.with_batch(self.batch(columns, &[], delta.rows())?)?);
            return Ok(());
        }
        let mut opened = Opened::new(delta.rows(), self.config.lists.len())?;
        for depth in (1..=self.deepest).rev() {
            self.open_level(delta, depth, &mut opened)?;
        }
        let columns = self.repeated(delta, &opened.rows)?;
        let batch = self.batch(columns, &opened.elements, opened.rows.len())?;
        let made = match delta.weights() {
            Weights::Ones => Delta::inserts(batch),
            Weights::Each(weights) => {
                let weights = take(weights, &opened.rows, None)?;
                Delta::new(batch, weights.as_primitive().clone())?
            }
        };
        if let Some(budget) = budget {
            budget.charge(own_bytes(made.batch()))?;
        }
        output.push(made);
        Ok(())
    }

    /// Opens the lists that are `depth` deep or deeper by one level.
    fn open_level(&self, delta: &Delta, depth: usize, opened: &mut Opened) -> Result<()> {
        let mut active = Vec::new();
        for (position, list) in self.config.lists.iter().enumerate() {
            if list.depth < depth {
                continue;
            }
            // The lists of this level stand where the input has them, those of a level below where the last
            // level put them.
            let (lists, spans) = match &opened.elements[position] {
                None => {
                    let lists = column(delta, list.index)?;
                    (Arc::clone(lists), spans_at(lists, &opened.rows)?)
                }
                Some(lists) => (Arc::clone(lists), spans_of(lists)?),
            };
            active.push((position, lists, spans));
        }
        let mut longest = vec![0; opened.rows.len()];
        for (_, _, spans) in &active {
            for (longest, span) in longest.iter_mut().zip(spans) {
                *longest = span.rows(self.config.empty).max(*longest);
            }
        }
        for (position, lists, spans) in active {
            let places = places(&spans, &longest)?;
            opened.elements[position] = Some(take(values_of(&lists)?, &places, None)?);
        }
        opened.repeat(&longest);
        Ok(())
    }

    /// The input's columns with their rows repeated; of the opened ones none is needed.
    fn repeated(&self, delta: &Delta, rows: &UInt32Array) -> Result<Vec<ArrayRef>> {
        let columns = delta.batch().columns().iter().enumerate();
        columns
            .map(|(index, column)| {
                if self.config.lists.iter().any(|list| list.index == index) {
                    return Ok(Arc::clone(column));
                }
                Ok(take(column, rows, None)?)
            })
            .collect()
    }

    /// The output's batch: `columns` are the input's, `elements` those of the lists.
    fn batch(
        &self,
        columns: Vec<ArrayRef>,
        elements: &[Option<ArrayRef>],
        rows: usize,
    ) -> Result<RecordBatch> {
        let mut output = Vec::with_capacity(self.config.schema.fields().len());
        for (index, column) in columns.into_iter().enumerate() {
            let lists = self.config.lists.iter().zip(elements);
            let before = output.len();
            output.extend(
                lists
                    .filter(|(list, _)| list.index == index)
                    .filter_map(|(_, elements)| elements.clone()),
            );
            if output.len() > before {
                continue;
            }
            if self.config.structs.contains(&index) {
                let fields = column.as_struct_opt().ok_or_else(|| not_open(&column))?;
                // A NULL struct has NULL fields, whatever lies under it; but a field that cannot be NULL.
                for (bare, masked) in fields.columns().iter().zip(fields.flatten().1) {
                    let field = self.config.schema.fields().get(output.len());
                    let nullable = field.is_some_and(|field| field.is_nullable());
                    output.push(if nullable { masked } else { Arc::clone(bare) });
                }
            } else {
                output.push(column);
            }
        }
        batch_of(&self.config.schema, output, rows)
    }
}

impl Operator for Unnest {
    fn name(&self) -> &'static str {
        "unnest"
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let mut output = Deltas::new();
        let budget = cx.budget.as_deref();
        for delta in input(inputs, 0, self.name())? {
            let mut from = 0;
            while from < delta.rows() {
                let rows = self.rows_at_once(delta, from)?;
                self.open(&delta.slice(from, rows), budget, &mut output)?;
                from += rows;
            }
        }
        Ok(output)
    }
}

/// Rows on their way through the levels.
struct Opened {
    /// The input row that each stems from.
    rows: UInt32Array,
    /// For each list the elements that it has given so far, a row each.
    elements: Vec<Option<ArrayRef>>,
}

impl Opened {
    fn new(rows: usize, lists: usize) -> Result<Self> {
        let rows = u32::try_from(rows).map_err(|_| Error::limit("a delta has 2^32 rows"))?;
        Ok(Self {
            rows: UInt32Array::from_iter_values(0..rows),
            elements: vec![None; lists],
        })
    }

    /// Each row as often as `times` says.
    fn repeat(&mut self, times: &[usize]) {
        let rows = self.rows.values().iter().zip(times);
        self.rows = UInt32Array::from_iter_values(
            rows.flat_map(|(row, times)| std::iter::repeat_n(*row, *times)),
        );
    }
}

/// Where a list's elements stand among the values of its column.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    length: usize,
    is_null: bool,
}

impl Span {
    /// How many output rows the list asks for.
    fn rows(self, empty: EmptyList) -> usize {
        let kept = match empty {
            EmptyList::Drop => false,
            EmptyList::KeepNull => self.is_null,
            EmptyList::Keep => true,
        };
        self.length.max(usize::from(kept))
    }
}

/// The lists of a column, of any kind.
type SpanAt<'a> = Box<dyn Fn(usize) -> (usize, usize) + 'a>;

fn spans_of(lists: &ArrayRef) -> Result<Vec<Span>> {
    let at = span_at(lists)?;
    Ok((0..lists.len()).map(|row| span(lists, &at, row)).collect())
}

fn spans_at(lists: &ArrayRef, rows: &UInt32Array) -> Result<Vec<Span>> {
    let at = span_at(lists)?;
    let rows = rows.values().iter();
    Ok(rows
        .map(|row| span(lists, &at, usize::try_from(*row).unwrap_or(usize::MAX)))
        .collect())
}

fn span(lists: &ArrayRef, at: &SpanAt<'_>, row: usize) -> Span {
    // What lies under a NULL is not read.
    let is_null = lists.is_null(row);
    let (start, length) = if is_null { (0, 0) } else { at(row) };
    Span {
        start,
        length,
        is_null,
    }
}

/// Start and length of a row's list. Offsets are never negative: Arrow checks them.
fn span_at(lists: &ArrayRef) -> Result<SpanAt<'_>> {
    fn list<O: OffsetSizeTrait>(lists: &ArrayRef) -> SpanAt<'_> {
        let offsets = lists.as_list::<O>().value_offsets();
        Box::new(move |row| {
            let start = offsets[row].as_usize();
            (start, offsets[row + 1].as_usize() - start)
        })
    }
    fn view<O: OffsetSizeTrait>(lists: &ArrayRef) -> SpanAt<'_> {
        let lists = lists.as_list_view::<O>();
        let (offsets, sizes) = (lists.value_offsets(), lists.value_sizes());
        Box::new(move |row| (offsets[row].as_usize(), sizes[row].as_usize()))
    }
    Ok(match lists.data_type() {
        DataType::List(_) => list::<i32>(lists),
        DataType::LargeList(_) => list::<i64>(lists),
        DataType::ListView(_) => view::<i32>(lists),
        DataType::LargeListView(_) => view::<i64>(lists),
        DataType::FixedSizeList(_, size) => {
            let lists = lists.as_fixed_size_list();
            let size = usize::try_from(*size).unwrap_or(0);
            // A slice's values begin at its own first row.
            Box::new(move |row| {
                let start = usize::try_from(lists.value_offset(row)).unwrap_or(0);
                (start, size)
            })
        }
        _ => return Err(not_open(lists)),
    })
}

/// The elements of all rows of a list column.
fn values_of(lists: &ArrayRef) -> Result<&ArrayRef> {
    Ok(match lists.data_type() {
        DataType::List(_) => lists.as_list::<i32>().values(),
        DataType::LargeList(_) => lists.as_list::<i64>().values(),
        DataType::ListView(_) => lists.as_list_view::<i32>().values(),
        DataType::LargeListView(_) => lists.as_list_view::<i64>().values(),
        DataType::FixedSizeList(..) => lists.as_fixed_size_list().values(),
        _ => return Err(not_open(lists)),
    })
}

/// For each output row the place of its element; none behind the end of a list.
fn places(spans: &[Span], longest: &[usize]) -> Result<Int64Array> {
    let rows = longest.iter().sum();
    let mut places: Vec<i64> = Vec::with_capacity(rows);
    let mut nulls = NullBufferBuilder::new(rows);
    for (span, longest) in spans.iter().zip(longest) {
        let start = i64::try_from(span.start).map_err(|_| too_many())?;
        let length = i64::try_from(span.length).map_err(|_| too_many())?;
        places.extend(start..start + length);
        nulls.append_n_non_nulls(span.length);
        let missing = longest.saturating_sub(span.length);
        places.resize(places.len() + missing, 0);
        nulls.append_n_nulls(missing);
    }
    Ok(Int64Array::new(places.into(), nulls.finish()))
}

fn column(delta: &Delta, index: usize) -> Result<&ArrayRef> {
    delta
        .batch()
        .columns()
        .get(index)
        .ok_or_else(|| Error::internal(format!("unnest lacks the column {index}")))
}

fn not_open(column: &ArrayRef) -> Error {
    Error::internal(format!("unnest of {}", column.data_type()))
}

fn too_many() -> Error {
    Error::limit("a list has too many elements")
}
