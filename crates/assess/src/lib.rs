//! Scores one login attempt: three assessors, each answering with a code and a confidence, and the
//! combiner that makes one confidence of them.
//!
//! Everything here is a pure function of the attempt, the user's profile, what is known about the
//! address, and the settings. This crate must not know Kafka, async, clocks, files, encodings, or how
//! profiles are stored; it looks at a profile and never changes one.

#![forbid(unsafe_code)]

pub mod address;
pub mod combine;
pub mod impossible_travel;
pub mod location;
pub mod new_device;
pub mod settings;
pub mod untrusted_ip;

use std::net::IpAddr;

use model::evidence::SourceState;
use model::{Decision, Timestamp};
use profile::answers::StoredAnswer;
use profile::devices::Shown;
use profile::{Profile, StoredAssessment};

pub use address::AddressClass;
pub use location::Location;
pub use settings::{Learning, Settings};

/// Everything that the assessors look at, apart from the profile.
#[derive(Debug)]
pub struct Attempt {
    /// When it was tried.
    pub time: Timestamp,
    /// The address, canonical.
    pub address: Option<IpAddr>,
    /// What the address is.
    pub class: AddressClass,
    /// Whether there are deny lists or an Anonymous-IP database.
    pub lists: SourceState,
    /// Where the address is.
    pub location: Location,
    /// The device as it shows itself.
    pub shown: Shown,
    /// Whether NewDevice is asked; not where a flow has no browser.
    pub has_browser: bool,
    /// `stats.logins_count` of the event.
    pub logins_count: Option<i64>,
    /// The number of the set of data versions that the answer is computed with.
    pub data_set: u32,
}

/// Scores an attempt. `profile` is an empty one for a user of whom nothing is known, and `None` where
/// something is stored that cannot be read: NewDevice and ImpossibleTravel have failed then, for who might
/// be anybody must not look like a newcomer.
#[must_use]
pub fn assess(attempt: &Attempt, profile: Option<&Profile>, settings: &Settings) -> StoredAssessment {
    // Who has not logged in for so long starts anew. A login at a wrong time in the future only sees it so:
    // nothing is forgotten until a login is learnt.
    let blank = Profile::default();
    let profile = profile.map(|profile| match profile.is_forgotten_at(attempt.time, settings.profile_days) {
        true => &blank,
        false => profile,
    });
    let first_login = profile.is_some_and(|p| p.mark.is_none()) && attempt.logins_count.is_none_or(|count| count < 2);
    let (device, cookie_known) = new_device::assess(&attempt.shown, attempt.time, profile, first_login);
    let travel = impossible_travel::assess(attempt, profile, first_login, settings);
    let (travel_answer, travel_evidence) = travel.map_or((None, None), |(answer, evidence)| (Some(answer), evidence));
    let ip = untrusted_ip::assess(attempt);
    let entry = attempt.class.entry.as_ref().filter(|_| ip.is_some_and(untrusted_ip::is_listed));
    let rated = |answer| StoredAnswer { answer, confidence: settings.confidence(answer) };
    let impossible_travel = travel_answer.map(rated);
    let new_device = attempt.has_browser.then(|| rated(device));
    // A list's own confidence goes before its category's.
    let untrusted_ip = ip.map(|answer| match entry {
        Some(entry) => StoredAnswer { answer, confidence: entry.confidence },
        None => rated(answer),
    });
    let answers = [impossible_travel, new_device, untrusted_ip];
    let confidence = combine::combine(answers.into_iter().flatten(), settings);
    StoredAssessment {
        time: attempt.time,
        confidence,
        impossible_travel,
        travel: travel_evidence,
        new_device,
        cookie_known,
        untrusted_ip,
        entry: entry.map(|entry| entry.evidence.clone()),
        decision: Decision::by_confidence(confidence),
        data_set: attempt.data_set,
    }
}
