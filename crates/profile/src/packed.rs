//! A profile as a compact record of bytes: MessagePack arrays behind a version byte.
//!
//! Three things keep it small: times are written as differences to one of them, spots are written once
//! and referred to by number, and an answer's words are packed into one integer. A record of another
//! version or a damaged one is an error, never a guess.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use model::assessment::Category;
use model::evidence::Version;
use model::{Action, Answer, Confidence, Decision, Reason, Timestamp};
use serde::{Deserialize, Serialize};

use crate::answers::{RecentAnswer, StoredAnswer, StoredAssessment, StoredEntry, StoredTravel};
use crate::devices::{Device, Shown};
use crate::fingerprint::AgentPrint;
use crate::geometry::{Point, Spot};
use crate::places::{LastPlace, StoredPlace};
use crate::waiting::WaitingAttempt;
use crate::{Answers, Devices, Places, Profile, Waiting};

/// Version of the format, the first byte of every record.
pub const FORMAT_VERSION: u8 = 1;

/// A stored profile cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorruptProfile {
    /// Written by a program that knows another format.
    #[error("profile format {0} is not known; this program reads format {FORMAT_VERSION}")]
    UnknownVersion(u8),
    /// Not what this program writes.
    #[error("the profile's bytes are damaged: {0}")]
    Damaged(String),
}

/// Writes a profile.
#[must_use]
pub fn pack(profile: &Profile) -> Box<[u8]> {
    let base = profile.mark.or_else(|| profile.answers.0.last().map(|answer| answer.assessment.time));
    let mut packer = Packer { base: base.unwrap_or_default().0, spots: Vec::with_capacity(8) };
    let devices = profile.devices.0.iter().map(|device| packer.device(device)).collect();
    let stored = profile.places.stored.iter();
    let stored = stored.map(|place| (packer.spot(&place.spot), packer.time(place.last_seen))).collect();
    let last = profile.places.last.as_ref().map(|last| (packer.spot(&last.spot), packer.time(last.time)));
    let answers = profile.answers.0.iter();
    let answers = answers.map(|answer| (answer.id, answer.evidence, packer.assessment(answer))).collect();
    let waiting = profile.waiting.0.iter().map(|waiting| packer.waiting(waiting)).collect();
    let record = Record {
        base: packer.base,
        mark: profile.mark.map(|mark| packer.time(mark)),
        devices,
        spots: packer.spots.iter().map(|spot| SpotRecord::from(*spot)).collect(),
        stored,
        last,
        answers,
        waiting,
    };
    let mut bytes = Vec::with_capacity(512);
    bytes.push(FORMAT_VERSION);
    // Writing these types to memory cannot fail; an empty record would be refused by `unpack`.
    if rmp_serde::encode::write(&mut bytes, &record).is_err() {
        bytes.truncate(1);
    }
    bytes.into_boxed_slice()
}

/// Reads a profile.
///
/// # Errors
/// [`CorruptProfile`] when the bytes are not what [`pack`] of this version writes.
pub fn unpack(bytes: &[u8]) -> Result<Profile, CorruptProfile> {
    let (&version, body) = bytes.split_first().ok_or_else(|| CorruptProfile::Damaged("no bytes".into()))?;
    if version != FORMAT_VERSION {
        return Err(CorruptProfile::UnknownVersion(version));
    }
    let record: Record<'_> = rmp_serde::from_slice(body).map_err(|error| CorruptProfile::Damaged(error.to_string()))?;
    let unpacker = Unpacker { base: record.base, spots: record.spots.into_iter().map(Spot::from).collect() };
    unpacker
        .profile(record.mark, record.devices, record.stored, record.last, record.answers, record.waiting)
        .ok_or_else(|| CorruptProfile::Damaged("a number is out of range".into()))
}

/// The number of a spot in the record's table.
type SpotNumber = u16;
/// A stored place or the last place: spot and time.
type PlaceRecord = (SpotNumber, i64);
/// A recent answer: id, evidence, answer.
type AnswerRecord<'a> = (u64, u64, AssessmentRecord<'a>);

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    base: i64,
    mark: Option<i64>,
    devices: Vec<DeviceRecord>,
    #[serde(borrow)]
    spots: Vec<SpotRecord<'a>>,
    stored: Vec<PlaceRecord>,
    last: Option<PlaceRecord>,
    #[serde(borrow)]
    answers: Vec<AnswerRecord<'a>>,
    #[serde(borrow)]
    waiting: Vec<WaitingRecord<'a>>,
}

#[derive(Serialize, Deserialize)]
struct DeviceRecord {
    cookie: Option<u64>,
    agent: Option<AgentRecord>,
    expiry: i64,
}

#[derive(Serialize, Deserialize)]
struct AgentRecord(u64, Option<(u32, Vec<u64>)>);

#[derive(Serialize, Deserialize)]
struct SpotRecord<'a>(i32, i32, u32, Option<&'a str>, Option<&'a str>);

