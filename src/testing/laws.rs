//! The laws of operators, checked on any of them against a naive reference.
//!
//! A history is a list of steps of small deltas with weights of either sign. [`check`] runs it as it
//! is, in other splits and orders, in one bulk step, and forth and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, StringViewArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef};
use arrow::util::display::array_value_to_string;

use crate::base::{Error, ObjectId, Result};
use crate::engine::{Dataflow, Deltas, Operator, StepContext, in_parts};
use crate::zset::{Delta, batch_of};

/// A value as the references see it. Types without a case of their own are their text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// NULL.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer of any width, a date, a time or a timestamp.
    Int(i64),
    /// The bits of a float, canonical.
    Float(u64),
    /// Text, or the text of anything else.
    Text(String),
}

impl Cell {
    /// A float, canonical.
    pub fn float(value: f64) -> Self {
        let value = if value.is_nan() {
            f64::NAN
        } else {
            value + 0.0
        };
        Self::Float(value.to_bits())
    }
}

/// A row.
pub type Row = Vec<Cell>;
/// A multiset of rows; weights are never 0.
pub type Table = BTreeMap<Row, i64>;
/// What comes in on each input in one step.
pub type Step = Vec<Vec<(Row, i64)>>;

/// An operator, and what it should compute.
pub struct Subject<'a> {
    /// Makes one with empty state.
    pub operator: &'a dyn Fn() -> Box<dyn Operator>,
    /// The columns of its inputs: booleans, 64-bit integers, 64-bit floats, text.
    pub inputs: Vec<SchemaRef>,
    /// The output over whole inputs, computed in the plainest way.
    pub reference: &'a dyn Fn(&[Table]) -> Table,
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject")
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

/// Checks all laws on `history`.
///
/// # Errors
/// The first law that is broken, in words.
pub fn check(subject: &Subject<'_>, history: &[Step]) -> Result<(), String> {
    let expected = (subject.reference)(&integral(subject.inputs.len(), history));
    let nothing = (subject.reference)(&vec![Table::new(); subject.inputs.len()]);
    let run_in = |parts: usize, history: &[Step], bulk: bool| {
        Runner::new(subject, parts, bulk)
            .and_then(|mut runner| {
                history.iter().try_for_each(|step| runner.step(step))?;
                Ok(runner)
            })
            .map_err(|error| format!("a step failed: {error}"))
    };
    let run = |history: &[Step], bulk: bool| run_in(1, history, bulk);
    let same = |what: &str, found: &Table, expected: &Table| {
        if found == expected {
            return Ok(());
        }
        Err(format!(
            "{what}:\n   found {found:?}\nexpected {expected:?}"
        ))
    };

    same("as given", &run(history, false)?.output, &expected)?;
    same(
        "in one bulk step",
        &run(&[one_step(subject, history)], true)?.output,
        &expected,
    )?;
    for parts in [2, 5] {
        let split = run_in(parts, history, false)?.output;
        same("in parts", &split, &expected)?;
    }
    let singles = one_by_one(subject, history);
    same("row by row", &run(&singles, false)?.output, &expected)?;
    let backwards: Vec<Step> = singles.iter().rev().cloned().collect();
    same(
        "row by row, backwards",
        &run(&backwards, false)?.output,
        &expected,
    )?;

    let fresh = run(&[], false)?.operator.state_rows();
    let there: Vec<Step> = history.to_vec();
    let mut back: Vec<Step> = history.iter().map(negated).collect();
    for (what, turned) in [
        ("forth and back", false),
        ("forth and back in the same order", true),
    ] {
        if !turned {
            back.reverse();
        }
        let both: Vec<Step> = there.iter().chain(&back).cloned().collect();
        let end = run(&both, false)?;
        same(what, &end.output, &nothing)?;
        let left = end.operator.state_rows();
        if left != fresh {
            return Err(format!("{what} leaves {left} rows of state, not {fresh}"));
        }
        back.reverse();
    }
    Ok(())
}

/// The sum of all steps, a table an input.
pub fn integral(inputs: usize, history: &[Step]) -> Vec<Table> {
    let mut tables = vec![Table::new(); inputs];
    for step in history {
        for (table, rows) in tables.iter_mut().zip(step) {
            for (row, weight) in rows {
                add(table, row.iter().map(canonical).collect(), *weight);
            }
        }
    }
    tables
}

