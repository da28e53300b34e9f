//! A walk over MessagePack before it is decoded: exactly one value, all of it there, text in UTF-8, no
//! NaN, nesting within the limit. What the decoder skips is held to the same rules as what it reads.

use crate::unreadable::{MAX_DEPTH, Unreadable};

/// Checks that `bytes` is one whole MessagePack value. The walk is bounded by the input's length:
/// every element that a header announces takes at least one byte.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Unreadable> {
    let mut walk = Walk { bytes, at: 0 };
    // Open containers, each with the number of values still to come.
    let mut open: Vec<u64> = Vec::new();
    loop {
        let children = walk.value()?;
        if let Some(count) = children {
            if open.len() >= MAX_DEPTH {
                return Err(Unreadable::TooDeep);
            }
            open.push(count);
        }
        while let Some(left) = open.last_mut() {
            if *left > 0 {
                *left -= 1;
                break;
            }
            open.pop();
        }
        if open.is_empty() {
            return if walk.at == bytes.len() { Ok(()) } else { Err(Unreadable::not_msgpack("bytes after the value")) };
        }
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// Steps over one value's header and, where it is no container, its body. Containers answer with
    /// the number of values inside.
    fn value(&mut self) -> Result<Option<u64>, Unreadable> {
        let marker = self.take(1)?[0];
        let (skip, children) = match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, None),
            0x80..=0x8f => (0, Some(u64::from(marker & 0x0f) * 2)),
            0x90..=0x9f => (0, Some(u64::from(marker & 0x0f))),
            0xa0..=0xbf => return self.text(u64::from(marker & 0x1f)),
            0xc1 => return Err(Unreadable::not_msgpack("reserved marker 0xc1")),
            0xc4 => (self.length(1)?, None),
            0xc5 => (self.length(2)?, None),
            0xc6 => (self.length(4)?, None),
            0xc7 => (self.length(1)?.saturating_add(1), None),
            0xc8 => (self.length(2)?.saturating_add(1), None),
            0xc9 => (self.length(4)?.saturating_add(1), None),
            0xca => {
                let bits = self.length(4)? as u32;
                return if f32::from_bits(bits).is_nan() { Err(Unreadable::NotANumber) } else { Ok(None) };
            }
            0xcb => {
                let bits = self.length(8)?;
                return if f64::from_bits(bits).is_nan() { Err(Unreadable::NotANumber) } else { Ok(None) };
            }
            0xcc | 0xd0 => (1, None),
            0xcd | 0xd1 => (2, None),
            0xce | 0xd2 => (4, None),
            0xcf | 0xd3 => (8, None),
            0xd4 => (2, None),
            0xd5 => (3, None),
            0xd6 => (5, None),
            0xd7 => (9, None),
            0xd8 => (17, None),
            0xd9 => {
                let length = self.length(1)?;
                return self.text(length);
            }
            0xda => {
                let length = self.length(2)?;
                return self.text(length);
            }
            0xdb => {
                let length = self.length(4)?;
                return self.text(length);
            }
            0xdc => (0, Some(self.length(2)?)),
            0xdd => (0, Some(self.length(4)?)),
            0xde => (0, Some(self.length(2)?.saturating_mul(2))),
            0xdf => (0, Some(self.length(4)?.saturating_mul(2))),
        };
        self.take(skip)?;
        Ok(children)
    }

    fn text(&mut self, length: u64) -> Result<Option<u64>, Unreadable> {
        let text = self.take(length)?;
        std::str::from_utf8(text).map_err(|_| Unreadable::InvalidUtf8)?;
        Ok(None)
    }

    /// A big-endian number of `size` bytes.
    fn length(&mut self, size: u64) -> Result<u64, Unreadable> {
        Ok(self.take(size)?.iter().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    fn take(&mut self, size: u64) -> Result<&'a [u8], Unreadable> {
        let end = usize::try_from(size).ok().and_then(|size| self.at.checked_add(size));
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| Unreadable::not_msgpack("it ends too early"))?;
        self.at += taken.len();
        Ok(taken)
    }
}
