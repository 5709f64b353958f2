//! The one error type: a kind that says what the caller must do, and a message that reads like
//! PostgreSQL's (message, detail, hint, SQLSTATE).
//!
//! Messages are lower case and without a full stop. They never hold a secret.

use std::fmt;
use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};

use super::store_error::{store_error, store_error_within};

/// Stands between a column's name and its number where several columns of a query have that name. Nobody types it by
/// accident, and DataFusion takes it in a quoted name.
pub const COPY_MARK: char = '\u{1}';

/// A result with Lotic's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong: mend it.
    Invalid,
    /// A named thing does not exist.
    Missing,
    /// A named thing exists already, or is in use, or breaks a constraint.
    Conflict,
    /// Not allowed.
    Denied,
    /// A limit would be passed: ask for less or raise the setting that the hint names.
    Limit,
    /// Something outside (a server, a file) is away: try again later.
    Unavailable,
    /// Stored bytes are damaged, or the key is wrong. Nothing was returned from them.
    Corrupt,
    /// The statement was cancelled or timed out.
    Cancelled,
    /// Valid SQL that Lotic does not run.
    Unsupported,
    /// A defect of Lotic.
    Internal,
}

/// An error with its kind, SQLSTATE and texts.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    code: &'static str,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

impl Error {
    /// An error of `kind` with an explicit SQLSTATE.
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        debug_assert_eq!(code.len(), 5);
        Self(Box::new(Inner {
            kind,
            code,
            message: message.into(),
            detail: None,
            hint: None,
        }))
    }

    /// The request is malformed (22023).
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, "22023", message)
    }

    /// The SQL text does not parse (42601).
    pub fn syntax(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, "42601", message)
    }

    /// A value cannot be read as its type (22P02).
    pub fn bad_value(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, "22P02", message)
    }

    /// A relation does not exist (42P01).
    pub fn no_relation(name: impl fmt::Display) -> Self {
        Self::new(
            Kind::Missing,
            "42P01",
            format!("relation \"{name}\" does not exist"),
        )
    }

    /// A relation exists already (42P07).
    pub fn relation_exists(name: impl fmt::Display) -> Self {
        Self::new(
            Kind::Conflict,
            "42P07",
            format!("relation \"{name}\" already exists"),
        )
    }

    /// Lotic does not run this (0A000).
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, "0A000", message)
    }

    /// Not allowed (42501).
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, "42501", message)
    }

    /// A limit would be passed (54000).
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(Kind::Limit, "54000", message)
    }

    /// Memory budget reached (53200).
    pub fn out_of_memory(message: impl Into<String>) -> Self {
        Self::new(Kind::Limit, "53200", message)
    }

    /// Something outside is away (58000).
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, "58000", message)
    }

    /// Stored bytes are damaged (XX001).
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(Kind::Corrupt, "XX001", message)
    }

    /// The statement was cancelled (57014).
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(Kind::Cancelled, "57014", message)
    }

    /// A defect of Lotic (XX000).
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, "XX000", message)
    }

    /// An operation on a file failed; `what` says which and where, as in `write segment /x/y`.
    pub fn io(what: impl fmt::Display, source: &std::io::Error) -> Self {
        // A reader of ours may have put the whole error into the one that std knows.
        if let Some(own) = source
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Self>())
        {
            return own.clone();
        }
        let message = format!("could not {what}: {source}");
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::new(Kind::Limit, "53100", message).with_hint(
                    "free some space; reads go on meanwhile, and writes resume by themselves",
                )
            }
            std::io::ErrorKind::NotFound => Self::new(Kind::Missing, "58P01", message),
            _ => Self::new(Kind::Unavailable, "58030", message),
        }
    }

    /// Adds the detail line.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds the hint line.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Puts a place before the message: `pipeline.sql:12: message`.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.message = format!("{place}: {}", self.0.message);
        self
    }

    /// What the caller can do.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The SQLSTATE, five characters.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The primary message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The detail line, if any.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The hint line, if any.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(detail) = &self.0.detail {
            write!(f, "\nDETAIL: {detail}")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\nHINT: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::DivideByZero => Self::new(Kind::Invalid, "22012", "division by zero"),
            ArrowError::ArithmeticOverflow(text) => Self::new(
                Kind::Invalid,
                "22003",
                format!("value out of range: {text}"),
            ),
            ArrowError::CastError(text) | ArrowError::ParseError(text)
                if is_out_of_range(&text) =>
            {
                Self::new(Kind::Invalid, "22003", lower_first(&text))
            }
            ArrowError::CastError(text) | ArrowError::ParseError(text) => Self::bad_value(text),
            ArrowError::InvalidArgumentError(text)
                if text.contains("too large to store") || text.contains("too small to store") =>
            {
                Self::new(Kind::Invalid, "22003", lower_first(&text))
            }
            ArrowError::ExternalError(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => match other.downcast::<DataFusionError>() {
                    Ok(df) => Self::from(*df),
                    Err(other) => Self::internal(other.to_string()),
                },
            },
            ArrowError::MemoryError(text) => Self::out_of_memory(text),
            other => Self::new(Kind::Invalid, "22000", other.to_string()),
        }
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        if let Some(away) = store_error_within(&error) {
            return away;
        }
        match error {
            DataFusionError::ArrowError(inner, _) => Self::from(*inner),
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => match other.downcast::<ArrowError>() {
                    Ok(arrow) => Self::from(*arrow),
                    // What one partition of an exchange met, all partitions behind it are told.
                    Err(other) => match other.downcast::<Arc<DataFusionError>>() {
                        Ok(shared) => Self::from_shared(&shared),
                        Err(other) => Self::new(Kind::Invalid, "XX000", other.to_string()),
                    },
                },
            },
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                Self::from(*inner)
            }
            DataFusionError::Shared(inner) => Self::from_shared(&inner),
            DataFusionError::SQL(inner, _) => Self::syntax(inner.to_string()),
            DataFusionError::SchemaError(inner, _) => Self::from_schema(&inner),
            DataFusionError::Plan(text) => Self::from_plan(&text),
            DataFusionError::NotImplemented(text) => Self::unsupported(text),
            DataFusionError::ResourcesExhausted(text) => Self::out_of_memory(text)
                .with_hint("raise statement_memory, or ask for less at a time"),
            DataFusionError::Execution(text) => Self::from_execution(&text),
            DataFusionError::ObjectStore(inner) => store_error("a file", &inner),
            DataFusionError::ParquetError(inner) => {
                Self::new(Kind::Invalid, "22000", lower_first(&inner.to_string()))
            }
            DataFusionError::IoError(inner) => Self::io("read or write", &inner),
            DataFusionError::Internal(text) => {
                no_function(&text).unwrap_or_else(|| Self::internal(text))
            }
            other => Self::internal(other.strip_backtrace()),
        }
    }
}

