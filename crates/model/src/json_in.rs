//! Reads an ordinary login event from JSON in one pass.
//!
//! Ordinary is what nearly every event is: JSON without a fault, every known field once and of its type
//! (or null), names without escapes. Of anything else this reader answers `None` and does not say why:
//! the general reader ([`lenient`](crate::lenient), on `serde_json`) reads the record from its beginning
//! and decides what it is. What this one reads, it reads as the general one does; property tests and a
//! fuzz target hold the two together.

use std::borrow::Cow;

use serde::Deserialize;

use crate::lenient::{Anything, Expect, Field, FreeObject, Mentions, Sought, Text, Unread, UnreadList};

/// Deepest nesting of skipped values that is read here, well within what records may have at all.
const MAX_SKIPPED_DEPTH: u32 = 64;

/// Reads a whole text into an empty value; `None` where it is not ordinary.
pub(crate) fn read<'a, T: FromJson<'a>>(text: &'a str, value: &mut T) -> Option<()> {
    let mut json = Reader { text, at: 0 };
    json.token()?;
    value.read(&mut json)?;
    json.skip_space();
    (json.at == text.len()).then_some(())
}

/// A type that can be read from a value of JSON. The reader stands at the value's first byte.
pub(crate) trait FromJson<'a>: Default {
    /// Takes the value over, in place: events are large.
    fn read(&mut self, json: &mut Reader<'a>) -> Option<()>;
}

impl<'a, T: FromJson<'a>> Field<T> {
    /// Reads the field's value. `given` says whether the object had the field already, and is set.
    pub(crate) fn read_once(&mut self, given: &mut bool, json: &mut Reader<'a>) -> Option<()> {
        if std::mem::replace(given, true) {
            return None;
        }
        if json.peek() == Some(b'n') {
            return json.literal("null");
        }
        *self = Field::Given(T::default());
        match self {
            Field::Given(value) => value.read(json),
            _ => None,
        }
    }
}

impl<'json: 'a, 'a> FromJson<'json> for Text<'a> {
    #[inline]
    fn read(&mut self, json: &mut Reader<'json>) -> Option<()> {
        self.0 = json.text()?;
        Some(())
    }
}

impl<'a> FromJson<'a> for bool {
    fn read(&mut self, json: &mut Reader<'a>) -> Option<()> {
        *self = json.peek()? == b't';
        json.literal(if *self { "true" } else { "false" })
    }
}

impl<'a> FromJson<'a> for f64 {
    fn read(&mut self, json: &mut Reader<'a>) -> Option<()> {
        *self = json.number()?;
        Some(())
    }
}

impl<'a> FromJson<'a> for i64 {
    fn read(&mut self, json: &mut Reader<'a>) -> Option<()> {
        *self = json.number()?;
        Some(())
    }
}

impl<'a> FromJson<'a> for Unread<Text<'static>> {
    #[inline]
    fn read(&mut self, json: &mut Reader<'a>) -> Option<()> {
        json.text().map(drop)
    }
}

impl<'a, T: FromJson<'a>> FromJson<'a> for Vec<T> {
    fn read(&mut self, json: &mut Reader<'a>) -> Option<()> {
        json.list(|element| self.push(element))
    }
}

impl<'a, T: FromJson<'a>> FromJson<'a> for UnreadList<T> {
    fn read(&mut self, json: &mut Reader<'a>) -> Option<()> {
        json.list(|_: T| self.any = true)
    }
}

impl<'a, S: Sought> FromJson<'a> for Mentions<S> {
    fn read(&mut self, json: &mut Reader<'a>) -> Option<()> {
        json.list(|Text(text): Text<'a>| self.see(&text))
    }
}

impl<'a> FromJson<'a> for Anything {
    fn read(&mut self, json: &mut Reader<'a>) -> Option<()> {
        json.skip(0)
    }
}

impl<'a> FromJson<'a> for FreeObject {
    fn read(&mut self, json: &mut Reader<'a>) -> Option<()> {
        if json.peek() == Some(b'{') { json.skip(0) } else { None }
    }
}

/// A place in a text.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over one byte, which must be this one.
    #[inline]
    pub(crate) fn byte(&mut self, wanted: u8) -> Option<()> {
        let found = self.peek()? == wanted;
        self.at += usize::from(found);
        found.then_some(())
    }

