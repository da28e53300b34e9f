//! One tenant log record, read from JSON or MessagePack and held to what a record has at least.

use model::Encoding;
use model::time::Timestamp;
use model::unreadable::{MAX_DEPTH, MAX_EVENT_BYTES};
use serde::Deserialize as _;
use serde_json::Value;

use crate::printable::printable_json;

/// A tenant log record.
#[derive(Debug)]
pub(super) struct Entry {
    /// All of it, in the shape of the published schema as far as its writer kept to that.
    pub(super) value: Value,
    /// When it happened.
    pub(super) date: Timestamp,
    /// As JSON on one line: the text as it came, where it came as JSON.
    pub(super) json: String,
}

/// Why a record cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{0} bytes, and at most {MAX_EVENT_BYTES} are read")]
    TooLarge(usize),
    #[error("it has no value")]
    Empty,
    #[error("it is not JSON: {0}")]
    NotJson(String),
    #[error("it is not MessagePack: {0}")]
    NotMsgPack(String),
    #[error("it is no tenant log record: {0}")]
    NoLogRecord(&'static str),
}

impl Entry {
    /// Reads a record. The header decides how it is written, else its first byte.
    pub(super) fn read(payload: &[u8], content_type: Option<&str>) -> Result<Self, Unreadable> {
        if payload.is_empty() {
            return Err(Unreadable::Empty);
        }
        if payload.len() > MAX_EVENT_BYTES {
            return Err(Unreadable::TooLarge(payload.len()));
        }
        let encoding = content_type.and_then(Encoding::from_content_type).unwrap_or_else(|| Encoding::of(payload));
        let (value, json) = match encoding {
            Encoding::Json => {
                let not_json = |error: &dyn std::fmt::Display| Unreadable::NotJson(error.to_string());
                let text = std::str::from_utf8(payload).map_err(|error| not_json(&error))?;
                let value: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
                (value, printable_json(text.trim_ascii()).into_owned())
            }
            Encoding::MessagePack => {
                let value = from_msgpack(payload)?;
                let json = printable_json(&value.to_string()).into_owned();
                (value, json)
            }
        };
        let data = &value["data"];
        let missing = |what| Err(Unreadable::NoLogRecord(what));
        if !data.is_object() {
            return missing("it has no `data`");
        }
        if !value["log_id"].is_string() || !data["type"].is_string() {
            return missing("`log_id` and `data.type` are wanted as texts");
        }
        let Some(date) = data["date"].as_str().and_then(Timestamp::parse_rfc3339) else {
            return missing("`data.date` is wanted as an RFC 3339 time from 2000 to 2099");
        };
        Ok(Self { date, json, value })
    }

    /// The record itself, without its envelope.
    pub(super) fn data(&self) -> &Value {
        &self.value["data"]
    }

    /// The reference's `riskAssessment`; null where nothing was assessed.
    pub(super) fn risk(&self) -> &Value {
        &self.data()["details"]["riskAssessment"]
    }

    /// What was decided; null where nothing was.
    pub(super) fn decision(&self) -> &Value {
        &self.data()["details"]["decision"]
    }

    pub(super) fn log_id(&self) -> &str {
        self.value["log_id"].as_str().unwrap_or_default()
    }

    pub(super) fn kind(&self) -> &str {
        self.data()["type"].as_str().unwrap_or_default()
    }
}

fn from_msgpack(payload: &[u8]) -> Result<Value, Unreadable> {
    let mut rest = payload;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    deserializer.set_max_depth(MAX_DEPTH);
    let value = Value::deserialize(&mut deserializer).map_err(|error| Unreadable::NotMsgPack(error.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(Unreadable::NotMsgPack("bytes after the value".to_owned())) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> Value {
        json!({ "log_id": "1", "data": { "type": "s", "date": "2026-03-02T09:00:00.000Z", "user_name": "\u{1b}\u{9b}" } })
    }

    #[test]
    fn both_encodings_are_read_whether_named_or_not() {
        let (json, packed) = (record().to_string().into_bytes(), rmp_serde::to_vec_named(&record()).unwrap());
        for (payload, content_type) in [
            (&json, None),
            (&json, Some("application/json; charset=utf-8")),
            (&packed, None),
            (&packed, Some("application/x-msgpack")),
            (&packed, Some("text/plain")),
        ] {
            let entry = Entry::read(payload, content_type).unwrap();
            assert_eq!((entry.kind(), entry.date, &entry.value), ("s", Timestamp(1_772_442_000_000), &record()));
            assert!(entry.json.contains(r"\u001b\u009b"), "{}", entry.json);
            assert_eq!(serde_json::from_str::<Value>(&entry.json).unwrap(), record());
        }
    }

    #[test]
    fn what_is_no_log_record_is_told_with_its_reason() {
        let mut trailing = rmp_serde::to_vec_named(&record()).unwrap();
        trailing.push(0xc0);
        let without = |path: &str| {
            let mut record = record();
            *record.pointer_mut(path).unwrap() = Value::Null;
            record.to_string().into_bytes()
        };
        let deep = |open: u8| [vec![open; 100_000], b"\x00".to_vec()].concat();
        for (payload, why) in [
            (b"".to_vec(), "no value"),
            (b"{".to_vec(), "not JSON"),
            (b"{\"a\":\"\xff\"}".to_vec(), "not JSON"),
            (deep(b'['), "not JSON"),
            (deep(0x91), "not MessagePack"),
            (b"\xdf\xff\xff\xff\xff".to_vec(), "not MessagePack"),
            (trailing, "bytes after"),
            (b"[]".to_vec(), "no `data`"),
            (b"7".to_vec(), "no `data`"),
            (without("/log_id"), "`log_id`"),
            (without("/data/type"), "`data.type`"),
            (without("/data/date"), "`data.date`"),
            (vec![b' '; MAX_EVENT_BYTES + 1], "at most"),
        ] {
            let error = Entry::read(&payload, None).unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
