//! The cases: seeds on all cores, their outcome, and the report of those that fail.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use super::bench::Bench;
use super::changes::{self, Epoch, history, tables_of};
use super::choices::{Choices, shrink};
use super::generator::query;
use super::parallel::number;
use super::run::{Case, Failure, Outcome, run};
use super::slt;
use crate::base::clock::{Clock, SystemClock};
use crate::base::task;

/// Tries that making the query of a failing case smaller may take.
const ATTEMPTS: usize = 250;
/// Failing cases that are made smaller and told; more are only counted.
const TOLD: usize = 40;
/// How long one run of a case may take, in seconds.
const LONGEST: u64 = 120;
/// What the seed of a case's changes has in addition to that of its query.
const CHANGES: u64 = 0x5bd1_e995;

/// What a worker does at the moment, for who watches it.
#[derive(Default)]
struct Work {
    seed: AtomicU64,
    /// Seconds in the present run.
    seconds: AtomicU64,
    given_up: AtomicBool,
    sql: Mutex<String>,
}

struct Told {
    seed: u64,
    outcome: Outcome,
    /// A failing case, made smaller.
    found: Option<(String, String)>,
}

/// The benches of a thread: most batch plans have one partition, some two.
struct Worker {
    benches: [Bench; 2],
    work: Arc<Work>,
    /// Whether only one case is asked for, which is told whatever comes of it.
    alone: bool,
}

impl Worker {
    fn run(&self, sql: &str, epochs: &[Epoch], seed: u64) -> Outcome {
        self.work.seconds.store(0, Ordering::Relaxed);
        sql.clone_into(&mut self.work.sql.lock().unwrap());
        let bench = &self.benches[usize::from(seed.is_multiple_of(4))];
        QUIET.set(true);
        let outcome = catch_unwind(AssertUnwindSafe(|| run(bench, &Case { sql, epochs, seed })));
        QUIET.set(false);
        outcome.unwrap_or_else(|_| {
            Outcome::Wrong(Failure {
                law: "it panics",
                detail: PANIC.take(),
            })
        })
    }

    fn case(&self, seed: u64, told: &AtomicU64) -> Told {
        self.work.seed.store(seed, Ordering::Relaxed);
        let mut choices = Choices::random(seed);
        let mut sql = query(&mut choices);
        if let (true, Ok(given)) = (self.alone, std::env::var("LOTIC_SQL")) {
            sql = given;
        }
        let epochs = epochs_of(&sql, seed);
        if self.alone {
            println!("{}", self.benches[0].explain(&sql));
        }
        let outcome = self.run(&sql, &epochs, seed);
        let found = match &outcome {
            Outcome::Wrong(failure) if std::env::var("LOTIC_SQL").is_ok() => Some((
                format!("{}: {}", failure.law, failure.detail),
                String::new(),
            )),
            Outcome::Wrong(failure)
                if told.fetch_add(1, Ordering::Relaxed) < u64::try_from(TOLD).unwrap() =>
            {
                Some(self.smallest(choices.made, seed, failure))
            }
            _ => None,
        };
        Told {
            seed,
            outcome,
            found,
        }
    }

    /// The smallest query and changes found that still break the law of `failure`: the query and the file.
    fn smallest(&self, made: Vec<usize>, seed: u64, failure: &Failure) -> (String, String) {
        let text = |given: &[usize]| query(&mut Choices::replay(given.to_vec()));
        let same = |outcome: &Outcome| matches!(outcome, Outcome::Wrong(found) if found.law == failure.law);
        let epochs = epochs_of(&text(&made), seed);
        let made = shrink(made, ATTEMPTS, |given| {
            let sql = text(given);
            same(&self.run(&sql, &epochs_of(&sql, seed), seed))
        });
        let sql = text(&made);
        let epochs = if same(&self.run(&sql, &epochs_of(&sql, seed), seed)) {
            epochs_of(&sql, seed)
        } else {
            epochs
        };
        let epochs = changes::shrink(epochs, |epochs| same(&self.run(&sql, epochs, seed)));
        let made = shrink(made, ATTEMPTS, |given| {
            same(&self.run(&text(given), &epochs, seed))
        });
        let sql = text(&made);
        let last = match self.run(&sql, &epochs, seed) {
            Outcome::Wrong(last) => last,
            other => Failure {
                law: failure.law,
                detail: format!("{} (the small case: {other:?})", failure.detail),
            },
        };
        let told = format!(
            "LOTIC_SEED={seed} LOTIC_CASES=1: {}\n{sql}\n{}",
            last.law, last.detail
        );
        (told, slt::file(&sql, &epochs, seed, &last))
    }
}

fn epochs_of(sql: &str, seed: u64) -> Vec<Epoch> {
    history(&mut Choices::random(seed ^ CHANGES), &tables_of(sql))
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics of cases are findings: they are kept and not printed.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                PANIC.set(info.to_string());
            } else {
                before(info);
            }
        }));
    });
}

/// Seeds that are still to be taken.
struct Seeds {
    next: AtomicU64,
    end: u64,
    /// Failing cases so far.
    told: AtomicU64,
    alone: bool,
}

fn start(seeds: &Arc<Seeds>, sender: &Sender<Told>) -> Arc<Work> {
    let work = Arc::new(Work::default());
    let (seeds, sender, mine) = (Arc::clone(seeds), sender.clone(), Arc::clone(&work));
    let body = move || {
        let worker = Worker {
            benches: [Bench::new(1), Bench::new(2)],
            work: mine,
            alone: seeds.alone,
        };
        loop {
            let seed = seeds.next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || worker.work.given_up.load(Ordering::Relaxed) {
                break;
            }
            if sender.send(worker.case(seed, &seeds.told)).is_err() {
                break;
            }
        }
    };
    drop(task::thread_with_stack("lotic-machine", 64 << 20, body).unwrap());
    work
}

