//! A profile as a compact record of bytes behind a version byte.
//!
//! Every event reads one and most write one, and there are millions of them, so the format is made by
//! hand: times are differences to one of them, a spot is written where it is first named and is a number
//! from then on, an answer's words are one integer. A record of another version or a damaged one is an
//! error, never a guess.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use model::assessment::Category;
use model::evidence::Version;
use model::{Action, Answer, Confidence, Decision, Reason, Timestamp};

use crate::answers::{RecentAnswer, StoredAnswer, StoredAssessment, StoredEntry, StoredTravel};
use crate::bytes::{Reader, Writer};
use crate::devices::{Device, Shown};
use crate::fingerprint::AgentPrint;
use crate::geometry::{Point, Spot};
use crate::places::{LastPlace, StoredPlace};
use crate::waiting::WaitingAttempt;
use crate::{Answers, Devices, Places, Profile, Waiting};

/// Version of the format, the first byte of every record.
pub const FORMAT_VERSION: u8 = 1;
/// Room for a record while it is written; few are longer.
const USUAL_BYTES: usize = 1024;
/// Room for a list while it is read; few are longer.
const USUAL_LENGTH: usize = 10;
/// No time is further from the epoch, in milliseconds: differences of times cannot overflow.
const MAX_TIME_MS: u64 = 1 << 52;

/// A stored profile cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorruptProfile {
    /// Written by a program that knows another format.
    #[error("profile format {0} is not known; this program reads format {FORMAT_VERSION}")]
    UnknownVersion(u8),
    /// Not what this program writes.
    #[error("the profile's {0} bytes are damaged")]
    Damaged(usize),
}

/// Writes a profile.
#[must_use]
pub fn pack(profile: &Profile) -> Box<[u8]> {
    let base = profile.mark.or_else(|| profile.answers.0.last().map(|answer| answer.assessment.time));
    let base = base.unwrap_or_default().0;
    let mut packer = Packer { out: Writer(Vec::with_capacity(USUAL_BYTES)), base, spots: Vec::with_capacity(8) };
    packer.profile(profile);
    // A copy takes no more room than it needs; a shrunk buffer may keep its size class.
    Box::from(packer.out.0.as_slice())
}

/// Reads a profile.
///
/// # Errors
/// [`CorruptProfile`] when the bytes are not what [`pack`] of this version writes.
pub fn unpack(bytes: &[u8]) -> Result<Profile, CorruptProfile> {
    let (&version, body) = bytes.split_first().ok_or(CorruptProfile::Damaged(0))?;
    if version != FORMAT_VERSION {
        return Err(CorruptProfile::UnknownVersion(version));
    }
    let mut unpacker = Unpacker { body: Reader(body), base: 0, spots: Vec::with_capacity(8) };
    let profile = unpacker.profile().filter(|_| unpacker.body.0.is_empty());
    profile.ok_or(CorruptProfile::Damaged(bytes.len()))
}

/// What is there of a device, of a waiting attempt: one bit each.
mod has {
    pub(super) const COOKIE: u8 = 1;
    pub(super) const AGENT: u8 = 2;
    pub(super) const BROWSER: u8 = 4;
    pub(super) const IPV4: u8 = 8;
    pub(super) const IPV6: u8 = 16;
    pub(super) const SPOT: u8 = 32;
    pub(super) const TEACHES: u8 = 64;
}

/// Flags of an answer's travel; 0 where there is none.
mod travel {
    pub(super) const THERE: u8 = 1;
    pub(super) const WITH_SPEED: u8 = 2;
    pub(super) const KNOWN_PLACE: u8 = 4;
}

/// The words of an answer are one integer: from the lowest bit the combined confidence (2 bits), then
/// for each assessor the answer's number plus one, 0 for none (6 bits), and its confidence (2 bits), then
/// one bit each for these.
mod words {
    pub(super) const COOKIE_KNOWN: u32 = 1 << 26;
    pub(super) const CHALLENGE: u32 = 1 << 27;
    pub(super) const SUCCESS_LOGGED: u32 = 1 << 28;
    pub(super) const LISTED: u32 = 1 << 29;
}

struct Packer<'p> {
    out: Writer,
    base: i64,
    /// The spots that were written, in their order.
    spots: Vec<&'p Spot>,
}

