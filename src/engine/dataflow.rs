//! The graph of operators, stepped in the order in which it was built.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use arrow::datatypes::SchemaRef;

use super::operator::{Deltas, Operator, StepContext};
use super::parallel::rows_of;
use super::shards::in_parts;
use crate::base::clock::ClockRef;
use crate::base::task::panic_text;
use crate::base::{Error, ObjectId, Result};
use crate::zset::canonical::canonical_batch;
use crate::zset::{Delta, net};

/// A node of one [`Dataflow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

/// What one node has done so far.
#[derive(Clone, Debug, Default)]
pub struct NodeStats {
    /// The operator's name, or `source`.
    pub name: &'static str,
    /// The nodes that feed it.
    pub inputs: Vec<usize>,
    /// Steps in which it ran.
    pub steps: u64,
    /// Delta rows taken in.
    pub rows_in: u64,
    /// Delta rows given out.
    pub rows_out: u64,
    /// Time inside the operator, when the steps were given a clock.
    pub time: Duration,
    /// About how many bytes the state takes.
    pub state_bytes: usize,
    /// How many different rows the state holds.
    pub state_rows: usize,
}

/// A state is measured again once this part of its rows, as 1/n, has come in anew.
const MEASURE_AT: usize = 16;

enum Work {
    Source(ObjectId, SchemaRef),
    Operator(Box<dyn Operator>),
}

struct Node {
    work: Work,
    /// Whether it never takes back a row that it gave.
    append_only: bool,
    /// Whether all it ever gives comes in the first step.
    fixed: bool,
    inputs: Vec<NodeId>,
    /// How many edges leave it, the graph's output included.
    readers: usize,
    steps: u64,
    rows_in: u64,
    rows_out: u64,
    time: Duration,
    /// Bytes and different rows of the state when it was measured last, and at how many rows in.
    measured: (usize, usize, u64),
}

impl Node {
    /// Measures the state, when enough came in since the last time for it to have changed much: to
    /// measure takes time that grows with the state.
    fn measure(&mut self) {
        let (_, rows, at) = self.measured;
        let Work::Operator(operator) = &self.work else {
            return;
        };
        let changed = usize::try_from(self.rows_in - at).unwrap_or(usize::MAX);
        if changed > rows / MEASURE_AT || operator.moved_state() {
            self.measured = (operator.state_bytes(), operator.state_rows(), self.rows_in);
        }
    }

    fn name(&self) -> &'static str {
        match &self.work {
            Work::Source(..) => "source",
            Work::Operator(operator) => operator.name(),
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.name(), self.inputs)
    }
}

/// Builds a [`Dataflow`], inputs before the nodes that read them.
#[derive(Debug, Default)]
pub struct DataflowBuilder {
    nodes: Vec<Node>,
    /// How many parts a keyed operator is split into; 0 and 1: it stays whole.
    parts: usize,
}

impl DataflowBuilder {
    /// Operators added from here on are split into `parts` by key, where they can be: one for each thread is a good number.
    #[must_use]
    pub fn in_parts(mut self, parts: usize) -> Self {
        self.parts = parts;
        self
    }

    /// A node that gives the deltas of `object`. An object may have several such nodes.
    pub fn source(&mut self, object: ObjectId, schema: SchemaRef) -> NodeId {
        self.push(Work::Source(object, schema), &[], false)
    }

    /// As [`DataflowBuilder::source`], of an object whose rows are never taken back.
    pub fn append_only_source(&mut self, object: ObjectId, schema: SchemaRef) -> NodeId {
        self.push(Work::Source(object, schema), &[], true)
    }

    /// A node that runs `operator` over the outputs of `inputs`.
    pub fn add(&mut self, operator: Box<dyn Operator>, inputs: &[NodeId]) -> NodeId {
        let mut operator = in_parts(operator, self.parts);
        let known: Vec<bool> = inputs
            .iter()
            .map(|input| self.is_append_only(*input))
            .collect();
        let append_only = operator.learn_append_only(&known);
        let known: Vec<bool> = inputs.iter().map(|input| self.is_fixed(*input)).collect();
        let fixed = operator.learn_fixed(&known);
        let node = self.push(Work::Operator(operator), inputs, append_only);
        if let Some(added) = self.nodes.get_mut(node.0) {
            added.fixed = fixed;
        }
        node
    }

    /// Whether an operator has something to do though no input has.
    pub fn changes_with_time(&self) -> bool {
        self.nodes.iter().any(|node| match &node.work {
            Work::Source(..) => false,
            Work::Operator(operator) => operator.runs_without_input(),
        })
    }

    /// Whether a node never takes back a row that it gave.
    pub fn is_append_only(&self, node: NodeId) -> bool {
        self.nodes.get(node.0).is_some_and(|node| node.append_only)
    }

