//! Credence in full operation against a pass-through that writes the same number and bytes of records.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::Size;
use crate::events::{Event, OUTPUTS, Pool, Totals, traffic};
use crate::lab::{Lab, Scene, Stage};
use crate::process::Process;
use crate::table::{Table, count, median};

const PARTITIONS: i32 = 4;
/// The topic of events that all stages of this part read.
const EVENTS: &str = "floor-events";
/// Share of the events that warm everything up and are not measured.
const WARM: f64 = 1.0 / 3.0;
/// How often the ends of topics are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Outputs of each kind that the pass-through writes in turn.
const SAMPLES: usize = 20_000;
/// The pass-through's bytes may differ so much from Credence's.
const TOLERANCE: f64 = 0.03;

/// A measured run.
struct Run {
    events_a_second: f64,
    events_a_cpu_second: f64,
}

pub(crate) fn measure(lab: &Lab, size: Size) -> Result<()> {
    let users = size.pick(50_000, 5_000);
    let events: Vec<Event> = traffic(users, size.pick(250_000, 25_000))?.collect();
    let bytes: usize = events.iter().map(|event| event.key.len() + event.payload.len()).sum();
    stage(lab, "floor")?.feed(&events)?;
    // The first run warms the broker up.
    credence(lab, "floor-warm-up", &events)?;

    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    let (mut totals, mut written) = (Totals::default(), Totals::default());
    for number in 0..size.pick(3, 1) {
        let (stage, run, found) = credence(lab, &format!("floor-credence-{number}"), &events)?;
        ours.push(run);
        totals = found;
        let topics = outputs(&stage);
        let records = totals.records.map(|records| records as usize);
        let pool = Pool::read_topics(&stage.connection(), topics, events.len(), records, SAMPLES)?;
        written = pool.totals();
        for (ours, passed) in totals.bytes.iter().zip(written.bytes) {
            let differs = (passed as f64 / *ours as f64 - 1.0).abs();
            ensure!(differs <= TOLERANCE, "the pass-through writes {written:?}, Credence {totals:?}");
        }
        floors.push(pass_through(lab, &format!("floor-pass-{number}"), &pool)?);
    }

    let each = |total: u64| total as f64 / events.len() as f64;
    println!(
        "\n{} events of {} B, {users} users, {PARTITIONS} partitions; the first third is not measured; medians of {} \
         runs, by turns",
        count(events.len() as f64),
        bytes / events.len(),
        ours.len()
    );
    let mut outputs = Table::new(["output", "records an event", "bytes an event", "pass-through: records", "bytes"]);
    for (index, output) in OUTPUTS.iter().enumerate() {
        let two = |number: f64| format!("{number:.2}");
        outputs.row([
            (*output).to_owned(),
            two(each(totals.records[index])),
            count(each(totals.bytes[index])),
            two(each(written.records[index])),
            count(each(written.bytes[index])),
        ]);
    }
    outputs.print("What goes out (keys and values, before compression)");

    let middle = |runs: &[Run], of: fn(&Run) -> f64| median(runs.iter().map(of));
    let mut table = Table::new(["backlog", "events/s", "events/CPU-s", "us CPU/event", "lowest", "highest"]);
    for (name, runs) in [("pass-through", &floors), ("credence", &ours)] {
        let cpu = middle(runs, |run| run.events_a_cpu_second);
        let all = runs.iter().map(|run| run.events_a_cpu_second);
        table.row([
            name.to_owned(),
            count(middle(runs, |run| run.events_a_second)),
            count(cpu),
            format!("{:.1}", 1e6 / cpu),
            count(all.clone().fold(f64::INFINITY, f64::min)),
            count(all.fold(0.0, f64::max)),
        ]);
    }
    let ratio = |of: fn(&Run) -> f64| format!("{:.2}", middle(&ours, of) / middle(&floors, of));
    let (rate, cpu) = (ratio(|run| run.events_a_second), ratio(|run| run.events_a_cpu_second));
    table.row(["credence / pass-through".to_owned(), rate, cpu, String::new(), String::new(), String::new()]);
    table.print("Floor");
    Ok(())
}

