//! Batches of changes that anybody can make again from their number, so that content can be compared with
//! what the position says.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use store::{Identity, Options, PartitionStore, StoreError, Stores};

/// Keys that the batches change.
const KEYS: usize = 2_000;
/// Changes in a batch.
const CHANGES: usize = 200;

pub(crate) type Content = BTreeMap<Vec<u8>, Vec<u8>>;
type Change = (Vec<u8>, Option<Vec<u8>>);

pub(crate) fn identity() -> Identity {
    Identity {
        cluster_id: "cluster-1".to_owned(),
        topic: "credence-profiles".to_owned(),
        partitions: 4,
        key_check: "key-1".to_owned(),
    }
}

/// Small buffers, so that tables are written early.
pub(crate) fn options() -> Options {
    let patience = Duration::from_secs(60);
    Options { cache_bytes: 1 << 20, write_buffer_bytes: 1 << 20, patience }
}

pub(crate) fn open(folder: &Path) -> Result<Stores, StoreError> {
    Stores::open(folder, &identity(), &options())
}

/// The changes of a batch; the first batch is number 1.
fn changes(batch: i64) -> Vec<Change> {
    let change = |n: usize| {
        let key = format!("user-{:04}", (batch as usize * 37 + n * 101) % KEYS).into_bytes();
        let value = format!("{batch}-{n}-").into_bytes().into_iter().cycle().take(350).collect();
        (key, (!(batch as usize + n).is_multiple_of(11)).then_some(value))
    };
    (0..CHANGES).map(change).collect()
}

/// Applies a batch; the position is its number.
pub(crate) fn apply(store: &PartitionStore, batch: i64) -> Result<(), StoreError> {
    let changes = changes(batch);
    store.apply(changes.iter().map(|(key, value)| (&**key, value.as_deref())), batch)
}

/// What is there after this many batches.
pub(crate) fn content_after(batches: i64) -> Content {
    let mut content = Content::new();
    for (key, value) in (1..=batches).flat_map(changes) {
        match value {
            Some(value) => drop(content.insert(key, value)),
            None => drop(content.remove(&key)),
        }
    }
    content
}

pub(crate) fn content(store: &PartitionStore) -> Result<Content, StoreError> {
    let mut content = Content::new();
    store.scan(b"", usize::MAX, |key, value| drop(content.insert(key.to_vec(), value.to_vec())))?;
    Ok(content)
}

/// The number of batches in the store, which holds exactly what they leave.
pub(crate) fn check(store: &PartitionStore) -> Result<i64, StoreError> {
    let batches = store.position()?.unwrap_or_default();
    assert!(content(store)? == content_after(batches), "the content is not that of position {batches}");
    Ok(batches)
}
