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
mod tests;
