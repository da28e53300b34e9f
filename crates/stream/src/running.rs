//! Starting and stopping the workers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use delivery::{Handler, LocalState};
use prometheus::Registry;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::client;
use crate::committer::Committer;
use crate::config::StreamConfig;
use crate::error::{Error, WorkerError};
use crate::health::{Health, WorkerState};
use crate::membership::{Member, Membership};
use crate::metrics::StreamMetrics;
use crate::outbox::Outbox;
use crate::restore::Restorer;
use crate::topics;
use crate::worker::{Parts, Worker};

/// How long to wait for the cluster's name once it has answered other questions.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// What the brokers say before anything is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's name for itself; empty where it has none.
    pub id: String,
    /// Partitions of the events, and so of the state.
    pub partitions: i32,
    /// Partitions of the verdicts.
    pub verdict_partitions: i32,
    /// Partitions of the log records.
    pub log_partitions: i32,
}

/// Waits for the brokers and looks at the topics.
///
/// # Errors
/// When the settings are wrong, the brokers do not answer within `start_timeout`, or the topics cannot be
/// used.
pub fn inspect(config: &StreamConfig) -> Result<Cluster, Error> {
    config.check()?;
    // Not one of the group: it never subscribes.
    let metrics = StreamMetrics::register(&Registry::new())?;
    let consumer = create_consumer(config, 0, &metrics)?;
    let counts = topics::verify(&consumer, config)?;
    let id = consumer.client().fetch_cluster_id(ASK_TIMEOUT).unwrap_or_default();
    let (partitions, verdict_partitions, log_partitions) = (counts.events, counts.verdicts, counts.logs);
    Ok(Cluster { id, partitions, verdict_partitions, log_partitions })
}

/// Starts the workers. Returns when their threads run; that the group has assigned partitions is said by
/// [`Running::health`]. `state` is the local copy of the changelog, shared by all
/// workers. `make_handler` is called once for every worker with its number, on this thread.
///
/// # Errors
/// When the settings are wrong, no thread can be started, or the metrics are registered already.
pub fn start(
    config: StreamConfig,
    cluster: &Cluster,
    registry: &Registry,
    state: &Arc<dyn LocalState>,
    mut make_handler: impl FnMut(usize) -> Box<dyn Handler>,
) -> Result<Running, Error> {
    config.check()?;
    let settings = Arc::new(config);
    let metrics = StreamMetrics::register(registry)?;
    let health = Arc::new(Health::new(settings.workers));
    let stop = Arc::new(AtomicBool::new(false));
    let (report_end, ended) = channel();

    let mut members = Vec::with_capacity(settings.workers);
    for index in 0..settings.workers {
        let consumer = create_consumer(&settings, index, &metrics)?;
        let outbox = Outbox::new(&settings, cluster, index, Arc::clone(&metrics))?;
        members.push((consumer, outbox));
    }
    // From here on a failure drops `running`, which asks the threads already started to stop.
    let running = Running {
        settings: Arc::clone(&settings),
        health: Arc::clone(&health),
        stop: Arc::clone(&stop),
        ended,
        results: (0..settings.workers).map(|_| None).collect(),
    };
    for (index, (consumer, outbox)) in members.into_iter().enumerate() {
        let parts = Parts {
            settings: Arc::clone(&settings),
            handler: make_handler(index),
            state: Arc::clone(state),
            outbox,
            committer: Committer::start(
                &settings,
                index,
                Arc::clone(state),
                Arc::clone(&metrics),
                cluster.log_partitions,
            )?,
            restorer: Restorer::new(&settings, index, Arc::clone(state), Arc::clone(&metrics)),
            partition_count: cluster.partitions,
            metrics: metrics.worker(index),
            health: Arc::clone(&health),
        };
        let worker = Worker::new(index, parts);
        let thread = WorkerThread {
            index,
            deadline: settings.shutdown_deadline,
            health: Arc::clone(&health),
            stop: Arc::clone(&stop),
            report_end: report_end.clone(),
        };
        thread::Builder::new().name(format!("stream-{index}")).spawn(move || thread.run(worker, consumer))?;
    }
    Ok(running)
}

