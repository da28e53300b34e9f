//! Attempts that were asked for a second factor and wait for their completion.

use std::net::IpAddr;

use model::Timestamp;

use crate::answers::StoredAssessment;
use crate::devices::{Shown, remove_first_min};
use crate::geometry::Spot;

/// An attempt that waits. It holds what it will teach.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingAttempt {
    /// Hash of the event's id.
    pub id: u64,
    /// Hash of the attempt's evidence.
    pub evidence: u32,
    /// The attempt's device.
    pub shown: Shown,
    /// The attempt's address, for the log record of its completion.
    pub address: Option<IpAddr>,
    /// The attempt's place, where it may be learnt.
    pub spot: Option<Spot>,
    /// Whether it may teach at all: not when its clock was wrong.
    pub teaches: bool,
    /// The answer that it was given.
    pub assessment: StoredAssessment,
}

/// A user's waiting attempts, in the order of arrival.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Waiting(pub Vec<WaitingAttempt>);

impl Waiting {
    /// Lets an attempt wait. The same id with the same evidence replaces the one that waits; when there
    /// are more than `max`, those whose time is up leave, then the one with the earliest time.
    pub fn add(&mut self, attempt: WaitingAttempt, max: usize, wait_ms: i64) {
        self.0.retain(|other| other.id != attempt.id || other.evidence != attempt.evidence);
        let now = attempt.assessment.time;
        self.0.push(attempt);
        if self.0.len() > max {
            self.0.retain(|waiting| in_time(waiting, now, wait_ms));
        }
        while self.0.len() > max {
            remove_first_min(&mut self.0, |waiting| waiting.assessment.time);
        }
    }

    /// The attempt that a completion is for: the first to arrive with its id whose cookie and user agent
    /// do not differ from the completion's where both bring one.
    #[must_use]
    pub fn position(&self, id: u64, shown: &Shown) -> Option<usize> {
        let agrees = |a: Option<u64>, b: Option<u64>| a.is_none() || b.is_none() || a == b;
        let text = |shown: &Shown| shown.agent.as_ref().map(|agent| agent.text);
        self.0.iter().position(|waiting| {
            waiting.id == id && agrees(waiting.shown.cookie, shown.cookie) && agrees(text(&waiting.shown), text(shown))
        })
    }
}

/// Whether an attempt still waits at a time: until `wait_ms` after it, not including that instant.
#[must_use]
pub fn in_time(waiting: &WaitingAttempt, now: Timestamp, wait_ms: i64) -> bool {
    now.0 - waiting.assessment.time.0 < wait_ms
}
