//! The last answers given to a user's attempts, so that who asks twice gets the same answer.
//!
//! Every login adds one, and hardly any is ever asked for again. They are therefore kept as the bytes
//! that are stored: added at the end, dropped at the front, compared and marked in place, and read only
//! where one is repeated.

use std::fmt;

use model::Timestamp;
use smallvec::SmallVec;

use crate::answers::StoredAssessment;
use crate::bytes::{Reader, Writer};
use crate::geometry::Spot;
use crate::packed::Origin;
use crate::packed_answer::{self, Head};

/// Spots by their numbers. Few users have more than fit in place.
pub(crate) type SpotsInUse<'s> = SmallVec<[Option<&'s Spot>; 16]>;

/// An answer that was given.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentAnswer {
    /// Hash of the event's id.
    pub id: u64,
    /// Hash of the attempt's evidence.
    pub evidence: u32,
    /// The answer.
    pub assessment: StoredAssessment,
    /// A log record of type `s` with the assessment was written for it.
    pub success_logged: bool,
}

/// A user's last answers, in the order of arrival.
#[derive(Clone, Default)]
pub struct Answers {
    /// Each with its length before it. Only what was read through once gets in here.
    records: Writer,
    count: usize,
    /// The spots that the records name by their place in this list.
    spots: Vec<Option<Spot>>,
}

impl Answers {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them, read.
    pub fn iter(&self) -> impl Iterator<Item = RecentAnswer> {
        records(&self.records.0).filter_map(|(_, record)| read(record, &self.spots))
    }

    /// The first answer to an attempt with this id and evidence, not more than `within_ms` away in time.
    #[must_use]
    pub fn repeated(&self, id: u64, evidence: u32, time: Timestamp, within_ms: i64) -> Option<RecentAnswer> {
        let mut near = self.near(id, time, within_ms);
        let (_, record) = near.find(|(head, _)| head.evidence == evidence)?;
        read(record, &self.spots)
    }

    /// Whether an `s` with the assessment was written for an attempt with this id, not more than
    /// `within_ms` away in time.
    #[must_use]
    pub fn success_logged(&self, id: u64, time: Timestamp, within_ms: i64) -> bool {
        self.near(id, time, within_ms).any(|(head, _)| head.success_logged)
    }

    /// Notes that an `s` with the assessment was written for this attempt.
    pub fn note_success_logged(&mut self, id: u64, evidence: u32, attempt_time: Timestamp) {
        let is_it = |head: Head| head.id == id && head.evidence == evidence && head.time == attempt_time;
        let found = records(&self.records.0).find(|(_, record)| Head::of(record).is_some_and(is_it));
        if let Some((start, _)) = found
            && let Some(record) = self.records.0.get_mut(start..)
        {
            Head::note_success_logged(record);
        }
    }

    /// Remembers an answer; at most `max` are kept.
    pub fn remember(&mut self, answer: &RecentAnswer, max: usize) {
        let head = Head {
            id: answer.id,
            evidence: answer.evidence,
            time: answer.assessment.time,
            success_logged: answer.success_logged,
        };
        let Self { records, spots, .. } = self;
        // Its length comes before it, which mostly takes a byte.
        let start = records.0.len();
        records.byte(0);
        packed_answer::write(records, head, &answer.assessment, |spot| number_of(spots, spot));
        records.set_length(start);
        self.count += 1;
        self.drop_first(self.count.saturating_sub(max));
    }

    fn drop_first(&mut self, excess: usize) {
        if excess > 0 {
            let end_of = |(start, record): (usize, &[u8])| start + record.len();
            let end = records(&self.records.0).nth(excess - 1).map_or(0, end_of);
            self.records.0.drain(..end);
            self.count -= excess;
        }
    }

    fn near(&self, id: u64, time: Timestamp, within_ms: i64) -> impl Iterator<Item = (Head, &[u8])> {
        let named = records(&self.records.0).filter(move |(_, record)| record.first_chunk() == Some(&id.to_le_bytes()));
        let heads = named.filter_map(|(_, record)| Some((Head::of(record)?, record)));
        heads.filter(move |(head, _)| head.time.distance_ms(time) <= within_ms)
    }

    /// The spots by number, without those that no answer names any more.
    pub(crate) fn spots_in_use(&self) -> SpotsInUse<'_> {
        let mut used = SpotsInUse::from_elem(None, self.spots.len());
        for (_, record) in records(&self.records.0) {
            for number in packed_answer::spot_numbers(record).into_iter().flatten() {
                if let (Some(used), Some(spot)) = (used.get_mut(number), self.spots.get(number)) {
                    *used = spot.as_ref();
                }
            }
        }
        used
    }

    /// Appends the answers: their count, then the records. The spots are the profile's, by the same numbers.
    pub(crate) fn write(&self, out: &mut Writer) {
        out.number(self.count as u64);
        out.0.extend_from_slice(&self.records.0);
    }

    /// Forgets all, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.records.0.clear();
        self.spots.clear();
        self.count = 0;
    }

    /// The memory of the spots, empty, for those that are read next.
    pub(crate) fn take_spots(&mut self) -> Vec<Option<Spot>> {
        self.spots.clear();
        std::mem::take(&mut self.spots)
    }

    /// Takes answers from the end of a profile. Each that comes from outside is read through here, so that a
    /// damaged one is found now.
    pub(crate) fn read(&mut self, from: &mut Reader<'_>, spots: Vec<Option<Spot>>, origin: Origin) -> Option<()> {
        let count = from.number()?.try_into().ok()?;
        let all = std::mem::take(&mut from.0);
        let mut rest = Reader(all);
        for _ in 0..count {
            let record = rest.record()?;
            if origin == Origin::Outside {
                packed_answer::check(record, &spots)?;
            }
        }
        if !rest.0.is_empty() {
            return None;
        }
        self.records.0.clear();
        self.records.0.extend_from_slice(all);
        self.count = count;
        self.spots = spots;
        Some(())
    }
}

/// The records, each with the place where it begins.
fn records(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = Reader(bytes);
    std::iter::from_fn(move || {
        let record = rest.record()?;
        Some((bytes.len() - rest.0.len() - record.len(), record))
    })
}

fn read(record: &[u8], spots: &[Option<Spot>]) -> Option<RecentAnswer> {
    let (Head { id, evidence, success_logged, .. }, assessment) = packed_answer::read(&mut Reader(record), spots)?;
    Some(RecentAnswer { id, evidence, assessment, success_logged })
}

/// The number of a spot: of an equal one, else the first that is free.
fn number_of(spots: &mut Vec<Option<Spot>>, spot: &Spot) -> usize {
    let equal = spots.iter().position(|known| known.as_ref() == Some(spot));
    equal.unwrap_or_else(|| match spots.iter().position(Option::is_none) {
        Some(free) => {
            spots[free] = Some(spot.clone());
            free
        }
        None => {
            spots.push(Some(spot.clone()));
            spots.len() - 1
        }
    })
}

/// As lists of what they say: the same answers may have numbered their spots differently.
impl PartialEq for Answers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<RecentAnswer> for Answers {
    fn from_iter<I: IntoIterator<Item = RecentAnswer>>(answers: I) -> Self {
        let mut all = Self::default();
        for answer in answers {
            all.remember(&answer, usize::MAX);
        }
        all
    }
}
