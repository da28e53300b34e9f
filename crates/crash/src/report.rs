//! What a run found, as a table, as JSON, and as the reasons for which it failed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::check::Tally;
use crate::conduct::Done;
use crate::dead::DeadTally;

/// What a run found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Events written, those of the tail included.
    pub events: u64,
    /// Of these, the ones written after all state had to be restored.
    pub tail_events: u64,
    /// The topic of verdicts, read uncommitted.
    pub verdicts: Tally,
    /// The topic of log records, read committed.
    pub logs: Tally,
    /// The dead-letter topic.
    pub dead: DeadTally,
    /// Records in the changelog of profiles, read committed; `None`: there is no such topic.
    pub profile_records: Option<u64>,
    /// Different keys in it.
    pub profile_keys: Option<u64>,
    /// Whether the program under test keeps state at all.
    pub keeps_state: bool,
    /// What was done.
    pub done: Done,
    /// Kills asked for.
    pub kills_wanted: u32,
    /// Rebalances of the group in the disturbed phase, by the broker's log. The first joins do not count.
    pub rebalances: u64,
    /// Rebalances asked for.
    pub rebalances_wanted: u32,
    /// From the start of a process to its first "ready", in milliseconds.
    pub ready_ms: Percentiles,
    /// The same for the one that had to restore everything.
    pub cold_ready_ms: u64,
    /// The longest time that a partition was without verdicts while events came, in milliseconds.
    pub longest_gap_ms: u64,
    /// Processes started.
    pub processes: usize,
    /// Processes that ended without being asked to.
    pub ended_by_themselves: Vec<String>,
    /// Processes that did not stop in good order when asked to. While the broker is down they cannot.
    pub bad_stops: Vec<String>,
    /// How many of these did not stop at all, long after their own deadline.
    pub hung: usize,
    /// Panics in the logs of the processes.
    pub panics: usize,
    /// Counters of the processes, added up, without what killed ones did in their last second.
    pub counters: BTreeMap<String, f64>,
    /// The broker.
    pub broker: String,
    /// The program under test.
    pub program: String,
    /// The seed.
    pub seed: u64,
    /// How long the whole run took, in seconds.
    pub seconds: f64,
    /// The folder of the run, where it was kept.
    pub kept: Option<PathBuf>,
}

