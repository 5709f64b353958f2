//! Dates, times and intervals as PostgreSQL writes them (DateStyle ISO, IntervalStyle postgres).

use arrow::array::timezone::Tz;
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Offset, TimeZone};

use super::number::{integer, padded};
use crate::base::{Error, Kind, Result};

/// Days from 1970-01-01 to PostgreSQL's epoch, 2000-01-01.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(crate) const EPOCH_MICROS: i64 = 946_684_800_000_000;

pub(super) const SECOND: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;

/// The zone in which a timestamptz is written.
#[derive(Clone, Debug)]
pub(crate) struct Zone(Option<Tz>);

impl Zone {
    /// UTC.
    pub(crate) fn utc() -> Self {
        Self(None)
    }

    /// A zone by its IANA name or offset.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "UTC" | "utc" | "Etc/UTC" | "GMT" | "Z" => Some(Self(None)),
            name => name.parse().ok().map(|zone| Self(Some(zone))),
        }
    }

    /// Seconds east of Greenwich at a moment. Outside the years that calendars cover: none.
    fn offset(&self, micros: i64) -> i64 {
        let Some(zone) = self.0 else { return 0 };
        let moment = DateTime::from_timestamp_micros(micros);
        moment.map_or(0, |moment| {
            let offset = zone.offset_from_utc_datetime(&moment.naive_utc());
            i64::from(offset.fix().local_minus_utc())
        })
    }
}

/// Appends a date, given in days since 1970-01-01.
pub(super) fn date(days: i64, out: &mut BytesMut) {
    let bc = year_month_day(days, out);
    if bc {
        out.put_slice(b" BC");
    }
}

/// Appends `Y-M-D`; says whether the year is before Christ.
fn year_month_day(days: i64, out: &mut BytesMut) -> bool {
    let (year, month, day) = civil(days);
    // There is no year 0: what the calendar counts as 0 is 1 BC.
    let (shown, bc) = if year > 0 {
        (year, false)
    } else {
        (1 - year, true)
    };
    padded(shown.unsigned_abs(), 4, out);
    out.put_u8(b'-');
    padded(month, 2, out);
    out.put_u8(b'-');
    padded(day, 2, out);
    bc
}

/// Appends a time of day, given in microseconds.
pub(super) fn time(micros: i64, out: &mut BytesMut) {
    let seconds = micros.div_euclid(SECOND).unsigned_abs();
    padded(seconds / 3_600, 2, out);
    out.put_u8(b':');
    padded(seconds / 60 % 60, 2, out);
    out.put_u8(b':');
    padded(seconds % 60, 2, out);
    fraction(micros.rem_euclid(SECOND).unsigned_abs(), out);
}

fn fraction(micros: u64, out: &mut BytesMut) {
    if micros > 0 {
        out.put_u8(b'.');
        padded(micros, 6, out);
        while out.last() == Some(&b'0') {
            out.truncate(out.len() - 1);
        }
    }
}

/// Appends a timestamp without zone, given in microseconds since 1970.
pub(super) fn timestamp(micros: i64, out: &mut BytesMut) {
    if clock(micros, out) {
        out.put_slice(b" BC");
    }
}

fn clock(micros: i64, out: &mut BytesMut) -> bool {
    let day = DAY_SECONDS * SECOND;
    let bc = year_month_day(micros.div_euclid(day), out);
    out.put_u8(b' ');
    time(micros.rem_euclid(day), out);
    bc
}

/// Appends a timestamp in a zone, with its offset.
pub(super) fn timestamptz(micros: i64, zone: &Zone, out: &mut BytesMut) {
    let offset = zone.offset(micros);
    let bc = clock(micros.saturating_add(offset * SECOND), out);
    out.put_u8(if offset < 0 { b'-' } else { b'+' });
    let seconds = offset.unsigned_abs();
    padded(seconds / 3_600, 2, out);
    if !seconds.is_multiple_of(3_600) {
        out.put_u8(b':');
        padded(seconds / 60 % 60, 2, out);
    }
    if !seconds.is_multiple_of(60) {
        out.put_u8(b':');
        padded(seconds % 60, 2, out);
    }
    if bc {
        out.put_slice(b" BC");
    }
}

