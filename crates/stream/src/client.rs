//! The librdkafka configuration of every kind of client, in one place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::config::{Connection, StreamConfig};

/// The largest record that a client here sends: a source record of 16 MiB with its headers, on its way to
/// the dead-letter topic.
pub(crate) const MAX_MESSAGE_BYTES: usize = 17 << 20;

/// The largest batch of records that goes to a partition in one request: on the fast lane, on the durable one.
pub(crate) const OUTPUTS_BATCH_BYTES: usize = 256 << 10;
pub(crate) const DURABLE_BATCH_BYTES: usize = 1_000_000;

/// How often librdkafka reports the ends of the partitions.
const STATISTICS_INTERVAL: Duration = Duration::from_secs(1);

/// How long the brokers keep a transaction open whose producer is silent. Readers of committed records wait
/// so long for what a crashed instance left open, unless it comes back earlier.
pub(crate) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);

/// A name that no other client of the group has, in this process or another.
fn unique_client_id(connection: &Connection, role: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (prefix, process) = (&connection.client_id, std::process::id());
    format!("{prefix}-{role}-{process}-{:x}-{number}", since_1970.as_micros())
}

fn base(connection: &Connection, role: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set_log_level(RDKafkaLogLevel::Info)
        .set("bootstrap.servers", &connection.brokers)
        .set("client.id", unique_client_id(connection, role))
        // A broker that comes back is used within a second or so (default: up to 10 s).
        .set("reconnect.backoff.max.ms", "1000")
        // Brokers close idle connections; that is not worth a line in the log.
        .set("log.connection.close", "false")
        // For producers the default is true.
        .set("allow.auto.create.topics", "false")
        // OpenSSL is built in and knows no certificates of its own: look where systems keep theirs.
        .set("ssl.ca.location", "probe");
    config
}

/// The caller's properties come last; the ones that must not be changed were refused by the check.
fn with_properties(mut config: ClientConfig, connection: &Connection) -> ClientConfig {
    for (key, value) in &connection.properties {
        config.set(key, value);
    }
    config
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

fn set_consumer_latency(config: &mut ClientConfig) {
    config
        // Without this a full local queue stalls a partition for a second.
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.wait.max.ms", "10")
        .set("queued.min.messages", "10000")
        .set("queued.max.messages.kbytes", "32768")
        .set("fetch.message.max.bytes", "1048576");
}

/// librdkafka's properties as the clients of a worker have them: for measuring something else under the same
/// conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientProperties {
    /// The consumer's.
    pub consumer: BTreeMap<String, String>,
    /// Those of the producer of verdicts.
    pub fast: BTreeMap<String, String>,
    /// Those of the producer of log records and profiles.
    pub durable: BTreeMap<String, String>,
}

impl ClientProperties {
    /// By the settings of a stream.
    #[must_use]
    pub fn of(settings: &StreamConfig) -> ClientProperties {
        let owned = |config: &ClientConfig| {
            config.config_map().into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        ClientProperties {
            consumer: owned(&group_member(settings, 0)),
            fast: owned(&outputs_producer(settings, 0)),
            durable: owned(&transactional_producer(settings, 0)),
        }
    }
}

/// The answer to a heartbeat tells a member that the group is about to be shared anew, and partitions that move stand
/// still until all have heard of it.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);

/// The consumer of a worker.
pub(crate) fn group_member(settings: &StreamConfig, worker: usize) -> ClientConfig {
    let session = settings.session_timeout;
    let mut config = base(&settings.connection, &format!("worker{worker}"));
    set_consumer_latency(&mut config);
    config
        .set("group.id", &settings.group_id)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", millis(session))
        .set("heartbeat.interval.ms", millis((session / 5).min(HEARTBEAT_INTERVAL)))
        .set("max.poll.interval.ms", millis(session.max(Duration::from_secs(60))))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "false")
        // New partitions are noticed within a minute (default: five).
        .set("topic.metadata.refresh.interval.ms", "60000")
        .set("statistics.interval.ms", millis(STATISTICS_INTERVAL));
    with_properties(config, &settings.connection)
}

