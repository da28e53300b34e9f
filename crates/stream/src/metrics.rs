//! The stream's metrics. Labels are bounded: outputs, error classes, rebalance kinds, workers, reasons of
//! dead letters (a closed set in the handler's code), and partitions up to a cap.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use delivery::StateError;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::outbox::{Output, Receipt};

/// Partitions with a higher number have no lag series of their own; the sum per worker includes them.
const MAX_PARTITION_SERIES: i32 = 256;

/// Latencies from half a millisecond to a minute.
const LATENCY_BUCKETS: [f64; 17] =
    [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// Kinds of rebalance events.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rebalance {
    Assign,
    Revoke,
    Lost,
}

/// Metrics of all workers of a stream together.
pub(crate) struct StreamMetrics {
    consumed: IntCounter,
    consumed_bytes: IntCounter,
    produced: [IntCounter; 4],
    produced_bytes: [IntCounter; 4],
    dead_letters: IntCounterVec,
    dead_letters_cut: IntCounter,
    misrouted: IntCounter,
    unreadable_headers: IntCounter,
    foreign: IntCounter,
    commits: IntCounter,
    commit_failures: IntCounter,
    commit_seconds: Histogram,
    rewinds: IntCounterVec,
    restored_records: IntCounter,
    restore_failures: IntCounter,
    offsets_behind: IntCounter,
    state_errors: IntCounterVec,
    rebalances: [IntCounter; 3],
    consumer_errors: IntCounterVec,
    producer_errors: IntCounterVec,
    event_to_verdict: Histogram,
    append_to_verdict: Histogram,
    last_verdict: Gauge,
    partition_lag: IntGaugeVec,
    workers: WorkerVecs,
}

struct WorkerVecs {
    in_flight_records: IntGaugeVec,
    in_flight_bytes: IntGaugeVec,
    open_records: IntGaugeVec,
    paused: IntGaugeVec,
    assigned: IntGaugeVec,
    restoring: IntGaugeVec,
    unstored_bytes: IntGaugeVec,
    lag_records: IntGaugeVec,
    lag_seconds: GaugeVec,
    last_poll: GaugeVec,
}

/// The gauges of one worker.
pub(crate) struct WorkerMetrics {
    /// Shared by all workers.
    pub(crate) stream: Arc<StreamMetrics>,
    pub(crate) in_flight_records: IntGauge,
    pub(crate) in_flight_bytes: IntGauge,
    pub(crate) open_records: IntGauge,
    pub(crate) paused: IntGauge,
    pub(crate) assigned: IntGauge,
    pub(crate) restoring: IntGauge,
    pub(crate) lag_records: IntGauge,
    pub(crate) lag_seconds: Gauge,
    pub(crate) last_poll: Gauge,
}

