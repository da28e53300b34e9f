//! An instance: the real handler and the real lanes, driven as `stream`'s worker drives them, one effect a
//! step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use credence::handler::ScoringHandler;
use delivery::{Admission, BatchId, Changes, Handler, Lanes, LocalState, Outputs, Source, StateError};
use engine::Backing;

use super::committer::{Committer, Durable, Order, Outcome};
use super::disk::{Disk, Stores, Values};
use super::group::{Identity, MemberId, Told};
use super::log::{Log, PARTITIONS, Record, Topic};
use super::mutants::Mutant;
use super::random::Random;
use super::restorer::Restorer;
use super::traffic::{scoring, shared};
use super::versioned::Versioned;

/// What an instance acts on.
pub(super) struct Around {
    pub(super) log: Log,
    pub(super) random: Random,
    pub(super) mutant: Option<Mutant>,
    /// Whether faults may still happen.
    pub(super) faulty: bool,
    pub(super) batch_max: usize,
    /// The newest version of what is announced.
    pub(super) newest: u64,
    pub(super) counts: Counts,
}

/// What happened in a seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) handled: usize,
    pub(super) commits: usize,
    pub(super) aborts: usize,
    pub(super) unknown: usize,
    pub(super) restored: usize,
    pub(super) crashes: usize,
    pub(super) zombies: usize,
    pub(super) rebalances: usize,
    pub(super) announcements: usize,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Counts) {
        self.handled += other.handled;
        self.commits += other.commits;
        self.aborts += other.aborts;
        self.unknown += other.unknown;
        self.restored += other.restored;
        self.crashes += other.crashes;
        self.zombies += other.zombies;
        self.rebalances += other.rebalances;
        self.announcements += other.announcements;
    }
}

impl Around {
    /// Whether a fault of this probability in a thousand happens now.
    pub(super) fn fault(&mut self, permille: usize) -> bool {
        self.faulty && self.random.permille(permille)
    }
}

/// An output on the fast lane.
struct Parcel {
    batch: BatchId,
    topic: Topic,
    partition: i32,
    record: Record,
}

/// Gives partitions up that live until they are settled.
struct Revoking(Vec<i32>);

/// What dies with the process.
pub(super) struct Process {
    name: usize,
    member: Option<MemberId>,
    /// The newest generation that this member heard of.
    generation: u64,
    disk: Arc<Disk>,
    handler: Versioned,
    lanes: Lanes,
    outputs: Outputs,
    /// Where the consumer reads on; `None`: where the group's offset is.
    positions: BTreeMap<i32, Option<i64>>,
    /// The fast lane is slow.
    slow: bool,
    /// Not yet written to the topics.
    outbox: VecDeque<Parcel>,
    /// Written, and the acknowledgement is on its way.
    unacknowledged: VecDeque<BatchId>,
    open: Durable,
    sealed: Option<Durable>,
    committing: bool,
    aborts_in_a_row: usize,
    unstored: usize,
    /// Partitions that were restored since the last order, and up to where.
    restored: Vec<(i32, i64)>,
    restore_due: bool,
    displaced: BTreeSet<i32>,
    revoking: Option<Revoking>,
    /// The sealed batch announces something and holds no record.
    announces_only: bool,
    committer: Committer,
    restorer: Restorer,
}

/// Events that decide what has expired: few, as there are few.
const EXPIRY_EVENTS: u32 = 1;
/// After so many aborts in a row everything is rewound: few, so that it happens.
const MAX_TRIES: usize = 2;

impl Process {
    pub(super) fn start(name: usize, producer: usize, disk: &Arc<Disk>, around: &mut Around) -> Process {
        let random = &mut around.random;
        let budget = if random.permille(500) { 0 } else { 1 << 20 };
        let shared = shared();
        let stores = Arc::new(Stores(disk.clone()));
        let handler =
            ScoringHandler::new(name, scoring(), shared.in_force.clone(), stores, budget, shared.metrics.clone())
                .expire_after(EXPIRY_EVENTS);
        Process {
            name,
            member: None,
            generation: 0,
            disk: disk.clone(),
            handler: Versioned::new(handler, disk.clone(), around.mutant),
            lanes: Lanes::new(around.batch_max),
            outputs: Outputs::new(),
            positions: BTreeMap::new(),
            slow: random.permille(300),
            outbox: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            open: Durable::default(),
            sealed: None,
            committing: false,
            aborts_in_a_row: 0,
            unstored: 0,
            restored: Vec::new(),
            restore_due: false,
            displaced: BTreeSet::new(),
            revoking: None,
            announces_only: false,
            committer: Committer::new(producer, disk.clone()),
            restorer: Restorer::new(disk.clone()),
        }
    }