/// Receives the outcome of every case. A run that takes too long is given up, and another worker goes on.
fn collect(seeds: &Arc<Seeds>, cases: u64, jobs: u64) -> Report {
    let (sender, receiver): (Sender<Told>, Receiver<Told>) = channel();
    let mut workers: Vec<Arc<Work>> = (0..jobs).map(|_| start(seeds, &sender)).collect();
    let mut report = Report::default();
    let clock = SystemClock::new();
    let mut ticks = 0;
    while report.cases < cases {
        match receiver.recv_timeout(Duration::from_millis(500)) {
            Ok(told) => report.add(told),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let now = clock.monotonic().as_secs();
        if now <= ticks {
            continue;
        }
        for work in &mut workers {
            if work.seconds.fetch_add(now - ticks, Ordering::Relaxed) > LONGEST {
                work.given_up.store(true, Ordering::Relaxed);
                let sql = work.sql.lock().unwrap().clone();
                report.add(Told {
                    seed: work.seed.load(Ordering::Relaxed),
                    outcome: Outcome::Wrong(Failure {
                        law: "it takes too long",
                        detail: String::new(),
                    }),
                    found: Some((sql, String::new())),
                });
                *work = start(seeds, &sender);
            }
        }
        ticks = now;
    }
    report.seconds = clock.monotonic().as_secs_f64();
    report
}

/// The query of a failing case, made smaller, and its file.
type Found = (String, String);

#[derive(Default)]
struct Report {
    cases: u64,
    seconds: f64,
    refused: BTreeMap<String, (u64, u64)>,
    only_model: BTreeMap<String, (u64, u64)>,
    skipped: BTreeMap<String, (u64, u64)>,
    failed: BTreeMap<u64, (&'static str, Option<Found>)>,
}

impl Report {
    fn add(&mut self, told: Told) {
        self.cases += 1;
        let seed = told.seed;
        let count = |into: &mut BTreeMap<String, (u64, u64)>, why: &str| {
            into.entry(shape(why)).or_insert((0, seed)).0 += 1;
        };
        match told.outcome {
            Outcome::Equal(skipped) => {
                for why in skipped.iter().take(1) {
                    count(&mut self.skipped, why);
                }
            }
            Outcome::Refused(why) => count(&mut self.refused, &why),
            Outcome::OnlyModelRefuses(why) => count(&mut self.only_model, &why),
            Outcome::Wrong(failure) => {
                if let Some((text, _)) = &told.found {
                    println!("{text}\n");
                }
                self.failed.insert(seed, (failure.law, told.found));
            }
        }
    }

    fn print(&self) {
        let sum = |of: &BTreeMap<String, (u64, u64)>| of.values().map(|why| why.0).sum::<u64>();
        println!(
            "{} cases in {:.0} s ({:.0} a second): {} refused, {} refused as models only, {} not answered by batch \
             at some epoch, {} failed",
            self.cases,
            self.seconds,
            f64::from(u32::try_from(self.cases).unwrap_or(u32::MAX)) / self.seconds,
            sum(&self.refused),
            sum(&self.only_model),
            sum(&self.skipped),
            self.failed.len()
        );
        let lists = [
            ("refused", &self.refused),
            ("refused as a model only", &self.only_model),
            ("not answered by batch", &self.skipped),
        ];
        for (what, reasons) in lists {
            let mut reasons: Vec<_> = reasons.iter().collect();
            reasons.sort_by_key(|(_, (count, seed))| (u64::MAX - count, *seed));
            for (why, (count, seed)) in reasons.into_iter().take(25) {
                println!("{what}: {count} x {why} (seed {seed})");
            }
        }
    }
}

/// An error's text without what belongs to one query.
fn shape(why: &str) -> String {
    let mut shape = String::new();
    for part in why.chars() {
        let part = if part.is_ascii_digit() { '#' } else { part };
        if part != '#' || !shape.ends_with('#') {
            shape.push(part);
        }
        if shape.len() > 110 {
            break;
        }
    }
    shape
}

#[test]
fn random_queries_are_maintained_as_batch_answers_them() {
    keep_panics();
    let (first, cases) = (number("LOTIC_SEED", 1), number("LOTIC_CASES", 1_000));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = number("LOTIC_JOBS", u64::try_from(cores).unwrap()).max(1);
    let seeds = Arc::new(Seeds {
        next: AtomicU64::new(first),
        end: first + cases,
        told: AtomicU64::new(0),
        alone: cases == 1,
    });
    let report = collect(&seeds, cases, jobs.min(cases));
    report.print();
    if let Ok(folder) = std::env::var("LOTIC_FOUND") {
        for (seed, (law, found)) in &report.failed {
            let Some((_, file)) = found else { continue };
            let name = format!("{}_{seed}.slt", law.replace(' ', "_"));
            std::fs::write(Path::new(&folder).join(name), file).unwrap();
        }
    }
    let files = report.failed.values().take(3);
    let files: Vec<&str> = files
        .filter_map(|(_, found)| found.as_ref())
        .map(|(_, file)| file.as_str())
        .collect();
    assert!(
        report.failed.is_empty(),
        "{} cases fail, seeds {:?}\n{}",
        report.failed.len(),
        report
            .failed
            .iter()
            .map(|(seed, (law, _))| (seed, law))
            .collect::<Vec<_>>(),
        files.join("\n")
    );
    // A generator that makes what is refused proves nothing.
    let refused: u64 = report.refused.values().map(|why| why.0).sum();
    assert!(
        refused * 100 <= cases * 15,
        "{refused} of {cases} cases are refused"
    );
}
