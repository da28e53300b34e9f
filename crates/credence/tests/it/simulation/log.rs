//! The fake Kafka: logs with offsets, transactions with their markers, committed offsets.
//!
//! Nothing here happens by itself: a marker is written, a transaction times out when the scheduler says so.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Group, Identity};
use super::random::Random;

pub(super) const PARTITIONS: i32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Events,
    Verdicts,
    Dead,
    Logs,
    Profiles,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) timestamp_ms: i64,
    /// Which event it is the answer to.
    pub(super) source: Option<(i32, i64)>,
}

#[derive(Debug)]
enum Entry {
    Record(Record, Option<usize>),
    Marker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Committed,
    Aborted,
}

/// A transaction. It is decided at once for all its partitions, and each hears of it in its own time.
#[derive(Debug)]
struct Transaction {
    producer: usize,
    state: State,
    /// Partitions that were written to and have no marker yet.
    unmarked: BTreeSet<(Topic, i32)>,
    offsets: Vec<(i32, i64)>,
    /// The offsets are not settled yet.
    pending: bool,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: u64,
    current: Option<usize>,
}

/// Why the coordinator refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not now: markers of an earlier transaction are still on their way.
    Busy,
    /// Another producer of this name came after, or the transaction took too long.
    Fenced,
    /// Not of the group's present generation.
    Generation,
}

/// Offsets of a transaction under way: ask again.
#[derive(Debug)]
pub(super) struct Unstable;

/// A broken promise: which, and what was seen.
#[derive(Debug, Clone)]
pub(super) struct Wrong {
    pub(super) check: &'static str,
    pub(super) what: String,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    logs: BTreeMap<(Topic, i32), Vec<Entry>>,
    transactions: Vec<Transaction>,
    producers: BTreeMap<usize, Producer>,
    offsets: BTreeMap<i32, i64>,
    pub(super) group: Group,
    /// Takes offsets of any generation: a broken broker.
    pub(super) trusting: bool,
    /// What was seen to be wrong on the way.
    pub(super) wrong: Vec<Wrong>,
}

impl Log {
    /// Writes outside any transaction.
    pub(super) fn append(&mut self, topic: Topic, partition: i32, record: Record) -> i64 {
        self.write((topic, partition), Entry::Record(record, None))
    }

    fn write(&mut self, place: (Topic, i32), entry: Entry) -> i64 {
        let log = self.logs.entry(place).or_default();
        log.push(entry);
        log.len() as i64 - 1
    }

    fn entries(&self, topic: Topic, partition: i32) -> &[Entry] {
        self.logs.get(&(topic, partition)).map_or(&[], Vec::as_slice)
    }

    /// The offset after the last record, open transactions included.
    pub(super) fn high_watermark(&self, topic: Topic, partition: i32) -> i64 {
        self.entries(topic, partition).len() as i64
    }

    /// Where the first transaction starts whose marker is not there.
    pub(super) fn last_stable(&self, topic: Topic, partition: i32) -> i64 {
        let entries = self.entries(topic, partition);
        let unsettled = |entry: &Entry| match entry {
            Entry::Record(_, Some(of)) => {
                self.transactions.get(*of).is_some_and(|of| of.unmarked.contains(&(topic, partition)))
            }
            _ => false,
        };
        entries.iter().position(unsettled).unwrap_or(entries.len()) as i64
    }

    /// The first record from `from` on that a read_committed reader is shown, with its offset.
    pub(super) fn read(&self, topic: Topic, partition: i32, from: i64) -> Option<(i64, &Record)> {
        let stable = self.last_stable(topic, partition);
        let mut shown = self.decided(topic, partition).skip_while(|(offset, _)| *offset < from);
        shown.next().filter(|(offset, _)| *offset < stable)
    }

    /// All records that are, or will be, shown to read_committed readers.
    pub(super) fn decided(&self, topic: Topic, partition: i32) -> impl Iterator<Item = (i64, &Record)> {
        let committed = |of: usize| self.transactions.get(of).is_some_and(|of| of.state == State::Committed);
        (0..).zip(self.entries(topic, partition)).filter_map(move |(offset, entry)| match entry {
            Entry::Record(record, of) if of.is_none_or(committed) => Some((offset, record)),
            _ => None,
        })
    }

    /// The committed offset, when no transaction is under way with it.
    pub(super) fn committed_offset(&self, partition: i32) -> Result<Option<i64>, Unstable> {
        let names = |of: &&Transaction| of.pending && of.offsets.iter().any(|(number, _)| *number == partition);
        match self.transactions.iter().find(names) {
            Some(_) => Err(Unstable),
            None => Ok(self.offsets.get(&partition).copied()),
        }
    }

    /// The committed offset as it stands, whatever is under way.
    pub(super) fn settled_offset(&self, partition: i32) -> Option<i64> {
        self.offsets.get(&partition).copied()
    }

    /// What the committed offset is, or will be when all that is decided has been written.
    pub(super) fn decided_offset(&self, partition: i32) -> Option<i64> {
        let decided = self.transactions.iter().filter(|of| of.pending && of.state == State::Committed);
        let pending = decided.flat_map(|of| &of.offsets).filter(|(of, _)| *of == partition).map(|(_, offset)| *offset);
        self.offsets.get(&partition).copied().into_iter().chain(pending).max()
    }

    /// Commits an offset outside any transaction. Only a broken driver does that.
    pub(super) fn commit_offset(&mut self, partition: i32, offset: i64) {
        if let Some(before) = self.offsets.insert(partition, offset)
            && before > offset
        {
            self.blame("offsets go on", format!("partition {partition} from {before} back to {offset}"));
        }
    }

