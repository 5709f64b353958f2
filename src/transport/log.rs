//! All topics of a data folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::bounds::Bounds;
use super::core::{Core, Shared, partition_folder};
use super::pool::Pool;
use super::recover::{Source, recover};
use super::spec::{LogOptions, TopicSpec};
use super::topic::Topic;
use crate::base::clock::ClockRef;
use crate::base::disk::DiskRef;
use crate::base::rng::RngRef;
use crate::base::{Error, Kind, Result, TopicId};
use crate::crypto::{Keyring, WRAPPED_BYTES, read_sealed, write_sealed};

/// The file of a topic's spec and wrapped key.
const TOPIC_FILE: &str = "topic";
/// The end of the name of a topic's folder that is being removed.
const DROPPED: &str = "dropped";

/// The log of a data folder.
///
/// The folder's [`DataLock`](crate::base::disk::DataLock) is the caller's to hold.
pub struct Log {
    /// `DATA/topics`.
    folder: PathBuf,
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    topics: RwLock<BTreeMap<TopicId, Arc<Topic>>>,
    /// Held while a topic is created or dropped.
    changing: Mutex<()>,
}

/// A topic's file.
#[derive(serde::Serialize, serde::Deserialize)]
struct TopicFile {
    spec: TopicSpec,
    /// The area key, wrapped.
    key: Vec<u8>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the log under `dir`/topics, examining what a crash may have left.
    ///
    /// # Errors
    /// XX001, naming file and byte, for damage to what was acknowledged; those of the disk.
    pub fn open(
        dir: &Path,
        disk: DiskRef,
        keyring: Arc<Keyring>,
        clock: ClockRef,
        rng: RngRef,
        options: LogOptions,
    ) -> Result<Arc<Self>> {
        let folder = dir.join("topics");
        let io = |error: std::io::Error| Error::io(format!("open {}", folder.display()), &error);
        if !disk.try_exists(&folder).map_err(io)? {
            disk.create_dir_all(&folder).map_err(io)?;
        }
        disk.sync_dir(dir).map_err(io)?;
        let shared = Arc::new(Shared {
            disk,
            keyring,
            clock,
            rng,
            options,
        });
        let pool = Pool::start(options.committers)?;
        let log = Self {
            folder,
            shared,
            pool,
            topics: RwLock::default(),
            changing: Mutex::default(),
        };
        log.find_topics()?;
        Ok(Arc::new(log))
    }

    /// Creates a topic, durably.
    ///
    /// # Errors
    /// 42710 where the id is taken, 22023 for no partitions, those of the disk.
    pub fn create_topic(&self, spec: TopicSpec) -> Result<Arc<Topic>> {
        let _changing = self.changing.lock();
        if spec.partitions == 0 {
            return Err(Error::invalid(format!(
                "topic {} needs at least one partition",
                spec.id
            )));
        }
        if self.topics.read().contains_key(&spec.id) {
            return Err(Error::new(
                Kind::Conflict,
                "42710",
                format!("topic {} already exists", spec.id),
            ));
        }
        let folder = self.folder.join(spec.id.to_string());
        if let Err(error) = self.make_topic(&folder, &spec) {
            // Without its file the folder is no topic; what cannot be removed now goes at start.
            drop(self.shared.disk.remove_dir_all(&folder));
            return Err(error);
        }
        self.open_topic(&folder, spec.id)
    }

    /// A topic.
    ///
    /// # Errors
    /// 42704 where there is none.
    pub fn topic(&self, id: TopicId) -> Result<Arc<Topic>> {
        let found = self.topics.read().get(&id).map(Arc::clone);
        found.ok_or_else(|| no_topic(id))
    }

    /// All topics, in order.
    pub fn topics(&self) -> Vec<TopicId> {
        self.topics.read().keys().copied().collect()
    }

    /// Drops a topic and destroys its key: what may be left of its bytes cannot be read any more.
    /// Appends that wait are committed first, later ones fail.
    ///
    /// # Errors
    /// 42704 where there is none, those of the disk; a drop that failed half-way is finished at start.
    pub fn drop_topic(&self, id: TopicId) -> Result<()> {
        let _changing = self.changing.lock();
        let topic = self.topic(id)?;
        topic.close_queue(no_topic(id));
        let folder = self.folder.join(id.to_string());
        let dropped = folder.with_extension(DROPPED);
        let disk = &self.shared.disk;
        disk.rename(&folder, &dropped)
            .and_then(|()| disk.sync_dir(&self.folder))
            .map_err(|error| Error::io(format!("drop {}", folder.display()), &error))?;
        self.topics.write().remove(&id);
        self.shred(&dropped)
    }

    /// Commits what waits, syncs, notes how far the log reaches, and ends the committers. Later
    /// appends fail; reading goes on.
    pub fn close(&self) {
        let topics = self
            .topics
            .read()
            .values()
            .map(Arc::clone)
            .collect::<Vec<_>>();
        for topic in &topics {
            topic.close_queue(Error::unavailable("the log is closed"));
        }
        self.pool.close();
        for topic in &topics {
            if let Err(error) = topic.core().close() {
                // The start can do without the note: it examines the files instead.
                tracing::warn!(topic = %topic.spec().id, %error, "could not note how far a topic reaches");
            }
        }
    }