    pub(super) fn member(&self) -> Option<MemberId> {
        self.member
    }

    /// For who wants to know why it stands still.
    pub(super) fn status(&self) -> String {
        let Self { name, member, lanes, committing, unstored, restore_due, .. } = self;
        format!("{name}: {member:?} {lanes:?} committing {committing} {unstored} due {restore_due}")
    }

    /// Whether a transaction is under way.
    pub(super) fn is_committing(&self) -> bool {
        self.committer.is_committing()
    }

    /// Whether nothing is under way, and nothing is to be announced.
    pub(super) fn is_idle(&self, newest: u64) -> bool {
        self.member.is_some()
            && self.handler.heard() == newest
            && !self.handler.has_news()
            && !self.lanes.is_announcing()
            && self.lanes.is_settled()
            && self.lanes.restoring().next().is_none()
            && self.outbox.is_empty()
            && self.unstored == 0
            && self.committer.is_idle()
            && self.revoking.is_none()
    }

    /// One effect of one of its threads; what it was, where there was one.
    pub(super) fn step(&mut self, around: &mut Around) -> Option<String> {
        let what = match around.random.below(16) {
            0..=6 => self.worker(around),
            7..=9 => self.send(around),
            10..=13 => self.committer.step(around),
            _ => self.restorer.step(around),
        };
        what.map(|what| format!("instance {}: {what}", self.name))
    }

    /// The fast lane writes the oldest output. Nothing overtakes another.
    fn send(&mut self, around: &mut Around) -> Option<String> {
        if self.slow && around.fault(930) {
            return None;
        }
        let Parcel { batch, topic, partition, record } = self.outbox.pop_front()?;
        let source = record.source;
        let offset = around.log.append(topic, partition, record);
        self.unacknowledged.push_back(batch);
        Some(format!("{topic:?} {partition} at {offset}, for {source:?}"))
    }

    fn worker(&mut self, around: &mut Around) -> Option<String> {
        let revoking = self.revoking.is_some();
        if self.handler.heard() < around.newest && around.random.permille(100) {
            self.handler.hear(around.newest);
            return Some(format!("hears of version {}", around.newest));
        }
        match around.random.below(if revoking { 6 } else { 14 }) {
            0 => self.collect(around),
            1 => self.outcome(around),
            2 => self.restored(around),
            3 => self.seal(around),
            4 => self.submit(around),
            5 if revoking => self.settled(around),
            // Not every turn: a batch is open for some time.
            5 if self.lanes.open_records() < around.batch_max => None,
            _ => self.poll(around),
        }
    }

    fn poll(&mut self, around: &mut Around) -> Option<String> {
        let Some(member) = self.member else {
            let member = around.log.group.join(&mut around.random);
            around.counts.rebalances += 1;
            self.member = Some(member);
            return Some(format!("joins as member {member}"));
        };
        match around.log.group.poll(member) {
            Told::Lost => {
                let partitions: Vec<i32> = self.lanes.assigned().collect();
                self.member = None;
                self.give_up(around, &partitions, true);
                Some(format!("was member {member}, lost {partitions:?}"))
            }
            Told::News { generation, revoked, assigned } => {
                self.generation = generation;
                if !revoked.is_empty() {
                    let what = format!("has to give up {revoked:?}");
                    self.revoking = Some(Revoking(revoked));
                    return Some(what);
                }
                if !assigned.is_empty() {
                    for partition in &assigned {
                        self.lanes.assign(*partition);
                        self.positions.insert(*partition, None);
                    }
                    // Where others wait for the committer these wait with them.
                    if !self.restore_due {
                        self.restorer.restore(&assigned);
                    }
                    return Some(format!("is given {assigned:?}"));
                }
                self.read(around)
            }
        }
    }