    #[inline]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over white space; the byte that the next token begins with.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        self.skip_space();
        self.peek()
    }

    fn literal(&mut self, wanted: &str) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        if !rest.starts_with(wanted.as_bytes()) {
            return None;
        }
        self.at += wanted.len();
        Some(())
    }

    /// Steps into an object: whether it has a member, at whose name the reader stands then.
    #[inline]
    pub(crate) fn open(&mut self) -> Option<bool> {
        self.byte(b'{')?;
        let has_member = self.token()? != b'}';
        self.at += usize::from(!has_member);
        Some(has_member)
    }

    /// Steps to an object's next member, after a value: whether there is one.
    #[inline]
    pub(crate) fn more(&mut self) -> Option<bool> {
        let next = self.token()?;
        self.at += 1;
        if next == b',' {
            self.skip_space();
        }
        matches!(next, b',' | b'}').then_some(next == b',')
    }

    /// A list of values of one type.
    #[inline]
    fn list<T: FromJson<'a>>(&mut self, mut take: impl FnMut(T)) -> Option<()> {
        self.byte(b'[')?;
        if self.token()? == b']' {
            return self.byte(b']');
        }
        loop {
            let mut element = T::default();
            element.read(self)?;
            take(element);
            match self.token()? {
                b',' => self.byte(b',')?,
                _ => return self.byte(b']'),
            }
            self.token()?;
        }
    }

    /// Steps over a member's name, given with its quotes and colon, to its value, if the reader stands at
    /// that name. One that is written otherwise (there may be space before the colon) is not found.
    #[inline(always)]
    pub(crate) fn expected(&mut self, name: &'static str) -> bool {
        let here = self.text.as_bytes().get(self.at..).and_then(|rest| rest.get(..name.len()));
        let found = here == Some(name.as_bytes());
        if found {
            self.at += name.len();
            self.skip_space();
        }
        found
    }

    /// Steps over a member's name, whatever it is, to its value.
    pub(crate) fn name(&mut self) -> Option<&'a [u8]> {
        self.byte(b'"')?;
        let start = self.at;
        if self.plain()? != b'"' {
            return None;
        }
        let name = self.text.as_bytes().get(start..self.at)?;
        self.at += 1;
        if self.token()? != b':' {
            return None;
        }
        self.at += 1;
        self.skip_space();
        Some(name)
    }

    /// Steps to the next `"` or `\`, and tells which; `None` where a control character or the end comes
    /// before.
    #[inline]
    fn plain(&mut self) -> Option<u8> {
        let (words, _) = self.text.as_bytes().get(self.at..)?.as_chunks();
        for word in words {
            let special = special_bytes(u64::from_le_bytes(*word));
            if special != 0 {
                let place = special.trailing_zeros() as usize / 8;
                self.at += place;
                return word.get(place).copied().filter(|byte| *byte >= 0x20);
            }
            self.at += 8;
        }
        // Only the end of a record is nearer than a word.
        loop {
            match self.peek()? {
                byte @ (b'"' | b'\\') => return Some(byte),
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
    }

    /// A text, borrowed where nothing in it is escaped.
    #[inline]
    pub(crate) fn text(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        self.byte(b'"')?;
        if self.plain()? == b'"' {
            let text = self.text.get(start + 1..self.at)?;
            self.at += 1;
            return Some(Cow::Borrowed(text));
        }
        self.at = start;
        self.skip_text()?;
        serde_json::from_str(self.text.get(start..self.at)?).ok().map(Cow::Owned)
    }

    fn skip_text(&mut self) -> Option<()> {
        self.byte(b'"')?;
        loop {
            let end = self.plain()?;
            self.at += 1;
            if end == b'"' {
                return Some(());
            }
            let escaped = self.peek()?;
            self.at += 1;
            match escaped {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' => {
                    let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    self.at += 4;
                }
                _ => return None,
            }
        }
    }

    /// A number of the type that is asked for. Few are anything but some digits; those that are, the
    /// general reader's parser reads.
    pub(crate) fn number<T: Expect<'a>>(&mut self) -> Option<T> {
        /// So many digits always fit 64 bits.
        const FITTING_DIGITS: usize = 18;
        let start = self.at;
        self.skip_number()?;
        let token = self.text.get(start..self.at)?;
        if let Some(decimal) = short_decimal(token.as_bytes()) {
            return T::from_f64(decimal);
        }
        if token.len() <= FITTING_DIGITS && token.bytes().all(|byte| byte.is_ascii_digit()) {
            return T::from_u64(token.bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
        }
        Field::deserialize(&mut serde_json::Deserializer::from_str(token)).ok().and_then(Field::into_given)
    }

    fn skip_number(&mut self) -> Option<()> {
        let _ = self.byte(b'-');
        if self.byte(b'0').is_none() {
            self.skip_digits()?;
        }
        if self.byte(b'.').is_some() {
            self.skip_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.skip_digits()?;
        }
        Some(())
    }

    /// One digit or more.
    fn skip_digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Steps over a value that nobody asks for, holding it to the grammar all the same.
    pub(crate) fn skip(&mut self, depth: u32) -> Option<()> {
        if depth > MAX_SKIPPED_DEPTH {
            return None;
        }
        match self.peek()? {
            b'"' => self.skip_text(),
            b'-' | b'0'..=b'9' => self.skip_number(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'{' => {
                let mut more = self.open()?;
                while more {
                    self.name()?;
                    self.skip(depth + 1)?;
                    more = self.more()?;
                }
                Some(())
            }
            b'[' => {
                self.at += 1;
                if self.token()? == b']' {
                    return self.byte(b']');
                }
                loop {
                    self.token()?;
                    self.skip(depth + 1)?;
                    match self.token()? {
                        b',' => self.byte(b',')?,
                        _ => return self.byte(b']'),
                    }
                }
            }
            _ => None,
        }
    }
}

/// The value of a number that is written with a point and few digits, as coordinates are. Both its digits and
/// the power of ten are exact, so that one division rounds as the standard asks.
fn short_decimal(token: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (negative, digits) = match token {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // With the point there are 15 digits at most.
    if digits.len() > POWERS.len() {
        return None;
    }
    let (mut number, mut point) = (0u64, None);
    for (place, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = number * 10 + u64::from(byte - b'0'),
            b'.' => point = Some(place),
            _ => return None,
        }
    }
    let value = number as f64 / POWERS.get(digits.len() - 1 - point?)?;
    Some(if negative { -value } else { value })
}

/// The high bit of each byte that is a quote, a backslash or a control character. Bits above the lowest
/// one that is set may be wrong: a borrow runs into them.
#[inline]
pub(crate) fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    // With its second bit turned over a quote is 0x20, and control characters stay below that.
    let quote_or_control = below(word ^ (ONES * 2), 0x21);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    (quote_or_control | backslash) & (ONES * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_bytes_are_found_at_any_place() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut bytes = *b"aZ9~\x7f\xff\x80 ";
                bytes[place] = byte;
                let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                let found = special_bytes(u64::from_le_bytes(bytes));
                assert_eq!(found != 0, special, "{byte:#x}");
                if special {
                    assert_eq!(found.trailing_zeros() as usize / 8, place, "{byte:#x}");
                }
            }
        }
    }

    #[test]
    fn what_is_skipped_is_held_to_the_grammar() {
        let whole = |text: &str| {
            let mut json = Reader { text, at: 0 };
            json.skip(0).is_some() && json.at == text.len()
        };
        let right = [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "10.50e+7",
            "1E9",
            "1e-99999",
            "\"\"",
            "\"a\\u00e9\\n\\ud800 b\"",
            "[]",
            "[ ]",
            "[1, [2] ]",
            "{}",
            "{ }",
            "{ \"a\" : 1 , \"a\":{} }",
        ];
        for text in right {
            assert!(whole(text), "{text}");
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text}");
        }
        let wrong = [
            "",
            "nul",
            "nulll",
            "01",
            "-",
            "+1",
            ".5",
            "1.",
            "1e",
            "1e+",
            "0x1",
            "NaN",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12",
            "\"\n\"",
            "[",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "{1:2}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":1 \"b\":2}",
            "'a'",
            "//",
            "{\"a\":1]",
        ];
        for text in wrong {
            assert!(!whole(text), "{text}");
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_left_to_the_general_reader() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let skips = |text: &str| Reader { text, at: 0 }.skip(0).is_some();
        assert!(skips(&nested(60)));
        assert!(!skips(&nested(70)) && !skips(&nested(100_000)));
    }
}
