//! Settings of tenants in the step: what is decided is logged, waited for and learnt accordingly.

use model::evidence::SourceState;
use serde_json::{Value, json};

use crate::world::*;

/// A world where `acme.example` has this document.
fn world(document: Value) -> World {
    let mut world = World::new();
    world.documents.push(("acme.example".to_owned(), document));
    world
}

/// An event of a user with an e-mail address and no second factor; `more` is put on top, path by path.
fn with(event: &Event, more: &[(&str, Value)]) -> Value {
    let mut event = event.json();
    event["user"]["email"] = json!("u1@example.com");
    for (path, value) in more {
        let mut at = &mut event;
        for part in path.split('.') {
            at = &mut at[part];
        }
        *at = value.clone();
    }
    event
}

fn decision(seen: &Seen) -> (String, String) {
    let decision = seen.verdict()["decision"].clone();
    let text = |key: &str| decision[key].as_str().unwrap().to_owned();
    (text("action"), text("reason"))
}

/// A stranger's device behind a VPN: low.
fn stranger(at: i64) -> Event {
    attempt(at).with(FIREFOX_121, "cookie-2").from(VPN)
}

const ADAPTIVE: &str = "confidence-score";

fn policy(name: &str) -> Value {
    json!({ "mfa_policy": name })
}

#[test]
fn every_challenge_waits_for_its_completion_and_a_denial_does_not() {
    let deny = json!({ "mfa_policy": ADAPTIVE, "rules": [
        { "name": "closed", "when": "event.device.id == 'cookie-2'", "then": "deny", "message": "Closed." }
    ] });
    let enrolled = ("user.multifactor", json!(["otp"]));
    let rows = [
        ("challenge", policy(ADAPTIVE), vec![enrolled], "match"),
        ("email_challenge", policy(ADAPTIVE), vec![], "match"),
        ("deny", deny, vec![], "no_match"),
        ("deny", policy(ADAPTIVE), vec![("user.email", Value::Null)], "no_match"),
    ];
    for (action, document, more, afterwards) in rows {
        let mut world = world(document);
        world.send_json(&with(&attempt(0), &[]));
        let first = stranger(HOUR);
        let seen = world.send_json(&with(&first, &more));
        assert_eq!((decision(&seen).0.as_str(), seen.log_type().as_str()), (action, "mfar"));
        assert_eq!(seen.log.as_ref().unwrap()["data"]["details"]["decision"], seen.verdict()["decision"]);
        // A completion that says success makes a challenge good, and never a denial.
        let completed = world.send_json(&with(&first.completed(HOUR + 1000, "success"), &more));
        assert_eq!(completed.logged_assessment().is_some(), action != "deny", "{action}");
        let later = world.send_json(&with(&attempt(2 * HOUR).with(FIREFOX_121, "cookie-2"), &more));
        let known = later.verdict.as_ref().map(|_| later.device());
        assert_eq!(known.as_deref(), Some(afterwards), "{action}");
    }
}

#[test]
fn a_challenge_for_everybody_teaches_when_it_is_passed() {
    let mut world = world(json!({ "mfa_policy": "all-applications", "risk_assessment": { "enabled": true } }));
    let first = attempt(0);
    assert_eq!(decision(&world.send_json(&with(&first, &[]))), ("enroll".to_owned(), "policy_always".to_owned()));
    assert_eq!(world.profile("u1").devices.0.len(), 0);
    world.send_json(&with(&first.completed(1000, "success"), &[]));
    assert_eq!(world.profile("u1").devices.0.len(), 1);
}

#[test]
fn assessment_without_enforcement_does_not_let_a_stranger_teach() {
    let mut world = world(json!({ "mfa_policy": "never", "risk_assessment": { "enabled": true } }));
    world.send_json(&with(&attempt(0), &[]));
    let seen = world.send_json(&with(&stranger(HOUR), &[]));
    assert_eq!(
        (seen.overall().as_str(), decision(&seen).1.as_str(), seen.log_type().as_str()),
        ("low", "policy_never", "s")
    );
    assert!(seen.logged_assessment().is_some());
    assert_eq!(world.send_json(&with(&stranger(2 * HOUR), &[])).device(), "no_match");
}

#[test]
fn what_is_not_assessed_is_answered_and_logged_and_teaches_nothing() {
    let flow = |name: &str| ("transaction.protocol", json!(name));
    let rows = [
        ("no risk assessment", policy("never"), vec![], "policy_never", "s"),
        ("a machine", policy(ADAPTIVE), vec![flow("oauth2-client-credentials")], "not_assessed", "s"),
        ("a refresh token", policy(ADAPTIVE), vec![flow("oauth2-refresh-token")], "not_assessed", "-"),
    ];
    for (name, document, more, reason, log) in rows {
        let mut world = world(document);
        let event = with(&attempt(0), &more);
        let seen = world.send_json(&event);
        assert_eq!(decision(&seen), ("none".to_owned(), reason.to_owned()), "{name}");
        assert_eq!(
            seen.verdict()["risk_assessment"],
            json!({ "confidence": "neutral", "version": "1", "assessments": {} })
        );
        assert_eq!((seen.log_type().as_str(), seen.logged_assessment()), (log, None), "{name}");
        let profile = world.profile("u1");
        assert_eq!((profile.mark, profile.devices.0.len()), (None, 0), "{name}");
        // Asked again, the answer is the same.
        let again = world.send_json(&event);
        assert_eq!((again.verdict, again.log), (seen.verdict, None), "{name}");
        // No record with an assessment tells of this login, so its end is logged.
        let end = world.send(&attempt(0).completed(MINUTE, "success"));
        assert_eq!((end.log_type().as_str(), end.logged_assessment()), ("s", None), "{name}");
    }
}

