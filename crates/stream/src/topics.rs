//! Creating the topics, and making sure that they exist. Topics are only ever created here, on request:
//! the workers refuse to start without them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;

use crate::client::{self, MAX_MESSAGE_BYTES};
use crate::config::{ConfigProblem, Connection, StreamConfig, Topics, topic_problem};
use crate::error::Error;
use crate::membership::Member;

/// How long one metadata request may take. Requests are repeated until the caller's own limit.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two metadata requests.
const METADATA_RETRY: Duration = Duration::from_millis(200);
/// How long a topic that was created may take until the brokers tell of it.
const VISIBLE_WITHIN: Duration = Duration::from_secs(5);
/// How long after a broker's first answer a topic may be missing at start: each broker learns of a new topic
/// in its own time, and this may be another one than told the creator of it.
const MISSING_WITHIN: Duration = Duration::from_secs(2);

/// A topic with the settings that it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// The topic's name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas of each partition; -1 leaves it to the cluster.
    pub replication: i32,
    /// Topic settings by Kafka's names.
    pub settings: BTreeMap<String, String>,
}

/// What can be chosen about the topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOptions {
    /// Partitions of the topics of events, verdicts, log records and profiles. State belongs to a partition
    /// of the events, so the number cannot be changed later.
    pub partitions: i32,
    /// Partitions of the dead-letter topic.
    pub dead_partitions: i32,
    /// Replicas of each partition; -1 leaves it to the cluster.
    pub replication: i32,
    /// How long events are kept.
    pub keep_events: Duration,
    /// How long verdicts are kept.
    pub keep_verdicts: Duration,
    /// How long log records are kept.
    pub keep_logs: Duration,
    /// How long dead letters are kept.
    pub keep_dead: Duration,
}

/// How long a removed key can be seen in the changelog. A local copy that is older than that may keep what
/// has expired, which no answer depends on.
const KEEP_TOMBSTONES: Duration = Duration::from_secs(7 * 24 * 3600);
/// The least time for which a settings document can still be read after another has taken its place: events are
/// answered again with what was in force when they came. As long as events are kept, where that is longer.
const KEEP_SUPERSEDED: Duration = Duration::from_secs(7 * 24 * 3600);
/// Only closed segments are compacted: small ones keep the changelog near the size of the state.
const COMPACTED_SEGMENT_BYTES: usize = 128 << 20;

/// The settings of all tenants have one order.
const SETTINGS_PARTITIONS: i32 = 1;

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for PlanOptions {
    fn default() -> PlanOptions {
        PlanOptions {
            partitions: 12,
            dead_partitions: 3,
            replication: -1,
            keep_events: 7 * DAY,
            keep_verdicts: DAY,
            keep_logs: 30 * DAY,
            keep_dead: 30 * DAY,
        }
    }
}

/// The topics of a stream, with the settings that each needs.
pub fn plan(topics: &Topics, options: &PlanOptions) -> Vec<TopicSpec> {
    // Events: a little more than the 1 MiB that is ever read as an event, so that one that is too large
    // can reach the dead-letter topic. Log records carry the event and what was found about it.
    let rows = [
        (&topics.events, options.partitions, Some(options.keep_events), 2 << 20),
        (&topics.verdicts, options.partitions, Some(options.keep_verdicts), 1 << 20),
        (&topics.logs, options.partitions, Some(options.keep_logs), 8 << 20),
        (&topics.dead, options.dead_partitions, Some(options.keep_dead), MAX_MESSAGE_BYTES),
        (&topics.profiles, options.partitions, None, 1 << 20),
        (&topics.settings, SETTINGS_PARTITIONS, None, 1 << 20),
    ];
    let specs = rows.into_iter().map(|(name, partitions, keep, max_bytes)| {
        let mut settings = BTreeMap::from([
            ("compression.type".to_owned(), "producer".to_owned()),
            ("max.message.bytes".to_owned(), max_bytes.to_string()),
        ]);
        let mut set = |key: &str, value: String| settings.insert(key.to_owned(), value);
        match keep {
            Some(keep) => {
                set("cleanup.policy", "delete".to_owned());
                set("retention.ms", keep.as_millis().to_string());
            }
            // State and settings: the newest value of each key, for ever.
            None => {
                set("cleanup.policy", "compact".to_owned());
                set("delete.retention.ms", KEEP_TOMBSTONES.as_millis().to_string());
                set("min.cleanable.dirty.ratio", "0.3".to_owned());
                set("segment.bytes", COMPACTED_SEGMENT_BYTES.to_string());
            }
        }
        if *name == topics.settings {
            let keep = options.keep_events.max(KEEP_SUPERSEDED);
            settings.insert("min.compaction.lag.ms".to_owned(), keep.as_millis().to_string());
        }
        if options.replication >= 3 {
            // An acknowledged record survives the loss of a broker, and one broker may be down.
            settings.insert("min.insync.replicas".to_owned(), "2".to_owned());
        }
        TopicSpec { name: name.clone(), partitions, replication: options.replication, settings }
    });
    specs.collect()
}

