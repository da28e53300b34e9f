//! Reading an event as values.

use policy::rules::{ConditionSet, Facts, ProfileFacts};
use policy::value::{MAX_DEPTH, Map, Value};
use proptest::prelude::*;

fn map(entries: Vec<(&'static str, Value<'static>)>) -> Value<'static> {
    Value::Map(Map::new(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()))
}

fn text(text: &'static str) -> Value<'static> {
    Value::String(text.into())
}

#[test]
fn json_is_read_leniently() {
    let cases = [
        ("null", Some(Value::Null)),
        (" true ", Some(Value::Bool(true))),
        ("-5", Some(Value::Int(-5))),
        ("9223372036854775807", Some(Value::Int(i64::MAX))),
        ("9223372036854775808", Some(Value::Double(9_223_372_036_854_775_808.0))),
        ("1e30", Some(Value::Double(1e30))),
        ("1e999", Some(Value::List(vec![]))),
        (r#""a\u00e9\n""#, Some(text("aé\n"))),
        (r#"["\ud800", 1]"#, Some(Value::List(vec![Value::List(vec![]), Value::Int(1)]))),
        (
            r#"{"b": 1, "a": {"c": []}, "b": 2}"#,
            Some(map(vec![("a", map(vec![("c", Value::List(vec![]))])), ("b", Value::Int(2))])),
        ),
        ("", None),
        ("{", None),
        ("1 2", None),
        ("NaN", None),
        ("\u{feff}1", None),
    ];
    for (json, wanted) in cases {
        assert_eq!(Value::from_json(json.as_bytes()), wanted, "{json}");
    }
    assert_eq!(Value::from_json(b"\"\xff\""), None);
}

#[test]
fn messagepack_is_read_leniently() {
    let cases: [(&[u8], Option<Value<'static>>); 12] = [
        (&[0xc0], Some(Value::Null)),
        (&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], Some(Value::Int(i64::MIN))),
        (&[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Some(Value::Double(18_446_744_073_709_551_615.0))),
        (&[0xca, 0x7f, 0xc0, 0, 0], Some(Value::Null)),
        (&[0xc4, 1, 5], Some(Value::Null)),
        (&[0x92, 0xd4, 1, 5, 0xa1, b'a'], Some(Value::List(vec![Value::Null, text("a")]))),
        (&[0x83, 0xa1, b'a', 1, 5, 2, 0xc4, 1, 5, 3], Some(map(vec![("a", Value::Int(1))]))),
        (&[0x81, 0x91, 1, 2], Some(map(vec![]))),
        (&[], None),
        (&[0xc1], None),
        (&[0x92, 1], None),
        (&[1, 1], None),
    ];
    for (bytes, wanted) in cases {
        assert_eq!(Value::from_msgpack(bytes), wanted, "{bytes:x?}");
    }
}

/// A readable event nests up to 128 levels; what is too deep to be kept must not cost it its rules.
#[test]
fn what_lies_too_deep_is_null() {
    fn depth(value: &Value<'_>) -> usize {
        match value {
            Value::List(values) => 1 + values.first().map_or(0, depth),
            _ => 0,
        }
    }
    let json = format!("{}1{}", "[".repeat(128), "]".repeat(128));
    assert_eq!(Value::from_json(json.as_bytes()).as_ref().map(depth), Some(MAX_DEPTH + 1));
    let mut msgpack = vec![0x91; 128];
    msgpack.push(1);
    assert_eq!(Value::from_msgpack(&msgpack).as_ref().map(depth), Some(MAX_DEPTH + 1));
    let hostile = vec![0x91; 100_000];
    assert_eq!(Value::from_msgpack(&hostile), None);
    assert_eq!(Value::from_json("[".repeat(100_000).as_bytes()), None);
}

/// Whether a field is there for rules.
fn has(event: &Value<'_>, path: &str) -> bool {
    let set = ConditionSet::compile(&[&format!("has(event.{path})")]).unwrap();
    let facts = Facts { event, risk: None, profile: ProfileFacts::default(), enrolled: false };
    set.evaluate(&facts).next().unwrap().unwrap()
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "-7",
        "1.5",
        "9223372036854775808",
        "1e999",
        "\"\"",
        "\" a \"",
        "\"192.0.2.1\"",
        "\"\\ud800\"",
        "\"\\u00e9\"",
        "\"2026-03-02T08:00:00Z\"",
        "1772434800000",
        "[]",
        "{}",
        "[\"a\"]",
        "[{}]",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|values| format!("[{}]", values.join(","))),
            ("[a-c]|name|id|\\\\ud800", inner.clone()).prop_map(|(name, value)| format!("{{\"{name}\":{value}}}")),
            inner.prop_map(|value| format!("{}{value}{}", "[".repeat(100), "]".repeat(100))),
        ]
    })
}

