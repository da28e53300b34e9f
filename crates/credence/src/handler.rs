//! Between the stream and the engine: the state of the partitions that a worker owns.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use engine::{Partition, StoreStats};
use model::Timestamp;
use model::key::write_key;
use stream::{Handler, Outputs, Source};

use crate::data::ScoringContext;
use crate::metrics::ScoringMetrics;
use crate::scoring::{Encoded, Record, Scoring};

/// A worker's handler.
pub struct ScoringHandler {
    worker: usize,
    scoring: Scoring,
    partitions: HashMap<i32, Partition>,
    shared: Arc<ArcSwap<ScoringContext>>,
    /// What is in force until the next batch.
    context: Arc<ScoringContext>,
    encoded: Encoded,
    metrics: ScoringMetrics,
}

impl ScoringHandler {
    /// With the context that may be swapped between batches.
    pub fn new(worker: usize, scoring: Scoring, shared: Arc<ArcSwap<ScoringContext>>, metrics: ScoringMetrics) -> Self {
        let context = shared.load_full();
        Self { worker, scoring, partitions: HashMap::new(), shared, context, encoded: Encoded::default(), metrics }
    }
}

impl Handler for ScoringHandler {
    fn assigned(&mut self, partition: i32) {
        self.partitions.insert(partition, Partition::default());
    }

    fn revoked(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    fn between_batches(&mut self) {
        self.context = self.shared.load_full();
        let mut total = StoreStats::default();
        for stats in self.partitions.values().map(Partition::stats) {
            total.profiles += stats.profiles;
            total.packed_bytes += stats.packed_bytes;
            total.table_bytes += stats.table_bytes;
            total.corrupt += stats.corrupt;
        }
        self.metrics.show_state(self.worker, total);
    }

    fn handle(&mut self, source: &Source<'_>, outputs: &mut Outputs) {
        let record = Record {
            payload: source.payload.unwrap_or_default(),
            content_type: source.content_type,
            time: source.timestamp_ms.map(Timestamp),
        };
        let partition = self.partitions.entry(source.partition).or_default();
        let metrics = &self.metrics;
        let scored = self.scoring.score(record, partition, &self.context, &mut self.encoded, |event, step| {
            write_key(&event.tenant_id, event.user_id.as_deref(), outputs.key_mut());
            outputs.set_event_time_ms(event.time.0);
            metrics.count(event, step);
        });
        match scored {
            Err(unscored) => outputs.dead_letter(unscored.reason(), unscored.to_string()),
            Ok(()) => {
                if !self.encoded.verdict.is_empty() {
                    outputs.add_verdict().extend_from_slice(&self.encoded.verdict);
                }
                if !self.encoded.log.is_empty() {
                    outputs.add_log().extend_from_slice(&self.encoded.log);
                }
            }
        }
    }
}
