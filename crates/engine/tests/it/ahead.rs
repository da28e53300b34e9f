//! Events whose time is ahead of their record's.

use crate::world::*;

fn send(world: &mut World, event: &Event, record_time: i64) -> Seen {
    world.send_bytes(&serde_json::to_vec(&event.json()).unwrap(), Some(record_time)).unwrap()
}

#[test]
fn an_event_ahead_of_its_record_is_scored_and_teaches_nothing() {
    for (ahead, teaches) in [(0, true), (5 * MINUTE, true), (5 * MINUTE + 1, false), (DAY, false), (-DAY, true)] {
        let mut world = World::new();
        let seen = send(&mut world, &attempt(0), -ahead);
        assert_eq!(seen.device(), "initial_login");
        assert_eq!(seen.log_type(), "s");
        assert_eq!(world.profile("u1").mark.is_some(), teaches, "{ahead} ms ahead");
        assert_eq!(send(&mut world, &attempt(0), -ahead).verdict, seen.verdict, "it is remembered as an answer");
    }
}

#[test]
fn a_challenged_attempt_ahead_of_its_record_teaches_nothing_when_it_is_completed() {
    let mut world = World::new();
    world.send(&attempt(-DAY));
    let challenged = attempt(0).from(VPN).with(FIREFOX_121, "cookie-2");
    send(&mut world, &challenged, -HOUR);
    let completion = world.send(&challenged.completed(MINUTE, "success"));
    assert!(completion.logged_assessment().is_some());
    assert_eq!(world.profile("u1").devices.0.len(), 1);
}

#[test]
fn a_wrong_clock_does_not_make_the_system_forget() {
    let mut world = World::new();
    world.send(&attempt(0));
    let before = world.profile("u1");
    let seen = send(&mut world, &attempt(500 * DAY), HOUR);
    assert_eq!(seen.device(), "initial_login", "at that time the profile is forgotten");
    let after = world.profile("u1");
    assert_eq!((after.mark, after.devices, after.places), (before.mark, before.devices, before.places));
    assert_eq!(world.send(&attempt(HOUR)).device(), "match");
}
