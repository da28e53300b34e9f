//! Databases in MaxMind's format, made for the purpose.

use std::net::IpAddr;

use intel::databases::Database;
use ipnet::IpNet;
use mmdb_writer::{IpVersion, Value, Writer};
use model::assessment::Category;
use model::evidence::GeoRecord;

fn build(version: IpVersion, records: Vec<(&str, Value)>) -> Vec<u8> {
    let described = Writer::builder("Example-City").description(&[("en", "An example")]);
    build_with(described.ip_version(version).build(), records)
}

fn build_with(mut writer: Writer, records: Vec<(&str, Value)>) -> Vec<u8> {
    for (network, record) in records {
        writer.insert_value(network.parse::<IpNet>().unwrap(), record).unwrap();
    }
    writer.to_bytes().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn names(english: &str) -> Value {
    Value::map([("names", Value::map([("de", Value::from("anders")), ("en", Value::from(english))]))])
}

/// A record of the nested schema.
fn nested() -> Value {
    let country = |code: &str, name: &str| {
        let Value::Map(mut country) = names(name) else { unreachable!() };
        country.insert("iso_code".to_owned(), Value::from(code));
        Value::Map(country)
    };
    Value::map([
        ("city", names("Lisbon")),
        ("continent", Value::map([("code", "EU")])),
        ("country", country("PT", "Portugal")),
        ("registered_country", country("ES", "Spain")),
        (
            "location",
            Value::map([
                ("latitude", Value::from(38.7223)),
                ("longitude", Value::from(-9.1393)),
                ("accuracy_radius", Value::from(10_u16)),
                ("time_zone", Value::from("Europe/Lisbon")),
            ]),
        ),
        ("subdivisions", Value::array([country("11", "Lisbon District"), country("99", "smaller")])),
        ("traits", Value::map([("is_satellite_provider", true)])),
    ])
}

#[test]
fn the_nested_schema() {
    let database = Database::new(build(IpVersion::V6, vec![("192.0.2.0/24", nested())])).unwrap();
    let wanted = GeoRecord {
        latitude: Some(38.7223),
        longitude: Some(-9.1393),
        radius_km: Some(10.0),
        city: Some("Lisbon".into()),
        country: Some("PT".into()),
        is_satellite: true,
        country_name: Some("Portugal".into()),
        time_zone: Some("Europe/Lisbon".into()),
        continent_code: Some("EU".into()),
        subdivision_code: Some("11".into()),
        subdivision_name: Some("Lisbon District".into()),
    };
    assert_eq!(database.city(ip("192.0.2.1")), Ok(Some(wanted.clone().into())));
    assert_eq!(database.city(ip("192.0.2.2")), Ok(Some(wanted.into())), "known by its place now");
    assert_eq!(database.city(ip("192.0.3.1")), Ok(None));
    assert_eq!(database.city(ip("2001:db8::1")), Ok(None));
}

#[test]
fn the_flat_schema_with_small_floats() {
    let record = Value::map([
        ("city", Value::from(" Lisbon ")),
        ("country_code", Value::from("PT")),
        ("latitude", Value::from(38.5_f32)),
        ("longitude", Value::from(-9.25_f32)),
        ("state1", Value::from("Lisboa")),
        ("timezone", Value::from("Europe/Lisbon")),
    ]);
    let database = Database::new(build(IpVersion::V4, vec![("192.0.2.0/24", record)])).unwrap();
    let record = database.city(ip("192.0.2.1")).unwrap().unwrap();
    assert_eq!((record.latitude, record.longitude, record.radius_km), (Some(38.5), Some(-9.25), None));
    assert_eq!((record.city.as_deref(), record.country.as_deref()), (Some("Lisbon"), Some("PT")));
    assert_eq!(record.subdivision_name.as_deref(), Some("Lisboa"));
    assert_eq!(database.city(ip("2001:db8::1")), Ok(None), "an IPv4 database knows no IPv6 address");
}

#[test]
fn fields_of_other_types_count_as_absent() {
    let location = |latitude: Value| Value::map([("location", Value::map([("latitude", latitude)]))]);
    let latitude = |value: Value| {
        let database = Database::new(build(IpVersion::V6, vec![("192.0.2.0/24", location(value))])).unwrap();
        database.city(ip("192.0.2.1")).unwrap().unwrap().latitude
    };
    for (value, wanted) in [
        (Value::from(38.5), Some(38.5)),
        (Value::from(38_u16), Some(38.0)),
        (Value::from(-38_i32), Some(-38.0)),
        (Value::from(38_u64), Some(38.0)),
        (Value::from(38_u128), Some(38.0)),
        (Value::from("38.5"), None),
        (Value::from(true), None),
        (Value::from(vec![1_u8, 2]), None),
        (Value::map([("en", 1.5)]), None),
    ] {
        assert_eq!(latitude(value.clone()), wanted, "{value:?}");
    }
    // A coordinate that is no finite number stays what it is; any other number is absent then.
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let fields = ["latitude", "longitude", "accuracy_radius"].map(|name| (name, Value::from(number)));
        let record = Value::map([("location", Value::map(fields))]);
        let database = Database::new(build(IpVersion::V6, vec![("192.0.2.0/24", record)])).unwrap();
        let record = database.city(ip("192.0.2.1")).unwrap().unwrap();
        let kept = [record.latitude, record.longitude].map(|degrees| degrees.map(f64::to_bits));
        assert_eq!((kept, record.radius_km), ([Some(number.to_bits()); 2], None), "{number}");
    }
    for odd in [Value::from("text"), Value::array([1_u32]), Value::from(7_u32), Value::map::<&str, Value, _>([])] {
        let database = Database::new(build(IpVersion::V6, vec![("192.0.2.0/24", odd.clone())])).unwrap();
        assert_eq!(database.city(ip("192.0.2.1")), Ok(Some(GeoRecord::default().into())), "{odd:?}");
    }
    let long = Value::map([("city", names(&"é".repeat(500)))]);
    let database = Database::new(build(IpVersion::V6, vec![("192.0.2.0/24", long)])).unwrap();
    let city = database.city(ip("192.0.2.1")).unwrap().unwrap().city.clone().unwrap();
    assert_eq!(city.chars().count(), 100);
}

