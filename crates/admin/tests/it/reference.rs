//! The paths of the reference's Management API.

use std::sync::atomic::Ordering;

use admin::Audit;
use serde_json::{Value, json};

use crate::support::{Server, config};

const POLICIES: &str = "/api/v2/guardian/policies";
const RISK: &str = "/api/v2/risk-assessments/settings";
const NEW_DEVICE: &str = "/api/v2/risk-assessments/settings/new-device";
const CLEAR: &str = "/api/v2/users/auth0%7C42/risk-assessments/clear";

/// One request after the other, as acme: method, path, body, status, answer.
fn check(steps: &[(&str, &str, Value, u16, Value)]) -> Server {
    let server = Server::start(&config());
    for (method, path, body, status, expected) in steps {
        let answer = match body {
            Value::Null => server.ask(method, path, "acme", &[], None),
            body => server.send(method, path, "acme", body),
        };
        assert_eq!((answer.status, &answer.json), (*status, expected), "{method} {path} {body}: {}", answer.text);
    }
    server
}

#[test]
fn what_is_set_is_answered_and_read_again() {
    let server = check(&[
        ("GET", POLICIES, Value::Null, 200, json!([])),
        ("PUT", POLICIES, json!(["all-applications"]), 200, json!(["all-applications"])),
        ("GET", POLICIES, Value::Null, 200, json!(["all-applications"])),
        ("GET", RISK, Value::Null, 200, json!({"enabled": false})),
        ("PATCH", RISK, json!({"enabled": true}), 200, json!({"enabled": true})),
        ("GET", RISK, Value::Null, 200, json!({"enabled": true})),
        ("GET", NEW_DEVICE, Value::Null, 200, json!({"remember_for": 30})),
        ("PATCH", NEW_DEVICE, json!({"remember_for": 1}), 200, json!({"remember_for": 1})),
        ("PATCH", NEW_DEVICE, json!({"remember_for": 365.0}), 200, json!({"remember_for": 365})),
        ("GET", NEW_DEVICE, Value::Null, 200, json!({"remember_for": 365})),
        ("PUT", POLICIES, json!([]), 200, json!([])),
        ("PATCH", RISK, json!({"enabled": false}), 200, json!({"enabled": false})),
        // The policy turns the assessment on, and the answer says what is in force.
        ("PUT", POLICIES, json!(["confidence-score"]), 200, json!(["confidence-score"])),
        ("GET", RISK, Value::Null, 200, json!({"enabled": true})),
        ("PATCH", RISK, json!({"enabled": false}), 200, json!({"enabled": true})),
        ("POST", CLEAR, json!({"connection": "Username-Password", "assessors": ["new-device"]}), 204, Value::Null),
    ]);
    let expected = json!({
        "mfa_policy": "confidence-score",
        "risk_assessment": {"enabled": false},
        "scoring": {"device.remember_for_days": 365},
    });
    assert_eq!(server.store.get("acme"), Some(expected));
    assert_eq!(server.store.get("globex"), None);
    let cleared = ("acme".to_owned(), "auth0|42".to_owned(), "Username-Password".to_owned());
    assert_eq!(*server.store.cleared.lock().unwrap(), [cleared]);
}

#[test]
fn other_fields_of_the_document_stay() {
    let server = Server::start(&config());
    server
        .store
        .put("acme", json!({"note": "kept", "scoring": {"travel.speed_kmh": 900}, "risk_assessment": {"more": 1}}));
    for (method, path, body) in [
        ("PUT", POLICIES, json!(["all-applications"])),
        ("PATCH", RISK, json!({"enabled": true})),
        ("PATCH", NEW_DEVICE, json!({"remember_for": 7})),
    ] {
        assert_eq!(server.send(method, path, "acme", &body).status, 200);
    }
    let expected = json!({
        "note": "kept",
        "mfa_policy": "all-applications",
        "scoring": {"travel.speed_kmh": 900, "device.remember_for_days": 7},
        "risk_assessment": {"more": 1, "enabled": true},
    });
    assert_eq!(server.store.get("acme"), Some(expected));
}

