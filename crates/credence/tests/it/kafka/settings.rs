//! Settings of tenants: set over the API, in force in the stream, logged, and kept over a restart.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use stream::feed::FeedRecord;
use stream::tail::Tail;

use super::{Events, Stage, take};
use crate::instance::{Instance, until};

/// Whoever shows it may do everything for its tenant.
const TOKEN: &str = "a-token-for-tests";

/// A call of the API: status, headers, and the JSON that came back.
fn call(address: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> (u16, String, Value) {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let body = body.map(Value::to_string).unwrap_or_default();
    let kind = if body.is_empty() { String::new() } else { "Content-Type: application/json\r\n".to_owned() };
    write!(
        connection,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n{kind}Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default())
}

/// A login of a user without a second factor, with an e-mail address; a stranger's device each time but the first's.
fn login(events: &Events, verdicts: &mut Tail, id: &str, cookie: &str, minute: u32) -> Value {
    let event = json!({
        "id": id, "time": 1_767_600_000_000_i64 + i64::from(minute) * 60_000, "tenant": {"id": "acme.example"},
        "user": {"user_id": "u1", "email": "u1@example.com"},
        "request": {"ip": "2001:db8:ffff::7", "user_agent": format!("Example/{cookie}")}, "device": {"id": cookie}
    });
    let payload = event.to_string();
    let key = Some(&b"acme.example/u1"[..]);
    events.send_raw(FeedRecord { key, payload: Some(payload.as_bytes()), ..FeedRecord::default() });
    events.flush();
    let answer = take(verdicts, 1).remove(0);
    let verdict: Value = serde_json::from_slice(&answer.payload.unwrap()).unwrap();
    assert_eq!(verdict["event_id"], id);
    verdict
}

fn decision(verdict: &Value) -> (&str, &str) {
    (verdict["decision"]["action"].as_str().unwrap(), verdict["decision"]["reason"].as_str().unwrap())
}

/// The position is in force when every partition has committed it.
fn taken_up(instance: &mut Instance, events: &Events, verdicts: &mut Tail, want: &str, from: &mut u32) -> Value {
    let mut tries = 0;
    until("an answer by the new settings", || {
        tries += 1;
        *from += 1;
        let verdict = login(events, verdicts, &format!("try-{want}-{tries}"), "c1", *from);
        (decision(&verdict).1 == want).then_some(verdict)
    });
    assert!(instance.exited().is_none());
    *from += 1;
    login(events, verdicts, &format!("settled-{want}"), "c1", *from)
}

#[test]
fn settings_are_set_over_the_api_and_in_force_in_the_stream() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let scopes = admin::auth::SCOPES.join(" ");
    let more = format!(
        "[api]\ntokens = [{{ name = \"tests\", sha256 = \"{}\", tenant = \"acme.example\", scopes = \"{scopes}\" }}]\n",
        sha256(TOKEN)
    );
    let stage = Stage::new(kafka, "settings", &more);
    let mut instance = Instance::start(&stage.lab, &[]);
    let address = instance.address().unwrap();
    let (events, mut verdicts, mut logs) = (stage.feeder(), stage.tail("verdicts"), stage.tail("logs"));
    let mut minute = 0;
    let document = "/v1/tenants/acme.example/settings";

    // Before there is a document.
    let first = login(&events, &mut verdicts, "first", "c1", minute);
    assert_eq!(decision(&first).1, "confidence_not_low");
    assert_eq!(call(address, "GET", document, None).0, 404);
    assert_eq!(call(address, "GET", "/api/v2/guardian/policies", None).2, json!(["confidence-score"]));

    // The reference's call; read back at once, in force a moment later, and named in the verdict.
    let (status, _, answer) = call(address, "PUT", "/api/v2/guardian/policies", Some(&json!(["all-applications"])));
    assert_eq!((status, answer), (200, json!(["all-applications"])));
    assert_eq!(call(address, "GET", "/api/v2/guardian/policies", None).2, json!(["all-applications"]));
    let by_policy = taken_up(&mut instance, &events, &mut verdicts, "policy_always", &mut minute);
    assert_eq!(decision(&by_policy), ("enroll", "policy_always"));
    assert_ne!(by_policy["data_versions"]["settings"], first["data_versions"]["settings"]);

    // The whole document, conditional on what is there.
    let (_, head, stored) = call(address, "GET", document, None);
    assert_eq!(stored, json!({ "mfa_policy": "all-applications" }));
    assert!(head.contains("etag: "), "{head}");
    let rule = json!({ "name": "no one", "when": "event.user.user_id == 'u1'", "then": "deny", "message": "Closed." });
    let wrong = json!({ "rules": [{ "name": "x", "when": "event.nothing", "then": "deny" }] });
    let (status, _, problems) = call(address, "PUT", document, Some(&wrong));
    assert_eq!((status, &problems["problems"][0]["path"]), (400, &json!("rules[0].when")), "{problems}");
    let new = json!({ "mfa_policy": "never", "risk_assessment": { "enabled": true }, "rules": [rule] });
    assert_eq!(call(address, "PUT", &format!("{document}?dry_run=true"), Some(&new)).0, 200);
    assert_eq!(call(address, "GET", document, None).2, stored, "a dry run stores nothing");
    assert_eq!(call(address, "PUT", document, Some(&new)).0, 200);
    let by_rule = taken_up(&mut instance, &events, &mut verdicts, "rule", &mut minute);
    assert_eq!(
        by_rule["decision"],
        json!({ "action": "deny", "reason": "rule", "rule": "no one", "message": "Closed." })
    );
    let versions = by_rule["data_versions"]["settings"].clone();

    // What was answered is answered again after a restart, and settings are what they were.
    assert_eq!(instance.terminate().0, Some(0));
    let mut instance = Instance::start(&stage.lab, &[]);
    let address = instance.address().unwrap();
    let again = login(&events, &mut verdicts, "settled-rule", "c1", minute);
    assert_eq!(again, by_rule);
    minute += 1;
    let next = login(&events, &mut verdicts, "next", "c1", minute);
    assert_eq!((&next["data_versions"]["settings"], decision(&next)), (&versions, ("deny", "rule")));
    assert_eq!(call(address, "GET", document, None).2, new);

    // Without a document the deployment's settings are in force again.
    assert_eq!(call(address, "DELETE", document, None).0, 204);
    let without = taken_up(&mut instance, &events, &mut verdicts, "confidence_not_low", &mut minute);
    assert_eq!(without["data_versions"], first["data_versions"]);
    assert_eq!(device_code(&without), "match");

    // Devices are forgotten by whoever has the user's partition.
    let clear = json!({ "connection": "Users", "assessors": ["new-device"] });
    let (status, ..) = call(address, "POST", "/api/v2/users/u1/risk-assessments/clear", Some(&clear));
    assert_eq!(status, 204);
    minute += 1;
    let cleared = login(&events, &mut verdicts, "cleared", "c1", minute);
    assert_eq!(device_code(&cleared), "no_device_history");
    assert_eq!(instance.terminate().0, Some(0));

    // Each change has its record.
    let mut kinds = Vec::new();
    while let Some(record) = logs.next(Duration::from_millis(500)).unwrap() {
        let record: Value = serde_json::from_slice(&record.payload.unwrap()).unwrap();
        if record["data"]["type"] == "sapi" {
            let request = &record["data"]["details"]["request"];
            assert_eq!(
                (&record["data"]["tenant_name"], &record["data"]["client_name"]),
                (&json!("acme.example"), &json!("tests"))
            );
            kinds.push(format!("{} {}", request["method"].as_str().unwrap(), request["path"].as_str().unwrap()));
        }
    }
    kinds.sort();
    let wanted = [
        format!("delete {document}"),
        "post /api/v2/users/u1/risk-assessments/clear".to_owned(),
        "put /api/v2/guardian/policies".to_owned(),
        format!("put {document}"),
    ];
    assert_eq!(kinds, wanted);
}

