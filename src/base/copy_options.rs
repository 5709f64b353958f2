//! The options of COPY, both ways, as PostgreSQL names them.

use crate::base::{Error, Result};

/// The format of a COPY. Binary is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// A line a row, tabulators between, backslash escapes.
    Text,
    /// Comma-separated values.
    Csv,
}

/// How a COPY reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// The format.
    pub format: CopyFormat,
    /// Whether the first line holds names.
    pub header: bool,
    /// Between fields.
    pub delimiter: u8,
    /// The text of NULL.
    pub null: String,
    /// Around fields (CSV).
    pub quote: u8,
    /// Before a quote within quotes (CSV).
    pub escape: u8,
    /// Quotes every value that is not NULL (CSV, COPY TO).
    pub force_quote: bool,
}

impl CopyOptions {
    /// PostgreSQL's text format.
    pub fn text() -> Self {
        Self {
            format: CopyFormat::Text,
            header: false,
            delimiter: b'\t',
            null: "\\N".to_owned(),
            quote: b'"',
            escape: b'"',
            force_quote: false,
        }
    }

    /// PostgreSQL's CSV format.
    pub fn csv() -> Self {
        Self {
            format: CopyFormat::Csv,
            delimiter: b',',
            null: String::new(),
            ..Self::text()
        }
    }

    /// Checks options as they were written: names in any case with their values, an option without a value
    /// as an empty one.
    ///
    /// # Errors
    /// An option that is unknown, malformed or that does not go with the others.
    pub fn new(written: &[(String, String)]) -> Result<Self> {
        let find = |name: &str| {
            let found = written
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let mut options = match find("format").map(str::to_ascii_lowercase).as_deref() {
            None | Some("text") => Self::text(),
            Some("csv") => Self::csv(),
            Some("binary") => {
                return Err(Error::unsupported("COPY in binary format is not supported")
                    .with_hint("use FORMAT text or FORMAT csv"));
            }
            Some(other) => {
                return Err(Error::invalid(format!(
                    "COPY format \"{other}\" not recognized"
                )));
            }
        };
        if let Some(quote) = find("quote") {
            options.quote = options.for_csv("quote", quote)?;
            options.escape = options.quote;
        }
        for (name, value) in written {
            match name.to_ascii_lowercase().as_str() {
                "format" | "quote" => {}
                "header" => options.header = boolean(value)?,
                "delimiter" => options.delimiter = single("delimiter", value)?,
                "null" => options.null.clone_from(value),
                "escape" => options.escape = options.for_csv("escape", value)?,
                "force_quote" if value.trim() == "*" => options.force_quote = true,
                "encoding" if matches!(value.to_ascii_lowercase().as_str(), "utf8" | "utf-8") => {}
                "freeze" => {}
                other => {
                    return Err(
                        Error::unsupported(format!("COPY option \"{other}\" = '{value}'"))
                            .with_hint(
                                "format, header, delimiter, null, quote, escape, encoding 'utf8'",
                            ),
                    );
                }
            }
        }
        options.check()?;
        Ok(options)
    }

    fn for_csv(&self, name: &str, value: &str) -> Result<u8> {
        if self.format != CopyFormat::Csv {
            return Err(Error::unsupported(format!("COPY {name} requires CSV mode")));
        }
        single(name, value)
    }

    fn check(&self) -> Result<()> {
        let fail = |text: &str| Err(Error::invalid(text.to_owned()));
        if self.null.contains(['\n', '\r']) {
            return fail("COPY null representation cannot use newline or carriage return");
        }
        if self.null.as_bytes().contains(&self.delimiter) {
            return fail("COPY delimiter character must not appear in the NULL specification");
        }
        if self.format == CopyFormat::Csv && self.delimiter == self.quote {
            return fail("COPY delimiter and quote must be different");
        }
        let taken = b"\\.abcdefghijklmnopqrstuvwxyz0123456789";
        if self.format == CopyFormat::Text && taken.contains(&self.delimiter) {
            return fail("COPY delimiter cannot be a backslash, dot, lower-case letter or digit");
        }
        Ok(())
    }
}

fn single(name: &str, value: &str) -> Result<u8> {
    match value.as_bytes() {
        &[byte] if byte.is_ascii() && byte != b'\n' && byte != b'\r' => Ok(byte),
        b"\\t" => Ok(b'\t'),
        _ => Err(Error::invalid(format!(
            "COPY {name} must be a single one-byte character"
        ))),
    }
}

fn boolean(value: &str) -> Result<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "" | "true" | "on" | "1" | "match" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        other => Err(Error::invalid(format!(
            "COPY header requires a Boolean value, not '{other}'"
        ))),
    }
}
