//! The folder of a run: data, configuration, events and what `credence score` says of them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sim::Demo;
use tempfile::TempDir;

use crate::error::{CrashError, io_error};
use crate::events;
use crate::options::Options;

/// The consumer group under test.
pub(crate) const GROUP: &str = "credence-crash";
/// The topics, by the names that the program gives them by itself.
pub(crate) const EVENTS: &str = "login-events";
pub(crate) const VERDICTS: &str = "login-verdicts";
pub(crate) const LOGS: &str = "tenant-logs";
pub(crate) const DEAD: &str = "login-events-dead";
pub(crate) const PROFILES: &str = "credence-profiles";

/// The key of the folder in which an instance keeps its state.
const STATE_FOLDER: &str = "state.folder";
/// The key of the topic of profiles.
const PROFILES_TOPIC: &str = "topics.profiles";
/// The seconds that an instance may take to stop.
pub(crate) const SHUTDOWN_SECONDS: u64 = 10;

/// The folder, and the program under test with its configuration.
pub(crate) struct Lab {
    folder: TempDir,
    binary: PathBuf,
    sets: Vec<String>,
    /// Names of the configuration's keys.
    keys: Vec<String>,
}

impl Lab {
    pub(crate) fn new(options: &Options, brokers: &str) -> Result<Lab, CrashError> {
        let binary = match &options.binary {
            Some(path) => path.clone(),
            None => beside_this_program()?,
        };
        if !binary.is_file() {
            return Err(CrashError::NoBinary(binary));
        }
        let binary = binary.canonicalize().map_err(io_error("find", &binary))?;
        let folder =
            TempDir::with_prefix("credence-crash-").map_err(io_error("create a folder in", &std::env::temp_dir()))?;
        let mut lab = Lab { folder, binary, sets: options.sets.clone(), keys: Vec::new() };
        let config = configuration(lab.path(), options, brokers)?;
        let path = lab.file("credence.toml");
        fs::write(&path, config).map_err(io_error("write", &path))?;
        let shown = lab.output(&["run", "--print-config"])?;
        // `key = value`, or `# key is not set`.
        let names = shown.lines().filter_map(|line| match line.split_once(" = ") {
            Some((name, _)) => Some(name),
            None => line.strip_prefix("# ")?.strip_suffix(" is not set"),
        });
        lab.keys = names.map(str::to_owned).collect();
        Ok(lab)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Leaves the folder where it is.
    pub(crate) fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// Whether the program under test keeps its state in files at all.
    pub(crate) fn keeps_state(&self) -> bool {
        self.knows(STATE_FOLDER)
    }

    /// Whether there is a topic of profiles.
    pub(crate) fn has_profiles(&self) -> bool {
        self.knows(PROFILES_TOPIC)
    }

    fn knows(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// The state folder of an instance.
    pub(crate) fn state_folder(&self, instance: usize) -> PathBuf {
        self.file(&format!("state-{instance}"))
    }

    /// `credence run` for an instance, to be started.
    pub(crate) fn instance(&self, instance: usize) -> Command {
        let mut command = self.command(&["run"]);
        if self.keeps_state() {
            command.arg("--set").arg(format!("{STATE_FOLDER}={}", self.state_folder(instance).display()));
        }
        command
    }

    /// `credence topics create`.
    pub(crate) fn create_topics(&self, partitions: u32) -> Result<(), CrashError> {
        self.output(&["topics", "create", "--partitions", &partitions.to_string()]).map(drop)
    }

    /// The program's path and what it says of its version.
    pub(crate) fn version(&self) -> Result<String, CrashError> {
        let ran = Command::new(&self.binary).arg("--version").stdin(Stdio::null()).output();
        let ran = ran.map_err(io_error("start", &self.binary))?;
        Ok(format!("{} ({})", String::from_utf8_lossy(&ran.stdout).trim(), self.binary.display()))
    }

    /// Writes the events to a file and has them scored. There are verdicts in `verdicts.jsonl` and log
    /// records in `logs.jsonl` afterwards.
    pub(crate) fn score(&self, options: &Options) -> Result<Expected, CrashError> {
        let path = self.file("events.jsonl");
        let mut file = BufWriter::new(File::create(&path).map_err(io_error("create", &path))?);
        let (mut number, mut main_verdicts) = (0, 0);
        for event in events::events(options)? {
            file.write_all(&event.event).and_then(|()| file.write_all(b"\n")).map_err(io_error("write", &path))?;
            main_verdicts += usize::from(number < options.events && events::is_scored(&event));
            number += 1;
        }
        file.flush().map_err(io_error("write", &path))?;
        let (verdicts, logs) = (self.file("verdicts.jsonl"), self.file("logs.jsonl"));
        let out = File::create(&verdicts).map_err(io_error("create", &verdicts))?;
        let mut command = self.command(&["score"]);
        command.arg("--logs").arg(&logs).arg(&path).stdin(Stdio::null()).stdout(out).stderr(Stdio::piped());
        let ran = command.output().map_err(io_error("start", &self.binary))?;
        if !ran.status.success() {
            return Err(failed("score", &ran));
        }
        Ok(Expected { events: number, main_verdicts, verdicts, logs })
    }

    /// Runs a command to its end and answers what it wrote to standard output.
    fn output(&self, args: &[&str]) -> Result<String, CrashError> {
        let ran = self.command(args).stdin(Stdio::null()).output().map_err(io_error("start", &self.binary))?;
        if ran.status.success() {
            Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
        } else {
            Err(failed(&args.join(" "), &ran))
        }
    }

    /// The program with our configuration, and without that of the environment.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(self.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CREDENCE_") {
                command.env_remove(name);
            }
        }
        command.args(args).arg("--config").arg(self.file("credence.toml"));
        for set in &self.sets {
            command.arg("--set").arg(set);
        }
        command
    }
}

