//! A partition on a backing against one that keeps everything in memory and is told only what counts:
//! whatever is taken, stored, taken back, swept and evicted in between, the answers are the same.

use proptest::prelude::*;

use crate::backed::Backed;
use crate::world::*;

#[derive(Debug, Clone)]
enum Action {
    /// An event, after this many minutes.
    Send(Box<Event>, i64),
    /// Closes the batch.
    Take,
    /// Stores the oldest batch that is under way.
    Store,
    /// Writes the oldest batch that is under way; everything else is lost before the partition hears of it.
    WriteAndRewind,
    Rewind,
    Restart,
    Sweep(usize),
    Budget(usize),
    /// Other data is loaded.
    Reload(u8),
}

fn any_action() -> impl Strategy<Value = Action> {
    let tenants_and_users =
        vec![("a/b", "c"), ("a", "b/c"), ("acme.example", "u1"), ("acme.example", "u2"), ("x", "u1")];
    let event = (
        0..4u8,
        prop::sample::select(tenants_and_users),
        prop::sample::select(vec![LONDON, LONDON_SUBURB, PARIS, TOKYO, VPN, TOR, NOWHERE, "10.0.0.1", ""]),
        prop::sample::select(vec![CHROME_120, CHROME_121, FIREFOX_121, ""]),
        prop::sample::select(vec!["cookie-1", "cookie-2", ""]),
        prop::sample::select(vec!["attempt", "attempt", "completion"]),
        prop::sample::select(vec!["success", "success", "success", "failed_mfa"]),
    );
    // Minutes mostly; sometimes the users come back after more than a year.
    let minutes = prop_oneof![8 => 0..30i64, 2 => 0..3_000i64, 1 => Just(402 * 24 * 60)];
    let send = (event, minutes).prop_map(|((id, (tenant, user), ip, agent, cookie, stage, outcome), minutes)| {
        let event =
            Event { tenant, user, stage, outcome, ..attempt(0).id(&id.to_string()).from(ip).with(agent, cookie) };
        Action::Send(Box::new(event), minutes)
    });
    prop_oneof![
        20 => send,
        6 => Just(Action::Take),
        6 => Just(Action::Store),
        1 => Just(Action::WriteAndRewind),
        2 => Just(Action::Rewind),
        1 => Just(Action::Restart),
        3 => (1..5usize).prop_map(Action::Sweep),
        1 => prop::sample::select(vec![0, 600, 1_500, 1 << 20]).prop_map(Action::Budget),
        1 => (0..3u8).prop_map(Action::Reload),
    ]
}

/// Puts this version of the data in force.
fn reload(world: &mut World, version: u8) {
    world.data.versions.city = Some(format!("city-{version}").into());
    world.changed();
}

/// An event, and the data that was in force.
type Input = (Event, u8);

/// What was sent, by what has become of it.
#[derive(Debug, Default)]
struct History {
    stored: Vec<Input>,
    under_way: Vec<Vec<Input>>,
    open: Vec<Input>,
}

impl History {
    fn store_oldest(&mut self) {
        if !self.under_way.is_empty() {
            self.stored.append(&mut self.under_way.remove(0));
        }
    }

    /// A memory that has seen what is stored and nothing else.
    fn forget_the_rest(&mut self, data: u8) -> World {
        self.under_way.clear();
        self.open.clear();
        let mut memory = World::with_settings(SETTINGS);
        for (event, version) in &self.stored {
            reload(&mut memory, *version);
            memory.send(event);
        }
        // The data in force is the process's, not the state's.
        reload(&mut memory, data);
        memory
    }
}

const SETTINGS: &[(&str, &str)] = &[("force_low", "UntrustedIP.found_on_deny_list.tor"), ("dedup.max", "4")];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_state_is_what_the_history_says(actions in prop::collection::vec(any_action(), 1..80)) {
        let mut backed = Backed::new(1_000, SETTINGS);
        let mut history = History::default();
        let (mut now, mut data) = (0, 1);
        let mut memory = history.forget_the_rest(data);
        for action in actions {
            match action {
                Action::Send(event, minutes) => {
                    now += minutes * MINUTE;
                    // Ids are not used again a day later.
                    let event = Event { at: now, id: format!("{}-{}", event.id, now / DAY), ..*event };
                    prop_assert_eq!(backed.world.send(&event), memory.send(&event));
                    history.open.push((event, data));
                }
                Action::Take => {
                    backed.take();
                    history.under_way.push(std::mem::take(&mut history.open));
                }
                Action::Store => {
                    backed.store_oldest();
                    history.store_oldest();
                }
                Action::WriteAndRewind => {
                    backed.write_oldest();
                    backed.rewind();
                    history.store_oldest();
                    memory = history.forget_the_rest(data);
                }
                Action::Rewind => {
                    backed.rewind();
                    memory = history.forget_the_rest(data);
                }
                Action::Restart => {
                    backed.restart();
                    memory = history.forget_the_rest(data);
                }
                Action::Sweep(limit) => drop(backed.world.sweep(now, limit).unwrap()),
                Action::Budget(bytes) => backed.world.partition.set_budget(bytes),
                Action::Reload(version) => {
                    data = version;
                    reload(&mut memory, data);
                    reload(&mut backed.world, data);
                }
            }
            let stats = backed.world.partition.stats();
            prop_assert_eq!(stats.changed_profiles == 0, stats.changed_bytes == 0);
        }
        // A new process answers the same.
        backed.commit();
        backed.restart();
        for user in ["u1", "u2"] {
            let event = attempt(now).user(user).id("last");
            prop_assert_eq!(backed.world.send(&event), memory.send(&event));
        }
    }
}
