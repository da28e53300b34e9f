//! An instance's disk: the local copy of the changelog, in memory. It survives the process; a crash may
//! take it back to an earlier state, as long as that is a whole one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use credence::state::ProfileStores;
use delivery::{Change, Continuation, LocalState, StateError};
use engine::{Backing, BackingError};

use super::mutants::Mutant;
use super::random::Random;

/// Earlier states that a crash may go back to.
const MAX_UNSYNCED: usize = 4;

pub(super) type Values = BTreeMap<Vec<u8>, Box<[u8]>>;

#[derive(Debug, Clone, Default)]
struct Image {
    position: Option<i64>,
    values: Values,
}

#[derive(Debug, Default)]
struct Copy {
    now: Image,
    unsynced: Vec<Image>,
    damaged: bool,
}

#[derive(Debug, Default)]
pub(super) struct Disk {
    copies: Mutex<BTreeMap<i32, Copy>>,
    mutant: Option<Mutant>,
}

fn damaged() -> StateError {
    StateError::Damaged("a block does not match its checksum".to_owned())
}

impl Disk {
    pub(super) fn new(mutant: Option<Mutant>) -> Disk {
        Disk { copies: Mutex::default(), mutant }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Copy>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written last may be lost.
    pub(super) fn crash(&self, random: &mut Random) {
        for copy in self.lock().values_mut() {
            let keep = random.below(copy.unsynced.len() + 1);
            if let Some(earlier) = copy.unsynced.drain(..).nth(keep) {
                let position = copy.now.position;
                copy.now = earlier;
                if self.mutant == Some(Mutant::StorePositionApart) {
                    copy.now.position = position;
                }
            }
        }
    }

    pub(super) fn damage(&self, partition: i32) {
        self.lock().entry(partition).or_default().damaged = true;
    }

    /// What is there of a partition.
    pub(super) fn values(&self, partition: i32) -> Values {
        self.lock().get(&partition).map(|copy| copy.now.values.clone()).unwrap_or_default()
    }
}

impl LocalState for Disk {
    fn position(&self, partition: i32) -> Result<Option<i64>, StateError> {
        match self.lock().get(&partition) {
            Some(copy) if copy.damaged => Err(damaged()),
            copy => Ok(copy.and_then(|copy| copy.now.position)),
        }
    }

    fn apply(
        &self,
        partition: i32,
        from: Option<i64>,
        changes: &mut dyn Iterator<Item = Change<'_>>,
        next: i64,
    ) -> Result<bool, StateError> {
        let mut copies = self.lock();
        let copy = copies.entry(partition).or_default();
        if copy.damaged {
            return Err(damaged());
        }
        let continuation = match Continuation::of(copy.now.position, from, next) {
            Continuation::Late if self.mutant == Some(Mutant::LateBatchTakenOver) => Continuation::Follows,
            Continuation::Hole if self.mutant == Some(Mutant::HoleInCopy) => Continuation::Follows,
            as_it_is => as_it_is,
        };
        if continuation != Continuation::Follows {
            return Ok(continuation == Continuation::Late);
        }
        if copy.unsynced.len() >= MAX_UNSYNCED {
            copy.unsynced.remove(0);
        }
        copy.unsynced.push(copy.now.clone());
        for change in changes {
            match change.value {
                Some(value) => drop(copy.now.values.insert(change.key.to_vec(), value.into())),
                None => drop(copy.now.values.remove(change.key)),
            }
        }
        copy.now.position = Some(next);
        Ok(true)
    }

    fn reset(&self, partition: i32) -> Result<(), StateError> {
        self.lock().remove(&partition);
        Ok(())
    }
}

#[derive(Debug)]
struct View(Arc<Disk>, i32);

impl View {
    fn with<T>(&self, read: impl FnOnce(&Values) -> T) -> Result<T, BackingError> {
        match self.0.lock().get(&self.1) {
            Some(copy) if copy.damaged => Err(BackingError::Failed(Box::new(damaged()))),
            Some(copy) => Ok(read(&copy.now.values)),
            None => Ok(read(&Values::new())),
        }
    }
}

impl Backing for View {
    fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, BackingError> {
        self.with(|values| values.get(key).cloned())
    }

    fn scan(&self, from: &[u8], limit: usize, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), BackingError> {
        self.with(|values| values.range(from.to_vec()..).take(limit).for_each(|(key, value)| each(key, value)))
    }
}

/// The disk as the handler sees it.
#[derive(Debug)]
pub(super) struct Stores(pub(super) Arc<Disk>);

impl LocalState for Stores {
    fn position(&self, partition: i32) -> Result<Option<i64>, StateError> {
        self.0.position(partition)
    }

    fn apply(
        &self,
        partition: i32,
        from: Option<i64>,
        changes: &mut dyn Iterator<Item = Change<'_>>,
        next: i64,
    ) -> Result<bool, StateError> {
        self.0.apply(partition, from, changes, next)
    }

    fn reset(&self, partition: i32) -> Result<(), StateError> {
        self.0.reset(partition)
    }
}

impl ProfileStores for Stores {
    fn backing(&self, partition: i32) -> Result<Arc<dyn Backing>, StateError> {
        Ok(Arc::new(View(self.0.clone(), partition)))
    }
}
