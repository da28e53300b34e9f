//! The Kafka side of Credence: a consumer group over one input topic, a [`Handler`] that turns each
//! source record into outputs, producers for those outputs, and source offsets that are committed only
//! after the outputs of everything before them are acknowledged.
//!
//! Delivery is at least once: after a crash the records since the last commit are read again.
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
//! - [`Handler`], [`Source`], [`Outputs`]: what the code that scores sees of a stream.
//! - `batch`: which offsets may be committed. `outbox`: records on their way out. `membership`: the
//!   consumer's callbacks. `dead_letter`: what is sent for a record that cannot be read.
//! - [`topics`], [`feed`], [`tail`], [`embedded`]: creating topics, writing to one, reading one, and a
//!   broker inside the process. Tools, demo and tests use them; the workers do not.

#![forbid(unsafe_code)]

mod batch;
mod client;
mod config;
mod dead_letter;
pub mod embedded;
mod error;
pub mod feed;
mod handler;
mod headers;
mod health;
mod membership;
mod metrics;
mod murmur2;
mod outbox;
mod running;
mod statistics;
pub mod tail;
pub mod topics;
mod worker;

pub use config::{ConfigProblem, Connection, StreamConfig, Topics};
pub use error::{Error, WorkerError};
pub use handler::{DeadLetter, Handler, Outputs, Source};
pub use health::{Health, WorkerState, WorkerStatus};
pub use murmur2::{murmur2, partition_for};
pub use running::{Running, Summary, WorkerSummary, start};
