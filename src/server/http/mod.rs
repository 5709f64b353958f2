//! HTTP: pushing rows into topics, and the questions that monitors ask.
//!
//! | route | what |
//! |---|---|
//! | `POST /v1/topics/NAME` | rows as NDJSON, CSV or Arrow IPC; the answer names their offsets once they are on disk |
//! | `GET /health` | `ok`, without a token |
//! | `GET /metrics` | figures for Prometheus |
//!
//! Every route but `/health` takes `Authorization: Bearer TOKEN`, the token being in the data folder.

mod error;
mod metrics;
mod push;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};

use crate::runtime::Lotic;

pub use error::HttpError;

/// The largest body of one push, in bytes.
pub const MAX_BODY_BYTES: usize = 64 << 20;

/// The routes over one engine.
pub fn router(lotic: Arc<Lotic>) -> Router {
    Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/topics/{name}", post(push::push))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(lotic)
}

type Engine = State<Arc<Lotic>>;

/// Refuses a request without the token.
fn authorize(lotic: &Lotic, headers: &HeaderMap) -> Result<(), HttpError> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    match token {
        Some(token) if lotic.check_http_token(token.trim()) => Ok(()),
        _ => Err(HttpError::unauthorized()),
    }
}
