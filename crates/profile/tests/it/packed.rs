//! Profiles to bytes and back.

use std::net::IpAddr;
use std::sync::Arc;

use model::assessment::Category;
use model::evidence::Version;
use model::{Action, Answer, Confidence, Decision, DecisionDetail, Reason, Timestamp};
use profile::answers::{StoredAnswer, StoredEntry, StoredTravel};
use profile::devices::Shown;
use profile::packed::{CorruptProfile, FORMAT_VERSION, Origin, PackBuffer, pack, pack_into, unpack, unpack_into};
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
    let version = vec(any::<u64>(), 0..20).prop_map(|parts| Version::from_parts(&parts));
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
    let plain = prop::sample::select(vec![
        Decision::new(Action::Challenge, Reason::ConfidenceLow),
        Decision::new(Action::None, Reason::ConfidenceNotLow),
    ]);
    let name = || ".{0,12}".prop_map(|text| Arc::from(text.as_str()));
    let names = || prop::collection::vec(name(), 0..9);
    let detail =
        (prop::option::of(name()), prop::option::of(name()), any::<Option<bool>>(), names(), any::<bool>(), names());
    let detail =
        detail.prop_map(|(rule, message, allow_remember_browser, factors, interaction_required, rule_errors)| {
            let detail =
                DecisionDetail { rule, message, allow_remember_browser, factors, interaction_required, rule_errors };
            // One that says nothing is none.
            Some(Arc::new(detail)).filter(|detail| **detail != DecisionDetail::default())
        });
    let rich = (prop::sample::select(&Action::ALL[..]), prop::sample::select(&Reason::ALL[..]), detail)
        .prop_map(|(action, reason, detail)| Decision { action, reason, detail });
    prop_oneof![plain, rich]
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
    (any::<u64>(), any::<u32>(), shown, place, any::<bool>(), assessment()).prop_map(
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
    let answer = (any::<u64>(), any::<u32>(), assessment(), any::<bool>()).prop_map(
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
            answers: Answers::from_iter(answers),
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

    /// Nothing of one profile shows in the next one that is read and written in the same memory.
    #[test]
    fn memory_that_is_used_again_holds_nothing_of_the_last(profiles in vec(any_profile(), 1..5)) {
        let (mut buffer, mut again) = (PackBuffer::default(), Profile::default());
        for profile in profiles {
            let bytes = pack_into(&profile, &mut buffer).to_vec();
            prop_assert_eq!(&*bytes, &*pack(&profile));
            for origin in [Origin::Memory, Origin::Outside] {
                unpack_into(&bytes, origin, &mut again).unwrap();
                prop_assert_eq!(&again, &profile);
                prop_assert_eq!(again.is_empty(), again == Profile::default());
                prop_assert_eq!(pack_into(&again, &mut buffer).to_vec(), pack(&unpack(&bytes).unwrap()).into_vec());
            }
            let cut = &bytes[..bytes.len() - 1];
            prop_assert!(unpack_into(cut, Origin::Memory, &mut again).is_err());
            prop_assert!(again.is_empty());
        }
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
        // Nor is there a panic where damaged bytes are taken for this process's own.
        let mut profile = Profile::default();
        if unpack_into(&bytes, Origin::Memory, &mut profile).is_ok() {
            let _ = profile.answers.iter().count();
            let _ = profile.answers.repeated(0, 0, Timestamp(0), i64::MAX);
            let first = profile.answers.iter().next();
            if let Some(first) = first {
                profile.answers.remember(&first, 3);
            }
            let _ = pack(&profile);
        }
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

/// What is done to recent answers.
#[derive(Debug, Clone)]
enum Edit {
    Remember(RecentAnswer),
    NoteSuccess(prop::sample::Index),
    /// The profile goes through its bytes, with a place that it did not have before.
    Store(Option<Spot>),
}

fn edit() -> impl Strategy<Value = Edit> {
    // Few ids and times, so that some are the same.
    let answer = (0u64..4, 0u32..2, 0i64..3, assessment(), any::<bool>()).prop_map(
        |(id, evidence, second, assessment, success_logged)| {
            let time = Timestamp(1_772_438_400_000 + second * 1000);
            RecentAnswer { id, evidence, assessment: StoredAssessment { time, ..assessment }, success_logged }
        },
    );
    prop_oneof![
        3 => answer.prop_map(Edit::Remember),
        1 => any::<prop::sample::Index>().prop_map(Edit::NoteSuccess),
        2 => option::of(spot()).prop_map(Edit::Store),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Answers that are edited as bytes are what a plain list of answers would be.
    #[test]
    fn answers_edited_in_place_are_answers_edited_in_a_list(edits in vec(edit(), 0..40), max in 0usize..6) {
        let mut profile = Profile::default();
        let mut list: Vec<RecentAnswer> = Vec::new();
        for edit in edits {
            match edit {
                Edit::Remember(answer) => {
                    profile.answers.remember(&answer, max);
                    list.push(answer);
                    list.drain(..list.len().saturating_sub(max));
                }
                Edit::NoteSuccess(index) if !list.is_empty() => {
                    let RecentAnswer { id, evidence, ref assessment, .. } = list[index.index(list.len())];
                    let time = assessment.time;
                    profile.answers.note_success_logged(id, evidence, time);
                    let is_it = |a: &&mut RecentAnswer| a.id == id && a.evidence == evidence && a.assessment.time == time;
                    list.iter_mut().find(is_it).unwrap().success_logged = true;
                }
                Edit::NoteSuccess(_) => {}
                Edit::Store(spot) => {
                    if let Some(spot) = spot {
                        profile.places.last = Some(LastPlace { spot, time: Timestamp(0) });
                    }
                    let stored = unpack(&pack(&profile)).unwrap();
                    prop_assert_eq!(&stored, &profile);
                    profile = stored;
                }
            }
            prop_assert_eq!(profile.answers.iter().collect::<Vec<_>>(), list.clone());
            prop_assert_eq!(profile.answers.len(), list.len());
            for (id, evidence, second) in [(0, 0, 0), (1, 1, 1), (2, 0, 3), (3, 1, 2)] {
                let time = Timestamp(1_772_438_400_000 + second * 1000);
                let near = |a: &&RecentAnswer| a.id == id && a.assessment.time.distance_ms(time) <= 1000;
                let repeated = list.iter().filter(near).find(|a| a.evidence == evidence);
                prop_assert_eq!(profile.answers.repeated(id, evidence, time, 1000), repeated.cloned());
                let logged = list.iter().filter(near).any(|a| a.success_logged);
                prop_assert_eq!(profile.answers.success_logged(id, time, 1000), logged);
            }
        }
    }

    /// However many answers come and go, no spot is kept that nothing names.
    #[test]
    fn spots_that_nothing_names_are_not_kept(answers in vec(assessment(), 20..60)) {
        let mut profile = Profile::default();
        for (id, assessment) in answers.into_iter().enumerate() {
            let answer = RecentAnswer { id: id as u64, evidence: 0, assessment, success_logged: false };
            profile.answers.remember(&answer, 3);
            profile = unpack(&pack(&profile)).unwrap();
        }
        let again = Profile { answers: profile.answers.iter().collect(), ..Profile::default() };
        let (long_lived, fresh) = (pack(&profile).len(), pack(&again).len());
        prop_assert!(long_lived <= fresh + 6, "{} bytes, made anew {}", long_lived, fresh);
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
    let agent = |text| AgentPrint { text, browser: Some((7, Version::from_parts(&[120]))) };
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
