//! The cases that the field got wrong, each a test. Cases 12 and 14 are about loading data: the crate
//! `intel` has them.

use model::Confidence;
use model::assessment::Category;
use serde_json::{Value, json};

use crate::world::*;

/// Anything may be learnt at once, so that only the rule under test can prevent it.
const TEACHES_ALL: &[(&str, &str)] = &[("learning", "on_attempt")];

#[test]
fn case_01_vpn_relay_and_satellite_are_no_last_location() {
    for (ip, code) in [
        (VPN, "anonymous_proxy"),
        (TOR, "anonymous_proxy"),
        (RELAY, "unknown_location"),
        (RELAY6, "unknown_location"),
        (SATELLITE, "unknown_location"),
    ] {
        for settings in [TEACHES_ALL, &[]] {
            let mut world = World::with_settings(settings);
            world.send(&attempt(0));
            assert_eq!(world.send(&attempt(HOUR).from(ip)).travel(), code, "{ip}");
            let home = world.send(&attempt(2 * HOUR));
            assert_eq!(home.travel(), "minimal_travel_from_last_login", "{ip}");
            let from = &home.assessment("ImpossibleTravel")["details"]["from"];
            assert_eq!(from["city"], json!("London"), "{ip}");
            assert_eq!(world.profile("u1").places.stored.len(), 1, "{ip}");
        }
    }
}

#[test]
fn case_02_missing_coordinates_are_not_impossible() {
    for (ip, code) in [
        (NOWHERE, "missing_geoip"),
        (NO_COORDINATES, "unknown_location"),
        (NULL_ISLAND, "unknown_location"),
        ("not an address", "missing_geoip"),
        ("", "missing_geoip"),
    ] {
        let mut world = World::with_settings(TEACHES_ALL);
        world.send(&attempt(0));
        let seen = world.send(&attempt(1).from(ip));
        assert_eq!(seen.travel(), code, "{ip}");
        assert_eq!(seen.assessment("ImpossibleTravel").get("details"), None, "{ip}");
        assert_eq!(world.send(&attempt(2)).travel(), "minimal_travel_from_last_login", "{ip}");
    }
}

#[test]
fn case_03_time_is_not_rounded_and_no_time_is_a_second() {
    // London to Paris: 343.6 km, 303.6 km of it beyond both radiuses.
    for (elapsed, code, elapsed_s) in [
        (20 * MINUTE, "travel_from_last_login", 1200.0),
        (19 * MINUTE, "travel_from_last_login", 1140.0),
        (18 * MINUTE, "impossible_travel_from_last_login", 1080.0),
        (1001, "impossible_travel_from_last_login", 1.001),
        (1, "impossible_travel_from_last_login", 0.001),
        (0, "impossible_travel_from_last_login", 0.0),
        (-5000, "impossible_travel_from_last_login", 5.0),
        (-20 * MINUTE, "travel_from_last_login", 1200.0),
    ] {
        let mut world = World::new();
        world.send(&attempt(0));
        let seen = world.send(&attempt(elapsed).id("second").from(PARIS));
        let details = &seen.assessment("ImpossibleTravel")["details"];
        assert_eq!((seen.travel().as_str(), &details["elapsed_s"]), (code, &json!(elapsed_s)), "{elapsed} ms");
        let km = details["effective_distance_km"].as_f64().unwrap();
        let hours = elapsed.abs().max(1000) as f64 / 3_600_000.0;
        let speed = details["speed_kmh"].as_f64().unwrap();
        assert!((speed * hours - km).abs() < 0.1, "{elapsed} ms: {speed} km/h");
    }
    let mut world = World::new();
    world.send(&attempt(0));
    let seen = world.send(&attempt(0).id("second").from(LONDON_SUBURB));
    assert_eq!(seen.travel(), "minimal_travel_from_last_login");
    assert_eq!(seen.assessment("ImpossibleTravel")["details"]["speed_kmh"], json!(0.0));
}

