//! The fast lane: verdicts and dead letters, handed to the producer at once, counted until the brokers
//! acknowledge them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use delivery::BatchId;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::client;
use crate::config::{StreamConfig, Topics};
use crate::dead_letter::{self, Provenance};
use crate::error::{Error, WorkerError, advice, class};
use crate::flights::Flights;
use crate::metrics::StreamMetrics;
use crate::murmur2::partition_for;
use crate::running::Cluster;

/// One call of the producer's `poll` serves one event, and an event holds the reports of one produced
/// batch. This many are served before the worker looks at its input again.
const MAX_POLLS: usize = 256;

/// The kinds of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Verdict,
    Dead,
    Log,
    Profile,
}

impl Output {
    pub(crate) const ALL: [Output; 4] = [Output::Verdict, Output::Dead, Output::Log, Output::Profile];

    /// The value of the metric label `output`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Output::Verdict => "verdict",
            Output::Log => "log",
            Output::Dead => "dead",
            Output::Profile => "profile",
        }
    }

    pub(crate) fn topic(self, topics: &Topics) -> &str {
        match self {
            Output::Verdict => &topics.verdicts,
            Output::Log => &topics.logs,
            Output::Dead => &topics.dead,
            Output::Profile => &topics.profiles,
        }
    }
}

/// Travels with an output through the producer and comes back with its acknowledgement.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) output: Output,
    pub(crate) batch: BatchId,
    /// Length of key and payload.
    pub(crate) bytes: usize,
    /// The partition of the flight that it is on.
    pub(crate) partition: Option<usize>,
    /// When the event happened, for the latency of verdicts.
    pub(crate) event_time_ms: Option<i64>,
    /// The timestamp of the source record, for the latency of verdicts.
    pub(crate) append_time_ms: Option<i64>,
    /// For dead letters: what it takes to send them again.
    pub(crate) provenance: Option<Box<Provenance>>,
}

/// An output with its bytes.
pub(crate) struct Parcel<'a> {
    pub(crate) receipt: Box<Receipt>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) headers: Option<OwnedHeaders>,
}

/// A parcel that found the producer's queue full.
struct Waiting {
    receipt: Box<Receipt>,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Option<OwnedHeaders>,
}

struct Report {
    receipt: Box<Receipt>,
    refused: Option<Refused>,
}

struct Refused {
    error: KafkaError,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
}

/// The producer's callbacks. They only collect; the outbox does the work after `poll`. The length of the
/// list is bounded by what is in flight.
pub(crate) struct DeliveryReports {
    reports: Mutex<Vec<Report>>,
    fatal: AtomicBool,
    metrics: Arc<StreamMetrics>,
}

impl ClientContext for DeliveryReports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    // rdkafka 0.39 calls this twice for each error of a producer, so nothing is counted here. What counts
    // is what becomes of the records: refused deliveries, and a producer that cannot go on.
    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(Code::Fatal) {
            self.fatal.store(true, Ordering::Relaxed);
        }
        tracing::debug!(class = class(code), "producer: {error}: {reason}");
    }
}

impl ProducerContext for DeliveryReports {
    type DeliveryOpaque = Box<Receipt>;

