//! Completing the state at a start, from the local store and from the changelog, and how long verdicts are
//! missing at a restart and when partitions move.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use credence::data;
use rustix::process::Signal;
use stream::feed::{FeedRecord, Feeder};
use stream::partition_for;

use crate::Size;
use crate::events::Event;
use crate::lab::{Lab, Scene, Stage};
use crate::latency::{load, stop};
use crate::load::Load;
use crate::process::Process;
use crate::stalls::{longest_gap, sleep_until};
use crate::table::{Table, count, duration, median};
use crate::users::{self, Users};

const PARTITIONS: i32 = 4;
/// How long writing the changelog may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Events a second while instances come and go.
const RATE: f64 = 2_000.0;
/// When something happens to an instance in a load.
const MOMENT: Duration = Duration::from_secs(5);

pub(crate) fn measure(lab: &Lab, size: Size) -> Result<()> {
    let profiles: u32 = size.pick(1_000_000, 20_000);
    let stage = Stage::new(lab, &Scene { learns_at_once: true, ..Scene::new("restore", PARTITIONS) })?;
    let bytes = write_changelog(&stage, profiles)?;
    let state = lab.new_path("state");

    let mut table = Table::new(["state", "records read", "s", "profiles/s", "CPU s", "until ready, s"]);
    let (process, read) = start(&stage, &state)?;
    table.row(read.row("changelog, an empty local store", profiles));
    // Some events, so that there is a tail to read beside.
    let tail = u32::min(profiles / 20, 10_000);
    logins(&stage, 0..tail, users::LOGINS)?;
    until_committed(&stage, tail)?;
    stop(process)?;
    let (process, again) = start(&stage, &state)?;
    ensure!(again.records == 0.0, "{} records were read after a stop in good order", again.records);
    table.row(again.row("local store, stopped in good order", profiles));
    stop(process)?;

    // A copy of the state as it was before more was committed: a store that lags behind.
    let old = lab.new_path("state");
    copy_folder(&state, &old)?;
    let process = stage.instance(&state)?;
    logins(&stage, 0..tail, users::LOGINS + 1)?;
    until_committed(&stage, tail * 2)?;
    stop(process)?;
    let (process, lagging) = start(&stage, &old)?;
    ensure!(lagging.records >= f64::from(tail) * 0.9, "only {} records were read of a tail", lagging.records);
    table.row(lagging.row("local store, and a tail of the changelog", profiles));
    stop(process)?;
    table.print(&format!(
        "Restoring {} profiles of {} B in {PARTITIONS} partitions",
        count(f64::from(profiles)),
        bytes / profiles as usize
    ));
    let mut table = Table::new(["what happens", "runs", "longest time without verdicts, ms: median", "worst"]);
    let runs = size.pick(3, 1);
    let mut login = users::LOGINS + 2;
    for (name, event) in [
        ("restart: SIGTERM, and started again on its store", Happening::Restart),
        ("crash: SIGKILL, and started again on its store (session timeout 6 s)", Happening::Crash),
        ("partitions move: a second instance joins, its store empty", Happening::Join),
        ("partitions move: the second instance stops in good order", Happening::Leave),
    ] {
        let mut gaps = Vec::new();
        for _ in 0..runs {
            gaps.push(gap(&stage, &state, event, login)?.as_secs_f64());
            login += 1;
        }
        let worst = gaps.iter().copied().fold(0.0, f64::max);
        let shown = |seconds: f64| duration(Duration::from_secs_f64(seconds));
        table.row([name.to_owned(), runs.to_string(), shown(median(gaps)), shown(worst)]);
    }
    table.print(&format!("Time without verdicts, at {RATE} events/s, {} profiles", count(f64::from(profiles))));
    Ok(())
}

/// Writes profiles as Credence does, without transactions. Answers their bytes.
fn write_changelog(stage: &Stage<'_>, profiles: u32) -> Result<usize> {
    let users = Users::new(&users::context(&stage.config)?, &data::fingerprints(&stage.config))?;
    let feeder = Feeder::new(&stage.connection())?;
    let topic = stage.config.topic_profiles.as_str();
    for partition in 0..PARTITIONS {
        for (key, value) in &users.others {
            let (key, payload) = (Some(&key[..]), Some(&value[..]));
            feeder.send(FeedRecord { topic, key, payload, partition: Some(partition), ..FeedRecord::default() })?;
        }
    }
    let mut bytes = 0;
    for user in 0..profiles {
        let partition = partition_for(&users::key(user), PARTITIONS);
        let (key, value) = (users::record_key(user), users.profile(user));
        bytes += key.len() + value.len();
        feeder.send(FeedRecord { topic, key: Some(&key), payload: Some(value), partition, ..FeedRecord::default() })?;
    }
    feeder.flush(PATIENCE)?;
    Ok(bytes)
}