/// Three numbers for many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// How many.
    pub count: usize,
    /// The median.
    pub p50: u64,
    /// 99 % are not above it.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl Percentiles {
    pub(crate) fn of(durations: &[Duration]) -> Percentiles {
        let mut all: Vec<u64> = durations.iter().map(millis).collect();
        all.sort_unstable();
        // The nearest rank.
        let at = |percent: usize| all.get((all.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0);
        Percentiles { count: all.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

pub(crate) fn millis(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Report {
    /// Why the run failed; empty when all is well.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut none = |count: u64, what: &str| {
            if count > 0 {
                failures.push(format!("{count} {what}"));
            }
        };
        let (verdicts, logs, dead) = (&self.verdicts, &self.logs, &self.dead);
        none(verdicts.missing, "verdicts missing");
        none(verdicts.wrong, "verdicts differ from those of `credence score`");
        none(verdicts.not_repeated, "verdicts were not the same when they came again");
        none(verdicts.unasked, "verdicts that nothing asked for");
        none(verdicts.out_of_order, "verdicts after a later one of their user");
        none(logs.missing, "log records missing (read committed)");
        none(logs.twice, "log records too many (read committed)");
        none(logs.wrong, "log records differ from those of `credence score`");
        none(logs.unasked, "log records that nothing asked for");
        none(logs.out_of_order, "log records after a later one of their user");
        none(dead.missing, "records that cannot be read have no dead letter");
        none(dead.wrong, "dead letters that are not what they should be");
        none(self.panics as u64, "panics in the logs of the instances");
        none(self.hung as u64, "instances did not stop when asked to");
        none(u64::from(self.done.stalls), "times verdicts did not flow again");
        let kills = self.done.kill + self.done.stop + self.done.term;
        if kills == 0 || self.rebalances == 0 {
            failures.push("no kill or no rebalance: this has tested nothing".to_owned());
        }
        if kills < self.kills_wanted {
            failures.push(format!("only {kills} of {} kills", self.kills_wanted));
        }
        if self.rebalances < u64::from(self.rebalances_wanted) {
            failures.push(format!("only {} of {} rebalances", self.rebalances, self.rebalances_wanted));
        }
        if verdicts.wanted == 0 || logs.wanted == 0 || verdicts.read_after_restore == 0 {
            failures.push("no verdicts, no log records, or none after the restore: this has tested nothing".to_owned());
        }
        failures
    }

    /// One line of JSON, with whether all is well.
    pub fn to_json(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value["failures"] = self.failures().into();
        value.to_string()
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let (verdicts, logs, dead, done) = (&self.verdicts, &self.logs, &self.dead, &self.done);
        let mut rows = vec![
            ("events", format!("{}, of these {} after the restore", self.events, self.tail_events)),
            ("verdicts distinct", format!("{} (asked for {} times)", verdicts.distinct, verdicts.wanted)),
            ("missing", format!("{} verdicts, {} log records", verdicts.missing, logs.missing)),
            ("duplicates (read_committed)", format!("{} of {} log records", logs.twice, logs.wanted)),
            ("duplicates (fast lane)", {
                let same = match verdicts.not_repeated {
                    0 => "all identical".to_owned(),
                    differ => format!("{differ} NOT IDENTICAL"),
                };
                format!("{}, {same}", verdicts.twice)
            }),
            ("wrong", format!("{} verdicts, {} log records", verdicts.wrong, logs.wrong)),
            ("not asked for", format!("{} verdicts, {} log records", verdicts.unasked, logs.unasked)),
            ("out of order", format!("{} verdicts, {} log records", verdicts.out_of_order, logs.out_of_order)),
            (
                "state mismatches after restore",
                format!("{} of {} verdicts", verdicts.wrong_after_restore, verdicts.read_after_restore),
            ),
            (
                "dead letters",
                format!(
                    "{} wanted, {} missing, {} duplicates, {} wrong",
                    dead.wanted, dead.missing, dead.duplicates, dead.wrong
                ),
            ),
        ];
        let profiles = match (self.profile_records, self.profile_keys) {
            (Some(records), Some(keys)) => format!("{records} records, {keys} keys (read_committed)"),
            _ => "no topic of profiles".to_owned(),
        };
        rows.push(("profiles", profiles));
        if !self.keeps_state {
            rows.push(("state", "in memory only: this program has no state folder".to_owned()));
        }
        rows.extend([
            (
                "kills (KILL/STOP/TERM)",
                format!("{} ({}/{}/{})", done.kill + done.stop + done.term, done.kill, done.stop, done.term),
            ),
            ("instances more or less", done.moves.to_string()),
            ("broker restarts", format!("{} in good order, {} by SIGKILL", done.broker_stop, done.broker_kill)),
            ("rebalances", format!("{} of at least {}", self.rebalances, self.rebalances_wanted)),
            (
                "restore p50/p99/max",
                format!(
                    "{} / {} / {} ms from start to ready ({} starts)",
                    self.ready_ms.p50, self.ready_ms.p99, self.ready_ms.max, self.ready_ms.count
                ),
            ),
            ("restore with an empty state folder", format!("{} ms from start to ready", self.cold_ready_ms)),
            ("longest gap without verdicts", format!("{} ms (of one partition)", self.longest_gap_ms)),
            (
                "processes",
                format!(
                    "{} started, {} ended by themselves, {} bad stops, {} hung, {} panics, {} stalls",
                    self.processes,
                    self.ended_by_themselves.len(),
                    self.bad_stops.len(),
                    self.hung,
                    self.panics,
                    done.stalls
                ),
            ),
            ("broker", self.broker.clone()),
            ("program", self.program.clone()),
            ("seed", self.seed.to_string()),
            ("took", format!("{:.0} s", self.seconds)),
        ]);
        rows
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows {
            writeln!(f, "{name:width$} | {value}")?;
        }
        for line in self.ended_by_themselves.iter().chain(&self.bad_stops) {
            writeln!(f, "{:width$} | {line}", "")?;
        }
        let failures = self.failures();
        if failures.is_empty() {
            return writeln!(f, "{:width$} | nothing lost, nothing twice, nothing wrong", "result");
        }
        for failure in failures {
            writeln!(f, "{:width$} | {failure}", "FAILED")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Report {
        let tally = Tally { wanted: 10, read: 10, distinct: 10, read_after_restore: 2, ..Tally::default() };
        Report {
            events: 20,
            tail_events: 2,
            verdicts: tally,
            logs: tally,
            dead: DeadTally::default(),
            profile_records: None,
            profile_keys: None,
            keeps_state: true,
            done: Done { kill: 2, stop: 1, term: 1, ..Done::default() },
            kills_wanted: 4,
            rebalances: 5,
            rebalances_wanted: 5,
            ready_ms: Percentiles::default(),
            cold_ready_ms: 0,
            longest_gap_ms: 0,
            processes: 1,
            ended_by_themselves: Vec::new(),
            bad_stops: Vec::new(),
            hung: 0,
            panics: 0,
            counters: BTreeMap::new(),
            broker: String::new(),
            program: String::new(),
            seed: 1,
            seconds: 1.0,
            kept: None,
        }
    }

    fn failures(change: impl FnOnce(&mut Report)) -> usize {
        let mut report = well();
        change(&mut report);
        assert_eq!(report.to_string().contains("FAILED"), !report.failures().is_empty());
        report.failures().len()
    }

    #[test]
    fn whatever_is_not_well_fails() {
        assert_eq!(failures(|_| ()), 0);
        // Repetitions on the fast lane, and dead letters twice, are allowed.
        assert_eq!(failures(|report| report.verdicts.twice = 3), 0);
        assert_eq!(failures(|report| report.dead.duplicates = 3), 0);
        let changes: [fn(&mut Report); 19] = [
            |report| report.verdicts.missing = 1,
            |report| report.verdicts.wrong = 1,
            |report| report.verdicts.not_repeated = 1,
            |report| report.verdicts.unasked = 1,
            |report| report.verdicts.out_of_order = 1,
            |report| report.verdicts.read_after_restore = 0,
            |report| report.logs.missing = 1,
            |report| report.logs.twice = 1,
            |report| report.logs.wrong = 1,
            |report| report.logs.unasked = 1,
            |report| report.logs.out_of_order = 1,
            |report| report.logs.wanted = 0,
            |report| report.dead.missing = 1,
            |report| report.dead.wrong = 1,
            |report| report.panics = 1,
            |report| report.hung = 1,
            |report| report.done.stalls = 1,
            |report| report.done.kill = 1,
            |report| report.rebalances = 4,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert_eq!(failures(change), 1, "change {number}");
        }
    }

    #[test]
    fn a_run_without_kills_or_rebalances_has_tested_nothing() {
        let nothing = |report: &mut Report| {
            report.kills_wanted = 0;
            report.done = Done::default();
        };
        assert_eq!(failures(nothing), 1);
        let no_rebalance = |report: &mut Report| {
            report.rebalances_wanted = 0;
            report.rebalances = 0;
        };
        assert_eq!(failures(no_rebalance), 1);
    }

    #[test]
    fn json_is_one_line_and_tells_the_failures() {
        let mut report = well();
        report.logs.twice = 2;
        let json = report.to_json();
        assert_eq!(json.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["logs"]["twice"], 2);
        assert_eq!(value["failures"][0], "2 log records too many (read committed)");
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let durations: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        let found = Percentiles::of(&durations);
        assert_eq!((found.count, found.p50, found.p99, found.max), (200, 100, 198, 200));
        let one = Percentiles::of(&durations[..1]);
        assert_eq!((one.p50, one.p99, one.max), (200, 200, 200));
        assert_eq!(Percentiles::of(&[]), Percentiles::default());
    }
}