    /// Whether all that a node ever gives comes in the first step.
    pub fn is_fixed(&self, node: NodeId) -> bool {
        self.nodes.get(node.0).is_some_and(|node| node.fixed)
    }

    /// The graph whose result is what `output` gives.
    pub fn finish(mut self, output: NodeId) -> Dataflow {
        let edges: Vec<NodeId> = self
            .nodes
            .iter()
            .flat_map(|node| node.inputs.iter().copied())
            .collect();
        for NodeId(from) in edges.into_iter().chain([output]) {
            if let Some(node) = self.nodes.get_mut(from) {
                node.readers += 1;
            }
        }
        let clocks = self.nodes.iter().flat_map(|node| match &node.work {
            Work::Source(..) => Vec::new(),
            Work::Operator(operator) => operator.clocks(),
        });
        let clocks: BTreeSet<ObjectId> = clocks.collect();
        Dataflow {
            append_only: self.is_append_only(output),
            clocks: clocks.into_iter().collect(),
            nodes: self.nodes,
            output,
            started: false,
            failed: None,
        }
    }

    fn push(&mut self, work: Work, inputs: &[NodeId], append_only: bool) -> NodeId {
        let node = Node {
            work,
            append_only,
            fixed: false,
            inputs: inputs.to_vec(),
            readers: 0,
            steps: 0,
            rows_in: 0,
            rows_out: 0,
            time: Duration::ZERO,
            measured: (0, 0, 0),
        };
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }
}

/// A graph of operators with their state.
#[derive(Debug)]
pub struct Dataflow {
    /// In topological order: every input stands before its readers.
    nodes: Vec<Node>,
    output: NodeId,
    append_only: bool,
    clocks: Vec<ObjectId>,
    started: bool,
    failed: Option<Error>,
}

impl Dataflow {
    /// An empty graph to add to.
    pub fn builder() -> DataflowBuilder {
        DataflowBuilder::default()
    }

    /// Takes what came in from each object and says how the result changes, with nothing in it
    /// that cancels. The first step runs every operator; later ones skip those without input.
    ///
    /// # Errors
    /// When an operator fails or panics. The graph is then unusable and says so from there on.
    pub fn step(
        &mut self,
        inputs: &BTreeMap<ObjectId, Deltas>,
        cx: &mut StepContext,
    ) -> Result<Deltas> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.run(inputs, cx);
        self.started = true;
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    /// The objects that the graph reads, with the schema it expects of each.
    pub fn sources(&self) -> Vec<(ObjectId, SchemaRef)> {
        self.nodes
            .iter()
            .filter_map(|node| match &node.work {
                Work::Source(object, schema) => Some((*object, SchemaRef::clone(schema))),
                Work::Operator(_) => None,
            })
            .collect()
    }

    /// Whether the result never takes back a row that it gave.
    pub fn is_append_only(&self) -> bool {
        self.append_only
    }

    /// The sources whose watermark an operator acts on, each once.
    pub fn clocks(&self) -> &[ObjectId] {
        &self.clocks
    }

    /// The counters of every node, in topological order.
    pub fn stats(&self) -> Vec<NodeStats> {
        let exact = |node: &Node| {
            let (bytes, rows) = match &node.work {
                Work::Source(..) => (0, 0),
                Work::Operator(operator) => (operator.state_bytes(), operator.state_rows()),
            };
            stats_of(node, bytes, rows)
        };
        self.nodes.iter().map(exact).collect()
    }

    /// As [`Dataflow::stats`], but the sizes of the state are those of its last measure, which cost
    /// nothing and may be off by a sixteenth.
    pub fn figures(&self) -> Vec<NodeStats> {
        let figures = |node: &Node| {
            let (state_bytes, state_rows, _) = node.measured;
            stats_of(node, state_bytes, state_rows)
        };
        self.nodes.iter().map(figures).collect()
    }

    /// Lets go of all operators and their state: a graph that failed is of no use. A step says
    /// from here on that the graph failed.
    pub fn release(&mut self) {
        self.nodes = Vec::new();
        if self.failed.is_none() {
            self.failed = Some(Error::internal("the graph was released"));
        }
    }

    /// The next moment at which the result changes though no input does.
    pub fn due_us(&self) -> Option<i64> {
        let due = self.nodes.iter().filter_map(|node| match &node.work {
            Work::Source(..) => None,
            Work::Operator(operator) => operator.due_us(),
        });
        due.min()
    }

    /// About how many bytes the state of all operators takes.
    pub fn state_bytes(&self) -> usize {
        self.stats().iter().map(|node| node.state_bytes).sum()
    }

