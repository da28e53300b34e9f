//! The pass-through: a program of its own that reads records and sends others of given bytes, or the same
//! bytes back, without scoring and without transactions. Its clients have the properties of Credence's.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, ClientContext};
use serde::{Deserialize, Serialize};

use crate::events::{OUTPUTS, Pool};

/// The argument that makes this program the pass-through.
pub(crate) const ROLE: &str = "pass-through";

/// Records handled before acknowledgements are looked at, as in Credence's worker.
const BURST: usize = 64;
/// How long records are waited for, as there: while something is under way, and else.
const WAIT_BUSY: Duration = Duration::from_millis(1);
const WAIT_IDLE: Duration = Duration::from_millis(100);
/// Polls of a producer in one turn, as there.
const MAX_POLLS: usize = 256;
/// Records under way before reading waits, as there.
const MAX_IN_FLIGHT: i32 = 20_000;
/// How long the end may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it is to do.
#[derive(Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) consumer: BTreeMap<String, String>,
    /// Properties of the producer of verdicts.
    pub(crate) fast: BTreeMap<String, String>,
    /// Properties of the producer of everything else.
    pub(crate) durable: BTreeMap<String, String>,
    pub(crate) events: String,
    /// Topics in the order of [`OUTPUTS`].
    pub(crate) outputs: [String; 3],
    /// The records to send; none: the same record back, to the first topic.
    pub(crate) pool: Option<PathBuf>,
    pub(crate) commit_interval_ms: u64,
}

/// Takes the acknowledgements that are there: one call of `poll` serves those of one request.
fn collect(sender: &Sender) {
    let delivered = &sender.context().delivered;
    let mut seen = delivered.load(Ordering::Relaxed);
    for _ in 0..MAX_POLLS {
        sender.poll(Duration::ZERO);
        let now = delivered.load(Ordering::Relaxed);
        if now == seen {
            break;
        }
        seen = now;
    }
}

/// Counts acknowledgements, and does nothing else with them.
#[derive(Default)]
struct Counts {
    delivered: AtomicU64,
    failed: AtomicBool,
}

impl ClientContext for Counts {}

impl ProducerContext for Counts {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => drop(self.delivered.fetch_add(1, Ordering::Relaxed)),
            Err(_) => self.failed.store(true, Ordering::Relaxed),
        }
    }
}

type Sender = BaseProducer<Counts>;

/// Runs until standard input ends; then writes how many records it read, and how many were acknowledged.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let path = arguments.first().context("no path of a specification")?;
    let spec: Spec = serde_json::from_slice(&std::fs::read(path)?)?;
    let pool = spec.pool.as_deref().map(Pool::read).transpose()?;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        asked.store(true, Ordering::Relaxed);
    });
    let mut program = PassThrough::new(&spec, pool)?;
    while !stop.load(Ordering::Relaxed) {
        program.turn()?;
    }
    let (read, delivered) = program.finish()?;
    println!("{read} {delivered}");
    Ok(())
}

struct PassThrough<'a> {
    spec: &'a Spec,
    consumer: BaseConsumer,
    outputs: Outputs<'a>,
    next: BTreeMap<i32, i64>,
    commit_due: Instant,
}

/// What is sent.
struct Outputs<'a> {
    topics: &'a [String; 3],
    fast: Sender,
    durable: Sender,
    pool: Option<Pool>,
    /// Records read.
    read: usize,
    /// Records sent, by kind.
    sent: [usize; 3],
}

