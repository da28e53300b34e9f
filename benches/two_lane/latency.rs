//! How long a verdict takes, at shares of the capacity, against an echo of the same events.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::Size;
use crate::events::{Event, traffic};
use crate::lab::{Lab, Scene, Stage};
use crate::load::{Answered, Load};
use crate::probe::Offsets;
use crate::stalls;
use crate::table::{Table, count, duration, millis};

pub(crate) const PARTITIONS: i32 = 4;
/// Shares of the capacity.
const SHARES: [f64; 3] = [0.1, 0.5, 0.8];
/// What is sent before this time of a load is not measured.
const WARM_UP: Duration = Duration::from_secs(3);
/// The broker is warm when its compilers take no more of a processor than this, or after so many bursts.
const RESTING: f64 = 0.1;
const MAX_BURSTS: usize = 12;
/// How long a load may take until it is committed, and how often that is looked at.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(10);
/// How long the pass-through may take to get its partitions.
const JOIN: Duration = Duration::from_secs(30);

/// Nothing happens beside the load.
fn nothing(_: &AtomicBool) -> Result<()> {
    Ok(())
}

/// Events of a load of so many seconds.
pub(crate) fn some(events: &mut dyn Iterator<Item = Event>, rate: f64, time: Duration) -> Vec<Event> {
    events.take((rate * time.as_secs_f64()) as usize).collect()
}

/// A load on a stage.
pub(crate) fn load<'a>(stage: &'a Stage<'_>, events: &'a [Event], rate: f64) -> Load<'a> {
    Load {
        connection: stage.connection(),
        events_topic: &stage.config.topic_events,
        answers_topic: &stage.config.topic_verdicts,
        events,
        rate,
        warm_up: WARM_UP,
    }
}

