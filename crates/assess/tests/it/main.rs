//! The assessors, the combiner and every setting.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod combiner;
mod setting_keys;
