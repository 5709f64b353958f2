//! The roles that may log in, kept as verifiers in one small blob.
//!
//! The blob is JSON: `{"version": 1, "mock": base64 of 32 bytes, "roles": [{"name", "superuser",
//! "verifier"}]}`. It is handed to a [`UserStore`], which seals it before it touches a disk.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::verifier::{DIGEST, Verifier};
use crate::base::rng::RngRef;
use crate::base::{Error, Kind, Result};

const VERSION: u32 = 1;
/// The longest name of a role, in bytes, as in PostgreSQL.
const MAX_NAME: usize = 63;
const MAX_PASSWORD: usize = 1_024;
/// 24 bytes are 192 bits and 32 characters.
const GENERATED_BYTES: usize = 24;

/// Where the blob of roles lies. `bytes` is secret in both directions.
pub trait UserStore: Send + Sync {
    /// The blob as it was saved last; none before the first time.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    fn load(&self) -> Result<Option<Vec<u8>>>;

    /// Replaces the blob, durably and at once or not at all.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    fn save(&self, bytes: &[u8]) -> Result<()>;
}

/// A role to create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRole<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it may do everything, and use the reserved connections.
    pub superuser: bool,
}

/// All roles of one data folder.
pub struct Users {
    store: Box<dyn UserStore>,
    rng: RngRef,
    state: RwLock<State>,
}

#[derive(Clone)]
struct State {
    /// Makes the salts of unknown users, so that they look like known ones on every try.
    mock: Zeroizing<[u8; DIGEST]>,
    roles: BTreeMap<String, Role>,
}

#[derive(Clone)]
struct Role {
    superuser: bool,
    verifier: Verifier,
}

impl Users {
    /// Opens the store; an empty one becomes a world without roles.
    ///
    /// # Errors
    /// When the store cannot be read, is damaged or of a later version.
    pub fn open(store: Box<dyn UserStore>, rng: RngRef) -> Result<Self> {
        let state = if let Some(bytes) = store.load()? {
            State::decode(&Zeroizing::new(bytes))?
        } else {
            let mut mock = Zeroizing::new([0; DIGEST]);
            rng.fill(mock.as_mut_slice())?;
            State {
                mock,
                roles: BTreeMap::new(),
            }
        };
        Ok(Self {
            store,
            rng,
            state: RwLock::new(state),
        })
    }

    /// Whether nobody can log in yet: the first start.
    pub fn is_empty(&self) -> bool {
        self.state.read().roles.is_empty()
    }

    /// The names of all roles, sorted, each with whether it is a superuser.
    pub fn roles(&self) -> Vec<(String, bool)> {
        let state = self.state.read();
        state
            .roles
            .iter()
            .map(|(name, role)| (name.clone(), role.superuser))
            .collect()
    }

