//! Completing the state of partitions that were assigned: what the local copy lacks is read from the
//! changelog, on a thread of its own, while the worker serves its other partitions.
//!
//! The state has to be exactly what belongs to the offset from which the partition is read on. Three steps, in
//! this order, see to that, and the state names its offset itself, should the committed one have been lost:
//!
//! 1. The committed offset is asked for, and the brokers answer only when no transaction is pending on it.
//!    From then on nobody but the partition's new owner can commit: who had it before is of an older
//!    generation of the group. A transaction that is pending for longer than transactions last is one that the
//!    brokers have lost sight of (Kafka 4.3.1, after a broker was killed: for ever). Then the last settled
//!    offset is taken. Should that transaction be committed after all, the state says so: what it wrote to the
//!    changelog was there before its offset was pending, and is read before the partition is served.
//! 2. The changelog's end is taken, open transactions included. Whatever led to that offset lies before it,
//!    also where its commit marker is still on the way.
//! 3. The changelog is read when everything before that end is settled, and up to there.
//!
//! Last of all it is asked what the partition of the source holds: what comes later was not answered before. (But for
//! a former owner who was thrown out, has not heard of it, and goes on reading: what it answers from now on may
//! differ in what was announced meanwhile. So it is asked as late as possible.)

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use delivery::{Changes, LocalState, StateError};
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, ClientContext};

use crate::client;
use crate::config::StreamConfig;
use crate::metrics::StreamMetrics;

/// How long one question to the brokers may take. It is asked again when that was too short.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// For so long a transaction may be pending on a partition's offset: longer than one lasts.
const PENDING_PATIENCE: Duration = client::TRANSACTION_TIMEOUT.saturating_add(Duration::from_secs(5));
/// How often it is looked whether open transactions are settled.
const SETTLE_POLL: Duration = Duration::from_millis(20);
/// How long to wait for records.
const READ_TIMEOUT: Duration = Duration::from_millis(100);
/// The wait after a failed try: it doubles up to the longest.
const BACK_OFF: Duration = Duration::from_millis(100);
const MAX_BACK_OFF: Duration = Duration::from_secs(5);
/// Changes that are handed to the local state at once.
const CHUNK_RECORDS: usize = 5_000;
const CHUNK_BYTES: usize = 4 << 20;
/// How often progress is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// A partition's state is complete.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) partition: i32,
    /// Where it has to be read on; `None`: from its start.
    pub(crate) next: Option<i64>,
    /// Up to where the local copy holds the changelog.
    pub(crate) position: i64,
    /// The offsets that the partition of the source holds.
    pub(crate) source: Range<i64>,
    /// The brokers do not say what is committed, to the consumer either: it has to be told where to start.
    pub(crate) pending: bool,
}

/// Which partitions are wanted, each with the number of its request: a later request for the same
/// partition makes an earlier one void.
type Wanted = Arc<Mutex<BTreeMap<i32, u64>>>;

/// The worker's end of restoring.
pub(crate) struct Restorer {
    settings: Arc<StreamConfig>,
    worker: usize,
    state: Arc<dyn LocalState>,
    metrics: Arc<StreamMetrics>,
    wanted: Wanted,
    requests: u64,
    report: Sender<(u64, Restored)>,
    results: Receiver<(u64, Restored)>,
    stop: Arc<AtomicBool>,
}

