//! A worker: one thread that owns a consumer and a producer, and goes round one loop.
//!
//! Each turn reads a burst of records, handles them, deals with a rebalance if there was one, takes the
//! acknowledgements that came in, and, once a batch interval, closes the batch and commits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::batch::{Batches, NextOffset};
use crate::config::StreamConfig;
use crate::dead_letter::{self, Origin, Provenance};
use crate::error::{WorkerError, class};
use crate::handler::{Handler, Outputs, Source};
use crate::headers;
use crate::health::{Health, WorkerState};
use crate::membership::{Change, Member};
use crate::metrics::{WorkerMetrics, unix_ms};
use crate::murmur2::partition_for;
use crate::outbox::{Outbox, Output, Parcel, Receipt, length};
use crate::statistics::End;

/// Records handled before acknowledgements are looked at.
const BURST: usize = 64;
/// How long to wait for records while outputs are unacknowledged: their acknowledgements do not end the
/// wait.
const WAIT_BUSY: Duration = Duration::from_millis(1);
/// The same while paused: nothing urgent comes then.
const WAIT_PAUSED: Duration = Duration::from_millis(10);
/// The longest wait for records; also how soon a request to stop is seen.
const WAIT_IDLE: Duration = Duration::from_millis(100);
/// How long too much in flight is simply waited for. Pausing throws away what was fetched ahead, so it is
/// kept for brokers that are slow or gone.
const WAIT_BEFORE_PAUSE: Duration = Duration::from_millis(50);
/// Reading also pauses when this many batches are incomplete, which bounds what has to be handled again
/// when a single output is stuck.
const MAX_BATCHES: usize = 1000;
/// How long to wait after a failed commit. While a member rejoins its group, for half a second or so, the
/// brokers refuse all its commits.
const COMMIT_RETRY: Duration = Duration::from_millis(300);
/// The same kind of consumer error is logged once in this time; all are counted.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A partition that the worker owns.
#[derive(Debug, Default)]
struct Partition {
    /// The offset after the last handled record.
    next: Option<i64>,
    /// `next` when the last batch was closed.
    batched: Option<i64>,
    /// Every output of every record before this offset is acknowledged.
    done: Option<i64>,
    /// The offset that was last sent to be committed, unless that failed.
    sent: Option<i64>,
    last_timestamp_ms: Option<i64>,
    end: Option<End>,
}

impl Partition {
    fn lag(&self) -> i64 {
        let Some(end) = self.end else { return 0 };
        match self.next {
            Some(next) => (end.offset - next).max(0),
            None => end.uncommitted.unwrap_or(0),
        }
    }
}

