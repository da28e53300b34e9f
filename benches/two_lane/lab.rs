//! The broker, the sample data, and stages on it: topics and a configuration for `credence run`.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use credence::config::{Config, Inputs};
use credence::service;
use kafka_harness::Kafka;
use sim::Demo;
use stream::feed::{FeedRecord, Feeder};
use stream::topics::{PlanOptions, TopicOutcome, create, plan};
use stream::{ClientProperties, Connection};
use tempfile::TempDir;

use crate::events::Event;
use crate::pass_through::{self, Spec};
use crate::probe::{self, Offsets};
use crate::process::Process;

/// How long the broker may take to create topics or to acknowledge everything that was written.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long events may take until they are committed, and how often that is looked at.
const COMMITTED: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(10);

/// A file system in memory, as Linux has it.
const MEMORY: &str = "/dev/shm";

/// What all parts share.
pub(crate) struct Lab {
    kafka: Kafka,
    folder: TempDir,
    /// On a disk that the broker does not write to, where there is one.
    apart: TempDir,
    data: Demo,
    /// Processes and files made so far, for their names.
    made: Cell<usize>,
}

impl Lab {
    pub(crate) fn start() -> Result<Lab> {
        let kafka = Kafka::builder().options_of_start_scripts().start().context("Kafka is needed for this bench")?;
        let folder = TempDir::with_prefix("credence-bench-")?;
        let data = Demo::write(&folder.path().join("data"))?;
        let parent = Some(PathBuf::from(MEMORY)).filter(|path| path.is_dir()).unwrap_or_else(std::env::temp_dir);
        let apart = TempDir::with_prefix_in("credence-bench-", parent)?;
        Ok(Lab { kafka, folder, apart, data, made: Cell::new(0) })
    }

    pub(crate) fn brokers(&self) -> &str {
        self.kafka.bootstrap_servers()
    }

    /// Processor time that the broker's compilers have taken: while they are busy it gets faster, and takes the
    /// processors from everybody else.
    pub(crate) fn compiling_seconds(&self) -> Result<f64> {
        probe::thread_seconds(self.kafka.pid().context("the broker has ended")?, "Compiler")
    }

    /// Gives the broker's compilers the lowest priority. They are awake again at each change of the load, for less
    /// and less, and on two cores everybody else would wait for them.
    pub(crate) fn hold_compilers_back(&self) -> Result<()> {
        probe::lower_priority(self.kafka.pid().context("the broker has ended")?, "Compiler")
    }

    /// Versions and machine, for the head of the figures.
    pub(crate) fn conditions(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("unknown processor", |(_, model)| model);
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("?");
        let librdkafka = rdkafka::util::get_rdkafka_version().1;
        format!(
            "Apache Kafka {}, librdkafka {librdkafka}, credence {}; {cores} cores ({model}), shared by broker, load \
             and what is measured; load average at the start {load}",
            self.kafka.version(),
            env!("CARGO_PKG_VERSION"),
        )
    }

    /// Leaves the folder with the logs of all processes where it is.
    pub(crate) fn keep(&mut self) {
        self.folder.disable_cleanup(true);
        eprintln!("two_lane: the logs are kept in {}", self.folder.path().display());
    }

    /// A path that nobody has used yet.
    pub(crate) fn new_path(&self, name: &str) -> PathBuf {
        self.folder.path().join(self.numbered(name))
    }

    /// A name that nobody has used yet.
    pub(crate) fn numbered(&self, name: &str) -> String {
        self.made.set(self.made.get() + 1);
        format!("{:03}-{name}", self.made.get())
    }

    /// A path for a state that nobody has used yet, on a disk of its own where that can be had. What the broker
    /// writes to the same disk makes each sync of the store take a fraction of a second.
    pub(crate) fn state_apart(&self) -> PathBuf {
        self.apart.path().join(self.numbered("state"))
    }

    /// The deny list that a reload reads anew.
    pub(crate) fn data(&self) -> &Demo {
        &self.data
    }
}

/// What differs between stages.
pub(crate) struct Scene<'a> {
    /// Name of the consumer group, and prefix of the topics.
    pub(crate) name: &'a str,
    pub(crate) partitions: i32,
    /// A topic of events that is there already.
    pub(crate) events: Option<&'a str>,
    /// Bytes of memory for the state.
    pub(crate) memory_bytes: usize,
    /// Whether every attempt teaches, so that users need no completions.
    pub(crate) learns_at_once: bool,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(name: &'a str, partitions: i32) -> Scene<'a> {
        Scene { name, partitions, events: None, memory_bytes: 1 << 30, learns_at_once: false }
    }
}

/// Topics of its own, and the configuration of the instances on them.
pub(crate) struct Stage<'l> {
    pub(crate) lab: &'l Lab,
    pub(crate) config: Config,
    pub(crate) partitions: i32,
    file: PathBuf,
}

