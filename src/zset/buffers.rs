//! Text and bytes that come by many ways, with each of their buffers once.
//!
//! A view column names the buffers that its values lie in. Arrow takes all of them along where it takes some of the rows, and
//! where it puts columns one behind the other it lists those of each, though they are the same: through a chain of joins the
//! lists double from join to join, until ten rows name millions.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, GenericByteViewArray, GenericByteViewBuilder, GenericListArray,
    OffsetSizeTrait, StructArray,
};
use arrow::datatypes::{BinaryViewType, ByteViewType, DataType, StringViewType};

use crate::base::Result;

/// Values of up to this many bytes lie in their view.
const INLINE_BYTES: usize = 12;
/// As many buffers more than a quarter of the rows are no waste.
const FEW: usize = 8;

/// `column`, and where it names far more buffers than its rows can need, each that they do need once. No value is copied.
///
/// # Errors
/// When a value is none of its type, which Arrow rules out.
pub(super) fn each_once(column: ArrayRef) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Utf8View if has_many(column.as_string_view()) => {
            Arc::new(named_once::<StringViewType>(column.as_string_view())?)
        }
        DataType::BinaryView if has_many(column.as_binary_view()) => {
            Arc::new(named_once::<BinaryViewType>(column.as_binary_view())?)
        }
        DataType::List(_) => list_once(column.as_list::<i32>())?.unwrap_or(column),
        DataType::LargeList(_) => list_once(column.as_list::<i64>())?.unwrap_or(column),
        DataType::Struct(_) => struct_once(column.as_struct())?.unwrap_or(column),
        _ => column,
    })
}

fn has_many<T: ByteViewType>(views: &GenericByteViewArray<T>) -> bool {
    views.data_buffers().len() > views.len() / 4 + FEW
}

fn named_once<T: ByteViewType>(views: &GenericByteViewArray<T>) -> Result<GenericByteViewArray<T>> {
    let mut once = GenericByteViewBuilder::<T>::with_capacity(views.len());
    let mut blocks = HashMap::new();
    for row in 0..views.len() {
        if views.is_null(row) {
            once.append_null();
            continue;
        }
        let value = views.value(row);
        let bytes: &[u8] = value.as_ref();
        if bytes.len() <= INLINE_BYTES {
            once.append_value(value);
            continue;
        }
        let view = arrow::array::ByteView::from(views.views()[row]);
        let buffer = &views.data_buffers()[view.buffer_index as usize];
        let block = *blocks
            .entry((buffer.as_ptr(), buffer.len()))
            .or_insert_with(|| once.append_block(buffer.clone()));
        once.try_append_view(block, view.offset, view.length)?;
    }
    Ok(once.finish())
}

fn list_once<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> Result<Option<ArrayRef>> {
    let (DataType::List(field) | DataType::LargeList(field)) = list.data_type() else {
        return Ok(None);
    };
    let values = each_once(Arc::clone(list.values()))?;
    if Arc::ptr_eq(&values, list.values()) {
        return Ok(None);
    }
    let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
    let once = GenericListArray::try_new(Arc::clone(field), offsets, values, nulls)?;
    Ok(Some(Arc::new(once)))
}

fn struct_once(whole: &StructArray) -> Result<Option<ArrayRef>> {
    let columns = whole
        .columns()
        .iter()
        .map(|column| each_once(Arc::clone(column)))
        .collect::<Result<Vec<_>>>()?;
    let mut pairs = columns.iter().zip(whole.columns());
    if pairs.all(|(once, column)| Arc::ptr_eq(once, column)) {
        return Ok(None);
    }
    let (fields, nulls) = (whole.fields().clone(), whole.nulls().cloned());
    Ok(Some(Arc::new(StructArray::try_new(
        fields, columns, nulls,
    )?)))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ListArray, StringViewArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::compute::concat;
    use arrow::datatypes::Field;

    use super::*;

    fn long(number: usize) -> String {
        format!("a text that needs a buffer, number {number}")
    }

    /// Rows of which each has its buffer, the first without a value, the last in its view.
    fn texts() -> ArrayRef {
        let parts: Vec<ArrayRef> = (0..5)
            .map(|part| match part {
                0 => Arc::new(StringViewArray::new_null(1)) as ArrayRef,
                4 => Arc::new(StringViewArray::from_iter_values(["short"])),
                part => Arc::new(StringViewArray::from_iter_values([long(part)])),
            })
            .collect();
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        concat(&parts).unwrap()
    }

    #[test]
    fn doubled_columns_keep_no_more_buffers_than_they_show() {
        let mut column = texts();
        let shown = column.to_data();
        for _ in 0..40 {
            let twice = concat(&[column.as_ref(), column.as_ref()]).unwrap();
            column = each_once(twice.slice(5, 5)).unwrap();
        }
        assert_eq!(column.to_data(), shown);
        assert!(column.as_string_view().data_buffers().len() <= 5 + FEW);
    }

    #[test]
    fn lists_and_structs_are_looked_into() {
        let mut column = texts();
        for _ in 0..4 {
            column = concat(&[column.as_ref(), column.as_ref()]).unwrap();
        }
        let values = column.slice(0, 5);
        assert_eq!(values.as_string_view().data_buffers().len(), 3 << 4);
        let field = Arc::new(Field::new("item", DataType::Utf8View, true));
        let lists = ListArray::new(field, OffsetBuffer::from_lengths([2, 3]), values, None);
        let held = Arc::new(Field::new("l", lists.data_type().clone(), true));
        let whole: ArrayRef =
            Arc::new(StructArray::from(vec![(held, Arc::new(lists) as ArrayRef)]));
        let once = each_once(Arc::clone(&whole)).unwrap();
        assert_eq!(&once, &whole);
        let values = once.as_struct().column(0).as_list::<i32>().values();
        assert_eq!(values.as_string_view().data_buffers().len(), 3);
    }

    #[test]
    fn few_buffers_stay_as_they_are() {
        let column = texts();
        assert!(Arc::ptr_eq(
            &each_once(Arc::clone(&column)).unwrap(),
            &column
        ));
    }
}
