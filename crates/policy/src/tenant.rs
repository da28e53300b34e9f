//! What is in force for a tenant.

use std::collections::HashMap;
use std::sync::Arc;

use assess::Settings;
use model::Action;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::document::{self, MfaPolicy, OnRuleError, Problem};
use crate::flow::Flow;
use crate::rules::ConditionSet;

/// What is in force for a tenant without a document, and what documents are set on top of.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Who is asked for a second factor.
    pub mfa_policy: MfaPolicy,
    /// Whether logins are assessed where the policy does not need it.
    pub risk_assessment: bool,
    /// The settings of scoring.
    pub settings: Settings,
    /// Whether an attempt that is asked for something or denied is logged.
    pub log_challenges: bool,
    /// Digest of what scoring depends on in all this.
    pub version: Arc<str>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            mfa_policy: MfaPolicy::Unset,
            risk_assessment: false,
            settings: Settings::default(),
            log_challenges: true,
            version: "".into(),
        }
    }
}

/// A rule in force; its condition is in the tenant's set.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) then: Action,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) allow_remember_browser: Option<bool>,
    pub(crate) factors: Vec<Arc<str>>,
}

/// What is in force for a tenant.
#[derive(Debug)]
pub struct Tenant {
    version: Arc<str>,
    settings: Arc<Settings>,
    mfa_policy: MfaPolicy,
    risk_assessment: bool,
    log_challenges: bool,
    flows: Vec<(String, bool)>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) conditions: ConditionSet,
    pub(crate) rules_may_lift: bool,
    pub(crate) on_rule_error: OnRuleError,
}

impl Tenant {
    /// A tenant without a document.
    #[must_use]
    pub fn by_default(defaults: &Defaults) -> Self {
        Self {
            version: defaults.version.clone(),
            settings: Arc::new(defaults.settings.clone()),
            mfa_policy: defaults.mfa_policy,
            risk_assessment: defaults.risk_assessment,
            log_challenges: defaults.log_challenges,
            flows: Vec::new(),
            rules: Vec::new(),
            conditions: ConditionSet::default(),
            rules_may_lift: false,
            on_rule_error: OnRuleError::default(),
        }
    }

