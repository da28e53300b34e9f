//! The embedded database behind the stores: opened, opened again after a failed write, its errors and
//! panics made ours.
//!
//! After a failed write the database takes no more of them, since it cannot know what reached the disk.
//! What is there is consistent: opening it again drops a torn end. Damaged files may make it panic; that
//! is caught and reported as damage.

use std::fs::{self, File};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::thread;

use fjall::config::PartitioningPolicy;
use fjall::{Keyspace, KeyspaceCreateOptions, LsmError, PersistMode};

use crate::error::StoreError;
use crate::stores::Options;

const DATABASE: &str = "db";
const PROBE: &str = "probe";
/// Room that must be there before a database that failed is opened again.
const PROBE_BYTES: usize = 4 << 20;
/// Most bytes of journals: what is replayed at a start, and kept on disk beside the tables.
const MAX_JOURNAL_BYTES: u64 = 128 << 20;
/// Least and most bytes of a partition's write buffer.
const WRITE_BUFFER_BYTES: (u64, u64) = (1 << 20, 64 << 20);
/// How many write buffers a partition may have: the one that is filled, and those that wait for the disk.
const WRITE_BUFFERS: u64 = 1 + MAX_SEALED as u64;
/// Most write buffers of a partition that wait for the disk.
pub(crate) const MAX_SEALED: usize = 3;
/// Threads that write tables and merge them. With more than one, fjall 3.1 has one of them wait for tables to
/// write, and what it hears of merges meanwhile it sends on: to itself, without a pause, for as long as the
/// others merge. That was half of what merging cost.
const WORKERS: usize = 1;
/// Most write buffers of all partitions that wait for that thread. Each is a message to it, and so is the merge that
/// follows: it writes to its own mailbox too, which holds a thousand, and would wait for itself where that is full.
pub(crate) const MAX_FLUSHES: usize = 200;
/// How much nicer than the process that thread is, in a system's sense: with 5 it has a third of the time of another
/// where both want all.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// A database that is open.
pub(crate) struct Open {
    // Before the database: that waits for nobody who still holds one.
    keyspaces: Vec<OnceLock<Keyspace>>,
    pub(crate) database: fjall::Database,
    pub(crate) write_buffer_bytes: u64,
}

impl Open {
    pub(crate) fn keyspace(&self, partition: u32) -> fjall::Result<&Keyspace> {
        let Some(cell) = self.keyspaces.get(partition as usize) else {
            return Err(fjall::Error::Io(io::Error::other(format!("there is no partition {partition}"))));
        };
        if let Some(keyspace) = cell.get() {
            return Ok(keyspace);
        }
        let options = || {
            KeyspaceCreateOptions::default()
                // [`PartitionStore`](crate::PartitionStore) says when a buffer is full. The database would ask its
                // thread for a new one at each write to a full one, until it has one; the thread reads these
                // questions one by one, and stands still for ever when it finds its mailbox full of them.
                .max_memtable_size(u64::MAX)
                // A read loads the part of an index or filter that it needs: whole ones are large, and drive
                // each other out of a cache that is small beside the tables.
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(true))
                // Most who are looked for are there: filters of the last level would take room for nothing.
                .expect_point_read_hits(true)
        };
        let keyspace = self.database.keyspace(&partition.to_string(), options)?;
        Ok(cell.get_or_init(|| keyspace))
    }
}

pub(crate) struct Database {
    pub(crate) folder: PathBuf,
    options: Options,
    pub(crate) partitions: u32,
    /// None when it was closed to be opened again, and could not be.
    open: RwLock<Option<Open>>,
    broken: AtomicBool,
    /// Locked while this is there.
    _lock: File,
}

impl Database {
    pub(crate) fn open(folder: &Path, partitions: u32, options: &Options, lock: File) -> Result<Self, StoreError> {
        let database = Self {
            folder: folder.to_owned(),
            options: options.clone(),
            partitions,
            open: RwLock::new(None),
            broken: AtomicBool::new(false),
            _lock: lock,
        };
        let open = database.open_files()?;
        *database.open.write().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(database)
    }