#[test]
fn bodies_that_are_not_as_they_should_be_change_nothing() {
    let long = "a".repeat(129);
    let clear = |connection: &str, assessors: Value| json!({"connection": connection, "assessors": assessors});
    let cases: Vec<(&str, &str, Value, &[&str])> = vec![
        ("PUT", POLICIES, json!({}), &[""]),
        ("PUT", POLICIES, json!("all-applications"), &[""]),
        ("PUT", POLICIES, json!(["never"]), &[""]),
        ("PUT", POLICIES, json!(["All-Applications"]), &[""]),
        ("PUT", POLICIES, json!(["all-applications", "confidence-score"]), &[""]),
        ("PUT", POLICIES, json!(["all-applications", "all-applications"]), &[""]),
        ("PATCH", RISK, json!([]), &[""]),
        ("PATCH", RISK, json!({}), &["enabled"]),
        ("PATCH", RISK, json!({"enabled": "true"}), &["enabled"]),
        ("PATCH", RISK, json!({"enabled": null}), &["enabled"]),
        ("PATCH", RISK, json!({"enabled": true, "more": 1}), &["more"]),
        ("PATCH", RISK, json!({"Enabled": true}), &["Enabled", "enabled"]),
        ("PATCH", NEW_DEVICE, json!({"remember_for": 0}), &["remember_for"]),
        ("PATCH", NEW_DEVICE, json!({"remember_for": 366}), &["remember_for"]),
        ("PATCH", NEW_DEVICE, json!({"remember_for": -1}), &["remember_for"]),
        ("PATCH", NEW_DEVICE, json!({"remember_for": 1.5}), &["remember_for"]),
        ("PATCH", NEW_DEVICE, json!({"remember_for": "30"}), &["remember_for"]),
        ("PATCH", NEW_DEVICE, json!({"remember_for": 1e300}), &["remember_for"]),
        ("PATCH", NEW_DEVICE, json!({"remember_for": 30, "enabled": true}), &["enabled"]),
        ("POST", CLEAR, json!({}), &["connection", "assessors"]),
        ("POST", CLEAR, clear("db", json!([])), &["assessors"]),
        ("POST", CLEAR, clear("db", json!(["new-device", "impossible-travel"])), &["assessors"]),
        ("POST", CLEAR, clear("", json!(["new-device"])), &["connection"]),
        ("POST", CLEAR, clear("-db", json!(["new-device"])), &["connection"]),
        ("POST", CLEAR, clear("a--b", json!(["new-device"])), &["connection"]),
        ("POST", CLEAR, clear("a b", json!(["new-device"])), &["connection"]),
        ("POST", CLEAR, clear(&long, json!(["new-device"])), &["connection"]),
        ("POST", CLEAR, json!({"connection": "db", "assessors": ["new-device"], "user": 1}), &["user"]),
    ];
    let server = Server::start(&config());
    for (method, path, body, paths) in cases {
        let answer = server.send(method, path, "acme", &body);
        let told: Vec<&str> =
            answer.json["problems"].as_array().unwrap().iter().map(|p| p["path"].as_str().unwrap()).collect();
        assert_eq!(
            (answer.status, answer.code(), told.as_slice()),
            (400, "invalid_body", paths),
            "{method} {path} {body}"
        );
        assert_eq!(answer.json["statusCode"], 400);
        assert_eq!(answer.json["error"], "Bad Request");
    }
    assert_eq!(server.store.get("acme"), None);
    assert!(server.store.audits.lock().unwrap().is_empty());
    assert!(server.store.cleared.lock().unwrap().is_empty());
}

#[test]
fn texts_that_are_no_json_and_other_types_are_refused() {
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let deepest = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases = [
        ("", "application/json", 400),
        ("{", "application/json", 400),
        ("[] []", "application/json", 400),
        ("{\"enabled\":true,\"enabled\":true}", "application/json", 400),
        ("{\"enabled\":1e999}", "application/json", 400),
        ("{\"enabled\":\"\u{1}\"}", "application/json", 400),
        (&deep, "application/json", 400),
        (&deepest[..16_000], "application/json", 400),
        ("{\"enabled\":true}", "text/plain", 415),
        ("{\"enabled\":true}", "application/x-www-form-urlencoded", 415),
        ("{\"enabled\":true}", "application/merge-patch+json", 415),
        ("{\"enabled\":true}", "Application/JSON; charset=utf-8", 200),
    ];
    let server = Server::start(&config());
    for (body, kind, status) in cases {
        let answer = server.ask("PATCH", RISK, "acme", &[("content-type", kind)], Some(body));
        assert_eq!(answer.status, status, "{kind} {:.40}: {}", body, answer.text);
    }
    let encoded = [("content-encoding", "gzip")];
    assert_eq!(server.ask("PATCH", RISK, "acme", &encoded, Some("{\"enabled\":true}")).status, 415);
}

