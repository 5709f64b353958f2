//! One engine over one data folder: what it owns, and how it is opened and closed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::MutexGuard;

use super::build::ModelFacts;
use super::defaults::Defaults;
use super::driver::{Driver, DriverHandle, DriverStart};
use super::feed::Feeds;
use super::filling::Build;
use super::functions::Functions;
use super::options::Options;
use super::quarantine::QuarantineLog;
use super::sampler::Samples;
use super::session::Session;
use super::store::Store;
use super::world::World;
use super::writer::Writer;
use crate::base::clock::ClockRef;
use crate::base::meter::{Meter, Reading};
use crate::base::rng::RngRef;
use crate::base::{CancelFlag, Epoch, Error, ObjectId, Result, TopicId, memory, task};
use crate::catalog::Catalog;
use crate::engine::AllModels;
use crate::security::{UserStore, Users};

/// The topic of the quarantine.
pub(crate) const QUARANTINE_TOPIC: TopicId = TopicId(1);

/// Objects are numbered from here on; topics below are the engine's own.
pub(crate) const FIRST_OBJECT: u64 = 16;

/// One engine.
pub struct Lotic {
    options: Options,
    store: Option<Store>,
    driver: DriverHandle,
    /// One change of definitions at a time.
    pub(super) definitions: tokio::sync::Mutex<()>,
    writers: RwLock<BTreeMap<ObjectId, Arc<Writer>>>,
    quarantine: Arc<QuarantineLog>,
    users: Arc<Users>,
    pub(super) feeds: Feeds,
    /// What the models take together.
    pub(super) all_models: Arc<AllModels>,
    /// Models that are being filled.
    pub(super) builds: Mutex<BTreeMap<ObjectId, Build>>,
    functions: Functions,
    states: Mutex<BTreeMap<ObjectId, (&'static str, Option<String>)>>,
    /// What models over models are told of those that follow their inputs.
    pub(super) model_facts: Mutex<BTreeMap<ObjectId, ModelFacts>>,
    /// Defaults of columns that never change.
    pub(super) constant_defaults: Mutex<BTreeMap<ObjectId, Defaults>>,
    meter: Arc<Meter>,
    /// What the background check has found.
    pub(super) samples: Samples,
    /// Where queries run, apart from the network and the driver.
    queries: Option<tokio::runtime::Runtime>,
    /// Wakes those threads to give memory back.
    _waking: memory::Waking,
}

impl std::fmt::Debug for Lotic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lotic")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Lotic {
    /// Opens an engine: takes the data folder, recovers what is in it and lets models catch up.
    ///
    /// # Errors
    /// When another process has the folder, the key is wrong or missing, or stored bytes are
    /// damaged.
    pub async fn open(options: Options) -> Result<Arc<Self>> {
        let opened = options.clone();
        let (store, catalog, users) = blocking(move || open_store(&opened)).await?;
        let driver = Driver::start(driver_start(
            store.as_ref(),
            catalog,
            Arc::clone(&options.clock),
        )?)?;
        let topic = store
            .as_ref()
            .map(|store| store.quarantine_topic())
            .transpose()?;
        let quarantine = Arc::new(QuarantineLog::open(topic, Arc::clone(&options.clock))?);
        // the last that can fail before it has an owner: a runtime may not be dropped in async code
        let queries = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name("lotic-query")
            .thread_stack_size(8 << 20)
            .on_thread_park(memory::before_waiting)
            .thread_keep_alive(memory::KEEP_ALIVE)
            .enable_all()
            .build()
            .map_err(|error| Error::io("start the query threads", &error))?;
        let lotic = Arc::new(Self {
            all_models: Arc::new(AllModels::new(options.models_memory_bytes)),
            quarantine,
            options,
            store,
            driver,
            definitions: tokio::sync::Mutex::new(()),
            writers: RwLock::default(),
            users,
            feeds: Feeds::default(),
            builds: Mutex::default(),
            functions: Functions::new(),
            states: Mutex::default(),
            model_facts: Mutex::default(),
            constant_defaults: Mutex::default(),
            meter: Arc::default(),
            samples: Samples::default(),
            _waking: memory::wake_threads_of(queries.handle()),
            queries: Some(queries),
        });
        lotic.recover().await?;
        Ok(lotic)
    }

    /// A session of this process itself, which is trusted with files.
    pub fn session(self: &Arc<Self>, user: &str) -> Session {
        Session::new(Arc::clone(self), user, false)
    }

    /// A session for the client `user`, who has proved who they are: it may name the files that
    /// [`Options::files`] allows.
    pub fn client_session(self: &Arc<Self>, user: &str) -> Session {
        Session::new(Arc::clone(self), user, true)
    }

    /// The users of this engine.
    pub fn users(&self) -> &Arc<Users> {
        &self.users
    }

    /// The number of the newest epoch that readers can see.
    pub fn published_epoch(&self) -> u64 {
        self.driver.world().epoch.0
    }

