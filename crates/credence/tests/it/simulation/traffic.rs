//! The events of a seed, and what an uninterrupted run makes of them.

use std::sync::{Arc, OnceLock};

use credence::data::InForce;
use credence::metrics::ScoringMetrics;
use credence::scoring::{Encoded, Record, Scoring, Unscored};
use credence::tenant_book::TenantBook;
use engine::Partition;
use intel::deny_lists::{DenyLists, ListIdentity};
use intel::snapshot::{Content, Source};
use intel::{Agents, Snapshot};
use model::assessment::Category;
use model::evidence::DataVersions;
use model::{Encoding, Timestamp};
use policy::Defaults;
use profile::{Fingerprints, HashKey};

use super::log::PARTITIONS;
use super::random::Random;

/// 2024-03-04T08:00:00Z.
const START: i64 = 1_709_539_200_000;
pub(super) const MINUTE: i64 = 60_000;
pub(super) const DAY: i64 = 1_440 * MINUTE;
/// No event comes later than this: who is forgotten is forgotten for events of up to a day ago.
const LATE: i64 = 12 * 60 * MINUTE;
pub(super) const TENANT: &str = "acme.example";
/// Users with a home. Each one's first login comes from there, and is learnt.
const RESIDENTS: usize = 6;
/// Users who only ever come from the onion network and never pass a challenge: nothing is learnt of them, so
/// they are forgotten after a day, and may come back.
const GUESTS: usize = 4;
/// As many attempts as may wait. When there are more, whose time is up leaves, so that a completion that
/// comes very late may find its attempt or not, depending on whether others were forgotten meanwhile.
const MAX_GUEST_LOGINS: usize = 8;
const ONION: &str = "203.0.113.9";
const CITIES: [(&str, f64, f64); 4] = [
    ("London", 51.5074, -0.1278),
    ("Paris", 48.8566, 2.3522),
    ("Tokyo", 35.6895, 139.6917),
    ("Suva", -18.1416, 178.4419),
];
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 Firefox/121.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:122.0) Gecko/20100101 Firefox/122.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
];

/// What all seeds share.
pub(super) struct Shared {
    pub(super) in_force: Arc<InForce>,
    pub(super) metrics: ScoringMetrics,
    pub(super) fingerprints: Fingerprints,
}

/// Made once.
pub(super) fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let mut lists = DenyLists::default();
        let onion = ListIdentity { name: "onion".into(), category: Category::Tor, confidence: None };
        lists.add(onion, &["203.0.113.8/29".parse().unwrap()]);
        // Without a City database an event's own coordinates count.
        let versions = DataVersions { deny_lists: Some("lists-1".into()), ..DataVersions::default() };
        let content = Content { deny_lists: Source::Ready(lists), versions, ..Content::default() };
        let snapshot = Arc::new(Snapshot::new(content, Agents::default()));
        let fingerprints = Fingerprints::new(HashKey(*b"simulation-key-1"));
        let book = TenantBook::new(Defaults { version: "settings-1".into(), ..Defaults::default() });
        let in_force = Arc::new(InForce::new(snapshot, fingerprints.clone(), book));
        let metrics = ScoringMetrics::register(&prometheus::Registry::new()).unwrap();
        Shared { in_force, metrics, fingerprints }
    })
}

pub(super) fn scoring() -> Scoring {
    Scoring::new(Encoding::Json, "simulation")
}

/// An event that will arrive on the input topic.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) partition: i32,
    pub(super) user: String,
    pub(super) payload: Vec<u8>,
    pub(super) timestamp_ms: i64,
}

