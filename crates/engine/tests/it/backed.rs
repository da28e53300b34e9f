//! A partition on a backing: a double of the changelog and the local store, and what holds of both.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use engine::{Backing, BackingError, Partition};

use crate::world::*;

/// What is stored, in memory.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    entries: RwLock<BTreeMap<Vec<u8>, Box<[u8]>>>,
    fails: AtomicBool,
}

impl Stored {
    pub(crate) fn set_failing(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), BackingError> {
        let fails = self.fails.load(Ordering::Relaxed);
        if fails { Err(BackingError::Failed("the disk is gone".into())) } else { Ok(()) }
    }

    pub(crate) fn set(&self, key: &[u8], value: Option<&[u8]>) {
        let mut entries = self.entries.write().unwrap();
        match value {
            Some(value) => drop(entries.insert(key.to_vec(), value.into())),
            None => drop(entries.remove(key)),
        }
    }

    pub(crate) fn entries(&self) -> BTreeMap<Vec<u8>, Box<[u8]>> {
        self.entries.read().unwrap().clone()
    }
}

impl Backing for Stored {
    fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, BackingError> {
        self.check()?;
        Ok(self.entries.read().unwrap().get(key).cloned())
    }

    fn scan(&self, from: &[u8], limit: usize, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), BackingError> {
        self.check()?;
        for (key, value) in self.entries.read().unwrap().range(from.to_vec()..).take(limit) {
            each(key, value);
        }
        Ok(())
    }
}

type Change = (Vec<u8>, Option<Vec<u8>>);

/// A world on a backing, with the batches that are on their way to it.
pub(crate) struct Backed {
    pub(crate) world: World,
    pub(crate) stored: Arc<Stored>,
    budget: usize,
    under_way: VecDeque<(u64, Vec<Change>)>,
    next_batch: u64,
}

impl Backed {
    pub(crate) fn new(budget: usize, settings: &[(&str, &str)]) -> Self {
        let mut world = World::with_settings(settings);
        let stored = Arc::<Stored>::default();
        world.partition = Partition::open(stored.clone(), budget).unwrap();
        Self { world, stored, budget, under_way: VecDeque::new(), next_batch: 0 }
    }

    /// Closes the batch; answers what it changes.
    pub(crate) fn take(&mut self) -> &[Change] {
        let mut changes = Vec::new();
        let own = |key: &[u8], value: Option<&[u8]>| (key.to_vec(), value.map(<[u8]>::to_vec));
        self.world.partition.take_changes(self.next_batch, |key, value| changes.push(own(key, value)));
        self.under_way.push_back((self.next_batch, changes));
        self.next_batch += 1;
        self.under_way.back().map_or(&[], |(_, changes)| changes)
    }

    /// Writes the oldest batch that is under way; the partition is not told.
    pub(crate) fn write_oldest(&mut self) -> Option<u64> {
        let (batch, changes) = self.under_way.pop_front()?;
        for (key, value) in changes {
            self.stored.set(&key, value.as_deref());
        }
        Some(batch)
    }

    /// Stores the oldest batch that is under way; whether there was one.
    pub(crate) fn store_oldest(&mut self) -> bool {
        let batch = self.write_oldest();
        if let Some(batch) = batch {
            self.world.partition.stored(batch);
        }
        batch.is_some()
    }

    /// Closes the batch and stores everything.
    pub(crate) fn commit(&mut self) {
        self.take();
        while self.store_oldest() {}
    }

    pub(crate) fn rewind(&mut self) {
        self.under_way.clear();
        self.world.partition.rewind().unwrap();
    }

    /// A new process on what is stored.
    pub(crate) fn restart(&mut self) {
        self.under_way.clear();
        self.world.partition = Partition::open(self.stored.clone(), self.budget).unwrap();
    }
}

fn of_user(user: &'static str, at: i64) -> Event {
    attempt(at).user(user)
}

