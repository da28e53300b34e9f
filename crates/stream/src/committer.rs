//! The durable lane: a thread that commits one batch after the other, each in a transaction, and then
//! brings the local state up to date. The worker scores on meanwhile.
//!
//! What may go wrong, and what is said of it:
//!
//! - before the commit was asked for, everything ends in an abort: nothing of this try will ever be seen
//!   ([`Outcome::Aborted`]), and the batch may be tried again;
//! - after that, an answer other than "done" says nothing about what the coordinator did. The producer is
//!   dropped and built again under the same name, which makes the coordinator bring the transaction to its
//!   end, whichever that is; only then [`Outcome::Unknown`] is reported, and the worker reads what is
//!   committed;
//! - the local state cannot be written: the batch is kept and written later. The commit stands.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use delivery::{Change, Changes, Commit, LocalState, StateError};
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client;
use crate::config::StreamConfig;
use crate::durable::DurableBatch;
use crate::error::{WorkerError, advice, class};
use crate::flights::Flight;
use crate::metrics::StreamMetrics;
use crate::outbox::Output;

/// How long one call of the transaction API may take. It is repeated when that was too short.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The same of an abort.
const ABORT_TIMEOUT: Duration = Duration::from_millis(500);
/// The first wait between two tries, and the longest: it doubles.
const BACK_OFF: Duration = Duration::from_millis(20);
const MAX_BACK_OFF: Duration = Duration::from_secs(1);
/// Between two looks for acknowledgements. `poll` cannot be left to wait for them: it keeps the processor busy
/// for the last millisecond of its time.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How often the local state is tried again when it could not be written.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// How much nicer than the process its thread is, in a system's sense: with 5 it has a third of the time of another
/// where both want all.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;
/// Bytes of changes that are committed but not in the local state: more than that, and the next commit waits.
const MAX_UNSTORED_BYTES: usize = 256 << 20;

/// A batch to be committed.
pub(crate) struct Order {
    pub(crate) commit: Commit,
    /// Who commits: taken after the last record was handled, so that a member whose partitions went to
    /// somebody else cannot commit for them.
    pub(crate) group: ConsumerGroupMetadata,
    pub(crate) records: DurableBatch,
    /// Partitions whose state was restored since the last order, and up to where.
    pub(crate) restored: Vec<(i32, i64)>,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is committed.
    Committed { batch: u64 },
    /// It is committed and in the local state. The buffers come back.
    Stored { batch: u64, records: DurableBatch },
    /// Nothing of this try was or will be committed. `fatal`: trying again is of no use.
    Aborted { batch: u64, fatal: Option<WorkerError>, records: DurableBatch },
    /// It may be committed or not. It is settled by now, so what is committed can be read.
    Unknown { batch: u64, records: DurableBatch },
    /// The local state is damaged and has to be built anew.
    Damaged,
}

/// The worker's end of a committer.
pub(crate) struct Committer {
    orders: SyncSender<Order>,
    outcomes: Receiver<Outcome>,
    stop: Arc<AtomicBool>,
}

impl Committer {
    /// Starts the thread. It ends when the committer is dropped, after the call that it is in.
    pub(crate) fn start(
        settings: &Arc<StreamConfig>,
        worker: usize,
        state: Arc<dyn LocalState>,
        metrics: Arc<StreamMetrics>,
        log_partitions: i32,
    ) -> std::io::Result<Committer> {
        // One order at a time: the worker seals no batch before the one before is settled.
        let (orders, receive) = sync_channel(1);
        let (report, outcomes) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let mut thread = Thread {
            settings: Arc::clone(settings),
            worker,
            state,
            metrics,
            report,
            stop: Arc::clone(&stop),
            producer: None,
            reached: Ends::new(),
            unstored: VecDeque::new(),
            log_partitions,
        };
        thread::Builder::new().name(format!("commit-{worker}")).spawn(move || thread.run(&receive))?;
        Ok(Committer { orders, outcomes, stop })
    }

    /// Hands a batch over.
    ///
    /// # Errors
    /// The thread has ended, which only a panic can make it do.
    pub(crate) fn commit(&self, order: Order) -> Result<(), WorkerError> {
        self.orders.try_send(order).map_err(|_| ended())
    }

