//! Settings, and the check that finds all their faults at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::error::Error;

/// How to reach the brokers. Shared by the workers, the tools and the tests.
#[derive(Clone)]
pub struct Connection {
    /// `host:port` of one or more brokers, comma separated.
    pub brokers: String,
    /// The start of every client's name as brokers log it; each client appends something of its own.
    pub client_id: String,
    /// librdkafka properties that are passed through as they are: TLS, SASL, tuning. Applied last, except
    /// for the properties that the design depends on, which [`Connection::check`] refuses.
    pub properties: BTreeMap<String, String>,
}

impl Connection {
    /// A plain-text connection to `brokers`, without further properties.
    pub fn new(brokers: impl Into<String>) -> Connection {
        Connection { brokers: brokers.into(), client_id: "credence".to_owned(), properties: BTreeMap::new() }
    }

    /// Everything that is wrong with these settings; empty when nothing is.
    pub fn check(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if self.brokers.trim().is_empty() {
            problems.push(ConfigProblem::new("brokers", &self.brokers, "name at least one host:port"));
        }
        if self.client_id.is_empty() || !self.client_id.bytes().all(is_name_byte) {
            let why = "letters, digits, dot, underscore and hyphen only";
            problems.push(ConfigProblem::new("client_id", &self.client_id, why));
        }
        for (key, value) in &self.properties {
            let problem = refusal(key).or_else(|| invalid(key, value));
            if let Some(problem) = problem {
                let shown = if is_secret(key) { "(hidden)" } else { value };
                problems.push(ConfigProblem::new(&format!("properties.{key}"), shown, &problem));
            }
        }
        problems
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut properties = BTreeMap::new();
        for (key, value) in &self.properties {
            properties.insert(key, if is_secret(key) { "(hidden)" } else { value.as_str() });
        }
        f.debug_struct("Connection")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("properties", &properties)
            .finish()
    }
}

/// The names of the topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Source records.
    pub events: String,
    /// Verdicts.
    pub verdicts: String,
    /// Log records.
    pub logs: String,
    /// The changelog of the state.
    pub profiles: String,
    /// Source records that could not be read.
    pub dead: String,
    /// Settings of tenants: one partition, which every instance reads.
    pub settings: String,
}

impl Default for Topics {
    fn default() -> Topics {
        Topics {
            events: "login-events".to_owned(),
            verdicts: "login-verdicts".to_owned(),
            logs: "tenant-logs".to_owned(),
            profiles: "credence-profiles".to_owned(),
            dead: "login-events-dead".to_owned(),
            settings: "tenant-settings".to_owned(),
        }
    }
}

impl Topics {
    /// Each topic with the name of its setting.
    pub(crate) fn named(&self) -> [(&'static str, &str); 6] {
        [
            ("topics.events", &self.events),
            ("topics.verdicts", &self.verdicts),
            ("topics.logs", &self.logs),
            ("topics.profiles", &self.profiles),
            ("topics.dead", &self.dead),
            ("topics.settings", &self.settings),
        ]
    }
}

/// The settings of a stream.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// How to reach the brokers.
    pub connection: Connection,
    /// The consumer group. Instances with the same group share the partitions.
    pub group_id: String,
    /// The topics.
    pub topics: Topics,
    /// Tells this instance from all others, and stays the same over its restarts: with it the transactions
    /// of a former life are ended at once. 1 to 100 bytes.
    pub instance_id: String,
    /// How many workers (threads, each a group member) this process runs: 1 to 64.
    pub workers: usize,
    /// How long a silent member keeps its partitions: 6 s (the usual minimum of brokers) to 5 min. So long
    /// a crashed instance's partitions stand still; and when the brokers are gone for longer, a worker
    /// loses its partitions, with their state. Giving up partitions may take half of it.
    pub session_timeout: Duration,
    /// How often a batch is committed: 1 ms to 60 s. Log records can be read when their batch is committed;
    /// what was handled since the last commit is handled again after a crash.
    pub batch_interval: Duration,
    /// A batch is sealed early when it holds this many records: 1 to 1,000,000. Reading waits when it is full
    /// and the batch before is still being committed.
    pub batch_max_records: usize,
    /// Reading pauses while this many outputs wait for acknowledgement: 10 to 1,000,000.
    pub max_in_flight_records: usize,
    /// Reading pauses while this many bytes of outputs wait for acknowledgement: 1 MiB to 1 GiB. One
    /// output more than that may be under way, whatever its size.
    pub max_in_flight_bytes: usize,
    /// How long an output may stay unacknowledged before its worker gives up: 10 s to 1 day. Until then
    /// brokers that are down only cause a pause.
    pub delivery_timeout: Duration,
    /// How long to wait for the brokers at start: 1 s to 10 min.
    pub start_timeout: Duration,
    /// How long [`crate::Running::stop`] may take: 1 s to 10 min.
    pub shutdown_deadline: Duration,
}

