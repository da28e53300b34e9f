//! Fields that may be of a wrong type without making the record unreadable.
//!
//! Parts of a login event are the attacker's to choose; a user agent that is a number must not cost a
//! user his verdict. A [`Field`] therefore takes any value: one of the right type is kept, `null` is
//! absent, anything else is remembered as [`Field::Wrong`] and skipped. A field given twice is still an
//! error, because two readers could take different ones.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// A field of the input: absent (or null), of a wrong type, or there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Field<T> {
    #[default]
    Absent,
    Wrong,
    Given(T),
}

impl<T> Field<T> {
    pub(crate) fn given(&self) -> Option<&T> {
        match self {
            Field::Given(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn into_given(self) -> Option<T> {
        match self {
            Field::Given(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn is_wrong(&self) -> bool {
        matches!(self, Field::Wrong)
    }

    fn from_option(value: Option<T>) -> Self {
        value.map_or(Field::Wrong, Field::Given)
    }
}

/// A type that can be made from some kinds of input values. Each method answers `None` for a kind that
/// is of the wrong type; an error is only for input that cannot be read at all.
pub(crate) trait Expect<'de>: Sized {
    fn from_borrowed(_text: &'de str) -> Option<Self> {
        None
    }
    fn from_text(_text: &str) -> Option<Self> {
        None
    }
    fn from_bool(_value: bool) -> Option<Self> {
        None
    }
    fn from_i64(_value: i64) -> Option<Self> {
        None
    }
    fn from_u64(_value: u64) -> Option<Self> {
        None
    }
    fn from_f64(_value: f64) -> Option<Self> {
        None
    }
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl<'de, T: Expect<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor<T>(PhantomData<T>);

        impl<'de, T: Expect<'de>> Visitor<'de> for FieldVisitor<T> {
            type Value = Field<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Field::from_option(T::from_borrowed(v)))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Field::from_option(T::from_text(v)))
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Self::Value, E> {
                Ok(Field::from_option(T::from_bool(v)))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Self::Value, E> {
                Ok(Field::from_option(T::from_i64(v)))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Self::Value, E> {
                Ok(Field::from_option(T::from_u64(v)))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Self::Value, E> {
                Ok(Field::from_option(T::from_f64(v)))
            }
            fn visit_bytes<E: de::Error>(self, _: &[u8]) -> Result<Self::Value, E> {
                Ok(Field::Wrong)
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Field::Absent)
            }
            fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Field::Absent)
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
                d.deserialize_any(self)
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
                // MessagePack extension values arrive here: of no type that a login event has.
                IgnoredAny::deserialize(d)?;
                Ok(Field::Wrong)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Ok(Field::from_option(T::from_seq(seq)?))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Ok(Field::from_option(T::from_map(map)?))
            }
        }

        deserializer.deserialize_any(FieldVisitor(PhantomData))
    }
}

/// Reads an object of derived fields from a map. Keys that are not text (MessagePack allows them) are
/// skipped: derived code would take a number for a field's position.
pub(crate) fn object<'de, T, A>(map: A) -> Result<Option<T>, A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    T::deserialize(MapAccessDeserializer::new(TextKeys(map))).map(Some)
}

struct TextKeys<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for TextKeys<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, mut seed: K) -> Result<Option<K::Value>, Self::Error> {
        loop {
            match self.0.next_key_seed(TextKey(seed))? {
                None => return Ok(None),
                Some(Key::Text(key)) => return Ok(Some(key)),
                Some(Key::Other(unused)) => {
                    self.0.next_value::<IgnoredAny>()?;
                    seed = unused;
                }
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        self.0.next_value_seed(seed)
    }
}

/// Hands a key on to its seed if it is text, and the seed back if it is not.
struct TextKey<K>(K);

enum Key<T, K> {
    Text(T),
    Other(K),
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for TextKey<K> {
    type Value = Key<K::Value, K>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Visits values that are not text: each method of the visitor skips one kind.
macro_rules! other_keys {
    ($($method:ident($type:ty);)*) => {$(
        fn $method<E: de::Error>(self, _: $type) -> Result<Self::Value, E> {
            Ok(Key::Other(self.0))
        }
    )*};
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for TextKey<K> {
    type Value = Key<K::Value, K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any key")
    }
    fn visit_borrowed_str<E: de::Error>(self, key: &'de str) -> Result<Self::Value, E> {
        self.0.deserialize(BorrowedStrDeserializer::new(key)).map(Key::Text)
    }
    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        self.0.deserialize(StrDeserializer::new(key)).map(Key::Text)
    }
    other_keys! {
        visit_bool(bool);
        visit_i64(i64);
        visit_u64(u64);
        visit_f64(f64);
        visit_bytes(&[u8]);
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Key::Other(self.0))
    }
    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Key::Other(self.0))
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        IgnoredAny::deserialize(d)?;
        Ok(Key::Other(self.0))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Key::Other(self.0))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Key::Other(self.0))
    }
}

