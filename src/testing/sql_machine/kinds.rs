//! The types of columns and expressions: their names in SQL, and values of a small domain with the odd ones beside it.

use arrow::datatypes::{DataType, IntervalMonthDayNanoType};
use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;

use super::choices::Choices;

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Big,
    Small,
    Num,
    Wide,
    Float,
    Real,
    Text,
    Bool,
    Date,
    Time,
    Zoned,
    Span,
    /// Lists of integers: columns of a table only.
    Ints,
}

/// Every type that an expression may have; the commonest more than once.
pub(super) const KINDS: [Kind; 17] = [
    Kind::Int,
    Kind::Int,
    Kind::Text,
    Kind::Text,
    Kind::Big,
    Kind::Big,
    Kind::Bool,
    Kind::Float,
    Kind::Float,
    Kind::Num,
    Kind::Time,
    Kind::Small,
    Kind::Real,
    Kind::Date,
    Kind::Zoned,
    Kind::Wide,
    Kind::Span,
];

const INTS: [i64; 6] = [1, 0, 2, -1, 3, 4];
const FLOATS: [f64; 6] = [1.0, 0.0, 1.5, 0.1, 2.0, -1.5];
const ODD_FLOATS: [f64; 9] = [
    f64::NAN,
    -0.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1e16,
    -1e16,
    f64::MAX,
    f64::MIN_POSITIVE,
    5e-324,
];
const REALS: [f32; 5] = [1.0, 0.0, 1.5, 0.1, -1.5];
const ODD_REALS: [f32; 6] = [
    f32::NAN,
    -0.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN_POSITIVE,
];
const TEXTS: [&str; 6] = ["a", "b", "", "abc", "12", "7"];
const ODD_TEXTS: [&str; 6] = [
    "A",
    " b ",
    "it's 100%_",
    "\u{e4}\u{df}\u{20ac}",
    "a text that is too long to be kept inline",
    "a text that is too long to be kept in a view",
];
/// The first and the last day that a literal can name, and the last ones that a column can hold.
const ODD_DAYS: [i32; 5] = [-719_162, 2_932_896, 11_016, i32::MAX, i32::MIN];
const ODD_TIMES: [i64; 5] = [
    -62_135_596_800_000_000,
    253_402_300_799_999_999,
    951_782_400_000_001,
    i64::MAX,
    i64::MIN,
];
const SECOND_NS: i64 = 1_000_000_000;
/// Months, days and nanoseconds.
const SPANS: [(i32, i32, i64); 6] = [
    (0, 0, 20 * SECOND_NS),
    (0, 0, 0),
    (0, 1, 0),
    (1, 0, 0),
    (0, 0, -60 * SECOND_NS),
    (0, 30, 0),
];
const ODD_SPANS: [(i32, i32, i64); 4] = [
    (0, 0, 24 * 3600 * SECOND_NS),
    (12, -5, 1_000),
    (i32::MAX, 0, 0),
    (0, i32::MIN, i64::MAX / 1_000 * 1_000),
];

