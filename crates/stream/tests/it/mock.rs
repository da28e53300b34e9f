//! Start-up, errors and back-pressure, against librdkafka's mock cluster.

use std::ffi::{CStr, CString};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, bindings};
use stream::embedded::Embedded;
use stream::feed::FeedRecord;
use stream::tail::{From, Isolation, Tail};
use stream::{Connection, Error, Running, WorkerState};

use crate::support::{Case, PATIENCE, check_echoes, read_echoes, stop_cleanly, text, wait_until};

/// An embedded broker with the topics of a case.
fn embedded(name: &str, partitions: i32) -> (Embedded, Case) {
    // The names do not depend on the address.
    let mut case = Case::new("127.0.0.1:1", name);
    let topics = &case.config.topics;
    let topics = [
        (topics.events.as_str(), partitions),
        (topics.verdicts.as_str(), partitions),
        (topics.logs.as_str(), partitions),
        (topics.profiles.as_str(), partitions),
        (topics.dead.as_str(), 1),
        (topics.settings.as_str(), 1),
    ];
    let broker = Embedded::start(&topics).unwrap();
    case.config.connection.brokers = broker.bootstrap_servers();
    (broker, case)
}

fn start_error(case: &Case) -> Error {
    stream::inspect(&case.config).unwrap_err()
}

#[test]
fn every_missing_topic_is_named() {
    let broker = Embedded::start(&[("in", 1), ("unrelated", 1)]).unwrap();
    let mut case = Case::new(&broker.bootstrap_servers(), "missing");
    case.config.topics.events = "in".to_owned();
    let error = start_error(&case);
    let topics = &case.config.topics;
    let Error::MissingTopics { topics: missing, .. } = &error else { panic!("{error}") };
    let expected = [&topics.verdicts, &topics.logs, &topics.profiles, &topics.dead, &topics.settings];
    assert!(missing.iter().eq(expected), "{missing:?}");
    assert!(error.to_string().contains("credence topics create"), "{error}");
    // Asking again does not find them either: the first question created nothing.
    let mut again = case.again();
    again.config.topics.events = "unrelated".to_owned();
    assert!(matches!(start_error(&again), Error::MissingTopics { topics, .. } if topics.len() == 5));
}

#[test]
fn settings_in_several_partitions_have_no_order() {
    let (_broker, case) = embedded("order", 2);
    let mut split = case.again();
    // Another topic, of two partitions.
    let more = Embedded::start(&[
        (&split.config.topics.events, 2),
        (&split.config.topics.verdicts, 2),
        (&split.config.topics.logs, 2),
        (&split.config.topics.profiles, 2),
        (&split.config.topics.dead, 1),
        (&split.config.topics.settings, 2),
    ])
    .unwrap();
    assert!(stream::inspect(&case.config).is_ok());
    split.config.connection.brokers = more.bootstrap_servers();
    let error = start_error(&split);
    assert!(matches!(&error, Error::SettingsPartitions { found: 2, topic } if *topic == case.config.topics.settings));
    assert!(error.to_string().contains("exactly 1"), "{error}");
}

