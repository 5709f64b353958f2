//! The thread that steps epochs: collect what is durable, step every model, publish one world.
//!
//! Everything that changes rows or the set of objects happens here, one thing after the other, so
//! no lock guards the graphs. An epoch starts as soon as the one before has ended and something
//! has arrived: small when traffic is light, large and vectorised when it is heavy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use parking_lot::RwLock;
use tokio::sync::oneshot;

use super::build::stopped_input;
use super::model::{Model, Moment};
use super::step::{LARGE, Stepped};
use super::trim::Trim;
use super::world::{Content, Health, World};
use crate::base::clock::ClockRef;
use crate::base::{Epoch, Error, Kind, ObjectId, Result, task};
use crate::catalog::{Catalog, Object};
use crate::engine::Watermarks;
use crate::models::{Collection, Snapshot};
use crate::zset::Delta;

/// The most rows that one epoch collects; more wait for the next.
const EPOCH_ROWS: usize = 256 * 1024;
/// The most messages that wait for the driver. Writers wait beyond it.
const INBOX: usize = 1024;
/// The least time between two epochs that only time makes.
const TICK_US: i64 = 100_000;
/// The longest wait for a moment: the machine's clock may be set.
const LONGEST_WAIT_US: i64 = 60_000_000;

/// A collection that the driver changes and writers look keys up in.
pub(crate) type SharedCollection = Arc<RwLock<Collection>>;

/// Rows on their way into a collection. They are durable already.
pub(crate) struct Rows {
    /// The table, stream or source.
    pub(crate) object: ObjectId,
    /// What changes.
    pub(crate) deltas: Vec<Delta>,
    /// How far the rows bring the source's time, in microseconds since 1970.
    pub(crate) watermark_us: Option<i64>,
    /// Told once a world holds them.
    pub(crate) visible: Option<oneshot::Sender<Result<Epoch>>>,
    /// Dropped once a world holds them: keys that were reserved, locks that were held.
    pub(crate) held: Option<Box<dyn Send>>,
}

/// Makes epoch numbers up to the returned one this process's own, durably.
pub(crate) type ReserveEpochs = Box<dyn FnMut(Epoch) -> Result<Epoch> + Send>;

type Command = Box<dyn FnOnce(&mut Driver) + Send>;

enum Message {
    Rows(Rows),
    Command(Command),
    Flush(oneshot::Sender<Epoch>),
    Stop,
}

/// The way to the driver.
#[derive(Clone)]
pub(crate) struct DriverHandle {
    inbox: SyncSender<Message>,
    world: Arc<ArcSwap<World>>,
}

impl DriverHandle {
    /// Hands rows over. Waits while the driver is far behind.
    pub(crate) fn send_rows(&self, rows: Rows) {
        if let Err(std::sync::mpsc::SendError(Message::Rows(rows))) =
            self.inbox.send(Message::Rows(rows))
            && let Some(visible) = rows.visible
        {
            // the session went away with the engine; there is nobody to tell
            drop(visible.send(Err(stopping())));
        }
    }

    /// Runs `command` between two epochs and gives its answer.
    ///
    /// # Errors
    /// 57P01 when the engine is stopping.
    pub(crate) async fn run<T, F>(&self, command: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Driver) -> T + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        let boxed: Command = Box::new(move |driver| drop(answer.send(command(driver))));
        self.send(Message::Command(boxed)).await?;
        wait.await.map_err(|_| stopping())
    }

    /// Runs `command` between two epochs, some time, and waits for nothing.
    pub(crate) fn post<F>(&self, command: F)
    where
        F: FnOnce(&mut Driver) + Send + 'static,
    {
        let handle = self.clone();
        task::spawn("driver-post", async move {
            // an engine that stops has nothing left to do it to
            drop(handle.send(Message::Command(Box::new(command))).await);
        });
    }

    /// Waits until everything that was durable before the call is visible.
    ///
    /// # Errors
    /// 57P01 when the engine is stopping.
    pub(crate) async fn flush(&self) -> Result<Epoch> {
        let (answer, wait) = oneshot::channel();
        self.send(Message::Flush(answer)).await?;
        wait.await.map_err(|_| stopping())
    }

    /// Asks the driver to end.
    pub(crate) async fn stop(&self) {
        drop(self.send(Message::Stop).await);
    }

    /// The newest world.
    pub(crate) fn world(&self) -> Arc<World> {
        self.world.load_full()
    }

    async fn send(&self, message: Message) -> Result<()> {
        let inbox = self.inbox.clone();
        match inbox.try_send(message) {
            Ok(()) => Ok(()),
            Err(std::sync::mpsc::TrySendError::Disconnected(_)) => Err(stopping()),
            Err(std::sync::mpsc::TrySendError::Full(message)) => {
                tokio::task::spawn_blocking(move || inbox.send(message))
                    .await
                    .map_err(|_| stopping())?
                    .map_err(|_| stopping())
            }
        }
    }
}

