//! Keyed hashes: how cookies, user agents and ids are remembered without being kept.
//!
//! SipHash-2-4 with a secret key of the deployment. A user has at most ten devices, so 64 bits leave an
//! attacker who does not know the key no better than guessing.

use std::net::IpAddr;

use model::evidence::{AgentFacts, Version};
use siphasher::sip::SipHasher24;
use siphasher::sip128::SipHasher24 as SipHasher24x128;

/// The deployment's secret for keyed hashes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey(pub [u8; 16]);

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(secret)")
    }
}

/// What a hash is of: equal texts of different meaning must not have equal hashes.
#[derive(Clone, Copy)]
enum Kind {
    Cookie,
    UserAgent,
    Browser,
    EventId,
    Evidence,
    User,
}

/// How many kinds there are.
const KINDS: usize = 6;

/// Longest user agent that is compared by more than its text, in bytes.
pub const MAX_PARSED_AGENT_BYTES: usize = 1024;

/// A user agent as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPrint {
    /// Hash of the text.
    pub text: u64,
    /// Hash of browser family and operating system with the version, where all are recognised.
    pub browser: Option<(u32, Version)>,
}

impl AgentPrint {
    /// Whether this user agent is an upgrade of another: same browser family and operating system,
    /// version not older.
    #[must_use]
    pub fn is_upgrade_of(&self, old: &AgentPrint) -> bool {
        match (&self.browser, &old.browser) {
            (Some((family, version)), Some((old_family, old_version))) => {
                family == old_family && version >= old_version
            }
            _ => false,
        }
    }

    /// Whether this user agent has the same text as another, or is an upgrade of it.
    #[must_use]
    pub fn continues(&self, old: &AgentPrint) -> bool {
        self.text == old.text || self.is_upgrade_of(old)
    }
}

/// Makes the hashes.
#[derive(Debug, Clone)]
pub struct Fingerprints {
    /// A key for each kind, derived from the deployment's secret.
    keys: [HashKey; KINDS],
}

impl Fingerprints {
    /// With the deployment's secret.
    #[must_use]
    pub fn new(secret: HashKey) -> Self {
        let derive = |kind: usize| HashKey(SipHasher24x128::new_with_key(&secret.0).hash(&[kind as u8]).as_bytes());
        Self { keys: std::array::from_fn(derive) }
    }

    /// The hash of a text of one kind, in one pass: hashing in pieces costs several times as much.
    fn hash(&self, kind: Kind, bytes: &[u8]) -> u64 {
        SipHasher24::new_with_key(&self.keys[kind as usize].0).hash(bytes)
    }

    /// A device cookie's hash.
    #[must_use]
    pub fn cookie(&self, cookie: &str) -> u64 {
        self.hash(Kind::Cookie, cookie.as_bytes())
    }

    /// The hash of an event's id.
    #[must_use]
    pub fn event_id(&self, id: &str) -> u64 {
        self.hash(Kind::EventId, id.as_bytes())
    }

    /// A user agent's print. A long one is compared by its text alone: it is no real browser's, and
    /// its version could be anything.
    #[must_use]
    pub fn agent(&self, text: &str, facts: &AgentFacts) -> AgentPrint {
        let browser = facts.browser.as_ref().filter(|_| text.len() <= MAX_PARSED_AGENT_BYTES).and_then(|browser| {
            let version = browser.version.clone()?;
            let mut named = Vec::with_capacity(64);
            push_text(&mut named, Some(&browser.name));
            push_text(&mut named, Some(&browser.os));
            Some((self.hash(Kind::Browser, &named) as u32, version))
        });
        AgentPrint { text: self.hash(Kind::UserAgent, text.as_bytes()), browser }
    }

    /// The hash of an attempt's evidence: canonical address or none, user agent, device cookie.
    #[must_use]
    pub fn evidence(&self, ip: Option<IpAddr>, user_agent: Option<&str>, cookie: Option<&str>) -> u64 {
        let mut shown = Vec::with_capacity(256);
        match ip {
            None => shown.push(0),
            Some(IpAddr::V4(v4)) => {
                shown.push(4);
                shown.extend_from_slice(&v4.octets());
            }
            Some(IpAddr::V6(v6)) => {
                shown.push(6);
                shown.extend_from_slice(&v6.octets());
            }
        }
        push_text(&mut shown, user_agent);
        push_text(&mut shown, cookie);
        self.hash(Kind::Evidence, &shown)
    }

    /// The 128-bit name under which a user's profile is kept: two users share it with a chance that
    /// does not count.
    #[must_use]
    pub fn user(&self, tenant: &str, user: &str) -> u128 {
        let mut named = Vec::with_capacity(128);
        push_text(&mut named, Some(tenant));
        named.extend_from_slice(user.as_bytes());
        SipHasher24x128::new_with_key(&self.keys[Kind::User as usize].0).hash(&named).as_u128()
    }
}

/// Appends a text so that no two lists of texts give the same bytes.
pub fn push_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    bytes.push(u8::from(text.is_some()));
    let text = text.unwrap_or_default();
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
