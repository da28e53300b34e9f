//! One answer as bytes, in the list of recent answers and with a waiting attempt.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | hash of the event's id |
//! | 4 | hash of the evidence |
//! | 6 | time of the attempt, milliseconds since the epoch |
//! | 4 | the words, see below |
//! | 1 | flags of the travel, 0 where there is none |
//! | numbers | with a travel: number of the spot it is from, of the spot it is to, time between both (signed) |
//! | number | number of the set of data versions |
//! | 1 + 4 or 16 + 1 + text + 1 | with an entry of a list: kind of address, address, length of the prefix, source, category |
//! | 1 + 1 + texts | with a decision that is not by the confidence alone: action and reason, flags, then what there is of rule, message, factors, rules in error |
//!
//! The head is of one length and at one place, so that it can be compared and marked as it stands. The
//! words are one integer: from the lowest bit the combined confidence (2 bits), then for each assessor
//! the answer's number plus one, 0 for none (6 bits), and its confidence (2 bits), then the flags of
//! [`words`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use model::assessment::Category;
use model::{Action, Answer, Confidence, Decision, DecisionDetail, Reason, Timestamp};

use crate::answers::{StoredAnswer, StoredAssessment, StoredEntry, StoredTravel};
use crate::bytes::{Reader, Writer, instant};
use crate::geometry::Spot;

/// Where the words are, and the travel's flags.
const WORDS_AT: usize = 18;
const TRAVEL_AT: usize = 22;

/// Flags of an answer's travel.
mod travel {
    pub(super) const THERE: u8 = 1;
    pub(super) const WITH_SPEED: u8 = 2;
    pub(super) const KNOWN_PLACE: u8 = 4;
}

/// Flags in the words.
mod words {
    pub(super) const COOKIE_KNOWN: u32 = 1 << 26;
    pub(super) const CHALLENGE: u32 = 1 << 27;
    pub(super) const SUCCESS_LOGGED: u32 = 1 << 28;
    pub(super) const LISTED: u32 = 1 << 29;
    /// The decision stands at the end; without this it follows from [`CHALLENGE`] alone.
    pub(super) const DECIDED: u32 = 1 << 30;
}

/// Flags of a decision.
mod decided {
    pub(super) const RULE: u8 = 1;
    pub(super) const MESSAGE: u8 = 2;
    pub(super) const MAY_REMEMBER: u8 = 4;
    pub(super) const MAY_NOT_REMEMBER: u8 = 8;
    pub(super) const INTERACTION: u8 = 16;
    pub(super) const FACTORS: u8 = 32;
    pub(super) const RULE_ERRORS: u8 = 64;
}

/// Most names in a list of a decision. Settings allow fewer.
const MAX_NAMES: usize = 16;

/// Kinds of an address.
const IPV4: u8 = 4;
const IPV6: u8 = 6;

/// What an answer is found by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) id: u64,
    pub(crate) evidence: u32,
    pub(crate) time: Timestamp,
    pub(crate) success_logged: bool,
}

impl Head {
    /// The head of a record.
    #[inline]
    pub(crate) fn of(record: &[u8]) -> Option<Self> {
        // One look at whether it is all there.
        let mut head = Reader(record.first_chunk::<TRAVEL_AT>()?);
        let (id, evidence) = (u64::from_le_bytes(head.fixed()?), u32::from_le_bytes(head.fixed()?));
        let (time, words) = (head.instant()?, u32::from_le_bytes(head.fixed()?));
        Some(Self { id, evidence, time, success_logged: words & words::SUCCESS_LOGGED != 0 })
    }

    /// Sets the mark in a record as it stands.
    pub(crate) fn note_success_logged(record: &mut [u8]) {
        if let Some(words) = record.get_mut(WORDS_AT..).and_then(|words| words.first_chunk_mut()) {
            *words = (u32::from_le_bytes(*words) | words::SUCCESS_LOGGED).to_le_bytes();
        }
    }
}

