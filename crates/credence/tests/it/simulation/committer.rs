//! The durable lane of an instance, a step at a time: what `stream`'s committer does on its thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use delivery::{BatchId, Changes, Commit, LocalState, StateError};

use super::disk::Disk;
use super::group::Identity;
use super::instance::Around;
use super::log::{Record, Refused, Topic};
use super::mutants::Mutant;

/// What a batch commits.
#[derive(Debug, Default, Clone)]
pub(super) struct Durable {
    pub(super) logs: Changes,
    pub(super) changes: Changes,
}

#[derive(Debug)]
pub(super) struct Order {
    pub(super) commit: Commit,
    pub(super) identity: Identity,
    pub(super) records: Durable,
    /// Partitions whose state was restored since the last order, and up to where.
    pub(super) restored: Vec<(i32, i64)>,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Outcome {
    Committed(BatchId),
    Stored(BatchId),
    /// What it would have committed comes back.
    Aborted(BatchId, Durable),
    Unknown,
    Damaged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// So many records are sent.
    Produce(usize),
    AddOffsets,
    Commit,
    /// Nobody knows; the coordinator has to end it.
    Settle,
}

#[derive(Debug)]
struct Unstored {
    batch: BatchId,
    /// For each partition the position that the changes follow, and the one after them.
    spans: Vec<(i32, Option<i64>, i64)>,
    /// So many of `spans` are in the local copy.
    done: usize,
    changes: Changes,
}

pub(super) struct Committer {
    producer: usize,
    disk: Arc<Disk>,
    epoch: Option<u64>,
    order: Option<(Order, Stage)>,
    ends: BTreeMap<i32, i64>,
    /// Up to where the state of each partition was restored, or committed here since.
    reached: BTreeMap<i32, i64>,
    unstored: VecDeque<Unstored>,
    /// The local copy cannot be written for so many steps.
    full_for: usize,
    pub(super) outcomes: VecDeque<Outcome>,
}

impl Committer {
    pub(super) fn new(producer: usize, disk: Arc<Disk>) -> Committer {
        Committer {
            producer,
            disk,
            epoch: None,
            order: None,
            ends: BTreeMap::new(),
            reached: BTreeMap::new(),
            unstored: VecDeque::new(),
            full_for: 0,
            outcomes: VecDeque::new(),
        }
    }

    pub(super) fn commit(&mut self, mut order: Order) {
        self.ends.clear();
        self.reached.extend(order.restored.drain(..));
        self.order = Some((order, Stage::Produce(0)));
    }

    pub(super) fn is_committing(&self) -> bool {
        self.order.is_some()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.order.is_none() && self.unstored.is_empty() && self.outcomes.is_empty()
    }

    /// One effect. Says what it was, where there was one.
    pub(super) fn step(&mut self, around: &mut Around) -> Option<String> {
        let Some((_, stage)) = &self.order else { return self.store(around) };
        let stage = *stage;
        if stage == Stage::Settle {
            return self.settle(around);
        }
        let Some(epoch) = self.epoch else { return self.initialise(around) };
        // Whatever goes wrong before the commit ends in an abort.
        if around.fault(15) {
            // A producer that cannot abort is dropped.
            if around.random.permille(500) {
                let _ = around.log.end(self.producer, epoch, false);
            } else {
                self.epoch = None;
            }
            return self.aborted("injected");
        }
        match stage {
            Stage::Produce(sent) => self.produce(around, epoch, sent),
            Stage::AddOffsets => self.add_offsets(around, epoch),
            Stage::Commit => self.end(around, epoch),
            Stage::Settle => None,
        }
    }

    fn initialise(&mut self, around: &mut Around) -> Option<String> {
        match around.log.init(self.producer) {
            Ok(epoch) => {
                self.epoch = Some(epoch);
                Some(format!("producer initialised, epoch {epoch}"))
            }
            Err(_) if around.fault(50) => self.aborted("no producer"),
            Err(_) => None,
        }
    }

    fn move_on(&mut self, stage: Stage) {
        if let Some((_, current)) = &mut self.order {
            *current = stage;
        }
    }

    fn aborted(&mut self, why: &str) -> Option<String> {
        let (order, _) = self.order.take()?;
        let batch = order.commit.batch;
        self.outcomes.push_back(Outcome::Aborted(batch, order.records));
        Some(format!("batch {batch} aborted: {why}"))
    }

