//! The whole settings document of a tenant.

use admin::Problem;
use serde_json::{Value, json};

use crate::support::{Answer, Headers, Server, config};

const ACME: &str = "/v1/tenants/acme/settings";

#[test]
fn a_document_is_stored_read_and_removed() {
    let server = Server::start(&config());
    let none = server.get(ACME, "acme");
    assert_eq!((none.status, none.code(), none.header("etag")), (404, "inexistent_settings", None));

    let document = json!({"mfa_policy": "confidence-score", "scoring": {"device.remember_for_days": 90}});
    let stored = server.send("PUT", ACME, "acme", &document);
    assert_eq!((stored.status, &stored.json, stored.header("etag")), (200, &document, Some("\"v1\"")));
    let read = server.get(ACME, "acme");
    assert_eq!((read.status, &read.json, read.header("etag")), (200, &document, Some("\"v1\"")));
    assert_eq!(read.header("cache-control"), Some("no-store"));
    assert_eq!(server.get("/api/v2/risk-assessments/settings/new-device", "acme").json, json!({"remember_for": 90}));

    assert_eq!(server.ask("DELETE", ACME, "acme", &[], None).status, 204);
    assert_eq!(server.get(ACME, "acme").status, 404);
    assert_eq!(server.get("/api/v2/risk-assessments/settings/new-device", "acme").json, json!({"remember_for": 30}));
    let audits = server.store.audits.lock().unwrap();
    let told: Vec<_> = audits.iter().map(|audit| (audit.method.as_str(), audit.body.as_ref(), audit.status)).collect();
    assert_eq!(told, [("PUT", Some(&document), 200), ("DELETE", None, 204)]);
}

#[test]
fn a_change_is_made_only_to_the_version_it_is_meant_for() {
    // Whether there is a document (then of version 1), method, headers, status.
    let cases: &[(bool, &str, Headers<'_>, u16)] = &[
        (true, "PUT", &[], 200),
        (false, "PUT", &[], 200),
        (true, "PUT", &[("if-match", "\"v1\"")], 200),
        (true, "PUT", &[("if-match", "\"v0\", \"v1\"")], 200),
        (true, "PUT", &[("if-match", "\"v0\",\"v1\" , W/\"v2\"")], 200),
        (true, "PUT", &[("if-match", "\"v2\"")], 412),
        (true, "PUT", &[("if-match", "W/\"v1\"")], 412),
        (false, "PUT", &[("if-match", "\"v1\"")], 412),
        (true, "PUT", &[("if-match", "*")], 200),
        (false, "PUT", &[("if-match", "*")], 412),
        (true, "PUT", &[("if-none-match", "*")], 412),
        (false, "PUT", &[("if-none-match", "*")], 200),
        (true, "PUT", &[("if-match", "v1")], 400),
        (true, "PUT", &[("if-match", "\"v1")], 400),
        (true, "PUT", &[("if-match", "")], 400),
        (true, "PUT", &[("if-none-match", "\"v1\"")], 400),
        (true, "PUT", &[("if-match", "*"), ("if-none-match", "*")], 400),
        (true, "DELETE", &[("if-match", "\"v1\"")], 204),
        (true, "DELETE", &[("if-match", "\"v2\"")], 412),
        (false, "DELETE", &[("if-match", "*")], 412),
        (true, "DELETE", &[], 204),
        (false, "DELETE", &[], 204),
    ];
    for (there, method, headers, status) in cases {
        let server = Server::start(&config());
        let old = json!({"note": "old"});
        if *there {
            server.store.put("acme", old.clone());
        }
        let body = (*method == "PUT").then_some("{\"note\":\"new\"}");
        let answer = server.ask(method, ACME, "acme", headers, body);
        assert_eq!(answer.status, *status, "{there} {method} {headers:?}: {}", answer.text);
        let expected = match status {
            200 => Some(json!({"note": "new"})),
            204 => None,
            _ => there.then_some(old),
        };
        assert_eq!(server.store.get("acme"), expected, "{there} {method} {headers:?}");
        assert_eq!(server.store.audits.lock().unwrap().len(), usize::from(*status < 300));
    }
}

#[test]
fn all_problems_are_told_at_once_and_a_dry_run_changes_nothing() {
    let server = Server::start(&config());
    let wrong = json!({"mfa_policy": "sometimes", "scoring": {"a": "x", "b": 1}, "unknown": {"deep": true}});
    let expected = [
        json!({"path": "mfa_policy", "value": "sometimes", "allowed": "never, all-applications or confidence-score"}),
        json!({"path": "scoring.a", "value": "x", "allowed": "a number"}),
        json!({"path": "unknown", "value": {"deep": true}, "allowed": "absent"}),
    ];
    for path in [ACME, "/v1/tenants/acme/settings?dry_run=true", "/v1/tenants/acme/settings?dry_run=false"] {
        let answer = server.send("PUT", path, "acme", &wrong);
        assert_eq!((answer.status, answer.code()), (400, "invalid_body"), "{path}");
        assert_eq!(answer.json["problems"].as_array().unwrap().as_slice(), expected, "{path}");
        assert!(answer.json["message"].as_str().unwrap().contains("scoring.a"), "{}", answer.text);
    }
    let right = json!({"mfa_policy": "never"});
    let dry = |body: &Value| server.send("PUT", "/v1/tenants/acme/settings?dry_run=true", "acme", body);
    let answer = dry(&right);
    assert_eq!((answer.status, &answer.json, answer.header("etag")), (200, &json!({"valid": true}), None));
    assert_eq!(dry(&json!([])).status, 400);
    assert_eq!(server.store.get("acme"), None);
    assert!(server.store.audits.lock().unwrap().is_empty());
    for (path, method) in [
        ("/v1/tenants/acme/settings?dry_run=1", "PUT"),
        ("/v1/tenants/acme/settings?dry_run=true&dry_run=false", "PUT"),
        ("/v1/tenants/acme/settings?dryrun=true", "PUT"),
        ("/v1/tenants/acme/settings?dry_run=true", "DELETE"),
    ] {
        let answer = server.send(method, path, "acme", &right);
        assert_eq!((answer.status, answer.code()), (400, "invalid_query_string"), "{method} {path}");
    }
    assert_eq!(server.store.get("acme"), None);
}

#[test]
fn so_many_problems_that_no_answer_lists_them_are_counted() {
    let server = Server::start(&config());
    let wrong: serde_json::Map<String, Value> = (0..1000).map(|i| (format!("unknown{i}"), json!(i))).collect();
    let answer = server.send("PUT", ACME, "acme", &Value::Object(wrong));
    let problems: Vec<Problem> = answer.json["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| Problem { path: p["path"].to_string(), value: p["value"].clone(), allowed: p["allowed"].to_string() })
        .collect();
    assert_eq!((answer.status, problems.len()), (400, 100));
    assert!(answer.json["message"].as_str().unwrap().ends_with("and 995 more"), "{}", answer.json["message"]);
}

#[test]
fn the_changes_of_writers_at_the_same_time_all_end_up_in_the_document() {
    let server = Server::start(&config());
    let until_done = |change: &dyn Fn() -> Answer| {
        // What was not made because of others is said so, and can be asked for again.
        while !matches!(change().status, 200) {}
    };
    let counted = 20_u64;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for days in 1..=counted {
                let body = json!({"remember_for": days});
                until_done(&|| server.send("PATCH", "/api/v2/risk-assessments/settings/new-device", "acme", &body));
            }
        });
        scope.spawn(|| {
            for round in 1..=counted {
                let body = json!({"enabled": round % 2 == 1});
                until_done(&|| server.send("PATCH", "/api/v2/risk-assessments/settings", "acme", &body));
            }
        });
        scope.spawn(|| {
            for round in 1..=counted {
                let body = if round % 2 == 1 { json!([]) } else { json!(["all-applications"]) };
                until_done(&|| server.send("PUT", "/api/v2/guardian/policies", "acme", &body));
            }
        });
        // One who writes whole documents, and takes care.
        scope.spawn(|| {
            for round in 1..=counted {
                until_done(&|| {
                    let read = server.get(ACME, "acme");
                    let mut json = if read.status == 200 { read.json.clone() } else { json!({}) };
                    json["note"] = json!(round);
                    let condition = read.header("etag").map_or(("if-none-match", "*"), |tag| ("if-match", tag));
                    server.ask("PUT", ACME, "acme", &[condition], Some(&json.to_string()))
                });
            }
        });
    });
    let expected = json!({
        "mfa_policy": "all-applications",
        "risk_assessment": {"enabled": false},
        "scoring": {"device.remember_for_days": counted},
        "note": counted,
    });
    assert_eq!(server.store.get("acme"), Some(expected));
    assert_eq!(server.store.audits.lock().unwrap().len() as u64, 4 * counted);
}

