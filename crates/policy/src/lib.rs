//! From a confidence to a decision: the settings of a tenant, his rules, and what follows from both.
//!
//! A settings document ([`document`]) is checked and compiled once, when it arrives, into a [`Tenant`]; for each
//! login [`Tenant::decide`] is a pure function of the event, the risk assessment and facts of the user's profile.
//! This crate must not know Kafka, HTTP, async, clocks, files, or how profiles are stored; it sees documents as
//! JSON values and never asks where they come from.

#![forbid(unsafe_code)]

pub mod decide;
pub mod document;
pub mod flow;
pub mod rules;
pub mod tenant;
pub mod value;

pub use document::Problem;
pub use tenant::{Defaults, Tenant, Tenants};
