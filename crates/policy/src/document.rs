//! The settings document of a tenant: its form, and everything that can be wrong with it.
//!
//! A document is a JSON object of the fields of `Written`, all of them optional: what is left out is as the
//! deployment's configuration says. It is read by hand and not by derived code, because all that is wrong with it
//! has to be told at once, each with its path, its value and what is allowed there.

use assess::settings::{ListUse, Settings, nearest};
use model::{Action, Confidence};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// Largest document, in bytes of JSON.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// Most rules of a tenant.
pub const MAX_RULES: usize = 200;
/// Longest name of a rule, in bytes.
pub const MAX_RULE_NAME_BYTES: usize = 64;
/// Longest condition of a rule, in bytes.
pub const MAX_CONDITION_BYTES: usize = crate::rules::MAX_TEXT_BYTES;
/// Longest message of a rule, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 256;
/// Most factors that a rule names.
pub const MAX_FACTORS: usize = 8;
/// Longest name of a factor, in bytes.
pub const MAX_FACTOR_BYTES: usize = 32;
/// Most protocols whose flow a tenant changes.
pub const MAX_FLOWS: usize = 32;
/// Most deny lists that a tenant says something of.
pub const MAX_LISTS: usize = 64;
/// Most problems that are told.
pub const MAX_PROBLEMS: usize = 100;
/// The form of documents that this program knows.
pub const SCHEMA_VERSION: u64 = 1;

/// Something that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{path} = {value}: allowed are {allowed}")]
pub struct Problem {
    /// Where, for instance `rules[2].when`.
    pub path: String,
    /// What stands there, cut after 200 characters.
    pub value: String,
    /// What may stand there, or why this may not.
    pub allowed: String,
}

/// Who is asked for a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MfaPolicy {
    /// No policy was ever set: a challenge on `low`, whether the user has a factor or not.
    #[default]
    Unset,
    /// Nobody.
    Never,
    /// Everybody.
    Always,
    /// Who logs in with low confidence.
    Adaptive,
}

impl MfaPolicy {
    /// The name in documents, which is the reference's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MfaPolicy::Unset => "unset",
            MfaPolicy::Never => "never",
            MfaPolicy::Always => "all-applications",
            MfaPolicy::Adaptive => "confidence-score",
        }
    }

    /// The policy of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Unset, Self::Never, Self::Always, Self::Adaptive].into_iter().find(|policy| policy.as_str() == name)
    }
}

/// What follows when the condition of a rule cannot be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRuleError {
    /// The rule applies if it asks for something or denies, and does not if it lets through.
    #[default]
    Secure,
    /// The rule does not apply.
    Ignore,
    /// The login is denied.
    Deny,
}

impl OnRuleError {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "secure" => Some(Self::Secure),
            "ignore" => Some(Self::Ignore),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }
}

/// A rule as it is written, checked but for its condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    /// Its name.
    pub name: String,
    /// Its condition.
    pub when: String,
    /// What follows.
    pub then: Action,
    /// What a user who is denied is told.
    pub message: Option<String>,
    /// Whether the browser may be remembered when the challenge is passed.
    pub allow_remember_browser: Option<bool>,
    /// The factors that may be used.
    pub factors: Vec<String>,
}

/// A document that was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    pub(crate) mfa_policy: Option<MfaPolicy>,
    pub(crate) risk_assessment: Option<bool>,
    pub(crate) settings: Settings,
    pub(crate) rules: Vec<RuleText>,
    pub(crate) rules_may_lift: bool,
    pub(crate) on_rule_error: OnRuleError,
    pub(crate) flows: Vec<(String, bool)>,
    pub(crate) log_challenges: Option<bool>,
}

