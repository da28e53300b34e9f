//! Reading a whole topic without being a member of any group: for who follows it, for tools, tests and benches.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client;
use crate::config::Connection;
use crate::error::Error;
use crate::headers::{self, OwnedHeader};

/// How long to wait for the brokers before reading starts.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long brokers that cannot answer yet are left alone before they are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Where to start reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At the oldest record of each partition.
    Beginning,
    /// After the newest record of each partition, at the time of the call.
    End,
    /// At this offset of each partition: at the oldest record where that is younger, at the end where that is
    /// before it.
    Offset(i64),
    /// At the first record of each partition with this timestamp or a later one, in milliseconds since 1970; at
    /// the end where there is none. Where producers set the timestamps, earlier ones may follow.
    Time(i64),
}

/// Whether records of transactions that are open or were aborted are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// They are not.
    Committed,
    /// They are.
    Uncommitted,
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub payload: Option<Vec<u8>>,
    /// The first 64 of its headers; empty when a name is not UTF-8.
    pub headers: Vec<OwnedHeader>,
}

impl Record {
    /// The value of the first header with this name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }
}

struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("tail: {error}: {reason}");
    }
}

impl ConsumerContext for Quiet {}

/// Reads all partitions of a topic.
pub struct Tail {
    consumer: BaseConsumer<Quiet>,
    topic: String,
    partitions: i32,
    ends: BTreeMap<i32, i64>,
    /// The offset after the last record that was read of each partition, or where it is known that no more come
    /// before it.
    next: BTreeMap<i32, i64>,
}

impl Tail {
    /// Starts reading. Partitions that are added later are not read. Brokers that go away while it reads are waited
    /// for.
    ///
    /// # Errors
    /// When the settings are wrong, the brokers do not answer within ten seconds, or the topic is missing.
    pub fn new(connection: &Connection, topic: &str, from: From, isolation: Isolation) -> Result<Tail, Error> {
        let problems = connection.check();
        if !problems.is_empty() {
            return Err(Error::Config(problems));
        }
        let isolation = match isolation {
            Isolation::Committed => "read_committed",
            Isolation::Uncommitted => "read_uncommitted",
        };
        let config = client::tail(connection, isolation);
        let consumer = BaseConsumer::from_config_and_context(&config, Quiet)
            .map_err(|error| Error::Client { client: "consumer", reason: error.to_string() })?;
        let deadline = Instant::now() + START_TIMEOUT;
        let partitions = partitions(&consumer, topic, deadline).map_err(|error| Error::Unreachable {
            brokers: connection.brokers.clone(),
            waited: START_TIMEOUT,
            reason: error.to_string(),
        })?;
        if partitions == 0 {
            return Err(Error::MissingTopics { brokers: connection.brokers.clone(), topics: vec![topic.to_owned()] });
        }
        let mut tail =
            Tail { consumer, topic: topic.to_owned(), partitions, ends: BTreeMap::new(), next: BTreeMap::new() };
        tail.assign(from, deadline).map_err(|error| tail.error(&error))?;
        Ok(tail)
    }