impl Event {
    /// What is told of it in a trace.
    pub(super) fn title(&self) -> String {
        let text = String::from_utf8_lossy(&self.payload);
        let start = text.split(r#","tenant""#).next().unwrap_or_default();
        format!("{} at {}: {start}", self.user, self.timestamp_ms)
    }
}

#[derive(Debug, Clone)]
struct Login {
    id: String,
    user: usize,
    city: usize,
    onion: bool,
    agent: usize,
    cookie: usize,
    time: i64,
}

fn name(user: usize) -> String {
    if user < RESIDENTS { format!("resident-{user}") } else { format!("guest-{}", user - RESIDENTS) }
}

pub(super) fn users() -> impl Iterator<Item = (String, i32)> {
    (0..RESIDENTS + GUESTS).map(|user| (name(user), place(user)))
}

fn place(user: usize) -> i32 {
    user as i32 % PARTITIONS
}

pub(super) fn is_guest(user: &str) -> bool {
    user.starts_with("guest")
}

impl Login {
    fn event(&self, stage: &str, outcome: &str, time: i64, now: i64) -> Event {
        let (city, latitude, longitude) = CITIES[self.city];
        let ip = if self.onion { ONION.to_owned() } else { format!("198.51.100.{}", self.city + 1) };
        let user = name(self.user);
        let (id, agent, cookie) = (&self.id, AGENTS[self.agent], self.cookie);
        let payload = format!(
            r#"{{"id":"{id}","time":{time},"stage":"{stage}","outcome":"{outcome}","tenant":{{"id":"{TENANT}"}},"user":{{"user_id":"{user}"}},"request":{{"ip":"{ip}","user_agent":"{agent}","geoip":{{"cityName":"{city}","latitude":{latitude},"longitude":{longitude}}}}},"device":{{"id":"cookie-{user}-{cookie}"}}}}"#
        );
        Event { partition: place(self.user), user, payload: payload.into_bytes(), timestamp_ms: now }
    }