/// `history` and one more step after which no row of any input has a negative weight: for
/// references that mean nothing for such rows.
#[must_use]
pub fn made_proper(inputs: usize, mut history: Vec<Step>) -> Vec<Step> {
    let mend = integral(inputs, &history)
        .into_iter()
        .map(|table| {
            table
                .into_iter()
                .filter(|(_, weight)| *weight < 0)
                .map(|(row, w)| (row, -w))
                .collect()
        })
        .collect();
    history.push(mend);
    history
}

/// Adds to a row's weight in `table`.
pub fn add(table: &mut Table, row: Row, weight: i64) {
    let sum = table.get(&row).copied().unwrap_or(0) + weight;
    if sum == 0 {
        table.remove(&row);
    } else {
        table.insert(row, sum);
    }
}

/// Adds `deltas` to `table`.
///
/// # Errors
/// When a value has no text.
pub fn add_deltas(table: &mut Table, deltas: &[Delta]) -> Result<()> {
    for delta in deltas {
        for row in 0..delta.rows() {
            let cells = delta
                .batch()
                .columns()
                .iter()
                .map(|column| cell(column, row));
            add(table, cells.collect::<Result<Row>>()?, delta.weight(row));
        }
    }
    Ok(())
}

/// `rows` as a delta of `schema`.
///
/// # Errors
/// When the schema has a type that [`Subject::inputs`] does not name.
pub fn delta_of(schema: &SchemaRef, rows: &[(Row, i64)]) -> Result<Delta> {
    let columns = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(column, field)| {
            array_of(field.data_type(), rows.iter().map(|(row, _)| &row[column]))
        })
        .collect::<Result<Vec<_>>>()?;
    let batch = batch_of(schema, columns, rows.len())?;
    if rows.iter().all(|(_, weight)| *weight == 1) {
        return Ok(Delta::inserts(batch));
    }
    Delta::new(
        batch,
        rows.iter()
            .map(|(_, weight)| *weight)
            .collect::<Int64Array>(),
    )
}

/// A whole graph as one operator, to be checked like one.
#[derive(Debug)]
pub struct Piped {
    /// The graph.
    pub dataflow: Dataflow,
    /// The object behind each input.
    pub sources: Vec<ObjectId>,
}

impl Operator for Piped {
    fn name(&self) -> &'static str {
        "dataflow"
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let inputs = self
            .sources
            .iter()
            .copied()
            .zip(inputs.iter().cloned())
            .collect();
        self.dataflow.step(&inputs, cx)
    }

    fn runs_without_input(&self) -> bool {
        true
    }

    fn state_rows(&self) -> usize {
        self.dataflow.state_rows()
    }
}

/// One operator on its way through a history.
struct Runner<'a> {
    subject: &'a Subject<'a>,
    operator: Box<dyn Operator>,
    output: Table,
    bulk: bool,
    begun: bool,
}

impl<'a> Runner<'a> {
    fn new(subject: &'a Subject<'a>, parts: usize, bulk: bool) -> Result<Self> {
        let operator = in_parts((subject.operator)(), parts);
        let mut runner = Self {
            subject,
            operator,
            output: Table::new(),
            bulk,
            begun: false,
        };
        // Every operator runs in the first step, as in a graph; a bulk load comes in that step.
        if !bulk {
            runner.step(&vec![Vec::new(); subject.inputs.len()])?;
        }
        Ok(runner)
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        let mut inputs = Vec::new();
        for (schema, rows) in self.subject.inputs.iter().zip(step) {
            // Two deltas, so that equal rows meet across them too.
            let (first, second) = rows.split_at(rows.len() / 2);
            let mut deltas = Deltas::new();
            for rows in [first, second].into_iter().filter(|rows| !rows.is_empty()) {
                deltas.push(delta_of(schema, rows)?);
            }
            inputs.push(deltas);
        }
        if self.begun && inputs.iter().all(Vec::is_empty) && !self.operator.runs_without_input() {
            return Ok(());
        }
        self.begun = true;
        let mut cx = StepContext {
            bulk: self.bulk,
            ..StepContext::default()
        };
        let output = self.operator.step(&inputs, &mut cx)?;
        add_deltas(&mut self.output, &output)
    }
}

fn canonical(cell: &Cell) -> Cell {
    match cell {
        Cell::Float(bits) => Cell::float(f64::from_bits(*bits)),
        other => other.clone(),
    }
}

fn one_step(subject: &Subject<'_>, history: &[Step]) -> Step {
    (0..subject.inputs.len())
        .map(|input| {
            history
                .iter()
                .flat_map(|step| step[input].iter().cloned())
                .collect()
        })
        .collect()
}

