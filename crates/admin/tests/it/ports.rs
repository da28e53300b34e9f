//! What is there without the settings API, and what the port tells about itself.

use std::sync::Arc;

use admin::{Admin, AdminError, Probes};
use prometheus::Registry;
use serde_json::json;

use crate::support::{Server, config};

#[test]
fn without_tokens_there_is_no_api_and_the_rest_is_as_it_was() {
    let mut nobody = config();
    nobody.tokens.clear();
    for config in [nobody, config()] {
        let api = !config.tokens.is_empty();
        let server = Server::start(&config);
        assert_eq!(server.get("/livez", "").text, "ok\n");
        let not_ready = server.get("/readyz", "");
        assert_eq!((not_ready.status, not_ready.text.as_str()), (503, "the changelog is being read\n"));
        assert_eq!(server.get("/startupz", "").status, 200);
        for path in ["/api/v2/guardian/policies", "/v1/tenants/acme/settings", "/api/v2/risk-assessments/settings"] {
            let answer = server.get(path, "acme");
            assert_eq!(answer.status == 404 && answer.code().is_empty(), !api, "{path}: {}", answer.text);
        }
        let metrics = server.get("/metrics", "");
        assert_eq!((metrics.status, metrics.header("content-type")), (200, Some("text/plain; version=0.0.4")));
    }
}

#[test]
fn requests_are_counted_by_route_and_never_by_what_callers_make_up() {
    let server = Server::start(&config());
    for user in ["a", "b", "c"] {
        let body = json!({"connection": "db", "assessors": ["new-device"]});
        server.send("POST", &format!("/api/v2/users/{user}/risk-assessments/clear"), "acme", &body);
    }
    for path in ["/nothing", "/made/up", "/api/v2/guardian/policies"] {
        server.get(path, "nobody");
    }
    server.ask("POST", "/livez", "", &[], None);
    server.ask("MADEUP", "/livez", "", &[], None);
    let counted = |path: &str, status: u16| {
        server.metric(&format!("credence_admin_requests_total{{path=\"{path}\",status=\"{status}\"}}"))
    };
    assert_eq!(counted("/api/v2/users/{id}/risk-assessments/clear", 204), 3.0);
    assert_eq!(counted("/api/v2/guardian/policies", 401), 1.0);
    assert_eq!((counted("other", 404), counted("other", 405)), (2.0, 2.0));
    assert_eq!(server.metric("credence_admin_auth_failures_total{reason=\"unknown_token\"}"), 1.0);
    assert!(counted("/metrics", 200) > 0.0);
    let text = server.get("/metrics", "").text;
    assert!(!text.contains("made"), "{text}");
}

struct Healthy;

impl Probes for Healthy {
    fn live(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn started(&self) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn a_port_that_is_taken_and_a_registry_that_is_are_told() {
    let start = |address: &str, registry: &Registry| {
        Admin::start(address.parse().unwrap(), registry.clone(), Arc::new(Healthy), None)
    };
    let registry = Registry::new();
    let first = start("127.0.0.1:0", &registry).unwrap();
    let taken = start(&first.address().to_string(), &Registry::new()).unwrap_err();
    assert!(matches!(taken, AdminError::Open { .. }), "{taken}");
    assert!(taken.to_string().contains("admin.listen"), "{taken}");
    let registered = start("127.0.0.1:0", &registry).unwrap_err();
    assert!(matches!(registered, AdminError::Metrics(_)), "{registered}");
    // Dropping it closes the port.
    let address = first.address().to_string();
    drop(first);
    start(&address, &Registry::new()).unwrap();
}
