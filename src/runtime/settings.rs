//! The settings that a session may change, and those that it may only read.
//!
//! An allow-list: nothing passes through to DataFusion's own configuration, so no statement can
//! lift a limit or point the engine at a file.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::clock::{BareUnit, length_of_time};
use crate::base::{Error, Kind, Result};

/// How a setting behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Any text.
    Free,
    /// Fixed: SET to the same value is accepted, any other is refused.
    Fixed,
    /// A time: `1500`, `'2s'`, `'5min'`, `0` for none.
    Duration,
    /// A time zone that Lotic computes in.
    TimeZone,
    /// `on` or `off`.
    Bool,
}

struct Setting {
    name: &'static str,
    initial: &'static str,
    rule: Rule,
    about: &'static str,
    /// Clients are told of a change.
    reported: bool,
}

const fn setting(
    name: &'static str,
    initial: &'static str,
    rule: Rule,
    reported: bool,
    about: &'static str,
) -> Setting {
    Setting {
        name,
        initial,
        rule,
        about,
        reported,
    }
}

/// All of them, by name.
const SETTINGS: &[Setting] = &[
    setting(
        "application_name",
        "",
        Rule::Free,
        true,
        "what the client calls itself",
    ),
    setting(
        "bytea_output",
        "hex",
        Rule::Fixed,
        false,
        "text form of bytea",
    ),
    setting(
        "client_encoding",
        "UTF8",
        Rule::Fixed,
        true,
        "encoding of text on the wire",
    ),
    setting(
        "client_min_messages",
        "notice",
        Rule::Free,
        false,
        "accepted, not used",
    ),
    setting(
        "datestyle",
        "ISO, MDY",
        Rule::Free,
        true,
        "dates are always written as ISO 8601",
    ),
    setting(
        "default_transaction_isolation",
        "serializable",
        Rule::Free,
        false,
        "reads of a transaction see one epoch",
    ),
    setting(
        "default_transaction_read_only",
        "off",
        Rule::Bool,
        false,
        "accepted, not used",
    ),
    setting(
        "extra_float_digits",
        "1",
        Rule::Free,
        false,
        "floats are always written exactly",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        "0",
        Rule::Duration,
        false,
        "accepted, not used",
    ),
    setting(
        "integer_datetimes",
        "on",
        Rule::Fixed,
        true,
        "times are microseconds",
    ),
    setting(
        "intervalstyle",
        "postgres",
        Rule::Free,
        false,
        "text form of intervals",
    ),
    setting(
        "is_superuser",
        "on",
        Rule::Fixed,
        true,
        "whether the user may do all",
    ),
    setting(
        "lc_collate",
        "C",
        Rule::Fixed,
        false,
        "text sorts by code point",
    ),
    setting(
        "lc_messages",
        "C",
        Rule::Free,
        false,
        "language of messages",
    ),
    setting(
        "lock_timeout",
        "0",
        Rule::Duration,
        false,
        "accepted, not used",
    ),
    setting(
        "max_identifier_length",
        "63",
        Rule::Fixed,
        false,
        "longest name",
    ),
    setting(
        "read_after_write",
        "on",
        Rule::Bool,
        false,
        "a statement sees what the session has written",
    ),
    setting(
        "row_security",
        "off",
        Rule::Free,
        false,
        "accepted, not used",
    ),
    setting(
        "search_path",
        "public",
        Rule::Free,
        false,
        "names without a schema are in public",
    ),
    setting(
        "server_encoding",
        "UTF8",
        Rule::Fixed,
        true,
        "encoding of stored text",
    ),
    setting(
        "server_version",
        "15.0",
        Rule::Fixed,
        true,
        "the PostgreSQL that clients may assume",
    ),
    setting(
        "server_version_num",
        "150000",
        Rule::Fixed,
        false,
        "the same as a number",
    ),
    setting(
        "session_authorization",
        "lotic",
        Rule::Free,
        true,
        "the user",
    ),
    setting(
        "standard_conforming_strings",
        "on",
        Rule::Fixed,
        true,
        "backslashes in strings are plain",
    ),
    setting(
        "statement_timeout",
        "0",
        Rule::Duration,
        false,
        "longest time for a statement; 0 for none",
    ),
    setting(
        "synchronous_commit",
        "on",
        Rule::Free,
        false,
        "accepted; durability is set on the table",
    ),
    setting(
        "timezone",
        "UTC",
        Rule::TimeZone,
        true,
        "time zone of timestamptz texts",
    ),
    setting(
        "transaction_isolation",
        "serializable",
        Rule::Free,
        false,
        "reads of a transaction see one epoch",
    ),
    setting(
        "transaction_read_only",
        "off",
        Rule::Bool,
        false,
        "accepted, not used",
    ),
];

