//! Credence: scores logins for risk. This crate is the command line: it reads the configuration, wires
//! the other crates together and knows all of them; none of them knows it.

#![forbid(unsafe_code)]

pub mod commands;
pub mod config;
pub mod data;
pub mod errors;
pub mod explain;
pub mod handler;
pub mod metrics;
pub mod printable;
pub mod reload;
pub mod schemas;
pub mod scoring;
pub mod service;
pub mod settings_file;
pub mod settings_follower;
pub mod settings_store;
pub mod state;
pub mod tenant_book;
