//! `credence logs` on its command line, over files that `credence score --logs` wrote.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use credence::printable::is_hidden;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::conformance::prepare;
use crate::program::{Ran, credence, run};

/// A room with the log records of a folder of the conformance suite, in `logs.jsonl`.
fn room_of(folder: &str) -> PathBuf {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance").join(folder);
    // Tests run side by side.
    let test = std::thread::current().name().unwrap().replace("::", "-");
    let room = prepare(&suite, &format!("{test}-{folder}"));
    let args = fs::read_to_string(suite.join("args")).unwrap();
    let events = fs::read(suite.join("events.jsonl")).unwrap();
    let ran = run(credence(&room).arg("score").args(args.lines()).args(["--logs", "logs.jsonl"]), &events);
    assert!(matches!(ran.status, Some(0 | 2)), "{}", ran.stderr);
    room
}

fn logs(room: &Path, args: &[&str], input: &str) -> Ran {
    let mut command = credence(room);
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    run(command.arg("logs").args(args), input.as_bytes())
}

/// What a run that has to be without fault wrote.
fn shown(room: &Path, args: &[&str]) -> String {
    let ran = logs(room, args, "");
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{args:?}");
    ran.stdout
}

fn values(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A record with the least that a record has, and these fields of `data`.
fn record(id: &str, date: &str, data: Value) -> String {
    let mut record = json!({ "log_id": id, "data": { "type": "s", "date": date, "log_id": id } });
    record["data"].as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    record.to_string() + "\n"
}

fn log_id(room: &Path, args: &[&str]) -> String {
    let text = shown(room, &[&["--format", "json", "logs.jsonl"], args].concat());
    values(&text)[0]["log_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_login_is_a_line_in_each_format() {
    for (name, folder, args) in [
        ("text_travel", "travel", &["--code", "ImpossibleTravel.impossible_travel_from_last_login"][..]),
        ("text_addresses", "addresses", &["--code", "found_on_deny_list", "--action", "challenge"]),
        ("text_learning", "learning", &["--type", "mfar", "--type", "f", "--type", "fp", "--type", "fu"]),
        ("csv_learning", "learning", &["--format", "csv", "--limit", "12"]),
        ("csv_addresses", "addresses", &["--format", "csv", "--code", "UntrustedIP.found_on_deny_list"]),
    ] {
        let room = room_of(folder);
        insta::assert_snapshot!(name, shown(&room, &[args, &["logs.jsonl"]].concat()));
    }
}

#[test]
fn json_is_the_records_as_they_are() {
    let room = room_of("travel");
    let written = fs::read_to_string(room.join("logs.jsonl")).unwrap();
    assert_eq!(shown(&room, &["--format", "json", "logs.jsonl"]), written);
    // From standard input, by itself or between files.
    assert_eq!(logs(&room, &["--format", "json", "-"], &written).stdout, written);
    let twice = logs(&room, &["--format", "json", "logs.jsonl", "-"], &written).stdout;
    assert_eq!(twice, written.repeat(2));
}

#[test]
fn filters_leave_what_they_say() {
    let room = room_of("learning");
    let all = values(&fs::read_to_string(room.join("logs.jsonl")).unwrap());
    let risk = |record: &Value| record["data"]["details"]["riskAssessment"].clone();
    let code = |record: &Value, assessor: &str| risk(record)["assessments"][assessor]["code"].clone();
    type Wanted<'a> = Box<dyn Fn(&Value) -> bool + 'a>;
    let table: Vec<(&[&str], Wanted<'_>)> = vec![
        (&["--type", "mfar"], Box::new(|r| r["data"]["type"] == "mfar")),
        (&["--type", "fp", "--type", "fu"], Box::new(|r| r["data"]["type"] == "fp" || r["data"]["type"] == "fu")),
        (&["--confidence", "low"], Box::new(|r| risk(r)["confidence"] == "low")),
        (
            &["--confidence", "medium", "--confidence", "high"],
            Box::new(|r| risk(r)["confidence"] == "medium" || risk(r)["confidence"] == "high"),
        ),
        (&["--action", "none"], Box::new(|r| r["data"]["details"]["decision"]["action"] == "none")),
        (&["--action", "challenge"], Box::new(|r| r["data"]["details"]["decision"]["action"] == "challenge")),
        (&["--code", "NewDevice.initial_login"], Box::new(|r| code(r, "NewDevice") == "initial_login")),
        (&["--code", "no_match"], Box::new(|r| code(r, "NewDevice") == "no_match")),
        (
            &["--code", "initial_login", "--type", "s"],
            Box::new(|r| {
                let initial = ["NewDevice", "ImpossibleTravel"].iter().any(|a| code(r, a) == "initial_login");
                initial && r["data"]["type"] == "s"
            }),
        ),
        (&["--user", "nine", "--tenant", "shop.example"], Box::new(|r| r["data"]["user_id"] == "nine")),
        (
            &["--since", "2026-03-02T09:05:00+01:00", "--until", "2026-03-02T08:30:00Z"],
            Box::new(|r| {
                let date = r["data"]["date"].as_str().unwrap();
                ("2026-03-02T08:05:00.000Z".."2026-03-02T08:30:00.000Z").contains(&date)
            }),
        ),
    ];
    for (args, wanted) in table {
        let got = values(&shown(&room, &[&["--format", "json", "logs.jsonl"], args].concat()));
        let due: Vec<Value> = all.iter().filter(|record| wanted(record)).cloned().collect();
        assert!(!due.is_empty() && due.len() < all.len(), "{args:?} tells nothing apart");
        assert_eq!(got, due, "{args:?}");
    }
    assert_eq!(shown(&room, &["--tenant", "nobody.example", "logs.jsonl"]), "");
    assert_eq!(shown(&room, &["--since", "1m", "logs.jsonl"]), "", "the suite's logins are older");
}

#[test]
fn a_user_is_found_by_name_too() {
    let room = TempDir::new().unwrap();
    let text = record("1", "2026-03-02T09:00:00Z", json!({ "user_id": "auth0|42", "user_name": "ada@example.com" }));
    fs::write(room.path().join("logs.jsonl"), text).unwrap();
    for (user, lines) in [("auth0|42", 1), ("ada@example.com", 1), ("ada", 0)] {
        assert_eq!(shown(room.path(), &["--user", user, "logs.jsonl"]).lines().count(), lines, "{user}");
    }
}

#[test]
fn a_limit_keeps_the_latest_in_order_of_time() {
    let room = TempDir::new().unwrap();
    let text: String =
        [3, 1, 5, 2, 4].map(|n| record(&n.to_string(), &format!("2026-03-02T09:00:0{n}Z"), json!({}))).concat();
    fs::write(room.path().join("logs.jsonl"), text).unwrap();
    for (limit, wanted) in [("1", &["5"][..]), ("3", &["3", "4", "5"]), ("100000", &["1", "2", "3", "4", "5"])] {
        let got = values(&shown(room.path(), &["--limit", limit, "--format", "json", "logs.jsonl"]));
        let ids: Vec<_> = got.iter().map(|record| record["log_id"].as_str().unwrap()).collect();
        assert_eq!(ids, wanted);
    }
}

#[test]
fn all_that_is_wrong_with_the_options_is_told_at_once() {
    let room = TempDir::new().unwrap();
    let options = [
        "--type",
        "sfp",
        "--confidence",
        "lo",
        "--code",
        "no_matsch",
        "--code",
        "NewDevise.match",
        "--code",
        "UntrustedIP.no_match",
        "--action",
        "chalenge",
        "--since",
        "yesterday",
        "--until",
        "3 h",
        "--limit",
        "0",
        "--format",
        "jsn",
    ];
    let ran = logs(room.path(), &[&options[..], &["missing.jsonl"]].concat(), "");
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.starts_with("credence: 11 errors in options and files:\n"), "{}", ran.stderr);
    let said = [
        "--type sfp: allowed are s, f, fp, fu, mfar, sapi; did you mean `s",
        "--confidence lo: allowed are low, medium, high, neutral; did you mean `low`?",
        "did you mean `no_match`?",
        "--code NewDevise: allowed are ImpossibleTravel, NewDevice, UntrustedIP; did you mean `NewDevice`?",
        "--code UntrustedIP.no_match: the codes of UntrustedIP are assessment_not_available, found_on_deny_list,",
        "--action chalenge: allowed are none, challenge, enroll, email_challenge, deny; did you mean `challenge`?",
        "--since yesterday: allowed are a time like",
        "--until 3 h: allowed are",
        "--limit 0: allowed are 1 to 100000",
        "--format jsn: allowed are text, json, csv; did you mean `json`?",
        "missing.jsonl cannot be read",
    ];
    for part in said {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    // Before the brokers are asked for anything, and together with what is wrong with the configuration.
    let ran = logs(room.path(), &["--type", "x", "--set", "no.such=1"], "");
    assert_eq!(ran.status, Some(1));
    assert!(ran.stderr.starts_with("credence: 2 errors in configuration, options and files:\n"), "{}", ran.stderr);

    for (args, part) in [
        (&["--since", "2026-03-02T09:00:00Z", "--until", "2026-03-02T09:00:00Z", "-"][..], "is not before --until"),
        (&["--follow", "-"], "--follow is for the topic"),
        (&["--follow", "--until", "1h"], "--until does not go with it"),
        (&["--explain", "019cadc69a80", "-"], "32 hexadecimal digits"),
        (&["--explain", "019cadc69a80b4124f717e6ee1959c2é", "-"], "32 hexadecimal digits"),
        (&["--explain", "019cadc69a80b4124f717e6ee1959c2e", "--type", "s", "-"], "do not go with it"),
    ] {
        let ran = logs(room.path(), args, "");
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""), "{args:?}");
        assert!(ran.stderr.starts_with("credence: 1 error in ") && ran.stderr.contains(part), "{}", ran.stderr);
    }
}

