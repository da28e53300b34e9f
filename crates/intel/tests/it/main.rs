//! Databases, lists and loading them: what is answered, and what is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agents;
mod databases;
mod lists;
mod load;