fn create_consumer(settings: &StreamConfig, index: usize, metrics: &Arc<StreamMetrics>) -> Result<Member, Error> {
    let context = Membership::new(&settings.topics.events, Arc::clone(metrics));
    let config = client::group_member(settings, index);
    BaseConsumer::from_config_and_context(&config, context)
        .map_err(|error| Error::Client { client: "consumer", reason: error.to_string() })
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSummary {
    /// The worker's number, from 0.
    pub worker: usize,
    /// How many source records it has handled.
    pub handled: u64,
    /// Why it stopped on its own, if it did.
    pub error: Option<WorkerError>,
    /// Did it leave the group in time? If not, the group notices by the session timeout.
    pub left_group: bool,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The workers that have ended.
    pub workers: Vec<WorkerSummary>,
    /// Workers that had not ended by the deadline. Their threads live on until the process exits; what
    /// they had not committed will be handled again.
    pub abandoned: Vec<usize>,
}

impl Summary {
    /// Did every worker stop as asked, within the deadline?
    pub fn is_clean(&self) -> bool {
        self.abandoned.is_empty() && self.workers.iter().all(|worker| worker.error.is_none() && worker.left_group)
    }

    /// How many source records were handled by the workers that have ended.
    pub fn handled(&self) -> u64 {
        self.workers.iter().map(|worker| worker.handled).sum()
    }
}

/// A stream that was started. Dropping it asks the workers to stop, without waiting for them.
#[derive(Debug)]
pub struct Running {
    settings: Arc<StreamConfig>,
    health: Arc<Health>,
    stop: Arc<AtomicBool>,
    ended: Receiver<WorkerSummary>,
    results: Vec<Option<WorkerSummary>>,
}

impl Running {
    /// How the workers are. Outlives the stream.
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Waits until a worker has ended on its own, for `timeout` at most. Says whether one has: then it is
    /// time to [`stop`](Running::stop) the others.
    pub fn wait_for_end(&mut self, timeout: Duration) -> bool {
        if self.results.iter().any(Option::is_some) {
            return true;
        }
        self.receive(timeout)
    }

    /// Stops reading, commits what was handled, and leaves the group, all within the
    /// `shutdown_deadline` of the settings. What is not done by then is left behind; nothing is lost by
    /// that, only handled again.
    pub fn stop(mut self) -> Summary {
        self.stop.store(true, Ordering::SeqCst);
        // The workers know the same deadline and need a moment to say that they met it.
        let deadline = Instant::now() + self.settings.shutdown_deadline + Duration::from_millis(500);
        while self.results.iter().any(Option::is_none) {
            if !self.receive(deadline.saturating_duration_since(Instant::now())) {
                break;
            }
        }
        let missing = |(index, result): (usize, &Option<WorkerSummary>)| result.is_none().then_some(index);
        let abandoned = self.results.iter().enumerate().filter_map(missing).collect();
        Summary { abandoned, workers: std::mem::take(&mut self.results).into_iter().flatten().collect() }
    }

    fn receive(&mut self, timeout: Duration) -> bool {
        match self.ended.recv_timeout(timeout) {
            Ok(summary) => {
                if let Some(slot) = self.results.get_mut(summary.worker) {
                    *slot = Some(summary);
                }
                true
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

struct WorkerThread {
    index: usize,
    deadline: Duration,
    health: Arc<Health>,
    stop: Arc<AtomicBool>,
    report_end: Sender<WorkerSummary>,
}

impl WorkerThread {
    fn run(self, mut worker: Worker, consumer: Member) {
        let ran = guarded(|| worker.run(&consumer, &self.stop));
        let deadline = Instant::now() + self.deadline;
        // Half of the time for the outputs, the rest for the commit and for leaving the group. A worker
        // that failed commits nothing: what it left unfinished is to be handled again.
        let result = ran.and_then(|()| guarded(|| worker.finish(&consumer, Instant::now() + self.deadline / 2)));
        let handled = worker.handled();
        match &result {
            Ok(()) => tracing::info!(worker = self.index, handled, "worker stopped"),
            Err(error) => tracing::error!(worker = self.index, handled, "worker failed: {error}"),
        }
        let left_group = close(consumer, worker, deadline);
        let error = result.err();
        self.health.set(
            self.index,
            error.as_ref().map_or(WorkerState::Stopped, |error| WorkerState::Failed(error.to_string())),
        );
        // Nobody listens any more when the stream was dropped.
        let _ = self.report_end.send(WorkerSummary { worker: self.index, handled, error, left_group });
    }
}

/// A panic in the code that handles records ends its worker, not the process, and is reported as an error.
fn guarded(work: impl FnOnce() -> Result<(), WorkerError>) -> Result<(), WorkerError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let reason = text.unwrap_or_else(|| "no message".to_owned());
        Err(WorkerError::Panicked { reason })
    })
}

/// Leaves the group and destroys the clients. librdkafka may take as long as it likes for that, so it
/// happens on a thread of its own. Says whether it was done by `deadline`.
fn close(consumer: Member, worker: Worker, deadline: Instant) -> bool {
    consumer.context().close();
    let (done, closed) = channel();
    let closing = thread::Builder::new().name("stream-close".to_owned()).spawn(move || {
        drop(consumer);
        drop(worker);
        // Nobody listens any more when this came too late.
        let _ = done.send(());
    });
    if let Err(error) = closing {
        tracing::warn!("cannot start a thread to leave the group: {error}");
        return false;
    }
    closed.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
}