#[test]
fn case_04_special_ranges_neither_travel_nor_are_denied() {
    for ip in [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "127.0.0.1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "::1",
        "::ffff:10.1.2.3",
        "64:ff9b::100.64.0.1",
        "::ffff:127.0.0.1",
    ] {
        let mut data = Data::default();
        for network in ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10", "::1/128"] {
            data.entries.push(entry(network, "bogons", Category::Unroutable));
        }
        let mut world = World::of(data, TEACHES_ALL);
        world.send(&attempt(0));
        let seen = world.send(&attempt(1).from(ip));
        assert_eq!((seen.travel().as_str(), seen.ip().as_str()), ("missing_geoip", "not_found_on_deny_list"), "{ip}");
        for assessor in ["ImpossibleTravel", "UntrustedIP"] {
            assert_eq!(seen.assessment(assessor)["confidence"], json!("neutral"), "{ip}");
        }
        assert_eq!(world.send(&attempt(2)).travel(), "minimal_travel_from_last_login", "{ip}");
    }
}

#[test]
fn case_05_an_entry_holds_for_the_mapped_form_too() {
    for ip in [TOR, "::ffff:203.0.113.2", "::FFFF:cb00:7102", "64:ff9b::203.0.113.2", " 203.0.113.2\n"] {
        let seen = World::new().send(&attempt(0).from(ip));
        let details = &seen.assessment("UntrustedIP")["details"];
        assert_eq!(
            details,
            &json!({"ip": "203.0.113.2", "matches": "203.0.113.2/32", "source": "onion", "category": "anonymizer"}),
            "{ip}"
        );
    }
}

#[test]
fn case_06_home_and_a_far_office_in_turn_settle_down() {
    let mut world = World::new();
    world.send(&attempt(0));
    world.send(&attempt(HOUR));
    let first = world.send(&attempt(2 * HOUR).from(TOKYO));
    assert_eq!((first.travel().as_str(), first.overall().as_str()), ("impossible_travel_from_last_login", "high"));
    for hour in 3..20 {
        let ip = if hour % 2 == 0 { TOKYO } else { LONDON };
        let seen = world.send(&attempt(hour * HOUR).from(ip));
        let travel = seen.assessment("ImpossibleTravel");
        assert_eq!(seen.travel(), "travel_from_last_login", "hour {hour}");
        assert_eq!((&travel["confidence"], &travel["details"]["known_place"]), (&json!("high"), &json!(true)));
        assert_eq!(seen.overall(), "high");
    }
    assert_eq!(world.profile("u1").places.stored.len(), 2);
}

#[test]
fn case_07_a_browser_that_updates_itself_is_no_new_device() {
    for (cookie, agent, code) in [
        ("cookie-1", CHROME_120, "match"),
        ("cookie-1", CHROME_121, "match"),
        ("cookie-1", CHROME_121_MAC, "partial_match"),
        ("cookie-1", FIREFOX_121, "partial_match"),
        ("cookie-2", CHROME_120, "partial_match"),
        // An upgrade is one of the device with that cookie only.
        ("cookie-2", CHROME_121, "no_match"),
        ("", CHROME_120, "partial_match"),
        ("", CHROME_121, "no_match"),
        ("cookie-1", "", "partial_match"),
        ("cookie-2", "", "no_match"),
        ("", "", "unknown_device"),
    ] {
        let mut world = World::new();
        world.send(&attempt(0));
        assert_eq!(world.send(&attempt(1).with(agent, cookie)).device(), code, "{cookie:?} {agent}");
    }
    // The other way round it is no update.
    let mut world = World::new();
    world.send(&attempt(0).with(CHROME_121, "cookie-1"));
    assert_eq!(world.send(&attempt(1).with(CHROME_120, "cookie-1")).device(), "partial_match");
    // Without a cookie it is an update of a device without one.
    let mut world = World::new();
    world.send(&attempt(0).with(CHROME_120, ""));
    assert_eq!(world.send(&attempt(1).with(CHROME_121, "")).device(), "partial_match");
    let devices = world.profile("u1").devices.0;
    assert_eq!(devices.len(), 1, "the update takes the device's place");
}

