//! The verdict: what the auth server waits for.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::assessment::{Risk, RiskAssessment};
use crate::evidence::DataVersions;
use crate::json_out::{JsonWriter, ToJson, record};
use crate::time::Timestamp;

/// What the auth server is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Let the login through.
    None,
    /// Ask for a second factor.
    Challenge,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The combined confidence is low.
    ConfidenceLow,
    /// It is not.
    ConfidenceNotLow,
}

record! {
    /// The decision that follows from an assessment.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
    pub struct Decision {
        /// What to do.
        pub action: Action,
        /// Why.
        pub reason: Reason,
    }
}

impl Action {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::None => "none",
            Action::Challenge => "challenge",
        }
    }
}

impl Reason {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::ConfidenceLow => "confidence_low",
            Reason::ConfidenceNotLow => "confidence_not_low",
        }
    }
}

impl ToJson for Action {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.quoted(self.as_str().as_bytes());
    }
}

impl ToJson for Reason {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.quoted(self.as_str().as_bytes());
    }
}

record! {
    /// The answer to one scored login attempt. A repeated attempt gets the same bytes again.
    #[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
    pub struct Verdict<'a> {
        /// The `id` of the login event.
        pub event_id: Cow<'a, str>,
        /// Its tenant.
        pub tenant: Cow<'a, str>,
        /// Its user.
        pub user_id: Cow<'a, str>,
        /// Its time, UTC with milliseconds.
        #[schemars(with = "String", extend("format" = "date-time"))]
        pub time: Timestamp,
        /// What the assessors say.
        #[schemars(with = "RiskAssessment")]
        pub risk_assessment: Risk<'a>,
        /// What to do.
        pub decision: Decision,
        /// Which data the answer was computed with.
        #[schemars(with = "DataVersions")]
        pub data_versions: &'a DataVersions,
    }
}
