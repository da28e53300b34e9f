//! What handling depends on changes while records flow, on real Kafka: it is announced in a batch before it is in
//! force, so that no record is ever answered in two ways, and the changelog says which way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use delivery::{
    BatchId, Changes, Handler, LocalState, Outputs, SOURCE_OFFSET_KEY, Source, StateError, read_source_offset,
};
use rdkafka::producer::{BaseRecord, Producer};
use stream::Running;
use stream::feed::FeedRecord;

use crate::faults::{fence, wait_for_records, while_records_flow};
use crate::support::{Case, Memory, PATIENCE, stop_cleanly, text, wait_until};

const PARTITIONS: i32 = 2;
const VERSION_KEY: &[u8] = b"version";

/// What the test tells the handlers, and hears from them.
#[derive(Debug, Default)]
struct Board {
    /// The newest version there is.
    newest: AtomicU64,
    /// The next record that is handled is a defect.
    crash: AtomicBool,
    /// What a handler must never see.
    wrong: Mutex<Vec<String>>,
}

/// Answers each record with where it was and the version in force, which is its only state.
struct Versioned {
    board: Arc<Board>,
    memory: Arc<Memory>,
    /// In force, by partition.
    versions: BTreeMap<i32, u64>,
    /// Announced, by partition.
    announced: Option<(BatchId, BTreeMap<i32, u64>)>,
    untaken: bool,
}

impl Versioned {
    fn stored_version(&self, partition: i32) -> u64 {
        let copied = self.memory.copied(partition);
        copied.values.get(VERSION_KEY).map_or(0, |value| text(Some(value)).parse().unwrap())
    }

    fn newest(&self) -> u64 {
        self.board.newest.load(Ordering::SeqCst)
    }

    fn blame(&self, what: String) {
        self.board.wrong.lock().unwrap().push(what);
    }
}

impl Handler for Versioned {
    fn assigned(&mut self, partition: i32) -> Result<(), StateError> {
        self.versions.insert(partition, self.stored_version(partition));
        Ok(())
    }

    fn revoked(&mut self, partition: i32) {
        self.versions.remove(&partition);
        if let Some((_, announced)) = &mut self.announced {
            announced.remove(&partition);
        }
    }

    fn has_news(&self) -> bool {
        self.versions.values().any(|version| *version < self.newest())
    }

    fn announce(&mut self, batch: BatchId) {
        if self.announced.as_ref().is_some_and(|(_, of)| !of.is_empty()) {
            self.blame(format!("{batch} is announced after {:?}", self.announced));
        }
        let newest = self.newest();
        let old = self.versions.iter().filter(|(_, version)| **version < newest);
        self.announced = Some((batch, old.map(|(partition, _)| (*partition, newest)).collect()));
        self.untaken = true;
    }

    fn handle(&mut self, source: &Source<'_>, outputs: &mut Outputs) -> Result<(), StateError> {
        assert!(!self.board.crash.swap(false, Ordering::SeqCst), "asked to crash");
        let Source { partition, offset, .. } = *source;
        if self.announced.as_ref().is_some_and(|(_, of)| !of.is_empty()) {
            self.blame(format!("{offset} of {partition} is handled while {:?} is announced", self.announced));
        }
        let answer = format!("{partition}:{offset}@{}", self.versions[&partition]);
        outputs.key_mut().extend_from_slice(source.key.unwrap_or_default());
        outputs.add_verdict().extend_from_slice(answer.as_bytes());
        outputs.add_log().extend_from_slice(answer.as_bytes());
        Ok(())
    }

    fn take_changes(&mut self, batch: BatchId, changes: &mut Changes) {
        if !std::mem::take(&mut self.untaken) {
            return;
        }
        let Some((announced, versions)) = &self.announced else { return };
        if *announced != batch {
            self.blame(format!("{announced} is announced and {batch} sealed"));
        }
        for (partition, version) in versions {
            changes.push(*partition, VERSION_KEY, Some(version.to_string().as_bytes()));
        }
    }

