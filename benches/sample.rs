//! What the benches share: the small world's databases and lists, and traffic on them.

// Each bench is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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

/// Time of the first login, and between two of one user: a little over a day.
const START_MS: i64 = 1_767_571_200_000;
const BETWEEN_MS: i64 = 97_431_017;

const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.7499.41 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
];

/// A login with one of the user's three devices from one of his two cities.
pub(crate) fn login(user: u32, login: u32) -> String {
    let device = login % 3;
    let city = ((user + login % 2 * 7) % 32) as usize;
    let address = sim::networks::access_host(city, sim::networks::Access::ResidentialA, (user % 200) as u8);
    let agent = AGENTS[(device + user) as usize % AGENTS.len()];
    let time = START_MS + i64::from(login) * BETWEEN_MS + i64::from(user) * 13;
    format!(
        r#"{{"id":"login-{user}-{login}","time":{time},"tenant":{{"id":"tenant-{}.example"}},"user":{{"user_id":"auth0|{user:06}"}},"request":{{"ip":"{address}","user_agent":"{agent}"}},"device":{{"id":"cookie-{user}-{device}"}}}}"#,
        user % 10
    )
}

/// Resident memory of this process. Linux tells it in pages of 4096 bytes; elsewhere it is 0.
pub(crate) fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).map_or(0, |pages| pages * 4096)
}

/// How long this thread has been running, without the time that it waited for a processor or a disk. Linux
/// tells it; elsewhere it is 0.
pub(crate) fn thread_time() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    schedstat.split_whitespace().next().and_then(|ns| ns.parse().ok()).map_or(Duration::ZERO, Duration::from_nanos)
}
