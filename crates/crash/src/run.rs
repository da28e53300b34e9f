//! The phases of a run.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use kafka_harness::Kafka;
use sim::{Labelled, Poison};
use stream::Connection;
use stream::tail::Isolation;

use crate::check::{Ledger, hash};
use crate::conduct::{Done, Stage};
use crate::dead::DeadLetters;
use crate::error::{CrashError, io_error};
use crate::explain::explain;
use crate::feed::{Feed, Pace, Written};
use crate::fleet::Fleet;
use crate::lab::{self, Expected, Lab};
use crate::options::Options;
use crate::read::Readers;
use crate::report::{Percentiles, Report, millis};
use crate::schedule::{Step, Wish, plan};
use crate::watch::{Watch, lock, now_ms};
use crate::{events, names};

/// Waiting for answers ends when for so long none was new.
const NO_PROGRESS: Duration = Duration::from_secs(60);
/// And after so long in any case.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3_600);
/// The least rate of the feed, in events a second.
const LEAST_RATE: f64 = 200.0;
/// How long a step takes beside its pause, roughly.
const STEP: Duration = Duration::from_secs(3);
/// The rate of the feed where nothing is disturbed.
const TAIL_RATE: f64 = 20_000.0;
/// What the broker logs when all members of a group have agreed on a new assignment.
const REBALANCED: &str = "Stabilized group credence-crash ";

/// What comes out of the topics, as it is compared.
#[derive(Clone)]
struct Results {
    verdicts: Arc<Mutex<Ledger>>,
    logs: Arc<Mutex<Ledger>>,
    dead: Arc<Mutex<DeadLetters>>,
    events: Arc<Mutex<Written>>,
    profiles: Arc<Mutex<(u64, HashSet<u64>)>>,
    watch: Arc<Watch>,
}

/// Carries out a run on this broker and judges it. Progress is told on standard error.
///
/// The folder of the run stays when the run fails or cannot be finished, or when that is asked for.
///
/// # Errors
/// When the run cannot be finished. What a finished run found to be wrong is no error: see
/// [`Report::failures`].
pub fn run(options: &Options, mut kafka: Kafka) -> Result<Report, CrashError> {
    let mut lab = Lab::new(options, kafka.bootstrap_servers())?;
    let pace = Arc::new(Pace::default());
    let result = in_lab(options, &mut kafka, &lab, &pace);
    pace.stop.store(true, Ordering::Relaxed);
    let well = matches!(&result, Ok(report) if report.failures().is_empty());
    if well && !options.keep {
        return result;
    }
    lab.keep();
    // The broker's own folder goes with the broker.
    if let Err(error) = std::fs::copy(kafka.log_path(), lab.file("kafka.log")) {
        eprintln!("the broker's log could not be kept: {error}");
    }
    eprintln!("data, events, answers and logs are in {}", lab.path().display());
    result.map(|mut report| {
        report.kept = Some(lab.path().to_owned());
        report
    })
}

fn in_lab(options: &Options, kafka: &mut Kafka, lab: &Lab, pace: &Arc<Pace>) -> Result<Report, CrashError> {
    let begin = Instant::now();
    let connection = Connection::new(kafka.bootstrap_servers());
    lab.create_topics(options.partitions)?;
    let expected = lab.score(options)?;
    let results = Results::new(options, &expected)?;
    let run = Run { options, lab, pace, results: &results, begin };
    let mut readers = results.read(&connection, lab.has_profiles())?;
    let mut fleet = Fleet::new(lab, options.session())?;
    let feed = Feed::new(&connection, options.partitions, events::events(options)?, events::poison(options))?;

    for _ in 0..options.instances {
        fleet.grow()?;
    }
    fleet.until_ready()?;
    let first_joins = rebalances(kafka)?;
    let (done, mut feed) = run.disturbed(kafka, &mut fleet, &mut readers, feed)?;
    let rebalances = rebalances(kafka)? - first_joins;
    let cold_ready = run.cold(&mut fleet)?;
    pace.allowed.store(expected.events, Ordering::Relaxed);
    feed.send_until(expected.events, TAIL_RATE, pace)?;
    wait_for_answers(&mut fleet, &mut readers, || results.open())?;
    fleet.end()?;
    readers.finish()?;

    if let Some(difference) = feed.written().differs(&lock(&results.events)) {
        return Err(CrashError::Input(difference));
    }
    results.explain(lab, &expected)?;
    let lives = fleet.lives();
    let profiles = lab.has_profiles().then(|| lock(&results.profiles));
    Ok(Report {
        events: expected.events,
        tail_events: options.tail_events(),
        verdicts: lock(&results.verdicts).tally(),
        logs: lock(&results.logs).tally(),
        dead: lock(&results.dead).tally(),
        profile_records: profiles.as_ref().map(|profiles| profiles.0),
        profile_keys: profiles.as_ref().map(|profiles| profiles.1.len() as u64),
        keeps_state: lab.keeps_state(),
        done,
        kills_wanted: options.kills,
        rebalances,
        rebalances_wanted: options.rebalances,
        ready_ms: Percentiles::of(&lives.ready_after),
        cold_ready_ms: millis(&cold_ready),
        longest_gap_ms: millis(&results.watch.longest_gap()),
        processes: lives.started,
        ended_by_themselves: lives.by_themselves.clone(),
        bad_stops: lives.bad_stops.clone(),
        hung: lives.hung,
        panics: lives.panics,
        counters: lives.counters.clone(),
        broker: format!("Apache Kafka {}, one node", kafka.version()),
        program: lab.version()?,
        seed: options.seed,
        seconds: begin.elapsed().as_secs_f64(),
        kept: None,
    })
}