#[test]
fn paths_and_queries_are_held_to_what_is_allowed() {
    let long = format!("/api/v2/users/{}/risk-assessments/clear", "a".repeat(1025));
    let most = format!("/api/v2/users/{}/risk-assessments/clear", "a".repeat(1024));
    let cases = [
        ("POST", long.as_str(), 400, "invalid_uri"),
        ("POST", most.as_str(), 204, ""),
        ("POST", "/api/v2/users/a%2Fb/risk-assessments/clear", 204, ""),
        ("POST", "/api/v2/users/a%00b/risk-assessments/clear", 400, "invalid_uri"),
        ("POST", "/api/v2/users/%ff/risk-assessments/clear", 400, "invalid_uri"),
        ("POST", "/api/v2/users/a/risk-assessments/clear?force=true", 400, "invalid_query_string"),
        ("POST", "/api/v2/users//risk-assessments/clear", 400, "invalid_uri"),
        ("POST", "/api/v2/users/a/risk-assessments", 404, ""),
        ("POST", "/api/v2/guardian/factors", 404, ""),
        ("POST", POLICIES, 405, ""),
    ];
    let server = Server::start(&config());
    let body = json!({"connection": "db", "assessors": ["new-device"]});
    for (method, path, status, code) in cases {
        let answer = server.send(method, path, "acme", &body);
        assert_eq!((answer.status, answer.code()), (status, code), "{method} {path:.80}: {}", answer.text);
    }
    let users: Vec<usize> = server.store.cleared.lock().unwrap().iter().map(|(_, user, _)| user.len()).collect();
    assert_eq!(users, [1024, 3]);
}

#[test]
fn a_change_is_audited_and_nothing_else_is() {
    let server = Server::start(&config());
    let body = "{\"enabled\":true}";
    let headers = [("user-agent", "terraform/1.9"), ("x-forwarded-for", "203.0.113.7")];
    assert_eq!(server.get(RISK, "acme").status, 200);
    assert_eq!(server.ask("PATCH", RISK, "reader", &headers, Some(body)).status, 403);
    assert_eq!(server.ask("PATCH", RISK, "acme", &headers, Some(body)).status, 200);
    let audit = Audit {
        actor: "acme".to_owned(),
        client_id: None,
        token_id: None,
        scopes: vec!["update:attack_protection".to_owned()],
        method: "PATCH".to_owned(),
        path: RISK.to_owned(),
        query: None,
        peer: "127.0.0.1".parse().unwrap(),
        user_agent: Some("terraform/1.9".to_owned()),
        body: Some(json!({"enabled": true})),
        status: 200,
    };
    assert_eq!(*server.store.audits.lock().unwrap(), [audit]);
}

#[test]
fn a_change_that_others_overtake_is_tried_again_and_not_for_ever() {
    let server = Server::start(&config());
    server.store.lose.store(5, Ordering::SeqCst);
    assert_eq!(server.send("PATCH", RISK, "acme", &json!({"enabled": true})).status, 200);
    assert_eq!(server.store.get("acme"), Some(json!({"risk_assessment": {"enabled": true}})));

    server.store.lose.store(usize::MAX, Ordering::SeqCst);
    let answer = server.send("PATCH", RISK, "acme", &json!({"enabled": false}));
    assert_eq!((answer.status, answer.code()), (503, "service_unavailable"));
    assert_eq!(server.store.get("acme"), Some(json!({"risk_assessment": {"enabled": true}})));
}

#[test]
fn a_store_that_does_not_answer_is_503_and_says_nothing_of_itself() {
    let server = Server::start(&config());
    server.store.unavailable.store(true, Ordering::SeqCst);
    let clear = json!({"connection": "db", "assessors": ["new-device"]});
    for (method, path, body) in [
        ("GET", POLICIES, Value::Null),
        ("PUT", POLICIES, json!([])),
        ("PATCH", RISK, json!({"enabled": true})),
        ("POST", CLEAR, clear),
        ("GET", "/v1/tenants/acme/settings", Value::Null),
        ("PUT", "/v1/tenants/acme/settings", json!({})),
        ("DELETE", "/v1/tenants/acme/settings", Value::Null),
    ] {
        let answer = match body {
            Value::Null => server.ask(method, path, "acme", &[], None),
            body => server.send(method, path, "acme", &body),
        };
        assert_eq!((answer.status, answer.code()), (503, "service_unavailable"), "{method} {path}");
        assert!(answer.header("retry-after").is_some());
        assert!(!answer.text.contains("secret-host"), "{}", answer.text);
    }
}