    fn attempt(&self, now: i64) -> Event {
        self.event("attempt", "success", self.time, now)
    }
}

/// The events of a seed in the order of their arrival, and attempts that are asked again at the end.
pub(super) struct Traffic {
    pub(super) events: Vec<Event>,
    pub(super) probes: Vec<Event>,
    /// When the last one came.
    pub(super) end_ms: i64,
}

impl Traffic {
    pub(super) fn new(random: &mut Random) -> Traffic {
        let count = 50 + random.below(60);
        let mut now = START;
        let mut known: Vec<usize> = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let mut last: Vec<Option<Login>> = vec![None; RESIDENTS + GUESTS];
        // Challenges that are not answered yet, with the number of events until they are.
        let mut open: Vec<(usize, Login)> = Vec::new();
        while events.len() < count {
            now += random.between(0, 60) * MINUTE + if random.permille(40) { DAY } else { 0 };
            if let Some(due) = open.iter().position(|(at, _)| *at <= events.len()) {
                let (_, login) = open.remove(due);
                if now - login.time > LATE {
                    continue;
                }
                let outcome = if login.user >= RESIDENTS || random.permille(300) { "failed_mfa" } else { "success" };
                let time = login.time + random.between(1, 50) * MINUTE;
                events.push(login.event("completion", outcome, time, now.max(time)));
                if outcome != "success" && random.permille(400) {
                    open.push((events.len() + 1 + random.below(4), login));
                }
                continue;
            }
            if random.permille(100)
                && let Some(event) =
                    (!events.is_empty()).then(|| &events[events.len() - 1 - random.below(events.len().min(8))])
            {
                // Asked again, with the same bytes.
                if now - event.timestamp_ms <= LATE {
                    events.push(Event { timestamp_ms: now, ..event.clone() });
                }
                continue;
            }
            let mut user = random.below(RESIDENTS + GUESTS);
            if known.iter().filter(|known| **known == user).count() >= MAX_GUEST_LOGINS && user >= RESIDENTS {
                user = random.below(RESIDENTS);
            }
            let home = user % 3;
            let mut login = Login {
                id: format!("login-{}", events.len()),
                user,
                city: home,
                onion: user >= RESIDENTS,
                agent: user % 2,
                cookie: 0,
                time: now - if random.permille(200) { random.between(0, 300) * MINUTE } else { 0 },
            };
            if known.contains(&user) && user < RESIDENTS {
                match random.below(20) {
                    0..=2 => login.city = random.below(CITIES.len()),
                    3..=4 => (login.agent, login.cookie) = (2, 1 + random.below(2)),
                    5 => login.agent = 1,
                    6..=8 => login.onion = true,
                    9 => {
                        events.push(login.event("attempt", "failed_password", login.time, now));
                        continue;
                    }
                    10 => {
                        let payload = format!(r#"{{"id":"broken-{}""#, events.len()).into_bytes();
                        events.push(Event { partition: place(user), user: String::new(), payload, timestamp_ms: now });
                        continue;
                    }
                    // A clock that is ahead: it teaches nothing.
                    11 => login.time = now + 6 * MINUTE,
                    // Somebody continues the transaction from elsewhere.
                    12 => {
                        if let Some(before) = &last[user] {
                            login.id = before.id.clone();
                            login.time = before.time + MINUTE;
                            login.city = (home + 1) % 3;
                        }
                    }
                    _ => {}
                }
            }
            known.push(user);
            events.push(login.attempt(now));
            last[user] = Some(login.clone());
            // Most of these find nobody waiting, which has to be logged as it is.
            if login.onion || login.city != home || random.permille(50) {
                open.push((events.len() + random.below(8), login));
            }
        }
        let probes = probes(&last, now);
        Traffic { events, probes, end_ms: now }
    }

    /// The last event of each partition: it comes so much later that all guests are forgotten.
    pub(super) fn closing(&self, number: i64) -> impl Iterator<Item = Event> {
        let now = self.end_ms + (3 + number) * DAY;
        (0..PARTITIONS).map(move |partition| {
            let login = Login {
                id: format!("closing-{number}"),
                user: partition as usize,
                city: 0,
                onion: false,
                agent: 0,
                cookie: 0,
                time: now,
            };
            login.attempt(now)
        })
    }
}

/// For each resident: an attempt from home, one from elsewhere, and the last attempt once more.
fn probes(last: &[Option<Login>], now: i64) -> Vec<Event> {
    let mut probes = Vec::new();
    for login in last.iter().flatten() {
        let again = Login { id: "probe-home".to_owned(), time: now, ..login.clone() };
        let elsewhere = Login {
            id: "probe-away".to_owned(),
            city: 3,
            agent: 2,
            cookie: 2,
            time: now + 2 * MINUTE,
            ..login.clone()
        };
        if login.user < RESIDENTS {
            probes.push(login.event("attempt", "success", login.time, now.max(login.time)));
        }
        probes.push(again.attempt(now));
        probes.push(elsewhere.attempt(now + 2 * MINUTE));
    }
    probes
}

/// What comes of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: Option<Vec<u8>>,
    pub(super) log: Option<Vec<u8>>,
    /// It cannot be read.
    pub(super) dead: bool,
}

/// Scores one event on a partition's state.
pub(super) fn score(event: &Event, partition: &mut Partition, scoring: &mut Scoring) -> Answer {
    let record = Record { payload: &event.payload, content_type: None, time: Some(Timestamp(event.timestamp_ms)) };
    let mut encoded = Encoded::default();
    let given = |bytes: Vec<u8>| Some(bytes).filter(|bytes| !bytes.is_empty());
    match scoring.score(record, partition, &shared().in_force.context_at(0), &mut encoded, |_, _| {}) {
        Ok(()) => Answer { verdict: given(encoded.verdict), log: given(encoded.log), dead: false },
        Err(Unscored::State(error)) => panic!("{error}"),
        Err(_) => Answer { dead: true, ..Answer::default() },
    }
}

/// An uninterrupted run, all in memory.
pub(super) struct Oracle {
    pub(super) partitions: Vec<Partition>,
    /// Events and answers of each partition.
    pub(super) answers: Vec<Vec<(Event, Answer)>>,
    scoring: Scoring,
}

impl Oracle {
    pub(super) fn new() -> Oracle {
        let partitions = (0..PARTITIONS).map(|_| Partition::default()).collect();
        Oracle { partitions, answers: (0..PARTITIONS).map(|_| Vec::new()).collect(), scoring: scoring() }
    }

    pub(super) fn handle(&mut self, event: Event) {
        let number = event.partition as usize;
        let answer = score(&event, &mut self.partitions[number], &mut self.scoring);
        self.answers[number].push((event, answer));
    }
}