impl<'p> Packer<'p> {
    fn profile(&mut self, profile: &'p Profile) {
        let Profile { mark, devices, places, answers, waiting } = profile;
        self.out.byte(FORMAT_VERSION);
        self.out.signed(self.base);
        self.out.byte(u8::from(mark.is_some()));
        if let Some(mark) = mark {
            self.time(*mark);
        }
        self.out.number(devices.0.len() as u64);
        for Device { cookie, agent, expiry } in &devices.0 {
            self.out.byte(shown_flags(*cookie, agent.as_ref()));
            self.shown(*cookie, agent.as_ref());
            self.time(*expiry);
        }
        self.out.number(places.stored.len() as u64);
        for StoredPlace { spot, last_seen } in &places.stored {
            self.spot(spot);
            self.time(*last_seen);
        }
        self.out.byte(u8::from(places.last.is_some()));
        if let Some(LastPlace { spot, time }) = &places.last {
            self.spot(spot);
            self.time(*time);
        }
        self.out.number(answers.0.len() as u64);
        for RecentAnswer { id, evidence, assessment, success_logged } in &answers.0 {
            self.out.fixed(id.to_le_bytes());
            self.out.fixed(evidence.to_le_bytes());
            self.assessment(assessment, *success_logged);
        }
        self.out.number(waiting.0.len() as u64);
        for waiting in &waiting.0 {
            self.waiting(waiting);
        }
    }

    fn time(&mut self, time: Timestamp) {
        self.out.signed(time.0.wrapping_sub(self.base));
    }

    /// A spot's number; a number that is new is followed by the spot.
    fn spot(&mut self, spot: &'p Spot) {
        let found = self.spots.iter().position(|known| *known == spot);
        self.out.number(found.unwrap_or(self.spots.len()) as u64);
        if found.is_none() {
            self.spots.push(spot);
            self.out.fixed(spot.point.latitude_e7.to_le_bytes());
            self.out.fixed(spot.point.longitude_e7.to_le_bytes());
            self.out.number(spot.radius_m.into());
            for name in [&spot.city, &spot.country] {
                self.out.byte(u8::from(name.is_some()));
                if let Some(name) = name {
                    self.out.text(name);
                }
            }
        }
    }

    fn shown(&mut self, cookie: Option<u64>, agent: Option<&AgentPrint>) {
        if let Some(cookie) = cookie {
            self.out.fixed(cookie.to_le_bytes());
        }
        let Some(agent) = agent else { return };
        self.out.fixed(agent.text.to_le_bytes());
        let Some((family, version)) = &agent.browser else { return };
        self.out.fixed(family.to_le_bytes());
        self.out.number(version.parts().len() as u64);
        for part in version.parts() {
            self.out.number(*part);
        }
    }

    fn address(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(v4) => self.out.fixed(v4.octets()),
            IpAddr::V6(v6) => self.out.fixed(v6.octets()),
        }
    }

    fn assessment(&mut self, stored: &'p StoredAssessment, success_logged: bool) {
        self.time(stored.time);
        self.out.fixed(pack_words(stored, success_logged).to_le_bytes());
        self.out.number(stored.data_set.into());
        match &stored.travel {
            None => self.out.byte(0),
            Some(StoredTravel { from, from_time, to, with_speed, known_place }) => {
                let speed = if *with_speed { travel::WITH_SPEED } else { 0 };
                let known = if *known_place { travel::KNOWN_PLACE } else { 0 };
                self.out.byte(travel::THERE | speed | known);
                self.spot(from);
                self.time(*from_time);
                self.spot(to);
            }
        }
        if let Some(StoredEntry { ip, prefix_len, source, category }) = &stored.entry {
            self.out.byte(address_flag(*ip));
            self.address(*ip);
            self.out.byte(*prefix_len);
            self.out.text(source);
            self.out.byte(*category as u8);
        }
    }

    fn waiting(&mut self, waiting: &'p WaitingAttempt) {
        let WaitingAttempt { id, evidence, shown, address, spot, teaches, assessment } = waiting;
        self.out.fixed(id.to_le_bytes());
        self.out.fixed(evidence.to_le_bytes());
        let spot_flag = if spot.is_some() { has::SPOT } else { 0 };
        let teaches = if *teaches { has::TEACHES } else { 0 };
        let address_flag = address.map_or(0, address_flag);
        self.out.byte(shown_flags(shown.cookie, shown.agent.as_ref()) | address_flag | spot_flag | teaches);
        self.shown(shown.cookie, shown.agent.as_ref());
        if let Some(ip) = address {
            self.address(*ip);
        }
        if let Some(spot) = spot {
            self.spot(spot);
        }
        self.assessment(assessment, false);
    }
}

