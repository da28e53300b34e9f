//! `credence run` on real Kafka. Without Java or Maven these tests say that they were skipped; with
//! `CI=true` that is a failure.

mod delivery;
mod instances;
mod lives;
mod logs;
mod outage;
mod reload;
mod settings;
mod unreadable;

use std::time::{Duration, Instant};

use kafka_harness::Kafka;
use model::key::write_key;
use serde_json::Value;
use sim::Labelled;
use stream::feed::{FeedRecord, Feeder};
use stream::tail::{From, Isolation, Record, Tail};
use stream::{Connection, partition_for};

use crate::instance::PATIENCE;
use crate::lab::{Lab, Wanted};
use crate::program;

/// Partitions of the topics of events, verdicts and log records.
const PARTITIONS: i32 = 4;

/// Topics of its own on a broker that may be shared, made by `credence topics create`.
struct Stage {
    lab: Lab,
    connection: Connection,
    name: &'static str,
}

impl Stage {
    /// `more` goes to the end of the configuration.
    fn new(kafka: &Kafka, name: &'static str, more: &str) -> Stage {
        let brokers = kafka.bootstrap_servers();
        let topics = ["events", "verdicts", "logs", "profiles", "dead", "settings"]
            .map(|topic| format!("{topic} = \"{name}-{topic}\"\n"));
        let more = format!(
            "[kafka]\nbrokers = \"{brokers}\"\ngroup_id = \"{name}\"\nshutdown_deadline_seconds = 10\n[topics]\n{}{more}",
            topics.concat()
        );
        let stage = Stage { lab: Lab::new(&more), connection: Connection::new(brokers), name };
        let mut create = stage.lab.command(&["topics", "create", "--partitions", &PARTITIONS.to_string()], &[]);
        let ran = program::run(&mut create, b"");
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        assert_eq!(ran.stdout.matches(": created").count(), 6, "{}", ran.stdout);
        stage
    }

    fn topic(&self, topic: &str) -> String {
        format!("{}-{topic}", self.name)
    }

    fn feeder(&self) -> Events {
        Events { feeder: Feeder::new(&self.connection).unwrap(), topic: self.topic("events") }
    }

    /// Reads a topic of this stage from its beginning.
    fn tail(&self, topic: &str) -> Tail {
        self.tail_of(&self.topic(topic))
    }

    fn tail_of(&self, topic: &str) -> Tail {
        Tail::new(&self.connection, topic, From::Beginning, Isolation::Uncommitted).unwrap()
    }
}

/// The topic of events, to be written to.
struct Events {
    feeder: Feeder,
    topic: String,
}

impl Events {
    /// Hands an event over, with the wall clock as its record's timestamp.
    fn send(&self, event: &Labelled) {
        let key = event.key();
        self.send_raw(FeedRecord { key: Some(key.as_bytes()), payload: Some(&event.event), ..FeedRecord::default() });
    }

    fn send_all<'e>(&self, events: impl IntoIterator<Item = &'e Labelled>) {
        events.into_iter().for_each(|event| self.send(event));
        self.flush();
    }

    /// Any record; the topic is filled in.
    fn send_raw(&self, record: FeedRecord<'_>) {
        self.feeder.send(FeedRecord { topic: &self.topic, ..record }).unwrap();
    }

    fn flush(&self) {
        self.feeder.flush(PATIENCE).unwrap();
    }
}

/// The next so many records, all of which have to come in time.
fn take(tail: &mut Tail, count: usize) -> Vec<Record> {
    let records = tail.take(count, PATIENCE).unwrap();
    assert_eq!(records.len(), count, "records that came in time");
    records
}

/// Asserts that a topic holds nothing more, which makes sense when its writer has stopped.
fn assert_end(tail: &mut Tail) {
    let more = tail.next(Duration::from_millis(500)).unwrap();
    assert!(more.is_none(), "one record too many: {more:?}");
}

/// Reads verdicts until every attempt is answered; how many were read.
fn await_answers(tail: &mut Tail, wanted: &mut Wanted) -> usize {
    let deadline = Instant::now() + PATIENCE;
    let mut read = 0;
    while wanted.open() > 0 {
        let Some(record) = tail.next(deadline.saturating_duration_since(Instant::now())).unwrap() else {
            panic!("{} attempts have no answer after {read} more verdicts", wanted.open());
        };
        read += 1;
        wanted.answer(&record.payload.unwrap());
    }
    read
}

/// The key that a verdict or log record of these bytes (JSON) has to have.
fn key_of(output: &[u8]) -> Vec<u8> {
    let output: Value = serde_json::from_slice(output).unwrap();
    let (tenant, user) = match output.get("data") {
        None => (&output["tenant"], &output["user_id"]),
        Some(data) => (&data["tenant_name"], &data["user_id"]),
    };
    let mut key = Vec::new();
    write_key(tenant.as_str().unwrap(), user.as_str(), &mut key);
    key
}

/// Outputs dealt out to partitions by their keys, each with its key, in their order.
fn by_partition(outputs: &[Vec<u8>]) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut partitions = vec![Vec::new(); PARTITIONS as usize];
    for output in outputs {
        let key = key_of(output);
        let partition = partition_for(&key, PARTITIONS).unwrap();
        partitions[partition as usize].push((key, output.clone()));
    }
    partitions
}

/// Records as they lie in their partitions, keys and values.
fn as_read(records: Vec<Record>) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut partitions = vec![Vec::new(); PARTITIONS as usize];
    for record in records {
        partitions[record.partition as usize].push((record.key.unwrap(), record.payload.unwrap()));
    }
    partitions
}

/// Compares without printing a hundred thousand records.
fn assert_same(what: &str, got: &[Vec<(Vec<u8>, Vec<u8>)>], wanted: &[Vec<(Vec<u8>, Vec<u8>)>]) {
    for (partition, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        assert_eq!(got.len(), wanted.len(), "{what} on partition {partition}");
        for (at, (got, wanted)) in got.iter().zip(wanted).enumerate() {
            let text = |(key, value): &(Vec<u8>, Vec<u8>)| {
                format!("{} {}", String::from_utf8_lossy(key), String::from_utf8_lossy(value))
            };
            assert_eq!(text(got), text(wanted), "{what} on partition {partition}, number {at}");
        }
    }
}