/// What `credence score` said.
pub(crate) struct Expected {
    /// How many events there are, the tail included.
    pub(crate) events: u64,
    /// How many of the verdicts are for events before the tail.
    pub(crate) main_verdicts: usize,
    pub(crate) verdicts: PathBuf,
    pub(crate) logs: PathBuf,
}

fn failed(command: &str, ran: &std::process::Output) -> CrashError {
    CrashError::Command {
        command: command.to_owned(),
        status: ran.status.to_string(),
        output: String::from_utf8_lossy(&ran.stderr).chars().take(4_000).collect(),
    }
}

/// `credence` in the folder of this executable.
fn beside_this_program() -> Result<PathBuf, CrashError> {
    let this = std::env::current_exe().map_err(io_error("find", Path::new("this program")))?;
    let name = format!("credence{}", std::env::consts::EXE_SUFFIX);
    Ok(this.with_file_name(name))
}

/// Writes the sample data into the folder, and says how the program under test is configured.
fn configuration(folder: &Path, options: &Options, brokers: &str) -> Result<String, CrashError> {
    let data = Demo::write(&folder.join("data"))?;
    let relays: Vec<String> = data.relay_lists.iter().map(|path| path.display().to_string()).collect();
    let mut text = format!(
        "[data]\ncity = {:?}\nasn = {:?}\nanonymous_ip = {:?}\nrelay_lists = {relays:?}\nreload_seconds = 0\n",
        data.city.display().to_string(),
        data.asn.display().to_string(),
        data.anonymous.display().to_string(),
    );
    for list in &data.deny_lists {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "[[data.deny_lists]]\nname = {:?}\ncategory = {:?}\npath = {:?}\n",
            list.name,
            list.category,
            list.path.display().to_string()
        );
    }
    let _ = write!(
        text,
        "[kafka]\nbrokers = {brokers:?}\ngroup_id = {GROUP:?}\nsession_timeout_seconds = {}\n\
         commit_interval_ms = {}\nshutdown_deadline_seconds = {SHUTDOWN_SECONDS}\n\
         [state]\nhash_key = \"00112233445566778899aabbccddeeff\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n",
        options.session_timeout, options.commit_interval,
    );
    Ok(text)
}
