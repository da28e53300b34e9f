//! Settings of a broker, and its first start: ports, folder, properties, storage.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use crate::broker::Kafka;
use crate::{HarnessError, jars, skip_or_panic};

/// Another process can take a port between our choosing it and Kafka's opening it.
const START_ATTEMPTS: u32 = 3;
/// Below the range from which systems take source ports: otherwise a client that keeps trying to
/// reach a stopped broker could end up connected to itself and hold the port.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 10_000;

/// What differs from a default broker: one node on one machine, little memory and disk, records up
/// to 20 MiB, no topic made by accident. Ports and folder are added at start.
const PROPERTIES: [(&str, &str); 29] = [
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
    ("inter.broker.listener.name", "PLAINTEXT"),
    ("auto.create.topics.enable", "false"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("offsets.topic.replication.factor", "1"),
    ("offsets.topic.num.partitions", "4"),
    ("offsets.topic.segment.bytes", "4194304"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("transaction.state.log.num.partitions", "4"),
    ("transaction.state.log.segment.bytes", "4194304"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    ("share.coordinator.state.topic.num.partitions", "4"),
    ("message.max.bytes", "20971520"),
    ("replica.fetch.max.bytes", "20971520"),
    ("replica.fetch.response.max.bytes", "20971520"),
    ("log.segment.bytes", "67108864"),
    ("log.cleaner.dedupe.buffer.size", "16777216"),
    ("num.network.threads", "2"),
    ("num.io.threads", "4"),
    ("background.threads", "2"),
    ("num.recovery.threads.per.data.dir", "2"),
    // The only broker has nobody to hand its partitions to. With a controlled shutdown they are without a leader
    // while it still ends transactions, and Kafka 4.3.1 takes such partitions for deleted: the transaction counts
    // as complete, and these partitions wait for its end for ever.
    ("controlled.shutdown.enable", "false"),
    // A killed broker can register anew only when its old session is over.
    ("broker.heartbeat.interval.ms", "300"),
    ("broker.session.timeout.ms", "3000"),
];

/// `KAFKA_HEAP_OPTS` of kafka-server-start.sh, and what `KAFKA_JVM_PERFORMANCE_OPTS` of kafka-run-class.sh says of
/// collecting.
const START_SCRIPT_OPTIONS: [&str; 6] = [
    "-Xms1g",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];

fn heap_option(heap_mb: u32) -> String {
    format!("-Xmx{heap_mb}m")
}

/// Settings of a broker that is to be started.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    java_options: Vec<String>,
    properties: BTreeMap<String, String>,
}

impl Builder {
    /// Maximum Java heap in MiB; 512 unless told.
    pub fn heap_mb(mut self, heap_mb: u32) -> Self {
        self.java_options = vec![heap_option(heap_mb)];
        self
    }

    /// With the Java options of Kafka's own start scripts, for measuring: a heap of 1 GiB that is there from the
    /// start. One that grows when it must stays so small that its collector stops the broker more than once a second.
    pub fn options_of_start_scripts(mut self) -> Self {
        self.java_options = START_SCRIPT_OPTIONS.map(str::to_owned).to_vec();
        self
    }

    /// Sets a broker property, over the harness's own value if it has one. Listeners, quorum and
    /// `log.dirs` stay the harness's.
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }

    /// Starts the broker and returns when it is ready for clients.
    ///
    /// # Errors
    /// See [`HarnessError`]; when the broker itself failed, what its log says is in it.
    pub fn start(self) -> Result<Kafka, HarnessError> {
        let libs = jars::ensure()?;
        let mut attempt = 1;
        loop {
            match self.start_once(&libs) {
                Err(HarnessError::Exited { log, .. })
                    if attempt < START_ATTEMPTS && log.contains("Address already in use") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Like [`Self::start`], but `None` after a loud line on stderr where Kafka is not available.
    ///
    /// # Panics
    /// As [`crate::shared`] does.
    #[must_use]
    pub fn start_or_skip(self) -> Option<Kafka> {
        self.start().map_err(|error| skip_or_panic(&error)).ok()
    }

    fn start_once(&self, libs: &Path) -> Result<Kafka, HarnessError> {
        let [port, controller_port] = free_ports()?;
        let mut kafka = Kafka::prepare(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), &self.java_options, libs)?;
        kafka.format(&self.properties_text(port, controller_port, &kafka.data_path()))?;
        kafka.start_again()?;
        Ok(kafka)
    }

    fn properties_text(&self, port: u16, controller_port: u16, data: &Path) -> String {
        let mut all: BTreeMap<&str, String> =
            PROPERTIES.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
        for (key, value) in &self.properties {
            all.insert(key, value.clone());
        }
        let client = format!("PLAINTEXT://127.0.0.1:{port}");
        let controller = format!("127.0.0.1:{controller_port}");
        all.extend([
            ("controller.quorum.voters", format!("1@{controller}")),
            ("listeners", format!("{client},CONTROLLER://{controller}")),
            ("advertised.listeners", client),
            ("log.dirs", data.display().to_string()),
        ]);
        let mut text = String::new();
        for (key, value) in all {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key}={value}");
        }
        text
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self { java_options: vec![heap_option(512)], properties: BTreeMap::new() }
    }
}

/// Two ports that nobody listens on just now, from a random place in the range, so that test
/// binaries that run side by side seldom choose the same.
fn free_ports() -> Result<[u16; 2], HarnessError> {
    let random = RandomState::new().hash_one(0) % u64::from(PORTS);
    let mut free = (0..u64::from(PORTS)).filter_map(|step| {
        let offset = u16::try_from((random + step) % u64::from(PORTS)).ok()?;
        let port = FIRST_PORT + offset;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        Some(port)
    });
    match (free.next(), free.next()) {
        (Some(first), Some(second)) => Ok([first, second]),
        _ => Err(HarnessError::NoFreePort { first: FIRST_PORT, last: FIRST_PORT + (PORTS - 1) }),
    }
}
