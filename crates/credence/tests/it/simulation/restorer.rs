//! Completing the state of a partition, a step at a time: what `stream`'s restorer does on its threads.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use delivery::{Changes, LocalState, StateError};

use super::disk::Disk;
use super::instance::Around;
use super::log::Topic;
use super::mutants::Mutant;

#[derive(Debug, Default)]
struct Progress {
    committed: Option<i64>,
    end: i64,
    next: i64,
    /// What the local copy holds by now.
    applied: Option<i64>,
    chunk: Changes,
}

#[derive(Debug)]
enum Stage {
    AskOffset,
    TakeEnd(Option<i64>),
    /// Everything before the end has to be settled.
    Wait(Progress),
    Read(Progress),
}

#[derive(Debug)]
struct Job {
    partition: i32,
    request: u64,
    stage: Stage,
}

/// A partition's state is complete, up to this committed offset.
#[derive(Debug)]
pub(super) struct Restored {
    request: u64,
    pub(super) partition: i32,
    pub(super) committed: Option<i64>,
    /// Up to where the local copy holds the changelog.
    pub(super) position: i64,
    /// The end of the events' partition.
    pub(super) end: i64,
}

pub(super) struct Restorer {
    disk: Arc<Disk>,
    jobs: Vec<Job>,
    wanted: BTreeMap<i32, u64>,
    requests: u64,
    results: VecDeque<Restored>,
}

enum Next {
    Stay(Stage),
    Go(Stage, String),
    Done(Option<i64>, i64),
}

impl Restorer {
    pub(super) fn new(disk: Arc<Disk>) -> Restorer {
        Restorer { disk, jobs: Vec::new(), wanted: BTreeMap::new(), requests: 0, results: VecDeque::new() }
    }

    pub(super) fn restore(&mut self, partitions: &[i32]) {
        self.requests += 1;
        let request = self.requests;
        for partition in partitions {
            self.wanted.insert(*partition, request);
            self.jobs.push(Job { partition: *partition, request, stage: Stage::AskOffset });
        }
    }

    pub(super) fn forget(&mut self, partition: i32) {
        self.wanted.remove(&partition);
    }

    pub(super) fn result(&mut self) -> Option<Restored> {
        while let Some(restored) = self.results.pop_front() {
            if self.wanted.get(&restored.partition) == Some(&restored.request) {
                self.wanted.remove(&restored.partition);
                return Some(restored);
            }
        }
        None
    }

    pub(super) fn step(&mut self, around: &mut Around) -> Option<String> {
        let number = around.random.below(self.jobs.len());
        if self.jobs.is_empty() {
            return None;
        }
        let Job { partition, request, stage } = self.jobs.swap_remove(number);
        // A job may go on for some time after it is no longer wanted, and threads may be slow.
        let is_wanted = self.wanted.get(&partition) == Some(&request);
        if !is_wanted && around.random.permille(50) {
            return None;
        }
        if request % 3 == 0 && around.fault(if is_wanted { 500 } else { 900 }) {
            self.jobs.push(Job { partition, request, stage });
            return None;
        }
        if around.fault(10) {
            self.jobs.push(Job { partition, request, stage: Stage::AskOffset });
            return Some(format!("restoring {partition}: failed, trying again"));
        }
        match self.advance(around, (partition, request), stage) {
            Ok(Next::Stay(stage)) => {
                self.jobs.push(Job { partition, request, stage });
                None
            }
            Ok(Next::Go(stage, what)) => {
                self.jobs.push(Job { partition, request, stage });
                Some(format!("restoring {partition}: {what}"))
            }
            Ok(Next::Done(committed, position)) => {
                let end = around.log.high_watermark(Topic::Events, partition);
                self.results.push_back(Restored { request, partition, committed, position, end });
                Some(format!("restoring {partition}: complete at {committed:?}"))
            }
            Err(error) => {
                if let StateError::Damaged(_) = error {
                    self.reset(around, partition, request);
                }
                self.jobs.push(Job { partition, request, stage: Stage::AskOffset });
                Some(format!("restoring {partition}: {error}"))
            }
        }
    }

