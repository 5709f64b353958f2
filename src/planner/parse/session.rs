//! SET, RESET, SHOW and transactions.

use sqlparser::tokenizer::Token;

use super::input::{Input, unsupported};
use super::names::Name;
use super::options;
use super::statement::Statement;
use crate::base::{Error, Result};

/// What a setting is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    /// One value, or several for settings that are lists.
    Values(Vec<String>),
    /// DEFAULT, as RESET.
    Default,
}

/// What SHOW asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// A setting, in lower case.
    Setting(String),
    /// All settings.
    All,
    /// Tables.
    Tables,
    /// Sources.
    Sources,
    /// Views.
    Views,
    /// Models.
    MaterializedViews,
    /// Sinks.
    Sinks,
    /// Topics.
    Topics,
    /// The columns of a relation: SHOW COLUMNS FROM x.
    Columns(Name),
}

/// Reads what follows SHOW.
pub(super) fn show(input: &mut Input<'_>) -> Result<Show> {
    for (words, show) in [
        (&["TABLES"][..], Show::Tables),
        (&["SOURCES"], Show::Sources),
        (&["VIEWS"], Show::Views),
        (&["MATERIALIZED", "VIEWS"], Show::MaterializedViews),
        (&["SINKS"], Show::Sinks),
        (&["TOPICS"], Show::Topics),
        (&["ALL"], Show::All),
        (&["TIME", "ZONE"], Show::Setting("timezone".to_owned())),
        (
            &["TRANSACTION", "ISOLATION", "LEVEL"],
            Show::Setting("transaction_isolation".to_owned()),
        ),
        (
            &["SESSION", "AUTHORIZATION"],
            Show::Setting("session_authorization".to_owned()),
        ),
    ] {
        if input.accept(words) {
            return Ok(show);
        }
    }
    if input.accept(&["COLUMNS", "FROM"]) || input.accept(&["COLUMNS", "IN"]) {
        return Ok(Show::Columns(input.name()?));
    }
    Ok(Show::Setting(setting(input)?))
}

/// Reads the dotted name of a setting, in lower case.
fn setting(input: &mut Input<'_>) -> Result<String> {
    let mut name = input.ident()?.to_lowercase();
    while input.accept_token(&Token::Period) {
        name.push('.');
        name.push_str(&input.ident()?.to_lowercase());
    }
    Ok(name)
}

/// Reads what follows SET.
pub(super) fn set(input: &mut Input<'_>) -> Result<Statement> {
    if input.accept(&["SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"]) {
        modes(input)?;
        return Ok(Statement::SetTransaction);
    }
    if input.accept(&["TRANSACTION"]) {
        modes(input)?;
        return Ok(Statement::SetTransaction);
    }
    for words in [
        &["SESSION", "AUTHORIZATION"][..],
        &["ROLE"],
        &["CONSTRAINTS"],
    ] {
        if input.accept(words) {
            return unsupported(format!("SET {}", words.join(" ")));
        }
    }
    let local = input.accept(&["LOCAL"]);
    if !local {
        input.accept(&["SESSION"]);
    }
    if input.accept(&["TIME", "ZONE"]) {
        let value = set_values(input, &["LOCAL"])?;
        return Ok(Statement::Set {
            name: "timezone".to_owned(),
            value,
            local,
        });
    }
    if input.accept(&["NAMES"]) {
        let value = set_values(input, &[])?;
        return Ok(Statement::Set {
            name: "client_encoding".to_owned(),
            value,
            local,
        });
    }
    let name = setting(input)?;
    if !input.accept(&["TO"]) && !input.accept_token(&Token::Eq) {
        return input.unexpected("TO or =");
    }
    let value = set_values(input, &[])?;
    Ok(Statement::Set { name, value, local })
}

fn set_values(input: &mut Input<'_>, defaults: &[&str]) -> Result<SetValue> {
    if input.accept(&["DEFAULT"]) || defaults.iter().any(|word| input.accept(&[word])) {
        return Ok(SetValue::Default);
    }
    let mut values = vec![options::value(input)?];
    while input.accept_token(&Token::Comma) {
        values.push(options::value(input)?);
    }
    Ok(SetValue::Values(values))
}

/// Reads what follows RESET.
pub(super) fn reset(input: &mut Input<'_>) -> Result<Statement> {
    if input.accept(&["ALL"]) {
        return Ok(Statement::Reset { name: None });
    }
    if input.accept(&["TIME", "ZONE"]) {
        return Ok(Statement::Reset {
            name: Some("timezone".to_owned()),
        });
    }
    Ok(Statement::Reset {
        name: Some(setting(input)?),
    })
}

/// Reads the transaction modes after BEGIN; true when READ ONLY is among them.
fn modes(input: &mut Input<'_>) -> Result<bool> {
    let mut read_only = false;
    loop {
        if input.accept(&["READ", "ONLY"]) {
            read_only = true;
        } else if input.accept(&["ISOLATION", "LEVEL"]) {
            let known = input.accept(&["SERIALIZABLE"])
                || input.accept(&["REPEATABLE", "READ"])
                || input.accept(&["READ", "COMMITTED"])
                || input.accept(&["READ", "UNCOMMITTED"]);
            if !known {
                return input.unexpected("an isolation level");
            }
        } else if !(input.accept(&["READ", "WRITE"])
            || input.accept(&["DEFERRABLE"])
            || input.accept(&["NOT", "DEFERRABLE"])
            || input.accept_token(&Token::Comma))
        {
            return Ok(read_only);
        }
    }
}

/// Reads what follows BEGIN or START.
pub(super) fn begin(input: &mut Input<'_>, start: bool) -> Result<Statement> {
    let noise = input.accept(&["TRANSACTION"]) || (!start && input.accept(&["WORK"]));
    if start && !noise {
        return input.unexpected("TRANSACTION");
    }
    Ok(Statement::Begin {
        read_only: modes(input)?,
    })
}

/// Reads what follows COMMIT, END, ROLLBACK or ABORT.
pub(super) fn end(input: &mut Input<'_>, statement: Statement) -> Result<Statement> {
    if !input.accept(&["WORK"]) {
        input.accept(&["TRANSACTION"]);
    }
    if matches!(input.peek_word().as_str(), "TO") {
        return savepoint();
    }
    if input.accept(&["AND", "CHAIN"]) {
        return unsupported("AND CHAIN");
    }
    input.accept(&["AND", "NO", "CHAIN"]);
    Ok(statement)
}

/// Savepoints are refused by name: a client that relies on them must not believe that it has one.
pub(super) fn savepoint() -> Result<Statement> {
    Err(Error::unsupported("savepoints are not supported")
        .with_hint("commit each statement on its own"))
}
