//! The profiles of a partition, packed: all of them in memory, or with a backing behind the memory.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::ops::ControlFlow;
use std::sync::Arc;

use assess::Settings;
use model::Timestamp;
use profile::packed::{CorruptProfile, Origin, PackBuffer};
use profile::{Fingerprints, Profile, packed};

use crate::backing::{Backing, BackingError};
use crate::durable::DurableStore;
use crate::memory::{KeyBits, MemoryStore};
use crate::record_key::UserKey;

/// Most unreadable profiles that are told apart in the count of them.
const MAX_CORRUPT: usize = 100_000;

/// Events may be this much behind the newest record and still find what they would have found: a profile
/// is let go only when it can matter to none of them. A day in milliseconds.
const LATE_MS: i64 = model::time::DAY_MS;

/// What a partition's state holds in memory. With a backing there is more behind it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Users whose profile is in memory; one who has changed may be counted twice.
    pub profiles: usize,
    /// Bytes of packed profiles without a backing, without the table around them.
    pub packed_bytes: usize,
    /// Bytes of the table without a backing.
    pub table_bytes: usize,
    /// Users whose profile was found to be unreadable. What is stored of them stays as it is.
    pub corrupt: usize,
    /// Users who changed and whose change is not stored yet.
    pub changed_profiles: usize,
    /// Bytes that these changes take, with everything around them. They come on top of the budget; only
    /// [`Partition::stored`](crate::Partition::stored) and `rewind` make them less.
    pub changed_bytes: usize,
    /// Changes of the open batch.
    pub open_changes: usize,
    /// Bytes that the cache of stored profiles takes, with everything around them: within the budget.
    pub cached_bytes: usize,
    /// Profiles that were found in memory, since the partition was opened.
    pub hits: u64,
    /// Profiles that the backing was asked for.
    pub misses: u64,
}

#[derive(Debug)]
enum Kind {
    Memory(MemoryStore),
    Durable(Box<DurableStore>),
}

#[derive(Debug)]
pub(crate) struct Store {
    kind: Kind,
    corrupt: HashSet<u128, BuildHasherDefault<KeyBits>>,
    /// Whose bytes were taken over and found damaged: they are read through each time, as if they still came
    /// from outside.
    damaged: HashSet<u128, BuildHasherDefault<KeyBits>>,
    buffer: PackBuffer,
}

impl Default for Store {
    fn default() -> Self {
        Self::of_kind(Kind::Memory(MemoryStore::default()))
    }
}

impl Store {
    pub(crate) fn open(backing: Arc<dyn Backing>, budget_bytes: usize) -> Self {
        let durable = DurableStore::new(backing, budget_bytes);
        Self::of_kind(Kind::Durable(Box::new(durable)))
    }

    fn of_kind(kind: Kind) -> Self {
        Self { kind, corrupt: HashSet::default(), damaged: HashSet::default(), buffer: PackBuffer::default() }
    }

    /// Reads the user's profile in place of another one; an empty one for who has none.
    ///
    /// Where what is stored cannot be unpacked it must not be replaced: the user has a history, and who
    /// takes him for a newcomer lets anybody in.
    ///
    /// # Errors
    /// The backing cannot be read.
    pub(crate) fn get(
        &mut self,
        user: &UserKey<'_>,
        profile: &mut Profile,
    ) -> Result<Result<(), CorruptProfile>, BackingError> {
        let is_damaged = !self.damaged.is_empty() && self.damaged.contains(&user.fingerprint);
        let mut unpack = |bytes: Option<&[u8]>, origin| match bytes {
            None => {
                profile.clear();
                Ok(())
            }
            Some(bytes) => packed::unpack_into(bytes, if is_damaged { Origin::Outside } else { origin }, profile),
        };
        let read = match &mut self.kind {
            Kind::Memory(memory) => unpack(memory.get(user.fingerprint), Origin::Memory),
            Kind::Durable(durable) => durable.read(user, unpack)?,
        };
        if read.is_err() && self.corrupt.len() < MAX_CORRUPT {
            self.corrupt.insert(user.fingerprint);
        }
        Ok(read)
    }

    /// Keeps a profile; an empty one is not kept.
    pub(crate) fn put(&mut self, user: &UserKey<'_>, profile: &Profile) {
        let packed = (!profile.is_empty()).then(|| packed::pack_into(profile, &mut self.buffer));
        match &mut self.kind {
            Kind::Memory(memory) => memory.put(user.fingerprint, packed),
            Kind::Durable(durable) => durable.put(user, packed),
        }
    }

    /// As [`Store::put`], with bytes from outside. They are read through here, once; that they are damaged
    /// is told at the next use.
    pub(crate) fn restore(&mut self, user: &UserKey<'_>, bytes: &[u8]) {
        self.corrupt.remove(&user.fingerprint);
        self.damaged.remove(&user.fingerprint);
        if packed::unpack(bytes).is_err() {
            self.damaged.insert(user.fingerprint);
        }
        match &mut self.kind {
            Kind::Memory(memory) => memory.put(user.fingerprint, Some(bytes)),
            Kind::Durable(durable) => durable.put(user, Some(bytes)),
        }
    }

    /// What makes a state durable; none where there is no backing.
    pub(crate) fn durable(&mut self) -> Option<&mut DurableStore> {
        match &mut self.kind {
            Kind::Memory(_) => None,
            Kind::Durable(durable) => Some(durable),
        }
    }

    /// Forgets those of the next `limit` stored users who can matter to no event from `now` on.
    pub(crate) fn sweep<'s>(
        &mut self,
        now: Timestamp,
        settings_of: impl Fn(&str) -> &'s Settings,
        fingerprints: &Fingerprints,
        limit: usize,
    ) -> Result<usize, BackingError> {
        let Kind::Durable(durable) = &mut self.kind else { return Ok(0) };
        let earliest = Timestamp(now.0.saturating_sub(LATE_MS));
        durable.sweep(limit, |record_key, packed| {
            let Some(user) = UserKey::read(record_key, fingerprints) else { return ControlFlow::Continue(()) };
            let settings = settings_of(user.tenant);
            match packed::unpack(packed) {
                Ok(profile)
                    if profile.is_over_at(earliest, settings.profile_days, settings.pending_ms, settings.dedup_ms) =>
                {
                    ControlFlow::Break(user)
                }
                // What cannot be read is not thrown away.
                _ => ControlFlow::Continue(()),
            }
        })
    }

    pub(crate) fn stats(&self) -> StoreStats {
        let corrupt = self.corrupt.len();
        match &self.kind {
            Kind::Memory(memory) => StoreStats {
                profiles: memory.len(),
                packed_bytes: memory.packed_bytes(),
                table_bytes: memory.table_bytes(),
                corrupt,
                ..StoreStats::default()
            },
            Kind::Durable(durable) => StoreStats {
                profiles: durable.changed() + durable.cache().len(),
                corrupt,
                changed_profiles: durable.changed(),
                changed_bytes: durable.changed_bytes(),
                open_changes: durable.open(),
                cached_bytes: durable.cache().bytes(),
                hits: durable.lookups().hits,
                misses: durable.lookups().misses,
                ..StoreStats::default()
            },
        }
    }
}
