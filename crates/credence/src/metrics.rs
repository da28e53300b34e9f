//! What is counted of events, answers, state and data. The stream counts records and delivery itself.
//!
//! Every label comes from a closed set, but for the names of lists, of which a configuration has at
//! most 64: never a user, an address or an event's id.

use engine::{Step, StoreStats};
use intel::SourceInfo;
use model::log_record::LogType;
use model::{Action, Answer, Confidence, Decision, LoginEvent, Outcome, Reason, Stage};
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::tenant_book::Taken;

/// Metrics of scoring. Cheap to clone: each worker has one.
#[derive(Debug, Clone)]
pub struct ScoringMetrics {
    events: Vec<IntCounter>,
    verdicts: Vec<IntCounter>,
    answers: Vec<IntCounter>,
    logs: Vec<IntCounter>,
    decisions: Vec<IntCounter>,
    rule_errors: IntCounter,
    commands: IntCounterVec,
    challenges: IntCounter,
    repeated: IntCounter,
    ahead: IntCounter,
    wrong_fields: IntCounterVec,
    profiles: IntGaugeVec,
    state_bytes: IntGaugeVec,
    corrupt_profiles: IntGaugeVec,
    foreign_changes: IntCounter,
    uncommitted_bytes: IntGaugeVec,
    lookups_in_memory: IntGaugeVec,
    lookups_on_disk: IntGaugeVec,
    expired: IntCounter,
}

/// Metrics of databases and lists.
#[derive(Debug, Clone)]
pub struct DataMetrics {
    info: IntGaugeVec,
    made: IntGaugeVec,
    entries: IntGaugeVec,
    reloads: IntCounterVec,
    last_success: Gauge,
    stale: IntGauge,
}

const STAGES: [Stage; 2] = [Stage::Attempt, Stage::Completion];
const OUTCOMES: [Outcome; 5] =
    [Outcome::Success, Outcome::FailedPassword, Outcome::FailedUsername, Outcome::FailedMfa, Outcome::FailedOther];

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(gauges.clone()))?;
    Ok(gauges)
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

