//! Patterns as automata that are whole before the first text comes.
//!
//! An engine that builds its automaton while it searches takes microseconds a byte where a pattern makes it
//! build a state for nearly every byte, such as `[01]*1[01]{400}`: a condition within its steps took 100 ms
//! of that. A whole automaton takes the same small time for every byte, and a pattern that would need a
//! large one is refused when it arrives.

use regex_automata::Input;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax;

use super::{MAX_PATTERN_KIB, MAX_PATTERNS_KIB};

/// Deepest nesting of a pattern.
const MAX_DEPTH: u32 = 50;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern(dense::DFA<Vec<u32>>);

/// The room that is left for the patterns of a set of conditions.
pub(crate) struct PatternRoom {
    left_bytes: usize,
}

impl PatternRoom {
    pub(crate) fn new() -> Self {
        Self { left_bytes: MAX_PATTERNS_KIB * 1024 }
    }
}

impl Pattern {
    /// Compiles a pattern, or says what is wrong with it.
    pub(crate) fn new(pattern: &str, room: &mut PatternRoom) -> Result<Self, String> {
        const MAX_BYTES: usize = MAX_PATTERN_KIB * 1024;
        if room.left_bytes == 0 {
            return Err(format!("the patterns of all conditions take more than {MAX_PATTERNS_KIB} KiB together"));
        }
        // It is searched for in valid UTF-8, where it does not matter what it would match in anything else.
        let syntax = syntax::Config::new().utf8(false).nest_limit(MAX_DEPTH);
        let parsed = syntax::parse_with(&with_ascii_classes(pattern), &syntax).map_err(|error| {
            // The last line says what is wrong; those before show where, over several lines.
            let text = error.to_string();
            format!("not a pattern: {}", text.lines().last().unwrap_or_default().trim_start_matches("error: "))
        })?;
        let nfa =
            thompson::Config::new().utf8(false).which_captures(WhichCaptures::None).nfa_size_limit(Some(MAX_BYTES));
        let dfa = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .dfa_size_limit(Some(MAX_BYTES))
            .determinize_size_limit(Some(4 * MAX_BYTES));
        let compiled = thompson::Compiler::new()
            .configure(nfa)
            .build_from_hir(&parsed)
            .ok()
            .and_then(|nfa| dense::Builder::new().configure(dfa).build_from_nfa(&nfa).ok());
        let taken_bytes = compiled.as_ref().map_or(MAX_BYTES, dense::DFA::memory_usage);
        room.left_bytes = room.left_bytes.saturating_sub(taken_bytes);
        compiled.map(Self).ok_or_else(|| {
            format!(
                "a pattern that takes more than {MAX_PATTERN_KIB} KiB; long repetitions after alternatives and \\p{{..}} \
                 make patterns large"
            )
        })
    }

    /// Whether the pattern is somewhere in a text.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        // An automaton without look-around for Unicode words never gives up.
        self.0.try_search_fwd(&Input::new(text).earliest(true)).is_ok_and(|found| found.is_some())
    }
}

/// CEL's patterns are RE2's, in which `\w`, `\d`, `\s` and `\b` are about ASCII; as Unicode's they would also
/// be large.
fn with_ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        let escaped = if c == '\\' { rest.next() } else { None };
        match (c, escaped) {
            ('\\', Some('w')) => out.push_str("[0-9A-Za-z_]"),
            ('\\', Some('W')) => out.push_str("[^0-9A-Za-z_]"),
            ('\\', Some('d')) => out.push_str("[0-9]"),
            ('\\', Some('D')) => out.push_str("[^0-9]"),
            ('\\', Some('s')) => out.push_str(r"[\t\n\f\r ]"),
            ('\\', Some('S')) => out.push_str(r"[^\t\n\f\r ]"),
            ('\\', Some('b')) => out.push_str(r"(?-u:\b)"),
            ('\\', Some('B')) => out.push_str(r"(?-u:\B)"),
            (c, escaped) => {
                out.push(c);
                out.extend(escaped);
            }
        }
    }
    out
}
