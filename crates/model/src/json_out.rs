//! Writes JSON, for the records of this crate.
//!
//! A record is mostly names of fields and words, which are literals that need no escaping, and short texts
//! that need none either; general writers pay for generality at each of them. So the records write
//! themselves: [`record!`] defines one, and from the one definition come its JSON here and, by way of
//! `serde`, its MessagePack. What is written is the same to the byte as what `serde_json` writes (a property
//! test holds the two together).

use std::borrow::Cow;
use std::sync::Arc;

use crate::json_in::special_bytes;

/// What can be written as JSON.
pub trait ToJson {
    /// Writes the value.
    fn write_json(&self, json: &mut JsonWriter<'_>);
}

/// Defines records. A field has its own name or the one behind `as`, and is left out where the function
/// behind `unless` says so.
macro_rules! record {
    ($($(#[$meta:meta])* $vis:vis struct $name:ident $(<$a:lifetime>)? {
        $($(#[$fmeta:meta])* $fvis:vis $field:ident $(as $named:literal)? $(unless $absent:tt)? : $type:ty,)*
    })*) => {$(
        $(#[$meta])*
        $vis struct $name $(<$a>)? {
            $($(#[$fmeta])*
            $(#[serde(rename = $named)])?
            $(#[serde(skip_serializing_if = $absent)])?
            $fvis $field: $type,)*
        }

        impl $(<$a>)? $crate::json_out::ToJson for $name $(<$a>)? {
            #[inline]
            fn write_json(&self, json: &mut $crate::json_out::JsonWriter<'_>) {
                // Ahead of the first name is the brace, which is written with it. Which name that is, is
                // mostly known when this is compiled.
                let mut separator = b'{';
                $(if !$crate::json_out::is_absent!(&self.$field $(, $absent)?) {
                    json.name(separator, $crate::json_out::json_name!($field $($named)?));
                    $crate::json_out::ToJson::write_json(&self.$field, json);
                    separator = b',';
                })*
                json.put(if separator == b'{' { &b"{}"[..] } else { b"}" });
            }
        }
    )*};
}

/// Whether a field is left out.
macro_rules! is_absent {
    ($value:expr) => {
        false
    };
    ($value:expr, "Option::is_none") => {
        Option::is_none($value)
    };
    ($value:expr, "Prompts::is_empty") => {
        Prompts::is_empty($value)
    };
    ($value:expr, "Names::is_empty") => {
        Names::is_empty($value)
    };
}

/// A name as it stands in an object, behind a comma.
macro_rules! json_name {
    ($field:ident) => {
        concat!(",\"", stringify!($field), "\":")
    };
    ($field:ident $named:literal) => {
        concat!(",\"", $named, "\":")
    };
}

pub(crate) use {is_absent, json_name, record};

/// By so much the buffer grows at least.
const GROWTH: usize = 1024;

/// Appends a record.
pub(crate) fn write<T: ToJson + ?Sized>(record: &T, out: &mut Vec<u8>) {
    let mut json = JsonWriter { end: out.len(), out };
    record.write_json(&mut json);
    let JsonWriter { out, end } = json;
    out.truncate(end);
}

/// The buffer is kept longer than what is written, so that room is looked for once a piece and not once
/// a byte.
#[derive(Debug)]
pub struct JsonWriter<'o> {
    out: &'o mut Vec<u8>,
    /// Where the written part ends.
    end: usize,
}

impl JsonWriter<'_> {
    /// Room for the next bytes, which count as written.
    #[inline(always)]
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        let start = self.end;
        self.end += bytes;
        if self.end > self.out.len() {
            self.grow();
        }
        self.out.get_mut(start..self.end).unwrap_or_default()
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        self.out.resize(self.end + GROWTH, 0);
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        copy(bytes, self.room(bytes.len()));
    }

    #[inline(always)]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    /// A name, as [`json_name!`] makes it, with another separator in place of its comma. Inlined, so that the
    /// compiler sees the literal and copies it in one go.
    #[inline(always)]
    pub(crate) fn name(&mut self, separator: u8, name: &'static str) {
        let room = self.room(name.len());
        copy(name.as_bytes(), room);
        if let Some(first) = room.first_mut() {
            *first = separator;
        }
    }

    /// A text, escaped where it has to be.
    #[inline(never)]
    pub(crate) fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        if any_special(bytes) {
            return self.escaped(bytes);
        }
        self.quoted(bytes);
    }

    /// A text in which there is nothing to escape, as there is not in a literal of this program.
    #[inline(always)]
    pub(crate) fn quoted(&mut self, bytes: &[u8]) {
        if let [first, middle @ .., last] = self.room(bytes.len() + 2) {
            *first = b'"';
            copy(bytes, middle);
            *last = b'"';
        }
    }

    #[cold]
    #[inline(never)]
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

impl<T: ToJson + ?Sized> ToJson for &T {
    #[inline]
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        (**self).write_json(json);
    }
}

impl<T: ToJson> ToJson for Option<T> {
    #[inline]
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        match self {
            Some(value) => value.write_json(json),
            None => json.put(b"null"),
        }
    }
}

impl ToJson for str {
    #[inline]
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.text(self);
    }
}

impl ToJson for Cow<'_, str> {
    #[inline]
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.text(self);
    }
}

