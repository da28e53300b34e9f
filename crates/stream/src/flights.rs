//! Which records leave now, and which wait for those before them.
//!
//! librdkafka 2.12 lets an idempotent producer have five *records* of a partition unanswered before it holds
//! the next request back, and while it holds back records that are due, its thread asks without a pause
//! whether it may go on: a processor is busy until the brokers have answered. So records wait here while five of
//! their partition are in the air, and leave together when the worker hears that there are fewer: in fewer requests,
//! and at no cost meanwhile.
//!
//! The fast lane has [`Flights`] of verdicts all the time. The durable lane sends a batch in as many turns as
//! the fullest partition needs, a [`Flight`] in each.

use std::collections::VecDeque;
use std::ops::Range;

use delivery::Change;

use crate::murmur2::partition_for;
use crate::outbox::{Output, Parcel, Receipt};

/// What a record takes in a request beside its key and value, at most.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// With so many records of a partition in the air librdkafka holds back those that are handed to it.
const CLOSED: usize = 5;

/// The flights of verdicts, by partition of their topic.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    /// Bytes that a flight may have: what leaves in one request.
    max_bytes: usize,
    partitions: Vec<Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    /// Records that left and are not acknowledged.
    in_the_air: usize,
    waiting: VecDeque<Record>,
    /// Keys and values of those that wait, one after the other.
    bytes: Vec<u8>,
    /// How many bytes were taken out before the first of these.
    base: usize,
}

/// A record that waits; its key and value by their places among all bytes that ever were.
#[derive(Debug)]
struct Record {
    receipt: Box<Receipt>,
    key: Option<Range<usize>>,
    payload: Option<Range<usize>>,
    end: usize,
}

impl Flights {
    /// To a topic of so many partitions, in requests of so many bytes.
    pub(crate) fn new(partitions: i32, max_bytes: usize) -> Flights {
        Flights { max_bytes, partitions: (0..partitions.max(1)).map(|_| Partition::default()).collect() }
    }

    /// Takes a parcel for a partition; it leaves with one of the next flights.
    pub(crate) fn board(&mut self, partition: usize, parcel: Parcel<'_>) {
        if let Some(partition) = self.partitions.get_mut(partition) {
            let key = parcel.key.map(|key| partition.keep(key));
            let payload = parcel.payload.map(|payload| partition.keep(payload));
            let end = partition.base + partition.bytes.len();
            partition.waiting.push_back(Record { receipt: parcel.receipt, key, payload, end });
        }
    }

    /// Sends what may leave now.
    pub(crate) fn depart<E>(&mut self, mut send: impl FnMut(Parcel<'_>) -> Result<(), E>) -> Result<(), E> {
        for partition in &mut self.partitions {
            if partition.in_the_air < CLOSED && !partition.waiting.is_empty() {
                partition.depart(self.max_bytes, &mut send)?;
            }
        }
        Ok(())
    }

    /// A record was acknowledged.
    pub(crate) fn landed(&mut self, partition: usize) {
        if let Some(partition) = self.partitions.get_mut(partition) {
            partition.in_the_air = partition.in_the_air.saturating_sub(1);
        }
    }
}

impl Partition {
    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.base + self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..start + bytes.len()
    }

    fn depart<E>(&mut self, max_bytes: usize, send: &mut impl FnMut(Parcel<'_>) -> Result<(), E>) -> Result<(), E> {
        let (begin, mut flight) = (self.base, 0);
        while let Some(Record { receipt, key, payload, end }) = self.waiting.pop_front() {
            let get = |range: &Range<usize>| self.bytes.get(range.start - begin..range.end - begin);
            let (key, payload) = (key.as_ref().and_then(get), payload.as_ref().and_then(get));
            send(Parcel { receipt, key, payload, headers: None })?;
            self.in_the_air += 1;
            self.base = end;
            flight += 1;
            let next = self.waiting.front().map_or(0, |next| next.end);
            if next - begin.min(next) + (flight + 1) * RECORD_OVERHEAD_BYTES > max_bytes {
                break;
            }
        }
        self.bytes.drain(..self.base - begin);
        Ok(())
    }
}

/// What of a batch leaves at once: of each partition as much as goes in one request.
#[derive(Debug)]
pub(crate) struct Flight {
    log_partitions: i32,
    max_bytes: usize,
    logs: Vec<Load>,
    profiles: Vec<Load>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Load {
    bytes: usize,
    /// The next record did not fit: all after it have to wait as well.
    full: bool,
}

impl Flight {
    /// Of log records to a topic of so many partitions, in requests of so many bytes.
    pub(crate) fn new(log_partitions: i32, max_bytes: usize) -> Flight {
        Flight { log_partitions, max_bytes, logs: Vec::new(), profiles: Vec::new() }
    }

