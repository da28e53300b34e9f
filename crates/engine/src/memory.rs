//! All profiles of a partition in memory, packed: the form without anything behind it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::roomy::Roomy;

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
    profiles: HashMap<u128, Roomy, BuildHasherDefault<KeyBits>>,
    packed_bytes: usize,
}

impl MemoryStore {
    pub(crate) fn get(&self, user: u128) -> Option<&[u8]> {
        self.profiles.get(&user).map(Roomy::packed)
    }

    /// Keeps a profile in place of what was there; without one the user is forgotten.
    pub(crate) fn put(&mut self, user: u128, packed: Option<&[u8]>) {
        let Some(packed) = packed else {
            let old = self.profiles.remove(&user);
            self.packed_bytes -= old.map_or(0, |old| old.packed().len());
            return;
        };
        self.packed_bytes += packed.len();
        match self.profiles.get_mut(&user) {
            Some(old) => {
                self.packed_bytes -= old.packed().len();
                old.replace(packed);
            }
            None => {
                self.profiles.insert(user, Roomy::new(packed));
            }
        }
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
        let bucket = size_of::<(u128, Roomy)>() + 1;
        self.profiles.capacity() * 8 / 7 * bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_what_is_there() {
        let mut store = MemoryStore::default();
        // Up and down in steps of all sizes, within the room and beyond it.
        for (round, length) in (0..700).chain((0..700).rev().step_by(13)).chain([0, 5000, 300, 301, 290]).enumerate() {
            let packed: Vec<u8> = (0..length).map(|at| (at + round) as u8).collect();
            store.put(7, Some(&packed));
            assert_eq!(store.get(7), Some(&*packed), "{length} bytes");
            assert_eq!((store.packed_bytes(), store.len()), (length, 1));
        }
        store.put(7, None);
        assert_eq!((store.get(7), store.packed_bytes(), store.len()), (None, 0, 0));
    }
}
