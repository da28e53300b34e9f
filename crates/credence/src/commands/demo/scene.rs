//! The stage of the demo: broker, data, service, traffic; what was sent and what came back.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use engine::Partition;
use hdrhistogram::Histogram;
use intel::{Agents, DenyListSource};
use model::assessment::Category;
use model::codec::Encoding;
use policy::Tenants;
use sim::{Demo, Labelled, Traffic, TrafficConfig};
use stream::embedded::Embedded;
use stream::feed::{FeedRecord, Feeder};
use stream::tail::{From, Isolation, Record as TailRecord, Tail};
use stream::{Connection, Topics};
use tempfile::TempDir;

use crate::config::Config;
use crate::data;
use crate::errors::all_errors;
use crate::scoring::{Encoded, Record, Scoring};
use crate::service::{Service, connection, topics};
use crate::settings_file;

/// How long the embedded broker may take to acknowledge a settings document.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(10);
/// Partitions of every topic of the demo, but for the settings'.
const PARTITIONS: i32 = 4;
/// Records that no reader accepts, sent among the logins.
const POISON: usize = 32;
/// How long the whole exchange may take.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(120);
/// How long the worker may take to join its group.
const JOIN_LIMIT: Duration = Duration::from_secs(30);

/// Everything that the demo consists of.
pub(super) struct Scene {
    pub(super) service: Service,
    pub(super) events: Vec<Labelled>,
    poison: Vec<Vec<u8>>,
    expected_verdicts: HashMap<Name, Vec<Vec<u8>>>,
    expected_logs: usize,
    config: Config,
    tenants: Tenants,
    // The broker and the data outlive the service.
    _broker: Embedded,
    _folder: TempDir,
}

/// Names a login: tenant, user, id of the event.
type Name = (String, String, String);

/// What came back.
pub(super) struct Outcome {
    /// Verdicts in the order of arrival, as JSON.
    pub(super) verdicts: Vec<serde_json::Value>,
    pub(super) verdict_bytes: Vec<Vec<u8>>,
    pub(super) logs: Vec<TailRecord>,
    pub(super) dead: Vec<TailRecord>,
    /// From the intended time of sending to a readable verdict, in microseconds.
    pub(super) latency_us: Histogram<u64>,
    pub(super) bulk_events: usize,
    pub(super) bulk_time: Duration,
}

/// The name of the login that a verdict answers.
pub(super) fn name_of(verdict: &serde_json::Value) -> Name {
    let text = |key: &str| verdict[key].as_str().unwrap_or_default().to_owned();
    (text("tenant"), text("user_id"), text("event_id"))
}

impl Scene {
    pub(super) fn start(seed: u64, logins: u64, settings: Option<&Path>) -> Result<Self> {
        let folder = TempDir::with_prefix("credence-demo-").context("no temporary folder can be made")?;
        let files = Demo::write(folder.path())?;
        let mut config = Config::default();
        config.sources.city = Some(files.city);
        config.sources.asn = Some(files.asn);
        config.sources.anonymous = Some(files.anonymous);
        config.sources.relay_lists = files.relay_lists;
        for list in files.deny_lists {
            let category = Category::parse(list.category);
            let category = category.with_context(|| format!("list {} has no known category", list.name))?;
            let name = list.name.to_owned();
            config.sources.deny_lists.push(DenyListSource { name, category, path: list.path, confidence: None });
        }
        config.admin_listen = "127.0.0.1:0".to_owned();
        let topics = topics(&config);
        let tenants = data::tenants(&config, settings)?;
        let names = [&topics.events, &topics.verdicts, &topics.logs, &topics.profiles, &topics.dead];
        let mut names = names.map(|name| (name.as_str(), PARTITIONS)).to_vec();
        // Its offsets order all documents, so it has one partition.
        names.push((&topics.settings, 1));
        let broker = Embedded::start(&names)?;
        config.brokers = broker.bootstrap_servers();
        if let Some(path) = settings {
            let documents = settings_file::documents(path, &data::defaults(&config))
                .map_err(|errors| all_errors(&path.display().to_string(), &errors))?;
            let feeder = Feeder::new(&connection(&config))?;
            for (tenant, document) in documents {
                let (key, value) = (tenant.as_bytes(), document.to_string());
                let record = FeedRecord {
                    topic: &topics.settings,
                    key: Some(key),
                    payload: Some(value.as_bytes()),
                    ..FeedRecord::default()
                };
                feeder.send_and_wait(record, SETTINGS_TIMEOUT)?;
            }
        }
        let service = Service::start(config.clone())?;
        let traffic = Traffic::new(TrafficConfig { seed, logins, ..TrafficConfig::default() })?;
        Ok(Self {
            service,
            events: traffic.collect(),
            poison: sim::poison(POISON).map(|poison| poison.bytes).collect(),
            expected_verdicts: HashMap::new(),
            expected_logs: 0,
            config,
            tenants,
            _broker: broker,
            _folder: folder,
        })
    }

