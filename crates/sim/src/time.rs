//! Calendar arithmetic on epoch milliseconds. UTC only; local time is the sun's.

pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// `2026-01-05T00:00:00.000Z`, with milliseconds.
pub(crate) fn rfc3339(epoch_ms: i64) -> String {
    let (year, month, day) = civil(epoch_ms.div_euclid(DAY));
    let in_day = epoch_ms.rem_euclid(DAY);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        in_day / HOUR,
        in_day / MINUTE % 60,
        in_day / SECOND % 60,
        in_day % SECOND,
    )
}

/// Year, month and day of a day number counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are taken to begin in March, so that the leap day is the last of its year; 400 of them
/// (an era) have 146,097 days.
fn civil(day_number: i64) -> (i64, i64, i64) {
    let days = day_number + 719_468; // from 0000-03-01
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Milliseconds by which the sun's time at a longitude is ahead of UTC. Near enough for habits.
pub(crate) fn solar_offset(longitude: f64) -> i64 {
    (longitude / 15.0).round() as i64 * HOUR
}

/// Hour of the day (0..24) of a local time.
pub(crate) fn hour(local_ms: i64) -> i64 {
    local_ms.rem_euclid(DAY) / HOUR
}

/// Whether a local time is on a Saturday or Sunday.
pub(crate) fn is_weekend(local_ms: i64) -> bool {
    // Day 0 was a Thursday.
    matches!((local_ms.div_euclid(DAY) + 4).rem_euclid(7), 0 | 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (epoch_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_571_200_000, "2026-01-05T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(epoch_ms), expected);
        }
    }

    #[test]
    fn weekends() {
        assert!(!is_weekend(1_767_571_200_000), "2026-01-05 was a Monday");
        assert!(is_weekend(1_767_571_200_000 - 1));
        assert!(is_weekend(1_767_571_200_000 - 2 * DAY));
        assert!(!is_weekend(1_767_571_200_000 - 2 * DAY - 1));
    }
}
