//! How the workers are, for whoever answers `/livez` and `/readyz`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a worker is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerState {
    /// Its clients exist, its thread does not yet poll.
    Starting,
    /// It waits for the group to assign partitions.
    Joining,
    /// The group has decided which partitions it owns: this many, possibly none.
    Assigned {
        /// How many.
        partitions: usize,
        /// How many of them are not served yet, because their state is being completed.
        restoring: usize,
    },
    /// It was asked to stop and finishes what is under way.
    Stopping,
    /// It has stopped as asked.
    Stopped,
    /// It has stopped on its own, with this error.
    Failed(String),
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerState::Starting => write!(f, "starting"),
            WorkerState::Joining => write!(f, "joining the group"),
            WorkerState::Assigned { partitions, restoring: 0 } => write!(f, "assigned {partitions} partition(s)"),
            WorkerState::Assigned { partitions, restoring } => {
                write!(f, "assigned {partitions} partition(s), restoring the state of {restoring}")
            }
            WorkerState::Stopping => write!(f, "stopping"),
            WorkerState::Stopped => write!(f, "stopped"),
            WorkerState::Failed(error) => write!(f, "failed: {error}"),
        }
    }
}

/// A worker at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStatus {
    /// The worker's number, from 0.
    pub worker: usize,
    /// What it is doing.
    pub state: WorkerState,
    /// How long ago its loop last went round.
    pub silent_for: Duration,
}

/// The health of all workers of a stream. Cheap to read from any thread.
pub struct Health {
    started: Instant,
    /// Each worker's state, and when its loop last went round, in milliseconds after `started`.
    workers: Vec<(Mutex<WorkerState>, AtomicU64)>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.workers()).finish()
    }
}

impl Health {
    pub(crate) fn new(workers: usize) -> Health {
        let slot = || (Mutex::new(WorkerState::Starting), AtomicU64::new(0));
        Health { started: Instant::now(), workers: std::iter::repeat_with(slot).take(workers).collect() }
    }

    /// Every worker, in order.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        let now = self.now_ms();
        let status = |(worker, (state, last)): (usize, &(Mutex<WorkerState>, AtomicU64))| WorkerStatus {
            worker,
            state: lock(state).clone(),
            silent_for: Duration::from_millis(now.saturating_sub(last.load(Ordering::Relaxed))),
        };
        self.workers.iter().enumerate().map(status).collect()
    }

    /// Does every worker's loop go round, or has it stopped as asked? Independent of the brokers: a worker
    /// whose brokers are down polls on. A restart helps when this is `false`.
    pub fn is_live(&self, max_silence: Duration) -> bool {
        self.workers().iter().all(|status| match status.state {
            WorkerState::Failed(_) => false,
            WorkerState::Stopped => true,
            _ => status.silent_for <= max_silence,
        })
    }

    /// Does every worker run and serve all partitions that the group has assigned to it?
    pub fn is_ready(&self) -> bool {
        let assigned = |status: &WorkerStatus| matches!(status.state, WorkerState::Assigned { restoring: 0, .. });
        self.workers().iter().all(assigned)
    }

    /// The first worker's error, if one has failed.
    pub fn failure(&self) -> Option<String> {
        self.workers().into_iter().find_map(|status| match status.state {
            WorkerState::Failed(error) => Some(format!("worker {}: {error}", status.worker)),
            _ => None,
        })
    }

    /// The loop of `worker` goes round.
    pub(crate) fn alive(&self, worker: usize) {
        if let Some((_, last)) = self.workers.get(worker) {
            last.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    pub(crate) fn set(&self, worker: usize, state: WorkerState) {
        if let Some((current, _)) = self.workers.get(worker) {
            *lock(current) = state;
        }
        self.alive(worker);
    }

    // Monotonic, so that a step of the wall clock looks neither like death nor like life.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_and_ready_follow_the_states() {
        let long = Duration::from_secs(60);
        let cases = [
            (WorkerState::Starting, true, false),
            (WorkerState::Joining, true, false),
            (WorkerState::Assigned { partitions: 0, restoring: 0 }, true, true),
            (WorkerState::Assigned { partitions: 12, restoring: 0 }, true, true),
            (WorkerState::Assigned { partitions: 12, restoring: 1 }, true, false),
            (WorkerState::Stopping, true, false),
            (WorkerState::Stopped, true, false),
            (WorkerState::Failed("x".to_owned()), false, false),
        ];
        for (state, live, ready) in cases {
            let health = Health::new(2);
            health.set(0, WorkerState::Assigned { partitions: 1, restoring: 0 });
            health.set(1, state.clone());
            assert_eq!((health.is_live(long), health.is_ready()), (live, ready), "{state}");
            assert_eq!(health.failure().is_some(), !live, "{state}");
        }
    }
}