impl Error {
    fn from_shared(inner: &DataFusionError) -> Self {
        match inner {
            DataFusionError::External(own) => match own.downcast_ref::<Self>() {
                Some(own) => own.clone(),
                None => match own.downcast_ref::<Arc<DataFusionError>>() {
                    Some(shared) => Self::from_shared(shared),
                    None => Self::internal(inner.strip_backtrace()),
                },
            },
            DataFusionError::Shared(inner) => Self::from_shared(inner),
            DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                ArrowError::DivideByZero => Self::new(Kind::Invalid, "22012", "division by zero"),
                ArrowError::ExternalError(own) if own.is::<Self>() => own
                    .downcast_ref::<Self>()
                    .map_or_else(|| Self::internal(own.to_string()), Self::clone),
                other => Self::new(Kind::Invalid, "22000", other.to_string()),
            },
            DataFusionError::ResourcesExhausted(text) => Self::out_of_memory(text.clone()),
            DataFusionError::Context(_, inner) => Self::from_shared(inner),
            DataFusionError::Execution(text) => Self::from_execution(text),
            other => Self::new(Kind::Invalid, "XX000", other.strip_backtrace()),
        }
    }

    fn from_schema(inner: &SchemaError) -> Self {
        if let SchemaError::FieldNotFound {
            field,
            valid_fields,
        } = inner
        {
            let copy = format!("{}{COPY_MARK}", field.name);
            if valid_fields
                .iter()
                .any(|known| known.name.starts_with(&copy))
            {
                let text = format!("column reference \"{}\" is ambiguous", field.name);
                return Self::new(Kind::Invalid, "42702", text);
            }
        }
        let code = match inner {
            SchemaError::AmbiguousReference { .. } => "42702",
            SchemaError::DuplicateQualifiedField { .. }
            | SchemaError::DuplicateUnqualifiedField { .. } => "42701",
            SchemaError::FieldNotFound { .. } => "42703",
        };
        Self::new(Kind::Invalid, code, lower_first(&inner.to_string()))
    }

    fn from_plan(text: &str) -> Self {
        // DataFusion has no kinds below Plan; these two are worth their SQLSTATE to every client.
        if text.starts_with("table '") && text.contains("not found") {
            let name = text.split('\'').nth(1).unwrap_or(text);
            let name = name.strip_prefix("lotic.public.").unwrap_or(name);
            return Self::no_relation(name);
        }
        if let Some(error) = no_function(text) {
            return error;
        }
        if text.starts_with("Invalid function") {
            return Self::new(Kind::Missing, "42883", lower_first(text));
        }
        let misplaced = text
            .to_ascii_lowercase()
            .contains("aggregate functions are not allowed");
        let code = if misplaced || text.contains("GROUP BY") && text.contains("must") {
            "42803"
        } else if text.contains("different number of columns") {
            "42601"
        } else {
            "42000"
        };
        Self::new(Kind::Invalid, code, lower_first(text))
    }

    fn from_execution(text: &str) -> Self {
        if text.contains("Divide by zero") || text.contains("division by zero") {
            return Self::new(Kind::Invalid, "22012", "division by zero");
        }
        if text.contains("returned more than one row") {
            let message = "more than one row returned by a subquery used as an expression";
            return Self::new(Kind::Invalid, "21000", message);
        }
        let (message, detail) = text.split_once("\nDETAIL: ").unwrap_or((text, ""));
        let error = Self::new(Kind::Invalid, execution_code(message), lower_first(message));
        if detail.is_empty() {
            return error;
        }
        error.with_detail(detail)
    }
}

