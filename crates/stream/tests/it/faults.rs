//! What goes wrong around a stream, on real Kafka: the local state, the topics, the transactions, the clocks.
//! Each fault has an answer and a metric, and none costs a record or repeats one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use delivery::StateError;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rustix::process::{Pid, Signal, kill_process};
use stream::feed::FeedRecord;
use stream::{Error, Running, WorkerError};

use crate::support::{
    Case, Echoes, PATIENCE, await_local_counts, check_counts, check_echoes, read_echoes, stop_cleanly, wait_until,
};

const KEYS: usize = 50;
const PARTITIONS: i32 = 2;

/// A stream whose batches are small and many.
fn case(kafka: &kafka_harness::Kafka, name: &str) -> Case {
    let mut case = Case::new(kafka.bootstrap_servers(), name);
    case.config.batch_interval = Duration::from_millis(10);
    case.create_topics(PARTITIONS, |_| ());
    case
}

/// Does something again and again, on so many threads, while `act` runs.
fn beside(threads: usize, again: impl Fn() + Sync, act: impl FnOnce()) {
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    again();
                }
            });
        }
        // A failed assertion must not leave the other threads at it.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        enough.store(true, Ordering::Relaxed);
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Feeds an even flow while `act` runs. Answers how many records that were.
pub(crate) fn while_records_flow(case: &Case, act: impl FnOnce()) -> usize {
    let fed = AtomicUsize::new(0);
    let feeder = case.feeder();
    let feed = || {
        let from = fed.load(Ordering::Relaxed);
        case.feed(&feeder, from, 20, KEYS);
        fed.store(from + 20, Ordering::Relaxed);
        thread::park_timeout(Duration::from_millis(10));
    };
    beside(1, feed, act);
    feeder.flush(PATIENCE).unwrap();
    fed.into_inner()
}

/// Waits for a condition of a stream that goes on.
fn wait_while_running(running: &Running, what: &str, mut condition: impl FnMut() -> bool) {
    let health = running.health();
    wait_until(what, || {
        assert_eq!(health.failure(), None, "waited for: {what}");
        condition()
    });
}

pub(crate) fn wait_for_records(case: &Case, more: f64) {
    let before = case.metric("credence_records_consumed_total");
    wait_until("records are handled", || case.metric("credence_records_consumed_total") >= before + more);
}

fn wait_for_commits(running: &Running, case: &Case) {
    let committed = || case.metric("credence_commits_total") - case.metric("credence_commit_failures_total");
    let before = committed();
    wait_while_running(running, "batches are committed", || committed() >= before + 3.0);
}

/// Readers of committed records see each record once and in order, and so does the state.
fn check_all(case: &Case, total: usize) {
    wait_until("everything is committed", || {
        case.committed(PARTITIONS).values().sum::<i64>() == i64::try_from(total).unwrap()
    });
    let echoes = check_echoes(&read_echoes(case, &case.config.topics.logs, total));
    assert_eq!(echoes, Echoes { distinct: total, duplicates: 0 });
    let verdicts = check_echoes(&read_echoes(case, &case.config.topics.verdicts, total));
    assert_eq!(verdicts.distinct, total);
    check_counts(case, total, KEYS);
    await_local_counts(case, total, KEYS);
}

fn unavailable() -> StateError {
    StateError::Unavailable("the test says that the disk is full".to_owned())
}

fn damaged() -> StateError {
    StateError::Damaged("the test says that a file is damaged".to_owned())
}

#[test]
fn a_full_disk_delays_neither_verdicts_nor_commits() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = case(kafka, "disk-full");
    let running = case.start_ready();
    let mut unstored = 0.0;
    let total = while_records_flow(&case, || {
        wait_for_records(&case, 200.0);
        case.memory.failures.lock().unwrap().extend(std::iter::repeat_n(unavailable(), 100_000));
        wait_until("changes wait for the disk", || case.metric("credence_unstored_bytes") > 0.0);
        let commits = case.metric("credence_commits_total");
        wait_until("commits go on", || case.metric("credence_commits_total") >= commits + 100.0);
        wait_for_records(&case, 500.0);
        unstored = case.metric("credence_unstored_bytes");
        case.memory.failures.lock().unwrap().clear();
        wait_until("changes are stored", || case.metric("credence_unstored_bytes") == 0.0);
    });
    assert!(unstored > 0.0);
    check_all(&case, total);
    assert!(case.metric_with("credence_state_errors_total", "unavailable") > 0.0);
    assert_eq!(case.metric("credence_commit_failures_total"), 0.0);
    assert_eq!(case.metric("credence_rewinds_total"), 0.0);
    stop_cleanly(running);
}