fn device_code(verdict: &Value) -> &str {
    verdict["risk_assessment"]["assessments"]["NewDevice"]["code"].as_str().unwrap()
}

#[test]
fn a_document_that_is_wrong_leaves_the_last_good_one_in_force() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "settings-wrong", "");
    let topic = stage.topic("settings");
    let feeder = stage.feeder();
    let write = |document: &[u8]| {
        let record =
            FeedRecord { topic: &topic, key: Some(b"acme.example"), payload: Some(document), ..FeedRecord::default() };
        feeder.feeder.send(record).unwrap();
        feeder.flush();
    };
    // What is there before the first start is in force from the first login on.
    write(br#"{"mfa_policy": "never"}"#);
    let mut instance = Instance::start(&stage.lab, &[]);
    let mut verdicts = stage.tail("verdicts");
    let first = login(&feeder, &mut verdicts, "first", "c1", 0);
    assert_eq!(decision(&first), ("none", "policy_never"));
    write(br#"{"mfa_policy": "sometimes"}"#);
    until("a refused document", || {
        (instance.metric("credence_settings_records_total", &["result=\"refused\""]) == 1.0).then_some(())
    });
    until("a log line about it", || {
        let told = |line: &String| line.contains("the last good ones stay in force") && line.contains("mfa_policy");
        instance.log().iter().any(told).then_some(())
    });
    let second = login(&feeder, &mut verdicts, "second", "c1", 1);
    assert_eq!((decision(&second), &second["data_versions"]), (("none", "policy_never"), &first["data_versions"]));
    assert_eq!(instance.terminate().0, Some(0));
}

fn sha256(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