/// Registers what it makes.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let made = IntCounter::new(name, help)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
        let made = IntCounterVec::new(Opts::new(name, help), &[label])?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn int_gauges(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntGaugeVec> {
        let made = IntGaugeVec::new(Opts::new(name, help), &[label])?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> prometheus::Result<GaugeVec> {
        let made = GaugeVec::new(Opts::new(name, help), &[label])?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn histogram(&self, name: &str, help: &str) -> prometheus::Result<Histogram> {
        let made = Histogram::with_opts(HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS.to_vec()))?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }
}

impl StreamMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Arc<StreamMetrics>> {
        let make = Maker(registry);
        let outputs = Output::ALL.map(Output::label);
        let produced = make.counters(
            "credence_records_produced_total",
            "Output records acknowledged by the brokers, by output.",
            "output",
        )?;
        let produced_bytes = make.counters(
            "credence_bytes_produced_total",
            "Bytes of keys and values of acknowledged output records, by output.",
            "output",
        )?;
        let rebalances = make.counters(
            "credence_rebalances_total",
            "Changes of the partition assignment: assign, revoke, lost.",
            "event",
        )?;
        let last_verdict = Gauge::new(
            "credence_last_verdict_timestamp_seconds",
            "When the last verdict was acknowledged, in seconds since 1970.",
        )?;
        registry.register(Box::new(last_verdict.clone()))?;
        let metrics = StreamMetrics {
            consumed: make.counter("credence_records_consumed_total", "Source records handled.")?,
            consumed_bytes: make
                .counter("credence_bytes_consumed_total", "Bytes of keys and values of source records handled.")?,
            produced: outputs.map(|output| produced.with_label_values(&[output])),
            produced_bytes: outputs.map(|output| produced_bytes.with_label_values(&[output])),
            dead_letters: make.counters(
                "credence_dead_letters_total",
                "Source records sent to the dead-letter topic, by reason.",
                "reason",
            )?,
            dead_letters_cut: make.counter(
                "credence_dead_letters_cut_total",
                "Times that a dead letter was too large for its topic and was cut.",
            )?,
            misrouted: make.counter(
                "credence_misrouted_records_total",
                "Source records on another partition than their content names.",
            )?,
            unreadable_headers: make
                .counter("credence_unreadable_headers_total", "Source records with a header name that is not UTF-8.")?,
            foreign: make.counter(
                "credence_foreign_records_total",
                "Records dropped because their partition had been given up.",
            )?,
            commits: make
                .counter("credence_commits_total", "Batches that were to be committed, failed ones included.")?,
            commit_failures: make
                .counter("credence_commit_failures_total", "Batches whose commit was aborted or had no clear end.")?,
            commit_seconds: make.histogram(
                "credence_commit_seconds",
                "How long a batch took from the start of its transaction to its end.",
            )?,
            rewinds: make.counters(
                "credence_rewinds_total",
                "Times that uncommitted work was forgotten, by how: rewind (to the last commit), restart (what is \
                 committed had to be read again).",
                "kind",
            )?,
            restored_records: make
                .counter("credence_restored_records_total", "Changelog records read to complete the local state.")?,
            offsets_behind: make.counter(
                "credence_offsets_behind_total",
                "Partitions whose committed offset was found behind their state, which then decided.",
            )?,
            restore_failures: make
                .counter("credence_restore_failures_total", "Failed tries to complete the state of partitions.")?,
            state_errors: make.counters(
                "credence_state_errors_total",
                "Errors of the local state, by kind: unavailable, damaged.",
                "kind",
            )?,
            rebalances: ["assign", "revoke", "lost"].map(|event| rebalances.with_label_values(&[event])),
            consumer_errors: make.counters(
                "credence_consumer_errors_total",
                "Errors of consumers, by class.",
                "class",
            )?,
            producer_errors: make.counters(
                "credence_producer_errors_total",
                "Refused output records, by class.",
                "class",
            )?,
            event_to_verdict: make.histogram(
                "credence_event_to_verdict_seconds",
                "From the event's own time to its verdict's acknowledgement.",
            )?,
            append_to_verdict: make.histogram(
                "credence_append_to_verdict_seconds",
                "From the source record's timestamp to its verdict's acknowledgement.",
            )?,
            last_verdict,
            partition_lag: make.int_gauges(
                "credence_partition_lag_records",
                "Source records not yet handled, for owned partitions below 256.",
                "partition",
            )?,
            workers: WorkerVecs::register(&make)?,
        };
        Ok(Arc::new(metrics))
    }

    pub(crate) fn worker(self: &Arc<Self>, worker: usize) -> WorkerMetrics {
        let label = worker.to_string();
        let label = [label.as_str()];
        let of = &self.workers;
        WorkerMetrics {
            stream: Arc::clone(self),
            in_flight_records: of.in_flight_records.with_label_values(&label),
            in_flight_bytes: of.in_flight_bytes.with_label_values(&label),
            open_records: of.open_records.with_label_values(&label),
            paused: of.paused.with_label_values(&label),
            assigned: of.assigned.with_label_values(&label),
            restoring: of.restoring.with_label_values(&label),
            lag_records: of.lag_records.with_label_values(&label),
            lag_seconds: of.lag_seconds.with_label_values(&label),
            last_poll: of.last_poll.with_label_values(&label),
        }
    }

    pub(crate) fn consumed(&self, bytes: usize) {
        self.consumed.inc();
        self.consumed_bytes.inc_by(bytes as u64);
    }

    pub(crate) fn produced(&self, output: Output, bytes: usize) {
        self.produced[output as usize].inc();
        self.produced_bytes[output as usize].inc_by(bytes as u64);
    }

    pub(crate) fn dead_letter(&self, reason: &str) {
        self.dead_letters.with_label_values(&[reason]).inc();
    }

    pub(crate) fn dead_letter_cut(&self) {
        self.dead_letters_cut.inc();
    }

    pub(crate) fn misrouted(&self) {
        self.misrouted.inc();
    }

    pub(crate) fn unreadable_headers(&self) {
        self.unreadable_headers.inc();
    }

    pub(crate) fn foreign(&self) {
        self.foreign.inc();
    }

    /// Many outputs were acknowledged together.
    pub(crate) fn produced_all(&self, output: Output, records: usize, bytes: usize) {
        self.produced[output as usize].inc_by(records as u64);
        self.produced_bytes[output as usize].inc_by(bytes as u64);
    }

    pub(crate) fn transaction(&self, took: Duration, committed: bool) {
        self.commits.inc();
        self.commit_failures.inc_by(u64::from(!committed));
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// Uncommitted work was forgotten.
    pub(crate) fn rewound(&self, kind: &str) {
        self.rewinds.with_label_values(&[kind]).inc();
    }

    pub(crate) fn restored_records(&self, records: u64) {
        self.restored_records.inc_by(records);
    }

    pub(crate) fn offset_behind(&self) {
        self.offsets_behind.inc();
    }

    pub(crate) fn restore_failed(&self) {
        self.restore_failures.inc();
    }

    pub(crate) fn state_error(&self, error: &StateError) {
        let kind = match error {
            StateError::Unavailable(_) => "unavailable",
            StateError::Damaged(_) => "damaged",
        };
        self.state_errors.with_label_values(&[kind]).inc();
    }

    /// Bytes of changes that a worker has committed but not yet written to the local state.
    pub(crate) fn unstored(&self, worker: usize, bytes: usize) {
        self.workers.unstored_bytes.with_label_values(&[worker.to_string().as_str()]).set(bytes as i64);
    }

    pub(crate) fn rebalance(&self, event: Rebalance) {
        self.rebalances[event as usize].inc();
    }

    pub(crate) fn consumer_error(&self, class: &str) {
        self.consumer_errors.with_label_values(&[class]).inc();
    }

    pub(crate) fn producer_error(&self, class: &str) {
        self.producer_errors.with_label_values(&[class]).inc();
    }

    /// A verdict was acknowledged at `now_ms`. Clocks that disagree can make a latency negative: it counts
    /// as zero then.
    pub(crate) fn verdict(&self, receipt: &Receipt, now_ms: f64) {
        let seconds = |since: i64| ((now_ms - since as f64) / 1000.0).max(0.0);
        if let Some(time) = receipt.event_time_ms {
            self.event_to_verdict.observe(seconds(time));
        }
        if let Some(time) = receipt.append_time_ms {
            self.append_to_verdict.observe(seconds(time));
        }
        self.last_verdict.set(now_ms / 1000.0);
    }

    pub(crate) fn partition_lag(&self, partition: i32, records: i64) {
        if (0..MAX_PARTITION_SERIES).contains(&partition) {
            let label = partition.to_string();
            self.partition_lag.with_label_values(&[label.as_str()]).set(records);
        }
    }

    pub(crate) fn forget_partition(&self, partition: i32) {
        // Only fails when there is no such series.
        let _ = self.partition_lag.remove_label_values(&[partition.to_string().as_str()]);
    }
}

impl WorkerVecs {
    fn register(make: &Maker<'_>) -> prometheus::Result<WorkerVecs> {
        let ints = |name, help| make.int_gauges(name, help, "worker");
        let floats = |name, help| make.gauges(name, help, "worker");
        Ok(WorkerVecs {
            in_flight_records: ints("credence_in_flight_outputs", "Output records not yet acknowledged, by worker.")?,
            in_flight_bytes: ints(
                "credence_in_flight_bytes",
                "Bytes of output records not yet acknowledged, by worker.",
            )?,
            open_records: ints(
                "credence_open_records",
                "Source records handled whose batch is not yet on its way to be committed, by worker.",
            )?,
            paused: ints("credence_paused", "1 while a worker has paused reading because too much is in flight.")?,
            assigned: ints("credence_assigned_partitions", "Partitions that a worker owns.")?,
            restoring: ints(
                "credence_restoring_partitions",
                "Partitions that a worker owns but does not serve yet, because their state is being completed.",
            )?,
            unstored_bytes: ints(
                "credence_unstored_bytes",
                "Bytes of changed profiles that are committed but not yet in the local state, by worker.",
            )?,
            lag_records: ints(
                "credence_lag_records",
                "Source records not yet handled, over a worker's partitions; at most a second or so old.",
            )?,
            lag_seconds: floats(
                "credence_lag_seconds",
                "Age of the last handled record of the worker's partition that is furthest behind; 0 without lag.",
            )?,
            last_poll: floats(
                "credence_last_poll_timestamp_seconds",
                "When a worker's loop last went round, in seconds since 1970.",
            )?,
        })
    }
}

/// Milliseconds since 1970 by the wall clock.
pub(crate) fn unix_ms() -> f64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.as_secs_f64() * 1000.0
}
