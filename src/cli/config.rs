//! Settings of a run: flags, then `LOTIC_*` variables, then `lotic.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::Common;
use crate::base::{Error, Result};
use crate::runtime::{Options, Secret};

/// What `lotic.toml` may hold. Relative paths start at the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    key_file: Option<PathBuf>,
    pg: Option<String>,
    http: Option<String>,
    log: Option<String>,
    statement_memory: Option<usize>,
    model_memory: Option<usize>,
    models_memory: Option<usize>,
    statement_timeout: Option<u64>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
}

/// The settings of this process.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) pg: Option<String>,
    pub(crate) http: Option<String>,
    pub(crate) log: Option<String>,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) quiet: bool,
    /// What clients may name, where that was said.
    pub(crate) files: Vec<String>,
    statement_memory: Option<usize>,
    model_memory: Option<usize>,
    models_memory: Option<usize>,
    statement_timeout_ms: Option<u64>,
}

impl Settings {
    /// The data folder of commands that keep data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data
            .clone()
            .unwrap_or_else(|| PathBuf::from("lotic-data"))
    }

    /// The password to give to a running server, where one is known. Never an argument: those are
    /// shown to everybody on the machine.
    ///
    /// # Errors
    /// When the file in the data folder cannot be read.
    pub(crate) fn client_password(&self) -> Result<Option<Secret>> {
        if let Some(given) = secret("LOTIC_PASSWORD") {
            return Ok(Some(given));
        }
        let path = self.data_dir().join("password");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Secret::new(text.trim_end().to_owned()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(secret("PGPASSWORD")),
            Err(error) => Err(Error::io(format!("read {}", path.display()), &error)),
        }
    }

    /// What an engine is opened with. `data` is none for one that lives in memory.
    pub(crate) fn options(&self, data: Option<PathBuf>, maintain: bool) -> Options {
        let mut options = Options {
            data,
            maintain,
            key_file: self.key_file.clone(),
            key: secret("LOTIC_KEY"),
            password: secret("LOTIC_PASSWORD"),
            variables: self.variables.clone(),
            ..Options::default()
        };
        if let Some(mebibytes) = self.statement_memory {
            options.statement_memory_bytes = mebibytes << 20;
        }
        if let Some(mebibytes) = self.model_memory {
            options.model_memory_bytes = mebibytes << 20;
            // who allows one model more allows all of them as much
            options.models_memory_bytes = options.models_memory_bytes.max(mebibytes << 20);
        }
        if let Some(mebibytes) = self.models_memory {
            options.models_memory_bytes = mebibytes << 20;
        }
        if let Some(milliseconds) = self.statement_timeout_ms {
            options.statement_timeout = Duration::from_millis(milliseconds);
        }
        options
    }
}

/// Reads the settings.
///
/// # Errors
/// When a file does not parse or `--set` is not NAME=VALUE.
pub(crate) fn load(common: &Common) -> Result<Settings> {
    let file = read_file(common.config.as_deref())?;
    let mut variables = file.set;
    for (name, value) in std::env::vars() {
        if let Some(name) = name.strip_prefix("LOTIC_SET_") {
            variables.insert(name.to_ascii_lowercase(), value);
        }
    }
    for pair in &common.variables {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::invalid(format!("--set takes NAME=VALUE, not \"{pair}\"")))?;
        variables.insert(name.to_owned(), value.to_owned());
    }
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let tls = match (
        env("LOTIC_TLS_CERT").map(PathBuf::from).or(file.tls_cert),
        env("LOTIC_TLS_KEY").map(PathBuf::from).or(file.tls_key),
    ) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => {
            return Err(Error::invalid(
                "tls_cert and tls_key are given together or not at all",
            ));
        }
    };
    Ok(Settings {
        data: common.data.clone().or(file.data),
        key_file: common.key_file.clone().or(file.key_file),
        pg: env("LOTIC_PG").or(file.pg),
        http: env("LOTIC_HTTP").or(file.http),
        log: common.log.clone().or(file.log),
        tls,
        variables,
        quiet: common.quiet,
        files: match env("LOTIC_FILES") {
            Some(list) => list.split(';').map(str::to_owned).collect(),
            None => file.files,
        },
        statement_memory: common.statement_memory.or(file.statement_memory),
        model_memory: common.model_memory.or(file.model_memory),
        models_memory: common.models_memory.or(file.models_memory),
        statement_timeout_ms: env("LOTIC_STATEMENT_TIMEOUT")
            .and_then(|text| text.parse().ok())
            .or(file.statement_timeout),
    })
}

fn secret(name: &str) -> Option<Secret> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .map(Secret::new)
}

fn read_file(named: Option<&Path>) -> Result<File> {
    let path = named.unwrap_or(Path::new("lotic.toml"));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            return Ok(File::default());
        }
        Err(error) => return Err(Error::io(format!("read {}", path.display()), &error)),
    };
    let mut file: File = toml::from_str(&text)
        .map_err(|error| Error::invalid(error.message().to_owned()).at(path.display()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let paths = [
        &mut file.data,
        &mut file.key_file,
        &mut file.tls_cert,
        &mut file.tls_key,
    ];
    for path in paths.into_iter().flatten() {
        *path = folder.join(&*path);
    }
    for text in &mut file.files {
        if !text.contains("://") {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
    }
    Ok(file)
}
