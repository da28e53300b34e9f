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

/// Room for tenant and user together while they are hashed.
const USUAL_USER_BYTES: usize = 128;

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

    /// The hash of a user agent's text.
    #[must_use]
    pub fn agent_text(&self, text: &str) -> u64 {
        self.hash(Kind::UserAgent, text.as_bytes())
    }

    /// A user agent's print. A long one is compared by its text alone: it is no real browser's, and
    /// its version could be anything.
    #[must_use]
    pub fn agent(&self, text: &str, facts: &AgentFacts) -> AgentPrint {
        let browser = facts.browser.as_ref().filter(|_| text.len() <= MAX_PARSED_AGENT_BYTES).and_then(|browser| {
            let version = browser.version.clone()?;
            let mut named = Vec::with_capacity(128);
            push_text(&mut named, Some(&browser.name));
            push_text(&mut named, Some(&browser.os));
            Some((self.hash(Kind::Browser, &named) as u32, version))
        });
        AgentPrint { text: self.agent_text(text), browser }
    }

    /// The hash of an attempt's evidence: canonical address or none, and the hashes of user agent and
    /// device cookie. 32 bits stand beside the 64 of the event's id: whoever does not know the key would
    /// have to guess for one id.
    #[must_use]
    pub fn evidence(&self, ip: Option<IpAddr>, agent_text: Option<u64>, cookie: Option<u64>) -> u32 {
        // Address and hashes in places of their own, and what is there.
        let mut shown = [0; 33];
        let (family, address) = match ip {
            None => (0, 0),
            Some(IpAddr::V4(v4)) => (4, v4.to_bits().into()),
            Some(IpAddr::V6(v6)) => (6, v6.to_bits()),
        };
        shown[0] = family | u8::from(agent_text.is_some()) << 3 | u8::from(cookie.is_some()) << 4;
        shown[1..17].copy_from_slice(&address.to_le_bytes());
        shown[17..25].copy_from_slice(&agent_text.unwrap_or_default().to_le_bytes());
        shown[25..33].copy_from_slice(&cookie.unwrap_or_default().to_le_bytes());
        self.hash(Kind::Evidence, &shown) as u32
    }

    /// The 128-bit name under which a user's profile is kept: two users share it with a chance that
    /// does not count.
    #[must_use]
    pub fn user(&self, tenant: &str, user: &str) -> u128 {
        // The tenant as `push_text` writes it, then the user. Few are longer than what fits in place.
        let (tenant, user) = (tenant.as_bytes(), user.as_bytes());
        let hasher = SipHasher24x128::new_with_key(&self.keys[Kind::User as usize].0);
        let mut named = [0; USUAL_USER_BYTES];
        let end = 9 + tenant.len() + user.len();
        if let Some(named) = named.get_mut(..end) {
            named[0] = 1;
            named[1..9].copy_from_slice(&(tenant.len() as u64).to_le_bytes());
            named[9..9 + tenant.len()].copy_from_slice(tenant);
            named[9 + tenant.len()..].copy_from_slice(user);
            return hasher.hash(named).as_u128();
        }
        hasher.hash(&[&[1], &(tenant.len() as u64).to_le_bytes()[..], tenant, user].concat()).as_u128()
    }
}

/// Appends a text so that no two lists of texts give the same bytes.
pub fn push_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    bytes.push(u8::from(text.is_some()));
    let text = text.unwrap_or_default();
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_hashed_as_short_ones() {
        let fingerprints = Fingerprints::new(HashKey([3; 16]));
        for length in 0..300 {
            let user = "u".repeat(length);
            let mut named = Vec::new();
            push_text(&mut named, Some("tenant"));
            named.extend_from_slice(user.as_bytes());
            let hasher = SipHasher24x128::new_with_key(&fingerprints.keys[Kind::User as usize].0);
            assert_eq!(fingerprints.user("tenant", &user), hasher.hash(&named).as_u128());
        }
    }
}
