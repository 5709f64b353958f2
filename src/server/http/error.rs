//! Errors as HTTP answers: a status by kind, and a JSON body with message, SQLSTATE and hint.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::base::{Error, Kind};

/// An error on its way to an HTTP client.
#[derive(Debug)]
pub enum HttpError {
    /// No token, or a wrong one.
    Unauthorized,
    /// Anything else.
    Failed(Error),
}

impl HttpError {
    /// No token, or a wrong one.
    pub fn unauthorized() -> Self {
        Self::Unauthorized
    }
}

impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let error = match self {
            Self::Unauthorized => {
                let body = Json(json!({
                    "error": "a token is needed",
                    "code": "28000",
                    "hint": "send Authorization: Bearer TOKEN; the token is in the file http-token of the data folder",
                }));
                let mut response = (StatusCode::UNAUTHORIZED, body).into_response();
                let scheme = HeaderValue::from_static("Bearer");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, scheme);
                return response;
            }
            Self::Failed(error) => error,
        };
        let status = match error.kind() {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Missing => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Denied => StatusCode::FORBIDDEN,
            Kind::Limit if error.code() == "53100" => StatusCode::INSUFFICIENT_STORAGE,
            Kind::Limit => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Unavailable | Kind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Kind::Corrupt | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let body = json!({
            "error": error.message(),
            "code": error.code(),
            "detail": error.detail(),
            "hint": error.hint(),
        });
        (status, Json(body)).into_response()
    }
}