/// The producer of a worker's fast lane: idempotent, ordered, partitioned as the Java client does.
pub(crate) fn outputs_producer(settings: &StreamConfig, worker: usize) -> ClientConfig {
    let mut config = base(&settings.connection, &format!("outputs{worker}"));
    // The worker pauses at its own limits. librdkafka's are twice as wide, so that they are met only in
    // passing; the outbox copes with that too.
    let queue_records = settings.max_in_flight_records * 2;
    let queue_kbytes = (settings.max_in_flight_bytes * 2 + MAX_MESSAGE_BYTES) / 1024;
    set_producer(&mut config, settings.delivery_timeout);
    config
        // As long as it takes to hand over what usually leaves together: with none the first record travels alone,
        // and on two shared cores the many small requests made verdicts later and throughput a fifth lower. Where
        // nothing else wakes librdkafka's thread up it sleeps for a whole millisecond all the same.
        .set("linger.ms", "0.2")
        .set("queue.buffering.max.messages", queue_records.to_string())
        .set("queue.buffering.max.kbytes", queue_kbytes.to_string());
    with_properties(config, &settings.connection)
}

/// The producer of a worker's durable lane. Its name outlives the process, so that a new one ends the
/// transactions of the old one.
pub(crate) fn transactional_producer(settings: &StreamConfig, worker: usize) -> ClientConfig {
    let mut config = base(&settings.connection, &format!("commits{worker}"));
    set_producer(&mut config, TRANSACTION_TIMEOUT);
    // Everything of a batch is handed over at once, and nobody waits for a part of it: a partition's records
    // leave in one request where they can. While an idempotent producer waits for the answer of a partition,
    // and more records of it are due, librdkafka 2.12 keeps a processor busy with asking whether it has come.
    config.set("linger.ms", "10").set("batch.size", DURABLE_BATCH_BYTES.to_string());
    let queue_kbytes = (settings.max_in_flight_bytes * 4 + MAX_MESSAGE_BYTES) / 1024;
    config
        .set("transactional.id", format!("{}-{}-{worker}", settings.group_id, settings.instance_id))
        .set("transaction.timeout.ms", millis(TRANSACTION_TIMEOUT))
        .set("socket.timeout.ms", millis(TRANSACTION_TIMEOUT - Duration::from_secs(1)))
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", queue_kbytes.to_string());
    with_properties(config, &settings.connection)
}

/// A consumer that reads the changelog. It is in the group by name only, to ask for committed offsets.
pub(crate) fn changelog_reader(settings: &StreamConfig, isolation: &str) -> ClientConfig {
    let mut config = base(&settings.connection, "restore");
    config
        .set("group.id", &settings.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        .set("fetch.wait.max.ms", "10")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "100000")
        .set("queued.max.messages.kbytes", "65536")
        .set("fetch.message.max.bytes", "4194304");
    with_properties(config, &settings.connection)
}

fn set_producer(config: &mut ClientConfig, delivery_timeout: Duration) {
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("compression.codec", "lz4")
        // A topic refuses a batch, not a record, that is larger than its max.message.bytes. Small batches
        // keep records that would fit from being refused together; a larger record travels alone.
        .set("batch.size", OUTPUTS_BATCH_BYTES.to_string())
        .set("message.timeout.ms", millis(delivery_timeout))
        .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string());
}

/// A producer for tools and tests.
pub(crate) fn feeder(connection: &Connection) -> ClientConfig {
    let mut config = base(connection, "feeder");
    set_producer(&mut config, Duration::from_secs(120));
    config.set("linger.ms", "1");
    with_properties(config, connection)
}

/// A consumer that reads given partitions and is no member of any group. librdkafka wants a group name
/// all the same.
pub(crate) fn tail(connection: &Connection, isolation: &str) -> ClientConfig {
    let mut config = base(connection, "tail");
    set_consumer_latency(&mut config);
    config
        .set("group.id", unique_client_id(connection, "tail"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        // What is read may be followed by markers and by gaps, so only the broker knows that nothing comes.
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation);
    with_properties(config, connection)
}

/// A client for administrative requests.
pub(crate) fn admin(connection: &Connection) -> ClientConfig {
    with_properties(base(connection, "admin"), connection)
}

/// Passes a line of librdkafka's log on. Its errors are lost connections and the like, which it deals
/// with itself: warnings here.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // A property of the consumer given to a producer, or the other way round: meant for the other.
        _ if facility == "CONFWARN" => tracing::debug!(facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, "librdkafka: {message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::warn!(facility, "librdkafka: {message}");
        }
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, "librdkafka: {message}"),
    }
}