/// What the phases share.
struct Run<'a> {
    options: &'a Options,
    lab: &'a Lab,
    pace: &'a Arc<Pace>,
    results: &'a Results,
    begin: Instant,
}

impl Run<'_> {
    /// Events flow while instances and broker are disturbed. Ends when every verdict has come and all
    /// instances have stopped; answers what was done, and the feed with the tail still to be sent.
    fn disturbed<E, P>(
        &self,
        kafka: &mut Kafka,
        fleet: &mut Fleet<'_>,
        readers: &mut Readers,
        feed: Feed<E, P>,
    ) -> Result<(Done, Feed<E, P>), CrashError>
    where
        E: Iterator<Item = Labelled> + Send + 'static,
        P: Iterator<Item = (u64, Poison)> + Send + 'static,
    {
        let (options, results) = (self.options, self.results);
        let steps = plan(&Wish {
            seed: options.seed,
            kills: options.kills,
            moves: options.rebalances,
            broker_restarts: options.broker_restarts,
            mean_pause: options.pause(),
        });
        let verdicts = lock(&results.verdicts).tally().wanted;
        let logs = lock(&results.logs).tally().wanted;
        self.tell(&format!("{verdicts} verdicts and {logs} log records to come; {} disturbances", steps.len()));
        let rate = rate(options, &steps);
        let feeding = feed_in_background(feed, options.events, rate, self.pace)?;
        let mut stage = Stage {
            fleet,
            kafka,
            readers,
            watch: &results.watch,
            pace: self.pace,
            events: options.events,
            rate,
            begin: self.begin,
        };
        let done = stage.play(&steps)?;
        // The feed ends by itself: it has a rate, and deadlines of its own.
        while !feeding.is_finished() {
            fleet.look_after()?;
            readers.check()?;
        }
        results.watch.no_more_events();
        let feed = feeding.join().map_err(|_| CrashError::Panicked("feed"))??;
        wait_for_answers(fleet, readers, || lock(&results.verdicts).tally().missing_before_tail)?;
        fleet.end()?;
        Ok((done, feed))
    }

    /// A machine without state takes over; how long it took to be ready.
    fn cold(&self, fleet: &mut Fleet<'_>) -> Result<Duration, CrashError> {
        let now = now_ms();
        lock(&self.results.verdicts).restored_at(now);
        lock(&self.results.logs).restored_at(now);
        let begin = Instant::now();
        // A new instance has a state folder of its own, which is not there yet.
        let number = fleet.grow()?;
        fleet.until_ready()?;
        let took = begin.elapsed();
        let state = if self.lab.keeps_state() { "an empty state folder" } else { "no state folder" };
        self.tell(&format!("all instances stopped; instance {number} took over with {state}"));
        Ok(took)
    }

    fn tell(&self, what: &str) {
        eprintln!("{:7.1} s  {what}", self.begin.elapsed().as_secs_f64());
    }
}

fn shared<T>(value: T) -> Arc<Mutex<T>> {
    Arc::new(Mutex::new(value))
}

impl Results {
    fn new(options: &Options, expected: &Expected) -> Result<Results, CrashError> {
        let mut dead = DeadLetters::default();
        events::poison(options).for_each(|(_, poison)| dead.expect(&poison.bytes));
        Ok(Results {
            verdicts: shared(Ledger::of_file(names::verdict, &expected.verdicts, expected.main_verdicts)?),
            logs: shared(Ledger::of_file(names::log, &expected.logs, 0)?),
            dead: shared(dead),
            events: shared(Written::default()),
            profiles: shared((0, HashSet::new())),
            watch: Arc::new(Watch::new(options.partitions)),
        })
    }

