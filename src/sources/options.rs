//! What a source is made of: the WITH options of CREATE SOURCE, TABLE and EXTERNAL TABLE, checked.
//!
//! | option | values | default |
//! |---|---|---|
//! | `connector` | `file`, `sqlite`, `postgres` (or `postgresql`) | by the address |
//! | `path`, `url` | a path, a glob, `s3://`, `http(s)://` or `postgres://`; one of the two | none |
//! | `format` | `csv`, `ndjson`, `json`, `parquet`, `arrow` | by the file's ending |
//! | `compression` | `none`, `gzip`, `zstd` | by the file's ending |
//! | `header` | `true`, `false` (CSV) | `true` |
//! | `delimiter`, `quote`, `escape` | one ASCII character (CSV); `\t` is a tabulator | `,` `"` `"` |
//! | `null` | one text, or a list as JSON (`["NA", "-"]`) or between commas | none; empty is always NULL |
//! | `mode` | `once`, `tail` (file) | `once` |
//! | `table`, `query` | one of the two (databases) | none |
//! | `poll` | how often a tailed file is looked at: `500ms`, `2s`, `1m` | `1s` |
//! | `aws_*`, `allow_http` | given to the object store as they are | none |

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::decode::CsvDialect;
use crate::base::meter::Meter;
use crate::base::{Error, Result};

/// What kind of system a source reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connector {
    /// Files on disk or in an object store.
    File,
    /// A SQLite database file.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

/// The format of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, file or stream.
    Arrow,
}

/// How a file's bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, several members allowed.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// Whether a source ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Read to its end.
    Once,
    /// Followed: new files and appended lines become rows.
    Tail,
}

/// An address that may hold a password: shown without it.
#[derive(Clone, PartialEq, Eq)]
pub struct Location(String);

impl Location {
    /// An address.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole address, password included: for connecting, never for messages.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The address taken apart. A bucket has no queries: there `?` is a character of a pattern.
    ///
    /// # Errors
    /// When it is not a URL.
    pub fn url(&self) -> Result<url::Url, url::ParseError> {
        if self.is_bucket() {
            return url::Url::parse(&self.0.replace('?', "%3F").replace('#', "%23"));
        }
        url::Url::parse(&self.0)
    }

    fn is_bucket(&self) -> bool {
        let scheme = self.0.split("://").next().unwrap_or_default();
        scheme.eq_ignore_ascii_case("s3") || scheme.eq_ignore_ascii_case("s3a")
    }

