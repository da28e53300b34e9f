//! The keys of what a partition stores: one MessagePack array each, so that no two things can share one.
//!
//! A user's key is `[tenant, user]`, a set of data versions has `["data_versions", number]`: the second
//! element is a text in the one and an integer in the other, whatever the tenant is called.

use profile::Fingerprints;

/// First element of the key of a set of data versions.
const DATA_VERSIONS: &str = "data_versions";
/// MessagePack: an array of two elements.
const ARRAY_OF_TWO: u8 = 0x92;
/// MessagePack: an unsigned integer of 32 bits, the highest byte first. Numbers of one length sort as
/// their bytes do.
const UINT_32: u8 = 0xce;

/// A user, by what is known of him in a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserKey<'a> {
    /// Stands for tenant and user in memory.
    pub(crate) fingerprint: u128,
    pub(crate) tenant: &'a str,
    user: &'a str,
}

impl<'a> UserKey<'a> {
    pub(crate) fn new(tenant: &'a str, user: &'a str, fingerprints: &Fingerprints) -> Self {
        Self { fingerprint: fingerprints.user(tenant, user), tenant, user }
    }

    /// The user that a record key names; `None` where it is no user's.
    pub(crate) fn read(record_key: &'a [u8], fingerprints: &Fingerprints) -> Option<Self> {
        let (tenant, user) = rmp_serde::from_slice::<(&str, &str)>(record_key).ok()?;
        Some(Self::new(tenant, user, fingerprints))
    }

    /// The key that the user's profile is stored under.
    pub(crate) fn record_key(&self) -> Box<[u8]> {
        // No header is longer than five bytes.
        let mut key = Vec::with_capacity(1 + 5 + self.tenant.len() + 5 + self.user.len());
        key.push(ARRAY_OF_TWO);
        write_text(&mut key, self.tenant);
        write_text(&mut key, self.user);
        key.into_boxed_slice()
    }
}

/// The key that a set of data versions is stored under.
pub(crate) fn data_versions_key(number: u32) -> Box<[u8]> {
    let mut key = data_versions_prefix();
    key.extend_from_slice(&number.to_be_bytes());
    key.into_boxed_slice()
}

/// The number of the set of data versions that is stored under this key; `None` where it is none's.
pub(crate) fn data_versions_number(record_key: &[u8]) -> Option<u32> {
    let number = record_key.strip_prefix(data_versions_prefix().as_slice())?;
    number.try_into().ok().map(u32::from_be_bytes)
}

fn data_versions_prefix() -> Vec<u8> {
    let mut prefix = vec![ARRAY_OF_TWO];
    write_text(&mut prefix, DATA_VERSIONS);
    prefix.push(UINT_32);
    prefix
}

/// Appends a text as MessagePack, with the shortest header.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    let length = text.len();
    match length {
        0..32 => out.push(0xa0 | length as u8),
        32..0x100 => out.extend_from_slice(&[0xd9, length as u8]),
        0x100..0x1_0000 => {
            out.push(0xda);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(0xdb);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::HashKey;

    #[test]
    fn keys_are_messagepack_and_name_their_user() {
        let fingerprints = Fingerprints::new(HashKey([7; 16]));
        for length in [0, 1, 31, 32, 255, 256, 1024, 65_535, 65_536] {
            let (tenant, user) = ("t".repeat(length), "ü".repeat(length));
            let key = UserKey::new(&tenant, &user, &fingerprints);
            let record_key = key.record_key();
            assert_eq!(*record_key, *rmp_serde::to_vec(&(&tenant, &user)).unwrap(), "length {length}");
            let read = UserKey::read(&record_key, &fingerprints).unwrap();
            assert_eq!((read.fingerprint, read.tenant, read.user), (key.fingerprint, &*tenant, &*user));
            assert_eq!(data_versions_number(&record_key), None);
        }
    }

    #[test]
    fn no_two_things_share_a_key() {
        let fingerprints = Fingerprints::new(HashKey([7; 16]));
        let key = |tenant: &str, user: &str| UserKey::new(tenant, user, &fingerprints).record_key();
        assert_ne!(key("a/b", "c"), key("a", "b/c"));
        for number in [0, 1, 255, 256, u32::MAX] {
            let record_key = data_versions_key(number);
            let number_text = &*number.to_string();
            assert_eq!(data_versions_number(&record_key), Some(number));
            assert_eq!(rmp_serde::from_slice::<(&str, u32)>(&record_key).unwrap(), ("data_versions", number));
            assert!(UserKey::read(&record_key, &fingerprints).is_none());
            assert_ne!(record_key, key("data_versions", number_text));
        }
        assert!(data_versions_key(255) < data_versions_key(256), "keys sort as numbers do");
    }
}