    /// Fences whoever has this name, and ends what he left open.
    pub(super) fn init(&mut self, producer: usize) -> Result<u64, Refused> {
        let state = self.producers.entry(producer).or_default();
        state.epoch += 1;
        let epoch = state.epoch;
        if let Some(current) = state.current {
            self.decide(current, State::Aborted);
            return Err(Refused::Busy);
        }
        Ok(epoch)
    }

    /// The producer's transaction; a new one where there is none.
    fn current(&mut self, producer: usize, epoch: u64, may_begin: bool) -> Result<usize, Refused> {
        let of = self.producers.entry(producer).or_default();
        if of.epoch != epoch {
            return Err(Refused::Fenced);
        }
        match of.current.filter(|current| self.transactions.get(*current).is_some_and(|of| of.state == State::Open)) {
            Some(current) => Ok(current),
            None if of.current.is_some() => Err(Refused::Busy),
            None if may_begin => {
                let new = Transaction {
                    producer,
                    state: State::Open,
                    unmarked: BTreeSet::new(),
                    offsets: Vec::new(),
                    pending: false,
                };
                of.current = Some(self.transactions.len());
                self.transactions.push(new);
                Ok(self.transactions.len() - 1)
            }
            None => Err(Refused::Fenced),
        }
    }

    pub(super) fn produce(
        &mut self,
        producer: usize,
        epoch: u64,
        place: (Topic, i32),
        record: Record,
    ) -> Result<i64, Refused> {
        let current = self.current(producer, epoch, true)?;
        if let Some(transaction) = self.transactions.get_mut(current) {
            transaction.unmarked.insert(place);
        }
        Ok(self.write(place, Entry::Record(record, Some(current))))
    }

    pub(super) fn add_offsets(
        &mut self,
        producer: usize,
        epoch: u64,
        identity: Identity,
        offsets: &[(i32, i64)],
    ) -> Result<(), Refused> {
        let current = self.current(producer, epoch, true)?;
        // The client asks nobody where there is nothing to commit.
        if !offsets.is_empty() && !self.group.accepts(identity) && !self.trusting {
            return Err(Refused::Generation);
        }
        for (partition, offset) in offsets {
            if !self.group.owns(identity.member, *partition) {
                self.blame("no zombie commits", format!("{identity:?} commits {offset} of partition {partition}"));
            }
        }
        let Some(transaction) = self.transactions.get_mut(current) else { return Ok(()) };
        transaction.offsets = offsets.to_vec();
        transaction.pending = !offsets.is_empty();
        for (topic, partition) in transaction.unmarked.clone() {
            if topic == Topic::Profiles && !self.group.owns(identity.member, partition) {
                self.blame("no zombie commits", format!("{identity:?} commits state of partition {partition}"));
            }
        }
        Ok(())
    }

    /// Ends the producer's transaction.
    pub(super) fn end(&mut self, producer: usize, epoch: u64, commit: bool) -> Result<(), Refused> {
        let current = self.current(producer, epoch, false)?;
        self.decide(current, if commit { State::Committed } else { State::Aborted });
        Ok(())
    }

    fn decide(&mut self, transaction: usize, state: State) {
        if let Some(transaction) = self.transactions.get_mut(transaction)
            && transaction.state == State::Open
        {
            transaction.state = state;
        }
        self.finish(transaction);
    }

    /// Where all markers are written the producer may begin anew.
    fn finish(&mut self, transaction: usize) {
        let Some(of) = self.transactions.get(transaction) else { return };
        if of.state != State::Open && of.unmarked.is_empty() && !of.pending {
            let producer = self.producers.entry(of.producer).or_default();
            producer.current = producer.current.filter(|current| *current != transaction);
        }
    }

    /// Writes one of the markers that are on their way; whether there was one.
    pub(super) fn write_marker(&mut self, random: &mut Random) -> Option<String> {
        let mut due: Vec<(usize, Option<(Topic, i32)>)> = Vec::new();
        for producer in self.producers.values() {
            let Some(number) = producer.current else { continue };
            let Some(of) = self.transactions.get(number).filter(|of| of.state != State::Open) else { continue };
            due.extend(of.unmarked.iter().map(|place| (number, Some(*place))));
            due.extend(of.pending.then_some((number, None)));
        }
        let (number, place) = *random.pick(&due)?;
        let transaction = self.transactions.get_mut(number)?;
        let state = transaction.state;
        match place {
            Some(place) => {
                transaction.unmarked.remove(&place);
                self.write(place, Entry::Marker);
            }
            None => {
                transaction.pending = false;
                if state == State::Committed {
                    for (partition, offset) in transaction.offsets.clone() {
                        self.commit_offset(partition, offset);
                    }
                }
            }
        }
        self.finish(number);
        Some(format!("marker of transaction {number} ({state:?}) for {place:?}"))
    }

    /// An open transaction of one of these producers takes too long: it is aborted, and its producer fenced.
    pub(super) fn time_out(&mut self, random: &mut Random, of: impl Fn(usize) -> bool) -> Option<String> {
        let is_open = |of: usize| self.transactions.get(of).is_some_and(|of| of.state == State::Open);
        let mut open = Vec::new();
        for (producer, state) in &self.producers {
            open.extend(state.current.filter(|current| of(*producer) && is_open(*current)).map(|of| (*producer, of)));
        }
        let (producer, number) = *random.pick(&open)?;
        self.producers.entry(producer).or_default().epoch += 1;
        self.decide(number, State::Aborted);
        Some(format!("transaction {number} timed out"))
    }

    /// Whether everything is decided and written.
    pub(super) fn is_quiet(&self) -> bool {
        self.producers.values().all(|producer| producer.current.is_none())
    }

    pub(super) fn blame(&mut self, check: &'static str, what: String) {
        self.wrong.push(Wrong { check, what });
    }
}
