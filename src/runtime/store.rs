//! The data folder: its lock, its keys, its log, and the small sealed files beside the log.
//!
//! | file | holds |
//! |---|---|
//! | `lock` | the number of the process that has it locked |
//! | `master.key` | the generated master key, where none was given |
//! | `catalog` | the definitions, sealed |
//! | `users` | verifiers of passwords, sealed |
//! | `epochs` | the last epoch number reserved, sealed |
//! | `http-token` | the generated token of the HTTP port, mode 0600 |
//! | `password` | the generated password of the first user, mode 0600 |
//! | `topics/` | the log |

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::instance::{FIRST_OBJECT, QUARANTINE_TOPIC};
use super::options::{Options, Secret};
use crate::base::disk::{DataLock, DiskRef};
use crate::base::rng::RngRef;
use crate::base::{Epoch, Error, ObjectId, Offset, PartitionId, Result, TopicId};
use crate::catalog::{Catalog, decode_catalog, encode_catalog};
use crate::crypto::{Keyring, load_or_create_key, read_sealed, write_sealed};
use crate::security::users::generate_password;
use crate::security::{NewRole, UserStore, Users};
use crate::transport::{Durability, Log, LogOptions, Retention, Topic, TopicSpec};

/// Epoch numbers are reserved in blocks, so that a restart never uses a number again.
const EPOCH_BLOCK: u64 = 1 << 20;

/// A token of the HTTP port is at least this long.
const HTTP_TOKEN_BYTES: usize = 16;

/// An open data folder.
pub(crate) struct Store {
    files: SealedFiles,
    pub(crate) log: Arc<Log>,
    pub(crate) http_token: Secret,
    pub(crate) notices: Vec<String>,
    pub(crate) password_file: Option<PathBuf>,
    users: Arc<Users>,
    _lock: DataLock,
}

impl Store {
    /// Opens `dir`, or makes it. Nothing is written where the key does not fit.
    ///
    /// # Errors
    /// When another process has it, the key is wrong or missing, or bytes are damaged.
    pub(crate) fn open(dir: &Path, options: &Options) -> Result<Self> {
        let lock = DataLock::acquire(dir)?;
        let disk = Arc::clone(&options.disk);
        let rng = options.rng.as_ref();
        let given = options.key.as_ref().map(Secret::expose);
        let (master, origin) =
            load_or_create_key(disk.as_ref(), dir, options.key_file.as_deref(), given, rng)?;
        let keyring = Arc::new(Keyring::open(disk.as_ref(), dir, &master, rng)?);
        lock.note_process();
        let log = Log::open(
            dir,
            Arc::clone(&disk),
            Arc::clone(&keyring),
            Arc::clone(&options.clock),
            Arc::clone(&options.rng),
            LogOptions::default(),
        )?;
        let files = SealedFiles {
            dir: dir.to_owned(),
            disk: Arc::clone(&disk),
            keyring: Arc::clone(&keyring),
            rng: Arc::clone(&options.rng),
        };
        // users are made before anything else is, and without theirs anybody could be the first again
        if files.exists("catalog")? && !files.exists("users")? {
            return Err(files.lost("users"));
        }
        let users = Users::open(Box::new(files.clone()), Arc::clone(&options.rng))?;
        let mut notices: Vec<String> = origin.notice().into_iter().collect();
        let password_file = first_user(&users, &files, options, &mut notices)?;
        let http_token = http_token(&files)?;
        Ok(Self {
            files,
            log,
            http_token,
            notices,
            password_file,
            users: Arc::new(users),
            _lock: lock,
        })
    }

