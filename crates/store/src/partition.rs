//! The store of one partition.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fjall::{AbstractTree, Keyspace, PersistMode};

use crate::database::{Database, MAX_FLUSHES, MAX_SEALED, Open};
use crate::error::StoreError;

/// The key of the position. Other keys do not begin with a zero byte.
const POSITION: &[u8] = &[0];
/// The least key that can be anybody else's.
const FIRST: &[u8] = &[1];
/// Longest key in bytes.
const MAX_KEY_BYTES: usize = u16::MAX as usize;
/// Most tables that wait to be merged before changes wait.
const MAX_UNMERGED: usize = 20;
/// How often it is looked whether there is room again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What a partition takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionSizes {
    /// Bytes of its tables on disk.
    pub disk_bytes: u64,
    /// Keys, roughly: what was changed or removed since the last merge counts more than once.
    pub entries: u64,
}

/// The store of one partition: a cheap handle. One thread writes, any number reads.
#[derive(Clone)]
pub struct PartitionStore {
    database: Arc<Database>,
    partition: u32,
    patience: Duration,
}

impl std::fmt::Debug for PartitionStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionStore").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl PartitionStore {
    pub(crate) fn new(database: Arc<Database>, partition: u32, patience: Duration) -> Self {
        Self { database, partition, patience }
    }

    /// The offset after the last record of the changelog that the content covers; none where there is no
    /// content.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn position(&self) -> Result<Option<i64>, StoreError> {
        let stored = self.read("reading the position", |keyspace| keyspace.get(POSITION))?;
        let position = |bytes: &[u8]| bytes.try_into().map(i64::from_be_bytes);
        stored
            .map(|bytes| position(&bytes).map_err(|_| self.database.corrupt("the position is no number".to_owned())))
            .transpose()
    }

    /// The value of a key; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, StoreError> {
        if !is_storable(key) {
            return Ok(None);
        }
        let stored = self.read("reading a value", |keyspace| keyspace.get(key))?;
        Ok(stored.map(|value| Box::from(&*value)))
    }

    /// Calls `each` with key and value for at most `limit` entries in the order of their keys' bytes,
    /// beginning with the first that is not below `from`.
    ///
    /// # Errors
    /// They cannot be read; `each` may have been called for some.
    pub fn scan(&self, from: &[u8], limit: usize, mut each: impl FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        const DOING: &str = "reading entries";
        self.database.with(DOING, |open| {
            let mut entries =
                self.database.guarded(DOING, || Ok(open.keyspace(self.partition)?.range(from.max(FIRST)..)))?;
            for _ in 0..limit {
                let next = || entries.next().map(fjall::Guard::into_inner).transpose();
                let Some((key, value)) = self.database.guarded(DOING, next)? else { break };
                each(&key, &value);
            }
            Ok(())
        })
    }

    /// Takes over changes (without a value: the key is removed) together with the position after them: all
    /// of it or nothing. A process that dies loses nothing of it, a power failure may take the last seconds.
    ///
    /// After a failed write the next call opens the database again first, if there is room by then, and
    /// reading goes on meanwhile. What failed may turn out to be there all the same, whole, after that or
    /// after a restart: [`PartitionStore::position`] tells. Applying it once more does no harm.
    ///
    /// # Errors
    /// [`StoreError::BadKey`]; [`StoreError::Busy`]; [`StoreError::Io`] or [`StoreError::Broken`] when the
    /// disk refuses.
    pub fn apply<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        position: i64,
    ) -> Result<(), StoreError> {
        const DOING: &str = "writing changes";
        self.database.heal()?;
        self.write(DOING, |open, keyspace| {
            let mut batch = open.database.batch();
            // In the order of their keys, which is how the database's write buffer is searched: neighbours are
            // near each other in the processor's caches, and writing takes a sixth less of its time. Changes of
            // one key stay in the order in which they were made.
            let mut changes: Vec<_> = changes.into_iter().collect();
            changes.sort_by_key(|(key, _)| *key);
            for (key, value) in changes {
                if !is_storable(key) {
                    return Err(StoreError::BadKey { length: key.len() });
                }
                match value {
                    Some(value) => batch.insert(keyspace, key, value),
                    None => batch.remove(keyspace, key),
                }
            }
            batch.insert(keyspace, POSITION, position.to_be_bytes());
            self.wait_for_room(open, keyspace)?;
            self.database.guarded(DOING, || {
                batch.commit()?;
                if keyspace.tree.active_memtable().size() >= open.write_buffer_bytes
                    && keyspace.sealed_memtable_count() < MAX_SEALED
                {
                    keyspace.rotate_memtable()?;
                }
                Ok(())
            })
        })
    }

    /// Back to nothing, without a position.
    ///
    /// # Errors
    /// As [`PartitionStore::apply`].
    pub fn clear(&self) -> Result<(), StoreError> {
        const DOING: &str = "removing everything";
        self.database.heal()?;
        self.write(DOING, |_, keyspace| self.database.guarded(DOING, || keyspace.clear()))
    }

    /// What the partition takes.
    ///
    /// # Errors
    /// It cannot be found out.
    pub fn sizes(&self) -> Result<PartitionSizes, StoreError> {
        self.read("measuring its files", |keyspace| {
            Ok(PartitionSizes { disk_bytes: keyspace.disk_space(), entries: keyspace.approximate_len() as u64 })
        })
    }

    fn read<T>(&self, doing: &'static str, read: impl FnOnce(&Keyspace) -> fjall::Result<T>) -> Result<T, StoreError> {
        self.database.with(doing, |open| self.database.guarded(doing, || read(open.keyspace(self.partition)?)))
    }

    fn write(
        &self,
        doing: &'static str,
        write: impl FnOnce(&Open, &Keyspace) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let written = self.database.with(doing, |open| {
            let keyspace = self.database.guarded(doing, || open.keyspace(self.partition))?;
            write(open, keyspace)
        });
        if let Err(StoreError::Io { .. } | StoreError::Broken { .. } | StoreError::Corrupt { .. }) = &written {
            self.database.set_broken();
        }
        written
    }

    /// Waits while the disk is behind. The database waits by itself, later than this, but for ever where the
    /// thread that writes tables has ended in an error.
    fn wait_for_room(&self, open: &Open, keyspace: &Keyspace) -> Result<(), StoreError> {
        let start = Instant::now();
        while keyspace.sealed_memtable_count() >= MAX_SEALED
            || keyspace.l0_table_count() >= MAX_UNMERGED
            || open.database.outstanding_flushes() >= MAX_FLUSHES
        {
            // An error here says that the thread has ended.
            self.database.guarded("writing tables", || open.database.persist(PersistMode::Buffer))?;
            if start.elapsed() >= self.patience {
                let folder = self.database.folder.clone();
                return Err(StoreError::Busy { folder, waited_s: self.patience.as_secs() });
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

/// Whether a key can be stored: see [`StoreError::BadKey`].
#[must_use]
pub fn is_storable(key: &[u8]) -> bool {
    (1..=MAX_KEY_BYTES).contains(&key.len()) && !key.starts_with(POSITION)
}
