//! The pure step of one partition: an event and the user's profile in, an answer and a log record out,
//! the profile changed.
//!
//! [`Partition::step`] is a pure function of the event, the partition's state, the settings and the
//! data versions; replayed events give the same answers to the byte. This crate must not know Kafka,
//! async, clocks or files. It is the one place that decides when something is learnt.

#![forbid(unsafe_code)]

mod agents;
mod data_sets;
mod log_id;
mod step;
mod store;
mod teach;

pub use log_id::log_id;
pub use step::{Context, LogPlan, Partition, Step};
pub use store::StoreStats;
