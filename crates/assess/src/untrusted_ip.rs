//! UntrustedIP: is the address on a deny list?

use model::Answer;
use model::evidence::SourceState;

use crate::Attempt;

/// Answers; `None` when there is neither a deny list nor an Anonymous-IP database.
pub(crate) fn assess(attempt: &Attempt) -> Option<Answer> {
    if attempt.lists == SourceState::Absent {
        return None;
    }
    Some(if attempt.address.is_none() {
        Answer::InvalidIp
    } else if attempt.lists == SourceState::Unavailable || attempt.class.lists_failed {
        Answer::IpNotAvailable
    } else if attempt.class.non_public {
        Answer::IpNonPublic
    } else {
        attempt.class.entry.as_ref().map_or(Answer::IpNotFound, |entry| entry.evidence.category.answer())
    })
}

/// Whether the answer is that an entry counts.
pub(crate) fn is_listed(answer: Answer) -> bool {
    answer.code() == "found_on_deny_list"
}
