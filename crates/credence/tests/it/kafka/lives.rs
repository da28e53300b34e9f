//! Instances that stop and start again: their state survives on disk or in the changelog, and the answers are
//! those of an instance that never stopped.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sim::{Labelled, Role, Traffic, TrafficConfig};
use stream::feed::FeedRecord;

use super::{PARTITIONS, Stage, as_read, assert_end, assert_same, by_partition, take};
use crate::instance::{Instance, until};
use crate::lab::traffic;

const FOLDER: &str = "[state]\nfolder = \"state\"\n";

/// What one life of an instance leaves behind.
struct Life {
    /// Records of the changelog that were read.
    restored: f64,
    /// Profiles that were asked of the local state.
    on_disk: f64,
    log: String,
}

/// Runs an instance over the events `from..to`, until they are committed, and stops it in good order.
fn live(stage: &Stage, events: &[Labelled], from: usize, to: usize, sets: &[String]) -> Life {
    let logs = |to: usize| if to == 0 { 0 } else { stage.lab.score(&events[..to]).logs.len() };
    let logs = (logs(to) - logs(from)) as f64;
    stage.feeder().send_all(&events[from..to]);
    let mut instance = Instance::start(&stage.lab, sets);
    // Log records count when they are committed.
    let log_records = ["output=\"log\""];
    until("every log record is committed", || {
        (instance.metric("credence_records_produced_total", &log_records) >= logs).then_some(())
    });
    let on_disk = instance.metric("credence_state_lookups_on_disk", &[]);
    let restored = instance.metric("credence_restored_records_total", &[]);
    assert_eq!(instance.terminate().0, Some(0), "{:#?}", instance.log());
    Life { restored, on_disk, log: instance.log().join("\n") }
}

/// Verdicts and log records are those of `credence score` over all events.
fn assert_answers(stage: &Stage, events: &[Labelled]) {
    let wanted = stage.lab.score(events);
    for (topic, wanted) in [("verdicts", &wanted.verdicts), ("logs", &wanted.logs)] {
        let mut tail = stage.tail(topic);
        assert_same(topic, &as_read(take(&mut tail, wanted.len())), &by_partition(wanted));
        if topic == "verdicts" {
            assert_end(&mut tail);
        }
    }
}

/// Changes bytes in the middle of every file of some size.
fn garble(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            garble(&path);
        } else if path.file_name().is_none_or(|name| name != "instance") {
            let mut bytes = fs::read(&path).unwrap();
            let content = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let middle = content / 2;
            bytes.iter_mut().skip(middle).take(64.min(content - middle)).for_each(|byte| *byte ^= 0x5a);
            fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn an_instance_that_starts_again_answers_as_if_it_had_never_stopped() {
    let Some(kafka) = kafka_harness::shared() else { return };
    type Between = fn(&Path);
    // What becomes of the folder meanwhile; whether the changelog is read from its start; what the log says.
    let cases: [(&str, Between, bool, &str); 4] = [
        ("kept", |_| (), false, ""),
        ("lost", |folder| fs::remove_dir_all(folder).unwrap(), true, ""),
        ("garbled", garble, true, "is damaged"),
        (
            "older",
            |folder| {
                let path = folder.join("identity.json");
                let mut identity: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                identity["layout"] = json!(0);
                fs::write(&path, identity.to_string()).unwrap();
            },
            true,
            "has layout 0",
        ),
    ];
    let events: Vec<Labelled> = traffic(21, 3_000).collect();
    let half = events.len() / 2;
    for (name, between, anew, says) in cases {
        let stage = Stage::new(kafka, name, FOLDER);
        let before = live(&stage, &events, 0, half, &[]);
        assert_eq!(before.restored, 0.0, "{name}: there was nothing to restore");
        between(&stage.lab.path("state"));
        let after = live(&stage, &events, half, events.len(), &[]);
        if anew {
            assert!(after.restored > 400.0, "{name}: {} records for 500 users and more", after.restored);
        } else {
            assert_eq!(after.restored, 0.0, "{name}: the local copy had everything");
        }
        assert!(after.log.contains(says), "{name}: {}", after.log);
        assert_answers(&stage, &events);
    }
}

#[test]
fn a_completion_and_a_repetition_find_their_attempt_after_a_restart() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "apart", FOLDER);
    let events: Vec<Labelled> = traffic(22, 2_000).collect();
    let first = |role: Role, from: usize| from + events[from..].iter().position(|event| event.role == role).unwrap();
    // A restart before each, so that the attempt was another life's.
    let completion = first(Role::Completion, 500);
    let duplicate = first(Role::Duplicate, completion + 1);
    let mut from = 0;
    for to in [completion, duplicate, events.len()] {
        live(&stage, &events, from, to, &[]);
        from = to;
    }
    assert_answers(&stage, &events);
    let id = format!("\"event_id\":\"{}\"", events[duplicate].event_id);
    let wanted = stage.lab.score(&events).verdicts;
    let verdicts = take(&mut stage.tail("verdicts"), wanted.len());
    let texts = verdicts.iter().map(|record| std::str::from_utf8(record.payload.as_deref().unwrap()).unwrap());
    let of_both: Vec<&str> = texts.filter(|text| text.contains(&id)).collect();
    assert!(of_both.len() >= 2 && of_both.iter().all(|text| *text == of_both[0]), "{of_both:#?}");
}

