//! Everything that can go wrong, with what to do about it.

use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::config::ConfigProblem;

/// Why a stream, or one of the tools beside it, could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is wrong; every problem found is listed.
    #[error("{} wrong setting(s): {}", .0.len(), listed(.0))]
    Config(Vec<ConfigProblem>),

    /// A Kafka client could not be created from settings that are valid one by one.
    #[error("cannot create a Kafka {client}: {reason}; check the connection properties against each other")]
    Client {
        /// What kind of client.
        client: &'static str,
        /// librdkafka's explanation.
        reason: String,
    },

    /// The brokers did not answer in time.
    #[error(
        "no answer from the brokers {brokers} within {waited:?}: {reason}; check the address, that they \
         run, and the TLS and SASL properties"
    )]
    Unreachable {
        /// The addresses tried.
        brokers: String,
        /// How long was waited.
        waited: Duration,
        /// The last error seen.
        reason: String,
    },

    /// Topics that have to exist do not.
    #[error("topic(s) missing at {brokers}: {}; create them with `credence topics create`", .topics.join(", "))]
    MissingTopics {
        /// The brokers asked.
        brokers: String,
        /// The names of all topics that are missing.
        topics: Vec<String>,
    },

    /// Topics exist but cannot be used, for instance for lack of permission.
    #[error("topic(s) that cannot be used at {brokers}: {}; check the permissions of this client", .topics.join(", "))]
    UnusableTopics {
        /// The brokers asked.
        brokers: String,
        /// Each topic with what is wrong with it.
        topics: Vec<String>,
    },

    /// The metrics could not be registered.
    #[error("cannot register the stream's metrics: {0}; start one stream per registry")]
    Metrics(#[from] prometheus::Error),

    /// A worker thread could not be started.
    #[error("cannot start a worker thread: {0}; check the limit on threads")]
    Thread(#[from] std::io::Error),

    /// The changelog and the events have different numbers of partitions.
    #[error(
        "topic {events} has {found} partitions and topic {profiles} has {expected}: users would not find their \
         state; give both the same number (a topic cannot get fewer: make a new one)"
    )]
    Partitions {
        /// The input topic.
        events: String,
        /// Its partitions.
        found: i32,
        /// The changelog.
        profiles: String,
        /// Its partitions.
        expected: i32,
    },

    /// The topic of tenant settings is split.
    #[error(
        "topic {topic} has {found} partitions, and it needs exactly 1: settings have one order for all tenants; \
         a topic cannot get fewer: remove it and create it with `credence topics create`, or name another one"
    )]
    SettingsPartitions {
        /// The topic.
        topic: String,
        /// Its partitions.
        found: i32,
    },

    /// An administrative request (create or describe topics) failed.
    #[error("cannot {action}: {reason}")]
    Admin {
        /// What was tried.
        action: String,
        /// What the broker or librdkafka says.
        reason: String,
    },

    /// A record could not be written.
    #[error("cannot write to topic {topic}: {reason}")]
    Write {
        /// The topic.
        topic: String,
        /// What the broker or librdkafka says.
        reason: String,
    },

    /// Records were not acknowledged in time.
    #[error("{left} record(s) not acknowledged by the brokers within {waited:?}; check that they run")]
    NotAcknowledged {
        /// How many.
        left: usize,
        /// How long was waited.
        waited: Duration,
    },

    /// A record was written, and nobody knows where: the acknowledgement was lost, and the brokers do not say it
    /// again.
    #[error("a record was written to topic {topic}, but the brokers do not say at which offset; read the topic")]
    UnknownOffset {
        /// The topic.
        topic: String,
    },

    /// A topic could not be read.
    #[error("cannot read topic {topic}: {reason}")]
    Read {
        /// The topic.
        topic: String,
        /// What the broker or librdkafka says.
        reason: String,
    },

    /// The embedded broker failed.
    #[error("the embedded broker cannot {action}: {reason}")]
    Embedded {
        /// What was tried.
        action: String,
        /// librdkafka's explanation.
        reason: String,
    },
}

