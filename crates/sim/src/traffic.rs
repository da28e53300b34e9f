//! Labelled login traffic: what owners do, with attacks among it, in order of arrival.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Error;
use crate::event::{Login, Outcome, render};
use crate::labels::Label;
use crate::people::{Person, Tenant};
use crate::random::{Random, mix, scramble};
use crate::time::{DAY, MINUTE, SECOND};
use crate::world::{Atlas, travel_time_ms};

/// What traffic to make.
#[derive(Debug, Clone, PartialEq)]
pub struct TrafficConfig {
    /// Everything follows from it: the same settings give the same bytes.
    pub seed: u64,
    /// Number of tenants, 1..=10,000. Users are dealt out to them evenly, with the same user ids.
    pub tenants: u32,
    /// Number of accounts, 1..=10,000,000; about 200 bytes of memory each.
    pub users: u32,
    /// Number of scored logins: tries with the right password, those of attackers included.
    /// Failed tries, completions and duplicates come on top.
    pub logins: u64,
    /// Time of the first possible login in epoch ms, not before the year 2000.
    pub start_time_ms: i64,
    /// Days over which the logins are spread, roughly, 1..=3650. Under 45 there is no
    /// [`ReturnAfterAbsence`](crate::GenuineKind::ReturnAfterAbsence) to be expected.
    pub days: u32,
    /// Share of attacks among the scored logins, 0.0..=0.5. Only accounts with three logins and
    /// more are attacked, so short streams with many users have fewer.
    pub attack_fraction: f64,
    /// Share of scored tries that arrive a second time, byte for byte, 0.0..=1.0.
    pub duplicate_fraction: f64,
    /// Every event arrives up to this much after its time, in ms, at most 60,000: more than 0
    /// puts neighbours out of order.
    pub disorder_ms: u32,
}

impl Default for TrafficConfig {
    fn default() -> TrafficConfig {
        TrafficConfig {
            seed: 1,
            tenants: 6,
            users: 500,
            logins: 20_000,
            start_time_ms: 1_767_571_200_000, // 2026-01-05, a Monday
            days: 60,
            attack_fraction: 0.01,
            duplicate_fraction: 0.005,
            disorder_ms: 0,
        }
    }
}

/// What an event is in the course of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A try with the right password: a verdict is wanted.
    Attempt,
    /// A try that failed at the first factor.
    Failure,
    /// The end of a login, with the id of its attempt.
    Completion,
    /// An attempt again, byte for byte.
    Duplicate,
}

/// An event with the truth about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// The event as JSON, without a line feed.
    pub event: Vec<u8>,
    /// The event's `id`. Unique among attempts and failures; completions and duplicates have the
    /// id of their attempt.
    pub event_id: String,
    /// What it is in the course of a login.
    pub role: Role,
    /// The truth about the login.
    pub label: Label,
    /// The event's `tenant.id`.
    pub tenant: Arc<str>,
    /// The event's `user.user_id`; absent only where an unknown name was tried.
    pub user_id: Option<String>,
    /// The event's `time` in epoch ms.
    pub time_ms: i64,
    /// When it arrives, in epoch ms: its time, plus disorder, and later for a duplicate. The
    /// stream is in this order.
    pub arrival_ms: i64,
}

impl Labelled {
    /// The Kafka key: `tenant/user`, only the tenant where there is no user.
    pub fn key(&self) -> String {
        match &self.user_id {
            Some(user_id) => format!("{}/{user_id}", self.tenant),
            None => self.tenant.to_string(),
        }
    }
}

/// What will happen at some time.
#[derive(Debug)]
enum Task {
    /// The owner of this account logs in.
    Owner(u32),
    /// An event arrives.
    Arrive(Box<Labelled>),
}

/// A finite stream of labelled events, in order of arrival.
#[derive(Debug)]
pub struct Traffic {
    pub(crate) config: TrafficConfig,
    pub(crate) random: Random,
    pub(crate) atlas: Atlas,
    pub(crate) tenants: Arc<[Tenant]>,
    pub(crate) people: Vec<Person>,
    /// Mean time between two logins of one person, in ms.
    mean_interval: i64,
    tasks: BTreeMap<(i64, u64), Task>,
    /// Number of tasks so far: of equal times, the task made first is done first.
    task_number: u64,
    /// Number of ids given out.
    ids: u64,
    /// Scored logins made.
    pub(crate) logins: u64,
    /// Those of them that are attacks.
    pub(crate) attacks: u64,
}

/// The latest time that an event may have: the end of the year 2099.
const LATEST_MS: i64 = 4_102_444_800_000;
/// The earliest: the beginning of the year 2000.
const EARLIEST_MS: i64 = 946_684_800_000;

impl Traffic {
    /// Prepares the people. Fails when a setting is out of its range.
    pub fn new(config: TrafficConfig) -> Result<Traffic, Error> {
        check(&config)?;
        let atlas = Atlas::new();
        let tenants = (0..config.tenants as usize).map(Tenant::new).collect();
        let people: Vec<Person> =
            (0..config.users as usize).map(|index| Person::new(config.seed, index, config.tenants, &atlas)).collect();
        let span = i64::from(config.days) * DAY;
        // First logins are spread over the first fifth, so people are there for nine tenths.
        let mean_interval = (span as i128 * 9 / 10 * i128::from(config.users) / i128::from(config.logins.max(1)))
            .clamp(i128::from(SECOND), i128::from(10 * 365 * DAY)) as i64;
        let mut traffic = Traffic {
            random: Random::new(mix(&[config.seed, 0x7aff_1c00])),
            atlas,
            tenants,
            people,
            mean_interval,
            tasks: BTreeMap::new(),
            task_number: 0,
            ids: 0,
            logins: 0,
            attacks: 0,
            config,
        };
        for user in 0..traffic.config.users {
            let at = traffic.config.start_time_ms + traffic.random.between(0, span / 5);
            traffic.schedule(at, Task::Owner(user));
        }
        Ok(traffic)
    }

