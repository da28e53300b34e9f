//! The OpenAPI document and the server say the same.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::support::{Answer, Server, config, token};

const METHODS: [&str; 6] = ["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"];

fn concrete(path: &str) -> String {
    path.replace("{tenant}", "acme").replace("{id}", "auth0%7C42")
}

/// Every path, method and operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if method != "parameters" {
                operations.push((path.clone(), method.to_uppercase(), operation.clone()));
            }
        }
    }
    operations
}

/// A body that the call takes.
fn body(path: &str, method: &str) -> Option<Value> {
    Some(match (path.rsplit('/').next().unwrap(), method) {
        (_, "GET" | "DELETE") => return None,
        ("policies", _) => json!(["confidence-score"]),
        ("new-device", _) => json!({"remember_for": 14}),
        ("clear", _) => json!({"connection": "db", "assessors": ["new-device"]}),
        (_, "PATCH") => json!({"enabled": true}),
        _ => json!({"mfa_policy": "never"}),
    })
}

/// Holds an answer to what the document says about it.
fn check(document: &Value, operation: &Value, what: &str, answer: &Answer) {
    let described = &operation["responses"][answer.status.to_string()];
    assert!(described.is_object(), "{what}: {} is not in the document: {}", answer.status, answer.text);
    let Some(content) = described["content"].as_object() else {
        assert!(answer.text.is_empty(), "{what}: {}", answer.text);
        return;
    };
    let (kind, content) = content.iter().next().unwrap();
    assert!(answer.header("content-type").unwrap().starts_with(kind.as_str()), "{what}");
    if kind == "application/json" {
        let mut schema = content["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(&answer.json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{what}: {}: {errors:?}", answer.text);
    }
    for name in described["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
        // A refusal without a token has no bucket yet; a dry run stores no version.
        let optional = (answer.status == 401 && name.starts_with("x-ratelimit"))
            || (name == "ETag" && answer.json == json!({"valid": true}));
        assert!(optional || answer.header(name).is_some(), "{what}: no {name}");
    }
}

fn server() -> Server {
    let mut config = config();
    config.limits.body_bytes = 4096;
    config.limits.document_bytes = 4096;
    config.limits.body_timeout_ms = 500;
    config.tokens.push(token("nothing", "acme", &["update:users"]));
    config.tokens.push(token("read-only-users", "acme", &["read:mfa_policies"]));
    Server::start(&config)
}

#[test]
fn every_operation_is_served_and_every_route_is_described() {
    let document = admin::openapi();
    let described: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(path, method, _)| (path, method)).collect();
    assert_eq!(described.len(), 14);
    for path in document["paths"].as_object().unwrap().keys() {
        for method in METHODS {
            let server = server();
            let answer = match body(path, method) {
                None => server.ask(method, &concrete(path), "acme", &[], None),
                Some(body) => server.send(method, &concrete(path), "acme", &body),
            };
            let served = !(answer.status == 405 || answer.status == 404 && answer.code().is_empty());
            assert_eq!(served, described.contains(&(path.clone(), method.to_owned())), "{method} {path}");
        }
    }
}

#[test]
fn answers_are_as_the_document_says() {
    let document = admin::openapi();
    let mut seen = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let what = format!("{method} {path}");
        let at = concrete(&path);
        let body = body(&path, &method).map(|body| body.to_string());
        let body = body.as_deref();
        let mut see = |answer: Answer| {
            check(&document, &operation, &what, &answer);
            seen.insert((what.clone(), answer.status));
        };
        let server = server();
        if operation["security"].is_array() {
            see(server.ask(&method, &at, "", &[], None));
            continue;
        }
        let ask = |server: &Server, token: &str, headers: &[(&str, &str)], body: Option<&str>| {
            server.ask(&method, &at, token, headers, body)
        };
        // Without a document (404 for who reads it), and with one.
        see(ask(&server, "acme", &[], body));
        server.store.put("acme", json!({"note": "here"}));
        see(ask(&server, "acme", &[], body));
        see(ask(&server, "", &[], body));
        see(ask(&server, "guess", &[], body));
        let scope = operation["x-required-scope"].as_str().unwrap();
        see(ask(&server, if scope == "update:users" { "read-only-users" } else { "nothing" }, &[], body));
        see(server.ask(&method, &format!("{at}?unknown=1"), "acme", &[], body));
        if body.is_some() {
            see(ask(&server, "acme", &[], Some("{")));
            see(ask(&server, "acme", &[], Some("{\"unknown\": [1, {}]}")));
            see(ask(&server, "acme", &[], Some(&" ".repeat(5000))));
            see(ask(&server, "acme", &[("content-type", "text/plain")], body));
            let head =
                format!("{method} {at} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer acme\r\ncontent-length: 9\r\n\r\n");
            see(server.raw(&[&head]));
        }
        if path.contains("{tenant}") {
            see(server.ask(&method, &path.replace("{tenant}", "other"), "acme", &[], body));
            see(server.ask(&method, &format!("{at}?dry_run=true"), "acme", &[], body));
            if method != "GET" {
                see(ask(&server, "acme", &[("if-match", "\"other\"")], body));
            }
        }
        server.store.unavailable.store(true, Ordering::SeqCst);
        see(ask(&server, "acme", &[], body));
        let mut few = config();
        few.limits.burst = 1;
        few.limits.requests_per_s = 1;
        let few = Server::start(&few);
        // The first one may be served, and so may another one when this is slow.
        let refused = (0..).map(|_| ask(&few, "acme", &[], body)).find(|answer| answer.status == 429);
        see(refused.unwrap());
    }
    // Every status that the document promises has been seen, but a probe's other word.
    for (path, method, operation) in operations(&document) {
        for status in operation["responses"].as_object().unwrap().keys() {
            let seen = seen.contains(&(format!("{method} {path}"), status.parse().unwrap()));
            assert!(seen || operation["security"].is_array(), "{method} {path}: {status} was never answered");
        }
    }
}