/// Appends an answer; `number_of` numbers its spots.
pub(crate) fn write<'s>(
    out: &mut Writer,
    head: Head,
    stored: &'s StoredAssessment,
    mut number_of: impl FnMut(&'s Spot) -> usize,
) {
    let mut start = [0; TRAVEL_AT];
    start[..8].copy_from_slice(&head.id.to_le_bytes());
    start[8..12].copy_from_slice(&head.evidence.to_le_bytes());
    start[12..WORDS_AT].copy_from_slice(&instant(stored.time));
    start[WORDS_AT..].copy_from_slice(&pack_words(stored, head.success_logged).to_le_bytes());
    out.fixed(start);
    match &stored.travel {
        None => out.byte(0),
        Some(StoredTravel { from, from_time, to, with_speed, known_place }) => {
            let speed = if *with_speed { travel::WITH_SPEED } else { 0 };
            let known = if *known_place { travel::KNOWN_PLACE } else { 0 };
            out.byte(travel::THERE | speed | known);
            out.number(number_of(from) as u64);
            out.number(number_of(to) as u64);
            out.signed(from_time.0.wrapping_sub(stored.time.0));
        }
    }
    out.number(stored.data_set.into());
    if let Some(StoredEntry { ip, prefix_len, source, category }) = &stored.entry {
        match ip {
            IpAddr::V4(v4) => {
                out.byte(IPV4);
                out.fixed(v4.octets());
            }
            IpAddr::V6(v6) => {
                out.byte(IPV6);
                out.fixed(v6.octets());
            }
        }
        out.byte(*prefix_len);
        out.text(source);
        out.byte(*category as u8);
    }
    if !is_by_confidence(&stored.decision) {
        write_decision(out, &stored.decision);
    }
}

/// Whether the decision is one of the two that a flag tells.
fn is_by_confidence(decision: &Decision) -> bool {
    let simple = matches!(
        (decision.action, decision.reason),
        (Action::Challenge, Reason::ConfidenceLow) | (Action::None, Reason::ConfidenceNotLow)
    );
    simple && decision.detail.is_none()
}

fn write_decision(out: &mut Writer, decision: &Decision) {
    out.byte(decision.action as u8 | (decision.reason as u8) << 4);
    let Some(detail) = &decision.detail else { return out.byte(0) };
    let flag = |is_set: bool, bit| if is_set { bit } else { 0 };
    out.byte(
        flag(detail.rule.is_some(), decided::RULE)
            | flag(detail.message.is_some(), decided::MESSAGE)
            | flag(detail.allow_remember_browser == Some(true), decided::MAY_REMEMBER)
            | flag(detail.allow_remember_browser == Some(false), decided::MAY_NOT_REMEMBER)
            | flag(detail.interaction_required, decided::INTERACTION)
            | flag(!detail.factors.is_empty(), decided::FACTORS)
            | flag(!detail.rule_errors.is_empty(), decided::RULE_ERRORS),
    );
    detail.rule.iter().chain(&detail.message).for_each(|text| out.text(text));
    for names in [&detail.factors, &detail.rule_errors] {
        if !names.is_empty() {
            let kept = names.len().min(MAX_NAMES);
            out.number(kept as u64);
            names[..kept].iter().for_each(|name| out.text(name));
        }
    }
}

/// A decision as it lies in a record: its texts are not read yet.
struct PackedDecision<'r> {
    action: Action,
    reason: Reason,
    flags: u8,
    rule: Option<&'r str>,
    message: Option<&'r str>,
    factors: Reader<'r>,
    rule_errors: Reader<'r>,
}

