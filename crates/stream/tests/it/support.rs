//! A handler that echoes, and what the tests ask of a stream and of a broker.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use delivery::{
    BatchId, Change, Changes, Continuation, Handler, LocalState, Outputs, SOURCE_OFFSET_KEY, Source, StateError,
    read_source_offset,
};
use prometheus::Registry;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use stream::feed::{FeedRecord, Feeder};
use stream::tail::{From, Isolation, Record, Tail};
use stream::topics::{PlanOptions, TopicOutcome, TopicSpec, create, plan};
use stream::{Connection, Running, StreamConfig, Summary, Topics};

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

/// A local copy of the changelog that dies with its test.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    partitions: Mutex<BTreeMap<i32, Copied>>,
    /// Errors to answer with, before anything is written.
    pub(crate) failures: Mutex<VecDeque<StateError>>,
    /// Errors that an [`Echo`] meets while it handles a record, before anything is handled.
    pub(crate) reading_fails: Mutex<VecDeque<StateError>>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Copied {
    pub(crate) position: Option<i64>,
    pub(crate) values: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Memory {
    pub(crate) fn copied(&self, partition: i32) -> Copied {
        self.partitions.lock().unwrap().get(&partition).cloned().unwrap_or_default()
    }
}

impl LocalState for Memory {
    fn position(&self, partition: i32) -> Result<Option<i64>, StateError> {
        Ok(self.copied(partition).position)
    }

    fn apply(
        &self,
        partition: i32,
        from: Option<i64>,
        changes: &mut dyn Iterator<Item = Change<'_>>,
        next: i64,
    ) -> Result<bool, StateError> {
        if let Some(failure) = self.failures.lock().unwrap().pop_front() {
            return Err(failure);
        }
        let mut partitions = self.partitions.lock().unwrap();
        let copied = partitions.entry(partition).or_default();
        let continuation = Continuation::of(copied.position, from, next);
        if continuation == Continuation::Follows {
            copied.position = Some(next);
            for change in changes {
                match change.value {
                    Some(value) => copied.values.insert(change.key.to_vec(), value.to_vec()),
                    None => copied.values.remove(change.key),
                };
            }
        }
        Ok(continuation != Continuation::Hole)
    }

    fn source_offset(&self, partition: i32) -> Result<Option<i64>, StateError> {
        Ok(self.copied(partition).values.get(SOURCE_OFFSET_KEY).and_then(|value| read_source_offset(value)))
    }

    fn reset(&self, partition: i32) -> Result<(), StateError> {
        self.partitions.lock().unwrap().remove(&partition);
        Ok(())
    }
}

/// Answers each record with its payload as verdict, and with the payload as log record. The payload's start
/// says otherwise: `dead` is a dead letter, `panic` a defect, `log` has no verdict, and the key of
/// `route:KEY` is KEY. Its state is how many records of a key there were.
pub(crate) struct Echo {
    seen: Arc<Mutex<Seen>>,
    memory: Arc<Memory>,
    counts: BTreeMap<i32, BTreeMap<Vec<u8>, u64>>,
    changed: BTreeSet<(i32, Vec<u8>)>,
}

impl Echo {
    pub(crate) fn new(seen: &Arc<Mutex<Seen>>, memory: &Arc<Memory>) -> Echo {
        let (seen, memory) = (Arc::clone(seen), Arc::clone(memory));
        Echo { seen, memory, counts: BTreeMap::new(), changed: BTreeSet::new() }
    }

    fn load(&self, partition: i32) -> BTreeMap<Vec<u8>, u64> {
        let number = |value: Vec<u8>| text(Some(&value)).parse().unwrap();
        let values = self.memory.copied(partition).values.into_iter().filter(|(key, _)| key != SOURCE_OFFSET_KEY);
        values.map(|(key, value)| (key, number(value))).collect()
    }
}

impl Handler for Echo {
    fn assigned(&mut self, partition: i32) -> Result<(), StateError> {
        let before = self.counts.insert(partition, self.load(partition));
        assert!(before.is_none(), "partition {partition} assigned twice");
        self.seen.lock().unwrap().assigned.push(partition);
        Ok(())
    }

    fn revoked(&mut self, partition: i32) {
        assert!(self.counts.remove(&partition).is_some(), "partition {partition} revoked but not assigned");
        self.changed.retain(|(of, _)| *of != partition);
        self.seen.lock().unwrap().revoked.push(partition);
    }

    fn between_batches(&mut self) {
        self.seen.lock().unwrap().between_batches += 1;
    }

    fn handle(&mut self, source: &Source<'_>, outputs: &mut Outputs) -> Result<(), StateError> {
        if let Some(failure) = self.memory.reading_fails.lock().unwrap().pop_front() {
            return Err(failure);
        }
        let mut seen = self.seen.lock().unwrap();
        seen.content_types.insert(source.content_type.map(str::to_owned));
        let Some(counts) = self.counts.get_mut(&source.partition) else {
            seen.strays.push(source.partition);
            return Ok(());
        };
        drop(seen);
        let Some(payload) = source.payload else {
            outputs.dead_letter("empty", "no payload");
            return Ok(());
        };
        if payload.starts_with(b"dead") {
            outputs.dead_letter("asked", "the payload starts with dead");
            return Ok(());
        }
        assert!(!payload.starts_with(b"panic"), "asked to panic");
        let key = payload.strip_prefix(b"route:").or(source.key).unwrap_or_default();
        *counts.entry(key.to_vec()).or_default() += 1;
        self.changed.insert((source.partition, key.to_vec()));
        outputs.key_mut().extend_from_slice(key);
        if let Some(time) = source.timestamp_ms {
            outputs.set_event_time_ms(time);
        }
        if !payload.starts_with(b"log") {
            outputs.add_verdict().extend_from_slice(payload);
        }
        outputs.add_log().extend_from_slice(payload);
        Ok(())
    }

    fn take_changes(&mut self, _batch: BatchId, changes: &mut Changes) {
        for (partition, key) in std::mem::take(&mut self.changed) {
            let count = self.counts[&partition][&key].to_string();
            changes.push(partition, &key, Some(count.as_bytes()));
        }
    }

    fn rewind(&mut self) -> Result<(), StateError> {
        self.changed.clear();
        let partitions: Vec<i32> = self.counts.keys().copied().collect();
        for partition in partitions {
            self.counts.insert(partition, self.load(partition));
        }
        Ok(())
    }
}

/// A stream under test, with what belongs to it.
pub(crate) struct Case {
    pub(crate) config: StreamConfig,
    pub(crate) registry: Registry,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) memory: Arc<Memory>,
}

