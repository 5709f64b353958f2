//! The one place where Lotic's errors and notices become PostgreSQL's.

use pgwire::messages::response::{ErrorResponse, NoticeResponse};

use super::backend::Notice;
use crate::base::{Error, Kind};

/// An ErrorResponse with severity, SQLSTATE, message, detail and hint.
pub(crate) fn response(severity: &str, error: &Error) -> ErrorResponse {
    let mut fields = fields(severity, error.code(), error.message());
    fields.extend(error.detail().map(|detail| (b'D', clean(detail))));
    fields.extend(error.hint().map(|hint| (b'H', clean(hint))));
    ErrorResponse::new(fields)
}

/// A NoticeResponse.
pub(crate) fn notice(notice: &Notice) -> NoticeResponse {
    NoticeResponse::new(fields(notice.severity, notice.code, &notice.message))
}

/// The server goes down (57P01).
pub(crate) fn shutting_down() -> Error {
    Error::new(
        Kind::Unavailable,
        "57P01",
        "terminating connection due to administrator command",
    )
}

/// The statement was cancelled by the user (57014).
pub(crate) fn cancelled() -> Error {
    Error::cancelled("canceling statement due to user request")
}

fn fields(severity: &str, code: &str, message: &str) -> Vec<(u8, String)> {
    vec![
        (b'S', clean(severity)),
        (b'V', clean(severity)),
        (b'C', clean(code)),
        (b'M', clean(message)),
    ]
}

/// A field ends at its first zero byte, so none may be inside.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}