/// A function that is not there for arguments of such types, told in one line and not with all that were tried.
fn no_function(text: &str) -> Option<Error> {
    const BEFORE: &str = "No function matches the given name and argument types '";
    // a function of ours that takes arguments its own way says itself what it misses
    let (reason, rest) = text.split_once(BEFORE)?;
    if reason.contains("user-defined") {
        return None;
    }
    let (call, _) = rest.split_once('\'')?;
    let error = Error::new(
        Kind::Missing,
        "42883",
        format!("function {call} does not exist"),
    );
    Some(error.with_hint(
        "No function matches the given name and argument types. You might need to add explicit type casts.",
    ))
}

/// The SQLSTATE of an error that a function of `udfs` raised: that crate knows only texts.
fn execution_code(text: &str) -> &'static str {
    const BEGINNINGS: [(&str, &str); 11] = [
        ("invalid input syntax for type", "22P02"),
        ("malformed array literal", "22P02"),
        ("path element at position", "22P02"),
        ("unsupported Unicode escape sequence", "22P05"),
        ("value overflows numeric format", "22003"),
        ("cannot get array length of", "22023"),
        ("cannot extract elements from", "22023"),
        ("cannot call jsonb_", "22023"),
        ("cannot cast jsonb", "22023"),
        ("cannot delete", "22023"),
        ("JSON is nested deeper", "54000"),
    ];
    let found = BEGINNINGS.iter().find(|(begin, _)| text.starts_with(begin));
    found.map_or("22000", |(_, code)| code)
}

/// Whether a cast failed because the number is too large for its type, not because it is no number.
fn is_out_of_range(text: &str) -> bool {
    if text.starts_with("Can't cast value") || text.contains(" is out of range ") {
        return true;
    }
    let number = text
        .strip_prefix("Cannot cast string '")
        .and_then(|rest| rest.split('\'').next());
    text.contains("Int")
        && number.is_some_and(|number| {
            let digits = number.trim_start_matches(['-', '+']);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), text.chars().nth(1)) {
        (Some(first), Some(second))
            if first.is_ascii_uppercase() && !second.is_ascii_uppercase() =>
        {
            first.to_ascii_lowercase().to_string() + chars.as_str()
        }
        _ => text.to_owned(),
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<Error> for ArrowError {
    fn from(error: Error) -> Self {
        Self::ExternalError(Box::new(error))
    }
}
