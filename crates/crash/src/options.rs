//! The options of the command, with their limits.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Kills, stops and restarts instances of `credence run` on a real Kafka broker while login events flow,
/// and compares every verdict, log record and dead letter with an uninterrupted `credence score`.
///
/// Exit status: 0 when nothing was missing, twice or wrong; 1 when something was, or when less was killed
/// or rebalanced than asked for; 2 when the run could not be finished.
#[derive(Parser, Debug, Clone)]
#[command(name = "crash", version, max_term_width = 110)]
pub struct Options {
    /// Login events of the disturbed phase; poison records come on top.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub events: u64,
    /// Login events after all state folders were removed, to see that state was restored; 0: a twentieth of
    /// the events.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub tail: u64,
    /// Users; 0: one for every 50 events.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub users: u32,
    /// Records among the events that cannot be read.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub poison: u64,
    /// Kills: half by SIGKILL, a quarter by SIGSTOP past the session and SIGCONT, a quarter by SIGTERM.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub kills: u32,
    /// Rebalances of the group that there must have been. So often, an instance more or less is started or
    /// stopped besides the kills.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub rebalances: u32,
    /// Restarts of the broker, by SIGTERM and SIGKILL in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub broker_restarts: u32,
    /// Instances of `credence run`. Now and then there is one more.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub instances: u32,
    /// Partitions of the topics.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub partitions: u32,
    /// What happens when and to whom, and which events there are, follows from it. The interleaving of the
    /// processes does not.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Events a second; 0: so many that the feed lasts as long as the disturbances.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub rate: u32,
    /// Mean pause between two disturbances, in milliseconds.
    #[arg(long, default_value_t = 2_500, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub pause_ms: u64,
    /// The instances' session timeout in seconds.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(6..=300))]
    pub session_timeout: u64,
    /// The instances' commit interval in milliseconds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub commit_interval: u64,
    /// Any other key of the configuration under test, as KEY=VALUE. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// The program under test; without it, the `credence` beside this program.
    #[arg(long, value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// Also write the report to this file, as one line of JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep the folder with data, events, answers and logs also when all is well.
    #[arg(long)]
    pub keep: bool,
}

impl Options {
    /// How many events come after the disturbances.
    pub(crate) fn tail_events(&self) -> u64 {
        if self.tail == 0 { (self.events / 20).clamp(500, 50_000) } else { self.tail }
    }

    pub(crate) fn user_count(&self) -> u32 {
        if self.users == 0 {
            u32::try_from(self.events / 50).unwrap_or(u32::MAX).clamp(100, 1_000_000)
        } else {
            self.users
        }
    }

    pub(crate) fn session(&self) -> Duration {
        Duration::from_secs(self.session_timeout)
    }

    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }
}
