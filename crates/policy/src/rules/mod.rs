//! The conditions of a tenant's rules: CEL (Common Expression Language) over one login.
//!
//! A condition is parsed and type-checked when it arrives, and becomes a tree in which every field is a
//! number and every literal is read. Evaluating it then looks up each fact at most once a login, whatever
//! the number of conditions, and stops after [`MAX_STEPS`] steps.
//!
//! What conditions see is described by the fields of [`Facts`]; the language is CEL's core with its macros
//! (`has`, `exists`, `all`, `exists_one`, `filter`, `map`), without unsigned numbers, bytes and types as
//! values, and with
//! - numbers of either kind comparable with each other, as in CEL's cross-type comparisons;
//! - `matches` with a literal pattern in the syntax of the `regex` crate, with the classes `\w`, `\d`, `\s` and
//!   `\b` of ASCII as in CEL (RE2);
//! - `timestamp` for RFC 3339 texts from 2000 up to 2100, `duration` in `h`, `m`, `s` and `ms`: times are
//!   whole milliseconds; a time's parts in UTC or at a literal fixed offset;
//! - `lowerAscii`, `upperAscii` of CEL's strings extension, `sets.contains`, `sets.intersects` and
//!   `sets.equivalent` of its sets extension;
//! - `isIP(text)` and `cidr('192.0.2.0/24').containsIP(text)` as in Kubernetes, and
//!   `inCIDRs(text, ['192.0.2.0/24', ...])` with literal networks. An IPv4 address in an IPv6 one is the
//!   IPv4 address, and text that is no address is in no network.
//!
//! There is no clock: the time is `event.time`.

mod check;
mod data;
mod eval;
mod facts;
mod parse;
mod pattern;
mod time;
mod tree;

pub use facts::{Facts, PlaceFacts, ProfileFacts};

/// Longest text of a condition in bytes.
pub const MAX_TEXT_BYTES: usize = 2048;
/// Deepest nesting of a condition.
pub const MAX_DEPTH: usize = 100;
/// Most parts (names, literals, operators, calls) of a condition.
pub const MAX_NODES: usize = 500;
/// Most steps of one evaluation of a condition. A part takes a step each time that it is evaluated;
/// elements of lists and long texts take more.
pub const MAX_STEPS: usize = 10_000;
/// Largest compiled pattern in KiB.
pub const MAX_PATTERN_KIB: usize = 256;
/// Most that the patterns of a set of conditions take together, in KiB. One that is refused counts, since it
/// has cost as much.
pub const MAX_PATTERNS_KIB: usize = 4096;

/// The compiled conditions of one tenant.
#[derive(Debug, Default)]
pub struct ConditionSet {
    conditions: Vec<tree::Node>,
    paths: check::Paths,
}

/// What is wrong with a condition, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ConditionError {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

/// A condition has no value for this login.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct EvalError {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// Why.
    pub fault: Fault,
}

/// Why a condition has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A value of a free object is not of the type that is asked for.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What is asked for.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// An operator does not take these types.
    #[error("{operator:?} does not take {left} and {right}")]
    NoOperator {
        /// The operator.
        operator: &'static str,
        /// The type of its left side.
        left: &'static str,
        /// The type of its right side.
        right: &'static str,
    },
    /// A map has no such key; `has` tells.
    #[error("no key {0:?}; has() tells whether it is there")]
    NoSuchKey(Box<str>),
    /// A list has no such element.
    #[error("no element {index} in a list of {len}")]
    NoSuchIndex {
        /// What is asked for, from 0.
        index: i64,
        /// How many there are.
        len: usize,
    },
    /// A map is written with one key twice.
    #[error("a key that is there already")]
    KeyTwice,
    /// A number or time beyond its range.
    #[error("a number or time beyond its range")]
    Overflow,
    /// A whole number divided by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A text or number that does not say what it is converted to.
    #[error("this {from} is no {to}")]
    NotConvertible {
        /// The type of the value.
        from: &'static str,
        /// The type asked for.
        to: &'static str,
    },
    /// More than [`MAX_STEPS`].
    #[error("more than {MAX_STEPS} steps")]
    TooManySteps,
}

impl ConditionSet {
    /// Compiles conditions.
    ///
    /// # Errors
    /// Everything that is wrong with any of them, each with the index of its condition.
    pub fn compile(texts: &[&str]) -> Result<Self, Vec<(usize, ConditionError)>> {
        let (mut conditions, mut errors) = (Vec::with_capacity(texts.len()), Vec::new());
        let mut shared = check::Shared { paths: Vec::new(), room: pattern::PatternRoom::new() };
        for (index, text) in texts.iter().enumerate() {
            let checked = parse::parse(text).map_err(|error| vec![error]).and_then(|e| check::check(&e, &mut shared));
            match checked {
                Ok(condition) => conditions.push(condition),
                Err(found) => errors.extend(found.into_iter().map(|error| (index, error))),
            }
        }
        if errors.is_empty() { Ok(Self { conditions, paths: shared.paths }) } else { Err(errors) }
    }

    /// How many conditions these are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.conditions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Evaluates the conditions in their order, each when it is asked for: whoever stops at the first that
    /// holds pays for no other.
    ///
    /// # Errors
    /// A condition without a value for this login.
    pub fn evaluate<'a>(&'a self, facts: &'a Facts<'a>) -> impl Iterator<Item = Result<bool, EvalError>> + 'a {
        let slots = eval::Slots::new(facts, &self.paths);
        self.conditions.iter().map(move |condition| eval::evaluate(condition, &slots))
    }
}
