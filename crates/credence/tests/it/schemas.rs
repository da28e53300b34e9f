//! The published schemas: they are those of the types, and what is written and documented is valid by them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use credence::schemas::documents;
use jsonschema::Validator;
use model::log_record::LogType;
use serde_json::{Value, json};

use crate::lab::{Lab, Scored, traffic};

/// The folder of the whole project.
fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

/// The validator of one of our own documents.
fn published(name: &str) -> Validator {
    let document = documents().into_iter().find(|document| document.name == name).unwrap();
    validator(&serde_json::from_str(&document.text).unwrap())
}

fn assert_valid(validator: &Validator, value: &Value, what: &str) {
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what} is not valid: {errors:#?}\n{value:#}");
}

fn parsed(lines: &[Vec<u8>]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[test]
fn the_folder_schemas_holds_what_the_types_say() {
    let folder = project().join("schemas");
    let mut there: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    for document in documents() {
        let text = fs::read_to_string(folder.join(document.name)).unwrap_or_default();
        assert!(
            text == document.text,
            "schemas/{} is not what the types say; write it anew with `cargo run -- schema --out schemas`",
            document.name
        );
        there.remove(document.name);
    }
    assert!(there.is_empty(), "files of no document: {there:?}");
}

#[test]
fn every_reference_of_the_asyncapi_document_leads_somewhere() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let documents = documents();
    let text = &documents.iter().find(|document| document.name == "asyncapi.json").unwrap().text;
    let document: Value = serde_json::from_str(text).unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 10, "{found:?}");
    for reference in found {
        let leads = match reference.strip_prefix('#') {
            Some(pointer) => document.pointer(pointer).is_some(),
            None => documents.iter().any(|document| reference == format!("./{}", document.name)),
        };
        assert!(leads, "{reference} leads nowhere");
    }
    for (topic, channel) in [
        ("login-events", "events"),
        ("login-verdicts", "verdicts"),
        ("tenant-logs", "logs"),
        ("credence-profiles", "profiles"),
        ("login-events-dead", "dead"),
        ("tenant-settings", "settings"),
    ] {
        assert_eq!(document["channels"][channel]["address"], topic);
    }
}

/// Made-up traffic, and events that it has not: as little as possible, as odd as possible.
fn answers() -> Scored {
    let lab = Lab::new("[confidence.NewDevice]\ninitial_login = \"neutral\"\n");
    let mut input = Vec::new();
    for event in traffic(11, 4_000) {
        input.extend_from_slice(&event.event);
        input.push(b'\n');
    }
    let odd = [
        json!({}),
        // All three assessors have nothing to say.
        json!({"request": {"ip": "10.0.0.1", "user_agent": "x"}}),
        json!({"request": {"ip": "1.2.3.4:443"}, "authentication": {"methods": [{}, {"name": "pwd", "timestamp": 1}]}}),
        json!({"request": {"ip": "::ffff:192.0.2.1", "user_agent": "\u{1f600}".repeat(3_000), "hostname": "\u{0}"}}),
        json!({"request": {"ip": "192.0.2.1", "geoip": {"latitude": 1e300, "longitude": 7, "countryCode": "DE"}}}),
        json!({"request": {"ip": 7}, "connection": {"strategy": "waad", "name": [], "id": "c"}, "client": null}),
        json!({"organization": {"id": "o", "name": "n"}, "stats": {"logins_count": -3}, "device": {"id": "d"}}),
        json!({"outcome": "failed_password"}),
        json!({"outcome": "failed_username", "user": null}),
        json!({"outcome": "failed_mfa", "stage": "completion", "error": {"code": "e"}}),
        json!({"outcome": "failed_other", "error": {"message": "m".repeat(5_000)}}),
        json!({"stage": "completion"}),
    ];
    for (number, fields) in odd.into_iter().enumerate() {
        let mut event = json!({
            "id": format!("odd-{number}"), "time": 1_767_600_000_000u64 + number as u64,
            "tenant": {"id": "odd.example"}, "user": {"user_id": format!("odd|{number}")}
        });
        event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        input.extend_from_slice(event.to_string().as_bytes());
        input.push(b'\n');
    }
    lab.score_lines(&input)
}

