//! Settings of tenants without Kafka: `score --settings`, `check --settings`, `backtest`.

use std::fs;

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::program;

/// A login; `more` is merged into its top level.
fn event(id: &str, tenant: &str, minute: u32, more: &Value) -> String {
    let mut event = json!({
        "id": id, "time": format!("2026-01-05T08:{minute:02}:00Z"), "tenant": {"id": tenant},
        "user": {"user_id": "u1", "email": "u1@example.com"},
        "request": {"ip": "2001:db8:ffff::7", "user_agent": "Example/1"}, "device": {"id": "c1"}
    });
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event.to_string()
}

fn lines(events: &[String]) -> Vec<u8> {
    events.iter().flat_map(|event| [event.as_bytes(), b"\n"]).flatten().copied().collect()
}

fn values(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const STRANGER: &str = r#"{"device": {"id": "c9"}, "request": {"ip": "10.0.0.1", "user_agent": "Other/1"}}"#;

/// A user's first login, then a stranger's, at two tenants.
fn history() -> Vec<String> {
    let stranger: Value = serde_json::from_str(STRANGER).unwrap();
    let mut events = Vec::new();
    for tenant in ["a.example", "b.example"] {
        events.push(event("first", tenant, 0, &json!({})));
        events.push(event("stranger", tenant, 10, &stranger));
        events.push(event("again", tenant, 20, &json!({})));
    }
    events
}

#[test]
fn each_tenant_has_its_settings() {
    let lab = Lab::new("");
    let settings = lab.path("settings.json");
    let documents = json!([
        { "tenant": "a.example", "mfa_policy": "confidence-score" },
        { "tenant": "b.example", "mfa_policy": "all-applications", "scoring": { "device.remember_for_days": 1 } }
    ]);
    fs::write(&settings, documents.to_string()).unwrap();
    let logs = lab.path("logs.jsonl");
    let mut command = lab.command(&["score"], &[]);
    command.arg("--settings").arg(&settings).arg("--logs").arg(&logs);
    let ran = program::run(&mut command, &lines(&history()));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let verdicts = values(&ran.stdout);
    let decisions: Vec<_> =
        verdicts.iter().map(|verdict| (&verdict["tenant"], &verdict["decision"]["action"])).collect();
    let (a, b) = (json!("a.example"), json!("b.example"));
    let (none, email, enroll) = (json!("none"), json!("email_challenge"), json!("enroll"));
    let wanted = [(&a, &none), (&a, &email), (&a, &none), (&b, &enroll), (&b, &enroll), (&b, &enroll)];
    assert_eq!(decisions, wanted, "{}", ran.stdout);
    let versions: Vec<_> = verdicts.iter().map(|verdict| &verdict["data_versions"]["settings"]).collect();
    assert_eq!((versions[0], versions[3]), (versions[2], versions[5]));
    assert_ne!(versions[0], versions[3]);
    let types: Vec<Value> =
        values(&fs::read_to_string(logs).unwrap()).iter().map(|log| log["data"]["type"].clone()).collect();
    assert_eq!(types, ["s", "mfar", "s", "mfar", "mfar", "mfar"].map(Value::from));
}

#[test]
fn everything_wrong_with_the_documents_is_told_at_once() {
    let lab = Lab::new("");
    let settings = lab.path("settings.jsonl");
    let documents = [
        json!({ "tenant": "a.example", "mfa_policy": "sometimes" }),
        json!({ "mfa_policy": "never" }),
        json!({ "tenant": "c.example", "rules": [{ "name": "r", "when": "event.user.emial != ''", "then": "deny" }] }),
        json!({ "tenant": "a.example" }),
    ];
    fs::write(&settings, documents.map(|document| document.to_string()).join("\n")).unwrap();
    for command in ["score", "check"] {
        let mut command = lab.command(&[command], &[]);
        command.arg("--settings").arg(&settings);
        let ran = program::run(&mut command, b"");
        assert_eq!((ran.status, ran.stdout.lines().any(|line| line.contains("in order"))), (Some(1), false));
        for told in [
            "document 1 (tenant \"a.example\"): mfa_policy = \"sometimes\"",
            "document 2: `tenant` must name its tenant",
            "document 3 (tenant \"c.example\"): rules[0].when = ",
            "the nearest known one is \"email\"",
            "document 4 (tenant \"a.example\"): there is one of this tenant before it",
        ] {
            assert!(ran.stderr.contains(told), "{told}\n{}", ran.stderr);
        }
    }
}

#[test]
fn a_backtest_tells_what_would_have_changed() {
    let lab = Lab::new("");
    let (before, after) = (lab.path("before.json"), lab.path("after.json"));
    fs::write(&before, json!({ "tenant": "a.example", "mfa_policy": "confidence-score" }).to_string()).unwrap();
    let rule = json!({ "name": "everybody", "when": "event.device.id == 'c1'", "then": "challenge" });
    let changed = json!({ "tenant": "a.example", "mfa_policy": "never", "rules": [rule] });
    fs::write(&after, changed.to_string()).unwrap();
    let input = lab.path("events.jsonl");
    fs::write(&input, lines(&history())).unwrap();
    let backtest = |more: &[&str]| {
        let mut command = lab.command(&["backtest"], &[]);
        command.arg("--settings").arg(&before).arg("--settings").arg(&after).args(more).arg(&input);
        let ran = program::run(&mut command, b"");
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        ran.stdout
    };
    let result: Value = serde_json::from_str(&backtest(&["--json"])).unwrap();
    assert_eq!((&result["events"], &result["total"]["logins"]), (&json!(6), &json!(6)));
    // At a.example the stranger is no longer asked, and the user is, twice; nothing changes at b.example.
    let row = |row: &Value| {
        [&row["logins"], &row["prompts"]["before"], &row["prompts"]["after"], &row["new"], &row["gone"]]
            .map(Value::clone)
    };
    assert_eq!(row(&result["by_tenant"]["a.example"]), [3, 1, 2, 2, 1].map(Value::from));
    assert_eq!(row(&result["by_tenant"]["b.example"]), [3, 1, 1, 0, 0].map(Value::from));
    assert_eq!(result["total"]["prompts_per_1000"]["before"].as_f64().map(f64::round), Some(333.0));
    assert_eq!(result["by_rule"], json!({ "everybody": { "before": 0, "after": 2 } }));
    assert_eq!(result["users"], json!({ "new": ["a.example u1"], "gone": ["a.example u1"] }));
    let moves: Vec<String> = result["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| format!("{} {} {}", change["from"], change["to"], change["logins"]))
        .collect();
    assert_eq!(moves, ["\"email_challenge\" \"none\" 1", "\"none\" \"enroll\" 2"]);
    assert_eq!(result["examples"].as_array().unwrap().len(), 3);
    let text = backtest(&["--examples", "1"]);
    for told in
        ["6 scored logins", "a.example", "everybody", "none -> enroll", "NewDevice.initial_login", "(policy_never)"]
    {
        assert!(text.contains(told), "{told}\n{text}");
    }
    // The same settings twice change nothing.
    let mut command = lab.command(&["backtest"], &[]);
    command.arg("--settings").arg(&after).arg("--settings").arg(&after).arg(&input);
    assert!(program::run(&mut command, b"").stdout.contains("No login would have been decided differently."));
}
