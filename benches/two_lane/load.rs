//! Open-loop load: events leave at their times whatever comes back, and the answers are timed from when their
//! event was to leave.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use hdrhistogram::Histogram;
use memchr::memmem;
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use stream::Connection;
use stream::tail::{From, Isolation, Tail};

use crate::events::Event;
use crate::probe;

/// Between two looks of the sender at what is due.
const TICK: Duration = Duration::from_micros(500);
/// How long answers may be missing after the last event.
const PATIENCE: Duration = Duration::from_secs(60);
/// After so many events the sender takes in what is acknowledged.
const POLL_EVERY: usize = 64;
/// How long one wait for answers takes at most.
const LOOK: Duration = Duration::from_millis(100);
/// How ids of made-up logins begin, and how long they are.
const ID: &[u8] = b"\"login-";
const ID_BYTES: usize = 22;

/// The sender of events. It takes as little of the processors as it can: an idempotent producer would ask
/// without a pause whether it may send on.
fn sender(connection: &Connection) -> Result<BaseProducer> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &connection.brokers)
        .set("partitioner", "murmur2_random")
        .set("acks", "all")
        // More requests at a time would be smaller ones, which cost the broker as much.
        .set("max.in.flight", "4")
        .set("linger.ms", "1")
        .set("compression.codec", "lz4")
        .set("allow.auto.create.topics", "false");
    Ok(config.create()?)
}

/// A load.
pub(crate) struct Load<'a> {
    pub(crate) connection: Connection,
    /// Where events go, and where answers come from.
    pub(crate) events_topic: &'a str,
    pub(crate) answers_topic: &'a str,
    pub(crate) events: &'a [Event],
    /// Events a second; infinite: as fast as they are taken.
    pub(crate) rate: f64,
    /// What is sent before this time is not measured.
    pub(crate) warm_up: Duration,
}

/// Answers of one partition.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Silence {
    /// The longest time between two answers.
    pub(crate) longest: Duration,
    /// The latest answer.
    pub(crate) max_us: u64,
    last: Option<Instant>,
}

/// What came of a load.
pub(crate) struct Answered {
    /// Microseconds from the intended time of sending to the answer at its reader.
    pub(crate) latency: Histogram<u64>,
    /// By partition.
    pub(crate) partitions: Vec<Silence>,
    /// From the first event to the last answer.
    pub(crate) took: Duration,
    /// How late the sender was at the most.
    pub(crate) late: Duration,
    /// Share of the processors that the machine's host gave to others meanwhile.
    pub(crate) stolen: f64,
}

impl Answered {
    pub(crate) fn quantile(&self, quantile: f64) -> u64 {
        self.latency.value_at_quantile(quantile)
    }
}

impl Load<'_> {
    /// Sends everything and reads all answers; meanwhile `during` is called with a flag that is set when the
    /// last answer has come.
    pub(crate) fn run(&self, during: impl FnOnce(&AtomicBool) -> Result<()>) -> Result<Answered> {
        let asked = self.events.iter().enumerate();
        let asked: HashMap<&[u8], usize> =
            asked.filter_map(|(index, event)| Some((event.asks.as_ref()?.as_bytes(), index))).collect();
        let mut tail = Tail::new(&self.connection, self.answers_topic, From::End, Isolation::Uncommitted)?;
        let sender = sender(&self.connection)?;
        // The first record of a producer waits for its connection.
        let start = Instant::now() + Duration::from_millis(500);
        let over = AtomicBool::new(false);
        let (begin, stolen) = (Instant::now(), probe::stolen_seconds()?);
        thread::scope(|scope| {
            let sending = scope.spawn(|| self.send(&sender, start));
            let reading = scope.spawn(|| {
                let read = self.read(&mut tail, asked, start);
                over.store(true, Ordering::Relaxed);
                read
            });
            let meanwhile = during(&over);
            let joined = |_| anyhow!("a thread of the load has panicked");
            let late = sending.join().map_err(joined)??;
            let answered = reading.join().map_err(joined)??;
            meanwhile?;
            let processors = thread::available_parallelism()?.get() as f64;
            let stolen = (probe::stolen_seconds()? - stolen) / begin.elapsed().as_secs_f64() / processors;
            Ok(Answered { late, stolen, ..answered })
        })
    }

    fn due(&self, index: usize) -> Duration {
        if self.rate.is_finite() { Duration::from_secs_f64(index as f64 / self.rate) } else { Duration::ZERO }
    }

    /// Says how late an event left at the most.
    fn send(&self, sender: &BaseProducer, start: Instant) -> Result<Duration> {
        let mut late = Duration::ZERO;
        for (index, event) in self.events.iter().enumerate() {
            let due = start + self.due(index);
            loop {
                let now = Instant::now();
                if now >= due {
                    late = late.max(now - due);
                    break;
                }
                thread::sleep((due - now).max(TICK));
            }
            let mut record = BaseRecord::to(self.events_topic).key(&event.key).payload(&event.payload);
            while let Err((error, same)) = sender.send(record) {
                ensure!(error.rdkafka_error_code() == Some(Code::QueueFull), "an event was not taken: {error}");
                record = same;
                sender.poll(TICK);
            }
            if index % POLL_EVERY == 0 {
                sender.poll(Duration::ZERO);
            }
        }
        // What is lost is not answered, which the reader notices.
        sender.flush(PATIENCE)?;
        Ok(late)
    }

    fn read(&self, tail: &mut Tail, mut asked: HashMap<&[u8], usize>, start: Instant) -> Result<Answered> {
        let find = memmem::Finder::new(ID);
        let total = asked.len();
        let deadline = start + self.due(self.events.len()) + PATIENCE;
        let mut answered = Answered {
            latency: Histogram::new(3)?,
            partitions: vec![Silence::default(); usize::try_from(tail.partitions())?],
            took: Duration::ZERO,
            late: Duration::ZERO,
            stolen: 0.0,
        };
        while !asked.is_empty() {
            let Some(record) = tail.next(LOOK)? else {
                let left = asked.len();
                ensure!(Instant::now() < deadline, "{left} of {total} events were not answered in time");
                continue;
            };
            let now = Instant::now();
            let payload = record.payload.unwrap_or_default();
            let at = find.find(&payload).context("an answer without an event's id")?;
            // An echo answers the end of a login too, which has the id of its attempt.
            let Some(index) = asked.remove(payload.get(at + 1..at + 1 + ID_BYTES).unwrap_or_default()) else {
                continue;
            };
            answered.took = now - start;
            let due = self.due(index);
            if due < self.warm_up {
                continue;
            }
            let latency = u64::try_from(now.saturating_duration_since(start + due).as_micros())?;
            answered.latency.record(latency)?;
            let partition = &mut answered.partitions[usize::try_from(record.partition)?];
            partition.max_us = partition.max_us.max(latency);
            if let Some(last) = partition.last.replace(now) {
                partition.longest = partition.longest.max(now - last);
            }
        }
        Ok(answered)
    }
}
