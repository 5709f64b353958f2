//! The same changes give the same trace: what an operator gives does not depend on addresses, random hashes or threads.
//!
//! A trace has the rows of every step in their order with their weights, and the rows that failed; the laws compare sums, in which
//! an order cannot be seen. `LOTIC_CASES=10000 cargo test --lib -- replay --nocapture` is the long form.

use std::collections::BTreeMap;

use super::bench::Bench;
use super::changes::{by_table, history, tables_of};
use super::choices::Choices;
use super::generator::query;
use super::parallel::{Plan, Verdict, check};
use super::run::STEP_US;
use crate::base::{ObjectId, Result};
use crate::engine::{Deltas, StepContext};
use crate::planner::lower::{DataFusionEvaluators, lower};
use crate::testing::sql_laws::{Changes, delta, row_of};

/// What a run gave: a line a row, step after step.
fn trace(bench: &Bench, sql: &str, changes: &[Changes]) -> Result<Vec<String>> {
    let subject = bench.subject(sql)?;
    let evaluators = DataFusionEvaluators::new(&bench.state);
    let resolve = |name: &_| bench.world.resolve(name);
    let mut flow = lower(&subject.optimised, &resolve, &evaluators)?.dataflow;
    let mut lines = Vec::new();
    let (mut now_us, mut step) = (0, 0);
    // rows come, and go again in the order in which they came
    let back = changes.iter().map(crate::testing::sql_laws::negated);
    for changes in changes.iter().cloned().chain(back) {
        (now_us, step) = (now_us + STEP_US, step + 1);
        let mut inputs: BTreeMap<ObjectId, Deltas> = BTreeMap::new();
        for (name, rows) in &changes {
            let table = &bench.world.tables[name];
            inputs.insert(table.id, vec![delta(&table.schema, rows)?]);
        }
        let mut cx = StepContext {
            now_us,
            ..StepContext::default()
        };
        for given in flow.step(&inputs, &mut cx)? {
            for row in 0..given.rows() {
                let values = row_of(given.batch(), row)?;
                lines.push(format!("step {step}: {:+} x {values:?}", given.weight(row)));
            }
        }
        for error in cx.errors {
            let row = row_of(&error.row, 0)?;
            lines.push(format!(
                "step {step}: {:+} x {} of {row:?}",
                error.weight, error.error
            ));
        }
    }
    Ok(lines)
}

fn twice_the_same(bench: &Bench, seed: u64) -> Verdict {
    let sql = query(&mut Choices::random(seed));
    let epochs = history(&mut Choices::random(seed ^ 0x2545_f491), &tables_of(&sql));
    let changes: Vec<Changes> = epochs.iter().map(|epoch| by_table(epoch)).collect();
    let first = match trace(bench, &sql, &changes) {
        Ok(first) => first,
        Err(error) => return Verdict::Skipped(error.to_string()),
    };
    match trace(bench, &sql, &changes) {
        Ok(second) if second == first => Verdict::Same,
        Ok(second) => {
            let lines = first.iter().zip(&second);
            let differs = lines.clone().position(|(one, other)| one != other);
            let at = differs.unwrap_or(first.len().min(second.len()));
            let line = |of: &[String]| of.get(at).cloned().unwrap_or_default();
            Verdict::Wrong(format!("{sql}\n{}\n{}", line(&first), line(&second)))
        }
        Err(error) => Verdict::Wrong(format!("{sql}\nfails the second time: {error}")),
    }
}

#[test]
fn a_replay_of_the_same_changes_has_the_same_trace() {
    let plan = Plan {
        what: "replays",
        cases: 300,
        partitions: 2,
        compared: 50,
    };
    check(plan, twice_the_same);
}
