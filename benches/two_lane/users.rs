//! Many users without many logins: what the engine leaves of a few, under the names of others.
//!
//! All users of one kind log in alike, with the same cookies from the same places, so that their profiles are
//! the same to the byte. The first of each kind are made by the engine; the others are copies, and it is
//! checked that the engine would have made them.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use credence::config::Config;
use credence::data::{self, ScoringContext};
use engine::{Backing, BackingError, Partition};
use intel::Agents;
use model::codec::decode;
use profile::Fingerprints;

/// Kinds of users.
const KINDS: u32 = 500;
/// Logins that make a profile: three devices, two places, three answers.
pub(crate) const LOGINS: u32 = 3;
/// Time of the first login, and between two of one user: a little over a day.
const START_MS: i64 = 1_767_571_200_000;
const BETWEEN_MS: i64 = 97_431_017;

const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.7499.41 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
];

/// Tenant and name of a user.
pub(crate) fn name(user: u32) -> (String, String) {
    (format!("tenant-{}.example", user % 10), format!("auth0|{user:08}"))
}

/// The Kafka key of a user's events.
pub(crate) fn key(user: u32) -> Vec<u8> {
    let (tenant, user) = name(user);
    format!("{tenant}/{user}").into_bytes()
}

/// A login of a user: his third device, again and again, after the first ones.
pub(crate) fn login(user: u32, login: u32) -> String {
    login_with_id(user, login, &format!("login-{:06}-{login:09}", user % KINDS))
}

/// The same with an id of its own.
pub(crate) fn login_with_id(user: u32, login: u32, id: &str) -> String {
    let kind = user % KINDS;
    let device = login.min(LOGINS - 1) % 3;
    let city = ((kind + login % 2 * 7) % 32) as usize;
    let address = sim::networks::access_host(city, sim::networks::Access::ResidentialA, (kind % 200) as u8);
    let agent = AGENTS[(device + kind) as usize % AGENTS.len()];
    let time = START_MS + i64::from(login) * BETWEEN_MS + i64::from(kind) * 13;
    let (tenant, user) = name(user);
    format!(
        r#"{{"id":"{id}","time":{time},"tenant":{{"id":"{tenant}"}},"user":{{"user_id":"{user}"}},"request":{{"ip":"{address}","user_agent":"{agent}"}},"device":{{"id":"cookie-{kind}-{device}"}}}}"#
    )
}

/// An engine's context, by a configuration.
pub(crate) fn context(config: &Config) -> Result<ScoringContext> {
    let loaded = data::load(config, &Agents::default())?;
    Ok(data::context(config, &data::tenants(config, None)?, Arc::new(loaded.snapshot)))
}

/// One step of the engine.
pub(crate) fn step(partition: &mut Partition, context: &ScoringContext, event: &str) -> Result<()> {
    let mut scratch = String::new();
    let event = decode(event.as_bytes(), None, &mut scratch)?;
    let step = partition.step(&event, None, context)?;
    ensure!(step.answered.is_some(), "a login without an answer");
    Ok(())
}

/// Nothing is stored.
#[derive(Debug)]
struct Nothing;

impl Backing for Nothing {
    fn get(&self, _: &[u8]) -> Result<Option<Box<[u8]>>, BackingError> {
        Ok(None)
    }

    fn scan(&self, _: &[u8], _: usize, _: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), BackingError> {
        Ok(())
    }
}

/// The profiles of all users.
pub(crate) struct Users {
    /// By kind.
    profiles: Vec<Box<[u8]>>,
    /// What is stored beside profiles: key and value.
    pub(crate) others: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Users {
    pub(crate) fn new(context: &ScoringContext, fingerprints: &Fingerprints) -> Result<Users> {
        let mut partition = Partition::open(Arc::new(Nothing), 64 << 20)?;
        let all: Vec<u32> = (0..KINDS).chain((0..50).map(|other| KINDS * (other + 1) + other * 9)).collect();
        for number in 0..LOGINS {
            for user in &all {
                step(&mut partition, context, &login(*user, number))?;
            }
        }
        let (mut found, mut others) = (std::collections::HashMap::new(), Vec::new());
        partition.take_changes(1, |key, value| {
            let value = value.unwrap_or_default();
            if rmp_serde::from_slice::<(&str, &str)>(key).is_ok() {
                found.insert(key.to_vec(), Box::<[u8]>::from(value));
            } else {
                others.push((key.to_vec(), value.to_vec()));
            }
        });
        let profile = |user: u32| found.get(&record_key(user)).cloned().context("a user without a profile");
        let users = Users { profiles: (0..KINDS).map(profile).collect::<Result<_>>()?, others };
        for user in &all {
            let (tenant, name) = name(*user);
            let profile = partition.profile(&tenant, &name, fingerprints)?;
            let found = (profile.devices.0.len(), profile.places.stored.len(), profile.answers.len());
            ensure!(found == (3, 2, LOGINS as usize), "user {user} has {found:?} devices, places and answers");
        }
        for user in all {
            ensure!(*profile(user)? == *users.profile(user), "user {user} is not like the others of his kind");
        }
        Ok(users)
    }

    /// The packed profile of a user.
    pub(crate) fn profile(&self, user: u32) -> &[u8] {
        &self.profiles[(user % KINDS) as usize]
    }
}

/// The key of a user's profile in the changelog and in the store.
pub(crate) fn record_key(user: u32) -> Vec<u8> {
    // Two texts can always be written.
    rmp_serde::to_vec(&name(user)).unwrap_or_default()
}
