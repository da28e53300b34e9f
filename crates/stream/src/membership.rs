//! The callbacks of a worker's consumer: rebalances, statistics, errors.
//!
//! A rebalance callback only notes what happened; the worker deals with it after `poll` has returned,
//! because draining, committing and dropping state need the whole worker. librdkafka allows that: once it
//! has handed a rebalance to the application as an event, the group stays in its state "waiting for the
//! assign (or unassign) call" and fetches nothing until the application makes that call, from wherever and
//! whenever, within `max.poll.interval.ms`. It raises no further rebalance meanwhile, so the list of
//! changes stays short. rdkafka returns from `poll` right after the callback, so no record can slip in
//! between.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use crate::client;
use crate::metrics::{Rebalance, StreamMetrics};
use crate::statistics::{self, TopicStatistics};

/// A worker's consumer.
pub(crate) type Member = BaseConsumer<Membership>;

/// Partitions that come or go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Assigned(Vec<i32>),
    Revoked {
        partitions: Vec<i32>,
        /// They belong to somebody else already: nothing may be committed for them.
        lost: bool,
    },
}

/// What the callbacks have seen and the worker has not yet dealt with.
pub(crate) struct Membership {
    topic: String,
    changes: Mutex<VecDeque<Change>>,
    statistics: Mutex<Option<TopicStatistics>>,
    last_error: Mutex<Option<String>>,
    closing: AtomicBool,
    metrics: Arc<StreamMetrics>,
}

impl Membership {
    pub(crate) fn new(topic: &str, metrics: Arc<StreamMetrics>) -> Membership {
        Membership {
            topic: topic.to_owned(),
            changes: Mutex::new(VecDeque::new()),
            statistics: Mutex::new(None),
            last_error: Mutex::new(None),
            closing: AtomicBool::new(false),
            metrics,
        }
    }

    /// The oldest change that was not yet taken.
    pub(crate) fn next_change(&self) -> Option<Change> {
        lock(&self.changes).pop_front()
    }

    /// The newest statistics, once.
    pub(crate) fn take_statistics(&self) -> Option<TopicStatistics> {
        lock(&self.statistics).take()
    }

    /// The last error that librdkafka reported.
    pub(crate) fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    /// From now on partitions are given up within the callback: the worker has finished, and closing the
    /// consumer would wait for its answer for ever.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn stats_raw(&self, json: &[u8]) {
        if let Some(found) = statistics::parse(json, &self.topic) {
            *lock(&self.statistics) = Some(found);
        }
    }

    // The same errors come back from `poll`, where they are counted.
    fn error(&self, error: KafkaError, reason: &str) {
        *lock(&self.last_error) = Some(format!("{error}: {reason}"));
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Membership>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let assigned = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => true,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => false,
            other => {
                // rdkafka passes on no other event; should that change, the group's state is unknown.
                tracing::error!("unexpected rebalance event: {}", RDKafkaErrorCode::from(other));
                return;
            }
        };
        if self.closing.load(Ordering::SeqCst) {
            let done = if assigned { consumer.incremental_assign(list) } else { consumer.incremental_unassign(list) };
            if let Err(error) = done {
                tracing::warn!("giving up partitions while closing: {error}");
            }
            return;
        }
        let partitions = list.elements().iter().map(|element| element.partition()).collect();
        let change = if assigned {
            self.metrics.rebalance(Rebalance::Assign);
            Change::Assigned(partitions)
        } else {
            let lost = consumer.assignment_lost();
            self.metrics.rebalance(if lost { Rebalance::Lost } else { Rebalance::Revoke });
            Change::Revoked { partitions, lost }
        };
        lock(&self.changes).push_back(change);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
