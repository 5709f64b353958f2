//! What rows take, when buffers that they share with others are not theirs to count.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;

/// Bytes of the batch's columns. Of a text column it counts the views and the text that they show,
/// where Arrow counts the whole of every buffer that one view points into, once a slice.
pub fn own_bytes(batch: &RecordBatch) -> usize {
    let shown = |views: &[u128]| {
        // the low half of a view's first word is its length; up to 12 bytes lie in the view
        let lengths = views
            .iter()
            .map(|view| (view & u128::from(u32::MAX)) as usize);
        lengths.filter(|length| *length > 12).sum::<usize>() + size_of_val(views)
    };
    let columns = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Utf8View => shown(column.as_string_view().views()),
            DataType::BinaryView => shown(column.as_binary_view().views()),
            _ => column
                .to_data()
                .get_slice_memory_size()
                .unwrap_or_else(|_| column.get_array_memory_size()),
        });
    columns.sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringViewArray};

    use super::*;

    #[test]
    fn slice_counts_its_own_text_alone() {
        let texts = StringViewArray::from_iter_values(["short", "a text that needs a buffer"]);
        let column: ArrayRef = Arc::new(texts);
        let batch = RecordBatch::try_from_iter([("t", column)]).expect("a batch");
        assert_eq!(own_bytes(&batch), 2 * 16 + 26);
        assert_eq!(own_bytes(&batch.slice(0, 1)), 16);
    }
}