/// A difference between a topic that exists and what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `partitions`, `replication`, or the name of a topic setting.
    pub setting: String,
    /// What was asked for.
    pub wanted: String,
    /// What the topic has.
    pub found: String,
}

/// What became of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicOutcome {
    /// It did not exist and was created.
    Created,
    /// It exists. It was not altered; these are the differences.
    Exists(Vec<Difference>),
    /// It could not be created or examined.
    Failed(String),
}

/// A topic and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReport {
    /// The topic's name.
    pub name: String,
    /// What became of it.
    pub outcome: TopicOutcome,
}

/// Creates the topics that do not exist, and compares those that do with what was asked for. Existing
/// topics are never altered. Returns when the brokers tell of what was created, so that a consumer or a
/// producer that comes next finds it; this is waited for 5 seconds at most.
///
/// # Errors
/// When the settings are wrong or the brokers do not answer within `timeout`. What goes wrong with a single
/// topic is in its report.
pub fn create(connection: &Connection, specs: &[TopicSpec], timeout: Duration) -> Result<Vec<TopicReport>, Error> {
    let mut problems = connection.check();
    for spec in specs {
        if let Some(problem) = topic_problem(&spec.name) {
            problems.push(ConfigProblem {
                key: "topic".to_owned(),
                value: spec.name.clone(),
                problem: problem.to_owned(),
            });
        }
    }
    if !problems.is_empty() {
        return Err(Error::Config(problems));
    }
    let admin: AdminClient<DefaultClientContext> = AdminClient::from_config(&client::admin(connection))
        .map_err(|error| Error::Client { client: "admin client", reason: error.to_string() })?;
    // A broker that does not answer is told apart from a topic that cannot be created.
    wait_for_brokers(&admin, connection, timeout)?;
    let new_topics: Vec<NewTopic<'_>> = specs.iter().map(new_topic).collect();
    let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    let results = block_on(admin.create_topics(&new_topics, &options))
        .map_err(|error| Error::Admin { action: "create topics".to_owned(), reason: error.to_string() })?;
    let mut reports = Vec::new();
    for (spec, result) in specs.iter().zip(results) {
        let outcome = match result {
            Ok(_) => TopicOutcome::Created,
            Err((_, Code::TopicAlreadyExists)) => match differences(&admin, spec, timeout) {
                Ok(found) => TopicOutcome::Exists(found),
                Err(error) => TopicOutcome::Failed(format!("it exists, but cannot be examined: {error}")),
            },
            Err((_, code)) => TopicOutcome::Failed(code.to_string()),
        };
        reports.push(TopicReport { name: spec.name.clone(), outcome });
    }
    let created = |report: &&TopicReport| report.outcome == TopicOutcome::Created;
    let created: Vec<&str> = reports.iter().filter(created).map(|report| report.name.as_str()).collect();
    wait_until_visible(&admin, &created, timeout.min(VISIBLE_WITHIN));
    Ok(reports)
}