pub(crate) fn measure(lab: &Lab, size: Size) -> Result<()> {
    let time = WARM_UP + size.pick(Duration::from_secs(20), Duration::from_secs(3));
    let users = size.pick(50_000, 5_000);
    // More logins than are needed: the traffic is made as it is taken.
    let mut events = traffic(users, 100_000_000)?;
    let stage = Stage::new(lab, &Scene::new("latency", PARTITIONS))?;
    let state: PathBuf = lab.state_apart();
    let credence = stage.instance(&state)?;

    // Twice at least, because the first time the users are new; and until the broker is what it will be.
    let (mut flood, mut bursts, mut compiling) = (0.0, 0, 1.0);
    let mut until_committed = UntilCommitted { stage: &stage, offsets: stage.offsets()?, sent: 0 };
    while bursts < 2 || (compiling > RESTING && bursts < size.pick(MAX_BURSTS, 2)) {
        let burst: Vec<Event> = events.by_ref().take(size.pick(150_000, 20_000)).collect();
        let before = lab.compiling_seconds()?;
        let took = until_committed.run(&burst, f64::INFINITY)?.as_secs_f64();
        flood = burst.len() as f64 / took;
        compiling = (lab.compiling_seconds()? - before) / took;
        bursts += 1;
    }
    // What is there at once is taken in large requests. Events that come one by one cost everybody more, so what
    // can be taken of them is another capacity, and the one that matters to who waits for a verdict.
    lab.hold_compilers_back()?;
    let offered = some(&mut events, flood, size.pick(Duration::from_secs(15), Duration::from_secs(2)));
    let capacity = offered.len() as f64 / until_committed.run(&offered, flood)?.as_secs_f64();
    println!(
        "\nCapacity with load and reader on the same cores, until everything is committed: {} events/s of those that \
         were there at once (the last of {bursts} bursts, when the broker's compilers took {:.0} % of a processor), \
         {} events/s of those that were offered evenly at that rate, which is what follows goes by. Of each load the \
         first {} s are not measured, the broker's compilers have the lowest priority, and the local store is on another \
         disk than the broker's (in memory, where there is none).",
        count(flood),
        compiling * 100.0,
        count(capacity),
        WARM_UP.as_secs()
    );

    let mut table = Table::new(["load", "events/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "sender late ms"]);
    let mut ratios = Vec::new();
    for share in SHARES {
        let rate = capacity * share;
        let sent = some(&mut events, rate, time);
        let row = |table: &mut Table, name: &str, answered: &Answered| {
            table.row([
                format!("{:.0} %, {name}", share * 100.0),
                count(rate),
                millis(answered.quantile(0.5)),
                millis(answered.quantile(0.99)),
                millis(answered.quantile(0.999)),
                millis(answered.latency.max()),
                duration(answered.late),
            ]);
        };
        let echoed = echo(lab, share, &sent, rate)?;
        lab.hold_compilers_back()?;
        row(&mut table, "echo", &echoed);
        let answered = load(&stage, &sent, rate).run(nothing)?;
        row(&mut table, "credence", &answered);
        let of = |quantile| answered.quantile(quantile) as f64 / echoed.quantile(quantile) as f64;
        ratios.push((share, of(0.5), of(0.99), of(0.999)));
    }
    for (share, median, p99, p999) in ratios {
        let two = |ratio: f64| format!("{ratio:.2}");
        let name = format!("{:.0} %, credence / echo", share * 100.0);
        table.row([name, String::new(), two(median), two(p99), two(p999), String::new(), String::new()]);
    }
    table.print("Verdicts: from the intended time of sending an event to the verdict at its reader");
    let metrics = credence.check_metrics()?;
    let commits = metrics.sum("credence_commits_total", "");
    let took = metrics.sum("credence_commit_seconds_sum", "") / commits;
    println!("\n{} commits meanwhile, of {:.0} ms in the mean, none aborted", count(commits), took * 1000.0);
    stalls::measure(&stage, credence, &mut events, capacity, size)
}

/// Loads whose end is that all of it is committed: verdicts alone could run ahead of the durable lane.
struct UntilCommitted<'a> {
    stage: &'a Stage<'a>,
    offsets: Offsets,
    sent: i64,
}

impl UntilCommitted<'_> {
    /// How long so many events took.
    fn run(&mut self, events: &[Event], rate: f64) -> Result<Duration> {
        let answered = Load { warm_up: Duration::ZERO, ..load(self.stage, events, rate) }.run(nothing)?;
        let begin = Instant::now();
        self.sent += i64::try_from(events.len())?;
        while self.offsets.committed(&self.stage.config.topic_events, PARTITIONS)? < self.sent {
            ensure!(begin.elapsed() < PATIENCE, "a load was not committed within {PATIENCE:?}");
            thread::sleep(LOOK);
        }
        Ok(answered.took + begin.elapsed())
    }
}

/// The same events to a program that sends the same bytes back.
fn echo(lab: &Lab, share: f64, events: &[Event], rate: f64) -> Result<Answered> {
    let stage = Stage::new(lab, &Scene::new(&format!("echo-{:.0}", share * 100.0), PARTITIONS))?;
    let echo = stage.pass_through(None)?;
    // It has its partitions when the first record has come back.
    let first = traffic(1, 1)?.take(1).collect::<Vec<_>>();
    stage.feed(&first)?;
    let offsets = stage.offsets()?;
    let begin = Instant::now();
    while offsets.records(&stage.config.topic_verdicts, PARTITIONS)? == 0 {
        ensure!(begin.elapsed() < JOIN, "the echo does not answer");
        thread::sleep(Duration::from_millis(20));
    }
    let answered = load(&stage, events, rate).run(nothing)?;
    let counts = echo.finish()?;
    let wanted = format!("{0} {0}", events.len() + first.len());
    ensure!(counts.trim() == wanted, "the echo read and wrote {counts}, not {wanted}");
    Ok(answered)
}

/// Ends an instance in good order.
pub(crate) fn stop(process: crate::process::Process) -> Result<()> {
    process.check_metrics()?;
    process.end(Signal::TERM)
}