/// A step a row, the inputs taking turns.
fn one_by_one(subject: &Subject<'_>, history: &[Step]) -> Vec<Step> {
    let inputs = subject.inputs.len();
    let mut steps = Vec::new();
    let all = one_step(subject, history);
    let longest = all.iter().map(Vec::len).max().unwrap_or(0);
    for index in 0..longest {
        for (input, rows) in all.iter().enumerate() {
            if let Some(row) = rows.get(index) {
                let mut step = vec![Vec::new(); inputs];
                step[input].push(row.clone());
                steps.push(step);
            }
        }
    }
    steps
}

fn negated(step: &Step) -> Step {
    step.iter()
        .map(|rows| {
            rows.iter()
                .map(|(row, weight)| (row.clone(), -weight))
                .collect()
        })
        .collect()
}

fn cell(column: &ArrayRef, row: usize) -> Result<Cell> {
    if column.is_null(row) || column.data_type() == &DataType::Null {
        return Ok(Cell::Null);
    }
    Ok(match column.data_type() {
        DataType::Boolean => Cell::Bool(column.as_boolean().value(row)),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let column = cast(&column.slice(row, 1), &DataType::Float64)?;
            Cell::float(column.as_primitive::<Float64Type>().value(0))
        }
        number if number.is_integer() => {
            let column = cast(&column.slice(row, 1), &DataType::Int64)?;
            Cell::Int(column.as_primitive::<Int64Type>().value(0))
        }
        _ => Cell::Text(array_value_to_string(column, row)?),
    })
}

fn array_of<'a>(data_type: &DataType, cells: impl Iterator<Item = &'a Cell>) -> Result<ArrayRef> {
    let text = |cell: &'a Cell| match cell {
        Cell::Text(text) => Some(text.as_str()),
        _ => None,
    };
    Ok(match data_type {
        DataType::Boolean => {
            let bools = cells.map(|cell| match cell {
                Cell::Bool(value) => Some(*value),
                _ => None,
            });
            Arc::new(bools.collect::<BooleanArray>())
        }
        DataType::Int64 => {
            let ints = cells.map(|cell| match cell {
                Cell::Int(value) => Some(*value),
                _ => None,
            });
            Arc::new(ints.collect::<Int64Array>())
        }
        DataType::Float64 => {
            let floats = cells.map(|cell| match cell {
                Cell::Float(bits) => Some(f64::from_bits(*bits)),
                _ => None,
            });
            Arc::new(floats.collect::<Float64Array>())
        }
        DataType::Utf8 => Arc::new(cells.map(text).collect::<StringArray>()),
        DataType::Utf8View => Arc::new(cells.map(text).collect::<StringViewArray>()),
        other => return Err(Error::unsupported(format!("test rows of {other}"))),
    })
}

/// Random histories.
#[cfg(test)]
pub mod strategy {
    use arrow::datatypes::{DataType, SchemaRef};
    use proptest::collection::vec;
    use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};

    use super::{Cell, Row, Step};

    /// Up to six steps of up to `rows` rows an input, weights from -2 to 2, of few different
    /// values, so that rows meet, join and cancel often.
    pub fn histories(inputs: &[SchemaRef], rows: usize) -> BoxedStrategy<Vec<Step>> {
        let step: Vec<BoxedStrategy<Vec<(Row, i64)>>> = inputs
            .iter()
            .map(|schema| vec((row(schema), -2..=2_i64), 0..=rows).boxed())
            .collect();
        vec(step, 0..=6).boxed()
    }

    fn row(schema: &SchemaRef) -> BoxedStrategy<Row> {
        let cells: Vec<BoxedStrategy<Cell>> = schema
            .fields()
            .iter()
            .map(|field| cell(field.data_type()))
            .collect();
        cells.boxed()
    }

    fn cell(data_type: &DataType) -> BoxedStrategy<Cell> {
        let value = match data_type {
            DataType::Boolean => any::<bool>().prop_map(Cell::Bool).boxed(),
            DataType::Int64 => (0..3_i64).prop_map(Cell::Int).boxed(),
            // Not canonical on purpose: the two zeros must meet.
            DataType::Float64 => prop_oneof![
                Just(0.0_f64),
                Just(-0.0),
                Just(f64::NAN),
                Just(-f64::NAN),
                Just(1.5),
                Just(-2.25)
            ]
            .prop_map(|value| Cell::Float(value.to_bits()))
            .boxed(),
            _ => prop_oneof![Just(""), Just("a"), Just("more than twelve bytes")]
                .prop_map(|text| Cell::Text(text.to_owned()))
                .boxed(),
        };
        prop_oneof![1 => Just(Cell::Null), 5 => value].boxed()
    }
}
