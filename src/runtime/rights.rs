//! Which files and addresses the statements of clients may name.
//!
//! Whoever can log in could otherwise read every file that the server can read, and reach what only the
//! server can reach. Pipeline files and the command line are trusted: who writes them runs the server.
//! The check stands where a definition is made; what is in the catalog was checked, or was trusted.

#[cfg(test)]
mod tests;

use std::path::{Component, Path, PathBuf};

use super::instance::Lotic;
use crate::base::{Error, Result};
use crate::sinks::{OutputFormat, SinkOptions};
use crate::sources::{Connector, SourceOptions};

/// Options of object stores that change neither what is reached nor what is read on this machine.
const HARMLESS: [&str; 14] = [
    "allow_http",
    "aws_access_key_id",
    "aws_allow_http",
    "aws_default_region",
    "aws_endpoint",
    "aws_endpoint_url",
    "aws_endpoint_url_s3",
    "aws_region",
    "aws_request_payer",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_skip_signature",
    "aws_unsigned_payload",
    "aws_virtual_hosted_style_request",
];

/// Parameters of a database's address that do not lead to another host.
const HARMLESS_PARAMETERS: [&str; 3] = ["application_name", "connect_timeout", "sslmode"];

impl Lotic {
    /// Checks that a client may read this source.
    ///
    /// # Errors
    /// 42501 when it lies outside of what `files` of the options allows.
    pub(super) fn check_source_rights(&self, source: &SourceOptions) -> Result<()> {
        let rights = self.rights()?;
        let text = source.location.expose();
        if source.connector == Connector::Sqlite {
            return rights.check_path(&source.resolve(text), text);
        }
        if !source.is_remote() {
            let path = text.strip_prefix("file://").unwrap_or(text);
            return rights.check_path(&source.resolve(path), text);
        }
        let shown = source.location.to_string();
        let url = source
            .location
            .url()
            .map_err(|_| denied("an address that is not a URL", "address"))?;
        if source.connector == Connector::Postgres
            && url
                .query_pairs()
                .any(|(name, _)| !HARMLESS_PARAMETERS.contains(&name.as_ref()))
        {
            return Err(Error::denied(format!(
                "clients may give the address of a database the parameters {} only",
                HARMLESS_PARAMETERS.join(", ")
            )));
        }
        rights.check_address(&url, &shown)?;
        for (name, value) in &source.store.0 {
            if !HARMLESS.contains(&name.as_str()) {
                return Err(Error::denied(format!(
                    "clients may not set option \"{name}\""
                )));
            }
            if name.starts_with("aws_endpoint") {
                let shown = format!("the address in option \"{name}\"");
                let url = url::Url::parse(value).map_err(|_| denied(&shown, "address"))?;
                rights.check_address(&url, &shown)?;
            }
        }
        Ok(())
    }

    /// Checks that a client may write this sink.
    ///
    /// # Errors
    /// 42501 when its file lies outside of what `files` of the options allows, or could be more than
    /// a file of rows, such as a pipeline's.
    pub(super) fn check_sink_rights(&self, sink: &SinkOptions) -> Result<()> {
        let shown = sink.path.display().to_string();
        if OutputFormat::from_name(&shown).is_err() {
            return Err(Error::denied(format!(
                "a client's sink writes files of rows, and \"{shown}\" has not the ending of one"
            ))
            .with_hint("end the path with .csv, .ndjson or .parquet"));
        }
        self.rights()?.check_path(&sink.path, &shown)
    }

    fn rights(&self) -> Result<Rights> {
        let options = self.options();
        Rights::new(&options.files, options.data.as_deref())
    }
}

/// What clients may name.
#[derive(Debug)]
struct Rights {
    /// Real paths.
    folders: Vec<PathBuf>,
    addresses: Vec<url::Url>,
    /// The real path of the data folder, which nobody may name.
    data: Option<PathBuf>,
}

