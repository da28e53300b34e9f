//! The step function, fed with events as they are written: what is answered, logged and learnt.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod ahead;
mod backed;
mod duplicates;
mod learning;
mod log_records;
mod model_check;
mod policy;
mod properties;
mod records;
mod section9;
mod waiting;
mod world;
