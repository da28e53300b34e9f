//! Why a run could not be finished. What a finished run found is in its report.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a run could not be finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrashError {
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
    /// There is no binary to be tested.
    #[error("there is no program {}; build it (`cargo build -p credence`, with --release for a release build of this command) or name it with --binary", .0.display())]
    NoBinary(PathBuf),
    /// The broker could not be started, stopped or started again.
    #[error(transparent)]
    Broker(#[from] kafka_harness::HarnessError),
    /// A topic could not be written or read.
    #[error(transparent)]
    Stream(#[from] stream::Error),
    /// The events or their data could not be made.
    #[error(transparent)]
    Sim(#[from] sim::Error),
    /// A command of the program under test failed where nothing disturbed it.
    #[error("`credence {command}` ended with {status}: {output}")]
    Command {
        /// The command with its options.
        command: String,
        /// Its exit status in words.
        status: String,
        /// What it said.
        output: String,
    },
    /// What `credence score` wrote cannot serve as the truth.
    #[error("{}, line {line}: {problem}; this run cannot be judged", path.display())]
    Expected {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// Something that has to happen did not.
    #[error("waited {waited:?} in vain: {what}")]
    InVain {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// A thread of the harness ended by a panic. This is a fault of the harness: report it.
    #[error("the thread `{0}` of the harness panicked; what it said is above")]
    Panicked(&'static str),
    /// The topic of events does not hold what was written to it, so that nothing can be compared.
    #[error("the topic of events is not as it was written: {0}; nothing can be compared")]
    Input(String),
}

/// Adapts an I/O error: says what was tried on which path.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CrashError {
    let path = path.to_owned();
    move |source| CrashError::Io { action, path, source }
}
