//! A worker: one thread that owns a consumer and a fast lane, and goes round one loop.
//!
//! Each turn reads a burst of records, handles them, deals with a rebalance if there was one, takes in what
//! came back (acknowledgements, settled batches, restored partitions), and, once a batch interval, seals the
//! batch, as one that announces what is new where something is. [`delivery::Lanes`] decides; what is here does it.

mod partitions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use delivery::{
    Admission, BatchId, Handler, Lanes, LocalState, Outputs, SOURCE_OFFSET_KEY, Source, StateError, source_offset_value,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::committer::{Committer, Order, Outcome};
use crate::config::StreamConfig;
use crate::dead_letter::{self, Origin, Provenance};
use crate::durable::DurableBatch;
use crate::error::{WorkerError, class};
use crate::headers;
use crate::health::{Health, WorkerState};
use crate::membership::Member;
use crate::metrics::{WorkerMetrics, unix_ms};
use crate::murmur2::partition_for;
use crate::outbox::{Outbox, Output, Parcel, Receipt, length};
use crate::restore::Restorer;
use crate::statistics::End;

/// Records handled before acknowledgements are looked at.
const BURST: usize = 64;
/// How long to wait for records while something is under way whose end does not end the wait.
const WAIT_BUSY: Duration = Duration::from_millis(1);
/// The same while paused: nothing urgent comes then.
const WAIT_PAUSED: Duration = Duration::from_millis(10);
/// The longest wait for records; also how soon a request to stop is seen.
const WAIT_IDLE: Duration = Duration::from_millis(100);
/// How long too much under way is simply waited for. Pausing throws away what was fetched ahead, so it is
/// kept for brokers that are slow or gone.
const WAIT_BEFORE_PAUSE: Duration = Duration::from_millis(50);
/// The same while an announcement is on its way, for which every record has to wait and which is over when its batch
/// is stored.
const WAIT_FOR_ANNOUNCEMENT: Duration = Duration::from_millis(500);
/// Between two announcements: each stops the scoring for as long as a commit takes, and news may come in a stream.
const ANNOUNCEMENT_INTERVAL: Duration = Duration::from_secs(1);
/// Batches that may wait for the local state when something is announced. The last one is always just being
/// written; where there are more the disk takes nothing, and scoring would have to wait for it.
const MAX_UNSTORED_TO_ANNOUNCE: usize = 1;
/// An aborted batch is tried again after this time, which doubles with each abort in a row. In a rebalance that is
/// enough to hear of the group's new generation.
const TRY_AGAIN: Duration = Duration::from_millis(10);
/// So many aborts in a row are tried again. After one more everything uncommitted is read again, in case it is the
/// batch that is not liked.
const MAX_TRIES: u32 = 6;
/// How long reading rests then, and after a failure of the local state. It doubles with each in a row, up to the
/// longest.
const REST: Duration = Duration::from_millis(100);
const MAX_REST: Duration = Duration::from_secs(5);
/// The same kind of consumer error is logged once in this time; all are counted.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What is known about a partition beside its delivery.
#[derive(Debug, Default)]
struct Watched {
    last_timestamp_ms: Option<i64>,
    end: Option<End>,
}

/// The state of a worker, apart from its consumer (records borrow from that).
pub(crate) struct Worker {
    index: usize,
    settings: Arc<StreamConfig>,
    handler: Box<dyn Handler>,
    state: Arc<dyn LocalState>,
    outbox: Outbox,
    outputs: Outputs,
    lanes: Lanes,
    committer: Committer,
    restorer: Restorer,
    watched: BTreeMap<i32, Watched>,
    partition_count: i32,
    /// What the open batch will commit.
    open: DurableBatch,
    /// What the sealed batch will commit, while the committer does not have it.
    sealed: Option<DurableBatch>,
    /// Empty buffers.
    spare: Vec<DurableBatch>,
    /// The committer has a batch.
    committing: bool,
    /// Batches that are committed but not in the local state.
    unstored: usize,
    /// Partitions that were restored since the last order, and up to where.
    restored: Vec<(i32, i64)>,
    /// Partitions wait for the committer before their state can be restored.
    restore_due: bool,
    aborts_in_a_row: u32,
    /// Failures of the local state in a row, by partition.
    state_failures: BTreeMap<i32, u32>,
    /// The sealed batch was aborted, and is not tried again before.
    try_again: Option<Instant>,
    /// Reading rests until then.
    rest_until: Option<Instant>,
    batch_due: Instant,
    /// Nothing is announced before.
    announcement_due: Instant,
    paused: bool,
    acknowledged: Vec<Receipt>,
    /// The class of the consumer's error that was last logged, and when.
    logged_error: Option<(&'static str, Instant)>,
    handled: u64,
    metrics: WorkerMetrics,
    health: Arc<Health>,
}

/// What a worker is made of.
pub(crate) struct Parts {
    pub(crate) settings: Arc<StreamConfig>,
    pub(crate) handler: Box<dyn Handler>,
    pub(crate) state: Arc<dyn LocalState>,
    pub(crate) outbox: Outbox,
    pub(crate) committer: Committer,
    pub(crate) restorer: Restorer,
    pub(crate) partition_count: i32,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) health: Arc<Health>,
}

impl Worker {
    pub(crate) fn new(index: usize, parts: Parts) -> Worker {
        Worker {
            index,
            batch_due: Instant::now() + parts.settings.batch_interval,
            announcement_due: Instant::now(),
            lanes: Lanes::new(parts.settings.batch_max_records),
            settings: parts.settings,
            handler: parts.handler,
            state: parts.state,
            outbox: parts.outbox,
            outputs: Outputs::new(),
            committer: parts.committer,
            restorer: parts.restorer,
            watched: BTreeMap::new(),
            partition_count: parts.partition_count,
            open: DurableBatch::default(),
            sealed: None,
            spare: Vec::new(),
            committing: false,
            unstored: 0,
            restored: Vec::new(),
            restore_due: false,
            aborts_in_a_row: 0,
            state_failures: BTreeMap::new(),
            try_again: None,
            rest_until: None,
            paused: false,
            acknowledged: Vec::new(),
            logged_error: None,
            handled: 0,
            metrics: parts.metrics,
            health: parts.health,
        }
    }