    /// The settings in force.
    pub fn config(&self) -> &TrafficConfig {
        &self.config
    }

    fn schedule(&mut self, at: i64, task: Task) {
        self.task_number += 1;
        self.tasks.insert((at, self.task_number), task);
    }

    /// An id that no other event of this stream has.
    pub(crate) fn new_id(&mut self) -> String {
        self.ids += 1;
        // A bijection of the count, so never the same twice.
        format!("login-{:016x}", scramble(self.ids ^ mix(&[self.config.seed])))
    }

    /// Whether more scored logins are wanted.
    pub(crate) fn wants_more(&self) -> bool {
        self.logins < self.config.logins
    }

    /// Makes a scored attempt, now and then with a duplicate.
    pub(crate) fn attempt(&mut self, login: &Login<'_>, label: Label, time: i64) {
        self.logins += 1;
        self.attacks += u64::from(label.is_attack());
        let attempt = labelled(login, Role::Attempt, Outcome::Success, label, time);
        let millionths = (self.config.duplicate_fraction * 1e6) as u64;
        if self.random.below(1_000_000) < millionths {
            let mut again = attempt.clone();
            again.role = Role::Duplicate;
            again.arrival_ms += self.random.between(SECOND, MINUTE);
            self.arrive(again);
        }
        self.arrive(attempt);
    }

    /// Makes any other event of a login.
    pub(crate) fn event(&mut self, login: &Login<'_>, role: Role, outcome: Outcome, label: Label, time: i64) {
        self.arrive(labelled(login, role, outcome, label, time));
    }

    fn arrive(&mut self, mut event: Labelled) {
        event.arrival_ms += self.random.below(u64::from(self.config.disorder_ms) + 1) as i64;
        self.schedule(event.arrival_ms, Task::Arrive(Box::new(event)));
    }

    /// Decides when and where an owner logs in next, so that he has the time to get there.
    /// Returns the time.
    pub(crate) fn plan_next_login(&mut self, user: usize, now: i64) -> i64 {
        let random = &mut self.random;
        let person = &mut self.people[user];
        let mean = self.mean_interval / 100 * i64::from(person.pace);
        let mut wait = mean / 1000 * random.between(300, 1700);
        let absent = person.logins == person.absence_after;
        if absent {
            wait = random.between(31 * DAY, 40 * DAY);
        }
        let mut at = now + wait.max(MINUTE);
        let here = usize::from(person.city);
        let mut there = here;
        if person.is_away() {
            if at >= person.away_until {
                there = usize::from(person.home);
            }
        } else if person.travels && !absent && random.permille(60) {
            let near = self.atlas.within(here, 100..1500);
            let far = self.atlas.within(here, 1500..20_100);
            let choice = if random.percent(60) { near } else { far };
            there = choice.get(random.index(choice.len())).copied().unwrap_or(here);
        }
        person.just_moved = there != here;
        if person.just_moved {
            at = at.max(now + travel_time_ms(self.atlas.km(here, there)));
            person.city = there as u8;
            person.away_until = at + random.between(DAY, 5 * DAY);
        }
        let at = crate::owners::waking_hour(at, there, random);
        self.schedule(at, Task::Owner(user as u32));
        at
    }
}

fn labelled(login: &Login<'_>, role: Role, outcome: Outcome, label: Label, time: i64) -> Labelled {
    Labelled {
        event: render(login, role, outcome, time),
        event_id: login.id.clone(),
        role,
        label,
        tenant: Arc::clone(&login.tenant.name),
        user_id: login.account.user_id.clone(),
        time_ms: time,
        arrival_ms: time,
    }
}

impl Iterator for Traffic {
    type Item = Labelled;

    fn next(&mut self) -> Option<Labelled> {
        loop {
            let ((now, _), task) = self.tasks.pop_first()?;
            match task {
                Task::Arrive(event) => return Some(*event),
                // Once there are enough logins, only what has been made still arrives; the same
                // when the calendar that events may use is at its end.
                Task::Owner(user) if self.wants_more() && now < LATEST_MS - 100 * DAY => {
                    self.owner_logs_in(user as usize, now);
                }
                Task::Owner(_) => {}
            }
        }
    }
}

fn check(config: &TrafficConfig) -> Result<(), Error> {
    let setting = |ok: bool, key, value: String, allowed| {
        if ok { Ok(()) } else { Err(Error::Setting { key, value, allowed }) }
    };
    setting((1..=10_000).contains(&config.tenants), "tenants", config.tenants.to_string(), "1 to 10000")?;
    setting((1..=10_000_000).contains(&config.users), "users", config.users.to_string(), "1 to 10000000")?;
    setting((1..=3650).contains(&config.days), "days", config.days.to_string(), "1 to 3650")?;
    let last_start = LATEST_MS - i64::from(config.days) * DAY - 365 * DAY;
    setting(
        (EARLIEST_MS..=last_start).contains(&config.start_time_ms),
        "start_time_ms",
        config.start_time_ms.to_string(),
        "from the year 2000, and a year and `days` before the year 2100",
    )?;
    setting(
        (0.0..=0.5).contains(&config.attack_fraction),
        "attack_fraction",
        config.attack_fraction.to_string(),
        "0.0 to 0.5",
    )?;
    setting(
        (0.0..=1.0).contains(&config.duplicate_fraction),
        "duplicate_fraction",
        config.duplicate_fraction.to_string(),
        "0.0 to 1.0",
    )?;
    setting(config.disorder_ms <= 60_000, "disorder_ms", config.disorder_ms.to_string(), "0 to 60000")
}
