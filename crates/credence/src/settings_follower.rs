//! Reads the topic of the tenants' settings from its beginning, and goes on reading it for as long as the instance
//! runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use stream::Connection;
use stream::tail::{From, Isolation, Record, Tail};

use crate::data::InForce;
use crate::metrics::SettingsMetrics;
use crate::tenant_book::Taken;

/// The longest wait for a record; also how soon a request to stop is seen.
const LOOK: Duration = Duration::from_millis(100);
/// How long reading rests after an error that it cannot mend itself.
const REST: Duration = Duration::from_secs(5);

/// Follows the topic on a thread of its own. Dropping it ends that.
#[derive(Debug)]
pub struct SettingsFollower {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SettingsFollower {
    /// Reads everything that is there now, and then goes on beside. An instance that has not read the settings must
    /// not answer.
    ///
    /// # Errors
    /// The topic cannot be read to its end within `timeout`.
    pub fn start(
        connection: &Connection,
        topic: &str,
        in_force: Arc<InForce>,
        metrics: SettingsMetrics,
        timeout: Duration,
    ) -> Result<Self> {
        let deadline = Instant::now() + timeout;
        let mut tail = open(connection, topic)?;
        while !tail.is_caught_up() {
            if let Some(record) = tail.next(LOOK)? {
                take(&record, &in_force, &metrics);
            } else if Instant::now() >= deadline {
                bail!("the settings in topic {topic} could not be read to their end within {timeout:?}");
            }
        }
        tracing::info!(topic, documents = in_force.book.documents(), "settings of tenants were read");
        let stop = Arc::new(AtomicBool::new(false));
        let follow = Follow { connection: connection.clone(), topic: topic.to_owned(), in_force, metrics };
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("settings".to_owned())
            .spawn(move || follow.run(tail, &stopped))
            .context("the thread that reads settings cannot be started")?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for SettingsFollower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

fn open(connection: &Connection, topic: &str) -> Result<Tail> {
    // Documents are written without transactions: nothing is to be waited for.
    Tail::new(connection, topic, From::Beginning, Isolation::Committed)
        .with_context(|| format!("the settings in topic {topic}"))
}

struct Follow {
    connection: Connection,
    topic: String,
    in_force: Arc<InForce>,
    metrics: SettingsMetrics,
}

impl Follow {
    fn run(self, tail: Tail, stop: &AtomicBool) {
        let mut tail = Some(tail);
        while !stop.load(Ordering::Relaxed) {
            let read = match &mut tail {
                Some(tail) => tail.next(LOOK).map_err(anyhow::Error::from),
                None => open(&self.connection, &self.topic).map(|opened| {
                    // What was read already is read again: it is the same, at the same places.
                    tail = Some(opened);
                    None
                }),
            };
            match read {
                Ok(Some(record)) => take(&record, &self.in_force, &self.metrics),
                Ok(None) => {}
                Err(error) => {
                    self.metrics.failed();
                    tracing::error!("changes of tenants' settings are not seen: {error:#}");
                    tail = None;
                    let until = Instant::now() + REST;
                    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
                        std::thread::sleep(LOOK);
                    }
                }
            }
        }
    }
}

fn take(record: &Record, in_force: &InForce, metrics: &SettingsMetrics) {
    let tenant = record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let taken = in_force.book.take(record.offset, record.key.as_deref(), record.payload.as_deref());
    match &taken {
        Taken::InForce => tracing::info!(%tenant, offset = record.offset, "settings of a tenant are new"),
        Taken::Removed => tracing::info!(%tenant, offset = record.offset, "settings of a tenant were removed"),
        Taken::Refused(problems) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            tracing::error!(
                %tenant,
                offset = record.offset,
                "settings of a tenant are refused, the last good ones stay in force: {}",
                problems.join("; ")
            );
        }
        Taken::Known => {}
    }
    metrics.taken(&taken, in_force.book.documents(), in_force.book.position());
}
