//! What is decided about a login: every path of policy, enrolment, flow and rule.

use model::codec::decode;
use model::{Answer, Assessment, Confidence, RiskAssessment};
use policy::rules::ProfileFacts;
use policy::{Defaults, Tenant};
use serde_json::{Value, json};

/// A tenant with this document.
fn tenant(document: &Value) -> Tenant {
    Tenant::compile(document, Some("acme.example"), &Defaults::default()).unwrap()
}

/// An event of a user with an e-mail address; `more` is merged into it.
fn event(more: &Value) -> Value {
    let mut event = json!({
        "id": "e1", "time": 1_772_442_000_000_i64, "tenant": { "id": "acme.example" },
        "user": { "user_id": "u1", "email": "u1@example.com", "email_verified": true },
        "transaction": { "protocol": "oidc-basic-profile" },
        "request": { "ip": "203.0.113.9" }
    });
    merge(&mut event, more);
    event
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

fn risk(confidence: Confidence) -> RiskAssessment {
    let answer = Assessment { answer: Answer::DeviceNoMatch, confidence, details: None };
    RiskAssessment { confidence, impossible_travel: None, new_device: Some(answer), untrusted_ip: None }
}

/// The decision as it is written, after what was planned: `assessed`, or why there is no assessment.
fn decide(document: &Value, more: &Value, confidence: Confidence) -> Value {
    let tenant = tenant(document);
    let payload = event(more).to_string();
    let mut scratch = String::new();
    let event = decode(payload.as_bytes(), None, &mut scratch).unwrap();
    let plan = tenant.plan(&event);
    let risk = risk(confidence);
    let decision = tenant.decide(&event, plan, Some(&risk).filter(|_| plan.assessed), ProfileFacts::default);
    let mut written = serde_json::to_value(&decision).unwrap();
    written["assessed"] = plan.assessed.into();
    written
}

fn policy(name: &str) -> Value {
    json!({ "mfa_policy": name })
}

/// A user with a second factor.
fn enrolled() -> Value {
    json!({ "user": { "enrolledFactors": [{ "type": "otp" }] } })
}

fn without_email() -> Value {
    json!({ "user": { "email": null } })
}

/// `more` of several kinds.
fn all(parts: &[Value]) -> Value {
    let mut merged = json!({});
    parts.iter().for_each(|part| merge(&mut merged, part));
    merged
}

fn protocol(name: &str) -> Value {
    json!({ "transaction": { "protocol": name } })
}

#[test]
fn policies_and_enrolment() {
    use Confidence::{High, Low, Medium, Neutral};
    let (never, always, adaptive) = (policy("never"), policy("all-applications"), policy("confidence-score"));
    let unset = json!({});
    let none = json!({});
    let remembered = json!({ "mfa": { "remembered": true } });
    let asks =
        json!({ "transaction": { "acr_values": ["http://schemas.openid.net/pape/policies/2007/06/multi-factor"] } });
    let unverified = json!({ "user": { "email_verified": false } });
    let rows = [
        // Before there is a policy: by the confidence alone, enrolled or not.
        (&unset, none.clone(), Low, "challenge", "confidence_low", true),
        (&unset, none.clone(), Medium, "none", "confidence_not_low", true),
        (&unset, protocol("oauth2-client-credentials"), Low, "challenge", "confidence_low", true),
        // Adaptive.
        (&adaptive, enrolled(), Low, "challenge", "confidence_low", true),
        (&adaptive, none.clone(), Low, "email_challenge", "confidence_low", true),
        (&adaptive, without_email(), Low, "deny", "no_email", true),
        (&adaptive, unverified, Low, "deny", "no_email", true),
        (&adaptive, all(&[enrolled(), without_email()]), Low, "challenge", "confidence_low", true),
        (&adaptive, enrolled(), Medium, "none", "confidence_not_low", true),
        (&adaptive, none.clone(), High, "none", "confidence_not_low", true),
        (&adaptive, none.clone(), Neutral, "none", "confidence_not_low", true),
        (&adaptive, all(&[enrolled(), remembered.clone()]), Low, "challenge", "confidence_low", true),
        // Never, and always.
        (&never, enrolled(), Low, "none", "policy_never", false),
        (&always, enrolled(), High, "challenge", "policy_always", false),
        (&always, none.clone(), High, "enroll", "policy_always", false),
        (&always, all(&[enrolled(), remembered.clone()]), High, "none", "policy_always", false),
        (&always, all(&[enrolled(), remembered, asks]), High, "challenge", "policy_always", false),
        // Flows.
        (&adaptive, all(&[protocol("oauth2-password"), enrolled()]), Low, "challenge", "confidence_low", true),
        (&adaptive, protocol("oauth2-password"), Low, "deny", "confidence_low", true),
        (&adaptive, protocol("oauth2-password"), High, "none", "confidence_not_low", true),
        (&never, protocol("oauth2-password"), Low, "none", "policy_never", false),
        (&adaptive, protocol("oauth2-client-credentials"), Low, "none", "not_assessed", false),
        (&adaptive, protocol("oauth2-device-code"), Low, "none", "not_assessed", false),
        (&adaptive, protocol("oauth2-token-exchange"), Low, "none", "not_assessed", false),
        (&adaptive, protocol("oauth2-refresh-token"), Low, "none", "not_assessed", false),
        (&always, protocol("oauth2-client-credentials"), Low, "none", "not_assessed", false),
        (&always, all(&[protocol("oauth2-device-code"), enrolled()]), Low, "challenge", "policy_always", false),
        (&adaptive, protocol("samlp"), Low, "email_challenge", "confidence_low", true),
        (
            &adaptive,
            all(&[protocol("samlp"), json!({ "transaction": { "idp_initiated": true } })]),
            Low,
            "none",
            "not_assessed",
            false,
        ),
        (&adaptive, protocol("wsfed"), Low, "email_challenge", "confidence_low", true),
        (&adaptive, protocol("oidc-hybrid-profile"), Low, "email_challenge", "confidence_low", true),
        (&adaptive, protocol("something-new"), Low, "email_challenge", "confidence_low", true),
    ];
    for (number, (document, more, confidence, action, reason, assessed)) in rows.iter().enumerate() {
        let decided = decide(document, more, *confidence);
        let seen = (&decided["action"], &decided["reason"], &decided["assessed"]);
        assert_eq!(seen, (&json!(action), &json!(reason), &json!(assessed)), "row {number}: {document} {more}");
    }
}

#[test]
fn assessment_without_enforcement() {
    let assessed = |policy: &str| json!({ "mfa_policy": policy, "risk_assessment": { "enabled": true } });
    let decided = decide(&assessed("never"), &json!({}), Confidence::Low);
    assert_eq!(decided, json!({ "action": "none", "reason": "policy_never", "assessed": true }));
    // Everybody is asked; who may be an attacker does not get to enrol.
    let decided = decide(&assessed("all-applications"), &json!({}), Confidence::Low);
    let wanted = json!({ "action": "email_challenge", "reason": "policy_always", "allow_remember_browser": true, "assessed": true });
    assert_eq!(decided, wanted);
    // The adaptive policy turns it on, whatever the option says.
    let off = json!({ "mfa_policy": "confidence-score", "risk_assessment": { "enabled": false } });
    assert_eq!(decide(&off, &enrolled(), Confidence::Low)["action"], "challenge");
}

#[test]
fn flows_can_be_changed() {
    let document =
        json!({ "mfa_policy": "confidence-score", "flows": { "oauth2-device-code": "assess", "samlp": "skip" } });
    assert_eq!(decide(&document, &protocol("oauth2-device-code"), Confidence::Low)["action"], "email_challenge");
    assert_eq!(decide(&document, &protocol("samlp"), Confidence::Low)["reason"], "not_assessed");
    assert_eq!(decide(&document, &protocol("wsfed"), Confidence::Low)["action"], "email_challenge");
}

#[test]
fn silent_authentication() {
    let silent = json!({ "transaction": { "prompt": ["none"] } });
    let decided = decide(&policy("confidence-score"), &all(&[enrolled(), silent.clone()]), Confidence::Low);
    let wanted =
        json!({ "action": "challenge", "reason": "confidence_low", "interaction_required": true, "assessed": true });
    assert_eq!(decided, wanted);
    // Whatever he would be asked for: the answer is that he has to be there.
    let decided = decide(&policy("confidence-score"), &silent, Confidence::Low);
    assert_eq!(decided, wanted);
    // Where nobody is asked, nothing is required.
    let decided = decide(&policy("confidence-score"), &all(&[enrolled(), silent.clone()]), Confidence::High);
    assert_eq!(decided.get("interaction_required"), None);
    let decided = decide(&policy("confidence-score"), &all(&[without_email(), silent]), Confidence::Low);
    assert_eq!((&decided["action"], decided.get("interaction_required")), (&json!("deny"), None));
}

fn rule(when: &str, then: &str) -> Value {
    json!({ "name": format!("{then} rule"), "when": when, "then": then })
}

#[test]
fn the_strongest_outcome_wins() {
    let document = |rules: &[Value], may_lift: bool| json!({ "mfa_policy": "confidence-score", "rules": rules, "rules_may_lift": may_lift });
    let (deny, challenge, none) = (rule("true", "deny"), rule("true", "challenge"), rule("true", "none"));
    let (enroll, email) = (rule("true", "enroll"), rule("true", "email_challenge"));
    let not = |then: &str| rule("false", then);
    use Confidence::{High, Low};
    let rows = [
        ("deny before a challenge", vec![challenge.clone(), deny.clone()], false, enrolled(), Low, "deny", "rule"),
        (
            "a rule that does not hold",
            vec![not("deny"), not("challenge")],
            false,
            enrolled(),
            High,
            "none",
            "confidence_not_low",
        ),
        ("a challenge by rule", vec![challenge.clone()], false, enrolled(), High, "challenge", "rule"),
        ("none has no effect", vec![none.clone()], false, enrolled(), Low, "challenge", "confidence_low"),
        ("none lifts where it may", vec![none.clone()], true, enrolled(), Low, "none", "rule"),
        (
            "but not against a rule",
            vec![none.clone(), challenge.clone()],
            true,
            enrolled(),
            Low,
            "challenge",
            "confidence_low",
        ),
        ("nor a denial", vec![none.clone()], true, without_email(), Low, "deny", "no_email"),
        ("none where nothing is asked", vec![none.clone()], true, enrolled(), High, "none", "confidence_not_low"),
        ("not enrolled: enrolment", vec![challenge.clone()], false, json!({}), High, "enroll", "rule"),
        (
            "not enrolled and low: e-mail",
            vec![challenge.clone()],
            false,
            json!({}),
            Low,
            "email_challenge",
            "confidence_low",
        ),
        ("enrolment for who has none", vec![enroll.clone()], false, json!({}), High, "enroll", "rule"),
        (
            "enrolment is no question for who has it",
            vec![enroll],
            false,
            enrolled(),
            High,
            "none",
            "confidence_not_low",
        ),
        ("e-mail by rule", vec![email.clone()], false, enrolled(), High, "email_challenge", "rule"),
        (
            "e-mail without an address",
            vec![email],
            false,
            all(&[enrolled(), without_email()]),
            High,
            "deny",
            "no_email",
        ),
    ];
    for (name, rules, may_lift, more, confidence, action, reason) in rows {
        let decided = decide(&document(&rules, may_lift), &more, confidence);
        assert_eq!((&decided["action"], &decided["reason"]), (&json!(action), &json!(reason)), "{name}: {decided}");
    }
}

#[test]
fn what_goes_with_a_rule() {
    let document = json!({ "mfa_policy": "confidence-score", "rules": [
        { "name": "closed", "when": "event.request.ip == '203.0.113.9' && event.user.user_id == 'u2'", "then": "deny", "message": "Closed." },
        { "name": "first", "when": "event.user.user_id == 'u1'", "then": "challenge", "factors": ["otp", "webauthn"], "allow_remember_browser": true },
        { "name": "second", "when": "true", "then": "challenge" }
    ] });
    let decided = decide(&document, &enrolled(), Confidence::High);
    let wanted = json!({
        "action": "challenge", "reason": "rule", "rule": "first", "factors": ["otp", "webauthn"],
        "allow_remember_browser": true, "assessed": true
    });
    assert_eq!(decided, wanted);
    // A browser that this rule remembers is not asked again, but for a rule that asks every time.
    let remembered = all(&[enrolled(), json!({ "mfa": { "remembered": true } })]);
    let wanted = json!({ "action": "challenge", "reason": "rule", "rule": "second", "assessed": true });
    assert_eq!(decide(&document, &remembered, Confidence::High), wanted);
    // The adaptive policy does not care for it.
    let decided = decide(&document, &remembered, Confidence::Low);
    let wanted = json!({
        "action": "challenge", "reason": "confidence_low", "rule": "first", "factors": ["otp", "webauthn"],
        "allow_remember_browser": true, "assessed": true
    });
    assert_eq!(decided, wanted);
    let decided = decide(&document, &all(&[enrolled(), json!({ "user": { "user_id": "u2" } })]), Confidence::High);
    let wanted =
        json!({ "action": "deny", "reason": "rule", "rule": "closed", "message": "Closed.", "assessed": true });
    assert_eq!(decided, wanted);
}

#[test]
fn a_condition_without_a_value() {
    // The application's own field may be missing: that is an error, and not false.
    let missing = "event.user.app_metadata.plan == 'free'";
    let document = |then: &str, on_error: Option<&str>| {
        let rule = json!({ "name": "by plan", "when": missing, "then": then });
        json!({ "mfa_policy": "confidence-score", "rules_may_lift": true, "rules": [rule], "on_rule_error": on_error })
    };
    use Confidence::{High, Low};
    let rows = [
        ("challenge", None, High, "challenge", "rule"),
        ("deny", Some("secure"), High, "deny", "rule"),
        ("none", None, Low, "challenge", "confidence_low"),
        ("deny", Some("ignore"), High, "none", "confidence_not_low"),
        ("none", Some("deny"), High, "deny", "rule"),
    ];
    for (then, on_error, confidence, action, reason) in rows {
        let decided = decide(&document(then, on_error), &enrolled(), confidence);
        assert_eq!((&decided["action"], &decided["reason"]), (&json!(action), &json!(reason)), "{then} {on_error:?}");
        assert_eq!(decided["rule_errors"], json!(["by plan"]), "{then} {on_error:?}");
    }
}

#[test]
fn a_remembered_browser_answers_only_rules_that_remember() {
    let remembers = json!({ "name": "monthly", "when": "true", "then": "challenge", "allow_remember_browser": true });
    let always = json!({ "name": "always", "when": "event.user.user_id == 'u1'", "then": "challenge" });
    let multi_factor = "http://schemas.openid.net/pape/policies/2007/06/multi-factor";
    let asks = json!({ "transaction": { "acr_values": [multi_factor] } });
    let other = json!({ "user": { "user_id": "u2" } });
    let rows = [
        (json!({}), "challenge", "always"),
        (asks.clone(), "challenge", "monthly"),
        (other.clone(), "none", "monthly"),
        (all(&[other, asks]), "challenge", "monthly"),
    ];
    for (more, action, rule) in rows {
        // Whatever comes first: the stronger outcome wins.
        for rules in [[&remembers, &always], [&always, &remembers]] {
            let document = json!({ "mfa_policy": "never", "rules": rules });
            let more = all(&[enrolled(), json!({ "mfa": { "remembered": true } }), more.clone()]);
            let decided = decide(&document, &more, Confidence::High);
            assert_eq!((&decided["action"], &decided["reason"]), (&json!(action), &json!("rule")), "{more}");
            // Of equals the first is named.
            if rules == [&remembers, &always] {
                assert_eq!(decided["rule"], json!(rule), "{more}");
            }
        }
    }
}

/// Where an application takes the password, nobody who may be an attacker gets a code or enrols, whatever asks.
#[test]
fn low_confidence_by_password_without_a_factor_is_denied() {
    let assessed = |policy: &str, rules: Value| {
        json!({
            "mfa_policy": policy, "risk_assessment": { "enabled": true }, "flows": { "oauth2-password": "assess" },
            "rules": rules
        })
    };
    let rows = [
        assessed("confidence-score", json!([])),
        assessed("all-applications", json!([])),
        assessed("never", json!([rule("true", "challenge")])),
        assessed("never", json!([rule("true", "email_challenge")])),
        assessed("never", json!([rule("true", "enroll")])),
    ];
    for document in rows {
        for user in [json!({}), without_email()] {
            let decided = decide(&document, &all(&[protocol("oauth2-password"), user]), Confidence::Low);
            let seen = (&decided["action"], &decided["reason"]);
            assert_eq!(seen, (&json!("deny"), &json!("confidence_low")), "{document}");
        }
    }
}

/// Every protocol that the reference knows, and what the adaptive policy does with it.
#[test]
fn protocols() {
    use policy::flow::{Flow, PROTOCOLS};
    let adaptive = policy("confidence-score");
    for (name, flow) in PROTOCOLS {
        let decided = decide(&adaptive, &protocol(name), Confidence::Low);
        let wanted = match flow {
            Flow::Browser => ("email_challenge", true),
            Flow::Password => ("deny", true),
            Flow::Unassessed | Flow::Machine | Flow::Refresh => ("none", false),
        };
        assert_eq!((&decided["action"], &decided["assessed"]), (&json!(wanted.0), &json!(wanted.1)), "{name}");
    }
}

/// A refresh token is used without a user who could be assessed; rules still see it.
#[test]
fn rules_run_for_refresh_tokens() {
    let rules = [rule("event.transaction.protocol == 'oauth2-refresh-token'", "deny")];
    let document = json!({ "mfa_policy": "confidence-score", "rules": rules });
    let decided = decide(&document, &protocol("oauth2-refresh-token"), Confidence::Low);
    assert_eq!((&decided["action"], &decided["assessed"]), (&json!("deny"), &json!(false)));
}
