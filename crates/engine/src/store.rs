//! The profiles of a partition, in memory, packed.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use profile::{Profile, packed};

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

/// What a partition's state holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Users with a profile.
    pub profiles: usize,
    /// Bytes of packed profiles, without the table around them.
    pub packed_bytes: usize,
    /// Bytes of the table.
    pub table_bytes: usize,
    /// Profiles that could not be read and were taken for empty; none, unless memory is damaged.
    pub corrupt: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    profiles: HashMap<u128, Box<[u8]>, BuildHasherDefault<KeyBits>>,
    packed_bytes: usize,
    corrupt: u64,
}

impl Store {
    /// The user's profile; an empty one for who has none.
    pub(crate) fn get(&mut self, user: u128) -> Profile {
        let Some(bytes) = self.profiles.get(&user) else { return Profile::default() };
        packed::unpack(bytes).unwrap_or_else(|_| {
            self.corrupt += 1;
            Profile::default()
        })
    }

    /// Keeps a profile; an empty one is not kept.
    pub(crate) fn put(&mut self, user: u128, profile: &Profile) {
        let old = if profile.is_empty() {
            self.profiles.remove(&user)
        } else {
            let bytes = packed::pack(profile);
            self.packed_bytes += bytes.len();
            self.profiles.insert(user, bytes)
        };
        self.packed_bytes -= old.map_or(0, |bytes| bytes.len());
    }

    pub(crate) fn stats(&self) -> StoreStats {
        // A bucket is the entry and one control byte.
        let bucket = size_of::<(u128, Box<[u8]>)>() + 1;
        StoreStats {
            profiles: self.profiles.len(),
            packed_bytes: self.packed_bytes,
            table_bytes: self.profiles.capacity() * 8 / 7 * bucket,
            corrupt: self.corrupt,
        }
    }
}
