//! The words that Credence speaks: login events in, verdicts and tenant log records out, and what is
//! known about an address or a user agent in between.
//!
//! Types, their encodings (JSON and MessagePack) and their JSON Schemas; no decision is taken here.
//! This crate must not know Kafka, HTTP, files, clocks, configuration, per-user state or how anything
//! is scored. Everything that arrives is taken to be hostile: a decoder answers or says why not, and
//! never panics.

#![forbid(unsafe_code)]

pub mod address;
pub mod assessment;
pub mod audit_record;
pub mod codec;
pub mod command;
pub mod country;
pub mod event;
pub mod evidence;
mod json_in;
mod json_out;
pub mod key;
mod lenient;
pub mod log_record;
mod msgpack;
pub mod schema;
pub mod time;
pub mod unreadable;
pub mod verdict;
mod when;

pub use address::{canonical_ip, is_non_public, parse_ip, parse_network};
pub use assessment::{Answer, Assessment, Assessor, Confidence, Details, RiskAssessment};
pub use codec::Encoding;
pub use event::{LoginEvent, Outcome, Stage};
pub use log_record::LogRecord;
pub use time::Timestamp;
pub use unreadable::Unreadable;
pub use verdict::{Action, Decision, DecisionDetail, Reason, Verdict};
