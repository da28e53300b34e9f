//! Where records come from: files of JSON lines, or the topic.

use std::fmt::Display;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use model::Timestamp;
use model::time::MINUTE_MS;
use stream::Connection;
use stream::tail::{From, Isolation, Tail};

use super::entry::Entry;
use crate::commands::score::{Line, open_input, read_line};
use crate::printable::printable;

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// Unreadable records that are named; the rest are counted.
const MAX_NAMED: u64 = 20;
/// Pause between two looks at whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How long nothing may come before the end is reached.
const PATIENCE: Duration = Duration::from_secs(60);
/// How far the clock of a login may be ahead of those that give records their timestamps, in milliseconds.
const CLOCK_SLACK_MS: i64 = 10 * MINUTE_MS;

/// Who is given the records.
pub(super) trait Reader {
    /// A record; the answer says whether more are wanted.
    fn entry(&mut self, entry: Entry) -> Result<ControlFlow<()>>;
    /// The next record may take a while.
    fn idle(&mut self) -> Result<()>;
}

/// Records that cannot be read: the first are named, all are counted.
#[derive(Debug, Default)]
pub(super) struct Unread {
    count: u64,
}

impl Unread {
    fn note(&mut self, place: &dyn Display, why: &dyn Display) {
        self.count += 1;
        if self.count <= MAX_NAMED {
            eprintln!("credence: {}: {}", printable(&place.to_string()), printable(&why.to_string()));
        }
    }

    /// Says how many there were; whether there were any.
    pub(super) fn report(&self) -> bool {
        if self.count > 0 {
            let records = if self.count == 1 { "record" } else { "records" };
            eprintln!("credence: {} {records} could not be read", self.count);
        }
        self.count > 0
    }

    /// Hands a record over, or notes why it cannot be read.
    fn hand_over(
        &mut self,
        place: &dyn Display,
        payload: &[u8],
        content_type: Option<&str>,
        to: &mut dyn Reader,
    ) -> Result<ControlFlow<()>> {
        match Entry::read(payload, content_type) {
            Ok(entry) => to.entry(entry),
            Err(why) => {
                self.note(place, &why);
                Ok(ControlFlow::Continue(()))
            }
        }
    }
}

/// A file that is open, or standard input.
pub(super) struct Input {
    name: String,
    from: Box<dyn Read>,
}

impl Input {
    /// What it is called.
    pub(super) fn name(&self) -> String {
        printable(&self.name).into_owned()
    }

    /// Opens files, `-` being standard input; what cannot be opened is added to `problems`.
    pub(super) fn open(paths: &[PathBuf], problems: &mut Vec<String>) -> Vec<Input> {
        let mut inputs = Vec::new();
        for path in paths {
            if path == Path::new("-") {
                inputs.push(Input { name: "standard input".to_owned(), from: Box::new(io::stdin()) });
                continue;
            }
            let name = path.display().to_string();
            match open_input(path) {
                Ok(file) => inputs.push(Input { name, from: Box::new(file) as Box<dyn Read> }),
                Err(error) => problems.push(format!("{} cannot be read: {error}", printable(&name))),
            }
        }
        inputs
    }
}

/// Reads files of JSON lines, one after the other.
pub(super) fn read_files(inputs: Vec<Input>, to: &mut dyn Reader, unread: &mut Unread) -> Result<()> {
    for Input { name, from } in inputs {
        let mut from = BufReader::with_capacity(BUFFER_BYTES, from);
        let mut line = Vec::new();
        for number in 1u64.. {
            if memchr::memchr(b'\n', from.buffer()).is_none() {
                to.idle()?;
            }
            let place = format_args!("{name}, line {number}");
            match read_line(&mut from, &mut line)? {
                Line::End => break,
                Line::TooLong(bytes) => unread.note(&place, &super::entry::Unreadable::TooLarge(bytes)),
                Line::Whole if line.trim_ascii().is_empty() => {}
                Line::Whole => {
                    if unread.hand_over(&place, &line, Some("application/json"), to)?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

/// Which part of the topic is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// From this time on up to what is there now.
    UpToNow {
        /// Of the first login that is wanted.
        since: Timestamp,
    },
    /// From this time on, or from now on, without an end.
    Follow {
        /// Of the first login that is wanted.
        since: Option<Timestamp>,
    },
}

/// Reads the topic of log records until its part ends, `stop` is set, or no more is wanted.
pub(super) fn read_topic(
    connection: &Connection,
    topic: &str,
    part: Part,
    stop: &AtomicBool,
    to: &mut dyn Reader,
    unread: &mut Unread,
) -> Result<()> {
    // A record is written after its login, by clocks that may differ.
    let from_ms = |since: Timestamp| From::Time(since.0.saturating_sub(CLOCK_SLACK_MS));
    let (from, ends) = match part {
        Part::UpToNow { since } => (from_ms(since), true),
        Part::Follow { since } => (since.map_or(From::End, from_ms), false),
    };
    let mut tail = Tail::new(connection, topic, from, Isolation::Committed)?;
    if !ends {
        eprintln!("credence: following {topic}, {} partitions", tail.partitions());
    }
    let mut came_last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if ends && tail.is_caught_up() {
            break;
        }
        let Some(record) = tail.next(LOOK)? else {
            to.idle()?;
            if ends && came_last.elapsed() > PATIENCE {
                bail!("nothing came from topic {topic} for {PATIENCE:?}, and its end is not reached");
            }
            continue;
        };
        came_last = Instant::now();
        // What comes while the rest is read was not there at the start.
        if ends && tail.ends().get(&record.partition).is_some_and(|end| record.offset >= *end) {
            continue;
        }
        let place = format_args!("{topic}, partition {}, offset {}", record.partition, record.offset);
        let payload = record.payload.as_deref().unwrap_or_default();
        if unread.hand_over(&place, payload, record.header("content-type"), to)?.is_break() {
            break;
        }
    }
    Ok(())
}
