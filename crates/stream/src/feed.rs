//! Writing records to a topic, for tools, tests and benches: partitioned by key as the Java client does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::client;
use crate::config::Connection;
use crate::error::Error;

/// How long [`Feeder::send`] waits for room before it gives up.
const MAX_WAIT_FOR_ROOM: Duration = Duration::from_secs(60);
/// Between two looks for an acknowledgement.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A record to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct FeedRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The key. It names the partition.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Milliseconds since 1970; `None` means now.
    pub timestamp_ms: Option<i64>,
    /// A partition, instead of the one that the key names.
    pub partition: Option<i32>,
}

/// Writes records. Not every failure is known when a record is handed over: call [`Feeder::flush`]. Dropping
/// a feeder throws away what is not yet acknowledged.
pub struct Feeder {
    producer: BaseProducer<Deliveries>,
    /// The last ticket.
    tickets: AtomicUsize,
}

/// The ticket of records whose place nobody asks for.
const NO_TICKET: usize = 0;

/// Partition and offset of a record, or why it was refused.
type Place = Result<(i32, i64), KafkaError>;

#[derive(Default)]
struct Deliveries {
    delivered: AtomicUsize,
    first_failure: Mutex<Option<(String, KafkaError)>>,
    /// What became of the records for which somebody waits, by their tickets.
    awaited: Mutex<BTreeMap<usize, Option<Place>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("feeder: {error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    /// The record's ticket.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        if result.is_ok() {
            self.delivered.fetch_add(1, Ordering::Relaxed);
        }
        if ticket != NO_TICKET
            && let Some(awaited) = lock(&self.awaited).get_mut(&ticket)
        {
            let place = |message: &BorrowedMessage<'_>| (message.partition(), message.offset());
            *awaited = Some(result.as_ref().map(place).map_err(|(error, _)| error.clone()));
            return;
        }
        if let Err((error, message)) = result {
            lock(&self.first_failure).get_or_insert_with(|| (message.topic().to_owned(), error.clone()));
        }
    }
}

impl Feeder {
    /// Connects. That the brokers are there shows at the first flush.
    ///
    /// # Errors
    /// When the settings are wrong.
    pub fn new(connection: &Connection) -> Result<Feeder, Error> {
        let problems = connection.check();
        if !problems.is_empty() {
            return Err(Error::Config(problems));
        }
        let config = client::feeder(connection);
        let producer = BaseProducer::from_config_and_context(&config, Deliveries::default())
            .map_err(|error| Error::Client { client: "producer", reason: error.to_string() })?;
        Ok(Feeder { producer, tickets: AtomicUsize::new(NO_TICKET) })
    }

    /// Hands a record over, waits until all replicas that are in sync have it, and answers its partition and
    /// offset. Written once, however often it had to be sent.
    ///
    /// # Errors
    /// When the record is refused; when nobody acknowledges it within `timeout`: then it may be written or not,
    /// now or up to two minutes later; when it is written, and the brokers do not say where
    /// ([`Error::UnknownOffset`]).
    pub fn send_and_wait(&self, record: FeedRecord<'_>, timeout: Duration) -> Result<(i32, i64), Error> {
        let deadline = Instant::now() + timeout;
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed) + 1;
        let awaited = &self.producer.context().awaited;
        lock(awaited).insert(ticket, None);
        let answer = self.post(record, ticket, timeout).map(|()| self.wait_for(ticket, deadline));
        lock(awaited).remove(&ticket);
        match answer? {
            // A broker that had the record already says so, and not where it is.
            Some(Ok((_, offset))) if offset < 0 => Err(Error::UnknownOffset { topic: record.topic.to_owned() }),
            Some(Ok(place)) => Ok(place),
            Some(Err(error)) => Err(write_error(record.topic, &error)),
            None => Err(Error::NotAcknowledged { left: 1, waited: timeout }),
        }
    }

    fn wait_for(&self, ticket: usize, deadline: Instant) -> Option<Place> {
        loop {
            self.producer.poll(Duration::ZERO);
            let place = lock(&self.producer.context().awaited).get(&ticket).cloned().flatten();
            if place.is_some() || Instant::now() >= deadline {
                return place;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Hands a record over. Waits, for a minute at most, while too many are under way.
    ///
    /// # Errors
    /// When the record cannot be written at all, or there was no room for it.
    pub fn send(&self, record: FeedRecord<'_>) -> Result<(), Error> {
        self.post(record, NO_TICKET, MAX_WAIT_FOR_ROOM)
    }

    fn post(&self, record: FeedRecord<'_>, ticket: usize, patience: Duration) -> Result<(), Error> {
        let headers = (!record.headers.is_empty()).then(|| {
            let new = OwnedHeaders::new_with_capacity(record.headers.len());
            record.headers.iter().fold(new, |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }))
        });
        let mut next: BaseRecord<'_, [u8], [u8], usize> = BaseRecord {
            topic: record.topic,
            partition: record.partition,
            payload: record.payload,
            key: record.key,
            timestamp: record.timestamp_ms,
            headers,
            delivery_opaque: ticket,
        };
        let deadline = Instant::now() + patience.min(MAX_WAIT_FOR_ROOM);
        loop {
            match self.producer.send(next) {
                Ok(()) => {
                    // Serves the acknowledgements now and then; it costs a microsecond.
                    self.producer.poll(Duration::ZERO);
                    return Ok(());
                }
                Err((error, back)) if error.rdkafka_error_code() == Some(Code::QueueFull) => {
                    if Instant::now() >= deadline {
                        return Err(write_error(record.topic, &error));
                    }
                    next = back;
                    self.producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(write_error(record.topic, &error)),
            }
        }
    }

    /// Waits until everything handed over is acknowledged, and returns how many records were acknowledged
    /// since this feeder was made.
    ///
    /// # Errors
    /// When a record was refused (the first such is told), or some are not acknowledged after `timeout`.
    pub fn flush(&self, timeout: Duration) -> Result<usize, Error> {
        let deadline = Instant::now() + timeout;
        // Not the producer's own `flush`: that takes 100 ms at least.
        loop {
            self.producer.poll(Duration::ZERO);
            let left = usize::try_from(self.producer.in_flight_count()).unwrap_or(0);
            if left == 0 {
                break;
            }
            if Instant::now() >= deadline {
                return Err(Error::NotAcknowledged { left, waited: timeout });
            }
            self.producer.poll(Duration::from_millis(1));
        }
        let deliveries = self.producer.context();
        let failure = lock(&deliveries.first_failure).take();
        match failure {
            None => Ok(deliveries.delivered.load(Ordering::Relaxed)),
            Some((topic, error)) => Err(write_error(&topic, &error)),
        }
    }
}

fn write_error(topic: &str, error: &KafkaError) -> Error {
    Error::Write { topic: topic.to_owned(), reason: error.to_string() }
}
