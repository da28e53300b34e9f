//! Delivery on real Kafka: nothing lost, nothing reordered, nothing committed too early.

use std::time::{Duration, Instant};

use stream::feed::FeedRecord;

use crate::support::{Case, Echoes, PATIENCE, check_counts, check_echoes, read_echoes, stop_cleanly, wait_until};

#[test]
fn twenty_thousand_records_each_answered_once_in_order() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = Case::new(kafka.bootstrap_servers(), "echo");
    case.create_topics(4, |_| ());
    let feeder = case.feeder();
    case.feed(&feeder, 0, 20_000, 500);
    assert_eq!(feeder.flush(PATIENCE).unwrap(), 20_000);
    let started = Instant::now();
    let running = case.start();
    wait_until("every verdict is acknowledged", || {
        case.metric_with("credence_records_produced_total", "verdict") >= 20_000.0
    });
    let elapsed = started.elapsed();
    for topic in [&case.config.topics.verdicts, &case.config.topics.logs] {
        let echoes = check_echoes(&read_echoes(&case, topic, 20_000));
        assert_eq!(echoes, Echoes { distinct: 20_000, duplicates: 0 }, "{topic}");
    }
    let summary = stop_cleanly(running);
    assert_eq!(summary.handled(), 20_000);
    assert_eq!(case.committed(4).values().sum::<i64>(), 20_000);
    assert_eq!(case.metric("credence_misrouted_records_total"), 0.0);
    check_counts(&case, 20_000, 500);
    println!("Kafka {}: 20,000 records, 40,000 outputs in {elapsed:?}, join included", kafka.version());
}

#[test]
fn a_stop_in_mid_stream_and_a_second_life_lose_and_repeat_nothing() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let mut case = Case::new(kafka.bootstrap_servers(), "resume");
    // Slow enough to be stopped half way.
    case.config.max_in_flight_records = 100;
    case.create_topics(3, |_| ());
    let feeder = case.feeder();
    case.feed(&feeder, 0, 30_000, 100);
    feeder.flush(PATIENCE).unwrap();
    let running = case.start();
    wait_until("it is in mid-stream", || case.metric("credence_records_consumed_total") >= 1_000.0);
    let first = stop_cleanly(running).handled();
    assert!(first < 30_000, "it was too fast for this test");
    assert_committed_is_answered(&case, 3);
    // After a clean stop the group stands exactly where handling stopped.
    assert_eq!(case.committed(3).values().sum::<i64>(), i64::try_from(first).unwrap());

    let second = case.again();
    let running = second.start();
    let echoes = check_echoes(&read_echoes(&case, &case.config.topics.logs, 30_000));
    assert_eq!(echoes, Echoes { distinct: 30_000, duplicates: 0 });
    assert_eq!(first + stop_cleanly(running).handled(), 30_000);
    // The second life began without a local copy of the state.
    assert!(second.metric("credence_restored_records_total") > 0.0);
    check_counts(&case, 30_000, 100);
}

/// Every record before a committed offset has its log record in the topic.
fn assert_committed_is_answered(case: &Case, partitions: i32) {
    let answered: std::collections::BTreeSet<_> = {
        let mut tail = case.tail(&case.config.topics.logs);
        tail.take(usize::MAX, Duration::from_secs(2)).unwrap().into_iter().map(|log| log.payload).collect()
    };
    let committed = case.committed(partitions);
    let mut tail = case.tail(&case.config.topics.events);
    let mut checked = 0;
    for source in tail.take(usize::MAX, Duration::from_secs(2)).unwrap() {
        if source.offset < committed[&source.partition] {
            assert!(answered.contains(&source.payload), "committed but not answered: {source:?}");
            checked += 1;
        }
    }
    assert_eq!(checked, committed.values().sum::<i64>());
}

#[test]
fn a_panic_commits_nothing_unanswered() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = Case::new(kafka.bootstrap_servers(), "panic");
    case.create_topics(1, |_| ());
    let feeder = case.feeder();
    case.feed(&feeder, 0, 5_000, 10);
    let poison = FeedRecord {
        topic: &case.config.topics.events,
        key: Some(b"key-0"),
        payload: Some(b"panic"),
        ..FeedRecord::default()
    };
    feeder.send(poison).unwrap();
    case.feed(&feeder, 5_000, 100, 10);
    feeder.flush(PATIENCE).unwrap();
    let mut running = case.start();
    assert!(running.wait_for_end(PATIENCE));
    let health = running.health();
    assert!(!health.is_live(PATIENCE));
    assert!(health.failure().unwrap().contains("asked to panic"), "{health:?}");
    let summary = running.stop();
    assert!(!summary.is_clean() && summary.abandoned.is_empty(), "{summary:?}");
    assert!(summary.workers[0].left_group, "{summary:?}");
    let committed = case.committed(1)[&0];
    assert!(committed <= 5_000, "{committed}");
    assert_committed_is_answered(&case, 1);
}

/// Kills the broker in mid-stream and starts it again. Returns the echoes and whether the worker lost its
/// partitions meanwhile.
fn restart_in_mid_stream(name: &str, session_timeout: Duration) -> Option<(Echoes, bool)> {
    let mut kafka = kafka_harness::Kafka::builder().start_or_skip()?;
    let mut case = Case::new(kafka.bootstrap_servers(), name);
    case.config.session_timeout = session_timeout;
    case.config.max_in_flight_records = 100;
    case.create_topics(3, |_| ());
    let feeder = case.feeder();
    let running = case.start_ready();
    case.feed(&feeder, 0, 10_000, 200);
    wait_until("it is in mid-stream", || case.metric("credence_records_consumed_total") >= 1_000.0);
    let started = Instant::now();
    kafka.kill().unwrap();
    // Handed over while there is no broker.
    case.feed(&feeder, 10_000, 10_000, 200);
    wait_until("reading is paused", || case.metric("credence_paused") == 1.0);
    if session_timeout < Duration::from_secs(10) {
        wait_until("the session is over", || case.metric_with("credence_rebalances_total", "lost") > 0.0);
    }
    kafka.start_again().unwrap();
    let down = started.elapsed();
    feeder.flush(PATIENCE).unwrap();
    let echoes = check_echoes(&read_echoes(&case, &case.config.topics.logs, 20_000));
    let answered = started.elapsed();
    assert!(running.health().is_live(Duration::from_secs(5)), "{:?}", running.health());
    wait_until("everything is committed", || case.committed(3).values().sum::<i64>() == 20_000);
    let lost = case.metric_with("credence_rebalances_total", "lost") > 0.0;
    stop_cleanly(running);
    check_counts(&case, 20_000, 200);
    println!("Kafka {} killed for {down:?}, answered after {answered:?}: {echoes:?}, lost: {lost}", kafka.version());
    Some((echoes, lost))
}

#[test]
fn a_broker_restart_in_mid_stream_is_a_pause() {
    let Some(outcome) = restart_in_mid_stream("restart", Duration::from_secs(60)) else { return };
    assert_eq!(outcome, (Echoes { distinct: 20_000, duplicates: 0 }, false));
}

#[test]
fn a_broker_outage_longer_than_the_session_loses_no_record() {
    let Some((echoes, lost)) = restart_in_mid_stream("outage", Duration::from_secs(6)) else { return };
    // What was handled since the last commit is handled again, but readers of committed records see it once.
    assert_eq!((echoes, lost), (Echoes { distinct: 20_000, duplicates: 0 }, true));
}
