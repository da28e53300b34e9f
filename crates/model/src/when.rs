//! A time of a login event, before it is known to be one.

use std::borrow::Cow;

use schemars::JsonSchema;

use crate::json_in::{FromJson, Reader};
use crate::lenient::Expect;
use crate::time::Timestamp;

/// What a time that is written as text or integer milliseconds says: an instant, or none where the text is
/// not RFC 3339 or out of range.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct When(pub(crate) Option<Timestamp>);

impl<'json> FromJson<'json> for When {
    fn read(&mut self, json: &mut Reader<'json>) -> Option<()> {
        *self = match json.peek()? {
            b'"' => When(Timestamp::parse_rfc3339(&json.text()?)),
            _ => json.number()?,
        };
        Some(())
    }
}

impl<'de> Expect<'de> for When {
    fn from_borrowed(text: &'de str) -> Option<Self> {
        Self::from_text(text)
    }
    fn from_text(text: &str) -> Option<Self> {
        Some(When(Timestamp::parse_rfc3339(text)))
    }
    fn from_i64(value: i64) -> Option<Self> {
        Some(When(Timestamp::in_range(value)))
    }
    fn from_u64(value: u64) -> Option<Self> {
        Some(When(i64::try_from(value).ok().and_then(Timestamp::in_range)))
    }
}

impl JsonSchema for When {
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
