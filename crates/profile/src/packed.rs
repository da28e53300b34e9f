//! A profile as a compact record of bytes behind a version byte.
//!
//! Every event reads one and most write one, and there are millions of them, so the format is made by
//! hand. A record of another version or a damaged one is an error, never a guess.
//!
//! | part | bytes |
//! |---|---|
//! | version | 1 |
//! | flags | 1: whether there is a mark, a last place |
//! | base | 6: an instant, the mark where there is one; times below are signed differences to it |
//! | spots | their count; each its own flags (1), and unless these are 0, which is a number that is free, latitude and longitude (4 each, 1e-7 degrees), accuracy radius (number, metres), city (text), country (text) |
//! | devices | their count; each flags (1), hash of the cookie (8), of the user agent (8), of the browser (4), count and numbers of the version, expiry (time) |
//! | stored places | their count; each number of the spot, last seen (time) |
//! | last place | number of the spot, time |
//! | waiting attempts | their count; each flags (1), device as above, address (4 or 16), number of the spot, answer |
//! | recent answers | their count; each its length and an answer |
//!
//! What is optional is announced by flags. Counts, numbers and lengths take a byte for every seven bits
//! (`bytes`); a text is its length and UTF-8. An answer is described in
//! `packed_answer`. Spots are named by their number in the table, and a number is
//! kept as long as a recent answer names it: so answers can be carried on as bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::Timestamp;
use model::evidence::Version;
use smol_str::SmolStr;

use crate::bytes::{Reader, Writer};
use crate::devices::{Device, Shown};
use crate::fingerprint::AgentPrint;
use crate::geometry::{Point, Spot};
use crate::packed_answer::{self, Head};
use crate::places::{LastPlace, StoredPlace};
use crate::recent::SpotsInUse;
use crate::waiting::WaitingAttempt;
use crate::{Devices, Places, Profile, Waiting};

/// Version of the format, the first byte of every record.
pub const FORMAT_VERSION: u8 = 1;
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

/// Where the bytes of a profile come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From outside: a store, a changelog, a file. Everything is read through.
    Outside,
    /// From this process's memory, where only what [`pack_into`] wrote or what was read through before is
    /// kept. Recent answers are not read through again: nearly none is ever asked for, and one that is
    /// asked for is read with the same care.
    Memory,
}

/// Buffers to write profiles in, used again and again.
#[derive(Debug, Default)]
pub struct PackBuffer {
    record: Writer,
    body: Writer,
}

/// Writes a profile.
#[must_use]
pub fn pack(profile: &Profile) -> Box<[u8]> {
    pack_into(profile, &mut PackBuffer::default()).into()
}

/// As [`pack`], in memory that is there already.
pub fn pack_into<'b>(profile: &Profile, buffer: &'b mut PackBuffer) -> &'b [u8] {
    let PackBuffer { record, body } = buffer;
    record.0.clear();
    body.0.clear();
    let first_time = || profile.places.last.as_ref().map(|last| last.time);
    let base = profile.mark.or_else(first_time).unwrap_or_default();
    let mut packer = Packer { out: body, base: base.0, spots: profile.answers.spots_in_use() };
    packer.profile(profile);
    // The spots stand before what names them, and are known only after it.
    record.byte(FORMAT_VERSION);
    let mark = if profile.mark.is_some() { head::MARK } else { 0 };
    let last = if profile.places.last.is_some() { head::LAST_PLACE } else { 0 };
    record.byte(mark | last);
    record.instant(base);
    write_spots(&packer.spots, record);
    record.0.extend_from_slice(&body.0);
    &record.0
}

/// Reads a profile.
///
/// # Errors
/// [`CorruptProfile`] when the bytes are not what [`pack`] of this version writes.
pub fn unpack(bytes: &[u8]) -> Result<Profile, CorruptProfile> {
    let mut profile = Profile::default();
    unpack_into(bytes, Origin::Outside, &mut profile)?;
    Ok(profile)
}