#[test]
fn a_change_that_follows_one_that_was_stored_is_taken_back_alone() {
    let mut backed = Backed::new(1 << 20, &[]);
    backed.world.send(&attempt(0));
    backed.commit();
    let cached = backed.world.profile("u1");
    backed.world.send(&attempt(HOUR));
    backed.take();
    let first = backed.world.profile("u1");
    backed.world.send(&attempt(2 * HOUR));
    backed.take();
    assert!(backed.store_oldest());
    backed.rewind();
    assert_ne!(first, cached);
    assert_eq!(backed.world.profile("u1"), first, "neither the newest nor the copy from before");
}

#[test]
fn a_batch_that_was_written_and_not_announced_is_not_taken_back() {
    let mut backed = Backed::new(1 << 20, &[]);
    backed.world.send(&attempt(0));
    backed.commit();
    backed.world.send(&attempt(HOUR));
    backed.take();
    let written = backed.world.profile("u1");
    backed.write_oldest();
    backed.rewind();
    assert_eq!(backed.world.profile("u1"), written);
}

#[test]
fn a_batch_holds_each_changed_key_once_with_its_newest_value() {
    let mut backed = Backed::new(1 << 20, &[]);
    for minute in 0..5 {
        backed.world.send(&attempt(minute * HOUR));
        backed.world.send(&of_user("u2", minute * HOUR));
    }
    let keys: Vec<Vec<u8>> = backed.take().iter().map(|(key, _)| key.clone()).collect();
    let name = |user: &str| rmp_serde::to_vec(&("acme.example", user)).unwrap();
    let data_set = rmp_serde::to_vec(&("data_versions", 0)).unwrap();
    assert_eq!(keys.len(), 3, "one set of data versions and two users");
    assert_eq!(keys[0][..data_set.len() - 1], data_set[..data_set.len() - 1]);
    assert_eq!(keys[1..], [name("u1"), name("u2")]);
    assert!(backed.take().is_empty());
    backed.world.send(&attempt(0));
    assert!(backed.take().is_empty(), "a repeated answer changes nothing");
}

#[test]
fn tenants_and_users_are_told_apart() {
    let mut backed = Backed::new(0, &[]);
    let event = |tenant, user, at| Event { tenant, user, ..attempt(at) };
    assert_eq!(backed.world.send(&event("a/b", "c", 0)).device(), "initial_login");
    backed.commit();
    assert_eq!(backed.world.send(&event("a", "b/c", HOUR)).device(), "initial_login");
    backed.commit();
    assert_eq!(backed.world.send(&event("a/b", "c", 2 * HOUR)).device(), "match");
    assert_eq!(backed.world.send(&event("data_versions", "0", HOUR)).device(), "initial_login");
    backed.commit();
    assert_eq!(backed.stored.entries().len(), 4);
}

#[test]
fn a_failing_backing_is_an_error_and_changes_nothing() {
    let mut backed = Backed::new(0, &[]);
    backed.world.send(&attempt(0));
    backed.commit();
    let before = backed.stored.entries();
    backed.stored.set_failing(true);
    let challenged = attempt(HOUR).from(VPN).with(FIREFOX_121, "");
    for event in [attempt(HOUR), of_user("u2", HOUR), challenged.completed(HOUR, "success")] {
        assert!(matches!(backed.world.try_send(&event), Err(BackingError::Failed(_))));
    }
    assert!(backed.world.partition.rewind().is_err());
    assert!(backed.world.sweep(500 * DAY, 10).is_err());
    assert!(Partition::open(backed.stored.clone(), 0).is_err());
    // A failed login needs no state.
    assert_eq!(backed.world.send(&attempt(HOUR).outcome("failed_password")).log_type(), "fp");
    backed.stored.set_failing(false);
    backed.world.partition.rewind().unwrap();
    assert!(backed.take().is_empty());
    assert_eq!(backed.stored.entries(), before);
    assert_eq!(backed.world.send(&attempt(HOUR)).device(), "match");
}

