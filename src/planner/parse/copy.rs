//! COPY from the client and to the client. Files and programs of the server are out of reach (42501).

use sqlparser::ast;
use sqlparser::tokenizer::Token;

use super::input::{Input, unsupported};
use super::names::Name;
use super::options;
use crate::base::{Error, Result};

/// How COPY data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// PostgreSQL's tab-separated text.
    Text,
    /// CSV.
    Csv,
    /// PostgreSQL's binary form.
    Binary,
}

/// The options of COPY, defaults filled in by format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// The form.
    pub format: CopyFormat,
    /// A header line: skipped when reading, written when writing.
    pub header: bool,
    /// HEADER MATCH: the header must name the columns.
    pub header_match: bool,
    /// One byte.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: String,
    /// CSV only, one byte.
    pub quote: u8,
    /// CSV only, one byte.
    pub escape: u8,
}

/// COPY table (columns) FROM STDIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyFrom {
    /// Where to.
    pub table: Name,
    /// The target columns; empty means all in order.
    pub columns: Vec<String>,
    /// How it is written.
    pub options: CopyOptions,
}

/// What COPY TO sends.
#[derive(Clone, Debug, PartialEq)]
pub enum CopySource {
    /// A relation; no columns means all.
    Relation {
        /// Which.
        name: Name,
        /// Which of its columns.
        columns: Vec<String>,
    },
    /// A query.
    Query(Box<ast::Query>),
}

/// COPY ... TO STDOUT.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyTo {
    /// What to send.
    pub source: CopySource,
    /// How to write it.
    pub options: CopyOptions,
}

/// Either direction.
pub(super) enum Copy {
    /// From the client.
    From(CopyFrom),
    /// To the client.
    To(CopyTo),
}

/// Reads what follows COPY.
pub(super) fn copy(input: &mut Input<'_>) -> Result<Copy> {
    if input.accept_token(&Token::LParen) {
        let query = input.query()?;
        input.parser.expect_token(&Token::RParen)?;
        input.expect(&["TO"])?;
        stream(input, "STDOUT")?;
        let options = copy_options(input)?;
        return Ok(Copy::To(CopyTo {
            source: CopySource::Query(query),
            options,
        }));
    }
    let name = input.name()?;
    let columns = input.ident_list()?;
    if input.accept(&["FROM"]) {
        stream(input, "STDIN")?;
        let options = copy_options(input)?;
        if input.peek_word() == "WHERE" {
            return unsupported("COPY ... WHERE");
        }
        return Ok(Copy::From(CopyFrom {
            table: name,
            columns,
            options,
        }));
    }
    input.expect(&["TO"])?;
    stream(input, "STDOUT")?;
    let options = copy_options(input)?;
    Ok(Copy::To(CopyTo {
        source: CopySource::Relation { name, columns },
        options,
    }))
}

fn stream(input: &mut Input<'_>, word: &str) -> Result<()> {
    let file = matches!(
        input.parser.peek_token_ref().token,
        Token::SingleQuotedString(_)
    );
    if file || input.peek_word() == "PROGRAM" {
        let what = if file { "files" } else { "programs" };
        return Err(Error::denied(format!(
            "COPY to or from {what} of the server is not allowed"
        ))
        .with_hint(
            "use COPY ... FROM STDIN or TO STDOUT; psql's \\copy reads and writes your own files",
        ));
    }
    input.expect(&[word])
}

/// Options as written, before the defaults of the format are known.
#[derive(Default)]
struct Written {
    format: Option<CopyFormat>,
    header: bool,
    header_match: bool,
    delimiter: Option<u8>,
    null: Option<String>,
    quote: Option<u8>,
    escape: Option<u8>,
}

fn copy_options(input: &mut Input<'_>) -> Result<CopyOptions> {
    let mut written = Written::default();
    input.accept(&["WITH"]);
    if input.accept_token(&Token::LParen) {
        loop {
            bracketed(input, &mut written)?;
            if !input.accept_token(&Token::Comma) {
                break;
            }
        }
        input.parser.expect_token(&Token::RParen)?;
    } else {
        while bare(input, &mut written)? {}
    }
    complete(written)
}

