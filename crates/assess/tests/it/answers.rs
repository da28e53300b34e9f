//! Every row of the three confidence tables is reached, with its default confidence and its own key.

use std::collections::BTreeSet;
use std::net::IpAddr;

use assess::{AddressClass, Attempt, Location, Settings, assess};
use model::assessment::Category;
use model::event::EventGeo;
use model::evidence::{AddressFacts, GeoRecord, ListMatch, LookupFailed, SourceState, Version};
use model::time::DAY_MS;
use model::{Answer, Assessor, Confidence, Timestamp};
use profile::answers::StoredAnswer;
use profile::devices::Shown;
use profile::{AgentPrint, Device, LastPlace, Point, Profile, Spot, StoredPlace};

const HOUR: i64 = 3_600_000;
const NOW: i64 = 1_772_438_400_000;

fn spot(latitude: f64, longitude: f64) -> Spot {
    let point = Point::from_degrees(latitude, longitude).unwrap();
    Spot { point, radius_m: 0, city: None, country: None }
}

fn agent(text: u64, version: u64) -> AgentPrint {
    AgentPrint { text, browser: Some((1, Version::from_parts(&[version]))) }
}

fn shown(cookie: u64, text: u64) -> Shown {
    let agent = (text > 0).then(|| agent(text, text));
    Shown { cookie: (cookie > 0).then_some(cookie), agent }
}

/// A user who was at 50 N 0 E an hour ago with cookie 1 and browser 20, and at 50 N 100 E before.
fn user() -> Profile {
    let mut profile = Profile { mark: Some(Timestamp(NOW - HOUR)), ..Profile::default() };
    let expiry = Timestamp(NOW + DAY_MS);
    profile.devices.0.push(Device { cookie: Some(1), agent: Some(agent(20, 20)), expiry });
    profile.places.last = Some(LastPlace { spot: spot(50.0, 0.0), time: Timestamp(NOW - HOUR) });
    for (longitude, ago) in [(100.0, 2 * DAY_MS), (0.0, HOUR)] {
        profile.places.stored.push(StoredPlace { spot: spot(50.0, longitude), last_seen: Timestamp(NOW - ago) });
    }
    profile
}

fn facts(matches: &[(Category, Option<Confidence>)]) -> AddressFacts {
    let entry = |(category, confidence): &(Category, Option<Confidence>)| ListMatch {
        list: category.as_str().into(),
        category: *category,
        confidence: *confidence,
        prefix_len: 24,
    };
    let matches = Ok(matches.iter().map(entry).collect());
    AddressFacts { non_public: false, relay: false, matches, geo: Ok(None), network: None }
}

fn class(facts: &AddressFacts, settings: &Settings) -> AddressClass {
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    AddressClass::of(ip, facts, settings)
}

/// An attempt from the last place with the known device.
fn attempt(facts: &AddressFacts) -> Attempt {
    Attempt {
        has_browser: true,
        time: Timestamp(NOW),
        address: "192.0.2.1".parse().ok(),
        class: class(facts, &Settings::default()),
        lists: SourceState::Ready,
        location: Location::Usable(spot(50.0, 0.0)),
        shown: shown(1, 20),
        logins_count: None,
        data_set: 0,
    }
}

fn at(location: Location) -> Attempt {
    Attempt { location, ..attempt(&facts(&[])) }
}

