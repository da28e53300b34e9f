//! Looking at a run from outside: the ends of topics, committed offsets, processor time, metrics.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rustix::process::{Pid, setpriority_process};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks the broker; in a group by name only.
pub(crate) struct Offsets(BaseConsumer);

impl Offsets {
    pub(crate) fn new(brokers: &str, group: &str) -> Result<Offsets> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", group).set("allow.auto.create.topics", "false");
        Ok(Offsets(config.create().context("a client that asks for offsets")?))
    }

    /// Records of a topic that nobody has removed any of: markers of transactions count too.
    pub(crate) fn records(&self, topic: &str, partitions: i32) -> Result<i64> {
        let ends = (0..partitions).map(|partition| asked(|| self.0.fetch_watermarks(topic, partition, TIMEOUT)));
        ends.map(|end| Ok(end.with_context(|| format!("the end of {topic}"))?.1)).sum()
    }

    /// How far the group has committed, all partitions together.
    pub(crate) fn committed(&self, topic: &str, partitions: i32) -> Result<i64> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let found = asked(|| self.0.committed_offsets(list.clone(), TIMEOUT));
        let found = found.with_context(|| format!("offsets of {topic}"))?;
        let offset = |of: Offset| if let Offset::Offset(offset) = of { offset } else { 0 };
        Ok(found.elements().iter().map(|element| offset(element.offset())).sum())
    }
}

/// Asks again while the broker is busy with making a topic or a coordinator.
fn asked<T>(ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    let begin = Instant::now();
    loop {
        match ask() {
            Err(_) if begin.elapsed() < TIMEOUT => thread::sleep(Duration::from_millis(50)),
            answer => return answer,
        }
    }
}

/// Clock ticks of a second in `/proc`: the same on every Linux.
const TICKS: f64 = 100.0;

/// Processor seconds that a process has used so far, with all its threads.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    stat_seconds(&format!("/proc/{pid}/stat"))
}

/// Processor seconds that the machine wanted and did not get so far, because its host gave them to others.
pub(crate) fn stolen_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    // Of all processors together: user, nice, system, idle, iowait, irq, softirq, steal.
    let steal = stat.lines().next().and_then(|line| line.split_whitespace().nth(8)?.parse::<f64>().ok());
    Ok(steal.context("/proc/stat tells no stolen time")? / TICKS)
}

/// Processor seconds of those threads of a process whose name contains a text.
pub(crate) fn thread_seconds(pid: u32, name: &str) -> Result<f64> {
    let mut seconds = 0.0;
    for (_, path) in threads(pid, name)? {
        // A thread that has ended meanwhile is none.
        seconds += stat_seconds(&path.join("stat").display().to_string()).unwrap_or_default();
    }
    Ok(seconds)
}

/// Gives those threads of a process whose name contains a text the lowest priority.
pub(crate) fn lower_priority(pid: u32, name: &str) -> Result<()> {
    const LOWEST: i32 = 19;
    for (thread, _) in threads(pid, name)? {
        // Linux takes the number of a thread for that of a process here; one that has ended needs nothing.
        if let Some(thread) = Pid::from_raw(thread) {
            let _ = setpriority_process(Some(thread), LOWEST);
        }
    }
    Ok(())
}

/// The threads of a process whose name contains a text, with their folders.
fn threads(pid: u32, name: &str) -> Result<Vec<(i32, PathBuf)>> {
    let mut found = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?;
        let number = thread.file_name().to_str().and_then(|number| number.parse().ok());
        let is_named = std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.contains(name));
        found.extend(number.filter(|_| is_named).map(|number| (number, thread.path())));
    }
    Ok(found)
}

fn stat_seconds(path: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    // The name in brackets may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS),
        _ => bail!("{path} cannot be read"),
    }
}

/// Resident bytes of a process.
pub(crate) fn resident_bytes(pid: u32) -> Result<usize> {
    let path = format!("/proc/{pid}/statm");
    let statm = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let pages: usize = statm.split_whitespace().nth(1).unwrap_or_default().parse().with_context(|| path)?;
    Ok(pages * 4096)
}

/// A GET request: status and body.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.take(4 << 20).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).with_context(|| format!("no answer that can be read from {address}{path}"))
}

/// A page of metrics.
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// The sum of the series of a metric whose labels hold `label`; empty: of all.
    pub(crate) fn sum(&self, name: &str, label: &str) -> f64 {
        let series = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, labels) = series.split_once('{').unwrap_or((series, ""));
            (found == name && labels.contains(label)).then(|| value.parse::<f64>().ok()).flatten()
        });
        series.sum()
    }
}