fn stopping() -> Error {
    Error::new(Kind::Unavailable, "57P01", "the server is shutting down")
}

/// A model that is being filled while the world goes on.
pub(super) struct Building {
    pub(super) inputs: Vec<ObjectId>,
    pub(super) missed: BTreeMap<ObjectId, Vec<Delta>>,
}

/// The state of the thread.
pub(crate) struct Driver {
    inbox: Receiver<Message>,
    world: Arc<ArcSwap<World>>,
    epoch: Epoch,
    reserve_epochs: ReserveEpochs,
    reserved: Epoch,
    clock: ClockRef,
    /// Time that all epochs took, in microseconds.
    epochs_us: u64,
    /// What `now()` is for models. Every model is as it has to be at this moment.
    now_us: i64,
    /// How far the time of each source has come by the rows that models have.
    watermarks: Arc<Watermarks>,
    pub(super) catalog: Arc<Catalog>,
    bases: BTreeMap<ObjectId, SharedCollection>,
    pub(super) models: BTreeMap<ObjectId, Model>,
    pub(super) building: BTreeMap<ObjectId, Building>,
    trim: Trim,
}

/// What the driver starts from.
pub(crate) struct DriverStart {
    /// The definitions.
    pub(crate) catalog: Arc<Catalog>,
    /// The first epoch is the one after this.
    pub(crate) epoch: Epoch,
    /// Makes epoch numbers up to the returned one this process's own, durably.
    pub(crate) reserve_epochs: ReserveEpochs,
    /// The time that models read.
    pub(crate) clock: ClockRef,
}

impl Driver {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(start: DriverStart) -> Result<DriverHandle> {
        let (sender, inbox) = sync_channel(INBOX);
        let now_us = start.clock.now_us();
        let first = World {
            epoch: start.epoch,
            now_us,
            catalog: Arc::clone(&start.catalog),
            ..World::default()
        };
        let world = Arc::new(ArcSwap::from_pointee(first));
        let mut driver = Self {
            inbox,
            world: Arc::clone(&world),
            epoch: start.epoch,
            reserve_epochs: start.reserve_epochs,
            reserved: start.epoch,
            clock: start.clock,
            epochs_us: 0,
            now_us,
            watermarks: Arc::default(),
            catalog: start.catalog,
            bases: BTreeMap::new(),
            models: BTreeMap::new(),
            building: BTreeMap::new(),
            trim: Trim::default(),
        };
        task::thread("lotic-driver", move || driver.main())?;
        Ok(DriverHandle {
            inbox: sender,
            world,
        })
    }

    fn main(&mut self) {
        while let Ok(message) = self.next() {
            let mut epoch = Collected::default();
            let mut next = message;
            let mut stop = false;
            while let Some(message) = next.take() {
                match message {
                    Message::Rows(rows) => epoch.add(rows),
                    Message::Flush(answer) => epoch.flushes.push(answer),
                    Message::Command(command) => {
                        self.trim.note(epoch.rows, self.clock.monotonic());
                        self.step(std::mem::take(&mut epoch));
                        command(self);
                    }
                    Message::Stop => stop = true,
                }
                if !stop && epoch.rows < EPOCH_ROWS {
                    next = self.inbox.try_recv().ok();
                }
            }
            self.trim.note(epoch.rows, self.clock.monotonic());
            self.step(epoch);
            if stop {
                return;
            }
            if self.building.is_empty() {
                self.trim.run(self.clock.monotonic());
            } else {
                self.trim.put_off(self.clock.monotonic());
            }
        }
    }

