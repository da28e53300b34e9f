use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use sim::networks::{self, Access, Use};
use sim::world::{CITIES, distance_km};
use sim::{AttackKind, Error, GenuineKind, Label, Labelled, Role, Traffic, TrafficConfig};

fn events(config: TrafficConfig) -> Vec<Labelled> {
    Traffic::new(config).unwrap().collect()
}

fn seeded(seed: u64) -> TrafficConfig {
    TrafficConfig { seed, ..TrafficConfig::default() }
}

fn json(event: &Labelled) -> Value {
    serde_json::from_slice(&event.event).unwrap()
}

fn attempts(events: &[Labelled]) -> impl Iterator<Item = &Labelled> {
    events.iter().filter(|event| event.role == Role::Attempt)
}

#[test]
fn same_seed_same_bytes() {
    let config = |seed| TrafficConfig { logins: 2_000, users: 60, ..seeded(seed) };
    assert_eq!(events(config(7)), events(config(7)));
    assert_ne!(events(config(7)), events(config(8)));
}

/// Counts in other people's tests hang on these bytes. Change the number only together with a note
/// in the changelog.
#[test]
fn the_bytes_are_those_of_the_last_version() {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64; // FNV-1a
    for event in Traffic::new(seeded(1)).unwrap().take(5_000) {
        for byte in event.event {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    assert_eq!(format!("{hash:016x}"), "0070bed5cd385743");
}

#[test]
fn every_label_occurs_in_20_000_logins() {
    for seed in 1..=5 {
        let events = events(seeded(seed));
        let mut counts: BTreeMap<Label, usize> = BTreeMap::new();
        for event in attempts(&events) {
            *counts.entry(event.label).or_default() += 1;
        }
        assert_eq!(counts.values().sum::<usize>(), 20_000, "seed {seed}");
        let genuine = GenuineKind::ALL.map(Label::Genuine);
        let attacks = AttackKind::ALL.map(Label::Attack);
        for label in genuine.iter().chain(&attacks) {
            let count = counts.get(label).copied().unwrap_or(0);
            assert!(count >= 5, "seed {seed}: {label} occurs {count} times");
        }
        let usual = counts[&Label::Genuine(GenuineKind::Usual)];
        assert!(usual > 10_000, "seed {seed}: {usual} usual logins");
    }
}

#[test]
fn the_share_of_attacks_is_as_configured() {
    for fraction in [0.0, 0.01, 0.1, 0.3] {
        let events = events(TrafficConfig { attack_fraction: fraction, ..seeded(3) });
        let attacks = attempts(&events).filter(|event| event.label.is_attack()).count();
        let share = attacks as f64 / 20_000.0;
        assert!((share - fraction).abs() <= 0.002 + fraction / 20.0, "{fraction}: {share}");
    }
}

#[test]
fn events_are_in_order_of_arrival() {
    for disorder_ms in [0, 5_000] {
        let events = events(TrafficConfig { disorder_ms, logins: 5_000, ..seeded(4) });
        assert!(events.is_sorted_by_key(|event| event.arrival_ms));
        let originals = events.iter().filter(|event| event.role != Role::Duplicate);
        let in_order = originals.is_sorted_by_key(|event| event.time_ms);
        assert_eq!(in_order, disorder_ms == 0);
        for event in &events {
            let late = event.arrival_ms - event.time_ms;
            let most = i64::from(disorder_ms) * 2 + 60_000;
            assert!(late >= 0);
            assert!(late <= if event.role == Role::Duplicate { most } else { disorder_ms.into() });
        }
    }
}

#[test]
fn ids_name_logins() {
    let events = events(seeded(5));
    let mut first: HashMap<&str, &Labelled> = HashMap::new();
    for event in &events {
        match event.role {
            Role::Attempt | Role::Failure => {
                let other = first.insert(&event.event_id, event);
                assert!(other.is_none(), "{} twice", event.event_id);
            }
            Role::Completion | Role::Duplicate => {
                let attempt = first[event.event_id.as_str()];
                assert_eq!(attempt.role, Role::Attempt);
                assert_eq!(attempt.key(), event.key());
                assert_eq!(attempt.label, event.label);
                if event.role == Role::Duplicate {
                    assert_eq!(attempt.event, event.event);
                }
            }
        }
    }
    let roles: HashSet<Role> = events.iter().map(|event| event.role).collect();
    assert_eq!(roles.len(), 4);
}

#[test]
fn events_are_what_the_labels_say_about_them() {
    for event in events(seeded(6)) {
        let json = json(&event);
        assert!(!event.event.contains(&b'\n'));
        assert_eq!(json["id"], event.event_id.as_str());
        assert_eq!(json["tenant"]["id"], &*event.tenant);
        assert_eq!(json["user"]["user_id"].as_str(), event.user_id.as_deref());
        let time = json["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
        for text in ["ip", "user_agent", "hostname"] {
            assert!(!json["request"][text].as_str().unwrap().is_empty());
        }
        for (part, key) in [
            ("client", "client_id"),
            ("connection", "strategy"),
            ("transaction", "protocol"),
            ("session", "id"),
            ("security_context", "ja3"),
        ] {
            assert!(!json[part][key].as_str().unwrap().is_empty(), "{part}.{key}");
        }
        let stage = json["stage"].as_str().unwrap_or("attempt");
        let outcome = json["outcome"].as_str().unwrap();
        match event.role {
            Role::Attempt | Role::Duplicate => assert_eq!((stage, outcome), ("attempt", "success")),
            Role::Failure => assert!(stage == "attempt" && outcome != "success"),
            Role::Completion => {
                assert_eq!(stage, "completion");
                assert!(["success", "failed_mfa"].contains(&outcome));
                assert!(!event.label.is_attack() || outcome == "failed_mfa", "{event:?}");
            }
        }
        assert!(event.user_id.is_some() || outcome == "failed_username");
    }
}

#[test]
fn attacks_are_what_they_are_called() {
    let mut config = seeded(9);
    config.attack_fraction = 0.1;
    let mut logins: HashMap<String, u32> = HashMap::new();
    // The owner's last login in plain sight, and all places of such logins.
    let mut owner: HashMap<String, (i64, usize)> = HashMap::new();
    let mut places: HashMap<String, HashSet<usize>> = HashMap::new();
    let mut cookies: HashMap<String, HashSet<String>> = HashMap::new();
    let mut agents: HashMap<String, HashSet<String>> = HashMap::new();
    let mut seen = 0;
    for event in events(config) {
        let json = json(&event);
        let ip: std::net::IpAddr = json["request"]["ip"].as_str().unwrap().parse().unwrap();
        let cookie = json["device"]["id"].as_str().map(str::to_owned);
        let agent = json["request"]["user_agent"].as_str().unwrap().to_owned();
        let place = (0..CITIES.len()).find(|&city| {
            let v4 = Access::ALL.map(|access| networks::access_v4(city, access));
            let v6 = networks::access_v6(city);
            match ip {
                std::net::IpAddr::V4(ip) => v4.iter().any(|network| network.contains(&ip)),
                std::net::IpAddr::V6(ip) => v6.contains(&ip),
            }
        });
        let user = event.key();
        let Label::Attack(kind) = event.label else {
            cookies.entry(user.clone()).or_default().extend(cookie);
            agents.entry(user.clone()).or_default().insert(agent);
            if event.role == Role::Attempt {
                *logins.entry(user.clone()).or_default() += 1;
                if let Some(place) = place {
                    places.entry(user.clone()).or_default().insert(place);
                    owner.insert(user, (event.time_ms, place));
                }
            }
            continue;
        };
        if event.role != Role::Attempt {
            continue;
        }
        seen += 1;
        assert!(logins[&user] >= 3, "{kind:?} without history");
        let used = |usage| {
            networks::used_for(usage).any(|placed| match ip {
                std::net::IpAddr::V4(ip) => placed.network.contains(&ip),
                std::net::IpAddr::V6(_) => false,
            })
        };
        let has_cookie = cookie.is_some_and(|cookie| cookies[&user].contains(&cookie));
        let has_agent = agents[&user].contains(&agent);
        assert_eq!(has_cookie, kind == AttackKind::CookieTheft, "{kind:?}");
        let (at, from) = owner[&user];
        let km = place.map(|to| distance_km(&CITIES[from], &CITIES[to]));
        let hours = (event.time_ms - at) as f64 / 3_600_000.0;
        match kind {
            AttackKind::StolenPasswordAbroad => {
                assert!(km.unwrap() / hours > 1_500.0 && !has_agent);
                assert_ne!(CITIES[from].continent, CITIES[place.unwrap()].continent);
            }
            AttackKind::TorExit => assert!(used(Use::TorExit)),
            AttackKind::ResidentialProxyNearby => {
                let near = |&home: &usize| distance_km(&CITIES[home], &CITIES[place.unwrap()]) < 100.0;
                assert!(places[&user].iter().any(near) && !has_agent);
                let host = match ip {
                    std::net::IpAddr::V4(ip) => ip.octets()[3],
                    std::net::IpAddr::V6(_) => 0,
                };
                assert!(networks::RENTED_OUT.contains(&host));
            }
            AttackKind::DatacenterBot => assert!(used(Use::Hosting) && !has_agent),
            AttackKind::CookieTheft => assert!(km.unwrap() / hours > 1_500.0 && has_agent),
            AttackKind::CredentialStuffing => assert!(used(Use::Abuse)),
            AttackKind::SlowTraveller => {
                assert!(km.unwrap() > 100.0 && km.unwrap() / hours < 400.0, "{km:?} {hours}");
                assert!(!has_agent);
            }
        }
    }
    assert!(seen > 1_500, "{seen} attacks");
}

#[test]
fn owners_have_time_to_travel() {
    let mut last: HashMap<String, (i64, usize)> = HashMap::new();
    let mut moves = 0;
    for event in events(seeded(10)) {
        if event.label.is_attack() || event.role != Role::Attempt {
            continue;
        }
        let json = json(&event);
        let Ok(ip) = json["request"]["ip"].as_str().unwrap().parse() else {
            continue; // IPv6 is at home only
        };
        let Some(place) = (0..CITIES.len()).find(|&city| {
            Access::ALL.iter().any(|&access| networks::access_v4(city, access).contains::<&std::net::Ipv4Addr>(&ip))
        }) else {
            continue;
        };
        let before = last.insert(event.key(), (event.time_ms, place));
        if let Some((at, from)) = before {
            let km = distance_km(&CITIES[from], &CITIES[place]);
            let hours = (event.time_ms - at) as f64 / 3_600_000.0;
            // Up to 100 km is the way to work, which nobody measures.
            if km > 100.0 {
                assert!(km / hours < 760.0, "{}: {km} km in {hours} h", event.key());
                moves += 1;
            }
        }
    }
    assert!(moves > 200, "{moves} moves");
}

#[test]
fn users_of_different_tenants_share_ids() {
    let events = events(TrafficConfig { logins: 3_000, ..seeded(11) });
    let keys: HashSet<String> = events.iter().map(Labelled::key).collect();
    let ids: HashSet<&String> = events.iter().filter_map(|e| e.user_id.as_ref()).collect();
    assert!(ids.len() * 5 < keys.len(), "{} ids, {} keys", ids.len(), keys.len());
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    type Change = fn(&mut TrafficConfig);
    let cases: [(&str, Change); 9] = [
        ("tenants", |c| c.tenants = 0),
        ("users", |c| c.users = 0),
        ("users", |c| c.users = 10_000_001),
        ("days", |c| c.days = 0),
        ("start_time_ms", |c| c.start_time_ms = -1),
        ("start_time_ms", |c| c.start_time_ms = i64::MAX),
        ("attack_fraction", |c| c.attack_fraction = f64::NAN),
        ("duplicate_fraction", |c| c.duplicate_fraction = 1.1),
        ("disorder_ms", |c| c.disorder_ms = 60_001),
    ];
    for (expected, change) in cases {
        let mut config = TrafficConfig::default();
        change(&mut config);
        match Traffic::new(config) {
            Err(Error::Setting { key, .. }) => assert_eq!(key, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn small_streams_end_too() {
    for (users, logins) in [(1, 0), (1, 1), (1, 50), (50, 1), (1_000, 500)] {
        let events = events(TrafficConfig { users, logins, ..seeded(12) });
        assert_eq!(attempts(&events).count() as u64, logins);
    }
}
