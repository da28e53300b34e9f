//! What holds for every stream of events.

use proptest::prelude::*;

use crate::world::*;

fn any_event() -> impl Strategy<Value = Event> {
    let ips = vec![LONDON, LONDON_SUBURB, PARIS, TOKYO, VPN, TOR, RELAY, SATELLITE, NOWHERE, "10.0.0.1", "", "x"];
    let agents = vec![CHROME_120, CHROME_121, CHROME_121_MAC, FIREFOX_121, ""];
    (
        0..6u8,
        0..3_000i64,
        prop::sample::select(vec!["u1", "u2"]),
        prop::sample::select(ips),
        prop::sample::select(agents),
        prop::sample::select(vec!["cookie-1", "cookie-2", ""]),
        prop::sample::select(vec!["attempt", "attempt", "attempt", "completion"]),
        prop::sample::select(vec!["success", "success", "success", "failed_mfa", "failed_password"]),
    )
        .prop_map(|(id, minute, user, ip, agent, cookie, stage, outcome)| Event {
            id: format!("e{id}"),
            user,
            stage,
            outcome,
            ..attempt(minute * MINUTE).from(ip).with(agent, cookie)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// The state is a function of the stream: two partitions that saw the same agree to the byte.
    #[test]
    fn the_same_stream_gives_the_same_answers(stream in prop::collection::vec(any_event(), 1..40)) {
        let (mut a, mut b) = (World::new(), World::new());
        for event in &stream {
            prop_assert_eq!(a.send(event), b.send(event));
        }
        prop_assert_eq!(a.profile("u1"), b.profile("u1"));
        prop_assert_eq!(a.partition.stats(), b.partition.stats());
        prop_assert_eq!(a.partition.stats().corrupt, 0);
    }

    /// Attempts that are repeated from any point on, within the memory for answers, get the same bytes,
    /// and neither teach nor are they logged.
    #[test]
    fn a_replay_gives_the_same_bytes(
        stream in prop::collection::vec(any_event(), 1..30),
        back in 1..8usize,
    ) {
        let settings = [("dedup.max", "64"), ("dedup.minutes", "1440")];
        let mut world = World::with_settings(&settings);
        let seen: Vec<Seen> = stream.iter().map(|event| world.send(event)).collect();
        let from = stream.len().saturating_sub(back);
        let before = (world.profile("u1"), world.profile("u2"));
        for (event, first) in stream[from..].iter().zip(&seen[from..]) {
            if event.stage != "attempt" || event.outcome != "success" {
                continue;
            }
            let again = world.send(event);
            prop_assert_eq!(&again.verdict, &first.verdict);
            prop_assert_eq!(again.log, None);
        }
        prop_assert_eq!((world.profile("u1"), world.profile("u2")), before);
    }

    /// Everything that is kept for a user is bounded, whatever he does.
    #[test]
    fn profiles_are_bounded(stream in prop::collection::vec(any_event(), 1..60), on_attempt in any::<bool>()) {
        let settings: &[_] = if on_attempt { &[("learning", "on_attempt")] } else { &[] };
        let mut world = World::with_settings(settings);
        for event in &stream {
            world.send(event);
        }
        for user in ["u1", "u2"] {
            let profile = world.profile(user);
            prop_assert!(profile.devices.0.len() <= 10);
            prop_assert!(profile.places.stored.len() <= 10);
            prop_assert!(profile.answers.len() <= 8);
            prop_assert!(profile.waiting.0.len() <= 8);
        }
    }
}
