//! What the committed changes of partitions left, on the local disk: keys and values in one folder, each
//! partition with the position up to which it covers its changelog.
//!
//! It is a copy of what the changelog holds, so nothing here is synced to disk write by write: after a
//! power failure a partition is at an earlier position, whole, and the changelog's tail brings it up to
//! date. Changes and their position come together or not at all. Whatever is unusable (another cluster's,
//! another layout's, damaged) is told apart by [`StoreError`]; who opens the store decides whether to
//! begin anew.
//!
//! Memory is bounded by [`Options`] and comes on top of what the user of the store keeps himself.
//!
//! This crate must not know Kafka, profiles or scoring: bytes in, bytes out.

#![forbid(unsafe_code)]

mod database;
mod error;
mod identity;
mod partition;
mod stores;

pub use error::StoreError;
pub use identity::{Identity, LAYOUT_VERSION};
pub use partition::{PartitionSizes, PartitionStore, is_storable};
pub use stores::{Options, Stores};
