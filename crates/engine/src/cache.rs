//! Profiles that are stored and may be asked for again, within a budget of bytes.

use std::hash::BuildHasherDefault;

use quick_cache::Weighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};

use crate::memory::KeyBits;
use crate::roomy::Roomy;

/// What a packed profile usually takes, for an estimate of how many there will be.
const USUAL_PROFILE_BYTES: usize = 350;

/// What an entry takes beside its profile's bytes, and as a part of these: 64 bytes in the cache's slab and
/// 10 in its table; half as much again for what the cache remembers of entries that have left (one for
/// every two that are there); what the allocator rounds up by beyond what [`Roomy`] does. Counted as resident
/// memory of a million entries with profiles of 280 to 730 bytes, when these still were as long as their bytes.
const ENTRY_BYTES: usize = 152;
const ROUNDED_UP_PART: usize = 32;

type Bits = BuildHasherDefault<KeyBits>;
type Inner = Cache<u128, Roomy, Weight, Bits, DefaultLifecycle<u128, Roomy>>;

#[derive(Debug, Clone, Copy)]
struct Weight;

impl Weighter<u128, Roomy> for Weight {
    fn weight(&self, _: &u128, profile: &Roomy) -> u64 {
        (profile.bytes() + profile.bytes() / ROUNDED_UP_PART + ENTRY_BYTES) as u64
    }
}

/// Clean copies of what is stored. What is changed is looked up elsewhere first, so a copy here may be
/// older than the change; it is replaced or removed before anybody sees it.
#[derive(Debug)]
pub(crate) struct ProfileCache(Inner);

impl ProfileCache {
    /// Holds entries up to this many bytes.
    pub(crate) fn new(budget_bytes: usize) -> Self {
        let usual_entries = budget_bytes / (USUAL_PROFILE_BYTES + ENTRY_BYTES);
        let budget = budget_bytes as u64;
        Self(Cache::with(usual_entries, budget, Weight, Bits::default(), DefaultLifecycle::default()))
    }

    pub(crate) fn set_budget(&mut self, bytes: usize) {
        self.0.set_capacity(bytes as u64);
    }

    pub(crate) fn get(&self, user: u128) -> Option<&[u8]> {
        self.0.get(&user).map(Roomy::packed)
    }

    /// Keeps a profile in place of the one that was there; others leave where there is no room. One that
    /// is larger than the whole budget is not kept.
    pub(crate) fn insert(&mut self, user: u128, profile: Roomy) {
        self.0.insert(user, profile);
    }

    /// Takes the memory of a profile out, where it is here, and keeps its place for the one that is to come.
    /// Until that is inserted, or the user removed, nobody may ask for him here.
    pub(crate) fn take(&mut self, user: u128) -> Option<Roomy> {
        self.0.peek_mut(&user).map(|mut profile| std::mem::take(&mut *profile))
    }

    pub(crate) fn remove(&mut self, user: u128) {
        self.0.remove(&user);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Bytes in use, with what the entries take beside their profiles.
    pub(crate) fn bytes(&self) -> usize {
        self.0.weight() as usize
    }
}