#[test]
fn records_that_cannot_be_read_are_named_and_counted_and_do_no_harm() {
    let room = TempDir::new().unwrap();
    let good = record("1", "2026-03-02T09:00:00Z", json!({}));
    let too_long = " ".repeat(1024 * 1024 + 1);
    let input = format!("{good}nonsense \u{1b}[2J\n\n{{}}\n{too_long}\n{good}");
    let ran = logs(room.path(), &["--format", "json", "-"], &input);
    assert_eq!((ran.status, ran.stdout), (Some(2), good.repeat(2)));
    for part in [
        "standard input, line 2: it is not JSON",
        "standard input, line 4: it is no tenant log record: it has no `data`",
        "standard input, line 5: 1048577 bytes, and at most 1048576 are read",
        "credence: 3 records could not be read",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    // Of very many only the first are named.
    let ran = logs(room.path(), &["-"], &"x\n".repeat(1000));
    assert_eq!(ran.stderr.lines().count(), 21);
    assert!(ran.stderr.ends_with("credence: 1000 records could not be read\n"), "{}", ran.stderr);
}

#[test]
fn what_an_attacker_writes_never_reaches_the_terminal_raw() {
    let room = TempDir::new().unwrap();
    let evil = "\u{1b}]0;owned\u{7}\u{9b}31m\r\n\u{202e}\u{2066}\u{200b}=cmd|' /C calc'!A0";
    let answer = json!({ "confidence": evil, "code": evil, "details": { "effective_distance_km": 1.0, "category": evil,
        "source": evil, "ip": evil, "matches": evil, "device": evil, "useragent": evil,
        "from": { "city": evil, "country": evil }, "to": { "city": evil } } });
    let id = "019cadc69a80b4124f717e6ee1959c2e";
    let text = record(
        id,
        "2026-03-02T09:00:00Z",
        json!({
            "type": "mfar", "tenant_name": evil, "user_id": evil, "user_name": evil, "client_ip": evil, "user_agent": evil,
            "client_name": evil, "connection": evil, "hostname": evil, "description": evil, "strategy": evil,
            "location_info": { "city_name": evil, "country_code": evil, "country_name": evil },
            "details": {
                "event_id": evil, "session_id": evil, "invalid_ip": evil, "prompts": [{ "name": evil }],
                "error": { "message": evil, "oauthError": evil },
                "decision": { "action": evil, "reason": evil, "rule": evil, "message": evil, "rule_errors": [evil],
                    "factors": [{ "type": evil }] },
                "riskAssessment": { "confidence": evil, "assessments": {
                    "ImpossibleTravel": answer, "NewDevice": answer, "UntrustedIP": answer, evil: answer } },
                "data_versions": { evil: evil }
            }
        }),
    );
    // As other writers may leave them in JSON: not escaped.
    let raw = text.replace("\\u007f", "\u{7f}");
    assert!(raw.contains('\u{9b}'));
    let failed = record("2", "2026-03-02T09:00:00Z", json!({ "type": evil, "description": evil }));
    fs::write(room.path().join("logs.jsonl"), raw + &failed).unwrap();
    for args in [&["--format", "text"][..], &["--format", "json"], &["--format", "csv"], &["--explain", id]] {
        let text = shown(room.path(), &[args, &["logs.jsonl"]].concat());
        assert!(text.contains("owned") || text.contains("mfar"), "{text}");
        let line_ends = if args[1] == "csv" { text.replace("\r\n", "") } else { text.replace('\n', "") };
        assert_eq!(line_ends.find(is_hidden), None, "{args:?}: {text:?}");
    }
    let json = values(&shown(room.path(), &["--format", "json", "logs.jsonl"]));
    assert_eq!(json[0]["data"]["user_agent"], evil, "the same value");
    let table = shown(room.path(), &["--format", "csv", "logs.jsonl"]);
    assert!(table.lines().skip(1).all(|line| line.split(',').all(|cell| !cell.starts_with('='))), "{table}");
}

#[test]
fn colour_is_for_terminals_and_who_asks_for_it() {
    let room = TempDir::new().unwrap();
    fs::write(room.path().join("logs.jsonl"), record("1", "2026-03-02T09:00:00Z", json!({}))).unwrap();
    for (variables, coloured) in
        [(&[][..], false), (&[("CLICOLOR_FORCE", "1")], true), (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false)]
    {
        let mut command = credence(room.path());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").envs(variables.iter().copied());
        let ran = run(command.args(["logs", "logs.jsonl"]), b"");
        assert_eq!((ran.status, ran.stdout.contains('\u{1b}')), (Some(0), coloured), "{variables:?}");
    }
}

#[test]
fn a_login_is_explained() {
    let (travel, learning, addresses) = (room_of("travel"), room_of("learning"), room_of("addresses"));
    for (name, room, wanted) in [
        ("impossible_travel", &travel, &["--code", "impossible_travel_from_last_login", "--type", "s"][..]),
        ("let_through", &travel, &["--code", "travel_from_last_login"]),
        ("given_up", &learning, &["--type", "mfar", "--user", "first-is-low"]),
        ("passed", &learning, &["--type", "mfar", "--user", "wait-in-time"]),
        ("passed_too_late", &learning, &["--type", "mfar", "--user", "wait-too-late"]),
        ("failed_then_passed", &learning, &["--type", "mfar", "--user", "fail-then-pass"]),
        ("completion", &learning, &["--type", "s", "--user", "fail-then-pass", "--since", "2026-03-02T08:00:01Z"]),
        ("wrong_password", &learning, &["--type", "fp"]),
        ("deny_list", &addresses, &["--code", "found_on_deny_list", "--action", "challenge"]),
    ] {
        let id = log_id(room, wanted);
        insta::assert_snapshot!(format!("explain_{name}"), shown(room, &["--explain", &id, "logs.jsonl"]));
        // Also as somebody may have copied it.
        let upper = shown(room, &["--explain", &id.to_uppercase(), "logs.jsonl"]);
        assert_eq!(upper, shown(room, &["--explain", &id, "logs.jsonl"]));
    }
}

#[test]
fn optional_parts_of_a_decision_are_explained() {
    let room = TempDir::new().unwrap();
    let id = "019cadc69a80b4124f717e6ee1959c2e";
    let text = record(
        id,
        "2026-03-02T09:00:00Z",
        json!({ "type": "mfar", "details": {
        "event_id": "txn-1002",
        "riskAssessment": { "confidence": "low", "version": "1", "assessments": {
            "NewDevice": { "confidence": "high", "code": "match", "details": { "device": "known", "useragent": "known" } },
            "Example": { "confidence": "high", "code": "fine" } } },
        "decision": { "action": "deny", "reason": "rule", "rule": "outside-hours", "message": "Come back at nine.",
            "rule_errors": ["by-role", "by-scope"], "factors": ["otp", { "type": "webauthn-roaming" }],
            "allow_remember_browser": false, "interaction_required": true },
        "data_versions": { "city": "c1", "settings": "df32" } } }),
    );
    fs::write(room.path().join("logs.jsonl"), text).unwrap();
    insta::assert_snapshot!("explain_decision", shown(room.path(), &["--explain", id, "logs.jsonl"]));
}

#[test]
fn a_login_that_is_not_there_is_told_so() {
    let room = room_of("travel");
    let ran = logs(&room, &["--explain", "019cadc69a80b4124f717e6ee1959c2e", "logs.jsonl"], "");
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""));
    assert_eq!(ran.stderr, "credence: there is no log record 019cadc69a80b4124f717e6ee1959c2e in logs.jsonl\n");
}

