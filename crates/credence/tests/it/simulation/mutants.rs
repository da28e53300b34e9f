//! Deliberately broken variants: each breaks one rule that a promise hangs on. They live in the driver, in
//! the doubles and in what stands between them and the product, never in the product itself.

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// A batch counts as acknowledged when it is sealed.
    CommitBeforeAcknowledged,
    /// Offsets are committed by themselves, ahead of the transaction.
    OffsetsOutsideTransaction,
    /// The local copy is written before the commit.
    StoreBeforeCommit,
    /// The handler is told that a batch is stored when it is only committed.
    StoredBeforeStored,
    /// Memory keeps what an aborted batch left.
    NoRewind,
    /// A rewind goes to the local copy although it lacks committed batches.
    RewindWithoutRestore,
    /// Batches go on although a partition in them was lost.
    LostWorkKept,
    /// A partition is served when its committed offset is known.
    ServedBeforeRestored,
    /// The changelog is read to where it is stable at the moment.
    RestoreToLastStable,
    /// The changelog is read before the committed offset is asked for.
    RestoreBeforeOffset,
    /// The committed offset is taken as it is, with a transaction pending on it.
    UnstableOffsetTaken,
    /// A commit without an answer counts as done.
    UnknownIsCommitted,
    /// A commit without an answer counts as not done.
    UnknownIsAborted,
    /// Offsets are taken whatever generation they come with.
    NoGenerationCheck,
    /// The local copy's position survives a crash that its content does not.
    StorePositionApart,
    /// What comes late to the local copy is taken over all the same.
    LateBatchTakenOver,
    /// A batch is put into a local copy that lacks what was before it.
    HoleInCopy,
    /// A restoration that is no longer wanted throws the local copy away.
    StaleReset,
    /// Recent answers do not leave the process.
    AnswersNotInState,
    /// What is gone is not written.
    NoTombstones,
    /// Log records are written outside the transaction.
    LogsOutsideTransaction,
    /// News are in force, and records handled with them, before they are committed.
    NewsBeforeCommit,
    /// News are announced although records may be replayed that the former owner has answered.
    NewsInReplay,
    /// News are announced although rewound records are still to be handled again.
    NewsInRewound,
    /// An announcement without records says nothing of offsets, so anybody may commit it.
    NewsUnfenced,
}

impl Mutant {
    pub(super) const ALL: [Mutant; 25] = [
        Mutant::CommitBeforeAcknowledged,
        Mutant::OffsetsOutsideTransaction,
        Mutant::StoreBeforeCommit,
        Mutant::StoredBeforeStored,
        Mutant::NoRewind,
        Mutant::RewindWithoutRestore,
        Mutant::LostWorkKept,
        Mutant::ServedBeforeRestored,
        Mutant::RestoreToLastStable,
        Mutant::RestoreBeforeOffset,
        Mutant::UnstableOffsetTaken,
        Mutant::UnknownIsCommitted,
        Mutant::UnknownIsAborted,
        Mutant::NoGenerationCheck,
        Mutant::StorePositionApart,
        Mutant::LateBatchTakenOver,
        Mutant::HoleInCopy,
        Mutant::StaleReset,
        Mutant::AnswersNotInState,
        Mutant::NoTombstones,
        Mutant::LogsOutsideTransaction,
        Mutant::NewsBeforeCommit,
        Mutant::NewsInReplay,
        Mutant::NewsInRewound,
        Mutant::NewsUnfenced,
    ];
}
