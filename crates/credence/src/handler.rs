//! Between the stream and the engine: the state of the partitions that a worker serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use delivery::{BatchId, Changes, Handler, Outputs, Source, StateError};
use engine::{Partition, ProfileError, StoreStats};
use model::Timestamp;
use model::command::{self, Command};
use model::key::write_key;
use profile::Fingerprints;

use crate::data::{InForce, ScoringContext};
use crate::metrics::ScoringMetrics;
use crate::scoring::{Encoded, Record, Scoring, Unscored};
use crate::state::{ProfileStores, state_error};

/// How many stored profiles of a partition are looked at between two batches for whether they have
/// expired: a fraction of a thousandth of the time, and a round through ten million takes hours.
const SWEEP: usize = 64;
/// Partitions take turns, and this is how many times as much one is looked at when it is its turn, at most.
const MAX_SWEEPS: usize = 16;

/// Events of a partition over which the time by which profiles expire is the least one.
const EXPIRY_WINDOW: u32 = 4096;

/// A worker's handler.
pub struct ScoringHandler {
    worker: usize,
    scoring: Scoring,
    partitions: BTreeMap<i32, Served>,
    stores: Arc<dyn ProfileStores>,
    /// Bytes of memory for the stored profiles of all partitions of this worker.
    budget_bytes: usize,
    in_force: Arc<InForce>,
    encoded: Encoded,
    expiry_window: u32,
    /// Which partition was looked at last for profiles that have expired.
    swept: usize,
    metrics: ScoringMetrics,
}

struct Served {
    partition: Partition,
    clock: SlowClock,
    /// What is in force until the next batch.
    context: Arc<ScoringContext>,
    /// The position of the tenants' settings in it.
    position: i64,
    /// The position that is being committed, and with which batch.
    announced: Option<(BatchId, i64)>,
    /// Whether the state says the position. A partition that nobody has served yet, or none that knew of settings,
    /// begins with what is in force, and says so with its first batch.
    is_recorded: bool,
    /// The first batch that says it, until it is stored.
    recording: Option<BatchId>,
}

/// Where a partition's state says with which settings it goes on: `["settings", 0]` as MessagePack, which is no
/// user's key, since its second element is no text.
pub const SETTINGS_KEY: &[u8] = b"\x92\xa8settings\xce\0\0\0\0";
/// Version of the value's form, its first byte. Behind it stands the position, the lowest byte first.
const SETTINGS_FORMAT: u8 = 1;
/// How long settings that a partition goes on with are waited for, where this instance has not read them yet.
const SETTINGS_PATIENCE: Duration = Duration::from_secs(5);

fn settings_value(position: i64) -> [u8; 9] {
    let mut value = [SETTINGS_FORMAT; 9];
    value[1..].copy_from_slice(&position.to_le_bytes());
    value
}