    fn stored(&mut self, batch: BatchId) {
        if let Some((_, versions)) = self.announced.take_if(|(announced, _)| *announced == batch) {
            for (partition, version) in versions {
                let stored = self.stored_version(partition);
                if stored != version {
                    self.blame(format!("partition {partition} has {stored} stored and {version} in force"));
                }
                self.versions.insert(partition, version);
            }
        }
    }

    fn rewind(&mut self) -> Result<(), StateError> {
        self.announced = None;
        self.untaken = false;
        for partition in self.versions.keys() {
            let (stored, kept) = (self.stored_version(*partition), self.versions[partition]);
            if stored != kept {
                self.blame(format!("partition {partition} goes on with {kept}, not {stored}"));
            }
        }
        Ok(())
    }
}

fn case(kafka: &kafka_harness::Kafka, name: &str) -> (Case, Arc<Board>) {
    let mut case = Case::new(kafka.bootstrap_servers(), name);
    case.config.batch_interval = Duration::from_millis(20);
    case.create_topics(PARTITIONS, |_| ());
    (case, Arc::default())
}

fn start(case: &Case, board: &Arc<Board>) -> Running {
    let state: Arc<dyn LocalState> = case.memory.clone();
    let cluster = stream::inspect(&case.config).unwrap();
    let make = |_| -> Box<dyn Handler> {
        let (board, memory) = (Arc::clone(board), Arc::clone(&case.memory));
        Box::new(Versioned { board, memory, versions: BTreeMap::new(), announced: None, untaken: false })
    };
    let running = stream::start(case.config.clone(), &cluster, &case.registry, &state, make).unwrap();
    let health = running.health();
    wait_until("its partitions are served", || health.is_ready());
    running
}

/// The version that the local copy of each partition says.
fn stored_versions(case: &Case) -> Vec<u64> {
    let version = |partition| {
        let copied = case.memory.copied(partition);
        copied.values.get(VERSION_KEY).map_or(0, |value| text(Some(value)).parse().unwrap())
    };
    (0..PARTITIONS).map(version).collect()
}

fn announced_everywhere(case: &Case, version: u64) {
    wait_until("it is announced", || stored_versions(case).iter().all(|of| *of == version));
}