    fn produce(&mut self, around: &mut Around, epoch: u64, sent: usize) -> Option<String> {
        let (order, _) = self.order.as_ref()?;
        let batch = order.commit.batch;
        if sent == 0 && around.mutant == Some(Mutant::OffsetsOutsideTransaction) {
            order.commit.offsets.iter().for_each(|(partition, offset)| around.log.commit_offset(*partition, *offset));
        }
        let logs = order.records.logs.iter().map(|log| (Topic::Logs, log));
        let changes = order.records.changes.iter().map(|change| (Topic::Profiles, change));
        let is_kept = |(topic, of): &(Topic, delivery::Change<'_>)| {
            *topic == Topic::Logs || of.value.is_some() || around.mutant != Some(Mutant::NoTombstones)
        };
        let Some((topic, next)) = logs.chain(changes).filter(is_kept).nth(sent) else {
            self.move_on(Stage::AddOffsets);
            return None;
        };
        let place = (topic, next.partition);
        let gone = if next.value.is_none() { ", gone" } else { "" };
        let name = String::from_utf8_lossy(next.key).rsplit('/').next().map(str::to_owned).unwrap_or_default();
        let name: String = name.chars().filter(|of| of.is_ascii_graphic()).collect();
        let record =
            Record { key: next.key.to_vec(), value: next.value.map(<[u8]>::to_vec), timestamp_ms: 0, source: None };
        if topic == Topic::Logs && around.mutant == Some(Mutant::LogsOutsideTransaction) {
            around.log.append(topic, place.1, record);
            self.move_on(Stage::Produce(sent + 1));
            return Some(format!("batch {batch}: log record outside"));
        }
        match around.log.produce(self.producer, epoch, place, record) {
            Ok(offset) => {
                if topic == Topic::Profiles {
                    self.ends.insert(place.1, offset + 1);
                }
                self.move_on(Stage::Produce(sent + 1));
                Some(format!("batch {batch}: {topic:?} {} at {offset}: {name}{gone}", place.1))
            }
            Err(Refused::Busy) => None,
            Err(_) => {
                self.epoch = None;
                self.aborted("fenced")
            }
        }
    }

    fn add_offsets(&mut self, around: &mut Around, epoch: u64) -> Option<String> {
        let (order, _) = self.order.as_ref()?;
        let batch = order.commit.batch;
        match around.log.add_offsets(self.producer, epoch, order.identity, &order.commit.offsets) {
            Ok(()) => {
                let what = format!("batch {batch}: offsets {:?} by {:?}", order.commit.offsets, order.identity);
                if around.mutant == Some(Mutant::StoreBeforeCommit) {
                    let changes = order.records.changes.clone();
                    for (partition, end) in &self.ends {
                        let _ = self.disk.apply(
                            *partition,
                            self.reached.get(partition).copied(),
                            &mut changes.of(*partition),
                            *end,
                        );
                    }
                }
                self.move_on(Stage::Commit);
                Some(what)
            }
            Err(Refused::Busy) => None,
            Err(refused) => {
                if around.log.end(self.producer, epoch, false).is_err() {
                    self.epoch = None;
                }
                self.aborted(&format!("{refused:?}"))
            }
        }
    }

    fn end(&mut self, around: &mut Around, epoch: u64) -> Option<String> {
        let batch = self.order.as_ref()?.0.commit.batch;
        // The answer is lost, or the question was.
        let lost = around.fault(100);
        let reached = !lost || around.random.permille(500);
        let ended = if reached { around.log.end(self.producer, epoch, true) } else { Ok(()) };
        if !lost && ended.is_ok() || lost && around.mutant == Some(Mutant::UnknownIsCommitted) {
            return self.committed(batch);
        }
        self.epoch = None;
        if around.mutant == Some(Mutant::UnknownIsAborted) {
            return self.aborted("guessed");
        }
        self.move_on(Stage::Settle);
        Some(format!("batch {batch}: commit without an answer, {}", if reached { "reached" } else { "not reached" }))
    }

    fn committed(&mut self, batch: BatchId) -> Option<String> {
        let (order, _) = self.order.take()?;
        let span = |(partition, end)| (partition, self.reached.insert(partition, end), end);
        let spans = std::mem::take(&mut self.ends).into_iter().map(span).collect();
        self.unstored.push_back(Unstored { batch, spans, done: 0, changes: order.records.changes });
        self.outcomes.push_back(Outcome::Committed(batch));
        Some(format!("batch {batch} committed"))
    }

    fn settle(&mut self, around: &mut Around) -> Option<String> {
        let Ok(epoch) = around.log.init(self.producer) else { return None };
        self.epoch = Some(epoch);
        let (order, _) = self.order.take()?;
        self.outcomes.push_back(Outcome::Unknown);
        Some(format!("batch {}: nobody knows, settled", order.commit.batch))
    }

    fn store(&mut self, around: &mut Around) -> Option<String> {
        if self.unstored.is_empty() {
            return None;
        }
        self.full_for = if around.faulty { self.full_for.saturating_sub(1) } else { 0 };
        if self.full_for > 0 {
            return None;
        }
        if around.fault(100) {
            self.full_for = 20 + around.random.below(300);
            return Some("the disk is full".to_owned());
        }
        let front = self.unstored.front_mut()?;
        let batch = front.batch;
        if let Some((partition, from, end)) = front.spans.get(front.done).copied() {
            let with_tombstones = around.mutant != Some(Mutant::NoTombstones);
            let mut kept = front.changes.of(partition).filter(|of| of.value.is_some() || with_tombstones);
            let applied = self.disk.apply(partition, from, &mut kept, end);
            drop(kept);
            match applied {
                Ok(true) => front.done += 1,
                Err(StateError::Unavailable(_)) => {}
                Ok(false) | Err(StateError::Damaged(_)) => {
                    self.unstored.clear();
                    self.outcomes.push_back(Outcome::Damaged);
                    return Some("the local copy is damaged".to_owned());
                }
            }
            return Some(format!("batch {batch}: partition {partition} stored up to {end}"));
        }
        self.unstored.pop_front();
        self.outcomes.push_back(Outcome::Stored(batch));
        Some(format!("batch {batch} stored"))
    }
}