    /// What was settled since the last call.
    ///
    /// # Errors
    /// The thread has ended, which only a panic can make it do.
    pub(crate) fn outcome(&self) -> Result<Option<Outcome>, WorkerError> {
        match self.outcomes.try_recv() {
            Ok(outcome) => Ok(Some(outcome)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(ended()),
        }
    }
}

fn ended() -> WorkerError {
    WorkerError::Producer { reason: "the thread that commits has ended".to_owned() }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The offset after the last changelog record of a partition that was delivered.
type Ends = BTreeMap<i32, i64>;

#[derive(Debug, Default)]
struct Delivered {
    ends: Ends,
    refused: Option<(Output, KafkaError)>,
}

/// The producer's callbacks.
struct Deliveries {
    delivered: Mutex<Delivered>,
    metrics: Arc<StreamMetrics>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(class = class(error.rdkafka_error_code()), "transactional producer: {error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    /// Which output it is.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let output = if opaque == Output::Profile as usize { Output::Profile } else { Output::Log };
        match result {
            Ok(message) if output == Output::Profile => {
                let end = message.offset() + 1;
                lock(&self.delivered)
                    .ends
                    .entry(message.partition())
                    .and_modify(|of| *of = end.max(*of))
                    .or_insert(end);
            }
            Ok(_) => {}
            Err((error, _)) => {
                self.metrics.producer_error(class(error.rdkafka_error_code()));
                lock(&self.delivered).refused.get_or_insert((output, error.clone()));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Transactional = BaseProducer<Deliveries>;

/// Why a batch was not committed.
enum Failure {
    Aborted(Option<WorkerError>),
    Unknown,
}

/// A committed batch on its way into the local state.
struct Unstored {
    batch: u64,
    /// For each partition the position that the changes follow, and the one after them.
    spans: Vec<(i32, Option<i64>, i64)>,
    records: DurableBatch,
}

struct Thread {
    settings: Arc<StreamConfig>,
    worker: usize,
    state: Arc<dyn LocalState>,
    metrics: Arc<StreamMetrics>,
    report: Sender<Outcome>,
    stop: Arc<AtomicBool>,
    producer: Option<Transactional>,
    /// Up to where the state of each partition was restored, or committed here since.
    reached: Ends,
    unstored: VecDeque<Unstored>,
    /// Partitions of the log records' topic.
    log_partitions: i32,
}

impl Thread {
    fn run(&mut self, orders: &Receiver<Order>) {
        step_back();
        // Ahead of the first batch, which need not wait for it then. Where it fails the first batch tries.
        self.producer = self.initialised();
        loop {
            match orders.recv_timeout(STORE_RETRY) {
                Ok(order) => self.commit(order),
                Err(RecvTimeoutError::Timeout) => self.store(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn commit(&mut self, order: Order) {
        let Order { commit: Commit { batch, offsets }, group, mut records, restored } = order;
        self.reached.extend(restored);
        while self.unstored_bytes() >= MAX_UNSTORED_BYTES && !self.stopping() {
            thread::sleep(STORE_RETRY);
            self.store();
        }
        let started = Instant::now();
        let committed = self.try_commit(&offsets, &group, &records);
        self.metrics.transaction(started.elapsed(), committed.is_ok());
        let outcome = match committed {
            Ok(ends) => {
                self.metrics.produced_all(Output::Log, records.logs.len(), records.logs.bytes());
                self.metrics.produced_all(Output::Profile, records.changes.len(), records.changes.bytes());
                // They may be many times the size of the changes, which may have to wait.
                records.logs.clear();
                if !self.unstored.is_empty() {
                    records.logs = Changes::default();
                }
                let span = |(partition, end)| (partition, self.reached.insert(partition, end), end);
                let spans = ends.into_iter().map(span).collect();
                self.unstored.push_back(Unstored { batch, spans, records });
                Outcome::Committed { batch }
            }
            Err(Failure::Aborted(fatal)) => Outcome::Aborted { batch, fatal, records },
            Err(Failure::Unknown) => {
                self.producer = None;
                self.settle();
                Outcome::Unknown { batch, records }
            }
        };
        // Nobody listens any more when the worker has ended.
        let _ = self.report.send(outcome);
        self.store();
    }

    /// Makes the coordinator end whatever transaction is open under this name.
    fn settle(&mut self) {
        let mut wait = BACK_OFF;
        while self.producer.is_none() && !self.stopping() {
            self.producer = self.initialised();
            if self.producer.is_none() {
                back_off(&mut wait);
            }
        }
    }

    fn initialised(&self) -> Option<Transactional> {
        let context = Deliveries { delivered: Mutex::default(), metrics: Arc::clone(&self.metrics) };
        let config = client::transactional_producer(&self.settings, self.worker);
        let producer = BaseProducer::from_config_and_context(&config, context);
        let ready = producer.and_then(|producer: Transactional| {
            producer.init_transactions(CALL_TIMEOUT)?;
            Ok(producer)
        });
        ready
            .inspect_err(|error| tracing::warn!(worker = self.worker, "no transactions now: {error}; trying again"))
            .ok()
    }

    fn try_commit(
        &mut self,
        offsets: &[(i32, i64)],
        group: &ConsumerGroupMetadata,
        records: &DurableBatch,
    ) -> Result<Ends, Failure> {
        let Some(producer) = self.producer.take().or_else(|| self.initialised()) else {
            return Err(Failure::Aborted(None));
        };
        *lock(&producer.context().delivered) = Delivered::default();
        match self.prepare(&producer, offsets, group, records) {
            Ok(()) => {}
            Err(error) => {
                let refused = lock(&producer.context().delivered).refused.take();
                let (output, error) = refused.map_or((Output::Log, error), |refused| refused);
                tracing::warn!(
                    worker = self.worker,
                    class = class(error.rdkafka_error_code()),
                    "batch aborted: {error}"
                );
                // A producer that cannot abort is dropped: its successor makes the coordinator abort.
                if self.retried(|| abort(&producer)).is_ok() {
                    self.producer = Some(producer);
                }
                return Err(Failure::Aborted(self.fatal(output, &error)));
            }
        }
        if let Err(error) = self.retried(|| producer.commit_transaction(CALL_TIMEOUT)) {
            tracing::warn!(worker = self.worker, "commit without an answer: {error}; reading what is committed");
            return Err(Failure::Unknown);
        }
        let ends = std::mem::take(&mut lock(&producer.context().delivered).ends);
        self.producer = Some(producer);
        let partitions = |change: Change<'_>| change.partition;
        // The broker acknowledges a repeated request without saying where its records are.
        if records.changes.iter().map(partitions).any(|of| ends.get(&of).is_none_or(|end| *end <= 0)) {
            return Err(Failure::Unknown);
        }
        Ok(ends)
    }

    /// Everything up to the commit itself.
    fn prepare(
        &self,
        producer: &Transactional,
        offsets: &[(i32, i64)],
        group: &ConsumerGroupMetadata,
        records: &DurableBatch,
    ) -> Result<(), KafkaError> {
        producer.begin_transaction()?;
        let topics = &self.settings.topics;
        let logs = records.logs.iter().map(|log| (Output::Log, log));
        let mut due: Vec<_> = logs.chain(records.changes.iter().map(|change| (Output::Profile, change))).collect();
        while !due.is_empty() {
            let mut flight = Flight::new(self.log_partitions, client::DURABLE_BATCH_BYTES);
            let mut later = Vec::new();
            for (output, change) in due {
                if !flight.takes(output, change) {
                    later.push((output, change));
                    continue;
                }
                // Log records are found by their users, changes by the partition whose state they are.
                let partition = (output == Output::Profile).then_some(change.partition);
                self.send(producer, record(output.topic(topics), partition, output, change))?;
            }
            due = later;
            // `commit_transaction` would wait in steps of 100 ms for what is still in flight.
            while producer.in_flight_count() > 0 {
                self.await_some(producer)?;
            }
            self.check(producer)?;
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&topics.events, *partition, Offset::Offset(*offset))?;
        }
        self.retried(|| producer.send_offsets_to_transaction(&list, group, CALL_TIMEOUT))
    }

    fn check(&self, producer: &Transactional) -> Result<(), KafkaError> {
        if self.stopping() {
            return Err(KafkaError::Canceled);
        }
        match &lock(&producer.context().delivered).refused {
            Some((_, error)) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn send(&self, producer: &Transactional, record: BaseRecord<'_, [u8], [u8], usize>) -> Result<(), KafkaError> {
        let mut record = record;
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), same)) => record = same,
                Err((error, _)) => return Err(error),
            }
            self.await_some(producer)?;
        }
    }

    /// Takes the acknowledgements that are there; where there are none, after a short wait.
    fn await_some(&self, producer: &Transactional) -> Result<(), KafkaError> {
        let before = producer.in_flight_count();
        producer.poll(Duration::ZERO);
        if producer.in_flight_count() == before {
            thread::sleep(LOOK_AGAIN);
        }
        self.check(producer)
    }

    /// Repeats a call while that can help and somebody waits for it.
    fn retried(&self, call: impl Fn() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
        let mut wait = BACK_OFF;
        let started = Instant::now();
        loop {
            let error = match call() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let retriable = match &error {
                KafkaError::Transaction(inner) => inner.is_retriable(),
                // The flush inside rdkafka's call.
                KafkaError::Flush(_) => true,
                _ => false,
            };
            if !retriable || self.stopping() || started.elapsed() >= self.settings.delivery_timeout {
                return Err(error);
            }
            back_off(&mut wait);
        }
    }

    /// Errors that come again with every try.
    fn fatal(&self, output: Output, error: &KafkaError) -> Option<WorkerError> {
        let code = error.rdkafka_error_code();
        let permanent = matches!(
            code?,
            Code::MessageSizeTooLarge
                | Code::MessageBatchTooLarge
                | Code::InvalidMessageSize
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed
                | Code::GroupAuthorizationFailed
        );
        permanent.then(|| WorkerError::Undelivered {
            output: output.label(),
            topic: output.topic(&self.settings.topics).to_owned(),
            reason: error.to_string(),
            advice: advice(code),
        })
    }

    /// Brings the local state up to date, as far as it can be written.
    fn store(&mut self) {
        while let Some(next) = self.unstored.front() {
            let stored = next.spans.iter().try_for_each(|(partition, from, end)| {
                let mut changes = next.records.changes.of(*partition);
                if !self.state.apply(*partition, *from, &mut changes, *end)? {
                    // The copy was thrown away or fell behind while this batch was on its way. It is being
                    // restored, or will be before the partition is served again, and the changelog has it all.
                    tracing::info!(worker = self.worker, partition, end, "the local state is restored, not written");
                }
                Ok(())
            });
            if let Err(error) = stored {
                self.metrics.state_error(&error);
                if let StateError::Damaged(_) = error {
                    tracing::error!(worker = self.worker, "{error}; building it anew");
                    // The changelog has it all.
                    self.unstored.clear();
                    let _ = self.report.send(Outcome::Damaged);
                    break;
                }
                tracing::warn!(worker = self.worker, unstored = self.unstored.len(), "{error}; trying again");
                break;
            }
            if let Some(Unstored { batch, records, .. }) = self.unstored.pop_front() {
                let _ = self.report.send(Outcome::Stored { batch, records });
            }
        }
        self.metrics.unstored(self.worker, self.unstored_bytes());
    }

    fn unstored_bytes(&self) -> usize {
        self.unstored.iter().map(|of| of.records.changes.bytes()).sum()
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Lowers the priority of this thread, and so that of librdkafka's threads that it starts: what a batch takes to
/// leave must not keep a verdict from a processor. It is a preference: without it everything is only less even.
fn step_back() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICER);
}

fn record<'a>(
    topic: &'a str,
    partition: Option<i32>,
    output: Output,
    change: Change<'a>,
) -> BaseRecord<'a, [u8], [u8], usize> {
    BaseRecord {
        topic,
        partition,
        payload: change.value,
        key: Some(change.key).filter(|key| !key.is_empty()),
        timestamp: None,
        headers: None,
        delivery_opaque: output as usize,
    }
}

/// Asks for an abort. The call throws away what is not sent and waits until everything is reported, but the
/// reports come here and nowhere else: so it must not wait long, and the next try takes them first.
fn abort(producer: &Transactional) -> Result<(), KafkaError> {
    let mut left = i32::MAX;
    while producer.in_flight_count() < left {
        left = producer.in_flight_count();
        producer.poll(Duration::ZERO);
    }
    producer.abort_transaction(ABORT_TIMEOUT)
}

fn back_off(wait: &mut Duration) {
    thread::sleep(*wait);
    *wait = (*wait * 2).min(MAX_BACK_OFF);
}
