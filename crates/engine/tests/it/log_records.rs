//! Which log record is written for which event.

use serde_json::json;

use crate::world::*;

#[test]
fn which_record_is_written() {
    let challenged = || attempt(HOUR).from(VPN).with(FIREFOX_121, "cookie-2");
    // What was sent before, the event, its record and whether that has the assessment.
    let cases: Vec<(&str, Vec<Event>, Event, &str, bool)> = vec![
        ("scored, not challenged", vec![], attempt(HOUR), "s", true),
        ("scored, challenged", vec![], challenged(), "mfar", true),
        ("wrong password", vec![], attempt(HOUR).outcome("failed_password"), "fp", false),
        ("unknown user", vec![], attempt(HOUR).outcome("failed_username"), "fu", false),
        ("failed otherwise", vec![], attempt(HOUR).outcome("failed_other"), "f", false),
        ("failed challenge as an attempt", vec![], attempt(HOUR).outcome("failed_mfa"), "f", false),
        ("completion, success, waiting", vec![challenged()], challenged().completed(HOUR, "success"), "s", true),
        ("completion, failed, waiting", vec![challenged()], challenged().completed(HOUR, "failed_mfa"), "f", true),
        (
            "completion, wrong password, waiting",
            vec![challenged()],
            challenged().completed(HOUR, "failed_password"),
            "f",
            true,
        ),
        ("completion, success, too late", vec![challenged()], challenged().completed(2 * HOUR, "success"), "s", false),
        (
            "completion, failed, too late",
            vec![challenged()],
            challenged().completed(2 * HOUR, "failed_mfa"),
            "f",
            false,
        ),
        ("completion of nothing", vec![], attempt(HOUR).completed(HOUR, "success"), "s", false),
        ("failed completion of nothing", vec![], attempt(HOUR).completed(HOUR, "failed_mfa"), "f", false),
        (
            "completion of an attempt that was logged",
            vec![attempt(HOUR)],
            attempt(HOUR).completed(HOUR + 10 * MINUTE, "success"),
            "-",
            false,
        ),
        (
            "the same a millisecond later",
            vec![attempt(HOUR)],
            attempt(HOUR).completed(HOUR + 10 * MINUTE + 1, "success"),
            "s",
            false,
        ),
        (
            "failed completion of an attempt that was logged",
            vec![attempt(HOUR)],
            attempt(HOUR).completed(HOUR, "failed_mfa"),
            "f",
            false,
        ),
        (
            "a second success",
            vec![challenged(), challenged().completed(HOUR, "success")],
            challenged().completed(HOUR + 1, "success"),
            "-",
            false,
        ),
        (
            "a success of somebody else's transaction",
            vec![challenged()],
            challenged().completed(HOUR, "success").with(CHROME_120, "cookie-9"),
            "s",
            false,
        ),
        ("a repeated attempt", vec![attempt(HOUR)], attempt(HOUR), "-", false),
        ("a repeated challenged attempt", vec![challenged()], challenged(), "-", false),
    ];
    for (name, before, event, kind, assessed) in cases {
        let mut world = World::new();
        world.send(&attempt(0));
        for earlier in &before {
            world.send(earlier);
        }
        let seen = world.send(&event);
        assert_eq!((seen.log_type().as_str(), seen.logged_assessment().is_some()), (kind, assessed), "{name}");
        if let Some(log) = &seen.log {
            assert_eq!(log["log_id"], log["data"]["log_id"], "{name}");
            assert_eq!(log["data"]["details"]["event_id"], json!(event.id), "{name}");
        }
    }
}

#[test]
fn a_failure_without_a_user_is_logged() {
    for (stage, kind) in [("attempt", "fu"), ("completion", "f")] {
        let mut world = World::new();
        let seen = world.send(&Event { stage, ..attempt(0).user("").outcome("failed_username") });
        assert_eq!(seen.log_type(), kind);
        assert_eq!(seen.log.unwrap()["data"].get("user_id"), None);
        assert_eq!(world.partition.stats().profiles, 0);
    }
}

#[test]
fn records_of_challenges_can_be_turned_off() {
    let mut world = World::new();
    world.log_challenges = false;
    world.send(&attempt(0));
    let challenged = attempt(HOUR).from(VPN).with(FIREFOX_121, "cookie-2");
    let seen = world.send(&challenged);
    assert_eq!((seen.overall().as_str(), seen.log_type().as_str()), ("low", "-"));
    assert!(world.send(&challenged.completed(HOUR, "success")).logged_assessment().is_some());
}

#[test]
fn ids_are_derived_from_the_event_and_sort_by_time() {
    let id = |event: &Event| {
        let mut world = World::new();
        world.send(event).log.unwrap()["log_id"].as_str().unwrap().to_owned()
    };
    let event = attempt(HOUR).id("a");
    assert_eq!(id(&event), id(&event));
    let others = [
        event.clone().id("b"),
        event.clone().user("u2"),
        Event { tenant: "other.example", ..event.clone() },
        event.completed(HOUR, "success"),
        event.clone().outcome("failed_password"),
        event.clone().from(PARIS),
        event.clone().with(CHROME_121, "cookie-1"),
        event.clone().with(CHROME_120, "cookie-2"),
    ];
    let mut ids: Vec<_> = others.iter().map(id).collect();
    ids.push(id(&event));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), others.len() + 1);
    let by_time: Vec<_> = [-400 * DAY, -1, 0, 1, DAY, 9000 * DAY].map(|at| id(&attempt(at))).to_vec();
    assert!(by_time.is_sorted(), "{by_time:?}");
    assert!(by_time.iter().all(|id| id.len() == by_time[0].len() && id.len() <= 100));
}
