//! Instances that come and go, on real Kafka.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::faults::while_records_flow;
use crate::support::{Case, Echoes, PATIENCE, check_counts, check_echoes, read_echoes, stop_cleanly, wait_until};

#[test]
fn a_commit_that_meets_a_new_generation_is_tried_again_and_rewinds_nothing() {
    /// A commit has to be on its way in the milliseconds in which the generation changes.
    const TURNS: usize = 60;
    let Some(kafka) = kafka_harness::shared() else { return };
    let mut first = Case::new(kafka.bootstrap_servers(), "generation");
    first.config.batch_interval = Duration::from_millis(1);
    first.create_topics(4, |_| ());
    let one = first.start_ready();
    let failed = || first.metric("credence_commit_failures_total");
    let total = while_records_flow(&first, || {
        for _ in 0..TURNS {
            if failed() >= 2.0 {
                break;
            }
            let second = first.again();
            let two = second.start_ready();
            wait_until("the partitions are shared", || first.metric("credence_assigned_partitions") == 2.0);
            stop_cleanly(two);
            wait_until("the first has all again", || first.metric("credence_assigned_partitions") == 4.0);
        }
    });
    assert!(failed() >= 2.0, "in {TURNS} turns no commit met a rebalance");
    let expected = Echoes { distinct: total, duplicates: 0 };
    assert_eq!(check_echoes(&read_echoes(&first, &first.config.topics.logs, total)), expected);
    assert_eq!(check_echoes(&read_echoes(&first, &first.config.topics.verdicts, total)), expected);
    assert_eq!(first.metric("credence_rewinds_total"), 0.0);
    stop_cleanly(one);
}

#[test]
fn a_second_instance_joins_and_leaves_while_records_flow() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let first = Case::new(kafka.bootstrap_servers(), "join");
    first.create_topics(4, |_| ());
    let one = first.start_ready();
    let second = first.again();
    let (fed, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let feeder = first.feeder();
            while !enough.load(Ordering::Relaxed) {
                let from = fed.load(Ordering::Relaxed);
                first.feed(&feeder, from, 200, 97);
                fed.store(from + 200, Ordering::Relaxed);
                thread::park_timeout(Duration::from_millis(20));
            }
            feeder.flush(PATIENCE).unwrap();
        });
        for _ in 0..2 {
            let second = second.again();
            let two = second.start_ready();
            let owned = |case: &Case| case.metric("credence_assigned_partitions");
            wait_until("the partitions are shared", || owned(&first) == 2.0 && owned(&second) == 2.0);
            wait_until("both have work", || second.metric("credence_records_consumed_total") > 500.0);
            stop_cleanly(two);
            wait_until("the first has all partitions again", || owned(&first) == 4.0);
            assert_eq!(second.metric_with("credence_rebalances_total", "lost"), 0.0);
            assert_eq!(second.seen.lock().unwrap().strays, [0; 0]);
        }
        enough.store(true, Ordering::Relaxed);
    });
    let total = fed.load(Ordering::Relaxed);
    // Partitions that are given up are finished and committed first, so nothing is even repeated.
    let expected = Echoes { distinct: total, duplicates: 0 };
    assert_eq!(check_echoes(&read_echoes(&first, &first.config.topics.logs, total)), expected);
    assert_eq!(first.metric_with("credence_rebalances_total", "lost"), 0.0);
    assert!(first.metric_with("credence_rebalances_total", "revoke") >= 2.0);
    assert_eq!(first.metric("credence_foreign_records_total"), 0.0);
    stop_cleanly(one);
    assert_eq!(first.committed(4).values().sum::<i64>(), i64::try_from(total).unwrap());
    check_counts(&first, total, 97);
    let seen = first.seen.lock().unwrap();
    assert_eq!(seen.strays, [0; 0]);
    assert_eq!(seen.assigned.len(), seen.revoked.len());
}