    /// Whether it is a URL and not a path.
    pub fn is_url(&self) -> bool {
        self.0.contains("://")
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_url() {
            return f.write_str(&self.0);
        }
        let Ok(mut url) = self.url() else {
            return f.write_str("(an address that is not a URL)");
        };
        if url.password().is_some() && url.set_password(None).is_err() {
            return f.write_str("(an address with a password and without a host)");
        }
        // Keys and signatures travel in the query of pre-signed addresses.
        url.set_query(None);
        url.set_fragment(None);
        if self.is_bucket() {
            return f.write_str(&url.as_str().replace("%3F", "?"));
        }
        write!(f, "{url}")
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Options for an object store, whose values are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreOptions(pub Vec<(String, String)>);

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// The checked options of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceOptions {
    /// The name of the source, for messages and the quarantine.
    pub name: String,
    /// What is read.
    pub connector: Connector,
    /// Where it is. A relative path stands as it was written; see `base_dir`.
    pub location: Location,
    /// The folder that relative paths start from.
    pub base_dir: PathBuf,
    /// The files' format (`file` only).
    pub format: Option<Format>,
    /// The files' compression; by each file's ending when not given.
    pub compression: Option<Compression>,
    /// Whether CSV files start with a line of names.
    pub header: bool,
    /// The characters of CSV.
    pub dialect: CsvDialect,
    /// Texts that mean NULL, besides the empty one.
    pub nulls: Vec<String>,
    /// Whether the source ends.
    pub mode: Mode,
    /// The table to read (databases).
    pub table: Option<String>,
    /// The query to read (databases).
    pub query: Option<String>,
    /// How often a tailed source is looked at.
    pub poll: Duration,
    /// For the object store.
    pub store: StoreOptions,
    /// Counts what is read.
    pub meter: Arc<Meter>,
}

const KNOWN: [&str; 14] = [
    "compression",
    "connector",
    "delimiter",
    "escape",
    "format",
    "header",
    "mode",
    "null",
    "path",
    "poll",
    "query",
    "quote",
    "table",
    "url",
];

impl SourceOptions {
    /// Checks the WITH options of source `name`; relative paths start from `base_dir`.
    ///
    /// # Errors
    /// An option that is unknown, malformed, missing, or that does not go with the others; the message
    /// names it, and never shows the value of one that may hold a secret.
    pub fn new(name: &str, with: &BTreeMap<String, String>, base_dir: &Path) -> Result<Self> {
        let mut given = Given {
            name,
            map: BTreeMap::new(),
        };
        let mut store = Vec::new();
        for (key, value) in with {
            let key = key.to_ascii_lowercase();
            if key.starts_with("aws_") || key == "allow_http" {
                store.push((key, value.clone()));
            } else if KNOWN.contains(&key.as_str()) {
                given.map.insert(key, value.as_str());
            } else {
                return Err(given
                    .fail(format!("has no option \"{key}\""))
                    .with_hint(format!(
                        "known options: {}, and aws_... and allow_http for object stores",
                        KNOWN.join(", ")
                    )));
            }
        }
        let location = given.location()?;
        let connector = given.connector(&location)?;
        let options = Self {
            name: name.to_owned(),
            connector,
            base_dir: base_dir.to_owned(),
            format: given.format(connector, &location)?,
            compression: given.compression()?,
            header: given.boolean("header", true)?,
            dialect: given.dialect()?,
            nulls: given.nulls()?,
            mode: given.mode()?,
            table: given.map.get("table").map(|text| (*text).to_owned()),
            query: given.map.get("query").map(|text| (*text).to_owned()),
            poll: given.poll()?,
            store: StoreOptions(store),
            meter: Arc::default(),
            location,
        };
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<()> {
        let fail = |text: &str| Err(Error::invalid(format!("source \"{}\" {text}", self.name)));
        let database = self.connector != Connector::File;
        if database && self.table.is_some() == self.query.is_some() {
            return fail("needs one of the options \"table\" and \"query\"");
        }
        if !database && (self.table.is_some() || self.query.is_some()) {
            return fail("reads files: the options \"table\" and \"query\" are for databases");
        }
        if self.mode == Mode::Tail {
            if database {
                return fail("cannot be followed: mode = 'tail' is for files");
            }
            if self.location.is_url() {
                return fail("cannot be followed: mode = 'tail' is for files on this machine");
            }
            if !matches!(self.format, Some(Format::Csv | Format::Ndjson)) {
                return fail("cannot be followed: mode = 'tail' is for format csv and ndjson");
            }
        }
        if self.connector == Connector::Postgres && !self.location.is_url() {
            return fail(
                "needs the option \"url\", as in postgres://user:password@host:5432/database",
            );
        }
        Ok(())
    }

    /// Whether the source is on another machine, which may be away.
    pub fn is_remote(&self) -> bool {
        self.location.is_url() && !self.location.expose().starts_with("file://")
    }

    /// A path of the source, made absolute by its base folder.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.base_dir.join(path)
    }
}

/// The compression that a file name's ending tells.
pub(crate) fn compression_of(path: &str) -> Compression {
    let lower = path.to_ascii_lowercase();
    if lower.ends_with(".gz") || lower.ends_with(".gzip") {
        Compression::Gzip
    } else if lower.ends_with(".zst") || lower.ends_with(".zstd") {
        Compression::Zstd
    } else {
        Compression::None
    }
}

fn format_of(path: &str) -> Option<Format> {
    let lower = path.to_ascii_lowercase();
    let bare = [".gz", ".gzip", ".zst", ".zstd"]
        .iter()
        .find_map(|end| lower.strip_suffix(end));
    let ending = bare.unwrap_or(&lower).rsplit_once('.')?.1;
    match ending {
        "csv" => Some(Format::Csv),
        "ndjson" | "jsonl" | "json" => Some(Format::Ndjson),
        "parquet" => Some(Format::Parquet),
        "arrow" | "ipc" | "feather" | "arrows" => Some(Format::Arrow),
        _ => None,
    }
}

struct Given<'a> {
    name: &'a str,
    map: BTreeMap<String, &'a str>,
}