    pub(super) fn brokers(&self) -> &str {
        &self.config.brokers
    }

    /// How many of the tenants that log in have a settings document, and all who do.
    pub(super) fn tenants_with_settings(&self) -> (usize, Vec<String>) {
        let tenants: BTreeSet<String> = self.events.iter().map(|event| event.tenant.to_string()).collect();
        let own: BTreeSet<&str> = self.tenants.own().map(|(name, _)| name).collect();
        (tenants.iter().filter(|tenant| own.contains(tenant.as_str())).count(), tenants.into_iter().collect())
    }

    pub(super) fn topic_names(&self) -> Vec<String> {
        let Topics { events, verdicts, logs, profiles, dead, settings } = topics(&self.config);
        vec![events, verdicts, logs, profiles, dead, settings]
    }

    /// Scores everything once in this process: the stream has to give the same verdicts.
    pub(super) fn make_expectations(&mut self) -> Result<()> {
        let loaded = data::load(&self.config, &Agents::default())?;
        let context = data::context(&self.config, &self.tenants, Arc::new(loaded.snapshot));
        let mut scoring = Scoring::new(Encoding::Json, &self.config.environment_name);
        let (mut partition, mut out) = (Partition::default(), Encoded::default());
        for event in &self.events {
            let record = Record { payload: &event.event, content_type: None, time: None };
            scoring
                .score(record, &mut partition, &context, &mut out, |_, _| ())
                .with_context(|| format!("event {}", event.event_id))?;
            if !out.verdict.is_empty() {
                let user = event.user_id.clone().unwrap_or_default();
                let name = (event.tenant.to_string(), user, event.event_id.clone());
                self.expected_verdicts.entry(name).or_default().push(out.verdict.clone());
            }
            self.expected_logs += usize::from(!out.log.is_empty());
        }
        Ok(())
    }

    fn expected_verdict_count(&self) -> usize {
        self.expected_verdicts.values().map(Vec::len).sum()
    }

