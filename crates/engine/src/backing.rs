//! What stands behind the memory of a partition.

use std::error::Error;
use std::fmt::Debug;

/// What the last commits left of a partition: values by record key. A materialised view of the
/// partition's changelog, usually on disk.
///
/// The keys and values are those that [`Partition::take_changes`](crate::Partition::take_changes) hands
/// over; whoever commits them also writes them here.
pub trait Backing: Send + Sync + Debug {
    /// The value of a key; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, BackingError>;

    /// Calls `each` with key and value for at most `limit` entries in the order of their keys' bytes,
    /// beginning with the first that is not below `from`.
    ///
    /// # Errors
    /// They cannot be read; `each` may have been called for some.
    fn scan(&self, from: &[u8], limit: usize, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), BackingError>;
}

/// What stands behind the memory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BackingError {
    /// The backing failed.
    #[error("the stored state of the partition cannot be read: {0}")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// A set of data versions is not one that this program can read. Answers could no longer be repeated
    /// as they were given.
    #[error(
        "the stored value of key [\"data_versions\", {number}] cannot be read: {problem}; \
         restore the partition from its changelog, or run the program version that wrote it"
    )]
    DataVersions {
        /// The set's number.
        number: u32,
        /// What is wrong with it.
        problem: String,
    },
}
