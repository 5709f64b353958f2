//! The patterns of `to_char`: read once, written for each moment.

use std::fmt::Write;

const MICROS_A_SECOND: i64 = 1_000_000;
const SECONDS_A_DAY: i64 = 86_400;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From Monday on, as in ISO 8601.
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// A moment in its parts.
pub(crate) struct Moment {
    year: i64,
    /// 1 to 12.
    month: i64,
    /// 1 to 31.
    day: i64,
    /// 1 to 366.
    day_of_year: i64,
    /// 0 for Monday.
    weekday: i64,
    /// Seconds since midnight.
    second_of_day: i64,
    micros: i64,
}

impl Moment {
    /// The parts of a moment in microseconds since 1970.
    pub(crate) fn from_micros(moment: i64) -> Self {
        let seconds = moment.div_euclid(MICROS_A_SECOND);
        let days = seconds.div_euclid(SECONDS_A_DAY);
        let (year, month, day) = civil(days);
        Self {
            year,
            month,
            day,
            day_of_year: days - days_before(year) + 1,
            weekday: (days + 3).rem_euclid(7),
            second_of_day: seconds.rem_euclid(SECONDS_A_DAY),
            micros: moment.rem_euclid(MICROS_A_SECOND),
        }
    }

    fn hour(&self) -> i64 {
        self.second_of_day / 3_600
    }

    /// The year and week of ISO 8601: a week belongs to the year of its Thursday.
    fn iso_week(&self) -> (i64, i64) {
        let day = days_before(self.year) + self.day_of_year - 1;
        let thursday = day - self.weekday + 3;
        let (year, ..) = civil(thursday);
        (year, (thursday - days_before(year)) / 7 + 1)
    }
}

/// The date of a day since 1970, in the Gregorian calendar. The algorithm counts years from March, so that the leap
/// day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The days from 1970 to the first of January of `year`.
fn days_before(year: i64) -> i64 {
    let last = year - 1;
    365 * (year - 1970) + (last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400)) - 477
}

/// How letters are written.
#[derive(Clone, Copy)]
enum Letters {
    Upper,
    Capital,
    Lower,
}

#[derive(Clone, Copy)]
enum Field {
    Year(usize),
    IsoYear,
    Month,
    MonthName {
        letters: Letters,
        short: bool,
    },
    Day,
    DayOfYear,
    /// 1 for Sunday.
    DayOfWeek,
    /// 1 for Monday.
    IsoDayOfWeek,
    DayName {
        letters: Letters,
        short: bool,
    },
    IsoWeek,
    Week,
    Quarter,
    Hour24,
    Hour12,
    Minute,
    Second,
    SecondOfDay,
    Millis,
    Micros,
    HalfDay {
        upper: bool,
        dots: bool,
    },
}

impl Field {
    /// For how many microseconds it stays the same: a day, or less.
    fn grain(self) -> i64 {
        match self {
            Self::Micros => 1,
            Self::Millis => 1_000,
            Self::Second | Self::SecondOfDay => MICROS_A_SECOND,
            Self::Minute => 60 * MICROS_A_SECOND,
            Self::Hour24 | Self::Hour12 | Self::HalfDay { .. } => 3_600 * MICROS_A_SECOND,
            Self::Year(_)
            | Self::IsoYear
            | Self::Month
            | Self::MonthName { .. }
            | Self::Day
            | Self::DayOfYear
            | Self::DayOfWeek
            | Self::IsoDayOfWeek
            | Self::DayName { .. }
            | Self::IsoWeek
            | Self::Week
            | Self::Quarter => SECONDS_A_DAY * MICROS_A_SECOND,
        }
    }
}

enum Part {
    Text(char),
    Field { field: Field, fill: bool },
}

/// A pattern that has been read.
pub(crate) struct Pattern(Vec<Part>);

