//! Who asks twice gets the same answer; who asks with something else does not.

use crate::world::*;

#[test]
fn which_attempt_is_a_repeated_one() {
    let first = attempt(HOUR).id("a");
    let cases = [
        ("the same", first.clone(), true),
        ("ten minutes later", Event { at: HOUR + 10 * MINUTE, ..first.clone() }, true),
        ("ten minutes earlier", Event { at: HOUR - 10 * MINUTE, ..first.clone() }, true),
        ("a millisecond more", Event { at: HOUR + 10 * MINUTE + 1, ..first.clone() }, false),
        ("the address in another form", first.clone().from("::ffff:198.51.100.1"), true),
        ("white space around", first.clone().from(" 198.51.100.1 "), true),
        ("another address", first.clone().from(PARIS), false),
        ("no address", first.clone().from(""), false),
        ("another user agent", first.clone().with(CHROME_121, "cookie-1"), false),
        ("no user agent", first.clone().with("", "cookie-1"), false),
        ("another cookie", first.clone().with(CHROME_120, "cookie-2"), false),
        ("no cookie", first.clone().with(CHROME_120, ""), false),
        ("another id", first.clone().id("b"), false),
        ("another user", first.clone().user("u2"), false),
        ("another count of logins", Event { logins_count: Some(9), ..first.clone() }, true),
    ];
    for (name, event, repeated) in cases {
        let mut world = World::new();
        world.send(&attempt(0));
        let wanted = world.send(&first);
        let before = world.profile("u1");
        let seen = world.send(&event);
        assert_eq!(seen.verdict == wanted.verdict, repeated, "{name}");
        assert_eq!(seen.log.is_none(), repeated, "{name}");
        assert_eq!(world.profile("u1") == before, repeated || event.user != "u1", "{name}");
    }
}

#[test]
fn no_address_and_one_that_is_none_are_the_same_evidence() {
    let mut world = World::new();
    let first = world.send(&attempt(0).from("not an address"));
    assert_eq!(world.send(&attempt(0).from("")).verdict, first.verdict);
    assert_eq!(world.send(&attempt(0).from("192.0.2.1:443")).verdict, first.verdict);
}

#[test]
fn a_challenged_attempt_repeated_says_the_same_after_its_completion() {
    let mut world = World::new();
    world.send(&attempt(-DAY));
    let challenged = attempt(0).from(VPN).with(FIREFOX_121, "cookie-2");
    let first = world.send(&challenged);
    world.send(&challenged.completed(MINUTE, "success"));
    let again = world.send(&Event { at: 2 * MINUTE, ..challenged });
    assert_eq!((again.verdict, again.log), (first.verdict, None));
    assert!(world.profile("u1").waiting.0.is_empty(), "it does not wait again");
}

#[test]
fn the_last_eight_answers_by_arrival_are_remembered() {
    let mut world = World::new();
    for second in 0..9 {
        world.send(&attempt(second * 1000));
        // Repeating one does not make it younger.
        world.send(&attempt(1000.min(second * 1000)));
    }
    assert!(world.send(&attempt(1000)).log.is_none(), "the second of nine is remembered");
    assert!(world.send(&attempt(0)).log.is_some(), "the first is not");
}

#[test]
fn a_repeated_failure_is_logged_again_under_the_same_id() {
    let mut world = World::new();
    for event in [
        attempt(0).outcome("failed_password"),
        attempt(1).outcome("failed_username"),
        attempt(2).completed(3, "failed_mfa"),
    ] {
        let (first, again) = (world.send(&event), world.send(&event));
        assert!(first.log.is_some());
        assert_eq!(first.log, again.log);
    }
}

#[test]
fn changed_data_do_not_change_an_answer_that_was_given() {
    let mut world = World::new();
    world.send(&attempt(0));
    let first = world.send(&attempt(HOUR));
    world.data.broken = true;
    world.settings.set("combiner", "strict").unwrap();
    world.changed();
    assert_eq!(world.send(&attempt(HOUR)).verdict, first.verdict);
    assert_ne!(world.send(&attempt(HOUR + 1)).verdict, first.verdict);
}

#[test]
fn memory_of_answers_can_be_turned_off() {
    let mut world = World::with_settings(&[("dedup.max", "0")]);
    world.send(&attempt(0));
    let again = world.send(&attempt(0));
    assert_eq!((again.device().as_str(), again.log_type().as_str()), ("match", "s"));
}