/// The form of a document, for its schema: reading is done by hand.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "TenantSettings")]
#[allow(dead_code)]
struct Written {
    /// The form of the document.
    #[schemars(extend("const" = SCHEMA_VERSION))]
    schema_version: Option<u64>,
    /// Whose settings these are: `tenant.id` of the login events. The record's key names it, too; in a file of
    /// several documents it is needed.
    #[schemars(length(min = 1, max = 128))]
    tenant: Option<String>,
    /// Who is asked for a second factor: nobody, everybody, or who logs in with low confidence.
    #[schemars(extend("enum" = ["never", "all-applications", "confidence-score"]))]
    mfa_policy: Option<String>,
    /// Whether logins are assessed where the policy does not need it.
    risk_assessment: Option<WrittenRisk>,
    /// Keys of the configuration that scoring depends on, by their names there, for instance
    /// `travel.max_speed_kmh`, `device.remember_for_days`, `combiner`, `confidence.NewDevice.no_match`. They are
    /// set on top of the deployment's own; `preset` comes first.
    scoring: Option<std::collections::BTreeMap<String, WrittenSetting>>,
    /// Deny lists of the deployment by name: whether their entries count, and with which confidence.
    #[schemars(extend("maxProperties" = MAX_LISTS))]
    deny_lists: Option<std::collections::BTreeMap<String, WrittenList>>,
    /// Rules, in their order. All are looked at; the strongest outcome wins, of equals the first.
    #[schemars(length(max = MAX_RULES))]
    rules: Option<Vec<WrittenRule>>,
    /// Whether a rule with the outcome `none` lifts a challenge that the confidence alone asks for.
    rules_may_lift: Option<bool>,
    /// What follows when a condition cannot be evaluated: `secure` (default): the rule applies unless its outcome
    /// is `none`; `ignore`: it does not apply; `deny`: the login is denied.
    #[schemars(extend("enum" = ["secure", "ignore", "deny"]))]
    on_rule_error: Option<String>,
    /// Protocols (`transaction.protocol`) that are assessed or not against the usual.
    #[schemars(extend("maxProperties" = MAX_FLOWS))]
    flows: Option<std::collections::BTreeMap<String, WrittenFlow>>,
    /// What is logged.
    logs: Option<WrittenLogs>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "RiskAssessmentSettings")]
#[allow(dead_code)]
struct WrittenRisk {
    /// Whether logins are assessed and logged even where nothing is enforced.
    enabled: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(untagged, rename = "Setting")]
#[allow(dead_code)]
enum WrittenSetting {
    Text(String),
    Number(f64),
    Flag(bool),
    List(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "DenyListUse")]
#[allow(dead_code)]
struct WrittenList {
    /// Whether its entries count; default true.
    #[schemars(rename = "use")]
    counts: Option<bool>,
    /// The confidence of its entries.
    #[schemars(extend("enum" = ["low", "medium", "high"]))]
    confidence: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename = "FlowUse", rename_all = "lowercase")]
#[allow(dead_code)]
enum WrittenFlow {
    Assess,
    Skip,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "LogOptions")]
#[allow(dead_code)]
struct WrittenLogs {
    /// Whether an attempt that is asked for something or denied is logged, as `mfar`.
    challenges: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Rule")]
#[allow(dead_code)]
struct WrittenRule {
    /// Its name, of its own in the document: it stands in the decision.
    #[schemars(length(min = 1, max = MAX_RULE_NAME_BYTES))]
    name: String,
    /// A condition in CEL over `event`, `risk`, `profile` and `enrolled`.
    #[schemars(length(min = 1, max = MAX_CONDITION_BYTES))]
    when: String,
    /// What follows when it holds.
    #[schemars(extend("enum" = Action::ALL.map(Action::as_str)))]
    then: String,
    /// What a user who is denied is told.
    #[schemars(length(max = MAX_MESSAGE_BYTES))]
    message: Option<String>,
    /// Whether the browser may be remembered when the challenge is passed; a browser that is remembered is not
    /// asked then.
    allow_remember_browser: Option<bool>,
    /// The factors that may be used.
    #[schemars(length(max = MAX_FACTORS))]
    factors: Option<Vec<String>>,
}

/// The JSON Schema of a document.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Written>()
}

