//! Whatever arrives, the decoders answer: properties over arbitrary bytes and damaged events.

use model::codec::{decode, decode_any_json};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{JSON, MSGPACK, minimal, put, to_json, to_msgpack};

fn full() -> Value {
    let mut event = minimal();
    for (path, value) in [
        ("stage", json!("attempt")),
        ("outcome", json!("success")),
        ("request.ip", json!("192.0.2.7")),
        ("request.user_agent", json!("Example/1.0 \u{1f600} \"quoted\"")),
        ("request.geoip.latitude", json!(51.5)),
        ("request.geoip.cityName", json!("Zürich")),
        ("device.id", json!("cookie")),
        ("user.enrolledFactors", json!([{"type": "otp"}])),
        ("authentication.methods", json!([{"name": "pwd", "timestamp": "2026-03-02T08:00:00Z"}])),
        ("stats.logins_count", json!(3)),
        ("x", json!([1, -2.5, null, {"y": "z"}])),
    ] {
        put(&mut event, path, value);
    }
    event
}

/// Any JSON value, not too large.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Halves have the same value in text and in binary.
        (-1_000_000i32..1_000_000).prop_map(|halves| Value::from(f64::from(halves) / 2.0)),
        ".{0,12}".prop_map(Value::from),
        Just(json!("192.0.2.1")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z_]{1,6}|ip|id|latitude", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "id",
        "time",
        "stage",
        "outcome",
        "tenant",
        "tenant.id",
        "user",
        "user.user_id",
        "user.multifactor",
        "user.enrolledFactors",
        "request",
        "request.ip",
        "request.user_agent",
        "request.geoip",
        "request.geoip.latitude",
        "device",
        "device.id",
        "authentication.methods",
        "stats.logins_count",
        "error",
        "x",
    ])
}

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    " ",
    "\n",
    "\"",
    "\\",
    "\\n",
    "\\u00e9",
    "\\ud800",
    "\\udc00",
    "null",
    "true",
    "false",
    "0",
    "12",
    "-",
    ".",
    "5",
    "e",
    "E+3",
    "1e400",
    "\"a\"",
    "\"ip\"",
    "\"methods\":",
    "\"logins_count\":",
    "\"user_id\":\"v\"",
    "{}",
    "[]",
    "{\"a\":1}",
    "\"ip\":\"192.0.2.1\"",
    "é",
    "\u{7f}",
    "\u{1}",
    "99999999999999999999",
    "-0",
];

const MEMBERS: &[(&str, &str)] = &[
    ("stage", "\"attempt\""),
    ("outcome", "null"),
    ("user", "{\"user_id\":\"u\"}"),
    ("user", "{\"email\":\"u@example.com\",\"user_id\":\"u\",\"user_id_\":1}"),
    ("request", "{\"geoip\":{\"longitude\":1,\"latitude\":2},\"user_agent\":\"a\",\"ip\":\"192.0.2.1\"}"),
    ("request", "{ }"),
    ("stats", "{\"logins_count\" :3}"),
    ("device", "{\"id\":\"c\", \"id\":\"d\"}"),
    ("devic", "{}"),
    ("id", "\"f\""),
    ("x", "[1,{\"id\":2}]"),
];

fn shown(payload: &[u8], content_type: Option<&str>) -> String {
    let shown = |decoded: Result<_, model::Unreadable>| match decoded {
        Ok(event) => format!("{event:?}"),
        Err(unreadable) => format!("{}: {unreadable}", unreadable.reason()),
    };
    let (mut scratch, mut other_scratch) = (String::new(), String::new());
    let decoded = shown(decode(payload, content_type, &mut scratch));
    if content_type == JSON
        && !payload.is_empty()
        && let Ok(text) = std::str::from_utf8(payload)
    {
        assert_eq!(decoded, shown(decode_any_json(text, &mut other_scratch)), "{text}");
    }
    decoded
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn arbitrary_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        for content_type in [None, JSON, MSGPACK, Some("text/plain"), Some("\u{0}")] {
            shown(&payload, content_type);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[\\PC\"\\\\{}\\[\\],:0-9eE+.u-]{0,120}") {
        shown(text.as_bytes(), JSON);
        shown(format!("{{\"id\":\"e\",\"time\":1772438400000,\"tenant\":{{\"id\":\"t\"}},\"user\":{{\"user_id\":\"u\"}},\"x\":{text}}}").as_bytes(), JSON);
        shown(format!("{{\"x\":{text}}}").as_bytes(), JSON);
        shown(format!("{{\"x\":\"{text}\",\"y\":1e400}}").as_bytes(), JSON);
    }

    /// Members in any order, some missing, some twice, with space anywhere.
    #[test]
    fn the_order_of_fields_does_not_count(
        members in prop::collection::vec(prop::sample::select(MEMBERS), 0..8),
        space in "[ \n]{0,2}",
    ) {
        let object = |members: &[(&str, &str)]| {
            let written = |(name, value): &(&str, &str)| format!("{space}\"{name}\"{space}:{space}{value}{space}");
            format!("{{{}}}", members.iter().map(written).collect::<Vec<_>>().join(","))
        };
        let required = [("id", "\"e\""), ("time", "1772438400000"), ("tenant", "{\"id\":\"t\"}")];
        shown(object(&members).as_bytes(), JSON);
        shown(object(&[&required[..], &members].concat()).as_bytes(), JSON);
        shown(object(&[&members, &required[..]].concat()).as_bytes(), JSON);
    }

    #[test]
    fn damaged_events_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
        msgpack in any::<bool>(),
    ) {
        let mut payload = if msgpack { to_msgpack(&full()) } else { to_json(&full()) };
        for (at, byte, how) in changes {
            let at = at.index(payload.len());
            match how {
                0 => payload[at] = byte,
                1 => payload.insert(at, byte),
                _ => { payload.remove(at); }
            }
        }
        shown(&payload, if msgpack { MSGPACK } else { JSON });
        shown(&payload, None);
    }

    #[test]
    fn both_encodings_say_the_same(changes in prop::collection::vec((any_path(), any_value()), 0..4)) {
        let mut event = full();
        for (path, value) in changes {
            put(&mut event, path, value);
        }
        let read = shown(&to_json(&event), JSON);
        prop_assert_eq!(&read, &shown(&to_msgpack(&event), MSGPACK));
        prop_assert_eq!(&read, &shown(&serde_json::to_vec_pretty(&event).unwrap(), JSON));
    }

    /// Pieces of JSON in any order: closer to what a reader takes than arbitrary text is.
    #[test]
    fn pieces_of_json(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..12)) {
        let value = pieces.concat();
        for field in ["x", "id", "time", "user", "request", "stats", "authentication"] {
            let event = format!(
                r#"{{"tenant":{{"id":"t"}},"user":{{"user_id":"u"}},"time":1772438400000,"id":"e","{field}":{value}}}"#
            );
            shown(event.as_bytes(), JSON);
            shown(event.replacen(&format!("\"{field}\""), "\"y\"", 1).as_bytes(), JSON);
        }
    }
}
