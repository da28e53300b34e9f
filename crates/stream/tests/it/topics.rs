//! Creating topics on real Kafka.

use stream::topics::{PlanOptions, TopicOutcome, create, plan};
use stream::{Connection, Error};

use crate::support::{Case, PATIENCE, stop_cleanly};

#[test]
fn topics_are_created_once_and_differences_are_told() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = Case::new(kafka.bootstrap_servers(), "create");
    let options = PlanOptions { partitions: 2, dead_partitions: 1, replication: 1, ..PlanOptions::default() };
    let specs = plan(&case.config.topics, &options);
    let outcomes = |options: &PlanOptions| {
        let specs = plan(&case.config.topics, options);
        let reports = create(&case.config.connection, &specs, PATIENCE).unwrap();
        reports.into_iter().map(|report| report.outcome).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&options), vec![TopicOutcome::Created; specs.len()]);
    assert_eq!(outcomes(&options), vec![TopicOutcome::Exists(Vec::new()); specs.len()]);

    let changed = PlanOptions { partitions: 5, keep_logs: options.keep_dead * 2, replication: 3, ..options };
    let found = outcomes(&changed);
    let TopicOutcome::Exists(logs) = &found[2] else { panic!("{found:?}") };
    let told: Vec<String> = logs.iter().map(|of| format!("{}: {} not {}", of.setting, of.found, of.wanted)).collect();
    assert_eq!(
        told,
        [
            "partitions: 2 not 5",
            "replication: 1 not 3",
            "min.insync.replicas: 1 not 2",
            "retention.ms: 2592000000 not 5184000000",
        ]
    );
}

#[test]
fn a_stream_that_starts_while_its_topics_are_made_finds_them() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = Case::new(kafka.bootstrap_servers(), "meanwhile");
    let running = std::thread::scope(|scope| {
        let starting = scope.spawn(|| case.start());
        case.create_topics(1, |_| ());
        starting.join().unwrap()
    });
    stop_cleanly(running);
}

#[test]
fn what_a_broker_refuses_is_told_topic_by_topic() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = Case::new(kafka.bootstrap_servers(), "refuse");
    let options = PlanOptions { replication: 1, ..PlanOptions::default() };
    let mut specs = plan(&case.config.topics, &options);
    specs[1].settings.insert("no.such.setting".to_owned(), "1".to_owned());
    let reports = create(&case.config.connection, &specs, PATIENCE).unwrap();
    assert_eq!(reports[0].outcome, TopicOutcome::Created);
    assert!(matches!(reports[1].outcome, TopicOutcome::Failed(_)), "{reports:?}");
}

#[test]
fn brokers_that_do_not_answer_are_an_error() {
    let specs = plan(&Case::new("127.0.0.1:1", "absent").config.topics, &PlanOptions::default());
    let error = create(&Connection::new("127.0.0.1:1"), &specs, std::time::Duration::from_secs(1)).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}
