//! Which source offsets may be committed.
//!
//! Consecutive records form a batch, whatever partitions they come from. A batch is complete when it is
//! closed and all its outputs are acknowledged; offsets become committable batch by batch, in order. One
//! counter a batch is all the bookkeeping that needs, and commits happen once a batch interval anyway, so
//! tracking single records would buy nothing.

use std::collections::VecDeque;

/// A batch's name: consecutive numbers, never used twice by a worker.
pub(crate) type BatchId = u64;

/// A partition and the offset of the next record to read from it.
pub(crate) type NextOffset = (i32, i64);

#[derive(Debug, Default)]
struct Batch {
    closed: bool,
    records: usize,
    outstanding: usize,
    offsets: Vec<NextOffset>,
}

/// The batches that are not yet complete, oldest first. The last one is open: it takes new records.
#[derive(Debug)]
pub(crate) struct Batches {
    first: BatchId,
    queue: VecDeque<Batch>,
}

impl Batches {
    pub(crate) fn new() -> Batches {
        Batches { first: 0, queue: VecDeque::from([Batch::default()]) }
    }

    /// The open batch.
    pub(crate) fn open(&self) -> BatchId {
        // The queue is never empty: `close` pushes before anything is popped.
        self.first + self.queue.len().saturating_sub(1) as u64
    }

    /// How many records the open batch holds.
    pub(crate) fn open_records(&self) -> usize {
        self.queue.back().map_or(0, |batch| batch.records)
    }

    /// How many batches wait for acknowledgements, the open one included.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Counts a record into the open batch, with how many outputs have to be acknowledged for it.
    pub(crate) fn add(&mut self, outputs: usize) {
        if let Some(batch) = self.queue.back_mut() {
            batch.records += 1;
            batch.outstanding += outputs;
        }
    }

    /// One output of batch `id` is acknowledged.
    pub(crate) fn acknowledge(&mut self, id: BatchId) {
        let at = id.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let batch = at.and_then(|at| self.queue.get_mut(at));
        debug_assert!(batch.is_some(), "acknowledgement for batch {id}, which is complete");
        if let Some(batch) = batch {
            debug_assert!(batch.outstanding > 0, "more acknowledgements than outputs");
            batch.outstanding = batch.outstanding.saturating_sub(1);
        }
    }

    /// Closes the open batch. `offsets` is where each partition stands after it; partitions without a
    /// record in the batch need not be named.
    pub(crate) fn close(&mut self, offsets: Vec<NextOffset>) {
        if let Some(batch) = self.queue.back_mut() {
            batch.closed = true;
            batch.offsets = offsets;
            self.queue.push_back(Batch::default());
        }
    }

    /// Removes the oldest batch if it is complete, and returns the offsets that may be committed now.
    pub(crate) fn pop_complete(&mut self) -> Option<Vec<NextOffset>> {
        let oldest = self.queue.front()?;
        if !oldest.closed || oldest.outstanding > 0 {
            return None;
        }
        self.first += 1;
        self.queue.pop_front().map(|batch| batch.offsets)
    }

    /// Forgets a partition that was taken away: none of its offsets may be committed any more. Its outputs
    /// still count, so that the batches complete in order.
    pub(crate) fn forget(&mut self, partition: i32) {
        for batch in &mut self.queue {
            batch.offsets.retain(|(of, _)| *of != partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(batches: &mut Batches) -> Vec<NextOffset> {
        let mut all = Vec::new();
        while let Some(offsets) = batches.pop_complete() {
            all.extend(offsets);
        }
        all
    }

    #[test]
    fn offsets_wait_for_every_output() {
        let mut batches = Batches::new();
        let first = batches.open();
        batches.add(2);
        batches.add(1);
        assert_eq!(batches.open_records(), 2);
        batches.close(vec![(0, 10)]);
        batches.acknowledge(first);
        batches.acknowledge(first);
        assert_eq!(drain(&mut batches), []);
        batches.acknowledge(first);
        assert_eq!(drain(&mut batches), [(0, 10)]);
        assert_eq!(batches.len(), 1);
    }

    #[test]
    fn an_open_batch_is_never_complete() {
        let mut batches = Batches::new();
        batches.add(0);
        assert_eq!(drain(&mut batches), []);
        batches.close(vec![(3, 1)]);
        assert_eq!(drain(&mut batches), [(3, 1)]);
    }

    #[test]
    fn a_later_batch_waits_for_an_earlier_one() {
        let mut batches = Batches::new();
        let first = batches.open();
        batches.add(1);
        batches.close(vec![(0, 1)]);
        let second = batches.open();
        batches.add(1);
        batches.close(vec![(0, 2), (1, 5)]);
        assert_ne!(first, second);
        batches.acknowledge(second);
        assert_eq!(drain(&mut batches), []);
        batches.acknowledge(first);
        assert_eq!(drain(&mut batches), [(0, 1), (0, 2), (1, 5)]);
    }

    #[test]
    fn a_forgotten_partition_is_not_committed_but_still_awaited() {
        let mut batches = Batches::new();
        let first = batches.open();
        batches.add(1);
        batches.close(vec![(0, 1), (1, 1)]);
        batches.forget(0);
        assert_eq!(drain(&mut batches), []);
        batches.acknowledge(first);
        assert_eq!(drain(&mut batches), [(1, 1)]);
    }
}