#[test]
fn a_stored_profile_that_cannot_be_read_is_answered_and_stays() {
    let mut backed = Backed::new(1 << 20, &[]);
    let key = rmp_serde::to_vec(&("acme.example", "u1")).unwrap();
    backed.stored.set(&key, Some(b"\xffnot a profile"));
    let seen = backed.world.send(&attempt(0));
    assert_eq!((seen.device().as_str(), seen.overall().as_str()), ("assessment_not_available", "low"));
    assert_eq!(backed.world.partition.stats().corrupt, 1);
    assert_eq!(backed.world.sweep(500 * DAY, 10).unwrap(), 0, "what cannot be read is not thrown away");
    backed.commit();
    assert_eq!(&*backed.stored.entries()[&key], b"\xffnot a profile");
}

#[test]
fn what_is_over_leaves_and_nothing_else() {
    let stays = |backed: &mut Backed, at: i64| {
        backed.world.sweep(at, 100).unwrap();
        backed.commit();
        backed.stored.entries().contains_key(&rmp_serde::to_vec(&("acme.example", "u1")).unwrap())
    };
    // A user with a mark: the history's time, and a day for who is late.
    let mut backed = Backed::new(1 << 20, &[]);
    backed.world.send(&attempt(0));
    backed.commit();
    assert!(stays(&mut backed, 401 * DAY - 1));
    assert!(!stays(&mut backed, 401 * DAY));
    assert_eq!(backed.world.send(&attempt(401 * DAY)).device(), "initial_login");
    // A challenge that nobody passed: no mark. The attempt waits for an hour.
    let mut backed = Backed::new(1 << 20, &[("force_low", "UntrustedIP.found_on_deny_list.tor")]);
    assert_eq!(backed.world.send(&attempt(0).from(TOR)).log_type(), "mfar");
    backed.commit();
    assert!(stays(&mut backed, DAY + HOUR - 1));
    assert!(!stays(&mut backed, DAY + HOUR));
    // An event whose clock was ahead: an answer, and nothing learnt. It repeats for ten minutes.
    let mut backed = Backed::new(1 << 20, &[]);
    let ahead = serde_json::to_vec(&attempt(0).json()).unwrap();
    backed.world.send_bytes(&ahead, Some(-HOUR)).unwrap();
    backed.commit();
    assert!(stays(&mut backed, DAY + 10 * MINUTE));
    assert!(!stays(&mut backed, DAY + 10 * MINUTE + 1));
    assert_eq!(backed.stored.entries().len(), 1, "the data versions stay");
}

#[test]
fn a_sweep_goes_round_in_steps_and_leaves_what_has_just_changed() {
    let users = ["u0", "u1", "u2", "u3", "u4", "u5", "u6"];
    let mut backed = Backed::new(0, &[]);
    for user in users {
        backed.world.send(&of_user(user, 0));
    }
    backed.commit();
    // Nobody else knows of it yet.
    backed.world.send(&of_user("u3", 500 * DAY));
    let left: Vec<usize> = (0..4).map(|_| backed.world.sweep(500 * DAY, 3).unwrap()).collect();
    assert_eq!(left.iter().sum::<usize>(), 6, "{left:?}");
    backed.rewind();
    backed.world.send(&of_user("u3", 500 * DAY));
    let again: usize = (0..4).map(|_| backed.world.sweep(500 * DAY, 3).unwrap()).sum();
    assert_eq!(again, 6, "what was taken back is seen in the next round");
    let tombstones = backed.take().iter().filter(|(_, value)| value.is_none()).count();
    assert_eq!(tombstones, 6);
    // One of them comes back before the batch is stored.
    backed.world.send(&of_user("u5", 500 * DAY));
    backed.commit();
    assert_eq!(backed.stored.entries().len(), 3, "u3, u5 and the data versions");
    assert_eq!(backed.world.send(&of_user("u5", 501 * DAY)).device(), "match");
    assert_eq!(backed.world.send(&of_user("u6", 501 * DAY)).device(), "initial_login");
}

