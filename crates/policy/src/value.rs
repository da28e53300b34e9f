//! A login event, or a part of it, as a tree of values: what rules look at.
//!
//! Every field is kept, those of the tenant's own objects too; texts are borrowed from the record where
//! they need no unescaping. Reading is lenient as the event's contract is (`model::codec`): what the
//! contract calls readable is read here, and what has no value becomes null, which is absent.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of objects and arrays that is kept; what lies deeper is null.
pub const MAX_DEPTH: usize = 64;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Null, and everything that is none of the others: bytes, extension types, what lies too deep.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number that is written as one.
    Int(i64),
    /// Any other finite number, and whole ones beyond 64 bits.
    Double(f64),
    /// Text.
    String(Cow<'a, str>),
    /// A list.
    List(Vec<Value<'a>>),
    /// An object.
    Map(Map<'a>),
}

/// An object: its fields by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Map<'a> {
    /// The map of these entries; of entries of one name the last one counts.
    #[must_use]
    pub fn new(mut entries: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        // The sort is stable, so of equal names the last one given stays last.
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        if entries.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0)) {
            entries.reverse();
            entries.dedup_by(|a, b| a.0 == b.0);
            entries.reverse();
        }
        Self(entries)
    }

    /// The value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        let found = self.0.binary_search_by(|(key, _)| key.as_ref().cmp(name)).ok()?;
        self.0.get(found).map(|(_, value)| value)
    }

    /// All entries, in the order of their names.
    #[must_use]
    pub fn entries(&self) -> &[(Cow<'a, str>, Value<'a>)] {
        &self.0
    }

    /// The entries themselves.
    #[must_use]
    pub fn into_entries(self) -> Vec<(Cow<'a, str>, Value<'a>)> {
        self.0
    }
}

impl<'a> Value<'a> {
    /// Reads JSON: one whole value, in UTF-8. `None` where it is not that.
    #[must_use]
    pub fn from_json(json: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(json).ok()?;
        if let Some(value) = read_json(text) {
            return Some(value);
        }
        // Half of a surrogate pair and a number beyond all floats are JSON, but no values.
        let mut repaired = String::new();
        if !model::codec::repair_json(text, &mut repaired) {
            return None;
        }
        read_json(&repaired).map(Value::into_owned)
    }

    /// Reads MessagePack: one whole value. Entries whose names are not text are left out. `None` where it
    /// is not that.
    #[must_use]
    pub fn from_msgpack(bytes: &'a [u8]) -> Option<Self> {
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        // The decoder recurses; what an event may nest is less.
        deserializer.set_max_depth(model::unreadable::MAX_DEPTH + 1);
        let value = Reader { depth: 0 }.deserialize(&mut deserializer).ok()?;
        // Where there is nothing more, reading on fails.
        IgnoredAny::deserialize(&mut deserializer).is_err().then_some(value)
    }

    /// The field of that name, where this is an object that has one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        match self {
            Value::Map(map) => map.get(name),
            _ => None,
        }
    }

    /// The same value with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(value),
            Value::Int(value) => Value::Int(value),
            Value::Double(value) => Value::Double(value),
            Value::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Value::List(values) => Value::List(values.into_iter().map(Value::into_owned).collect()),
            Value::Map(Map(entries)) => {
                let owned =
                    |(key, value): (Cow<'_, str>, Value<'_>)| (Cow::Owned(key.into_owned()), value.into_owned());
                Value::Map(Map(entries.into_iter().map(owned).collect()))
            }
        }
    }
}

fn read_json<'a>(text: &'a str) -> Option<Value<'a>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Reader { depth: 0 }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(value)
}

/// Room that is made for the elements of a list or an object before they are read, at most.
const FIRST_ROOM: usize = 16;

/// Reads a value inside of `depth` lists and objects.
#[derive(Clone, Copy)]
struct Reader {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.depth > MAX_DEPTH {
            return IgnoredAny::deserialize(deserializer).map(|_| Value::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Int(value))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Value::Double(value as f64), Value::Int))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(if value.is_finite() { Value::Double(value) } else { Value::Null })
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }
    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }
    /// MessagePack's extension types.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(FIRST_ROOM));
        let inner = Reader { depth: self.depth + 1 };
        while let Some(value) = seq.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::List(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(map.size_hint().unwrap_or(FIRST_ROOM / 2).min(FIRST_ROOM));
        let inner = Reader { depth: self.depth + 1 };
        while let Some(key) = map.next_key_seed(inner)? {
            let value = map.next_value_seed(inner)?;
            if let Value::String(key) = key {
                entries.push((key, value));
            }
        }
        Ok(Value::Map(Map::new(entries)))
    }
}
