//! Starts real Apache Kafka (one KRaft node on 127.0.0.1) for tests and benches.
//!
//! The jars come from Maven Central once and stay in a cache folder; every broker gets free ports
//! and a temporary folder, and both the process and the folder go away with the [`Kafka`] value,
//! or with the owning process, however that one ends.
//!
//! This crate knows no Kafka client library and nothing of the programs that it helps to test.
//!
//! ```no_run
//! let Some(kafka) = kafka_harness::shared() else { return };
//! println!("Kafka {} at {}", kafka.version(), kafka.bootstrap_servers());
//! ```
//!
//! Environment: `CREDENCE_KAFKA_CACHE` (folder of the jars), `JAVA_HOME` (else `java` of the
//! path), `CI` (`true` turns a skipped test into a failed one), `TMPDIR` (where broker data goes).
#![forbid(unsafe_code)]

mod broker;
mod builder;
mod jars;
mod probe;
mod process;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

pub use broker::Kafka;
pub use builder::Builder;
pub use jars::available;

/// The release of Apache Kafka that is started; `pom.xml` names the same one.
pub const KAFKA_VERSION: &str = "4.3.1";

/// Why there is no running broker.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A program that the harness needs is missing or too old.
    #[error("{0}")]
    Unavailable(String),
    /// Maven did not deliver the jars.
    #[error(
        "the Kafka jars could not be fetched into {}: {reason}; check the network, or fill that \
         folder from another machine", folder.display()
    )]
    Download {
        /// Where the jars were to go.
        folder: PathBuf,
        /// What went wrong, with what Maven said.
        reason: String,
    },
    /// A file, folder or process operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `write`.
        action: &'static str,
        /// On which file or program.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// No free port was found.
    #[error("no free port between {first} and {last} on 127.0.0.1; close programs that listen there")]
    NoFreePort {
        /// First port tried.
        first: u16,
        /// Last port tried.
        last: u16,
    },
    /// Kafka ended by itself.
    #[error("{what} ended with {status}; its log says:\n{log}")]
    Exited {
        /// Which program.
        what: &'static str,
        /// Its exit status in words.
        status: String,
        /// Error lines and last lines of the log.
        log: String,
    },
    /// Kafka did not get ready in time.
    #[error("{what} was not ready after {deadline:?}; its log says:\n{log}")]
    Deadline {
        /// Which program.
        what: &'static str,
        /// How long was waited.
        deadline: Duration,
        /// Error lines and last lines of the log.
        log: String,
    },
    /// `start_again` was called on a running broker.
    #[error("the broker is already running; call stop() or kill() before start_again()")]
    AlreadyRunning,
}

impl HarnessError {
    /// Whether this machine lacks what the harness needs, which is no fault of the code under test.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Download { .. })
    }
}

/// The broker that all tests of one test binary share, started by the first that asks.
///
/// It ends with the process. `None`, with a loud line on stderr, means that Kafka is not available
/// here and that the test must return.
///
/// # Panics
/// When Kafka is available but does not start, and when it is not available but the environment
/// says `CI=true`.
#[must_use]
pub fn shared() -> Option<&'static Kafka> {
    static SHARED: OnceLock<Result<Kafka, HarnessError>> = OnceLock::new();
    match SHARED.get_or_init(Kafka::start) {
        Ok(kafka) => Some(kafka),
        Err(error) => {
            skip_or_panic(error);
            None
        }
    }
}

/// Says that the calling test is skipped, or panics where skipping is not allowed.
#[expect(clippy::panic, reason = "a test helper: the panic is how a test fails")]
fn skip_or_panic(error: &HarnessError) {
    if !error.is_unavailable() {
        panic!("Kafka did not start: {error}");
    }
    if std::env::var("CI").is_ok_and(|value| value == "true") {
        panic!("Kafka is required because CI=true, but: {error}");
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("(unnamed)");
    // Not eprintln!: the test runner hides that of passing tests, and a skipped test passes.
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(io::stderr(), "SKIPPED: Kafka test {test}: {error}");
}

/// Adapts an I/O error: says what was tried on which path.
fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HarnessError {
    let path = path.to_owned();
    move |source| HarnessError::Io { action, path, source }
}
