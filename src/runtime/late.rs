//! Objects whose source is on another machine, at a start: they are brought to life beside it, as often as it
//! takes, so that a server that is away holds nothing back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::instance::Lotic;
use super::source::is_remote;
use crate::base::{Error, ObjectId, Result, task};
use crate::catalog::{Catalog, Definition, Object};

/// The pause after the first attempt; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often an object looks for another one that it waits for.
const LOOK: Duration = Duration::from_millis(50);

impl Lotic {
    /// Whether `object` needs what is on another machine, or one of the objects that `wait` for it.
    pub(super) fn waits_for_remote(
        &self,
        catalog: &Catalog,
        object: &Object,
        wait: &BTreeSet<ObjectId>,
    ) -> bool {
        match &object.definition {
            Definition::Table {
                connector: Some(_), ..
            } => is_remote(object) && !self.is_seeded(object),
            Definition::Model { .. } if self.options().maintain => inputs_of(catalog, object)
                .iter()
                .any(|input| wait.contains(&input.id) || is_remote_in_place(input)),
            _ => false,
        }
    }

    /// Brings `object` to life once its source answers; `wait` are the objects that do so too.
    pub(super) fn revive_later(self: &Arc<Self>, object: &Object, wait: BTreeSet<ObjectId>) {
        let token = self.feeds.begin(object.id);
        let (lotic, object) = (Arc::clone(self), object.clone());
        self.set_source_state(object.id, "starting", None);
        task::spawn("revive", async move {
            let mut pause = PAUSE;
            loop {
                let attempt = async {
                    lotic.wait_for_inputs(&object, &wait).await;
                    lotic.revive_now(&object).await
                };
                let outcome = tokio::select! {
                    () = token.cancelled() => return,
                    outcome = attempt => outcome,
                };
                match outcome {
                    Ok(()) => return lotic.set_source_state(object.id, "ok", None),
                    Err(error) => {
                        tracing::warn!(object = object.name, %error, "could not be started yet");
                        lotic.set_source_state(
                            object.id,
                            "retrying",
                            Some(error.message().to_owned()),
                        );
                    }
                }
                tokio::select! {
                    () = token.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                }
            }
        });
    }

    async fn wait_for_inputs(&self, object: &Object, wait: &BTreeSet<ObjectId>) {
        loop {
            let world = self.world();
            let ready = inputs_of(&world.catalog, object).iter().all(|input| {
                let is_model = matches!(input.definition, Definition::Model { .. });
                !is_model || !wait.contains(&input.id) || world.snapshot(input.id).is_some()
            });
            if ready {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn revive_now(self: &Arc<Self>, object: &Object) -> Result<()> {
        if matches!(object.definition, Definition::Table { .. }) {
            return self.seed(object).await;
        }
        let world = self.world();
        for input in inputs_of(&world.catalog, object) {
            if !is_remote_in_place(input) {
                continue;
            }
            let loaded = self.load_remote(input).await;
            let state = match &loaded {
                Ok(()) => ("ok", None),
                Err(error) => ("retrying", Some(error.message().to_owned())),
            };
            self.set_source_state(input.id, state.0, state.1);
            loaded?;
        }
        let _guard = self.definitions.lock().await;
        let world = self.world();
        if world.catalog.by_id(object.id).is_none() || world.snapshot(object.id).is_some() {
            return Ok(());
        }
        self.start_model(object).await
    }

    /// Reads a source into memory while definitions may change, and keeps it where nobody else did.
    async fn load_remote(self: &Arc<Self>, object: &Object) -> Result<()> {
        if self.world().snapshot(object.id).is_some() {
            return Ok(());
        }
        let batches = self.read_source(object).await?;
        let _guard = self.definitions.lock().await;
        let world = self.world();
        if world.catalog.by_id(object.id).is_none() {
            return Err(Error::no_relation(&object.name));
        }
        if world.snapshot(object.id).is_some() {
            return Ok(());
        }
        self.hold_bounded(object, batches).await
    }
}

fn is_remote_in_place(object: &Object) -> bool {
    matches!(object.definition, Definition::Bounded { .. }) && is_remote(object)
}

/// What a model reads, through views.
fn inputs_of<'a>(catalog: &'a Catalog, object: &Object) -> Vec<&'a Object> {
    let mut open = object.dependencies.clone();
    let mut seen = BTreeSet::new();
    let mut inputs = Vec::new();
    while let Some(id) = open.pop() {
        let Some(input) = catalog.by_id(id).filter(|_| seen.insert(id)) else {
            continue;
        };
        match &input.definition {
            Definition::View { .. } => open.extend(&input.dependencies),
            _ => inputs.push(input),
        }
    }
    inputs
}