/// For each partition: versions, each with the offset of the source from which it is in force.
fn changelog(case: &Case) -> BTreeMap<i32, Vec<(i64, u64)>> {
    let mut tail = case.tail(&case.config.topics.profiles);
    let mut said: BTreeMap<i32, Vec<(i64, u64)>> = BTreeMap::new();
    let mut version: BTreeMap<i32, u64> = BTreeMap::new();
    wait_until("the changelog is read", || {
        if let Some(record) = tail.next(Duration::from_millis(100)).unwrap() {
            let value = record.payload.unwrap();
            match record.key.as_deref() {
                Some(VERSION_KEY) => drop(version.insert(record.partition, text(Some(&value)).parse().unwrap())),
                // Of the same batch: it comes last.
                Some(SOURCE_OFFSET_KEY) => {
                    if let Some(version) = version.remove(&record.partition) {
                        let offset = read_source_offset(&value).unwrap();
                        said.entry(record.partition).or_default().push((offset, version));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        tail.is_caught_up()
    });
    said
}

/// Each record is answered, with one version whenever it was, and that is what the changelog says. Answers how many
/// versions there were.
fn check(case: &Case, board: &Board, total: usize) -> usize {
    assert_eq!(*board.wrong.lock().unwrap(), [""; 0]);
    wait_until("everything is committed", || {
        case.committed(PARTITIONS).values().sum::<i64>() == i64::try_from(total).unwrap()
    });
    let said = changelog(case);
    for steps in said.values() {
        assert!(steps.is_sorted_by(|(at, before), (then, after)| at <= then && before < after), "{steps:?}");
    }
    let mut versions = BTreeSet::new();
    for (topic, is_exact) in [(&case.config.topics.verdicts, false), (&case.config.topics.logs, true)] {
        let mut tail = case.tail(topic);
        let mut answers: BTreeMap<(i32, i64), Vec<u64>> = BTreeMap::new();
        let mut count = 0;
        while let Some(record) = tail.next(Duration::from_secs(2)).unwrap() {
            let answer = text(record.payload.as_deref());
            let (place, version) = answer.split_once('@').unwrap();
            let (partition, offset) = place.split_once(':').unwrap();
            let place = (partition.parse().unwrap(), offset.parse().unwrap());
            answers.entry(place).or_default().push(version.parse().unwrap());
            count += 1;
        }
        assert_eq!(answers.len(), total, "{topic}");
        assert!(!is_exact || count == total, "{topic}: {count} answers to {total} records");
        for ((partition, offset), given) in answers {
            let steps = said.get(&partition).map_or(&[][..], Vec::as_slice);
            let due = steps.iter().rev().find(|(from, _)| *from <= offset).map_or(0, |(_, version)| *version);
            assert!(given.iter().all(|of| *of == due), "{topic}: {offset} of {partition}: {given:?} for {due}");
            versions.extend(given);
        }
    }
    versions.len()
}

#[test]
fn every_record_is_answered_with_one_version_whatever_happens() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let (first, board) = case(kafka, "news");
    let mut life = first.again();
    let enough = AtomicBool::new(false);
    let total = thread::scope(|scope| {
        // A stream of news, faster than they may be announced.
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                board.newest.fetch_add(1, Ordering::SeqCst);
                thread::park_timeout(Duration::from_millis(150));
            }
        });
        let total = while_records_flow(&first, || {
            for _ in 0..4 {
                life = first.again();
                let mut running = start(&life, &board);
                for is_fenced in [false, true] {
                    wait_for_records(&life, 50.0);
                    if is_fenced {
                        fence(&life);
                    }
                    let version = stored_versions(&life)[0];
                    wait_until("more is announced", || stored_versions(&life)[0] > version);
                }
                wait_for_records(&life, 50.0);
                board.crash.store(true, Ordering::SeqCst);
                assert!(running.wait_for_end(PATIENCE));
                assert!(!running.stop().is_clean());
            }
        });
        enough.store(true, Ordering::Relaxed);
        total
    });
    // With a local copy this time.
    let last = Case { memory: life.memory.clone(), ..first.again() };
    let running = start(&last, &board);
    announced_everywhere(&last, board.newest.load(Ordering::SeqCst));
    let versions = check(&last, &board, total);
    assert!(versions > 4, "{versions}");
    stop_cleanly(running);
}

#[test]
fn news_are_announced_without_any_record() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let (case, board) = case(kafka, "news-idle");
    let running = start(&case, &board);
    let started = Instant::now();
    board.newest.store(3, Ordering::SeqCst);
    announced_everywhere(&case, 3);
    println!("announced after {:?}", started.elapsed());
    // Before the first record.
    let due = (0..PARTITIONS).map(|partition| (partition, vec![(0, 3)])).collect();
    assert_eq!(changelog(&case), due);
    // An event that its producer took back, and one that it did not, each with a marker after it: offsets that no
    // record has, at the end of each partition.
    let producer = case.transactional("news-idle");
    for commit in [true, false] {
        producer.begin_transaction().unwrap();
        for partition in 0..PARTITIONS {
            let record = BaseRecord::to(&case.config.topics.events).key("key").payload("1").partition(partition);
            producer.send(record).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
    wait_until("both are committed", || case.committed(PARTITIONS).values().all(|offset| *offset == 1));
    stop_cleanly(running);
    // The next owner sees that there is more after the committed offset, and that it is nothing.
    board.newest.store(4, Ordering::SeqCst);
    let case = case.again();
    let running = start(&case, &board);
    announced_everywhere(&case, 4);
    check(&case, &board, 2);
    stop_cleanly(running);
}

#[test]
fn an_aborted_announcement_is_committed_again() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let (case, board) = case(kafka, "news-aborted");
    let running = start(&case, &board);
    let feeder = case.feeder();
    case.feed(&feeder, 0, 100, 10);
    feeder.flush(PATIENCE).unwrap();
    wait_until("everything is committed", || case.committed(PARTITIONS).values().sum::<i64>() == 100);
    for version in 1..=3 {
        // The next batch is an announcement, with nothing else in it.
        let failed = case.metric("credence_commit_failures_total");
        fence(&case);
        board.newest.store(version, Ordering::SeqCst);
        wait_until("it is aborted", || case.metric("credence_commit_failures_total") > failed);
        announced_everywhere(&case, version);
    }
    case.feed(&feeder, 100, 100, 10);
    feeder.flush(PATIENCE).unwrap();
    // Before the news and after them.
    assert_eq!(check(&case, &board, 200), 2);
    assert_eq!(case.metric("credence_paused"), 0.0);
    stop_cleanly(running);
}

