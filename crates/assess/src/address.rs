//! What an address is, for one tenant: the classes that decide whether its place and its list entries
//! mean anything.

use std::net::IpAddr;

use model::Confidence;
use model::evidence::{AddressFacts, ListMatch};
use profile::answers::StoredEntry;

use crate::settings::Settings;

/// The class of an address.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddressClass {
    /// Private, loopback and the like.
    pub non_public: bool,
    /// A relay: its place is not its user's.
    pub relay: bool,
    /// An anonymizer's entry counts for it.
    pub anonymised: bool,
    /// The deny list entry that counts most.
    pub entry: Option<RatedEntry>,
    /// The deny lists could not be asked.
    pub lists_failed: bool,
}

/// A deny list entry with its confidence.
#[derive(Debug, Clone, PartialEq)]
pub struct RatedEntry {
    /// What is reported.
    pub evidence: StoredEntry,
    /// The tenant's for the list, else the list's own, else its category's.
    pub confidence: Confidence,
}

impl AddressClass {
    /// Classifies a (canonical) address by what is known about it and by the tenant's settings.
    #[must_use]
    pub fn of(ip: IpAddr, facts: &AddressFacts, settings: &Settings) -> Self {
        if facts.non_public {
            return Self { non_public: true, ..Self::default() };
        }
        if settings.allows(ip) {
            return Self { lists_failed: facts.matches.is_err(), ..Self::default() };
        }
        let Ok(matches) = &facts.matches else {
            return Self { relay: facts.relay, lists_failed: true, ..Self::default() };
        };
        let list_use = |entry: &ListMatch| settings.list_use(&entry.list);
        let counts = |entry: &&ListMatch| {
            !(facts.relay && entry.category.is_natural_for_relays()) && list_use(entry).is_none_or(|list| list.counts)
        };
        let counting = || matches.iter().filter(counts);
        let confidence = |entry: &ListMatch| {
            let own = list_use(entry).and_then(|list| list.confidence).or(entry.confidence);
            own.unwrap_or_else(|| settings.confidence(entry.category.answer()))
        };
        // The lowest confidence (neutral comes last), then the longest prefix, then the list's name.
        let worst = counting().min_by(|a, b| {
            let rank = |entry: &ListMatch| (confidence(entry), std::cmp::Reverse(entry.prefix_len));
            rank(a).cmp(&rank(b)).then_with(|| a.list.as_bytes().cmp(b.list.as_bytes()))
        });
        Self {
            non_public: false,
            relay: facts.relay,
            anonymised: counting().any(|entry| entry.category.is_anonymizer()),
            entry: worst.map(|entry| RatedEntry {
                evidence: StoredEntry {
                    ip,
                    prefix_len: entry.prefix_len,
                    source: entry.list.clone(),
                    category: entry.category,
                },
                confidence: confidence(entry),
            }),
            lists_failed: false,
        }
    }
}
