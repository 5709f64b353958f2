//! Cases on all cores, each thread with benches of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use super::bench::Bench;
use crate::base::task;

/// What came of a case; the text says what is wrong, or why nothing could be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Skipped(String),
    Wrong(String),
}

/// The number in an environment variable, or `default`.
pub(super) fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What is checked, and how much at least.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) what: &'static str,
    /// How many cases run where `LOTIC_CASES` does not say.
    pub(super) cases: u64,
    /// Of the batch plans.
    pub(super) partitions: usize,
    /// Of 100 cases so many must be compared: a generator of what cannot be compared proves nothing.
    pub(super) compared: u64,
}

/// Runs `case` for so many seeds, from `LOTIC_SEED` on, and fails with all that are wrong.
pub(super) fn check(plan: Plan, case: fn(&Bench, u64) -> Verdict) {
    let Plan {
        what,
        cases,
        partitions,
        compared: least,
    } = plan;
    let (first, cases) = (number("LOTIC_SEED", 1), number("LOTIC_CASES", cases));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = number("LOTIC_JOBS", u64::try_from(cores).unwrap()).clamp(1, cases);
    let next = Arc::new(AtomicU64::new(first));
    let (sender, verdicts) = channel();
    for _ in 0..jobs {
        let (next, sender) = (Arc::clone(&next), sender.clone());
        let body = move || {
            let bench = Bench::new(partitions);
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + cases || sender.send((seed, case(&bench, seed))).is_err() {
                    break;
                }
            }
        };
        drop(task::thread_with_stack("lotic-machine", 64 << 20, body).unwrap());
    }
    drop(sender);
    let (mut done, mut skipped, mut wrong) = (0, Vec::new(), Vec::new());
    for (seed, verdict) in verdicts {
        done += 1;
        match verdict {
            Verdict::Same => {}
            Verdict::Skipped(why) => skipped.push((seed, why)),
            Verdict::Wrong(why) => wrong.push(format!("LOTIC_CASES=1 LOTIC_SEED={seed}\n{why}")),
        }
    }
    assert_eq!(done, cases, "a thread ended early");
    println!(
        "{what}: {cases} cases, {} not compared, {} differ",
        skipped.len(),
        wrong.len()
    );
    let mut reasons = std::collections::BTreeMap::new();
    for (seed, why) in &skipped {
        let why: String = why.chars().take(60).collect();
        reasons.entry(why).or_insert((0, *seed)).0 += 1;
    }
    for (why, (count, seed)) in reasons.iter().take(20) {
        println!("not compared: {count} x {why} (seed {seed})");
    }
    let told: Vec<&str> = wrong.iter().take(10).map(String::as_str).collect();
    assert!(
        wrong.is_empty(),
        "{} cases differ\n{}",
        wrong.len(),
        told.join("\n\n")
    );
    let compared = done - u64::try_from(skipped.len()).unwrap();
    assert!(
        compared * 100 >= cases * least || cases < 10,
        "{compared} of {cases} cases were compared"
    );
}