    /// Whether a role of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.state.read().roles.contains_key(name)
    }

    /// Whether the role exists and is a superuser.
    pub fn is_superuser(&self, name: &str) -> bool {
        self.state
            .read()
            .roles
            .get(name)
            .is_some_and(|role| role.superuser)
    }

    /// Creates a role. Hashing the password takes some milliseconds of one core.
    ///
    /// # Errors
    /// When the name is taken or unfit, the password unfit, or the store cannot be written.
    pub fn create(&self, role: NewRole<'_>, password: &str) -> Result<()> {
        check_name(role.name)?;
        check_password(password)?;
        let verifier = Verifier::new(password, self.rng.as_ref())?;
        let added = Role {
            superuser: role.superuser,
            verifier,
        };
        self.change(|roles| {
            if roles.contains_key(role.name) {
                let message = format!("role \"{}\" already exists", role.name);
                return Err(Error::new(Kind::Conflict, "42710", message));
            }
            roles.insert(role.name.to_owned(), added);
            Ok(())
        })
    }

    /// Creates a role with a generated password of 192 bits, and gives that password back, once.
    ///
    /// # Errors
    /// As [`Users::create`].
    pub fn create_generated(&self, role: NewRole<'_>) -> Result<Zeroizing<String>> {
        let password = generate_password(&self.rng)?;
        self.create(role, &password)?;
        Ok(password)
    }

    /// Replaces the password of a role. Sessions that are logged in stay so.
    ///
    /// # Errors
    /// When there is no such role, the password is unfit, or the store cannot be written.
    pub fn set_password(&self, name: &str, password: &str) -> Result<()> {
        check_password(password)?;
        let verifier = Verifier::new(password, self.rng.as_ref())?;
        self.change(|roles| match roles.get_mut(name) {
            Some(role) => {
                role.verifier = verifier;
                Ok(())
            }
            None => Err(no_role(name)),
        })
    }

    /// Removes a role. The last superuser cannot be removed.
    ///
    /// # Errors
    /// When there is no such role, it is the last superuser, or the store cannot be written.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.change(|roles| {
            let removed = roles.remove(name).ok_or_else(|| no_role(name))?;
            if removed.superuser && !roles.values().any(|role| role.superuser) {
                let message = format!("role \"{name}\" is the last superuser");
                return Err(Error::new(Kind::Conflict, "2BP01", message));
            }
            Ok(())
        })
    }

    /// The verifier of a role. An unknown name gets one that no password fits, the same each time:
    /// nobody learns from the exchange who exists.
    pub fn verifier(&self, name: &str) -> Verifier {
        let state = self.state.read();
        // Made for known names too, so that both take the same time.
        let mock = Verifier::mock(name, &state.mock);
        state
            .roles
            .get(name)
            .map_or(mock, |role| role.verifier.clone())
    }

    /// Applies a change to a copy, saves it, and only then shows it.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Role>) -> Result<()>) -> Result<()> {
        let mut state = self.state.write();
        let mut next = state.clone();
        change(&mut next.roles)?;
        self.store.save(&next.encode()?)?;
        *state = next;
        Ok(())
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.roles().into_iter().map(|(name, _)| name).collect();
        f.debug_struct("Users")
            .field("roles", &names)
            .finish_non_exhaustive()
    }
}

/// A password of 192 random bits in characters that need no quoting in a URL or a shell.
///
/// # Errors
/// When the system has no random bytes.
pub fn generate_password(rng: &RngRef) -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; GENERATED_BYTES]);
    rng.fill(bytes.as_mut_slice())?;
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    // A leading dash would be taken for an option.
    Ok(Zeroizing::new(text.replacen(
        '-',
        "_",
        usize::from(text.starts_with('-')),
    )))
}

fn check_name(name: &str) -> Result<()> {
    let control = name.chars().any(char::is_control);
    if name.is_empty() || name.len() > MAX_NAME || control {
        return Err(Error::new(
            Kind::Invalid,
            "42602",
            format!("a role name must have 1 to {MAX_NAME} bytes and no control characters"),
        ));
    }
    Ok(())
}

fn check_password(password: &str) -> Result<()> {
    if password.is_empty() || password.len() > MAX_PASSWORD || password.contains('\0') {
        return Err(Error::invalid(format!(
            "a password must have 1 to {MAX_PASSWORD} bytes"
        )));
    }
    Ok(())
}

fn no_role(name: &str) -> Error {
    Error::new(
        Kind::Missing,
        "42704",
        format!("role \"{name}\" does not exist"),
    )
}

#[derive(Serialize, Deserialize)]
struct Blob {
    version: u32,
    mock: String,
    roles: Vec<BlobRole>,
}

#[derive(Serialize, Deserialize)]
struct BlobRole {
    name: String,
    superuser: bool,
    verifier: String,
}