impl StreamConfig {
    /// The default settings for a connection and a consumer group.
    pub fn new(connection: Connection, group_id: impl Into<String>, instance_id: impl Into<String>) -> StreamConfig {
        StreamConfig {
            connection,
            group_id: group_id.into(),
            topics: Topics::default(),
            instance_id: instance_id.into(),
            workers: 1,
            session_timeout: Duration::from_secs(20),
            batch_interval: Duration::from_millis(100),
            batch_max_records: 10_000,
            max_in_flight_records: 20_000,
            max_in_flight_bytes: 64 << 20,
            delivery_timeout: Duration::from_secs(600),
            start_timeout: Duration::from_secs(30),
            shutdown_deadline: Duration::from_secs(20),
        }
    }

    /// Finds every fault of the settings without connecting anywhere.
    ///
    /// # Errors
    /// [`Error::Config`] with all problems.
    pub fn check(&self) -> Result<(), Error> {
        let mut problems = self.connection.check();
        if self.group_id.is_empty() || self.group_id.len() > 249 {
            problems.push(ConfigProblem::new("group_id", &self.group_id, "1 to 249 bytes"));
        }
        if self.instance_id.is_empty() || self.instance_id.len() > 100 {
            problems.push(ConfigProblem::new("instance_id", &self.instance_id, "1 to 100 bytes"));
        }
        let mut seen = BTreeSet::new();
        for (key, topic) in self.topics.named() {
            if let Some(problem) = topic_problem(topic) {
                problems.push(ConfigProblem::new(key, topic, problem));
            } else if !seen.insert(topic) {
                problems.push(ConfigProblem::new(key, topic, "each topic needs a name of its own"));
            }
        }
        for (key, value, min, max) in [
            ("workers", self.workers, 1, 64),
            ("batch_max_records", self.batch_max_records, 1, 1_000_000),
            ("max_in_flight_records", self.max_in_flight_records, 10, 1_000_000),
            ("max_in_flight_bytes", self.max_in_flight_bytes, 1 << 20, 1 << 30),
        ] {
            if !(min..=max).contains(&value) {
                problems.push(ConfigProblem::new(key, &value.to_string(), &format!("{min} to {max}")));
            }
        }
        for (key, value, min_ms, max_ms) in [
            ("session_timeout", self.session_timeout, 6_000, 300_000),
            ("batch_interval", self.batch_interval, 1, 60_000),
            ("delivery_timeout", self.delivery_timeout, 10_000, 86_400_000),
            ("start_timeout", self.start_timeout, 1_000, 600_000),
            ("shutdown_deadline", self.shutdown_deadline, 1_000, 600_000),
        ] {
            let ms = value.as_millis();
            if !(min_ms..=max_ms).contains(&ms) {
                let allowed = format!("{min_ms} ms to {max_ms} ms");
                problems.push(ConfigProblem::new(key, &format!("{ms} ms"), &allowed));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Config(problems)) }
    }
}

/// One wrong setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The setting's name.
    pub key: String,
    /// Its value, unless that is a secret.
    pub value: String,
    /// What is wrong, or what is allowed.
    pub problem: String,
}

impl ConfigProblem {
    fn new(key: &str, value: &str, problem: &str) -> ConfigProblem {
        ConfigProblem { key: key.to_owned(), value: value.to_owned(), problem: problem.to_owned() }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:?}: {}", self.key, self.value, self.problem)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

/// What is wrong with a topic name by Kafka's rules.
pub(crate) fn topic_problem(name: &str) -> Option<&'static str> {
    let allowed = (1..=249).contains(&name.len()) && name.bytes().all(is_name_byte) && name != "." && name != "..";
    (!allowed).then_some("1 to 249 letters, digits, dots, underscores and hyphens")
}

fn is_secret(key: &str) -> bool {
    ["password", "secret", "pem", "token", "oauthbearer.config", "sasl.jaas"].iter().any(|part| key.contains(part))
}