/// A second producer of the same name: what the coordinator makes of an instance that comes back. It fences
/// the worker's own.
pub(crate) fn fence(case: &Case) {
    let config = &case.config;
    case.transactional(&format!("{}-{}-0", config.group_id, config.instance_id));
}

#[test]
fn a_fenced_producer_is_built_anew_and_nothing_is_lost_or_repeated() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = case(kafka, "fenced");
    let running = case.start_ready();
    let total = while_records_flow(&case, || {
        for _ in 0..5 {
            // With a producer of its own again.
            wait_for_commits(&running, &case);
            let failed = case.metric("credence_commit_failures_total");
            fence(&case);
            wait_while_running(&running, "a commit failed", || case.metric("credence_commit_failures_total") > failed);
        }
        wait_for_records(&case, 300.0);
    });
    check_all(&case, total);
    // The same batches are committed later, unless nobody knows whether they are already.
    assert_eq!(case.metric_with("credence_rewinds_total", "rewind"), 0.0);
    stop_cleanly(running);
}

/// Fences the worker's producer again and again until something has come of it.
fn fence_until(case: &Case, what: &str, condition: impl Fn() -> bool) {
    // Two threads, because one leaves gaps that a commit fits in.
    beside(2, || fence(case), || wait_until(what, condition));
}

#[test]
fn what_has_to_be_rewound_while_the_disk_is_full_is_read_back_from_the_changelog() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = case(kafka, "abort-unstored");
    let running = case.start_ready();
    let health = running.health();
    let total = while_records_flow(&case, || {
        wait_for_records(&case, 200.0);
        case.memory.failures.lock().unwrap().extend(std::iter::repeat_n(unavailable(), 100_000));
        wait_until("changes wait for the disk", || case.metric("credence_unstored_bytes") > 0.0);
        fence_until(&case, "the state is to be restored", || case.metric("credence_restoring_partitions") == 2.0);
        wait_until("that fails", || case.metric("credence_restore_failures_total") >= 1.0);
        assert!(!health.is_ready() && health.is_live(PATIENCE), "{health:?}");
        case.memory.failures.lock().unwrap().clear();
        wait_until("the partitions are served again", || health.is_ready());
        wait_for_records(&case, 200.0);
    });
    check_all(&case, total);
    assert!(case.metric_with("credence_rewinds_total", "restart") >= 1.0);
    assert_eq!(case.metric("credence_unstored_bytes"), 0.0);
    stop_cleanly(running);
}

#[test]
fn a_damaged_local_state_is_built_anew_from_the_changelog() {
    let Some(kafka) = kafka_harness::shared() else { return };
    // Found when changes are written, found when a record is handled.
    for (name, reading) in [("damaged-write", false), ("damaged-read", true)] {
        let case = case(kafka, name);
        let running = case.start_ready();
        let health = running.health();
        let total = while_records_flow(&case, || {
            for round in 1..=5 {
                wait_while_running(&running, "both partitions are served", || {
                    case.metric("credence_restoring_partitions") == 0.0
                });
                // From here on there is something to be lost.
                wait_for_commits(&running, &case);
                let memory = &case.memory;
                let failures = if reading { &memory.reading_fails } else { &memory.failures };
                failures.lock().unwrap().push_back(damaged());
                wait_while_running(&running, "the damage is found", || {
                    case.metric_with("credence_state_errors_total", "damaged") == f64::from(round)
                });
                wait_while_running(&running, "the partitions are served again", || {
                    case.metric_with("credence_rewinds_total", "restart") == f64::from(round) && health.is_ready()
                });
            }
            wait_for_records(&case, 300.0);
        });
        check_all(&case, total);
        assert!(case.metric("credence_restored_records_total") > 0.0);
        stop_cleanly(running);
    }
}

#[test]
fn a_local_state_that_stays_damaged_ends_the_worker() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = case(kafka, "hopeless");
    let mut running = case.start_ready();
    case.memory.reading_fails.lock().unwrap().extend(std::iter::repeat_n(damaged(), 100));
    let feeder = case.feeder();
    // Of one partition: each has its own count of failures in a row.
    case.feed(&feeder, 0, 10, 1);
    feeder.flush(PATIENCE).unwrap();
    assert!(running.wait_for_end(PATIENCE));
    let summary = running.stop();
    let Some(error @ WorkerError::State { .. }) = &summary.workers[0].error else { panic!("{summary:?}") };
    assert!(error.to_string().contains("state.folder"), "{error}");
    assert_eq!(case.metric_with("credence_state_errors_total", "damaged"), 6.0);
    assert_eq!(case.committed(PARTITIONS).values().sum::<i64>(), 0);
}