fn bracketed(input: &mut Input<'_>, written: &mut Written) -> Result<()> {
    let name = input.ident()?;
    let bare = matches!(
        input.parser.peek_token_ref().token,
        Token::Comma | Token::RParen
    );
    if input.parser.peek_token_ref().token == Token::LParen
        || (name.starts_with("force_") || name == "on_error")
    {
        return unsupported(format!("COPY option {}", name.to_uppercase()));
    }
    let value = if bare {
        "true".to_owned()
    } else {
        options::value(input)?
    };
    match name.as_str() {
        "format" => written.format = Some(format(&value)?),
        "header" => header(&value, written)?,
        "delimiter" => written.delimiter = Some(one_byte("delimiter", &value)?),
        "null" => written.null = Some(value),
        "quote" => written.quote = Some(one_byte("quote", &value)?),
        "escape" => written.escape = Some(one_byte("escape", &value)?),
        "encoding" => encoding(&value)?,
        // There is nothing to freeze: rows are visible when the statement has returned.
        "freeze" => {}
        _ => return Err(Error::syntax(format!("option \"{name}\" not recognized"))),
    }
    Ok(())
}

/// One option of the form before PostgreSQL 9: `COPY t FROM STDIN CSV HEADER DELIMITER ','`.
fn bare(input: &mut Input<'_>, written: &mut Written) -> Result<bool> {
    if input.accept(&["CSV"]) {
        written.format = Some(CopyFormat::Csv);
    } else if input.accept(&["BINARY"]) {
        written.format = Some(CopyFormat::Binary);
    } else if input.accept(&["HEADER"]) {
        written.header = true;
    } else if input.accept(&["DELIMITER"]) || input.accept(&["DELIMITERS"]) {
        input.accept(&["AS"]);
        written.delimiter = Some(one_byte("delimiter", &options::value(input)?)?);
    } else if input.accept(&["NULL"]) {
        input.accept(&["AS"]);
        written.null = Some(options::value(input)?);
    } else if input.accept(&["QUOTE"]) {
        input.accept(&["AS"]);
        written.quote = Some(one_byte("quote", &options::value(input)?)?);
    } else if input.accept(&["ESCAPE"]) {
        input.accept(&["AS"]);
        written.escape = Some(one_byte("escape", &options::value(input)?)?);
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn format(value: &str) -> Result<CopyFormat> {
    match value.to_lowercase().as_str() {
        "text" => Ok(CopyFormat::Text),
        "csv" => Ok(CopyFormat::Csv),
        "binary" => Ok(CopyFormat::Binary),
        _ => Err(Error::invalid(format!(
            "COPY format \"{value}\" not recognized"
        ))),
    }
}

fn header(value: &str, written: &mut Written) -> Result<()> {
    match value.to_lowercase().as_str() {
        "true" | "on" | "1" => written.header = true,
        "false" | "off" | "0" => written.header = false,
        "match" => {
            written.header = true;
            written.header_match = true;
        }
        _ => {
            return Err(Error::invalid(
                "header requires a Boolean value or \"match\"",
            ));
        }
    }
    Ok(())
}

fn encoding(value: &str) -> Result<()> {
    match value.to_uppercase().as_str() {
        "UTF8" | "UTF-8" | "UNICODE" => Ok(()),
        _ => unsupported(format!("COPY encoding {value}")),
    }
}

fn one_byte(what: &str, value: &str) -> Result<u8> {
    match value.as_bytes() {
        [byte] if !matches!(byte, b'\r' | b'\n' | 0) => Ok(*byte),
        _ => Err(Error::invalid(format!(
            "COPY {what} must be a single one-byte character"
        ))),
    }
}

fn complete(written: Written) -> Result<CopyOptions> {
    let format = written.format.unwrap_or(CopyFormat::Text);
    let csv = format == CopyFormat::Csv;
    if !csv && (written.quote.is_some() || written.escape.is_some()) {
        return Err(Error::invalid("COPY quote and escape require CSV mode"));
    }
    let plain = written.delimiter.is_none() && written.null.is_none() && !written.header;
    if format == CopyFormat::Binary && !plain {
        return Err(Error::syntax(
            "cannot specify DELIMITER, NULL or HEADER in BINARY mode",
        ));
    }
    let quote = written.quote.unwrap_or(b'"');
    let options = CopyOptions {
        format,
        header: written.header,
        header_match: written.header_match,
        delimiter: written.delimiter.unwrap_or(if csv { b',' } else { b'\t' }),
        null: written
            .null
            .unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() }),
        quote,
        escape: written.escape.unwrap_or(quote),
    };
    if csv && options.quote == options.delimiter {
        return Err(Error::invalid("COPY delimiter and quote must be different"));
    }
    Ok(options)
}