    fn delivery(&self, result: &DeliveryResult<'_>, receipt: Box<Receipt>) {
        let refused = result.as_ref().err().map(|(error, message)| {
            self.metrics.producer_error(class(error.rdkafka_error_code()));
            // Only a dead letter can be sent again; of anything else the bytes are of no use.
            let keep = receipt.provenance.is_some();
            Refused {
                error: error.clone(),
                key: message.key().filter(|_| keep).map(<[u8]>::to_vec),
                payload: message.payload().filter(|_| keep).map(<[u8]>::to_vec),
            }
        });
        lock(&self.reports).push(Report { receipt, refused });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The producer of a worker, with the count of what is unacknowledged.
pub(crate) struct Outbox {
    producer: BaseProducer<DeliveryReports>,
    topics: Topics,
    max_records: usize,
    max_bytes: usize,
    records: usize,
    bytes: usize,
    /// Verdicts that wait for the ones before them.
    flights: Flights,
    /// Partitions of the verdicts' topic.
    verdict_partitions: i32,
    /// Parcels that found librdkafka's queue full, in order. The worker pauses as soon as there is one, so
    /// there are never more than a burst's outputs and the dead letters to be sent again.
    waiting: VecDeque<Waiting>,
    reports: Vec<Report>,
    metrics: Arc<StreamMetrics>,
}

impl Outbox {
    /// With a producer for topics as the cluster has them.
    pub(crate) fn new(
        settings: &StreamConfig,
        cluster: &Cluster,
        worker: usize,
        metrics: Arc<StreamMetrics>,
    ) -> Result<Outbox, Error> {
        let context = DeliveryReports {
            reports: Mutex::new(Vec::new()),
            fatal: AtomicBool::new(false),
            metrics: Arc::clone(&metrics),
        };
        let config = client::outputs_producer(settings, worker);
        let producer = BaseProducer::from_config_and_context(&config, context)
            .map_err(|error| Error::Client { client: "producer", reason: error.to_string() })?;
        Ok(Outbox {
            producer,
            topics: settings.topics.clone(),
            max_records: settings.max_in_flight_records,
            max_bytes: settings.max_in_flight_bytes,
            records: 0,
            bytes: 0,
            flights: Flights::new(cluster.verdict_partitions, client::OUTPUTS_BATCH_BYTES),
            verdict_partitions: cluster.verdict_partitions,
            waiting: VecDeque::new(),
            reports: Vec::new(),
            metrics,
        })
    }

    /// Outputs that are not yet acknowledged.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Bytes of keys and payloads that are not yet acknowledged.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Is more outstanding than allowed, so that reading has to pause?
    pub(crate) fn is_full(&self) -> bool {
        self.records >= self.max_records || self.bytes >= self.max_bytes || !self.waiting.is_empty()
    }

    /// Is little enough outstanding for reading to go on?
    pub(crate) fn has_room(&self) -> bool {
        self.records <= self.max_records / 2 && self.bytes <= self.max_bytes / 2 && self.waiting.is_empty()
    }

    /// Takes a parcel. It is under way until its receipt comes back from [`Outbox::collect`]; a verdict
    /// leaves at the next one of these.
    pub(crate) fn post(&mut self, mut parcel: Parcel<'_>) -> Result<(), WorkerError> {
        self.records += 1;
        self.bytes += parcel.receipt.bytes;
        // With another number of partitions meanwhile, or without a key, flights only mean less.
        if parcel.receipt.output == Output::Verdict
            && let Some(number) = partition_for(parcel.key.unwrap_or_default(), self.verdict_partitions)
        {
            let partition = number.unsigned_abs() as usize;
            parcel.receipt.partition = Some(partition);
            self.flights.board(partition, parcel);
            return Ok(());
        }
        self.send_in_order(parcel)
    }

    /// Sends the verdicts that may leave now.
    fn depart(&mut self) -> Result<(), WorkerError> {
        if !self.waiting.is_empty() {
            return Ok(());
        }
        let mut flights = std::mem::take(&mut self.flights);
        let departed = flights.depart(|parcel| self.send_in_order(parcel));
        self.flights = flights;
        departed
    }

    fn send_in_order(&mut self, parcel: Parcel<'_>) -> Result<(), WorkerError> {
        if self.waiting.is_empty() {
            self.send(parcel)
        } else {
            self.waiting.push_back(Waiting::from(parcel));
            Ok(())
        }
    }

    /// Blocks for `time` while acknowledgements come in. (`poll` cannot be left to wait: it keeps the
    /// processor busy for the last millisecond of its time.)
    pub(crate) fn wait(&self, time: Duration) {
        thread::sleep(time);
    }

    /// Takes what the brokers have acknowledged so far, and sends what was waiting for that.
    ///
    /// # Errors
    /// When an output was refused for good.
    pub(crate) fn collect(&mut self, acknowledged: &mut Vec<Receipt>) -> Result<(), WorkerError> {
        let mut seen = 0;
        for _ in 0..MAX_POLLS {
            self.producer.poll(Duration::ZERO);
            let count = lock(&self.producer.context().reports).len();
            if count == seen {
                break;
            }
            seen = count;
        }
        let mut reports = std::mem::take(&mut self.reports);
        std::mem::swap(&mut reports, &mut lock(&self.producer.context().reports));
        for report in reports.drain(..) {
            match report.refused {
                None => {
                    self.records = self.records.saturating_sub(1);
                    self.bytes = self.bytes.saturating_sub(report.receipt.bytes);
                    if let Some(partition) = report.receipt.partition {
                        self.flights.landed(partition);
                    }
                    self.metrics.produced(report.receipt.output, report.receipt.bytes);
                    acknowledged.push(*report.receipt);
                }
                Some(refused) => {
                    let parcel = Parcel {
                        receipt: report.receipt,
                        key: refused.key.as_deref(),
                        payload: refused.payload.as_deref(),
                        headers: None,
                    };
                    self.refused(parcel, &refused.error)?;
                }
            }
        }
        self.reports = reports;
        if self.producer.context().fatal.load(Ordering::Relaxed) {
            return Err(self.fatal_error());
        }
        self.send_waiting()?;
        self.depart()
    }

    fn send_waiting(&mut self) -> Result<(), WorkerError> {
        for _ in 0..self.waiting.len() {
            let Some(next) = self.waiting.pop_front() else { break };
            let (key, payload) = (next.key, next.payload);
            let parcel = Parcel {
                receipt: next.receipt,
                key: key.as_deref(),
                payload: payload.as_deref(),
                headers: next.headers,
            };
            let left = self.waiting.len();
            self.send(parcel)?;
            if self.waiting.len() > left {
                // Still full: `send` put it at the end, its place is the front.
                self.waiting.rotate_right(1);
                break;
            }
        }
        Ok(())
    }

    /// Hands a parcel to librdkafka, or to the waiting ones when its queue is full.
    fn send(&mut self, parcel: Parcel<'_>) -> Result<(), WorkerError> {
        let (key, payload) = (parcel.key, parcel.payload);
        let record: BaseRecord<'_, [u8], [u8], Box<Receipt>> = BaseRecord {
            topic: parcel.receipt.output.topic(&self.topics),
            partition: None,
            payload,
            key,
            timestamp: None,
            headers: parcel.headers,
            delivery_opaque: parcel.receipt,
        };
        let Err((error, record)) = self.producer.send(record) else {
            return Ok(());
        };
        let parcel = Parcel { receipt: record.delivery_opaque, key, payload, headers: record.headers };
        if error.rdkafka_error_code() == Some(Code::QueueFull) {
            self.waiting.push_back(Waiting::from(parcel));
            return Ok(());
        }
        self.metrics.producer_error(class(error.rdkafka_error_code()));
        self.refused(parcel, &error)
    }

    /// An output that was refused: a dead letter that is too large is sent again with less in it,
    /// everything else ends the worker. A dead letter gets smaller at each turn, so this ends.
    fn refused(&mut self, parcel: Parcel<'_>, error: &KafkaError) -> Result<(), WorkerError> {
        let output = parcel.receipt.output;
        let mut receipt = parcel.receipt;
        let code = error.rdkafka_error_code();
        let too_large =
            matches!(code, Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize));
        let provenance = receipt.provenance.as_mut().filter(|_| too_large);
        let cut = provenance.and_then(|of| dead_letter::cut(of, parcel.key, parcel.payload));
        if let Some(cut) = cut {
            let bytes = length(cut.key, cut.payload);
            self.bytes = self.bytes.saturating_sub(receipt.bytes) + bytes;
            receipt.bytes = bytes;
            self.metrics.dead_letter_cut();
            return self.send(Parcel { receipt, key: cut.key, payload: cut.payload, headers: Some(cut.headers) });
        }
        if code == Some(Code::Fatal) {
            return Err(self.fatal_error());
        }
        Err(WorkerError::Undelivered {
            output: output.label(),
            topic: output.topic(&self.topics).to_owned(),
            reason: error.to_string(),
            advice: advice(code),
        })
    }

    fn fatal_error(&self) -> WorkerError {
        let reason = match self.producer.client().fatal_error() {
            Some((_, reason)) => reason,
            None => "librdkafka reports a fatal error".to_owned(),
        };
        WorkerError::Producer { reason }
    }
}

/// Length of a key and a payload together.
pub(crate) fn length(key: Option<&[u8]>, payload: Option<&[u8]>) -> usize {
    key.map_or(0, <[u8]>::len) + payload.map_or(0, <[u8]>::len)
}

impl From<Parcel<'_>> for Waiting {
    fn from(parcel: Parcel<'_>) -> Waiting {
        Waiting {
            receipt: parcel.receipt,
            key: parcel.key.map(<[u8]>::to_vec),
            payload: parcel.payload.map(<[u8]>::to_vec),
            headers: parcel.headers,
        }
    }
}
