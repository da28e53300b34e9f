//! Looks for one login and for what became of it.

use std::ops::ControlFlow;

use anyhow::Result;
use model::Timestamp;
use serde_json::Value;

use super::entry::Entry;
use super::source::Reader;
use crate::explain::{Later, login};

/// The time in a log id: its first twelve hexadecimal digits are milliseconds since the epoch.
pub(super) fn time_of(log_id: &str) -> Option<Timestamp> {
    let is_id = log_id.len() == 32 && log_id.bytes().all(|b| b.is_ascii_hexdigit());
    let digits = log_id.get(..12).filter(|_| is_id)?;
    i64::from_str_radix(digits, 16).ok().map(Timestamp)
}

/// A login that is looked for, by its log id.
pub(super) struct Story {
    log_id: String,
    found: Option<Entry>,
    later: Later,
}

impl Story {
    pub(super) fn of(log_id: &str) -> Self {
        Self { log_id: log_id.to_ascii_lowercase(), found: None, later: Later::default() }
    }

    /// The login in words, if it was found.
    pub(super) fn text(&self) -> Option<String> {
        let sections = login(&self.found.as_ref()?.value, &self.later).into_iter().map(|section| {
            let sentences = section.sentences.iter().map(|sentence| format!("  {sentence}\n"));
            format!("{}\n{}", section.title, sentences.collect::<String>())
        });
        Some(sections.collect::<Vec<_>>().join("\n"))
    }
}

/// Whether a later record is about the end of an attempt. Several attempts may share an event id: a record that
/// ends one of them says when that began.
fn ends(attempt: &Entry, later: &Entry) -> bool {
    let name = |entry: &Entry| {
        let data = entry.data();
        [&data["tenant_name"], &data["user_id"], &data["details"]["event_id"]].map(Value::clone)
    };
    let of_another = later.risk().is_object() && later.data()["details"]["initiatedAt"] != attempt.date.0;
    name(attempt) == name(later) && !of_another
}

impl Reader for Story {
    fn entry(&mut self, entry: Entry) -> Result<ControlFlow<()>> {
        let Some(found) = &self.found else {
            if entry.log_id() != self.log_id {
                return Ok(ControlFlow::Continue(()));
            }
            // Only of a challenge there is more to be told.
            let is_open = entry.kind() == "mfar";
            self.found = Some(entry);
            return Ok(if is_open { ControlFlow::Continue(()) } else { ControlFlow::Break(()) });
        };
        match entry.kind() {
            // Whoever failed may try again; who has passed is through.
            "f" if ends(found, &entry) => {
                self.later.failures += 1;
                self.later.failed = Some(entry.value);
            }
            "s" if ends(found, &entry) => {
                self.later.passed = Some(entry.value);
                return Ok(ControlFlow::Break(()));
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn idle(&mut self) -> Result<()> {
        Ok(())
    }
}
