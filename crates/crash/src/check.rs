//! Compares what came out of a topic with what should have come out: record by record, as they are read.
//!
//! Records are compared by hashes of 64 bits of their bytes, so that millions of them fit into memory.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::Path;

use crate::error::CrashError;
use crate::names::Name;

/// So many bad records of a kind are kept to be shown.
const MAX_SAMPLES: usize = 3;
/// So much of each.
const SAMPLE_BYTES: usize = 4_000;

/// A hash that is the same within a process.
pub(crate) fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A record that should be there, under its name.
#[derive(Debug)]
struct Entry {
    /// Hash of its bytes.
    bytes: u64,
    /// Whose it is.
    owner: u32,
    /// Its place among the records of its owner.
    position: u32,
    /// How often it should be there: an attempt that is asked twice is answered twice.
    wanted: u32,
    /// How often of that before the tail.
    wanted_before_tail: u32,
    /// How often it was there.
    seen: u32,
    /// Hash of the bytes when it was first there.
    first: u64,
}

/// A record that should not be as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// What is wrong.
    pub(crate) what: &'static str,
    pub(crate) name: Option<u64>,
    /// The record's beginning.
    pub(crate) text: String,
}

/// What should be in a topic, and how much of it was.
pub(crate) struct Ledger {
    name: fn(&[u8]) -> Option<Name>,
    entries: HashMap<u64, Entry>,
    owners: HashMap<u64, u32>,
    /// For each owner, the furthest position that was reached, plus one.
    reached: Vec<u32>,
    /// For each owner, the number of records wanted so far.
    positions: Vec<u32>,
    /// Records with this timestamp and later come from an instance that had to restore its state.
    restored_at_ms: i64,
    tally: Tally,
    samples: Vec<Sample>,
}

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Records that should be there.
    pub wanted: u64,
    /// Of these, the ones that were not there.
    pub missing: u64,
    /// Of the missing ones, those wanted before the tail.
    #[serde(skip)]
    pub missing_before_tail: u64,
    /// Records read.
    pub read: u64,
    /// Different records that were there.
    pub distinct: u64,
    /// Records that were there more often than they should be, each repetition counted.
    pub twice: u64,
    /// Records that were not the same each time that they were there.
    pub not_repeated: u64,
    /// Records with other bytes than they should have.
    pub wrong: u64,
    /// Of these, the ones written after all state had to be restored.
    pub wrong_after_restore: u64,
    /// Records for which nothing was asked.
    pub unasked: u64,
    /// Records of a user that came, for the first time, after a later one of his.
    pub out_of_order: u64,
    /// Records read that were written after all state had to be restored.
    pub read_after_restore: u64,
}

impl Ledger {
    /// An empty one. `name` finds a record's name and owner in its bytes.
    pub(crate) fn new(name: fn(&[u8]) -> Option<Name>) -> Ledger {
        Ledger {
            name,
            entries: HashMap::new(),
            owners: HashMap::new(),
            reached: Vec::new(),
            positions: Vec::new(),
            restored_at_ms: i64::MAX,
            tally: Tally::default(),
            samples: Vec::new(),
        }
    }

    /// One with the lines of a file. The first `before_tail` of them are wanted before the tail.
    pub(crate) fn of_file(
        name: fn(&[u8]) -> Option<Name>,
        path: &Path,
        before_tail: usize,
    ) -> Result<Ledger, CrashError> {
        let mut ledger = Ledger::new(name);
        crate::lines::each(path, |number, line| {
            ledger.expect(line, number <= before_tail).map_err(|problem| CrashError::Expected {
                path: path.to_owned(),
                line: number,
                problem,
            })
        })?;
        Ok(ledger)
    }