    fn advance(&self, around: &mut Around, (partition, request): (i32, u64), stage: Stage) -> Result<Next, StateError> {
        let log = &around.log;
        Ok(match stage {
            Stage::AskOffset if around.mutant == Some(Mutant::RestoreBeforeOffset) => {
                let end = log.last_stable(Topic::Profiles, partition);
                Next::Go(Stage::Wait(Progress { committed: Some(-1), end, ..Progress::default() }), "end".to_owned())
            }
            Stage::AskOffset => {
                let committed = match log.committed_offset(partition) {
                    Err(_) if around.mutant == Some(Mutant::UnstableOffsetTaken) => log.settled_offset(partition),
                    Err(_) => return Ok(Next::Stay(Stage::AskOffset)),
                    Ok(committed) => committed,
                };
                if around.mutant == Some(Mutant::ServedBeforeRestored) {
                    return Ok(Next::Done(committed, 0));
                }
                Next::Go(Stage::TakeEnd(committed), format!("committed offset {committed:?}"))
            }
            Stage::TakeEnd(committed) => {
                let end = match around.mutant {
                    Some(Mutant::RestoreToLastStable) => log.last_stable(Topic::Profiles, partition),
                    _ => log.high_watermark(Topic::Profiles, partition),
                };
                let progress = Progress { committed, end, ..Progress::default() };
                Next::Go(Stage::Wait(progress), format!("changelog ends at {end}"))
            }
            Stage::Wait(mut progress) => {
                if progress.committed == Some(-1) {
                    let Ok(committed) = log.committed_offset(partition) else {
                        return Ok(Next::Stay(Stage::Wait(progress)));
                    };
                    progress.committed = committed;
                }
                if log.last_stable(Topic::Profiles, partition) < progress.end {
                    return Ok(Next::Stay(Stage::Wait(progress)));
                }
                let position = self.disk.position(partition)?;
                progress.applied = position.filter(|position| *position <= progress.end);
                if position != progress.applied {
                    // Not of this changelog.
                    self.reset(around, partition, request);
                }
                progress.next = progress.applied.unwrap_or(0);
                let what = format!("reading {}..{}", progress.next, progress.end);
                if progress.next >= progress.end {
                    return self.complete(partition, progress);
                }
                Next::Go(Stage::Read(progress), what)
            }
            Stage::Read(mut progress) => {
                let until = match around.mutant {
                    Some(Mutant::RestoreBeforeOffset | Mutant::RestoreToLastStable) => progress.end,
                    _ => i64::MAX,
                };
                match log.read(Topic::Profiles, partition, progress.next).filter(|(offset, _)| *offset < until) {
                    Some((offset, record)) => {
                        progress.next = offset + 1;
                        progress.chunk.push(partition, &record.key, record.value.as_deref());
                        if around.random.permille(300) {
                            self.apply(partition, &mut progress)?;
                        }
                        Next::Stay(Stage::Read(progress))
                    }
                    None => {
                        progress.next = progress.next.max(progress.end);
                        return self.complete(partition, progress);
                    }
                }
            }
        })
    }

    /// Who is no longer wanted must not throw away what another has completed.
    fn reset(&self, around: &Around, partition: i32, request: u64) {
        if self.wanted.get(&partition) == Some(&request) || around.mutant == Some(Mutant::StaleReset) {
            let _ = self.disk.reset(partition);
        }
    }

    fn apply(&self, partition: i32, progress: &mut Progress) -> Result<(), StateError> {
        let applied = self.disk.apply(partition, progress.applied, &mut progress.chunk.iter(), progress.next);
        progress.chunk.clear();
        if !applied? {
            return Err(StateError::Unavailable("thrown away meanwhile".to_owned()));
        }
        progress.applied = Some(progress.next);
        Ok(())
    }

    fn complete(&self, partition: i32, mut progress: Progress) -> Result<Next, StateError> {
        self.apply(partition, &mut progress)?;
        Ok(Next::Done(progress.committed, progress.next))
    }
}
