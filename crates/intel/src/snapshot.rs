//! One immutable state of all data.

use std::net::IpAddr;
use std::sync::Arc;

use model::evidence::{AddressFacts, AgentFacts, DataVersions, Intelligence, ListMatch, LookupFailed, SourceState};
use model::is_non_public;

use crate::agents::Agents;
use crate::databases::Database;
use crate::deny_lists::{DenyLists, NetworkSet};

/// The name under which the Anonymous-IP database stands beside the deny lists.
pub const ANONYMOUS_IP: &str = "anonymous-ip";

/// A source that was configured: there, or not to be loaded.
#[derive(Debug, Default)]
pub enum Source<T> {
    /// Not configured.
    #[default]
    Absent,
    /// Configured, but it could not be loaded.
    Unavailable,
    /// Loaded.
    Ready(T),
}

impl<T> Source<T> {
    /// Whether it was configured and could be loaded.
    #[must_use]
    pub fn state(&self) -> SourceState {
        match self {
            Source::Absent => SourceState::Absent,
            Source::Unavailable => SourceState::Unavailable,
            Source::Ready(_) => SourceState::Ready,
        }
    }

    fn ready(&self) -> Option<&T> {
        match self {
            Source::Ready(value) => Some(value),
            _ => None,
        }
    }
}

/// The content of a snapshot.
#[derive(Debug, Default)]
pub struct Content {
    /// The City database.
    pub city: Source<Database>,
    /// The ASN database.
    pub asn: Source<Database>,
    /// The Anonymous-IP database.
    pub anonymous: Source<Database>,
    /// All deny lists.
    pub deny_lists: Source<DenyLists>,
    /// All relay lists.
    pub relays: NetworkSet,
    /// Which data these are.
    pub versions: DataVersions,
}

/// What is known about a loaded source, for metrics and for people.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceInfo {
    /// `city`, `asn`, `anonymous-ip`, or the name of a list.
    pub name: String,
    /// Digest of its content.
    pub version: String,
    /// When its content was made, in seconds since the epoch: a database's build time, a list's file
    /// time.
    pub made_at_s: u64,
    /// Entries of a list; databases have none counted.
    pub entries: Option<usize>,
}

/// One immutable state of all data.
#[derive(Debug)]
pub struct Snapshot {
    content: Content,
    agents: Agents,
    lists: SourceState,
    anonymous_name: Arc<str>,
}

impl Snapshot {
    /// Of this content; the cache of user agents outlives a snapshot.
    #[must_use]
    pub fn new(content: Content, agents: Agents) -> Self {
        let states = [content.deny_lists.state(), content.anonymous.state()];
        let any = |wanted| states.contains(&wanted);
        let lists = if any(SourceState::Ready) {
            SourceState::Ready
        } else if any(SourceState::Unavailable) {
            SourceState::Unavailable
        } else {
            SourceState::Absent
        };
        Self { content, agents, lists, anonymous_name: ANONYMOUS_IP.into() }
    }

    fn matches(&self, ip: IpAddr) -> Result<Vec<ListMatch>, LookupFailed> {
        let mut matches = self.content.deny_lists.ready().map(|lists| lists.matches(ip)).unwrap_or_default();
        if let Some(database) = self.content.anonymous.ready()
            && let Some((category, prefix_len)) = database.anonymous(ip)?
        {
            matches.push(ListMatch { list: self.anonymous_name.clone(), category, confidence: None, prefix_len });
        }
        Ok(matches)
    }
}

impl Intelligence for Snapshot {
    /// Looked up each time. A cache of 65,536 addresses cost as much where it held all of them (a hit is some
    /// far-away lines of memory, and the upper parts of lists and tree are near), and a twelfth of the whole
    /// stream's processor time where there were more.
    fn address(&self, ip: IpAddr) -> AddressFacts {
        if is_non_public(ip) {
            return AddressFacts {
                non_public: true,
                relay: false,
                matches: Ok(Vec::new()),
                geo: Ok(None),
                network: None,
            };
        }
        AddressFacts {
            non_public: false,
            relay: self.content.relays.contains(ip),
            matches: self.matches(ip),
            geo: self.content.city.ready().map_or(Ok(None), |database| database.city(ip)),
            // Evidence for the log alone: a damaged record leaves it out.
            network: self.content.asn.ready().and_then(|database| database.asn(ip).ok().flatten()),
        }
    }

    fn agent(&self, text: &str) -> Arc<AgentFacts> {
        self.agents.facts(text)
    }

    fn city(&self) -> SourceState {
        self.content.city.state()
    }

    fn lists(&self) -> SourceState {
        self.lists
    }

    fn versions(&self) -> &DataVersions {
        &self.content.versions
    }
}
