//! Writes the events to their topic, at a pace that keeps them flowing while instances are killed.

use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sim::{Labelled, Poison};
use stream::feed::{FeedRecord, Feeder};
use stream::{Connection, partition_for};

use crate::check::hash;
use crate::error::CrashError;
use crate::lab;

/// How long everything may take to be acknowledged; a broker restart may come in between.
const FLUSH: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(1);

/// How far the feed may go, and how far it is.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// So many events may be sent.
    pub(crate) allowed: AtomicU64,
    /// Up to this number they are sent at once, whatever the rate.
    pub(crate) burst: AtomicU64,
    /// So many have been sent.
    pub(crate) sent: AtomicU64,
    /// The feed is to end, wherever it is.
    pub(crate) stop: AtomicBool,
}

/// What was written to each partition: how much, and a hash over all of it in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Written(Vec<(u64, u64)>);

impl Written {
    pub(crate) fn add(&mut self, partition: i32, payload: &[u8]) {
        let index = usize::try_from(partition).unwrap_or(0);
        if self.0.len() <= index {
            self.0.resize(index + 1, (0, 0));
        }
        let (count, sum) = &mut self.0[index];
        *count += 1;
        *sum = hash((*sum, payload));
    }

    /// In words, what differs from what was read.
    pub(crate) fn differs(&self, read: &Written) -> Option<String> {
        (self != read).then(|| {
            let counts = |of: &Written| of.0.iter().map(|(count, _)| *count).collect::<Vec<_>>();
            format!(
                "records written to its partitions: {:?}; read: {:?}; where the numbers are equal, content or order differ",
                counts(self),
                counts(read)
            )
        })
    }
}

/// The feed, with what is still to be sent.
pub(crate) struct Feed<E: Iterator<Item = Labelled>, P: Iterator<Item = (u64, Poison)>> {
    feeder: Feeder,
    partitions: i32,
    events: E,
    poison: Peekable<P>,
    sent: u64,
    written: Written,
}

impl<E: Iterator<Item = Labelled>, P: Iterator<Item = (u64, Poison)>> Feed<E, P> {
    pub(crate) fn new(
        connection: &Connection,
        partitions: u32,
        events: E,
        poison: P,
    ) -> Result<Feed<E, P>, CrashError> {
        Ok(Feed {
            feeder: Feeder::new(connection)?,
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            events,
            poison: poison.peekable(),
            sent: 0,
            written: Written::default(),
        })
    }

    /// Sends until `until` events are sent in all, `rate` a second and no further than allowed, and waits
    /// for the acknowledgements.
    pub(crate) fn send_until(&mut self, until: u64, rate: f64, pace: &Arc<Pace>) -> Result<(), CrashError> {
        let interval = Duration::from_secs_f64(1.0 / rate.max(1.0));
        let mut due = Instant::now();
        while self.sent < until && !pace.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let in_burst = pace.burst.load(Ordering::Relaxed) > self.sent;
            if self.sent >= pace.allowed.load(Ordering::Relaxed) || (due > now + LOOK && !in_burst) {
                // What is under way is acknowledged meanwhile by librdkafka's own thread.
                thread::park_timeout(LOOK);
                // What could not be sent in time is not made up for in a rush.
                due = due.max(now);
                continue;
            }
            if !in_burst {
                due += interval;
            }
            while let Some((_, poison)) = self.poison.next_if(|(before, _)| *before <= self.sent) {
                self.send(format!("poison-{}", self.sent).as_bytes(), &poison.bytes)?;
            }
            let Some(event) = self.events.next() else { break };
            self.send(event.key().as_bytes(), &event.event)?;
            self.sent += 1;
            pace.sent.store(self.sent, Ordering::Relaxed);
        }
        self.feeder.flush(FLUSH)?;
        Ok(())
    }

    fn send(&mut self, key: &[u8], payload: &[u8]) -> Result<(), CrashError> {
        let partition = partition_for(key, self.partitions);
        self.written.add(partition.unwrap_or(0), payload);
        self.feeder.send(FeedRecord {
            topic: lab::EVENTS,
            key: Some(key),
            payload: Some(payload),
            partition,
            ..FeedRecord::default()
        })?;
        Ok(())
    }

    pub(crate) fn written(&self) -> &Written {
        &self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(records: &[(i32, &[u8])]) -> Written {
        let mut written = Written::default();
        records.iter().for_each(|(partition, payload)| written.add(*partition, payload));
        written
    }

    #[test]
    fn what_was_written_is_compared_with_what_is_read() {
        let all: [(i32, &[u8]); 3] = [(0, b"a"), (1, b"b"), (1, b"c")];
        assert_eq!(written(&all).differs(&written(&all)), None);
        // Among partitions there is no order.
        assert_eq!(written(&all).differs(&written(&[all[1], all[0], all[2]])), None);
        for other in [
            written(&all[..2]),
            written(&[all[0], all[2], all[1]]),
            written(&[all[0], all[1], all[2], all[2]]),
            written(&[all[0], all[1], (1, b"d")]),
        ] {
            assert!(written(&all).differs(&other).is_some(), "{other:?}");
        }
    }
}
