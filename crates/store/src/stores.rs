//! The stores of an instance: one folder, one database, one keyspace a partition.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::database::{Database, database_folder};
use crate::error::StoreError;
use crate::identity::{self, Identity};
use crate::partition::PartitionStore;

const LOCK: &str = "lock";
/// How long the lock is waited for: a process that was killed may still be on its way out.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// How often it is tried.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How much memory the stores take, and when they give up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of blocks of the tables that are kept in memory.
    pub cache_bytes: u64,
    /// Bytes of changes that are not in tables yet, all partitions together. Each has a share, of 1 MiB at
    /// least in each of four buffers: with more partitions than a quarter of this in MiB it is 4 MiB for
    /// each that is written to.
    pub write_buffer_bytes: u64,
    /// How long changes wait for the disk before they are refused.
    pub patience: Duration,
}

impl Default for Options {
    /// 64 MiB of blocks, 64 MiB of changes, ten seconds.
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, write_buffer_bytes: 64 << 20, patience: Duration::from_secs(10) }
    }
}

/// The stores of an instance. While this or one of its [`PartitionStore`]s is there, no other process can
/// open the folder.
#[derive(Clone)]
pub struct Stores {
    database: Arc<Database>,
    patience: Duration,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores").field("folder", &self.database.folder).finish_non_exhaustive()
    }
}

impl Stores {
    /// Opens the stores in a folder; where there are none, empty ones are made.
    ///
    /// # Errors
    /// [`StoreError::InUse`]; [`StoreError::Io`]; one that [is unusable](StoreError::is_unusable) when
    /// [`Stores::open_anew`] is what helps.
    pub fn open(folder: &Path, identity: &Identity, options: &Options) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        Self::open_locked(folder, identity, options, lock)
    }

    /// Throws away what is in a folder and makes empty stores there.
    ///
    /// # Errors
    /// [`StoreError::InUse`]: nothing was thrown away then. [`StoreError::Io`].
    pub fn open_anew(folder: &Path, identity: &Identity, options: &Options) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        // Without an identity what is left when this ends half-way counts as damaged.
        identity::remove(folder).map_err(failed(folder, "removing its identity"))?;
        match fs::remove_dir_all(database_folder(folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(folder, "removing what was there")(error));
            }
            _ => {}
        }
        Self::open_locked(folder, identity, options, lock)
    }

    fn open_locked(folder: &Path, identity: &Identity, options: &Options, lock: File) -> Result<Self, StoreError> {
        if !identity::check(folder, identity)? {
            if database_folder(folder).try_exists().map_err(failed(folder, "looking at what is there"))? {
                let problem = "it has no identity".to_owned();
                return Err(StoreError::Corrupt { folder: folder.to_owned(), problem });
            }
            identity::write(folder, identity).map_err(failed(folder, "writing its identity"))?;
        }
        let database = Arc::new(Database::open(folder, identity.partitions, options, lock)?);
        Ok(Self { database, patience: options.patience })
    }

    /// The store of one partition.
    ///
    /// # Errors
    /// There is no such partition, or its files cannot be opened.
    pub fn partition(&self, partition: u32) -> Result<PartitionStore, StoreError> {
        if partition >= self.database.partitions {
            return Err(StoreError::NoSuchPartition { partition, partitions: self.database.partitions });
        }
        let store = PartitionStore::new(self.database.clone(), partition, self.patience);
        store.position()?;
        Ok(store)
    }

    /// Brings everything that was written to the disk itself, as the end of the last handle does too.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn persist(&self) -> Result<(), StoreError> {
        self.database.persist()
    }

    /// Bytes on disk, with journals; a new journal counts with the 64 MiB that it may take.
    ///
    /// # Errors
    /// They cannot be found out.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        const DOING: &str = "measuring its files";
        self.database.with(DOING, |open| self.database.guarded(DOING, || open.database.disk_space()))
    }
}

fn failed(folder: &Path, doing: &'static str) -> impl Fn(io::Error) -> StoreError {
    move |source| StoreError::Io { folder: folder.to_owned(), doing, source }
}

/// Makes the folder and takes its lock; the system gives it back when the process ends, however it does.
fn lock(folder: &Path) -> Result<File, StoreError> {
    fs::create_dir_all(folder).map_err(failed(folder, "making the folder"))?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK));
    let file = file.map_err(failed(folder, "making the lock file"))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOOK_AGAIN),
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(folder, "taking the lock")(source)),
        }
    }
}
