//! Dead letters: each record that cannot be read has to be there at least once, byte for byte, with
//! headers that name the record it was.

use std::collections::{HashMap, HashSet};

use stream::tail::Record;

use crate::check::hash;
use crate::lab;

/// Partition and offset in the topic of events.
type Place = (i32, i64);

/// What has become of the records that cannot be read.
#[derive(Default)]
pub(crate) struct DeadLetters {
    /// Hashes of the records that cannot be read.
    poison: HashSet<u64>,
    /// Where they lie in the topic of events.
    places: HashMap<Place, u64>,
    /// The letters: where they say that they come from, and their hash. `None`: they do not say it.
    letters: Vec<(Option<Place>, u64)>,
    /// Hashes of the letters.
    buried: HashSet<u64>,
}

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct DeadTally {
    /// Records that cannot be read.
    pub wanted: u64,
    /// Of these, the ones without a letter.
    pub missing: u64,
    /// Letters beyond the first for a record.
    pub duplicates: u64,
    /// Letters with other bytes, without headers, or for a record that can be read.
    pub wrong: u64,
}

impl DeadLetters {
    /// A record that cannot be read is written.
    pub(crate) fn expect(&mut self, payload: &[u8]) {
        self.poison.insert(hash(payload));
    }

    /// A record was read from the topic of events.
    pub(crate) fn source(&mut self, partition: i32, offset: i64, payload: &[u8]) {
        let bytes = hash(payload);
        if self.poison.contains(&bytes) {
            self.places.insert((partition, offset), bytes);
        }
    }

    /// A letter was read.
    pub(crate) fn observe(&mut self, letter: &Record) {
        let bytes = hash(letter.payload.as_deref().unwrap_or_default());
        let from_here = letter.header("credence-source-topic") == Some(lab::EVENTS)
            && letter.header("credence-reason").is_some_and(|reason| !reason.is_empty());
        let place = from_here.then(|| {
            let partition = letter.header("credence-source-partition")?.parse().ok()?;
            let offset = letter.header("credence-source-offset")?.parse().ok()?;
            Some((partition, offset))
        });
        self.letters.push((place.flatten(), bytes));
        self.buried.insert(bytes);
    }

    /// How many records have no letter yet.
    pub(crate) fn open(&self) -> usize {
        self.poison.difference(&self.buried).count()
    }

    /// Compares, once both topics have been read to their ends.
    pub(crate) fn tally(&self) -> DeadTally {
        let mut tally = DeadTally { wanted: self.poison.len() as u64, ..DeadTally::default() };
        let mut seen = HashSet::new();
        for (place, bytes) in &self.letters {
            match place {
                Some(place) if self.places.get(place) == Some(bytes) => {
                    tally.duplicates += u64::from(!seen.insert(*place));
                }
                _ => tally.wrong += 1,
            }
        }
        tally.missing = tally.wanted.saturating_sub(seen.len() as u64);
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(offset: &str, payload: &[u8]) -> Record {
        let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
        Record {
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: None,
            payload: Some(payload.to_vec()),
            headers: vec![
                header("credence-reason", "not_json"),
                header("credence-source-topic", lab::EVENTS),
                header("credence-source-partition", "1"),
                header("credence-source-offset", offset),
            ],
        }
    }

    fn found(letters: &[Record]) -> DeadTally {
        let mut dead = DeadLetters::default();
        dead.expect(b"one");
        dead.expect(b"two");
        for (offset, payload) in [(5, b"one".as_slice()), (6, b"good"), (7, b"two")] {
            dead.source(1, offset, payload);
        }
        letters.iter().for_each(|letter| dead.observe(letter));
        dead.tally()
    }

    #[test]
    fn letters_are_compared_with_their_sources() {
        let well = DeadTally { wanted: 2, ..DeadTally::default() };
        assert_eq!(found(&[letter("5", b"one"), letter("7", b"two")]), well);
        let twice = [letter("5", b"one"), letter("7", b"two"), letter("5", b"one")];
        assert_eq!(found(&twice), DeadTally { duplicates: 1, ..well });
        assert_eq!(found(&[letter("5", b"one")]), DeadTally { missing: 1, ..well });
        // Other bytes, another place, a record that can be read, no headers.
        let wrong = DeadTally { missing: 1, wrong: 1, ..well };
        assert_eq!(found(&[letter("5", b"one"), letter("7", b"twO")]), wrong);
        assert_eq!(found(&[letter("5", b"one"), letter("5", b"two")]), wrong);
        assert_eq!(found(&[letter("5", b"one"), letter("6", b"good")]), wrong);
        assert_eq!(found(&[letter("5", b"one"), Record { headers: Vec::new(), ..letter("7", b"two") }]), wrong);
    }
}
