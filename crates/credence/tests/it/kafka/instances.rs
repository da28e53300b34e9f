//! Instances that come, leave, stop and crash while events flow. Nothing is lost, and what was under way in a
//! crash may be answered twice: these tests count answers, `delivery` and `lives` compare them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use sim::{Labelled, Role};

use super::{PARTITIONS, Stage, assert_end, await_answers, take};
use crate::instance::{Instance, PATIENCE, until};
use crate::lab::{Wanted, traffic};

/// An even flow of events.
const INTERVAL: Duration = Duration::from_micros(250);

#[test]
fn an_instance_joins_and_another_leaves_while_events_flow() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "rebalance", "");
    let (feeder, mut verdicts) = (stage.feeder(), stage.tail("verdicts"));
    let mut first = Instance::start(&stage.lab, &[]);
    let mut second: Option<Instance> = None;
    let mut wanted = Wanted::default();
    let mut failures = HashSet::new();
    let mut leaving = false;
    let begin = Instant::now();
    for (number, event) in (0u32..).zip(traffic(3, 1_000_000)) {
        feeder.send(&event);
        wanted.ask(&event);
        if event.role == Role::Failure {
            failures.insert(event.event_id.clone());
        }
        // Verdicts are read until the next event is due, which keeps the flow even.
        let due = begin + INTERVAL * number;
        while let Some(record) = verdicts.next(due.saturating_duration_since(Instant::now())).unwrap() {
            wanted.answer(&record.payload.unwrap());
        }
        assert!(begin.elapsed() < PATIENCE, "the instances took too long to come and leave");
        if number % 200 != 0 {
            continue;
        }
        let Some(joined) = &mut second else {
            if first.metric("credence_records_consumed_total", &[]) > 1_000.0 {
                second = Some(Instance::spawn(&stage.lab, &[]));
            }
            continue;
        };
        if !leaving && joined.metric("credence_records_consumed_total", &[]) > 500.0 {
            assert!(first.metric("credence_rebalances_total", &["event=\"revoke\""]) > 0.0);
            first.signal(Signal::TERM);
            leaving = true;
        }
        let all = f64::from(PARTITIONS);
        if first.exited().is_some() && joined.metric("credence_assigned_partitions", &[]) == all {
            break;
        }
    }
    feeder.flush();
    await_answers(&mut verdicts, &mut wanted);
    assert_eq!(first.exited().and_then(|status| status.code()), Some(0), "{:#?}", first.log());
    assert_eq!(second.unwrap().terminate().0, Some(0));

    // A failed try is logged whatever is known of the user.
    let mut logs = stage.tail("logs");
    while let Some(record) = logs.next(Duration::from_millis(500)).unwrap() {
        let log: Value = serde_json::from_slice(&record.payload.unwrap()).unwrap();
        failures.remove(log["data"]["details"]["event_id"].as_str().unwrap());
    }
    assert!(failures.is_empty(), "failed tries that were not logged: {failures:?}");
}

#[test]
fn sigterm_in_mid_stream_loses_and_repeats_nothing() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "stop", "");
    let events: Vec<Labelled> = traffic(4, 50_000).collect();
    stage.feeder().send_all(&events);
    let mut wanted = Wanted::of(&events);
    let all = stage.lab.score(&events).verdicts.len();
    let mut verdicts = stage.tail("verdicts");
    let mut read = 0;
    for _ in 0..2 {
        let mut instance = Instance::start(&stage.lab, &[]);
        for record in take(&mut verdicts, 1_000) {
            wanted.answer(&record.payload.unwrap());
        }
        let (status, took) = instance.terminate();
        assert_eq!(status, Some(0), "{:#?}", instance.log());
        assert!(took < Duration::from_secs(10), "longer than kafka.shutdown_deadline_seconds: {took:?}");
        read += 1_000;
    }
    assert!(wanted.open() > 0, "everything was answered before the stop: this has tested nothing");

    // Had an offset been committed ahead of its outputs, an event would now never be answered. Had it been
    // committed behind them, events would be answered again: a stop in good order repeats nothing.
    let mut instance = Instance::start(&stage.lab, &[]);
    read += await_answers(&mut verdicts, &mut wanted);
    assert_eq!(instance.terminate().0, Some(0));
    assert_end(&mut verdicts);
    assert_eq!(read, all, "verdicts, repeated ones among them");
}

#[test]
fn a_killed_instance_loses_nothing() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "kill", "");
    let events: Vec<Labelled> = traffic(5, 30_000).collect();
    stage.feeder().send_all(&events);
    let mut wanted = Wanted::of(&events);
    let mut verdicts = stage.tail("verdicts");
    let mut instance = Instance::start(&stage.lab, &[]);
    for record in take(&mut verdicts, 1_000) {
        wanted.answer(&record.payload.unwrap());
    }
    instance.signal(Signal::KILL);
    until("the end after SIGKILL", || instance.exited());
    assert!(wanted.open() > 0, "everything was answered before the kill: this has tested nothing");

    // The group waits for the dead member's session to end, 20 seconds.
    let mut instance = Instance::start(&stage.lab, &[]);
    await_answers(&mut verdicts, &mut wanted);
    assert_eq!(instance.terminate().0, Some(0));
}
