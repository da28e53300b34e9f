//! What the decoders take and refuse, and that both encodings say the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod encoding;
mod hostile;
mod support;
mod unreadable;
mod wrong_types;
