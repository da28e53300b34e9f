//! Numbers and texts as few bytes: what [`packed`](crate::packed) is made of.
//!
//! Small numbers take one byte (seven bits a byte, the lowest first, the high bit says that more
//! follow), hashes take all of theirs.

use model::Timestamp;

/// Most bytes of a number of 64 bits.
const MAX_NUMBER_BYTES: u32 = 10;
/// Bytes of an instant: they reach thousands of years from the epoch.
const INSTANT_BYTES: usize = 6;
/// No time is further from the epoch, in milliseconds: differences of times cannot overflow.
const MAX_TIME_MS: u64 = 1 << 52;

/// An instant as it is written.
pub(crate) fn instant(time: Timestamp) -> [u8; INSTANT_BYTES] {
    let [a, b, c, d, e, f, ..] = time.0.to_le_bytes();
    [a, b, c, d, e, f]
}

/// Appends values to a record.
#[derive(Debug, Clone, Default)]
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

    /// An instant by itself, always of the same length.
    pub(crate) fn instant(&mut self, time: Timestamp) {
        self.fixed(instant(time));
    }

    /// Writes the length of a record in front of it: everything from behind the byte that was left for it.
    pub(crate) fn set_length(&mut self, at: usize) {
        let length = self.0.len().saturating_sub(at + 1) as u64;
        let mut number = Writer::default();
        match self.0.get_mut(at) {
            Some(place) if length < 0x80 => *place = length as u8,
            _ => {
                number.number(length);
                self.0.splice(at..=at, number.0);
            }
        }
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

    #[inline]
    pub(crate) fn number(&mut self) -> Option<u64> {
        // Most numbers are small.
        match self.0.split_first() {
            Some((&byte @ 0..0x80, rest)) => {
                self.0 = rest;
                Some(byte.into())
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Option<u64> {
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

    /// A number that is a place in a list.
    #[inline]
    pub(crate) fn index(&mut self) -> Option<usize> {
        self.number()?.try_into().ok()
    }

    #[inline]
    pub(crate) fn instant(&mut self) -> Option<Timestamp> {
        let bytes: [u8; INSTANT_BYTES] = self.fixed()?;
        let mut wide = [0; 8];
        wide[8 - INSTANT_BYTES..].copy_from_slice(&bytes);
        // Shifted down from the upper end, so that the sign goes with it.
        Some(Timestamp(i64::from_le_bytes(wide) >> (8 * (8 - INSTANT_BYTES))))
    }

    /// A time as its difference to another one.
    #[inline]
    pub(crate) fn time(&mut self, base: i64) -> Option<Timestamp> {
        let time = base.wrapping_add(self.signed()?);
        (time.unsigned_abs() <= MAX_TIME_MS).then_some(Timestamp(time))
    }

    /// A record behind its length.
    #[inline]
    pub(crate) fn record(&mut self) -> Option<&'a [u8]> {
        let length = self.index()?;
        let (record, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(record)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.record()?).ok()
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
    fn lengths_are_written_in_front() {
        for length in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000] {
            let mut writer = Writer(vec![9, 0]);
            writer.0.resize(2 + length, 7);
            writer.set_length(1);
            let mut reader = Reader(&writer.0[1..]);
            assert_eq!(reader.record(), Some(&*vec![7; length]), "{length} bytes");
            assert_eq!((writer.0[0], reader.0.len()), (9, 0));
        }
    }

    #[test]
    fn instants_survive() {
        for ms in [0, 1, -1, 946_684_800_000, 4_102_444_800_000, (1 << 47) - 1, -(1 << 47)] {
            let mut writer = Writer(Vec::new());
            writer.instant(Timestamp(ms));
            assert_eq!(Reader(&writer.0).instant(), Some(Timestamp(ms)));
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