impl ToJson for Arc<str> {
    #[inline]
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.text(self);
    }
}

impl ToJson for bool {
    #[inline]
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.put(if *self { &b"true"[..] } else { b"false" });
    }
}

impl ToJson for i64 {
    #[inline(never)]
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.put(itoa::Buffer::new().format(*self).as_bytes());
    }
}

impl ToJson for u32 {
    #[inline]
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        i64::from(*self).write_json(json);
    }
}

impl ToJson for f64 {
    #[inline(never)]
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        if self.is_finite() {
            json.put(zmij::Buffer::new().format_finite(*self).as_bytes());
        } else {
            json.put(b"null");
        }
    }
}

/// A word: a literal of this program, in which there is nothing to escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Word(pub(crate) &'static str);

impl ToJson for Word {
    #[inline]
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.quoted(self.0.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde::Serialize;

    use super::{GROWTH, Word, write};

    record! {
        /// One of everything that the records hold.
        #[derive(Debug, Serialize)]
        struct Everything<'a> {
            maybe_first unless "Option::is_none": Option<Cow<'a, str>>,
            text: Cow<'a, str>,
            number as "numberOf": f64,
            null: Option<i64>,
            whole: i64,
            unsigned: u32,
            yes: bool,
            nothing: Nothing,
            shared unless "Option::is_none": Option<Arc<str>>,
            word: Word,
            borrowed: &'a str,
        }

        /// An object that may have no field.
        #[derive(Debug, Serialize)]
        struct Nothing {
            first unless "Option::is_none": Option<bool>,
            second unless "Option::is_none": Option<bool>,
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![".{0,40}", "[\u{0}-\u{7f}]{0,40}", "[a-z\"\\\\]{15,35}", "[a-z]{1000,3000}"]
    }

    fn number() -> impl Strategy<Value = f64> {
        let decimals = (any::<i64>(), 0..17, 0..16)
            .prop_map(|(digits, fewer, decimals)| (digits / 10i64.pow(fewer as u32)) as f64 / 10f64.powi(decimals));
        prop_oneof![any::<f64>(), decimals]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn writes_what_serde_json_writes(
            texts in (proptest::option::of(text()), text(), proptest::option::of(text()), text()),
            number in number(),
            (null, whole, unsigned, yes) in any::<(Option<i64>, i64, u32, bool)>(),
            (first, second) in any::<(Option<bool>, Option<bool>)>(),
        ) {
            let value = Everything {
                maybe_first: texts.0.map(Cow::Owned),
                text: texts.1.into(),
                number,
                null,
                whole,
                unsigned,
                yes,
                nothing: Nothing { first, second },
                shared: texts.2.map(Into::into),
                word: Word("word"),
                borrowed: &texts.3,
            };
            let mut out = b"before".to_vec();
            write(&value, &mut out);
            let mut wanted = b"before".to_vec();
            serde_json::to_writer(&mut wanted, &value).unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&wanted));
        }
    }

    /// A piece may end exactly where the buffer does, or beyond it by any number of bytes.
    #[test]
    fn the_buffer_grows_at_any_place() {
        for length in GROWTH - 40..GROWTH + 40 {
            let text = "x".repeat(length);
            let mut out = Vec::new();
            write(&*text, &mut out);
            assert_eq!(out, serde_json::to_vec(&text).unwrap());
            let nested = Everything {
                maybe_first: None,
                text: (&*text).into(),
                number: 1.5,
                null: None,
                whole: -1,
                unsigned: 2,
                yes: true,
                nothing: Nothing { first: None, second: None },
                shared: Some("\n".repeat(length).into()),
                word: Word("word"),
                borrowed: &text,
            };
            let mut out = Vec::new();
            write(&nested, &mut out);
            assert_eq!(out, serde_json::to_vec(&nested).unwrap());
        }
    }
}
