//! Events in both encodings, and MessagePack that no encoder writes.

use model::codec::decode;
use serde_json::{Value, json};

pub(crate) const JSON: Option<&str> = Some("application/json");
pub(crate) const MSGPACK: Option<&str> = Some("application/msgpack");

/// The smallest event that is scored.
pub(crate) fn minimal() -> Value {
    json!({
        "id": "e1",
        "time": 1_772_438_400_000_i64,
        "tenant": { "id": "acme.example" },
        "user": { "user_id": "u1" }
    })
}

/// The minimal event with the value at a dotted path replaced.
pub(crate) fn with(path: &str, value: Value) -> Value {
    let mut event = minimal();
    put(&mut event, path, value);
    event
}

pub(crate) fn put(event: &mut Value, path: &str, value: Value) {
    let mut at = event;
    for key in path.split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = at.as_object_mut().unwrap().entry(key).or_insert(Value::Null);
    }
    *at = value;
}

/// The minimal event without a path.
pub(crate) fn without(path: &str) -> Value {
    let mut event = minimal();
    let (parent, key) = path.rsplit_once('.').map_or((None, path), |(parent, key)| (Some(parent), key));
    let at = match parent {
        None => &mut event,
        Some(parent) => &mut event[parent],
    };
    at.as_object_mut().unwrap().remove(key);
    event
}

pub(crate) fn to_json(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

pub(crate) fn to_msgpack(value: &Value) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

/// Why a record is refused, or "read" with the fields of a wrong type behind it.
pub(crate) fn answer(payload: &[u8], content_type: Option<&str>) -> String {
    let mut scratch = String::new();
    match decode(payload, content_type, &mut scratch) {
        Ok(event) if event.wrong_fields.is_empty() => "read".to_owned(),
        Ok(event) => format!("read without {}", event.wrong_fields.join(", ")),
        Err(unreadable) => {
            assert!(model::Unreadable::REASONS.contains(&unreadable.reason()));
            assert!(unreadable.to_string().chars().count() < 400, "{unreadable}");
            unreadable.reason().to_owned()
        }
    }
}

/// Checks a payload's answer; the encoding is told apart by the first byte as well as by the header.
pub(crate) fn check(name: &str, payload: &[u8], content_type: Option<&str>, wanted: &str) {
    assert_eq!(answer(payload, content_type), wanted, "{name}");
    assert_eq!(answer(payload, None), wanted, "{name}, without a content type");
}

/// Checks one event in both encodings.
pub(crate) fn check_both(name: &str, event: &Value, wanted: &str) {
    check(&format!("{name}, JSON"), &to_json(event), JSON, wanted);
    check(&format!("{name}, MessagePack"), &to_msgpack(event), MSGPACK, wanted);
}

/// MessagePack of a text.
pub(crate) fn text(text: &str) -> Vec<u8> {
    rmp_serde::to_vec(text).unwrap()
}

/// MessagePack of the minimal event with more fields, given as encoded pairs.
pub(crate) fn minimal_and(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> =
        minimal().as_object().unwrap().iter().map(|(key, value)| (text(key), to_msgpack(value))).collect();
    fields.extend_from_slice(pairs);
    map(&fields)
}

/// MessagePack of a map of encoded pairs.
pub(crate) fn map(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0xde];
    bytes.extend((pairs.len() as u16).to_be_bytes());
    for (key, value) in pairs {
        bytes.extend(key);
        bytes.extend(value);
    }
    bytes
}