    /// The users.
    pub(crate) fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users)
    }

    /// The definitions as they were stored last.
    ///
    /// # Errors
    /// When the file is damaged.
    pub(crate) fn load_catalog(&self) -> Result<Option<Catalog>> {
        self.files
            .read("catalog")?
            .map(|bytes| decode_catalog(&bytes))
            .transpose()
    }

    /// Stores the definitions of a folder that has none: no table yet.
    ///
    /// # Errors
    /// When there are rows of tables, so that the file must have been lost; when the disk refuses.
    pub(crate) fn first_catalog(&self) -> Result<Catalog> {
        let of_a_table = |id: &TopicId| *id >= Catalog::topic_of(ObjectId(FIRST_OBJECT));
        if self.log.topics().iter().any(of_a_table) {
            return Err(self.files.lost("catalog"));
        }
        // before the catalog, with which its absence is a loss
        if !self.log.topics().contains(&QUARANTINE_TOPIC) {
            self.log.create_topic(TopicSpec {
                id: QUARANTINE_TOPIC,
                partitions: 1,
                retention: Retention::default(),
                durability: Durability::Disk,
            })?;
        }
        let catalog = Catalog::starting_at(FIRST_OBJECT);
        self.save_catalog(&catalog)?;
        Ok(catalog)
    }

    /// Stores the definitions, whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses; the old ones stay.
    pub(crate) fn save_catalog(&self, catalog: &Catalog) -> Result<()> {
        self.files.write("catalog", &encode_catalog(catalog)?)
    }

    /// The topic of the quarantine.
    ///
    /// # Errors
    /// XX001 when it is missing.
    pub(crate) fn quarantine_topic(&self) -> Result<Arc<Topic>> {
        self.topic(QUARANTINE_TOPIC, "the quarantine")
    }

    /// The topic `id`, which holds the rows of `owner`.
    ///
    /// # Errors
    /// XX001 when it is missing: topics are made before the catalog that names them is stored.
    pub(crate) fn topic(&self, id: TopicId, owner: &str) -> Result<Arc<Topic>> {
        if !self.log.topics().contains(&id) {
            let path = self.files.dir.join("topics").join(id.to_string());
            return Err(Error::corrupt(format!(
                "{} is missing, which holds the rows of {owner}",
                path.display()
            ))
            .with_hint("the folder is not whole: put the topic back from a copy of the folder"));
        }
        self.log.topic(id)
    }

    /// Makes the topic of an object that no stored catalog has yet.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn make_topic(&self, spec: TopicSpec) -> Result<()> {
        // of an earlier try whose catalog could not be stored
        self.drop_topic(spec.id)?;
        self.log.create_topic(spec).map(drop)
    }

    /// Drops the topic `id`, where there is one.
    ///
    /// # Errors
    /// Those of the disk; the next start finishes it.
    pub(crate) fn drop_topic(&self, id: TopicId) -> Result<()> {
        if self.log.topics().contains(&id) {
            self.log.drop_topic(id)?;
        }
        Ok(())
    }

    /// Drops the topics that a stop half-way through CREATE or DROP left.
    ///
    /// # Errors
    /// XX001 for rows of an object that `catalog` is too old to know; those of the disk.
    pub(crate) fn drop_orphans(&self, catalog: &Catalog) -> Result<()> {
        let owned: BTreeSet<TopicId> = catalog
            .objects()
            .filter(|object| object.topic().is_some())
            .map(|object| Catalog::topic_of(object.id))
            .collect();
        for id in self.log.topics() {
            if id < Catalog::topic_of(ObjectId(FIRST_OBJECT)) || owned.contains(&id) {
                continue;
            }
            // what was made under a catalog that was never stored has no rows: nobody could write any
            let is_known = id < Catalog::topic_of(catalog.next_id());
            if !is_known && has_rows(self.log.topic(id)?.as_ref()) {
                let path = self.files.dir.join("catalog");
                return Err(Error::corrupt(format!(
                    "{} is older than the rows of topic {id}",
                    path.display()
                ))
                .with_hint("the files of the folder are not of one time: put all of them back from one copy"));
            }
            self.log.drop_topic(id)?;
        }
        Ok(())
    }

    /// Where epoch numbers are reserved.
    pub(crate) fn epoch_book(&self) -> EpochBook {
        EpochBook {
            files: self.files.clone(),
        }
    }
}

fn has_rows(topic: &Topic) -> bool {
    (0..topic.partitions()).any(|partition| topic.bounds(PartitionId(partition)).1 > Offset(0))
}

/// Keeps epoch numbers from being used twice.
pub(crate) struct EpochBook {
    files: SealedFiles,
}

