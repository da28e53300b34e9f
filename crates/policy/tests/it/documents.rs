//! What may stand in a settings document, and what is told of what may not.

use model::Confidence;
use policy::document::{MfaPolicy, schema};
use policy::{Defaults, Tenant};
use serde_json::{Value, json};

fn compile(document: &Value) -> Result<Tenant, Vec<String>> {
    let problems = |problems: Vec<policy::Problem>| problems.iter().map(ToString::to_string).collect();
    Tenant::compile(document, Some("acme.example"), &Defaults::default()).map_err(problems)
}

#[test]
fn a_whole_document() {
    let document = json!({
        "schema_version": 1,
        "tenant": "acme.example",
        "mfa_policy": "confidence-score",
        "risk_assessment": { "enabled": true },
        "scoring": {
            "travel.floor_km": 50, "device.remember_for_days": 14, "combiner": "strict", "preset": "cautious",
            "confidence.NewDevice.no_match": "medium", "allow": ["192.0.2.0/24", "2001:db8::/32"],
            "force_low": ["UntrustedIP.found_on_deny_list.tor"], "learning": "on_attempt", "abstain_on_failure": true
        },
        "deny_lists": { "abuse": { "use": false }, "vpn": { "confidence": "low" } },
        "rules": [{ "name": "all", "when": "true", "then": "challenge" }],
        "rules_may_lift": true,
        "on_rule_error": "ignore",
        "flows": { "samlp": "skip" },
        "logs": { "challenges": false }
    });
    let tenant = compile(&document).unwrap();
    assert_eq!((tenant.mfa_policy(), tenant.assesses(), tenant.logs_challenges()), (MfaPolicy::Adaptive, true, false));
    let settings = tenant.settings();
    assert_eq!((settings.floor_km, settings.remember_for_days), (50.0, 14));
    assert_eq!(settings.confidence(model::Answer::DeviceNoMatch), Confidence::Medium);
    assert!(settings.allows("192.0.2.7".parse().unwrap()) && settings.allows("2001:db8::1".parse().unwrap()));
    assert!(settings.forces_low(model::Answer::ListedTor), "keys that are set win over the preset, in any order");
    assert!(!settings.forces_low(model::Answer::ListedResidentialProxy));
    assert_eq!(settings.list_use("abuse").map(|list| list.counts), Some(false));
    assert_eq!(settings.list_use("vpn").and_then(|list| list.confidence), Some(Confidence::Low));
    assert_eq!(settings.list_use("tor"), None);
    let validator = jsonschema::validator_for(schema().as_value()).unwrap();
    assert!(validator.is_valid(&document));
}

#[test]
fn an_empty_document_changes_nothing() {
    let defaults = Defaults { mfa_policy: MfaPolicy::Adaptive, risk_assessment: true, ..Defaults::default() };
    for document in [json!({}), json!({ "tenant": null, "rules": null, "scoring": {} })] {
        let tenant = Tenant::compile(&document, None, &defaults).unwrap();
        assert_eq!((tenant.mfa_policy(), tenant.assesses()), (MfaPolicy::Adaptive, true));
        assert_eq!(tenant.settings().entries(), defaults.settings.entries());
    }
}

