//! Child processes that are measured: `credence run`, and this program as the pass-through.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::probe::{self, Metrics};

/// How long a process may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(5);
/// The line of the log that tells the admin port's address.
const ADDRESS_LINE: &str = "serving /metrics";

/// A process; it is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    address: Option<SocketAddr>,
}

impl Process {
    /// Starts it; standard error goes to `log`.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Result<Process> {
        let file = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let program = command.get_program().to_owned();
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Process { child, log, address: None })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        probe::cpu_seconds(self.id())
    }

    /// Fails where it has ended, with the end of its log.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(15).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            bail!("a process that is measured has ended with {status}; its log ends with\n{}", last.join("\n"));
        }
        Ok(())
    }

    /// Waits until `credence run` says that it is ready.
    pub(crate) fn until_ready(&mut self) -> Result<()> {
        let begin = Instant::now();
        loop {
            self.check()?;
            if self.address.is_none() {
                self.address = self.find_address();
            }
            if let Some(address) = self.address
                && matches!(probe::get(address, "/readyz"), Ok((200, _)))
            {
                return Ok(());
            }
            ensure!(begin.elapsed() < 10 * PATIENCE, "not ready after {:?}: {}", 10 * PATIENCE, self.log.display());
            thread::sleep(LOOK);
        }
    }

    fn find_address(&self) -> Option<SocketAddr> {
        let line = self.log_lines(ADDRESS_LINE).pop()?;
        line["fields"]["address"].as_str()?.parse().ok()
    }

    /// The lines of its log, as JSON, that contain a text.
    pub(crate) fn log_lines(&self, text: &str) -> Vec<serde_json::Value> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines = log.lines().filter(|line| line.contains(text));
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub(crate) fn metrics(&self) -> Result<Metrics> {
        let address = self.address.context("the process was never ready")?;
        let (status, page) = probe::get(address, "/metrics")?;
        ensure!(status == 200, "/metrics answers {status}");
        Ok(Metrics(page))
    }

    /// Fails where anything went wrong that must not go wrong while it is measured.
    pub(crate) fn check_metrics(&self) -> Result<Metrics> {
        let metrics = self.metrics()?;
        for name in [
            "credence_commit_failures_total",
            "credence_rewinds_total",
            "credence_dead_letters_total",
            "credence_state_errors_total",
            "credence_producer_errors_total",
            "credence_misrouted_records_total",
        ] {
            let found = metrics.sum(name, "");
            ensure!(found == 0.0, "{name} is {found} and should be 0: {}", self.log.display());
        }
        Ok(metrics)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("no process")?;
        kill_process(pid, signal).context("cannot signal a process")
    }

    /// Ends it by a signal and waits for that.
    pub(crate) fn end(mut self, signal: Signal) -> Result<()> {
        self.check()?;
        self.signal(signal)?;
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                let well = status.success() || signal == Signal::KILL;
                ensure!(well, "a process ended with {status}: {}", self.log.display());
                return Ok(());
            }
            ensure!(begin.elapsed() < PATIENCE, "a process does not end: {}", self.log.display());
            thread::sleep(LOOK);
        }
    }

    /// Ends the pass-through, and answers what it wrote.
    pub(crate) fn finish(mut self) -> Result<String> {
        self.check()?;
        drop(self.child.stdin.take());
        let mut output = String::new();
        self.child.stdout.take().context("no output")?.read_to_string(&mut output)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the pass-through ended with {status}: {}", self.log.display());
        Ok(output)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
