//! Event time: milliseconds since the Unix epoch, read from RFC 3339 text and written as it.
//!
//! The grammar is read by hand because it is on the hot path and because general parsers accept more
//! than RFC 3339 does (missing offsets, week dates, bracketed zones).

use std::fmt;

use serde::{Serialize, Serializer};

use crate::json_out::{JsonWriter, ToJson};

/// 2000-01-01T00:00:00Z, the first accepted instant.
pub const MIN_MS: i64 = 946_684_800_000;
/// 2100-01-01T00:00:00Z, the first instant that is no longer accepted.
pub const END_MS: i64 = 4_102_444_800_000;

/// Milliseconds in a minute.
pub const MINUTE_MS: i64 = 60_000;
/// Milliseconds in a day.
pub const DAY_MS: i64 = 86_400_000;

/// An instant in event time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant, if it lies in the accepted range: from 2000 up to, not including, 2100.
    #[must_use]
    pub fn in_range(ms: i64) -> Option<Self> {
        (MIN_MS..END_MS).contains(&ms).then_some(Self(ms))
    }

    /// Distance to another instant in milliseconds, whichever is later.
    #[must_use]
    pub fn distance_ms(self, other: Self) -> i64 {
        (self.0 - other.0).abs()
    }

    /// Reads RFC 3339 with an offset; digits beyond milliseconds are cut off. `None` when the text is
    /// not RFC 3339 or the instant is outside the accepted range.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let b = text.as_bytes();
        // Shortest form: 2000-01-01T00:00:00Z.
        if b.len() < 20 {
            return None;
        }
        let number = |at: usize| -> Option<i64> {
            let [tens, ones] = b.get(at..)?.first_chunk()?.map(|digit| digit.wrapping_sub(b'0'));
            (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
        };
        let is = |at: usize, wanted: u8| b.get(at) == Some(&wanted);
        let (year, month, day) = (number(0)? * 100 + number(2)?, number(5)?, number(8)?);
        let (hour, minute, second) = (number(11)?, number(14)?, number(17)?);
        let separators = is(4, b'-') && is(7, b'-') && (is(10, b'T') || is(10, b't')) && is(13, b':') && is(16, b':');
        if !separators
            || !(1..=12).contains(&month)
            || day < 1
            || day > days_in_month(year, month)
            || hour > 23
            || minute > 59
            || second > 60
        {
            return None;
        }
        let mut at = 19;
        let mut ms = 0;
        if is(at, b'.') {
            at += 1;
            let start = at;
            while b.get(at).is_some_and(u8::is_ascii_digit) {
                if at - start < 3 {
                    ms = ms * 10 + i64::from(b[at] - b'0');
                }
                at += 1;
            }
            let digits = at - start;
            if digits == 0 {
                return None;
            }
            for _ in digits..3 {
                ms *= 10;
            }
        }
        let offset_minutes = match b.get(at)? {
            b'Z' | b'z' if b.len() == at + 1 => 0,
            sign @ (b'+' | b'-') if b.len() == at + 6 && is(at + 3, b':') => {
                let (h, m) = (number(at + 1)?, number(at + 4)?);
                if h > 23 || m > 59 {
                    return None;
                }
                if *sign == b'+' { h * 60 + m } else { -(h * 60 + m) }
            }
            _ => return None,
        };
        let day_ms = days_from_civil(year, month, day) * DAY_MS;
        let minute_ms = day_ms + hour * 3_600_000 + (minute - offset_minutes) * MINUTE_MS;
        // A leap second can only end a UTC day; it is counted as the next second's start.
        if second == 60 && (minute_ms + MINUTE_MS).rem_euclid(DAY_MS) != 0 {
            return None;
        }
        Self::in_range(minute_ms + second * 1000 + ms)
    }

    /// The instant as RFC 3339 in UTC with milliseconds: always 24 bytes.
    #[must_use]
    pub fn rfc3339(self) -> Rfc3339 {
        let ms_of_day = self.0.rem_euclid(DAY_MS) as u32;
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY_MS));
        let year = year.clamp(0, 9999) as u32;
        let (minute_of_day, ms) = (ms_of_day / 60_000, ms_of_day % 60_000);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut put = |at: usize, two_digits: u32| {
            if let Some(place) = text.get_mut(at..at + 2) {
                place.copy_from_slice(&DIGITS[two_digits as usize % 100]);
            }
        };
        put(0, year / 100);
        put(2, year % 100);
        put(5, month as u32);
        put(8, day as u32);
        put(11, minute_of_day / 60);
        put(14, minute_of_day % 60);
        put(17, ms / 1000);
        put(20, ms % 1000 / 10);
        text[22] = b'0' + (ms % 10) as u8;
        Rfc3339(text)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rfc3339().as_str())
    }
}

