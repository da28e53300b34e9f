//! Profiles to bytes and back.

use std::net::IpAddr;

use model::assessment::Category;
use model::evidence::Version;
use model::{Action, Answer, Confidence, Decision, Reason, Timestamp};
use profile::answers::{StoredAnswer, StoredEntry, StoredTravel};
use profile::devices::Shown;
use profile::packed::{CorruptProfile, FORMAT_VERSION, pack, unpack};
use profile::{
    AgentPrint, Answers, Device, Devices, LastPlace, Places, Point, Profile, RecentAnswer, Spot, StoredAssessment,
    StoredPlace, Waiting, WaitingAttempt,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn time() -> impl Strategy<Value = Timestamp> {
    (946_684_800_000i64..4_102_444_800_000).prop_map(Timestamp)
}

fn agent() -> impl Strategy<Value = AgentPrint> {
    let version = vec(any::<u64>(), 0..20).prop_map(Version::from_parts);
    (any::<u64>(), option::of((any::<u32>(), version))).prop_map(|(text, browser)| AgentPrint { text, browser })
}

fn spot() -> impl Strategy<Value = Spot> {
    // Few different ones too, so that spots are shared.
    let place =
        prop_oneof![Just((385_000_000, -91_000_000)), (-900_000_000..=900_000_000, -1_800_000_000..=1_800_000_000)];
    (place, any::<u32>(), option::of(".{0,8}"), option::of("[A-Z]{2}")).prop_map(|(point, radius_m, city, country)| {
        Spot {
            point: Point { latitude_e7: point.0, longitude_e7: point.1 },
            radius_m,
            city: city.map(Into::into),
            country: country.map(Into::into),
        }
    })
}

fn stored_answer() -> impl Strategy<Value = StoredAnswer> {
    (prop::sample::select(Answer::ALL), prop::sample::select(&Confidence::ALL[..]))
        .prop_map(|(answer, confidence)| StoredAnswer { answer, confidence })
}

fn decision() -> impl Strategy<Value = Decision> {
    prop::sample::select(vec![
        Decision { action: Action::Challenge, reason: Reason::ConfidenceLow },
        Decision { action: Action::None, reason: Reason::ConfidenceNotLow },
    ])
}

fn entry() -> impl Strategy<Value = StoredEntry> {
    (any::<IpAddr>(), any::<u8>(), ".{0,12}", prop::sample::select(&Category::ALL[..])).prop_map(
        |(ip, prefix_len, source, category)| StoredEntry { ip, prefix_len, source: source.as_str().into(), category },
    )
}

fn travel() -> impl Strategy<Value = StoredTravel> {
    (spot(), time(), spot(), any::<bool>(), any::<bool>()).prop_map(|(from, from_time, to, with_speed, known_place)| {
        StoredTravel { from, from_time, to, with_speed, known_place }
    })
}

fn assessment() -> impl Strategy<Value = StoredAssessment> {
    let answers = (option::of(stored_answer()), option::of(stored_answer()), option::of(stored_answer()));
    let confidence = prop::sample::select(&Confidence::ALL[..]);
    (time(), confidence, answers, option::of(travel()), option::of(entry()), any::<bool>(), decision(), any::<u32>())
        .prop_map(|(time, confidence, answers, travel, entry, cookie_known, decision, data_set)| StoredAssessment {
            time,
            confidence,
            impossible_travel: answers.0,
            travel,
            new_device: answers.1,
            cookie_known,
            untrusted_ip: answers.2,
            entry,
            decision,
            data_set,
        })
}

fn waiting() -> impl Strategy<Value = WaitingAttempt> {
    let shown = (option::of(any::<u64>()), option::of(agent())).prop_map(|(cookie, agent)| Shown { cookie, agent });
    let place = (option::of(any::<IpAddr>()), option::of(spot()));
    (any::<u64>(), any::<u64>(), shown, place, any::<bool>(), assessment()).prop_map(
        |(id, evidence, shown, (address, spot), teaches, assessment)| WaitingAttempt {
            id,
            evidence,
            shown,
            address,
            spot,
            teaches,
            assessment,
        },
    )
}

fn any_profile() -> impl Strategy<Value = Profile> {
    let device = (option::of(any::<u64>()), option::of(agent()), time()).prop_map(|(cookie, agent, expiry)| Device {
        cookie,
        agent,
        expiry,
    });
    let last = (spot(), time()).prop_map(|(spot, time)| LastPlace { spot, time });
    let stored = (spot(), time()).prop_map(|(spot, last_seen)| StoredPlace { spot, last_seen });
    let answer = (any::<u64>(), any::<u64>(), assessment(), any::<bool>()).prop_map(
        |(id, evidence, assessment, success_logged)| RecentAnswer { id, evidence, assessment, success_logged },
    );
    (
        option::of(time()),
        vec(device, 0..12),
        option::of(last),
        vec(stored, 0..12),
        vec(answer, 0..9),
        vec(waiting(), 0..9),
    )
        .prop_map(|(mark, devices, last, stored, answers, waiting)| Profile {
            mark,
            devices: Devices(devices),
            places: Places { last, stored },
            answers: Answers(answers),
            waiting: Waiting(waiting),
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_profile_comes_back_as_it_was(profile in any_profile()) {
        let bytes = pack(&profile);
        prop_assert_eq!(unpack(&bytes).unwrap(), profile);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_a_profile(
        profile in any_profile(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = pack(&profile).into_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = unpack(&bytes);
        let _ = unpack(&bytes[..end.index(bytes.len())]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = unpack(&bytes);
        let _ = unpack(&[&[FORMAT_VERSION], &bytes[..]].concat());
    }

    #[test]
    fn a_cut_profile_is_damaged(profile in any_profile(), end in any::<prop::sample::Index>()) {
        let bytes = pack(&profile);
        let cut = &bytes[..end.index(bytes.len())];
        prop_assert!(matches!(unpack(cut), Err(CorruptProfile::Damaged(_))));
    }
}

#[test]
fn another_version_is_refused() {
    let mut bytes = pack(&Profile::default()).into_vec();
    for version in [0, FORMAT_VERSION + 1, 0xff] {
        bytes[0] = version;
        assert_eq!(unpack(&bytes), Err(CorruptProfile::UnknownVersion(version)));
    }
    assert!(matches!(unpack(&[]), Err(CorruptProfile::Damaged(_))));
}

#[test]
fn a_users_usual_profile_is_small() {
    let now = Timestamp(1_772_438_400_000);
    let spot = |latitude, city: &str| Spot {
        point: Point::from_degrees(latitude, -9.1393).unwrap(),
        radius_m: 20_000,
        city: Some(city.into()),
        country: Some("PT".into()),
    };
    let agent = |text| AgentPrint { text, browser: Some((7, Version::from_parts(vec![120]))) };
    let device = |cookie| Device { cookie: Some(cookie), agent: Some(agent(cookie)), expiry: now };
    let profile = Profile {
        mark: Some(now),
        devices: Devices(vec![device(u64::MAX), device(u64::MAX - 1), device(u64::MAX - 2)]),
        places: Places {
            last: Some(LastPlace { spot: spot(38.7, "Lisbon"), time: now }),
            stored: vec![
                StoredPlace { spot: spot(38.7, "Lisbon"), last_seen: now },
                StoredPlace { spot: spot(41.1, "Porto"), last_seen: now },
            ],
        },
        ..Profile::default()
    };
    let bytes = pack(&profile).len();
    assert!(bytes <= 200, "{bytes} bytes for 3 devices and 2 places");
}