/// Waits until the brokers tell of all these topics, with leaders. They exist, so being late is no error:
/// whoever needs them looks again.
fn wait_until_visible(admin: &AdminClient<DefaultClientContext>, topics: &[&str], limit: Duration) {
    let started = Instant::now();
    let is_visible = |metadata: &Metadata, name: &str| {
        let topic = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none());
        let partitions = topic.map_or(&[][..], |topic| topic.partitions());
        !partitions.is_empty() && partitions.iter().all(|partition| partition.leader() >= 0)
    };
    let mut left = limit;
    while !topics.is_empty() && !left.is_zero() {
        // All topics, because a question for one could create it on a broker that does not know it yet.
        let metadata = admin.inner().fetch_metadata(None, left);
        if metadata.is_ok_and(|metadata| topics.iter().all(|topic| is_visible(&metadata, topic))) {
            return;
        }
        left = limit.saturating_sub(started.elapsed());
        thread::sleep(left.min(METADATA_RETRY));
    }
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    let mut topic = NewTopic::new(&spec.name, spec.partitions, TopicReplication::Fixed(spec.replication));
    for (key, value) in &spec.settings {
        topic = topic.set(key, value);
    }
    topic
}

fn wait_for_brokers(
    admin: &AdminClient<DefaultClientContext>,
    connection: &Connection,
    timeout: Duration,
) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        let left = timeout.saturating_sub(started.elapsed());
        match admin.inner().fetch_metadata(None, left.min(METADATA_TIMEOUT)) {
            Ok(_) => return Ok(()),
            Err(error) if started.elapsed() >= timeout => {
                return Err(Error::Unreachable {
                    brokers: connection.brokers.clone(),
                    waited: timeout,
                    reason: error.to_string(),
                });
            }
            Err(_) => thread::sleep(METADATA_RETRY),
        }
    }
}

fn differences(
    admin: &AdminClient<DefaultClientContext>,
    spec: &TopicSpec,
    timeout: Duration,
) -> Result<Vec<Difference>, KafkaError> {
    let mut found = Vec::new();
    let mut compare = |setting: &str, wanted: &str, has: &str| {
        if wanted != has {
            found.push(Difference { setting: setting.to_owned(), wanted: wanted.to_owned(), found: has.to_owned() });
        }
    };
    let metadata = admin.inner().fetch_metadata(Some(&spec.name), timeout)?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == spec.name);
    let partitions = topic.map_or(&[][..], |topic| topic.partitions());
    compare("partitions", &spec.partitions.to_string(), &partitions.len().to_string());
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min();
    if let Some(replicas) = replicas.filter(|_| spec.replication > 0) {
        compare("replication", &spec.replication.to_string(), &replicas.to_string());
    }
    let options = AdminOptions::new().request_timeout(Some(timeout));
    let described = block_on(admin.describe_configs(&[ResourceSpecifier::Topic(&spec.name)], &options))?;
    for resource in described {
        let resource = resource.map_err(KafkaError::AdminOp)?;
        for (key, wanted) in &spec.settings {
            let has = resource.get(key).and_then(|entry| entry.value.as_deref());
            compare(key, wanted, has.unwrap_or("(not set)"));
        }
    }
    Ok(found)
}

/// Makes sure that all topics of a stream exist, and returns how many partitions they have. Asks
/// with a consumer because a producer's question could create a topic. A topic that is missing may be a new
/// one: it is asked for again for [`MISSING_WITHIN`] in all.
pub(crate) fn verify(consumer: &Member, settings: &StreamConfig) -> Result<Counts, Error> {
    let started = Instant::now();
    let brokers = &settings.connection.brokers;
    let (mut missing, mut unusable) = (Vec::new(), Vec::new());
    let (mut counts, mut profiles, mut of_settings) = (Counts::default(), 0, 0);
    let mut first_answer = None;
    for (_, name) in settings.topics.named() {
        let found = loop {
            let left = settings.start_timeout.saturating_sub(started.elapsed());
            let timeout = left.min(METADATA_TIMEOUT);
            let examined = examine(consumer, name, timeout);
            let may_come = examined.is_ok() && first_answer.get_or_insert_with(Instant::now).elapsed() < MISSING_WITHIN;
            match examined {
                Ok(Examined::Missing) if may_come && left > METADATA_RETRY => thread::sleep(METADATA_RETRY),
                Ok(Examined::Unsettled(_)) | Err(_) if left > METADATA_RETRY => thread::sleep(METADATA_RETRY),
                Ok(found) => break found,
                Err(error) => {
                    return Err(Error::Unreachable {
                        brokers: brokers.clone(),
                        waited: settings.start_timeout,
                        reason: consumer.context().last_error().unwrap_or_else(|| error.to_string()),
                    });
                }
            }
        };
        match found {
            Examined::Missing => missing.push(name.to_owned()),
            Examined::Unsettled(code) | Examined::Refused(code) => unusable.push(format!("{name} ({code})")),
            Examined::Exists(partitions) if name == settings.topics.events => counts.events = partitions,
            Examined::Exists(partitions) if name == settings.topics.verdicts => counts.verdicts = partitions,
            Examined::Exists(partitions) if name == settings.topics.logs => counts.logs = partitions,
            Examined::Exists(partitions) if name == settings.topics.profiles => profiles = partitions,
            Examined::Exists(partitions) if name == settings.topics.settings => of_settings = partitions,
            Examined::Exists(_) => {}
        }
    }
    let brokers = brokers.clone();
    if !missing.is_empty() {
        return Err(Error::MissingTopics { brokers, topics: missing });
    }
    if !unusable.is_empty() {
        return Err(Error::UnusableTopics { brokers, topics: unusable });
    }
    if counts.events != profiles {
        let topics = &settings.topics;
        return Err(Error::Partitions {
            events: topics.events.clone(),
            found: counts.events,
            profiles: topics.profiles.clone(),
            expected: profiles,
        });
    }
    if of_settings != SETTINGS_PARTITIONS {
        return Err(Error::SettingsPartitions { topic: settings.topics.settings.clone(), found: of_settings });
    }
    Ok(counts)
}