/// How a state was completed.
struct Start {
    records: f64,
    /// From "assigned" to "complete", the last partition.
    restoring: Duration,
    ready: Duration,
    cpu: f64,
}

impl Start {
    fn row(&self, name: &str, profiles: u32) -> [String; 6] {
        let seconds = self.restoring.as_secs_f64();
        [
            name.to_owned(),
            count(self.records),
            format!("{seconds:.2}"),
            count(f64::from(profiles) / seconds),
            format!("{:.2}", self.cpu),
            format!("{:.2}", self.ready.as_secs_f64()),
        ]
    }
}

fn start(stage: &Stage<'_>, state: &Path) -> Result<(Process, Start)> {
    let begin = Instant::now();
    let process = stage.instance(state)?;
    let ready = begin.elapsed();
    let cpu = process.cpu_seconds()?;
    let records = process.check_metrics()?.sum("credence_restored_records_total", "");
    let first = moment(&process, "partitions assigned")?.into_iter().min();
    let last = moment(&process, "state complete")?.into_iter().max();
    let restoring = first.zip(last).map(|(first, last)| last.saturating_sub(first)).context("nothing was restored")?;
    Ok((process, Start { records, restoring, ready, cpu }))
}

/// When the lines with a text were logged: since midnight.
fn moment(process: &Process, text: &str) -> Result<Vec<Duration>> {
    let lines = process.log_lines(text);
    lines.iter().map(|line| line["timestamp"].as_str().and_then(time_of_day).context("a line without a time")).collect()
}

fn time_of_day(timestamp: &str) -> Option<Duration> {
    let (_, time) = timestamp.trim_end_matches('Z').split_once('T')?;
    let mut parts = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(Duration::from_secs_f64(hours * 3600.0 + minutes * 60.0 + seconds))
}

fn events(users: std::ops::Range<u32>, login: u32) -> Vec<Event> {
    let event = |user| Event { key: users::key(user), payload: users::login(user, login).into_bytes(), asks: None };
    users.map(event).collect()
}

fn logins(stage: &Stage<'_>, users: std::ops::Range<u32>, login: u32) -> Result<()> {
    stage.feed(&events(users, login))
}

fn until_committed(stage: &Stage<'_>, events: u32) -> Result<()> {
    stage.until_committed(&stage.offsets()?, i64::from(events))?;
    // The local store is written after the commit.
    thread::sleep(Duration::from_millis(500));
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// What happens to an instance in a load.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Restart,
    Crash,
    Join,
    Leave,
}

/// The longest time without verdicts from a partition.
fn gap(stage: &Stage<'_>, state: &Path, event: Happening, login: u32) -> Result<Duration> {
    let mut process = Some(stage.instance(state)?);
    let mut other = None;
    let other_state = stage.lab.new_path("state");
    if let Happening::Leave = event {
        other = Some(stage.instance(&other_state)?);
    }
    let seconds = MOMENT.as_secs_f64() * 2.0 + if let Happening::Crash = event { 8.0 } else { 4.0 };
    let made = |number: u32| {
        let (user, id) = (number % 10_000, format!("login-{login:04x}{number:012x}"));
        let payload = users::login_with_id(user, login, &id).into_bytes();
        Event { key: users::key(user), payload, asks: Some(id) }
    };
    let sent: Vec<Event> = (0..(RATE * seconds) as u32).map(made).collect();
    let during = Load { warm_up: Duration::from_secs(2), ..load(stage, &sent, RATE) };
    let answered = during.run(|_| {
        sleep_until(Instant::now(), MOMENT);
        match event {
            Happening::Restart | Happening::Crash => {
                let how = if let Happening::Crash = event { Signal::KILL } else { Signal::TERM };
                process.take().context("no instance")?.end(how)?;
                process = Some(stage.instance(state)?);
            }
            Happening::Join => other = Some(stage.instance(&other_state)?),
            Happening::Leave => other.take().context("no second instance")?.end(Signal::TERM)?,
        }
        Ok(())
    })?;
    for process in [process, other].into_iter().flatten() {
        process.end(Signal::TERM)?;
    }
    Ok(longest_gap(&answered))
}
