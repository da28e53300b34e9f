//! Which records are handled, which batch may be committed, and what becomes of both when a commit fails.
//!
//! There are two batches at most: the open one takes records, the sealed one is on its way. A sealed batch
//! waits until everything that it sent on the fast lane is acknowledged, then it is committed; only after
//! that the open one is sealed in its turn. So scoring never waits for a commit, unless the open batch is
//! full before the sealed one is through. A commit that fails is tried again with the same batch, so that nothing
//! is handled twice for it; everything uncommitted is rewound where that cannot be.
//!
//! # Announcements
//!
//! What handling depends on beside records and state may change in the middle of a partition. For that to be exact
//! the change is made durable first, by a batch that announces it, and only then is in force
//! ([`Lanes::seal_announcement`]). Two things follow:
//!
//! - between the sealing of that batch and its being stored no record is handled: nobody knows yet with what;
//! - what is announced must not reach records that were answered before: they may have been, by who had the
//!   partition or before a rewind, and are answered again with what is committed. So announcements wait until each
//!   partition is beyond the end of its replay.
//!
//! That end is where the partition of the source ended when its state had been restored, since nobody can have
//! answered what was not there; or after as many records as can be handled and uncommitted, which is earlier where
//! there is much to be caught up with. Records are counted for that, not offsets: these have gaps.

use std::collections::BTreeMap;
use std::ops::Range;

/// A batch's name: numbers grow and are never used twice.
pub type BatchId = u64;

/// A partition and the offset of the next record to read from it.
pub type NextOffset = (i32, i64);

/// What to do with a record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Handle it.
    Handle,
    /// Drop it: its partition is not served, because it is somebody else's or its state is not complete.
    /// Where it is ours it is read again later.
    NotServed,
    /// Drop it: it was handled already.
    Repeated,
    /// Not while an announcement is on its way. It has to be read again after that.
    Later,
}

/// A batch that may be committed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub batch: BatchId,
    /// Where each partition stands after it; partitions without a record in it are not named, unless it announces
    /// something.
    pub offsets: Vec<NextOffset>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Partition {
    /// Its state is being completed.
    Restoring,
    Served(Served),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Served {
    /// The offset after the last handled record.
    next: Option<i64>,
    /// `next` when the last batch was sealed.
    sealed: Option<i64>,
    /// What was committed last: by us, or by who had the partition before.
    committed: Option<i64>,
    /// The partition's first offset, where nothing was committed yet.
    start: i64,
    /// Records that may have been answered before are still to come.
    replay: Option<Replay>,
}

/// How far records are handled again, maybe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Replay {
    /// None from here on was answered before.
    end: i64,
    /// And no more than so many from now on were.
    records: usize,
}

impl Served {
    /// The offset from which it is read on.
    fn position(&self) -> i64 {
        self.next.unwrap_or(self.start)
    }

    /// Everything before `position` was handled.
    fn reached(&mut self, position: i64) {
        self.replay = self.replay.filter(|replay| position < replay.end && replay.records > 0);
    }
}

/// The open batch and the sealed one.
const BATCHES: usize = 2;

#[derive(Debug, Default)]
struct Batch {
    records: usize,
    /// Outputs on the fast lane that are not yet acknowledged.
    outstanding: usize,
}

#[derive(Debug)]
struct Sealed {
    batch: Batch,
    offsets: Vec<NextOffset>,
    /// It was given out by [`Lanes::ready`].
    committing: bool,
    /// A partition that was served was revoked since it was sealed: it holds what nobody here may commit any more.
    broken: bool,
}

/// The state of delivery of one worker.
#[derive(Debug, Default)]
pub struct Lanes {
    partitions: BTreeMap<i32, Partition>,
    open: Batch,
    /// The open batch's name. The sealed one's is the number before.
    id: BatchId,
    sealed: Option<Sealed>,
    /// The batch that announces something, until it is stored.
    announcing: Option<BatchId>,
    /// Most records of a partition that can be handled and uncommitted.
    uncommitted_max: usize,
}

