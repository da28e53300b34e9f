//! The pure step of one partition: an event and the user's profile in, an answer and a log record out,
//! the profile changed.
//!
//! [`Partition::step`] is a pure function of the event, the partition's state, the settings and the
//! data versions; replayed events give the same answers to the byte. It is the one place that decides when
//! something is learnt.
//!
//! A partition's state is all in memory, or stands on a [`Backing`]: what the last commits left. Changes
//! are handed over batch by batch, belong to the state at once, and can be taken back until they are
//! stored. This crate must not know Kafka, async, clocks or files; who commits and who stores, and where,
//! is not its business.

#![forbid(unsafe_code)]

mod agents;
mod backing;
mod cache;
mod data_sets;
mod durable;
mod log_id;
mod memory;
mod partition;
mod record_key;
mod roomy;
mod step;
mod store;
mod teach;

pub use backing::{Backing, BackingError};
pub use log_id::log_id;
pub use partition::ProfileError;
pub use step::{Answered, Context, LogPlan, Partition, Step};
pub use store::StoreStats;
