//! The sets of data versions that answers were computed with, by number: an answer that is repeated
//! names the versions that it was first given with. They are state like profiles: stored, and forgotten
//! by a rewind, so that an event that is processed again gets the same number.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use model::evidence::DataVersions;

use crate::backing::{Backing, BackingError};
use crate::record_key::{data_versions_key, data_versions_number, write_text};

/// Most sets that are remembered. A set comes with each reload that changes something, one for each tenant with
/// settings of his own; an answer is repeated within minutes, so the oldest may go.
const MAX_SETS: usize = 65_536;
/// How many stored sets are read at once.
const SCAN_SETS: usize = 64;
/// Version of the stored form, its first byte. Behind it stands a MessagePack map of texts.
const FORMAT_VERSION: u8 = 1;
/// MessagePack: a map of up to 15 entries.
const MAP: u8 = 0x80;

#[derive(Debug, Default)]
pub(crate) struct DataSets {
    /// With their numbers, which grow.
    sets: VecDeque<(u32, Arc<DataVersions>)>,
    /// The same the other way round. Of sets that are the same, the newest.
    numbers: HashMap<Arc<DataVersions>, u32>,
    /// The set that was asked for last, with its number.
    last: Option<(u32, Arc<DataVersions>)>,
    /// Where there is a backing: numbers of sets that came or went in the open batch.
    changes: Option<BTreeSet<u32>>,
}

impl DataSets {
    /// Reads what is stored.
    pub(crate) fn load(backing: &dyn Backing) -> Result<Self, BackingError> {
        let (mut sets, mut numbers) = (VecDeque::new(), HashMap::new());
        let mut from = data_versions_key(0);
        loop {
            let (mut seen, mut problem) = (0, None);
            backing.scan(&from, SCAN_SETS, &mut |key, value| {
                // Behind the last set other keys follow.
                let Some(number) = data_versions_number(key) else { return };
                seen += 1;
                match read(value) {
                    Ok(versions) => {
                        let versions = Arc::new(versions);
                        numbers.insert(versions.clone(), number);
                        sets.push_back((number, versions));
                    }
                    Err(reason) => problem = problem.take().or(Some((number, reason))),
                }
            })?;
            if let Some((number, problem)) = problem {
                return Err(BackingError::DataVersions { number, problem });
            }
            let next = sets.back().and_then(|(number, _)| number.checked_add(1));
            match next {
                Some(next) if seen == SCAN_SETS => from = data_versions_key(next),
                _ => return Ok(Self { sets, numbers, last: None, changes: Some(BTreeSet::new()) }),
            }
        }
    }

    /// The number of a set, the newest one usually.
    pub(crate) fn number_of(&mut self, versions: &Arc<DataVersions>) -> u32 {
        if let Some((number, last)) = &self.last
            && Arc::ptr_eq(last, versions)
        {
            return *number;
        }
        let known = self.numbers.get(versions).copied();
        let number = known.unwrap_or_else(|| self.add(versions));
        self.last = Some((number, versions.clone()));
        number
    }

    fn add(&mut self, versions: &Arc<DataVersions>) -> u32 {
        let number = self.sets.back().map_or(0, |(newest, _)| newest.saturating_add(1));
        while self.sets.len() >= MAX_SETS {
            if let Some((oldest, versions)) = self.sets.pop_front() {
                if self.numbers.get(&versions) == Some(&oldest) {
                    self.numbers.remove(&versions);
                }
                self.note(oldest);
            }
        }
        self.sets.push_back((number, versions.clone()));
        self.numbers.insert(versions.clone(), number);
        self.note(number);
        number
    }

    fn note(&mut self, number: u32) {
        if let Some(changes) = &mut self.changes {
            changes.insert(number);
        }
    }

    /// The set of that number; an empty one where it is no longer remembered.
    pub(crate) fn get(&self, number: u32) -> Arc<DataVersions> {
        match &self.last {
            Some((last_number, last)) if *last_number == number => last.clone(),
            _ => self.find(number).cloned().unwrap_or_default(),
        }
    }

