//! Asking an engine in this process.

use std::sync::Arc;

use arrow::array::RecordBatch;
use lotic::runtime::Lotic;

/// The rows of the last of these statements as text, commas between columns.
pub(crate) async fn ask(lotic: &Arc<Lotic>, sql: &str) -> Vec<String> {
    let answers = lotic.session("lotic").run(sql).await.unwrap();
    lines(&answers.last().unwrap().1, ",")
}

/// Each row as text, `between` its columns.
pub(crate) fn lines(batches: &[RecordBatch], between: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch
                .columns()
                .iter()
                .map(|column| arrow::util::display::array_value_to_string(column, row).unwrap());
            lines.push(cells.collect::<Vec<_>>().join(between));
        }
    }
    lines
}
