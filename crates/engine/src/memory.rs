//! All profiles of a partition in memory, packed: the form without anything behind it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The key is a keyed hash already: its own bits serve as the table's hash.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct KeyBits(u64);

impl Hasher for KeyBits {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    profiles: HashMap<u128, Box<[u8]>, BuildHasherDefault<KeyBits>>,
    packed_bytes: usize,
}

impl MemoryStore {
    pub(crate) fn get(&self, user: u128) -> Option<&[u8]> {
        self.profiles.get(&user).map(|bytes| &**bytes)
    }

    /// Keeps a profile in place of what was there; without one the user is forgotten.
    pub(crate) fn put(&mut self, user: u128, packed: Option<Box<[u8]>>) {
        let new_bytes = packed.as_ref().map_or(0, |packed| packed.len());
        let old = match packed {
            Some(packed) => self.profiles.insert(user, packed),
            None => self.profiles.remove(&user),
        };
        self.packed_bytes += new_bytes;
        self.packed_bytes -= old.map_or(0, |packed| packed.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.profiles.len()
    }

    pub(crate) fn packed_bytes(&self) -> usize {
        self.packed_bytes
    }

    /// Bytes of the table around the profiles.
    pub(crate) fn table_bytes(&self) -> usize {
        // A bucket is the entry and one control byte.
        let bucket = size_of::<(u128, Box<[u8]>)>() + 1;
        self.profiles.capacity() * 8 / 7 * bucket
    }
}
