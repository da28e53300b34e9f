//! The Kafka side of Credence: a consumer group over one input topic, a [`delivery::Handler`] that turns
//! each source record into outputs, and two lanes on which these leave.
//!
//! Verdicts and dead letters go out at once by an idempotent producer: at least once. Log records, changed
//! state and source offsets are committed together, a transaction a batch: exactly once for readers of
//! committed records. The rules are [`delivery::Lanes`]'; this crate is the machinery.
//!
//! # What this crate must not know
//!
//! It moves bytes. It does not know what a login event, a verdict or a tenant is, how records are
//! encoded, how anything is scored, or that metrics and health are served over HTTP. (It reads JSON in one
//! place only: the statistics that librdkafka emits.) In return it is the only crate that knows rdkafka.
//!
//! # Where things are
//!
//! - [`start`] and [`Running`]: the workers as a whole (`running`), each worker's loop (`worker`).
//! - `outbox`: the fast lane. `committer`: the durable lane. `flights`: when records leave on either.
//!   `restore`: completing the state of partitions. `membership`: the consumer's callbacks. `dead_letter`: what
//!   is sent for a record that cannot be read.
//! - [`topics`], [`feed`], [`tail`], [`embedded`]: creating topics, writing to one, reading one, and a
//!   broker inside the process. Tools, demo and tests use them; the workers do not.

#![forbid(unsafe_code)]

mod client;
mod committer;
mod config;
mod dead_letter;
mod durable;
pub mod embedded;
mod error;
pub mod feed;
mod flights;
mod headers;
mod health;
mod membership;
mod metrics;
mod murmur2;
mod outbox;
mod restore;
mod running;
mod statistics;
pub mod tail;
pub mod topics;
mod worker;

pub use client::ClientProperties;
pub use config::{ConfigProblem, Connection, StreamConfig, Topics};
pub use error::{Error, WorkerError};
pub use health::{Health, WorkerState, WorkerStatus};
pub use murmur2::{murmur2, partition_for};
pub use running::{Cluster, Running, Summary, WorkerSummary, inspect, start};