#[test]
fn a_transaction_that_stays_pending_on_an_offset_keeps_no_partition_from_being_served() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = case(kafka, "pending");
    let running = case.start_ready();
    let feeder = case.feeder();
    case.feed(&feeder, 0, 1_000, KEYS);
    feeder.flush(PATIENCE).unwrap();
    wait_until("everything is committed", || case.committed(PARTITIONS).values().sum::<i64>() == 1_000);
    stop_cleanly(running);

    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &case.config.connection.brokers);
    let nobody: BaseConsumer = config.set("group.id", &case.config.group_id).create().unwrap();
    let lost = case.transactional("pending-for-ever");
    lost.begin_transaction().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&case.config.topics.events, 0, Offset::Offset(1)).unwrap();
    lost.send_offsets_to_transaction(&offsets, &nobody.group_metadata().unwrap(), PATIENCE).unwrap();

    let case = case.again();
    let running = case.start_ready();
    assert!(case.metric("credence_restore_failures_total") >= 1.0);
    case.feed(&feeder, 1_000, 500, KEYS);
    feeder.flush(PATIENCE).unwrap();
    check_counts(&case, 1_500, KEYS);
    lost.abort_transaction(PATIENCE).unwrap();
    check_all(&case, 1_500);
    stop_cleanly(running);
}

#[test]
fn a_transaction_that_stays_open_on_one_partition_of_the_changelog_delays_no_other() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = case(kafka, "open");
    let lost = case.transactional("open-for-ever");
    lost.begin_transaction().unwrap();
    lost.send(BaseRecord::to(&case.config.topics.profiles).partition(0).key("key").payload("lost")).unwrap();
    lost.flush(PATIENCE).unwrap();

    let running = case.start();
    let feeder = case.feeder();
    case.feed(&feeder, 0, 1_000, KEYS);
    feeder.flush(PATIENCE).unwrap();
    wait_until("the other partition is complete", || case.metric("credence_restoring_partitions") == 1.0);
    wait_until("its records are committed", || case.committed(PARTITIONS).values().sum::<i64>() > 0);
    assert_eq!(case.metric("credence_restoring_partitions"), 1.0);
    assert!(!running.health().is_ready());

    lost.abort_transaction(PATIENCE).unwrap();
    wait_until("all are served", || running.health().is_ready());
    check_all(&case, 1_000);
    stop_cleanly(running);
}

fn add_partitions(case: &Case, topic: &str, partitions: usize) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &case.config.connection.brokers);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let (wanted, options) = (NewPartitions::new(topic, partitions), AdminOptions::new());
    let mut asked = std::pin::pin!(admin.create_partitions([&wanted], &options));
    let mut answer = None;
    wait_until("the partition is added", || {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if let std::task::Poll::Ready(done) = asked.as_mut().poll(&mut context) {
            answer = Some(done.unwrap());
        }
        answer.is_some()
    });
    assert!(answer.unwrap()[0].is_ok());
}

#[test]
fn a_partition_added_to_the_input_ends_the_stream_and_refuses_the_next_start() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let mut case = case(kafka, "added");
    // New partitions are looked for once a minute.
    let properties = &mut case.config.connection.properties;
    properties.insert("topic.metadata.refresh.interval.ms".to_owned(), "1000".to_owned());
    let mut running = case.start_ready();
    let feeder = case.feeder();
    case.feed(&feeder, 0, 100, KEYS);
    feeder.flush(PATIENCE).unwrap();
    wait_until("everything is committed", || case.committed(PARTITIONS).values().sum::<i64>() == 100);

    add_partitions(&case, &case.config.topics.events, 3);
    assert!(running.wait_for_end(PATIENCE), "the stream runs on");
    let failure = running.health().failure().unwrap();
    assert!(failure.contains("docs/operations.md"), "{failure}");
    let summary = running.stop();
    let topic = case.config.topics.events.clone();
    let error = WorkerError::PartitionsAdded { topic: topic.clone(), found: 3, expected: 2 };
    assert_eq!(summary.workers[0].error, Some(error));
    assert_eq!(case.metric("credence_misrouted_records_total"), 0.0);

    let refused = stream::inspect(&case.config).unwrap_err();
    let Error::Partitions { events, found: 3, expected: 2, .. } = &refused else { panic!("{refused}") };
    assert_eq!(*events, topic);
    // The changelog alone having more is refused just the same.
    add_partitions(&case, &case.config.topics.profiles, 4);
    let refused = stream::inspect(&case.config).unwrap_err();
    assert!(matches!(refused, Error::Partitions { found: 3, expected: 4, .. }), "{refused}");
}

