//! Writes JSON, for the records of this crate.
//!
//! A record is mostly names of fields, which are literals that need no escaping, and short texts that
//! need none either; general writers pay for generality at each of them. What is written is the same to
//! the byte as what `serde_json` writes (a property test holds the two together).

use std::fmt::Display;

use serde::Serialize;
use serde::ser::{self, Impossible, SerializeMap, SerializeSeq, SerializeStruct};

use crate::json_in::special_bytes;

/// A value that this writer does not write: none of this crate's records holds one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct JsonError(String);

impl ser::Error for JsonError {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Appends a record.
pub(crate) fn write<T: Serialize + ?Sized>(record: &T, out: &mut Vec<u8>) -> Result<(), JsonError> {
    record.serialize(&mut JsonWriter { out })
}

struct JsonWriter<'o> {
    out: &'o mut Vec<u8>,
}

/// Whether one of the bytes cannot stand in a JSON text as it is. Words that overlap are looked at twice:
/// that costs less than to end byte by byte.
#[inline]
fn any_special(bytes: &[u8]) -> bool {
    let special = |word: &[u8; 8]| special_bytes(u64::from_le_bytes(*word));
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (words, _) = bytes.as_chunks();
        return words.iter().fold(special(first) | special(last), |any, word| any | special(word)) != 0;
    }
    bytes.iter().any(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
}

#[inline]
fn write_text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    if any_special(bytes) {
        write_escaped(bytes, out);
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(b'"');
}

#[cold]
fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            _ if byte < 0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend([b'\\', short]);
    }
}

fn unwritable<T>(what: &str) -> Result<T, JsonError> {
    Err(ser::Error::custom(format_args!("{what} cannot be written")))
}

/// A list, an object or a map under way.
struct Open<'w, 'o> {
    writer: &'w mut JsonWriter<'o>,
    is_first: bool,
}

impl Open<'_, '_> {
    #[inline]
    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.writer.out.push(b',');
        }
    }
}

impl<'w, 'o> ser::Serializer for &'w mut JsonWriter<'o> {
    type Ok = ();
    type Error = JsonError;
    type SerializeSeq = Open<'w, 'o>;
    type SerializeTuple = Impossible<(), JsonError>;
    type SerializeTupleStruct = Impossible<(), JsonError>;
    type SerializeTupleVariant = Impossible<(), JsonError>;
    type SerializeMap = Open<'w, 'o>;
    type SerializeStruct = Open<'w, 'o>;
    type SerializeStructVariant = Impossible<(), JsonError>;

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), JsonError> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }
    fn serialize_i8(self, value: i8) -> Result<(), JsonError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Result<(), JsonError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Result<(), JsonError> {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Result<(), JsonError> {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        Ok(())
    }
    fn serialize_u8(self, value: u8) -> Result<(), JsonError> {
        self.serialize_u64(value.into())
    }
    fn serialize_u16(self, value: u16) -> Result<(), JsonError> {
        self.serialize_u64(value.into())
    }
    fn serialize_u32(self, value: u32) -> Result<(), JsonError> {
        self.serialize_u64(value.into())
    }
    fn serialize_u64(self, value: u64) -> Result<(), JsonError> {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        Ok(())
    }
    fn serialize_f32(self, value: f32) -> Result<(), JsonError> {
        self.serialize_f64(value.into())
    }
    fn serialize_f64(self, value: f64) -> Result<(), JsonError> {
        if !value.is_finite() {
            return self.serialize_unit();
        }
        self.out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
        Ok(())
    }
    fn serialize_char(self, value: char) -> Result<(), JsonError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), JsonError> {
        write_text(text, self.out);
        Ok(())
    }
    fn serialize_bytes(self, _: &[u8]) -> Result<(), JsonError> {
        unwritable("bytes")
    }
    fn serialize_none(self) -> Result<(), JsonError> {
        self.serialize_unit()
    }
    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), JsonError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), JsonError> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), JsonError> {
        self.serialize_unit()
    }
    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), JsonError> {
        self.serialize_str(variant)
    }
    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), JsonError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), JsonError> {
        unwritable(name)
    }
    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'w, 'o>, JsonError> {
        self.out.push(b'[');
        Ok(Open { writer: self, is_first: true })
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, JsonError> {
        unwritable("a tuple")
    }
    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, JsonError> {
        unwritable(name)
    }
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, JsonError> {
        unwritable(name)
    }
    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Open<'w, 'o>, JsonError> {
        self.out.push(b'{');
        Ok(Open { writer: self, is_first: true })
    }
    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'w, 'o>, JsonError> {
        self.serialize_map(None)
    }
    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, JsonError> {
        unwritable(name)
    }
}

