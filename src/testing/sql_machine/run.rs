//! One case: a query and its changes against the laws, compared with batch after every epoch.

use super::bench::{Batch, Bench};
use super::changes::{Epoch, by_table, valid};
use crate::base::Error;
use crate::planner::lower::{DataFusionEvaluators, lower};
use crate::testing::sql_laws::{Bag, Changes, Maintained, Rng, Subject, World, negated, resplit};

/// How far the clock goes on in a step: the times of most rows lie within the first two minutes.
pub(super) const STEP_US: i64 = 13_000_000;

/// What came of a case.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Equal wherever batch answers; why it did not, where it did not.
    Equal(Vec<String>),
    /// Neither batch nor a model takes the query.
    Refused(String),
    /// Batch runs it, a model does not.
    OnlyModelRefuses(String),
    Wrong(Failure),
}

/// A law that does not hold.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// What is wrong, in words that do not depend on the rows.
    pub(super) law: &'static str,
    pub(super) detail: String,
}

/// A query and what happens under it.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) sql: &'a str,
    pub(super) epochs: &'a [Epoch],
    pub(super) seed: u64,
}

fn wrong(law: &'static str, detail: impl Into<String>) -> Failure {
    Failure {
        law,
        detail: detail.into(),
    }
}

/// Runs a case.
pub(super) fn run(bench: &Bench, case: &Case<'_>) -> Outcome {
    let subject = match bench.subject(case.sql) {
        Ok(subject) => subject,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let evaluators = DataFusionEvaluators::new(&bench.state);
    let resolve = |name: &_| bench.world.resolve(name);
    let lowered = lower(&subject.optimised, &resolve, &evaluators);
    let batch = Batch::new(bench, &subject.optimised, case.sql.contains("now()"));
    match (lowered, batch) {
        (Err(_), Err(error)) => Outcome::Refused(error.to_string()),
        (Err(error), Ok(_)) => Outcome::OnlyModelRefuses(error.to_string()),
        (Ok(_), Err(error)) => Outcome::Wrong(wrong("only batch refuses", error.to_string())),
        (Ok(_), Ok(batch)) => {
            let mut check = Check {
                bench,
                subject: &subject,
                batch,
                rng: Rng::new(case.seed),
                skipped: Vec::new(),
            };
            match check.laws(case) {
                Ok(()) => Outcome::Equal(check.skipped),
                Err(Stop::Wrong(failure)) => Outcome::Wrong(failure),
                Err(Stop::BothFail(code)) => Outcome::Equal(vec![format!("{code} in both modes")]),
            }
        }
    }
}

struct Check<'a> {
    bench: &'a Bench,
    subject: &'a Subject,
    batch: Batch<'a>,
    rng: Rng,
    /// Why batch did not answer.
    skipped: Vec<String>,
}

/// Why a case goes no further.
enum Stop {
    Wrong(Failure),
    /// Both modes fail, with this SQLSTATE: a model that has failed is not maintained further.
    BothFail(String),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Wrong(failure)
    }
}

type Checked<T> = Result<T, Stop>;

