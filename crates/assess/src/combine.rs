//! One confidence of several.

use model::Confidence;
use profile::answers::StoredAnswer;

use crate::settings::{Combiner, Settings};

/// Combines the assessors' answers: an answer that forces `low` decides; else the lower median, or the
/// lowest, of those that are not neutral.
#[must_use]
pub fn combine(answers: impl Iterator<Item = StoredAnswer> + Clone, settings: &Settings) -> Confidence {
    if answers.clone().any(|stored| settings.forces_low(stored.answer)) {
        return Confidence::Low;
    }
    // The one combiner that allocates would be this: three assessors fit in place.
    let mut votes = [Confidence::Neutral; 3];
    let mut count = 0;
    for stored in answers.filter(|stored| stored.confidence != Confidence::Neutral) {
        if let Some(vote) = votes.get_mut(count) {
            *vote = stored.confidence;
            count += 1;
        }
    }
    let votes = &mut votes[..count];
    votes.sort_unstable();
    let chosen = match settings.combiner {
        Combiner::Median => votes.get(count.saturating_sub(1) / 2),
        Combiner::Strict => votes.first(),
    };
    chosen.copied().unwrap_or(Confidence::Neutral)
}
