//! Lists and databases change while logins are scored.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};
use stream::feed::FeedRecord;
use stream::tail::Tail;

use super::{Events, Stage, take};
use crate::instance::{Instance, until};

const MORE: &str = r#"
[[data.deny_lists]]
name = "watched"
category = "abuse"
path = "watched.txt"
"#;

/// Asks about one login from 2001:db8:ffff::7: UntrustedIP's code, and the data versions that it was given with.
fn ask(feeder: &Events, verdicts: &mut Tail, id: &str) -> (String, Value) {
    let event = json!({
        "id": id, "time": "2026-01-05T08:00:00Z", "tenant": {"id": "north.example"},
        "user": {"user_id": id}, "request": {"ip": "2001:db8:ffff::7"}
    });
    let (key, event) = (format!("north.example/{id}"), event.to_string());
    feeder.send_raw(FeedRecord { key: Some(key.as_bytes()), payload: Some(event.as_bytes()), ..FeedRecord::default() });
    feeder.flush();
    let answer = take(verdicts, 1).remove(0);
    let verdict: Value = serde_json::from_slice(&answer.payload.unwrap()).unwrap();
    assert_eq!(verdict["event_id"], id);
    let code = verdict["risk_assessment"]["assessments"]["UntrustedIP"]["code"].as_str().unwrap();
    (code.to_owned(), verdict["data_versions"].clone())
}

#[test]
fn a_changed_list_is_taken_up_and_a_bad_one_is_not() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "reload", MORE);
    let list = stage.lab.path("watched.txt");
    fs::write(&list, "203.0.113.9\n").unwrap();
    let mut instance = Instance::start(&stage.lab, &["data.reload_seconds=1".to_owned()]);
    let (feeder, mut verdicts) = (stage.feeder(), stage.tail("verdicts"));
    let loads = |instance: &mut Instance, result: &str| {
        instance.metric("credence_data_loads_total", &[&format!("result=\"{result}\"")])
    };
    let entries = |instance: &mut Instance| instance.metric("credence_data_entries", &["source=\"watched\""]);

    let (code, at_start) = ask(&feeder, &mut verdicts, "one");
    assert_eq!(code, "not_found_on_deny_list");
    assert_eq!((loads(&mut instance, "success"), entries(&mut instance)), (1.0, 1.0));

    fs::write(&list, "203.0.113.9\n2001:db8:ffff::/48\n").unwrap();
    until("the changed list", || (entries(&mut instance) == 2.0).then_some(()));
    // It is in force from the next batch on, a tenth of a second later at most: asked until it is.
    let mut number = 0;
    let changed = until("an answer by the changed list", || {
        number += 1;
        let (code, versions) = ask(&feeder, &mut verdicts, &format!("two-{number}"));
        assert_eq!(code == "found_on_deny_list", versions != at_start, "the answer fits its data versions");
        (code == "found_on_deny_list").then_some(versions)
    });
    assert_eq!(instance.metric("credence_data_stale", &[]), 0.0);

    // What a server in trouble sends instead of a list.
    fs::write(&list, "<html><body>502 Bad Gateway</body></html>\n").unwrap();
    until("a load that failed", || (loads(&mut instance, "failure") > 0.0).then_some(()));
    assert_eq!((instance.metric("credence_data_stale", &[]), entries(&mut instance)), (1.0, 2.0));
    let path = list.display().to_string();
    until("a log line about the bad list", || {
        let told = |line: &String| line.contains("the old data stay in force") && line.contains(&path);
        instance.log().iter().any(told).then_some(())
    });
    assert_eq!(ask(&feeder, &mut verdicts, "three"), ("found_on_deny_list".to_owned(), changed));
    assert_eq!(instance.terminate().0, Some(0));
}

#[test]
fn sighup_loads_the_data_anew_at_once() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "sighup", MORE);
    let list = stage.lab.path("watched.txt");
    fs::write(&list, "203.0.113.9\n").unwrap();
    // Zero: only when asked.
    let mut instance = Instance::start(&stage.lab, &["data.reload_seconds=0".to_owned()]);
    let loads = |instance: &mut Instance, result: &str| {
        instance.metric("credence_data_loads_total", &[&format!("result=\"{result}\"")])
    };
    fs::remove_file(&list).unwrap();
    instance.signal(Signal::HUP);
    until("a load that failed", || (loads(&mut instance, "failure") == 1.0).then_some(()));
    assert_eq!(instance.metric("credence_data_stale", &[]), 1.0);

    fs::write(&list, "203.0.113.9\n2001:db8:ffff::7\n").unwrap();
    instance.signal(Signal::HUP);
    until("a load that succeeded", || (loads(&mut instance, "success") == 2.0).then_some(()));
    assert_eq!(instance.metric("credence_data_stale", &[]), 0.0);
    assert_eq!(instance.metric("credence_data_entries", &["source=\"watched\""]), 2.0);
    assert_eq!(instance.terminate().0, Some(0));
}
