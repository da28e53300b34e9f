//! The delivery of verdicts, log records and state, simulated: the real handler, engine and lanes between
//! a fake Kafka and a fake disk, driven step by step by a scheduler that makes all its choices from a seed.
//!
//! A step is one effect: a record handled, an output written, an acknowledgement taken, a batch sealed, a
//! transaction begun, written to, given its offsets, ended, a marker written, a batch put into the local
//! copy, a partition's state read on. Between any two steps an instance may crash (and start again, with or
//! without its disk), be stopped and go on later, or be thrown out of the group; partitions move;
//! transactions time out, are aborted, or end without an answer; the disk is full, is damaged, or loses what
//! it was told last. Something that answers depend on changes now and then, each instance hears of it in its own
//! time, and it is announced. Events come twice, late, with wrong clocks, unreadable; completions come long after
//! their attempts. Then the faults stop, everything is drained, and [`check`] compares what is there with
//! an uninterrupted run of the same events.
//!
//! What is real: `ScoringHandler`, the engine, `Lanes`, `Changes`, the rule for the local copy
//! (`Continuation`). What is a double, and follows the order of effects of its original: the worker
//! ([`instance`]), the committer, the restorer, the local store ([`disk`]), Kafka ([`log`], [`group`]), and what is
//! announced: a version number beside the handler's state ([`versioned`]).
//!
//! What is not simulated: several workers in one process, broker failures and lost acknowledged records,
//! compaction, flow control, time-outs in wall-clock time, changed settings or data during a run, a
//! group of which members lag behind a rebalance (they hear of it when they ask next).
//!
//! - `CREDENCE_SIMULATION_SEED=7` runs one seed and shows its last steps when it fails,
//!   `CREDENCE_SIMULATION_STEPS=5000` shows more of them.
//! - `CREDENCE_SIMULATION_SEEDS=100000` runs more seeds than the normal test run.

mod check;
mod committer;
mod disk;
mod group;
mod instance;
mod log;
mod mutants;
mod random;
mod restorer;
mod scheduler;
mod traffic;
mod versioned;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use instance::Counts;
use mutants::Mutant;

/// Seeds of the normal test run.
const SEEDS: u64 = 4_000;
/// A mutant that survives so many seeds is too much for this simulation.
const SEEDS_PER_MUTANT: u64 = 10_000;
/// Steps of a trace that are shown.
const SHOWN_STEPS: usize = 120;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// What failed, and how it came to it.
fn explain(seed: u64) -> String {
    let Err(failed) = scheduler::run(seed, None, true) else { return String::new() };
    let shown = from_environment("CREDENCE_SIMULATION_STEPS").map_or(SHOWN_STEPS, |steps| steps as usize);
    let last = failed.trace.len().saturating_sub(shown);
    let mut text = format!("seed {seed}; the last steps:\n{}\n", failed.trace[last..].join("\n"));
    for wrong in failed.wrong.iter().take(5) {
        text.push_str(&format!("broken: {}: {}\n", wrong.check, wrong.what));
    }
    let command = "cargo test -p credence --test it simulation::seeds";
    text.push_str(&format!("replay: CREDENCE_SIMULATION_SEED={seed} {command}"));
    text
}

/// Does the same with each number below `end` on all cores, until one answers.
fn first<T: Send>(end: u64, run: impl Fn(u64) -> Option<T> + Sync) -> Option<T> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end || found.lock().unwrap().is_some() {
                        return;
                    }
                    if let Some(answer) = run(number) {
                        found.lock().unwrap().get_or_insert(answer);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn seeds() {
    if let Some(seed) = from_environment("CREDENCE_SIMULATION_SEED") {
        let explained = explain(seed);
        assert!(explained.is_empty(), "{explained}");
        return;
    }
    let seeds = from_environment("CREDENCE_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let (total, started) = (Mutex::new(Counts::default()), Instant::now());
    let failed = first(seeds, |seed| match scheduler::run(seed, None, false) {
        Ok(counts) => {
            total.lock().unwrap().add(&counts);
            None
        }
        Err(_) => Some(seed),
    });
    assert!(failed.is_none(), "{}", failed.map(explain).unwrap_or_default());
    let total = total.into_inner().unwrap();
    println!("{seeds} seeds in {:?}: {total:?}", started.elapsed());
    // A run in which nothing went wrong has shown nothing.
    let happened = [total.crashes, total.zombies, total.rebalances, total.aborts, total.unknown, total.announcements];
    assert!(happened.iter().all(|count| *count as u64 >= seeds / 10), "{total:?}");
}

#[test]
fn mutants_are_caught() {
    let caught = |mutant| {
        first(SEEDS_PER_MUTANT, |seed| {
            let failed = scheduler::run(seed, Some(mutant), false).err()?;
            Some((seed, failed.wrong.first().map_or("", |wrong| wrong.check)))
        })
    };
    let mut survivors = Vec::new();
    for mutant in Mutant::ALL {
        match caught(mutant) {
            Some((seed, check)) => println!("{mutant:?} is caught by seed {seed}: {check}"),
            None => survivors.push(mutant),
        }
    }
    assert!(survivors.is_empty(), "nothing catches {survivors:?}");
}

#[test]
fn a_seed_is_the_same_each_time() {
    for seed in 0..20 {
        let [once, again] = [(); 2].map(|()| scheduler::run(seed, None, false).map_err(|failed| failed.trace));
        assert_eq!(once, again, "seed {seed}");
    }
}