/// The position that a state says, if it says one.
fn read_settings(value: Option<&[u8]>) -> Result<Option<i64>, StateError> {
    let Some(value) = value else { return Ok(None) };
    match value.split_first() {
        Some((&SETTINGS_FORMAT, position)) if position.len() == 8 => {
            Ok(position.try_into().map(i64::from_le_bytes).ok())
        }
        _ => Err(StateError::Damaged("the position of the tenants' settings cannot be read".to_owned())),
    }
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
    /// With what is in force and may change between batches, the local copy of the state, and the bytes of memory
    /// for it.
    pub fn new(
        worker: usize,
        scoring: Scoring,
        in_force: Arc<InForce>,
        stores: Arc<dyn ProfileStores>,
        budget_bytes: usize,
        metrics: ScoringMetrics,
    ) -> Self {
        let (partitions, encoded) = (BTreeMap::new(), Encoded::default());
        let expiry_window = EXPIRY_WINDOW;
        Self { worker, scoring, partitions, stores, budget_bytes, in_force, encoded, expiry_window, swept: 0, metrics }
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

    /// Looks at one partition, at the next one the next time: a local store that is writing its tables may keep
    /// readers waiting, and the scoring with them.
    fn sweep(&mut self) {
        let partitions = self.partitions.len().max(1);
        self.swept = (self.swept + 1) % partitions;
        let now = wall_clock();
        let Some((number, served)) = self.partitions.iter_mut().nth(self.swept) else { return };
        let Served { partition, clock, context, .. } = served;
        let Some(time) = clock.now else { return };
        match partition.sweep(time.min(now), context, SWEEP * partitions.min(MAX_SWEEPS)) {
            Ok(expired) => self.metrics.expired(expired),
            // Whoever needs the state for an answer will see the same error, and that ends in mending it.
            Err(error) => tracing::warn!(partition = number, "expired profiles not looked for: {error}"),
        }
    }
}

/// The time by the clock of this machine.
pub(crate) fn wall_clock() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// Carries out an order.
fn obey(
    payload: &[u8],
    partition: &mut Partition,
    fingerprints: &Fingerprints,
    metrics: &ScoringMetrics,
    outputs: &mut Outputs,
) -> Result<(), StateError> {
    let command = match Command::read(payload) {
        Ok(command) => command,
        Err(unreadable) => {
            outputs.dead_letter(unreadable.reason(), unreadable.to_string());
            return Ok(());
        }
    };
    metrics.obeyed(command.name());
    let Command::ClearDevices { tenant, user_id } = command;
    write_key(&tenant, Some(&user_id), outputs.key_mut());
    match partition.clear_devices(&tenant, &user_id, fingerprints) {
        Ok(_) => {}
        Err(ProfileError::Backing(error)) => return Err(state_error(&error)),
        // There is nothing that could be cleared, and nothing that is known of him.
        Err(ProfileError::Corrupt(error)) => tracing::warn!("devices of a user were not cleared: {error}"),
    }
    Ok(())
}

impl Handler for ScoringHandler {
    fn assigned(&mut self, partition: i32) -> Result<(), StateError> {
        let backing = self.stores.backing(partition)?;
        let stored = backing.get(SETTINGS_KEY).map_err(|error| state_error(&error))?;
        let recorded = read_settings(stored.as_deref())?;
        let position = recorded.unwrap_or_else(|| self.in_force.book.position());
        if !self.in_force.book.wait_until_read(position, SETTINGS_PATIENCE) {
            let reason = format!("partition {partition} goes on with settings that are not read yet ({position})");
            return Err(StateError::Unavailable(reason));
        }
        let context = self.in_force.context_at(position);
        let share = self.budget_bytes / (self.partitions.len() + 1);
        let opened = Partition::open(backing, share).map_err(|error| state_error(&error))?;
        self.partitions.insert(
            partition,
            Served {
                partition: opened,
                clock: SlowClock::default(),
                context,
                position,
                announced: None,
                is_recorded: recorded.is_some(),
                recording: None,
            },
        );
        self.share_memory();
        Ok(())
    }

    fn revoked(&mut self, partition: i32) {
        self.partitions.remove(&partition);
        self.share_memory();
    }

    fn between_batches(&mut self) {
        for served in self.partitions.values_mut() {
            served.context = self.in_force.context_at(served.position);
        }
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
        if source.content_type == Some(command::CONTENT_TYPE) {
            return obey(payload, &mut served.partition, self.in_force.fingerprints(), &self.metrics, outputs);
        }
        let metrics = &self.metrics;
        let (Served { partition, clock, context, .. }, window) = (served, self.expiry_window);
        let scored = self.scoring.score(record, partition, context, &mut self.encoded, |event, step| {
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

    fn has_news(&self) -> bool {
        let newest = self.in_force.book.position();
        self.partitions.values().any(|served| served.position < newest)
    }

    fn announce(&mut self, batch: BatchId) {
        let newest = self.in_force.book.position();
        for served in self.partitions.values_mut().filter(|served| served.position < newest) {
            served.announced = Some((batch, newest));
        }
    }

    fn take_changes(&mut self, batch: BatchId, changes: &mut Changes) {
        for (number, served) in &mut self.partitions {
            served.partition.take_changes(batch, |key, value| changes.push(*number, key, value));
            let announced = served.announced.filter(|(announcing, _)| *announcing == batch);
            if announced.is_some() || !served.is_recorded {
                let position = announced.map_or(served.position, |(_, position)| position);
                changes.push(*number, SETTINGS_KEY, Some(&settings_value(position)));
                served.recording.get_or_insert(batch);
            }
        }
    }

    fn stored(&mut self, batch: BatchId) {
        for served in self.partitions.values_mut() {
            served.partition.stored(batch);
            served.is_recorded |= served.recording.is_some_and(|first| first <= batch);
            if let Some((_, position)) = served.announced.take_if(|(announcing, _)| *announcing == batch) {
                served.position = position;
                served.context = self.in_force.context_at(position);
            }
        }
    }

    fn rewind(&mut self) -> Result<(), StateError> {
        let rewound = |served: &mut Served| {
            // What was handled last is handled again, but earlier records come first, and a sweep before
            // them must not forget what they need.
            served.clock = SlowClock::default();
            served.announced = None;
            served.recording = None;
            served.partition.rewind().map_err(|error| state_error(&error))
        };
        self.partitions.values_mut().try_for_each(rewound)
    }
}