/// Longer words stand before those that they begin with.
const WORDS: [(&str, Field); 26] = {
    use Field as F;
    [
        ("YYYY", F::Year(4)),
        ("YYY", F::Year(3)),
        ("YY", F::Year(2)),
        ("Y", F::Year(1)),
        ("IYYY", F::IsoYear),
        ("IW", F::IsoWeek),
        ("ID", F::IsoDayOfWeek),
        ("MM", F::Month),
        ("MI", F::Minute),
        ("MS", F::Millis),
        ("DDD", F::DayOfYear),
        ("DD", F::Day),
        ("D", F::DayOfWeek),
        ("HH24", F::Hour24),
        ("HH12", F::Hour12),
        ("HH", F::Hour12),
        ("SSSSS", F::SecondOfDay),
        ("SSSS", F::SecondOfDay),
        ("SS", F::Second),
        ("US", F::Micros),
        ("WW", F::Week),
        ("Q", F::Quarter),
        (
            "AM",
            F::HalfDay {
                upper: true,
                dots: false,
            },
        ),
        (
            "PM",
            F::HalfDay {
                upper: true,
                dots: false,
            },
        ),
        (
            "A.M.",
            F::HalfDay {
                upper: true,
                dots: true,
            },
        ),
        (
            "P.M.",
            F::HalfDay {
                upper: true,
                dots: true,
            },
        ),
    ]
};

impl Pattern {
    /// Reads a pattern, or says what in it is not known.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        let mut fill = true;
        while let Some(next) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
                fill = false;
                rest = after;
            } else if let Some(after) = rest.strip_prefix('"') {
                rest = quoted(after, &mut parts);
            } else if let Some(after) = rest.strip_prefix("\\\"") {
                parts.push(Part::Text('"'));
                rest = after;
            } else if let Some((field, after)) = word(rest) {
                parts.push(Part::Field { field, fill });
                fill = true;
                rest = after;
            } else if next.is_ascii_alphabetic() {
                let unknown: String = rest
                    .chars()
                    .take_while(char::is_ascii_alphanumeric)
                    .collect();
                return Err(format!(
                    "to_char does not know the pattern \"{unknown}\"; text stands in double quotes"
                ));
            } else {
                parts.push(Part::Text(next));
                rest = rest.get(next.len_utf8()..).unwrap_or_default();
            }
        }
        Ok(Self(parts))
    }

    /// For how many microseconds the text stays the same, counted from 1970: at most a day.
    pub(crate) fn grain(&self) -> i64 {
        let grains = self.0.iter().map(|part| match part {
            Part::Text(_) => MICROS_A_SECOND * SECONDS_A_DAY,
            Part::Field { field, .. } => field.grain(),
        });
        grains.fold(MICROS_A_SECOND * SECONDS_A_DAY, i64::min)
    }

    /// Writes `moment` behind `out`.
    pub(crate) fn write(&self, moment: &Moment, out: &mut String) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push(*text),
                Part::Field { field, fill } => write_field(*field, *fill, moment, out),
            }
        }
    }
}

/// Text up to the closing quote; a backslash takes the next character as it is.
fn quoted<'t>(text: &'t str, parts: &mut Vec<Part>) -> &'t str {
    let mut escaped = false;
    for (place, letter) in text.char_indices() {
        match letter {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return text.get(place + 1..).unwrap_or_default(),
            letter => {
                parts.push(Part::Text(letter));
                escaped = false;
            }
        }
    }
    ""
}

/// The field that `text` begins with, and what follows.
fn word(text: &str) -> Option<(Field, &str)> {
    let named = name(text, "month", false, |letters, short| Field::MonthName {
        letters,
        short,
    })
    .or_else(|| {
        name(text, "mon", true, |letters, short| Field::MonthName {
            letters,
            short,
        })
    })
    .or_else(|| {
        name(text, "day", false, |letters, short| Field::DayName {
            letters,
            short,
        })
    })
    .or_else(|| {
        name(text, "dy", true, |letters, short| Field::DayName {
            letters,
            short,
        })
    });
    if named.is_some() {
        return named;
    }
    for (word, field) in WORDS {
        if let Some(after) = text.strip_prefix(word) {
            return Some((field, after));
        }
        let lower = word.to_ascii_lowercase();
        if let Some(after) = text.strip_prefix(lower.as_str()) {
            let field = match field {
                Field::HalfDay { dots, .. } => Field::HalfDay { upper: false, dots },
                field => field,
            };
            return Some((field, after));
        }
    }
    None
}