fn shown_flags(cookie: Option<u64>, agent: Option<&AgentPrint>) -> u8 {
    let cookie = if cookie.is_some() { has::COOKIE } else { 0 };
    cookie
        | match agent {
            None => 0,
            Some(AgentPrint { browser: None, .. }) => has::AGENT,
            Some(_) => has::AGENT | has::BROWSER,
        }
}

fn address_flag(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { has::IPV4 } else { has::IPV6 }
}

fn pack_words(stored: &StoredAssessment, success_logged: bool) -> u32 {
    let mut packed = stored.confidence as u32;
    let mut shift = 2;
    for answer in [stored.impossible_travel, stored.new_device, stored.untrusted_ip] {
        let bits = answer.map_or(0, |stored| (stored.answer as u32 + 1) | (stored.confidence as u32) << 6);
        packed |= bits << shift;
        shift += 8;
    }
    let flag = |is_set: bool, bit| if is_set { bit } else { 0 };
    packed
        | flag(stored.cookie_known, words::COOKIE_KNOWN)
        | flag(stored.decision.action == Action::Challenge, words::CHALLENGE)
        | flag(success_logged, words::SUCCESS_LOGGED)
        | flag(stored.entry.is_some(), words::LISTED)
}

struct Unpacker<'a> {
    body: Reader<'a>,
    base: i64,
    spots: Vec<Spot>,
}