impl Restorer {
    pub(crate) fn new(
        settings: &Arc<StreamConfig>,
        worker: usize,
        state: Arc<dyn LocalState>,
        metrics: Arc<StreamMetrics>,
    ) -> Restorer {
        let (report, results) = channel();
        Restorer {
            settings: Arc::clone(settings),
            worker,
            state,
            metrics,
            wanted: Wanted::default(),
            requests: 0,
            report,
            results,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Starts completing the state of these partitions. There is one thread for each call; it ends when the
    /// partitions are complete or no longer wanted.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn restore(&mut self, partitions: &[i32]) -> std::io::Result<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        self.requests += 1;
        let request = self.requests;
        lock(&self.wanted).extend(partitions.iter().map(|partition| (*partition, request)));
        let job = Job {
            settings: Arc::clone(&self.settings),
            worker: self.worker,
            state: Arc::clone(&self.state),
            metrics: Arc::clone(&self.metrics),
            wanted: Arc::clone(&self.wanted),
            request,
            report: self.report.clone(),
            stop: Arc::clone(&self.stop),
            done: RefCell::default(),
            started: Instant::now(),
            pending: Cell::new(false),
        };
        thread::Builder::new().name(format!("restore-{}", self.worker)).spawn(move || job.run())?;
        Ok(())
    }

    /// A partition is not wanted any more.
    pub(crate) fn forget(&self, partition: i32) {
        lock(&self.wanted).remove(&partition);
    }

    /// A partition that is complete.
    pub(crate) fn result(&self) -> Option<Restored> {
        while let Ok((request, restored)) = self.results.try_recv() {
            let mut wanted = lock(&self.wanted);
            if wanted.get(&restored.partition) == Some(&request) {
                wanted.remove(&restored.partition);
                return Some(restored);
            }
        }
        None
    }
}

impl Drop for Restorer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    #[error("{1}")]
    State(i32, StateError),
    #[error("the local copy of partition {0} was thrown away meanwhile")]
    Moved(i32),
}

/// The log of the clients that read the changelog.
struct Reading;

impl ClientContext for Reading {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("reading the changelog: {error}: {reason}");
    }
}

impl ConsumerContext for Reading {}

struct Job {
    settings: Arc<StreamConfig>,
    worker: usize,
    state: Arc<dyn LocalState>,
    metrics: Arc<StreamMetrics>,
    wanted: Wanted,
    request: u64,
    report: Sender<(u64, Restored)>,
    stop: Arc<AtomicBool>,
    /// What was reported already.
    done: RefCell<BTreeSet<i32>>,
    started: Instant,
    /// See [`Restored::pending`].
    pending: Cell<bool>,
}

/// A partition that is being read.
#[derive(Default)]
struct Progress {
    committed: Option<i64>,
    /// The oldest record that there is.
    first: i64,
    start: i64,
    /// Everything before this has to be read.
    end: i64,
    /// The offset after the last record read.
    next: i64,
    /// What the local copy holds by now; `None`: nothing.
    applied: Option<i64>,
    chunk: Changes,
}

impl Job {
    fn run(self) {
        let mut wait = BACK_OFF;
        loop {
            let partitions = self.still_wanted();
            if partitions.is_empty() {
                break;
            }
            let Err(failed) = self.restore(&partitions) else { continue };
            self.metrics.restore_failed();
            tracing::warn!(worker = self.worker, ?partitions, "state not restored: {failed}; trying again");
            if let Failed::State(partition, StateError::Damaged(_)) = &failed
                && let Err(error) = self.reset(*partition)
            {
                tracing::error!(worker = self.worker, partition, "{error}");
            }
            thread::sleep(wait);
            wait = (wait * 2).min(MAX_BACK_OFF);
        }
        tracing::debug!(worker = self.worker, elapsed = ?self.started.elapsed(), "restoring ended");
    }

    fn still_wanted(&self) -> Vec<i32> {
        if self.stop.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let done = self.done.borrow();
        let wanted = lock(&self.wanted);
        let mine = wanted.iter().filter(|(of, request)| **request == self.request && !done.contains(of));
        mine.map(|(of, _)| *of).collect()
    }

    fn is_wanted(&self, partition: i32) -> bool {
        !self.stop.load(Ordering::Relaxed) && lock(&self.wanted).get(&partition) == Some(&self.request)
    }