    /// A record that should come next for its owner.
    pub(crate) fn expect(&mut self, record: &[u8], before_tail: bool) -> Result<(), String> {
        let name = (self.name)(record).ok_or("it is not a record of this topic")?;
        let next = u32::try_from(self.owners.len()).map_err(|_| "too many users")?;
        let owner = *self.owners.entry(name.owner).or_insert(next);
        if owner == next {
            self.reached.push(0);
            self.positions.push(0);
        }
        let bytes = hash(record);
        let before = u32::from(before_tail);
        match self.entries.get_mut(&name.record) {
            Some(entry) if entry.bytes == bytes => {
                entry.wanted += 1;
                entry.wanted_before_tail += before;
            }
            Some(_) => return Err("two records of one name differ".to_owned()),
            None => {
                let positions = &mut self.positions[owner as usize];
                let entry = Entry {
                    bytes,
                    owner,
                    position: *positions,
                    wanted: 1,
                    wanted_before_tail: before,
                    seen: 0,
                    first: 0,
                };
                *positions += 1;
                self.entries.insert(name.record, entry);
            }
        }
        self.tally.wanted += 1;
        self.tally.missing += 1;
        self.tally.missing_before_tail += u64::from(before);
        Ok(())
    }

    /// From this time on, in ms since 1970, state was restored.
    pub(crate) fn restored_at(&mut self, ms: i64) {
        self.restored_at_ms = ms;
    }

    /// A record came.
    pub(crate) fn observe(&mut self, record: &[u8], timestamp_ms: i64) {
        let tally = &mut self.tally;
        let after_restore = timestamp_ms >= self.restored_at_ms;
        tally.read += 1;
        tally.read_after_restore += u64::from(after_restore);
        let name = (self.name)(record).map(|name| name.record);
        let entry = name.and_then(|name| self.entries.get_mut(&name));
        let Some(entry) = entry else {
            tally.unasked += 1;
            return self.sample("not asked for", name, record);
        };
        let bytes = hash(record);
        if entry.seen == 0 {
            tally.distinct += 1;
            entry.first = bytes;
        }
        entry.seen += 1;
        if entry.seen <= entry.wanted {
            tally.missing -= 1;
            tally.missing_before_tail -= u64::from(entry.seen <= entry.wanted_before_tail);
        } else {
            tally.twice += 1;
        }
        let reached = &mut self.reached[entry.owner as usize];
        let late = entry.seen == 1 && entry.position < *reached;
        if entry.seen == 1 {
            *reached = (*reached).max(entry.position + 1);
        }
        tally.out_of_order += u64::from(late);
        tally.not_repeated += u64::from(bytes != entry.first);
        let wrong = bytes != entry.bytes;
        if wrong {
            tally.wrong += 1;
            tally.wrong_after_restore += u64::from(after_restore);
        }
        if wrong {
            self.sample("other bytes than asked for", name, record);
        } else if late {
            self.sample("after a later one of this user", name, record);
        }
    }

    /// What was found so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Some of the records that are not as they should be.
    pub(crate) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Names of records that were not there: some of them.
    pub(crate) fn missing(&self) -> Vec<u64> {
        self.names(|entry| entry.seen < entry.wanted)
    }

    /// Names of records that were there too often: some of them.
    pub(crate) fn repeated(&self) -> Vec<u64> {
        self.names(|entry| entry.seen > entry.wanted)
    }

    fn names(&self, of: impl Fn(&Entry) -> bool) -> Vec<u64> {
        let names = self.entries.iter().filter(|(_, entry)| of(entry)).map(|(name, _)| *name);
        names.take(MAX_SAMPLES).collect()
    }

