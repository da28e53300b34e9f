//! Times and durations as CEL has them, in milliseconds.

use model::Timestamp;
use model::time::{DAY_MS, MINUTE_MS};

use super::tree::TimePart;

/// The year 1, the first instant of CEL's timestamps.
const FIRST_MS: i64 = -62_135_596_800_000;
/// The end of the year 9999.
const LAST_MS: i64 = 253_402_300_799_999;
/// The longest duration of CEL, about 10,000 years.
const LONGEST_MS: i64 = 315_576_000_000_000;

/// A timestamp, if it is in CEL's range.
pub(crate) fn in_range(ms: Option<i64>) -> Option<i64> {
    ms.filter(|ms| (FIRST_MS..=LAST_MS).contains(ms))
}

/// A duration, if it is in CEL's range.
pub(crate) fn duration_in_range(ms: Option<i64>) -> Option<i64> {
    ms.filter(|ms| (-LONGEST_MS..=LONGEST_MS).contains(ms))
}

/// Reads a duration: numbers with the units `h`, `m`, `s` and `ms`, and a sign before all of them. What is
/// beyond milliseconds is cut off.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0i64;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (whole, after) = rest.split_at(digits);
        let (fraction, after) = match after.strip_prefix('.') {
            None => ("", after),
            Some(after) => after.split_at(after.find(|c: char| !c.is_ascii_digit())?),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit_ms: i64 = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        sum = sum.checked_add(whole.checked_mul(unit_ms)?)?;
        let (mut part, mut scale) = (0i64, 1i64);
        for digit in fraction.bytes().take(9) {
            part = part * 10 + i64::from(digit - b'0');
            scale *= 10;
        }
        sum = sum.checked_add(part * unit_ms / scale)?;
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    duration_in_range(Some(if negative { -sum } else { sum }))
}

/// A duration in seconds with as many digits as it needs, as CEL writes it.
pub(crate) fn duration_text(ms: i64) -> String {
    let (sign, ms) = if ms < 0 { ("-", ms.unsigned_abs()) } else { ("", ms.unsigned_abs()) };
    let fraction = format!("{:03}", ms % 1000);
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{}s", ms / 1000),
        fraction => format!("{sign}{}.{fraction}s", ms / 1000),
    }
}

/// Reads a fixed offset from UTC: `UTC`, `Z`, or hours and minutes with a sign.
pub(crate) fn parse_offset(text: &str) -> Option<i64> {
    if text == "UTC" || text == "Z" {
        return Some(0);
    }
    let (negative, clock) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => return None,
    };
    let (hours, minutes) = clock.split_once(':')?;
    let two_digits = |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then_some(());
    two_digits(hours).and(two_digits(minutes))?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 14 && minutes <= 59).then_some(())?;
    let ms = (hours * 60 + minutes) * MINUTE_MS;
    Some(if negative { -ms } else { ms })
}

/// A part of a time that is that far from UTC.
pub(crate) fn part_of_time(part: TimePart, time_ms: i64, offset_ms: i64) -> i64 {
    let local_ms = time_ms.saturating_add(offset_ms);
    let in_day_ms = local_ms.rem_euclid(DAY_MS);
    match part {
        TimePart::Hours => return in_day_ms / 3_600_000,
        TimePart::Minutes => return in_day_ms / 60_000 % 60,
        TimePart::Seconds => return in_day_ms / 1000 % 60,
        TimePart::Milliseconds => return in_day_ms % 1000,
        // The first of January 1970 was a Thursday.
        TimePart::DayOfWeek => return (local_ms.div_euclid(DAY_MS) + 4).rem_euclid(7),
        _ => {}
    }
    let text = Timestamp(local_ms).rfc3339();
    let number = |from: usize, to: usize| text.as_str().get(from..to).and_then(|t| t.parse().ok()).unwrap_or(0);
    let (year, month, day): (i64, i64, i64) = (number(0, 4), number(5, 7), number(8, 10));
    match part {
        TimePart::FullYear => year,
        TimePart::Month => month - 1,
        TimePart::Date => day,
        TimePart::DayOfMonth => day - 1,
        _ => {
            const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let before = usize::try_from(month - 1).ok().and_then(|index| BEFORE.get(index)).copied().unwrap_or(0);
            before + i64::from(leap && month > 2) + day - 1
        }
    }
}

/// A part of a duration: hours, minutes and seconds are the whole of it, milliseconds what is beyond
/// seconds.
pub(crate) fn part_of_duration(part: TimePart, ms: i64) -> i64 {
    match part {
        TimePart::Hours => ms / 3_600_000,
        TimePart::Minutes => ms / 60_000,
        TimePart::Seconds => ms / 1000,
        _ => ms % 1000,
    }
}