/// How many partitions topics have.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) events: i32,
    pub(crate) verdicts: i32,
    pub(crate) logs: i32,
}

enum Examined {
    Exists(i32),
    Missing,
    Refused(Code),
    /// The cluster does not know yet: a leader is being elected, for instance.
    Unsettled(Code),
}

fn examine(consumer: &Member, name: &str, timeout: Duration) -> Result<Examined, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(name), timeout);
    // Serves the error callbacks, which know more than "timed out". Not subscribed yet: no record comes.
    let _ = consumer.poll(Duration::ZERO);
    let metadata = metadata?;
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
        return Ok(Examined::Missing);
    };
    let code = topic.error().map(Code::from);
    Ok(match code {
        None => Examined::Exists(i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX)),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Examined::Missing,
        Some(code @ (Code::LeaderNotAvailable | Code::NotLeaderForPartition)) => Examined::Unsettled(code),
        Some(code) => Examined::Refused(code),
    })
}

/// Waits for a future on this thread. The admin client's futures are completed by a thread of its own, so
/// no runtime is needed; their requests have timeouts, so this ends.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_gets_what_it_needs() {
        let options = PlanOptions { replication: 3, ..PlanOptions::default() };
        let specs = plan(&Topics::default(), &options);
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "login-events",
                "login-verdicts",
                "tenant-logs",
                "login-events-dead",
                "credence-profiles",
                "tenant-settings"
            ]
        );
        for spec in &specs {
            let is_compacted = ["credence-profiles", "tenant-settings"].contains(&spec.name.as_str());
            let policy = if is_compacted { "compact" } else { "delete" };
            assert_eq!(spec.settings["cleanup.policy"], policy);
            assert_eq!(spec.settings["min.insync.replicas"], "2");
        }
        assert_eq!(specs[4].partitions, specs[0].partitions);
        assert!(!specs[4].settings.contains_key("retention.ms"));
        assert_eq!(specs[0].partitions, 12);
        assert_eq!(specs[3].partitions, 3);
        assert_eq!(specs[3].settings["max.message.bytes"], (17 << 20).to_string());
        assert_eq!(specs[0].settings["retention.ms"], (7 * 24 * 3_600_000_u64).to_string());

        assert_eq!((specs[5].partitions, specs[5].replication), (1, 3));
        assert_eq!(specs[5].settings["max.message.bytes"], (1 << 20).to_string());
        assert!(!specs[4].settings.contains_key("min.compaction.lag.ms"));
        // Never shorter than a week, and as long as events are kept.
        for (days, kept) in [(1, 7), (7, 7), (30, 30)] {
            let specs = plan(&Topics::default(), &PlanOptions { keep_events: days * DAY, ..options.clone() });
            assert_eq!(specs[5].settings["min.compaction.lag.ms"], (kept * 24 * 3_600_000_u64).to_string());
        }

        let single = plan(&Topics::default(), &PlanOptions { replication: 1, ..options });
        assert!(single.iter().all(|spec| !spec.settings.contains_key("min.insync.replicas")));
    }
}
