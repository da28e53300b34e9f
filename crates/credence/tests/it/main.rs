//! The binary as its users run it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod config;
mod conformance;
mod demo;
mod deploy;
mod instance;
mod kafka;
mod lab;
mod logs;
mod program;
mod schemas;
mod score;
mod simulation;
mod start;
mod tenants;