impl SerializeSeq for Open<'_, '_> {
    type Ok = ();
    type Error = JsonError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        self.separate();
        value.serialize(&mut *self.writer)
    }
    #[inline]
    fn end(self) -> Result<(), JsonError> {
        self.writer.out.push(b']');
        Ok(())
    }
}

impl SerializeMap for Open<'_, '_> {
    type Ok = ();
    type Error = JsonError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), JsonError> {
        self.separate();
        let start = self.writer.out.len();
        key.serialize(&mut *self.writer)?;
        if self.writer.out.get(start) != Some(&b'"') {
            return unwritable("a key that is not text");
        }
        self.writer.out.push(b':');
        Ok(())
    }
    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        value.serialize(&mut *self.writer)
    }
    #[inline]
    fn end(self) -> Result<(), JsonError> {
        self.writer.out.push(b'}');
        Ok(())
    }
}

impl SerializeStruct for Open<'_, '_> {
    type Ok = ();
    type Error = JsonError;

    /// The name is a literal of this program: there is nothing to escape in it. Inlined, so that the
    /// compiler sees the literal and copies it in one go.
    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), JsonError> {
        self.separate();
        let out = &mut *self.writer.out;
        out.reserve(name.len() + 3);
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        value.serialize(&mut *self.writer)
    }
    #[inline]
    fn end(self) -> Result<(), JsonError> {
        self.writer.out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Serialize;

    use super::write;

    /// One of everything that the records hold.
    #[derive(Debug, Serialize)]
    struct Everything {
        text: String,
        numbers: (),
        list: Vec<f64>,
        whole: i64,
        unsigned: u32,
        yes: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        optional: Option<Box<Everything>>,
        none: Option<String>,
        map: BTreeMap<String, char>,
        variant: Variant,
    }

    #[derive(Debug, Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Variant {
        OneOfTwo,
        TheOther,
    }

    fn everything() -> impl Strategy<Value = Everything> {
        let text = prop_oneof![".{0,40}", "[\u{0}-\u{7f}]{0,40}", "[a-z\"\\\\]{15,35}"];
        let map = proptest::collection::btree_map(".{0,5}", any::<char>(), 0..3);
        let numbers = proptest::collection::vec(any::<f64>(), 0..4);
        let one = (text, numbers, any::<i64>(), any::<u32>(), any::<bool>(), proptest::option::of(".*"), map).prop_map(
            |(text, list, whole, unsigned, yes, none, map)| Everything {
                text,
                numbers: (),
                list,
                whole,
                unsigned,
                yes,
                optional: None,
                none,
                map,
                variant: if yes { Variant::OneOfTwo } else { Variant::TheOther },
            },
        );
        one.prop_recursive(3, 4, 1, |inner| {
            inner.prop_map(|inner| Everything {
                optional: Some(Box::new(inner)),
                text: String::new(),
                numbers: (),
                list: Vec::new(),
                whole: -1,
                unsigned: 0,
                yes: false,
                none: None,
                map: BTreeMap::new(),
                variant: Variant::TheOther,
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn writes_what_serde_json_writes(value in everything()) {
            let mut out = b"before".to_vec();
            write(&value, &mut out).unwrap();
            let mut wanted = b"before".to_vec();
            serde_json::to_writer(&mut wanted, &value).unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&wanted));
        }
    }

    #[test]
    fn what_no_record_holds_is_an_error() {
        let mut out = Vec::new();
        assert!(write(&(1, 2), &mut out).is_err());
        assert!(write(&BTreeMap::from([(1, 2)]), &mut out).is_err());
        assert!(write(&Ok::<u8, u8>(1), &mut out).is_err());
    }
}
