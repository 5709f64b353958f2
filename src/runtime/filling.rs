//! Models that are being filled: what `lotic.builds` shows, and what ends them when nobody waits any more.

use std::sync::Arc;
use std::time::Duration;

use super::instance::Lotic;
use crate::base::{CancelFlag, ObjectId};
use crate::engine::{Progress, Reached};

/// A model on its way.
#[derive(Clone, Debug)]
pub(super) struct Build {
    name: String,
    progress: Arc<Progress>,
    /// By the monotonic clock.
    since: Duration,
}

/// How far a model is.
pub(super) struct BuildState {
    pub(super) name: String,
    pub(super) reached: Reached,
    pub(super) running: Duration,
}

/// Holds a model's place while it is filled. Where whoever fills it goes away, the model is given up: the driver keeps
/// nothing for it any more, and the fill ends at the next operator.
pub(super) struct Filling {
    lotic: Arc<Lotic>,
    id: ObjectId,
    /// Whether the driver keeps for the model what its inputs get.
    is_open: bool,
    stop: CancelFlag,
    pub(super) progress: Arc<Progress>,
}

impl Filling {
    /// Begins to fill model `name`; `stop` ends it.
    pub(super) fn begin(lotic: &Arc<Lotic>, id: ObjectId, name: &str, stop: &CancelFlag) -> Self {
        let progress = Arc::new(Progress::default());
        let build = Build {
            name: name.to_owned(),
            progress: Arc::clone(&progress),
            since: lotic.options().clock.monotonic(),
        };
        lotic.builds.lock().insert(id, build);
        Self {
            lotic: Arc::clone(lotic),
            id,
            is_open: false,
            stop: stop.clone(),
            progress,
        }
    }

    /// The driver is about to keep for the model what its inputs get.
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    /// The driver has the model, or has given it up: an object made next may have the same number.
    pub(super) fn finish(mut self) {
        self.is_open = false;
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.lotic.builds.lock().remove(&self.id);
        if self.is_open {
            let id = self.id;
            self.stop.cancel();
            self.lotic
                .driver()
                .post(move |driver| driver.abandon_building(id));
        }
    }
}

impl Lotic {
    /// The models that are being filled now.
    pub(super) fn builds(&self) -> Vec<BuildState> {
        let now = self.options().clock.monotonic();
        let builds = self.builds.lock();
        let state = |build: &Build| BuildState {
            name: build.name.clone(),
            reached: build.progress.read(),
            running: now.saturating_sub(build.since),
        };
        builds.values().map(state).collect()
    }
}