#[derive(Serialize, Deserialize)]
struct AssessmentRecord<'a> {
    time: i64,
    words: u32,
    /// Reference spot, its time, spot of the attempt, whether there is speed, whether it is known.
    travel: Option<(SpotNumber, i64, SpotNumber, u8)>,
    #[serde(borrow)]
    entry: Option<EntryRecord<'a>>,
    data_set: u32,
}

/// Address, prefix length, list, category.
#[derive(Serialize, Deserialize)]
struct EntryRecord<'a>(IpRecord, u8, &'a str, u8);

#[derive(Serialize, Deserialize)]
enum IpRecord {
    V4(u32),
    V6(u64, u64),
}

#[derive(Serialize, Deserialize)]
struct WaitingRecord<'a> {
    id: u64,
    evidence: u64,
    cookie: Option<u64>,
    agent: Option<AgentRecord>,
    address: Option<IpRecord>,
    spot: Option<SpotNumber>,
    teaches: bool,
    #[serde(borrow)]
    assessment: AssessmentRecord<'a>,
}

struct Packer<'p> {
    base: i64,
    spots: Vec<&'p Spot>,
}

impl<'p> Packer<'p> {
    fn time(&self, time: Timestamp) -> i64 {
        time.0 - self.base
    }

    fn spot(&mut self, spot: &'p Spot) -> SpotNumber {
        let found = self.spots.iter().position(|known| *known == spot);
        // At most 10 stored places, the last place, two spots each of 8 answers and three each of 8
        // waiting attempts by default; the configuration's limits keep it below 65,536 in any case.
        found.unwrap_or_else(|| {
            self.spots.push(spot);
            self.spots.len() - 1
        }) as SpotNumber
    }

    fn device(&self, device: &Device) -> DeviceRecord {
        DeviceRecord {
            cookie: device.cookie,
            agent: device.agent.as_ref().map(AgentRecord::from),
            expiry: self.time(device.expiry),
        }
    }

