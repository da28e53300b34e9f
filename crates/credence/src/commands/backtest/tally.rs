//! What is counted over both runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::Answered;
use model::{Action, Reason};
use serde_json::Value;

/// Most tenants, rules and users that are told apart; what comes after counts under [`OTHERS`].
const MAX_NAMES: usize = 10_000;
/// What stands for names beyond the most.
pub(super) const OTHERS: &str = "(others)";

/// What was decided about a login in one run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decided {
    pub(super) action: Action,
    pub(super) reason: Reason,
    pub(super) rule: Option<Arc<str>>,
    codes: Vec<(&'static str, &'static str)>,
}

impl Decided {
    pub(super) fn of(answered: &Answered) -> Self {
        let assessments = answered.risk.assessments();
        Self {
            action: answered.decision.action,
            reason: answered.decision.reason,
            rule: answered.decision.detail.as_ref().and_then(|detail| detail.rule.clone()),
            codes: assessments.map(|a| (a.answer.assessor().as_str(), a.answer.code())).collect(),
        }
    }

    /// Whether the user is asked for something or sent away.
    fn prompts(&self) -> bool {
        self.action != Action::None
    }
}

/// Logins of one kind, and what both runs did with them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row {
    pub(super) logins: u64,
    /// Logins whose user is asked for something or sent away, in each run.
    pub(super) prompts: [u64; 2],
    /// Prompts of the second run alone, and of the first alone.
    pub(super) new: u64,
    pub(super) gone: u64,
}

impl Row {
    fn count(&mut self, prompts: [bool; 2]) {
        self.logins += 1;
        for (sum, prompt) in self.prompts.iter_mut().zip(prompts) {
            *sum += u64::from(prompt);
        }
        self.new += u64::from(prompts == [false, true]);
        self.gone += u64::from(prompts == [true, false]);
    }

    /// Prompts per 1,000 logins in a run.
    pub(super) fn per_1000(&self, run: usize) -> f64 {
        self.prompts[run] as f64 * 1000.0 / (self.logins.max(1)) as f64
    }
}

/// A login about which both runs decided differently, as both answered.
#[derive(Debug)]
pub(super) struct Example {
    pub(super) before: Value,
    pub(super) after: Value,
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) names: [String; 2],
    pub(super) events: u64,
    pub(super) dead: u64,
    pub(super) total: Row,
    /// How often each run decided what, and why.
    pub(super) decisions: [BTreeMap<(&'static str, &'static str), u64>; 2],
    /// From which action to which, where they differ.
    pub(super) moves: BTreeMap<(&'static str, &'static str), u64>,
    pub(super) by_tenant: BTreeMap<String, Row>,
    /// By the answers of the second run.
    pub(super) by_code: BTreeMap<String, Row>,
    /// How often each rule decided, in each run.
    pub(super) by_rule: BTreeMap<String, [u64; 2]>,
    /// Users with a prompt that is new, and with one that is gone.
    pub(super) users_new: BTreeSet<String>,
    pub(super) users_gone: BTreeSet<String>,
    pub(super) examples: Vec<Example>,
    max_examples: usize,
}

/// The entry of a name, or the others' where there are too many names.
fn entry<'m, V: Default>(map: &'m mut BTreeMap<String, V>, name: &str) -> &'m mut V {
    let name = if map.len() >= MAX_NAMES && !map.contains_key(name) { OTHERS } else { name };
    if !map.contains_key(name) {
        map.insert(name.to_owned(), V::default());
    }
    // It is there now.
    map.entry(name.to_owned()).or_default()
}

impl Tally {
    pub(super) fn new(names: [String; 2], max_examples: usize) -> Self {
        Self { names, max_examples, ..Self::default() }
    }

    /// Counts a login that both runs decided about, with both verdicts as JSON.
    pub(super) fn login(&mut self, tenant: &str, decided: [Decided; 2], verdicts: [&[u8]; 2]) {
        let prompts = [decided[0].prompts(), decided[1].prompts()];
        self.total.count(prompts);
        entry(&mut self.by_tenant, tenant).count(prompts);
        for (assessor, code) in &decided[1].codes {
            entry(&mut self.by_code, &format!("{assessor}.{code}")).count(prompts);
        }
        for (run, decided) in decided.iter().enumerate() {
            *self.decisions[run].entry((decided.action.as_str(), decided.reason.as_str())).or_default() += 1;
            if let Some(rule) = &decided.rule {
                entry(&mut self.by_rule, rule)[run] += 1;
            }
        }
        if decided[0].action == decided[1].action {
            return;
        }
        *self.moves.entry((decided[0].action.as_str(), decided[1].action.as_str())).or_default() += 1;
        let parse = |verdict: &[u8]| serde_json::from_slice::<Value>(verdict).unwrap_or_default();
        let after = parse(verdicts[1]);
        let user = format!("{tenant} {}", after["user_id"].as_str().unwrap_or_default());
        let users = match prompts {
            [false, true] => Some(&mut self.users_new),
            [true, false] => Some(&mut self.users_gone),
            _ => None,
        };
        if let Some(users) = users.filter(|users| users.len() < MAX_NAMES) {
            users.insert(user);
        }
        if self.examples.len() < self.max_examples {
            self.examples.push(Example { before: parse(verdicts[0]), after });
        }
    }
}