    fn read(&mut self, around: &mut Around) -> Option<String> {
        let is_early = around.mutant == Some(Mutant::NewsBeforeCommit);
        if self.lanes.open_records() >= around.batch_max || self.lanes.is_announcing() && !is_early {
            return None;
        }
        let partition = around.random.below(PARTITIONS as usize) as i32;
        // A partition is paused until it is served.
        if !self.lanes.serves(partition) {
            return None;
        }
        let position = self.positions.get_mut(&partition)?;
        let offset = match position {
            Some(offset) => *offset,
            None => *position.insert(around.log.committed_offset(partition).ok()?.unwrap_or(0)),
        };
        let record = around.log.read(Topic::Events, partition, offset).map(|(_, record)| record.clone())?;
        let admission = self.lanes.admit(partition, offset);
        if admission != Admission::Handle && !(is_early && admission == Admission::Later) {
            self.positions.insert(partition, Some(offset + 1));
            return Some(format!("event {offset} of partition {partition} is not for us now"));
        }
        if around.fault(6) {
            self.disk.damage(partition);
        }
        let source = Source {
            topic: "login-events",
            partition,
            partition_count: PARTITIONS,
            offset,
            timestamp_ms: Some(record.timestamp_ms),
            key: Some(&record.key),
            payload: record.value.as_deref(),
            content_type: None,
        };
        self.outputs.clear();
        if let Err(error) = self.handler.handle(&source, &mut self.outputs) {
            if let StateError::Damaged(_) = error {
                let _ = self.disk.reset(partition);
            }
            self.restart();
            return Some(format!("event {offset} of partition {partition}: {error}"));
        }
        self.positions.insert(partition, Some(offset + 1));
        around.counts.handled += 1;
        self.send_outputs(partition, offset, &record);
        let batch = self.lanes.open();
        Some(format!("event {offset} of partition {partition} handled in batch {batch}"))
    }

    fn send_outputs(&mut self, partition: i32, offset: i64, record: &Record) {
        let batch = self.lanes.open();
        let key = self.outputs.key().to_vec();
        let answer = |value: &[u8]| Record {
            key: key.clone(),
            value: Some(value.to_vec()),
            timestamp_ms: record.timestamp_ms,
            source: Some((partition, offset)),
        };
        let verdict = self.outputs.verdict().map(|verdict| (Topic::Verdicts, answer(verdict)));
        let dead = self.outputs.dead().map(|_| (Topic::Dead, answer(record.value.as_deref().unwrap_or_default())));
        let fast = usize::from(verdict.is_some()) + usize::from(dead.is_some());
        self.lanes.handled(partition, offset, fast);
        for (topic, record) in verdict.into_iter().chain(dead) {
            self.outbox.push_back(Parcel { batch, topic, partition, record });
        }
        if let Some(log) = self.outputs.log() {
            self.open.logs.push(partition, &key, Some(log));
        }
    }

    fn collect(&mut self, around: &mut Around) -> Option<String> {
        let batch = self.unacknowledged.pop_front()?;
        // Of a sealed batch the mutant has counted them all already.
        if around.mutant != Some(Mutant::CommitBeforeAcknowledged) || batch == self.lanes.open() {
            self.lanes.acknowledged(batch);
        }
        Some(format!("an output of batch {batch} is acknowledged"))
    }

    fn seal(&mut self, around: &mut Around) -> Option<String> {
        let announced = self.announce(around);
        let batch = announced.or_else(|| self.lanes.seal())?;
        if around.mutant == Some(Mutant::CommitBeforeAcknowledged) {
            let outputs = self.outbox.iter().map(|of| of.batch).chain(self.unacknowledged.iter().copied());
            let early = outputs.filter(|of| *of == batch).count();
            (0..early).for_each(|_| self.lanes.acknowledged(batch));
        }
        self.handler.take_changes(batch, &mut self.open.changes);
        if around.mutant == Some(Mutant::AnswersNotInState) {
            self.open.changes = without_answers(&self.open.changes);
        }
        self.sealed = Some(std::mem::take(&mut self.open));
        self.handler.between_batches();
        let what = if announced.is_some() { ", announcing what is new" } else { "" };
        Some(format!("batch {batch} sealed{what}"))
    }

