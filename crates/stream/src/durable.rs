//! What a batch commits: log records and changed state, collected until the batch is sealed.

use delivery::Changes;

/// The durable lane's part of a batch. Two of these go round between worker and committer, so their
/// buffers are used again.
#[derive(Debug, Default)]
pub(crate) struct DurableBatch {
    /// Log records, each with the partition of its source record.
    pub(crate) logs: Changes,
    /// Changed state.
    pub(crate) changes: Changes,
}

impl DurableBatch {
    /// Bytes of keys and values.
    pub(crate) fn bytes(&self) -> usize {
        self.logs.bytes() + self.changes.bytes()
    }

    pub(crate) fn clear(&mut self) {
        self.logs.clear();
        self.changes.clear();
    }
}