/// Every row: how it comes about, its answer and its default confidence.
fn rows() -> Vec<(Attempt, Profile, Answer, Confidence)> {
    use Answer as A;
    use Confidence::{High, Low, Medium, Neutral};
    let here = || attempt(&facts(&[]));
    let device = |cookie, text| Attempt { shown: shown(cookie, text), ..here() };
    let old = |days: i64| {
        let mut profile = user();
        profile.places.last.as_mut().unwrap().time = Timestamp(NOW - days * DAY_MS);
        profile.places.stored.truncate(1);
        profile.places.stored[0] = StoredPlace { spot: spot(50.0, 0.0), last_seen: Timestamp(NOW - days * DAY_MS) };
        profile
    };
    let mut no_device = user();
    no_device.devices.0[0].expiry = Timestamp(NOW);
    let failing = AddressFacts { matches: Err(LookupFailed), ..facts(&[]) };
    let relay = AddressFacts { relay: true, ..facts(&[(Category::Vpn, None)]) };
    let non_public = AddressFacts { non_public: true, ..facts(&[]) };
    let mut rows = vec![
        (here(), Profile::default(), A::DeviceInitialLogin, Medium),
        (device(0, 0), user(), A::UnknownDevice, Low),
        (here(), no_device, A::NoDeviceHistory, Low),
        (here(), user(), A::DeviceMatch, High),
        (device(1, 21), user(), A::DeviceMatch, High),
        (device(1, 19), user(), A::DevicePartialMatch, Medium),
        (device(2, 20), user(), A::DevicePartialMatch, Medium),
        (device(2, 19), user(), A::DeviceNoMatch, Low),
        (at(Location::Failed), user(), A::TravelNotAvailable, Low),
        (attempt(&non_public), user(), A::GeoipNonPublic, Neutral),
        (attempt(&facts(&[(Category::Proxy, None)])), user(), A::AnonymousProxy, Low),
        (attempt(&relay), user(), A::LocationRelay, Neutral),
        (at(Location::Missing), user(), A::MissingGeoip, Low),
        (at(Location::Unusable), user(), A::UnknownLocation, Medium),
        (here(), Profile::default(), A::TravelInitialLogin, Neutral),
        (here(), old(91), A::LocationHistoryNotFound, High),
        (at(Location::NotANumber), Profile::default(), A::TravelInitialLogin, Neutral),
        (at(Location::NotANumber), old(91), A::LocationHistoryNotFound, High),
        (at(Location::NotANumber), old(31), A::InvalidTravel, Low),
        (at(Location::NotANumber), user(), A::InvalidTravel, Low),
        (here(), old(30), A::MinimalTravel, High),
        (here(), old(31), A::TravelKnownPlace, High),
        (at(Location::Usable(spot(50.8, 0.0))), user(), A::MinimalTravel, High),
        (at(Location::Usable(spot(50.0, 100.0))), user(), A::TravelKnownPlace, High),
        (at(Location::Usable(spot(50.0, 40.0))), user(), A::ImpossibleTravel, Low),
        (at(Location::Usable(spot(52.0, 0.0))), user(), A::Travel, High),
        (at(Location::Usable(spot(58.0, 0.0))), user(), A::SubstantialTravel, Medium),
        (Attempt { address: None, ..here() }, user(), A::InvalidIp, Low),
        (attempt(&failing), user(), A::IpNotAvailable, Low),
        (Attempt { lists: SourceState::Unavailable, ..here() }, user(), A::IpNotAvailable, Low),
        (attempt(&non_public), user(), A::IpNonPublic, Neutral),
        (here(), user(), A::IpNotFound, High),
    ];
    for (category, confidence) in [
        (Category::Tor, Low),
        (Category::ResidentialProxy, Low),
        (Category::Abuse, Low),
        (Category::Reputation, Low),
        (Category::Unroutable, Low),
        (Category::Anonymizer, Medium),
        (Category::Vpn, Medium),
        (Category::Proxy, Medium),
        (Category::Datacenter, Medium),
    ] {
        rows.push((attempt(&facts(&[(category, None)])), user(), category.answer(), confidence));
    }
    rows
}

fn answer_of(attempt: &Attempt, profile: &Profile, assessor: Assessor, settings: &Settings) -> StoredAnswer {
    let assessment = assess(attempt, Some(profile), settings);
    match assessor {
        Assessor::ImpossibleTravel => assessment.impossible_travel,
        Assessor::NewDevice => assessment.new_device,
        Assessor::UntrustedIp => assessment.untrusted_ip,
    }
    .unwrap()
}

#[test]
fn every_row_with_its_default_confidence() {
    let mut reached = BTreeSet::new();
    for (attempt, profile, answer, confidence) in rows() {
        let got = answer_of(&attempt, &profile, answer.assessor(), &Settings::default());
        assert_eq!((got.answer, got.confidence), (answer, confidence));
        reached.insert(answer.key().to_owned() + answer.assessor().as_str());
    }
    let all: BTreeSet<_> = Answer::ALL.iter().map(|a| a.key().to_owned() + a.assessor().as_str()).collect();
    let missing: Vec<_> = all.difference(&reached).collect();
    // NewDevice looks at memory alone: it fails when that cannot be read, below.
    assert_eq!(missing, ["assessment_not_availableNewDevice"]);
}

#[test]
fn a_history_that_cannot_be_read_is_a_failure_whatever_else_is_known() {
    let here = || attempt(&facts(&[]));
    let non_public_attempt = attempt(&AddressFacts { non_public: true, ..facts(&[]) });
    for (attempt, travel, ip) in [
        (here(), Some(Answer::TravelNotAvailable), Answer::IpNotFound),
        (Attempt { logins_count: Some(1), ..here() }, Some(Answer::TravelNotAvailable), Answer::IpNotFound),
        (Attempt { shown: shown(0, 0), ..here() }, Some(Answer::TravelNotAvailable), Answer::IpNotFound),
        (at(Location::Missing), Some(Answer::TravelNotAvailable), Answer::IpNotFound),
        (at(Location::Failed), Some(Answer::TravelNotAvailable), Answer::IpNotFound),
        (non_public_attempt, Some(Answer::TravelNotAvailable), Answer::IpNonPublic),
        (at(Location::NoSource), None, Answer::IpNotFound),
    ] {
        for (abstain, confidence) in [("false", Confidence::Low), ("true", Confidence::Neutral)] {
            let mut settings = Settings::default();
            settings.set("abstain_on_failure", abstain).unwrap();
            let assessment = assess(&attempt, None, &settings);
            let failed = |answer| StoredAnswer { answer, confidence };
            assert_eq!(assessment.new_device, Some(failed(Answer::DeviceNotAvailable)), "{attempt:?}");
            assert_eq!(assessment.impossible_travel, travel.map(failed), "{attempt:?}");
            assert_eq!(assessment.untrusted_ip.map(|stored| stored.answer), Some(ip), "{attempt:?}");
        }
    }
}