#[test]
fn case_08_disorder_duplicates_and_replay_make_no_double_history() {
    let stream = [
        attempt(0),
        attempt(10_000).from(PARIS).with(FIREFOX_121, "cookie-2"),
        attempt(5_000),
        attempt(5_000),
        attempt(HOUR),
        attempt(HOUR - 5_000).from(LONDON_SUBURB),
    ];
    let mut world = World::with_settings(TEACHES_ALL);
    let first: Vec<Seen> = stream.iter().map(|event| world.send(event)).collect();
    assert_eq!(first[3].verdict, first[2].verdict);
    assert_eq!(first[3].log, None);
    let before = world.profile("u1");
    let again: Vec<Seen> = stream.iter().map(|event| world.send(event)).collect();
    for (index, (a, b)) in first.iter().zip(&again).enumerate() {
        assert_eq!(a.verdict, b.verdict, "event {index}");
        assert_eq!(b.log, None, "event {index}");
    }
    assert_eq!(world.profile("u1"), before);
    assert_eq!((before.devices.0.len(), before.places.stored.len()), (2, 2));
    // The latest login in event time is the last place, whatever arrived last.
    assert_eq!(before.places.last.unwrap().time.0, START + HOUR);
}

#[test]
fn case_09_first_login_and_first_after_a_while_have_codes_of_their_own() {
    for (after, device, travel) in [
        (29 * DAY, "match", "minimal_travel_from_last_login"),
        (31 * DAY, "no_device_history", "travel_from_last_login"),
        (91 * DAY, "no_device_history", "location_history_not_found"),
        (399 * DAY, "no_device_history", "location_history_not_found"),
        (400 * DAY, "initial_login", "initial_login"),
    ] {
        let mut world = World::new();
        let first = world.send(&attempt(0));
        assert_eq!((first.device().as_str(), first.travel().as_str()), ("initial_login", "initial_login"));
        let seen = world.send(&attempt(after));
        assert_eq!((seen.device().as_str(), seen.travel().as_str()), (device, travel), "{} days", after / DAY);
    }
    // The auth server may know better than a system that was just put in.
    for (count, device, travel) in [
        (1, "initial_login", "initial_login"),
        (0, "initial_login", "initial_login"),
        (-4, "initial_login", "initial_login"),
        (2, "no_device_history", "location_history_not_found"),
    ] {
        let seen = World::new().send(&Event { logins_count: Some(count), ..attempt(0) });
        assert_eq!((seen.device().as_str(), seen.travel().as_str()), (device, travel), "{count}");
    }
}

#[test]
fn case_10_one_user_id_in_two_tenants_shares_nothing() {
    let mut world = World::new();
    world.send(&attempt(0));
    for (tenant, user) in [("other.example", "u1"), ("acme.example/u1", "u1"), ("acme.example/", "u1"), ("acme", "u1")]
    {
        let seen = world.send(&Event { tenant, user, ..attempt(1) });
        assert_eq!((seen.device().as_str(), seen.travel().as_str()), ("initial_login", "initial_login"), "{tenant}");
    }
    assert_eq!(world.send(&attempt(2)).device(), "match");
}

#[test]
fn case_11_failed_logins_do_not_teach() {
    for outcome in ["failed_password", "failed_username", "failed_mfa", "failed_other"] {
        for stage in ["attempt", "completion"] {
            let mut world = World::with_settings(TEACHES_ALL);
            let failure = attempt(0).from(TOKYO).with(FIREFOX_121, "cookie-9").outcome(outcome);
            let seen = world.send(&Event { stage, ..failure });
            assert_eq!(seen.verdict, None);
            assert_eq!(world.partition.stats().profiles, 0, "a failure leaves no state");
            assert_eq!(world.send(&attempt(1)).device(), "initial_login", "{stage} {outcome}");
            let again = world.send(&attempt(2).with(FIREFOX_121, "cookie-9"));
            assert_eq!(again.device(), "no_match", "{stage} {outcome}");
        }
    }
}