impl Unpacker<'_> {
    fn profile(&mut self) -> Option<Profile> {
        self.base = self.body.signed()?;
        let mark = if self.flag()? { Some(self.time()?) } else { None };
        let devices = Devices(self.list(Self::device)?);
        let stored = self.list(|this| Some(StoredPlace { spot: this.spot()?, last_seen: this.time()? }))?;
        let last = if self.flag()? { Some(LastPlace { spot: self.spot()?, time: self.time()? }) } else { None };
        let answers = Answers(self.list(Self::answer)?);
        let waiting = Waiting(self.list(Self::waiting)?);
        Some(Profile { mark, devices, places: Places { last, stored }, answers, waiting })
    }

    /// A list: its length, then its elements. Each takes a byte at least, so no length is believed that
    /// the record has no bytes for.
    fn list<T>(&mut self, element: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = usize::try_from(self.body.number()?).ok().filter(|length| *length <= self.body.0.len())?;
        let mut list = Vec::with_capacity(length.min(USUAL_LENGTH));
        for _ in 0..length {
            list.push(element(self)?);
        }
        Some(list)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.body.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn hash(&mut self) -> Option<u64> {
        self.body.fixed().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Option<Timestamp> {
        let time = self.base.checked_add(self.body.signed()?)?;
        (time.unsigned_abs() <= MAX_TIME_MS).then_some(Timestamp(time))
    }

    fn spot(&mut self) -> Option<Spot> {
        let number = usize::try_from(self.body.number()?).ok()?;
        if number == self.spots.len() {
            let latitude_e7 = i32::from_le_bytes(self.body.fixed()?);
            let longitude_e7 = i32::from_le_bytes(self.body.fixed()?);
            let radius_m = self.body.number()?.try_into().ok()?;
            let (city, country) = (self.name()?, self.name()?);
            self.spots.push(Spot { point: Point { latitude_e7, longitude_e7 }, radius_m, city, country });
        }
        self.spots.get(number).cloned()
    }

    fn name(&mut self) -> Option<Option<Arc<str>>> {
        if self.flag()? { Some(Some(self.body.text()?.into())) } else { Some(None) }
    }

    fn device(&mut self) -> Option<Device> {
        let flags = self.body.byte()?;
        let Shown { cookie, agent } = self.shown(flags)?;
        Some(Device { cookie, agent, expiry: self.time()? })
    }

    fn shown(&mut self, flags: u8) -> Option<Shown> {
        let cookie = if flags & has::COOKIE != 0 { Some(self.hash()?) } else { None };
        let agent = if flags & has::AGENT != 0 {
            let text = self.hash()?;
            let browser = if flags & has::BROWSER != 0 { Some(self.browser()?) } else { None };
            Some(AgentPrint { text, browser })
        } else {
            None
        };
        Some(Shown { cookie, agent })
    }

    fn browser(&mut self) -> Option<(u32, Version)> {
        let family = u32::from_le_bytes(self.body.fixed()?);
        let parts = self.list(|this| this.body.number())?;
        Some((family, Version::from_parts(parts)))
    }

    fn address(&mut self, flags: u8) -> Option<Option<IpAddr>> {
        if flags & has::IPV4 != 0 {
            Some(Some(Ipv4Addr::from(self.body.fixed::<4>()?).into()))
        } else if flags & has::IPV6 != 0 {
            Some(Some(Ipv6Addr::from(self.body.fixed::<16>()?).into()))
        } else {
            Some(None)
        }
    }

    fn answer(&mut self) -> Option<RecentAnswer> {
        let (id, evidence) = (self.hash()?, self.hash()?);
        let (assessment, success_logged) = self.assessment()?;
        Some(RecentAnswer { id, evidence, assessment, success_logged })
    }

    fn waiting(&mut self) -> Option<WaitingAttempt> {
        let (id, evidence) = (self.hash()?, self.hash()?);
        let flags = self.body.byte()?;
        let shown = self.shown(flags)?;
        let address = self.address(flags)?;
        let spot = if flags & has::SPOT != 0 { Some(self.spot()?) } else { None };
        let teaches = flags & has::TEACHES != 0;
        let (assessment, _) = self.assessment()?;
        Some(WaitingAttempt { id, evidence, shown, address, spot, teaches, assessment })
    }

    /// An answer, and whether its success was logged.
    fn assessment(&mut self) -> Option<(StoredAssessment, bool)> {
        let time = self.time()?;
        let packed = u32::from_le_bytes(self.body.fixed()?);
        let is_set = |bit| packed & bit != 0;
        let data_set = self.body.number()?.try_into().ok()?;
        let travel = self.travel()?;
        let entry = if is_set(words::LISTED) { Some(self.entry()?) } else { None };
        let decision = if is_set(words::CHALLENGE) {
            Decision { action: Action::Challenge, reason: Reason::ConfidenceLow }
        } else {
            Decision { action: Action::None, reason: Reason::ConfidenceNotLow }
        };
        let assessment = StoredAssessment {
            time,
            confidence: confidence(packed),
            impossible_travel: answer(packed >> 2)?,
            travel,
            new_device: answer(packed >> 10)?,
            cookie_known: is_set(words::COOKIE_KNOWN),
            untrusted_ip: answer(packed >> 18)?,
            entry,
            decision,
            data_set,
        };
        Some((assessment, is_set(words::SUCCESS_LOGGED)))
    }

    fn travel(&mut self) -> Option<Option<StoredTravel>> {
        let flags = self.body.byte()?;
        if flags & travel::THERE == 0 {
            return Some(None);
        }
        Some(Some(StoredTravel {
            from: self.spot()?,
            from_time: self.time()?,
            to: self.spot()?,
            with_speed: flags & travel::WITH_SPEED != 0,
            known_place: flags & travel::KNOWN_PLACE != 0,
        }))
    }

    fn entry(&mut self) -> Option<StoredEntry> {
        let flags = self.body.byte()?;
        let ip = self.address(flags)??;
        let prefix_len = self.body.byte()?;
        let source = self.body.text()?.into();
        let number = self.body.byte()?;
        let category = Category::ALL.into_iter().find(|known| *known as u8 == number)?;
        Some(StoredEntry { ip, prefix_len, source, category })
    }
}

fn confidence(bits: u32) -> Confidence {
    Confidence::ALL[(bits & 3) as usize]
}

/// The answer in eight bits of the words.
fn answer(bits: u32) -> Option<Option<StoredAnswer>> {
    match bits & 0x3f {
        0 => Some(None),
        number => {
            let answer = Answer::from_number((number - 1) as u8)?;
            Some(Some(StoredAnswer { answer, confidence: confidence(bits >> 6) }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(latitude_e7: i32, city: Option<&str>) -> Spot {
        let point = Point { latitude_e7, longitude_e7: -1_800_000_000 };
        Spot { point, radius_m: 20_000, city: city.map(Arc::from), country: city.map(|_| "NL".into()) }
    }

    fn assessment(ip: IpAddr) -> StoredAssessment {
        let stored = |answer| Some(StoredAnswer { answer, confidence: Confidence::Medium });
        StoredAssessment {
            time: Timestamp(1_767_571_200_123),
            confidence: Confidence::Neutral,
            impossible_travel: stored(Answer::SubstantialTravel),
            travel: Some(StoredTravel {
                from: spot(1, Some("Amsterdam")),
                from_time: Timestamp(1_767_571_200_000),
                to: spot(2, None),
                with_speed: true,
                known_place: true,
            }),
            new_device: None,
            cookie_known: true,
            untrusted_ip: stored(Answer::ListedVpn),
            entry: Some(StoredEntry { ip, prefix_len: 24, source: "list".into(), category: Category::Vpn }),
            decision: Decision { action: Action::Challenge, reason: Reason::ConfidenceLow },
            data_set: u32::MAX,
        }
    }

    fn full_profile() -> Profile {
        let version = Version::parse("143.0.7499.41");
        let agents = [None, Some(AgentPrint { text: 7, browser: None })];
        let agents = agents.into_iter().chain([Some(AgentPrint { text: u64::MAX, browser: version.map(|v| (9, v)) })]);
        let devices =
            agents.map(|agent| Device { cookie: Some(u64::MAX), agent, expiry: Timestamp(1_770_000_000_000) });
        let devices: Vec<Device> = devices.collect();
        let v4 = IpAddr::from([192, 0, 2, 1]);
        let v6 = IpAddr::from(Ipv6Addr::from_bits(0x2001_0db8 << 96 | 1));
        let waiting = |address: Option<IpAddr>, spot: Option<Spot>, teaches| WaitingAttempt {
            id: 1,
            evidence: 2,
            shown: Shown { cookie: None, agent: devices[2].agent.clone() },
            address,
            spot,
            teaches,
            assessment: assessment(v6),
        };
        Profile {
            mark: Some(Timestamp(1_767_571_200_123)),
            places: Places {
                last: Some(LastPlace { spot: spot(2, None), time: Timestamp(1_767_571_100_000) }),
                stored: vec![StoredPlace { spot: spot(3, Some("")), last_seen: Timestamp(1_700_000_000_000) }],
            },
            answers: Answers(vec![
                RecentAnswer { id: 3, evidence: 4, assessment: assessment(v4), success_logged: true },
                RecentAnswer {
                    id: 5,
                    evidence: 6,
                    assessment: StoredAssessment { travel: None, entry: None, ..assessment(v4) },
                    success_logged: false,
                },
            ]),
            waiting: Waiting(vec![waiting(Some(v4), Some(spot(4, None)), true), waiting(None, None, false)]),
            devices: Devices(devices),
        }
    }

    #[test]
    fn profiles_survive() {
        let full = full_profile();
        let unmarked = Profile { mark: None, ..full.clone() };
        for profile in [Profile::default(), unmarked, full] {
            assert_eq!(unpack(&pack(&profile)), Ok(profile));
        }
    }

    #[test]
    fn damaged_records_are_refused() {
        let bytes = pack(&full_profile());
        for length in 0..bytes.len() {
            assert_eq!(unpack(&bytes[..length]), Err(CorruptProfile::Damaged(length)), "cut off at {length}");
        }
        let longer = [&*bytes, &[0]].concat();
        assert_eq!(unpack(&longer), Err(CorruptProfile::Damaged(longer.len())));
        let other = FORMAT_VERSION + 1;
        assert_eq!(unpack(&[other, 2, 3]), Err(CorruptProfile::UnknownVersion(other)));
        let no_such_length = [FORMAT_VERSION, 0, 0, 0xff, 0xff, 0x7f];
        assert_eq!(unpack(&no_such_length), Err(CorruptProfile::Damaged(6)));
        let far_time = [&[FORMAT_VERSION][..], &[0xff; 9], &[0x01, 1, 0x02]].concat();
        assert_eq!(unpack(&far_time), Err(CorruptProfile::Damaged(far_time.len())));
    }
}
