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

    /// Where the copy says that its partition of the source is to be read on: the value of
    /// [`SOURCE_OFFSET_KEY`], read by [`read_source_offset`]. `None` where it does not say.
    ///
    /// # Errors
    /// The copy cannot be read.
    fn source_offset(&self, partition: i32) -> Result<Option<i64>, StateError>;

    /// Throws the copy of a partition away.
    ///
    /// # Errors
    /// It cannot be removed.
    fn reset(&self, partition: i32) -> Result<(), StateError>;
}

/// Key of the changelog record that says up to where the source is in the state: the MessagePack array
/// `["source_offset"]`, which is nobody's key. It is written with each batch, so state and offset can never
/// disagree, whatever becomes of the offsets that the group has committed.
pub const SOURCE_OFFSET_KEY: &[u8] = b"\x91\xadsource_offset";

/// Version of the value: this byte, then the offset of the next record in eight bytes, the highest first.
const SOURCE_OFFSET_VERSION: u8 = 1;

/// The value for [`SOURCE_OFFSET_KEY`].
#[must_use]
pub fn source_offset_value(next: i64) -> [u8; 9] {
    let mut value = [SOURCE_OFFSET_VERSION; 9];
    value[1..].copy_from_slice(&next.to_be_bytes());
    value
}

/// The offset in a value of [`SOURCE_OFFSET_KEY`]; `None` for what this program did not write.
#[must_use]
pub fn read_source_offset(value: &[u8]) -> Option<i64> {
    let (version, offset) = value.split_first()?;
    (*version == SOURCE_OFFSET_VERSION).then_some(())?;
    offset.try_into().ok().map(i64::from_be_bytes)
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
    fn source_offsets_survive() {
        for offset in [0, 1, 255, 1 << 40, i64::MAX] {
            assert_eq!(super::read_source_offset(&super::source_offset_value(offset)), Some(offset));
        }
        for damaged in [&[][..], &[1], &[2, 0, 0, 0, 0, 0, 0, 0, 5], &[1; 10]] {
            assert_eq!(super::read_source_offset(damaged), None);
        }
    }

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