/// Reads a profile in place of another one, whose memory it takes over.
///
/// # Errors
/// [`CorruptProfile`] when the bytes are not what [`pack`] of this version writes. The profile is empty then.
pub fn unpack_into(bytes: &[u8], origin: Origin, profile: &mut Profile) -> Result<(), CorruptProfile> {
    profile.clear();
    let (&version, body) = bytes.split_first().ok_or(CorruptProfile::Damaged(0))?;
    if version != FORMAT_VERSION {
        return Err(CorruptProfile::UnknownVersion(version));
    }
    let spots = profile.answers.take_spots();
    let mut unpacker = Unpacker { body: Reader(body), base: 0, spots };
    let read = unpacker.profile(profile, origin);
    if read.is_none() {
        profile.clear();
    }
    read.ok_or(CorruptProfile::Damaged(bytes.len()))
}

/// Bytes of a point.
const POINT_BYTES: usize = 8;
/// Bytes of the hashes of cookie, user agent and browser together.
const HASHES_BYTES: usize = 20;

/// What is there of the profile.
mod head {
    pub(super) const MARK: u8 = 1;
    pub(super) const LAST_PLACE: u8 = 2;
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

/// What is there of a spot; no flag at all is a free number.
mod spot {
    pub(super) const THERE: u8 = 1;
    pub(super) const CITY: u8 = 2;
    pub(super) const COUNTRY: u8 = 4;
}

struct Packer<'p, 'b> {
    out: &'b mut Writer,
    base: i64,
    /// The spots by their numbers.
    spots: SpotsInUse<'p>,
}

impl<'p> Packer<'p, '_> {
    fn profile(&mut self, profile: &'p Profile) {
        let Profile { mark: _, devices, places, answers, waiting } = profile;
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
        if let Some(LastPlace { spot, time }) = &places.last {
            self.spot(spot);
            self.time(*time);
        }
        self.out.number(waiting.0.len() as u64);
        for waiting in &waiting.0 {
            self.waiting(waiting);
        }
        answers.write(self.out);
    }

    fn time(&mut self, time: Timestamp) {
        self.out.signed(time.0.wrapping_sub(self.base));
    }

    fn spot(&mut self, spot: &'p Spot) {
        self.out.number(number_of(&mut self.spots, spot) as u64);
    }

    fn shown(&mut self, cookie: Option<u64>, agent: Option<&AgentPrint>) {
        match (cookie, agent) {
            // A browser's, as nearly all are: in one piece.
            (Some(cookie), Some(AgentPrint { text, browser: Some((family, _)) })) => {
                let mut hashes = [0; HASHES_BYTES];
                hashes[..8].copy_from_slice(&cookie.to_le_bytes());
                hashes[8..16].copy_from_slice(&text.to_le_bytes());
                hashes[16..].copy_from_slice(&family.to_le_bytes());
                self.out.fixed(hashes);
            }
            _ => {
                if let Some(cookie) = cookie {
                    self.out.fixed(cookie.to_le_bytes());
                }
                let Some(agent) = agent else { return };
                self.out.fixed(agent.text.to_le_bytes());
                if let Some((family, _)) = &agent.browser {
                    self.out.fixed(family.to_le_bytes());
                }
            }
        }
        let Some((_, version)) = agent.and_then(|agent| agent.browser.as_ref()) else { return };
        self.out.number(version.parts().len() as u64);
        for part in version.parts() {
            self.out.number(*part);
        }
    }

    fn waiting(&mut self, waiting: &'p WaitingAttempt) {
        let WaitingAttempt { id, evidence, shown, address, spot, teaches, assessment } = waiting;
        let spot_flag = if spot.is_some() { has::SPOT } else { 0 };
        let teaches = if *teaches { has::TEACHES } else { 0 };
        let address_flag = address.map_or(0, |ip| if ip.is_ipv4() { has::IPV4 } else { has::IPV6 });
        self.out.byte(shown_flags(shown.cookie, shown.agent.as_ref()) | address_flag | spot_flag | teaches);
        self.shown(shown.cookie, shown.agent.as_ref());
        match address {
            None => {}
            Some(IpAddr::V4(v4)) => self.out.fixed(v4.octets()),
            Some(IpAddr::V6(v6)) => self.out.fixed(v6.octets()),
        }
        if let Some(spot) = spot {
            self.spot(spot);
        }
        let head = Head { id: *id, evidence: *evidence, time: assessment.time, success_logged: false };
        let Self { out, spots, .. } = self;
        packed_answer::write(out, head, assessment, |spot| number_of(spots, spot));
    }
}

