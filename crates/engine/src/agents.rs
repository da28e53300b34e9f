//! The user agents that a partition saw lately: what their texts say, and their prints.
//!
//! Few texts are most logins', and asking for one costs a look into a cache that all threads share and
//! two hashes. Here it costs a comparison. What is kept belongs to one context and goes with it.

use std::sync::Arc;

use model::evidence::{AgentFacts, DataVersions, Intelligence};
use profile::{AgentPrint, Fingerprints};

/// How many are kept: each has one place, by the bits of its hash.
const PLACES: usize = 256;

/// What is known of a user agent.
#[derive(Debug, Clone)]
pub(crate) struct KnownAgent {
    pub(crate) facts: Arc<AgentFacts>,
    pub(crate) print: AgentPrint,
}

#[derive(Debug, Default)]
pub(crate) struct KnownAgents {
    /// The context that they belong to, by what is each context's own.
    context: Option<Arc<DataVersions>>,
    places: Vec<Option<KnownAgent>>,
}

impl KnownAgents {
    /// The user agent of this text. Its hash has a secret key and 64 bits, so it stands for the text.
    pub(crate) fn get<I: Intelligence>(
        &mut self,
        text: &str,
        intelligence: &I,
        fingerprints: &Fingerprints,
        context: &Arc<DataVersions>,
    ) -> &KnownAgent {
        if self.context.as_ref().is_none_or(|known| !Arc::ptr_eq(known, context)) {
            self.context = Some(context.clone());
            self.places = vec![None; PLACES];
        }
        let hash = fingerprints.agent_text(text);
        let look_up = || {
            let facts = intelligence.agent(text);
            let print = fingerprints.agent(text, &facts);
            KnownAgent { facts, print }
        };
        let place = &mut self.places[hash as usize % PLACES];
        if place.as_ref().is_some_and(|known| known.print.text != hash) {
            *place = None;
        }
        place.get_or_insert_with(look_up)
    }
}
