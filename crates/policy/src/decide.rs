//! The decision about a login: the tenant's policy, then his rules.
//!
//! Deny goes before a challenge, a challenge before none, from whichever side it comes. A rule's `none` has no
//! effect unless the tenant lets rules lift the challenge that the confidence alone asks for.

use std::sync::Arc;

use model::{Action, Confidence, Decision, DecisionDetail, Encoding, LoginEvent, Reason, RiskAssessment};

use crate::document::{MfaPolicy, OnRuleError};
use crate::flow::Flow;
use crate::rules::{Facts, ProfileFacts};
use crate::tenant::{Rule, Tenant};
use crate::value::Value;

/// Most rules in error that a decision names.
pub const MAX_RULE_ERRORS: usize = 8;

/// What is done with an attempt before anything is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Which flow it is of.
    pub flow: Flow,
    /// Whether the assessors are asked.
    pub assessed: bool,
    /// Whether NewDevice is among them.
    pub has_browser: bool,
    /// Whether it is a login at all, that is logged.
    pub is_login: bool,
}

/// Who is asked, and can be.
#[derive(Debug, Clone, Copy)]
struct User {
    enrolled: bool,
    has_email: bool,
    low: bool,
    /// An application takes the password: nobody who may be an attacker can be asked for anything else.
    by_password: bool,
}

impl User {
    /// The challenge that this user can be asked for: who is not enrolled and may be an attacker must not enrol.
    fn challenge(self) -> Action {
        match self {
            User { enrolled: true, .. } => Action::Challenge,
            User { low: false, .. } => Action::Enroll,
            User { has_email: true, by_password: false, .. } => Action::EmailChallenge,
            User { .. } => Action::Deny,
        }
    }

    /// Why he is denied where [`User::challenge`] says so.
    fn denial(self) -> Reason {
        if self.by_password { Reason::ConfidenceLow } else { Reason::NoEmail }
    }
}

impl Tenant {
    /// What is done with an attempt.
    #[must_use]
    pub fn plan(&self, event: &LoginEvent<'_>) -> Plan {
        let flow = Flow::of(event);
        let assessed = self.assesses_flow(flow, event.protocol());
        // Before there is a policy, flows make no difference.
        let told_apart = self.mfa_policy() != MfaPolicy::Unset;
        Plan {
            flow,
            assessed,
            has_browser: !(told_apart && flow == Flow::Password),
            is_login: !(told_apart && flow == Flow::Refresh),
        }
    }

    /// The decision. `risk`: what the assessors say, where they were asked. `profile` is asked only where the
    /// tenant has rules.
    #[must_use]
    pub fn decide<'p>(
        &self,
        event: &LoginEvent<'_>,
        plan: Plan,
        risk: Option<&RiskAssessment>,
        profile: impl FnOnce() -> ProfileFacts<'p>,
    ) -> Decision {
        let user = User {
            enrolled: event.is_enrolled(),
            // An address that is known not to be his proves nothing.
            has_email: event.email().is_some() && event.email_verified() != Some(false),
            low: risk.is_some_and(|risk| risk.confidence == Confidence::Low),
            by_password: plan.flow == Flow::Password,
        };
        let base = self.by_policy(event, plan, risk.map(|risk| risk.confidence), user);
        let mut decision =
            if self.rules.is_empty() { base } else { self.with_rules(event, risk, user, profile(), base) };
        let asks = matches!(decision.action, Action::Challenge | Action::Enroll | Action::EmailChallenge);
        if asks && event.is_silent() {
            // Nothing may be shown: which challenge it is turns out when the user is there to be asked.
            decision.action = Action::Challenge;
            let detail = decision.detail.get_or_insert_default();
            Arc::make_mut(detail).interaction_required = true;
        }
        decision
    }

    /// What the policy alone says.
    fn by_policy(&self, event: &LoginEvent<'_>, plan: Plan, confidence: Option<Confidence>, user: User) -> Decision {
        let low = user.low;
        match (self.mfa_policy(), confidence) {
            (MfaPolicy::Unset, Some(confidence)) => Decision::by_confidence(confidence),
            (MfaPolicy::Never, _) => Decision::new(Action::None, Reason::PolicyNever),
            (MfaPolicy::Always, _) if matches!(plan.flow, Flow::Machine | Flow::Refresh) => {
                Decision::new(Action::None, Reason::NotAssessed)
            }
            (MfaPolicy::Always, _) => {
                // The browser was remembered when its user passed a challenge, unless the application insists.
                if event.browser_is_remembered() && !event.asks_for_multi_factor() {
                    return Decision::new(Action::None, Reason::PolicyAlways);
                }
                let action = user.challenge();
                let detail = DecisionDetail { allow_remember_browser: Some(true), ..DecisionDetail::default() };
                Decision {
                    action,
                    reason: if action == Action::Deny { user.denial() } else { Reason::PolicyAlways },
                    detail: (action != Action::Deny).then(|| Arc::new(detail)),
                }
            }
            (MfaPolicy::Unset | MfaPolicy::Adaptive, None) => Decision::new(Action::None, Reason::NotAssessed),
            (MfaPolicy::Adaptive, Some(_)) if !low => Decision::new(Action::None, Reason::ConfidenceNotLow),
            (MfaPolicy::Adaptive, Some(_)) => match user.challenge() {
                Action::Deny => Decision::new(Action::Deny, user.denial()),
                action => Decision::new(action, Reason::ConfidenceLow),
            },
        }
    }

    /// The policy's decision and the rules'.
    fn with_rules(
        &self,
        event: &LoginEvent<'_>,
        risk: Option<&RiskAssessment>,
        user: User,
        profile: ProfileFacts<'_>,
        base: Decision,
    ) -> Decision {
        // What was read as an event can be read as an object.
        let (source, encoding) = event.source();
        let document = match encoding {
            Encoding::Json => Value::from_json(source),
            Encoding::MessagePack => Value::from_msgpack(source),
        };
        let document = document.unwrap_or(Value::Null);
        let facts = Facts { event: &document, risk, profile, enrolled: user.enrolled };
        let remembered = event.browser_is_remembered() && !event.asks_for_multi_factor();
        let mut found = Found::default();
        for (rule, holds) in self.rules.iter().zip(self.conditions.evaluate(&facts)) {
            let holds = holds.unwrap_or_else(|_| {
                found.in_error(&rule.name);
                match self.on_rule_error {
                    OnRuleError::Secure => rule.then != Action::None,
                    OnRuleError::Ignore => false,
                    OnRuleError::Deny => {
                        found.error_denies = true;
                        false
                    }
                }
            });
            if holds {
                found.applies(rule, user, remembered);
            }
        }
        found.decide(user, base, self.rules_may_lift)
    }
}