    fn find(&self, number: u32) -> Option<&Arc<DataVersions>> {
        let position = self.sets.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.sets.get(position).map(|(_, versions)| versions)
    }

    /// Hands over what changed in the open batch, and closes it.
    pub(crate) fn take_changes(&mut self, each: &mut impl FnMut(&[u8], Option<&[u8]>)) {
        for number in self.changes.as_mut().map(std::mem::take).unwrap_or_default() {
            let value = self.find(number).map(|versions| write(versions));
            each(&data_versions_key(number), value.as_deref());
        }
    }
}

fn write(versions: &DataVersions) -> Vec<u8> {
    let DataVersions { city, asn, anonymous_ip, deny_lists, relay_lists, settings } = versions;
    let named = [
        ("city", city),
        ("asn", asn),
        ("anonymous_ip", anonymous_ip),
        ("deny_lists", deny_lists),
        ("relay_lists", relay_lists),
        ("settings", settings),
    ];
    let given = || named.iter().filter_map(|(name, version)| Some((*name, version.as_deref()?)));
    let mut value = vec![FORMAT_VERSION, MAP | given().count() as u8];
    for (name, version) in given() {
        write_text(&mut value, name);
        write_text(&mut value, version);
    }
    value
}

fn read(value: &[u8]) -> Result<DataVersions, String> {
    let (&version, map) = value.split_first().ok_or("it is empty")?;
    if version != FORMAT_VERSION {
        return Err(format!("format {version} is not known; this program reads format {FORMAT_VERSION}"));
    }
    let named: BTreeMap<&str, &str> = rmp_serde::from_slice(map).map_err(|error| error.to_string())?;
    let mut versions = DataVersions::default();
    for (name, version) in named {
        let place = match name {
            "city" => &mut versions.city,
            "asn" => &mut versions.asn,
            "anonymous_ip" => &mut versions.anonymous_ip,
            "deny_lists" => &mut versions.deny_lists,
            "relay_lists" => &mut versions.relay_lists,
            "settings" => &mut versions.settings,
            other => return Err(format!("source {other:?} is not known")),
        };
        *place = Some(version.into());
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_survive() {
        let some = |text: &str| Some(Arc::from(text));
        let full = DataVersions {
            city: some("c"),
            asn: some("a"),
            anonymous_ip: some("i"),
            deny_lists: some("d"),
            relay_lists: some("r"),
            settings: some("s"),
        };
        for versions in [full.clone(), DataVersions { asn: None, ..full }, DataVersions::default()] {
            assert_eq!(read(&write(&versions)), Ok(versions));
        }
    }

    #[test]
    fn damaged_sets_are_refused() {
        let whole = write(&DataVersions { city: Some("city-1".into()), ..DataVersions::default() });
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut off at {length}");
        }
        assert!(read(&[FORMAT_VERSION + 1, 0x80]).is_err(), "another version");
        assert!(read(&[FORMAT_VERSION, 0x81, 0xa1, b'x', 0xa1, b'y']).is_err(), "a source that is not known");
    }

    #[test]
    fn the_oldest_sets_leave() {
        let mut sets = DataSets { changes: Some(BTreeSet::new()), ..DataSets::default() };
        let versions =
            |n: usize| Arc::new(DataVersions { city: Some(n.to_string().into()), ..DataVersions::default() });
        for n in 0..=MAX_SETS {
            assert_eq!(sets.number_of(&versions(n)), n as u32);
        }
        assert_eq!(sets.sets.len(), MAX_SETS);
        assert_eq!((sets.get(0), sets.get(1)), (Arc::default(), versions(1)));
        let mut tombstones = Vec::new();
        sets.take_changes(&mut |key, value| {
            if value.is_none() {
                tombstones.push(data_versions_number(key));
            }
        });
        assert_eq!(tombstones, [Some(0)]);
        sets.take_changes(&mut |_, _| panic!("they were taken"));
    }
}