    /// How many records are still to come.
    fn open(&self) -> u64 {
        let dead = lock(&self.dead).open() as u64;
        lock(&self.verdicts).tally().missing + lock(&self.logs).tally().missing + dead
    }

    /// Writes some of what is wrong to a file.
    fn explain(&self, lab: &Lab, expected: &Expected) -> Result<(), CrashError> {
        // The fast lane may answer twice; that both answers are the same is checked as they come.
        let mut wrong = explain("verdicts", false, names::verdict, &lock(&self.verdicts), &expected.verdicts)?;
        wrong += &explain("log records", true, names::log, &lock(&self.logs), &expected.logs)?;
        if wrong.is_empty() {
            return Ok(());
        }
        let path = lab.file("wrong.txt");
        eprintln!("some of what is wrong, beside what should have been, is in {}", path.display());
        std::fs::write(&path, wrong).map_err(io_error("write", &path))
    }

    /// Begins to read all topics.
    fn read(&self, connection: &Connection, profiles: bool) -> Result<Readers, CrashError> {
        let mut readers = Readers::new(connection.clone());
        let all = self.clone();
        readers.start(lab::EVENTS, Isolation::Committed, move |record| {
            let payload = record.payload.as_deref().unwrap_or_default();
            lock(&all.events).add(record.partition, payload);
            lock(&all.dead).source(record.partition, record.offset, payload);
        })?;
        let all = self.clone();
        readers.start(lab::VERDICTS, Isolation::Uncommitted, move |record| {
            let timestamp = record.timestamp_ms.unwrap_or_default();
            all.watch.verdict(record.partition, timestamp);
            lock(&all.verdicts).observe(record.payload.as_deref().unwrap_or_default(), timestamp);
        })?;
        let all = self.clone();
        readers.start(lab::LOGS, Isolation::Committed, move |record| {
            let timestamp = record.timestamp_ms.unwrap_or_default();
            lock(&all.logs).observe(record.payload.as_deref().unwrap_or_default(), timestamp);
        })?;
        let all = self.clone();
        readers.start(lab::DEAD, Isolation::Uncommitted, move |record| lock(&all.dead).observe(record))?;
        if profiles {
            let all = self.clone();
            readers.start(lab::PROFILES, Isolation::Committed, move |record| {
                let (records, keys) = &mut *lock(&all.profiles);
                *records += 1;
                keys.insert(hash(&record.key));
            })?;
        }
        Ok(readers)
    }
}

/// So many events a second that the feed lasts as long as the disturbances.
fn rate(options: &Options, steps: &[Step]) -> f64 {
    if options.rate > 0 {
        return f64::from(options.rate);
    }
    let pauses: Duration = steps.iter().map(|step| step.pause + STEP).sum();
    (options.events as f64 / pauses.as_secs_f64().max(1.0)).max(LEAST_RATE)
}

type Feeding<F> = thread::JoinHandle<Result<F, CrashError>>;

fn feed_in_background<E, P>(
    mut feed: Feed<E, P>,
    until: u64,
    rate: f64,
    pace: &Arc<Pace>,
) -> Result<Feeding<Feed<E, P>>, CrashError>
where
    E: Iterator<Item = Labelled> + Send + 'static,
    P: Iterator<Item = (u64, Poison)> + Send + 'static,
{
    let pace = pace.clone();
    let send = move || feed.send_until(until, rate, &pace).map(|()| feed);
    thread::Builder::new().name("feed".to_owned()).spawn(send).map_err(io_error("start a thread for", "feed".as_ref()))
}

/// Waits until nothing is open any more, or nothing more comes. What is open then is in the report.
fn wait_for_answers(fleet: &mut Fleet<'_>, readers: &mut Readers, open: impl Fn() -> u64) -> Result<(), CrashError> {
    let begin = Instant::now();
    let (mut least, mut since) = (u64::MAX, begin);
    loop {
        let left = open();
        if left == 0 {
            return Ok(());
        }
        if left < least {
            (least, since) = (left, Instant::now());
        }
        if since.elapsed() >= NO_PROGRESS || begin.elapsed() >= ANSWERS_WITHIN {
            eprintln!("{left} answers did not come within {:?}", since.elapsed());
            return Ok(());
        }
        fleet.look_after()?;
        readers.check()?;
    }
}

/// How often the group was rebalanced, by the broker's own log.
fn rebalances(kafka: &Kafka) -> Result<u64, CrashError> {
    let mut count = 0;
    crate::lines::each(kafka.log_path(), |_, line| {
        count += u64::from(String::from_utf8_lossy(line).contains(REBALANCED));
        Ok(())
    })?;
    Ok(count)
}