/// The rules that apply: the first of each strength.
#[derive(Default)]
struct Found<'r> {
    deny: Option<&'r Rule>,
    /// Asks for something, whether the browser is remembered or not.
    asks: Option<&'r Rule>,
    /// Asks for something that a remembered browser does not answer.
    challenge: Option<&'r Rule>,
    lift: Option<&'r Rule>,
    errors: Vec<Arc<str>>,
    error_denies: bool,
}

impl<'r> Found<'r> {
    fn in_error(&mut self, name: &Arc<str>) {
        if self.errors.len() < MAX_RULE_ERRORS {
            self.errors.push(name.clone());
        }
    }

    fn applies(&mut self, rule: &'r Rule, user: User, remembered: bool) {
        let place = match rule.then {
            Action::Deny => &mut self.deny,
            // Who is enrolled has done what this asks for.
            Action::Enroll if user.enrolled => return,
            Action::Challenge | Action::Enroll | Action::EmailChallenge => {
                self.asks.get_or_insert(rule);
                // A rule that lets the browser be remembered must not stand before one that does not.
                if remembered && rule.allow_remember_browser == Some(true) {
                    return;
                }
                &mut self.challenge
            }
            Action::None => &mut self.lift,
        };
        place.get_or_insert(rule);
    }

    fn decide(self, user: User, base: Decision, may_lift: bool) -> Decision {
        let Self { deny, asks, challenge, lift, errors, error_denies } = self;
        let by_rule = |rule: &Rule, action| {
            let challenges = !matches!(action, Action::None | Action::Deny);
            let detail = DecisionDetail {
                rule: Some(rule.name.clone()),
                message: rule.message.clone(),
                allow_remember_browser: rule.allow_remember_browser.filter(|_| challenges),
                factors: if challenges { rule.factors.clone() } else { Vec::new() },
                ..DecisionDetail::default()
            };
            Decision { action, reason: Reason::Rule, detail: Some(Arc::new(detail)) }
        };
        let is_lifted = may_lift && base.reason == Reason::ConfidenceLow && base.action != Action::Deny;
        let mut decision = match (deny, asks, lift) {
            (Some(rule), ..) => by_rule(rule, Action::Deny),
            _ if error_denies => Decision::new(Action::Deny, Reason::Rule),
            _ if base.action == Action::Deny => base,
            (None, Some(rule), _) if base.action != Action::None => by_both(rule, base),
            (None, Some(remembers), _) => match challenge {
                Some(rule) => by_challenge(rule, user, by_rule),
                None => by_rule(remembers, Action::None),
            },
            (None, None, Some(rule)) if is_lifted => by_rule(rule, Action::None),
            _ => base,
        };
        if !errors.is_empty() {
            Arc::make_mut(decision.detail.get_or_insert_default()).rule_errors = errors;
        }
        decision
    }
}

/// The decision where policy and rule both ask: the policy's reason, with what the rule says of the how.
fn by_both(rule: &Rule, mut decision: Decision) -> Decision {
    let detail = Arc::make_mut(decision.detail.get_or_insert_default());
    detail.rule = Some(rule.name.clone());
    detail.allow_remember_browser = rule.allow_remember_browser.or(detail.allow_remember_browser);
    detail.factors = rule.factors.clone();
    decision
}

/// The decision where a rule alone asks.
fn by_challenge(rule: &Rule, user: User, by_rule: impl Fn(&Rule, Action) -> Decision) -> Decision {
    match (rule.then, user.challenge()) {
        (_, Action::Deny) => Decision { reason: user.denial(), ..by_rule(rule, Action::Deny) },
        (Action::EmailChallenge, _) if user.has_email => by_rule(rule, Action::EmailChallenge),
        (Action::EmailChallenge, _) => Decision { reason: Reason::NoEmail, ..by_rule(rule, Action::Deny) },
        (_, action) => by_rule(rule, action),
    }
}