    /// How many records it has handled.
    pub(crate) fn handled(&self) -> u64 {
        self.handled
    }

    /// Joins the group and goes round the loop until asked to stop.
    pub(crate) fn run(&mut self, consumer: &Member, stop: &AtomicBool) -> Result<(), WorkerError> {
        consumer
            .subscribe(&[&self.settings.topics.events])
            .map_err(|error| WorkerError::Consumer { reason: error.to_string() })?;
        self.health.set(self.index, WorkerState::Joining);
        let mut report_due = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            self.read_burst(consumer)?;
            self.rebalance(consumer)?;
            // Here only, where no rebalance waits for an answer: to be served a partition may have to be taken anew,
            // which librdkafka would take for that answer.
            self.restored(consumer)?;
            self.advance(consumer, false)?;
            self.control_flow(consumer)?;
            let now = Instant::now();
            if now >= report_due {
                report_due = now + self.settings.batch_interval;
                self.report(consumer)?;
            }
            self.health.alive(self.index);
        }
        Ok(())
    }

    /// After a request to stop: finishes what is under way, until `deadline` at the latest, and gives up the
    /// partitions' state. The consumer still has to be closed.
    pub(crate) fn finish(&mut self, consumer: &Member, deadline: Instant) -> Result<(), WorkerError> {
        self.health.set(self.index, WorkerState::Stopping);
        let settled = self.settle(consumer, deadline, |lanes| lanes.is_settled())?;
        while settled && self.unstored > 0 && Instant::now() < deadline {
            self.outbox.wait(WAIT_BUSY);
            self.outcomes(consumer)?;
        }
        let partitions: Vec<i32> = self.lanes.assigned().collect();
        for partition in partitions {
            self.forget(partition);
        }
        self.report_flow();
        Ok(())
    }

    fn wait_for_records(&self) -> Duration {
        if self.paused {
            WAIT_PAUSED
        } else if self.outbox.records() > 0 || self.lanes.is_committing() || self.lanes.restoring().next().is_some() {
            WAIT_BUSY
        } else {
            self.batch_due.saturating_duration_since(Instant::now()).clamp(WAIT_BUSY, WAIT_IDLE)
        }
    }

