//! The partitions of a worker: taken over, served when their state is complete, read again, given up.

use std::time::{Duration, Instant};

use delivery::StateError;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Watched, Worker};
use crate::error::WorkerError;
use crate::membership::{Change, Member};

/// How long moving the consumer to other offsets may take.
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);
/// Failures of a partition's local state in a row after which a worker gives up.
const MAX_STATE_FAILURES: u32 = 5;

impl Worker {
    /// Forgets everything uncommitted and reads it again.
    pub(super) fn rewind(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        // Memory goes back to what is stored. When that is less than what is committed, the changelog has
        // to be asked.
        if self.unstored > 0 {
            return self.restart(consumer);
        }
        if let Err(error) = self.handler.rewind() {
            self.metrics.stream.state_error(&error);
            tracing::error!(worker = self.index, "{error}");
            return self.restart(consumer);
        }
        self.metrics.stream.rewound("rewind");
        let again = self.lanes.rewind();
        self.drop_batches();
        tracing::info!(worker = self.index, ?again, "reading again from the last commit");
        self.seek(consumer, &again)
    }

    /// Makes the consumer read from an offset without asking for the committed one, for which it may be waiting
    /// still: it takes the partition anew. librdkafka takes that for the answer to a rebalance, where one waits; so no
    /// rebalance may be known when this is called. One that came up since the last poll is not known.
    fn start_at(&self, consumer: &Member, partition: i32, next: Option<i64>) -> Result<(), WorkerError> {
        let failed = |error: &KafkaError| self.partitions_error("start", error);
        let list = self.list([partition].into_iter());
        consumer.incremental_unassign(&list).map_err(|error| failed(&error))?;
        let mut list = TopicPartitionList::new();
        let offset = next.map_or(Offset::Beginning, Offset::Offset);
        list.add_partition_offset(&self.settings.topics.events, partition, offset).map_err(|error| failed(&error))?;
        consumer.incremental_assign(&list).map_err(|error| failed(&error))?;
        consumer.pause(&list).map_err(|error| failed(&error))
    }