impl ScoringMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let events = counters(registry, "credence_events_total", "Login events read.", &["stage", "outcome"])?;
        let verdicts = counters(registry, "credence_verdicts_total", "Verdicts given.", &["confidence"])?;
        let answers = counters(
            registry,
            "credence_assessments_total",
            "Answers of the assessors, by row of the confidence tables.",
            &["assessor", "code"],
        )?;
        let decisions =
            counters(registry, "credence_decisions_total", "Decisions of verdicts.", &["action", "reason"])?;
        let logs = counters(registry, "credence_log_records_total", "Tenant log records.", &["type"])?;
        let pairs = STAGES.iter().flat_map(|stage| OUTCOMES.iter().map(move |outcome| (stage, outcome)));
        let build = gauges(registry, "credence_build_info", "The running version.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            events: pairs
                .map(|(stage, outcome)| events.with_label_values(&[stage.as_str(), outcome.as_str()]))
                .collect(),
            verdicts: Confidence::ALL.iter().map(|c| verdicts.with_label_values(&[c.as_str()])).collect(),
            answers: Answer::ALL
                .iter()
                .map(|answer| answers.with_label_values(&[answer.assessor().as_str(), answer.key()]))
                .collect(),
            logs: LogType::ALL.iter().map(|kind| logs.with_label_values(&[kind.as_str()])).collect(),
            decisions: Action::ALL
                .iter()
                .flat_map(|action| Reason::ALL.iter().map(move |reason| (action, reason)))
                .map(|(action, reason)| decisions.with_label_values(&[action.as_str(), reason.as_str()]))
                .collect(),
            rule_errors: counter(
                registry,
                "credence_rule_errors_total",
                "Conditions of tenants' rules that could not be evaluated.",
            )?,
            commands: counters(
                registry,
                "credence_commands_total",
                "Orders among the login events that were carried out.",
                &["command"],
            )?,
            challenges: counter(registry, "credence_challenges_total", "Verdicts that ask for a second factor.")?,
            repeated: counter(
                registry,
                "credence_repeated_attempts_total",
                "Attempts that were asked before and got the same answer.",
            )?,
            ahead: counter(
                registry,
                "credence_ahead_events_total",
                "Attempts too far ahead of their record's timestamp to teach anything.",
            )?,
            wrong_fields: counters(
                registry,
                "credence_wrong_type_fields_total",
                "Fields of login events that were of a wrong type and counted as absent.",
                &["field"],
            )?,
            profiles: gauges(registry, "credence_profiles", "Users whose profile is in memory.", &["worker"])?,
            state_bytes: gauges(
                registry,
                "credence_state_bytes",
                "Bytes of memory that profiles take, with the tables that hold them.",
                &["worker"],
            )?,
            uncommitted_bytes: gauges(
                registry,
                "credence_state_uncommitted_bytes",
                "Bytes of changed profiles that are not yet committed and in the local state.",
                &["worker"],
            )?,
            lookups_in_memory: gauges(
                registry,
                "credence_state_lookups_in_memory",
                "Profiles that were found in memory, since the partitions that are served were opened.",
                &["worker"],
            )?,
            lookups_on_disk: gauges(
                registry,
                "credence_state_lookups_on_disk",
                "Profiles that the local state was asked for, since the partitions that are served were opened.",
                &["worker"],
            )?,
            expired: {
                let expired = IntCounter::new(
                    "credence_expired_profiles_total",
                    "Stored profiles that expired and were removed.",
                )?;
                registry.register(Box::new(expired.clone()))?;
                expired
            },
            corrupt_profiles: gauges(
                registry,
                "credence_corrupt_profiles",
                "Users whose stored profile was found to be unreadable.",
                &["worker"],
            )?,
            foreign_changes: counter(
                registry,
                "credence_foreign_changes_total",
                "Records of the changelog that were left out because their key is not one of this program's.",
            )?,
        })
    }

    /// Counts an event and what came of it.
    pub fn count(&self, event: &LoginEvent<'_>, step: &Step) {
        let index = STAGES.iter().position(|s| *s == event.stage).unwrap_or_default() * OUTCOMES.len()
            + OUTCOMES.iter().position(|o| *o == event.outcome).unwrap_or_default();
        self.events[index].inc();
        if let Some(answered) = &step.answered {
            self.verdicts[answered.risk.confidence as usize].inc();
            if answered.decision.action != model::Action::None {
                self.challenges.inc();
            }
            let Decision { action, reason, detail } = &answered.decision;
            self.decisions[*action as usize * Reason::ALL.len() + *reason as usize].inc();
            if let Some(detail) = detail {
                self.rule_errors.inc_by(detail.rule_errors.len() as u64);
            }
            if answered.repeated {
                self.repeated.inc();
            } else {
                for assessment in answered.risk.assessments() {
                    self.answers[assessment.answer as usize].inc();
                }
            }
        }
        if let Some(position) = step.log_type().and_then(|kind| LogType::ALL.iter().position(|known| *known == kind)) {
            self.logs[position].inc();
        }
        if step.ahead {
            self.ahead.inc();
        }
        for field in &event.wrong_fields {
            self.wrong_fields.with_label_values(&[field]).inc();
        }
    }

    /// Counts an order that was carried out.
    pub fn obeyed(&self, command: &str) {
        self.commands.with_label_values(&[command]).inc();
    }

    /// Stored profiles were found to have expired and were removed.
    pub fn expired(&self, profiles: usize) {
        self.expired.inc_by(profiles as u64);
    }

    /// Counts records of the changelog that are not this program's.
    #[must_use]
    pub fn foreign_changes(&self) -> IntCounter {
        self.foreign_changes.clone()
    }

    /// Shows the size of a worker's state, over its partitions.
    pub fn show_state(&self, worker: usize, partitions: &[StoreStats]) {
        let worker = worker.to_string();
        let show = |gauge: &IntGaugeVec, of: fn(&StoreStats) -> usize| {
            gauge.with_label_values(&[&worker]).set(partitions.iter().map(of).sum::<usize>() as i64);
        };
        show(&self.profiles, |of| of.profiles);
        show(&self.state_bytes, |of| of.packed_bytes + of.table_bytes + of.cached_bytes + of.changed_bytes);
        show(&self.uncommitted_bytes, |of| of.changed_bytes);
        show(&self.corrupt_profiles, |of| of.corrupt);
        show(&self.lookups_in_memory, |of| usize::try_from(of.hits).unwrap_or(usize::MAX));
        show(&self.lookups_on_disk, |of| usize::try_from(of.misses).unwrap_or(usize::MAX));
    }
}