#[test]
fn verdicts_and_log_records_of_all_kinds_are_valid() {
    let scored = answers();
    let mut confidences: BTreeMap<String, usize> = BTreeMap::new();
    let mut codes: BTreeSet<String> = BTreeSet::new();
    let schema = published("verdict.schema.json");
    for verdict in parsed(&scored.verdicts) {
        assert_valid(&schema, &verdict, "a verdict");
        let risk = &verdict["risk_assessment"];
        *confidences.entry(risk["confidence"].as_str().unwrap().to_owned()).or_default() += 1;
        for (assessor, assessment) in risk["assessments"].as_object().unwrap() {
            codes.insert(format!("{assessor}.{}", assessment["code"].as_str().unwrap()));
        }
    }
    assert_eq!(confidences.keys().collect::<Vec<_>>(), ["high", "low", "medium", "neutral"], "{confidences:?}");
    // Made-up traffic has to have most of them; that each can be reached is tested where they are made.
    assert!(codes.len() >= 16, "{codes:?}");

    let ours = published("tenant-log.schema.json");
    let text = include_str!("reference/log-records.schema.json");
    let reference: Value = serde_json::from_str(text).unwrap();
    let of_type = |kind: &LogType| {
        let mut schema = reference.clone();
        schema["$ref"] = json!(format!("#/$defs/{}", kind.as_str()));
        (kind.as_str(), validator(&schema))
    };
    let theirs: BTreeMap<&str, Validator> = LogType::ALL.iter().map(of_type).collect();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for record in parsed(&scored.logs) {
        assert_valid(&ours, &record, "a log record");
        let kind = record["data"]["type"].as_str().unwrap();
        assert_valid(&theirs[kind], &record["data"], "a log record, by what readers of the reference rely on,");
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["f", "fp", "fu", "mfar", "s"], "{kinds:?}");
}

#[test]
fn the_schema_of_login_events_takes_what_is_read_and_no_less() {
    let schema = published("login-event.schema.json");
    for event in traffic(12, 500) {
        assert_valid(&schema, &serde_json::from_slice(&event.event).unwrap(), "an event");
    }
    let event = json!({"id": "1", "time": "2026-01-05T08:00:00Z", "tenant": {"id": "t"}, "user": {"user_id": "u"}});
    assert_valid(&schema, &event, "a small event");
    for field in ["id", "time", "tenant", "user"] {
        let mut without = event.clone();
        without.as_object_mut().unwrap().remove(field);
        assert!(!schema.is_valid(&without), "valid without `{field}`");
    }
    for (changes, valid) in [
        (json!({"user": {"user_id": null}}), false),
        (json!({"user": {}, "outcome": "success"}), false),
        (json!({"user": null, "outcome": "failed_username"}), true),
        (json!({"user": {"user_id": ""}}), false),
        (json!({"outcome": null, "stage": null, "request": null}), true),
        (json!({"outcome": "maybe"}), false),
        (json!({"tenant": {}}), false),
        (json!({"time": 1_767_600_000_000u64, "anything": [1]}), true),
        (json!({"time": 7}), false),
        (json!({"id": "i".repeat(257)}), false),
    ] {
        let mut changed = event.clone();
        changed.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        assert_eq!(schema.is_valid(&changed), valid, "{changed}");
    }
}

/// Code blocks of a document that begin with ```` ```json NAME ````.
fn samples(text: &str) -> Vec<(&str, String)> {
    let mut samples = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.trim_start().strip_prefix("```json ") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            samples.push((name.trim(), block.join("\n")));
        }
    }
    samples
}

#[test]
fn samples_in_the_documents_are_valid() {
    let mut seen = BTreeSet::new();
    for name in ["README.md", "ARCHITECTURE.md", "schemas/README.md", "deploy/README.md"] {
        let Ok(text) = fs::read_to_string(project().join(name)) else { continue };
        for (kind, sample) in samples(&text) {
            let schema = published(&format!("{kind}.schema.json"));
            let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&sample).into_iter().collect();
            for value in values.unwrap_or_else(|error| panic!("{name}: a sample is not JSON: {error}\n{sample}")) {
                assert_valid(&schema, &value, &format!("a sample in {name}"));
            }
            seen.insert((name, kind.to_owned()));
        }
    }
    for kind in ["login-event", "verdict", "tenant-log"] {
        assert!(seen.contains(&("README.md", kind.to_owned())), "README.md has no block ```json {kind}");
    }
}