    /// How many different rows the state of all operators holds.
    pub fn state_rows(&self) -> usize {
        self.stats().iter().map(|node| node.state_rows).sum()
    }

    fn run(&mut self, inputs: &BTreeMap<ObjectId, Deltas>, cx: &mut StepContext) -> Result<Deltas> {
        // What each node gave, and how many of its readers have yet to take it.
        let mut given: Vec<(Deltas, usize)> = Vec::with_capacity(self.nodes.len());
        // In a first load, the rows of the largest source below each node.
        let mut bases: Vec<usize> = Vec::new();
        let first_load = cx.bulk && !self.started;
        let mut held: usize = self.nodes.iter().map(|node| node.measured.0).sum();
        if let Some(progress) = &cx.progress {
            progress.begin(self.nodes.len());
        }
        for node in &mut self.nodes {
            let mut taken = Vec::with_capacity(node.inputs.len());
            for input in &node.inputs {
                taken.push(take_output(&mut given, *input)?);
            }
            if first_load {
                let below = node.inputs.iter().map(|input| bases[input.0]);
                cx.bases = below.collect();
            }
            let output = match &mut node.work {
                Work::Source(object, _) => {
                    // As batch reads them: -0.0 is 0.0 in a table.
                    let deltas = inputs.get(object).into_iter().flatten();
                    deltas
                        .map(|delta| delta.with_batch(canonical_batch(delta.batch())?))
                        .collect::<Result<Deltas>>()?
                }
                Work::Operator(operator) => {
                    let idle = taken.iter().all(Vec::is_empty);
                    if idle && self.started && !operator.runs_without_input() {
                        Deltas::new()
                    } else {
                        node.steps += 1;
                        let rows = taken.iter().map(|deltas| count(deltas)).sum::<u64>();
                        node.rows_in += rows;
                        if let Some(progress) = &cx.progress {
                            progress.take(rows);
                        }
                        if let Some(budget) = &cx.budget {
                            budget.hold(held)?;
                        }
                        let began = now(cx.clock.as_ref());
                        let output = guarded(operator.as_mut(), &taken, cx)?;
                        node.time += now(cx.clock.as_ref()).saturating_sub(began);
                        // an operator that keeps rows of its input as they came holds them alone from here on
                        drop(taken);
                        let before = node.measured.0;
                        node.measure();
                        held = (held + node.measured.0).saturating_sub(before);
                        output
                    }
                }
            };
            node.rows_out += count(&output);
            if first_load {
                let own = match &node.work {
                    Work::Source(..) => rows_of(&output),
                    Work::Operator(_) => 0,
                };
                bases.push(cx.bases.drain(..).fold(own, usize::max));
            }
            if let Some(progress) = &cx.progress {
                progress.done();
            }
            let output = output
                .into_iter()
                .filter(|delta| delta.rows() > 0)
                .collect();
            given.push((output, node.readers));
        }
        if let Some(budget) = &cx.budget {
            budget.hold(held)?;
        }
        net(&take_output(&mut given, self.output)?)
    }
}

/// The deltas of `node` for one of its readers; the last one takes them instead of a copy.
fn take_output(given: &mut [(Deltas, usize)], node: NodeId) -> Result<Deltas> {
    let (deltas, readers) = given
        .get_mut(node.0)
        .ok_or_else(|| Error::internal("a node reads one that does not stand before it"))?;
    *readers = readers.saturating_sub(1);
    Ok(if *readers == 0 {
        std::mem::take(deltas)
    } else {
        deltas.clone()
    })
}

/// Runs one operator; a panic in it, or in a function it calls, fails this graph and no other.
fn guarded(operator: &mut dyn Operator, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
    let name = operator.name();
    match std::panic::catch_unwind(AssertUnwindSafe(|| operator.step(inputs, cx))) {
        Ok(result) => result,
        Err(panic) => Err(Error::internal(format!(
            "operator {name} panicked: {}",
            panic_text(&panic)
        ))),
    }
}

fn stats_of(node: &Node, state_bytes: usize, state_rows: usize) -> NodeStats {
    NodeStats {
        name: node.name(),
        inputs: node.inputs.iter().map(|input| input.0).collect(),
        steps: node.steps,
        rows_in: node.rows_in,
        rows_out: node.rows_out,
        time: node.time,
        state_bytes,
        state_rows,
    }
}

fn count(deltas: &[Delta]) -> u64 {
    deltas
        .iter()
        .map(|delta| u64::try_from(delta.rows()).unwrap_or(u64::MAX))
        .sum()
}

fn now(clock: Option<&ClockRef>) -> Duration {
    clock.map_or(Duration::ZERO, |clock| clock.monotonic())
}