impl<'r> PackedDecision<'r> {
    fn read(from: &mut Reader<'r>) -> Option<Self> {
        let kind = from.byte()?;
        let action = Action::ALL.into_iter().find(|known| *known as u8 == kind & 0x0f)?;
        let reason = Reason::ALL.into_iter().find(|known| *known as u8 == kind >> 4)?;
        let flags = from.byte()?;
        let text = |from: &mut Reader<'r>, bit: u8| if flags & bit != 0 { from.text().map(Some) } else { Some(None) };
        let (rule, message) = (text(from, decided::RULE)?, text(from, decided::MESSAGE)?);
        let names = |from: &mut Reader<'r>, bit: u8| {
            let list = Reader(from.0);
            if flags & bit != 0 {
                let count = from.index().filter(|count| (1..=MAX_NAMES).contains(count))?;
                for _ in 0..count {
                    from.text()?;
                }
            }
            Some(list)
        };
        let (factors, rule_errors) = (names(from, decided::FACTORS)?, names(from, decided::RULE_ERRORS)?);
        Some(Self { action, reason, flags, rule, message, factors, rule_errors })
    }

    fn unpack(self) -> Decision {
        let is_set = |bit| self.flags & bit != 0;
        let names = |mut list: Reader<'_>, bit: u8| -> Vec<Arc<str>> {
            let count = if is_set(bit) { list.index().unwrap_or_default() } else { 0 };
            (0..count.min(MAX_NAMES)).filter_map(|_| list.text().map(Arc::from)).collect()
        };
        let allow = match (is_set(decided::MAY_REMEMBER), is_set(decided::MAY_NOT_REMEMBER)) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        let detail = (self.flags != 0).then(|| {
            Arc::new(DecisionDetail {
                rule: self.rule.map(Arc::from),
                message: self.message.map(Arc::from),
                allow_remember_browser: allow,
                factors: names(self.factors, decided::FACTORS),
                interaction_required: is_set(decided::INTERACTION),
                rule_errors: names(self.rule_errors, decided::RULE_ERRORS),
            })
        });
        Decision { action: self.action, reason: self.reason, detail }
    }
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
        | flag(!is_by_confidence(&stored.decision), words::DECIDED)
}

/// The numbers of the spots that a record names.
pub(crate) fn spot_numbers(record: &[u8]) -> Option<[usize; 2]> {
    let (&flags, rest) = record.get(TRAVEL_AT..)?.split_first()?;
    if flags & travel::THERE == 0 {
        return None;
    }
    match rest {
        &[from @ 0..0x80, to @ 0..0x80, ..] => Some([from.into(), to.into()]),
        _ => {
            let mut numbers = Reader(rest);
            Some([numbers.index()?, numbers.index()?])
        }
    }
}

/// Takes an answer off the front.
pub(crate) fn read(from: &mut Reader<'_>, spots: &[Option<Spot>]) -> Option<(Head, StoredAssessment)> {
    let head = Head::of(from.0)?;
    let parts = Parts::read(from, spots)?;
    let is_set = |bit| parts.words & bit != 0;
    let decision = match parts.decision {
        Some(decided) => decided.unpack(),
        None if is_set(words::CHALLENGE) => Decision::new(Action::Challenge, Reason::ConfidenceLow),
        None => Decision::new(Action::None, Reason::ConfidenceNotLow),
    };
    let assessment = StoredAssessment {
        time: head.time,
        confidence: confidence(parts.words),
        impossible_travel: parts.answers[0],
        travel: parts.travel.map(|(flags, from, from_time, to)| StoredTravel {
            from: from.clone(),
            from_time,
            to: to.clone(),
            with_speed: flags & travel::WITH_SPEED != 0,
            known_place: flags & travel::KNOWN_PLACE != 0,
        }),
        new_device: parts.answers[1],
        cookie_known: is_set(words::COOKIE_KNOWN),
        untrusted_ip: parts.answers[2],
        entry: parts.entry.map(|(ip, prefix_len, source, category)| StoredEntry {
            ip,
            prefix_len,
            source: source.into(),
            category,
        }),
        decision,
        data_set: parts.data_set,
    };
    Some((head, assessment))
}