#[test]
fn case_13_a_hundred_thousand_logins_of_one_user_grow_nothing() {
    let mut world = World::with_settings(TEACHES_ALL);
    let (ips, agents) = ([LONDON, PARIS, BERLIN, TOKYO, FIJI, SAMOA], [CHROME_120, CHROME_121, FIREFOX_121]);
    // Each cookie once, so that devices would grow without end.
    let mut login = |number: usize| {
        let mut event = attempt(number as i64 * MINUTE).from(ips[number % 6]).json();
        event["request"]["user_agent"] = json!(agents[number % 3]);
        event["device"]["id"] = json!(format!("cookie-{number}"));
        world.send_json(&event);
        world.partition.stats()
    };
    let early = (0..100).map(&mut login).map(|stats| stats.packed_bytes).max().unwrap();
    let late = (100..100_000).map(&mut login).map(|stats| stats.packed_bytes).max().unwrap();
    // Numbers of data sets and times may take some bytes more.
    assert!(late <= early + 64, "{early} bytes after 100 logins, {late} at most later");
    let profile = world.profile("u1");
    assert_eq!((profile.devices.0.len(), profile.places.stored.len(), profile.answers.len()), (10, 6, 8));
    assert_eq!(world.partition.stats().profiles, 1);
}

#[test]
fn case_15_a_country_is_not_a_city() {
    for (ip, code) in [
        (CENTROID, "unknown_location"),
        (CENTROID_WITHOUT_RADIUS, "unknown_location"),
        // 895 km away, but its radius of 499 km covers most of it.
        (WIDE_CITY, "travel_from_last_login"),
    ] {
        let mut world = World::with_settings(TEACHES_ALL);
        world.send(&attempt(0));
        assert_eq!(world.send(&attempt(HOUR).from(ip)).travel(), code, "{ip}");
    }
}

#[test]
fn case_16_a_relay_is_one_class_in_both_address_families() {
    let mut answers = Vec::new();
    for ip in [RELAY, RELAY6] {
        let mut world = World::new();
        world.send(&attempt(0));
        let seen = world.send(&attempt(HOUR).from(ip));
        assert_eq!(
            (seen.travel().as_str(), seen.ip().as_str()),
            ("unknown_location", "not_found_on_deny_list"),
            "{ip}"
        );
        answers.push(seen.verdict()["risk_assessment"].clone());
    }
    assert_eq!(answers[0], answers[1]);
    // What is no relay's nature counts all the same.
    for (category, travel) in [
        (Category::Tor, "anonymous_proxy"),
        (Category::ResidentialProxy, "anonymous_proxy"),
        (Category::Abuse, "unknown_location"),
    ] {
        let mut data = Data::default();
        data.entries.push(entry("203.0.113.4/32", "extra", category));
        let seen = World::of(data, &[]).send(&attempt(0).from(RELAY));
        assert_eq!((seen.travel().as_str(), seen.ip().as_str()), (travel, "found_on_deny_list"), "{category:?}");
    }
}