    fn find_topics(&self) -> Result<()> {
        let disk = &self.shared.disk;
        let listed = disk
            .list(&self.folder)
            .map_err(|error| Error::io(format!("list {}", self.folder.display()), &error))?;
        disk.sync_dir(&self.folder)
            .map_err(|error| Error::io(format!("sync {}", self.folder.display()), &error))?;
        for folder in listed {
            if folder.extension().is_some_and(|end| end == DROPPED) {
                self.shred(&folder)?;
                continue;
            }
            let name = folder
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let Ok(id) = name.parse::<u64>() else {
                tracing::warn!(path = %folder.display(), "a file that is not of the log lies in its folder");
                continue;
            };
            if self.is_unborn(&folder)? {
                disk.remove_dir_all(&folder)
                    .map_err(|error| Error::io(format!("remove {}", folder.display()), &error))?;
                continue;
            }
            // A kill may have left names that no disk has seen yet; what is shown must stay.
            disk.sync_dir(&folder)
                .map_err(|error| Error::io(format!("sync {}", folder.display()), &error))?;
            self.open_topic(&folder, TopicId(id))?;
        }
        Ok(())
    }

    /// Whether a crash stopped the creation of the topic: no file of its own and no segment yet.
    fn is_unborn(&self, folder: &Path) -> Result<bool> {
        let disk = &self.shared.disk;
        let io =
            |error: std::io::Error| Error::io(format!("look into {}", folder.display()), &error);
        if disk.try_exists(&folder.join(TOPIC_FILE)).map_err(io)? {
            return Ok(false);
        }
        for path in disk.list(folder).map_err(io)? {
            let inner = match disk.list(&path) {
                Ok(inner) => inner,
                Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => continue,
                Err(error) => return Err(io(error)),
            };
            if !inner.is_empty() {
                let file = folder.join(TOPIC_FILE);
                return Err(Error::corrupt(format!(
                    "{} is missing, and its rows are there",
                    file.display()
                )));
            }
        }
        Ok(true)
    }

    /// Writes a topic's folders and files; its own file comes last and makes it exist.
    fn make_topic(&self, folder: &Path, spec: &TopicSpec) -> Result<()> {
        let shared = &self.shared;
        let disk = shared.disk.as_ref();
        let rng = shared.rng.as_ref();
        let io = |error: std::io::Error| Error::io(format!("create {}", folder.display()), &error);
        for at in 0..usize::try_from(spec.partitions).unwrap_or(usize::MAX) {
            disk.create_dir_all(&partition_folder(folder, at))
                .map_err(io)?;
        }
        Bounds::empty(spec.partitions).write(disk, folder, &shared.keyring, spec.id, rng)?;
        let (_, wrapped) = shared.keyring.create_area(&area_name(spec.id), rng)?;
        let file = TopicFile {
            spec: *spec,
            key: wrapped.to_vec(),
        };
        let text = serde_json::to_vec(&file).map_err(|error| Error::internal(error.to_string()))?;
        let path = folder.join(TOPIC_FILE);
        write_sealed(
            disk,
            &path,
            &shared.keyring,
            &area_name(spec.id),
            &text,
            rng,
        )?;
        disk.sync_dir(&self.folder).map_err(io)
    }

    fn open_topic(&self, folder: &Path, id: TopicId) -> Result<Arc<Topic>> {
        let shared = &self.shared;
        let path = folder.join(TOPIC_FILE);
        let name = area_name(id);
        let text = read_sealed(shared.disk.as_ref(), &path, &shared.keyring, &name)?;
        let file: TopicFile = serde_json::from_slice(&text)
            .map_err(|error| Error::corrupt(format!("{}: not a topic: {error}", path.display())))?;
        let wrapped = <[u8; WRAPPED_BYTES]>::try_from(file.key.as_slice())
            .map_err(|_| Error::corrupt(format!("{}: the key is cut short", path.display())))?;
        let area = shared
            .keyring
            .open_area(&name, &wrapped)
            .map_err(|error| error.at(path.display()))?;
        let source = Source {
            spec: &file.spec,
            folder,
            area: &area,
            shared,
        };
        let found = recover(&source)?;
        let core = Core {
            spec: file.spec,
            folder: folder.to_owned(),
            area,
            shared: Arc::clone(shared),
            writer: Mutex::new(found.writer),
            views: found.views.into_iter().map(RwLock::new).collect(),
        };
        if found.changed
            && let Err(error) = core.write_bounds(&core.writer.lock(), &core.first_bases())
        {
            // On a full disk reads go on: the old note leads the next start to the same end, and nothing
            // is appended before a new one could be written.
            if error.kind() != Kind::Limit {
                return Err(error);
            }
            tracing::warn!(topic = %id, %error, "could not note how far a topic reaches");
        }
        let topic = Arc::new(Topic::new(Arc::new(core), Arc::clone(&self.pool)));
        self.topics.write().insert(id, Arc::clone(&topic));
        Ok(topic)
    }

    /// Destroys the key of a topic's folder, then the folder.
    fn shred(&self, folder: &Path) -> Result<()> {
        let disk = &self.shared.disk;
        let file = folder.join(TOPIC_FILE);
        let io = |error: std::io::Error| Error::io(format!("remove {}", folder.display()), &error);
        if disk.try_exists(&file).map_err(io)? {
            disk.wipe(&file).map_err(io)?;
            disk.remove(&file).map_err(io)?;
            disk.sync_dir(folder).map_err(io)?;
        }
        disk.remove_dir_all(folder).map_err(io)?;
        disk.sync_dir(&self.folder).map_err(io)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// What a topic's key and file are bound to.
fn area_name(id: TopicId) -> String {
    format!("topic {id}")
}

fn no_topic(id: TopicId) -> Error {
    Error::new(Kind::Missing, "42704", format!("topic {id} does not exist"))
}