/// Text, borrowed from the input where it needed no unescaping.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Expect<'de> for Text<'a> {
    fn from_borrowed(text: &'de str) -> Option<Self> {
        Some(Text(Cow::Borrowed(text)))
    }
    fn from_text(text: &str) -> Option<Self> {
        Some(Text(Cow::Owned(text.to_owned())))
    }
}

impl<'de> Expect<'de> for bool {
    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

/// A finite number, whole or not.
impl<'de> Expect<'de> for f64 {
    fn from_i64(value: i64) -> Option<Self> {
        Some(value as f64)
    }
    fn from_u64(value: u64) -> Option<Self> {
        Some(value as f64)
    }
    fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then_some(value)
    }
}

/// A whole number, held at the ends of its range when it is beyond them.
impl<'de> Expect<'de> for i64 {
    fn from_i64(value: i64) -> Option<Self> {
        Some(value)
    }
    fn from_u64(value: u64) -> Option<Self> {
        Some(i64::try_from(value).unwrap_or(i64::MAX))
    }
    fn from_f64(value: f64) -> Option<Self> {
        // A whole number that no 64-bit integer holds arrives as a float.
        const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
        (value.abs() >= TWO_TO_63).then_some(value as i64)
    }
}

/// A list of which every element is of the right type.
impl<'de, T: Expect<'de>> Expect<'de> for Vec<T> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut list = Some(Vec::new());
        while let Some(element) = seq.next_element::<Field<T>>()? {
            match (element, &mut list) {
                (Field::Given(value), Some(list)) => list.push(value),
                _ => list = None,
            }
        }
        Ok(list)
    }
}

/// A value that is held to its type and that nobody asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Unread<T>(PhantomData<T>);

impl<T> Default for Unread<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// A text of which nobody asks what it says.
impl<'de> Expect<'de> for Unread<Text<'static>> {
    fn from_borrowed(_: &'de str) -> Option<Self> {
        Some(Self::default())
    }
    fn from_text(_: &str) -> Option<Self> {
        Some(Self::default())
    }
}

/// A list of which every element is held to its type, and is kept only whether there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct UnreadList<T> {
    pub(crate) any: bool,
    element: PhantomData<T>,
}

impl<T> Default for UnreadList<T> {
    fn default() -> Self {
        Self { any: false, element: PhantomData }
    }
}

impl<'de, T: Expect<'de>> Expect<'de> for UnreadList<T> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let (mut right, mut list) = (true, Self::default());
        while let Some(element) = seq.next_element::<Field<T>>()? {
            right &= element.given().is_some();
            list.any = true;
        }
        Ok(right.then_some(list))
    }
}

/// A text that is looked for in a list.
pub(crate) trait Sought {
    const TEXT: &'static str;
}

/// A list of texts, of which is kept only whether one is the text that is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mentions<S> {
    pub(crate) found: bool,
    sought: PhantomData<S>,
}

impl<S> Default for Mentions<S> {
    fn default() -> Self {
        Self { found: false, sought: PhantomData }
    }
}

impl<S: Sought> Mentions<S> {
    pub(crate) fn see(&mut self, text: &str) {
        self.found |= text == S::TEXT;
    }
}

impl<'de, S: Sought> Expect<'de> for Mentions<S> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let (mut right, mut list) = (true, Self::default());
        while let Some(element) = seq.next_element::<Field<Text<'de>>>()? {
            match element.given() {
                Some(Text(text)) => list.see(text),
                None => right = false,
            }
        }
        Ok(right.then_some(list))
    }
}

/// A value whose type the event's contract leaves open.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Anything;

impl<'de> Expect<'de> for Anything {
    fn from_borrowed(_: &'de str) -> Option<Self> {
        Some(Self)
    }
    fn from_text(_: &str) -> Option<Self> {
        Some(Self)
    }
    fn from_bool(_: bool) -> Option<Self> {
        Some(Self)
    }
    fn from_i64(_: i64) -> Option<Self> {
        Some(Self)
    }
    fn from_u64(_: u64) -> Option<Self> {
        Some(Self)
    }
    fn from_f64(_: f64) -> Option<Self> {
        Some(Self)
    }
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(Self))
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(Self))
    }
}

/// An object whose members are the tenant's own.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct FreeObject;

impl<'de> Expect<'de> for FreeObject {
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(Self))
    }
}

/// The JSON Schema of a field: its type, or null.
impl<T: JsonSchema> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        <Option<T>>::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Option<T>>::json_schema(generator)
    }
}

impl JsonSchema for Text<'_> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

impl<T: JsonSchema> JsonSchema for Unread<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for UnreadList<T> {
    fn inline_schema() -> bool {
        <Vec<T>>::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        <Vec<T>>::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Vec<T>>::json_schema(generator)
    }
}

impl<S> JsonSchema for Mentions<S> {
    fn inline_schema() -> bool {
        <Vec<Text<'static>>>::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        <Vec<Text<'static>>>::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Vec<Text<'static>>>::json_schema(generator)
    }
}

impl JsonSchema for Anything {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Anything".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({})
    }
}

impl JsonSchema for FreeObject {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "FreeObject".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "object" })
    }
}
