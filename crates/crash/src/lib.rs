//! The crash harness: kills, stops and restarts instances of `credence run` on a real Kafka broker while
//! numbered login events flow, and compares every verdict, log record and dead letter with what an
//! uninterrupted `credence score` says of the same events.
//!
//! It runs the program as its users do, as child processes with a configuration. It must not know how
//! anything is scored, stored or committed: all that it knows of the program is its commands, its
//! configuration keys, its topics, and the lines and pages that its operators read. So the same harness
//! judges any version, also one that keeps no state or delivers at least once.
//!
//! Where to look:
//! - [`run`]: the phases of a run; `conduct`: the disturbed one; `schedule`: what a seed decides;
//! - `lab`: the folder, the configuration, the commands; `fleet` and `instance`: the child processes;
//! - `events`, `feed`: what goes in; `read`: what comes out;
//! - `check`, `dead`, `names`: what should have come out; `report`: what is said of it.
#![forbid(unsafe_code)]

mod check;
mod conduct;
mod dead;
mod error;
mod events;
mod explain;
mod feed;
mod fleet;
mod guard;
mod instance;
mod lab;
mod lines;
mod names;
mod options;
mod probe;
mod read;
mod report;
mod run;
mod schedule;
mod watch;

pub use check::Tally;
pub use conduct::Done;
pub use dead::DeadTally;
pub use error::CrashError;
pub use options::Options;
pub use report::{Percentiles, Report};
pub use run::run;
