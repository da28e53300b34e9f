//! Between the stream and the engine: the state of the partitions that a worker serves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use delivery::{BatchId, Changes, Handler, Outputs, Source, StateError};
use engine::{Partition, StoreStats};
use model::Timestamp;
use model::key::write_key;

use crate::data::ScoringContext;
use crate::metrics::ScoringMetrics;
use crate::scoring::{Encoded, Record, Scoring, Unscored};
use crate::state::{ProfileStores, state_error};

/// How many stored profiles of a partition are looked at between two batches for whether they have
/// expired: a fraction of a thousandth of the time, and a round through ten million takes hours.
const SWEEP: usize = 64;

/// Events of a partition over which the time by which profiles expire is the least one.
const EXPIRY_WINDOW: u32 = 4096;

/// A worker's handler.
pub struct ScoringHandler {
    worker: usize,
    scoring: Scoring,
    partitions: HashMap<i32, Served>,
    stores: Arc<dyn ProfileStores>,
    /// Bytes of memory for the stored profiles of all partitions of this worker.
    budget_bytes: usize,
    shared: Arc<ArcSwap<ScoringContext>>,
    /// What is in force until the next batch.
    context: Arc<ScoringContext>,
    encoded: Encoded,
    expiry_window: u32,
    metrics: ScoringMetrics,
}

struct Served {
    partition: Partition,
    clock: SlowClock,
}

/// The time by which profiles expire. It is the events' time, since old events may be read again, and the
/// least of the last many, since one wrong clock must not make profiles expire.
#[derive(Debug, Default)]
struct SlowClock {
    /// The least of the last full window.
    now: Option<Timestamp>,
    least: Option<Timestamp>,
    seen: u32,
}

impl SlowClock {
    fn see(&mut self, time: Timestamp, window: u32) {
        self.least = Some(self.least.map_or(time, |least| least.min(time)));
        self.seen += 1;
        if self.seen >= window {
            self.now = self.least.take();
            self.seen = 0;
        }
    }
}

impl ScoringHandler {
    /// With the context that may be swapped between batches, the local copy of the state, and the bytes of
    /// memory for it.
    pub fn new(
        worker: usize,
        scoring: Scoring,
        shared: Arc<ArcSwap<ScoringContext>>,
        stores: Arc<dyn ProfileStores>,
        budget_bytes: usize,
        metrics: ScoringMetrics,
    ) -> Self {
        let context = shared.load_full();
        let (partitions, encoded) = (HashMap::new(), Encoded::default());
        let expiry_window = EXPIRY_WINDOW;
        Self { worker, scoring, partitions, stores, budget_bytes, shared, context, encoded, expiry_window, metrics }
    }

    /// Takes the least time of so many events as the time by which profiles expire, for tests with few events.
    #[must_use]
    pub fn expire_after(mut self, events: u32) -> Self {
        self.expiry_window = events;
        self
    }

    /// Each partition has an equal share of the memory.
    fn share_memory(&mut self) {
        let share = self.budget_bytes / self.partitions.len().max(1);
        self.partitions.values_mut().for_each(|served| served.partition.set_budget(share));
    }

    fn sweep(&mut self) {
        let now = wall_clock();
        for (number, Served { partition, clock }) in &mut self.partitions {
            let Some(time) = clock.now else { continue };
            match partition.sweep(time.min(now), &self.context, SWEEP) {
                Ok(expired) => self.metrics.expired(expired),
                // Whoever needs the state for an answer will see the same error, and that ends in mending it.
                Err(error) => tracing::warn!(partition = number, "expired profiles not looked for: {error}"),
            }
        }
    }
}

fn wall_clock() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

impl Handler for ScoringHandler {
    fn assigned(&mut self, partition: i32) -> Result<(), StateError> {
        let backing = self.stores.backing(partition)?;
        let share = self.budget_bytes / (self.partitions.len() + 1);
        let opened = Partition::open(backing, share).map_err(|error| state_error(&error))?;
        self.partitions.insert(partition, Served { partition: opened, clock: SlowClock::default() });
        self.share_memory();
        Ok(())
    }

    fn revoked(&mut self, partition: i32) {
        self.partitions.remove(&partition);
        self.share_memory();
    }

    fn between_batches(&mut self) {
        self.context = self.shared.load_full();
        self.sweep();
        let stats: Vec<StoreStats> = self.partitions.values().map(|served| served.partition.stats()).collect();
        self.metrics.show_state(self.worker, &stats);
    }

    fn handle(&mut self, source: &Source<'_>, outputs: &mut Outputs) -> Result<(), StateError> {
        let time = source.timestamp_ms.map(Timestamp);
        let payload = source.payload.unwrap_or_default();
        let record = Record { payload, content_type: source.content_type, time };
        let Some(served) = self.partitions.get_mut(&source.partition) else {
            let reason = format!("partition {} is handled without its state", source.partition);
            return Err(StateError::Unavailable(reason));
        };
        let metrics = &self.metrics;
        let (Served { partition, clock }, window) = (served, self.expiry_window);
        let scored = self.scoring.score(record, partition, &self.context, &mut self.encoded, |event, step| {
            write_key(&event.tenant_id, event.user_id.as_deref(), outputs.key_mut());
            outputs.set_event_time_ms(event.time.0);
            metrics.count(event, step);
            if !step.ahead {
                clock.see(event.time, window);
            }
        });
        match scored {
            Err(Unscored::State(error)) => return Err(state_error(&error)),
            Err(unscored) => outputs.dead_letter(unscored.reason(), unscored.to_string()),
            // The buffers change places, so that nothing is copied.
            Ok(()) => {
                if !self.encoded.verdict.is_empty() {
                    std::mem::swap(outputs.add_verdict(), &mut self.encoded.verdict);
                }
                if !self.encoded.log.is_empty() {
                    std::mem::swap(outputs.add_log(), &mut self.encoded.log);
                }
            }
        }
        Ok(())
    }

    fn take_changes(&mut self, batch: BatchId, changes: &mut Changes) {
        for (number, served) in &mut self.partitions {
            served.partition.take_changes(batch, |key, value| changes.push(*number, key, value));
        }
    }

    fn stored(&mut self, batch: BatchId) {
        self.partitions.values_mut().for_each(|served| served.partition.stored(batch));
    }

    fn rewind(&mut self) -> Result<(), StateError> {
        let rewound = |served: &mut Served| {
            // What was handled last is handled again, but earlier records come first, and a sweep before
            // them must not forget what they need.
            served.clock = SlowClock::default();
            served.partition.rewind().map_err(|error| state_error(&error))
        };
        self.partitions.values_mut().try_for_each(rewound)
    }
}