#[test]
fn case_17_the_entry_that_counts_does_not_depend_on_order() {
    let abuse = |network, list| entry(network, list, Category::Abuse);
    let cases = [
        ("the lowest confidence", vec![entry("192.0.2.1/32", "a", Category::Vpn), abuse("192.0.2.0/24", "b")], "b"),
        ("then the longest prefix", vec![abuse("192.0.2.0/24", "a"), abuse("192.0.2.1/32", "b")], "b"),
        ("then the name", vec![abuse("192.0.2.0/24", "b"), abuse("192.0.2.0/24", "a")], "a"),
        ("in byte order", vec![abuse("192.0.2.0/24", "a"), abuse("192.0.2.0/24", "B")], "B"),
        (
            "a list's own confidence",
            vec![own(abuse("192.0.2.0/24", "a"), Confidence::High), entry("192.0.2.0/24", "b", Category::Vpn)],
            "b",
        ),
    ];
    for (name, entries, wanted) in cases {
        for entries in [entries.clone(), entries.into_iter().rev().collect()] {
            let data = Data { entries, ..Data::default() };
            let seen = World::of(data, &[]).send(&attempt(0).from("192.0.2.1"));
            assert_eq!(seen.assessment("UntrustedIP")["details"]["source"], json!(wanted), "{name}");
        }
    }
    // Neutral comes last of all.
    let entries = vec![abuse("192.0.2.0/24", "a"), entry("192.0.2.0/24", "b", Category::Datacenter)];
    let neutral = [("confidence.UntrustedIP.found_on_deny_list.abuse", "neutral")];
    let seen = World::of(Data { entries, ..Data::default() }, &neutral).send(&attempt(0).from("192.0.2.1"));
    assert_eq!(seen.assessment("UntrustedIP")["details"]["source"], json!("b"));
}

#[test]
fn case_18_a_failing_assessor_does_not_look_like_no_risk() {
    for (settings, confidence) in [(&[][..], "low"), (&[("abstain_on_failure", "true")][..], "neutral")] {
        let data = Data { broken: true, ..Data::default() };
        let seen = World::of(data, settings).send(&attempt(0));
        for assessor in ["ImpossibleTravel", "UntrustedIP"] {
            let wanted = json!({"confidence": confidence, "code": "assessment_not_available"});
            assert_eq!(seen.assessment(assessor), wanted, "{assessor}");
        }
        let overall = if confidence == "low" { "low" } else { "medium" };
        assert_eq!(seen.overall(), overall);
    }
}

#[test]
fn case_18_a_profile_that_cannot_be_read_is_not_taken_for_a_newcomers() {
    let mut world = World::with_settings(TEACHES_ALL);
    world.send(&attempt(0));
    let learned = world.profile("u1");
    let packed = profile::packed::pack(&learned);
    let mut damaged = packed.to_vec();
    damaged.truncate(packed.len() / 2);
    for bytes in [&damaged[..], b"", b"\xff"] {
        for (settings, confidence) in [(TEACHES_ALL, "low"), (&[("abstain_on_failure", "true")][..], "neutral")] {
            let mut world = World::with_settings(settings);
            world.send(&attempt(0).user("u2"));
            world.restore("u1", bytes);
            assert_eq!(world.partition.stats().corrupt, 0, "not seen yet");
            let before = world.partition.stats();
            // Also what no newcomer would send: a completion, and the same attempt again.
            let events =
                [attempt(HOUR), attempt(HOUR), attempt(HOUR).completed(2 * HOUR, "success"), attempt(3 * HOUR)];
            for event in &events {
                let seen = world.send(event);
                if event.stage == "completion" {
                    assert_eq!((seen.verdict.is_some(), seen.log_type().as_str()), (false, "s"));
                    assert_eq!(seen.logged_assessment(), None);
                    continue;
                }
                for assessor in ["ImpossibleTravel", "NewDevice"] {
                    let wanted = json!({"confidence": confidence, "code": "assessment_not_available"});
                    assert_eq!(seen.assessment(assessor), wanted, "{assessor}");
                }
                assert_eq!(seen.ip(), "not_found_on_deny_list");
                assert_eq!(seen.overall(), if confidence == "low" { "low" } else { "high" });
                assert_eq!(seen.log_type(), if confidence == "low" { "mfar" } else { "s" });
            }
            let after = world.partition.stats();
            assert_eq!((after.profiles, after.packed_bytes), (before.profiles, before.packed_bytes), "nothing learnt");
            assert_eq!(after.corrupt, 1, "a user counts once");
            // Others are not concerned, and sound bytes bring the user back.
            assert_eq!(world.send(&attempt(HOUR).user("u2")).device(), "match");
            world.restore("u1", &packed);
            assert_eq!(world.partition.stats().corrupt, 0);
            assert_eq!(world.profile("u1"), learned);
            assert_eq!(world.send(&attempt(4 * HOUR)).device(), "match");
        }
    }
}

