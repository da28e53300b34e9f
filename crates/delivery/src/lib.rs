//! The rules of delivery, without the machinery: when a batch may be committed, what happens to state and
//! source when a commit does not come about, which records of which partitions are handled at all.
//!
//! Outputs leave on two lanes. A verdict (and a dead letter) goes out at once: somebody waits for it. Log
//! records, changed state and source offsets are collected into a batch and committed together, all or
//! nothing, beside the scoring. A batch is only committed when everything that it sent on the fast lane is
//! acknowledged, so that no committed source record lacks its verdict. A batch that cannot be committed is
//! tried again; where that is of no use it is forgotten and handled again, and as handling is a pure function of records and
//! state, the verdicts come out the same.
//!
//! - [`Lanes`]: the state machine. The stream drives it with Kafka, the simulation with a fake log that
//!   fails wherever it can.
//! - [`Handler`], [`Source`], [`Outputs`]: what the code that scores sees of a stream.
//! - [`Changes`], [`LocalState`]: state on its way to the changelog, and the local copy of the changelog.
//!
//! # What this crate must not know
//!
//! Kafka, threads, clocks, files, and what the records mean.

#![forbid(unsafe_code)]

mod changes;
mod handler;
mod lanes;
mod local_state;

pub use changes::{Change, Changes};
pub use handler::{DeadLetter, Handler, Outputs, Source};
pub use lanes::{Admission, BatchId, Commit, Lanes, NextOffset};
pub use local_state::{
    Continuation, LocalState, SOURCE_OFFSET_KEY, StateError, read_source_offset, source_offset_value,
};