#[test]
fn a_stream_of_news_does_not_stop_the_scoring() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let (case, board) = case(kafka, "news-many");
    let running = start(&case, &board);
    let started = Instant::now();
    let total = while_records_flow(&case, || {
        while started.elapsed() < Duration::from_secs(4) {
            board.newest.fetch_add(1, Ordering::SeqCst);
            thread::park_timeout(Duration::from_millis(5));
        }
    });
    announced_everywhere(&case, board.newest.load(Ordering::SeqCst));
    let elapsed = started.elapsed();
    check(&case, &board, total);
    let most = usize::try_from(elapsed.as_secs()).unwrap() + 2;
    let announced: Vec<usize> = changelog(&case).values().map(Vec::len).collect();
    assert!(announced.iter().all(|count| (2..=most).contains(count)), "{announced:?} within {elapsed:?}");
    stop_cleanly(running);
}

#[test]
fn who_stops_announces_nothing_more_and_settles() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let (first, board) = case(kafka, "news-stop");
    let total = while_records_flow(&first, || {
        for _ in 0..4 {
            let case = first.again();
            let running = start(&case, &board);
            wait_for_records(&case, 50.0);
            board.newest.fetch_add(1, Ordering::SeqCst);
            // In the middle of it, or shortly before or after.
            wait_for_records(&case, 1.0);
            stop_cleanly(running);
        }
    });
    let last = first.again();
    let running = start(&last, &board);
    announced_everywhere(&last, board.newest.load(Ordering::SeqCst));
    check(&last, &board, total);
    stop_cleanly(running);
}

#[test]
fn partitions_move_while_news_are_announced() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let (first, board) = case(kafka, "news-move");
    let one = start(&first, &board);
    let total = while_records_flow(&first, || {
        for _ in 0..3 {
            board.newest.fetch_add(1, Ordering::SeqCst);
            let second = first.again();
            let two = start(&second, &board);
            let owned = |case: &Case| case.metric("credence_assigned_partitions");
            wait_until("the partitions are shared", || owned(&first) == 1.0 && owned(&second) == 1.0);
            board.newest.fetch_add(1, Ordering::SeqCst);
            wait_for_records(&second, 50.0);
            stop_cleanly(two);
            wait_until("the first has all partitions again", || owned(&first) == 2.0);
        }
    });
    announced_everywhere(&first, board.newest.load(Ordering::SeqCst));
    check(&first, &board, total);
    assert_eq!(first.metric_with("credence_rebalances_total", "lost"), 0.0);
    stop_cleanly(one);
}

#[test]
fn a_backlog_is_not_replayed_to_its_end_before_news_are_announced() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let (mut case, board) = case(kafka, "news-backlog");
    case.config.batch_max_records = 100;
    let feeder = case.feeder();
    let topic = &case.config.topics.events;
    let record = FeedRecord { topic, payload: Some(b"1"), partition: Some(0), ..FeedRecord::default() };
    for _ in 0..5_000 {
        feeder.send(record).unwrap();
    }
    feeder.flush(PATIENCE).unwrap();
    board.newest.store(1, Ordering::SeqCst);
    let running = start(&case, &board);
    assert_eq!(check(&case, &board, 5_000), 2);
    // After as many records as may have been handled and uncommitted, and no fewer.
    let said = changelog(&case);
    assert!(matches!(said[&0][..], [(from, 1)] if (200..2_000).contains(&from)), "{said:?}");
    assert_eq!(said[&1], [(0, 1)]);
    stop_cleanly(running);
}