/// Reads a document on top of the deployment's settings. `tenant`: whose it is, where that is known from
/// elsewhere.
pub(crate) fn read(json: &Value, tenant: Option<&str>, base: &Settings) -> Result<Document, Vec<Problem>> {
    let mut reading = Reading { problems: Vec::new() };
    let document = reading.document(json, tenant, base);
    if reading.problems.is_empty() { Ok(document) } else { Err(reading.problems) }
}

/// Whose document it is, if it says so in a way that a tenant can be named.
#[must_use]
pub fn tenant_of(json: &Value) -> Option<&str> {
    json.get("tenant")?.as_str().filter(|tenant| (1..=model::event::MAX_TENANT_BYTES).contains(&tenant.len()))
}

struct Reading {
    problems: Vec<Problem>,
}

/// A value as it is shown in a problem.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 200 { text } else { text.chars().take(200).chain(['…']).collect() }
}

impl Reading {
    fn problem(&mut self, path: impl Into<String>, value: &Value, allowed: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { path: path.into(), value: shown(value), allowed: allowed.into() });
        }
    }

    /// An object of which nothing but these members is known.
    fn object<'v>(&mut self, path: &str, value: &'v Value, known: &[&str]) -> Option<&'v Map<String, Value>> {
        let Some(object) = value.as_object() else {
            self.problem(path_or_document(path), value, "an object");
            return None;
        };
        for (name, member) in object {
            if !known.contains(&name.as_str()) {
                let like = nearest(name, known.iter().copied());
                let like = like.map(|like| format!("; did you mean `{like}`?")).unwrap_or_default();
                let allowed = format!("only the keys {}{like}", known.join(", "));
                self.problem(join(path, name), member, allowed);
            }
        }
        Some(object)
    }

    fn flag(&mut self, path: &str, value: Option<&Value>) -> Option<bool> {
        match present(value)? {
            Value::Bool(flag) => Some(*flag),
            other => {
                self.problem(path, other, "true, false");
                None
            }
        }
    }

    fn text(&mut self, path: &str, value: Option<&Value>, max_bytes: usize) -> Option<String> {
        match present(value)? {
            Value::String(text) if (1..=max_bytes).contains(&text.len()) => Some(text.clone()),
            other => {
                self.problem(path, other, format!("a text of 1 to {max_bytes} bytes"));
                None
            }
        }
    }

    fn word<T>(&mut self, path: &str, value: Option<&Value>, allowed: &str, parse: fn(&str) -> Option<T>) -> Option<T> {
        let value = present(value)?;
        let parsed = value.as_str().and_then(parse);
        if parsed.is_none() {
            self.problem(path, value, allowed);
        }
        parsed
    }

    fn document(&mut self, json: &Value, tenant: Option<&str>, base: &Settings) -> Document {
        const KNOWN: [&str; 11] = [
            "schema_version",
            "tenant",
            "mfa_policy",
            "risk_assessment",
            "scoring",
            "deny_lists",
            "rules",
            "rules_may_lift",
            "on_rule_error",
            "flows",
            "logs",
        ];
        let Some(object) = self.object("", json, &KNOWN) else { return Document::default() };
        let length = json.to_string().len();
        if length > MAX_DOCUMENT_BYTES {
            let allowed = format!("a document of at most {MAX_DOCUMENT_BYTES} bytes; this one has {length}");
            self.problem("(document)", &Value::Null, allowed);
        }
        if let Some(version) = present(object.get("schema_version")).filter(|v| v.as_u64() != Some(SCHEMA_VERSION)) {
            self.problem("schema_version", version, SCHEMA_VERSION.to_string());
        }
        if let Some(named) = present(object.get("tenant")) {
            let is_his = tenant_of(json).is_some_and(|named| tenant.is_none_or(|tenant| tenant == named));
            if !is_his {
                let allowed =
                    tenant.map_or_else(|| "a text of 1 to 128 bytes".to_owned(), |tenant| format!("{tenant:?}"));
                self.problem("tenant", named, allowed);
            }
        }
        let policy = |name: &str| MfaPolicy::parse(name).filter(|policy| *policy != MfaPolicy::Unset);
        let policies = "\"never\", \"all-applications\", \"confidence-score\"";
        let mut document = Document {
            mfa_policy: self.word("mfa_policy", object.get("mfa_policy"), policies, policy),
            settings: self.settings(object, base),
            rules_may_lift: self.flag("rules_may_lift", object.get("rules_may_lift")).unwrap_or_default(),
            on_rule_error: self
                .word(
                    "on_rule_error",
                    object.get("on_rule_error"),
                    "\"secure\", \"ignore\", \"deny\"",
                    OnRuleError::parse,
                )
                .unwrap_or_default(),
            flows: self.flows(object.get("flows")),
            rules: self.rules(object.get("rules")),
            ..Document::default()
        };
        if let Some(risk) =
            present(object.get("risk_assessment")).and_then(|v| self.object("risk_assessment", v, &["enabled"]))
        {
            document.risk_assessment = self.flag("risk_assessment.enabled", risk.get("enabled"));
        }
        if let Some(logs) = present(object.get("logs")).and_then(|v| self.object("logs", v, &["challenges"])) {
            document.log_challenges = self.flag("logs.challenges", logs.get("challenges"));
        }
        document
    }

    fn settings(&mut self, document: &Map<String, Value>, base: &Settings) -> Settings {
        let mut settings = base.clone();
        if let Some(value) = present(document.get("scoring")) {
            let entries = value.as_object();
            if entries.is_none() {
                self.problem("scoring", value, "an object of keys of the configuration");
            }
            // The preset replaces what there is.
            let preset_first = |(name, _): &(&String, &Value)| *name != "preset";
            let mut entries: Vec<(&String, &Value)> = entries.into_iter().flatten().collect();
            entries.sort_by_key(preset_first);
            for (name, value) in entries {
                self.setting(&mut settings, name, value);
            }
        }
        let Some(lists) = present(document.get("deny_lists")) else { return settings };
        let Some(lists) = lists.as_object().filter(|lists| lists.len() <= MAX_LISTS) else {
            self.problem("deny_lists", lists, format!("an object of at most {MAX_LISTS} deny lists by name"));
            return settings;
        };
        for (name, value) in lists {
            let path = format!("deny_lists[{name:?}]");
            let Some(list) = self.object(&path, value, &["use", "confidence"]) else { continue };
            let counts = self.flag(&format!("{path}.use"), list.get("use")).unwrap_or(true);
            let parse = |name: &str| Confidence::parse(name).filter(|confidence| *confidence != Confidence::Neutral);
            let path = format!("{path}.confidence");
            let confidence = self.word(&path, list.get("confidence"), "\"low\", \"medium\", \"high\"", parse);
            settings.set_list_use(name, ListUse { counts, confidence });
        }
        settings
    }

    fn setting(&mut self, settings: &mut Settings, name: &str, value: &Value) {
        let scalar = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        };
        let text = match value {
            Value::Array(elements) => {
                let elements: Option<Vec<String>> = elements.iter().map(scalar).collect();
                elements.map(|elements| elements.join(","))
            }
            other => scalar(other),
        };
        let path = format!("scoring[{name:?}]");
        let Some(text) = text else {
            return self.problem(path, value, "a text, a number, true, false, or a list of these");
        };
        match settings.set(name, &text) {
            Ok(()) => {}
            Err(assess::settings::SettingError::BadValue { allowed, .. }) => self.problem(path, value, allowed),
            Err(assess::settings::SettingError::UnknownKey { nearest, .. }) => {
                let like = nearest.map(|like| format!("; did you mean `{like}`?")).unwrap_or_default();
                self.problem(path, value, format!("only keys that scoring has{like}"));
            }
        }
    }

    fn flows(&mut self, value: Option<&Value>) -> Vec<(String, bool)> {
        let Some(value) = present(value) else { return Vec::new() };
        let Some(flows) = value.as_object().filter(|flows| flows.len() <= MAX_FLOWS) else {
            self.problem("flows", value, format!("an object of at most {MAX_FLOWS} protocols"));
            return Vec::new();
        };
        let assessed = |name: &str| match name {
            "assess" => Some(true),
            "skip" => Some(false),
            _ => None,
        };
        let flow = |(protocol, value): (&String, &Value)| {
            let path = format!("flows[{protocol:?}]");
            self.word(&path, Some(value), "\"assess\", \"skip\"", assessed).map(|assess| (protocol.clone(), assess))
        };
        flows.iter().filter_map(flow).collect()
    }

    fn rules(&mut self, value: Option<&Value>) -> Vec<RuleText> {
        let Some(value) = present(value) else { return Vec::new() };
        let Some(rules) = value.as_array().filter(|rules| rules.len() <= MAX_RULES) else {
            self.problem("rules", value, format!("a list of at most {MAX_RULES} rules"));
            return Vec::new();
        };
        let mut read: Vec<RuleText> = Vec::with_capacity(rules.len());
        for (number, value) in rules.iter().enumerate() {
            let path = format!("rules[{number}]");
            let Some(rule) = self.rule(&path, value) else { continue };
            if read.iter().any(|other| other.name == rule.name) {
                self.problem(format!("{path}.name"), &Value::String(rule.name.clone()), "a name of its own");
            }
            read.push(rule);
        }
        read
    }

    fn rule(&mut self, path: &str, value: &Value) -> Option<RuleText> {
        const KNOWN: [&str; 6] = ["name", "when", "then", "message", "allow_remember_browser", "factors"];
        let rule = self.object(path, value, &KNOWN)?;
        for required in ["name", "when", "then"] {
            if present(rule.get(required)).is_none() {
                self.problem(format!("{path}.{required}"), &Value::Null, "texts, and every rule needs one");
            }
        }
        let name = self.text(&format!("{path}.name"), rule.get("name"), MAX_RULE_NAME_BYTES);
        let when = self.text(&format!("{path}.when"), rule.get("when"), MAX_CONDITION_BYTES);
        let action = |name: &str| Action::ALL.into_iter().find(|action| action.as_str() == name);
        let actions = Action::ALL.map(|action| format!("{:?}", action.as_str())).join(", ");
        let then = self.word(&format!("{path}.then"), rule.get("then"), &actions, action);
        let message = self.text(&format!("{path}.message"), rule.get("message"), MAX_MESSAGE_BYTES);
        if let Some(message) = message.as_ref().filter(|_| then.is_some_and(|then| then != Action::Deny)) {
            let allowed = "a message only with the outcome \"deny\"";
            self.problem(format!("{path}.message"), &Value::String(message.clone()), allowed);
        }
        let remember = self.flag(&format!("{path}.allow_remember_browser"), rule.get("allow_remember_browser"));
        let factors = self.factors(&format!("{path}.factors"), rule.get("factors"));
        Some(RuleText { name: name?, when: when?, then: then?, message, allow_remember_browser: remember, factors })
    }

    fn factors(&mut self, path: &str, value: Option<&Value>) -> Vec<String> {
        let Some(value) = present(value) else { return Vec::new() };
        let allowed = || format!("a list of at most {MAX_FACTORS} texts of 1 to {MAX_FACTOR_BYTES} bytes");
        let text = |value: &Value| {
            value.as_str().filter(|text| (1..=MAX_FACTOR_BYTES).contains(&text.len())).map(str::to_owned)
        };
        let factors = value.as_array().filter(|list| list.len() <= MAX_FACTORS);
        let factors = factors.and_then(|list| list.iter().map(text).collect::<Option<Vec<String>>>());
        if factors.is_none() {
            self.problem(path, value, allowed());
        }
        factors.unwrap_or_default()
    }
}

/// A member that is there: `null` is none.
fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

fn join(path: &str, name: &str) -> String {
    let printable = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match (path, printable) {
        ("", true) => name.to_owned(),
        (_, true) => format!("{path}.{name}"),
        _ => format!("{path}[{name:?}]"),
    }
}

fn path_or_document(path: &str) -> &str {
    if path.is_empty() { "(document)" } else { path }
}