/// Whether a record is an answer from its first byte to its last: whether [`read`] would read it all.
/// Every login asks it of every answer, so it makes nothing of what it sees.
pub(crate) fn check(record: &[u8], spots: &[Option<Spot>]) -> Option<()> {
    let time = Head::of(record)?.time;
    let mut from = Reader(record.get(WORDS_AT..)?);
    let words = u32::from_le_bytes(from.fixed()?);
    let is_known = |bits: u32| (bits & 0x3f) as usize <= Answer::ALL.len();
    if !(is_known(words >> 2) && is_known(words >> 10) && is_known(words >> 18)) {
        return None;
    }
    if from.byte()? & travel::THERE != 0 {
        for _ in 0..2 {
            spots.get(from.index()?)?.as_ref()?;
        }
        from.time(time.0)?;
    }
    u32::try_from(from.number()?).ok()?;
    if words & words::LISTED != 0 {
        entry(&mut from)?;
    }
    if words & words::DECIDED != 0 {
        PackedDecision::read(&mut from)?;
    }
    from.0.is_empty().then_some(())
}

/// Everything behind the times and hashes, as it lies in the record.
struct Parts<'r, 's> {
    words: u32,
    answers: [Option<StoredAnswer>; 3],
    travel: Option<(u8, &'s Spot, Timestamp, &'s Spot)>,
    data_set: u32,
    entry: Option<(IpAddr, u8, &'r str, Category)>,
    decision: Option<PackedDecision<'r>>,
}

impl<'r, 's> Parts<'r, 's> {
    #[inline]
    fn read(from: &mut Reader<'r>, spots: &'s [Option<Spot>]) -> Option<Self> {
        let time = Head::of(from.0)?.time;
        from.0 = from.0.get(WORDS_AT..)?;
        let words = u32::from_le_bytes(from.fixed()?);
        let answers = [answer(words >> 2)?, answer(words >> 10)?, answer(words >> 18)?];
        let spot = |from: &mut Reader<'r>| spots.get(from.index()?)?.as_ref();
        let flags = from.byte()?;
        let travel = if flags & travel::THERE != 0 {
            let (start, end) = (spot(from)?, spot(from)?);
            Some((flags, start, from.time(time.0)?, end))
        } else {
            None
        };
        let data_set = from.number()?.try_into().ok()?;
        let entry = if words & words::LISTED != 0 { Some(entry(from)?) } else { None };
        let decision = if words & words::DECIDED != 0 { Some(PackedDecision::read(from)?) } else { None };
        Some(Self { words, answers, travel, data_set, entry, decision })
    }
}

fn entry<'r>(from: &mut Reader<'r>) -> Option<(IpAddr, u8, &'r str, Category)> {
    let ip = match from.byte()? {
        IPV4 => Ipv4Addr::from(from.fixed::<4>()?).into(),
        IPV6 => Ipv6Addr::from(from.fixed::<16>()?).into(),
        _ => return None,
    };
    let (prefix_len, source, number) = (from.byte()?, from.text()?, from.byte()?);
    let category = Category::ALL.into_iter().find(|known| *known as u8 == number)?;
    Some((ip, prefix_len, source, category))
}

fn confidence(bits: u32) -> Confidence {
    Confidence::ALL[(bits & 3) as usize]
}

/// The answer in eight bits of the words.
#[inline]
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
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::Point;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

        /// What is checked can be read, and nothing else.
        #[test]
        fn what_is_checked_is_what_is_read(
            head in proptest::collection::vec(any::<u8>(), WORDS_AT),
            words in proptest::array::uniform3(0..40u32),
            flags in 0..64u32,
            rest in proptest::collection::vec(prop_oneof![0..6u8, any::<u8>()], 0..20),
        ) {
            let point = Point { latitude_e7: 1, longitude_e7: 2 };
            let spots = [None, Some(Spot { point, radius_m: 3, city: None, country: None })];
            let words = words[0] << 2 | words[1] << 10 | words[2] << 18 | flags << 26;
            let record = [&head[..], &words.to_le_bytes(), &rest].concat();
            let mut from = Reader(&record);
            let is_read = read(&mut from, &spots).is_some() && from.0.is_empty();
            prop_assert_eq!(check(&record, &spots).is_some(), is_read);
        }
    }
}