    fn assign(&mut self, from: From, deadline: Instant) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            // Asked for here and not left to the first fetch, so that what is written after this call is read;
            // and before the offsets for a time, so that nothing can be between the two.
            let (low, end) =
                self.ask(deadline, |consumer, wait| consumer.fetch_watermarks(&self.topic, partition, wait))?;
            let start = match from {
                From::Beginning => low,
                From::End => end,
                From::Offset(offset) => offset.clamp(low, end.max(low)),
                From::Time(time_ms) => self.first_since(partition, time_ms, deadline)?.unwrap_or(end),
            };
            self.ends.insert(partition, end);
            self.next.insert(partition, start);
            // Records may go by retention at any time: the beginning is the one at the first fetch.
            let start = if from == From::Beginning { Offset::Beginning } else { Offset::Offset(start) };
            list.add_partition_offset(&self.topic, partition, start)?;
        }
        self.consumer.assign(&list)
    }

    /// The offset of the first record with this timestamp or a later one.
    fn first_since(&self, partition: i32, time_ms: i64, deadline: Instant) -> Result<Option<i64>, KafkaError> {
        let mut list = TopicPartitionList::new();
        // To brokers negative times are names of places.
        let time = Offset::Offset(time_ms.max(0));
        list.add_partition_offset(&self.topic, partition, time)?;
        self.ask(deadline, |consumer, wait| {
            let found = consumer.offsets_for_times(list.clone(), wait)?;
            let Some(element) = found.find_partition(&self.topic, partition) else { return Ok(None) };
            element.error()?;
            Ok(if let Offset::Offset(offset) = element.offset() { Some(offset) } else { None })
        })
    }

    /// Asks until there is an answer or the deadline: the partition is known to exist, and brokers that say
    /// otherwise, or that another one leads it, have not heard of it yet. That is so right after the topic was made
    /// and while a leader is elected.
    fn ask<T>(
        &self,
        deadline: Instant,
        question: impl Fn(&BaseConsumer<Quiet>, Duration) -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        asked(deadline, |wait| {
            question(&self.consumer, wait).inspect_err(|_| {
                // Who leads is remembered by the client; this makes it look again.
                let _asked_again_anyway = self.consumer.fetch_metadata(Some(&self.topic), until(deadline));
            })
        })
    }

    /// How many partitions are read.
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// Where each partition ended when reading started: the offset after its last record that could be read then.
    /// With [`Isolation::Committed`] that is before the first open transaction.
    pub fn ends(&self) -> &BTreeMap<i32, i64> {
        &self.ends
    }

    /// Whether everything that could be read when reading started has come out of [`Tail::next`]. Once true, it
    /// stays true.
    pub fn is_caught_up(&self) -> bool {
        self.ends.iter().all(|(partition, end)| self.next.get(partition).is_some_and(|next| next >= end))
    }

    /// The next record; `None` when none came within `timeout`. Lost connections are mended meanwhile.
    ///
    /// # Errors
    /// When reading cannot go on.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Record>, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.consumer.poll(deadline.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => {
                    let record = owned(&message);
                    self.next.insert(record.partition, record.offset + 1);
                    return Ok(Some(record));
                }
                // Everything that could be read came before this; and there was no less of it at the start.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    let end = self.ends.get(&partition).copied().unwrap_or(0);
                    self.next.entry(partition).and_modify(|next| *next = end.max(*next)).or_insert(end);
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                }
                Some(Err(error)) if !is_passing(&error) => return Err(self.error(&error)),
                // A callback was served, or a broker is gone for now.
                Some(Err(_)) | None if Instant::now() < deadline => {}
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }

    /// Reads up to `count` records, fewer when they do not come within `timeout`.
    ///
    /// # Errors
    /// When reading cannot go on.
    pub fn take(&mut self, count: usize, timeout: Duration) -> Result<Vec<Record>, Error> {
        let deadline = Instant::now() + timeout;
        let mut records = Vec::new();
        while records.len() < count {
            match self.next(deadline.saturating_duration_since(Instant::now()))? {
                Some(record) => records.push(record),
                None => break,
            }
        }
        Ok(records)
    }

    fn error(&self, error: &KafkaError) -> Error {
        Error::Read { topic: self.topic.clone(), reason: error.to_string() }
    }
}

/// How many partitions the topic has; none when there is no such topic. Waits for a topic that is being made.
fn partitions(consumer: &BaseConsumer<Quiet>, topic: &str, deadline: Instant) -> Result<i32, KafkaError> {
    asked(deadline, |wait| {
        let metadata = consumer.fetch_metadata(Some(topic), wait)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(0) };
        match found.error().map(Code::from) {
            None => Ok(i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(0),
            Some(code) => Err(KafkaError::MetadataFetch(code)),
        }
    })
}

/// Asks until there is an answer, a refusal, or the deadline.
fn asked<T>(deadline: Instant, question: impl Fn(Duration) -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    loop {
        match question(until(deadline)) {
            Err(error) if !is_refusal(&error) && until(deadline) > ASK_AGAIN => std::thread::sleep(ASK_AGAIN),
            answer => return answer,
        }
    }
}

fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Whether the brokers understood and said no.
fn is_refusal(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::SaslAuthenticationFailed
                | Code::InvalidTopic
        )
    )
}

fn is_passing(error: &KafkaError) -> bool {
    if let KafkaError::MessageConsumptionFatal(_) = error {
        return false;
    }
    let is_gone = matches!(
        error.rdkafka_error_code(),
        Some(Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopic)
    );
    !is_gone && !is_refusal(error)
}

fn owned(message: &BorrowedMessage<'_>) -> Record {
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().and_then(|all| headers::all(all).ok()).unwrap_or_default(),
    }
}
