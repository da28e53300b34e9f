use sim::networks::{self, Access, PLACED};
use sim::world::{CITIES, city_named, distance_km};

#[test]
fn cities_are_complete_and_different() {
    assert!((55..=64).contains(&CITIES.len()), "{}", CITIES.len());
    for (index, city) in CITIES.iter().enumerate() {
        assert_eq!(city_named(city.name), Some(index), "{}", city.name);
        assert_eq!((city.country.len(), city.country3.len()), (2, 3));
        assert!(city.latitude.abs() <= 90.0 && city.longitude.abs() <= 180.0);
        assert!(city.time_zone.contains('/') && city.weight > 0);
    }
    for continent in ["AF", "AN", "AS", "EU", "NA", "OC", "SA"] {
        assert!(CITIES.iter().any(|city| city.continent == continent));
    }
}

#[test]
fn distances_are_right() {
    for (a, b, expected_km) in [
        ("Amsterdam", "Rotterdam", 57.5),
        ("Berlin", "Hamburg", 255.0),
        ("London", "New York", 5_570.0),
        ("Suva", "Apia", 1_145.0),
        ("Auckland", "Madrid", 19_600.0),
        ("Longyearbyen", "McMurdo Station", 19_350.0),
    ] {
        let city = |name| &CITIES[city_named(name).unwrap()];
        let km = distance_km(city(a), city(b));
        assert!((km / expected_km - 1.0).abs() < 0.02, "{a} to {b}: {km} km");
    }
}

#[test]
fn networks_do_not_overlap() {
    let mut all = Vec::new();
    for city in 0..CITIES.len() {
        all.extend(Access::ALL.map(|access| networks::access_v4(city, access)));
        all.push(networks::relay_v4(city));
    }
    all.extend(PLACED.iter().map(|placed| placed.network));
    all.extend([
        networks::SATELLITE,
        networks::COUNTRY_ONLY,
        networks::NO_RADIUS,
        networks::NULL_ISLAND,
        networks::NO_RECORD,
    ]);
    for (index, a) in all.iter().enumerate() {
        for b in &all[index + 1..] {
            assert!(!a.contains(b) && !b.contains(a), "{a} and {b}");
        }
    }
    assert!(PLACED.iter().all(|placed| placed.city_index().is_some()));
}