impl Rights {
    /// From folders and addresses as the server was started with them. A folder that is not there
    /// allows nothing.
    fn new(files: &[String], data: Option<&Path>) -> Result<Self> {
        let (mut folders, mut addresses) = (Vec::new(), Vec::new());
        for text in files {
            if text.contains("://") {
                let url = url::Url::parse(text)
                    .map_err(|_| Error::invalid("--files has an address that is not a URL"))?;
                addresses.push(url);
            } else if let Ok(real) = Path::new(text).canonicalize() {
                folders.push(real);
            }
        }
        let data = data.and_then(|data| data.canonicalize().ok());
        Ok(Self {
            folders,
            addresses,
            data,
        })
    }

    fn check_path(&self, path: &Path, shown: &str) -> Result<()> {
        let (fixed, pattern) = split_pattern(path);
        let outside = || denied(&format!("\"{shown}\""), "folder");
        let real = real_path(&fixed).ok_or_else(outside)?;
        if !self.holds(&real) || !is_plain(&pattern) {
            return Err(outside());
        }
        if pattern.as_os_str().is_empty() {
            return Ok(());
        }
        // what the pattern finds now may lie behind a link, or in the data folder
        let whole = real.join(&pattern);
        let text = format!(
            "{}/{}",
            glob::Pattern::escape(&real.to_string_lossy()),
            pattern.display()
        );
        let found = glob::glob(&text)
            .map_err(|error| Error::invalid(format!("{}: {error}", whole.display())))?;
        for file in found.flatten() {
            if !real_path(&file).is_some_and(|file| self.holds(&file)) {
                return Err(outside());
            }
        }
        Ok(())
    }

    fn holds(&self, real: &Path) -> bool {
        let within = |folder: &PathBuf| real.starts_with(folder);
        self.folders.iter().any(within) && !self.data.iter().any(within)
    }

    fn check_address(&self, url: &url::Url, shown: &str) -> Result<()> {
        let same = |allowed: &url::Url| {
            let folder = allowed.path().trim_end_matches('/');
            allowed.scheme() == url.scheme()
                && allowed.host() == url.host()
                && allowed.port_or_known_default() == url.port_or_known_default()
                && url
                    .path()
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.addresses.iter().any(same) {
            return Ok(());
        }
        Err(denied(shown, "address"))
    }
}

fn denied(what: &str, kind: &str) -> Error {
    Error::denied(format!(
        "{what} is not one that clients of this server may name"
    ))
    .with_hint(format!(
        "start the server with --files and the {kind}, or define it in a pipeline file"
    ))
}

/// The part of a path before its first component with a pattern character, and the rest.
fn split_pattern(path: &Path) -> (PathBuf, PathBuf) {
    let is_pattern =
        |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let parts: Vec<Component<'_>> = path.components().collect();
    let at = parts.iter().position(is_pattern).unwrap_or(parts.len());
    let (fixed, pattern) = parts.split_at(at);
    (fixed.iter().collect(), pattern.iter().collect())
}

/// The path without links and `..`: the deepest part of it that is there, resolved, and the rest. None
/// where a link leads nowhere yet, or the rest leads upwards.
fn real_path(path: &Path) -> Option<PathBuf> {
    let here = path.as_os_str().is_empty();
    let absolute = std::path::absolute(if here { Path::new(".") } else { path }).ok()?;
    let mut there = absolute.as_path();
    let mut rest = Vec::new();
    loop {
        match there.canonicalize() {
            Ok(real) => {
                let rest: PathBuf = rest.into_iter().rev().collect();
                return Some(if rest.as_os_str().is_empty() {
                    real
                } else {
                    real.join(rest)
                });
            }
            // it is there and has no end: a link to nothing, or a folder that is closed to us
            Err(_) if there.symlink_metadata().is_ok() => return None,
            Err(_) => {
                // `..` has no file name
                rest.push(there.file_name()?.to_owned());
                there = there.parent()?;
            }
        }
    }
}

/// Whether a path only leads downwards.
fn is_plain(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_)))
}
