//! What is known about addresses and user agents: GeoIP databases, deny lists, relay lists, browser
//! families.
//!
//! A [`Snapshot`] is one immutable state of all data, loaded whole or not at all; it is swapped, never
//! changed. Files are read in [`mod@load`] and nowhere else. This crate must not know users, profiles,
//! scoring, Kafka, HTTP or async. Lists and databases come from the network: their content is taken to
//! be hostile.

#![forbid(unsafe_code)]

pub mod agents;
pub mod databases;
pub mod deny_lists;
pub mod list_format;
pub mod load;
pub mod snapshot;

pub use agents::Agents;
pub use load::{DenyListSource, LoadError, Loaded, Sources, load};
pub use snapshot::{Snapshot, SourceInfo};