fn signal(kafka: &kafka_harness::Kafka, signal: Signal) {
    let pid = kafka.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn a_coordinator_that_is_silent_for_longer_than_transactions_last() {
    /// Transactions last 15 seconds.
    const SILENCE: Duration = Duration::from_secs(17);
    let builder = kafka_harness::Kafka::builder();
    let builder = builder.property("transaction.abort.timed.out.transaction.cleanup.interval.ms", "200");
    let Some(kafka) = builder.start_or_skip() else { return };
    let mut case = case(&kafka, "silent");
    case.config.session_timeout = Duration::from_secs(60);
    let running = case.start_ready();
    let health = running.health();
    let total = while_records_flow(&case, || {
        wait_for_records(&case, 500.0);
        signal(&kafka, Signal::STOP);
        let silent = Instant::now();
        wait_until("the transactions are over", || {
            assert!(health.is_live(Duration::from_secs(5)), "{health:?}");
            silent.elapsed() > SILENCE
        });
        signal(&kafka, Signal::CONT);
        wait_for_records(&case, 500.0);
    });
    check_all(&case, total);
    let (failed, rewinds) = (case.metric("credence_commit_failures_total"), case.metric("credence_rewinds_total"));
    println!("Kafka {} silent for {SILENCE:?}: {failed} failed commits, {rewinds} rewinds", kafka.version());
    stop_cleanly(running);
}

#[test]
fn records_of_any_time_are_delivered_alike() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = Case::new(kafka.bootstrap_servers(), "clocks");
    case.create_topics(PARTITIONS, |specs| {
        // Brokers refuse records of more than an hour ahead otherwise.
        specs[0].settings.insert("message.timestamp.after.max.ms".to_owned(), i64::MAX.to_string());
    });
    let running = case.start_ready();
    let feeder = case.feeder();
    const YEAR_MS: i64 = 365 * 24 * 3_600_000;
    let now = 1_790_000_000_000;
    let times = [Some(0), Some(1), None, Some(now - 20 * YEAR_MS), Some(now + 20 * YEAR_MS), Some(now + 200 * YEAR_MS)];
    for number in 0..3_000 {
        let (key, time) = (format!("key-{}", number % KEYS), times[number % times.len()]);
        let payload = format!("{key}:{number}");
        let topic = &case.config.topics.events;
        let (key, payload) = (Some(key.as_bytes()), Some(payload.as_bytes()));
        feeder.send(FeedRecord { topic, key, payload, timestamp_ms: time, ..FeedRecord::default() }).unwrap();
    }
    feeder.flush(PATIENCE).unwrap();
    check_all(&case, 3_000);
    // A latency is measured of each, though it may say nothing; time that has not come yet counts as none.
    wait_until("every verdict is acknowledged", || case.metric("credence_append_to_verdict_seconds") == 3_000.0);
    wait_until("there is no lag", || case.metric("credence_lag_seconds") == 0.0);
    assert_eq!(case.metric("credence_rewinds_total"), 0.0);
    assert_eq!(case.metric("credence_commit_failures_total"), 0.0);
    stop_cleanly(running);
}

/// Sets the group's committed offsets, as an operator or a broker that lost the newest ones would.
fn set_committed(case: &Case, offset: i64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &case.config.connection.brokers)
        .set("group.id", &case.config.group_id)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(&case.config.topics.events, partition, Offset::Offset(offset)).unwrap();
    }
    consumer.commit(&list, CommitMode::Sync).unwrap();
}

#[test]
fn committed_offsets_that_were_lost_repeat_nothing() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let first = case(kafka, "offsets-lost");
    let feeder = first.feeder();
    let running = first.start_ready();
    first.feed(&feeder, 0, 2_000, KEYS);
    feeder.flush(PATIENCE).unwrap();
    wait_until("everything is committed", || first.committed(PARTITIONS).values().sum::<i64>() == 2_000);
    stop_cleanly(running);
    set_committed(&first, 10);

    // With and without a local copy of the state.
    let (again, anew) = (Case { memory: first.memory.clone(), ..first.again() }, first.again());
    for (life, case) in [&again, &anew].into_iter().enumerate() {
        let running = case.start_ready();
        assert_eq!(case.metric("credence_offsets_behind_total"), f64::from(PARTITIONS), "life {life}");
        case.feed(&feeder, 2_000 + 500 * life, 500, KEYS);
        feeder.flush(PATIENCE).unwrap();
        let total = 2_500 + 500 * life;
        check_all(case, total);
        stop_cleanly(running);
        set_committed(case, 10);
    }
}
