//! Numbers and texts as few bytes: what [`packed`](crate::packed) is made of.
//!
//! Small numbers take one byte (seven bits a byte, the lowest first, the high bit says that more
//! follow), hashes take all of theirs.

/// Most bytes of a number of 64 bits.
const MAX_NUMBER_BYTES: u32 = 10;

/// Appends values to a record.
#[derive(Debug)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn fixed<const N: usize>(&mut self, bytes: [u8; N]) {
        self.0.extend_from_slice(&bytes);
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// A number that is as often below zero as above: the sign is the lowest bit.
    pub(crate) fn signed(&mut self, number: i64) {
        self.number((number << 1 ^ number >> 63) as u64);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Takes values off the front of a record; `None` where it does not hold them.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for position in 0..MAX_NUMBER_BYTES {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * position);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 1 << 35, u64::MAX - 1, u64::MAX] {
            let mut writer = Writer(Vec::new());
            writer.number(number);
            writer.signed(number as i64);
            let mut reader = Reader(&writer.0);
            assert_eq!((reader.number(), reader.signed(), reader.byte()), (Some(number), Some(number as i64), None));
        }
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        assert_eq!(Reader(&[0x80; 20]).number(), None, "a number without end");
        assert_eq!(Reader(&[0x80]).number(), None, "a number cut off");
        assert_eq!(Reader(&[3, b'a', b'b']).text(), None, "a text cut off");
        assert_eq!(Reader(&[1, 0xff]).text(), None, "a text that is not UTF-8");
    }
}
