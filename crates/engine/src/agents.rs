//! The user agents that a partition saw lately: what their texts say, and their prints.
//!
//! Few texts are most logins', and asking for one costs a look into a cache that all threads share and
//! two keyed hashes. Here it costs a comparison. What is kept belongs to one context and goes with it.

use std::sync::Arc;

use model::evidence::{AgentFacts, DataVersions, Intelligence};
use profile::{AgentPrint, Fingerprints};

/// How many are kept. Each text has one place; whoever makes up texts that share it gains nothing but
/// that they are looked up each time.
const PLACES: usize = 256;
/// Longer texts are not kept: no browser's is.
const MAX_KEPT_BYTES: usize = 1024;

#[derive(Debug, Clone)]
struct KnownAgent {
    text: Box<str>,
    facts: Arc<AgentFacts>,
    print: AgentPrint,
}

#[derive(Debug, Default)]
pub(crate) struct KnownAgents {
    /// The context that they belong to, by what is each context's own.
    context: Option<Arc<DataVersions>>,
    places: Vec<Option<KnownAgent>>,
}

impl KnownAgents {
    /// The user agent of this text.
    pub(crate) fn get<I: Intelligence>(
        &mut self,
        text: &str,
        intelligence: &I,
        fingerprints: &Fingerprints,
        context: &Arc<DataVersions>,
    ) -> (AgentPrint, Arc<AgentFacts>) {
        if self.context.as_ref().is_none_or(|known| !Arc::ptr_eq(known, context)) {
            self.context = Some(context.clone());
            self.places = vec![None; PLACES];
        }
        let place = self.places.get_mut(place_of(text));
        if let Some(Some(known)) = &place
            && *known.text == *text
        {
            return (known.print.clone(), known.facts.clone());
        }
        let facts = intelligence.agent(text);
        let print = fingerprints.agent(text, &facts);
        if let Some(place) = place.filter(|_| text.len() <= MAX_KEPT_BYTES) {
            *place = Some(KnownAgent { text: text.into(), facts: facts.clone(), print: print.clone() });
        }
        (print, facts)
    }
}

/// The place of a text: all of its whole words mixed, so that versions far inside count too.
fn place_of(text: &str) -> usize {
    /// An odd number without a pattern (2 to the 64th over the golden ratio).
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let ends = rest.iter().fold(text.len() as u64, |mixed, byte| mixed << 8 ^ u64::from(*byte));
    let mixed =
        words.iter().fold(ends, |mixed, word| (mixed ^ u64::from_le_bytes(*word)).wrapping_mul(MIX).rotate_left(29));
    (mixed.wrapping_mul(MIX) >> 32) as usize % PLACES
}
