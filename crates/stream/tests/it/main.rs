//! Tests of the stream against librdkafka's mock cluster (start-up, errors, back-pressure) and against
//! real Kafka (delivery, rebalances, restarts).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod delivery;
mod failures;
mod faults;
mod following;
mod mock;
mod news;
mod rebalance;
mod support;
mod topics;