impl ToJson for Timestamp {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.quoted(&self.rfc3339().0);
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.rfc3339().as_str())
    }
}

/// An instant's RFC 3339 text, kept on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339([u8; 24]);

impl Rfc3339 {
    /// The text, for instance `2026-03-02T08:00:00.000Z`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever written to the buffer.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The numbers of two digits.
const DIGITS: [[u8; 2]; 100] = {
    let mut digits = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        digits[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    digits
};

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar: whole 400-year eras of 146,097
/// days, with the year taken to begin in March so that the leap day is its last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    // The days of the years 2000 to 2099, which every leap rule but the fourth year's leaves alone, are
    // counted in fewer steps: from March 2000, in spans of four years.
    const MARCH_2000: i64 = 11_017;
    if let Ok(day) = u32::try_from(days - MARCH_2000)
        && day < 36_524
    {
        let year_of_century = (4 * day + 3) / 1461;
        let day_of_year = day - 1461 * year_of_century / 4;
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let next_year = shifted_month >= 10;
        let month = if next_year { shifted_month - 9 } else { shifted_month + 3 };
        return (i64::from(2000 + year_of_century + u32::from(next_year)), month.into(), day.into());
    }
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rfc3339_and_nothing_else() {
        let cases: &[(&str, Option<&str>)] = &[
            ("2026-03-02T08:00:00Z", Some("2026-03-02T08:00:00.000Z")),
            ("2026-03-02t08:00:00z", Some("2026-03-02T08:00:00.000Z")),
            ("2026-03-02T08:00:00.1Z", Some("2026-03-02T08:00:00.100Z")),
            ("2026-03-02T08:00:00.1239999999999999Z", Some("2026-03-02T08:00:00.123Z")),
            ("2026-03-02T08:00:00+05:30", Some("2026-03-02T02:30:00.000Z")),
            ("2026-03-02T00:00:00-00:30", Some("2026-03-02T00:30:00.000Z")),
            ("2024-02-29T23:59:59.999Z", Some("2024-02-29T23:59:59.999Z")),
            ("2016-12-31T23:59:60Z", Some("2017-01-01T00:00:00.000Z")),
            ("2000-01-01T00:00:00Z", Some("2000-01-01T00:00:00.000Z")),
            ("2099-12-31T23:59:59.999Z", Some("2099-12-31T23:59:59.999Z")),
            ("2100-01-01T00:00:00Z", None),
            ("2100-01-01T00:59:59+01:00", Some("2099-12-31T23:59:59.000Z")),
            ("1999-12-31T23:59:59.999Z", None),
            ("2026-02-29T08:00:00Z", None),
            ("2026-13-01T08:00:00Z", None),
            ("2026-00-01T08:00:00Z", None),
            ("2026-03-00T08:00:00Z", None),
            ("2026-03-02T24:00:00Z", None),
            ("2026-03-02T08:60:00Z", None),
            ("2026-03-02T08:00:60Z", None),
            ("2026-03-02T08:00:00", None),
            ("2026-03-02 08:00:00Z", None),
            ("2026-03-02T08:00:00.Z", None),
            ("2026-03-02T08:00:00+0530", None),
            ("2026-03-02T08:00:00+24:00", None),
            ("2026-03-02T08:00:00Zx", None),
            ("2026-03-02T08:00Z", None),
            ("+2026-03-02T08:00:00Z", None),
            ("2026-03-02T08:00:00Ｚ", None),
            ("", None),
        ];
        for (text, wanted) in cases {
            let got = Timestamp::parse_rfc3339(text).map(|t| t.to_string());
            assert_eq!(got.as_deref(), *wanted, "{text}");
        }
    }

    #[test]
    fn every_day_of_the_accepted_range_round_trips() {
        for day in (MIN_MS / DAY_MS)..(END_MS / DAY_MS) {
            let t = Timestamp(day * DAY_MS + 12_345_678);
            assert_eq!(Timestamp::parse_rfc3339(t.rfc3339().as_str()), Some(t));
        }
    }
}