impl DataMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let last_success =
            Gauge::new("credence_data_loaded_timestamp_seconds", "When databases and lists were last loaded.")?;
        registry.register(Box::new(last_success.clone()))?;
        let stale = IntGauge::new(
            "credence_data_stale",
            "1 while files changed but could not be loaded, so that the old data are in force.",
        )?;
        registry.register(Box::new(stale.clone()))?;
        let metrics = Self {
            info: gauges(
                registry,
                "credence_data_info",
                "Databases and lists in force, by version (digest of the content).",
                &["source", "version"],
            )?,
            made: gauges(
                registry,
                "credence_data_made_timestamp_seconds",
                "When the data were made: a database's build time, a list's file time.",
                &["source"],
            )?,
            entries: gauges(registry, "credence_data_entries", "Entries of a list.", &["source"])?,
            reloads: counters(
                registry,
                "credence_data_loads_total",
                "Loads of databases and lists by result; a failed one leaves the old data in force.",
                &["result"],
            )?,
            last_success,
            stale,
        };
        // Both are there from the beginning, so that an alert on a failure has a zero to rise from.
        for result in ["success", "failure"] {
            metrics.reloads.with_label_values(&[result]);
        }
        Ok(metrics)
    }

    /// Shows what is in force now.
    pub fn loaded(&self, sources: &[SourceInfo], now_s: f64) {
        for gauges in [&self.info, &self.made, &self.entries] {
            gauges.reset();
        }
        for source in sources {
            self.info.with_label_values(&[&source.name, &source.version]).set(1);
            self.made.with_label_values(&[&source.name]).set(source.made_at_s as i64);
            if let Some(entries) = source.entries {
                self.entries.with_label_values(&[&source.name]).set(entries as i64);
            }
        }
        self.reloads.with_label_values(&["success"]).inc();
        self.last_success.set(now_s);
        self.stale.set(0);
    }

    /// Counts a load that failed.
    pub fn failed(&self) {
        self.reloads.with_label_values(&["failure"]).inc();
        self.stale.set(1);
    }
}

/// Metrics of the tenants' settings.
#[derive(Debug, Clone)]
pub struct SettingsMetrics {
    documents: IntGauge,
    position: IntGauge,
    records: IntCounterVec,
    failures: IntCounter,
}

impl SettingsMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            prometheus::Result::Ok(gauge)
        };
        let metrics = Self {
            documents: gauge("credence_settings_documents", "Tenants with a settings document of their own.")?,
            position: gauge(
                "credence_settings_position",
                "Offset behind the last settings document that counts; the same on all instances.",
            )?,
            records: counters(
                registry,
                "credence_settings_records_total",
                "Records of the settings topic by result; a refused document leaves the last good one in force.",
                &["result"],
            )?,
            failures: counter(
                registry,
                "credence_settings_read_failures_total",
                "Times that the settings topic could not be read.",
            )?,
        };
        for result in ["in_force", "removed", "refused"] {
            metrics.records.with_label_values(&[result]);
        }
        Ok(metrics)
    }

    /// A record was taken.
    pub fn taken(&self, taken: &Taken, documents: usize, position: i64) {
        let result = match taken {
            Taken::InForce => "in_force",
            Taken::Removed => "removed",
            Taken::Refused(_) => "refused",
            Taken::Known => return,
        };
        self.records.with_label_values(&[result]).inc();
        self.documents.set(i64::try_from(documents).unwrap_or(i64::MAX));
        self.position.set(position);
    }

    /// The topic could not be read.
    pub fn failed(&self) {
        self.failures.inc();
    }
}
