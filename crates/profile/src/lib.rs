//! What is remembered about one user of one tenant: devices, places, the mark of having logged in,
//! recent answers, attempts that wait for their completion.
//!
//! A [`Profile`] is a plain value; a stored one is a compact record of bytes ([`packed`]), because
//! there are millions of them. Everything in it is bounded. Cookies and user agents are kept as keyed
//! hashes only. This crate must not know how anything is scored, nor Kafka, clocks or files: time is
//! the event's.

#![forbid(unsafe_code)]

pub mod answers;
mod bytes;
pub mod devices;
pub mod fingerprint;
pub mod geometry;
pub mod packed;
mod packed_answer;
pub mod places;
pub mod recent;
pub mod waiting;

use model::Timestamp;
use model::time::DAY_MS;

pub use answers::StoredAssessment;
pub use devices::{Device, Devices};
pub use fingerprint::{AgentPrint, Fingerprints, HashKey};
pub use geometry::{Point, Spot};
pub use places::{LastPlace, Places, StoredPlace};
pub use recent::{Answers, RecentAnswer};
pub use waiting::{Waiting, WaitingAttempt};

/// Everything that is remembered about a user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// When the last learned login was; its presence is the mark of having logged in before.
    pub mark: Option<Timestamp>,
    /// Remembered devices.
    pub devices: Devices,
    /// The last place and the stored places.
    pub places: Places,
    /// The last answers given.
    pub answers: Answers,
    /// Attempts whose completion is still to come.
    pub waiting: Waiting,
}

impl Profile {
    /// Whether the user counts as one who has never logged in: there is no mark, or the last learned
    /// login is `days` or more before `now`. What is remembered counts no more then.
    #[must_use]
    pub fn is_forgotten_at(&self, now: Timestamp, days: u32) -> bool {
        let limit_ms = i64::from(days) * DAY_MS;
        self.mark.is_none_or(|mark| now.0 - mark.0 >= limit_ms)
    }

    /// Whether nothing of this can matter to an event at `now` or later: the history is forgotten, no
    /// attempt still waits, and no answer is near enough to be repeated.
    #[must_use]
    pub fn is_over_at(&self, now: Timestamp, days: u32, wait_ms: i64, repeat_ms: i64) -> bool {
        self.is_forgotten_at(now, days)
            && !self.waiting.0.iter().any(|waiting| waiting::in_time(waiting, now, wait_ms))
            && self.answers.iter().all(|recent| now.0 - recent.assessment.time.0 > repeat_ms)
    }

    /// Forgets what earlier logins taught. Answers and attempts under way are not history: they stay.
    pub fn forget_history(&mut self) {
        self.mark = None;
        self.devices.0.clear();
        self.places.last = None;
        self.places.stored.clear();
    }

    /// Forgets everything, and keeps the memory for what is remembered next.
    pub fn clear(&mut self) {
        self.mark = None;
        self.devices.0.clear();
        self.places.last = None;
        self.places.stored.clear();
        self.answers.clear();
        self.waiting.0.clear();
    }

    /// Renews the mark: the later of both logins counts.
    pub fn renew_mark(&mut self, time: Timestamp) {
        self.mark = Some(self.mark.map_or(time, |mark| mark.max(time)));
    }

    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { mark, devices, places, answers, waiting } = self;
        let places_empty = places.last.is_none() && places.stored.is_empty();
        mark.is_none() && devices.0.is_empty() && places_empty && answers.is_empty() && waiting.0.is_empty()
    }
}
