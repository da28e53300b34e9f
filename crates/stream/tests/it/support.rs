//! A handler that echoes, and what the tests ask of a stream and of a broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use prometheus::Registry;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use stream::feed::{FeedRecord, Feeder};
use stream::tail::{From, Isolation, Record, Tail};
use stream::topics::{PlanOptions, TopicOutcome, TopicSpec, create, plan};
use stream::{Connection, Handler, Outputs, Running, Source, StreamConfig, Summary, Topics};

/// The patience of a test: long enough for a slow machine, short enough to notice a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What an [`Echo`] has seen, shared with its test.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) assigned: Vec<i32>,
    pub(crate) revoked: Vec<i32>,
    /// Partitions of records that came without their partition being assigned.
    pub(crate) strays: Vec<i32>,
    pub(crate) content_types: BTreeSet<Option<String>>,
    pub(crate) between_batches: u64,
}

/// Answers each record with its payload as verdict and as log record. The payload's start says otherwise:
/// `dead` is a dead letter, `panic` a defect, `log` has no verdict, and the key of `route:KEY` is KEY.
pub(crate) struct Echo {
    pub(crate) seen: Arc<Mutex<Seen>>,
    owned: BTreeSet<i32>,
}

impl Echo {
    pub(crate) fn new(seen: &Arc<Mutex<Seen>>) -> Echo {
        Echo { seen: Arc::clone(seen), owned: BTreeSet::new() }
    }
}

impl Handler for Echo {
    fn assigned(&mut self, partition: i32) {
        assert!(self.owned.insert(partition), "partition {partition} assigned twice");
        self.seen.lock().unwrap().assigned.push(partition);
    }

    fn revoked(&mut self, partition: i32) {
        assert!(self.owned.remove(&partition), "partition {partition} revoked but not assigned");
        self.seen.lock().unwrap().revoked.push(partition);
    }

    fn between_batches(&mut self) {
        self.seen.lock().unwrap().between_batches += 1;
    }

    fn handle(&mut self, source: &Source<'_>, outputs: &mut Outputs) {
        let mut seen = self.seen.lock().unwrap();
        seen.content_types.insert(source.content_type.map(str::to_owned));
        if !self.owned.contains(&source.partition) {
            seen.strays.push(source.partition);
        }
        drop(seen);
        let Some(payload) = source.payload else {
            return outputs.dead_letter("empty", "no payload");
        };
        if payload.starts_with(b"dead") {
            return outputs.dead_letter("asked", "the payload starts with dead");
        }
        assert!(!payload.starts_with(b"panic"), "asked to panic");
        let key = payload.strip_prefix(b"route:").or(source.key).unwrap_or_default();
        outputs.key_mut().extend_from_slice(key);
        if let Some(time) = source.timestamp_ms {
            outputs.set_event_time_ms(time);
        }
        if !payload.starts_with(b"log") {
            outputs.add_verdict().extend_from_slice(payload);
        }
        outputs.add_log().extend_from_slice(payload);
    }
}

/// A stream under test, with what belongs to it.
pub(crate) struct Case {
    pub(crate) config: StreamConfig,
    pub(crate) registry: Registry,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

impl Case {
    /// A stream with topic names and a group of its own.
    pub(crate) fn new(brokers: &str, name: &str) -> Case {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let topic = |kind: &str| format!("{name}-{number}-{kind}");
        let mut config = StreamConfig::new(Connection::new(brokers), topic("group"));
        config.session_timeout = Duration::from_secs(6);
        config.topics =
            Topics { events: topic("events"), verdicts: topic("verdicts"), logs: topic("logs"), dead: topic("dead") };
        Case { config, registry: Registry::new(), seen: Arc::default() }
    }

    /// The same group and topics once more, as another instance or another life of the same one.
    pub(crate) fn again(&self) -> Case {
        Case { config: self.config.clone(), registry: Registry::new(), seen: Arc::default() }
    }

    pub(crate) fn create_topics(&self, partitions: i32, change: impl FnOnce(&mut [TopicSpec])) {
        let options = PlanOptions { partitions, dead_partitions: 1, replication: 1, ..PlanOptions::default() };
        let mut specs = plan(&self.config.topics, &options);
        change(&mut specs);
        for report in create(&self.config.connection, &specs, PATIENCE).unwrap() {
            assert_eq!(report.outcome, TopicOutcome::Created, "{}", report.name);
        }
    }

    pub(crate) fn start(&self) -> Running {
        let seen = Arc::clone(&self.seen);
        stream::start(self.config.clone(), &self.registry, |_| Box::new(Echo::new(&seen))).unwrap()
    }