    /// What the start produced that a person must be told: a generated key or password file.
    pub fn notices(&self) -> Vec<String> {
        self.store
            .as_ref()
            .map(|store| store.notices.clone())
            .unwrap_or_default()
    }

    /// The file that holds the generated password, if there is one.
    pub fn password_file(&self) -> Option<PathBuf> {
        self.store
            .as_ref()
            .and_then(|store| store.password_file.clone())
    }

    /// Whether `token` opens the HTTP port.
    pub fn check_http_token(&self, token: &str) -> bool {
        use subtle::ConstantTimeEq;
        let Some(store) = &self.store else {
            return false;
        };
        bool::from(store.http_token.expose().as_bytes().ct_eq(token.as_bytes()))
    }

    /// Ends feeds, the driver and the log. What was acknowledged is on disk already.
    pub async fn shutdown(&self) {
        self.feeds.stop_all();
        self.driver.stop().await;
        if let Some(store) = &self.store {
            store.log.close();
        }
    }

    /// The clock and the randomness that it uses, for servers in front of it.
    pub fn seams(&self) -> (ClockRef, RngRef) {
        (
            Arc::clone(&self.options.clock),
            Arc::clone(&self.options.rng),
        )
    }

    /// What has been read from sources so far.
    pub fn reading(&self) -> Reading {
        self.meter.read()
    }

    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    pub(crate) fn driver(&self) -> &DriverHandle {
        &self.driver
    }

    pub(crate) fn world(&self) -> Arc<World> {
        self.driver.world()
    }

    pub(crate) fn functions(&self) -> &Functions {
        &self.functions
    }

    pub(crate) fn quarantine(&self) -> &Arc<QuarantineLog> {
        &self.quarantine
    }

    pub(crate) fn queries(&self) -> tokio::runtime::Handle {
        match &self.queries {
            Some(runtime) => runtime.handle().clone(),
            // only a dropped engine has none, and nobody can ask it
            None => tokio::runtime::Handle::current(),
        }
    }

    /// Waits until no other statement changes definitions.
    ///
    /// # Errors
    /// 57014 where `stop` was raised meanwhile.
    pub(super) async fn turn(&self, stop: &CancelFlag) -> Result<MutexGuard<'_, ()>> {
        let guard = self.definitions.lock().await;
        stop.check()?;
        Ok(guard)
    }

    pub(crate) fn writer(&self, id: ObjectId) -> Option<Arc<Writer>> {
        self.writers.read().get(&id).cloned()
    }

    pub(crate) fn add_writer(&self, id: ObjectId, writer: Arc<Writer>) {
        self.writers.write().insert(id, writer);
    }

    pub(crate) fn remove_writer(&self, id: ObjectId) {
        self.writers.write().remove(&id);
        self.states.lock().remove(&id);
        self.constant_defaults.lock().remove(&id);
        self.model_facts.lock().remove(&id);
    }

    /// How a source is doing, and its last error.
    pub(crate) fn source_state(&self, id: ObjectId) -> (&'static str, Option<String>) {
        self.states.lock().get(&id).cloned().unwrap_or(("ok", None))
    }

    pub(crate) fn set_source_state(
        &self,
        id: ObjectId,
        state: &'static str,
        error: Option<String>,
    ) {
        self.states.lock().insert(id, (state, error));
    }
}

impl Drop for Lotic {
    fn drop(&mut self) {
        // a runtime may not be dropped where async code runs
        if let Some(runtime) = self.queries.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs blocking work away from the async threads.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => Err(Error::internal(task::panic_text(&panic))),
            Err(_) => Err(Error::internal("the runtime is ending")),
        },
    }
}

fn open_store(options: &Options) -> Result<(Option<Store>, Catalog, Arc<Users>)> {
    let Some(dir) = &options.data else {
        return Ok((
            None,
            Catalog::starting_at(FIRST_OBJECT),
            Arc::new(Users::open(Box::new(NoUsers), Arc::clone(&options.rng))?),
        ));
    };
    let store = Store::open(dir, options)?;
    let catalog = match store.load_catalog()? {
        Some(catalog) => catalog,
        None => store.first_catalog()?,
    };
    let users = store.users();
    Ok((Some(store), catalog, users))
}

fn driver_start(store: Option<&Store>, catalog: Catalog, clock: ClockRef) -> Result<DriverStart> {
    let (epoch, reserve_epochs): (_, Box<dyn FnMut(Epoch) -> Result<Epoch> + Send>) = match store {
        Some(store) => {
            let book = store.epoch_book();
            (book.last()?, Box::new(move |epoch| book.reserve(epoch)))
        }
        None => (Epoch(0), Box::new(|_| Ok(Epoch(u64::MAX)))),
    };
    Ok(DriverStart {
        catalog: Arc::new(catalog),
        epoch,
        reserve_epochs,
        clock,
    })
}

/// An engine in memory has nobody who could log in.
struct NoUsers;

impl UserStore for NoUsers {
    fn load(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn save(&self, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }
}
