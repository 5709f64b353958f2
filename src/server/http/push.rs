//! `POST /v1/topics/NAME`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, header};
use serde_json::{Value, json};

use super::{Engine, HttpError, authorize};
use crate::base::Error;
use crate::runtime::PushFormat;

/// Takes rows. Answers when they are on disk: how many, where they lie, and how many records could
/// not be read and are in the quarantine.
pub(super) async fn push(
    engine: Engine,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, HttpError> {
    authorize(&engine.0, &headers)?;
    let format = format_of(&headers)?;
    let pushed = engine.0.push_rows(&name, format, body).await?;
    let offsets: Vec<Value> = pushed
        .offsets
        .iter()
        .map(|(partition, first, rows)| json!({"partition": partition, "offset": first, "rows": rows}))
        .collect();
    Ok(Json(
        json!({"rows": pushed.rows, "quarantined": pushed.quarantined, "offsets": offsets}),
    ))
}

fn format_of(headers: &HeaderMap) -> Result<PushFormat, HttpError> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or("")
                .trim()
                .to_ascii_lowercase()
        });
    match given.as_deref() {
        // curl --data-binary calls everything a form
        None
        | Some(
            ""
            | "application/x-www-form-urlencoded"
            | "application/x-ndjson"
            | "application/ndjson"
            | "application/json"
            | "application/jsonl",
        ) => Ok(PushFormat::Ndjson),
        Some("text/csv") => Ok(PushFormat::Csv),
        Some("application/vnd.apache.arrow.stream") => Ok(PushFormat::ArrowIpc),
        Some(other) => Err(HttpError::Failed(
            Error::invalid(format!("Content-Type {other} is not known")).with_hint(
                "use application/x-ndjson, text/csv or application/vnd.apache.arrow.stream",
            ),
        )),
    }
}