    pub(super) fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + JOIN_LIMIT;
        let health = self.service.running.health();
        while !health.is_ready() {
            if self.service.running.wait_for_end(Duration::from_millis(20)) || Instant::now() > deadline {
                bail!("the worker did not get its partitions: {health:?}");
            }
        }
        Ok(())
    }

    /// Sends all events, the last ones evenly paced, and collects what comes back.
    pub(super) fn send_and_collect(&self, paced: usize, rate: u32, mut progress: impl FnMut(u64)) -> Result<Outcome> {
        let connection = connection(&self.config);
        let topics = topics(&self.config);
        let bulk = self.events.len().saturating_sub(paced);
        let (bulk_events, paced_events) = self.events.split_at(bulk);
        let verdicts_wanted = self.expected_verdict_count();

        thread::scope(|scope| {
            let collect = |topic: String, count: usize| {
                let connection = connection.clone();
                scope.spawn(move || take_all(&connection, &topic, count))
            };
            let logs = collect(topics.logs.clone(), self.expected_logs);
            let dead = collect(topics.dead.clone(), self.poison.len());
            let (arrived, arrivals) = std::sync::mpsc::channel();
            let verdicts = {
                let (connection, topic) = (connection.clone(), topics.verdicts.clone());
                scope.spawn(move || -> Result<()> {
                    let mut tail = Tail::new(&connection, &topic, From::Beginning, Isolation::Uncommitted)?;
                    let deadline = Instant::now() + EXCHANGE_LIMIT;
                    for _ in 0..verdicts_wanted {
                        let Some(record) = next(&mut tail, deadline)? else { break };
                        // The other side only goes away with an error of its own.
                        let _gone = arrived.send((Instant::now(), record.payload.unwrap_or_default()));
                    }
                    Ok(())
                })
            };

            let feeder = Feeder::new(&connection)?;
            let send = |event: &Labelled| {
                let key = event.key();
                let record = FeedRecord {
                    topic: &topics.events,
                    key: Some(key.as_bytes()),
                    payload: Some(&event.event),
                    ..FeedRecord::default()
                };
                feeder.send(record)
            };
            let started = Instant::now();
            for event in bulk_events {
                send(event)?;
            }
            for poison in &self.poison {
                let payload = Some(poison.as_slice());
                feeder.send(FeedRecord { topic: &topics.events, payload, ..FeedRecord::default() })?;
            }
            feeder.flush(EXCHANGE_LIMIT)?;

            let mut received: Vec<(Instant, Vec<u8>)> = Vec::new();
            let bulk_verdicts = verdicts_of(bulk_events);
            while received.len() < bulk_verdicts {
                let Ok(one) = arrivals.recv_timeout(EXCHANGE_LIMIT) else { break };
                received.push(one);
                progress(received.len() as u64);
            }
            let bulk_time = started.elapsed();

            // Open loop: each is due at its own time, whatever became of those before it.
            let interval = Duration::from_secs(1) / rate;
            let first_due = Instant::now() + interval;
            let mut due = HashMap::new();
            for (index, event) in paced_events.iter().enumerate() {
                let at = first_due + interval * index as u32;
                thread::sleep(at.saturating_duration_since(Instant::now()));
                send(event)?;
                let user = event.user_id.clone().unwrap_or_default();
                due.entry((event.tenant.to_string(), user, event.event_id.clone())).or_insert(at);
            }
            feeder.flush(EXCHANGE_LIMIT)?;
            while received.len() < verdicts_wanted {
                let Ok(one) = arrivals.recv_timeout(EXCHANGE_LIMIT) else { break };
                received.push(one);
                progress(received.len() as u64);
            }
            join(verdicts)?;

            let mut latency_us = Histogram::new(3).context("latency histogram")?;
            let mut parsed = Vec::with_capacity(received.len());
            for (at, bytes) in &received {
                let verdict: serde_json::Value = serde_json::from_slice(bytes).context("a verdict is not JSON")?;
                // A repeated login has one due time: the first answer's latency counts.
                if let Some(sent) = due.remove(&name_of(&verdict)) {
                    let elapsed_us = at.saturating_duration_since(sent).as_micros();
                    latency_us.record(u64::try_from(elapsed_us).unwrap_or(u64::MAX)).context("latency histogram")?;
                }
                parsed.push(verdict);
            }
            Ok(Outcome {
                verdicts: parsed,
                verdict_bytes: received.into_iter().map(|(_, bytes)| bytes).collect(),
                logs: join(logs)?,
                dead: join(dead)?,
                latency_us,
                bulk_events: bulk_events.len(),
                bulk_time,
            })
        })
    }

    /// Everything that does not add up.
    pub(super) fn check(&self, outcome: &Outcome) -> Vec<String> {
        let mut faults = Vec::new();
        let mut equal = |what: &str, got: usize, wanted: usize| {
            if got != wanted {
                faults.push(format!("{what}: {got}, and {wanted} were expected"));
            }
        };
        equal("verdicts", outcome.verdicts.len(), self.expected_verdict_count());
        equal("verdicts by the labels", outcome.verdicts.len(), verdicts_of(&self.events));
        equal("tenant log records", outcome.logs.len(), self.expected_logs);
        equal("dead letters", outcome.dead.len(), self.poison.len());
        let mut open = self.expected_verdicts.clone();
        let mut different = 0;
        for (verdict, bytes) in outcome.verdicts.iter().zip(&outcome.verdict_bytes) {
            let wanted = open.get_mut(&name_of(verdict));
            let found = wanted.and_then(|wanted| wanted.iter().position(|w| w == bytes).map(|at| wanted.remove(at)));
            different += usize::from(found.is_none());
        }
        equal("verdicts that differ from those computed without Kafka", different, 0);
        let changed = self.poison.iter().filter(|poison| {
            !outcome.dead.iter().any(|dead| dead.payload.as_deref().unwrap_or_default() == poison.as_slice())
        });
        equal("dead letters that are not byte for byte what was sent", changed.count(), 0);
        faults
    }

    pub(super) fn stop(self) -> ExitCode {
        self.service.stop()
    }
}

/// How many verdicts these events ask for, by their labels alone.
fn verdicts_of(events: &[Labelled]) -> usize {
    events.iter().filter(|event| matches!(event.role, sim::Role::Attempt | sim::Role::Duplicate)).count()
}

fn take_all(connection: &Connection, topic: &str, count: usize) -> Result<Vec<TailRecord>> {
    let mut tail = Tail::new(connection, topic, From::Beginning, Isolation::Uncommitted)?;
    let deadline = Instant::now() + EXCHANGE_LIMIT;
    let mut records = Vec::with_capacity(count);
    while records.len() < count {
        let Some(record) = next(&mut tail, deadline)? else { break };
        records.push(record);
    }
    Ok(records)
}

fn next(tail: &mut Tail, deadline: Instant) -> Result<Option<TailRecord>> {
    Ok(tail.next(deadline.saturating_duration_since(Instant::now()))?)
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().map_err(|_| anyhow::anyhow!("a thread of the demo panicked"))?
}