#[test]
fn every_tenant_has_its_own_and_another_one_s_is_neither_seen_nor_changed() {
    let server = Server::start(&config());
    server.store.put("globex", json!({"note": "of globex"}));
    // Of a tenant that has a document and of one that nobody knows: to the letter the same answer.
    let told = |method: &str, tenant: &str, body: Option<&str>| {
        let answer = server.ask(method, &format!("/v1/tenants/{tenant}/settings"), "acme", &[], body);
        assert_eq!((answer.status, answer.code()), (403, "other_tenant"), "{method} {tenant}");
        answer.text
    };
    for (method, body) in [("GET", None), ("PUT", Some("{}")), ("DELETE", None)] {
        let of_known = told(method, "globex", body);
        for other in ["nobody", "ACME", "acme%20", "*", "acme%2Fsettings"] {
            assert_eq!(told(method, other, body), of_known, "{method} {other}");
        }
    }
    assert_eq!(server.store.get("globex"), Some(json!({"note": "of globex"})));
    assert!(server.store.audits.lock().unwrap().is_empty());

    // A token for all reaches each of them, where the path says which.
    assert_eq!(server.get("/v1/tenants/globex/settings", "all").json, json!({"note": "of globex"}));
    assert_eq!(server.send("PUT", ACME, "all", &json!({"note": 1})).status, 200);
    assert_eq!(server.store.get("acme"), Some(json!({"note": 1})));
    let answer = server.get("/api/v2/guardian/policies", "all");
    assert_eq!((answer.status, answer.code()), (403, "no_tenant"));
    for name in ["", "%20%0a", &"a".repeat(257)] {
        let answer = server.get(&format!("/v1/tenants/{name}/settings"), "all");
        assert!(matches!(answer.status, 400 | 404), "{name}: {}", answer.status);
    }
}