#[test]
fn brokers_that_do_not_answer_are_an_error_in_time() {
    let mut case = Case::new("127.0.0.1:1", "unreachable");
    case.config.start_timeout = Duration::from_secs(1);
    let started = Instant::now();
    let error = start_error(&case);
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn settings_are_checked_before_connecting() {
    let mut case = Case::new("127.0.0.1:1", "settings");
    case.config.connection.properties.insert("acks".to_owned(), "0".to_owned());
    case.config.workers = 65;
    let error = start_error(&case);
    assert!(matches!(&error, Error::Config(problems) if problems.len() == 2), "{error}");
}

#[test]
fn a_registry_serves_one_stream() {
    let (_broker, case) = embedded("registry", 1);
    let running = case.start();
    let cluster = stream::inspect(&case.config).unwrap();
    let state: std::sync::Arc<dyn delivery::LocalState> = case.memory.clone();
    let second =
        stream::start(case.config.clone(), &cluster, &case.registry, &state, |_| panic!("no handler is needed"));
    assert!(matches!(second, Err(Error::Metrics(_))));
    stop_cleanly(running);
}

#[test]
fn echoes_with_metrics_and_health() {
    let (_broker, case) = embedded("echo", 3);
    let running = case.start();
    let health = running.health();
    assert!(!health.is_ready());
    assert!(health.is_live(PATIENCE));
    let feeder = case.feeder();
    case.feed(&feeder, 0, 500, 20);
    let null = FeedRecord {
        topic: &case.config.topics.events,
        key: Some(b"nobody"),
        headers: &[("Content-Type", b"application/json"), ("trace", b"1")],
        timestamp_ms: Some(1_700_000_000_000),
        ..FeedRecord::default()
    };
    feeder.send(null).unwrap();
    let dead = FeedRecord { payload: Some(b"dead\xff\x00\x01"), key: None, headers: &[], ..null };
    feeder.send(dead).unwrap();
    // On a partition that its key does not name. The key is its own: two partitions have no order.
    let right = stream::partition_for(b"astray", 3).unwrap();
    let astray = FeedRecord {
        key: Some(b"astray"),
        payload: Some(b"astray:500"),
        partition: Some((right + 1) % 3),
        headers: &[],
        timestamp_ms: None,
        ..null
    };
    feeder.send(astray).unwrap();
    feeder.flush(PATIENCE).unwrap();

    let verdicts = case.read(&case.config.topics.verdicts, 501);
    assert_eq!(verdicts.len(), 501);
    assert!(health.is_ready());
    let logs = case.read(&case.config.topics.logs, 501);
    assert_eq!(check_echoes(&logs[..]).distinct, 501);

    let mut letters = case.read(&case.config.topics.dead, 2);
    assert_eq!(letters.len(), 2);
    letters.sort_by_key(|letter| letter.payload.clone());
    let [null, dead] = &letters[..] else { panic!() };
    assert_eq!((null.payload.as_deref(), null.key.as_deref()), (None, Some(&b"nobody"[..])));
    assert_eq!((dead.payload.as_deref(), dead.key.as_deref()), (Some(&b"dead\xff\x00\x01"[..]), None));
    assert_eq!(null.header("trace"), Some("1"));
    assert_eq!(null.header("credence-reason"), Some("empty"));
    assert_eq!(null.header("credence-detail"), Some("no payload"));
    assert_eq!(null.header("credence-source-topic"), Some(case.config.topics.events.as_str()));
    let partition = stream::partition_for(b"nobody", 3).unwrap().to_string();
    assert_eq!(null.header("credence-source-partition"), Some(partition.as_str()));
    assert!(null.header("credence-source-offset").is_some());
    assert_eq!(null.header("credence-source-timestamp"), Some("1700000000000"));
    assert_eq!(dead.header("credence-reason"), Some("asked"));

    for (name, label, value) in [
        ("credence_records_consumed_total", "", 503.0),
        ("credence_records_produced_total", "verdict", 501.0),
        ("credence_records_produced_total", "log", 501.0),
        ("credence_records_produced_total", "dead", 2.0),
        ("credence_dead_letters_total", "empty", 1.0),
        ("credence_dead_letters_total", "asked", 1.0),
        ("credence_misrouted_records_total", "", 1.0),
        ("credence_event_to_verdict_seconds", "", 501.0),
        ("credence_append_to_verdict_seconds", "", 501.0),
        ("credence_commit_failures_total", "", 0.0),
        ("credence_paused", "", 0.0),
    ] {
        // Acknowledgements come a moment after the records can be read.
        wait_until(&format!("{name}{{{label}}} is {value}"), || case.metric_with(name, label) == value);
    }
    wait_until("everything is acknowledged", || case.metric("credence_in_flight_outputs") == 0.0);
    wait_until("the lag is gone", || case.metric("credence_lag_records") == 0.0);
    assert_eq!(case.metric("credence_assigned_partitions"), 3.0);
    wait_until("it is committed", || case.metric("credence_commits_total") > 0.0);
    assert!(case.metric("credence_last_verdict_timestamp_seconds") > 1.6e9);
    assert!(case.metric("credence_last_poll_timestamp_seconds") > 1.6e9);

    let summary = stop_cleanly(running);
    assert_eq!(summary.handled(), 503);
    assert!(!health.is_ready());
    assert_eq!(health.workers()[0].state, WorkerState::Stopped);
    let seen = case.seen.lock().unwrap();
    assert_eq!((seen.assigned.len(), seen.revoked.len(), seen.strays.len()), (3, 3, 0));
    assert!(seen.content_types.contains(&Some("application/json".to_owned())));
    assert!(seen.between_batches > 0);
}

/// Produces a record with a header of any name. rdkafka takes only text, so this goes past it.
fn produce_with_header(case: &Case, name: &CStr, payload: &[u8]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &case.config.connection.brokers);
    let producer: BaseProducer = config.create().unwrap();
    let topic = CString::new(case.config.topics.events.as_str()).unwrap();
    // SAFETY: every tag is followed by arguments of the types that rd_kafka_producev documents for it; they
    // live through the call, and the payload is copied.
    let error = unsafe {
        bindings::rd_kafka_producev(
            producer.client().native_ptr(),
            bindings::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC,
            topic.as_ptr(),
            bindings::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
            bindings::RD_KAFKA_MSG_F_COPY,
            bindings::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY,
            c"key-0".as_ptr(),
            5_usize,
            bindings::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
            payload.as_ptr(),
            payload.len(),
            bindings::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADER,
            name.as_ptr(),
            c"x".as_ptr(),
            1_isize,
            bindings::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
        )
    };
    assert_eq!(error, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn a_header_name_that_is_not_text_is_survived() {
    let (_broker, case) = embedded("header", 1);
    let running = case.start();
    for payload in [&b"key-0:1"[..], b"dead"] {
        produce_with_header(&case, c"bad\xff\xfe", payload);
    }
    let verdicts = case.read(&case.config.topics.verdicts, 1);
    assert_eq!(text(verdicts[0].payload.as_deref()), "key-0:1");
    assert_eq!(case.read(&case.config.topics.dead, 1).len(), 1);
    assert_eq!(case.metric("credence_unreadable_headers_total"), 2.0);
    stop_cleanly(running);
}

#[test]
fn a_worker_without_partitions_is_ready_too() {
    let (_broker, mut case) = embedded("idle", 1);
    case.config.workers = 2;
    let running = case.start_ready();
    let states: Vec<WorkerState> = running.health().workers().into_iter().map(|status| status.state).collect();
    assert!(states.contains(&WorkerState::Assigned { partitions: 0, restoring: 0 }), "{states:?}");
    assert!(states.contains(&WorkerState::Assigned { partitions: 1, restoring: 0 }), "{states:?}");
    assert_eq!(stop_cleanly(running).workers.len(), 2);
}

/// How many batches were committed.
fn committed(case: &Case) -> f64 {
    case.metric("credence_commits_total") - case.metric("credence_commit_failures_total")
}

/// A stream whose input and group are on broker 1 and whose outputs are on broker 2, after its first ten
/// records and with broker 2 gone.
fn without_output_broker(name: &str) -> (MockCluster<'static, DefaultProducerContext>, Case, Running) {
    let cluster = MockCluster::new(2).unwrap();
    let mut case = Case::new(&cluster.bootstrap_servers(), name);
    case.config.max_in_flight_records = 100;
    case.config.shutdown_deadline = Duration::from_secs(3);
    let topics = &case.config.topics;
    let others =
        [&topics.verdicts, &topics.logs, &topics.dead, &topics.profiles, &topics.settings].map(|topic| (topic, 2));
    for (topic, broker) in [(&topics.events, 1)].into_iter().chain(others) {
        cluster.create_topic(topic, 1, 1).unwrap();
        cluster.partition_leader(topic, 0, Some(broker)).unwrap();
    }
    cluster.coordinator(MockCoordinator::Group(case.config.group_id.clone()), 1).unwrap();
    let running = case.start();
    let feeder = case.feeder();
    case.feed(&feeder, 0, 10, 3);
    assert_eq!(check_echoes(&read_echoes(&case, &topics.logs, 10)).distinct, 10);
    // The mock cluster does not keep offsets that are committed in a transaction.
    wait_until("the first records are committed", || committed(&case) >= 1.0);
    let before = committed(&case);
    cluster.broker_down(2).unwrap();
    case.feed(&feeder, 10, 5_000, 3);
    feeder.flush(PATIENCE).unwrap();
    wait_until("reading is paused", || case.metric("credence_paused") == 1.0);
    assert_eq!(committed(&case), before, "a batch was committed without its verdicts");
    (cluster, case, running)
}

#[test]
fn a_broker_that_takes_no_outputs_only_pauses_reading() {
    let (cluster, case, running) = without_output_broker("pressure");
    let in_flight = case.metric("credence_in_flight_outputs");
    assert!((100.0..=101.0).contains(&in_flight), "{in_flight}");
    wait_until("the lag shows", || case.metric("credence_lag_records") > 4_000.0);
    assert!(case.metric("credence_lag_seconds") > 0.0);
    let health = running.health();
    assert!(health.is_ready() && health.is_live(Duration::from_secs(5)), "{health:?}");

    cluster.broker_up(2).unwrap();
    let logs = read_echoes(&case, &case.config.topics.logs, 5_010);
    assert_eq!((check_echoes(&logs).distinct, check_echoes(&logs).duplicates), (5_010, 0));
    wait_until("reading goes on", || case.metric("credence_paused") == 0.0);
    wait_until("everything is committed", || case.metric("credence_open_records") == 0.0);
    stop_cleanly(running);
}

#[test]
fn a_batch_that_is_refused_is_tried_again_and_after_seven_times_read_again() {
    let cluster = MockCluster::new(1).unwrap();
    let case = Case::new(&cluster.bootstrap_servers(), "refused");
    let topics = &case.config.topics;
    for topic in [&topics.events, &topics.verdicts, &topics.logs, &topics.dead, &topics.profiles, &topics.settings] {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    let running = case.start_ready();
    let feeder = case.feeder();
    let (mut fed, mut refused) = (0, 0.0);
    for (times, rewinds, consumed) in [(6, 0.0, 10.0), (7, 1.0, 30.0), (6, 1.0, 40.0)] {
        cluster.request_errors(
            RDKafkaApiKey::TxnOffsetCommit,
            &vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION; times],
        );
        case.feed(&feeder, fed, 10, 3);
        feeder.flush(PATIENCE).unwrap();
        (fed, refused) = (fed + 10, refused + times as f64);
        let logs = || case.metric_with("credence_records_produced_total", "log");
        wait_until("they are committed", || logs() == fed as f64);
        assert_eq!(case.metric("credence_commit_failures_total"), refused);
        assert_eq!(case.metric("credence_rewinds_total"), rewinds, "{times} times");
        assert_eq!(case.metric("credence_records_consumed_total"), consumed, "{times} times");
    }
    let verdicts = check_echoes(&case.read(&topics.verdicts, 40));
    assert_eq!((verdicts.distinct, verdicts.duplicates), (30, 10));
    stop_cleanly(running);
}

#[test]
fn stopping_with_outputs_under_way_ends_in_time_and_commits_none_of_them() {
    let (_cluster, case, running) = without_output_broker("stuck");
    let (started, before) = (Instant::now(), committed(&case));
    let summary = stop_cleanly(running);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}: {summary:?}", started.elapsed());
    assert_eq!(committed(&case), before);
}

#[test]
fn stopping_without_brokers_ends_in_time() {
    let (broker, mut case) = embedded("gone", 1);
    case.config.shutdown_deadline = Duration::from_secs(3);
    let running = case.start_ready();
    drop(broker);
    let started = Instant::now();
    let summary = running.stop();
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}: {summary:?}", started.elapsed());
}

