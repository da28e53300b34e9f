//! Attempts that wait for their completion.

use crate::world::*;

/// A challenged attempt of a known user: a strange device behind a VPN.
fn challenged(at: i64, id: &str) -> Event {
    attempt(at).id(id).from(VPN).with(FIREFOX_121, "cookie-2")
}

fn world() -> World {
    let mut world = World::new();
    world.send(&attempt(-DAY));
    world
}

/// Whether the challenged attempt's device is known now.
fn learnt(world: &mut World, at: i64) -> bool {
    world.send(&challenged(at, "look")).device() == "match"
}

#[test]
fn what_a_completion_does() {
    // The completion's time, outcome and device; whether it teaches, which record is written.
    let same = (FIREFOX_121, "cookie-2");
    let cases = [
        ("at once", 0, "success", same, true, "s"),
        ("within the hour", HOUR - 1, "success", same, true, "s"),
        ("after an hour", HOUR, "success", same, false, "s"),
        ("older than its attempt", -30 * MINUTE, "success", same, true, "s"),
        ("failed", MINUTE, "failed_mfa", same, false, "f"),
        ("without a device", MINUTE, "success", ("", ""), true, "s"),
        ("without a cookie", MINUTE, "success", (FIREFOX_121, ""), true, "s"),
        ("without a user agent", MINUTE, "success", ("", "cookie-2"), true, "s"),
        ("with another cookie", MINUTE, "success", (FIREFOX_121, "cookie-3"), false, "s"),
        ("with another user agent", MINUTE, "success", (CHROME_120, "cookie-2"), false, "s"),
        ("with an upgraded user agent", MINUTE, "success", (CHROME_121, ""), false, "s"),
    ];
    for (name, at, outcome, (agent, cookie), teaches, record) in cases {
        let mut world = world();
        let attempt = challenged(0, "a");
        let seen = world.send(&attempt);
        assert_eq!((seen.overall().as_str(), seen.log_type().as_str()), ("low", "mfar"), "{name}");
        let completion = world.send(&attempt.completed(at, outcome).with(agent, cookie));
        assert_eq!(completion.verdict, None, "{name}");
        assert_eq!(completion.log_type(), record, "{name}");
        let found = teaches || outcome != "success";
        assert_eq!(completion.logged_assessment().is_some(), found, "{name}");
        assert_eq!(learnt(&mut world, 2 * HOUR), teaches, "{name}");
    }
}

#[test]
fn after_a_failure_the_attempt_goes_on_waiting() {
    let mut world = world();
    let attempt = challenged(0, "a");
    world.send(&attempt);
    for minute in 1..4 {
        let failed = world.send(&attempt.completed(minute * MINUTE, "failed_mfa"));
        assert_eq!((failed.log_type().as_str(), failed.logged_assessment().is_some()), ("f", true));
    }
    assert_eq!(world.send(&attempt.completed(5 * MINUTE, "success")).log_type(), "s");
    assert!(learnt(&mut world, HOUR));
}

#[test]
fn a_success_takes_its_attempt_away_in_time_or_not() {
    for (at, first_teaches) in [(MINUTE, true), (2 * HOUR, false)] {
        let mut world = world();
        let attempt = challenged(0, "a");
        world.send(&attempt);
        let first = world.send(&attempt.completed(at, "success"));
        assert_eq!(first.logged_assessment().is_some(), first_teaches);
        assert!(world.profile("u1").waiting.0.is_empty());
        let again = world.send(&attempt.completed(MINUTE, "success"));
        // After an `s` with the assessment there is nothing more to say; else a plain one.
        let wanted = if first_teaches { "-" } else { "s" };
        assert_eq!((again.log_type().as_str(), again.logged_assessment()), (wanted, None));
    }
}

#[test]
fn a_completion_belongs_to_its_user_and_id() {
    let mut world = world();
    let attempt = challenged(0, "a");
    world.send(&attempt);
    for other in [
        attempt.completed(1, "success").id("b"),
        attempt.completed(2, "success").user("u2"),
        Event { tenant: "other.example", ..attempt.completed(3, "success") },
    ] {
        let seen = world.send(&other);
        assert_eq!((seen.log_type().as_str(), seen.logged_assessment()), ("s", None), "{other:?}");
    }
    assert_eq!(world.profile("u1").waiting.0.len(), 1);
}