#[test]
fn an_assessment_that_no_assessor_had_data_for_is_logged() {
    let data = Data { city: SourceState::Absent, lists: SourceState::Absent, ..Data::default() };
    let mut world = World::of(data, &[]);
    world.documents.push(("acme.example".to_owned(), policy(ADAPTIVE)));
    let event = with(&attempt(0), &[("transaction.protocol", json!("oauth2-password"))]);
    let seen = world.send_json(&event);
    let none = json!({ "confidence": "neutral", "version": "1", "assessments": {} });
    assert_eq!(decision(&seen), ("none".to_owned(), "confidence_not_low".to_owned()));
    assert_eq!((seen.log_type().as_str(), seen.logged_assessment()), ("s", Some(&none)));
    // That record tells of the login's end, too.
    assert_eq!(world.send(&attempt(0).completed(MINUTE, "success")).log, None);
}

#[test]
fn the_password_flow_has_no_cookie() {
    let mut world = world(policy(ADAPTIVE));
    world.send_json(&with(&attempt(0), &[]));
    let seen = world.send_json(&with(&stranger(HOUR), &[("transaction.protocol", json!("oauth2-password"))]));
    assert_eq!(seen.assessment("NewDevice"), Value::Null);
    assert_ne!(seen.assessment("UntrustedIP"), Value::Null);
}

/// The settings that an answer was given by are gone, and it is repeated to the byte.
#[test]
fn an_answer_by_rule_is_repeated_whole() {
    let rules = json!([
        { "name": "step up", "when": "event.request.ip != '' && profile.devices >= 0", "then": "challenge",
          "factors": ["otp", "webauthn-roaming"], "allow_remember_browser": true },
        { "name": "broken", "when": "event.user.app_metadata.missing == 1", "then": "challenge" }
    ]);
    let mut world = world(json!({ "mfa_policy": "never", "rules": rules }));
    let event = with(&attempt(0), &[("user.multifactor", json!(["otp"])), ("transaction.prompt", json!(["none"]))]);
    let first = world.send_json(&event);
    assert_eq!(
        first.verdict()["decision"],
        json!({
            "action": "challenge", "reason": "rule", "rule": "step up", "allow_remember_browser": true,
            "factors": ["otp", "webauthn-roaming"], "interaction_required": true, "rule_errors": ["broken"]
        })
    );
    world.documents.clear();
    world.changed();
    assert_eq!(world.send_json(&event).verdict, first.verdict);
    // So is the completion's record.
    let completed = world.send_json(&with(&attempt(0).completed(1000, "success"), &[]));
    assert_eq!(completed.log.unwrap()["data"]["details"]["decision"], first.verdict()["decision"]);
}

#[test]
fn each_tenant_has_his_own_thresholds_lists_and_log_options() {
    let document = json!({
        "scoring": { "device.remember_for_days": 1 }, "deny_lists": { "exits": { "use": false } },
        "logs": { "challenges": false }, "mfa_policy": "all-applications"
    });
    let mut world = world(document);
    let other = |at| Event { tenant: "other.example", ..attempt(at) };
    let first = world.send_json(&with(&attempt(0), &[]));
    assert_eq!(first.log_type(), "-", "challenges are not logged");
    world.send_json(&with(&other(0), &[]));
    assert_eq!(world.send_json(&with(&other(25 * HOUR), &[])).device(), "match");
    assert_eq!(world.send_json(&with(&other(26 * HOUR).from(VPN), &[])).ip(), "found_on_deny_list");
    world.documents[0].1["mfa_policy"] = json!("confidence-score");
    world.changed();
    world.send_json(&with(&attempt(HOUR), &[]));
    assert_eq!(world.send_json(&with(&attempt(26 * HOUR), &[])).device(), "no_device_history");
    assert_eq!(world.send_json(&with(&attempt(27 * HOUR).from(VPN), &[])).ip(), "not_found_on_deny_list");
}

#[test]
fn devices_are_cleared_and_nothing_else() {
    let mut world = World::new();
    world.send(&attempt(0));
    assert!(world.clear_devices("u1"));
    assert!(!world.clear_devices("u1"), "there are none any more");
    assert!(!world.clear_devices("nobody"));
    let profile = world.profile("u1");
    assert_eq!((profile.mark.is_some(), profile.devices.0.len(), profile.places.stored.len()), (true, 0, 1));
    assert_eq!(world.send(&attempt(HOUR)).device(), "no_device_history");
}