fn listed(problems: &[ConfigProblem]) -> String {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// Why a worker stopped before it was asked to. Nothing that was outstanding is committed then, so a
/// restart reads it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// An output was refused for good. Going on would lose a record.
    #[error("a {output} record could not be delivered to topic {topic}: {reason}; {advice}")]
    Undelivered {
        /// `verdict`, `log`, `profile` or `dead`.
        output: &'static str,
        /// The topic it was meant for.
        topic: String,
        /// What the broker or librdkafka says.
        reason: String,
        /// What to do.
        advice: &'static str,
    },

    /// The producer cannot go on without risking lost or reordered records.
    #[error("the producer cannot go on: {reason}; restart, nothing uncommitted is lost")]
    Producer {
        /// librdkafka's explanation.
        reason: String,
    },

    /// The consumer cannot go on.
    #[error("the consumer cannot go on: {reason}; restart, nothing uncommitted is lost")]
    Consumer {
        /// librdkafka's explanation.
        reason: String,
    },

    /// Partitions could not be taken over or given up, paused or resumed.
    #[error("cannot {action} partitions of {topic}: {reason}; restart, nothing uncommitted is lost")]
    Partitions {
        /// `take over`, `give up`, `pause`, `resume` or `rewind`.
        action: &'static str,
        /// The input topic.
        topic: String,
        /// librdkafka's explanation.
        reason: String,
    },

    /// The input topic got more partitions than the changelog has.
    #[error(
        "topic {topic} has {found} partitions now, {expected} when this was started: users of other partitions \
         would lose their state; see \"More partitions\" in docs/operations.md"
    )]
    PartitionsAdded {
        /// The input topic.
        topic: String,
        /// How many it has now.
        found: i32,
        /// How many it had.
        expected: i32,
    },

    /// The local state cannot be used.
    #[error(
        "{reason}; check the disk of `state.folder` and restart; the folder may be removed, its content is built anew"
    )]
    State {
        /// What is wrong with it.
        reason: String,
    },

    /// A thread could not be started.
    #[error("cannot start a thread: {reason}; check the limit on threads")]
    Thread {
        /// What the system says.
        reason: String,
    },

    /// The code that handles records panicked.
    #[error("the worker panicked: {reason}; this is a defect, please report it with the log")]
    Panicked {
        /// The panic's message, where it has one.
        reason: String,
    },
}

/// What to do about an output that was refused for good.
pub(crate) fn advice(code: Option<Code>) -> &'static str {
    match code {
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize) => {
            "raise the topic's max.message.bytes (it limits batches: see also the property batch.size)"
        }
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
            "create the topic with `credence topics create`"
        }
        Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            "allow this client to write to the topic"
        }
        Some(Code::MessageTimedOut) => "check that the brokers run and have enough replicas in sync, then restart",
        _ => "restart when the cause is gone",
    }
}

/// The metric label of an error: a small closed set.
pub(crate) fn class(code: Option<Code>) -> &'static str {
    match code {
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve | Code::NetworkException) => {
            "transport"
        }
        Some(Code::OperationTimedOut | Code::MessageTimedOut | Code::RequestTimedOut | Code::TimedOutQueue) => {
            "timeout"
        }
        Some(
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState,
        ) => "authentication",
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            "authorization"
        }
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::InvalidTopic) => {
            "topic"
        }
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize) => "size",
        Some(
            Code::PollExceeded
            | Code::UnknownMemberId
            | Code::IllegalGeneration
            | Code::RebalanceInProgress
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator
            | Code::WaitingForCoordinator
            | Code::InconsistentGroupProtocol
            | Code::AssignmentLost
            | Code::FencedInstanceId,
        ) => "group",
        Some(Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::NoOffset) => "offset",
        Some(Code::Fatal) => "fatal",
        _ => "other",
    }
}
