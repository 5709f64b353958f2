//! Guesses the types of columns from a bounded sample of a file.
//!
//! A type is taken when every value of the sample fits it: boolean (`true`, `false`), bigint, double
//! precision, date, timestamp (with zone when every value has an offset); otherwise text. Digits with a
//! leading zero are text: they are codes, and their zeros matter. A value after the sample that does not
//! fit goes to quarantine like any other; declare the column to choose its type.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::cells::{CellKind, Cells};
use super::columns::Rules;
use super::json::read_object;
use super::values;

/// At most this many rows are looked at.
pub(crate) const SAMPLE_ROWS: usize = 20_000;

/// The one string type of the system.
pub fn string_type() -> DataType {
    DataType::Utf8View
}

/// The type of moments without zone.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// The type of moments with zone: instants, kept in UTC.
pub fn timestamptz_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("+00:00")))
}

/// Which types every value so far fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guess {
    seen: bool,
    boolean: bool,
    integer: bool,
    float: bool,
    date: bool,
    local: bool,
    instant: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self {
            seen: false,
            boolean: true,
            integer: true,
            float: true,
            date: true,
            local: true,
            instant: true,
        }
    }
}

impl Guess {
    /// Takes in one value that is not NULL.
    pub(crate) fn see(&mut self, bytes: &[u8]) {
        let bytes = bytes.trim_ascii();
        self.seen = true;
        if self.boolean {
            self.boolean =
                bytes.eq_ignore_ascii_case(b"true") || bytes.eq_ignore_ascii_case(b"false");
        }
        if self.integer {
            self.integer = !leading_zero(bytes)
                && values::integer(bytes, true).is_some_and(|value| i64::try_from(value).is_ok());
        }
        if self.float {
            self.float = !leading_zero(bytes) && values::float(bytes).is_some();
        }
        if self.date {
            self.date = bytes.len() == 10 && values::date(bytes).is_some();
        }
        if self.local || self.instant {
            let time = bytes.len() >= 10 && values::timestamp_us(bytes, None).is_some();
            let offset = has_offset(bytes);
            self.local = self.local && time && !offset;
            self.instant = self.instant && time && offset;
        }
    }

    /// Takes in a value that can only be a text.
    pub(crate) fn see_text(&mut self) {
        *self = Self {
            seen: true,
            ..Self::none()
        };
    }

    fn none() -> Self {
        Self {
            seen: false,
            boolean: false,
            integer: false,
            float: false,
            date: false,
            local: false,
            instant: false,
        }
    }

    fn data_type(self) -> DataType {
        if !self.seen {
            string_type()
        } else if self.boolean {
            DataType::Boolean
        } else if self.integer {
            DataType::Int64
        } else if self.float {
            DataType::Float64
        } else if self.date {
            DataType::Date32
        } else if self.local {
            timestamp_type()
        } else if self.instant {
            timestamptz_type()
        } else {
            string_type()
        }
    }
}

fn leading_zero(bytes: &[u8]) -> bool {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    matches!(digits, [b'0', b'0'..=b'9', ..])
}

/// Whether a timestamp text ends with `Z` or an offset.
fn has_offset(bytes: &[u8]) -> bool {
    bytes
        .last()
        .is_some_and(|byte| byte.eq_ignore_ascii_case(&b'z'))
        || bytes
            .get(11..)
            .is_some_and(|rest| rest.iter().any(|&byte| byte == b'+' || byte == b'-'))
}

/// The schema of CSV cells whose columns have `names`.
pub(crate) fn infer_cells(cells: &Cells, names: &[String], rules: &Rules) -> SchemaRef {
    let fields: Vec<Field> = names
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let mut guess = Guess::default();
            for row in 0..cells.rows().min(SAMPLE_ROWS) {
                let (kind, bytes) = cells.get(row, column);
                if !rules.reads_null(kind, bytes) {
                    guess.see(bytes);
                }
            }
            Field::new(name, guess.data_type(), true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The schema of NDJSON lines: a column for each key, in the order of first sight.
pub(crate) fn infer_lines(sample: &[u8], rules: &Rules) -> SchemaRef {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut guesses: Vec<Guess> = Vec::new();
    for line in sample.split(|&byte| byte == b'\n').take(SAMPLE_ROWS) {
        let mut expected = 0;
        // A malformed line is not worth an error here: it is found again, and reported, when it is read.
        let _unused = read_object(line, &mut |key, kind, bytes| {
            let column = if names.get(expected).is_some_and(|name| name == key) {
                expected
            } else if let Some(found) = names.iter().position(|name| name == key) {
                found
            } else {
                names.push(key.to_vec());
                guesses.push(Guess::default());
                names.len() - 1
            };
            expected = column + 1;
            see_json(&mut guesses[column], kind, bytes, rules);
        });
    }
    let fields: Vec<Field> = names
        .iter()
        .zip(guesses)
        .filter_map(|(name, guess)| {
            let name = std::str::from_utf8(name).ok()?;
            Some(Field::new(name, guess.data_type(), true))
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn see_json(guess: &mut Guess, kind: CellKind, bytes: &[u8], rules: &Rules) {
    match kind {
        _ if rules.reads_null(kind, bytes) => {}
        CellKind::Plain => guess.see(bytes),
        CellKind::Nested | CellKind::Null => guess.see_text(),
        CellKind::Quoted => {
            // In JSON a number in quotes was meant as a text; dates have no other form than quotes.
            guess.see(bytes);
            guess.boolean = false;
            guess.integer = false;
            guess.float = false;
        }
    }
}
