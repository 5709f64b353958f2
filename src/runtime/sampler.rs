//! The background check: every now and then one model, in turn, against its query in batch.
//!
//! A model is stepped by small changes for months; its query in batch is what it must equal at all times. That is checked
//! here, so that nobody has to think of it. What is found is in the figures and, where rows differ, in the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use parking_lot::Mutex;

use super::instance::Lotic;
use super::world::World;
use crate::base::{ObjectId, task};
use crate::catalog::{Definition, Object};

/// What the checks of one model have found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Checks that came to an end.
    pub(super) checks: u64,
    /// Checks whose query failed.
    pub(super) failed: u64,
    /// How many rows differed in the last check.
    pub(super) differing_rows: u64,
}

/// What was found, by model.
#[derive(Default)]
pub(super) struct Samples(Mutex<BTreeMap<ObjectId, Sample>>);

impl Samples {
    /// What was found for a model, if it was ever checked.
    pub(super) fn of(&self, model: ObjectId) -> Option<Sample> {
        self.0.lock().get(&model).copied()
    }

    fn keep(&self, model: ObjectId, differing: Option<u64>) {
        let mut samples = self.0.lock();
        let sample = samples.entry(model).or_default();
        match differing {
            Some(rows) => {
                sample.checks += 1;
                sample.differing_rows = rows;
            }
            None => sample.failed += 1,
        }
    }
}

impl Lotic {
    /// Checks one model every so often, each in its turn, for as long as the engine is open. The pause begins when the last
    /// check has ended.
    pub fn start_sampler(self: &Arc<Self>, every: Duration) {
        let engine = Arc::downgrade(self);
        task::spawn("check-sampler", async move {
            let mut last = None;
            loop {
                tokio::time::sleep(every).await;
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                last = engine.check_next(last).await;
            }
        });
    }

    /// Checks the model behind `last`, and says which one that was.
    async fn check_next(self: &Arc<Self>, last: Option<ObjectId>) -> Option<ObjectId> {
        let world = self.world();
        let (id, name) = next_model(&world, last)?;
        match self.check_model(&world, &name).await {
            Ok((_, rows)) => {
                let rows: usize = rows.iter().map(RecordBatch::num_rows).sum();
                if rows > 0 {
                    tracing::error!(model = name, rows, "a model differs from its query");
                }
                self.samples.keep(id, Some(rows as u64));
            }
            Err(error) => {
                tracing::warn!(model = name, %error, "a model could not be checked");
                self.samples.keep(id, None);
            }
        }
        Some(id)
    }
}

/// The first model behind `last`, or the first of all. Models that have stopped or are not filled yet are left out.
fn next_model(world: &World, last: Option<ObjectId>) -> Option<(ObjectId, String)> {
    let is_due = |object: &&Object| {
        let content = world.contents.get(&object.id);
        matches!(object.definition, Definition::Model { .. })
            && content.is_some_and(|content| content.health.failure.is_none())
    };
    let mut models: Vec<&Object> = world.catalog.objects().filter(is_due).collect();
    models.sort_unstable_by_key(|object| object.id);
    let behind = models.iter().find(|object| Some(object.id) > last);
    let next = behind.or_else(|| models.first())?;
    Some((next.id, next.name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Options;

    async fn engine() -> Arc<Lotic> {
        let lotic = Lotic::open(Options::default()).await.expect("opens");
        let mut session = lotic.session("lotic");
        for statement in [
            "CREATE TABLE t (a INT)",
            "INSERT INTO t VALUES (1), (2)",
            "CREATE MATERIALIZED VIEW first AS SELECT sum(a) AS s FROM t",
            "CREATE MATERIALIZED VIEW second AS SELECT a FROM t WHERE a > 1",
        ] {
            session.run(statement).await.expect(statement);
        }
        lotic
    }

    fn figure(lotic: &Lotic, name: &str, model: &str) -> Option<u64> {
        let of_model = |figure: &&crate::runtime::Figure| {
            figure.name == name && figure.object.as_deref() == Some(model)
        };
        lotic
            .figures()
            .iter()
            .find(of_model)
            .map(|figure| figure.value)
    }

    #[tokio::test]
    async fn models_are_checked_in_turn() {
        let lotic = engine().await;
        let first = lotic.check_next(None).await;
        let second = lotic.check_next(first).await;
        assert_ne!(first, second);
        assert_eq!(lotic.check_next(second).await, first);
        assert_eq!(figure(&lotic, "model_checks", "first"), Some(2));
        assert_eq!(figure(&lotic, "model_checks", "second"), Some(1));
        assert_eq!(figure(&lotic, "model_differing_rows", "first"), Some(0));
        lotic.shutdown().await;
    }

    #[tokio::test]
    async fn a_model_with_other_rows_is_found() {
        let lotic = engine().await;
        let world = lotic.world();
        let object = world.catalog.get("second").expect("is there").clone();
        let rows = world.snapshot(object.id).expect("is filled").batches();
        let rows = rows.expect("one row");
        let twice = [rows.clone(), rows].concat();
        let held = lotic
            .driver()
            .run(move |driver| driver.hold_result(&object, twice));
        held.await.expect("runs");
        let mut last = None;
        for _ in 0..2 {
            last = lotic.check_next(last).await;
        }
        assert_eq!(figure(&lotic, "model_differing_rows", "second"), Some(1));
        assert_eq!(figure(&lotic, "model_differing_rows", "first"), Some(0));
        lotic.shutdown().await;
    }
}
