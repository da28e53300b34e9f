//! The verdict: what the auth server waits for.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use crate::assessment::{Confidence, Risk, RiskAssessment};
use crate::evidence::DataVersions;
use crate::json_out::{JsonWriter, ToJson, Word, record};
use crate::time::Timestamp;

/// What the auth server is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Let the login through.
    None,
    /// Ask for a second factor.
    Challenge,
    /// Let the user enrol a factor, and ask for it.
    Enroll,
    /// Ask for a code that is sent to the user's e-mail address: nobody who may be an attacker enrols.
    EmailChallenge,
    /// Refuse the login.
    Deny,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The combined confidence is low.
    ConfidenceLow,
    /// It is not.
    ConfidenceNotLow,
    /// The tenant's policy asks nobody.
    PolicyNever,
    /// The tenant's policy asks everybody.
    PolicyAlways,
    /// A rule of the tenant decided.
    Rule,
    /// The flow, or by the tenant's settings the login, is not assessed.
    NotAssessed,
    /// A challenge by e-mail is due, and there is no address to send it to.
    NoEmail,
}

/// What goes with some decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionDetail {
    /// The rule that decided.
    pub rule: Option<Arc<str>>,
    /// What to tell the user who is denied.
    pub message: Option<Arc<str>>,
    /// Whether the browser may be remembered when the challenge is passed; none: the auth server's own choice.
    pub allow_remember_browser: Option<bool>,
    /// The factors that may be used, where not all may.
    pub factors: Vec<Arc<str>>,
    /// The user has to be asked, and the request forbids to ask (`prompt=none`).
    pub interaction_required: bool,
    /// Rules whose condition could not be evaluated.
    pub rule_errors: Vec<Arc<str>>,
}

/// What is to be done with a login, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// What goes with it, where anything does.
    pub detail: Option<Arc<DecisionDetail>>,
}

impl Decision {
    /// A decision that nothing goes with.
    #[must_use]
    pub const fn new(action: Action, reason: Reason) -> Self {
        Self { action, reason, detail: None }
    }

    /// The decision by the combined confidence alone: a challenge on `low`, else none.
    #[must_use]
    pub const fn by_confidence(confidence: Confidence) -> Self {
        match confidence {
            Confidence::Low => Self::new(Action::Challenge, Reason::ConfidenceLow),
            _ => Self::new(Action::None, Reason::ConfidenceNotLow),
        }
    }

    fn written(&self) -> WrittenDecision<'_> {
        const NOTHING: &DecisionDetail = &DecisionDetail {
            rule: None,
            message: None,
            allow_remember_browser: None,
            factors: Vec::new(),
            interaction_required: false,
            rule_errors: Vec::new(),
        };
        let detail = self.detail.as_deref().unwrap_or(NOTHING);
        WrittenDecision {
            action: Word(self.action.as_str()),
            reason: Word(self.reason.as_str()),
            rule: detail.rule.as_deref(),
            message: detail.message.as_deref(),
            allow_remember_browser: detail.allow_remember_browser,
            factors: Names(&detail.factors),
            interaction_required: detail.interaction_required.then_some(true),
            rule_errors: Names(&detail.rule_errors),
        }
    }
}

record! {
    /// A decision as it is written, in either encoding.
    #[derive(Serialize, JsonSchema)]
    #[schemars(rename = "Decision")]
    struct WrittenDecision<'a> {
        /// What to do.
        #[schemars(schema_with = "schema::action")]
        action: Word,
        /// Why.
        #[schemars(schema_with = "schema::reason")]
        reason: Word,
        /// The rule that decided.
        rule unless "Option::is_none": Option<&'a str>,
        /// What to tell the user who is denied.
        message unless "Option::is_none": Option<&'a str>,
        /// Whether the browser may be remembered when the challenge is passed.
        allow_remember_browser unless "Option::is_none": Option<bool>,
        /// The factors that may be used, where not all may.
        #[schemars(with = "Vec<String>")]
        factors unless "Names::is_empty": Names<'a>,
        /// The user has to be asked, and the request forbids to ask (`prompt=none`).
        interaction_required unless "Option::is_none": Option<bool>,
        /// Rules whose condition could not be evaluated.
        #[schemars(with = "Vec<String>")]
        rule_errors unless "Names::is_empty": Names<'a>,
    }
}

/// A list of names.
struct Names<'a>(&'a [Arc<str>]);

impl Names<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0)
    }
}

impl ToJson for Names<'_> {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.byte(b'[');
        for (number, name) in self.0.iter().enumerate() {
            if number > 0 {
                json.byte(b',');
            }
            name.write_json(json);
        }
        json.byte(b']');
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(serializer)
    }
}

impl ToJson for Decision {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        self.written().write_json(json);
    }
}

impl JsonSchema for Decision {
    fn schema_name() -> Cow<'static, str> {
        "Decision".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        WrittenDecision::json_schema(generator)
    }
}

impl Action {
    /// All actions.
    pub const ALL: [Action; 5] =
        [Action::None, Action::Challenge, Action::Enroll, Action::EmailChallenge, Action::Deny];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::None => "none",
            Action::Challenge => "challenge",
            Action::Enroll => "enroll",
            Action::EmailChallenge => "email_challenge",
            Action::Deny => "deny",
        }
    }
}

impl Reason {
    /// All reasons.
    pub const ALL: [Reason; 7] = [
        Reason::ConfidenceLow,
        Reason::ConfidenceNotLow,
        Reason::PolicyNever,
        Reason::PolicyAlways,
        Reason::Rule,
        Reason::NotAssessed,
        Reason::NoEmail,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::ConfidenceLow => "confidence_low",
            Reason::ConfidenceNotLow => "confidence_not_low",
            Reason::PolicyNever => "policy_never",
            Reason::PolicyAlways => "policy_always",
            Reason::Rule => "rule",
            Reason::NotAssessed => "not_assessed",
            Reason::NoEmail => "no_email",
        }
    }
}

mod schema {
    use schemars::{Schema, SchemaGenerator, json_schema};

    use super::{Action, Reason};

    pub(super) fn action(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "What to do.", "enum": Action::ALL.map(Action::as_str) })
    }
    pub(super) fn reason(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Why.", "enum": Reason::ALL.map(Reason::as_str) })
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
        #[schemars(with = "Decision")]
        pub decision: &'a Decision,
        /// Which data the answer was computed with.
        #[schemars(with = "DataVersions")]
        pub data_versions: &'a DataVersions,
    }
}
