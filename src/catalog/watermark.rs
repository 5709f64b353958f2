//! What a source says of the time of its rows.

/// `WATERMARK FOR column AS column - delay`: rows that lie further back than the delay behind the newest time are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WatermarkDefinition {
    /// The position of the time's column, a timestamp in microseconds.
    pub column: usize,
    /// How far the watermark stays behind the newest time, in microseconds; 0 or more.
    pub delay_us: i64,
    /// After this time without a row, in microseconds, the source does not hold others back; none: it does for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_us: Option<i64>,
}
