//! EXPLAIN.

use sqlparser::tokenizer::Token;

use super::input::{Input, unsupported};
use super::names::Name;
use super::options;
use super::statement::{self, Statement};
use crate::base::{Error, Result};

/// What EXPLAIN shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainMode {
    /// The batch plan.
    Plan,
    /// The batch plan with measured rows and times: the statement runs.
    Analyze,
    /// Which parts of a model are incremental and which are recomputed.
    Incremental,
}

/// What is explained.
#[derive(Clone, Debug, PartialEq)]
pub enum ExplainTarget {
    /// A query, INSERT, UPDATE, DELETE, or CREATE MATERIALIZED VIEW (which creates nothing).
    Statement(Box<Statement>),
    /// A model that exists.
    MaterializedView(Name),
}

/// `EXPLAIN [options] target`.
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// What to show.
    pub mode: ExplainMode,
    /// VERBOSE was written.
    pub verbose: bool,
    /// What is explained.
    pub target: ExplainTarget,
}

/// Reads what follows EXPLAIN.
pub(super) fn explain(input: &mut Input<'_>) -> Result<Explain> {
    let mut mode = ExplainMode::Plan;
    let mut verbose = false;
    if input.parser.peek_token_ref().token == Token::LParen && is_option(&input.peek_nth_word(1)) {
        input.parser.next_token();
        loop {
            option(input, &mut mode, &mut verbose)?;
            if !input.accept_token(&Token::Comma) {
                break;
            }
        }
        input.parser.expect_token(&Token::RParen)?;
    } else {
        if input.accept(&["ANALYZE"]) {
            mode = ExplainMode::Analyze;
        }
        verbose = input.accept(&["VERBOSE"]);
    }
    if input.accept(&["MATERIALIZED", "VIEW"]) {
        let target = ExplainTarget::MaterializedView(input.name()?);
        return Ok(Explain {
            mode,
            verbose,
            target,
        });
    }
    let inner = statement::read(input)?;
    match inner {
        Statement::Query(_)
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::CreateMaterializedView(_) => {}
        _ => return unsupported("EXPLAIN of this statement"),
    }
    if mode == ExplainMode::Analyze && !matches!(inner, Statement::Query(_)) {
        return unsupported("EXPLAIN ANALYZE of a statement that writes");
    }
    Ok(Explain {
        mode,
        verbose,
        target: ExplainTarget::Statement(Box::new(inner)),
    })
}

fn is_option(word: &str) -> bool {
    matches!(
        word,
        "INCREMENTAL"
            | "ANALYZE"
            | "VERBOSE"
            | "FORMAT"
            | "COSTS"
            | "TIMING"
            | "BUFFERS"
            | "SUMMARY"
    )
}

fn option(input: &mut Input<'_>, mode: &mut ExplainMode, verbose: &mut bool) -> Result<()> {
    let name = input.ident()?;
    let bare = matches!(
        input.parser.peek_token_ref().token,
        Token::Comma | Token::RParen
    );
    let value = if bare {
        "on".to_owned()
    } else {
        options::value(input)?.to_lowercase()
    };
    let on = matches!(value.as_str(), "on" | "true" | "1");
    match (name.as_str(), value.as_str()) {
        ("format", "text" | "tree") => {}
        ("format", other) => return unsupported(format!("EXPLAIN (FORMAT {other})")),
        ("analyze", _) if on => *mode = ExplainMode::Analyze,
        ("incremental", _) if on => *mode = ExplainMode::Incremental,
        ("verbose", _) => *verbose = on,
        // These only add detail to PostgreSQL's own plans; Lotic's plan text is the same with and without.
        ("analyze" | "incremental" | "costs" | "timing" | "buffers" | "summary", _) => {}
        _ => {
            return Err(Error::syntax(format!(
                "unrecognized EXPLAIN option \"{name}\""
            )));
        }
    }
    Ok(())
}
