//! Databases and lists are looked at while the program runs: a changed file leads to a whole new
//! snapshot, a bad one to none.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use intel::{Agents, Sources};

use crate::config::Config;
use crate::data::InForce;
use crate::metrics::DataMetrics;

/// A change is taken up when the files have been still for so long: a copy in progress is no new file.
const SETTLE: Duration = Duration::from_secs(1);

/// Looks after the data in force.
pub struct Reloader {
    config: Config,
    agents: Agents,
    in_force: Arc<InForce>,
    metrics: DataMetrics,
    seen: FileStates,
}

type FileStates = Vec<Option<(u64, SystemTime)>>;

/// Size and time of each file; none for one that is not there.
fn file_states(sources: &Sources) -> FileStates {
    let state = |path: &Path| path.metadata().ok().and_then(|file| Some((file.len(), file.modified().ok()?)));
    sources.paths().into_iter().map(state).collect()
}

/// Seconds since the epoch, for a gauge.
pub fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

impl Reloader {
    /// Over what the workers share.
    pub fn new(config: Config, agents: Agents, in_force: Arc<InForce>, metrics: DataMetrics) -> Self {
        let seen = file_states(&config.sources);
        Self { config, agents, in_force, metrics, seen }
    }

    /// Looks at the files at each interval, and at each message at once; ends when the channel does.
    pub fn run(mut self, asked: &Receiver<()>) {
        let interval = self.config.reload_interval;
        loop {
            let message = if interval.is_zero() {
                asked.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                asked.recv_timeout(interval)
            };
            match message {
                Ok(()) => {
                    self.seen = file_states(&self.config.sources);
                    self.reload();
                }
                Err(RecvTimeoutError::Timeout) => {
                    let found = file_states(&self.config.sources);
                    if found == self.seen {
                        continue;
                    }
                    if asked.recv_timeout(SETTLE) == Err(RecvTimeoutError::Disconnected) {
                        return;
                    }
                    if file_states(&self.config.sources) == found {
                        self.seen = found;
                        self.reload();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Loads everything anew. A source that cannot be loaded leaves the old data in force, even where
    /// the start would have done without it: good data are never given up for none.
    fn reload(&self) {
        let sources = Sources { degrade: false, ..self.config.sources.clone() };
        match intel::load(&sources, self.agents.clone()) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    tracing::warn!("{warning}");
                }
                self.metrics.loaded(&loaded.sources, now_s());
                self.in_force.set_snapshot(Arc::new(loaded.snapshot));
                tracing::info!(sources = loaded.sources.len(), "databases and lists were loaded anew");
            }
            Err(errors) => {
                self.metrics.failed();
                for error in errors {
                    tracing::error!("the old data stay in force: {error}");
                }
            }
        }
    }
}