    /// Seals a batch that announces what is new, where something is and it may.
    fn announce(&mut self, around: &mut Around) -> Option<BatchId> {
        self.announces_only = false;
        // Who gives partitions up takes up nothing new, and a full disk must not stop the scoring.
        if self.revoking.is_some() || self.unstored > 1 || !self.handler.has_news() || around.random.permille(300) {
            return None;
        }
        let is_empty = self.lanes.open_records() == 0;
        let batch = self.lanes.seal_announcement()?;
        self.announces_only = is_empty;
        self.handler.announce(batch);
        around.counts.announcements += 1;
        Some(batch)
    }

    fn submit(&mut self, around: &mut Around) -> Option<String> {
        if self.committing {
            return None;
        }
        let member = self.member?;
        let mut commit = self.lanes.ready()?;
        if self.announces_only && around.mutant == Some(Mutant::NewsUnfenced) {
            commit.offsets.clear();
        }
        // The client hears of a generation on a thread of its own, before the worker asks for news.
        if around.log.group.is_member(member) && around.random.permille(700) {
            self.generation = around.log.group.generation();
        }
        let records = self.sealed.take().unwrap_or_default();
        self.committing = true;
        let what = format!("batch {} to be committed with {:?}", commit.batch, commit.offsets);
        let identity = Identity { member, generation: self.generation };
        let restored = std::mem::take(&mut self.restored);
        self.committer.commit(Order { commit, identity, records, restored });
        Some(what)
    }

    fn outcome(&mut self, around: &mut Around) -> Option<String> {
        let outcome = self.committer.outcomes.pop_front()?;
        let mut what = format!("{outcome:?}");
        match outcome {
            Outcome::Committed(batch) => {
                around.counts.commits += 1;
                self.aborts_in_a_row = 0;
                self.committing = false;
                self.unstored += 1;
                self.lanes.committed(batch);
                if around.mutant == Some(Mutant::StoredBeforeStored) {
                    self.handler.stored(batch);
                }
                self.restore_if_due();
            }
            Outcome::Stored(batch) => {
                self.unstored = self.unstored.saturating_sub(1);
                self.handler.stored(batch);
                self.lanes.stored(batch);
            }
            Outcome::Aborted(batch, records) => {
                around.counts.aborts += 1;
                self.committing = false;
                self.aborts_in_a_row += 1;
                if self.aborts_in_a_row <= MAX_TRIES && self.lanes.aborted(batch) {
                    self.sealed = Some(records);
                    return Some(format!("batch {batch} is tried again"));
                }
                what = format!("batch {batch} is not tried again");
                if self.restore_due { self.restore_if_due() } else { self.rewind(around) }
            }
            Outcome::Unknown => {
                around.counts.unknown += 1;
                self.committing = false;
                if self.restore_due { self.restore_if_due() } else { self.restart() }
            }
            Outcome::Damaged => {
                self.unstored = 0;
                self.restart();
            }
        }
        Some(what)
    }

    fn rewind(&mut self, around: &mut Around) {
        if self.unstored > 0 && around.mutant != Some(Mutant::RewindWithoutRestore) {
            return self.restart();
        }
        if around.mutant != Some(Mutant::NoRewind) && self.handler.rewind().is_err() {
            return self.restart();
        }
        for (partition, committed) in self.lanes.rewind() {
            self.positions.insert(partition, Some(committed.unwrap_or(0)));
            if around.mutant == Some(Mutant::NewsInRewound) {
                self.lanes.reached(partition, i64::MAX);
            }
        }
        self.open = Durable::default();
        self.sealed = None;
    }

    fn restart(&mut self) {
        let partitions: Vec<i32> = self.lanes.assigned().collect();
        for partition in partitions.iter().filter(|partition| self.lanes.serves(**partition)) {
            self.handler.revoked(*partition);
        }
        self.lanes.restart();
        self.open = Durable::default();
        self.sealed = None;
        self.displaced.extend(partitions);
        self.restore_due = true;
        self.restore_if_due();
    }

    fn restore_if_due(&mut self) {
        if !self.restore_due || self.committing {
            return;
        }
        self.restore_due = false;
        let partitions: Vec<i32> = self.lanes.restoring().collect();
        if !partitions.is_empty() {
            self.restorer.restore(&partitions);
        }
    }