    /// Waits for a message, or for the moment at which a model changes by itself or memory goes back: then there is none.
    fn next(&self) -> std::result::Result<Option<Message>, RecvTimeoutError> {
        let due = self.models.values().filter_map(Model::due_us).min();
        let due = due.map(|due| {
            // Rows that go one by one, a little apart, go together.
            let due = due.max(self.now_us.saturating_add(TICK_US));
            let wait = due.saturating_sub(self.clock.now_us());
            Duration::from_micros(wait.clamp(0, LONGEST_WAIT_US).unsigned_abs())
        });
        let trim = self.trim.wait(self.clock.monotonic());
        let Some(wait) = due.into_iter().chain(trim).min() else {
            return Ok(Some(
                self.inbox
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected)?,
            ));
        };
        match self.inbox.recv_timeout(wait) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(gone) => Err(gone),
        }
    }

    /// The time as models see it: it never goes back.
    fn present_us(&self) -> i64 {
        self.clock.now_us().max(self.now_us)
    }

    fn is_due(&self) -> bool {
        let now_us = self.present_us();
        self.models.values().any(|model| model.is_due(now_us))
    }

    /// Brings every model to the present moment, and the world with them.
    pub(crate) fn catch_up(&mut self) {
        if self.is_due() {
            self.step(Collected::default());
            return;
        }
        // No model changes until then.
        self.now_us = self.present_us();
        let mut world = World::clone(&self.world.load());
        world.now_us = self.now_us;
        self.world.store(Arc::new(world));
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            epoch: self.epoch,
            now_us: self.now_us,
            watermarks: Arc::clone(&self.watermarks),
        }
    }

    /// Notes how far the time of a source has come; it never goes back.
    pub(crate) fn raise_watermark(&mut self, id: ObjectId, to_us: Option<i64>) {
        let Some(to_us) = to_us else { return };
        let watermark = Arc::make_mut(&mut self.watermarks)
            .entry(id)
            .or_insert(to_us);
        *watermark = to_us.max(*watermark);
    }

    /// One epoch.
    fn step(&mut self, collected: Collected) {
        if !collected.deltas.is_empty() || self.is_due() {
            let began = self.clock.monotonic();
            self.begin_epoch();
            // Where no model follows, as in a batch run, time stands: all models are of one moment.
            if !self.models.is_empty() {
                self.now_us = self.present_us();
            }
            let mut changes = collected.deltas;
            changes.retain(|object, _| self.bases.contains_key(object));
            for (id, to_us) in collected.watermarks {
                self.raise_watermark(id, Some(to_us));
            }
            self.keep_for_building(&changes);
            let stepped = self.apply_and_step(changes);
            self.publish(&stepped.changed, &stepped.unchanged);
            let took = self.clock.monotonic().saturating_sub(began);
            self.epochs_us += u64::try_from(took.as_micros()).unwrap_or(0);
        }
        for visible in collected.visible {
            // a session that went away needs no answer
            visible.send(Ok(self.epoch)).ok();
        }
        for flush in collected.flushes {
            flush.send(self.epoch).ok();
        }
        drop(collected.held);
    }

    /// Brings the tables and the models up to the epoch. No model reads a table, so that both go on at the same time when
    /// there is much to do.
    fn apply_and_step(&mut self, changes: BTreeMap<ObjectId, Vec<Delta>>) -> Stepped {
        let bases: Vec<(ObjectId, SharedCollection, Vec<Delta>)> = changes
            .iter()
            .filter_map(|(id, deltas)| Some((*id, Arc::clone(self.bases.get(id)?), deltas.clone())))
            .collect();
        let rows: usize = changes.values().flatten().map(Delta::rows).sum();
        if rows < LARGE {
            apply_to_bases(bases);
            return self.step_models(changes);
        }
        rayon::join(|| apply_to_bases(bases), || self.step_models(changes)).1
    }

    fn begin_epoch(&mut self) {
        self.epoch = self.epoch.next();
        if self.epoch > self.reserved {
            match (self.reserve_epochs)(self.epoch) {
                Ok(reserved) => self.reserved = reserved,
                Err(error) => tracing::warn!(%error, "epoch numbers could not be reserved"),
            }
        }
    }

    fn keep_for_building(&mut self, inputs: &BTreeMap<ObjectId, Vec<Delta>>) {
        for building in self.building.values_mut() {
            for input in &building.inputs {
                if let Some(deltas) = inputs.get(input) {
                    building
                        .missed
                        .entry(*input)
                        .or_default()
                        .extend_from_slice(deltas);
                }
            }
        }
    }

    /// Makes the present state of `changed` what readers see, at once. Of `unchanged` models only the figures
    /// and the rows that failed are told.
    fn publish(&mut self, changed: &[ObjectId], unchanged: &[ObjectId]) {
        let mut contents = self.world.load().contents.clone();
        for id in changed {
            match self.content(*id) {
                Some(content) => contents.insert(*id, content),
                None => contents.remove(id),
            };
        }
        for id in unchanged {
            if let (Some(content), Some(model)) = (contents.get_mut(id), self.models.get(id)) {
                content.health = Arc::new(model.health());
            }
        }
        let world = Arc::new(World {
            epoch: self.epoch,
            epochs_us: self.epochs_us,
            now_us: self.now_us,
            watermarks: Arc::clone(&self.watermarks),
            catalog: Arc::clone(&self.catalog),
            contents,
        });
        self.world.store(world);
    }

    fn content(&self, id: ObjectId) -> Option<Content> {
        if let Some(model) = self.models.get(&id) {
            return Some(model.content());
        }
        let base = self.bases.get(&id)?;
        let health = Health {
            changed: self.epoch,
            ..Health::default()
        };
        Some(Content {
            snapshot: Arc::new(base.read().snapshot()),
            health: Arc::new(health),
        })
    }

    /// Replaces the definitions. The rows of `touched` are published with them.
    pub(crate) fn set_catalog(&mut self, catalog: Arc<Catalog>, touched: &[ObjectId]) {
        self.begin_epoch();
        self.catalog = catalog;
        self.publish(touched, &[]);
    }

    /// The world as it is between two epochs.
    pub(crate) fn current_world(&self) -> Arc<World> {
        self.world.load_full()
    }

    /// The definitions as they are now.
    pub(crate) fn current_catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    /// Takes over the rows of a table, stream or loaded source.
    pub(crate) fn add_base(&mut self, id: ObjectId, collection: SharedCollection) {
        self.bases.insert(id, collection);
    }

    /// Lets go of an object's rows and graph.
    pub(crate) fn remove(&mut self, id: ObjectId) {
        self.bases.remove(&id);
        self.models.remove(&id);
        self.trim.note_much(self.clock.monotonic());
        Arc::make_mut(&mut self.watermarks).remove(&id);
    }

    /// Begins to keep for `id` what its inputs get from now on.
    pub(crate) fn begin_building(&mut self, id: ObjectId, inputs: Vec<ObjectId>) {
        self.building.insert(
            id,
            Building {
                inputs,
                missed: BTreeMap::new(),
            },
        );
    }

    /// Forgets a model that was being filled.
    pub(crate) fn abandon_building(&mut self, id: ObjectId) {
        self.building.remove(&id);
    }

    /// Catches a filled model up and lets it follow.
    ///
    /// # Errors
    /// When the step that catches up fails, or an input has failed.
    pub(crate) fn finish_building(&mut self, id: ObjectId, mut model: Model) -> Result<()> {
        self.catch_up();
        let missed = self.building.remove(&id);
        self.trim.note_much(self.clock.monotonic());
        let missed = missed.map(|building| building.missed).unwrap_or_default();
        for input in model.inputs() {
            // it may have stopped since the model began
            if let Some(failure) = self.models.get(input).and_then(Model::failure) {
                return Err(stopped_input(&self.name_of(*input), failure));
            }
        }
        if !missed.is_empty() || model.is_due(self.now_us) || !model.clocks().is_empty() {
            model.step(&missed, &self.moment(), false)?;
        }
        model.follow();
        self.models.insert(id, model);
        Ok(())
    }

    /// Publishes rows that were computed once, as the contents of a model that is not maintained.
    pub(crate) fn hold_result(&mut self, object: &Object, batches: Vec<RecordBatch>) {
        self.begin_epoch();
        let mut world = World::clone(&self.world.load());
        let snapshot = Snapshot::from_batches(Arc::clone(&object.schema), batches);
        let health = Arc::new(Health {
            changed: self.epoch,
            ..Health::default()
        });
        let content = Content {
            snapshot: Arc::new(snapshot),
            health,
        };
        world.contents.insert(object.id, content);
        world.epoch = self.epoch;
        self.world.store(Arc::new(world));
    }
}

/// Adds an epoch's rows to the tables and streams that they are of.
fn apply_to_bases(bases: Vec<(ObjectId, SharedCollection, Vec<Delta>)>) {
    for (object, base, deltas) in bases {
        if let Err(error) = base.write().apply(&deltas) {
            // durable rows that do not apply are a defect: going on would show wrong rows
            tracing::error!(%object, %error, "a table refused its own rows");
            std::process::abort();
        }
    }
}

/// What one epoch has collected.
#[derive(Default)]
struct Collected {
    deltas: BTreeMap<ObjectId, Vec<Delta>>,
    watermarks: Watermarks,
    rows: usize,
    visible: Vec<oneshot::Sender<Result<Epoch>>>,
    flushes: Vec<oneshot::Sender<Epoch>>,
    held: Vec<Box<dyn Send>>,
}

impl Collected {
    fn add(&mut self, rows: Rows) {
        self.rows += rows.deltas.iter().map(Delta::rows).sum::<usize>();
        self.deltas
            .entry(rows.object)
            .or_default()
            .extend(rows.deltas);
        if let Some(to_us) = rows.watermark_us {
            self.watermarks.insert(rows.object, to_us);
        }
        self.visible.extend(rows.visible);
        self.held.extend(rows.held);
    }
}