#[test]
fn coordinates_that_are_no_finite_numbers_are_invalid_and_taught_by_nobody() {
    let mut world = World::with_settings(TEACHES_ALL);
    let first = world.send(&attempt(0).from(NOT_A_NUMBER));
    assert_eq!(first.travel(), "initial_login");
    assert_eq!(world.send(&attempt(HOUR).from(NOT_A_NUMBER)).travel(), "location_history_not_found");
    assert!(world.profile("u1").places.stored.is_empty());
    world.send(&attempt(2 * HOUR));
    let seen = world.send(&attempt(3 * HOUR).from(NOT_A_NUMBER));
    assert_eq!(seen.assessment("ImpossibleTravel"), json!({"confidence": "low", "code": "invalid_travel"}));
    let place = &seen.log.unwrap()["data"]["location_info"];
    assert_eq!(
        (place["city_name"].as_str(), place.get("latitude"), place.get("longitude")),
        (Some("Broken"), None, None)
    );
    assert_eq!(world.send(&attempt(4 * HOUR)).travel(), "minimal_travel_from_last_login");
    assert_eq!(world.profile("u1").places.stored.len(), 1);
}

#[test]
fn case_19_the_date_line_and_the_poles_are_no_borders() {
    for (from, to, hours, code) in [
        (FIJI, SAMOA, 2, "substantial_travel_from_last_login"),
        (SAMOA, FIJI, 2, "substantial_travel_from_last_login"),
        (FIJI, SAMOA, 1, "impossible_travel_from_last_login"),
        (NORTH_POLE, NORTH_POLE_TOO, 0, "minimal_travel_from_last_login"),
    ] {
        let mut world = World::new();
        world.send(&attempt(0).from(from));
        let seen = world.send(&attempt(hours * HOUR).id("second").from(to));
        assert_eq!(seen.travel(), code, "{from} to {to}");
        assert!(seen.assessment("ImpossibleTravel")["details"]["distance_km"].as_f64().unwrap() < 1200.0);
    }
}

#[test]
fn case_20_a_hostile_event_stops_nothing() {
    let mut world = World::new();
    world.send(&attempt(0));
    let oversized = vec![b' '; model::unreadable::MAX_EVENT_BYTES + 1];
    let deep = [b"{\"x\":".to_vec(), vec![b'['; 100_000]].concat();
    for payload in [&oversized[..], &deep, b"", b"{", b"\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"null"] {
        assert!(world.send_bytes(payload, None).is_err());
    }
    // Each of these can be read, and is answered.
    let long = "x".repeat(900_000);
    for (at, (section, field, value)) in [
        ("request", "user_agent", Value::from(long.clone())),
        ("request", "ip", Value::from(long.clone())),
        ("device", "id", Value::from(long.clone())),
        ("stats", "logins_count", json!(i64::MIN)),
        ("request", "geoip", json!({"cityName": long})),
        ("request", "user_agent", json!("\u{0}\u{202e}Chrome/99999999999999999999999.1")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut event = attempt(at as i64 + 1).json();
        event[section][field] = value;
        assert!(world.send_json(&event).verdict.is_some(), "{section}.{field}");
    }
    assert_eq!(world.send(&attempt(100)).device(), "match");
    assert!(world.partition.stats().packed_bytes < 4096);
}
