//! Writing records to a topic, for tools, tests and benches: partitioned by key as the Java client does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::client;
use crate::config::Connection;
use crate::error::Error;

/// How long [`Feeder::send`] waits for room before it gives up.
const MAX_WAIT_FOR_ROOM: Duration = Duration::from_secs(60);

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
}

#[derive(Default)]
struct Deliveries {
    delivered: AtomicUsize,
    first_failure: Mutex<Option<(String, KafkaError)>>,
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
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, message)) => {
                let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| (message.topic().to_owned(), error.clone()));
            }
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
        Ok(Feeder { producer })
    }

    /// Hands a record over. Waits, for a minute at most, while too many are under way.
    ///
    /// # Errors
    /// When the record cannot be written at all, or there was no room for it.
    pub fn send(&self, record: FeedRecord<'_>) -> Result<(), Error> {
        let headers = (!record.headers.is_empty()).then(|| {
            let new = OwnedHeaders::new_with_capacity(record.headers.len());
            record.headers.iter().fold(new, |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }))
        });
        let mut next: BaseRecord<'_, [u8], [u8], ()> = BaseRecord {
            topic: record.topic,
            partition: record.partition,
            payload: record.payload,
            key: record.key,
            timestamp: record.timestamp_ms,
            headers,
            delivery_opaque: (),
        };
        let deadline = Instant::now() + MAX_WAIT_FOR_ROOM;
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
        let failure = deliveries.first_failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match failure {
            None => Ok(deliveries.delivered.load(Ordering::Relaxed)),
            Some((topic, error)) => Err(write_error(&topic, &error)),
        }
    }
}

fn write_error(topic: &str, error: &KafkaError) -> Error {
    Error::Write { topic: topic.to_owned(), reason: error.to_string() }
}