#[test]
fn a_repeated_answer_names_its_data_versions_after_a_restart_and_a_rewind() {
    let mut backed = Backed::new(0, &[]);
    let other_city = |world: &mut World, name: &str| {
        world.data.versions.city = Some(name.into());
        world.changed();
    };
    let first = backed.world.send(&attempt(0));
    backed.commit();
    other_city(&mut backed.world, "city-2");
    let second = backed.world.send(&of_user("u2", 0));
    backed.rewind();
    assert_eq!(backed.world.send(&of_user("u2", 0)), second, "the same number again");
    backed.commit();
    for n in 3..80 {
        other_city(&mut backed.world, &format!("city-{n}"));
        backed.world.send(&of_user("u3", n * HOUR));
        if n % 3 == 0 {
            backed.commit();
        }
    }
    backed.restart();
    assert_eq!(backed.world.send(&attempt(0)).verdict, first.verdict);
    assert_eq!(backed.world.send(&of_user("u2", 0)).verdict, second.verdict);
    assert!(backed.take().is_empty());
}

#[test]
fn data_versions_that_cannot_be_read_are_an_error_that_names_their_key() {
    let mut backed = Backed::new(0, &[]);
    backed.world.send(&attempt(0));
    backed.commit();
    let key = backed.stored.entries().into_keys().find(|key| key.starts_with(b"\x92\xaddata_versions")).unwrap();
    backed.stored.set(&key, Some(b"\x07"));
    let error = Partition::open(backed.stored.clone(), 0).unwrap_err().to_string();
    assert!(error.contains(r#"["data_versions", 0]"#) && error.contains("format 7"), "{error}");
}

#[test]
fn a_budget_for_a_few_users_gives_the_answers_of_a_boundless_memory() {
    const USERS: [&str; 12] = ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9", "u10", "u11"];
    let budget = 2_000;
    let (mut backed, mut memory) = (Backed::new(budget, &[]), World::new());
    for n in 0..2_000usize {
        let user = USERS[(n * 7 + n / 5) % USERS.len()];
        let event = of_user(user, n as i64 * 11 * MINUTE).from([LONDON, PARIS, TOKYO, VPN][n / 3 % 4]);
        assert_eq!(backed.world.send(&event), memory.send(&event));
        if n % 10 == 0 {
            backed.commit();
            let stats = backed.world.partition.stats();
            assert_eq!((stats.changed_profiles, stats.changed_bytes, stats.open_changes), (0, 0, 0));
            assert!(stats.cached_bytes <= budget, "{stats:?}");
        }
    }
    let stats = backed.world.partition.stats();
    assert!(stats.hits > 100 && stats.misses > 100, "{stats:?}");
    backed.world.partition.set_budget(0);
    assert_eq!(backed.world.partition.stats().cached_bytes, 0);
}

#[test]
fn a_hundred_thousand_logins_of_one_user_take_what_a_thousand_take() {
    let mut backed = Backed::new(1 << 20, &[]);
    let mut bytes_after = |logins: std::ops::Range<i64>| {
        for n in logins {
            let event = attempt(n * 20 * MINUTE).from([LONDON, PARIS, BERLIN][n as usize % 3]);
            backed.world.send(&event.id(&format!("e{n:06}")));
            if n % 100 == 99 {
                backed.commit();
            }
        }
        let stored: usize = backed.stored.entries().iter().map(|(key, value)| key.len() + value.len()).sum();
        (stored, backed.world.partition.stats().cached_bytes)
    };
    let early = bytes_after(0..1_200);
    let late = bytes_after(1_200..100_200);
    assert_eq!(early, late);
}
