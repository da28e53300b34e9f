//! A time of a login event, before it is known to be one.

use std::borrow::Cow;

use schemars::JsonSchema;

use crate::json_in::{FromJson, Reader};
use crate::lenient::Expect;
use crate::time::Timestamp;

/// A time as it is written: text or integer milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum When<'a> {
    Text(Cow<'a, str>),
    Ms(i64),
}

impl When<'_> {
    /// The instant, or none where the text is not RFC 3339 or out of range.
    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        match self {
            When::Text(text) => Timestamp::parse_rfc3339(text),
            When::Ms(ms) => Timestamp::in_range(*ms),
        }
    }
}

impl Default for When<'_> {
    fn default() -> Self {
        When::Ms(0)
    }
}

impl<'json: 'a, 'a> FromJson<'json> for When<'a> {
    fn read(&mut self, json: &mut Reader<'json>) -> Option<()> {
        *self = match json.peek()? {
            b'"' => When::Text(json.text()?),
            _ => json.number()?,
        };
        Some(())
    }
}

impl<'de: 'a, 'a> Expect<'de> for When<'a> {
    fn from_borrowed(text: &'de str) -> Option<Self> {
        Some(When::Text(Cow::Borrowed(text)))
    }
    fn from_text(text: &str) -> Option<Self> {
        Some(When::Text(Cow::Owned(text.to_owned())))
    }
    fn from_i64(value: i64) -> Option<Self> {
        Some(When::Ms(value))
    }
    fn from_u64(value: u64) -> Option<Self> {
        Some(When::Ms(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl JsonSchema for When<'_> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "When".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "integer"] })
    }
}
