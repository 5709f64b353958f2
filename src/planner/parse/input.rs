//! The tokens of one statement with sqlparser's grammar at hand.

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::dialect::LoticDialect;
use super::names::{Name, fold, object_name};
use super::split::{Piece, Walker};
use crate::base::{Error, Result};

pub(super) static DIALECT: LoticDialect = LoticDialect;

/// sqlparser's own bound on recursion; each bracket costs it up to three levels, and `guard` bounds brackets.
const RECURSION: usize = 1_000;

/// One statement being read.
pub(super) struct Input<'a> {
    /// sqlparser's parser over the statement's tokens.
    pub parser: Parser<'static>,
    text: &'a str,
    start: Location,
}

/// A parser over `tokens`.
pub(super) fn parser_over(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&DIALECT)
        .with_recursion_limit(RECURSION)
        .with_tokens_with_locations(tokens)
}

impl<'a> Input<'a> {
    /// Starts to read `piece`.
    pub(super) fn new(piece: Piece<'a>) -> Self {
        let Piece {
            tokens,
            text,
            start,
        } = piece;
        Self {
            parser: parser_over(tokens),
            text,
            start,
        }
    }

    /// The place of the next token.
    pub(super) fn here(&self) -> Location {
        self.parser.peek_token_ref().span.start
    }

    /// The text from `from` to `to`, or to the end.
    pub(super) fn between(&self, from: Location, to: Option<Location>) -> String {
        let mut walker = Walker::new(self.text, self.start);
        let first = walker.offset(from);
        let last = to.map_or(self.text.len(), |to| walker.offset(to));
        self.text
            .get(first..last)
            .unwrap_or("")
            .trim_end()
            .to_owned()
    }

    /// The next token as an upper-case word, or empty if it is none.
    pub(super) fn peek_word(&self) -> String {
        word_of(&self.parser.peek_token_ref().token)
    }

    /// The token after `n` others as an upper-case word.
    pub(super) fn peek_nth_word(&self, n: usize) -> String {
        word_of(&self.parser.peek_nth_token_ref(n).token)
    }

    /// Takes the words given, all or none; sqlparser need not know them as keywords.
    pub(super) fn accept(&mut self, words: &[&str]) -> bool {
        let all = words
            .iter()
            .enumerate()
            .all(|(n, word)| self.peek_nth_word(n) == *word);
        if all {
            for _ in words {
                self.parser.next_token();
            }
        }
        all
    }

    /// Takes the words given.
    pub(super) fn expect(&mut self, words: &[&str]) -> Result<()> {
        if self.accept(words) {
            Ok(())
        } else {
            self.unexpected(&words.join(" "))
        }
    }

    /// Takes `token` if it is next.
    pub(super) fn accept_token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    /// Fails at the next token.
    pub(super) fn unexpected<T>(&self, expected: &str) -> Result<T> {
        Ok(self.parser.expected(expected, self.parser.peek_token())?)
    }

    /// Fails unless everything was read.
    pub(super) fn finish(&self) -> Result<()> {
        if self.at_end() {
            Ok(())
        } else {
            self.unexpected("end of statement")
        }
    }

    /// Whether everything was read.
    pub(super) fn at_end(&self) -> bool {
        self.parser.peek_token_ref().token == Token::EOF
    }

    /// Reads a name of an object.
    pub(super) fn name(&mut self) -> Result<Name> {
        object_name(&self.parser.parse_object_name(false)?)
    }

    /// Reads an identifier.
    pub(super) fn ident(&mut self) -> Result<String> {
        Ok(fold(&self.parser.parse_identifier()?))
    }

    /// Reads `( name, ... )`, if a bracket is next.
    pub(super) fn ident_list(&mut self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        if self.accept_token(&Token::LParen) {
            loop {
                names.push(self.ident()?);
                if !self.accept_token(&Token::Comma) {
                    break;
                }
            }
            self.parser.expect_token(&Token::RParen)?;
        }
        Ok(names)
    }

    /// Reads a query.
    pub(super) fn query(&mut self) -> Result<Box<ast::Query>> {
        Ok(self.parser.parse_query()?)
    }

    /// Reads a string literal.
    pub(super) fn string(&mut self) -> Result<String> {
        Ok(self.parser.parse_literal_string()?)
    }

    /// Takes IF NOT EXISTS.
    pub(super) fn if_not_exists(&mut self) -> bool {
        self.parser
            .parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS])
    }

    /// Moves the tokens from the first `WITH (` outside of brackets (or a trailing `WITH [NO] DATA`, or `EMIT ON WINDOW`) on into
    /// a parser of their own, so that a query before them does not read them as table hints.
    pub(super) fn cut_at_with(&mut self) -> Option<Parser<'static>> {
        let mut tokens = Vec::new();
        while let Some(token) = self.parser.next_token_no_skip() {
            if !matches!(token.token, Token::Whitespace(_)) {
                tokens.push(token.clone());
            }
        }
        let mut depth = 0_usize;
        let mut cut = None;
        for (index, token) in tokens.iter().enumerate() {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            let next = tokens.get(index + 1).map(|next| &next.token);
            let options = next == Some(&Token::LParen)
                || next.is_some_and(|next| matches!(word_of(next).as_str(), "DATA" | "NO"));
            let after = tokens.get(index + 2).map(|next| word_of(&next.token));
            let emit = word_of(&token.token) == "EMIT"
                && next.is_some_and(|next| word_of(next) == "ON")
                && after.is_some_and(|after| after == "WINDOW");
            if depth == 0 && (emit || options && word_of(&token.token) == "WITH") {
                cut = Some(index);
                break;
            }
        }
        let rest = cut.map(|cut| tokens.split_off(cut));
        self.parser = parser_over(tokens);
        rest.map(parser_over)
    }
}

/// An unquoted word in upper case, or empty.
pub(super) fn word_of(token: &Token) -> String {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_uppercase(),
        _ => String::new(),
    }
}

/// An error for syntax that Lotic knows of and does not run.
pub(super) fn unsupported<T>(what: impl std::fmt::Display) -> Result<T> {
    Err(Error::unsupported(format!("{what} is not supported")))
}
