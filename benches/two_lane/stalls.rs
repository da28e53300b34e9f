//! Whether verdicts stand still while something else happens: commits, a reload of lists, tables of the store
//! being merged, other partitions moving to another instance and back.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::Size;
use crate::events::Event;
use crate::lab::{Scene, Stage};
use crate::latency::{PARTITIONS, load, some, stop};
use crate::load::{Answered, Silence};
use crate::process::Process;
use crate::table::{Table, duration, millis};

/// Share of the capacity.
const SHARE: f64 = 0.5;
/// What happens happens after what is not measured.
const QUIET: Duration = Duration::from_secs(4);
/// Between two reloads.
const RELOADS: Duration = Duration::from_millis(500);
/// The least memory that can be set: its eighth, the write buffers of the store, is full again and again.
const LITTLE_MEMORY: usize = 16 << 20;
/// Of the table; stolen is what the machine's host gave of the processors to others.
const HEADINGS: [&str; 6] = ["meanwhile", "p99 ms", "p99.9 ms", "latest ms", "longest gap ms", "stolen"];

pub(crate) fn measure(
    stage: &Stage<'_>,
    credence: Process,
    events: &mut dyn Iterator<Item = Event>,
    capacity: f64,
    size: Size,
) -> Result<()> {
    let rate = capacity * SHARE;
    let time = QUIET + size.pick(Duration::from_secs(14), Duration::from_secs(8));
    let mut rows = Rows { table: Table::new(HEADINGS) };

    let sent = some(events, rate, time);
    rows.add("commits only", &load(stage, &sent, rate).run(|_| Ok(()))?, |_| true);

    let sent = some(events, rate, time);
    credence.check_metrics()?;
    let reloads = || credence.log_lines("were loaded anew").len();
    let answered = load(stage, &sent, rate).run(|over| {
        thread::sleep(QUIET);
        while !over.load(Ordering::Relaxed) {
            credence.signal(Signal::HUP)?;
            thread::sleep(RELOADS);
        }
        Ok(())
    })?;
    let found = reloads();
    ensure!(found > 1, "the lists were not loaded anew");
    rows.add(&format!("{found} reloads of databases and lists"), &answered, |_| true);

    let sent = some(events, rate, time + size.pick(Duration::from_secs(6), Duration::ZERO));
    let other_state = stage.lab.state_apart();
    let answered = load(stage, &sent, rate).run(|over| {
        thread::sleep(QUIET);
        let other = stage.instance(&other_state)?;
        thread::sleep(Duration::from_secs(2));
        other.end(Signal::TERM)?;
        ensure!(!over.load(Ordering::Relaxed), "the load was over before the second instance had gone");
        Ok(())
    })?;
    let moved = moved(&credence)?;
    ensure!(!moved.is_empty() && moved.len() < PARTITIONS as usize, "partitions {moved:?} moved");
    // A commit that meets a new generation of the group is refused, and tried again.
    let aborted = credence.metrics()?.sum("credence_commit_failures_total", "");
    let name = format!("a second instance comes and goes, {aborted} batches aborted: partitions that stay");
    rows.add(&name, &answered, |number| !moved.contains(&number));
    rows.add("the same: partitions that move", &answered, |number| moved.contains(&number));
    credence.end(Signal::TERM)?;

    for (name, state, disk) in [
        ("latency-merging", stage.lab.state_apart(), "another disk than the broker's"),
        ("latency-merging-beside", stage.lab.new_path("state"), "the broker's disk"),
    ] {
        let scene = Scene { memory_bytes: LITTLE_MEMORY, ..Scene::new(name, PARTITIONS) };
        let (answered, tables) = merging(stage, &scene, &state, events, rate, time)?;
        let name = format!("little memory: {tables} tables of the store written and merged, on {disk}");
        rows.add(&name, &answered, |_| true);
    }
    rows.table.print(&format!("Stalls, at {:.0} % of the capacity", SHARE * 100.0));
    Ok(())
}

/// A load while the store writes and merges tables; how many tables there were.
fn merging(
    stage: &Stage<'_>,
    scene: &Scene<'_>,
    state: &Path,
    events: &mut dyn Iterator<Item = Event>,
    rate: f64,
    time: Duration,
) -> Result<(Answered, usize)> {
    let stage = Stage::new(stage.lab, scene)?;
    let credence = stage.instance(state)?;
    let sent = some(events, rate, time);
    let mut tables = BTreeSet::new();
    let mut merged = 0;
    let answered = load(&stage, &sent, rate).run(|over| {
        while !over.load(Ordering::Relaxed) {
            let now = files(state)?;
            merged += tables.difference(&now).count();
            tables.extend(now);
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    })?;
    stop(credence)?;
    ensure!(merged > 0, "no tables were merged: {} were written", tables.len());
    Ok((answered, tables.len()))
}

/// The files below a folder, by their paths. One that goes meanwhile is none.
fn files(folder: &Path) -> Result<BTreeSet<std::path::PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.components().any(|part| part.as_os_str() == "tables") {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

/// The partitions that an instance gave up.
fn moved(credence: &Process) -> Result<BTreeSet<usize>> {
    let mut moved = BTreeSet::new();
    for line in credence.log_lines("partitions revoked") {
        let list = line["fields"]["partitions"].as_str().context("a log line without partitions")?;
        moved.extend(list.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<usize>().ok()));
    }
    Ok(moved)
}

struct Rows {
    table: Table,
}

impl Rows {
    /// Adds a row about some partitions; the quantiles are of all of them.
    fn add(&mut self, name: &str, answered: &Answered, of: impl Fn(usize) -> bool) {
        let chosen: Vec<&Silence> = answered
            .partitions
            .iter()
            .enumerate()
            .filter(|(number, _)| of(*number))
            .map(|(_, silence)| silence)
            .collect();
        let all = chosen.len() == answered.partitions.len();
        let quantile = |quantile| if all { millis(answered.quantile(quantile)) } else { String::new() };
        self.table.row([
            name.to_owned(),
            quantile(0.99),
            quantile(0.999),
            millis(chosen.iter().map(|silence| silence.max_us).max().unwrap_or_default()),
            duration(chosen.iter().map(|silence| silence.longest).max().unwrap_or_default()),
            format!("{:.1} %", answered.stolen * 100.0),
        ]);
    }
}

/// How long verdicts were missing from an instance's partitions, from a moment on.
pub(crate) fn longest_gap(answered: &Answered) -> Duration {
    answered.partitions.iter().map(|silence| silence.longest).max().unwrap_or_default()
}

/// Waits for a while from a moment on.
pub(crate) fn sleep_until(begin: Instant, after: Duration) {
    thread::sleep(after.saturating_sub(begin.elapsed()));
}