impl<'a> PassThrough<'a> {
    fn new(spec: &'a Spec, pool: Option<Pool>) -> Result<PassThrough<'a>> {
        let config = |properties: &BTreeMap<String, String>| {
            let mut config = ClientConfig::new();
            config.extend(properties.clone());
            config
        };
        let sender = |properties| -> Result<Sender> {
            Ok(config(properties).create_with_context::<_, Sender>(Counts::default())?)
        };
        let consumer: BaseConsumer = config(&spec.consumer).create()?;
        consumer.subscribe(&[&spec.events])?;
        let (fast, durable) = (sender(&spec.fast)?, sender(&spec.durable)?);
        let outputs = Outputs { topics: &spec.outputs, fast, durable, pool, read: 0, sent: [0; 3] };
        Ok(PassThrough { spec, consumer, outputs, next: BTreeMap::new(), commit_due: Instant::now() })
    }

    fn turn(&mut self) -> Result<()> {
        let in_flight = self.outputs.in_flight();
        let mut wait = if in_flight > 0 { WAIT_BUSY } else { WAIT_IDLE };
        if in_flight < MAX_IN_FLIGHT {
            for _ in 0..BURST {
                match self.consumer.poll(wait) {
                    None => break,
                    Some(Err(KafkaError::MessageConsumptionFatal(code))) => bail!("consumer: {code}"),
                    Some(Err(_)) => {}
                    Some(Ok(record)) => {
                        self.next.insert(record.partition(), record.offset() + 1);
                        self.outputs.of(&record)?;
                    }
                }
                wait = Duration::ZERO;
            }
        } else {
            self.outputs.fast.poll(WAIT_BUSY);
        }
        collect(&self.outputs.fast);
        collect(&self.outputs.durable);
        if Instant::now() >= self.commit_due {
            self.commit(CommitMode::Async)?;
        }
        Ok(())
    }

    fn commit(&mut self, mode: CommitMode) -> Result<()> {
        self.commit_due = Instant::now() + Duration::from_millis(self.spec.commit_interval_ms);
        if self.next.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset) in std::mem::take(&mut self.next) {
            list.add_partition_offset(&self.spec.events, partition, Offset::Offset(offset))?;
        }
        Ok(self.consumer.commit(&list, mode)?)
    }

    /// How many records were read and how many were acknowledged.
    fn finish(&mut self) -> Result<(usize, u64)> {
        let deadline = Instant::now() + PATIENCE;
        while self.outputs.in_flight() > 0 {
            ensure!(Instant::now() < deadline, "not everything was acknowledged");
            self.outputs.fast.poll(WAIT_BUSY);
            self.outputs.durable.poll(WAIT_BUSY);
        }
        self.commit(CommitMode::Sync)?;
        let counts = [&self.outputs.fast, &self.outputs.durable].map(|sender| sender.context());
        ensure!(!counts.iter().any(|counts| counts.failed.load(Ordering::Relaxed)), "an output was refused");
        let delivered = counts.iter().map(|counts| counts.delivered.load(Ordering::Relaxed)).sum();
        let sent: usize = self.outputs.sent.iter().sum();
        ensure!(delivered == sent as u64, "{sent} records were sent and {delivered} acknowledged");
        Ok((self.outputs.read, delivered))
    }
}

impl Outputs<'_> {
    fn in_flight(&self) -> i32 {
        self.fast.in_flight_count() + self.durable.in_flight_count()
    }

    /// Sends what is due when a record was read.
    fn of(&mut self, record: &BorrowedMessage<'_>) -> Result<()> {
        self.read += 1;
        let Some(pool) = &self.pool else {
            self.send(0, None, record.key().unwrap_or_default(), record.payload().unwrap_or_default())?;
            self.sent[0] += 1;
            return Ok(());
        };
        for output in 0..OUTPUTS.len() {
            // Profiles go to the partition that the event came from.
            let partition = (output == 2).then_some(record.partition());
            while self.sent[output] < pool.due(output, self.read) {
                let (key, value) = pool.get(output, self.sent[output]).context("the pool is empty")?;
                self.send(output, partition, key, value)?;
                self.sent[output] += 1;
            }
        }
        Ok(())
    }

    fn send(&self, output: usize, partition: Option<i32>, key: &[u8], value: &[u8]) -> Result<()> {
        let topic = self.topics.get(output).context("no such output")?;
        let producer = if output == 0 { &self.fast } else { &self.durable };
        let mut record = BaseRecord::<'_, [u8], [u8], ()> {
            topic,
            partition,
            payload: Some(value),
            key: Some(key),
            timestamp: None,
            headers: None,
            delivery_opaque: (),
        };
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), same)) => record = same,
                Err((error, _)) => bail!("a {} was not taken: {error}", OUTPUTS[output]),
            }
            producer.poll(WAIT_BUSY);
        }
    }
}
