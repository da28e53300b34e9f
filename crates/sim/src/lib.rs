//! Made-up but realistic data: a small world of real cities on synthetic networks, databases and
//! lists that describe those networks, and labelled login traffic with attacks among it.
//!
//! The demo, the tests and the benches feed on it. The same seed gives the same bytes: there is no
//! clock, no network and no Kafka here, and the only thing that touches a file is [`Demo::write`].
//!
//! What this crate must not know: the engine, its assessors and their answers. A label says what
//! the story behind a login is, never what anybody ought to answer, so that labels are evidence
//! that does not depend on what is being judged. For the same reason it writes events as text and
//! does not share the types that read them.
//!
//! Where to look:
//! - [`world`]: the cities; [`networks`]: which made-up network is where and what it is used for;
//! - [`databases`] and [`lists`]: the same facts as MaxMind-format databases and as list files;
//! - [`traffic`]: the logins; [`poison`]: records that no reader should accept.
#![forbid(unsafe_code)]

mod attacks;
mod browsers;
pub mod databases;
mod demo;
mod event;
pub mod labels;
pub mod lists;
pub mod networks;
mod owners;
mod people;
mod poison;
mod random;
mod time;
pub mod traffic;
pub mod world;

pub use demo::{Demo, DenyListFile};
pub use labels::{AttackKind, GenuineKind, Label};
pub use poison::{Poison, poison};
pub use traffic::{Labelled, Role, Traffic, TrafficConfig};

/// What can go wrong while data is made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A traffic setting is out of its range.
    #[error("traffic setting `{key}` is {value}; it must be {allowed}")]
    Setting {
        /// Field of [`TrafficConfig`].
        key: &'static str,
        /// The value given, as text.
        value: String,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A database could not be composed. The tables of this crate are wrong: report it.
    #[error("cannot compose the {database} database: {source}")]
    Database {
        /// Which database: `City`, `ASN` or `Anonymous-IP`.
        database: &'static str,
        /// What the writer said.
        source: mmdb_writer::Error,
    },
    /// A file could not be written. Check that the folder can be written to and has room.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}
