//! A seed from its first event to its verdict: who does what next, what fails, and when it is over.

use std::sync::Arc;

use super::check::check;
use super::disk::Disk;
use super::instance::{Around, Counts, Process};
use super::log::{Log, PARTITIONS, Record, Topic, Wrong};
use super::mutants::Mutant;
use super::random::Random;
use super::traffic::{Event, Oracle, Traffic};

/// Most steps of one stage: after so many without an end something stands still.
const MAX_STEPS: usize = 60_000;
/// A seed that broke a promise.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) wrong: Vec<Wrong>,
    pub(super) trace: Vec<String>,
}

struct Instance {
    name: usize,
    /// Its transactional id.
    producer: usize,
    disk: Arc<Disk>,
    process: Option<Process>,
    /// Stopped, and not dead: it goes on at this step.
    asleep_until: usize,
}

struct Simulation {
    around: Around,
    instances: Vec<Instance>,
    /// Producers there ever were.
    producers: usize,
    /// How soon markers are written: in so many of a hundred turns.
    markers: usize,
    /// Events that arrive, and faults that happen, in a thousand turns each.
    arrivals: usize,
    fault_rate: usize,
    step: usize,
    /// In how many of a thousand turns there is a newer version of what is announced.
    news: usize,
    oracle: Oracle,
    trace: Option<Vec<String>>,
}

/// Runs a seed. The trace costs more than the run, so it is only written when somebody wants it.
pub(super) fn run(seed: u64, mutant: Option<Mutant>, traced: bool) -> Result<Counts, Failed> {
    let mut random = Random::new(seed);
    let traffic = Traffic::new(&mut random);
    let instances = 2 + random.below(2);
    let batch_max = 1 + random.below(8);
    let markers = 1 + random.below(12);
    let arrivals = 15 + random.below(40);
    let fault_rate = 100 + random.below(600);
    let news = random.below(12);
    let mut simulation = Simulation {
        around: Around {
            log: Log::default(),
            random,
            mutant,
            faulty: true,
            batch_max,
            newest: 0,
            counts: Counts::default(),
        },
        instances: Vec::new(),
        producers: 0,
        markers,
        arrivals,
        fault_rate,
        step: 0,
        news,
        oracle: Oracle::new(),
        trace: traced.then(Vec::new),
    };
    for name in 0..instances {
        let producer = simulation.new_producer();
        let disk = Arc::new(Disk::new(mutant));
        simulation.instances.push(Instance { name, producer, disk, process: None, asleep_until: 0 });
    }
    simulation.around.log.trusting = mutant == Some(Mutant::NoGenerationCheck);
    simulation.run(&traffic);
    let Simulation { around: Around { mut log, counts, newest, .. }, mut oracle, trace, .. } = simulation;
    // What went wrong on the way explains what is wrong at the end.
    if log.wrong.is_empty() {
        check(&mut log, &mut oracle, &traffic, newest);
    }
    if log.wrong.is_empty() {
        return Ok(counts);
    }
    Err(Failed { wrong: log.wrong, trace: trace.unwrap_or_default() })
}

impl Simulation {
    fn new_producer(&mut self) -> usize {
        self.producers += 1;
        self.producers
    }

    fn note(&mut self, what: Option<String>) {
        if let (Some(trace), Some(what)) = (&mut self.trace, what) {
            trace.push(format!("{:>6}  {what}", self.step));
        }
    }

    fn run(&mut self, traffic: &Traffic) {
        let mut coming = traffic.events.iter();
        let mut left = traffic.events.len();
        // Some time with faults after the last event, and the first ones may wait for long.
        let mut calm = 200 + self.around.random.below(600);
        while self.around.log.wrong.is_empty() && (left > 0 || calm > 0) && self.step < MAX_STEPS {
            self.step += 1;
            if self.around.random.permille(self.arrivals)
                && let Some(event) = coming.next()
            {
                left -= 1;
                self.arrive(event.clone());
            }
            if self.around.random.permille(self.news) {
                self.around.newest += 1;
                self.note(Some(format!("version {}", self.around.newest)));
            }
            if left == 0 {
                calm = calm.saturating_sub(1);
            }
            self.turn();
        }
        self.around.faulty = false;
        for instance in &mut self.instances {
            instance.asleep_until = 0;
        }
        self.note(Some("no more faults".to_owned()));
        self.drain();
        // Partitions take turns at being looked at for who is forgotten, and what was found is in the batch after.
        for number in 0..2 * i64::from(PARTITIONS) {
            traffic.closing(number).for_each(|event| self.arrive(event));
            self.drain();
        }
    }

    /// Until everything is committed.
    fn drain(&mut self) {
        let until = self.step + MAX_STEPS;
        while self.around.log.wrong.is_empty() && !self.is_over() {
            if self.step >= until {
                let status: Vec<String> = self
                    .instances
                    .iter()
                    .map(|of| of.process.as_ref().map_or("dead".to_owned(), Process::status))
                    .collect();
                self.around.log.blame("everything comes to an end", format!("{:?} {status:#?}", self.around.log.group));
            }
            self.step += 1;
            self.turn();
        }
    }

