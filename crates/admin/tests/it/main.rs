//! Tests of the admin port over real HTTP on loopback, with a store in memory and keys made here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod documents;
mod limits;
mod openapi;
mod ports;
mod reference;
mod support;
mod tokens;
