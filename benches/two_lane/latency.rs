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
/// How often echo and Credence take turns at each share.
const TURNS: usize = 3;
/// What is sent before this time of a load is not measured.
const WARM_UP: Duration = Duration::from_secs(3);
/// The broker is warm when its compilers take no more of a processor than this, after so many bursts at least and so
/// many at most: they rest by chance, too, and what they have left for later takes the processors from a load.
const RESTING: f64 = 0.1;
const MIN_BURSTS: usize = 8;
const MAX_BURSTS: usize = 12;
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
    let time = WARM_UP + size.pick(Duration::from_secs(15), Duration::from_secs(3));
    let users = size.pick(50_000, 5_000);
    // More logins than are needed: the traffic is made as it is taken.
    let mut events = traffic(users, 100_000_000)?;
    let stage = Stage::new(lab, &Scene::new("latency", PARTITIONS))?;
    let state: PathBuf = lab.state_apart();
    let credence = stage.instance(&state)?;

    // More than once, because the first time the users are new; and until the broker is what it will be.
    let (mut flood, mut bursts, mut compiling) = (0.0, 0, 1.0);
    let mut until_committed = UntilCommitted { stage: &stage, offsets: stage.offsets()?, sent: 0 };
    let (least, most) = (size.pick(MIN_BURSTS, 2), size.pick(MAX_BURSTS, 2));
    while bursts < least || (compiling > RESTING && bursts < most) {
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
         disk than the broker's (in memory, where there is none). Echo and Credence take turns, and the turn with the \
         middle p99 is shown; beside each p99 stands how much of the processors the machine's host gave to others.",
        count(flood),
        compiling * 100.0,
        count(capacity),
        WARM_UP.as_secs()
    );

    let headings = ["load", "events/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "p99 of all turns", "sender late ms"];
    let mut table = Table::new(headings);
    let mut ratios = Vec::new();
    for share in SHARES {
        let rate = capacity * share;
        let (mut echoed, mut answered) = (Vec::new(), Vec::new());
        for _ in 0..size.pick(TURNS, 1) {
            let sent = some(&mut events, rate, time);
            echoed.push(echo(lab, &sent, rate)?);
            lab.hold_compilers_back()?;
            answered.push(load(&stage, &sent, rate).run(nothing)?);
        }
        let [echoed, answered] = [("echo", echoed), ("credence", answered)].map(|(name, mut turns)| {
            turns.sort_by_key(|turn| turn.quantile(0.99));
            let all =
                turns.iter().map(|turn| format!("{} ({:.0} %)", millis(turn.quantile(0.99)), turn.stolen * 100.0));
            let all: Vec<String> = all.collect();
            let middle = turns.swap_remove(turns.len() / 2);
            table.row([
                format!("{:.0} %, {name}", share * 100.0),
                count(rate),
                millis(middle.quantile(0.5)),
                millis(middle.quantile(0.99)),
                millis(middle.quantile(0.999)),
                millis(middle.latency.max()),
                all.join(", "),
                duration(middle.late),
            ]);
            middle
        });
        let of = |quantile| answered.quantile(quantile) as f64 / echoed.quantile(quantile) as f64;
        ratios.push((share, [of(0.5), of(0.99), of(0.999)]));
    }
    for (share, [median, p99, p999]) in ratios {
        let two = |ratio: f64| format!("{ratio:.2}");
        let name = format!("{:.0} %, credence / echo", share * 100.0);
        let none = String::new;
        table.row([name, none(), two(median), two(p99), two(p999), none(), none(), none()]);
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
        self.stage.until_committed(&self.offsets, self.sent)?;
        Ok(answered.took + begin.elapsed())
    }
}

/// The same events to a program that sends the same bytes back.
fn echo(lab: &Lab, events: &[Event], rate: f64) -> Result<Answered> {
    let stage = Stage::new(lab, &Scene::new(&lab.numbered("echo"), PARTITIONS))?;
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
