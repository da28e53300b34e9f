//! Every key: what it takes, what it refuses, and that what is shown can be set again.

use assess::Settings;
use assess::settings::{KEYS, SettingError, all_keys};
use model::{Answer, Confidence};

#[test]
fn limits_of_every_key() {
    // Key, values that are taken, values that are refused.
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("preset", &["reference", "cautious"], &["", "Cautious", "strict"]),
        ("combiner", &["median", "strict"], &["", "mean"]),
        (
            "force_low",
            &["", "NewDevice.no_match", "UntrustedIP.found_on_deny_list,NewDevice.match", " NewDevice.match , "],
            &["NewDevice", "no_match", "NewDevice.no_such", "newdevice.match", "NewDevice.match;NewDevice.no_match"],
        ),
        ("abstain_on_failure", &["true", "false"], &["", "1", "yes", "True"]),
        ("learning", &["on_decision", "on_attempt"], &["", "never"]),
        (
            "allow",
            &["", "192.0.2.0/24", "192.0.2.1", "2001:db8::/32,192.0.2.1/32"],
            &["0.0.0.0/0", "::/0", "192.0.2.0/33", "example.com", "192.0.2.0/24,x"],
        ),
        ("time.max_ahead_minutes", &["0", "0.5", "1440"], &["-1", "1440.1", "NaN", "inf", ""]),
        ("dedup.max", &["0", "64"], &["-1", "65", "1.5", ""]),
        ("dedup.minutes", &["0", "0.1", "1440"], &["-0.1", "1441", "NaN"]),
        ("profile.days", &["366", "3660"], &["365", "3661", "0", "400.5"]),
        ("device.remember_for_days", &["1", "365"], &["0", "366", "30.5", "thirty"]),
        ("device.max", &["1", "100"], &["0", "101"]),
        ("travel.unusable_radius_km", &["1", "20100"], &["0", "20101", "NaN", "-inf"]),
        ("travel.default_radius_km", &["0", "20100"], &["-1", "20101", "NaN"]),
        ("travel.retention_days", &["0", "2", "0.5", "3660"], &["-1", "3661", "NaN"]),
        ("travel.known_place_days", &["0", "3660"], &["-1", "3661", "inf"]),
        ("travel.floor_km", &["0", "0.1", "20100"], &["-1", "20101", "1e400", "NaN"]),
        ("travel.max_speed_kmh", &["1", "1000000000"], &["0", "-5", "inf", "NaN"]),
        ("travel.substantial_km", &["0", "20100"], &["-1", "20101"]),
        ("travel.max_known_places", &["1", "100"], &["0", "101"]),
        ("pending.max", &["1", "64"], &["0", "65"]),
        ("pending.minutes", &["0", "1440"], &["-1", "1441", "NaN"]),
    ];
    let mut covered: Vec<_> = cases.iter().map(|(key, ..)| *key).collect();
    let mut known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    covered.sort_unstable();
    known.sort_unstable();
    assert_eq!(covered, known, "every key has its case");
    for (key, taken, refused) in cases {
        for value in *taken {
            assert_eq!(Settings::default().set(key, value), Ok(()), "{key} = {value}");
        }
        for value in *refused {
            let mut settings = Settings::default();
            let error = settings.set(key, value).unwrap_err();
            let SettingError::BadValue { key: named, value: shown, allowed } = error else { panic!("{error}") };
            assert_eq!((named.as_str(), shown.as_str()), (*key, *value));
            assert!(!allowed.is_empty());
            assert_eq!(settings.entries(), Settings::default().entries(), "a refused value changes nothing");
        }
    }
    for answer in Answer::ALL {
        let key = format!("confidence.{}.{}", answer.assessor().as_str(), answer.key());
        for value in ["low", "medium", "high", "neutral"] {
            let mut settings = Settings::default();
            settings.set(&key, value).unwrap();
            assert_eq!(settings.confidence(*answer).as_str(), value);
        }
        for value in ["", "Low", "none", "0"] {
            assert!(Settings::default().set(&key, value).is_err(), "{key} = {value}");
        }
    }
}

#[test]
fn what_is_shown_can_be_set_again() {
    let mut settings = Settings::default();
    for (key, value) in [
        ("preset", "cautious"),
        ("dedup.minutes", "0.25"),
        ("allow", "192.0.2.0/24,2001:db8::1"),
        ("force_low", "NewDevice.no_match"),
        ("travel.floor_km", "12.5"),
        ("confidence.NewDevice.match", "medium"),
    ] {
        settings.set(key, value).unwrap();
    }
    let mut again = Settings::default();
    for (key, value) in settings.entries() {
        again.set(&key, &value).unwrap();
    }
    assert_eq!(again.entries(), settings.entries());
    let names: Vec<_> = settings.entries().into_iter().map(|(key, _)| key).collect();
    assert_eq!(names, all_keys().collect::<Vec<_>>());
}

#[test]
fn the_cautious_preset() {
    let mut settings = Settings::default();
    settings.set("preset", "cautious").unwrap();
    assert_eq!(settings.confidence(Answer::LocationHistoryNotFound), Confidence::Neutral);
    let forced: Vec<_> = Answer::ALL.iter().copied().filter(|answer| settings.forces_low(*answer)).collect();
    assert_eq!(forced.len(), 3);
    for answer in [Answer::ImpossibleTravel, Answer::ListedTor, Answer::ListedResidentialProxy] {
        assert!(forced.contains(&answer), "{answer:?}");
    }
    // It differs in nothing else.
    let reference = Settings::default().entries();
    let differing: Vec<_> =
        settings.entries().into_iter().zip(reference).filter(|(a, b)| a != b).map(|(a, _)| a.0).collect();
    assert_eq!(differing, ["preset", "force_low", "confidence.ImpossibleTravel.location_history_not_found"]);
}

#[test]
fn a_failed_assessor_abstains_where_that_is_set() {
    let mut settings = Settings::default();
    settings.set("abstain_on_failure", "true").unwrap();
    for answer in Answer::ALL {
        let failed = answer.code() == "assessment_not_available";
        let neutral = settings.confidence(*answer) == Confidence::Neutral;
        let by_default = Settings::default().confidence(*answer) == Confidence::Neutral;
        assert_eq!(neutral, failed || by_default, "{answer:?}");
    }
}

#[test]
fn an_unknown_key_names_the_nearest() {
    for (key, wanted) in [
        ("travel.flor_km", Some("travel.floor_km")),
        ("Combiner", Some("combiner")),
        ("confidence.NewDevice.mach", Some("confidence.NewDevice.match")),
        ("zzz", None),
        ("", None),
    ] {
        let error = Settings::default().set(key, "1").unwrap_err();
        let SettingError::UnknownKey { nearest, .. } = error else { panic!("{error}") };
        assert_eq!(nearest.as_deref(), wanted, "{key}");
    }
}
