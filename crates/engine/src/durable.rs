//! The profiles of a partition with a backing behind them: what changed and is not stored yet, a cache
//! of what is stored, and the backing.
//!
//! A user is looked for in this order. What changed is never evicted: it exists nowhere else. What the cache
//! holds of a user who has changed is older, and mostly nothing, since its memory went to the change; it is
//! replaced when the change is stored, and removed when the change is forgotten.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::ops::ControlFlow;
use std::sync::Arc;

use profile::packed::Origin;

use crate::backing::{Backing, BackingError};
use crate::cache::ProfileCache;
use crate::memory::KeyBits;
use crate::record_key::UserKey;
use crate::roomy::Roomy;

/// A profile that is not stored in this form.
#[derive(Debug)]
struct Changed {
    record_key: Box<[u8]>,
    /// None: the user is forgotten.
    packed: Option<Roomy>,
    /// The batch that the newest change belongs to; none while that batch is open.
    batch: Option<u64>,
}

impl Changed {
    /// What it takes: a bucket with its control byte in a table that is three quarters full, its place in
    /// the list of its batch, what it points to.
    fn bytes(&self) -> usize {
        const BUCKET_BYTES: usize = (size_of::<(u128, Changed)>() + 1) * 4 / 3;
        let packed = self.packed.as_ref().map_or(0, Roomy::bytes);
        BUCKET_BYTES + size_of::<u128>() + self.record_key.len() + packed
    }
}

/// The store of a partition that has a backing.
#[derive(Debug)]
pub(crate) struct DurableStore {
    changed: HashMap<u128, Changed, BuildHasherDefault<KeyBits>>,
    changed_bytes: usize,
    /// Who changed in the open batch.
    open: Vec<u128>,
    /// Who changed in the batches that are taken and not stored yet, the oldest batch first.
    taken: VecDeque<(u64, Vec<u128>)>,
    cache: ProfileCache,
    backing: Arc<dyn Backing>,
    /// Where the next sweep begins.
    sweep_from: Vec<u8>,
    counts: Lookups,
}

/// Where profiles were found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lookups {
    /// In memory.
    pub(crate) hits: u64,
    /// In the backing, or nowhere.
    pub(crate) misses: u64,
}

impl DurableStore {
    pub(crate) fn new(backing: Arc<dyn Backing>, budget_bytes: usize) -> Self {
        Self {
            changed: HashMap::default(),
            changed_bytes: 0,
            open: Vec::new(),
            taken: VecDeque::new(),
            cache: ProfileCache::new(budget_bytes),
            backing,
            sweep_from: Vec::new(),
            counts: Lookups::default(),
        }
    }

    pub(crate) fn set_budget(&mut self, bytes: usize) {
        self.cache.set_budget(bytes);
    }

    /// Shows the user's packed profile to `read`, and tells where it is from; none where he has none.
    ///
    /// What comes from the backing is not cached here: nearly every profile that is read is changed next,
    /// and comes to the cache when that is stored. So who is not known takes no room either.
    pub(crate) fn read<T>(
        &mut self,
        user: &UserKey<'_>,
        read: impl FnOnce(Option<&[u8]>, Origin) -> T,
    ) -> Result<T, BackingError> {
        let in_memory = match self.changed.get(&user.fingerprint) {
            Some(changed) => Some(changed.packed.as_ref().map(Roomy::packed)),
            None => self.cache.get(user.fingerprint).map(Some),
        };
        if let Some(packed) = in_memory {
            self.counts.hits += 1;
            return Ok(read(packed, Origin::Memory));
        }
        self.counts.misses += 1;
        let stored = self.backing.get(&user.record_key())?;
        Ok(read(stored.as_deref(), Origin::Outside))
    }