#[test]
fn everything_that_is_wrong_at_once() {
    let document = json!({
        "schema_version": 2,
        "tenant": "other.example",
        "mfa_policies": "never",
        "mfa_policy": "sometimes",
        "risk_assessment": { "enabled": "yes" },
        "scoring": { "travel.floor_km": -1, "travel.flor_km": 1, "combiner": {}, "allow": ["0.0.0.0/0"] },
        "deny_lists": { "abuse": { "used": true, "confidence": "neutral" } },
        "rules": [
            { "name": "", "when": "true", "then": "block" },
            { "name": "a", "when": "event.user.emial == 'x'", "then": "none", "message": "only with deny" },
            { "name": "a", "when": "1 + 1", "then": "deny", "factors": ["otp", 7] },
            { "when": "true" },
            7
        ],
        "on_rule_error": "panic",
        "flows": { "samlp": "deny" },
        "logs": { "challenges": 1 }
    });
    let problems = compile(&document).map(drop).unwrap_err();
    let wanted = [
        "mfa_policies = \"never\": allowed are only the keys schema_version, ",
        "schema_version = 2: allowed are 1",
        "tenant = \"other.example\": allowed are \"acme.example\"",
        "mfa_policy = \"sometimes\": allowed are \"never\", \"all-applications\", \"confidence-score\"",
        "scoring[\"allow\"] = [\"0.0.0.0/0\"]: allowed are a comma-separated list of addresses and CIDR networks",
        "scoring[\"combiner\"] = {}: allowed are a text, a number, true, false, or a list of these",
        "scoring[\"travel.flor_km\"] = 1: allowed are only keys that scoring has; did you mean `travel.floor_km`?",
        "scoring[\"travel.floor_km\"] = -1: allowed are 0 to 20100 km",
        "deny_lists[\"abuse\"].used = true: allowed are only the keys use, confidence; did you mean `use`?",
        "deny_lists[\"abuse\"].confidence = \"neutral\": allowed are \"low\", \"medium\", \"high\"",
        "on_rule_error = \"panic\": allowed are \"secure\", \"ignore\", \"deny\"",
        "flows[\"samlp\"] = \"deny\": allowed are \"assess\", \"skip\"",
        "rules[0].name = \"\": allowed are a text of 1 to 64 bytes",
        "rules[0].then = \"block\": allowed are \"none\", \"challenge\", \"enroll\", \"email_challenge\", \"deny\"",
        "rules[1].message = \"only with deny\": allowed are a message only with the outcome \"deny\"",
        "rules[2].factors = [\"otp\",7]: allowed are a list of at most 8 texts of 1 to 32 bytes",
        "rules[2].name = \"a\": allowed are a name of its own",
        "rules[3].name = null: allowed are texts, and every rule needs one",
        "rules[3].then = null: allowed are texts, and every rule needs one",
        "rules[4] = 7: allowed are an object",
        "risk_assessment.enabled = \"yes\": allowed are true, false",
        "logs.challenges = 1: allowed are true, false",
        "rules[1].when = \"event.user.emial == 'x'\": allowed are conditions that compile; line 1, column ",
        "rules[2].when = \"1 + 1\": allowed are conditions that compile; line 1, column ",
    ];
    for wanted in wanted {
        assert!(problems.iter().any(|problem| problem.starts_with(wanted)), "{wanted}\n{problems:#?}");
    }
    assert_eq!(problems.len(), wanted.len(), "{problems:#?}");
}

#[test]
fn what_is_no_document() {
    for wrong in [json!([]), json!("x"), json!(null), json!(1)] {
        assert_eq!(compile(&wrong).map(drop).unwrap_err().len(), 1, "{wrong}");
    }
    let rules: Vec<Value> =
        (0..=200).map(|n| json!({ "name": n.to_string(), "when": "true", "then": "none" })).collect();
    let problems = compile(&json!({ "rules": rules })).map(drop).unwrap_err();
    assert!(problems[0].contains("at most 200 rules"), "{problems:?}");
    let long = json!({ "scoring": { "x".repeat(300_000): 1 } });
    let problems = compile(&long).map(drop).unwrap_err();
    assert!(problems.iter().any(|problem| problem.contains("at most 262144 bytes")), "{problems:?}");
    assert!(problems.iter().all(|problem| problem.len() < 1_000_000), "nothing is told at any length");
}

#[test]
fn versions_follow_from_what_is_in_force() {
    let version = |document: &Value, defaults: &Defaults| {
        Tenant::compile(document, None, defaults).unwrap().version().to_string()
    };
    let (a, b) = (json!({ "mfa_policy": "never" }), json!({ "mfa_policy": "all-applications" }));
    let other = Defaults { version: "other".into(), ..Defaults::default() };
    let defaults = Defaults::default();
    assert_eq!(version(&a, &defaults), version(&a.clone(), &defaults));
    assert_ne!(version(&a, &defaults), version(&b, &defaults));
    assert_ne!(version(&a, &defaults), version(&a, &other));
}
