//! A field of a wrong type counts as absent and is named, whatever field and whatever type.

use serde_json::{Value, json};

use crate::support::{check_both, with};

/// What a field takes.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Text,
    Flag,
    Number,
    Integer,
    Texts,
    Objects,
    Object,
    Anything,
}

/// Every optional field of the table in the event's contract.
const FIELDS: &[(&str, Takes)] = &[
    ("error", Takes::Object),
    ("error.message", Takes::Text),
    ("error.code", Takes::Text),
    ("user.email", Takes::Text),
    ("user.email_verified", Takes::Flag),
    ("user.username", Takes::Text),
    ("user.name", Takes::Text),
    ("user.phone_number", Takes::Text),
    ("user.multifactor", Takes::Texts),
    ("user.enrolledFactors", Takes::Objects),
    ("user.user_metadata", Takes::Object),
    ("user.app_metadata", Takes::Object),
    ("user.created_at", Takes::Anything),
    ("client", Takes::Object),
    ("client.client_id", Takes::Text),
    ("client.name", Takes::Text),
    ("client.metadata", Takes::Object),
    ("connection", Takes::Object),
    ("connection.id", Takes::Text),
    ("connection.name", Takes::Text),
    ("connection.strategy", Takes::Text),
    ("organization", Takes::Object),
    ("organization.id", Takes::Text),
    ("organization.name", Takes::Text),
    ("organization.metadata", Takes::Object),
    ("authorization", Takes::Object),
    ("authorization.roles", Takes::Texts),
    ("resource_server", Takes::Object),
    ("resource_server.identifier", Takes::Text),
    ("request", Takes::Object),
    ("request.ip", Takes::Text),
    ("request.user_agent", Takes::Text),
    ("request.hostname", Takes::Text),
    ("request.language", Takes::Text),
    ("request.method", Takes::Text),
    ("request.asn", Takes::Anything),
    ("request.geoip", Takes::Object),
    ("request.geoip.countryCode", Takes::Text),
    ("request.geoip.cityName", Takes::Text),
    ("request.geoip.latitude", Takes::Number),
    ("request.geoip.longitude", Takes::Number),
    ("request.geoip.timeZone", Takes::Text),
    ("request.geoip.continentCode", Takes::Text),
    ("device", Takes::Object),
    ("device.id", Takes::Text),
    ("mfa", Takes::Object),
    ("mfa.remembered", Takes::Flag),
    ("transaction", Takes::Object),
    ("transaction.protocol", Takes::Text),
    ("transaction.id", Takes::Text),
    ("transaction.acr_values", Takes::Texts),
    ("transaction.requested_scopes", Takes::Texts),
    ("transaction.prompt", Takes::Texts),
    ("transaction.idp_initiated", Takes::Flag),
    ("authentication", Takes::Object),
    ("authentication.methods", Takes::Objects),
    ("session", Takes::Object),
    ("session.id", Takes::Text),
    ("refresh_token", Takes::Anything),
    ("security_context", Takes::Object),
    ("security_context.ja3", Takes::Text),
    ("security_context.ja4", Takes::Text),
    ("stats", Takes::Object),
    ("stats.logins_count", Takes::Integer),
];

#[test]
fn every_field_with_every_type() {
    let values: &[(Value, &[Takes])] = &[
        (
            Value::Null,
            &[Takes::Text, Takes::Flag, Takes::Number, Takes::Integer, Takes::Texts, Takes::Objects, Takes::Object],
        ),
        (json!("x"), &[Takes::Text]),
        (json!(""), &[Takes::Text]),
        (json!("5"), &[Takes::Text]),
        (json!("true"), &[Takes::Text]),
        (json!(true), &[Takes::Flag]),
        (json!(0), &[Takes::Number, Takes::Integer]),
        (json!(-3), &[Takes::Number, Takes::Integer]),
        (json!(u64::MAX), &[Takes::Number, Takes::Integer]),
        (json!(1.5), &[Takes::Number]),
        (json!([]), &[Takes::Texts, Takes::Objects]),
        (json!(["a", "b"]), &[Takes::Texts]),
        (json!(["a", 1]), &[]),
        (json!([{}]), &[Takes::Objects]),
        (json!([{}, "a"]), &[]),
        (json!([["a"]]), &[]),
        (json!({}), &[Takes::Object]),
        (json!({"a": [{"b": "c"}]}), &[Takes::Object]),
    ];
    for (path, takes) in FIELDS {
        for (value, takers) in values {
            let right = *takes == Takes::Anything || takers.contains(takes);
            let wanted = if right { "read".to_owned() } else { format!("read without {path}") };
            check_both(&format!("{path} = {value}"), &with(path, value.clone()), &wanted);
        }
    }
}

#[test]
fn several_wrong_fields_are_all_named() {
    let mut event = with("request.ip", json!(1));
    event["device"] = json!({"id": 2});
    event["stats"] = json!([]);
    check_both("three", &event, "read without stats, request.ip, device.id");
}
