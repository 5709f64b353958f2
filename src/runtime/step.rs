//! One epoch of the models: which of them step, in which order, and what becomes of those that fail.
//!
//! A model waits for the models that it reads; those that do not wait for each other step at the same time when
//! much came in or their last steps took long, and one after the other otherwise: to wake the threads of the pool takes longer
//! than most small steps.

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::driver::Driver;
use super::model::{Model, Moment};
use crate::base::{Error, Kind, ObjectId, Result};
use crate::zset::Delta;

/// From this many rows on the work of an epoch is spread over threads.
pub(super) const LARGE: usize = 4096;
/// So do models whose last steps took so long together, in microseconds: some times what it takes to wake the threads.
const LONG_US: u64 = 300;

/// What the models did in one epoch.
pub(super) struct Stepped {
    /// What has other rows now, tables and sources included, or has stopped.
    pub(super) changed: Vec<ObjectId>,
    /// Models that took a step and whose rows are as they were.
    pub(super) unchanged: Vec<ObjectId>,
}

/// How far the epoch is.
struct Round {
    at: Moment,
    /// What changed so far: the epoch's rows, and what models made of them.
    inputs: BTreeMap<ObjectId, Vec<Delta>>,
    unchanged: Vec<ObjectId>,
    failed: Vec<(ObjectId, String)>,
}

impl Round {
    /// The name of an input of `model` that failed in this epoch.
    fn failed_input(&self, model: &Model) -> Option<&str> {
        let mut failed = self.failed.iter();
        let found = failed.find(|(id, _)| model.inputs().contains(id));
        found.map(|(_, name)| name.as_str())
    }

    /// Whether `model` has something to do.
    fn concerns(&self, model: &Model) -> bool {
        let mut inputs = model.inputs().iter().chain(model.clocks());
        inputs.any(|input| self.inputs.contains_key(input)) || model.is_due(self.at.now_us)
    }

    fn is_large(&self, models: &[(ObjectId, &mut Model)]) -> bool {
        let rows = |id: &ObjectId| {
            let deltas = self.inputs.get(id).map_or(&[][..], Vec::as_slice);
            deltas.iter().map(Delta::rows).sum::<usize>()
        };
        let of_model =
            |(_, model): &(ObjectId, &mut Model)| model.inputs().iter().map(rows).sum::<usize>();
        models.iter().map(of_model).sum::<usize>() >= LARGE
    }
}

/// Whether the last steps of `models` took so long that these are likely to be worth the threads of the pool.
fn took_long(models: &[(ObjectId, &mut Model)]) -> bool {
    let times = models.iter().map(|(_, model)| model.step_us());
    times.fold(0, u64::saturating_add) >= LONG_US
}

impl Driver {
    /// Steps every model that `inputs` or the time concerns.
    pub(super) fn step_models(&mut self, inputs: BTreeMap<ObjectId, Vec<Delta>>) -> Stepped {
        let mut round = Round {
            at: self.moment(),
            inputs,
            unchanged: Vec::new(),
            failed: Vec::new(),
        };
        for level in self.levels() {
            self.step_level(&level, &mut round);
        }
        let Round {
            inputs,
            unchanged,
            failed,
            ..
        } = round;
        let changed = inputs
            .into_keys()
            .chain(failed.into_iter().map(|(id, _)| id));
        Stepped {
            changed: changed.collect(),
            unchanged,
        }
    }

    /// The models, first those that read no model, then those that read these, and so on.
    fn levels(&self) -> Vec<Vec<ObjectId>> {
        let mut level_of: BTreeMap<ObjectId, usize> = BTreeMap::new();
        let mut levels: Vec<Vec<ObjectId>> = Vec::new();
        // The order of their making is an order of dependency.
        for (id, model) in &self.models {
            let below = model.inputs().iter();
            let below = below.filter_map(|input| level_of.get(input)).max();
            let level = below.map_or(0, |level| level + 1);
            level_of.insert(*id, level);
            if levels.len() <= level {
                levels.push(Vec::new());
            }
            levels[level].push(*id);
        }
        levels
    }

    /// Steps models that do not read each other.
    fn step_level(&mut self, level: &[ObjectId], round: &mut Round) {
        let mut models: Vec<(ObjectId, &mut Model)> = Vec::new();
        let mut without_input = Vec::new();
        for (id, model) in &mut self.models {
            if level.binary_search(id).is_err() || model.failure().is_some() {
                continue;
            }
            if let Some(name) = round.failed_input(model) {
                let reason = format!("its input \"{name}\" failed");
                model.fail(Error::new(Kind::Unavailable, "55000", reason));
                without_input.push(*id);
            } else if round.concerns(model) {
                models.push((*id, model));
            }
        }
        let step = |(id, model): (ObjectId, &mut Model)| {
            let output = model.step(&round.inputs, &round.at, false);
            (id, output)
        };
        let outputs: Vec<(ObjectId, Result<Vec<Delta>>)> =
            if models.len() > 1 && (round.is_large(&models) || took_long(&models)) {
                models.into_par_iter().map(step).collect()
            } else {
                models.into_iter().map(step).collect()
            };
        for id in without_input {
            round.failed.push((id, self.name_of(id)));
        }
        for (id, output) in outputs {
            self.take_output(id, output, round);
        }
    }

    fn take_output(&mut self, id: ObjectId, output: Result<Vec<Delta>>, round: &mut Round) {
        match output {
            Ok(output) => {
                self.keep_output_for_building(id, &output);
                if output.is_empty() {
                    round.unchanged.push(id);
                } else {
                    round.inputs.insert(id, output);
                }
            }
            Err(error) => {
                let name = self.name_of(id);
                tracing::error!(model = name, %error, "the model stopped");
                if let Some(model) = self.models.get_mut(&id) {
                    model.fail(error);
                }
                round.failed.push((id, name));
            }
        }
    }

    fn keep_output_for_building(&mut self, id: ObjectId, output: &[Delta]) {
        for building in self.building.values_mut() {
            if building.inputs.contains(&id) {
                let missed = building.missed.entry(id).or_default();
                missed.extend_from_slice(output);
            }
        }
    }

    pub(super) fn name_of(&self, id: ObjectId) -> String {
        let object = self.catalog.by_id(id);
        object.map_or_else(String::new, |object| object.name.clone())
    }
}
