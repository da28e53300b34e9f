//! Where records come from: files of JSON lines, or the topic.

use std::fmt::Display;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use model::Timestamp;
use model::time::MINUTE_MS;
use stream::Connection;
use stream::tail::{From, Isolation, Record, Tail};

use super::entry::Entry;
use crate::commands::score::{Line, open_input, read_line};
use crate::printable::printable;

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// Unreadable records that are named; the rest are counted.
const MAX_NAMED: u64 = 20;
/// Pause between two looks at whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How long nothing may come before the end of the topic is taken for reached.
const END_AFTER: Duration = Duration::from_secs(3);
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
        /// What is now.
        now: Timestamp,
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
    let mut records = Records::new(connection, topic, part)?;
    if let Part::Follow { .. } = part {
        eprintln!("credence: following {topic}, {} partitions", records.tail.partitions());
    }
    while !stop.load(Ordering::Relaxed) {
        match records.next()? {
            Next::Record(record) => {
                let place = format_args!("{topic}, partition {}, offset {}", record.partition, record.offset);
                let payload = record.payload.as_deref().unwrap_or_default();
                if unread.hand_over(&place, payload, record.header("content-type"), to)?.is_break() {
                    break;
                }
            }
            Next::Older => {}
            Next::Quiet => to.idle()?,
            Next::End => break,
        }
    }
    Ok(())
}

enum Next {
    Record(Record),
    /// One came that is older than what is wanted.
    Older,
    /// None came for a moment.
    Quiet,
    /// None will come that is wanted.
    End,
}

/// The records of a part of the topic.
// replaced when Tail can start at a time: until then the topic is read from its beginning, and its end is where
// nothing has come for a while that was there at the start.
struct Records {
    tail: Tail,
    /// Timestamp of the first record that is wanted.
    from_ms: i64,
    /// Timestamp of the last record that was there at the start, where that is the end.
    end_ms: Option<i64>,
    came_last: Instant,
}

impl Records {
    fn new(connection: &Connection, topic: &str, part: Part) -> Result<Self, stream::Error> {
        let (since, end_ms) = match part {
            Part::UpToNow { since, now } => (Some(since), Some(now.0)),
            Part::Follow { since } => (since, None),
        };
        let from = if since.is_some() { From::Beginning } else { From::End };
        Ok(Self {
            tail: Tail::new(connection, topic, from, Isolation::Committed)?,
            // A record is written after its login, by clocks that may differ.
            from_ms: since.map_or(i64::MIN, |since| since.0.saturating_sub(CLOCK_SLACK_MS)),
            end_ms,
            came_last: Instant::now(),
        })
    }

    fn next(&mut self) -> Result<Next, stream::Error> {
        let record = self.tail.next(LOOK)?;
        let ms = record.as_ref().and_then(|record| record.timestamp_ms);
        if record.is_some() && ms.zip(self.end_ms).is_none_or(|(ms, end_ms)| ms <= end_ms) {
            self.came_last = Instant::now();
        }
        let is_over = self.end_ms.is_some() && self.came_last.elapsed() >= END_AFTER;
        Ok(match record {
            _ if is_over => Next::End,
            None => Next::Quiet,
            Some(_) if ms.is_some_and(|ms| ms < self.from_ms) => Next::Older,
            Some(record) => Next::Record(record),
        })
    }
}
