//! The profiles of a partition, in memory, packed.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use profile::packed::CorruptProfile;
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
    /// Users whose profile was found to be unreadable. What is stored of them stays as it is.
    pub corrupt: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    profiles: HashMap<u128, Box<[u8]>, BuildHasherDefault<KeyBits>>,
    packed_bytes: usize,
    corrupt: HashSet<u128, BuildHasherDefault<KeyBits>>,
}

impl Store {
    /// The user's profile; an empty one for who has none.
    ///
    /// # Errors
    /// What is stored cannot be read. It must not be replaced then: the user has a history, and who takes
    /// him for a newcomer lets anybody in.
    pub(crate) fn get(&mut self, user: u128) -> Result<Profile, CorruptProfile> {
        let Some(bytes) = self.profiles.get(&user) else { return Ok(Profile::default()) };
        packed::unpack(bytes).inspect_err(|_| {
            self.corrupt.insert(user);
        })
    }

    /// Keeps a profile; an empty one is not kept.
    pub(crate) fn put(&mut self, user: u128, profile: &Profile) {
        if !profile.is_empty() {
            self.put_packed(user, packed::pack(profile));
        } else if let Some(old) = self.profiles.remove(&user) {
            self.packed_bytes -= old.len();
        }
    }

    /// Keeps a profile that is packed already, in place of what was stored.
    pub(crate) fn put_packed(&mut self, user: u128, bytes: Box<[u8]>) {
        self.packed_bytes += bytes.len();
        let old = self.profiles.insert(user, bytes);
        self.packed_bytes -= old.map_or(0, |bytes| bytes.len());
    }

    /// As [`Store::put_packed`], with bytes from outside: whether they can be read is seen at the next use.
    pub(crate) fn restore(&mut self, user: u128, bytes: Box<[u8]>) {
        self.corrupt.remove(&user);
        self.put_packed(user, bytes);
    }

    pub(crate) fn stats(&self) -> StoreStats {
        // A bucket is the entry and one control byte.
        let bucket = size_of::<(u128, Box<[u8]>)>() + 1;
        StoreStats {
            profiles: self.profiles.len(),
            packed_bytes: self.packed_bytes,
            table_bytes: self.profiles.capacity() * 8 / 7 * bucket,
            corrupt: self.corrupt.len(),
        }
    }
}