#[test]
fn a_small_budget_gives_the_same_answers() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "budget", FOLDER);
    let config = TrafficConfig { seed: 23, logins: 90_000, users: 60_000, ..TrafficConfig::default() };
    let events: Vec<Labelled> = Traffic::new(config).unwrap().collect();
    let life = live(&stage, &events, 0, events.len(), &["state.memory_bytes=16777216".to_owned()]);
    // The first login of each user asks in vain; what is more was put out of memory and found again.
    assert!(life.on_disk > 61_000.0, "{} lookups: everybody was in memory", life.on_disk);
    assert_answers(&stage, &events);
}

/// The key of a stored record.
fn state_key(parts: impl serde::Serialize) -> Vec<u8> {
    rmp_serde::to_vec(&parts).unwrap()
}

#[test]
fn records_of_the_changelog_that_cannot_be_read_hold_up_nobody_else() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "garbage", FOLDER);
    let events: Vec<Labelled> = traffic(24, 2_000).collect();
    let half = events.len() / 2;
    live(&stage, &events, 0, half, &[]);
    let broken = state_key(("broken.example", "auth0|broken"));
    let garbage: [(&[u8], Option<&[u8]>); 6] = [
        (b"\0zero", Some(b"x")),
        (b"", Some(b"x")),
        (b"no key of ours", Some(b"x")),
        (&[0xc1; 300], Some(&[0xff; 3_000])),
        (&broken, Some(b"\x01 not a profile")),
        (b"\0gone", None),
    ];
    let feeder = stream::feed::Feeder::new(&stage.connection).unwrap();
    for partition in 0..PARTITIONS {
        for (key, payload) in garbage {
            let topic = stage.topic("profiles");
            let record = FeedRecord { key: Some(key), payload, partition: Some(partition), ..FeedRecord::default() };
            feeder.send(FeedRecord { topic: &topic, ..record }).unwrap();
        }
    }
    feeder.flush(crate::instance::PATIENCE).unwrap();
    fs::remove_dir_all(stage.lab.path("state")).unwrap();

    let life = live(&stage, &events, half, events.len(), &[]);
    assert!(life.log.contains("left out records of the changelog"), "{}", life.log);
    assert_answers(&stage, &events);

    // The user whose profile is garbage is answered as unknown to the program, not as a newcomer.
    let mut instance = Instance::start(&stage.lab, &[]);
    let event = json!({
        "id": "broken-1", "time": 1_767_600_000_000_u64, "tenant": {"id": "broken.example"},
        "user": {"user_id": "auth0|broken"}, "request": {"ip": "192.0.2.1", "user_agent": "x"}
    });
    let (key, payload) = (b"broken.example/auth0|broken", event.to_string());
    let events = stage.feeder();
    events.send_raw(FeedRecord { key: Some(key), payload: Some(payload.as_bytes()), ..FeedRecord::default() });
    events.flush();
    until("the profile was found to be unreadable", || {
        (instance.metric("credence_corrupt_profiles", &[]) == 1.0).then_some(())
    });
    assert_eq!(instance.metric("credence_assessments_total", &["NewDevice", "assessment_not_available"]), 1.0);
    assert_eq!(instance.terminate().0, Some(0));
}

#[test]
fn data_versions_that_cannot_be_read_end_the_instance_with_their_name() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "versions", FOLDER);
    let mut key = vec![0x92];
    key.extend(state_key("data_versions"));
    key.extend([0xce, 0, 0, 0, 77]);
    let feeder = stream::feed::Feeder::new(&stage.connection).unwrap();
    let topic = stage.topic("profiles");
    let (key, payload) = (Some(&key[..]), Some(&b"\xffgarbage"[..]));
    feeder.send(FeedRecord { topic: &topic, key, payload, partition: Some(1), ..FeedRecord::default() }).unwrap();
    feeder.flush(crate::instance::PATIENCE).unwrap();
    let mut instance = Instance::spawn(&stage.lab, &[]);
    let status = until("the instance ends", || instance.exited());
    assert_eq!(status.code(), Some(1));
    let named = |line: &String| line.contains("ERROR") && line.contains("data_versions") && line.contains("77");
    until("its log says why", || instance.log().iter().any(named).then_some(()));
}
