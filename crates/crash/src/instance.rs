//! An instance of `credence run`: a place with a state folder, where one process after the other lives.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{CrashError, io_error};
use crate::guard::Guard;
use crate::lab::{Lab, SHUTDOWN_SECONDS};
use crate::probe;

/// Between two looks at an instance that is not ready yet, and at one that is.
const LOOK_SOON: Duration = Duration::from_millis(100);
const LOOK_LATER: Duration = Duration::from_secs(1);
/// A stop may take this much longer than the program's own deadline.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long an instance that ended by itself is away.
const AWAY_BY_ITSELF: Duration = Duration::from_millis(500);
/// In a log, the line that tells the admin port's address, and the line of a panic.
const ADDRESS_LINE: &str = "serving /metrics";
const PANIC: &str = "panicked at";

/// What the processes of all instances went through.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    /// From the start of a process to its first "ready".
    pub(crate) ready_after: Vec<Duration>,
    /// The sums of their counters, as last seen; a killed process takes its last second with it.
    pub(crate) counters: BTreeMap<String, f64>,
    /// Processes that ended without being asked to: which, and how.
    pub(crate) by_themselves: Vec<String>,
    /// Processes that were asked to stop and did not, or not in good order: which, and how.
    pub(crate) bad_stops: Vec<String>,
    /// How many of these did not end at all, long after their own deadline.
    pub(crate) hung: usize,
    /// Panics in their logs.
    pub(crate) panics: usize,
    /// How many there were.
    pub(crate) started: usize,
}

/// A process.
struct Life {
    child: Child,
    log: PathBuf,
    started: Instant,
    address: Option<SocketAddr>,
    ready: bool,
    counters: BTreeMap<String, f64>,
    look: Instant,
    /// SIGSTOP until then.
    stopped_until: Option<Instant>,
    /// SIGTERM was sent; killed when it has not ended then.
    stop_by: Option<Instant>,
}

/// An instance.
pub(crate) struct Instance {
    pub(crate) number: usize,
    lives: usize,
    life: Option<Life>,
    restart_at: Option<Instant>,
    /// How long it is away after it has ended in good order; `None`: for ever.
    away: Option<Duration>,
}

impl Instance {
    pub(crate) fn new(number: usize) -> Instance {
        Instance { number, lives: 0, life: None, restart_at: None, away: Some(AWAY_BY_ITSELF) }
    }

