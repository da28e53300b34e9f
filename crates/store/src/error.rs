//! What can go wrong, told apart by what helps.

use std::io;
use std::path::PathBuf;

/// A local store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("the store in {folder} is in use by another process: give each instance a folder of its own")]
    InUse {
        /// The store's folder.
        folder: PathBuf,
    },
    /// It is a copy of something else.
    #[error("the store in {folder} belongs to something else ({difference}): begin anew, or use another folder")]
    OtherIdentity {
        /// The store's folder.
        folder: PathBuf,
        /// What is different.
        difference: String,
    },
    /// Another version of the program wrote it in another layout.
    #[error("the store in {folder} has layout {found}, this program knows layout {expected}: begin anew")]
    OtherLayout {
        /// The store's folder.
        folder: PathBuf,
        /// The layout that was found.
        found: String,
        /// The layout of this program.
        expected: String,
    },
    /// It is damaged.
    #[error("the store in {folder} is damaged ({problem}): begin anew")]
    Corrupt {
        /// The store's folder.
        folder: PathBuf,
        /// What was found.
        problem: String,
    },
    /// The disk refused. Nothing that was there is lost; it may be tried again.
    #[error("the store in {folder} cannot be used: {doing}: {source}; check the disk's space and health")]
    Io {
        /// The store's folder.
        folder: PathBuf,
        /// What was under way.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// An earlier write failed. The next [`apply`](crate::PartitionStore::apply) opens the store again.
    #[error("the store in {folder} takes no writes since one failed; check the disk's space and health, try again")]
    Broken {
        /// The store's folder.
        folder: PathBuf,
    },
    /// Writing to disk does not keep up with the changes. It may be tried again.
    #[error("the store in {folder} does not keep up: changes waited {waited_s} s for the disk")]
    Busy {
        /// The store's folder.
        folder: PathBuf,
        /// How long, in seconds.
        waited_s: u64,
    },
    /// A key that cannot be stored: empty, longer than 65,535 bytes, or with a zero byte in front.
    #[error("a key of {length} bytes cannot be stored: keys have 1 to 65535 bytes, the first of them not zero")]
    BadKey {
        /// The key's length.
        length: usize,
    },
    /// The store has no such partition.
    #[error("the store has partitions 0 to {last}, not {partition}", last = .partitions.saturating_sub(1))]
    NoSuchPartition {
        /// The partition that was asked for.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
}

impl StoreError {
    /// Whether the content is of no use, so that beginning anew is what helps.
    #[must_use]
    pub fn is_unusable(&self) -> bool {
        matches!(self, Self::OtherIdentity { .. } | Self::OtherLayout { .. } | Self::Corrupt { .. })
    }
}
