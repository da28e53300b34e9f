//! The real handler with a version beside it: the thing that is announced. Each answer says which version was in
//! force, and where its event was.
//!
//! The version is state like any other: it leaves in the changes of the batch that announces it, under a key of its
//! own, and comes back from the local copy.

use std::collections::BTreeMap;
use std::sync::Arc;

use credence::handler::ScoringHandler;
use delivery::{BatchId, Changes, Handler, Outputs, Source, StateError};

use super::disk::{Disk, Values};
use super::mutants::Mutant;

/// The MessagePack array `["version"]`, which is nobody's key.
pub(super) const VERSION_KEY: &[u8] = b"\x91\xa7version";
/// Between an answer and what is said of it.
const MARK: u8 = b'@';

pub(super) struct Versioned {
    inner: ScoringHandler,
    disk: Arc<Disk>,
    /// The newest version that this instance has heard of.
    heard: u64,
    /// What is in force, by partition.
    versions: BTreeMap<i32, u64>,
    /// What will be when this batch is stored.
    announced: Option<(BatchId, BTreeMap<i32, u64>)>,
    /// The announcement is not among the changes of a batch yet.
    untaken: bool,
    mutant: Option<Mutant>,
}

impl Versioned {
    pub(super) fn new(inner: ScoringHandler, disk: Arc<Disk>, mutant: Option<Mutant>) -> Versioned {
        let (versions, announced) = (BTreeMap::new(), None);
        Versioned { inner, disk, heard: 0, versions, announced, untaken: false, mutant }
    }

    /// There is a newer version.
    pub(super) fn hear(&mut self, newest: u64) {
        self.heard = newest;
    }

    pub(super) fn heard(&self) -> u64 {
        self.heard
    }
}

/// The version in a partition's state.
pub(super) fn version_of(values: &Values) -> u64 {
    let version = values.get(VERSION_KEY).and_then(|value| value.as_ref().try_into().ok());
    version.map_or(0, u64::from_be_bytes)
}

/// What is said behind an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) version: u64,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// An answer without what is said behind it, and that.
pub(super) fn part(answer: &[u8]) -> (&[u8], Option<Said>) {
    let said = answer.iter().rposition(|byte| *byte == MARK).and_then(|at| {
        let (answer, said) = answer.split_at(at);
        let mut numbers = std::str::from_utf8(&said[1..]).ok()?.split(':').map(str::parse::<i64>);
        let mut next = || numbers.next()?.ok();
        let (version, partition, offset) = (next()?, next()?, next()?);
        let (version, partition) = (u64::try_from(version).ok()?, i32::try_from(partition).ok()?);
        Some((answer, Some(Said { version, partition, offset })))
    });
    said.unwrap_or((answer, None))
}

impl Handler for Versioned {
    fn assigned(&mut self, partition: i32) -> Result<(), StateError> {
        self.inner.assigned(partition)?;
        self.versions.insert(partition, version_of(&self.disk.values(partition)));
        Ok(())
    }

    fn revoked(&mut self, partition: i32) {
        self.versions.remove(&partition);
        if let Some((_, announced)) = &mut self.announced {
            announced.remove(&partition);
        }
        self.inner.revoked(partition);
    }

    fn between_batches(&mut self) {
        self.inner.between_batches();
    }

    fn has_news(&self) -> bool {
        self.versions.values().any(|version| *version < self.heard)
    }

    fn announce(&mut self, batch: BatchId) {
        let old = self.versions.iter().filter(|(_, version)| **version < self.heard);
        let announced: BTreeMap<i32, u64> = old.map(|(partition, _)| (*partition, self.heard)).collect();
        if self.mutant == Some(Mutant::NewsBeforeCommit) {
            self.versions.extend(&announced);
        }
        self.announced = Some((batch, announced));
        self.untaken = true;
    }

    fn handle(&mut self, source: &Source<'_>, outputs: &mut Outputs) -> Result<(), StateError> {
        self.inner.handle(source, outputs)?;
        let version = self.versions.get(&source.partition).copied().unwrap_or(0);
        let said = format!("@{version}:{}:{}", source.partition, source.offset);
        let marked = |answer: &[u8]| [answer, said.as_bytes()].concat();
        if let Some(verdict) = outputs.verdict().map(marked) {
            *outputs.add_verdict() = verdict;
        }
        if let Some(log) = outputs.log().map(marked) {
            *outputs.add_log() = log;
        }
        Ok(())
    }

    fn take_changes(&mut self, batch: BatchId, changes: &mut Changes) {
        self.inner.take_changes(batch, changes);
        if !std::mem::take(&mut self.untaken) {
            return;
        }
        for (partition, version) in self.announced.iter().flat_map(|(_, announced)| announced) {
            changes.push(*partition, VERSION_KEY, Some(&version.to_be_bytes()));
        }
    }

    fn stored(&mut self, batch: BatchId) {
        self.inner.stored(batch);
        if let Some((_, announced)) = self.announced.take_if(|(of, _)| *of == batch) {
            self.versions.extend(announced);
        }
    }

    fn rewind(&mut self) -> Result<(), StateError> {
        self.inner.rewind()?;
        self.announced = None;
        self.untaken = false;
        for (partition, version) in &mut self.versions {
            *version = version_of(&self.disk.values(*partition));
        }
        Ok(())
    }
}
