//! The life of a partition's state beside its steps: opened, handed over batch by batch, taken back,
//! swept.

use std::sync::Arc;

use model::Timestamp;
use profile::packed::CorruptProfile;
use profile::{Fingerprints, Profile};

use crate::backing::{Backing, BackingError};
use crate::data_sets::DataSets;
use crate::record_key::UserKey;
use crate::step::{Context, Partition};
use crate::store::{Store, StoreStats};

/// A user's profile cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// What is stored of the user cannot be read.
    #[error(transparent)]
    Corrupt(#[from] CorruptProfile),
    /// The backing failed.
    #[error(transparent)]
    Backing(#[from] BackingError),
}

/// [`Partition::default`] keeps everything in memory; [`Partition::open`] stands on a backing. Only the
/// latter has batches: without a backing there are no changes to take, and nothing to go back to.
impl Partition {
    /// A partition whose state is what the backing holds. Profiles that are stored are kept in memory within
    /// `budget_bytes`; those that changed and are not stored yet come on top.
    ///
    /// # Errors
    /// The backing cannot be read, or holds a set of data versions that this program cannot read.
    pub fn open(backing: Arc<dyn Backing>, budget_bytes: usize) -> Result<Self, BackingError> {
        let data_sets = DataSets::load(&*backing)?;
        Ok(Self { store: Store::open(backing, budget_bytes), data_sets, ..Self::default() })
    }

    /// Sets the bytes for profiles that are stored. What is over leaves at once.
    pub fn set_budget(&mut self, bytes: usize) {
        if let Some(durable) = self.store.durable() {
            durable.set_budget(bytes);
        }
    }

    /// Closes the open batch: shows each key that changed since the last call, with its newest value, or
    /// none where it is to be removed. They belong to `batch` from now on; numbers only grow. In the
    /// order of the first change, each key once.
    pub fn take_changes(&mut self, batch: u64, mut each: impl FnMut(&[u8], Option<&[u8]>)) {
        if let Some(durable) = self.store.durable() {
            self.data_sets.take_changes(&mut each);
            durable.take_changes(batch, &mut each);
        }
    }

    /// Says that everything up to and including `batch` is committed and in the backing.
    pub fn stored(&mut self, batch: u64) {
        if let Some(durable) = self.store.durable() {
            durable.stored(batch);
        }
    }

    /// Forgets everything that is not stored: the state is again what the backing holds.
    ///
    /// # Errors
    /// The backing cannot be read. The partition must not be used then, other than to call this again.
    pub fn rewind(&mut self) -> Result<(), BackingError> {
        if let Some(durable) = self.store.durable() {
            durable.rewind();
            self.data_sets = DataSets::load(durable.backing())?;
        }
        Ok(())
    }

    /// Looks at the next `limit` stored entries in the order of their keys, after the last the first again,
    /// and lets those profiles go that can change no answer to an event from `now` on, a day of
    /// lateness allowed: they become changes of the open batch. `now` is the newest record's timestamp.
    /// Answers how many went.
    ///
    /// # Errors
    /// The backing cannot be read; nothing was changed.
    pub fn sweep<I>(&mut self, now: Timestamp, context: &Context<I>, limit: usize) -> Result<usize, BackingError> {
        let settings_of = |tenant: &str| &**context.of(tenant).tenant.settings();
        self.store.sweep(now, settings_of, &context.fingerprints, limit)
    }

    /// Forgets the devices of a user, and nothing else of him. Answers whether there were any.
    ///
    /// # Errors
    /// What is stored of the user cannot be read, or the backing failed; nothing was changed.
    pub fn clear_devices(
        &mut self,
        tenant: &str,
        user: &str,
        fingerprints: &Fingerprints,
    ) -> Result<bool, ProfileError> {
        let key = UserKey::new(tenant, user, fingerprints);
        let mut profile = Profile::default();
        self.store.get(&key, &mut profile)??;
        if profile.devices.0.is_empty() {
            return Ok(false);
        }
        profile.devices.0.clear();
        self.store.put(&key, &profile);
        Ok(true)
    }

    /// Sizes of the state.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.store.stats()
    }

    /// The profile of one user, for tests and tools; an empty one for who has none.
    ///
    /// # Errors
    /// What is stored of the user cannot be read, or the backing failed.
    pub fn profile(&mut self, tenant: &str, user: &str, fingerprints: &Fingerprints) -> Result<Profile, ProfileError> {
        let mut profile = Profile::default();
        self.store.get(&UserKey::new(tenant, user, fingerprints), &mut profile)??;
        Ok(profile)
    }

    /// Takes over the packed profile of a user as it was stored elsewhere, in place of what is known of
    /// him. Where they cannot be read, that shows at the user's next event:
    /// NewDevice and ImpossibleTravel answer `assessment_not_available`, nothing is learnt, and the bytes
    /// stay as they are.
    pub fn restore(&mut self, tenant: &str, user: &str, fingerprints: &Fingerprints, bytes: Box<[u8]>) {
        self.store.restore(&UserKey::new(tenant, user, fingerprints), &bytes);
    }
}