impl Kind {
    /// The type's name.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Small => "smallint",
            Self::Int => "int",
            Self::Big => "bigint",
            Self::Num => "numeric(10,2)",
            Self::Wide => "numeric(38,10)",
            Self::Float => "double precision",
            Self::Real => "real",
            Self::Text => "varchar",
            Self::Bool => "boolean",
            Self::Date => "date",
            Self::Time => "timestamp",
            Self::Zoned => "timestamptz",
            Self::Span => "interval",
            Self::Ints => "int[]",
        }
    }

    /// Whether values of it can be added up.
    pub(super) fn is_number(self) -> bool {
        matches!(
            self,
            Self::Small | Self::Int | Self::Big | Self::Num | Self::Wide | Self::Float | Self::Real
        )
    }

    /// A constant.
    pub(super) fn literal(self, choices: &mut Choices) -> String {
        if self != Self::Ints && choices.once_in(8) {
            return format!("NULL::{}", self.sql());
        }
        text(self, &self.value(choices, false))
    }

    /// A value, mostly of a small domain, so that keys meet and groups fill.
    pub(super) fn value(self, choices: &mut Choices, nullable: bool) -> ScalarValue {
        if nullable && choices.once_in(6) {
            return self.null();
        }
        let odd = choices.once_in(12);
        match self {
            Self::Small if odd => ScalarValue::Int16(Some(*choices.pick(&[i16::MAX, i16::MIN]))),
            Self::Int if odd => ScalarValue::Int32(Some(*choices.pick(&[i32::MAX, i32::MIN]))),
            Self::Big if odd => ScalarValue::Int64(Some(*choices.pick(&[i64::MAX, i64::MIN]))),
            Self::Small => small(*choices.pick(&INTS), &self),
            Self::Int => small(*choices.pick(&INTS), &self),
            Self::Big => small(*choices.pick(&INTS), &self),
            Self::Num => {
                let odd_ones = [9_999_999_999, -9_999_999_999];
                let value = if odd {
                    *choices.pick(&odd_ones)
                } else {
                    *choices.pick(&[100, 0, 150, 1, -150, 200])
                };
                ScalarValue::Decimal128(Some(value), 10, 2)
            }
            Self::Wide => {
                let most = 10_i128.pow(38) - 1;
                let value = if odd {
                    *choices.pick(&[most, -most])
                } else {
                    *choices.pick(&[10_000_000_000, 0, 15_000_000_000, 1, -10_000_000_000])
                };
                ScalarValue::Decimal128(Some(value), 38, 10)
            }
            Self::Float if odd => ScalarValue::Float64(Some(*choices.pick(&ODD_FLOATS))),
            Self::Float => ScalarValue::Float64(Some(*choices.pick(&FLOATS))),
            Self::Real if odd => ScalarValue::Float32(Some(*choices.pick(&ODD_REALS))),
            Self::Real => ScalarValue::Float32(Some(*choices.pick(&REALS))),
            Self::Text if odd => ScalarValue::Utf8View(Some((*choices.pick(&ODD_TEXTS)).into())),
            Self::Text => ScalarValue::Utf8View(Some((*choices.pick(&TEXTS)).into())),
            Self::Bool => ScalarValue::Boolean(Some(choices.below(2) == 0)),
            _ => self.moment(choices, odd),
        }
    }

    fn moment(self, choices: &mut Choices, odd: bool) -> ScalarValue {
        match self {
            Self::Date if odd => ScalarValue::Date32(Some(*choices.pick(&ODD_DAYS))),
            Self::Date => ScalarValue::Date32(Some(*choices.pick(&[0, 1, 2, 31, -1]))),
            Self::Time | Self::Zoned => {
                let value = if odd {
                    *choices.pick(&ODD_TIMES)
                } else {
                    i64::try_from(choices.below(6)).unwrap() * 20_000_000
                };
                let zone = (self == Self::Zoned).then(|| "UTC".into());
                ScalarValue::TimestampMicrosecond(Some(value), zone)
            }
            Self::Span => {
                let (months, days, nanos) = if odd {
                    *choices.pick(&ODD_SPANS)
                } else {
                    *choices.pick(&SPANS)
                };
                let value = IntervalMonthDayNanoType::make_value(months, days, nanos);
                ScalarValue::IntervalMonthDayNano(Some(value))
            }
            _ => {
                let items = (0..choices.below(4))
                    .map(|_| Self::Int.value(choices, true))
                    .collect::<Vec<_>>();
                ScalarValue::List(ScalarValue::new_list_nullable(&items, &DataType::Int32))
            }
        }
    }

    /// Its NULL.
    pub(super) fn null(self) -> ScalarValue {
        match self {
            Self::Small => ScalarValue::Int16(None),
            Self::Int => ScalarValue::Int32(None),
            Self::Big => ScalarValue::Int64(None),
            Self::Num => ScalarValue::Decimal128(None, 10, 2),
            Self::Wide => ScalarValue::Decimal128(None, 38, 10),
            Self::Float => ScalarValue::Float64(None),
            Self::Real => ScalarValue::Float32(None),
            Self::Text => ScalarValue::Utf8View(None),
            Self::Bool => ScalarValue::Boolean(None),
            Self::Date => ScalarValue::Date32(None),
            Self::Time => ScalarValue::TimestampMicrosecond(None, None),
            Self::Zoned => ScalarValue::TimestampMicrosecond(None, Some("UTC".into())),
            Self::Span => ScalarValue::IntervalMonthDayNano(None),
            Self::Ints => ScalarValue::new_null_list(DataType::Int32, true, 1),
        }
    }
}

fn small(value: i64, kind: &Kind) -> ScalarValue {
    match kind {
        Kind::Small => ScalarValue::Int16(i16::try_from(value).ok()),
        Kind::Int => ScalarValue::Int32(i32::try_from(value).ok()),
        _ => ScalarValue::Int64(Some(value)),
    }
}

/// `value` as a literal of type `kind`.
pub(super) fn text(kind: Kind, value: &ScalarValue) -> String {
    if value.is_null() {
        return format!("NULL::{}", kind.sql());
    }
    let shown = || {
        let array = value.to_array().ok()?;
        array_value_to_string(&array, 0).ok()
    };
    match (kind, value) {
        (Kind::Text, ScalarValue::Utf8View(Some(text))) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        (Kind::Float | Kind::Real, ScalarValue::Float64(Some(number))) => {
            format!("'{number:?}'::{}", kind.sql()).replace("inf", "Infinity")
        }
        (Kind::Float | Kind::Real, ScalarValue::Float32(Some(number))) => {
            format!("'{number:?}'::{}", kind.sql()).replace("inf", "Infinity")
        }
        (Kind::Int, ScalarValue::Int32(Some(number))) if *number >= 0 => number.to_string(),
        (Kind::Bool, ScalarValue::Boolean(Some(known))) => known.to_string(),
        (Kind::Time, ScalarValue::TimestampMicrosecond(Some(us), _)) if is_far(*us) => {
            format!("arrow_cast({us}::bigint, 'Timestamp(Microsecond, None)')")
        }
        (Kind::Zoned, ScalarValue::TimestampMicrosecond(Some(us), _)) if is_far(*us) => {
            format!("arrow_cast({us}::bigint, 'Timestamp(Microsecond, Some(\"UTC\"))')")
        }
        (Kind::Date, ScalarValue::Date32(Some(days @ (i32::MIN | i32::MAX)))) => {
            format!("arrow_cast({days}::int, 'Date32')")
        }
        (Kind::Span, ScalarValue::IntervalMonthDayNano(Some(span))) => format!(
            "INTERVAL '{} months {} days {} microseconds'",
            span.months,
            span.days,
            span.nanoseconds / 1_000
        ),
        (Kind::Ints, _) => format!("make_array({})::int[]", list_items(value)),
        _ => format!("'{}'::{}", shown().unwrap_or_default(), kind.sql()),
    }
}

fn is_far(us: i64) -> bool {
    us < ODD_TIMES[0] || us > ODD_TIMES[1]
}

fn list_items(value: &ScalarValue) -> String {
    let ScalarValue::List(list) = value else {
        return String::new();
    };
    let items = list.value(0);
    let items = (0..items.len()).map(|at| {
        let item = ScalarValue::try_from_array(&items, at).unwrap();
        text(Kind::Int, &item)
    });
    items.collect::<Vec<_>>().join(", ")
}