/// Some fields of each object of the event, with anything in them.
fn any_event() -> impl Strategy<Value = String> {
    let object = |names: &'static [&'static str]| {
        let fields: Vec<_> = names.iter().map(|name| (Just(*name), prop::option::of(any_json()))).collect();
        let written = |fields: Vec<(&str, Option<String>)>| {
            let given = fields.into_iter().filter_map(|(name, json)| Some(format!("\"{name}\":{}", json?)));
            format!("{{{}}}", given.collect::<Vec<_>>().join(","))
        };
        prop_oneof![9 => fields.prop_map(written), 1 => any_json()]
    };
    let objects = (
        object(&["email", "email_verified", "name", "multifactor", "enrolledFactors", "app_metadata", "created_at"]),
        object(&["ip", "user_agent", "hostname", "language", "asn", "geoip"]),
        object(&["id"]),
        object(&["protocol", "acr_values", "requested_scopes", "idp_initiated"]),
        object(&["methods"]),
        object(&["logins_count"]),
        object(&["client_id", "metadata"]),
        (any_json(), any_json()),
    );
    objects.prop_map(|(user, request, device, transaction, authentication, stats, client, (session, other))| {
        format!(
            r#"{{"id":"e1","time":"2026-03-02T08:00:00Z","outcome":"failed_username","tenant":{{"id":"t"}},"user":{user},
            "request":{request},"device":{device},"transaction":{transaction},"authentication":{authentication},
            "stats":{stats},"client":{client},"session":{session},"other":{other}}}"#
        )
    })
}

proptest! {
    /// An event that is scored is one that rules can look at, and both see the same of it: what counts as
    /// absent there is absent here.
    #[test]
    fn rules_see_what_scoring_sees(json in any_event()) {
        let mut scratch = String::new();
        let Ok(scored) = model::codec::decode(json.as_bytes(), None, &mut scratch) else { return Ok(()) };
        let event = Value::from_json(json.as_bytes());
        prop_assert!(event.is_some());
        let event = event.unwrap_or(Value::Null);
        // The session is a free object to rules, whatever scoring makes of its id.
        for path in scored.wrong_fields.iter().filter(|path| **path != "session.id") {
            prop_assert!(!has(&event, path), "{}", path);
        }
        prop_assert_eq!(has(&event, "request.ip"), scored.ip_text().is_some());
        prop_assert_eq!(has(&event, "request.user_agent"), scored.user_agent().is_some());
        prop_assert_eq!(has(&event, "device.id"), scored.cookie().is_some());
        prop_assert_eq!(has(&event, "stats.logins_count"), scored.logins_count().is_some());
        prop_assert_eq!(has(&event, "request.geoip.cityName"), scored.geo().city.is_some());
        let facts = Facts { event: &event, risk: None, profile: ProfileFacts::default(), enrolled: false };
        let ip = scored.address.map_or_else(|| scored.ip_text().unwrap_or_default().to_owned(), |ip| ip.to_string());
        let conditions = [
            format!("event.request.ip == {ip:?}"),
            format!("event.stats.logins_count == {}", scored.logins_count().unwrap_or_default()),
            format!("isIP(event.request.ip) == {}", scored.address.is_some()),
        ];
        let texts: Vec<&str> = conditions.iter().map(String::as_str).collect();
        let set = ConditionSet::compile(&texts).unwrap();
        prop_assert!(set.evaluate(&facts).all(|result| result == Ok(true)), "{:?}", conditions);
    }
}
