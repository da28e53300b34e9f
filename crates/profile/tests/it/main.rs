//! What is remembered: the packed form, and the rules of devices, places and waiting attempts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod devices;
mod packed;
mod places;
mod waiting;
