//! Between the engine's state and its two homes: the changelog, by way of the stream, and the local copy
//! of it on this instance's disk.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use delivery::{Change, Continuation, LocalState, SOURCE_OFFSET_KEY, StateError, read_source_offset};
use engine::{Backing, BackingError};
use profile::Fingerprints;
use prometheus::IntCounter;
use store::{Identity, Options, PartitionStore, StoreError, Stores, is_storable};
use stream::Cluster;

use crate::config::Config;

/// The local copy of the changelog, of which each served partition's state is a view.
pub trait ProfileStores: LocalState {
    /// What stands behind the memory of a partition.
    ///
    /// # Errors
    /// The copy cannot be used.
    fn backing(&self, partition: i32) -> Result<Arc<dyn Backing>, StateError>;
}

/// What the stream makes of an error of the engine's.
#[must_use]
pub fn state_error(error: &BackingError) -> StateError {
    match error {
        BackingError::Failed(source) => match source.downcast_ref::<StateError>() {
            Some(error) => error.clone(),
            None => StateError::Unavailable(source.to_string()),
        },
        BackingError::DataVersions { .. } => StateError::Damaged(error.to_string()),
    }
}

/// Share of `state.memory_bytes` that the database takes for its blocks, and the same again for its write
/// buffers; the rest holds profiles.
const DATABASE_SHARE: usize = 8;

/// The stores on this instance's disk.
#[derive(Debug)]
pub struct DiskStores {
    stores: Stores,
    /// Held while a partition's copy moves on: a batch that comes late must not overtake what the
    /// changelog brought meanwhile.
    moving: Vec<Mutex<()>>,
    /// Changes that were left out.
    foreign: IntCounter,
}

/// Bytes of `state.memory_bytes` that are left for profiles.
#[must_use]
pub fn profile_bytes(config: &Config) -> usize {
    config.memory_bytes - config.memory_bytes / DATABASE_SHARE * 2
}

impl DiskStores {
    /// Opens the stores in a folder. What is there of another cluster, of another layout or damaged is thrown
    /// away: the changelog has it all. `foreign` counts what somebody else has written into the changelog
    /// and what cannot be stored.
    ///
    /// # Errors
    /// Another process uses the folder, or the disk refuses.
    pub fn open(
        folder: &Path,
        config: &Config,
        cluster: &Cluster,
        fingerprints: &Fingerprints,
        foreign: IntCounter,
    ) -> Result<Self> {
        let identity = Identity {
            cluster_id: cluster.id.clone(),
            topic: config.topic_profiles.clone(),
            partitions: cluster.partitions.unsigned_abs(),
            key_check: format!("{:016x}", fingerprints.event_id("state.hash_key")),
        };
        let share = (config.memory_bytes / DATABASE_SHARE) as u64;
        let options = Options { cache_bytes: share, write_buffer_bytes: share, ..Options::default() };
        let stores = match Stores::open(folder, &identity, &options) {
            Err(error) if error.is_unusable() => {
                tracing::warn!("{error}; the state is read from topic {} anew", config.topic_profiles);
                Stores::open_anew(folder, &identity, &options)
            }
            opened => opened,
        };
        let stores = stores.context("state.folder")?;
        let moving = (0..cluster.partitions).map(|_| Mutex::new(())).collect();
        Ok(Self { stores, moving, foreign })
    }

    fn partition(&self, partition: i32) -> Result<PartitionStore, StateError> {
        self.stores.partition(partition.unsigned_abs()).map_err(local)
    }

    fn moving(&self, partition: i32) -> Option<MutexGuard<'_, ()>> {
        let moving = self.moving.get(partition.unsigned_abs() as usize)?;
        Some(moving.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the stream makes of an error of the store's.
fn local(error: StoreError) -> StateError {
    match error {
        StoreError::Corrupt { .. } => StateError::Damaged(error.to_string()),
        _ => StateError::Unavailable(error.to_string()),
    }
}

impl LocalState for DiskStores {
    fn position(&self, partition: i32) -> Result<Option<i64>, StateError> {
        self.partition(partition)?.position().map_err(local)
    }

    fn apply(
        &self,
        partition: i32,
        from: Option<i64>,
        changes: &mut dyn Iterator<Item = Change<'_>>,
        next: i64,
    ) -> Result<bool, StateError> {
        let store = self.partition(partition)?;
        let _moving = self.moving(partition);
        match Continuation::of(store.position().map_err(local)?, from, next) {
            Continuation::Late => Ok(true),
            Continuation::Hole => Ok(false),
            Continuation::Follows => {
                let mut foreign = 0;
                let ours = changes.filter(|change| {
                    let ours = is_storable(change.key);
                    foreign += u64::from(!ours);
                    ours
                });
                store.apply(ours.map(|change| (change.key, change.value)), next).map_err(local)?;
                if foreign > 0 {
                    // It can be nobody's state, so nothing is lost; a partition that waited for it would wait for ever.
                    tracing::warn!(
                        partition,
                        foreign,
                        next,
                        "left out records of the changelog that this program did not write"
                    );
                    self.foreign.inc_by(foreign);
                }
                Ok(true)
            }
        }
    }

    fn source_offset(&self, partition: i32) -> Result<Option<i64>, StateError> {
        let value = self.partition(partition)?.get(SOURCE_OFFSET_KEY).map_err(local)?;
        Ok(value.and_then(|value| read_source_offset(&value)))
    }

    fn reset(&self, partition: i32) -> Result<(), StateError> {
        let store = self.partition(partition)?;
        let _moving = self.moving(partition);
        store.clear().map_err(local)
    }
}

impl ProfileStores for DiskStores {
    fn backing(&self, partition: i32) -> Result<Arc<dyn Backing>, StateError> {
        Ok(Arc::new(Profiles(self.partition(partition)?)))
    }
}

/// A partition's store as the engine sees it.
#[derive(Debug)]
struct Profiles(PartitionStore);

impl Backing for Profiles {
    fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, BackingError> {
        self.0.get(key).map_err(|error| BackingError::Failed(Box::new(local(error))))
    }

    fn scan(&self, from: &[u8], limit: usize, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), BackingError> {
        self.0.scan(from, limit, each).map_err(|error| BackingError::Failed(Box::new(local(error))))
    }
}

/// The name of the instance whose folder this is: made once, so that a restarted instance is known again.
///
/// # Errors
/// The file cannot be read or written.
pub fn instance_id(folder: &Path) -> Result<String> {
    let path = folder.join("instance");
    std::fs::create_dir_all(folder).with_context(|| format!("state.folder {}", folder.display()))?;
    if let Ok(found) = std::fs::read_to_string(&path) {
        let found = found.trim();
        if !found.is_empty() && found.len() <= 64 && found.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(found.to_owned());
        }
    }
    let made = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
    std::fs::write(&path, &made).with_context(|| format!("state.folder {}", path.display()))?;
    Ok(made)
}
