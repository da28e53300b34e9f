//! What has to be true at the end of a seed, against an uninterrupted run of the same events.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Partition;
use profile::packed;

use super::disk::Values;
use super::instance::Still;
use super::log::{Log, PARTITIONS, Topic};
use super::traffic::{Oracle, TENANT, Traffic, is_guest, score, scoring, shared, users};
use super::versioned::{Said, VERSION_KEY, part, version_of};
use credence::handler::SETTINGS_KEY;

/// Bytes of a difference that are shown.
const SHOWN: usize = 160;

pub(super) fn check(log: &mut Log, oracle: &mut Oracle, traffic: &Traffic, newest: u64) {
    for partition in 0..PARTITIONS {
        let mut wrong = offsets(log, partition, oracle);
        wrong.extend(fast_lane(log, partition, oracle));
        wrong.extend(log_records(log, partition, oracle));
        wrong.extend(versions(log, partition, newest));
        wrong.extend(state(log, partition, oracle, traffic));
        for (check, what) in wrong {
            log.blame(check, format!("partition {partition}: {what}"));
        }
    }
}

type Found = Vec<(&'static str, String)>;

fn offsets(log: &Log, partition: i32, oracle: &Oracle) -> Found {
    let end = oracle.answers[partition as usize].len() as i64;
    match log.settled_offset(partition) {
        Some(committed) if committed == end => Vec::new(),
        committed => vec![("offsets go to the end", format!("{committed:?}, not {end}"))],
    }
}

/// Each answer at least once, and never another one.
fn fast_lane(log: &Log, partition: i32, oracle: &Oracle) -> Found {
    let mut found = Vec::new();
    for (topic, check) in [(Topic::Verdicts, "verdicts are there and alike"), (Topic::Dead, "dead letters are there")] {
        let mut given: BTreeMap<i64, Vec<&[u8]>> = BTreeMap::new();
        for (_, record) in log.decided(topic, partition) {
            let offset = record.source.map_or(-1, |(_, offset)| offset);
            given.entry(offset).or_default().push(part(record.value.as_deref().unwrap_or_default()).0);
        }
        for (offset, (event, answer)) in (0..).zip(&oracle.answers[partition as usize]) {
            let due = match topic {
                Topic::Verdicts => answer.verdict.as_deref(),
                _ => answer.dead.then_some(event.payload.as_slice()),
            };
            let given = given.remove(&offset).unwrap_or_default();
            match due {
                Some(_) if given.is_empty() => found.push((check, format!("none for event {offset}"))),
                None if !given.is_empty() => found.push((check, format!("one for event {offset} too many"))),
                Some(due) => {
                    let other = given.iter().find(|given| **given != due);
                    found.extend(other.map(|other| (check, format!("event {offset}: {}", differing(other, due)))));
                }
                None => {}
            }
        }
        found.extend(given.keys().map(|offset| (check, format!("one for event {offset}, which there is not"))));
    }
    found
}

/// Each user's committed log records: all, once, in order.
fn log_records(log: &Log, partition: i32, oracle: &Oracle) -> Found {
    let check = "log records exactly once";
    let mut due: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    for (event, answer) in &oracle.answers[partition as usize] {
        let key = format!("{TENANT}/{}", event.user);
        answer.log.iter().for_each(|log| due.entry(key.clone()).or_default().push(log));
    }
    let mut given: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    for (_, record) in log.decided(Topic::Logs, partition) {
        let key = String::from_utf8_lossy(&record.key).into_owned();
        given.entry(key).or_default().push(part(record.value.as_deref().unwrap_or_default()).0);
    }
    let mut found = Vec::new();
    for (key, due) in &due {
        let given = given.remove(key).unwrap_or_default();
        let differs = (0..due.len().max(given.len())).find(|at| due.get(*at) != given.get(*at));
        if let Some(at) = differs {
            let [due_there, there] = [&due, &&given].map(|of| of.get(at).copied().unwrap_or_default());
            let count = (due.len(), given.len());
            found.push((
                check,
                format!("{key}, of {count:?} (due, there) number {at}: {}", differing(there, due_there)),
            ));
        }
    }
    found.extend(given.keys().map(|key| (check, format!("{key} has some, though none are due"))));
    found
}

/// Each event is answered with one version, however often it is, and later ones with the same or a newer one; in the
/// end the newest is in the state.
fn versions(log: &Log, partition: i32, newest: u64) -> Found {
    let check = "one version an event";
    let mut found = Vec::new();
    let mut given: BTreeMap<i64, u64> = BTreeMap::new();
    for topic in [Topic::Verdicts, Topic::Logs] {
        for (_, record) in log.decided(topic, partition) {
            let (_, said) = part(record.value.as_deref().unwrap_or_default());
            let Some(Said { version, offset, .. }) = said.filter(|said| said.partition == partition) else {
                found.push((check, format!("{topic:?}: {said:?}")));
                continue;
            };
            if let Some(other) = given.insert(offset, version).filter(|other| *other != version) {
                found.push((check, format!("event {offset} with {other} and, in {topic:?}, {version}")));
            }
        }
    }
    if let Some((offset, _)) =
        given.iter().zip(given.values().skip(1)).find(|((_, one), next)| one > next).map(|of| of.0)
    {
        found.push((check, format!("an older one after event {offset}")));
    }
    let values = changelog(log, partition);
    if version_of(&values) != newest {
        found.push(("the newest version is announced", format!("{}, not {newest}", version_of(&values))));
    }
    found
}

/// The changelog's last values.
fn changelog(log: &Log, partition: i32) -> Values {
    let mut values = Values::new();
    for (_, record) in log.decided(Topic::Profiles, partition) {
        match &record.value {
            Some(value) => drop(values.insert(record.key.clone(), value.as_slice().into())),
            None => drop(values.remove(&record.key)),
        }
    }
    values
}

/// The changelog's last values: the same bytes, and the same answers to more events.
fn state(log: &Log, partition: i32, oracle: &mut Oracle, traffic: &Traffic) -> Found {
    let check = "state in the changelog";
    let values = changelog(log, partition);
    let mut found = Vec::new();
    let expected = &mut oracle.partitions[partition as usize];
    let mut opened = match Partition::open(Arc::new(Still(values.clone())), 0) {
        Ok(opened) => opened,
        Err(error) => return vec![(check, error.to_string())],
    };
    let mut keys = 0;
    for (user, _) in users().filter(|(_, of)| *of == partition) {
        let profile = |of: &mut Partition| of.profile(TENANT, &user, &shared().fingerprints);
        match (profile(expected), profile(&mut opened)) {
            (Ok(_), Ok(given)) if is_guest(&user) => {
                if !given.is_empty() {
                    found.push((check, format!("{user} is over and still there")));
                }
            }
            (Ok(due), Ok(given)) => {
                keys += usize::from(!given.is_empty());
                if packed::pack(&due) != packed::pack(&given) {
                    let parts = [
                        ("mark", due.mark == given.mark),
                        ("devices", due.devices == given.devices),
                        ("places", due.places == given.places),
                        ("answers", due.answers == given.answers),
                        ("waiting", due.waiting == given.waiting),
                    ];
                    let parts: Vec<&str> = parts.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
                    found.push((check, format!("{user} differs in {parts:?}")));
                }
            }
            (due, given) => found.push((check, format!("{user}: {due:?} {given:?}"))),
        }
    }
    // The set of data versions, what is announced, and with which settings it goes on.
    let others = [VERSION_KEY, SETTINGS_KEY].into_iter().filter(|key| values.contains_key(*key)).count();
    if values.len() > keys + 1 + others {
        found.push((check, format!("{} values for {keys} users", values.len())));
    }
    let mut scoring = scoring();
    for probe in traffic.probes.iter().filter(|probe| probe.partition == partition) {
        let (due, given) = (score(probe, expected, &mut scoring), score(probe, &mut opened, &mut scoring));
        if due != given {
            let [due, given] =
                [due, given].map(|of| [of.verdict, of.log].into_iter().flatten().flatten().collect::<Vec<u8>>());
            found.push(("answers after a cold restore", differing(&given, &due)));
        }
    }
    found
}

/// Two texts from shortly before where they differ.
fn differing(given: &[u8], due: &[u8]) -> String {
    let same = given.iter().zip(due).take_while(|(a, b)| a == b).count();
    let [given, due] = [given, due].map(|bytes| {
        let part: Vec<u8> = bytes.iter().copied().skip(same.saturating_sub(SHOWN / 2)).take(SHOWN).collect();
        String::from_utf8_lossy(&part).into_owned()
    });
    format!("...{given}..., not ...{due}...")
}
