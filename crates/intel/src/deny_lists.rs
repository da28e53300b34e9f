//! All deny lists in one prefix tree: one walk answers for all of them.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use model::Confidence;
use model::assessment::Category;
use model::evidence::ListMatch;
use prefix_trie::joint::{JointPrefixMap, JointPrefixSet};

/// Most deny lists of a deployment: an entry's lists are the bits of one integer.
pub const MAX_LISTS: usize = 64;

/// What a deny list is, apart from its entries.
#[derive(Debug, Clone, PartialEq)]
pub struct ListIdentity {
    /// Its name, unique.
    pub name: Arc<str>,
    /// What it lists.
    pub category: Category,
    /// A confidence of its own, never neutral.
    pub confidence: Option<Confidence>,
}

/// The deny lists of a deployment.
#[derive(Debug, Default)]
pub struct DenyLists {
    lists: Vec<ListIdentity>,
    tree: JointPrefixMap<IpNet, u64>,
}

impl DenyLists {
    /// Adds entries to a list; a list of the same name is the same list. Answers whether there was room
    /// for it: [`MAX_LISTS`] is the limit.
    pub fn add(&mut self, identity: ListIdentity, entries: &[IpNet]) -> bool {
        let position = self.lists.iter().position(|list| list.name == identity.name);
        let index = position.unwrap_or(self.lists.len());
        if index >= MAX_LISTS {
            return false;
        }
        if position.is_none() {
            self.lists.push(identity);
        }
        for entry in entries {
            *self.tree.entry(*entry).or_insert(0) |= 1 << index;
        }
        true
    }

    /// How many lists there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether there is no list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// The longest entry of each list that covers the (canonical) address.
    #[must_use]
    pub fn matches(&self, ip: IpAddr) -> Vec<ListMatch> {
        let network = IpNet::from(ip);
        // Most addresses are on no list, which costs a tenth of the walk to find out.
        if self.tree.get_lpm(&network).is_none() {
            return Vec::new();
        }
        let mut longest = [0u8; MAX_LISTS];
        let mut found = 0u64;
        // From the shortest prefix to the longest, so that the last one stays.
        for (prefix, &lists) in self.tree.cover(&network) {
            found |= lists;
            let mut rest = lists;
            while rest != 0 {
                longest[rest.trailing_zeros() as usize] = prefix.prefix_len();
                rest &= rest - 1;
            }
        }
        let of = |(index, list): (usize, &ListIdentity)| {
            (found >> index & 1 == 1).then(|| ListMatch {
                list: list.name.clone(),
                category: list.category,
                confidence: list.confidence,
                prefix_len: longest[index],
            })
        };
        self.lists.iter().enumerate().filter_map(of).collect()
    }
}

/// A set of networks: relay lists.
#[derive(Debug, Default)]
pub struct NetworkSet(JointPrefixSet<IpNet>);

impl NetworkSet {
    /// Adds networks.
    pub fn add(&mut self, networks: &[IpNet]) {
        for network in networks {
            self.0.insert(*network);
        }
    }

    /// Whether a network covers the address.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.get_lpm(&IpNet::from(ip)).is_some()
    }
}
