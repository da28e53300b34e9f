//! What the benches share: the small world's databases and lists, and traffic on them.

// Each bench is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;

use assess::Settings;
use credence::data::ScoringContext;
use engine::Context;
use intel::{Agents, DenyListSource, Snapshot, Sources};
use model::assessment::Category;
use profile::{Fingerprints, HashKey};
use sim::{Demo, Traffic, TrafficConfig};

/// The databases and lists of the small world as a configuration names them.
pub(crate) fn sources(demo: &Demo) -> Sources {
    let deny_lists = demo.deny_lists.iter().map(|list| DenyListSource {
        name: list.name.to_owned(),
        category: Category::ALL
            .into_iter()
            .find(|category| category.as_str() == list.category)
            .expect("the lists of the small world have known categories"),
        path: list.path.clone(),
        confidence: None,
    });
    Sources {
        city: Some(demo.city.clone()),
        asn: Some(demo.asn.clone()),
        anonymous: Some(demo.anonymous.clone()),
        deny_lists: deny_lists.collect(),
        relay_lists: demo.relay_lists.clone(),
        degrade: false,
    }
}

/// Writes the small world's data into a folder.
pub(crate) fn small_world(folder: &Path) -> Demo {
    Demo::write(folder).expect("the folder can be written to")
}

/// Loads sources.
pub(crate) fn snapshot(sources: &Sources) -> Snapshot {
    intel::load(sources, Agents::default()).expect("the sources were made here").snapshot
}

/// A context with these settings and data. The key is fixed: every run makes the same hashes.
pub(crate) fn context(settings: Settings, snapshot: Snapshot) -> ScoringContext {
    Context::new(Arc::new(settings), "bench".into(), Arc::new(snapshot), fingerprints())
}

/// The hashes of all benches.
pub(crate) fn fingerprints() -> Fingerprints {
    Fingerprints::new(HashKey(*b"benches use this"))
}

/// Logins of these users in order of arrival, failures, completions, duplicates and attacks among them.
pub(crate) fn traffic(users: u32, logins: u64) -> Traffic {
    let config = TrafficConfig { users, logins, ..TrafficConfig::default() };
    Traffic::new(config).expect("the settings are in range")
}