    /// Checks a document and compiles it. `tenant`: whose it is, where that is known from elsewhere.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn compile(json: &Value, tenant: Option<&str>, defaults: &Defaults) -> Result<Self, Vec<Problem>> {
        let read = document::read(json, tenant, &defaults.settings);
        let texts = match &read {
            Ok(document) => document.rules.iter().map(|rule| rule.when.clone()).collect(),
            Err(_) => conditions_of(json),
        };
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let compiled = ConditionSet::compile(&texts).map_err(|errors| {
            let problem = |(number, error): (usize, crate::rules::ConditionError)| Problem {
                path: format!("rules[{number}].when"),
                value: Value::from(texts.get(number).copied().unwrap_or_default()).to_string(),
                allowed: format!("conditions that compile; {error}"),
            };
            errors.into_iter().map(problem).collect::<Vec<_>>()
        });
        let (document, conditions) = match (read, compiled) {
            (Ok(document), Ok(conditions)) => (document, conditions),
            (read, compiled) => {
                let mut problems = read.err().unwrap_or_default();
                problems.extend(compiled.err().unwrap_or_default());
                problems.truncate(document::MAX_PROBLEMS);
                return Err(problems);
            }
        };
        let rule = |rule: &document::RuleText| Rule {
            name: rule.name.as_str().into(),
            then: rule.then,
            message: rule.message.as_deref().map(Arc::from),
            allow_remember_browser: rule.allow_remember_browser,
            factors: rule.factors.iter().map(|factor| factor.as_str().into()).collect(),
        };
        Ok(Self {
            version: digest(&[&defaults.version, &json.to_string()]),
            settings: Arc::new(document.settings),
            mfa_policy: document.mfa_policy.unwrap_or(defaults.mfa_policy),
            risk_assessment: document.risk_assessment.unwrap_or(defaults.risk_assessment),
            log_challenges: document.log_challenges.unwrap_or(defaults.log_challenges),
            flows: document.flows,
            rules: document.rules.iter().map(rule).collect(),
            conditions,
            rules_may_lift: document.rules_may_lift,
            on_rule_error: document.on_rule_error,
        })
    }

    /// The settings of scoring.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Digest of everything that an answer depends on here.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Who is asked for a second factor.
    #[must_use]
    pub fn mfa_policy(&self) -> MfaPolicy {
        self.mfa_policy
    }

    /// Whether logins are assessed: the policy needs it, or it is on by itself.
    #[must_use]
    pub fn assesses(&self) -> bool {
        self.risk_assessment || matches!(self.mfa_policy, MfaPolicy::Unset | MfaPolicy::Adaptive)
    }

    /// Whether an attempt that is asked for something or denied is logged.
    #[must_use]
    pub fn logs_challenges(&self) -> bool {
        self.log_challenges
    }

    /// Whether a flow is assessed against the usual.
    pub(crate) fn flow_use(&self, protocol: Option<&str>) -> Option<bool> {
        let protocol = protocol.filter(|_| !self.flows.is_empty())?;
        self.flows.iter().find(|(name, _)| name == protocol).map(|(_, assess)| *assess)
    }

    /// Whether a login of this flow is assessed.
    #[must_use]
    pub(crate) fn assesses_flow(&self, flow: Flow, protocol: Option<&str>) -> bool {
        // Before there is a policy everything is assessed that asks for a verdict.
        if self.mfa_policy == MfaPolicy::Unset {
            return self.flow_use(protocol).unwrap_or(true);
        }
        self.assesses()
            && self.flow_use(protocol).unwrap_or(match flow {
                Flow::Browser => true,
                Flow::Password => self.mfa_policy == MfaPolicy::Adaptive,
                Flow::Unassessed | Flow::Machine | Flow::Refresh => false,
            })
    }
}

/// The conditions of a document that has other problems, so that theirs are told as well.
fn conditions_of(json: &Value) -> Vec<String> {
    let rules = json.get("rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    // One that is no text, or too long, is told of elsewhere; `true` holds its place.
    let when = |rule: &Value| {
        let text = rule.get("when").and_then(Value::as_str);
        text.filter(|text| (1..=document::MAX_CONDITION_BYTES).contains(&text.len())).unwrap_or("true").to_owned()
    };
    rules.iter().take(document::MAX_RULES).map(when).collect()
}

/// The version of a document by itself, for who changes it.
#[must_use]
pub fn document_version(json: &Value) -> Arc<str> {
    digest(&[&json.to_string()])
}

/// The first 64 bits of SHA-256, in hexadecimal digits.
fn digest(parts: &[&str]) -> Arc<str> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// What is in force for all tenants.
#[derive(Debug, Clone)]
pub struct Tenants {
    default: Arc<Tenant>,
    own: HashMap<Box<str>, Arc<Tenant>>,
}

impl Tenants {
    /// Without a document of any.
    #[must_use]
    pub fn new(default: Arc<Tenant>) -> Self {
        Self { default, own: HashMap::new() }
    }

    /// Puts a tenant's in force, or the deployment's own (`None`).
    pub fn set(&mut self, tenant: &str, in_force: Option<Arc<Tenant>>) {
        match in_force {
            Some(in_force) => drop(self.own.insert(tenant.into(), in_force)),
            None => drop(self.own.remove(tenant)),
        }
    }

    /// What is in force for who has no document.
    #[must_use]
    pub fn default(&self) -> &Arc<Tenant> {
        &self.default
    }

    /// What is in force for a tenant.
    #[must_use]
    pub fn get(&self, tenant: &str) -> &Arc<Tenant> {
        if self.own.is_empty() { &self.default } else { self.own.get(tenant).unwrap_or(&self.default) }
    }

    /// Those with a document.
    pub fn own(&self) -> impl Iterator<Item = (&str, &Arc<Tenant>)> {
        self.own.iter().map(|(name, tenant)| (&**name, tenant))
    }
}