impl State {
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>> {
        let roles = self.roles.iter().map(|(name, role)| BlobRole {
            name: name.clone(),
            superuser: role.superuser,
            verifier: role.verifier.to_text(),
        });
        let blob = Blob {
            version: VERSION,
            mock: STANDARD.encode(*self.mock),
            roles: roles.collect(),
        };
        serde_json::to_vec(&blob)
            .map(Zeroizing::new)
            .map_err(|error| Error::internal(format!("roles do not encode: {error}")))
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        // The parser's own message could quote a verifier; its position is enough.
        let mut blob: Blob = serde_json::from_slice(bytes).map_err(|error| {
            Error::corrupt(format!(
                "the file of roles is damaged at column {}",
                error.column()
            ))
        })?;
        if blob.version != VERSION {
            return Err(Error::unsupported(format!(
                "the file of roles has version {}, this program reads version {VERSION}",
                blob.version
            )));
        }
        let mock = STANDARD
            .decode(&blob.mock)
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        let mock = mock.ok_or_else(|| Error::corrupt("the file of roles holds no mock secret"))?;
        blob.mock.zeroize();
        let mut roles = BTreeMap::new();
        for mut role in blob.roles {
            let verifier = Verifier::from_text(&role.verifier)?;
            role.verifier.zeroize();
            roles.insert(
                role.name,
                Role {
                    superuser: role.superuser,
                    verifier,
                },
            );
        }
        Ok(Self {
            mock: Zeroizing::new(mock),
            roles,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::base::rng::SystemRng;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Option<Vec<u8>>>>);

    impl UserStore for Memory {
        fn load(&self) -> Result<Option<Vec<u8>>> {
            Ok(self.0.lock().clone())
        }

        fn save(&self, bytes: &[u8]) -> Result<()> {
            *self.0.lock() = Some(bytes.to_vec());
            Ok(())
        }
    }

    fn open(memory: &Memory) -> Users {
        Users::open(Box::new(memory.clone()), Arc::new(SystemRng)).unwrap()
    }

    const ADA: NewRole<'_> = NewRole {
        name: "ada",
        superuser: true,
    };

    #[test]
    fn roles_survive_a_restart_and_the_password_is_nowhere() {
        let memory = Memory::default();
        let users = open(&memory);
        assert!(users.is_empty());
        users.create(ADA, "correct horse").unwrap();
        let before = users.verifier("ada");
        let stored = String::from_utf8(memory.0.lock().clone().unwrap()).unwrap();
        assert!(!stored.contains("correct horse"));
        let again = open(&memory);
        assert_eq!(again.verifier("ada"), before);
        assert!(again.is_superuser("ada") && !again.is_superuser("bob"));
        assert_eq!(format!("{again:?}"), "Users { roles: [\"ada\"], .. }");
    }

    #[test]
    fn unknown_users_get_the_same_mock_each_time_also_after_a_restart() {
        let memory = Memory::default();
        let users = open(&memory);
        users.create(ADA, "x").unwrap();
        let mock = users.verifier("nobody");
        assert_eq!(mock, users.verifier("nobody"));
        assert_ne!(mock, users.verifier("somebody"));
        assert_eq!(mock, open(&memory).verifier("nobody"));
        assert_eq!(mock.salt.len(), users.verifier("ada").salt.len());
        assert_eq!(mock.iterations, users.verifier("ada").iterations);
    }

    #[test]
    fn names_are_unique_and_the_last_superuser_stays() {
        let users = open(&Memory::default());
        users.create(ADA, "x").unwrap();
        assert_eq!(users.create(ADA, "y").unwrap_err().code(), "42710");
        assert_eq!(users.remove("ada").unwrap_err().code(), "2BP01");
        assert!(users.contains("ada"));
        users
            .create(
                NewRole {
                    name: "bob",
                    superuser: false,
                },
                "x",
            )
            .unwrap();
        users.remove("bob").unwrap();
        assert_eq!(users.set_password("bob", "z").unwrap_err().code(), "42704");
    }

    #[test]
    fn a_failed_save_changes_nothing() {
        struct Broken;
        impl UserStore for Broken {
            fn load(&self) -> Result<Option<Vec<u8>>> {
                Ok(None)
            }
            fn save(&self, _bytes: &[u8]) -> Result<()> {
                Err(Error::unavailable("no disk"))
            }
        }
        let users = Users::open(Box::new(Broken), Arc::new(SystemRng)).unwrap();
        assert!(users.create(ADA, "x").is_err());
        assert!(users.is_empty());
    }

    #[test]
    fn damaged_and_later_blobs_are_refused() {
        for text in ["", "{}", "{\"version\":2,\"mock\":\"\",\"roles\":[]}"] {
            let memory = Memory(Arc::new(Mutex::new(Some(text.as_bytes().to_vec()))));
            assert!(
                Users::open(Box::new(memory), Arc::new(SystemRng)).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn generated_passwords_are_long_and_need_no_quotes() {
        let rng: RngRef = Arc::new(SystemRng);
        let password = generate_password(&rng).unwrap();
        assert_eq!(password.len(), 32);
        assert!(!password.starts_with('-'));
        assert!(
            password
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
    }
}