    fn assessment(&mut self, recent: &'p RecentAnswer) -> AssessmentRecord<'p> {
        self.answer(&recent.assessment, recent.success_logged)
    }

    fn waiting(&mut self, waiting: &'p WaitingAttempt) -> WaitingRecord<'p> {
        WaitingRecord {
            id: waiting.id,
            evidence: waiting.evidence,
            cookie: waiting.shown.cookie,
            agent: waiting.shown.agent.as_ref().map(AgentRecord::from),
            address: waiting.address.map(IpRecord::from),
            spot: waiting.spot.as_ref().map(|spot| self.spot(spot)),
            teaches: waiting.teaches,
            assessment: self.answer(&waiting.assessment, false),
        }
    }

    fn answer(&mut self, stored: &'p StoredAssessment, success_logged: bool) -> AssessmentRecord<'p> {
        AssessmentRecord {
            time: self.time(stored.time),
            words: pack_words(stored, success_logged),
            travel: stored.travel.as_ref().map(|travel| {
                let flags = u8::from(travel.with_speed) | u8::from(travel.known_place) << 1;
                (self.spot(&travel.from), self.time(travel.from_time), self.spot(&travel.to), flags)
            }),
            entry: stored
                .entry
                .as_ref()
                .map(|entry| EntryRecord(entry.ip.into(), entry.prefix_len, &entry.source, entry.category as u8)),
            data_set: stored.data_set,
        }
    }
}

/// The words of an answer in one integer: from the lowest bit the combined confidence (2 bits), then for
/// each assessor the answer's number plus one, 0 for none (6 bits), and its confidence (2 bits), then
/// one bit each for `cookie_known`, a challenge, `success_logged`.
fn pack_words(stored: &StoredAssessment, success_logged: bool) -> u32 {
    let mut words = stored.confidence as u32;
    let mut shift = 2;
    for answer in [stored.impossible_travel, stored.new_device, stored.untrusted_ip] {
        let bits = answer.map_or(0, |stored| (stored.answer as u32 + 1) | (stored.confidence as u32) << 6);
        words |= bits << shift;
        shift += 8;
    }
    let challenge = stored.decision.action == Action::Challenge;
    words | u32::from(stored.cookie_known) << 26 | u32::from(challenge) << 27 | u32::from(success_logged) << 28
}

struct Unpacker {
    base: i64,
    spots: Vec<Spot>,
}

impl Unpacker {
    fn profile(
        &self,
        mark: Option<i64>,
        devices: Vec<DeviceRecord>,
        stored: Vec<PlaceRecord>,
        last: Option<PlaceRecord>,
        answers: Vec<AnswerRecord<'_>>,
        waiting: Vec<WaitingRecord<'_>>,
    ) -> Option<Profile> {
        let mark = match mark {
            None => None,
            Some(mark) => Some(self.time(mark)?),
        };
        let device = |device: DeviceRecord| {
            let expiry = self.time(device.expiry)?;
            Some(Device { cookie: device.cookie, agent: device.agent.map(AgentPrint::from), expiry })
        };
        let place = |(spot, seen)| Some(StoredPlace { spot: self.spot(spot)?, last_seen: self.time(seen)? });
        let last = match last {
            None => None,
            Some((spot, time)) => Some(LastPlace { spot: self.spot(spot)?, time: self.time(time)? }),
        };
        let answer = |(id, evidence, record): AnswerRecord<'_>| {
            let success_logged = record.words >> 28 & 1 == 1;
            Some(RecentAnswer { id, evidence, assessment: self.assessment(record)?, success_logged })
        };
        Some(Profile {
            mark,
            devices: Devices(devices.into_iter().map(device).collect::<Option<_>>()?),
            places: Places { last, stored: stored.into_iter().map(place).collect::<Option<_>>()? },
            answers: Answers(answers.into_iter().map(answer).collect::<Option<_>>()?),
            waiting: Waiting(waiting.into_iter().map(|record| self.waiting(record)).collect::<Option<_>>()?),
        })
    }

    fn time(&self, difference: i64) -> Option<Timestamp> {
        self.base.checked_add(difference).map(Timestamp)
    }

    fn spot(&self, number: SpotNumber) -> Option<Spot> {
        self.spots.get(usize::from(number)).cloned()
    }

    fn waiting(&self, record: WaitingRecord<'_>) -> Option<WaitingAttempt> {
        let spot = match record.spot {
            None => None,
            Some(number) => Some(self.spot(number)?),
        };
        Some(WaitingAttempt {
            id: record.id,
            evidence: record.evidence,
            shown: Shown { cookie: record.cookie, agent: record.agent.map(AgentPrint::from) },
            address: record.address.map(IpAddr::from),
            spot,
            teaches: record.teaches,
            assessment: self.assessment(record.assessment)?,
        })
    }

    fn assessment(&self, record: AssessmentRecord<'_>) -> Option<StoredAssessment> {
        let words = record.words;
        let confidence = |bits: u32| Confidence::ALL[(bits & 3) as usize];
        let answer = |index: u32| {
            let bits = words >> (2 + 8 * index);
            match bits & 0x3f {
                0 => Some(None),
                number => {
                    let answer = Answer::from_number((number - 1) as u8)?;
                    Some(Some(StoredAnswer { answer, confidence: confidence(bits >> 6) }))
                }
            }
        };
        let travel = match record.travel {
            None => None,
            Some((from, from_time, to, flags)) => Some(StoredTravel {
                from: self.spot(from)?,
                from_time: self.time(from_time)?,
                to: self.spot(to)?,
                with_speed: flags & 1 == 1,
                known_place: flags & 2 == 2,
            }),
        };
        let entry = match record.entry {
            None => None,
            Some(EntryRecord(ip, prefix_len, source, category)) => Some(StoredEntry {
                ip: ip.into(),
                prefix_len,
                source: Arc::from(source),
                category: Category::ALL.into_iter().find(|known| *known as u8 == category)?,
            }),
        };
        let decision = if words >> 27 & 1 == 1 {
            Decision { action: Action::Challenge, reason: Reason::ConfidenceLow }
        } else {
            Decision { action: Action::None, reason: Reason::ConfidenceNotLow }
        };
        Some(StoredAssessment {
            time: self.time(record.time)?,
            confidence: confidence(words),
            impossible_travel: answer(0)?,
            travel,
            new_device: answer(1)?,
            cookie_known: words >> 26 & 1 == 1,
            untrusted_ip: answer(2)?,
            entry,
            decision,
            data_set: record.data_set,
        })
    }
}

impl From<IpAddr> for IpRecord {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => IpRecord::V4(v4.to_bits()),
            IpAddr::V6(v6) => IpRecord::V6((v6.to_bits() >> 64) as u64, v6.to_bits() as u64),
        }
    }
}

impl From<IpRecord> for IpAddr {
    fn from(record: IpRecord) -> Self {
        match record {
            IpRecord::V4(bits) => Ipv4Addr::from_bits(bits).into(),
            IpRecord::V6(high, low) => Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into(),
        }
    }
}

impl From<&AgentPrint> for AgentRecord {
    fn from(print: &AgentPrint) -> Self {
        AgentRecord(print.text, print.browser.as_ref().map(|(family, version)| (*family, version.parts().to_vec())))
    }
}

impl From<AgentRecord> for AgentPrint {
    fn from(AgentRecord(text, browser): AgentRecord) -> Self {
        AgentPrint { text, browser: browser.map(|(family, parts)| (family, Version::from_parts(parts))) }
    }
}

impl<'p> From<&'p Spot> for SpotRecord<'p> {
    fn from(spot: &'p Spot) -> Self {
        SpotRecord(
            spot.point.latitude_e7,
            spot.point.longitude_e7,
            spot.radius_m,
            spot.city.as_deref(),
            spot.country.as_deref(),
        )
    }
}

impl From<SpotRecord<'_>> for Spot {
    fn from(SpotRecord(latitude_e7, longitude_e7, radius_m, city, country): SpotRecord<'_>) -> Self {
        Spot {
            point: Point { latitude_e7, longitude_e7 },
            radius_m,
            city: city.map(Arc::from),
            country: country.map(Arc::from),
        }
    }
}