    /// Whether a record leaves with it.
    pub(crate) fn takes(&mut self, output: Output, change: Change<'_>) -> bool {
        let (loads, partition) = match output {
            Output::Profile => (&mut self.profiles, Some(change.partition)),
            _ => (&mut self.logs, partition_for(change.key, self.log_partitions)),
        };
        let partition = partition.unwrap_or_default().unsigned_abs() as usize;
        if loads.len() <= partition {
            loads.resize(partition + 1, Load::default());
        }
        let Some(load) = loads.get_mut(partition) else { return true };
        let bytes = change.key.len() + change.value.map_or(0, <[u8]>::len) + RECORD_OVERHEAD_BYTES;
        load.full |= load.bytes > 0 && load.bytes + bytes > self.max_bytes;
        if !load.full {
            load.bytes += bytes;
        }
        !load.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(number: u64) -> Box<Receipt> {
        Box::new(Receipt {
            output: Output::Verdict,
            batch: number,
            bytes: 0,
            partition: None,
            event_time_ms: None,
            append_time_ms: None,
            provenance: None,
        })
    }

    /// What left, each as number, key and value.
    type Gone = Vec<(u64, Option<Vec<u8>>, Option<Vec<u8>>)>;

    fn departed(flights: &mut Flights) -> Gone {
        let mut gone = Gone::new();
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let send = |parcel: Parcel<'_>| {
            gone.push((parcel.receipt.batch, owned(parcel.key), owned(parcel.payload)));
            Ok::<(), ()>(())
        };
        assert_eq!(flights.depart(send), Ok(()));
        gone
    }

    fn board(flights: &mut Flights, partition: usize, number: u64, payload: &[u8]) {
        let key = format!("key-{number}");
        let parcel =
            Parcel { receipt: receipt(number), key: Some(key.as_bytes()), payload: Some(payload), headers: None };
        flights.board(partition, parcel);
    }

    fn numbers(gone: &Gone) -> Vec<u64> {
        gone.iter().map(|(number, ..)| *number).collect()
    }

    #[test]
    fn a_flight_waits_while_its_partition_has_as_many_in_the_air_as_librdkafka_sends_on() {
        let mut flights = Flights::new(2, 1_000_000);
        board(&mut flights, 0, 1, b"a");
        board(&mut flights, 1, 2, b"b");
        board(&mut flights, 0, 3, b"c");
        let gone = departed(&mut flights);
        assert_eq!(numbers(&gone), [1, 3, 2]);
        assert_eq!(gone[1], (3, Some(b"key-3".to_vec()), Some(b"c".to_vec())));
        (4..10).for_each(|number| board(&mut flights, 0, number, b"d"));
        assert_eq!(numbers(&departed(&mut flights)), [4, 5, 6, 7, 8, 9], "two in the air: as many as there are follow");
        board(&mut flights, 0, 10, b"e");
        board(&mut flights, 1, 11, b"f");
        assert_eq!(numbers(&departed(&mut flights)), [11], "eight in the air, and another partition has one");
        (0..3).for_each(|_| flights.landed(0));
        assert!(departed(&mut flights).is_empty(), "five in the air");
        flights.landed(0);
        assert_eq!(numbers(&departed(&mut flights)), [10]);
    }

    #[test]
    fn a_flight_holds_what_fits_one_request() {
        let mut flights = Flights::new(1, 1_000);
        for number in 0..10 {
            board(&mut flights, 0, number, &[number as u8; 300]);
        }
        board(&mut flights, 0, 10, &[10; 5_000]);
        let mut all = Gone::new();
        let mut flown = Vec::new();
        for _ in 0..20 {
            let gone = departed(&mut flights);
            (0..gone.len()).for_each(|_| flights.landed(0));
            flown.push(gone.len());
            all.extend(gone);
        }
        assert_eq!(numbers(&all), (0..=10).collect::<Vec<_>>(), "in order");
        assert_eq!(flown[..6], [2, 2, 2, 2, 2, 1], "one that is too large for any travels alone");
        for (number, key, payload) in all {
            assert_eq!(key, Some(format!("key-{number}").into_bytes()));
            assert!(payload.is_some_and(|payload| payload.iter().all(|byte| u64::from(*byte) == number)));
        }
        assert!(flights.partitions[0].bytes.is_empty());
    }

    #[test]
    fn a_batch_leaves_in_order_whatever_waits() {
        let mut flight = Flight::new(1, 1_000);
        let value = [0; 400];
        let change = |partition, value: &'static [u8]| Change { partition, key: b"key", value: Some(value) };
        let large: &'static [u8] = Vec::leak(value.to_vec());
        assert!(flight.takes(Output::Profile, change(0, large)));
        assert!(flight.takes(Output::Profile, change(0, large)));
        assert!(!flight.takes(Output::Profile, change(0, large)));
        assert!(!flight.takes(Output::Profile, change(0, b"")), "it would fit, but must not go ahead");
        assert!(flight.takes(Output::Profile, change(1, large)), "another partition");
        assert!(flight.takes(Output::Log, change(0, large)), "another topic");
        assert!(Flight::new(1, 10).takes(Output::Log, change(0, large)), "one that fits none travels alone");
    }
}
