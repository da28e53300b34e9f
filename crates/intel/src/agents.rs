//! User agents: browser family, operating system and version, by the woothee data set.
//!
//! Parsing costs microseconds and few texts are many logins', so answers are cached by text.

use std::sync::Arc;

use ahash::RandomState;
use model::evidence::{AgentFacts, Browser, Version};
use moka::sync::Cache;
use woothee::parser::Parser;

/// Longest user agent that is parsed, in bytes: no browser's is longer, and an attacker may choose it.
const MAX_PARSED_BYTES: usize = 1024;
/// Most answers in the cache.
const CACHE_ENTRIES: u64 = 16_384;
/// What woothee says where it recognises nothing.
const UNKNOWN: &str = "UNKNOWN";

/// Recognises user agents.
#[derive(Debug, Clone)]
pub struct Agents {
    cache: Cache<Box<str>, Arc<AgentFacts>, RandomState>,
    too_long: Arc<AgentFacts>,
}

impl Default for Agents {
    fn default() -> Self {
        // A hash with a secret key: an attacker chooses the texts.
        let cache = Cache::builder().max_capacity(CACHE_ENTRIES).build_with_hasher(RandomState::new());
        Self { cache, too_long: Arc::default() }
    }
}

impl Agents {
    /// What a user agent's text says.
    #[must_use]
    pub fn facts(&self, text: &str) -> Arc<AgentFacts> {
        if text.len() > MAX_PARSED_BYTES {
            return self.too_long.clone();
        }
        if let Some(facts) = self.cache.get(text) {
            return facts;
        }
        let facts = Arc::new(recognise(text));
        self.cache.insert(text.into(), facts.clone());
        facts
    }
}

fn recognise(text: &str) -> AgentFacts {
    let Some(result) = Parser::new().parse(text) else { return AgentFacts::default() };
    let recognised = result.name != UNKNOWN && result.os != UNKNOWN;
    AgentFacts {
        browser: recognised.then(|| Browser {
            name: result.name.into(),
            os: result.os.into(),
            version: Version::parse(result.version),
        }),
        is_mobile: matches!(result.category, "smartphone" | "mobilephone"),
    }
}