impl Case {
    /// A stream with topic names and a group of its own.
    pub(crate) fn new(brokers: &str, name: &str) -> Case {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let topic = |kind: &str| format!("{name}-{number}-{kind}");
        let mut config = StreamConfig::new(Connection::new(brokers), topic("group"), instance_id());
        config.session_timeout = Duration::from_secs(6);
        config.topics = Topics {
            events: topic("events"),
            verdicts: topic("verdicts"),
            logs: topic("logs"),
            profiles: topic("profiles"),
            dead: topic("dead"),
            settings: topic("settings"),
        };
        Case { config, registry: Registry::new(), seen: Arc::default(), memory: Arc::default() }
    }

    /// The same group and topics once more, as another instance, with an empty memory.
    pub(crate) fn again(&self) -> Case {
        let mut config = self.config.clone();
        config.instance_id = instance_id();
        Case { config, registry: Registry::new(), seen: Arc::default(), memory: Arc::default() }
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
        let memory = Arc::clone(&self.memory);
        let state: Arc<dyn LocalState> = memory.clone();
        let cluster = stream::inspect(&self.config).unwrap();
        let make = |_| -> Box<dyn Handler> { Box::new(Echo::new(&seen, &memory)) };
        stream::start(self.config.clone(), &cluster, &self.registry, &state, make).unwrap()
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

    /// A producer of somebody else's, or of an instance's name, whose transactions last as long as brokers allow: as
    /// good as for ever. What the name left open is aborted.
    pub(crate) fn transactional(&self, name: &str) -> BaseProducer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.config.connection.brokers);
        config.set("transactional.id", name).set("transaction.timeout.ms", "900000");
        let producer: BaseProducer = config.create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer
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

/// A name that no other instance has.
fn instance_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("instance-{}", NEXT.fetch_add(1, Ordering::Relaxed))
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

/// How many of the numbers below `total` each key has.
fn expected_counts(total: usize, keys: usize) -> BTreeMap<String, usize> {
    let expected = |key: usize| total / keys + usize::from(key < total % keys);
    (0..keys).map(|key| (format!("key-{key}"), expected(key))).collect()
}

/// Waits until the local copy says the same as the changelog should.
pub(crate) fn await_local_counts(case: &Case, total: usize, keys: usize) {
    let expected = expected_counts(total, keys);
    wait_until("the local copy is whole", || {
        let copied = case.memory.partitions.lock().unwrap();
        let values = copied.values().flat_map(|copied| &copied.values).filter(|(key, _)| *key != SOURCE_OFFSET_KEY);
        let counts = values.map(|(key, value)| (text(Some(key)).to_owned(), text(Some(value)).parse().unwrap()));
        counts.collect::<BTreeMap<String, usize>>() == expected
    });
}

/// Checks that the changelog says of each key how many of the numbers below `total` it has.
pub(crate) fn check_counts(case: &Case, total: usize, keys: usize) {
    let mut tail = case.tail(&case.config.topics.profiles);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let expected = expected_counts(total, keys);
    let deadline = Instant::now() + PATIENCE;
    while counts != expected {
        let Some(record) = tail.next(Duration::from_secs(1)).unwrap() else {
            assert!(Instant::now() < deadline, "the state differs: {counts:?} for {expected:?}");
            continue;
        };
        if record.key.as_deref() == Some(SOURCE_OFFSET_KEY) {
            continue;
        }
        let count = text(record.payload.as_deref()).parse().unwrap();
        let key = text(record.key.as_deref()).to_owned();
        // Counts only grow: a smaller one would be state that was forgotten.
        assert!(counts.insert(key, count).is_none_or(|before| before < count), "a count went back");
    }
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
