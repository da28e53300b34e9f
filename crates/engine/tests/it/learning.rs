//! When and how much a login teaches.

use crate::world::*;

/// A stranger's device at the user's place, an hour later.
fn stranger(at: i64) -> Event {
    attempt(at).with(FIREFOX_121, "cookie-2")
}

#[test]
fn how_much_a_login_teaches() {
    // Each time: a first login in London, then this one, then whether its device is known.
    let cases = [
        ("high: everything", &[][..], stranger(HOUR), "high", "match"),
        // IP medium, travel low, device low: challenged, so it waits.
        ("challenged: nothing yet", &[][..], stranger(HOUR).from(VPN), "low", "no_match"),
        ("on_attempt: everything", &[("learning", "on_attempt")][..], stranger(HOUR).from(VPN), "low", "match"),
        (
            "medium: nothing new",
            &[("confidence.NewDevice.no_match", "medium"), ("combiner", "strict")][..],
            stranger(HOUR),
            "medium",
            "no_match",
        ),
    ];
    for (name, settings, event, overall, later) in cases {
        let mut world = World::with_settings(settings);
        world.send(&attempt(0));
        let seen = world.send(&event);
        assert_eq!(seen.overall(), overall, "{name}");
        assert_eq!(world.send(&stranger(2 * HOUR)).device(), later, "{name}");
    }
}

#[test]
fn a_first_login_teaches_everything_though_it_is_medium() {
    let mut world = World::new();
    assert_eq!(world.send(&attempt(0)).overall(), "medium");
    let profile = world.profile("u1");
    assert_eq!((profile.devices.0.len(), profile.places.stored.len()), (1, 1));
    assert_eq!(profile.mark.unwrap().0, START);
}

#[test]
fn a_medium_login_refreshes_what_is_known_and_adds_nothing() {
    // Strict, so that an unknown user agent makes the whole medium.
    let settings = [("combiner", "strict"), ("confidence.ImpossibleTravel.travel_from_last_login", "medium")];
    let cases = [
        // The same device 20 days later: renewed, and the unchanged place is seen again.
        ("same device", attempt(20 * DAY).from(PARIS), true, 1, LONDON),
        ("an upgrade of the device", attempt(20 * DAY).from(PARIS).with(CHROME_121, "cookie-1"), true, 1, LONDON),
        ("another browser with the cookie", attempt(20 * DAY).with(FIREFOX_121, "cookie-1"), false, 1, LONDON),
        ("another cookie with the browser", attempt(20 * DAY).with(CHROME_120, "cookie-2"), false, 1, LONDON),
    ];
    for (name, event, renewed, devices, last_ip) in cases {
        let mut world = World::with_settings(&settings);
        world.send(&attempt(0));
        assert_eq!(world.send(&event).overall(), "medium", "{name}");
        let profile = world.profile("u1");
        assert_eq!(profile.devices.0.len(), devices, "{name}");
        let expiry = profile.devices.0[0].expiry.0 - START;
        assert_eq!(expiry, if renewed { 50 * DAY } else { 30 * DAY }, "{name}");
        assert_eq!(profile.places.stored.len(), 1, "{name}");
        assert_eq!(profile.mark.unwrap().0, START + 20 * DAY, "{name}: the mark is renewed");
        // A place that is not known does not become the last one; a known one does.
        let seen_again = event.ip == last_ip;
        let last = profile.places.last.unwrap();
        assert_eq!(last.time.0, if seen_again { START + 20 * DAY } else { START }, "{name}");
    }
}

#[test]
fn a_refresh_without_a_cookie_is_for_a_device_without_one() {
    let strict = [("combiner", "strict")];
    for (agent, renewed) in [(CHROME_120, true), (CHROME_121, true), (FIREFOX_121, false)] {
        let mut world = World::with_settings(&strict);
        world.send(&attempt(0).with(CHROME_120, ""));
        world.send(&attempt(DAY).with(agent, ""));
        let devices = world.profile("u1").devices.0;
        let expected = if renewed { 31 * DAY } else { 30 * DAY };
        assert_eq!((devices.len(), devices[0].expiry.0 - START), (1, expected), "{agent}");
    }
}

#[test]
fn neither_cookie_nor_user_agent_is_no_device() {
    let mut world = World::with_settings(&[("learning", "on_attempt")]);
    world.send(&attempt(0).with("", ""));
    let profile = world.profile("u1");
    assert!(profile.devices.0.is_empty());
    assert_eq!(profile.places.stored.len(), 1);
    let seen = world.send(&attempt(1).with("  ", " \t"));
    assert_eq!(seen.device(), "unknown_device", "white space is nothing");
}

#[test]
fn a_changed_trust_duration_holds_from_the_next_login_on() {
    let mut world = World::with_settings(&[("device.remember_for_days", "10")]);
    world.send(&attempt(0));
    world.settings.set("device.remember_for_days", "1").unwrap();
    world.changed();
    // The stored expiry is further away than the new one: it stays.
    assert_eq!(world.send(&attempt(5 * DAY)).device(), "match");
    assert_eq!(world.profile("u1").devices.0[0].expiry.0 - START, 10 * DAY);
    assert_eq!(world.send(&attempt(10 * DAY - 1)).device(), "match");
    assert_eq!(world.profile("u1").devices.0[0].expiry.0 - START, 11 * DAY - 1);
    assert_eq!(world.send(&attempt(11 * DAY - 1)).device(), "no_device_history", "an expiry is exclusive");
}

#[test]
fn the_history_of_an_old_profile_is_forgotten() {
    let mut world = World::new();
    world.send(&attempt(0));
    world.send(&attempt(1).with(FIREFOX_121, "cookie-2").from(VPN).id("waits"));
    world.send(&attempt(400 * DAY).with(CHROME_121_MAC, "cookie-3").from(PARIS));
    let profile = world.profile("u1");
    assert_eq!((profile.devices.0.len(), profile.places.stored.len()), (1, 1));
    assert_eq!(profile.mark.unwrap().0, START + 400 * DAY);
}