    fn restored(&mut self, around: &mut Around) -> Option<String> {
        let restored = self.restorer.result()?;
        let (partition, committed) = (restored.partition, restored.committed);
        let end = if around.mutant == Some(Mutant::NewsInReplay) { 0 } else { restored.end };
        if !self.lanes.restored(partition, committed, 0..end) {
            return Some(format!("partition {partition} was given up meanwhile"));
        }
        if let Err(error) = self.handler.assigned(partition) {
            self.lanes.assign(partition);
            if let StateError::Damaged(_) = error {
                let _ = self.disk.reset(partition);
            }
            self.restart();
            return Some(format!("partition {partition}: {error}"));
        }
        self.restored.retain(|(of, _)| *of != partition);
        self.restored.push((partition, restored.position));
        if self.displaced.remove(&partition) {
            self.positions.insert(partition, Some(committed.unwrap_or(0)));
        }
        around.counts.restored += 1;
        self.check_restored(around, partition, committed);
        Some(format!("serves partition {partition} from {committed:?}"))
    }

    /// Served means complete: the local copy is what was committed, and so is the offset.
    fn check_restored(&self, around: &mut Around, partition: i32, committed: Option<i64>) {
        // Of who was thrown out nothing is asked; he commits nothing.
        if !self.member.is_some_and(|member| around.log.group.owns(member, partition)) {
            return;
        }
        let due = around.log.decided_offset(partition);
        let mut expected = Values::new();
        for (_, record) in around.log.decided(Topic::Profiles, partition) {
            match &record.value {
                Some(value) => drop(expected.insert(record.key.clone(), value.as_slice().into())),
                None => drop(expected.remove(&record.key)),
            }
        }
        let found = self.disk.values(partition);
        if committed != due || found != expected {
            let what = format!(
                "instance {} serves partition {partition} from {committed:?} with {} values; committed are {due:?}, {} values",
                self.name,
                found.len(),
                expected.len(),
            );
            around.log.blame("served only when restored", what);
        }
    }

    /// While partitions are given up nothing is read; the batches get their chance to be committed.
    fn settled(&mut self, around: &mut Around) -> Option<String> {
        let Revoking(partitions) = self.revoking.take()?;
        let lost = !self.member.is_some_and(|member| around.log.group.is_member(member));
        let settled = partitions.iter().all(|partition| self.lanes.is_settled_for(*partition));
        if !settled && !lost && !around.random.permille(50) {
            self.revoking = Some(Revoking(partitions));
            return None;
        }
        self.give_up(around, &partitions, lost);
        Some(format!("gave up {partitions:?}, settled {settled}, lost {lost}"))
    }

    fn give_up(&mut self, around: &mut Around, partitions: &[i32], lost: bool) {
        let unsettled = partitions.iter().any(|partition| !self.lanes.is_settled_for(*partition));
        for partition in partitions {
            if self.lanes.serves(*partition) {
                self.handler.revoked(*partition);
            }
            self.lanes.revoke(*partition);
            self.restorer.forget(*partition);
            self.displaced.remove(partition);
            self.positions.remove(partition);
        }
        if unsettled && around.mutant != Some(Mutant::LostWorkKept) {
            if self.committing { self.restart() } else { self.rewind(around) }
        }
        if let Some(member) = self.member.filter(|_| !lost) {
            partitions.iter().for_each(|partition| around.log.group.given_up(member, *partition));
        }
    }
}

/// Changes as a program would write them that takes the recent answers for a cache.
fn without_answers(changes: &Changes) -> Changes {
    let mut kept = Changes::default();
    for change in changes.iter() {
        let profile = change.value.and_then(|value| profile::packed::unpack(value).ok());
        match profile {
            Some(mut profile) => {
                profile.answers = profile::Answers::default();
                kept.push(change.partition, change.key, Some(&profile::packed::pack(&profile)));
            }
            None => kept.push(change.partition, change.key, change.value),
        }
    }
    kept
}

/// Values as something to stand on.
#[derive(Debug)]
pub(super) struct Still(pub(super) Values);

impl Backing for Still {
    fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, engine::BackingError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, from: &[u8], limit: usize, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), engine::BackingError> {
        self.0.range(from.to_vec()..).take(limit).for_each(|(key, value)| each(key, value));
        Ok(())
    }
}
