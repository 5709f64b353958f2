//! `GET /metrics`: figures in Prometheus' text form.

use std::fmt::Write;

use axum::http::HeaderMap;

use super::{Engine, HttpError, authorize};

/// The figures of the engine.
pub(super) async fn metrics(engine: Engine, headers: HeaderMap) -> Result<String, HttpError> {
    authorize(&engine.0, &headers)?;
    let mut text = String::new();
    for figure in engine.0.figures() {
        let labels = match &figure.object {
            Some(object) => format!("{{object=\"{}\"}}", escape(object)),
            None => String::new(),
        };
        // writing to a string does not fail
        writeln!(text, "lotic_{}{labels} {}", figure.name, figure.value).ok();
    }
    Ok(text)
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