/// A word whose letters say how the name is written: `MONTH`, `Month` or `month`.
fn name<'t>(
    text: &'t str,
    word: &str,
    short: bool,
    field: impl Fn(Letters, bool) -> Field,
) -> Option<(Field, &'t str)> {
    let start = text.get(..word.len())?;
    let rest = text.get(word.len()..)?;
    let (first, others) = start.split_at_checked(1)?;
    if !start.eq_ignore_ascii_case(word) {
        return None;
    }
    let upper = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
    let lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
    let letters = if upper(start) {
        Letters::Upper
    } else if lower(start) {
        Letters::Lower
    } else if upper(first) && lower(others) {
        Letters::Capital
    } else {
        return None;
    };
    Some((field(letters, short), rest))
}

fn write_field(field: Field, fill: bool, moment: &Moment, out: &mut String) {
    let seconds = moment.second_of_day;
    let (value, width) = match field {
        Field::MonthName { letters, short } => {
            let place = usize::try_from(moment.month - 1).unwrap_or_default();
            return write_name(MONTHS.get(place), letters, short, fill, out);
        }
        Field::DayName { letters, short } => {
            let place = usize::try_from(moment.weekday).unwrap_or_default();
            return write_name(DAYS.get(place), letters, short, fill, out);
        }
        Field::HalfDay { upper, dots } => {
            out.push_str(match (moment.hour() < 12, upper, dots) {
                (true, true, false) => "AM",
                (true, false, false) => "am",
                (true, true, true) => "A.M.",
                (true, false, true) => "a.m.",
                (false, true, false) => "PM",
                (false, false, false) => "pm",
                (false, true, true) => "P.M.",
                (false, false, true) => "p.m.",
            });
            return;
        }
        Field::Year(4) => (moment.year, 4),
        Field::Year(width) => {
            let most = (0..width).fold(1_i64, |most, _| most * 10);
            (moment.year.rem_euclid(most), width)
        }
        Field::IsoYear => (moment.iso_week().0, 4),
        Field::IsoWeek => (moment.iso_week().1, 2),
        Field::Week => ((moment.day_of_year - 1) / 7 + 1, 2),
        Field::Quarter => ((moment.month - 1) / 3 + 1, 1),
        Field::Month => (moment.month, 2),
        Field::Day => (moment.day, 2),
        Field::DayOfYear => (moment.day_of_year, 3),
        Field::DayOfWeek => ((moment.weekday + 1) % 7 + 1, 1),
        Field::IsoDayOfWeek => (moment.weekday + 1, 1),
        Field::Hour24 => (moment.hour(), 2),
        Field::Hour12 => ((moment.hour() + 11) % 12 + 1, 2),
        Field::Minute => (seconds / 60 % 60, 2),
        Field::Second => (seconds % 60, 2),
        Field::SecondOfDay => (seconds, 1),
        Field::Millis => (moment.micros / 1_000, 3),
        Field::Micros => (moment.micros, 6),
    };
    let width = if fill { width } else { 1 };
    let written = write!(out, "{value:0width$}");
    debug_assert!(written.is_ok(), "a string takes all that is written");
}

/// A name in nine places, or its first three letters.
fn write_name(name: Option<&&str>, letters: Letters, short: bool, fill: bool, out: &mut String) {
    let name = name.copied().unwrap_or_default();
    let name = if short {
        name.get(..3).unwrap_or(name)
    } else {
        name
    };
    let start = out.len();
    match letters {
        Letters::Capital => out.push_str(name),
        Letters::Upper => out.extend(name.chars().map(|letter| letter.to_ascii_uppercase())),
        Letters::Lower => out.extend(name.chars().map(|letter| letter.to_ascii_lowercase())),
    }
    if fill && !short {
        let missing = 9_usize.saturating_sub(out.len() - start);
        out.extend(std::iter::repeat_n(' ', missing));
    }
}