impl EpochBook {
    /// The highest number that may have been used.
    ///
    /// # Errors
    /// When the file is damaged.
    pub(crate) fn last(&self) -> Result<Epoch> {
        let Some(bytes) = self.files.read("epochs")? else {
            return Ok(Epoch(0));
        };
        let bytes = <[u8; 8]>::try_from(bytes.as_slice())
            .map_err(|_| Error::corrupt("the file epochs has a wrong length"))?;
        Ok(Epoch(u64::from_le_bytes(bytes)))
    }

    /// Reserves a block from `epoch` on; gives its last number.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn reserve(&self, epoch: Epoch) -> Result<Epoch> {
        let last = Epoch(epoch.0 + EPOCH_BLOCK);
        self.files.write("epochs", &last.0.to_le_bytes())?;
        Ok(last)
    }
}

/// Small files, each sealed whole.
#[derive(Clone)]
struct SealedFiles {
    dir: PathBuf,
    disk: DiskRef,
    keyring: Arc<Keyring>,
    rng: RngRef,
}

impl SealedFiles {
    fn exists(&self, name: &str) -> Result<bool> {
        let path = self.dir.join(name);
        self.disk
            .try_exists(&path)
            .map_err(|error| Error::io(format!("look for {}", path.display()), &error))
    }

    /// The error for a file that must be there.
    fn lost(&self, name: &str) -> Error {
        let path = self.dir.join(name);
        Error::corrupt(format!("{} is missing", path.display()))
            .with_hint("the folder is not whole: put the file back from a copy of the folder")
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        if !self.exists(name)? {
            return Ok(None);
        }
        let path = self.dir.join(name);
        read_sealed(self.disk.as_ref(), &path, &self.keyring, name).map(Some)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        write_sealed(
            self.disk.as_ref(),
            &path,
            &self.keyring,
            name,
            bytes,
            self.rng.as_ref(),
        )
    }

    /// A file that a person reads, mode 0600.
    fn write_private(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        self.disk
            .write_atomic(&path, text.as_bytes(), 0o600)
            .map_err(|error| Error::io(format!("write {}", path.display()), &error))?;
        Ok(path)
    }
}

impl UserStore for SealedFiles {
    fn load(&self) -> Result<Option<Vec<u8>>> {
        self.read("users")
    }

    fn save(&self, bytes: &[u8]) -> Result<()> {
        self.write("users", bytes)
    }
}

/// Makes the role `lotic` where nobody can log in yet. Gives the file of a generated password.
fn first_user(
    users: &Users,
    files: &SealedFiles,
    options: &Options,
    notices: &mut Vec<String>,
) -> Result<Option<PathBuf>> {
    let path = files.dir.join("password");
    if !users.is_empty() {
        let kept = files.disk.try_exists(&path).unwrap_or(false);
        return Ok(kept.then_some(path));
    }
    let role = NewRole {
        name: "lotic",
        superuser: true,
    };
    if let Some(password) = &options.password {
        users.create(role, password.expose())?;
        return Ok(None);
    }
    let password = generate_password(&files.rng)?;
    // the file first: a role whose password nobody knows would lock everybody out
    let path = files.write_private("password", &format!("{}\n", password.as_str()))?;
    users.create(role, &password)?;
    notices.push(format!(
        "a password for role lotic was generated in {}",
        path.display()
    ));
    Ok(Some(path))
}

fn http_token(files: &SealedFiles) -> Result<Secret> {
    let path = files.dir.join("http-token");
    if files.disk.try_exists(&path).unwrap_or(false) {
        let bytes = files
            .disk
            .read(&path)
            .map_err(|error| Error::io(format!("read {}", path.display()), &error))?;
        let token = String::from_utf8(bytes).unwrap_or_default();
        let token = token.trim();
        // an empty token would open the port to everybody
        let is_token =
            token.len() >= HTTP_TOKEN_BYTES && token.bytes().all(|b| b.is_ascii_graphic());
        if !is_token {
            let message = format!("{} holds no token", path.display());
            return Err(Error::corrupt(message).with_hint(format!(
                "a token is at least {HTTP_TOKEN_BYTES} visible ASCII characters; without the file a new one is made"
            )));
        }
        return Ok(Secret::new(token.to_owned()));
    }
    let token = generate_password(&files.rng)?;
    files.write_private("http-token", &format!("{}\n", token.as_str()))?;
    Ok(Secret::new(token.to_string()))
}