    fn is_over(&self) -> bool {
        let all = |partition: i32| {
            let end = self.around.log.high_watermark(Topic::Events, partition);
            self.around.log.settled_offset(partition).unwrap_or(0) == end
        };
        (0..PARTITIONS).all(all)
            && self.around.log.is_quiet()
            && self
                .instances
                .iter()
                .all(|instance| instance.process.as_ref().is_some_and(|of| of.is_idle(self.around.newest)))
    }

    fn arrive(&mut self, event: Event) {
        let record = Record {
            key: event.user.clone().into_bytes(),
            value: Some(event.payload.clone()),
            timestamp_ms: event.timestamp_ms,
            source: None,
        };
        let offset = self.around.log.append(Topic::Events, event.partition, record);
        self.note(Some(format!("event {offset} of partition {} arrives: {}", event.partition, event.title())));
        self.oracle.handle(event);
    }

    fn turn(&mut self) {
        match self.around.random.below(100) {
            chosen if chosen < self.markers => {
                let what = self.around.log.write_marker(&mut self.around.random);
                self.note(what);
            }
            96..=97 => self.bury(),
            98 if self.around.faulty && self.around.random.permille(self.fault_rate) => self.fault(),
            _ => self.act(),
        }
    }

    /// An instance does something.
    fn act(&mut self) {
        let chosen = self.around.random.below(self.instances.len());
        let Some(instance) = self.instances.get_mut(chosen) else { return };
        if instance.asleep_until > self.step {
            return;
        }
        let Some(process) = &mut instance.process else {
            // Starting takes some time.
            if !self.around.faulty || self.around.random.permille(50) {
                self.start(chosen);
            }
            return;
        };
        let what = process.step(&mut self.around);
        self.note(what);
    }

    fn start(&mut self, chosen: usize) {
        let is_wiped = self.around.random.permille(200);
        let producer = if is_wiped { Some(self.new_producer()) } else { None };
        let Some(instance) = self.instances.get_mut(chosen) else { return };
        if let Some(producer) = producer {
            // Its name was on the disk as well.
            instance.producer = producer;
            instance.disk = Arc::new(Disk::new(self.around.mutant));
        }
        let (name, producer) = (instance.name, instance.producer);
        instance.process = Some(Process::start(name, producer, &instance.disk, &mut self.around));
        self.note(Some(format!("instance {name} starts, disk wiped: {is_wiped}")));
    }

    /// Members of whom nothing is heard leave the group, and transactions that nobody ends are aborted.
    fn bury(&mut self) {
        let lives = |instance: &&Instance| instance.asleep_until <= self.step;
        let alive: Vec<usize> =
            self.instances.iter().filter(lives).filter_map(|of| of.process.as_ref()?.member()).collect();
        let silent = self.around.log.group.members().iter().copied().find(|member| !alive.contains(member));
        if let Some(member) = silent.filter(|_| self.around.random.permille(300)) {
            self.around.log.group.remove(member, &mut self.around.random);
            self.around.counts.rebalances += 1;
            self.note(Some(format!("member {member} is thrown out: nothing was heard of it")));
        } else if self.around.random.permille(if self.around.faulty { 30 } else { 300 }) {
            // In the end only those are left open for long enough that nobody works on.
            let works = |of: &Instance| of.process.as_ref().is_some_and(Process::is_committing);
            let busy = |producer| self.instances.iter().any(|of| of.producer == producer && works(of));
            let faulty = self.around.faulty;
            let what = self.around.log.time_out(&mut self.around.random, |producer| faulty || !busy(producer));
            self.note(what);
        }
    }

    fn fault(&mut self) {
        let chosen = self.around.random.below(self.instances.len());
        let kind = self.around.random.below(100);
        let Some(instance) = self.instances.get_mut(chosen) else { return };
        let (name, member) = (instance.name, instance.process.as_ref().and_then(Process::member));
        let what = match kind {
            0..=17 if instance.process.is_some() => {
                instance.process = None;
                instance.disk.crash(&mut self.around.random);
                self.around.counts.crashes += 1;
                format!("instance {name} crashes")
            }
            18..=30 if instance.process.is_some() => {
                instance.asleep_until = self.step + 50 + self.around.random.below(500);
                self.around.counts.zombies += 1;
                format!("instance {name} is stopped until step {}", instance.asleep_until)
            }
            31..=39 => match member.filter(|member| self.around.log.group.is_member(*member)) {
                Some(member) => {
                    self.around.log.group.remove(member, &mut self.around.random);
                    self.around.counts.rebalances += 1;
                    format!("member {member} is thrown out, though it lives")
                }
                None => return,
            },
            40..=59 => {
                self.around.log.group.rebalance(&mut self.around.random);
                self.around.counts.rebalances += 1;
                "rebalance".to_owned()
            }
            _ => return,
        };
        self.note(Some(what));
    }
}