/// The number of a spot: of an equal one, else the first that is free.
fn number_of<'p>(spots: &mut SpotsInUse<'p>, spot: &'p Spot) -> usize {
    let equal = spots.iter().position(|known| known.is_some_and(|known| known == spot));
    equal.unwrap_or_else(|| match spots.iter().position(Option::is_none) {
        Some(free) => {
            spots[free] = Some(spot);
            free
        }
        None => {
            spots.push(Some(spot));
            spots.len() - 1
        }
    })
}

fn write_spots(spots: &[Option<&Spot>], out: &mut Writer) {
    let used = spots.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    out.number(used as u64);
    for spot in &spots[..used] {
        let Some(Spot { point, radius_m, city, country }) = spot else {
            out.byte(0);
            continue;
        };
        let city_flag = if city.is_some() { spot::CITY } else { 0 };
        let country_flag = if country.is_some() { spot::COUNTRY } else { 0 };
        let mut start = [spot::THERE | city_flag | country_flag; 1 + POINT_BYTES];
        start[1..5].copy_from_slice(&point.latitude_e7.to_le_bytes());
        start[5..].copy_from_slice(&point.longitude_e7.to_le_bytes());
        out.fixed(start);
        out.number((*radius_m).into());
        for name in [city, country].into_iter().flatten() {
            out.text(name);
        }
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

struct Unpacker<'a> {
    body: Reader<'a>,
    base: i64,
    spots: Vec<Option<Spot>>,
}

impl Unpacker<'_> {
    /// Fills an empty profile.
    fn profile(&mut self, profile: &mut Profile, origin: Origin) -> Option<()> {
        let Profile { mark, devices: Devices(devices), places: Places { last, stored }, answers, waiting } = profile;
        let flags = self.body.byte()?;
        let base = self.body.instant()?;
        self.base = base.0;
        *mark = (flags & head::MARK != 0).then_some(base);
        for _ in 0..self.length()? {
            let spot = self.table_spot()?;
            self.spots.push(spot);
        }
        self.list(devices, Self::device)?;
        self.list(stored, |this| Some(StoredPlace { spot: this.spot()?, last_seen: this.time()? }))?;
        if flags & head::LAST_PLACE != 0 {
            *last = Some(LastPlace { spot: self.spot()?, time: self.time()? });
        }
        let Waiting(waiting) = waiting;
        self.list(waiting, Self::waiting)?;
        answers.read(&mut self.body, std::mem::take(&mut self.spots), origin)
    }

    /// The length of a list. Each element takes a byte at least, so no length is believed that the record
    /// cannot hold.
    fn length(&mut self) -> Option<usize> {
        self.body.index().filter(|length| *length <= self.body.0.len())
    }

    /// Fills an empty list: its length, then its elements.
    fn list<T>(&mut self, list: &mut Vec<T>, element: impl Fn(&mut Self) -> Option<T>) -> Option<()> {
        for _ in 0..self.length()? {
            list.push(element(self)?);
        }
        Some(())
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.body.time(self.base)
    }

    fn hash(&mut self) -> Option<u64> {
        self.body.fixed().map(u64::from_le_bytes)
    }

    /// A spot of the table, or none where the number is free.
    fn table_spot(&mut self) -> Option<Option<Spot>> {
        let flags = self.body.byte()?;
        if flags == 0 {
            return Some(None);
        }
        let mut point = Reader(&self.body.fixed::<POINT_BYTES>()?);
        let latitude_e7 = i32::from_le_bytes(point.fixed()?);
        let longitude_e7 = i32::from_le_bytes(point.fixed()?);
        let radius_m = self.body.number()?.try_into().ok()?;
        let city = self.name(flags & spot::CITY != 0)?;
        let country = self.name(flags & spot::COUNTRY != 0)?;
        Some(Some(Spot { point: Point { latitude_e7, longitude_e7 }, radius_m, city, country }))
    }

    fn name(&mut self, is_there: bool) -> Option<Option<SmolStr>> {
        if is_there { Some(Some(self.body.text()?.into())) } else { Some(None) }
    }

    /// A spot by its number.
    fn spot(&mut self) -> Option<Spot> {
        let number = self.body.index()?;
        self.spots.get(number)?.clone()
    }

    fn device(&mut self) -> Option<Device> {
        let flags = self.body.byte()?;
        let Shown { cookie, agent } = self.shown(flags)?;
        Some(Device { cookie, agent, expiry: self.time()? })
    }

    fn shown(&mut self, flags: u8) -> Option<Shown> {
        const ALL: u8 = has::COOKIE | has::AGENT | has::BROWSER;
        if flags & ALL == ALL {
            // A browser's, as nearly all are: one look at whether it is all there.
            let mut hashes = Reader(&self.body.fixed::<HASHES_BYTES>()?);
            let cookie = u64::from_le_bytes(hashes.fixed()?);
            let text = u64::from_le_bytes(hashes.fixed()?);
            let family = u32::from_le_bytes(hashes.fixed()?);
            let browser = Some((family, self.version()?));
            return Some(Shown { cookie: Some(cookie), agent: Some(AgentPrint { text, browser }) });
        }
        let cookie = if flags & has::COOKIE != 0 { Some(self.hash()?) } else { None };
        let agent = if flags & has::AGENT != 0 {
            let text = self.hash()?;
            let browser = if flags & has::BROWSER != 0 {
                let family = u32::from_le_bytes(self.body.fixed()?);
                Some((family, self.version()?))
            } else {
                None
            };
            Some(AgentPrint { text, browser })
        } else {
            None
        };
        Some(Shown { cookie, agent })
    }

    fn version(&mut self) -> Option<Version> {
        let count = self.body.index().filter(|count| *count <= Version::MAX_PARTS)?;
        let mut parts = [0; Version::MAX_PARTS];
        for part in &mut parts[..count] {
            *part = self.body.number()?;
        }
        Some(Version::from_parts(&parts[..count]))
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

    fn waiting(&mut self) -> Option<WaitingAttempt> {
        let flags = self.body.byte()?;
        let shown = self.shown(flags)?;
        let address = self.address(flags)?;
        let spot = if flags & has::SPOT != 0 { Some(self.spot()?) } else { None };
        let teaches = flags & has::TEACHES != 0;
        let (Head { id, evidence, .. }, assessment) = packed_answer::read(&mut self.body, &self.spots)?;
        Some(WaitingAttempt { id, evidence, shown, address, spot, teaches, assessment })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use model::assessment::Category;
    use model::{Action, Answer, Confidence, Decision, Reason};

    use super::*;
    use crate::answers::{StoredAnswer, StoredEntry, StoredTravel};
    use crate::{Answers, RecentAnswer, StoredAssessment};

    fn spot(latitude_e7: i32, city: Option<&str>) -> Spot {
        let point = Point { latitude_e7, longitude_e7: -1_800_000_000 };
        Spot { point, radius_m: 20_000, city: city.map(Into::into), country: city.map(|_| "NL".into()) }
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
            decision: Decision::new(Action::Challenge, Reason::ConfidenceLow),
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
            answers: Answers::from_iter([
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
        let head = [FORMAT_VERSION, head::LAST_PLACE, 0, 0, 0, 0, 0, 0];
        let no_such_length = [&head[..], &[0xff, 0xff, 0x7f]].concat();
        assert_eq!(unpack(&no_such_length), Err(CorruptProfile::Damaged(11)));
        let free_spot = [&head[..], &[1, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(unpack(&free_spot), Err(CorruptProfile::Damaged(free_spot.len())), "a place at a free number");
        let place = [1, spot::THERE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let (now, far) = ([0, 0, 0], [&[0xff; 8][..], &[0x01, 0, 0]].concat());
        assert!(unpack(&[&head[..], &place, &now].concat()).is_ok());
        let far_time = [&head[..], &place, &far].concat();
        assert_eq!(unpack(&far_time), Err(CorruptProfile::Damaged(far_time.len())));
    }
}
