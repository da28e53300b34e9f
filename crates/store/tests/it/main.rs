//! The local store: what it holds, what it survives, and what it says where it does not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod child;
mod content;
mod damage;
mod faults;
mod history;
