//! One Kafka broker process: format, start, stop, kill, start again.

use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::builder::Builder;
use crate::process::{Guard, log_excerpt, log_length, wait_with_deadline};
use crate::{HarnessError, KAFKA_VERSION, io_error, jars, probe};

/// Generous: a test machine may compile with all its cores at the same time.
const START_DEADLINE: Duration = Duration::from_secs(90);
const FORMAT_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// 22 characters of URL-safe base64, as Kafka wants it.
const CLUSTER_ID: &str = "kafka-harness-clusterA";
const PROPERTIES_FILE: &str = "server.properties";

/// A Kafka broker of our own. Dropping it kills the process and removes its folder.
#[derive(Debug)]
pub struct Kafka {
    address: SocketAddr,
    bootstrap_servers: String,
    java_options: Vec<String>,
    java: PathBuf,
    class_path: String,
    folder: PathBuf,
    log_path: PathBuf,
    broker: Option<Child>,
    guard: Guard,
}

impl Kafka {
    /// Starts a broker with the usual settings.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn start() -> Result<Self, HarnessError> {
        Self::builder().start()
    }

    /// The usual settings, to be changed.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `127.0.0.1:PORT`, the same for the life of this value.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// The release of Kafka, to be printed beside results.
    #[must_use]
    pub fn version(&self) -> &str {
        KAFKA_VERSION
    }

    /// The log of the broker, of all its runs. It goes with the folder.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Process id of the broker; `None` while it is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.broker.as_ref().map(Child::id)
    }

    /// Ends the broker by SIGKILL, as a crash would. Data and ports stay for
    /// [`Self::start_again`]. Nothing happens if it is stopped already.
    ///
    /// # Errors
    /// When the system refuses to signal the process.
    pub fn kill(&mut self) -> Result<(), HarnessError> {
        if let Some(broker) = &mut self.broker {
            broker.kill().and_then(|()| broker.wait().map(drop)).map_err(io_error("kill", &self.java))?;
            self.broker = None;
            self.guard.forget();
        }
        Ok(())
    }

    /// Ends the broker by SIGTERM; by SIGKILL if it still runs 30 seconds later.
    ///
    /// # Errors
    /// When the system refuses to signal the process.
    pub fn stop(&mut self) -> Result<(), HarnessError> {
        if let Some(broker) = &mut self.broker {
            let running = broker.try_wait().is_ok_and(|status| status.is_none());
            let pid = i32::try_from(broker.id()).ok().and_then(Pid::from_raw);
            if let (true, Some(pid)) = (running, pid) {
                kill_process(pid, Signal::TERM).map_err(|error| io_error("stop", &self.java)(error.into()))?;
                wait_with_deadline(broker, STOP_DEADLINE);
            }
        }
        self.kill()
    }

    /// Starts the broker after [`Self::stop`] or [`Self::kill`]: same ports, same data.
    ///
    /// # Errors
    /// As [`Builder::start`], and [`HarnessError::AlreadyRunning`].
    pub fn start_again(&mut self) -> Result<(), HarnessError> {
        if self.broker.is_some() {
            return Err(HarnessError::AlreadyRunning);
        }
        let log_from = log_length(&self.log_path);
        let mut options: Vec<&str> = self.java_options.iter().map(String::as_str).collect();
        options.extend(["-XX:+ExitOnOutOfMemoryError", "kafka.Kafka", PROPERTIES_FILE]);
        let mut broker = self.spawn_java(&options)?;
        let ready = self.wait_until_ready(&mut broker, log_from);
        self.broker = Some(broker);
        if ready.is_err() {
            self.kill()?;
        }
        ready
    }

    /// Stops and starts again.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start_again`].
    pub fn restart(&mut self) -> Result<(), HarnessError> {
        self.stop()?;
        self.start_again()
    }

    /// A broker that is neither formatted nor started, with its temporary folder.
    pub(crate) fn prepare(address: SocketAddr, java_options: &[String], libs: &Path) -> Result<Self, HarnessError> {
        let temporary = tempfile::Builder::new()
            .prefix("kafka-harness-")
            .tempdir()
            .map_err(io_error("create a folder in", &std::env::temp_dir()))?;
        let folder = temporary.path().to_owned();
        Ok(Self {
            address,
            bootstrap_servers: address.to_string(),
            java_options: java_options.to_vec(),
            java: jars::java(),
            class_path: format!("{}/*", libs.display()),
            log_path: folder.join("kafka.log"),
            folder,
            broker: None,
            guard: Guard::start(temporary)?,
        })
    }

    /// Where the broker keeps topics and metadata.
    pub(crate) fn data_path(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Writes the properties and makes the storage ready for the first start.
    pub(crate) fn format(&mut self, properties: &str) -> Result<(), HarnessError> {
        let path = self.folder.join(PROPERTIES_FILE);
        fs::write(&path, properties).map_err(io_error("write", &path))?;
        self.broker = Some(self.spawn_java(&[
            "-Xmx128m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "kafka.tools.StorageTool",
            "format",
            "-t",
            CLUSTER_ID,
            "-c",
            PROPERTIES_FILE,
        ])?);
        let status = self.broker.as_mut().and_then(|tool| wait_with_deadline(tool, FORMAT_DEADLINE));
        self.kill()?;
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.exited("the storage tool", status, 0)),
            None => Err(self.late("the storage tool", FORMAT_DEADLINE, 0)),
        }
    }

    fn spawn_java(&self, args: &[&str]) -> Result<Child, HarnessError> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log_path)
            .map_err(io_error("open", &self.log_path))?;
        let mut all = vec![
            "-cp",
            &self.class_path,
            "-XX:-UsePerfData",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        ];
        all.extend(args);
        self.guard.spawn(&self.java, &all, &self.folder, log)
    }

    fn wait_until_ready(&self, broker: &mut Child, log_from: u64) -> Result<(), HarnessError> {
        let begin = Instant::now();
        while begin.elapsed() < START_DEADLINE {
            if let Ok(Some(status)) = broker.try_wait() {
                return Err(self.exited("the broker", status, log_from));
            }
            if probe::is_ready(self.address, Duration::from_secs(2)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(self.late("the broker", START_DEADLINE, log_from))
    }

    fn exited(&self, what: &'static str, status: ExitStatus, from: u64) -> HarnessError {
        HarnessError::Exited { what, status: status.to_string(), log: log_excerpt(&self.log_path, from) }
    }

    fn late(&self, what: &'static str, deadline: Duration, from: u64) -> HarnessError {
        HarnessError::Deadline { what, deadline, log: log_excerpt(&self.log_path, from) }
    }
}

impl Drop for Kafka {
    /// By SIGKILL: the data goes anyway, and an orderly end would take seconds. The guard then
    /// removes the folder.
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
