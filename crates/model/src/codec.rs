//! Bytes to events and records to bytes: JSON and MessagePack, told apart by the `content-type` header,
//! else by the first byte.

use serde::{Deserialize, Serialize};

use crate::event::{LoginEvent, Source, Wire};
use crate::json_out::ToJson;
use crate::lenient::Field;
use crate::msgpack;
use crate::unreadable::{MAX_DEPTH, MAX_EVENT_BYTES, Unreadable};
use crate::{json_in, json_out};

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// JSON, UTF-8.
    #[default]
    Json,
    /// MessagePack, objects as maps with text keys.
    MessagePack,
}

impl Encoding {
    /// The encoding that a `content-type` header names, if it names one of ours.
    #[must_use]
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name);
        if is("application/json") {
            Some(Encoding::Json)
        } else if is("application/msgpack") || is("application/x-msgpack") || is("application/vnd.msgpack") {
            Some(Encoding::MessagePack)
        } else {
            None
        }
    }

    /// The encoding of a record by its first byte: JSON text begins with ASCII, a MessagePack map never
    /// does.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        if payload.first().is_some_and(|b| !b.is_ascii()) { Encoding::MessagePack } else { Encoding::Json }
    }

    /// Writes a record, replacing what `out` held.
    ///
    /// # Errors
    /// Never for the types of this crate; the signature of MessagePack's encoder allows for types that
    /// cannot be written.
    pub fn encode<T: Record>(self, record: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.clear();
        match self {
            Encoding::Json => {
                json_out::write(record, out);
                Ok(())
            }
            Encoding::MessagePack => {
                rmp_serde::encode::write_named(out, record).map_err(|e| EncodeError(e.to_string()))
            }
        }
    }
}

/// What is written in either encoding: the records of this crate, and their parts.
pub trait Record: Serialize + ToJson {}

impl<T: Serialize + ToJson> Record for T {}

/// A record could not be written.
#[derive(Debug, thiserror::Error)]
#[error("a record could not be encoded: {0}")]
pub struct EncodeError(String);

/// Reads a login event. `scratch` is room for a repaired copy of the text, needed for few records; it
/// is reused between calls.
///
/// # Errors
/// [`Unreadable`] says why the record cannot be scored. Fields that are not required and of a wrong
/// type are no error: see [`LoginEvent::wrong_fields`].
pub fn decode<'a>(
    payload: &'a [u8],
    content_type: Option<&str>,
    scratch: &'a mut String,
) -> Result<LoginEvent<'a>, Unreadable> {
    if payload.is_empty() {
        return Err(Unreadable::Empty);
    }
    if payload.len() > MAX_EVENT_BYTES {
        return Err(Unreadable::TooLarge(payload.len()));
    }
    let encoding = content_type.and_then(Encoding::from_content_type).unwrap_or_else(|| Encoding::of(payload));
    match encoding {
        Encoding::MessagePack => decode_msgpack(payload),
        Encoding::Json => {
            let text = simdutf8::basic::from_utf8(payload).map_err(|_| Unreadable::InvalidUtf8)?;
            let mut wire = Wire::<'a>::default();
            match json_in::read(text, &mut wire) {
                // The reader of ordinary events gives up where a field is of a wrong type.
                Some(()) => LoginEvent::check(wire, Vec::new(), Source(payload, encoding)),
                None => decode_any_json(text, scratch),
            }
        }
    }
}

fn decode_msgpack(payload: &[u8]) -> Result<LoginEvent<'_>, Unreadable> {
    msgpack::check(payload)?;
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(payload);
    let wire = Field::<Wire<'_>>::deserialize(&mut deserializer)
        .map_err(|error| duplicate(&error).unwrap_or_else(|| Unreadable::not_msgpack(&error)))?;
    check_any(wire, Source(payload, Encoding::MessagePack))
}

/// Reads a login event from JSON of any kind: the general reader, which [`decode`] asks where an event
/// is not an ordinary one. It gives the same of an ordinary one, only slower; it is public so that this
/// can be tested.
///
/// # Errors
/// As [`decode`].
pub fn decode_any_json<'a>(text: &'a str, scratch: &'a mut String) -> Result<LoginEvent<'a>, Unreadable> {
    if nests_too_deep(text) {
        return Err(Unreadable::TooDeep);
    }
    let (wire, source) = match from_json(text) {
        Ok(wire) => (wire, text.as_bytes()),
        Err(error) => match duplicate(&error) {
            Some(twice) => return Err(twice),
            None if repair_json(text, scratch) => {
                let wire = from_json(scratch)
                    .map_err(|error| duplicate(&error).unwrap_or_else(|| Unreadable::not_json(&error)))?;
                (wire, scratch.as_bytes())
            }
            None => return Err(Unreadable::not_json(&error)),
        },
    };
    check_any(wire, Source(source, Encoding::Json))
}