    fn open_files(&self) -> Result<Open, StoreError> {
        let Options { cache_bytes, write_buffer_bytes, .. } = self.options;
        let (least, most) = WRITE_BUFFER_BYTES;
        let share = write_buffer_bytes / WRITE_BUFFERS / u64::from(self.partitions.max(1));
        self.guarded("opening the database", || {
            let builder = fjall::Database::builder(database_folder(&self.folder))
                .cache_size(cache_bytes)
                .max_journaling_size(MAX_JOURNAL_BYTES)
                .worker_threads(WORKERS);
            let database = in_background(|| builder.open())?;
            let keyspaces = (0..self.partitions).map(|_| OnceLock::new()).collect();
            Ok(Open { keyspaces, database, write_buffer_bytes: share.clamp(least, most) })
        })
    }

    /// Works with the database.
    pub(crate) fn with<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Open) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        match &*open {
            Some(open) => work(open),
            None => {
                let source = io::Error::other("it could not be opened again after a failed write");
                Err(StoreError::Io { folder: self.folder.clone(), doing, source })
            }
        }
    }

    /// Calls into the database: its errors become ours, and so do its panics.
    pub(crate) fn guarded<T>(
        &self,
        doing: &'static str,
        call: impl FnOnce() -> fjall::Result<T>,
    ) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.error(doing, error)),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                Err(self.corrupt(format!("{doing}: the database panicked: {text}")))
            }
        }
    }

    pub(crate) fn corrupt(&self, problem: String) -> StoreError {
        StoreError::Corrupt { folder: self.folder.clone(), problem }
    }

    fn error(&self, doing: &'static str, error: fjall::Error) -> StoreError {
        let folder = self.folder.clone();
        match error {
            fjall::Error::Io(source) | fjall::Error::Storage(LsmError::Io(source)) => match source.kind() {
                // The end comes too early, an offset in a file makes no sense, a file is not there, or one is
                // there that must not be.
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::NotFound
                | io::ErrorKind::AlreadyExists => StoreError::Corrupt { folder, problem: format!("{doing}: {source}") },
                _ => StoreError::Io { folder, doing, source },
            },
            fjall::Error::Locked => StoreError::InUse { folder },
            fjall::Error::Poisoned => StoreError::Broken { folder },
            fjall::Error::InvalidVersion(found) => StoreError::OtherLayout {
                folder,
                found: found.map_or("of no known database".to_owned(), |version| format!("of database {version:?}")),
                expected: "of database V3".to_owned(),
            },
            other => StoreError::Corrupt { folder, problem: format!("{doing}: {other}") },
        }
    }

    /// Notes that a write failed: before the next one the database is opened again.
    pub(crate) fn set_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// Opens the database again where a write has failed, if there is room on the disk now. Until then
    /// reading goes on.
    pub(crate) fn heal(&self) -> Result<(), StoreError> {
        if !self.broken.load(Ordering::Acquire) {
            return Ok(());
        }
        let probe = self.folder.join(PROBE);
        let probed = write_synced(&probe, PROBE_BYTES);
        // Whatever was written of it must not stay.
        let removed = fs::remove_file(&probe);
        probed.and(removed).map_err(|source| {
            let doing = "looking for room after a failed write";
            StoreError::Io { folder: self.folder.clone(), doing, source }
        })?;
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = open.take() {
            // Its threads end, its files are closed; what it thinks of that changes nothing.
            let _ = self.guarded("closing the database", || {
                drop(old);
                Ok(())
            });
        }
        *open = Some(self.open_files()?);
        self.broken.store(false, Ordering::Release);
        Ok(())
    }

    /// Brings everything that was written to the disk itself.
    pub(crate) fn persist(&self) -> Result<(), StoreError> {
        const DOING: &str = "syncing to disk";
        self.with(DOING, |open| self.guarded(DOING, || open.database.persist(PersistMode::SyncAll)))
            .inspect_err(|_| self.set_broken())
    }
}

/// Works in a thread of lower priority, which the threads that it starts have too: those that write tables and merge
/// them must not take a processor from who scores.
fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let work = || {
        // It is a preference: without it everything is only less even.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(NICER);
        work()
    };
    thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

impl Drop for Database {
    fn drop(&mut self) {
        // A failure here costs the end of the changelog being read again.
        let _ = self.persist();
    }
}

pub(crate) fn database_folder(folder: &Path) -> PathBuf {
    folder.join(DATABASE)
}

fn write_synced(path: &Path, bytes: usize) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&vec![0; bytes])?;
    file.sync_all()
}