/// What brokers say right after a topic was made: its metadata are known before its partitions are led.
#[test]
fn reading_starts_when_the_brokers_have_settled() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("young", 2, 1).unwrap();
    let connection = Connection::new(cluster.bootstrap_servers());
    for error in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    ] {
        for from in [From::Beginning, From::Time(0)] {
            cluster.request_errors(RDKafkaApiKey::ListOffsets, &[error; 3]);
            let tail = Tail::new(&connection, "young", from, Isolation::Committed).unwrap();
            assert_eq!((tail.partitions(), tail.is_caught_up()), (2, true), "{error:?} {from:?}");
        }
    }

    cluster.topic_error("young", RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE).unwrap();
    std::thread::scope(|scope| {
        let (answer, answered) = channel();
        let (connection, young) = (&connection, "young");
        scope.spawn(move || {
            answer.send(Tail::new(connection, young, From::End, Isolation::Committed)).unwrap();
        });
        let early = answered.recv_timeout(Duration::from_millis(500));
        assert!(matches!(early, Err(RecvTimeoutError::Timeout)), "answered without a leader");
        cluster.topic_error(young, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
        assert_eq!(answered.recv_timeout(PATIENCE).unwrap().unwrap().partitions(), 2);
    });

    // What will not change is said at once.
    let started = Instant::now();
    cluster.topic_error("young", RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let error = Tail::new(&connection, "young", From::End, Isolation::Committed).err().unwrap();
    assert!(error.to_string().contains("Topic authorization failed"), "{error}");
    cluster.topic_error("young", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let error = Tail::new(&connection, "young", From::End, Isolation::Committed).err().unwrap();
    assert!(matches!(&error, Error::MissingTopics { topics, .. } if topics == &["young"]), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
