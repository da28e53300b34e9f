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
    let mut writer = JsonWriter { end: out.len(), out };
    let written = record.serialize(&mut writer);
    let JsonWriter { out, end } = writer;
    out.truncate(end);
    written
}

/// The buffer is kept longer than what is written, so that room is looked for once a piece and not once
/// a byte.
struct JsonWriter<'o> {
    out: &'o mut Vec<u8>,
    /// Where the written part ends.
    end: usize,
}

/// By so much the buffer grows at least.
const GROWTH: usize = 1024;

impl JsonWriter<'_> {
    /// Room for the next bytes, which count as written.
    #[inline(always)]
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.out.len() - self.end < bytes {
            self.grow(bytes);
        }
        let start = self.end;
        self.end += bytes;
        &mut self.out[start..start + bytes]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, bytes: usize) {
        self.out.resize(self.end + bytes + GROWTH, 0);
    }

    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        copy(bytes, self.room(bytes.len()));
    }

    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        self.room(1)[0] = byte;
    }

    #[inline]
    fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        if any_special(bytes) {
            return self.escaped(bytes);
        }
        self.plain(bytes);
    }

    /// A text in which there is nothing to escape.
    #[inline(always)]
    fn plain(&mut self, bytes: &[u8]) {
        if let [first, middle @ .., last] = self.room(bytes.len() + 2) {
            *first = b'"';
            copy(bytes, middle);
            *last = b'"';
        }
    }

    #[cold]
    fn escaped(&mut self, bytes: &[u8]) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.byte(b'"');
        for &byte in bytes {
            match byte {
                b'"' | b'\\' => self.put(&[b'\\', byte]),
                0x08 => self.put(b"\\b"),
                b'\t' => self.put(b"\\t"),
                b'\n' => self.put(b"\\n"),
                0x0c => self.put(b"\\f"),
                b'\r' => self.put(b"\\r"),
                0..0x20 => {
                    self.put(b"\\u00");
                    self.put(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
                }
                _ => self.byte(byte),
            }
        }
        self.byte(b'"');
    }
}

/// Copies bytes to as much room: most are few, and two moves that may overlap do it. Where the length is
/// known, as a name's is, nothing else is left of this.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    match from.len() {
        0 => {}
        1 => ends::<1>(from, to),
        2..4 => ends::<2>(from, to),
        4..8 => ends::<4>(from, to),
        8..16 => ends::<8>(from, to),
        16..=32 => ends::<16>(from, to),
        _ => to.copy_from_slice(from),
    }
}

#[inline(always)]
fn ends<const N: usize>(from: &[u8], to: &mut [u8]) {
    if let (Some(start), Some(to_start)) = (from.first_chunk::<N>(), to.first_chunk_mut()) {
        *to_start = *start;
    }
    if let (Some(end), Some(to_end)) = (from.last_chunk::<N>(), to.last_chunk_mut()) {
        *to_end = *end;
    }
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
    if let (Some([a, b, c, d]), Some([e, f, g, h])) = (bytes.first_chunk(), bytes.last_chunk()) {
        return special(&[*a, *b, *c, *d, *e, *f, *g, *h]) != 0;
    }
    bytes.iter().any(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
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
            self.writer.byte(b',');
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
        if value {
            self.put(b"true");
        } else {
            self.put(b"false");
        }
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
        self.put(itoa::Buffer::new().format(value).as_bytes());
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
        self.put(itoa::Buffer::new().format(value).as_bytes());
        Ok(())
    }
    fn serialize_f32(self, value: f32) -> Result<(), JsonError> {
        self.serialize_f64(value.into())
    }
    fn serialize_f64(self, value: f64) -> Result<(), JsonError> {
        if !value.is_finite() {
            return self.serialize_unit();
        }
        self.put(zmij::Buffer::new().format_finite(value).as_bytes());
        Ok(())
    }
    fn serialize_char(self, value: char) -> Result<(), JsonError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), JsonError> {
        self.text(text);
        Ok(())
    }
    /// Bytes are JSON that this writer wrote before: nothing else in a record is bytes.
    fn serialize_bytes(self, json: &[u8]) -> Result<(), JsonError> {
        self.put(json);
        Ok(())
    }
    fn serialize_none(self) -> Result<(), JsonError> {
        self.serialize_unit()
    }
    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), JsonError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), JsonError> {
        self.put(b"null");
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), JsonError> {
        self.serialize_unit()
    }
    #[inline(always)]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), JsonError> {
        // A literal of this program.
        self.plain(variant.as_bytes());
        Ok(())
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
        self.byte(b'[');
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
        self.byte(b'{');
        Ok(Open { writer: self, is_first: true })
    }
    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'w, 'o>, JsonError> {
        Ok(Open { writer: self, is_first: true })
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
        self.writer.byte(b']');
        Ok(())
    }
}

impl SerializeMap for Open<'_, '_> {
    type Ok = ();
    type Error = JsonError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), JsonError> {
        self.separate();
        let start = self.writer.end;
        key.serialize(&mut *self.writer)?;
        if self.writer.out.get(start) != Some(&b'"') {
            return unwritable("a key that is not text");
        }
        self.writer.byte(b':');
        Ok(())
    }
    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        value.serialize(&mut *self.writer)
    }
    #[inline]
    fn end(self) -> Result<(), JsonError> {
        self.writer.byte(b'}');
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
        // Ahead of the first name is the brace, which is written with it.
        let separator = if std::mem::take(&mut self.is_first) { b'{' } else { b',' };
        let bytes = name.as_bytes();
        if let [before, quote, middle @ .., end_quote, colon] = self.writer.room(bytes.len() + 4) {
            (*before, *quote) = (separator, b'"');
            copy(bytes, middle);
            (*end_quote, *colon) = (b'"', b':');
        }
        value.serialize(&mut *self.writer)
    }
    #[inline]
    fn end(self) -> Result<(), JsonError> {
        if self.is_first {
            self.writer.byte(b'{');
        }
        self.writer.byte(b'}');
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
        let decimals = (any::<i64>(), 0..17, 0..16)
            .prop_map(|(digits, fewer, decimals)| (digits / 10i64.pow(fewer as u32)) as f64 / 10f64.powi(decimals));
        let numbers = proptest::collection::vec(prop_oneof![any::<f64>(), decimals], 0..8);
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
