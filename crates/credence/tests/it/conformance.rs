//! The project's own conformance suite: the folders of `conformance/`, run through `credence score`.

use std::fs;
use std::path::{Path, PathBuf};

use mmdb_writer::Writer;
use serde_json::{Value, json};

use crate::program::{credence, run};

#[test]
fn every_folder_is_answered_as_expected() {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance");
    let mut folders: Vec<PathBuf> = fs::read_dir(&suite).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(folders.len() >= 4, "the suite is gone from {}", suite.display());
    for folder in folders {
        check(&folder);
    }
}

/// Runs one folder and compares everything that it answers.
fn check(folder: &Path) {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let room = prepare(folder, &name);
    let args = fs::read_to_string(folder.join("args")).unwrap();
    let events = fs::read(folder.join("events.jsonl")).unwrap();
    let ran = run(
        credence(&room).arg("score").args(args.lines()).args(["--logs", "logs.jsonl", "--dead", "dead.jsonl"]),
        &events,
    );
    let dead = lines(&room.join("dead.jsonl"));
    assert_eq!(ran.status, Some(if dead.is_empty() { 0 } else { 2 }), "{name}: {}", ran.stderr);

    let verdicts: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!verdicts.is_empty(), "{name} asks nothing");
    let verdicts = verdicts.into_iter().map(without_versions).collect();
    compare(&name, "verdict", verdicts, &folder.join("expected-verdicts.jsonl"));
    let logs = lines(&room.join("logs.jsonl")).into_iter().map(essence_of_log).collect();
    compare(&name, "log record", logs, &folder.join("expected-logs.jsonl"));
    let dead = dead.into_iter().map(|line| json!({ "line": line["line"], "reason": line["reason"] })).collect();
    compare(&name, "dead line", dead, &folder.join("expected-dead.jsonl"));
}

/// Copies a folder's files to a room of the test's own and makes the databases there.
pub(crate) fn prepare(folder: &Path, name: &str) -> PathBuf {
    let room = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance").join(name);
    if room.exists() {
        fs::remove_dir_all(&room).unwrap();
    }
    fs::create_dir_all(&room).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => {
                fs::write(room.join(path.with_extension("mmdb").file_name().unwrap()), database(&path)).unwrap()
            }
            Some("txt") => drop(fs::copy(&path, room.join(path.file_name().unwrap())).unwrap()),
            _ => {}
        }
    }
    room
}

/// A database in MaxMind's format of a description: `{"type": ..., "networks": {NETWORK: RECORD, ...}}`.
fn database(path: &Path) -> Vec<u8> {
    let description: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut writer = Writer::new(description["type"].as_str().unwrap());
    for (network, record) in description["networks"].as_object().unwrap() {
        writer.insert_value(network.parse::<ipnet::IpNet>().unwrap(), value(record)).unwrap();
    }
    writer.to_bytes().unwrap()
}

fn value(json: &Value) -> mmdb_writer::Value {
    use mmdb_writer::Value as Mm;
    match json {
        Value::Bool(flag) => Mm::Bool(*flag),
        Value::Number(number) => match number.as_u64() {
            Some(whole) => Mm::U32(u32::try_from(whole).unwrap()),
            None => Mm::Double(number.as_f64().unwrap()),
        },
        Value::String(text) => Mm::String(text.clone()),
        Value::Array(items) => Mm::Array(items.iter().map(value).collect()),
        Value::Object(fields) => Mm::Map(fields.iter().map(|(key, field)| (key.clone(), value(field))).collect()),
        Value::Null => panic!("a database has no null"),
    }
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn without_versions(mut verdict: Value) -> Value {
    verdict.as_object_mut().unwrap().remove("data_versions").unwrap();
    verdict
}

/// What a log record says about the login; whole records of every type are snapshots of the engine's tests.
fn essence_of_log(log: Value) -> Value {
    let data = &log["data"];
    json!({
        "event_id": data["details"]["event_id"],
        "type": data["type"],
        "date": data["date"],
        "risk_assessment": data["details"]["riskAssessment"],
    })
}

fn compare(folder: &str, what: &str, got: Vec<Value>, expected: &Path) {
    let expected = lines(expected);
    for (number, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert_eq!(got, expected, "{folder}: {what} {}", number + 1);
    }
    assert_eq!(got.len(), expected.len(), "{folder}: number of {what}s");
}
