//! How much may be asked, and what becomes of the rest.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::support::{Answer, Server, config, now_s, token, wait_for};

const POLICIES: &str = "/api/v2/guardian/policies";
const ACME: &str = "/v1/tenants/acme/settings";

fn number(answer: &Answer, name: &str) -> u64 {
    answer.header(name).unwrap_or_else(|| panic!("{name} is missing")).parse().unwrap()
}

#[test]
fn a_token_may_ask_so_often_and_others_are_not_held_up() {
    let mut config = config();
    config.limits.requests_per_s = 1;
    config.limits.burst = 30;
    config.tokens.push(token("acme-2", "acme", &["read:mfa_policies"]));
    let server = Server::start(&config);
    let mut last = 30;
    let refused = loop {
        let answer = server.get(POLICIES, "acme");
        assert_eq!(number(&answer, "x-ratelimit-limit"), 30);
        assert!(number(&answer, "x-ratelimit-reset") >= now_s() - 1);
        let remaining = number(&answer, "x-ratelimit-remaining");
        // One comes back each second, however slow this is.
        assert!(remaining <= last, "{remaining} after {last}");
        last = remaining;
        match answer.status {
            200 => {}
            429 => break answer,
            status => panic!("{status}"),
        }
    };
    assert_eq!(refused.code(), "too_many_requests");
    assert_eq!((refused.json["statusCode"].as_u64(), last), (Some(429), 0));
    assert!((1..=2).contains(&number(&refused, "retry-after")));
    assert!((now_s() - 1..=now_s() + 2).contains(&number(&refused, "x-ratelimit-reset")));
    for other in ["acme-2", "globex", "all"] {
        assert_ne!(server.get(POLICIES, other).status, 429, "{other}");
    }
    wait_for("another request", || server.get(POLICIES, "acme").status == 200);
}

#[test]
fn who_shows_nothing_good_is_limited_and_who_does_is_served_beside_him() {
    let mut config = config();
    config.limits.unauthenticated_burst = 20;
    let server = Server::start(&config);
    let mut statuses = Vec::new();
    while statuses.last() != Some(&429) {
        statuses.push(server.get(POLICIES, if statuses.len() % 2 == 0 { "" } else { "guess" }).status);
    }
    assert!(statuses.len() > 20 && statuses[..20].iter().all(|status| *status == 401), "{statuses:?}");
    let answer = server.get(POLICIES, "acme");
    assert_eq!(answer.status, 200);
    assert_eq!(server.get("/livez", "").status, 200);
}

#[test]
fn bodies_have_a_largest_size() {
    let mut config = config();
    config.limits.body_bytes = 100;
    config.limits.document_bytes = 1000;
    let server = Server::start(&config);
    let document = |bytes: usize| {
        let text = json!({"note": ""}).to_string();
        text.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - text.len())))
    };
    let policies = |bytes: usize| format!("[]{}", " ".repeat(bytes - 2));
    for (path, body, status) in [
        (ACME, document(1000), 200),
        (ACME, document(1001), 413),
        (ACME, document(300_000), 413),
        (POLICIES, policies(100), 200),
        (POLICIES, policies(101), 413),
    ] {
        let answer = server.ask("PUT", path, "acme", &[], Some(&body));
        assert_eq!(answer.status, status, "{path} {}: {}", body.len(), answer.text);
    }
    // And where the length is not announced.
    let chunk = format!("41\r\n{}\r\n", " ".repeat(0x41));
    let head = "PUT /api/v2/guardian/policies HTTP/1.1\r\nhost: x\r\nauthorization: Bearer acme\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = server.raw(&[head, &chunk, &chunk]);
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    // Nobody's body is read before he may send one.
    let head = head.replace("acme", "nobody");
    assert_eq!(server.raw(&[&head]).status, 401);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let mut config = config();
    config.limits.body_timeout_ms = 50;
    let server = Server::start(&config);
    let head = "PATCH /api/v2/risk-assessments/settings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer acme\r\ncontent-length: 16\r\n\r\n";
    let answer = server.raw(&[head, "{\"enabled\":"]);
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    assert_eq!(server.store.get("acme"), None);
}

#[test]
fn a_store_that_hangs_is_not_waited_for_and_holds_up_no_probe() {
    let mut config = config();
    config.limits.store_timeout_ms = 100;
    config.limits.store_calls = 2;
    let server = Server::start(&config);
    server.store.gate.set(true);
    // More than the store is asked at a time: the others wait for a place as long.
    for (method, path, body) in [
        ("GET", POLICIES, Value::Null),
        ("PUT", POLICIES, json!(["all-applications"])),
        ("GET", ACME, Value::Null),
        ("PUT", ACME, json!({"note": 1})),
    ] {
        let answer = match &body {
            Value::Null => server.get(path, "acme"),
            body => server.send(method, path, "acme", body),
        };
        assert_eq!((answer.status, answer.code()), (503, "service_unavailable"), "{method} {path}");
        assert_eq!(server.get("/livez", "").status, 200);
    }
    assert_eq!(server.store.gate.waiting.load(Ordering::SeqCst), 2);
    server.store.gate.set(false);
    wait_for("places", || server.get(POLICIES, "acme").status == 200);
    // What was told to be late has not been written after all that time.
    assert_eq!(server.store.get("acme"), None);
}

#[test]
fn connections_that_say_nothing_do_not_keep_others_out() {
    let server = Server::start(&config());
    // More than are served at a time. Some never say anything, some no more after a request or half of one.
    let silent: Vec<TcpStream> = (0..300)
        .map(|i| {
            let mut stream = TcpStream::connect(server.admin.address()).unwrap();
            let said = ["", "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n", "GET /livez HTTP/1.1\r\nhost:"][i % 3];
            stream.write_all(said.as_bytes()).unwrap();
            stream
        })
        .collect();
    // All of them have left within the time for a head, so this one comes to its turn.
    assert_eq!(server.get("/livez", "").status, 200);
    drop(silent);
}

#[test]
fn heads_have_a_largest_size() {
    let server = Server::start(&config());
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(64 * 1024));
    assert_eq!(server.raw(&[&long]).status, 431);
    assert_eq!(server.get("/livez", "").status, 200);
}
