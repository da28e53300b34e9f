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

/// A packed profile with some room behind it, so that the user's next one is written over it: it is mostly as
/// long, and memory that was just read is faster than what an allocator finds. The last byte says how much
/// room there is, itself included. The room is what allocators round up by anyway.
#[derive(Debug)]
struct Roomy(Box<[u8]>);

impl Roomy {
    /// Most bytes of room in a record that shrank; then it moves to a smaller one.
    const MOST_ROOM: usize = 96;

    fn new(packed: &[u8]) -> Self {
        let step = if packed.len() < 256 { 32 } else { 64 };
        let size = (packed.len() + 1).next_multiple_of(step);
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(packed);
        bytes.resize(size, 0);
        let mut roomy = Self(bytes.into_boxed_slice());
        roomy.note_room(packed.len());
        roomy
    }

    fn note_room(&mut self, length: usize) {
        let room = self.0.len().saturating_sub(length);
        if let Some(last) = self.0.last_mut() {
            *last = room as u8;
        }
    }

    fn packed(&self) -> &[u8] {
        let room = self.0.last().map_or(0, |room| usize::from(*room));
        self.0.get(..self.0.len().saturating_sub(room)).unwrap_or_default()
    }

    /// Puts another profile in the place of this one.
    fn replace(&mut self, packed: &[u8]) {
        let fits = packed.len() < self.0.len() && self.0.len() - packed.len() <= Self::MOST_ROOM;
        match self.0.get_mut(..packed.len()) {
            Some(place) if fits => {
                place.copy_from_slice(packed);
                self.note_room(packed.len());
            }
            _ => *self = Self::new(packed),
        }
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
