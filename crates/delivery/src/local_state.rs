//! The local copy of the changelog.

use crate::changes::Change;

/// What this instance keeps on its own disk of the state of its partitions: for each partition what the
/// changelog says up to a position. It may lag behind the changelog or be empty, never be ahead of it.
pub trait LocalState: Send + Sync {
    /// The offset after the last changelog record that is in the copy; `None` where there is no copy.
    ///
    /// # Errors
    /// The copy cannot be read.
    fn position(&self, partition: i32) -> Result<Option<i64>, StateError>;

    /// Takes changes over, all or none, and with them the position after them. They are what the changelog
    /// says between `from` (`None`: its start) and `next`. Where the copy stands at `next` or further
    /// already it stays as it is: what comes late is old. Where it does not reach `from`, because it was
    /// thrown away meanwhile, or has a beginning already, it stays as it is too: there must be no hole in it.
    ///
    /// Answers whether the copy stands at `next` or further now.
    ///
    /// # Errors
    /// The copy cannot be written; it is what it was before.
    fn apply(
        &self,
        partition: i32,
        from: Option<i64>,
        changes: &mut dyn Iterator<Item = Change<'_>>,
        next: i64,
    ) -> Result<bool, StateError>;

    /// Throws the copy of a partition away.
    ///
    /// # Errors
    /// It cannot be removed.
    fn reset(&self, partition: i32) -> Result<(), StateError>;
}

/// What [`LocalState::apply`] has to do, given where the copy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuation {
    /// The changes follow: they are to be taken over.
    Follows,
    /// The copy holds them already.
    Late,
    /// Something between the copy and the changes is missing.
    Hole,
}

impl Continuation {
    /// Of changes between `from` and `next`, for a copy that stands at `position`.
    #[must_use]
    pub fn of(position: Option<i64>, from: Option<i64>, next: i64) -> Continuation {
        match (position, from) {
            (Some(position), _) if position >= next => Continuation::Late,
            (Some(position), Some(from)) if position >= from => Continuation::Follows,
            (None, None) => Continuation::Follows,
            _ => Continuation::Hole,
        }
    }
}

/// The local copy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// It cannot be read or written now: disk full, for instance. The next try may succeed.
    #[error("the local state cannot be used now: {0}")]
    Unavailable(String),
    /// What is there is damaged: it has to be built anew from the changelog.
    #[error("the local state is damaged: {0}")]
    Damaged(String),
}

#[cfg(test)]
mod tests {
    use super::Continuation::{self, Follows, Hole, Late};

    #[test]
    fn a_copy_never_gets_a_hole() {
        let cases = [
            (None, None, 5, Follows),
            (None, Some(3), 5, Hole),
            (Some(2), Some(3), 5, Hole),
            (Some(3), Some(3), 5, Follows),
            (Some(4), Some(3), 5, Follows),
            (Some(5), Some(3), 5, Late),
            (Some(5), None, 5, Late),
            (Some(4), None, 5, Hole),
        ];
        for (position, from, next, due) in cases {
            assert_eq!(Continuation::of(position, from, next), due, "{position:?} {from:?} {next}");
        }
    }
}