impl<'l> Stage<'l> {
    pub(crate) fn new(lab: &'l Lab, scene: &Scene<'_>) -> Result<Stage<'l>> {
        let file = lab.new_path("credence.toml");
        let text = configuration(lab, scene);
        fs::write(&file, &text)?;
        let inputs = Inputs { file: Some((file.clone(), text)), ..Inputs::default() };
        let config = Config::read(&inputs).map_err(|errors| anyhow!("the bench's own configuration: {errors:?}"))?;
        let options = PlanOptions { partitions: scene.partitions, replication: 1, ..PlanOptions::default() };
        let specs = plan(&service::topics(&config), &options);
        for report in create(&service::connection(&config), &specs, PATIENCE)? {
            let there = match report.outcome {
                TopicOutcome::Created => true,
                TopicOutcome::Exists(_) => scene.events == Some(report.name.as_str()),
                TopicOutcome::Failed(_) => false,
            };
            ensure!(there, "topic {}: {:?}", report.name, report.outcome);
        }
        Ok(Stage { lab, config, partitions: scene.partitions, file })
    }

    /// The configuration's file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn connection(&self) -> Connection {
        service::connection(&self.config)
    }

    /// Waits until so many events are committed, all partitions together.
    pub(crate) fn until_committed(&self, offsets: &Offsets, events: i64) -> Result<()> {
        let begin = Instant::now();
        while offsets.committed(&self.config.topic_events, self.partitions)? < events {
            ensure!(begin.elapsed() < COMMITTED, "not everything was committed within {COMMITTED:?}");
            thread::sleep(LOOK);
        }
        Ok(())
    }

    pub(crate) fn offsets(&self) -> Result<Offsets> {
        Offsets::new(self.lab.brokers(), &self.config.group_id)
    }

    /// Starts `credence run` on a state folder, and waits until it is ready.
    pub(crate) fn instance(&self, state: &Path) -> Result<Process> {
        let mut process = self.starting(state)?;
        process.until_ready()?;
        Ok(process)
    }

    /// Starts `credence run` on a state folder.
    pub(crate) fn starting(&self, state: &Path) -> Result<Process> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_credence"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CREDENCE_") {
                command.env_remove(name);
            }
        }
        command.arg("run").arg("--config").arg(&self.file);
        command.arg("--set").arg(format!("state.folder={}", state.display()));
        Process::start(command, self.lab.new_path("credence.log"))
    }

    /// Starts the pass-through with the properties of this stage's clients. Without a pool it sends the same
    /// bytes back.
    pub(crate) fn pass_through(&self, pool: Option<PathBuf>) -> Result<Process> {
        let clients = ClientProperties::of(&service::stream_config(&self.config, "pass-through"));
        let mut durable = clients.durable;
        // It commits nothing in transactions.
        durable.retain(|key, _| !key.starts_with("transaction"));
        let spec = Spec {
            consumer: clients.consumer,
            fast: clients.fast,
            durable,
            events: self.config.topic_events.clone(),
            outputs: [&self.config.topic_verdicts, &self.config.topic_logs, &self.config.topic_profiles]
                .map(Clone::clone),
            pool,
            commit_interval_ms: u64::try_from(self.config.commit_interval.as_millis())?,
        };
        let path = self.lab.new_path("pass-through.json");
        fs::write(&path, serde_json::to_vec(&spec)?)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(pass_through::ROLE).arg(path);
        Process::start(command, self.lab.new_path("pass-through.log"))
    }

    /// Writes events to the topic of events.
    pub(crate) fn feed(&self, events: &[Event]) -> Result<()> {
        let feeder = Feeder::new(&self.connection())?;
        for event in events {
            feeder.send(event.record(&self.config.topic_events))?;
        }
        let acknowledged = feeder.flush(PATIENCE)?;
        ensure!(acknowledged == events.len(), "{acknowledged} of {} events were acknowledged", events.len());
        Ok(())
    }
}

impl Event {
    /// The event as a record of a topic.
    pub(crate) fn record<'a>(&'a self, topic: &'a str) -> FeedRecord<'a> {
        FeedRecord { topic, key: Some(&self.key), payload: Some(&self.payload), ..FeedRecord::default() }
    }
}

fn configuration(lab: &Lab, scene: &Scene<'_>) -> String {
    let data = lab.data();
    let relays: Vec<String> = data.relay_lists.iter().map(|path| path.display().to_string()).collect();
    let mut text = String::from(if scene.learns_at_once { "learning = \"on_attempt\"\n" } else { "" });
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "[data]\ncity = {:?}\nasn = {:?}\nanonymous_ip = {:?}\nrelay_lists = {relays:?}\nreload_seconds = 0\n",
        data.city.display().to_string(),
        data.asn.display().to_string(),
        data.anonymous.display().to_string(),
    );
    for list in &data.deny_lists {
        let (name, category, path) = (list.name, list.category, list.path.display().to_string());
        let _ = write!(text, "[[data.deny_lists]]\nname = {name:?}\ncategory = {category:?}\npath = {path:?}\n");
    }
    let name = scene.name;
    let _ = write!(text, "[kafka]\nbrokers = {:?}\ngroup_id = {name:?}\nsession_timeout_seconds = 6\n", lab.brokers());
    let _ = write!(text, "[state]\nmemory_bytes = {}\n", scene.memory_bytes);
    text.push_str("hash_key = \"62656e63686573207573652074686973\"\n");
    text.push_str("[admin]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n[topics]\n");
    for topic in ["verdicts", "logs", "profiles", "dead", "settings"] {
        let _ = writeln!(text, "{topic} = \"{name}-{topic}\"");
    }
    let events = scene.events.map_or_else(|| format!("{name}-events"), str::to_owned);
    let _ = writeln!(text, "events = {events:?}");
    text
}
