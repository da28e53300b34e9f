//! Events, and what came of them.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sim::{Role, Traffic, TrafficConfig};
use stream::Connection;
use stream::tail::{From, Isolation, Tail};

/// How long reading a topic may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Consecutive records of a sample.
const BLOCK: usize = 64;

/// An event as it is written to Kafka.
pub(crate) struct Event {
    pub(crate) key: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    /// What its verdict names; none where it gets no verdict.
    pub(crate) asks: Option<String>,
}

/// Made-up logins of so many users, failures, completions and attacks among them. No duplicates, so that a
/// verdict tells by the event's id which event it answers. There are about 1.8 events a login.
pub(crate) fn traffic(users: u32, logins: u64) -> Result<impl Iterator<Item = Event>> {
    let config = TrafficConfig { users, logins, duplicate_fraction: 0.0, ..TrafficConfig::default() };
    let traffic = Traffic::new(config)?;
    Ok(traffic.map(|labelled| {
        let asks = matches!(labelled.role, Role::Attempt).then(|| labelled.event_id.clone());
        Event { key: labelled.key().into_bytes(), payload: labelled.event, asks }
    }))
}

/// The kinds of output, in the order of the topics of a [`Pool`].
pub(crate) const OUTPUTS: [&str; 3] = ["verdict", "log", "profile"];

/// Records and bytes, by kind of output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) records: [u64; 3],
    pub(crate) bytes: [u64; 3],
}

impl Totals {
    pub(crate) fn add(&mut self, output: usize, bytes: usize) {
        self.records[output] += 1;
        self.bytes[output] += bytes as u64;
    }
}

/// Key and value of an output.
type Out = (Vec<u8>, Vec<u8>);

/// Outputs of Credence, to be written again by the pass-through: as many of each kind, and of them a sample
/// in turn.
#[derive(Default)]
pub(crate) struct Pool {
    /// Events that all of these came of.
    pub(crate) events: usize,
    /// How many there were of each kind.
    pub(crate) records: [usize; 3],
    pub(crate) samples: [Vec<Out>; 3],
}

impl Pool {
    /// Reads what came of so many events: `records` of each kind, in these topics, and keeps about `samples`
    /// of each.
    pub(crate) fn read_topics(
        connection: &Connection,
        topics: [&str; 3],
        events: usize,
        records: [usize; 3],
        samples: usize,
    ) -> Result<Pool> {
        let mut pool = Pool { events, records, ..Pool::default() };
        for (output, topic) in topics.into_iter().enumerate() {
            let mut tail = Tail::new(connection, topic, From::Beginning, Isolation::Committed)?;
            let blocks = (records[output] / samples).max(1);
            for number in 0..records[output] {
                let record = tail.next(PATIENCE)?.with_context(|| format!("{topic}: a record is missing"))?;
                if (number / BLOCK).is_multiple_of(blocks) {
                    pool.samples[output].push((record.key.unwrap_or_default(), record.payload.unwrap_or_default()));
                }
            }
            let more = tail.next(Duration::from_millis(500))?;
            ensure!(more.is_none(), "{topic} has more than {} records", records[output]);
        }
        Ok(pool)
    }

    /// How many outputs of a kind are due when so many events were read.
    pub(crate) fn due(&self, output: usize, events: usize) -> usize {
        (events as u128 * self.records[output] as u128 / self.events.max(1) as u128) as usize
    }

    /// The output of a kind with this number.
    pub(crate) fn get(&self, output: usize, number: usize) -> Option<&Out> {
        let samples = &self.samples[output];
        samples.get(number.checked_rem(samples.len())?)
    }

    /// What is written in all.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for output in 0..OUTPUTS.len() {
            for number in 0..self.records[output] {
                let (key, value) = self.get(output, number).map_or((0, 0), |(key, value)| (key.len(), value.len()));
                totals.add(output, key + value);
            }
        }
        totals
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        write_length(&mut file, self.events)?;
        for (records, samples) in self.records.iter().zip(&self.samples) {
            write_length(&mut file, *records)?;
            write_length(&mut file, samples.len())?;
            for bytes in samples.iter().flat_map(|(key, value)| [key, value]) {
                write_length(&mut file, bytes.len())?;
                file.write_all(bytes)?;
            }
        }
        Ok(file.flush()?)
    }

    pub(crate) fn read(path: &Path) -> Result<Pool> {
        let mut file = BufReader::new(File::open(path).with_context(|| path.display().to_string())?);
        let mut pool = Pool { events: length(&mut file)?, ..Pool::default() };
        for output in 0..OUTPUTS.len() {
            pool.records[output] = length(&mut file)?;
            let samples = length(&mut file)?;
            let samples = (0..samples).map(|_| Ok((bytes(&mut file)?, bytes(&mut file)?)));
            pool.samples[output] = samples.collect::<Result<_>>()?;
        }
        Ok(pool)
    }
}

fn write_length(file: &mut impl Write, length: usize) -> Result<()> {
    Ok(file.write_all(&u32::try_from(length)?.to_le_bytes())?)
}

fn length(file: &mut impl Read) -> Result<usize> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes) as usize)
}

fn bytes(file: &mut impl Read) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length(file)?];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
