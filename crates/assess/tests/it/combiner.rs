//! One confidence of three, against a naive model of the text.

use assess::Settings;
use assess::combine::combine;
use model::{Answer, Confidence};
use profile::answers::StoredAnswer;

/// What three assessors may say: absent, or one of the four confidences.
fn votes() -> impl Iterator<Item = [Option<Confidence>; 3]> {
    let each = || Confidence::ALL.into_iter().map(Some).chain([None]);
    each().flat_map(move |a| each().flat_map(move |b| each().map(move |c| [a, b, c])))
}

fn answers(votes: [Option<Confidence>; 3]) -> Vec<StoredAnswer> {
    let of = [Answer::ImpossibleTravel, Answer::DeviceNoMatch, Answer::ListedTor];
    let stored =
        |(answer, vote): (Answer, Option<Confidence>)| vote.map(|confidence| StoredAnswer { answer, confidence });
    of.into_iter().zip(votes).filter_map(stored).collect()
}

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    for (key, value) in pairs {
        settings.set(key, value).unwrap();
    }
    settings
}

#[test]
fn all_combinations() {
    for votes in votes() {
        let mut counted: Vec<_> = votes.into_iter().flatten().filter(|vote| *vote != Confidence::Neutral).collect();
        counted.sort_unstable();
        let median = if counted.is_empty() { Confidence::Neutral } else { counted[(counted.len() - 1) / 2] };
        let lowest = counted.first().copied().unwrap_or(Confidence::Neutral);
        let combined = |pairs: &[_]| combine(answers(votes).into_iter(), &settings(pairs));
        assert_eq!(combined(&[]), median, "{votes:?}");
        assert_eq!(combined(&[("combiner", "strict")]), lowest, "{votes:?}");
        // The order of the assessors does not matter.
        let backwards: Vec<_> = answers(votes).into_iter().rev().collect();
        assert_eq!(combine(backwards.into_iter(), &settings(&[])), median);
        let forced = if votes[2].is_some() { Confidence::Low } else { median };
        assert_eq!(combined(&[("force_low", "UntrustedIP.found_on_deny_list.tor")]), forced, "{votes:?}");
    }
}

#[test]
fn the_references_samples() {
    use Confidence::{High, Low, Medium};
    for (ip, device, travel, overall) in [
        (High, Medium, High, High),
        (High, Medium, Low, Medium),
        (High, Low, High, High),
        (High, High, High, High),
        (Low, Low, Low, Low),
    ] {
        let votes = [Some(travel), Some(device), Some(ip)];
        assert_eq!(combine(answers(votes).into_iter(), &Settings::default()), overall);
    }
}

#[test]
fn which_answers_a_name_forces() {
    let cases: &[(&str, &[Answer])] = &[
        ("UntrustedIP.found_on_deny_list.tor", &[Answer::ListedTor]),
        (
            "UntrustedIP.found_on_deny_list",
            &[
                Answer::ListedTor,
                Answer::ListedResidentialProxy,
                Answer::ListedAbuse,
                Answer::ListedReputation,
                Answer::ListedUnroutable,
                Answer::ListedAnonymizer,
                Answer::ListedVpn,
                Answer::ListedProxy,
                Answer::ListedDatacenter,
            ],
        ),
        ("UntrustedIP.not_found_on_deny_list.non_public", &[Answer::IpNonPublic]),
        ("ImpossibleTravel.missing_geoip.non_public", &[Answer::GeoipNonPublic]),
        ("ImpossibleTravel.travel_from_last_login.known_place", &[Answer::TravelKnownPlace]),
        ("NewDevice.no_match, ImpossibleTravel.invalid_travel", &[Answer::DeviceNoMatch, Answer::InvalidTravel]),
        ("ImpossibleTravel.assessment_not_available", &[Answer::TravelNotAvailable]),
        ("", &[]),
    ];
    for (names, forced) in cases {
        let settings = settings(&[("force_low", names)]);
        let got: Vec<_> = Answer::ALL.iter().copied().filter(|answer| settings.forces_low(*answer)).collect();
        assert_eq!(got.len(), forced.len(), "{names}");
        assert!(forced.iter().all(|answer| got.contains(answer)), "{names}");
    }
    // A code forces, whatever its own confidence, and also where it is neutral.
    let forcing = settings(&[("force_low", "ImpossibleTravel.impossible_travel_from_last_login")]);
    for confidence in Confidence::ALL {
        let answers = answers([Some(confidence), Some(Confidence::High), Some(Confidence::High)]);
        assert_eq!(combine(answers.into_iter(), &forcing), Confidence::Low);
    }
}