#[test]
fn lines_are_shown_as_they_come() {
    let room = TempDir::new().unwrap();
    let mut child = credence(room.path())
        .args(["logs", "--format", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for number in 0..3 {
        let line = record(&number.to_string(), "2026-03-02T09:00:00Z", json!({}));
        stdin.write_all(line.as_bytes()).unwrap();
        let mut read = String::new();
        stdout.read_line(&mut read).unwrap();
        assert_eq!(read, line, "shown while the next is awaited");
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let room = TempDir::new().unwrap();
    let line = record("1", "2026-03-02T09:00:00Z", json!({ "user_agent": "x".repeat(1000) }));
    fs::write(room.path().join("logs.jsonl"), line.repeat(20_000)).unwrap();
    for format in ["text", "json", "csv"] {
        let mut child = credence(room.path())
            .args(["logs", "--format", format, "logs.jsonl"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut some = [0; 10];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut some).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{format}");
    }
}

#[test]
fn the_columns_are_those_of_the_documents() {
    let room = TempDir::new().unwrap();
    let header = logs(room.path(), &["--format", "csv", "-"], "").stdout;
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/analysts.md")).unwrap();
    let table = text.split("\n## CSV columns\n").nth(1).unwrap();
    let names = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(header, names.collect::<Vec<_>>().join(",") + "\r\n");
}

/// Who changed what: the record has its parts elsewhere than a login's.
#[test]
fn a_change_of_settings_tells_who_changed_what() {
    let room = TempDir::with_prefix("credence-logs-").unwrap();
    let change = json!({
        "type": "sapi", "description": "Update tenant settings", "client_name": "deploy", "ip": "203.0.113.9",
        "tenant_name": "acme",
        "details": { "request": {
            "method": "put", "path": "/api/v2/guardian/policies", "body": ["confidence-score"],
            "auth": { "subject": "deploy", "credentials": { "scopes": ["update:mfa_policies"] } }
        }, "response": { "statusCode": 200 } }
    });
    let id = "019cadc69a80000000000000000c002a";
    fs::write(room.path().join("logs.jsonl"), record(id, "2026-03-02T09:00:00.000Z", change)).unwrap();
    let line = shown(room.path(), &["--type", "sapi", "logs.jsonl"]);
    for told in ["acme", "deploy", "203.0.113.9", "PUT /api/v2/guardian/policies", "[\"confidence-score\"]"] {
        assert!(line.contains(told), "{told}\n{line}");
    }
    assert!(shown(room.path(), &["--format", "csv", "logs.jsonl"]).contains(",203.0.113.9,"));
    let explained = shown(room.path(), &["--explain", id, "logs.jsonl"]);
    for told in
        ["`deploy` called `put` `/api/v2/guardian/policies` for tenant `acme` from 203.0.113.9", "update:mfa_policies"]
    {
        assert!(explained.contains(told), "{told}\n{explained}");
    }
}