    /// Whether there is a process that has not been asked to stop and is not stopped.
    pub(crate) fn runs(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.stopped_until.is_none() && life.stop_by.is_none())
    }

    /// Whether it said that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.runs() && self.life.as_ref().is_some_and(|life| life.ready)
    }

    /// Whether there is no process and there will be none.
    pub(crate) fn is_gone(&self) -> bool {
        self.life.is_none() && self.restart_at.is_none()
    }

    pub(crate) fn start(&mut self, lab: &Lab, guard: &mut Guard, lives: &mut Lives) -> Result<(), CrashError> {
        self.lives += 1;
        let log = lab.file(&format!("instance-{}.{:03}.log", self.number, self.lives));
        let file = File::create(&log).map_err(io_error("create", &log))?;
        let mut command = lab.instance(self.number);
        // Its own group: an interrupt from the terminal is ours to deal with.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).process_group(0);
        let child = command.spawn().map_err(io_error("start", command.get_program().as_ref()))?;
        guard.watch(child.id()).map_err(io_error("watch over", command.get_program().as_ref()))?;
        lives.started += 1;
        self.restart_at = None;
        self.life = Some(Life {
            child,
            log,
            started: Instant::now(),
            address: None,
            ready: false,
            counters: BTreeMap::new(),
            look: Instant::now(),
            stopped_until: None,
            stop_by: None,
        });
        Ok(())
    }

    /// SIGKILL. It starts again `away` later, as if on a new machine if `wipe` says so.
    pub(crate) fn kill(
        &mut self,
        away: Duration,
        wipe: bool,
        lab: &Lab,
        guard: &mut Guard,
        lives: &mut Lives,
    ) -> Result<(), CrashError> {
        if let Some(life) = &mut self.life {
            life.child.kill().and_then(|()| life.child.wait()).map_err(io_error("kill", &life.log))?;
            self.end(guard, lives);
        }
        if wipe {
            self.wipe(lab)?;
        }
        self.restart_at = Some(Instant::now() + away);
        Ok(())
    }

    /// SIGSTOP, and SIGCONT after `time`.
    pub(crate) fn stop(&mut self, time: Duration) -> Result<(), CrashError> {
        match &mut self.life {
            Some(life) => {
                life.stopped_until = Some(Instant::now() + time);
                life.signal(Signal::STOP)
            }
            None => Ok(()),
        }
    }

    /// SIGTERM. It starts again `away` after it has ended; with `None`, never.
    pub(crate) fn terminate(&mut self, away: Option<Duration>) -> Result<(), CrashError> {
        self.away = away;
        if away.is_none() {
            self.restart_at = None;
        }
        let Some(life) = &mut self.life else { return Ok(()) };
        life.stop_by = Some(Instant::now() + Duration::from_secs(SHUTDOWN_SECONDS) + STOP_GRACE);
        life.signal(Signal::TERM)?;
        if life.stopped_until.take().is_some() {
            life.signal(Signal::CONT)?;
        }
        Ok(())
    }

    /// Removes its state.
    pub(crate) fn wipe(&self, lab: &Lab) -> Result<(), CrashError> {
        let folder = lab.state_folder(self.number);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", &folder)(error)),
            _ => Ok(()),
        }
    }

    /// Does what is due: wakes it, starts it, notes its end, asks how it is.
    pub(crate) fn look_after(&mut self, lab: &Lab, guard: &mut Guard, lives: &mut Lives) -> Result<(), CrashError> {
        let now = Instant::now();
        let Some(life) = &mut self.life else {
            return match self.restart_at {
                Some(at) if now >= at => self.start(lab, guard, lives),
                _ => Ok(()),
            };
        };
        if let Some(status) = life.child.try_wait().map_err(io_error("ask after", &life.log))? {
            let asked = life.stop_by.is_some();
            if !asked || !status.success() {
                let list = if asked { &mut lives.bad_stops } else { &mut lives.by_themselves };
                list.push(in_words(self.number, self.lives, status));
            }
            self.end(guard, lives);
            self.restart_at = self.away.map(|away| now + away);
            self.away = self.away.map(|_| AWAY_BY_ITSELF);
            return Ok(());
        }
        if life.stop_by.is_some_and(|by| now >= by) {
            lives.hung += 1;
            // Its end is noted above the next time.
            life.stop_by = Some(now + STOP_GRACE);
            return life.child.kill().map_err(io_error("kill", &life.log));
        }
        match life.stopped_until {
            Some(until) if now >= until => {
                life.stopped_until = None;
                life.signal(Signal::CONT)
            }
            Some(_) => Ok(()),
            None => {
                life.ask(now, lives);
                Ok(())
            }
        }
    }

    /// Takes stock of a process that has ended.
    fn end(&mut self, guard: &mut Guard, lives: &mut Lives) {
        let Some(life) = self.life.take() else { return };
        // A guard that has died cannot kill anything either.
        let _ = guard.forget(life.child.id());
        for (name, value) in life.counters {
            *lives.counters.entry(name).or_default() += value;
        }
        let log = fs::read(&life.log).unwrap_or_default();
        lives.panics += String::from_utf8_lossy(&log).matches(PANIC).count();
    }
}

fn in_words(number: usize, life: usize, status: ExitStatus) -> String {
    format!("instance {number}, life {life}: {status}")
}

impl Life {
    fn signal(&self, signal: Signal) -> Result<(), CrashError> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let sent = pid.map_or(Ok(()), |pid| kill_process(pid, signal));
        sent.map_err(|error| io_error("signal", &self.log)(error.into()))
    }

    /// How is it? One that does not answer is asked again.
    fn ask(&mut self, now: Instant, lives: &mut Lives) {
        if now < self.look {
            return;
        }
        self.look = now + if self.ready { LOOK_LATER } else { LOOK_SOON };
        let Some(address) = self.address else {
            self.address = self.find_address();
            return;
        };
        if !self.ready && matches!(probe::get(address, "/readyz"), Ok((200, _))) {
            self.ready = true;
            lives.ready_after.push(self.started.elapsed());
        }
        if self.ready
            && let Ok((200, page)) = probe::get(address, "/metrics")
        {
            self.counters = probe::counters(&page);
        }
    }

    fn find_address(&self) -> Option<SocketAddr> {
        let log = fs::read_to_string(&self.log).ok()?;
        let line = log.lines().find(|line| line.contains(ADDRESS_LINE))?;
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        line["fields"]["address"].as_str()?.parse().ok()
    }
}