    /// Starts and waits until every worker knows its partitions.
    pub(crate) fn start_ready(&self) -> Running {
        let running = self.start();
        let health = running.health();
        wait_until("every worker is assigned", || health.is_ready());
        running
    }

    pub(crate) fn feeder(&self) -> Feeder {
        Feeder::new(&self.config.connection).unwrap()
    }

    pub(crate) fn tail(&self, topic: &str) -> Tail {
        Tail::new(&self.config.connection, topic, From::Beginning, Isolation::Committed).unwrap()
    }

    /// The first `count` records of a topic, and one more if there is one.
    pub(crate) fn read(&self, topic: &str, count: usize) -> Vec<Record> {
        let mut tail = self.tail(topic);
        let mut records = tail.take(count, PATIENCE).unwrap();
        assert_eq!(records.len(), count, "records of {topic}");
        records.extend(tail.take(1, Duration::from_millis(300)).unwrap());
        records
    }

    /// The value of a counter or gauge, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.metric_with(name, "")
    }

    /// The same, over the series that have `label` as the value of a label; all of them for "".
    pub(crate) fn metric_with(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let Some(family) = families.iter().find(|family| family.name() == name) else {
            return 0.0;
        };
        let series = family.get_metric().iter();
        series
            .filter(|metric| label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label))
            .map(|metric| {
                metric.get_counter().get_value()
                    + metric.get_gauge().get_value()
                    + metric.get_histogram().get_sample_count() as f64
            })
            .sum()
    }

    /// The group's committed offset of each partition of the events; 0 where there is none.
    pub(crate) fn committed(&self, partitions: i32) -> BTreeMap<i32, i64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.config.connection.brokers)
            .set("group.id", &self.config.group_id)
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.config.topics.events, 0, partitions - 1);
        let committed = consumer.committed_offsets(list, PATIENCE).unwrap();
        let offset = |offset| match offset {
            Offset::Offset(offset) => offset,
            _ => 0,
        };
        committed.elements().iter().map(|element| (element.partition(), offset(element.offset()))).collect()
    }

    /// Feeds `count` records, spread over `keys` keys; the payload is `KEY:NUMBER` with a number that grows
    /// from `first`.
    pub(crate) fn feed(&self, feeder: &Feeder, first: usize, count: usize, keys: usize) {
        for number in first..first + count {
            let key = format!("key-{}", number % keys);
            let payload = format!("{key}:{number}");
            let record = FeedRecord {
                topic: &self.config.topics.events,
                key: Some(key.as_bytes()),
                payload: Some(payload.as_bytes()),
                ..FeedRecord::default()
            };
            feeder.send(record).unwrap();
        }
    }
}

pub(crate) fn text(bytes: Option<&[u8]>) -> &str {
    std::str::from_utf8(bytes.unwrap()).unwrap()
}

/// What reading back the echoes of [`Case::feed`] shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Echoes {
    pub(crate) distinct: usize,
    pub(crate) duplicates: usize,
}

/// Checks that each key's numbers come in order and that keys are kept. Repetitions are counted: after one
/// the numbers may go on from there again.
pub(crate) fn check_echoes(records: &[Record]) -> Echoes {
    let mut seen = BTreeSet::new();
    let mut newest: BTreeMap<&str, usize> = BTreeMap::new();
    let mut duplicates = 0;
    for record in records {
        let payload = text(record.payload.as_deref());
        let (key, number) = payload.split_once(':').unwrap();
        assert_eq!(text(record.key.as_deref()), key);
        let number: usize = number.parse().unwrap();
        if !seen.insert(number) {
            duplicates += 1;
            continue;
        }
        if let Some(newest) = newest.insert(key, number) {
            assert!(newest < number, "{key}: {number} after {newest}");
        }
    }
    Echoes { distinct: seen.len(), duplicates }
}

/// Reads a topic until it holds `distinct` different echoes, and a moment longer for repetitions.
pub(crate) fn read_echoes(case: &Case, topic: &str, distinct: usize) -> Vec<Record> {
    let mut tail = case.tail(topic);
    let mut records = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    let mut numbers = BTreeSet::new();
    while numbers.len() < distinct {
        let Some(record) = tail.next(Duration::from_secs(1)).unwrap() else {
            assert!(Instant::now() < deadline, "{topic}: {} of {distinct} echoes", numbers.len());
            continue;
        };
        numbers.insert(record.payload.clone());
        records.push(record);
    }
    records.extend(tail.take(100_000, Duration::from_millis(500)).unwrap());
    records
}

pub(crate) fn stop_cleanly(running: Running) -> Summary {
    let summary = running.stop();
    assert!(summary.is_clean(), "{summary:?}");
    summary
}

/// Waits for a condition, and fails when it does not come true.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::park_timeout(Duration::from_millis(10));
    }
}
