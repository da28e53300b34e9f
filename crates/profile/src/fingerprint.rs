//! Keyed hashes: how cookies, user agents and ids are remembered without being kept.
//!
//! SipHash-2-4 with a secret key of the deployment. A user has at most ten devices, so 64 bits leave an
//! attacker who does not know the key no better than guessing.

use std::hash::Hasher;
use std::net::IpAddr;

use model::evidence::{AgentFacts, Version};
use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher24 as SipHasher24x128};

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
#[repr(u8)]
enum Kind {
    Cookie = 1,
    UserAgent,
    Browser,
    EventId,
    Evidence,
    User,
}

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
    key: HashKey,
}

impl Fingerprints {
    /// With the deployment's secret.
    #[must_use]
    pub fn new(key: HashKey) -> Self {
        Self { key }
    }

    fn hasher(&self, kind: Kind) -> SipHasher24 {
        let mut hasher = SipHasher24::new_with_key(&self.key.0);
        hasher.write_u8(kind as u8);
        hasher
    }

    fn hash(&self, kind: Kind, text: &str) -> u64 {
        let mut hasher = self.hasher(kind);
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    /// A device cookie's hash.
    #[must_use]
    pub fn cookie(&self, cookie: &str) -> u64 {
        self.hash(Kind::Cookie, cookie)
    }

    /// The hash of an event's id.
    #[must_use]
    pub fn event_id(&self, id: &str) -> u64 {
        self.hash(Kind::EventId, id)
    }

    /// A user agent's print. A long one is compared by its text alone: it is no real browser's, and
    /// its version could be anything.
    #[must_use]
    pub fn agent(&self, text: &str, facts: &AgentFacts) -> AgentPrint {
        let browser = facts.browser.as_ref().filter(|_| text.len() <= MAX_PARSED_AGENT_BYTES).and_then(|browser| {
            let version = browser.version.clone()?;
            let mut hasher = self.hasher(Kind::Browser);
            write_text(&mut hasher, &browser.name);
            write_text(&mut hasher, &browser.os);
            Some((hasher.finish() as u32, version))
        });
        AgentPrint { text: self.hash(Kind::UserAgent, text), browser }
    }

    /// The hash of an attempt's evidence: canonical address or none, user agent, device cookie.
    #[must_use]
    pub fn evidence(&self, ip: Option<IpAddr>, user_agent: Option<&str>, cookie: Option<&str>) -> u64 {
        let mut hasher = self.hasher(Kind::Evidence);
        match ip {
            None => hasher.write_u8(0),
            Some(IpAddr::V4(v4)) => {
                hasher.write_u8(4);
                hasher.write(&v4.octets());
            }
            Some(IpAddr::V6(v6)) => {
                hasher.write_u8(6);
                hasher.write(&v6.octets());
            }
        }
        for text in [user_agent, cookie] {
            hasher.write_u8(u8::from(text.is_some()));
            write_text(&mut hasher, text.unwrap_or_default());
        }
        hasher.finish()
    }

    /// The 128-bit name under which a user's profile is kept: two users share it with a chance that
    /// does not count.
    #[must_use]
    pub fn user(&self, tenant: &str, user: &str) -> u128 {
        let mut hasher = SipHasher24x128::new_with_key(&self.key.0);
        hasher.write_u8(Kind::User as u8);
        // The length keeps "a" + "bc" and "ab" + "c" apart.
        hasher.write_u64(tenant.len() as u64);
        hasher.write(tenant.as_bytes());
        hasher.write(user.as_bytes());
        hasher.finish128().as_u128()
    }
}

fn write_text(hasher: &mut SipHasher24, text: &str) {
    hasher.write_u64(text.len() as u64);
    hasher.write(text.as_bytes());
}
