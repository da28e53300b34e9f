//! Shows the records that are wanted: in the order in which they come, or in that of their times as far as the
//! memory for it goes.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;

use anyhow::Result;
use model::Timestamp;

use super::entry::Entry;
use super::filter::Filter;
use super::source::Reader;
use super::{table, text};

/// Memory for lines that wait for their turn, in bytes.
const MAX_HELD_BYTES: usize = 64 << 20;
/// What a waiting line takes beside its text, about.
const HELD_LINE_BYTES: usize = 192;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A line for people.
    Text { colour: bool },
    /// The record itself.
    Json,
    /// A row of fixed columns.
    Csv,
}

/// In which order, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As they come; so many at most.
    AsTheyCome { first: Option<usize> },
    /// By their times; so many of the latest at most.
    ByTime { latest: Option<usize> },
}

/// Writes records to an output.
pub(super) struct Show<W> {
    out: W,
    format: Format,
    order: Order,
    filter: Filter,
    shown: usize,
    /// Lines that wait, by time, log id and number of arrival.
    held: BTreeMap<(Timestamp, String, u64), String>,
    held_bytes: usize,
    max_held_bytes: usize,
    arrived: u64,
    /// Lines that had to leave before their turn.
    early: u64,
}

impl<W: Write> Show<W> {
    pub(super) fn new(mut out: W, format: Format, order: Order, filter: Filter) -> Result<Self> {
        if format == Format::Csv {
            out.write_all(table::header()?.as_bytes())?;
        }
        Ok(Self {
            out,
            format,
            order,
            filter,
            shown: 0,
            held: BTreeMap::new(),
            held_bytes: 0,
            max_held_bytes: MAX_HELD_BYTES,
            arrived: 0,
            early: 0,
        })
    }

    fn line(&self, entry: &Entry) -> Result<String> {
        Ok(match self.format {
            Format::Text { colour } => text::line(entry, colour),
            Format::Json => format!("{}\n", entry.json),
            Format::Csv => table::line(entry)?,
        })
    }

    fn hold(&mut self, entry: &Entry, line: String, latest: Option<usize>) -> Result<()> {
        self.arrived += 1;
        self.held_bytes += line.len() + HELD_LINE_BYTES;
        self.held.insert((entry.date, entry.log_id().to_owned(), self.arrived), line);
        loop {
            let too_many = latest.is_some_and(|latest| self.held.len() > latest);
            let too_large = self.held_bytes > self.max_held_bytes && self.held.len() > 1;
            if !too_many && !too_large {
                return Ok(());
            }
            let Some((_, line)) = self.held.pop_first() else { return Ok(()) };
            self.held_bytes -= line.len() + HELD_LINE_BYTES;
            self.early += u64::from(!too_many);
            if latest.is_none() {
                self.out.write_all(line.as_bytes())?;
            }
        }
    }

    /// Writes what still waits; what is to be said of the order, if anything is.
    pub(super) fn finish(&mut self) -> Result<Option<String>> {
        for line in std::mem::take(&mut self.held).into_values() {
            self.out.write_all(line.as_bytes())?;
        }
        self.out.flush()?;
        let mib = self.max_held_bytes >> 20;
        Ok((self.early > 0).then(|| match self.order {
            Order::ByTime { latest: Some(_) } => {
                format!("{} records of the latest were left out: those shown take {mib} MiB", self.early)
            }
            _ => format!(
                "more than {mib} MiB of records: {} of them were shown before all had been read, and may stand \
                 out of the order of time",
                self.early
            ),
        }))
    }
}

impl<W: Write> Reader for Show<W> {
    fn entry(&mut self, entry: Entry) -> Result<ControlFlow<()>> {
        if !self.filter.wants(&entry) {
            return Ok(ControlFlow::Continue(()));
        }
        let line = self.line(&entry)?;
        match self.order {
            Order::ByTime { latest } => self.hold(&entry, line, latest)?,
            Order::AsTheyCome { first } => {
                self.out.write_all(line.as_bytes())?;
                self.shown += 1;
                if first.is_some_and(|first| self.shown >= first) {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn idle(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(order: Order, max_held_bytes: usize, seconds: &[u32]) -> (String, Option<String>) {
        let mut out = Vec::new();
        let mut show = Show::new(&mut out, Format::Text { colour: false }, order, Filter::default()).unwrap();
        show.max_held_bytes = max_held_bytes;
        for second in seconds {
            let date = format!("2026-03-02T09:00:{second:02}Z");
            let record = json!({ "log_id": "1", "data": { "type": "s", "date": date } }).to_string();
            if show.entry(Entry::read(record.as_bytes(), None).unwrap()).unwrap().is_break() {
                break;
            }
        }
        let said = show.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        (text.lines().map(|line| line[17..19].to_owned()).collect::<Vec<_>>().join(" "), said)
    }

    #[test]
    fn records_are_shown_in_the_order_that_is_asked_for() {
        let times = [5, 3, 4, 1, 2, 3];
        for (order, room, wanted, says) in [
            (Order::AsTheyCome { first: None }, 0, "05 03 04 01 02 03", None),
            (Order::AsTheyCome { first: Some(2) }, 0, "05 03", None),
            (Order::ByTime { latest: None }, 1 << 20, "01 02 03 03 04 05", None),
            (Order::ByTime { latest: Some(2) }, 1 << 20, "04 05", None),
            (Order::ByTime { latest: Some(9) }, 1 << 20, "01 02 03 03 04 05", None),
            // Room for two: the earliest of those that wait leaves first.
            (Order::ByTime { latest: None }, 900, "03 01 02 03 04 05", Some("out of the order")),
            (Order::ByTime { latest: Some(5) }, 900, "04 05", Some("left out")),
        ] {
            let (text, said) = shown(order, room, &times);
            assert_eq!(text, wanted, "{order:?}");
            assert_eq!(said.is_some(), says.is_some(), "{said:?}");
            assert!(said.unwrap_or_default().contains(says.unwrap_or_default()));
        }
    }
}
