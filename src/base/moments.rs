//! Dates, times and intervals as PostgreSQL writes them (DateStyle ISO, IntervalStyle postgres), on the wire and in casts to text.

use std::borrow::Cow;

use arrow::array::timezone::Tz;
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, LocalResult, Offset, TimeZone};

use super::{Error, Kind, Result};

/// Days from 1970-01-01 to PostgreSQL's epoch, 2000-01-01.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(crate) const EPOCH_MICROS: i64 = 946_684_800_000_000;

pub(crate) const SECOND: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;
/// Of the largest number of 64 bits.
const MOST_DIGITS: usize = 20;

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

    /// What the zone's clocks show at a moment.
    pub(crate) fn shown_at(&self, micros: i64) -> Option<i64> {
        micros.checked_add(self.offset(micros) * SECOND)
    }

    /// The moment at which they show `local`. Of two, the later, in standard time; one that clocks leap over is told by the time before
    /// the leap, as PostgreSQL does both.
    pub(crate) fn moment_of(&self, local: i64) -> Option<i64> {
        let Some(zone) = self.0 else {
            return Some(local);
        };
        let Some(clock) = DateTime::from_timestamp_micros(local) else {
            return Some(local);
        };
        let seconds = match zone.offset_from_local_datetime(&clock.naive_utc()) {
            LocalResult::Single(offset) | LocalResult::Ambiguous(_, offset) => {
                i64::from(offset.fix().local_minus_utc())
            }
            LocalResult::None => self.offset(local.checked_sub(DAY_SECONDS * SECOND)?),
        };
        local.checked_sub(seconds * SECOND)
    }
}

/// Appends a number with at least `width` digits.
pub(crate) fn padded(value: u64, width: usize, out: &mut BytesMut) {
    let mut digits = [b'0'; MOST_DIGITS];
    let (mut rest, mut count) = (value, 0);
    for digit in digits.iter_mut().rev() {
        if rest == 0 {
            break;
        }
        // below 10
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        count += 1;
    }
    let first = MOST_DIGITS - count.max(width).min(MOST_DIGITS);
    out.put_slice(digits.get(first..).unwrap_or_default());
}