    fn read_burst(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        let mut wait = self.wait_for_records();
        for _ in 0..BURST {
            match consumer.poll(wait) {
                // Nothing now, or a callback was called: its effect comes before any further record.
                None => break,
                Some(Ok(record)) => {
                    if let Err(error) = self.handle(consumer, &record)? {
                        self.state_failed(consumer, record.partition(), &error)?;
                        break;
                    }
                }
                Some(Err(error)) => self.consumer_error(&error)?,
            }
            if self.is_full() {
                break;
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    /// The consumer mends itself; what it cannot mend is fatal.
    fn consumer_error(&mut self, error: &KafkaError) -> Result<(), WorkerError> {
        if let KafkaError::MessageConsumptionFatal(_) = error {
            let reason = error.to_string();
            return Err(WorkerError::Consumer { reason });
        }
        let class = class(error.rdkafka_error_code());
        self.metrics.stream.consumer_error(class);
        // While brokers are down the same error comes many times a second.
        if self.logged_error.is_none_or(|(logged, when)| logged != class || when.elapsed() >= LOG_INTERVAL) {
            self.logged_error = Some((class, Instant::now()));
            tracing::warn!(worker = self.index, class, "consumer: {error}");
        }
        Ok(())
    }

    /// Handles a record. The inner error is the local state's.
    fn handle(
        &mut self,
        consumer: &Member,
        record: &BorrowedMessage<'_>,
    ) -> Result<Result<(), StateError>, WorkerError> {
        let (number, offset) = (record.partition(), record.offset());
        let stream = &self.metrics.stream;
        // What was fetched for a partition that was given up, paused or rewound is dropped by librdkafka; this
        // is a second lock.
        match self.lanes.admit(number, offset) {
            Admission::Handle => {}
            Admission::NotServed | Admission::Repeated => {
                stream.foreign();
                return Ok(Ok(()));
            }
            // Nothing is read while an announcement is on its way: a second lock, too.
            Admission::Later => return self.seek(consumer, &[(number, Some(offset))]).map(Ok),
        }
        let timestamp_ms = record.timestamp().to_millis();
        let content_type = match record.headers().map(|all| headers::text(all, "content-type")) {
            Some(Ok(found)) => found,
            Some(Err(headers::Unreadable)) => {
                stream.unreadable_headers();
                None
            }
            None => None,
        };
        self.outputs.clear();
        let source = Source {
            topic: record.topic(),
            partition: number,
            partition_count: self.partition_count,
            offset,
            timestamp_ms,
            key: record.key(),
            payload: record.payload(),
            content_type,
        };
        if let Err(error) = self.handler.handle(&source, &mut self.outputs) {
            return Ok(Err(error));
        }
        self.state_failures.remove(&number);
        self.handled += 1;
        if let Some(watched) = self.watched.get_mut(&number) {
            watched.last_timestamp_ms = timestamp_ms;
        }
        stream.consumed(length(source.key, source.payload));
        let named = partition_for(self.outputs.key(), self.partition_count);
        if !self.outputs.key().is_empty() && named.is_some_and(|named| named != number) {
            stream.misrouted();
        }
        self.send_outputs(&source, record).map(Ok)
    }

    fn send_outputs(&mut self, source: &Source<'_>, record: &BorrowedMessage<'_>) -> Result<(), WorkerError> {
        let batch = self.lanes.open();
        let verdict = self.outputs.verdict();
        let key = Some(self.outputs.key()).filter(|key| !key.is_empty());
        let dead = self.outputs.dead();
        let fast = usize::from(verdict.is_some()) + usize::from(dead.is_some());
        self.lanes.handled(source.partition, source.offset, fast);
        // The verdict first: somebody waits for it.
        if verdict.is_some() {
            let receipt = Receipt {
                output: Output::Verdict,
                batch,
                bytes: length(key, verdict),
                partition: None,
                event_time_ms: self.outputs.event_time_ms(),
                append_time_ms: source.timestamp_ms,
                provenance: None,
            };
            self.outbox.post(Parcel { receipt: Box::new(receipt), key, payload: verdict, headers: None })?;
        }
        if let Some(log) = self.outputs.log() {
            self.open.logs.push(source.partition, self.outputs.key(), Some(log));
        }
        let Some(why) = dead else { return Ok(()) };
        self.metrics.stream.dead_letter(why.reason);
        let origin = Origin {
            topic: source.topic,
            partition: source.partition,
            offset: source.offset,
            timestamp_ms: source.timestamp_ms,
        };
        let provenance = Provenance {
            topic: origin.topic.to_owned(),
            partition: origin.partition,
            offset: origin.offset,
            timestamp_ms: origin.timestamp_ms,
            why: why.clone(),
            key_bytes: source.key.map_or(0, <[u8]>::len),
            payload_bytes: source.payload.map_or(0, <[u8]>::len),
            cuts: 0,
        };
        let receipt = Receipt {
            output: Output::Dead,
            batch,
            bytes: length(source.key, source.payload),
            partition: None,
            event_time_ms: None,
            append_time_ms: source.timestamp_ms,
            provenance: Some(Box::new(provenance)),
        };
        self.outbox.post(Parcel {
            receipt: Box::new(receipt),
            key: source.key,
            payload: source.payload,
            headers: Some(dead_letter::headers(record.headers(), origin, why)),
        })
    }

    /// Takes in what came back from the lanes, and moves batches on. `finishing`: the open batch is sealed as soon as
    /// possible.
    fn advance(&mut self, consumer: &Member, finishing: bool) -> Result<(), WorkerError> {
        self.collect()?;
        self.outcomes(consumer)?;
        let now = Instant::now();
        if finishing || now >= self.batch_due || self.is_batch_full() {
            // Who finishes takes up nothing new.
            if finishing || !self.announce(consumer, now)? {
                self.seal(now);
            }
        }
        self.submit(consumer)
    }

    /// Takes acknowledgements of the fast lane.
    fn collect(&mut self) -> Result<(), WorkerError> {
        self.outbox.collect(&mut self.acknowledged)?;
        if !self.acknowledged.is_empty() {
            let now_ms = unix_ms();
            for receipt in self.acknowledged.drain(..) {
                self.lanes.acknowledged(receipt.batch);
                if receipt.output == Output::Verdict {
                    self.metrics.stream.verdict(&receipt, now_ms);
                }
            }
        }
        Ok(())
    }

    fn seal(&mut self, now: Instant) {
        if let Some(batch) = self.lanes.seal() {
            self.close(batch, now);
        } else if self.lanes.open_records() == 0 {
            self.batch_due = now + self.settings.batch_interval;
            self.handler.between_batches();
        }
    }

    /// Seals the open batch as one that announces what the handler has new, where it may. Says whether it has.
    fn announce(&mut self, consumer: &Member, now: Instant) -> Result<bool, WorkerError> {
        let may_be = now >= self.announcement_due
            && self.rest_until.is_none()
            && self.unstored <= MAX_UNSTORED_TO_ANNOUNCE
            && !self.lanes.is_committing();
        if !may_be || !self.handler.has_news() {
            return Ok(false);
        }
        if self.lanes.is_replaying() {
            self.note_positions(consumer)?;
        }
        let Some(batch) = self.lanes.seal_announcement() else { return Ok(false) };
        self.announcement_due = now + ANNOUNCEMENT_INTERVAL;
        tracing::debug!(worker = self.index, batch, "announcing what is new");
        self.handler.announce(batch);
        self.close(batch, now);
        Ok(true)
    }

    /// A batch was sealed: takes what it commits.
    fn close(&mut self, batch: BatchId, now: Instant) {
        self.batch_due = now + self.settings.batch_interval;
        self.handler.take_changes(batch, &mut self.open.changes);
        for (partition, next) in self.lanes.sealed_offsets() {
            self.open.changes.push(*partition, SOURCE_OFFSET_KEY, Some(&source_offset_value(*next)));
        }
        let empty = self.spare.pop().unwrap_or_default();
        self.sealed = Some(std::mem::replace(&mut self.open, empty));
        self.handler.between_batches();
    }

    /// Hands the sealed batch to the committer when its verdicts are out.
    fn submit(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        if self.committing || !self.lanes.is_ready() || self.try_again.is_some_and(|due| Instant::now() < due) {
            return Ok(());
        }
        // Between two polls nothing moves: who this names has handled every record of the batch.
        let Some(group) = consumer.group_metadata() else {
            return Err(WorkerError::Consumer { reason: "it is not in its group".to_owned() });
        };
        // Asked after that: a member that was thrown out has lost its name too, and for the nameless the
        // brokers check no generation. The next poll says that its partitions are gone.
        if consumer.assignment_lost() {
            return Ok(());
        }
        let Some(commit) = self.lanes.ready() else { return Ok(()) };
        let records = self.sealed.take().unwrap_or_default();
        self.committing = true;
        self.try_again = None;
        let restored = std::mem::take(&mut self.restored);
        self.committer.commit(Order { commit, group, records, restored })
    }

    fn outcomes(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        while let Some(outcome) = self.committer.outcome()? {
            match outcome {
                Outcome::Committed { batch } => {
                    self.committing = false;
                    self.unstored += 1;
                    self.aborts_in_a_row = 0;
                    self.lanes.committed(batch);
                    self.restore_if_due()?;
                }
                Outcome::Stored { batch, records } => {
                    self.unstored = self.unstored.saturating_sub(1);
                    self.handler.stored(batch);
                    self.lanes.stored(batch);
                    self.recycle(records);
                }
                Outcome::Aborted { batch, fatal, records } => {
                    self.committing = false;
                    if let Some(error) = fatal {
                        return Err(error);
                    }
                    self.aborts_in_a_row = self.aborts_in_a_row.saturating_add(1);
                    if self.aborts_in_a_row <= MAX_TRIES && self.lanes.aborted(batch) {
                        let wait = TRY_AGAIN * 2_u32.pow(self.aborts_in_a_row - 1);
                        tracing::info!(worker = self.index, batch, ?wait, "batch aborted; trying again");
                        self.try_again = Some(Instant::now() + wait);
                        self.sealed = Some(records);
                        continue;
                    }
                    tracing::info!(worker = self.index, batch, "batch aborted");
                    self.recycle(records);
                    self.rest(self.aborts_in_a_row.saturating_sub(MAX_TRIES));
                    if self.restore_due {
                        self.restore_if_due()?;
                    } else {
                        self.rewind(consumer)?;
                    }
                }
                Outcome::Unknown { batch, records } => {
                    tracing::warn!(worker = self.index, batch, "batch with an unknown end");
                    self.committing = false;
                    self.recycle(records);
                    if self.restore_due {
                        self.restore_if_due()?;
                    } else {
                        self.restart(consumer)?;
                    }
                }
                Outcome::Damaged => {
                    self.unstored = 0;
                    self.restart(consumer)?;
                }
            }
        }
        Ok(())
    }

    fn recycle(&mut self, mut records: DurableBatch) {
        if self.spare.len() < 2 {
            records.clear();
            self.spare.push(records);
        }
    }

    /// A pause in reading, after what has happened so many times in a row: it may happen again.
    fn rest(&mut self, times: u32) {
        let rest = (REST * 2_u32.saturating_pow(times.saturating_sub(1).min(16))).min(MAX_REST);
        self.rest_until = Some(Instant::now() + rest);
    }

    /// The open batch and the sealed one will not be committed.
    fn drop_batches(&mut self) {
        self.open.clear();
        self.sealed = None;
        self.try_again = None;
    }

    /// Waits until `settled`, until `deadline` at the latest. Says whether it is.
    fn settle(
        &mut self,
        consumer: &Member,
        deadline: Instant,
        settled: impl Fn(&Lanes) -> bool,
    ) -> Result<bool, WorkerError> {
        loop {
            self.advance(consumer, true)?;
            self.health.alive(self.index);
            if settled(&self.lanes) {
                return Ok(true);
            }
            // Who was thrown out commits nothing any more.
            if consumer.assignment_lost() {
                return Ok(false);
            }
            if Instant::now() >= deadline {
                tracing::warn!(worker = self.index, "not settled in time; uncommitted records will be handled again");
                return Ok(false);
            }
            self.outbox.wait(WAIT_BUSY);
        }
    }

    fn is_batch_full(&self) -> bool {
        self.lanes.open_records() >= self.settings.batch_max_records
            || self.open.bytes() >= self.settings.max_in_flight_bytes
    }

    /// Is more under way than allowed, so that reading has to wait?
    fn is_full(&self) -> bool {
        self.outbox.is_full() || self.is_batch_full() || self.rest_until.is_some() || self.lanes.is_announcing()
    }

    /// Pauses reading when too much is under way, resumes it when little is. The group membership lives on
    /// either way, because polling goes on.
    fn control_flow(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        let now = Instant::now();
        self.rest_until = self.rest_until.filter(|until| now < *until);
        if self.paused {
            let is_full = self.is_batch_full() || self.rest_until.is_some() || self.lanes.is_announcing();
            if self.outbox.has_room() && !is_full {
                self.pause_or_resume(consumer, false)?;
            }
            return Ok(());
        }
        while self.is_full() {
            let patience = if self.lanes.is_announcing() { WAIT_FOR_ANNOUNCEMENT } else { WAIT_BEFORE_PAUSE };
            if self.rest_until.is_some() || now.elapsed() >= patience {
                return self.pause_or_resume(consumer, true);
            }
            self.outbox.wait(WAIT_BUSY);
            self.advance(consumer, false)?;
        }
        Ok(())
    }

    fn pause_or_resume(&mut self, consumer: &Member, pause: bool) -> Result<(), WorkerError> {
        // Partitions that are being restored are paused already, and stay so.
        let served: Vec<i32> = self.lanes.assigned().filter(|number| self.lanes.serves(*number)).collect();
        let list = self.list(served.iter().copied());
        let done = if pause { consumer.pause(&list) } else { consumer.resume(&list) };
        let action = if pause { "pause" } else { "resume" };
        done.map_err(|error| self.partitions_error(action, &error))?;
        self.paused = pause;
        if !pause {
            // Moved consumers forget how far they were.
            self.note_positions(consumer)?;
            let next: Vec<_> = served.into_iter().map(|number| (number, self.lanes.next(number))).collect();
            self.seek(consumer, &next)?;
        }
        self.report_flow();
        let (records, bytes) = (self.outbox.records(), self.outbox.bytes());
        let batch = self.lanes.open_records();
        tracing::info!(worker = self.index, records, bytes, batch, "{action} reading");
        Ok(())
    }

    fn show_assignment(&self) {
        let (partitions, restoring) = (self.lanes.assigned().count(), self.lanes.restoring().count());
        self.metrics.assigned.set(partitions as i64);
        self.metrics.restoring.set(restoring as i64);
        self.health.set(self.index, WorkerState::Assigned { partitions, restoring });
    }

    fn list(&self, partitions: impl Iterator<Item = i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.settings.topics.events, partition);
        }
        list
    }

    fn partitions_error(&self, action: &'static str, error: &KafkaError) -> WorkerError {
        WorkerError::Partitions { action, topic: self.settings.topics.events.clone(), reason: error.to_string() }
    }

    /// With another number of partitions users belong to other partitions than their state.
    fn check_partition_count(&self, found: i32) -> Result<(), WorkerError> {
        if found <= self.partition_count {
            return Ok(());
        }
        let topic = self.settings.topics.events.clone();
        Err(WorkerError::PartitionsAdded { topic, found, expected: self.partition_count })
    }

    fn report_flow(&self) {
        self.metrics.in_flight_records.set(self.outbox.records() as i64);
        self.metrics.in_flight_bytes.set(self.outbox.bytes() as i64);
        self.metrics.open_records.set(self.lanes.open_records() as i64);
        self.metrics.paused.set(i64::from(self.paused));
    }

    fn lag(&self, number: i32, watched: &Watched) -> i64 {
        let Some(end) = watched.end else { return 0 };
        match self.lanes.next(number) {
            Some(next) => (end.offset - next).max(0),
            None => end.uncommitted.unwrap_or(0),
        }
    }

    /// Brings the gauges up to date.
    fn report(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        self.report_flow();
        let now_ms = unix_ms();
        self.metrics.last_poll.set(now_ms / 1000.0);
        if let Some(statistics) = consumer.context().take_statistics() {
            self.check_partition_count(statistics.partition_count)?;
            for (number, end) in statistics.ends {
                if let Some(watched) = self.watched.get_mut(&number) {
                    watched.end = Some(end);
                }
            }
        }
        let (mut records, mut oldest_ms) = (0, now_ms);
        for (number, watched) in &self.watched {
            let lag = self.lag(*number, watched);
            self.metrics.stream.partition_lag(*number, lag);
            records += lag;
            if let Some(timestamp) = watched.last_timestamp_ms.filter(|_| lag > 0) {
                oldest_ms = oldest_ms.min(timestamp as f64);
            }
        }
        self.metrics.lag_records.set(records);
        self.metrics.lag_seconds.set((now_ms - oldest_ms) / 1000.0);
        Ok(())
    }
}
