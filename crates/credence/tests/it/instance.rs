//! A running `credence run`: its life, its log, its admin port.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lab::Lab;

/// Long enough for a slow machine, short enough to notice a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(10);

/// Looks until there is something to be seen.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::park_timeout(LOOK);
    }
}

/// `credence run` as a child process.
pub(crate) struct Instance {
    child: Child,
    lines: Receiver<String>,
    log: Vec<String>,
    address: Option<SocketAddr>,
}

impl Instance {
    /// Starts it and does not wait for anything.
    pub(crate) fn spawn(lab: &Lab, sets: &[String]) -> Instance {
        let mut child = lab.command(&["run"], sets).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Instance { child, lines, log: Vec::new(), address: None }
    }

    /// Starts it and waits until it owns its partitions.
    pub(crate) fn start(lab: &Lab, sets: &[String]) -> Instance {
        let mut instance = Instance::spawn(lab, sets);
        until("an instance that is ready", || {
            assert!(instance.exited().is_none(), "the instance ended: {:#?}", instance.log());
            instance.ask("/readyz").filter(|(status, _)| *status == 200)
        });
        instance
    }

    /// Its own log lines so far.
    pub(crate) fn log(&mut self) -> &[String] {
        for line in self.lines.try_iter() {
            if line.contains("serving /metrics") {
                let line: Value = serde_json::from_str(&line).unwrap();
                self.address = line["fields"]["address"].as_str().and_then(|address| address.parse().ok());
            }
            self.log.push(line);
        }
        &self.log
    }

    /// The admin port's address, once that is open.
    pub(crate) fn address(&mut self) -> Option<SocketAddr> {
        self.log();
        self.address
    }

    /// Asks the admin port; `None` while that is not open yet.
    pub(crate) fn ask(&mut self, path: &str) -> Option<(u16, String)> {
        Some(get(self.address()?, path))
    }

    /// The sum of a metric's series, of those that have all of these labels; zero while there are none.
    pub(crate) fn metric(&mut self, name: &str, labels: &[&str]) -> f64 {
        let Some((status, text)) = self.ask("/metrics") else { return 0.0 };
        assert_eq!(status, 200);
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let series = text.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label)));
        series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// The status of a process that has ended.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Asks it to stop and waits for that: its exit status, and how long it took.
    pub(crate) fn terminate(&mut self) -> (Option<i32>, Duration) {
        let begin = Instant::now();
        (terminate(&mut self.child), begin.elapsed())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("log of the instance: {:#?}", self.log());
        }
    }
}

pub(crate) fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Asks a child to stop and waits for that: its exit status, none when the signal itself ended it.
pub(crate) fn terminate(child: &mut Child) -> Option<i32> {
    send(child, Signal::TERM);
    until("the end after SIGTERM", || child.try_wait().unwrap()).code()
}

/// A GET request to the admin port: status and body.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