    /// Throws a copy away, unless somebody else works on it by now: a later job may have completed it, and
    /// what that read may be beyond what this one knows of.
    fn reset(&self, partition: i32) -> Result<(), StateError> {
        let wanted = lock(&self.wanted);
        if wanted.get(&partition) == Some(&self.request) { self.state.reset(partition) } else { Ok(()) }
    }

    fn restore(&self, partitions: &[i32]) -> Result<(), Failed> {
        let reader = create(&client::changelog_reader(&self.settings, "read_committed"))?;
        let ends = create(&client::changelog_reader(&self.settings, "read_uncommitted"))?;
        let topic = &self.settings.topics.profiles;

        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.settings.topics.events, *partition);
        }
        let committed = match reader.committed_offsets(list.clone(), ASK_TIMEOUT) {
            Err(error) if self.started.elapsed() >= PENDING_PATIENCE => {
                tracing::warn!(
                    worker = self.worker,
                    ?partitions,
                    "{error}: taking offsets on which others may be pending"
                );
                self.pending.set(true);
                ends.committed_offsets(list, ASK_TIMEOUT)?
            }
            answer => answer?,
        };
        let mut reading: BTreeMap<i32, Progress> = BTreeMap::new();
        for partition in partitions {
            let end = ends.fetch_watermarks(topic, *partition, ASK_TIMEOUT)?.1;
            let committed = match committed.find_partition(&self.settings.topics.events, *partition) {
                Some(of) => {
                    of.error()?;
                    if let Offset::Offset(offset) = of.offset() { Some(offset) } else { None }
                }
                None => None,
            };
            reading.insert(*partition, Progress { committed, end, ..Progress::default() });
        }
        drop(ends);

        // A transaction that is open on one partition delays no other: what is settled is read meanwhile.
        let mut waiting = reading;
        let mut logged = Instant::now();
        loop {
            let mut settled = BTreeMap::new();
            for (partition, mut progress) in std::mem::take(&mut waiting) {
                // What a read_committed consumer is told is where the first open transaction starts.
                let (first, open) = reader.fetch_watermarks(topic, partition, ASK_TIMEOUT)?;
                progress.first = first;
                if open >= progress.end { &mut settled } else { &mut waiting }.insert(partition, progress);
            }
            if !settled.is_empty() {
                self.start_reading(&reader, &mut settled)?;
                self.read(&reader, settled)?;
            }
            waiting.retain(|partition, _| self.is_wanted(*partition));
            if waiting.is_empty() {
                return Ok(());
            }
            if logged.elapsed() >= LOG_INTERVAL {
                logged = Instant::now();
                let partitions: Vec<_> = waiting.keys().collect();
                tracing::info!(
                    worker = self.worker,
                    ?partitions,
                    waited = ?self.started.elapsed(),
                    "waiting for the end of an open transaction in {topic}"
                );
            }
            thread::sleep(SETTLE_POLL);
        }
    }

    /// Finds out where to start, and reports what needs no reading.
    fn start_reading(&self, reader: &Reader, reading: &mut BTreeMap<i32, Progress>) -> Result<(), Failed> {
        let topic = &self.settings.topics.profiles;
        let mut list = TopicPartitionList::new();
        let mut complete = Vec::new();
        for (partition, progress) in reading.iter_mut() {
            let first = progress.first;
            let failed = |error| Failed::State(*partition, error);
            let position = self.state.position(*partition).map_err(failed)?;
            progress.applied = position.filter(|position| (first..=progress.end).contains(position));
            progress.start = match position {
                Some(position) if progress.applied.is_some() => position,
                None => first,
                Some(position) => {
                    tracing::warn!(
                        partition,
                        position,
                        first,
                        end = progress.end,
                        "the local state is not of this {topic}: building it anew"
                    );
                    self.reset(*partition).map_err(failed)?;
                    first
                }
            };
            progress.next = progress.start;
            if progress.start >= progress.end {
                complete.push(*partition);
            } else {
                list.add_partition_offset(topic, *partition, Offset::Offset(progress.start))?;
            }
        }
        for partition in complete {
            if let Some(progress) = reading.remove(&partition) {
                self.complete(reader, partition, progress)?;
            }
        }
        reader.assign(&list)?;
        Ok(())
    }

    fn read(&self, reader: &Reader, mut reading: BTreeMap<i32, Progress>) -> Result<(), Failed> {
        let mut logged = Instant::now();
        while !reading.is_empty() {
            match reader.poll(READ_TIMEOUT) {
                Some(Ok(record)) => {
                    let partition = record.partition();
                    if let Some(progress) = reading.get_mut(&partition) {
                        progress.next = record.offset() + 1;
                        progress.chunk.push(partition, record.key().unwrap_or_default(), record.payload());
                        self.metrics.restored_records(1);
                        if progress.chunk.len() >= CHUNK_RECORDS || progress.chunk.bytes() >= CHUNK_BYTES {
                            self.apply(partition, progress)?;
                        }
                    }
                }
                // The end, and the last records before it may be markers that are not handed out.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    if let Some(mut progress) = reading.remove(&partition) {
                        progress.next = progress.next.max(progress.end);
                        self.complete(reader, partition, progress)?;
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error.into()),
                Some(Err(error)) => tracing::debug!("reading the changelog: {error}"),
                None => {}
            }
            if logged.elapsed() >= LOG_INTERVAL {
                logged = Instant::now();
                self.log_progress(&reading);
                reading.retain(|partition, _| self.is_wanted(*partition));
            }
        }
        Ok(())
    }

    fn log_progress(&self, reading: &BTreeMap<i32, Progress>) {
        let total: i64 = reading.values().map(|of| of.end - of.start).sum();
        let done: i64 = reading.values().map(|of| of.next - of.start).sum();
        let percent = done * 100 / total.max(1);
        tracing::info!(worker = self.worker, partitions = reading.len(), percent, "restoring state");
    }

    fn apply(&self, partition: i32, progress: &mut Progress) -> Result<(), Failed> {
        let applied = self.state.apply(partition, progress.applied, &mut progress.chunk.iter(), progress.next);
        progress.chunk.clear();
        if !applied.map_err(|error| Failed::State(partition, error))? {
            return Err(Failed::Moved(partition));
        }
        progress.applied = Some(progress.next);
        Ok(())
    }

    fn complete(&self, reader: &Reader, partition: i32, mut progress: Progress) -> Result<(), Failed> {
        self.apply(partition, &mut progress)?;
        let records = progress.next - progress.start;
        let Progress { committed, next: position, .. } = progress;
        // The state itself says up to where the source is in it. Committed offsets can be lost: they expire when
        // a group is away for long, somebody may reset them, and a coordinator that loads them in a hurry has
        // been seen to lose the newest. Where they are ahead somebody has skipped records on purpose.
        let in_state = self.state.source_offset(partition).map_err(|error| Failed::State(partition, error))?;
        let next = committed.max(in_state);
        if next != committed {
            self.metrics.offset_behind();
            tracing::warn!(
                partition,
                committed,
                in_state,
                "the committed offset is behind the state: reading on from there"
            );
        }
        let (first, end) = reader.fetch_watermarks(&self.settings.topics.events, partition, ASK_TIMEOUT)?;
        tracing::info!(worker = self.worker, partition, records, committed, next, "state complete");
        // Nobody listens any more when the worker has ended.
        let restored = Restored { partition, next, position, source: first..end, pending: self.pending.get() };
        let _ = self.report.send((self.request, restored));
        self.done.borrow_mut().insert(partition);
        Ok(())
    }
}

type Reader = BaseConsumer<Reading>;

fn create(config: &ClientConfig) -> Result<Reader, KafkaError> {
    BaseConsumer::from_config_and_context(config, Reading)
}