/// Appends an interval: `1 year 2 mons -3 days +04:05:06.789`.
pub(super) fn interval(months: i32, days: i32, micros: i64, out: &mut BytesMut) {
    let start = out.len();
    let mut before = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        if out.len() > start {
            out.put_u8(b' ');
        }
        if before && value > 0 {
            out.put_u8(b'+');
        }
        integer(i64::from(value), out);
        out.put_u8(b' ');
        out.put_slice(unit.as_bytes());
        if value != 1 {
            out.put_u8(b's');
        }
        before = value < 0;
    }
    if micros == 0 && out.len() > start {
        return;
    }
    if out.len() > start {
        out.put_u8(b' ');
    }
    if micros < 0 {
        out.put_u8(b'-');
    } else if before {
        out.put_u8(b'+');
    }
    let unit = SECOND.unsigned_abs();
    let seconds = micros.unsigned_abs() / unit;
    padded(seconds / 3_600, 2, out);
    out.put_u8(b':');
    padded(seconds / 60 % 60, 2, out);
    out.put_u8(b':');
    padded(seconds % 60, 2, out);
    fraction(micros.unsigned_abs() % unit, out);
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar reckoned to both ends.
/// After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: i64) -> (i64, u64, u64) {
    const ERA: i64 = 146_097;
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(ERA);
    let day_of_era = shifted.rem_euclid(ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month.unsigned_abs(), day.unsigned_abs())
}

/// A value of some unit in microseconds.
///
/// # Errors
/// When it does not fit (22008).
pub(super) fn scaled(value: i64, micros_a_unit: i64) -> Result<i64> {
    value.checked_mul(micros_a_unit).ok_or_else(out_of_range)
}

/// The value is outside what PostgreSQL's type can tell.
pub(super) fn out_of_range() -> Error {
    Error::new(Kind::Invalid, "22008", "date or time out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn dates_and_times_are_iso_also_before_christ() {
        for (days, wanted) in [
            (0, "1970-01-01"),
            (19_782, "2024-02-29"),
            (-719_162, "0001-01-01"),
            (-719_163, "0001-12-31 BC"),
            (2_932_897, "10000-01-01"),
        ] {
            assert_eq!(text(|out| date(days, out)), wanted);
        }
        assert_eq!(text(|out| timestamp(-1, out)), "1969-12-31 23:59:59.999999");
        assert_eq!(
            text(|out| timestamp(1_500_000, out)),
            "1970-01-01 00:00:01.5"
        );
        assert_eq!(text(|out| time(86_399_000_000, out)), "23:59:59");
        let _no_panic = text(|out| timestamp(i64::MIN, out));
        let _no_panic = text(|out| timestamp(i64::MAX, out));
    }

    #[test]
    fn timestamptz_is_told_in_the_session_zone() {
        let at = |name: &str| text(|out| timestamptz(0, &Zone::named(name).unwrap(), out));
        assert_eq!(at("UTC"), "1970-01-01 00:00:00+00");
        assert_eq!(at("Asia/Kolkata"), "1970-01-01 05:30:00+05:30");
        assert_eq!(at("America/New_York"), "1969-12-31 19:00:00-05");
        assert_eq!(at("+02:00"), "1970-01-01 02:00:00+02");
        assert!(Zone::named("Nowhere/Land").is_none());
    }

    #[test]
    fn intervals_are_in_postgres_style() {
        for ((months, days, micros), wanted) in [
            ((0, 0, 0), "00:00:00"),
            ((14, 3, 14_706_789_000), "1 year 2 mons 3 days 04:05:06.789"),
            ((-1, 2, -10_984_000_000), "-1 mons +2 days -03:03:04"),
            ((0, -1, 1_000_000), "-1 days +00:00:01"),
            ((0, 1, 0), "1 day"),
            ((0, 0, 360_000_000_000), "100:00:00"),
        ] {
            assert_eq!(text(|out| interval(months, days, micros, out)), wanted);
        }
    }
}