/// Properties that correctness depends on, with the reason why they cannot be passed through.
fn refusal(key: &str) -> Option<String> {
    let reason = match key {
        "bootstrap.servers" | "metadata.broker.list" => "use the setting `brokers`",
        "client.id" => "use the setting `client_id`; every group member needs a name of its own",
        "group.id" => "use the setting `group_id`",
        "group.instance.id" | "group.protocol" | "group.remote.assignor" | "partition.assignment.strategy" => {
            "partitions move by cooperative rebalancing; state depends on it"
        }
        "session.timeout.ms" | "heartbeat.interval.ms" | "max.poll.interval.ms" => "use the setting `session_timeout`",
        "enable.auto.commit"
        | "auto.commit.enable"
        | "auto.commit.interval.ms"
        | "enable.auto.offset.store"
        | "offset.store.method" => "offsets are committed only when all outputs are acknowledged",
        "auto.offset.reset" => "a partition without a committed offset is read from its start",
        "enable.partition.eof" => "the end of a partition is not an event here",
        "isolation.level" => "only committed records are read",
        "acks"
        | "request.required.acks"
        | "enable.idempotence"
        | "enable.gapless.guarantee"
        | "retries"
        | "message.send.max.retries"
        | "max.in.flight"
        | "max.in.flight.requests.per.connection"
        | "queuing.strategy" => "outputs are written idempotently and in order",
        "delivery.report.only.error" | "dr_cb" | "dr_msg_cb" => "every output's acknowledgement is needed",
        "partitioner" => "keys go to the partition that the Java client would choose",
        "transactional.id" | "transaction.timeout.ms" => "transactions are this program's own business",
        "message.timeout.ms" | "delivery.timeout.ms" => "use the setting `delivery_timeout`",
        "message.max.bytes" => "records of 16 MiB must fit the dead-letter topic",
        "queue.buffering.max.messages" | "queue.buffering.max.kbytes" => {
            "use the settings `max_in_flight_records` and `max_in_flight_bytes`"
        }
        "allow.auto.create.topics" => "topics are created by `credence topics create` only",
        "statistics.interval.ms" => "lag is computed from the statistics",
        "log.queue" | "enabled_events" => "logging is set up by this program",
        _ if key.starts_with("test.mock.") => "for librdkafka's own tests",
        _ => return None,
    };
    Some(reason.to_owned())
}

/// What librdkafka says about a property on its own. Properties that only fail in combination are found
/// when the client is created.
fn invalid(key: &str, value: &str) -> Option<String> {
    let mut config = ClientConfig::new();
    config.set(key, value);
    match config.create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(_, reason, _, _)) if is_secret(key) => {
            // librdkafka's text may quote the value.
            let unknown = reason.starts_with("No such configuration property");
            Some(if unknown { "no such property".to_owned() } else { "not a valid value".to_owned() })
        }
        Err(KafkaError::ClientConfig(_, reason, _, _)) => Some(reason),
        Err(other) => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut StreamConfig)) -> Vec<String> {
        let mut config = StreamConfig::new(Connection::new("127.0.0.1:9092"), "credence", "one");
        change(&mut config);
        match config.check() {
            Ok(()) => Vec::new(),
            Err(Error::Config(found)) => found.iter().map(ToString::to_string).collect(),
            Err(other) => panic!("{other}"),
        }
    }

    fn property(key: &str, value: &str) -> Vec<String> {
        problems(|config| {
            config.connection.properties.insert(key.to_owned(), value.to_owned());
        })
    }

    #[test]
    fn defaults_and_ordinary_properties_are_fine() {
        assert_eq!(problems(|_| ()), [""; 0]);
        for (key, value) in [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.password", "not shown"),
            ("linger.ms", "5"),
            ("compression.codec", "zstd"),
            ("fetch.min.bytes", "1000"),
            ("client.rack", "a"),
        ] {
            assert_eq!(property(key, value), [""; 0], "{key}");
        }
    }

    #[test]
    fn properties_that_the_design_depends_on_are_refused() {
        for key in [
            "bootstrap.servers",
            "group.id",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "acks",
            "partitioner",
            "transactional.id",
            "test.mock.num.brokers",
        ] {
            let found = property(key, "1");
            assert_eq!(found.len(), 1, "{key}: {found:?}");
            assert!(found[0].starts_with(&format!("properties.{key} = \"1\": ")), "{found:?}");
        }
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let found = problems(|config| {
            config.connection.brokers.clear();
            config.group_id.clear();
            config.workers = 0;
            config.session_timeout = Duration::from_secs(1);
            config.topics.verdicts = config.topics.events.clone();
            config.topics.dead = "no spaces".to_owned();
            let properties = &mut config.connection.properties;
            properties.insert("no.such.property".to_owned(), "1".to_owned());
            properties.insert("linger.ms".to_owned(), "soon".to_owned());
            properties.insert("acks".to_owned(), "0".to_owned());
        });
        assert_eq!(found.len(), 9, "{found:#?}");
        for part in [
            "brokers",
            "group_id",
            "workers = \"0\": 1 to 64",
            "session_timeout = \"1000 ms\"",
            "topics.verdicts = \"login-events\": each topic needs a name of its own",
            "topics.dead = \"no spaces\"",
            "properties.no.such.property",
            "properties.linger.ms = \"soon\"",
            "properties.acks",
        ] {
            assert!(found.iter().any(|line| line.contains(part)), "{part} in {found:#?}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let found = property("ssl.key.password.typo", "hunter2");
        assert!(found[0].contains("(hidden)") && !found[0].contains("hunter2"), "{found:?}");
        let mut connection = Connection::new("127.0.0.1:9092");
        connection.properties.insert("sasl.password".to_owned(), "hunter2".to_owned());
        assert!(!format!("{connection:?}").contains("hunter2"));
    }
}
