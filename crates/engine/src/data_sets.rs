//! The sets of data versions that answers were computed with, by number: an answer that is repeated
//! names the versions that it was first given with.

use std::collections::VecDeque;
use std::sync::Arc;

use model::evidence::DataVersions;

/// Most sets that are remembered. A set comes with each reload that changes something; an answer is
/// repeated within minutes, so the oldest may go.
const MAX_SETS: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct DataSets {
    /// Number of the oldest set that is remembered.
    first: u32,
    sets: VecDeque<Arc<DataVersions>>,
}

impl DataSets {
    /// The number of a set, the newest one usually.
    pub(crate) fn number_of(&mut self, versions: &Arc<DataVersions>) -> u32 {
        let same = |known: &Arc<DataVersions>| Arc::ptr_eq(known, versions) || known == versions;
        let position = match self.sets.back() {
            Some(newest) if Arc::ptr_eq(newest, versions) => self.sets.len() - 1,
            _ => self.sets.iter().rposition(same).unwrap_or_else(|| {
                if self.sets.len() >= MAX_SETS {
                    self.sets.pop_front();
                    self.first = self.first.wrapping_add(1);
                }
                self.sets.push_back(versions.clone());
                self.sets.len() - 1
            }),
        };
        self.first.wrapping_add(position as u32)
    }

    /// The set of that number; an empty one where it is no longer remembered.
    pub(crate) fn get(&self, number: u32) -> Arc<DataVersions> {
        let position = number.wrapping_sub(self.first) as usize;
        self.sets.get(position).cloned().unwrap_or_default()
    }
}