fn stage<'l>(lab: &'l Lab, name: &str) -> Result<Stage<'l>> {
    Stage::new(lab, &Scene { events: Some(EVENTS), ..Scene::new(name, PARTITIONS) })
}

/// The topics in the order of [`OUTPUTS`].
fn outputs<'a>(stage: &'a Stage<'_>) -> [&'a str; 3] {
    [&stage.config.topic_verdicts, &stage.config.topic_logs, &stage.config.topic_profiles].map(String::as_str)
}

fn credence<'l>(lab: &'l Lab, name: &str, events: &[Event]) -> Result<(Stage<'l>, Run, Totals)> {
    let stage = stage(lab, name)?;
    let mut process = stage.starting(&lab.new_path("state"))?;
    let verdicts = events.iter().filter(|event| event.asks.is_some()).count();
    let run = follow(&stage, &mut process, events.len(), verdicts, |_| Ok(true))?;
    process.until_ready()?;
    let metrics = process.check_metrics()?;
    let mut totals = Totals::default();
    for (index, output) in OUTPUTS.iter().enumerate() {
        let label = format!("output=\"{output}\"");
        totals.records[index] = metrics.sum("credence_records_produced_total", &label) as u64;
        totals.bytes[index] = metrics.sum("credence_bytes_produced_total", &label) as u64;
    }
    process.end(Signal::TERM)?;
    Ok((stage, run, totals))
}

fn pass_through(lab: &Lab, name: &str, pool: &Pool) -> Result<Run> {
    let stage = stage(lab, name)?;
    let path = lab.new_path("pool");
    pool.write(&path)?;
    let mut process = stage.pass_through(Some(path))?;
    let offsets = stage.offsets()?;
    let all: usize = pool.records.iter().sum();
    let run = follow(&stage, &mut process, pool.events, pool.records[0], |partitions| {
        let found = outputs(&stage).into_iter().map(|topic| offsets.records(topic, partitions));
        Ok(found.sum::<Result<i64>>()? == all as i64)
    })?;
    let counts = process.finish()?;
    let wanted = format!("{} {all}", pool.events);
    ensure!(counts.trim() == wanted, "the pass-through read and wrote {counts}, not {wanted}");
    Ok(run)
}

/// Watches a process take the whole backlog, and measures what comes after the first part of it.
fn follow(
    stage: &Stage<'_>,
    process: &mut Process,
    events: usize,
    verdicts: usize,
    is_complete: impl Fn(i32) -> Result<bool>,
) -> Result<Run> {
    let offsets = stage.offsets()?;
    let begin = Instant::now();
    let wait = |process: &mut Process| -> Result<()> {
        process.check()?;
        ensure!(begin.elapsed() < PATIENCE, "the backlog was not taken within {PATIENCE:?}");
        thread::sleep(LOOK);
        Ok(())
    };
    let mut first;
    loop {
        first = offsets.records(&stage.config.topic_verdicts, stage.partitions)?;
        if first as f64 >= WARM * verdicts as f64 {
            break;
        }
        wait(process)?;
    }
    let (started, cpu) = (Instant::now(), process.cpu_seconds()?);
    while offsets.committed(&stage.config.topic_events, stage.partitions)? < events as i64
        || !is_complete(stage.partitions)?
    {
        wait(process)?;
    }
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), process.cpu_seconds()? - cpu);
    let found = offsets.records(&stage.config.topic_verdicts, stage.partitions)?;
    ensure!(found == verdicts as i64, "{found} verdicts instead of {verdicts}");
    let measured = events as f64 * (1.0 - first as f64 / verdicts as f64);
    Ok(Run { events_a_second: measured / seconds, events_a_cpu_second: measured / cpu })
}