/// The state of a worker, apart from its consumer (records borrow from that).
pub(crate) struct Worker {
    index: usize,
    settings: Arc<StreamConfig>,
    handler: Box<dyn Handler>,
    outbox: Outbox,
    outputs: Outputs,
    partitions: BTreeMap<i32, Partition>,
    partition_count: i32,
    batches: Batches,
    batch_due: Instant,
    paused: bool,
    acknowledged: Vec<Receipt>,
    /// No commit before this.
    commit_due: Instant,
    /// The class of the consumer's error that was last logged, and when.
    logged_error: Option<(&'static str, Instant)>,
    handled: u64,
    metrics: WorkerMetrics,
    health: Arc<Health>,
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        settings: Arc<StreamConfig>,
        handler: Box<dyn Handler>,
        outbox: Outbox,
        partition_count: i32,
        metrics: WorkerMetrics,
        health: Arc<Health>,
    ) -> Worker {
        Worker {
            index,
            batch_due: Instant::now() + settings.batch_interval,
            settings,
            handler,
            outbox,
            outputs: Outputs::new(),
            partitions: BTreeMap::new(),
            partition_count,
            batches: Batches::new(),
            paused: false,
            acknowledged: Vec::new(),
            commit_due: Instant::now(),
            logged_error: None,
            handled: 0,
            metrics,
            health,
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
        while !stop.load(Ordering::Relaxed) {
            self.read_burst(consumer)?;
            self.rebalance(consumer)?;
            self.collect()?;
            self.control_flow(consumer)?;
            let now = Instant::now();
            if now >= self.batch_due || self.batches.open_records() >= self.settings.batch_max_records {
                self.batch_due = now + self.settings.batch_interval;
                self.end_batch();
                self.commit_async(consumer);
                self.report(consumer);
            }
            self.health.alive(self.index);
        }
        Ok(())
    }

    /// After a request to stop: finishes what is under way, until `deadline` at the latest, commits, and
    /// gives up the partitions' state. The consumer still has to be closed.
    pub(crate) fn finish(&mut self, consumer: &Member, deadline: Instant) -> Result<(), WorkerError> {
        self.health.set(self.index, WorkerState::Stopping);
        if self.drain(deadline)? {
            self.commit_sync(consumer, deadline);
        } else {
            // Brokers are gone, and a synchronous commit could take as long as a session.
            self.commit(consumer, CommitMode::Async);
        }
        for partition in std::mem::take(&mut self.partitions).into_keys() {
            self.handler.revoked(partition);
            self.metrics.stream.forget_partition(partition);
        }
        self.report_flow();
        Ok(())
    }

    fn wait_for_records(&self) -> Duration {
        if self.paused {
            WAIT_PAUSED
        } else if self.outbox.records() > 0 {
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
                Some(Ok(record)) => self.handle(&record)?,
                Some(Err(error)) => self.consumer_error(&error)?,
            }
            if self.outbox.is_full() {
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

    fn handle(&mut self, record: &BorrowedMessage<'_>) -> Result<(), WorkerError> {
        let (number, offset) = (record.partition(), record.offset());
        let stream = &self.metrics.stream;
        let Some(partition) = self.partitions.get_mut(&number) else {
            // librdkafka drops what it fetched for partitions that were given up; this is a second lock.
            stream.foreign();
            return Ok(());
        };
        let timestamp_ms = record.timestamp().to_millis();
        partition.next = Some(offset + 1);
        partition.last_timestamp_ms = timestamp_ms;
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
        self.handler.handle(&source, &mut self.outputs);
        self.handled += 1;
        stream.consumed(length(source.key, source.payload));
        let named = partition_for(self.outputs.key(), self.partition_count);
        if !self.outputs.key().is_empty() && named.is_some_and(|named| named != number) {
            stream.misrouted();
        }
        self.send_outputs(&source, record)
    }

    fn send_outputs(&mut self, source: &Source<'_>, record: &BorrowedMessage<'_>) -> Result<(), WorkerError> {
        let batch = self.batches.open();
        let (verdict, log) = (self.outputs.verdict(), self.outputs.log());
        let key = Some(self.outputs.key()).filter(|key| !key.is_empty());
        let dead = self.outputs.dead();
        self.batches.add(usize::from(verdict.is_some()) + usize::from(log.is_some()) + usize::from(dead.is_some()));
        // The verdict first: somebody waits for it.
        for (output, payload) in [(Output::Verdict, verdict), (Output::Log, log)] {
            if payload.is_some() {
                let receipt = Receipt {
                    output,
                    batch,
                    bytes: length(key, payload),
                    event_time_ms: self.outputs.event_time_ms(),
                    append_time_ms: source.timestamp_ms,
                    provenance: None,
                };
                self.outbox.post(Parcel { receipt: Box::new(receipt), key, payload, headers: None })?;
            }
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

    /// Takes acknowledgements, and with them the offsets that have become committable.
    fn collect(&mut self) -> Result<(), WorkerError> {
        self.outbox.collect(&mut self.acknowledged)?;
        if !self.acknowledged.is_empty() {
            let now_ms = unix_ms();
            for receipt in self.acknowledged.drain(..) {
                self.batches.acknowledge(receipt.batch);
                if receipt.output == Output::Verdict {
                    self.metrics.stream.verdict(&receipt, now_ms);
                }
            }
        }
        while let Some(offsets) = self.batches.pop_complete() {
            for (number, offset) in offsets {
                if let Some(partition) = self.partitions.get_mut(&number) {
                    partition.done = Some(offset);
                }
            }
        }
        Ok(())
    }

    fn end_batch(&mut self) {
        if self.batches.open_records() > 0 {
            let mut offsets: Vec<NextOffset> = Vec::new();
            for (number, partition) in &mut self.partitions {
                if let Some(next) = partition.next.filter(|_| partition.next != partition.batched) {
                    partition.batched = Some(next);
                    offsets.push((*number, next));
                }
            }
            self.batches.close(offsets);
        }
        self.handler.between_batches();
    }

    /// Waits until every output is acknowledged, until `deadline` at the latest. Says whether it was.
    fn drain(&mut self, deadline: Instant) -> Result<bool, WorkerError> {
        self.end_batch();
        loop {
            self.collect()?;
            self.health.alive(self.index);
            if self.outbox.records() == 0 {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                let left = self.outbox.records();
                tracing::warn!(worker = self.index, left, "outputs not acknowledged in time; they will be sent again");
                return Ok(false);
            }
            self.outbox.wait(WAIT_BUSY);
        }
    }

    /// Pauses reading when too much is in flight, resumes it when little is. The group membership lives on
    /// either way, because polling goes on.
    fn control_flow(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        if self.paused {
            if self.outbox.has_room() && self.batches.len() < MAX_BATCHES / 2 {
                self.pause_or_resume(consumer, false)?;
            }
            return Ok(());
        }
        let deadline = Instant::now() + WAIT_BEFORE_PAUSE;
        while self.outbox.is_full() || self.batches.len() >= MAX_BATCHES {
            if Instant::now() >= deadline {
                return self.pause_or_resume(consumer, true);
            }
            self.outbox.wait(WAIT_BUSY);
            self.collect()?;
        }
        Ok(())
    }

    fn pause_or_resume(&mut self, consumer: &Member, pause: bool) -> Result<(), WorkerError> {
        let list = self.list(self.partitions.keys().copied());
        let done = if pause { consumer.pause(&list) } else { consumer.resume(&list) };
        let action = if pause { "pause" } else { "resume" };
        done.map_err(|error| self.partitions_error(action, &error))?;
        self.paused = pause;
        self.report_flow();
        let (records, bytes) = (self.outbox.records(), self.outbox.bytes());
        tracing::info!(worker = self.index, records, bytes, "{action} reading; outputs in flight");
        Ok(())
    }

    fn rebalance(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        while let Some(change) = consumer.context().next_change() {
            match change {
                Change::Assigned(partitions) => self.assign(consumer, &partitions)?,
                Change::Revoked { partitions, lost } => self.revoke(consumer, &partitions, lost)?,
            }
            let owned = self.partitions.len();
            self.metrics.assigned.set(owned as i64);
            self.health.set(self.index, WorkerState::Assigned(owned));
        }
        Ok(())
    }

    fn assign(&mut self, consumer: &Member, partitions: &[i32]) -> Result<(), WorkerError> {
        tracing::info!(worker = self.index, ?partitions, "partitions assigned");
        for partition in partitions {
            self.handler.assigned(*partition);
            self.partitions.insert(*partition, Partition::default());
            self.partition_count = self.partition_count.max(*partition + 1);
        }
        let list = self.list(partitions.iter().copied());
        consumer.incremental_assign(&list).map_err(|error| self.partitions_error("take over", &error))?;
        if self.paused {
            consumer.pause(&list).map_err(|error| self.partitions_error("pause", &error))?;
        }
        Ok(())
    }

    fn revoke(&mut self, consumer: &Member, partitions: &[i32], lost: bool) -> Result<(), WorkerError> {
        tracing::info!(worker = self.index, ?partitions, lost, "partitions revoked");
        let gone = lost || consumer.assignment_lost();
        if !gone {
            let deadline = Instant::now() + self.settings.session_timeout / 2;
            if partitions.iter().any(|number| self.is_unfinished(*number)) {
                self.drain(deadline)?;
            }
            self.commit_sync(consumer, deadline);
        }
        // The group may have moved on while the outputs were drained.
        let gone = gone || consumer.assignment_lost();
        for number in partitions {
            self.batches.forget(*number);
            self.partitions.remove(number);
            self.handler.revoked(*number);
            self.metrics.stream.forget_partition(*number);
        }
        let list = self.list(partitions.iter().copied());
        if self.paused {
            // librdkafka keeps a partition paused even while it is not assigned: it would stand still when
            // it comes back later.
            consumer.resume(&list).map_err(|error| self.partitions_error("resume", &error))?;
        }
        match consumer.incremental_unassign(&list) {
            Ok(()) => Ok(()),
            Err(error) if gone => {
                tracing::warn!(worker = self.index, "giving up lost partitions: {error}");
                Ok(())
            }
            Err(error) => Err(self.partitions_error("give up", &error)),
        }
    }

    /// Has the partition records whose outputs are not all acknowledged?
    fn is_unfinished(&self, number: i32) -> bool {
        self.partitions.get(&number).is_some_and(|of| of.next != of.done)
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

    /// The offsets to commit: those that were not sent yet, or all of them.
    fn committable(&self, all: bool) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (number, partition) in &self.partitions {
            if let Some(done) = partition.done.filter(|_| all || partition.done != partition.sent) {
                list.add_partition_offset(&self.settings.topics.events, *number, Offset::Offset(done))?;
            }
        }
        Ok(list)
    }

    /// Commits what has become committable, without waiting for the answer. When an earlier commit failed,
    /// the next one includes its offsets.
    fn commit_async(&mut self, consumer: &Member) {
        let failed = consumer.context().take_failed_commits();
        if failed > 0 {
            self.metrics.stream.commits_failed(failed);
            self.partitions.values_mut().for_each(|partition| partition.sent = None);
            self.commit_due = Instant::now() + COMMIT_RETRY;
        }
        if Instant::now() >= self.commit_due {
            self.commit(consumer, CommitMode::Async);
        }
    }

    /// Commits everything that is committable, until that succeeds or `deadline` has passed (a single try
    /// may take the session timeout when there is no coordinator). Offsets that cannot be committed are no
    /// error: their records are handled again.
    fn commit_sync(&mut self, consumer: &Member, deadline: Instant) {
        while !consumer.assignment_lost() && !self.commit(consumer, CommitMode::Sync) {
            if Instant::now() + COMMIT_RETRY >= deadline {
                break;
            }
            self.outbox.wait(COMMIT_RETRY);
            self.health.alive(self.index);
        }
    }

    fn commit(&mut self, consumer: &Member, mode: CommitMode) -> bool {
        let all = matches!(mode, CommitMode::Sync);
        let sent = self.committable(all).and_then(|list| {
            if list.count() == 0 {
                return Ok(false);
            }
            consumer.commit(&list, mode).map(|()| true)
        });
        match sent {
            Ok(sent) => {
                self.metrics.stream.commits(u64::from(sent));
                self.partitions.values_mut().for_each(|partition| partition.sent = partition.done);
                true
            }
            Err(error) => {
                self.metrics.stream.commits(1);
                self.metrics.stream.commits_failed(1);
                tracing::warn!(worker = self.index, "offsets not committed: {error}; the next commit includes them");
                false
            }
        }
    }

    fn report_flow(&self) {
        self.metrics.in_flight_records.set(self.outbox.records() as i64);
        self.metrics.in_flight_bytes.set(self.outbox.bytes() as i64);
        self.metrics.open_batches.set(self.batches.len() as i64);
        self.metrics.paused.set(i64::from(self.paused));
        self.metrics.assigned.set(self.partitions.len() as i64);
    }

    /// Brings the gauges up to date.
    fn report(&mut self, consumer: &Member) {
        self.report_flow();
        let now_ms = unix_ms();
        self.metrics.last_poll.set(now_ms / 1000.0);
        if let Some(statistics) = consumer.context().take_statistics() {
            self.partition_count = self.partition_count.max(statistics.partition_count);
            for (number, end) in statistics.ends {
                if let Some(partition) = self.partitions.get_mut(&number) {
                    partition.end = Some(end);
                }
            }
        }
        let (mut records, mut oldest_ms) = (0, now_ms);
        for (number, partition) in &self.partitions {
            let lag = partition.lag();
            self.metrics.stream.partition_lag(*number, lag);
            records += lag;
            if let Some(timestamp) = partition.last_timestamp_ms.filter(|_| lag > 0) {
                oldest_ms = oldest_ms.min(timestamp as f64);
            }
        }
        self.metrics.lag_records.set(records);
        self.metrics.lag_seconds.set((now_ms - oldest_ms) / 1000.0);
    }
}