#[test]
fn the_first_mark_of_the_anonymous_ip_database_decides() {
    let marks = [
        ("is_tor_exit_node", Category::Tor),
        ("is_residential_proxy", Category::ResidentialProxy),
        ("is_anonymous_vpn", Category::Vpn),
        ("is_public_proxy", Category::Vpn),
        ("is_hosting_provider", Category::Datacenter),
        ("is_anonymous", Category::Vpn),
    ];
    // Each with all that come after it.
    for first in 0..marks.len() {
        let record = Value::map(marks.iter().enumerate().map(|(index, (mark, _))| (*mark, index >= first)));
        let database = Database::new(build(IpVersion::V6, vec![("192.0.2.0/25", record)])).unwrap();
        assert_eq!(database.anonymous(ip("192.0.2.1")), Ok(Some((marks[first].1, 25))), "{}", marks[first].0);
        assert_eq!(database.anonymous(ip("192.0.2.128")), Ok(None));
    }
    let none = Value::map([("is_anonymous", Value::from(false)), ("is_tor_exit_node", Value::from(1_u32))]);
    let database = Database::new(build(IpVersion::V6, vec![("2001:db8::/33", none)])).unwrap();
    assert_eq!(database.anonymous(ip("2001:db8::1")), Ok(None));
}

#[test]
fn the_ready_made_databases_answer() {
    let asn = Database::new(sim::databases::asn().unwrap()).unwrap();
    let city = Database::new(sim::databases::city().unwrap()).unwrap();
    let anonymous = Database::new(sim::databases::anonymous_ip().unwrap()).unwrap();
    assert_eq!(city.database_type(), "GeoLite2-City");
    assert!(asn.build_epoch() > 1_700_000_000 && anonymous.build_epoch() > 1_700_000_000);
    let system = asn.asn(ip("2001:db8::1")).unwrap();
    assert!(system.is_none_or(|system| system.number >= 64_512));
    assert_eq!(city.city(ip("192.0.2.255")).unwrap().and_then(|record| record.city.clone()), None);
}

#[test]
fn damaged_databases_are_refused_and_never_panic() {
    let records = || vec![("192.0.2.0/24", nested()), ("2001:db8::/32", nested())];
    damage(build(IpVersion::V6, records()));
    // Some writers leave the description out.
    damage(build_with(Writer::new("Example-City"), records()));
    damage(build_with(Writer::new(""), records()));
    let large = sim::databases::city().unwrap();
    for part in 1..64 {
        let length = large.len() * part / 64;
        assert!(Database::new(large[..length].to_vec()).is_err(), "cut after {length} of {} bytes", large.len());
    }
    assert!(Database::new(build(IpVersion::V6, vec![])).is_err(), "no network at all");
}

fn damage(whole: Vec<u8>) {
    assert!(Database::new(whole.clone()).is_ok());
    for length in 0..whole.len() {
        assert!(Database::new(whole[..length].to_vec()).is_err(), "cut after {length} of {} bytes", whole.len());
    }
    // Changed bytes: refused, or every lookup answers or fails.
    for at in 0..whole.len() {
        for byte in [0x00, 0xff, whole[at] ^ 0x55] {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            if let Ok(database) = Database::new(bytes) {
                for address in ["192.0.2.1", "2001:db8::1", "::", "255.255.255.255"] {
                    let _ = database.city(ip(address));
                    let _ = database.anonymous(ip(address));
                    let _ = database.asn(ip(address));
                }
            }
        }
    }
}
