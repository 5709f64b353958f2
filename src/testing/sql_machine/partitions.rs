//! Rows where a test is true, false and unknown are all rows; and a test in WHERE counts what the same test counts in the list of
//! columns.
//!
//! The first is ternary logic partitioning (Rigger and Su, OOPSLA 2020), the second NoREC (FSE 2020): both find wrong answers without
//! another engine, since the optimizer pushes, splits and folds the one form and not the other. Each query runs in batch and is
//! maintained as a model. `LOTIC_CASES=100000 cargo test --lib -- partition --nocapture` is the long form.

use super::bench::Bench;
use super::changes::{by_table, history, tables_of};
use super::choices::Choices;
use super::generator::{Parted, parted};
use super::parallel::{Plan, Verdict, check};
use super::run::{STEP_US, apply};
use crate::base::Error;
use crate::testing::sql_laws::{Bag, Changes, Maintained, Rng, World};

/// What the seed of a case's changes has in addition to that of its query.
const CHANGES: u64 = 0x1f83_d9ab;

/// The tables of a case, empty and full, and what happened in between.
struct Case<'a> {
    bench: &'a Bench,
    seed: u64,
    full: World,
    changes: Vec<Changes>,
}

impl<'a> Case<'a> {
    fn new(bench: &'a Bench, seed: u64, sql: &str) -> Self {
        let epochs = history(&mut Choices::random(seed ^ CHANGES), &tables_of(sql));
        let changes: Vec<Changes> = epochs.iter().map(|epoch| by_table(epoch)).collect();
        let mut full = bench.world.clone();
        changes.iter().for_each(|changes| apply(&mut full, changes));
        Self {
            bench,
            seed,
            full,
            changes,
        }
    }

    /// The rows of a query in batch and as a model; or why they say nothing.
    fn answers(&self, sql: &str) -> Result<[Bag; 2], String> {
        let text = |error: Error| error.to_string();
        let subject = self.bench.subject(sql).map_err(text)?;
        let plan = &subject.optimised;
        let mut held = Maintained::new(&self.bench.state, &self.bench.world, plan).map_err(text)?;
        let mut rng = Rng::new(self.seed);
        for changes in &self.changes {
            held.now_us += STEP_US;
            held.feed(changes, &mut rng, false).map_err(text)?;
        }
        let batch = self.bench.anew(&self.full, plan, held.now_us);
        let (batch, failed) = batch.map_err(text)?;
        // such a row is in no part, but may be in the whole
        if failed > 0 || !held.errors.is_empty() {
            return Err("rows fail".to_owned());
        }
        Ok([batch, held.output])
    }
}

fn compared(verdict: Result<Option<String>, String>) -> Verdict {
    match verdict {
        Ok(None) => Verdict::Same,
        Ok(Some(wrong)) => Verdict::Wrong(wrong),
        Err(why) => Verdict::Skipped(why),
    }
}

const MODES: [&str; 2] = ["in batch", "as a model"];

fn parts_make_the_whole(bench: &Bench, seed: u64) -> Verdict {
    let Parted {
        from,
        test,
        columns,
    } = parted(&mut Choices::random(seed));
    let columns = columns.join(", ");
    let whole = format!("SELECT {columns} FROM {from}");
    let case = Case::new(bench, seed, &format!("{whole} {test}"));
    let compare = || {
        let mut sums = [Bag::default(), Bag::default()];
        for part in [
            format!("({test})"),
            format!("NOT ({test})"),
            format!("({test}) IS NULL"),
        ] {
            let answers = case.answers(&format!("{whole} WHERE {part}"))?;
            for (sum, rows) in sums.iter_mut().zip(&answers) {
                sum.add_bag(rows);
            }
        }
        let answers = case.answers(&whole)?;
        for ((sum, rows), mode) in sums.iter().zip(&answers).zip(MODES) {
            if sum != rows {
                let more = sum.difference(rows);
                return Ok(Some(format!(
                    "{mode} the parts have more (+) or less (-) than the whole\n{whole}\nWHERE {test}\n{more}"
                )));
            }
        }
        Ok(None)
    };
    compared(compare())
}

fn a_test_counts_the_same_everywhere(bench: &Bench, seed: u64) -> Verdict {
    let Parted { from, test, .. } = parted(&mut Choices::random(seed));
    let filtered = format!("SELECT count(*) AS n FROM {from} WHERE {test}");
    let summed = format!(
        "SELECT coalesce(sum(CASE WHEN {test} THEN 1 ELSE 0 END), 0)::bigint AS n FROM {from}"
    );
    let case = Case::new(bench, seed, &filtered);
    let compare = || {
        let (filtered_rows, summed_rows) = (case.answers(&filtered)?, case.answers(&summed)?);
        for ((one, other), mode) in filtered_rows.iter().zip(&summed_rows).zip(MODES) {
            if one != other {
                let more = one.difference(other);
                return Ok(Some(format!("{mode}\n{filtered}\n{summed}\n{more}")));
            }
        }
        Ok(None)
    };
    compared(compare())
}

#[test]
fn rows_partition_into_those_where_a_test_is_true_false_and_unknown() {
    let plan = Plan {
        what: "partitions",
        cases: 200,
        partitions: 1,
        compared: 50,
    };
    check(plan, parts_make_the_whole);
}

#[test]
fn a_test_counts_the_same_in_where_and_outside_of_any_partition() {
    let plan = Plan {
        what: "counts",
        cases: 200,
        partitions: 2,
        compared: 50,
    };
    check(plan, a_test_counts_the_same_everywhere);
}
