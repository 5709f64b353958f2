//! Cells to columns: each column by its declared type, each row that does not fit set apart.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, BooleanArray, BooleanBuilder, LargeStringBuilder,
    ListArray, PrimitiveBuilder, RecordBatch, RecordBatchOptions, StringArray, StringViewBuilder,
    new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Schema, SchemaRef, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use lotic_udfs::json;

use super::arrays;
use super::cells::{CellKind, Cells};
use super::values;
use crate::base::{Error, Result};

/// How cells of a format read as values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Texts that mean NULL.
    pub(crate) nulls: Vec<Vec<u8>>,
    /// A bare empty cell is NULL (files); COPY decides by its own marker.
    pub(crate) empty_is_null: bool,
    /// Markers count in quotes too (JSON, where every text is quoted).
    pub(crate) quoted_markers: bool,
    /// Numbers as PostgreSQL's input functions take them: no `1.0` in an integer.
    pub(crate) exact: bool,
}

impl Rules {
    /// Whether a cell of a column whose type is not known yet reads as NULL.
    pub(crate) fn reads_null(&self, kind: CellKind, bytes: &[u8]) -> bool {
        self.is_null(kind, bytes, false)
    }

    fn is_null(&self, kind: CellKind, bytes: &[u8], text: bool) -> bool {
        match kind {
            CellKind::Null => true,
            CellKind::Nested => false,
            CellKind::Plain => {
                (self.empty_is_null && bytes.is_empty())
                    || self.nulls.iter().any(|null| null == bytes)
            }
            CellKind::Quoted if text && !self.quoted_markers => false,
            // A quoted empty number or date can only mean that there is none.
            CellKind::Quoted => {
                (!text && self.empty_is_null && bytes.is_empty())
                    || self.nulls.iter().any(|null| null == bytes)
            }
        }
    }
}

/// Where the columns of a schema lie in the cells, and which of them are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) schema: SchemaRef,
    /// For each field of `schema`, its cell.
    pub(crate) cells: Vec<usize>,
    /// Fields to return, in order. The others are still checked: which rows are good must not depend
    /// on what a query asks for.
    pub(crate) projection: Vec<usize>,
    pub(crate) projected: SchemaRef,
}

impl Layout {
    pub(crate) fn new(
        schema: &SchemaRef,
        cells: Vec<usize>,
        projection: Option<&[usize]>,
    ) -> Result<Self> {
        let projection: Vec<usize> =
            projection.map_or_else(|| (0..schema.fields().len()).collect(), <[usize]>::to_vec);
        let projected = Arc::new(schema.project(&projection)?);
        Ok(Self {
            schema: Arc::clone(schema),
            cells,
            projection,
            projected,
        })
    }
}

/// Why a row does not fit its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: String,
    /// A NOT NULL column has no value; otherwise a value does not fit its type.
    pub(crate) missing: bool,
}

/// The rows that do not fit, by their place in the cells.
pub(crate) type Faults = BTreeMap<usize, Fault>;

/// Reads all rows of `cells`; rows in the faults are not in the batch.
pub(crate) fn read_batch(
    cells: &Cells,
    layout: &Layout,
    rules: &Rules,
) -> Result<(RecordBatch, Faults)> {
    let mut faults = Faults::new();
    let valid_text = std::str::from_utf8(&cells.chunk).is_ok();
    let mut columns: Vec<Option<ArrayRef>> = vec![None; layout.schema.fields().len()];
    for (index, field) in layout.schema.fields().iter().enumerate() {
        let wanted = layout.projection.contains(&index);
        if !wanted && valid_text && is_text(field.data_type()) && field.is_nullable() {
            continue;
        }
        let mut column = Column {
            cells,
            index: layout.cells[index],
            field,
            rules,
            faults: &mut faults,
        };
        let array = column.read()?;
        columns[index] = wanted.then_some(array);
    }
    let wanted = layout.projection.iter().map(|&index| {
        columns[index]
            .clone()
            .ok_or_else(|| Error::internal("a projected column was not read"))
    });
    let arrays = wanted.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(cells.rows()));
    // NOT NULL is checked cell by cell; a bad row holds nulls until it is filtered out.
    let loose = Arc::new(nullable(&layout.projected));
    let batch = RecordBatch::try_new_with_options(loose, arrays, &options)?;
    let batch = if faults.is_empty() {
        batch
    } else {
        without(&batch, &faults)?
    };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::clone(&layout.projected);
    let batch = RecordBatch::try_new_with_options(schema, batch.columns().to_vec(), &options)?;
    Ok((batch, faults))
}

