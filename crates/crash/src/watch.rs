//! When verdicts were written: whether every partition gives some, and for how long one gave none.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The times of the newest verdicts.
pub(crate) struct Watch(Mutex<Times>);

struct Times {
    /// The newest verdict of each partition, in ms since 1970.
    newest: Vec<Option<i64>>,
    longest_gap_ms: i64,
    /// Gaps that begin later do not count: there are no more events.
    until_ms: i64,
}

impl Watch {
    pub(crate) fn new(partitions: u32) -> Watch {
        Watch(Mutex::new(Times { newest: vec![None; partitions as usize], longest_gap_ms: 0, until_ms: i64::MAX }))
    }

    /// A verdict was written at this time.
    pub(crate) fn verdict(&self, partition: i32, timestamp_ms: i64) {
        let times = &mut *lock(&self.0);
        let Some(newest) = usize::try_from(partition).ok().and_then(|index| times.newest.get_mut(index)) else {
            return;
        };
        // A zombie's verdicts may come late.
        match newest {
            Some(before) if *before >= timestamp_ms => {}
            Some(before) => {
                if *before < times.until_ms {
                    times.longest_gap_ms = times.longest_gap_ms.max(timestamp_ms - *before);
                }
                *before = timestamp_ms;
            }
            None => *newest = Some(timestamp_ms),
        }
    }

    /// How many partitions have verdicts that were written after this time.
    pub(crate) fn since(&self, ms: i64) -> usize {
        lock(&self.0).newest.iter().flatten().filter(|newest| **newest > ms).count()
    }

    /// There are no more events from now on.
    pub(crate) fn no_more_events(&self) {
        lock(&self.0).until_ms = now_ms();
    }

    /// The longest time that a partition was without verdicts while there were events.
    pub(crate) fn longest_gap(&self) -> Duration {
        Duration::from_millis(u64::try_from(lock(&self.0).longest_gap_ms).unwrap_or(0))
    }
}

/// Milliseconds since 1970 by the wall clock, as Kafka's timestamps.
pub(crate) fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_a_partitions_own_and_end_with_the_events() {
        let watch = Watch::new(2);
        for (partition, ms) in [(0, 1_000), (1, 1_000), (0, 1_500), (0, 3_000), (1, 1_100), (0, 2_900), (7, 9_000)] {
            watch.verdict(partition, ms);
        }
        assert_eq!(watch.longest_gap(), Duration::from_millis(1_500));
        assert_eq!((watch.since(1_050), watch.since(2_950), watch.since(3_000)), (2, 1, 0));
        watch.verdict(1, 4_000);
        assert_eq!(watch.longest_gap(), Duration::from_millis(2_900));
        watch.no_more_events();
        watch.verdict(0, now_ms() + 1);
        let before = watch.longest_gap();
        watch.verdict(0, now_ms() + 1_000_000);
        assert_eq!(watch.longest_gap(), before);
    }
}
