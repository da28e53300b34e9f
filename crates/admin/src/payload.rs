//! The bodies of the reference's calls, and the three fields of a document that they are about.

use std::fmt::Display;

use serde_json::{Map, Value, json};

use crate::store::{InForce, MfaPolicy, Problem};

/// The reference's bounds of `remember_for`, in days.
const REMEMBER_FOR_DAYS: std::ops::RangeInclusive<u64> = 1..=365;
/// The longest name of a connection there, in characters.
const MAX_CONNECTION_CHARS: usize = 128;

/// One field of a document, with its new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Policy(MfaPolicy),
    RiskEnabled(bool),
    RememberForDays(u32),
}

impl Change {
    /// Puts it into a document. What stands in its way where an object belongs could not have been stored.
    pub(crate) fn apply(self, document: &mut Map<String, Value>) {
        match self {
            Self::Policy(policy) => {
                document.insert("mfa_policy".to_owned(), json!(word(policy)));
            }
            Self::RiskEnabled(enabled) => {
                set_in(document, "risk_assessment", "enabled", json!(enabled));
            }
            Self::RememberForDays(days) => {
                set_in(document, "scoring", "device.remember_for_days", json!(days));
            }
        }
    }

    /// The body that answers this kind of change.
    pub(crate) fn answer(self, in_force: &InForce) -> Value {
        match self {
            Self::Policy(_) => policies(in_force.mfa_policy),
            Self::RiskEnabled(_) => risk(in_force.risk_enabled),
            Self::RememberForDays(_) => new_device(in_force.remember_for_days),
        }
    }

    /// The same, for a change of which only itself is known.
    pub(crate) fn echo(self) -> Value {
        match self {
            Self::Policy(policy) => policies(policy),
            Self::RiskEnabled(enabled) => risk(enabled),
            Self::RememberForDays(days) => new_device(days),
        }
    }
}

fn set_in(document: &mut Map<String, Value>, key: &str, field: &str, value: Value) {
    match document.entry(key.to_owned()).or_insert(Value::Null) {
        Value::Object(object) => {
            object.insert(field.to_owned(), value);
        }
        other => *other = Value::Object(Map::from_iter([(field.to_owned(), value)])),
    }
}

fn word(policy: MfaPolicy) -> &'static str {
    match policy {
        MfaPolicy::Never => "never",
        MfaPolicy::AllApplications => "all-applications",
        MfaPolicy::ConfidenceScore => "confidence-score",
    }
}

pub(crate) fn policies(policy: MfaPolicy) -> Value {
    match policy {
        MfaPolicy::Never => json!([]),
        policy => json!([word(policy)]),
    }
}

pub(crate) fn risk(enabled: bool) -> Value {
    json!({ "enabled": enabled })
}

pub(crate) fn new_device(days: u32) -> Value {
    json!({ "remember_for": days })
}

/// The body of `PUT /api/v2/guardian/policies`.
pub(crate) fn read_policies(body: &Value) -> Result<Change, Vec<Problem>> {
    let policy = match body.as_array().map(Vec::as_slice) {
        Some([]) => Some(MfaPolicy::Never),
        Some([Value::String(one)]) => {
            [MfaPolicy::AllApplications, MfaPolicy::ConfidenceScore].into_iter().find(|policy| word(*policy) == one)
        }
        _ => None,
    };
    policy
        .map(Change::Policy)
        .ok_or_else(|| vec![problem("", body, "[], [\"all-applications\"] or [\"confidence-score\"]")])
}

/// The body of `PATCH /api/v2/risk-assessments/settings`.
pub(crate) fn read_risk(body: &Value) -> Result<Change, Vec<Problem>> {
    let mut fields = Fields::of(body, &["enabled"])?;
    let enabled = fields.take("enabled", "true or false", Value::as_bool);
    fields.done(enabled.map(Change::RiskEnabled))
}

/// The body of `PATCH /api/v2/risk-assessments/settings/new-device`.
pub(crate) fn read_new_device(body: &Value) -> Result<Change, Vec<Problem>> {
    let mut fields = Fields::of(body, &["remember_for"])?;
    let days = fields.take("remember_for", "a whole number of days from 1 to 365", |value| {
        // 30.0 is a whole number to JSON.
        let days = value.as_u64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0).map(|n| n as u64))?;
        u32::try_from(days).ok().filter(|_| REMEMBER_FOR_DAYS.contains(&days))
    });
    fields.done(days.map(Change::RememberForDays))
}

/// The body of `POST /api/v2/users/{id}/risk-assessments/clear`: the connection.
pub(crate) fn read_clear(body: &Value) -> Result<String, Vec<Problem>> {
    let mut fields = Fields::of(body, &["connection", "assessors"])?;
    let allowed = "1 to 128 letters and digits, single hyphens between them";
    let connection = fields.take("connection", allowed, |value| value.as_str().filter(|text| is_connection(text)));
    let assessors = fields.take("assessors", "[\"new-device\"]", |value| {
        let assessors = value.as_array()?;
        (!assessors.is_empty() && assessors.iter().all(|assessor| assessor == "new-device")).then_some(())
    });
    fields.done(connection.zip(assessors).map(|(connection, ())| connection.to_owned()))
}

/// The reference's pattern of names, `^[a-zA-Z0-9](-[a-zA-Z0-9]|[a-zA-Z0-9])*$`.
fn is_connection(text: &str) -> bool {
    text.len() <= MAX_CONNECTION_CHARS
        && text.split('-').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn problem(path: &str, value: &Value, allowed: impl Display) -> Problem {
    Problem { path: path.to_owned(), value: value.clone(), allowed: allowed.to_string() }
}

/// Takes a flat object apart and keeps what is wrong with it.
struct Fields<'a> {
    object: &'a Map<String, Value>,
    problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    fn of(body: &'a Value, keys: &[&str]) -> Result<Self, Vec<Problem>> {
        let Some(object) = body.as_object() else {
            return Err(vec![problem("", body, format_args!("an object with {}", keys.join(" and ")))]);
        };
        let unknown = object.iter().filter(|(key, _)| !keys.contains(&key.as_str()));
        let problems = unknown
            .map(|(key, value)| problem(key, value, format_args!("absent: the keys are {}", keys.join(" and "))))
            .collect();
        Ok(Self { object, problems })
    }

    fn take<T>(&mut self, key: &str, allowed: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Option<T> {
        static ABSENT: Value = Value::Null;
        let value = self.object.get(key).unwrap_or(&ABSENT);
        let read = read(value);
        if read.is_none() {
            self.problems.push(problem(key, value, allowed));
        }
        read
    }

    fn done<T>(self, result: Option<T>) -> Result<T, Vec<Problem>> {
        result.filter(|_| self.problems.is_empty()).ok_or(self.problems)
    }
}
