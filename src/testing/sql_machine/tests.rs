//! The cases: seeds, their outcome, and the report of those that fail.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::choices::{Choices, shrink};
use super::relations::query;
use crate::testing::sql_laws::tests::Bench;

/// Tries that making a failing case smaller may take.
const ATTEMPTS: usize = 150;

/// What came of a query.
enum Outcome {
    Equal,
    Refused,
    Failed(String),
}

fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn run(bench: &Bench, sql: &str, seed: u64) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| bench.law(sql, seed))) {
        Ok(None) => Outcome::Refused,
        Ok(Some(Ok(()))) => Outcome::Equal,
        Ok(Some(Err(error))) => Outcome::Failed(error.to_string()),
        Err(_) => Outcome::Failed("it panics".to_owned()),
    }
}

/// The smallest query found that still fails, and how.
fn smallest(bench: &Bench, seed: u64, made: Vec<usize>) -> String {
    let text = |given: &[usize]| query(&mut Choices::replay(given.to_vec()));
    let fails = |given: &[usize]| matches!(run(bench, &text(given), seed), Outcome::Failed(_));
    let sql = text(&shrink(made, ATTEMPTS, fails));
    match run(bench, &sql, seed) {
        Outcome::Failed(why) => format!("LOTIC_SEED={seed} LOTIC_CASES=1\n{sql}\n{why}"),
        Outcome::Equal | Outcome::Refused => format!("LOTIC_SEED={seed}: fails not every time"),
    }
}

#[test]
fn random_queries_are_maintained_as_batch_answers_them() {
    let bench = Bench::new();
    let (first, cases) = (number("LOTIC_SEED", 1), number("LOTIC_CASES", 200));
    let (mut refused, mut failures) = (Vec::new(), Vec::new());
    for seed in first..first + cases {
        let mut choices = Choices::random(seed);
        let sql = query(&mut choices);
        match run(&bench, &sql, seed) {
            Outcome::Equal => {}
            Outcome::Refused => refused.push(sql),
            Outcome::Failed(_) => failures.push(smallest(&bench, seed, choices.made)),
        }
    }
    println!(
        "{cases} cases, {} refused, {} failed",
        refused.len(),
        failures.len()
    );
    for sql in refused.iter().take(20) {
        println!("refused: {sql}\n  {:?}", bench.refusal(sql));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    // A generator that makes what is refused proves nothing.
    let planned = cases - u64::try_from(refused.len()).unwrap();
    assert!(
        planned * 100 >= cases * 85,
        "only {planned} of {cases} cases plan"
    );
}