impl Lanes {
    /// Nothing assigned, nothing under way. A batch never holds more than `batch_max_records`; of who had a
    /// partition before the same is taken, so where this is set lower than it was, and more than that is to be
    /// caught up with, an announcement may come too early.
    #[must_use]
    pub fn new(batch_max_records: usize) -> Lanes {
        let uncommitted_max = batch_max_records.saturating_mul(BATCHES);
        Lanes { id: 1, uncommitted_max, ..Lanes::default() }
    }

    /// A partition was assigned. It is not served before its state is complete.
    pub fn assign(&mut self, partition: i32) {
        self.partitions.insert(partition, Partition::Restoring);
    }

    /// A partition's state is complete and stands at the committed offset `committed` (`None`: nothing was
    /// ever committed). `source` is what the partition of the source held then, asked for after the committed
    /// offset was settled. Says whether it is served from now on; not when it was given up meanwhile.
    pub fn restored(&mut self, partition: i32, committed: Option<i64>, source: Range<i64>) -> bool {
        match self.partitions.get_mut(&partition) {
            Some(state @ Partition::Restoring) => {
                let replay = Some(Replay { end: source.end, records: self.uncommitted_max });
                let mut served = Served { next: committed, sealed: committed, committed, start: source.start, replay };
                served.reached(served.position());
                *state = Partition::Served(served);
                true
            }
            _ => false,
        }
    }

    /// A partition was taken away. Uncommitted work for it has to be finished or rewound before, unless it
    /// was lost already: its offsets are not committed any more.
    pub fn revoke(&mut self, partition: i32) {
        let was_served = matches!(self.partitions.remove(&partition), Some(Partition::Served(_)));
        // Also where the commit is under way: its outcome must not touch a later assignment.
        if let Some(sealed) = &mut self.sealed {
            sealed.offsets.retain(|(of, _)| *of != partition);
            sealed.broken |= was_served;
        }
    }

    /// The partitions that are assigned.
    pub fn assigned(&self) -> impl Iterator<Item = i32> {
        self.partitions.keys().copied()
    }

    /// The partitions that are assigned but not served yet.
    pub fn restoring(&self) -> impl Iterator<Item = i32> {
        self.partitions.iter().filter_map(|(number, state)| (*state == Partition::Restoring).then_some(*number))
    }

    /// Whether a partition is served.
    #[must_use]
    pub fn serves(&self, partition: i32) -> bool {
        self.served(partition).is_some()
    }

    /// What to do with a record.
    #[must_use]
    pub fn admit(&self, partition: i32, offset: i64) -> Admission {
        match self.served(partition) {
            None => Admission::NotServed,
            Some(served) if served.next.is_some_and(|next| offset < next) => Admission::Repeated,
            Some(_) if self.is_announcing() => Admission::Later,
            Some(_) => Admission::Handle,
        }
    }

    /// The offset after the last record that was handled of a partition.
    #[must_use]
    pub fn next(&self, partition: i32) -> Option<i64> {
        self.served(partition)?.next
    }

    /// The open batch's name: what is handled now belongs to it.
    #[must_use]
    pub fn open(&self) -> BatchId {
        self.id
    }

    /// A record was handled, and `fast` outputs of it are on the fast lane.
    pub fn handled(&mut self, partition: i32, offset: i64, fast: usize) {
        if let Some(Partition::Served(served)) = self.partitions.get_mut(&partition) {
            served.next = Some(offset + 1);
            if let Some(replay) = &mut served.replay {
                replay.records = replay.records.saturating_sub(1);
                served.reached(offset + 1);
            }
            self.open.records += 1;
            self.open.outstanding += fast;
        }
    }

    /// An output on the fast lane was acknowledged. Of a batch that was rewound nobody wants to know.
    pub fn acknowledged(&mut self, batch: BatchId) {
        let batch = if batch == self.id {
            Some(&mut self.open)
        } else {
            self.sealed.as_mut().filter(|_| batch + 1 == self.id).map(|sealed| &mut sealed.batch)
        };
        if let Some(batch) = batch {
            debug_assert!(batch.outstanding > 0, "more acknowledgements than outputs");
            batch.outstanding = batch.outstanding.saturating_sub(1);
        }
    }