impl Given<'_> {
    fn fail(&self, text: impl fmt::Display) -> Error {
        Error::invalid(format!("source \"{}\" {text}", self.name))
    }

    fn word(&self, option: &str) -> Option<String> {
        self.map
            .get(option)
            .map(|text| text.trim().to_ascii_lowercase())
    }

    fn unknown(&self, option: &str, value: &str, known: &str) -> Error {
        self.fail(format!(
            "has option \"{option}\" = '{value}', which is none of {known}"
        ))
    }

    fn location(&self) -> Result<Location> {
        match (self.map.get("path"), self.map.get("url")) {
            (Some(text), None) | (None, Some(text)) if !text.trim().is_empty() => {
                Ok(Location::new(text.trim()))
            }
            (Some(_), Some(_)) => Err(self.fail("has both \"path\" and \"url\"")),
            _ => Err(self.fail("needs the option \"path\" or \"url\"")),
        }
    }

    fn connector(&self, location: &Location) -> Result<Connector> {
        let text = location.expose().to_ascii_lowercase();
        match self.word("connector").as_deref() {
            Some("file") => Ok(Connector::File),
            Some("sqlite") => Ok(Connector::Sqlite),
            Some("postgres" | "postgresql") => Ok(Connector::Postgres),
            Some(other) => Err(self.unknown("connector", other, "file, sqlite, postgres")),
            None if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                Ok(Connector::Postgres)
            }
            None if [".db", ".sqlite", ".sqlite3"]
                .iter()
                .any(|end| text.ends_with(end)) =>
            {
                Ok(Connector::Sqlite)
            }
            None => Ok(Connector::File),
        }
    }

    fn format(&self, connector: Connector, location: &Location) -> Result<Option<Format>> {
        let known = "csv, ndjson, json, parquet, arrow";
        match self.word("format").as_deref() {
            _ if connector != Connector::File => Ok(None),
            Some("csv") => Ok(Some(Format::Csv)),
            Some("ndjson" | "json" | "jsonl") => Ok(Some(Format::Ndjson)),
            Some("parquet") => Ok(Some(Format::Parquet)),
            Some("arrow" | "ipc") => Ok(Some(Format::Arrow)),
            Some(other) => Err(self.unknown("format", other, known)),
            None => {
                let text = location.expose();
                let has_query = location.is_url() && !location.is_bucket();
                let path = text.split(['?', '#']).next().filter(|_| has_query);
                format_of(path.unwrap_or(text)).map(Some).ok_or_else(|| {
                    self.fail("needs the option \"format\": the file's ending does not tell it")
                        .with_hint(format!("one of {known}"))
                })
            }
        }
    }

    fn compression(&self) -> Result<Option<Compression>> {
        match self.word("compression").as_deref() {
            None => Ok(None),
            Some("none" | "uncompressed") => Ok(Some(Compression::None)),
            Some("gzip" | "gz") => Ok(Some(Compression::Gzip)),
            Some("zstd" | "zst") => Ok(Some(Compression::Zstd)),
            Some(other) => Err(self.unknown("compression", other, "none, gzip, zstd")),
        }
    }

    fn boolean(&self, option: &str, default: bool) -> Result<bool> {
        match self.word(option).as_deref() {
            None => Ok(default),
            Some("true" | "on" | "yes" | "1") => Ok(true),
            Some("false" | "off" | "no" | "0") => Ok(false),
            Some(other) => Err(self.unknown(option, other, "true, false")),
        }
    }

    fn dialect(&self) -> Result<CsvDialect> {
        let usual = CsvDialect::default();
        let quote = self.character("quote", usual.quote)?;
        let dialect = CsvDialect {
            delimiter: self.character("delimiter", usual.delimiter)?,
            quote,
            escape: self.character("escape", quote)?,
        };
        if dialect.delimiter == dialect.quote {
            return Err(self.fail("has the same delimiter and quote"));
        }
        Ok(dialect)
    }

    fn character(&self, option: &str, default: u8) -> Result<u8> {
        match self.map.get(option).map(|text| text.as_bytes()) {
            None => Ok(default),
            Some(b"\\t" | b"tab") => Ok(b'\t'),
            Some(&[byte]) if byte.is_ascii() && byte != b'\n' && byte != b'\r' => Ok(byte),
            Some(_) => Err(self.fail(format!(
                "has an option \"{option}\" that is not one ASCII character"
            ))),
        }
    }

    fn nulls(&self) -> Result<Vec<String>> {
        let Some(text) = self.map.get("null") else {
            return Ok(Vec::new());
        };
        if text.trim_start().starts_with('[') {
            return serde_json::from_str(text).map_err(|error| {
                self.fail(format!(
                    "has an option \"null\" that is not a list of texts: {error}"
                ))
            });
        }
        Ok(text.split(',').map(|item| item.trim().to_owned()).collect())
    }

    fn mode(&self) -> Result<Mode> {
        match self.word("mode").as_deref() {
            None | Some("once") => Ok(Mode::Once),
            Some("tail") => Ok(Mode::Tail),
            Some(other) => Err(self.unknown("mode", other, "once, tail")),
        }
    }

    fn poll(&self) -> Result<Duration> {
        let Some(word) = self.word("poll") else {
            return Ok(Duration::from_secs(1));
        };
        crate::base::clock::duration(&word)
            .ok_or_else(|| self.unknown("poll", &word, "500ms, 2s, 1m"))
    }
}