#[test]
fn coordinates_that_are_no_finite_numbers_are_a_place_that_nothing_can_be_computed_with() {
    let record = || GeoRecord { radius_km: Some(10.0), city: Some("Nowhere".into()), ..GeoRecord::default() };
    let point = |latitude, longitude| GeoRecord { latitude: Some(latitude), longitude: Some(longitude), ..record() };
    let nan = || point(f64::NAN, f64::NAN);
    for (record, wanted) in [
        (nan(), Location::NotANumber),
        (point(1.0, f64::INFINITY), Location::NotANumber),
        (point(f64::NEG_INFINITY, 1.0), Location::NotANumber),
        (point(90.1, f64::NAN), Location::NotANumber),
        (point(90.1, 0.0), Location::Unusable),
        (GeoRecord { longitude: None, ..nan() }, Location::Unusable),
        (GeoRecord { radius_km: Some(500.0), ..nan() }, Location::Unusable),
        (GeoRecord { radius_km: None, city: None, ..nan() }, Location::Unusable),
        (GeoRecord { is_satellite: true, ..nan() }, Location::Unusable),
    ] {
        let facts = AddressFacts { geo: Ok(Some(record.clone().into())), ..facts(&[]) };
        let found = Location::find(SourceState::Ready, Some(&facts), &EventGeo::default(), &Settings::default());
        assert_eq!(found, wanted, "{record:?}");
        assert_eq!(found.spot(), None);
    }
}

#[test]
fn every_row_has_a_key_of_its_own() {
    for (_, _, answer, _) in rows() {
        let key = format!("confidence.{}.{}", answer.assessor().as_str(), answer.key());
        for confidence in Confidence::ALL {
            let mut settings = Settings::default();
            settings.set(&key, confidence.as_str()).unwrap();
            for (attempt, profile, other, default) in rows() {
                // The class of an address is made before, with the settings: see below.
                let is_listed = attempt.class.entry.is_some();
                let got = answer_of(&attempt, &profile, other.assessor(), &settings);
                if !is_listed {
                    let wanted = if other == answer { confidence } else { default };
                    assert_eq!(got.confidence, wanted, "{other:?} with {key}");
                }
            }
            if answer.code() == "found_on_deny_list" {
                let category = Category::ALL.into_iter().find(|category| category.answer() == answer).unwrap();
                let class = class(&facts(&[(category, None)]), &settings);
                assert_eq!(class.entry.unwrap().confidence, confidence, "{key}");
            }
        }
    }
}

#[test]
fn a_lists_own_confidence_goes_before_its_categorys() {
    let settings = Settings::default();
    for own in [Confidence::Low, Confidence::Medium, Confidence::High] {
        for category in Category::ALL {
            let class = class(&facts(&[(category, Some(own))]), &settings);
            assert_eq!(class.entry.unwrap().confidence, own);
        }
    }
}

#[test]
fn classes_of_addresses() {
    // Relay, allow-listed, the entry's category: anonymised, counts.
    let cases = [
        (false, false, Category::Tor, true, true),
        (false, false, Category::Datacenter, false, true),
        (false, false, Category::Anonymizer, true, true),
        (false, false, Category::Reputation, false, true),
        (true, false, Category::Vpn, false, false),
        (true, false, Category::Proxy, false, false),
        (true, false, Category::Anonymizer, false, false),
        (true, false, Category::Datacenter, false, false),
        (true, false, Category::Tor, true, true),
        (true, false, Category::ResidentialProxy, true, true),
        (true, false, Category::Abuse, false, true),
        (false, true, Category::Tor, false, false),
        (true, true, Category::Tor, false, false),
    ];
    for (relay, allowed, category, anonymised, counts) in cases {
        let mut settings = Settings::default();
        if allowed {
            settings.set("allow", "198.51.100.0/24, 192.0.2.0/31").unwrap();
        }
        let facts = AddressFacts { relay, ..facts(&[(category, None)]) };
        let class = class(&facts, &settings);
        let wanted = (relay && !allowed, anonymised, counts);
        assert_eq!((class.relay, class.anonymised, class.entry.is_some()), wanted, "{relay} {allowed} {category:?}");
    }
}

#[test]
fn a_known_place_is_told_whatever_the_answer() {
    let mut profile = user();
    let known = |profile: &Profile, attempt: &Attempt| {
        let assessment = assess(attempt, Some(profile), &Settings::default());
        assessment.travel.unwrap().known_place
    };
    assert!(known(&profile, &at(Location::Usable(spot(50.0, 0.0)))));
    profile.places.stored.clear();
    assert!(!known(&profile, &at(Location::Usable(spot(50.0, 0.0)))), "minimal travel, but no stored place");
}

#[test]
fn absent_sources_are_absent_assessors() {
    let settings = Settings::default();
    let attempt = Attempt { lists: SourceState::Absent, ..at(Location::NoSource) };
    let assessment = assess(&attempt, Some(&user()), &settings);
    assert_eq!((assessment.impossible_travel, assessment.untrusted_ip), (None, None));
    assert_eq!(assessment.confidence, Confidence::High);
}