    /// How many records the open batch holds.
    #[must_use]
    pub fn open_records(&self) -> usize {
        self.open.records
    }

    /// Whether a batch is sealed and not yet committed.
    #[must_use]
    pub fn is_committing(&self) -> bool {
        self.sealed.is_some()
    }

    /// Whether everything that was handled is committed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.sealed.is_none() && self.open.records == 0
    }

    /// Whether everything that was handled of a partition is committed, and nothing else of it is on its
    /// way: state expires without a record, so a sealed batch may change any partition.
    #[must_use]
    pub fn is_settled_for(&self, partition: i32) -> bool {
        self.served(partition).is_none_or(|served| served.next == served.committed && self.sealed.is_none())
    }

    /// Seals the open batch, where it holds a record and no other batch is on its way. Changed state has to
    /// be collected at this moment: what is handled from now on belongs to the next batch.
    pub fn seal(&mut self) -> Option<BatchId> {
        if self.sealed.is_some() || self.open.records == 0 {
            return None;
        }
        let mut offsets = Vec::new();
        for (number, state) in &mut self.partitions {
            if let Partition::Served(served) = state
                && let Some(next) = served.next.filter(|_| served.next != served.sealed)
            {
                served.sealed = Some(next);
                offsets.push((*number, next));
            }
        }
        Some(self.close(offsets))
    }

    fn close(&mut self, offsets: Vec<NextOffset>) -> BatchId {
        self.sealed = Some(Sealed { batch: std::mem::take(&mut self.open), offsets, committing: false, broken: false });
        let sealed = self.id;
        self.id += 1;
        sealed
    }

    /// Whether records are still to come of a served partition that may have been answered before.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        self.partitions.values().any(|state| matches!(state, Partition::Served(Served { replay: Some(_), .. })))
    }

    /// Of a served partition there is nothing before `position` that was not handled: no record may be where
    /// offsets are, and the last of them may be of that kind.
    pub fn reached(&mut self, partition: i32, position: i64) {
        if let Some(Partition::Served(served)) = self.partitions.get_mut(&partition) {
            served.reached(position);
        }
    }

    /// Seals the open batch, also when it holds no record, as one that announces something, where no other batch is
    /// on its way and nothing may have been answered before of what the served partitions are to be asked next.
    /// From now on no record is handled until the batch is stored.
    ///
    /// It names where each served partition stands, so that it cannot be committed by who has lost them.
    pub fn seal_announcement(&mut self) -> Option<BatchId> {
        if self.sealed.is_some() || self.is_announcing() || self.is_replaying() {
            return None;
        }
        let mut offsets = Vec::new();
        for (number, state) in &mut self.partitions {
            if let Partition::Served(served) = state {
                let next = served.position();
                (served.next, served.sealed) = (Some(next), Some(next));
                offsets.push((*number, next));
            }
        }
        if offsets.is_empty() {
            return None;
        }
        let batch = self.close(offsets);
        self.announcing = Some(batch);
        Some(batch)
    }

    /// Whether an announcement is on its way, so that no record may be handled.
    #[must_use]
    pub fn is_announcing(&self) -> bool {
        self.announcing.is_some()
    }

    /// Whether [`Lanes::ready`] has a batch to give out.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.sealed.as_ref().is_some_and(|sealed| !sealed.committing && sealed.batch.outstanding == 0)
    }

    /// The sealed batch, as soon as everything that it sent on the fast lane is acknowledged: once, and once again after
    /// each [`Lanes::aborted`].
    pub fn ready(&mut self) -> Option<Commit> {
        if !self.is_ready() {
            return None;
        }
        let batch = self.id - 1;
        let sealed = self.sealed.as_mut()?;
        sealed.committing = true;
        Some(Commit { batch, offsets: sealed.offsets.clone() })
    }

    /// What [`Commit::offsets`] of the sealed batch says.
    #[must_use]
    pub fn sealed_offsets(&self) -> &[NextOffset] {
        self.sealed.as_ref().map_or(&[], |sealed| &sealed.offsets)
    }

    /// The commit of a batch has failed, and nothing of this try was or will be seen. Says whether the same batch may be
    /// committed again, and [`Lanes::ready`] gives it out: what it holds is as right as it was, while all its
    /// partitions are still ours. Otherwise everything has to be rewound.
    pub fn aborted(&mut self, batch: BatchId) -> bool {
        let sealed = self.sealed.as_mut().filter(|sealed| sealed.committing && !sealed.broken && batch + 1 == self.id);
        sealed.map(|sealed| sealed.committing = false).is_some()
    }

    /// A batch is committed.
    pub fn committed(&mut self, batch: BatchId) {
        let Some(sealed) = self.sealed.take_if(|sealed| sealed.committing && batch + 1 == self.id) else { return };
        for (number, offset) in sealed.offsets {
            if let Some(Partition::Served(served)) = self.partitions.get_mut(&number) {
                served.committed = Some(offset);
            }
        }
    }

    /// A batch is committed and in the local state. What it announces is in force, and records are handled again.
    pub fn stored(&mut self, batch: BatchId) {
        self.announcing = self.announcing.filter(|announcing| *announcing != batch);
    }

    /// The sealed batch cannot be committed, or a partition was lost: forgets everything uncommitted.
    /// Answers from where each served partition has to be read again (`None`: from its start).
    pub fn rewind(&mut self) -> Vec<(i32, Option<i64>)> {
        self.forget_batches();
        let mut again = Vec::new();
        for (number, state) in &mut self.partitions {
            if let Partition::Served(served) = state
                && served.next != served.committed
            {
                // Up to here we have answered ourselves.
                let answered = served.position();
                let end = served.replay.map_or(answered, |replay| replay.end.max(answered));
                served.next = served.committed;
                served.sealed = served.committed;
                served.replay = Some(Replay { end, records: self.uncommitted_max });
                served.reached(served.position());
                again.push((*number, served.committed));
            }
        }
        again
    }

    /// Nobody knows what became of the sealed batch: forgets all batches, and the state of every partition
    /// has to be restored from what is committed. Answers these partitions.
    pub fn restart(&mut self) -> Vec<i32> {
        self.forget_batches();
        self.partitions.values_mut().for_each(|state| *state = Partition::Restoring);
        self.assigned().collect()
    }

    /// The names of forgotten batches are not used again: acknowledgements for them may still come in.
    fn forget_batches(&mut self) {
        self.open = Batch::default();
        self.sealed = None;
        self.announcing = None;
        self.id += 2;
    }

    fn served(&self, partition: i32) -> Option<&Served> {
        match self.partitions.get(&partition) {
            Some(Partition::Served(served)) => Some(served),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Partitions 0 and 1 are served from the start.
    fn serving() -> Lanes {
        let mut lanes = Lanes::new(10);
        for partition in [0, 1] {
            lanes.assign(partition);
            assert!(lanes.restored(partition, None, 0..0));
        }
        lanes
    }

    fn commit(lanes: &mut Lanes) -> Vec<NextOffset> {
        let sealed = lanes.seal().unwrap_or_default();
        let commit = lanes.ready().filter(|commit| commit.batch == sealed);
        lanes.committed(sealed);
        commit.map(|commit| commit.offsets).unwrap_or_default()
    }

    #[test]
    fn a_partition_is_served_when_its_state_is_complete() {
        let mut lanes = Lanes::new(10);
        assert_eq!(lanes.admit(0, 5), Admission::NotServed);
        lanes.assign(0);
        assert_eq!(lanes.admit(0, 5), Admission::NotServed);
        assert!(lanes.restoring().eq([0]));
        assert!(lanes.restored(0, Some(5), 0..5));
        assert_eq!((lanes.admit(0, 5), lanes.admit(0, 4)), (Admission::Handle, Admission::Repeated));
        lanes.handled(0, 5, 0);
        assert_eq!((lanes.admit(0, 5), lanes.admit(0, 6)), (Admission::Repeated, Admission::Handle));
        lanes.revoke(0);
        assert!(!lanes.restored(0, Some(5), 0..5), "given up meanwhile");
        assert_eq!(lanes.admit(0, 6), Admission::NotServed);
    }

    #[test]
    fn a_batch_waits_for_its_fast_outputs() {
        let mut lanes = serving();
        let first = lanes.open();
        lanes.handled(0, 9, 2);
        lanes.handled(1, 4, 0);
        assert_eq!(lanes.seal(), Some(first));
        assert_eq!(lanes.ready(), None);
        lanes.handled(0, 10, 1);
        assert_eq!(lanes.seal(), None, "one batch at a time");
        lanes.acknowledged(first);
        assert_eq!(lanes.ready(), None);
        lanes.acknowledged(first);
        assert_eq!(lanes.ready(), Some(Commit { batch: first, offsets: vec![(0, 10), (1, 5)] }));
        assert_eq!(lanes.ready(), None, "given out once");
        lanes.committed(first);
        let second = lanes.open();
        assert_eq!(lanes.seal(), Some(second));
        lanes.acknowledged(second);
        assert_eq!(lanes.ready(), Some(Commit { batch: second, offsets: vec![(0, 11)] }));
        lanes.committed(second);
        assert!(lanes.is_settled() && lanes.is_settled_for(0));
    }

    #[test]
    fn a_rewind_goes_back_to_the_last_commit() {
        let mut lanes = serving();
        lanes.handled(0, 0, 0);
        assert_eq!(commit(&mut lanes), [(0, 1)]);
        let stale = lanes.open();
        lanes.handled(0, 1, 1);
        lanes.handled(1, 0, 1);
        assert!(lanes.seal().is_some());
        lanes.handled(0, 2, 1);
        assert!(!lanes.is_settled_for(0));
        assert_eq!(lanes.rewind(), [(0, Some(1)), (1, None)]);
        assert!(lanes.is_settled());
        assert_eq!(lanes.admit(0, 1), Admission::Handle);
        // What the forgotten batches sent is acknowledged late and counts for nothing.
        lanes.handled(0, 1, 1);
        let batch = lanes.open();
        lanes.acknowledged(stale);
        lanes.acknowledged(stale + 1);
        assert_eq!(lanes.seal(), Some(batch));
        assert_eq!(lanes.ready(), None);
        lanes.committed(stale);
        assert!(lanes.is_committing(), "a late word about a forgotten batch");
        lanes.acknowledged(batch);
        assert_eq!(lanes.ready(), Some(Commit { batch, offsets: vec![(0, 2)] }));
    }

    #[test]
    fn a_batch_that_was_aborted_is_given_out_again() {
        let mut lanes = serving();
        lanes.handled(0, 0, 0);
        let batch = lanes.seal().unwrap_or_default();
        assert!(!lanes.aborted(batch), "it was not given out yet");
        let given = lanes.ready();
        lanes.handled(1, 0, 0);
        assert!(!lanes.aborted(batch + 1) && lanes.aborted(batch));
        assert_eq!(lanes.seal(), None, "it is still on its way");
        assert_eq!(lanes.sealed_offsets(), [(0, 1)]);
        assert_eq!(lanes.ready(), given);
        lanes.committed(batch);
        assert_eq!(commit(&mut lanes), [(1, 1)]);
    }

    #[test]
    fn a_batch_with_a_partition_that_is_gone_is_not_given_out_again() {
        let mut lanes = serving();
        lanes.handled(0, 0, 0);
        lanes.handled(1, 0, 0);
        let batch = lanes.seal().unwrap_or_default();
        assert!(lanes.ready().is_some());
        lanes.revoke(0);
        assert!(!lanes.aborted(batch));
        assert_eq!(lanes.rewind(), [(1, None)]);
        assert!(!lanes.aborted(batch), "forgotten");
        // Of one that was never served the batch holds nothing.
        lanes.assign(2);
        lanes.handled(1, 0, 0);
        let batch = lanes.seal().unwrap_or_default();
        assert!(lanes.ready().is_some());
        lanes.revoke(2);
        assert!(lanes.aborted(batch));
    }

    #[test]
    fn a_restart_restores_everything() {
        let mut lanes = serving();
        lanes.handled(0, 0, 0);
        lanes.seal();
        assert!(lanes.ready().is_some());
        assert_eq!(lanes.restart(), [0, 1]);
        assert_eq!(lanes.admit(0, 1), Admission::NotServed);
        assert!(lanes.restored(0, Some(1), 0..1));
        assert_eq!(lanes.admit(0, 0), Admission::Repeated);
        assert!(lanes.restoring().eq([1]));
    }

    #[test]
    fn a_partition_is_not_settled_while_any_batch_is_on_its_way() {
        let mut lanes = serving();
        lanes.handled(1, 0, 0);
        assert!(lanes.is_settled_for(0));
        let batch = lanes.seal().unwrap_or_default();
        assert!(!lanes.is_settled_for(0), "its state may have changed in this batch without a record");
        assert!(lanes.ready().is_some());
        lanes.committed(batch);
        assert!(lanes.is_settled_for(0) && lanes.is_settled_for(1));
    }

    #[test]
    fn a_revoked_partition_is_not_committed() {
        let mut lanes = serving();
        lanes.handled(0, 0, 0);
        lanes.handled(1, 0, 0);
        let batch = lanes.seal();
        lanes.revoke(0);
        assert_eq!(lanes.ready().map(|commit| commit.offsets), Some(vec![(1, 1)]));
        lanes.committed(batch.unwrap_or_default());
        assert!(lanes.assigned().eq([1]));
    }

    /// Partition 0, with a committed offset and what its source held.
    fn replaying(committed: Option<i64>, source: Range<i64>) -> Lanes {
        let mut lanes = Lanes::new(10);
        lanes.assign(0);
        assert!(lanes.restored(0, committed, source));
        lanes
    }

    #[test]
    fn an_announcement_stops_handling_until_it_is_stored() {
        let mut lanes = serving();
        lanes.handled(0, 0, 1);
        let batch = lanes.seal_announcement().unwrap_or_default();
        assert_eq!(lanes.admit(0, 0), Admission::Repeated);
        for partition in [0, 1] {
            assert_eq!(lanes.admit(partition, 1), Admission::Later);
        }
        assert_eq!((lanes.seal(), lanes.seal_announcement()), (None, None));
        assert_eq!(lanes.ready(), None, "it waits for its fast outputs like any other");
        lanes.acknowledged(batch);
        assert_eq!(lanes.ready(), Some(Commit { batch, offsets: vec![(0, 1), (1, 0)] }));
        assert!(!lanes.is_settled_for(0) && !lanes.is_settled());
        lanes.committed(batch);
        assert!(lanes.is_settled_for(0) && lanes.is_settled_for(1) && lanes.is_settled());
        assert_eq!(lanes.admit(0, 1), Admission::Later);
        assert_eq!(lanes.seal_announcement(), None, "one at a time");
        lanes.stored(batch - 1);
        assert!(lanes.is_announcing());
        lanes.stored(batch);
        assert_eq!((lanes.admit(0, 1), lanes.admit(1, 0)), (Admission::Handle, Admission::Handle));
        // What was never committed is committed now, and a rewind goes there.
        lanes.handled(1, 0, 0);
        assert_eq!(lanes.rewind(), [(1, Some(0))]);
    }

    #[test]
    fn an_announcement_without_records_names_every_partition_that_is_served() {
        let mut lanes = Lanes::new(10);
        assert_eq!(lanes.seal_announcement(), None, "there is nobody to tell");
        for (partition, committed, source) in [(0, Some(7), 3..7), (1, None, 4..4), (2, None, 0..0)] {
            lanes.assign(partition);
            assert!(partition == 2 || lanes.restored(partition, committed, source));
        }
        let batch = lanes.seal_announcement();
        assert_eq!(lanes.ready().map(|commit| commit.offsets), Some(vec![(0, 7), (1, 4)]));
        lanes.committed(batch.unwrap_or_default());
        // A partition that is restored meanwhile waits with the others.
        assert!(lanes.restored(2, None, 0..0));
        assert_eq!(lanes.admit(2, 0), Admission::Later);
        lanes.revoke(0);
        lanes.stored(batch.unwrap_or_default());
        assert_eq!(lanes.admit(2, 0), Admission::Handle);
    }

    #[test]
    fn an_announcement_waits_until_the_replay_is_over() {
        // Committed offset, what the source holds, and the offset of the first record that news may reach, where
        // each offset from the committed one on holds a record. Batches hold 10 records.
        let table = [
            (Some(5), 0..5, 5),
            (Some(5), 0..9, 9),
            (Some(5), 0..25, 25),
            (Some(5), 0..26, 25),
            (Some(5), 0..i64::MAX, 25),
            // Skipped on purpose, beyond the end of the source.
            (Some(5), 0..2, 5),
            (None, 0..0, 0),
            (None, 7..7, 7),
            (None, 7..9, 9),
            (None, 7..900, 27),
        ];
        for (committed, source, due) in table {
            let mut lanes = replaying(committed, source.clone());
            let mut next = committed.unwrap_or(source.start);
            while lanes.is_replaying() {
                assert_eq!(lanes.seal_announcement(), None);
                lanes.handled(0, next, 0);
                commit(&mut lanes);
                next += 1;
            }
            assert_eq!(next, due, "{committed:?} {source:?}");
            assert!(lanes.seal_announcement().is_some());
        }
    }

    #[test]
    fn offsets_without_records_do_not_keep_news_waiting() {
        let mut lanes = replaying(Some(5), 0..9);
        lanes.handled(0, 5, 0);
        lanes.reached(0, 8);
        assert!(lanes.is_replaying());
        lanes.reached(0, 9);
        assert!(lanes.seal_announcement().is_some());
    }

    #[test]
    fn a_rewind_is_handled_again_before_anything_is_announced() {
        let mut lanes = serving();
        lanes.handled(0, 0, 0);
        commit(&mut lanes);
        lanes.handled(0, 1, 0);
        assert!(lanes.seal().is_some());
        // A gap, and an open batch.
        lanes.handled(0, 5, 0);
        assert_eq!(lanes.rewind(), [(0, Some(1))]);
        for offset in [1, 5] {
            assert_eq!(lanes.seal_announcement(), None);
            lanes.handled(0, offset, 0);
        }
        let batch = lanes.seal_announcement();
        // The announcement itself is rewound, and announced again when its records have been handled again.
        assert!(lanes.ready().is_some() && lanes.is_announcing());
        assert_eq!(lanes.rewind(), [(0, Some(1)), (1, None)]);
        lanes.committed(batch.unwrap_or_default());
        assert!(!lanes.is_announcing() && lanes.is_replaying());
        assert_eq!(lanes.admit(0, 1), Admission::Handle);
        lanes.handled(0, 1, 0);
        lanes.handled(0, 5, 0);
        assert_eq!(lanes.seal_announcement(), batch.map(|batch| batch + 3));
    }

    #[test]
    fn a_rewind_does_not_shorten_a_replay() {
        let mut lanes = replaying(Some(0), 0..100);
        for offset in 0..15 {
            lanes.handled(0, offset, 0);
        }
        assert_eq!(lanes.rewind(), [(0, Some(0))]);
        for offset in 0..20 {
            assert_eq!(lanes.seal_announcement(), None, "{offset}");
            lanes.handled(0, offset, 0);
        }
        assert!(lanes.seal_announcement().is_some());
    }

    #[test]
    fn a_restart_ends_an_announcement() {
        let mut lanes = serving();
        assert!(lanes.seal_announcement().is_some());
        lanes.restart();
        assert!(!lanes.is_announcing());
        assert!(lanes.restored(0, Some(0), 0..3));
        assert_eq!((lanes.admit(0, 0), lanes.seal_announcement()), (Admission::Handle, None));
    }
}
