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

    /// Takes changes over, all or none, and with them the position after them. Where the copy stands at
    /// `next` or further already it stays as it is: what comes late is old.
    ///
    /// # Errors
    /// The copy cannot be written; it is what it was before.
    fn apply(&self, partition: i32, changes: &mut dyn Iterator<Item = Change<'_>>, next: i64)
    -> Result<(), StateError>;

    /// Throws the copy of a partition away.
    ///
    /// # Errors
    /// It cannot be removed.
    fn reset(&self, partition: i32) -> Result<(), StateError>;
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