fn nullable(schema: &Schema) -> Schema {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    Schema::new(fields)
}

fn without(batch: &RecordBatch, faults: &Faults) -> Result<RecordBatch> {
    let keep: BooleanArray = (0..batch.num_rows())
        .map(|row| Some(!faults.contains_key(&row)))
        .collect();
    Ok(filter_record_batch(batch, &keep)?)
}

pub(crate) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View)
}

struct Column<'a> {
    cells: &'a Cells,
    index: usize,
    field: &'a Field,
    rules: &'a Rules,
    faults: &'a mut Faults,
}

impl Column<'_> {
    fn read(&mut self) -> Result<ArrayRef> {
        let exact = self.rules.exact;
        let array: ArrayRef = match self.field.data_type() {
            DataType::Boolean => self.booleans(),
            DataType::Int8 => self.integers::<Int8Type>(),
            DataType::Int16 => self.integers::<Int16Type>(),
            DataType::Int32 => self.integers::<Int32Type>(),
            DataType::Int64 => self.primitive::<Int64Type>(|b| {
                values::integer(b, exact).and_then(|v| i64::try_from(v).ok())
            }),
            DataType::UInt8 => self.integers::<UInt8Type>(),
            DataType::UInt16 => self.integers::<UInt16Type>(),
            DataType::UInt32 => self.integers::<UInt32Type>(),
            DataType::UInt64 => self.integers::<UInt64Type>(),
            DataType::Float32 => self.primitive::<Float32Type>(float32),
            DataType::Float64 => self.primitive::<Float64Type>(values::float),
            DataType::Date32 => self.primitive::<Date32Type>(values::date),
            DataType::Decimal128(precision, scale) => {
                let (precision, scale) = (*precision, *scale);
                self.primitive::<Decimal128Type>(|b| values::decimal(b, precision, scale))
            }
            DataType::Time32(TimeUnit::Second) => {
                self.primitive::<Time32SecondType>(|b| whole(values::time_ns(b)?, 1_000_000_000))
            }
            DataType::Time32(_) => {
                self.primitive::<Time32MillisecondType>(|b| whole(values::time_ns(b)?, 1_000_000))
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                self.primitive::<Time64MicrosecondType>(|b| Some(values::time_ns(b)? / 1000))
            }
            DataType::Time64(_) => self.primitive::<Time64NanosecondType>(values::time_ns),
            DataType::Timestamp(unit, zone) => self.timestamps(*unit, zone.as_deref())?,
            DataType::Utf8 | DataType::Utf8View => self.texts()?,
            DataType::LargeUtf8 => self.json(),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => self.binaries()?,
            _ => self.others()?,
        };
        if array.data_type() == self.field.data_type() {
            return Ok(array);
        }
        Ok(cast_with_options(
            &array,
            self.field.data_type(),
            &CastOptions::default(),
        )?)
    }

    /// Calls `visit` with each cell that holds a value; NULLs and NOT NULL are settled here.
    #[inline]
    fn each(&mut self, text: bool, mut visit: impl FnMut(Option<(CellKind, &[u8])>) -> bool) {
        let (cells, rules, field) = (self.cells, self.rules, self.field);
        for row in 0..cells.rows() {
            let (kind, bytes) = cells.get(row, self.index);
            let bytes = if text { bytes } else { bytes.trim_ascii() };
            if rules.is_null(kind, bytes, text) {
                if !field.is_nullable() {
                    let name = field.name();
                    let reason = format!("column \"{name}\" is NOT NULL and has no value");
                    self.fault(row, reason, true);
                }
                visit(None);
            } else if !visit(Some((kind, bytes))) {
                self.fault(row, misfit(field, bytes), false);
            }
        }
    }

    fn fault(&mut self, row: usize, reason: String, missing: bool) {
        self.faults.entry(row).or_insert(Fault { reason, missing });
    }

    fn primitive<T: ArrowPrimitiveType>(
        &mut self,
        parse: impl Fn(&[u8]) -> Option<T::Native>,
    ) -> ArrayRef {
        let mut builder = PrimitiveBuilder::<T>::with_capacity(self.cells.rows())
            .with_data_type(primitive_type::<T>(self.field.data_type()));
        self.each(false, |cell| {
            let value = cell.and_then(|(_, bytes)| parse(bytes));
            builder.append_option(value);
            value.is_some()
        });
        Arc::new(builder.finish())
    }

    fn integers<T: ArrowPrimitiveType>(&mut self) -> ArrayRef
    where
        T::Native: TryFrom<i128>,
    {
        let exact = self.rules.exact;
        self.primitive::<T>(|b| values::integer(b, exact).and_then(|v| T::Native::try_from(v).ok()))
    }

    fn booleans(&mut self) -> ArrayRef {
        let mut builder = BooleanBuilder::with_capacity(self.cells.rows());
        self.each(false, |cell| {
            let value = cell.and_then(|(_, bytes)| values::boolean(bytes));
            builder.append_option(value);
            value.is_some()
        });
        Arc::new(builder.finish())
    }

    fn timestamps(&mut self, unit: TimeUnit, zone: Option<&str>) -> Result<ArrayRef> {
        let zone = match zone {
            None => None,
            Some("+00:00" | "UTC" | "Z") => None,
            Some(name) => Some(Tz::from_str(name)?),
        };
        let parse = |bytes: &[u8], factor: i64| -> Option<i64> {
            let (seconds, nanos) = values::timestamp(bytes, zone.as_ref())?;
            let fraction = i64::from(nanos) / (1_000_000_000 / factor);
            seconds.checked_mul(factor)?.checked_add(fraction)
        };
        Ok(match unit {
            TimeUnit::Second => self.primitive::<TimestampSecondType>(|b| parse(b, 1)),
            TimeUnit::Millisecond => {
                self.primitive::<TimestampMillisecondType>(|b| parse(b, 1_000))
            }
            TimeUnit::Microsecond => {
                self.primitive::<TimestampMicrosecondType>(|b| parse(b, 1_000_000))
            }
            TimeUnit::Nanosecond => {
                self.primitive::<TimestampNanosecondType>(|b| parse(b, 1_000_000_000))
            }
        })
    }

    fn texts(&mut self) -> Result<ArrayRef> {
        let mut builder = StringViewBuilder::with_capacity(self.cells.rows());
        self.each(true, |cell| {
            let value = cell.and_then(|(_, bytes)| std::str::from_utf8(bytes).ok());
            builder.append_option(value);
            value.is_some()
        });
        Ok(Arc::new(builder.finish()))
    }

    /// JSON; where the format is JSON itself, a string in it is a value already and not the text of one.
    fn json(&mut self) -> ArrayRef {
        let mut builder = LargeStringBuilder::with_capacity(self.cells.rows(), 0);
        let within_json = self.rules.quoted_markers;
        self.each(true, |cell| {
            let value = cell.and_then(|(kind, bytes)| {
                let text = std::str::from_utf8(bytes).ok()?;
                if within_json && kind == CellKind::Quoted {
                    let mut value = String::with_capacity(text.len() + 2);
                    json::write_string(text, &mut value);
                    return Some(value);
                }
                json::parsed_text(text)
            });
            builder.append_option(value.as_deref());
            value.is_some()
        });
        Arc::new(builder.finish())
    }

    fn binaries(&mut self) -> Result<ArrayRef> {
        let mut builder = BinaryViewBuilder::with_capacity(self.cells.rows());
        self.each(true, |cell| {
            let value = cell.and_then(|(_, bytes)| {
                if bytes.starts_with(b"\\x") {
                    values::hex(bytes)
                } else {
                    Some(bytes.to_vec())
                }
            });
            builder.append_option(value.as_deref());
            value.is_some()
        });
        Ok(Arc::new(builder.finish()))
    }

    /// Types without a reader of their own go through arrow's cast from text or, for lists and
    /// structures, through arrow's JSON reader, row by row.
    fn others(&mut self) -> Result<ArrayRef> {
        let data_type = self.field.data_type().clone();
        let mut rows: Vec<ArrayRef> = Vec::with_capacity(self.cells.rows());
        let missing = new_null_array(&data_type, 1);
        self.each(false, |cell| {
            let value = cell.and_then(|(_, bytes)| other_value(bytes, &data_type));
            let fits = value.is_some();
            rows.push(value.unwrap_or_else(|| Arc::clone(&missing)));
            fits
        });
        if rows.is_empty() {
            return Ok(new_null_array(&data_type, 0));
        }
        let rows: Vec<&dyn Array> = rows.iter().map(AsRef::as_ref).collect();
        Ok(arrow::compute::concat(&rows)?)
    }
}

