//! What an answer is remembered by: everything that it takes to write it again to the byte.

use std::net::IpAddr;
use std::sync::Arc;

use model::assessment::{Category, ListDetails, NamedPoint, Speed, TravelDetails};
use model::{Action, Answer, Assessment, Confidence, Decision, Details, Reason, RiskAssessment, Timestamp};

use crate::geometry::Spot;

/// An answer of one assessor, without its evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredAnswer {
    /// What it answered.
    pub answer: Answer,
    /// With which confidence.
    pub confidence: Confidence,
}

/// Evidence of ImpossibleTravel: what the distances and the speed are computed from again.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTravel {
    /// The reference point.
    pub from: Spot,
    /// When the user was there.
    pub from_time: Timestamp,
    /// The point of the attempt.
    pub to: Spot,
    /// Whether speed was computed.
    pub with_speed: bool,
    /// Whether the user was known at the point.
    pub known_place: bool,
}

impl StoredTravel {
    /// The evidence, for an attempt at `time`.
    #[must_use]
    pub fn details(&self, time: Timestamp) -> TravelDetails {
        let distance_km = self.from.point.distance_km(self.to.point);
        let effective_distance_km = self.from.effective_km(&self.to, distance_km);
        let elapsed_ms = time.distance_ms(self.from_time);
        TravelDetails {
            from: named(&self.from),
            from_time: self.from_time,
            to: named(&self.to),
            distance_km,
            effective_distance_km,
            speed: self
                .with_speed
                .then(|| Speed { elapsed_ms, speed_kmh: speed_kmh(effective_distance_km, elapsed_ms) }),
            known_place: self.known_place,
        }
    }
}

/// Speed over a distance; the time counts as one second at least.
#[must_use]
pub fn speed_kmh(distance_km: f64, elapsed_ms: i64) -> f64 {
    distance_km / (elapsed_ms.max(1000) as f64 / 3_600_000.0)
}

fn named(spot: &Spot) -> NamedPoint {
    NamedPoint {
        city: spot.city.clone(),
        country: spot.country.clone(),
        latitude: spot.point.latitude(),
        longitude: spot.point.longitude(),
    }
}

/// Evidence of UntrustedIP: the entry that counted.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    /// The address.
    pub ip: IpAddr,
    /// Length of the entry's prefix in bits.
    pub prefix_len: u8,
    /// The list's name.
    pub source: Arc<str>,
    /// The list's category.
    pub category: Category,
}

/// An assessment as it is remembered: everything that it takes to write it again to the byte.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAssessment {
    /// The time of the attempt.
    pub time: Timestamp,
    /// The combined confidence.
    pub confidence: Confidence,
    /// ImpossibleTravel's answer.
    pub impossible_travel: Option<StoredAnswer>,
    /// Its evidence.
    pub travel: Option<StoredTravel>,
    /// NewDevice's answer.
    pub new_device: Option<StoredAnswer>,
    /// With `partial_match`: it is the cookie that is known.
    pub cookie_known: bool,
    /// UntrustedIP's answer.
    pub untrusted_ip: Option<StoredAnswer>,
    /// Its evidence.
    pub entry: Option<StoredEntry>,
    /// What was decided.
    pub decision: Decision,
    /// Which data it was computed with: the number of a set of data versions.
    pub data_set: u32,
}

impl StoredAssessment {
    /// That of an attempt which is not assessed.
    #[must_use]
    pub fn none(time: Timestamp, data_set: u32) -> Self {
        Self {
            time,
            confidence: Confidence::Neutral,
            impossible_travel: None,
            travel: None,
            new_device: None,
            cookie_known: false,
            untrusted_ip: None,
            entry: None,
            decision: Decision::new(Action::None, Reason::NotAssessed),
            data_set,
        }
    }

    /// The assessment as it is written.
    #[must_use]
    pub fn risk_assessment(&self) -> RiskAssessment {
        let travel = self.travel.as_ref().map(|travel| Details::Travel(Box::new(travel.details(self.time))));
        let device = match self.new_device.map(|stored| stored.answer) {
            Some(Answer::DeviceMatch) => Some(Details::Device { device: true, useragent: true }),
            Some(Answer::DeviceNoMatch) => Some(Details::Device { device: false, useragent: false }),
            Some(Answer::DevicePartialMatch) => {
                Some(Details::Device { device: self.cookie_known, useragent: !self.cookie_known })
            }
            _ => None,
        };
        let list = self.entry.as_ref().map(|entry| {
            Details::List(ListDetails {
                ip: entry.ip,
                prefix_len: entry.prefix_len,
                source: entry.source.clone(),
                category: entry.category,
            })
        });
        let with = |stored: Option<StoredAnswer>, details| {
            stored.map(|StoredAnswer { answer, confidence }| Assessment { answer, confidence, details })
        };
        RiskAssessment {
            confidence: self.confidence,
            impossible_travel: with(self.impossible_travel, travel),
            new_device: with(self.new_device, device),
            untrusted_ip: with(self.untrusted_ip, list),
        }
    }
}