    /// Makes the consumer read on from these offsets, and at once. (librdkafka's thread that fetches does not hear of
    /// partitions that are resumed: where nothing else was to be read it sleeps on, for up to a second. Of partitions
    /// that are moved it does, unless it is to offset 0.)
    pub(super) fn seek(&self, consumer: &Member, again: &[(i32, Option<i64>)]) -> Result<(), WorkerError> {
        if again.is_empty() {
            return Ok(());
        }
        let failed = |error: &KafkaError| self.partitions_error("rewind", error);
        let mut list = TopicPartitionList::new();
        for (partition, offset) in again {
            let offset = offset.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&self.settings.topics.events, *partition, offset).map_err(|e| failed(&e))?;
        }
        let moved = consumer.seek_partitions(list, SEEK_TIMEOUT).map_err(|error| failed(&error))?;
        for element in moved.elements() {
            match element.error() {
                // It has not started yet, and will start at the committed offset.
                Ok(()) | Err(KafkaError::OffsetFetch(Code::State)) => {}
                Err(error) if error.rdkafka_error_code() == Some(Code::State) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }

    /// Tells the lanes how far the consumer is beyond the records that were handled: markers and aborted records are
    /// read too. It knows nothing of partitions of which it has read nothing since they were taken over or moved.
    pub(super) fn note_positions(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        let positions = consumer.position().map_err(|error| WorkerError::Consumer { reason: error.to_string() })?;
        for element in positions.elements() {
            if let Offset::Offset(position) = element.offset() {
                self.lanes.reached(element.partition(), position);
            }
        }
        Ok(())
    }

    /// Forgets everything, and restores the state of all partitions from what is committed.
    pub(super) fn restart(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        self.metrics.stream.rewound("restart");
        let partitions: Vec<i32> = self.lanes.assigned().collect();
        for partition in partitions.iter().filter(|partition| self.lanes.serves(**partition)) {
            self.handler.revoked(*partition);
        }
        self.lanes.restart();
        self.drop_batches();
        tracing::info!(worker = self.index, ?partitions, "reading what is committed");
        let list = self.list(partitions.iter().copied());
        consumer.pause(&list).map_err(|error| self.partitions_error("pause", &error))?;
        self.show_assignment();
        // A batch that the committer still has might be committed after its offsets were read.
        self.restore_due = true;
        self.restore_if_due()
    }

    pub(super) fn restore_if_due(&mut self) -> Result<(), WorkerError> {
        if !self.restore_due || self.committing {
            return Ok(());
        }
        self.restore_due = false;
        let partitions: Vec<i32> = self.lanes.restoring().collect();
        self.restore(&partitions)
    }

    fn restore(&mut self, partitions: &[i32]) -> Result<(), WorkerError> {
        self.restorer.restore(partitions).map_err(|error| WorkerError::Thread { reason: error.to_string() })
    }

    /// Serves the partitions whose state is complete.
    pub(super) fn restored(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        while let Some(restored) = self.restorer.result() {
            let partition = restored.partition;
            if !self.lanes.restored(partition, restored.next, restored.source) {
                continue;
            }
            if let Err(error) = self.handler.assigned(partition) {
                self.lanes.assign(partition);
                self.state_failed(consumer, partition, &error)?;
                continue;
            }
            self.restored.retain(|(of, _)| *of != partition);
            self.restored.push((partition, restored.position));
            if restored.pending {
                self.start_at(consumer, partition, restored.next)?;
            }
            if !self.paused {
                let list = self.list([partition].into_iter());
                consumer.resume(&list).map_err(|error| self.partitions_error("resume", &error))?;
            }
            if !restored.pending {
                // The consumer has started from what the group has committed, and may have gone past records while
                // nobody served them. Where it stands right this wakes it up: see `seek`.
                self.seek(consumer, &[(partition, restored.next)])?;
            }
            tracing::info!(worker = self.index, partition, "partition served");
            self.show_assignment();
        }
        Ok(())
    }

    /// The local state failed in the middle of the work: it is brought up to date again, from the changelog
    /// alone where it is damaged.
    pub(super) fn state_failed(
        &mut self,
        consumer: &Member,
        partition: i32,
        error: &StateError,
    ) -> Result<(), WorkerError> {
        self.metrics.stream.state_error(error);
        let failures = self.state_failures.entry(partition).or_default();
        *failures += 1;
        let failures = *failures;
        tracing::error!(worker = self.index, partition, "{error}");
        if failures > MAX_STATE_FAILURES {
            return Err(WorkerError::State { reason: error.to_string() });
        }
        if let StateError::Damaged(_) = error
            && let Err(error) = self.state.reset(partition)
        {
            return Err(WorkerError::State { reason: error.to_string() });
        }
        self.rest(failures);
        self.restart(consumer)
    }

    pub(super) fn rebalance(&mut self, consumer: &Member) -> Result<(), WorkerError> {
        while let Some(change) = consumer.context().next_change() {
            match change {
                Change::Assigned(partitions) => self.assign(consumer, &partitions)?,
                Change::Revoked { partitions, lost } => self.revoke(consumer, &partitions, lost)?,
            }
            self.show_assignment();
        }
        Ok(())
    }

    fn assign(&mut self, consumer: &Member, partitions: &[i32]) -> Result<(), WorkerError> {
        tracing::info!(worker = self.index, ?partitions, "partitions assigned");
        let highest = partitions.iter().copied().max().unwrap_or_default();
        self.check_partition_count(highest + 1)?;
        for partition in partitions {
            self.lanes.assign(*partition);
            self.watched.insert(*partition, Watched::default());
        }
        let list = self.list(partitions.iter().copied());
        consumer.incremental_assign(&list).map_err(|error| self.partitions_error("take over", &error))?;
        consumer.pause(&list).map_err(|error| self.partitions_error("pause", &error))?;
        // Where others wait for the committer these wait with them.
        if self.restore_due { Ok(()) } else { self.restore(partitions) }
    }

    fn revoke(&mut self, consumer: &Member, partitions: &[i32], lost: bool) -> Result<(), WorkerError> {
        tracing::info!(worker = self.index, ?partitions, lost, "partitions revoked");
        let gone = lost || consumer.assignment_lost();
        if !gone {
            let deadline = Instant::now() + self.settings.session_timeout / 2;
            self.settle(consumer, deadline, |lanes| partitions.iter().all(|number| lanes.is_settled_for(*number)))?;
        }
        // The group may have moved on meanwhile.
        let gone = gone || consumer.assignment_lost();
        let unsettled = partitions.iter().any(|number| !self.lanes.is_settled_for(*number));
        for number in partitions {
            self.forget(*number);
        }
        if unsettled {
            // Batches hold records of these partitions, and nobody may commit them any more.
            if self.committing { self.restart(consumer)? } else { self.rewind(consumer)? }
        }
        let list = self.list(partitions.iter().copied());
        // librdkafka keeps a partition paused even while it is not assigned: it would stand still when it
        // comes back later.
        consumer.resume(&list).map_err(|error| self.partitions_error("resume", &error))?;
        match consumer.incremental_unassign(&list) {
            Ok(()) => Ok(()),
            Err(error) if gone => {
                tracing::warn!(worker = self.index, "giving up lost partitions: {error}");
                Ok(())
            }
            Err(error) => Err(self.partitions_error("give up", &error)),
        }
    }

    /// A partition is no longer ours.
    pub(super) fn forget(&mut self, partition: i32) {
        if self.lanes.serves(partition) {
            self.handler.revoked(partition);
        }
        self.lanes.revoke(partition);
        self.restorer.forget(partition);
        self.state_failures.remove(&partition);
        self.watched.remove(&partition);
        self.metrics.stream.forget_partition(partition);
    }
}