impl Check<'_> {
    fn laws(&mut self, case: &Case<'_>) -> Checked<()> {
        let mut world = self.bench.world.clone();
        let mut maintained = self.maintained(&world)?;
        self.step(&mut maintained, &Changes::new(), &world)?;
        self.compare("empty tables", &maintained, &world)?;
        let idle = (maintained.dataflow.state_rows(), maintained.errors.clone());
        let history: Vec<Changes> = case.epochs.iter().map(|epoch| by_table(epoch)).collect();
        for changes in &history {
            apply(&mut world, changes);
            maintained.now_us += STEP_US;
            self.step(&mut maintained, changes, &world)?;
            self.compare("an epoch", &maintained, &world)?;
        }
        if case.seed.is_multiple_of(3) {
            self.compare_with_plain(&world, maintained.now_us)?;
        }
        if case.seed.is_multiple_of(2) {
            self.other_split(&history, &world, maintained.now_us)?;
        } else {
            self.bulk_load(&history, &world, maintained.now_us)?;
        }
        self.take_back(&mut maintained, &history, &mut world)?;
        let mut idle = idle;
        if (maintained.dataflow.state_rows(), &maintained.errors) != (idle.0, &idle.1) {
            idle = self.idle(case, maintained.now_us)?;
        }
        let left = maintained.dataflow.state_rows();
        if maintained.errors != idle.1 {
            let left = maintained.errors.difference(&idle.1);
            return Err(wrong("row errors are left over", left).into());
        }
        if left != idle.0 {
            let detail = format!("{left} rows instead of {}", idle.0);
            return Err(wrong("state is left over", detail).into());
        }
        if case.seed % 5 < 2 {
            self.append_only(case)?;
        }
        Ok(())
    }

    /// The state and the failing rows of a model to which nothing came while the clock went on: rows of VALUES expire.
    fn idle(&mut self, case: &Case<'_>, now_us: i64) -> Checked<(usize, Bag)> {
        let world = self.bench.world.clone();
        let mut idle = self.maintained(&world)?;
        self.step(&mut idle, &Changes::new(), &world)?;
        for _ in case.epochs {
            idle.now_us += STEP_US;
            self.step(&mut idle, &Changes::new(), &world)?;
        }
        while idle.now_us < now_us {
            idle.now_us = (idle.now_us + STEP_US / 10).min(now_us);
            self.step(&mut idle, &Changes::new(), &world)?;
        }
        Ok((idle.dataflow.state_rows(), idle.errors))
    }

    fn maintained(&self, world: &World) -> Checked<Maintained> {
        let made = Maintained::new(&self.bench.state, world, &self.subject.optimised);
        made.map_err(|error| wrong("the model fails", error.to_string()).into())
    }

    /// Feeds `changes`, after which the tables are as in `world`.
    fn step(&mut self, held: &mut Maintained, changes: &Changes, world: &World) -> Checked<()> {
        let stepped = held.feed(changes, &mut self.rng, false);
        stepped.map_err(|error| self.failed(&error, world, held.now_us))
    }

    /// Feeds `changes` on the way to other contents of the tables: a step may have failed for a state that batch never saw.
    fn step_within(&mut self, held: &mut Maintained, changes: &Changes) -> Checked<()> {
        let stepped = held.feed(changes, &mut self.rng, false);
        stepped.map_err(|error| match is_value_error(&error) {
            true => Stop::BothFail(error.code().to_owned()),
            false => wrong("the model fails", error.to_string()).into(),
        })
    }

    fn failed(&self, error: &Error, world: &World, now_us: i64) -> Stop {
        let batch = self.bench.anew(world, &self.subject.optimised, now_us);
        match batch {
            Err(other) if other.code() == error.code() => Stop::BothFail(error.code().to_owned()),
            _ => wrong("the model fails", error.to_string()).into(),
        }
    }

    /// Compares with batch over `world`, wherever batch answers.
    fn compare(&mut self, law: &'static str, held: &Maintained, world: &World) -> Checked<()> {
        let shown = self.bench.show(world);
        let plan = &self.subject.optimised;
        let answer = shown.and_then(|()| self.batch.run(held.now_us));
        if answer.as_ref().is_ok_and(|want| *want == held.output) {
            return Ok(());
        }
        // The plan that was made once may be what is wrong: the product plans anew.
        let anew = self.bench.anew(world, plan, held.now_us);
        let want = match anew {
            Ok((want, _)) => want,
            Err(error) if is_value_error(&error) => {
                let silent = if held.errors.is_empty() {
                    ", the model is silent"
                } else {
                    ""
                };
                self.skipped.push(format!("{}{silent}", error.code()));
                return Ok(());
            }
            Err(error) => return Err(wrong("batch fails", error.to_string()).into()),
        };
        if want == held.output {
            let why = match answer {
                Ok(_) => "another answer".to_owned(),
                Err(error) => error.to_string(),
            };
            self.skipped.push(format!("a plan that runs twice: {why}"));
            return Ok(());
        }
        let difference = held.output.difference(&want);
        Err(wrong(
            law,
            format!("more (+) or less (-) than batch:\n{difference}"),
        )
        .into())
    }

    fn compare_with_plain(&mut self, world: &World, now_us: i64) -> Checked<()> {
        // A row that fails may do so in a column that only one of both computes.
        let Ok((want, 0)) = self.bench.anew(world, &self.subject.optimised, now_us) else {
            return Ok(());
        };
        let shown = self.bench.show(world);
        let plain = shown.and_then(|()| self.bench.plain(self.subject, now_us));
        match plain {
            Ok(Some(plain)) if plain != want => {
                let difference = want.difference(&plain);
                let detail = format!("more (+) or less (-) than DataFusion:\n{difference}");
                Err(wrong("batch is not DataFusion", detail).into())
            }
            Err(error) if !is_value_error(&error) => {
                self.skipped
                    .push(format!("plain DataFusion: {}", error.code()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The same changes in another split and order.
    fn other_split(&mut self, history: &[Changes], world: &World, now_us: i64) -> Checked<()> {
        let mut again = self.maintained(world)?;
        for changes in resplit(history, &mut self.rng) {
            again.now_us = (again.now_us + STEP_US / 3).min(now_us);
            self.step_within(&mut again, &changes)?;
        }
        again.now_us = now_us;
        self.step_within(&mut again, &Changes::new())?;
        self.compare("another split and order", &again, world)
    }

    /// All changes in one first load.
    fn bulk_load(&mut self, history: &[Changes], world: &World, now_us: i64) -> Checked<()> {
        let mut bulk = self.maintained(world)?;
        bulk.now_us = now_us;
        let all = resplit(history, &mut self.rng);
        let loaded = bulk.bulk_load(&all, &mut self.rng);
        loaded.map_err(|error| self.failed(&error, world, now_us))?;
        self.compare("one bulk load", &bulk, world)
    }

    /// Takes everything back in a few steps.
    fn take_back(
        &mut self,
        maintained: &mut Maintained,
        history: &[Changes],
        world: &mut World,
    ) -> Checked<()> {
        let mut rows: Vec<(String, crate::testing::sql_laws::Row)> = Vec::new();
        for (name, table) in &world.tables {
            rows.extend(table.rows.iter().map(|row| (name.clone(), row.clone())));
        }
        self.rng.shuffle(&mut rows);
        let half = rows.len() / 2;
        for part in [&rows[..half], &rows[half..]] {
            let mut changes = Changes::new();
            for (name, row) in part {
                changes
                    .entry(name.clone())
                    .or_default()
                    .push((row.clone(), -1));
            }
            apply(world, &changes);
            maintained.now_us += STEP_US / 10;
            self.step(maintained, &changes, world)?;
            self.compare("rows are taken back", maintained, world)?;
        }
        // Once more, as the negation of all that came.
        if self.rng.once_in(4) {
            let mut again = self.maintained(world)?;
            for changes in history
                .iter()
                .chain(&history.iter().map(negated).collect::<Vec<_>>())
            {
                again.now_us += STEP_US / 10;
                self.step_within(&mut again, changes)?;
            }
            again.now_us = maintained.now_us.max(again.now_us);
            self.step_within(&mut again, &Changes::new())?;
            self.compare("everything is negated", &again, world)?;
        }
        Ok(())
    }

    /// Where the operators are told that rows only come, and keep less. A key that has come does not come again.
    fn append_only(&mut self, case: &Case<'_>) -> Checked<()> {
        let mut world = self.bench.world.clone();
        world.append_only = true;
        let mut maintained = self.maintained(&world)?;
        let comes = |epoch: &Epoch| {
            let changes = epoch.iter().filter(|change| change.weight > 0);
            changes.cloned().collect()
        };
        let epochs: Vec<Epoch> = case.epochs.iter().map(comes).collect();
        for epoch in valid(&epochs) {
            let changes = by_table(&epoch);
            apply(&mut world, &changes);
            maintained.now_us += STEP_US;
            self.step(&mut maintained, &changes, &world)?;
            self.compare("rows only come", &maintained, &world)?;
        }
        Ok(())
    }
}

/// Whether a batch run may fail so: a row whose value has no place in an aggregate, a window, a scalar subquery.
fn is_value_error(error: &Error) -> bool {
    matches!(error.code().get(..2), Some("21" | "22" | "53" | "54"))
}

/// Puts `changes` into the tables of `world`.
pub(super) fn apply(world: &mut World, changes: &Changes) {
    for (name, rows) in changes {
        let Some(table) = world.tables.get_mut(name) else {
            continue;
        };
        for (row, weight) in rows {
            if let Ok(copies) = usize::try_from(*weight) {
                table.rows.extend(std::iter::repeat_n(row.clone(), copies));
                continue;
            }
            let at = table.rows.iter().position(|held| held == row);
            table
                .rows
                .swap_remove(at.expect("a row that goes is there"));
        }
    }
}