    fn sample(&mut self, what: &'static str, name: Option<u64>, record: &[u8]) {
        if self.samples.iter().filter(|sample| sample.what == what).count() < MAX_SAMPLES {
            let shown = &record[..record.len().min(SAMPLE_BYTES)];
            self.samples.push(Sample { what, name, text: String::from_utf8_lossy(shown).into_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    fn verdict(user: &str, event: &str, answer: &str) -> Vec<u8> {
        format!(r#"{{"event_id":"{event}","tenant":"t.example","user_id":"{user}","answer":"{answer}"}}"#).into_bytes()
    }

    /// Three users; `b` asked one thing twice.
    fn expected() -> Vec<Vec<u8>> {
        vec![
            verdict("a", "1", "low"),
            verdict("b", "2", "high"),
            verdict("a", "3", "high"),
            verdict("b", "2", "high"),
            verdict("c", "4", "low"),
            verdict("a", "5", "low"),
        ]
    }

    /// What is found when these records come; the last two wanted ones are the tail.
    fn found(records: &[Vec<u8>]) -> Tally {
        let mut ledger = Ledger::new(names::verdict);
        for (number, record) in expected().iter().enumerate() {
            ledger.expect(record, number < 4).unwrap();
        }
        records.iter().for_each(|record| ledger.observe(record, 0));
        ledger.tally()
    }

    fn all_is_well() -> Tally {
        Tally { wanted: 6, read: 6, distinct: 5, ..Tally::default() }
    }

    #[test]
    fn what_was_asked_for_is_well() {
        assert_eq!(found(&expected()), all_is_well());
        // The order among users does not matter.
        let mut records = expected();
        records.swap(0, 1);
        records.swap(4, 5);
        assert_eq!(found(&records), all_is_well());
    }

    #[test]
    fn one_missing_is_found() {
        for at in 0..6 {
            let mut records = expected();
            records.remove(at);
            let tally = found(&records);
            assert_eq!((tally.missing, tally.missing_before_tail), (1, u64::from(at < 4)), "{at}");
            assert_eq!((tally.twice, tally.wrong, tally.unasked, tally.out_of_order), (0, 0, 0, 0), "{at}");
        }
        assert_eq!(found(&[]).missing, 6);
    }

    #[test]
    fn one_twice_is_found() {
        for at in 0..6 {
            let mut records = expected();
            records.push(records[at].clone());
            assert_eq!(found(&records), Tally { read: 7, twice: 1, ..all_is_well() }, "{at}");
        }
    }

    #[test]
    fn one_missing_and_another_twice_do_not_make_up_for_each_other() {
        let mut records = expected();
        records[5] = records[4].clone();
        let tally = found(&records);
        assert_eq!((tally.missing, tally.twice), (1, 1));
    }

    #[test]
    fn one_differing_byte_is_found() {
        for at in 0..6 {
            let mut records = expected();
            // The last letter of the answer.
            let last = records[at].len() - 3;
            records[at][last] ^= 1;
            let tally = found(&records);
            assert_eq!((tally.wrong, tally.missing, tally.unasked), (1, 0, 0), "{at}");
            // The one that came twice was not the same each time.
            assert_eq!(tally.not_repeated, u64::from(at == 1 || at == 3), "{at}");
        }
    }

    #[test]
    fn a_repetition_with_other_bytes_is_found() {
        let mut records = expected();
        records.push(verdict("a", "1", "high"));
        let tally = found(&records);
        assert_eq!((tally.twice, tally.wrong, tally.not_repeated), (1, 1, 1));
    }

    #[test]
    fn what_was_not_asked_for_is_found() {
        for record in [verdict("a", "6", "low"), verdict("d", "1", "low"), b"not JSON".to_vec(), Vec::new()] {
            let mut records = expected();
            records.push(record);
            assert_eq!(found(&records), Tally { read: 7, unasked: 1, ..all_is_well() });
        }
    }

    #[test]
    fn a_users_records_out_of_order_are_found() {
        let mut records = expected();
        records.swap(0, 2);
        assert_eq!(found(&records), Tally { out_of_order: 1, ..all_is_well() });
        // A replay from an earlier point is in order: what comes for the first time counts.
        let mut records = expected();
        let replayed = records[..3].to_vec();
        records.splice(3..3, replayed);
        let tally = found(&records);
        assert_eq!((tally.out_of_order, tally.twice, tally.missing), (0, 3, 0));
    }

    #[test]
    fn what_is_wrong_after_the_restore_is_told_apart() {
        let mut ledger = Ledger::new(names::verdict);
        for user in ["a", "b"] {
            ledger.expect(&verdict(user, "1", "low"), true).unwrap();
        }
        ledger.restored_at(1_000);
        ledger.observe(&verdict("a", "1", "high"), 999);
        ledger.observe(&verdict("b", "1", "high"), 1_000);
        let tally = ledger.tally();
        assert_eq!((tally.wrong, tally.wrong_after_restore, tally.read_after_restore), (2, 1, 1));
    }

    #[test]
    fn two_expected_records_of_one_name_must_be_the_same() {
        let mut ledger = Ledger::new(names::verdict);
        ledger.expect(&verdict("a", "1", "low"), true).unwrap();
        assert!(ledger.expect(&verdict("a", "1", "high"), true).is_err());
        assert!(ledger.expect(b"{}", true).is_err());
    }
}
