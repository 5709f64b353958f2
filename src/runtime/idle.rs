//! Sources that bring nothing: they do not hold back the time of models that combine them with others.
//!
//! The watermark of a source that has been silent for its `watermark_idle_timeout` follows those of the sources that it is
//! combined with and that are not silent. It is brought forward by the source's own writer, as a record of its topic: what the
//! source brings later from before that moment is late, is kept as such, and a restart knows it too. So models know nothing of
//! silence, only watermarks that go on.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::instance::Lotic;
use crate::base::{ObjectId, task};
use crate::catalog::{Object, WatermarkDefinition};

/// The longest pause between two looks, and so between two records of a silent source.
const LOOK_MAX: Duration = Duration::from_secs(1);
const LOOK_MIN: Duration = Duration::from_millis(20);

impl Lotic {
    /// Watches a source that may fall silent, until it is dropped.
    pub(super) fn watch_idle(self: &Arc<Self>, object: &Object) {
        let Some(WatermarkDefinition {
            idle_us: Some(idle_us),
            ..
        }) = object.watermark()
        else {
            return;
        };
        let idle = Duration::from_micros(idle_us.unsigned_abs());
        let look = (idle / 4).clamp(LOOK_MIN, LOOK_MAX);
        let (id, lotic) = (object.id, Arc::downgrade(self));
        task::spawn("idle-source", async move {
            loop {
                tokio::time::sleep(look).await;
                if !one_look(&lotic, id).await {
                    return;
                }
            }
        });
    }

    /// Whether a source has been silent for longer than it may.
    pub(super) fn is_idle(&self, id: ObjectId) -> bool {
        let world = self.world();
        let object = world.catalog.by_id(id);
        let idle_us = object.and_then(|object| object.watermark()?.idle_us);
        let (Some(idle_us), Some(writer)) = (idle_us, self.writer(id)) else {
            return false;
        };
        let now_us = self.options().clock.now_us();
        let silent_us = writer
            .time()
            .map(|time| now_us.saturating_sub(time.heard_us()));
        silent_us.is_some_and(|silent_us| silent_us >= idle_us)
    }

    /// Up to where the watermark of a silent source follows others: as far as that model needs which is furthest.
    fn idle_target(&self, id: ObjectId) -> Option<i64> {
        let world = self.world();
        let combined: Vec<Vec<ObjectId>> = self
            .model_facts
            .lock()
            .values()
            .map(|facts| facts.clocks.clone())
            .filter(|clocks| clocks.contains(&id))
            .collect();
        let awake = |clocks: Vec<ObjectId>| {
            let others = clocks.into_iter().filter(|other| *other != id);
            let awake = others.filter(|other| !self.is_idle(*other));
            let watermarks = awake.map(|other| world.watermarks.get(&other).copied());
            // one that has no time yet holds back as ever
            watermarks.min().flatten()
        };
        combined.into_iter().filter_map(awake).max()
    }
}

/// Brings the watermark of a silent source forward; false when there is nothing to watch any more.
async fn one_look(lotic: &Weak<Lotic>, id: ObjectId) -> bool {
    let Some(lotic) = lotic.upgrade() else {
        return false;
    };
    let Some(writer) = lotic.writer(id) else {
        return false;
    };
    if !lotic.is_idle(id) {
        return true;
    }
    let Some(target_us) = lotic.idle_target(id) else {
        return true;
    };
    if let Err(error) = writer.advance(target_us).await {
        tracing::debug!(source = %id, %error, "the watermark of a silent source stays");
    }
    true
}
