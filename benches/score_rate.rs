//! How many events a second `credence score` takes from a file to a file, on one core.
//!
//!     cargo bench -p credence --bench score_rate
//!
//! The time is that of the whole process, its start and the loading of databases and lists included.

mod sample;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Users of the traffic.
const USERS: u32 = 50_000;
/// Events in the file.
const EVENTS: usize = 1_000_000;
/// Runs of each kind; the median counts.
const RUNS: usize = 5;

fn main() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let demo = sample::small_world(folder.path());
    let events = folder.path().join("events.jsonl");
    let bytes = write_events(&events)?;
    let pinned = Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok();
    println!(
        "{EVENTS} events of {} B, {USERS} users, {}",
        bytes / EVENTS,
        if pinned { "pinned to one core" } else { "not pinned: no taskset here" }
    );
    println!("{:<28} {:>12} {:>12} {:>12}", "events a second", "median", "slowest", "fastest");
    for with_logs in [false, true] {
        let mut rates = Vec::new();
        for _ in 0..RUNS {
            let mut command =
                if pinned { Command::new("taskset") } else { Command::new(env!("CARGO_BIN_EXE_credence")) };
            if pinned {
                command.args(["-c", "0", env!("CARGO_BIN_EXE_credence")]);
            }
            command.arg("score").arg("--city").arg(&demo.city).arg("--asn").arg(&demo.asn);
            command.arg("--anonymous").arg(&demo.anonymous);
            for list in &demo.deny_lists {
                let list = format!("name={},category={},path={}", list.name, list.category, list.path.display());
                command.args(["--deny-list", &list]);
            }
            for path in &demo.relay_lists {
                command.arg("--relay-list").arg(path);
            }
            if with_logs {
                command.arg("--logs").arg(folder.path().join("logs.jsonl"));
            }
            command.arg(&events).stdout(File::create(folder.path().join("verdicts.jsonl"))?).stderr(Stdio::null());
            let started = Instant::now();
            let status = command.status()?;
            let seconds = started.elapsed().as_secs_f64();
            assert!(status.success(), "credence score ended with {status}");
            rates.push(EVENTS as f64 / seconds);
        }
        rates.sort_unstable_by(f64::total_cmp);
        let what = if with_logs { "verdicts and log records" } else { "verdicts" };
        println!("{what:<28} {:>12.0} {:>12.0} {:>12.0}", rates[RUNS / 2], rates[0], rates[RUNS - 1]);
    }
    Ok(())
}

fn write_events(path: &Path) -> std::io::Result<usize> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut bytes = 0;
    for labelled in sample::traffic(USERS, EVENTS as u64).take(EVENTS) {
        file.write_all(&labelled.event)?;
        file.write_all(b"\n")?;
        bytes += labelled.event.len();
    }
    file.flush()?;
    Ok(bytes)
}