/// One value of a type without a reader of its own, as an array of one.
pub(crate) fn other_value(bytes: &[u8], data_type: &DataType) -> Option<ArrayRef> {
    if let DataType::List(item) = data_type
        && *item.data_type() == json::TYPE
    {
        let texts = DataType::new_list(DataType::Utf8View, true);
        let list = other_value(bytes, &texts)?;
        let list = list.as_list::<i32>();
        let items = json::parsed(list.values()).ok()?;
        let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
        let list = ListArray::try_new(Arc::clone(item), offsets, items, nulls).ok()?;
        return Some(Arc::new(list));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let array = if data_type.is_nested() {
        let schema = Arc::new(Schema::new(vec![Field::new("c", data_type.clone(), true)]));
        let literal = match data_type {
            DataType::List(item) | DataType::LargeList(item) if text.starts_with('{') => {
                arrays::to_json(text, item.data_type())?
            }
            _ => text.to_owned(),
        };
        let line = format!("{{\"c\":{literal}}}");
        let reader = arrow::json::ReaderBuilder::new(schema)
            .build(line.as_bytes())
            .ok()?;
        let batch = reader.into_iter().next()?.ok()?;
        Arc::clone(batch.column(0))
    } else {
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        cast_with_options(&StringArray::from(vec![text]), data_type, &options).ok()?
    };
    (array.len() == 1 && array.is_valid(0)).then_some(array)
}

/// The builder's type: the column's own when it carries more than the Rust type does (decimals, zones).
fn primitive_type<T: ArrowPrimitiveType>(declared: &DataType) -> DataType {
    if matches!(declared, DataType::Decimal128(..) | DataType::Timestamp(..)) {
        declared.clone()
    } else {
        T::DATA_TYPE
    }
}

fn float32(bytes: &[u8]) -> Option<f32> {
    let value: f32 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    if value.is_infinite() && bytes.iter().any(u8::is_ascii_digit) {
        None
    } else {
        Some(value)
    }
}

fn whole(nanos: i64, unit: i64) -> Option<i32> {
    i32::try_from(nanos / unit).ok()
}

fn misfit(field: &Field, bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    let more = if bytes.len() > SHOWN { "..." } else { "" };
    if is_text(field.data_type()) {
        return format!("column \"{}\" is not valid UTF-8", field.name());
    }
    let name = type_name(field.data_type());
    format!(
        "column \"{}\": \"{text}{more}\" is not a value of type {name}",
        field.name()
    )
}

/// PostgreSQL's name of a type, for messages.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
        DataType::Utf8 | DataType::Utf8View => "text".to_owned(),
        DataType::LargeUtf8 => "json".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea".to_owned(),
        other => other.to_string(),
    }
}