    /// Changes a profile in the open batch; without one the user is forgotten.
    pub(crate) fn put(&mut self, user: &UserKey<'_>, packed: Option<&[u8]>) {
        let fingerprint = user.fingerprint;
        let changed = self.changed.entry(fingerprint).or_insert_with(|| {
            // What the cache has of him is older from now on, and is not looked at before it is replaced or
            // removed: the change is written over it.
            let packed = self.cache.take(fingerprint);
            let changed = Changed { record_key: user.record_key(), packed, batch: None };
            self.changed_bytes += changed.bytes();
            self.open.push(fingerprint);
            changed
        });
        self.changed_bytes -= changed.bytes();
        match (&mut changed.packed, packed) {
            (Some(old), Some(new)) => old.replace(new),
            (old, new) => *old = new.map(Roomy::new),
        }
        self.changed_bytes += changed.bytes();
        // It belonged to a batch that is on its way: from now on to the open one.
        if changed.batch.take().is_some() {
            self.open.push(fingerprint);
        }
    }

    pub(crate) fn take_changes(&mut self, batch: u64, each: &mut impl FnMut(&[u8], Option<&[u8]>)) {
        if self.open.is_empty() {
            return;
        }
        let users = std::mem::take(&mut self.open);
        for user in &users {
            if let Some(changed) = self.changed.get_mut(user) {
                changed.batch = Some(batch);
                each(&changed.record_key, changed.packed.as_ref().map(Roomy::packed));
            }
        }
        self.taken.push_back((batch, users));
    }

    pub(crate) fn stored(&mut self, batch: u64) {
        while self.taken.front().is_some_and(|(taken, _)| *taken <= batch) {
            let users = self.taken.pop_front().map(|(_, users)| users).unwrap_or_default();
            for user in users {
                let is_stored = |changed: &Changed| changed.batch.is_some_and(|changed_in| changed_in <= batch);
                if !self.changed.get(&user).is_some_and(is_stored) {
                    continue;
                }
                let Some(changed) = self.changed.remove(&user) else { continue };
                self.changed_bytes -= changed.bytes();
                match changed.packed {
                    Some(packed) => self.cache.insert(user, packed),
                    None => self.cache.remove(user),
                }
            }
        }
    }

    pub(crate) fn rewind(&mut self) {
        for user in self.changed.keys() {
            self.cache.remove(*user);
        }
        self.changed.clear();
        self.changed_bytes = 0;
        self.open.clear();
        self.taken.clear();
    }

    /// Looks at the next `limit` stored entries, the first ones after the last, and forgets the users of
    /// whom `decide` says so: `Break` with the user. Answers how many.
    pub(crate) fn sweep(
        &mut self,
        limit: usize,
        decide: impl for<'k> Fn(&'k [u8], &[u8]) -> ControlFlow<UserKey<'k>>,
    ) -> Result<usize, BackingError> {
        let Self { changed, backing, sweep_from, .. } = self;
        let (mut seen, mut last) = (0, Vec::new());
        let mut forgotten = Vec::new();
        backing.scan(sweep_from, limit, &mut |record_key, packed| {
            seen += 1;
            last.clear();
            last.extend_from_slice(record_key);
            if let ControlFlow::Break(user) = decide(record_key, packed)
                // What is stored of him is not the newest: the next round looks at that.
                && !changed.contains_key(&user.fingerprint)
            {
                forgotten.push((user.fingerprint, Box::<[u8]>::from(record_key)));
            }
        })?;
        *sweep_from = if seen < limit { Vec::new() } else { last };
        if !sweep_from.is_empty() {
            // The least key above the last one.
            sweep_from.push(0);
        }
        let count = forgotten.len();
        for (fingerprint, record_key) in forgotten {
            let tombstone = Changed { record_key, packed: None, batch: None };
            self.changed_bytes += tombstone.bytes();
            self.changed.insert(fingerprint, tombstone);
            self.open.push(fingerprint);
        }
        Ok(count)
    }

    pub(crate) fn backing(&self) -> &dyn Backing {
        &*self.backing
    }

    /// Users who changed and are not stored yet.
    pub(crate) fn changed(&self) -> usize {
        self.changed.len()
    }

    pub(crate) fn changed_bytes(&self) -> usize {
        self.changed_bytes
    }

    /// Changes of the open batch.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn cache(&self) -> &ProfileCache {
        &self.cache
    }

    pub(crate) fn lookups(&self) -> Lookups {
        self.counts
    }
}