/// Appends a date, given in days since 1970-01-01.
pub(crate) fn date(days: i64, out: &mut BytesMut) {
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
pub(crate) fn time(micros: i64, out: &mut BytesMut) {
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
pub(crate) fn timestamp(micros: i64, out: &mut BytesMut) {
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
pub(crate) fn timestamptz(micros: i64, zone: &Zone, out: &mut BytesMut) {
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

/// A length of time between two moments, in microseconds, as whole days and the rest of one: what PostgreSQL makes of it.
/// The days are as many as an interval holds.
pub(crate) fn days_and_micros(micros: i64) -> (i32, i64) {
    let day = DAY_SECONDS * SECOND;
    // 2^63 microseconds are 106,751,991 days
    let days = i32::try_from(micros / day).unwrap_or_default();
    (days, micros - i64::from(days) * day)
}

/// Appends an interval: `1 year 2 mons -3 days +04:05:06.789`.
pub(crate) fn interval(months: i32, days: i32, micros: i64, out: &mut BytesMut) {
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
        if value < 0 {
            out.put_u8(b'-');
        }
        padded(u64::from(value.unsigned_abs()), 1, out);
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

/// The text of an interval whose clock, as in `1 day -04:05:06.789`, is told in words, which is how Arrow reads it.
pub(crate) fn clock_in_words(text: &str) -> Cow<'_, str> {
    if !text.contains(':') {
        return Cow::Borrowed(text);
    }
    let words: Vec<Cow<'_, str>> = text
        .split_whitespace()
        .map(|word| words_of_clock(word).map_or(Cow::Borrowed(word), Cow::Owned))
        .collect();
    Cow::Owned(words.join(" "))
}

/// The bytes of `2024-01-01 10:00`, of which the last six are a clock without seconds.
const TO_THE_MINUTE: usize = 16;

/// Whether the text is a moment that is told to the minute, such as `2024-01-01 10:00` or `2024-01-01T10:00+02`.
pub(crate) fn lacks_seconds(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= TO_THE_MINUTE
        && bytes[4] == b'-'
        && matches!(bytes[10], b' ' | b'T' | b't')
        && bytes[13] == b':'
        && bytes[14..TO_THE_MINUTE].iter().all(u8::is_ascii_digit)
        && matches!(
            bytes.get(TO_THE_MINUTE),
            None | Some(b' ' | b'+' | b'-' | b'Z' | b'z')
        )
}

/// The text with seconds where it [`lacks_seconds`]: Arrow reads no moment without.
pub(crate) fn with_seconds(text: &str) -> Cow<'_, str> {
    if !lacks_seconds(text) {
        return Cow::Borrowed(text);
    }
    let (minute, zone) = text.split_at(TO_THE_MINUTE);
    Cow::Owned(format!("{minute}:00{zone}"))
}

/// `-04:05:06` as `-4 hours -5 minutes -6 seconds`.
fn words_of_clock(word: &str) -> Option<String> {
    let (sign, clock) = match word.strip_prefix('-') {
        Some(clock) => ("-", clock),
        None => ("", word.strip_prefix('+').unwrap_or(word)),
    };
    let (hours, rest) = clock.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':').unwrap_or((rest, "0"));
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = [hours, minutes, whole];
    if parts.iter().any(|part| part.is_empty() || !digits(part)) || !digits(fraction) {
        return None;
    }
    let words = format!("{sign}{hours} hours {sign}{minutes} minutes {sign}{seconds} seconds");
    Some(words)
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
pub(crate) fn scaled(value: i64, micros_a_unit: i64) -> Result<i64> {
    value.checked_mul(micros_a_unit).ok_or_else(out_of_range)
}

/// The value is outside what PostgreSQL's type can tell.
pub(crate) fn out_of_range() -> Error {
    Error::new(Kind::Invalid, "22008", "date or time out of range")
}

/// The text that `write` appends.
#[cfg(test)]
pub(crate) fn text(write: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::new();
    write(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn clocks_that_are_put_forward_and_back_tell_one_moment() {
        const HOUR: i64 = 3_600 * SECOND;
        let zone = Zone::named("Europe/Berlin").unwrap();
        // 2024-03-31 01:00 and 2024-10-27 01:00 UTC
        let (forward, back) = (1_711_846_800 * SECOND, 1_729_990_800 * SECOND);
        for (moment, offset) in [(forward - 1, 1), (forward, 2), (back - 1, 2), (back, 1)] {
            assert_eq!(zone.shown_at(moment), Some(moment + offset * HOUR));
        }
        for (local, moment) in [
            (forward, forward - HOUR),
            (forward + HOUR + HOUR / 2, forward + HOUR / 2),
            (forward + 2 * HOUR, forward),
            (back + HOUR, back),
            (back + 2 * HOUR, back + HOUR),
        ] {
            assert_eq!(zone.moment_of(local), Some(moment));
        }
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

    #[test]
    fn clocks_of_intervals_are_told_in_words() {
        for (text, wanted) in [
            ("1 day", "1 day"),
            ("04:05", "04 hours 05 minutes 0 seconds"),
            (
                "-1 mons +2 days -03:03:04.5",
                "-1 mons +2 days -03 hours -03 minutes -04.5 seconds",
            ),
            ("1:", "1:"),
            ("1:x:3", "1:x:3"),
            ("::", "::"),
        ] {
            assert_eq!(clock_in_words(text), wanted);
        }
    }

    #[test]
    fn moments_to_the_minute_get_seconds() {
        for (text, wanted) in [
            ("2024-01-01 10:00", "2024-01-01 10:00:00"),
            ("2024-01-01T10:00Z", "2024-01-01T10:00:00Z"),
            ("2024-01-01 10:00+02", "2024-01-01 10:00:00+02"),
            ("2024-01-01 10:00:00", "2024-01-01 10:00:00"),
            ("2024-01-01", "2024-01-01"),
            ("2024-01-01 10:xx", "2024-01-01 10:xx"),
            ("2024-01-01 10:00 \u{e9}", "2024-01-01 10:00:00 \u{e9}"),
            (
                "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
                "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
            ),
        ] {
            assert_eq!(with_seconds(text), wanted);
        }
    }
}