/// The settings of one session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    changed: BTreeMap<&'static str, String>,
    reports: Vec<(String, String)>,
}

impl Settings {
    /// The value of `name`.
    ///
    /// # Errors
    /// 42704 when there is no such setting.
    pub(crate) fn get(&self, name: &str) -> Result<&str> {
        let setting = find(name)?;
        Ok(self
            .changed
            .get(setting.name)
            .map_or(setting.initial, String::as_str))
    }

    /// Every setting: name, value, what it is.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &str, &'static str)> {
        SETTINGS.iter().map(|setting| {
            let value = self
                .changed
                .get(setting.name)
                .map_or(setting.initial, String::as_str);
            (setting.name, value, setting.about)
        })
    }

    /// Changes `name`.
    ///
    /// # Errors
    /// 42704 for an unknown name, 55P02 for one that is fixed, 22023 for a bad value.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = find(name)?;
        let bad = || {
            Error::invalid(format!(
                "invalid value for parameter \"{}\": \"{value}\"",
                setting.name
            ))
        };
        match setting.rule {
            Rule::Free => {}
            Rule::Fixed => {
                let same = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
                if same(value) != same(setting.initial) && same(value) != "unicode" {
                    return Err(Error::new(
                        Kind::Denied,
                        "55P02",
                        format!("parameter \"{}\" cannot be changed", setting.name),
                    ));
                }
                return Ok(());
            }
            Rule::Duration => {
                parse_duration(value).ok_or_else(bad)?;
            }
            Rule::TimeZone => {
                if !["utc", "gmt", "etc/utc", "zulu"].contains(&value.to_ascii_lowercase().as_str())
                {
                    return Err(bad().with_hint(
                        "timestamptz values are shown in UTC; use AT TIME ZONE in the query for another",
                    ));
                }
            }
            Rule::Bool => {
                parse_bool(value).ok_or_else(bad)?;
            }
        }
        if setting.reported {
            self.reports
                .push((display_name(setting.name).to_owned(), value.to_owned()));
        }
        self.changed.insert(setting.name, value.to_owned());
        Ok(())
    }

    /// Puts `name` back to its initial value, or all.
    ///
    /// # Errors
    /// 42704 for an unknown name.
    pub(crate) fn reset(&mut self, name: Option<&str>) -> Result<()> {
        match name {
            Some(name) => {
                self.changed.remove(find(name)?.name);
            }
            None => self.changed.clear(),
        }
        Ok(())
    }

    /// The longest time for a statement, where the session has set one.
    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        parse_duration(self.changed.get("statement_timeout")?)
    }

    /// Whether a statement waits for the session's own writes.
    pub(crate) fn read_after_write(&self) -> bool {
        self.changed
            .get("read_after_write")
            .and_then(|v| parse_bool(v))
            .unwrap_or(true)
    }

    /// Changes that the client is to be told of.
    pub(crate) fn take_reports(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.reports)
    }
}

fn find(name: &str) -> Result<&'static Setting> {
    let wanted = match name.to_ascii_lowercase().as_str() {
        "time zone" | "time_zone" => "timezone".to_owned(),
        "names" => "client_encoding".to_owned(),
        "transaction isolation level" => "transaction_isolation".to_owned(),
        other => other.to_owned(),
    };
    SETTINGS
        .iter()
        .find(|setting| setting.name == wanted)
        .ok_or_else(|| {
            Error::new(
                Kind::Missing,
                "42704",
                format!("unrecognized configuration parameter \"{name}\""),
            )
            .with_hint("SHOW ALL lists the parameters; limits of the server are set when it starts")
        })
}

/// The spelling that PostgreSQL's clients look for.
fn display_name(name: &str) -> &str {
    match name {
        "timezone" => "TimeZone",
        "datestyle" => "DateStyle",
        other => other,
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" | "t" => Some(true),
        "off" | "false" | "no" | "0" | "f" => Some(false),
        _ => None,
    }
}

/// A time as PostgreSQL writes settings: a bare number is milliseconds, and zero is none.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    length_of_time(text, BareUnit::Milliseconds)
}