fn check_any<'a>(wire: Field<Wire<'a>>, source: Source<'a>) -> Result<LoginEvent<'a>, Unreadable> {
    let wire = wire.into_given().ok_or(Unreadable::NotAnObject)?;
    let wrong_fields = wire.wrong_fields();
    LoginEvent::check(wire, wrong_fields, source)
}

fn from_json(text: &str) -> Result<Field<Wire<'_>>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let wire = Field::<Wire<'_>>::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(wire)
}

/// The field that an error says was given twice. The derived code tells it in words only.
fn duplicate(error: &dyn std::error::Error) -> Option<Unreadable> {
    let text = error.to_string();
    let name = text.split_once("duplicate field `")?.1.split('`').next()?;
    Some(Unreadable::DuplicateField(name.to_owned()))
}

/// Whether objects and arrays nest beyond [`MAX_DEPTH`]. Skipped values are not limited by the parser.
fn nests_too_deep(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Few records have so many openings at all. Both characters are the same but for one bit, and a sum
    // over short chunks in one byte is something that compilers make vector code of.
    let openings_of = |chunk: &[u8]| chunk.iter().fold(0u8, |sum, b| sum + u8::from(b | 0x20 == b'{'));
    let openings: usize = bytes.chunks(usize::from(u8::MAX)).map(|chunk| usize::from(openings_of(chunk))).sum();
    if openings <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &b in bytes {
        if in_string {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match b {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Rewrites what is JSON by its grammar but has no value in Rust: a number beyond 64-bit floats and a
/// text with half of a surrogate pair become an empty list, which is of a wrong type wherever one number
/// or text is asked for; in the name of a field the half becomes U+FFFD, which makes it an unknown one.
/// Answers whether anything was rewritten.
pub fn repair_json(text: &str, out: &mut String) -> bool {
    out.clear();
    let bytes = text.as_bytes();
    let (mut at, mut copied) = (0, 0);
    let mut changed = false;
    while at < bytes.len() {
        let from = at;
        let replacement = match bytes[at] {
            b'"' => {
                let (end, has_half) = scan_string(bytes, at);
                at = end;
                let is_name = || bytes[end..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':');
                has_half.then(|| if is_name() { "\"\u{fffd}\"" } else { "[]" })
            }
            b'-' | b'0'..=b'9' => {
                while at < bytes.len() && matches!(bytes[at], b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') {
                    at += 1;
                }
                let token = &text[from..at];
                let is_number = serde_json::from_str::<serde::de::IgnoredAny>(token).is_ok();
                (is_number && token.parse::<f64>().is_ok_and(f64::is_infinite)).then_some("[]")
            }
            _ => {
                at += 1;
                None
            }
        };
        if let Some(replacement) = replacement {
            out.push_str(&text[copied..from]);
            out.push_str(replacement);
            copied = at;
            changed = true;
        }
    }
    out.push_str(&text[copied..]);
    changed
}

/// The end of the string that begins here, and whether it escapes half of a surrogate pair.
fn scan_string(bytes: &[u8], start: usize) -> (usize, bool) {
    let (mut at, mut has_half) = (start + 1, false);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return (at + 1, has_half),
            b'\\' => match escaped_unit(bytes, at) {
                Some(0xd800..=0xdbff) if matches!(escaped_unit(bytes, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
                Some(0xd800..=0xdfff) => {
                    has_half = true;
                    at += 6;
                }
                _ => at += 2,
            },
            _ => at += 1,
        }
    }
    (bytes.len(), has_half)
}

/// The UTF-16 unit of an escape (`\u` and four hexadecimal digits) at this place.
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    if escape[0] != b'\\' || escape[1] != b'u' {
        return None;
    }
    escape[2..].iter().try_fold(0, |unit, &b| char::from(b).to_digit(16).map(|digit| unit * 16 + digit))
}