#[test]
fn the_same_id_with_other_evidence_waits_beside_it() {
    let mut world = world();
    let first = challenged(0, "a");
    let second = challenged(MINUTE, "a").with(CHROME_121_MAC, "cookie-3");
    let third = challenged(2 * MINUTE, "a").from(TOR);
    for event in [&first, &second, &third] {
        assert_eq!(world.send(event).overall(), "low");
    }
    assert_eq!(world.profile("u1").waiting.0.len(), 3);
    // Of several that fit, the one that arrived first.
    world.send(&second.completed(3 * MINUTE, "success"));
    let waiting = world.profile("u1").waiting.0;
    assert_eq!(waiting.iter().map(|w| w.assessment.time.0 - START).collect::<Vec<_>>(), [0, 2 * MINUTE]);
    world.send(&first.completed(4 * MINUTE, "success").with("", ""));
    let waiting = world.profile("u1").waiting.0;
    assert_eq!(waiting.iter().map(|w| w.assessment.time.0 - START).collect::<Vec<_>>(), [2 * MINUTE]);
}

#[test]
fn the_same_id_and_evidence_waiting_again_replaces_the_first() {
    let mut world = world();
    world.send(&challenged(0, "a"));
    world.send(&challenged(MINUTE, "b"));
    // Beyond ten minutes it is an attempt of its own, with its own time.
    world.send(&challenged(20 * MINUTE, "a"));
    let waiting = world.profile("u1").waiting.0;
    assert_eq!(waiting.len(), 2);
    // An hour after the first, not after the second: it teaches.
    let completion = challenged(0, "a").completed(70 * MINUTE, "success");
    assert!(world.send(&completion).logged_assessment().is_some());
}

#[test]
fn when_a_ninth_comes() {
    // Those whose time is up leave first, all of them.
    let mut world = world();
    for minute in 0..8 {
        world.send(&challenged(minute * MINUTE, &format!("a{minute}")));
    }
    world.send(&challenged(62 * MINUTE, "ninth"));
    let times: Vec<_> = world.profile("u1").waiting.0.iter().map(|w| (w.assessment.time.0 - START) / MINUTE).collect();
    assert_eq!(times, [3, 4, 5, 6, 7, 62]);
    // Then the one with the earliest time, wherever it stands.
    let mut world = self::world();
    for minute in [5, 1, 2, 3, 4, 6, 7, 8, 9] {
        world.send(&challenged(minute * MINUTE, &format!("a{minute}")));
    }
    let times: Vec<_> = world.profile("u1").waiting.0.iter().map(|w| (w.assessment.time.0 - START) / MINUTE).collect();
    assert_eq!(times, [5, 2, 3, 4, 6, 7, 8, 9]);
}

#[test]
fn the_attempts_device_is_learnt_with_the_completions_cookie_where_it_brought_none() {
    let mut world = world();
    let attempt = attempt(0).id("a").from(VPN).with(FIREFOX_121, "");
    world.send(&attempt);
    world.send(&attempt.completed(MINUTE, "success").with("", "cookie-new"));
    assert_eq!(world.send(&challenged(HOUR, "b").with(FIREFOX_121, "cookie-new")).device(), "match");
    assert_eq!(world.send(&challenged(HOUR, "c").with("", "cookie-new")).device(), "partial_match");
}

#[test]
fn with_on_attempt_nothing_waits() {
    let mut world = World::with_settings(&[("learning", "on_attempt")]);
    world.send(&attempt(-DAY));
    let attempt = challenged(0, "a");
    assert_eq!(world.send(&attempt).log_type(), "mfar");
    assert!(world.profile("u1").waiting.0.is_empty());
    let completion = world.send(&attempt.completed(MINUTE, "success"));
    assert_eq!((completion.log_type().as_str(), completion.logged_assessment()), ("s", None));
}
