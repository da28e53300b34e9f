//! The databases of the small world, as bytes in MaxMind's format.
//!
//! The schemas are those of GeoLite2-City, GeoLite2-ASN and GeoIP2-Anonymous-IP, the fields that
//! Credence reads and some more. Numbers of autonomous systems are those for private use.

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use ipnet::IpNet;
use mmdb_writer::{Value, Writer};

use crate::Error;
use crate::networks::{
    self, Access, COUNTRY_ONLY, NO_RADIUS, NO_RADIUS_CITY, NULL_ISLAND, PLACED, Placed, RENTED_OUT, SATELLITE, Use,
};
use crate::world::{CITIES, City, city_named};

/// Build time in the databases: 2026-01-01T00:00:00Z, so that their bytes are always the same.
const BUILT_AT_S: u64 = 1_767_225_600;

/// Autonomous systems of networks that belong to no city; a city's own are counted from 64600.
const AS_HOSTING: u32 = 64_512;
const AS_VPN: u32 = 64_513;
const AS_CORPORATE: u32 = 64_514;
const AS_TOR: u32 = 64_515;
const AS_RELAY: u32 = 64_516;
const AS_SATELLITE: u32 = 64_517;
const AS_BULLETPROOF: u32 = 64_518;
const AS_FIRST_CITY: u32 = 64_600;

/// A City database: where each network is.
pub fn city() -> Result<Vec<u8>, Error> {
    compose("City", "GeoLite2-City", city_records())
}

/// An ASN database: who runs each network.
pub fn asn() -> Result<Vec<u8>, Error> {
    compose("ASN", "GeoLite2-ASN", asn_records())
}

/// An Anonymous-IP database: which networks hide who is behind them.
///
/// It agrees with the lists where both speak, and alone knows the public proxies.
pub fn anonymous_ip() -> Result<Vec<u8>, Error> {
    compose("Anonymous-IP", "GeoIP2-Anonymous-IP", anonymous_ip_records())
}

fn compose(database: &'static str, database_type: &str, records: Vec<(IpNet, Value)>) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Database { database, source };
    let mut writer = Writer::builder(database_type)
        .description(&[("en", "Made-up sample data on synthetic networks")])
        .build_epoch(UNIX_EPOCH + Duration::from_secs(BUILT_AT_S))
        .build();
    for (network, value) in records {
        writer.insert_value(network, value).map_err(failed)?;
    }
    writer.to_bytes().map_err(failed)
}

fn city_records() -> Vec<(IpNet, Value)> {
    let mut records: Vec<(IpNet, Value)> = Vec::new();
    for (index, city) in CITIES.iter().enumerate() {
        for access in Access::ALL {
            let value = place(city, Some(access.radius_km()), Mark::None);
            records.push((networks::access_v4(index, access).into(), value));
        }
        for (network, radius_km) in [
            (IpNet::from(networks::access_v6(index)), 20),
            (IpNet::from(networks::relay_v4(index)), 50),
            (IpNet::from(networks::relay_v6(index)), 50),
        ] {
            records.push((network, place(city, Some(radius_km), Mark::None)));
        }
    }
    for placed in PLACED {
        if let Some(city) = placed.city_index().and_then(|index| CITIES.get(index)) {
            let value = place(city, Some(placed.radius_km), Mark::None);
            records.push((placed.network.into(), value));
        }
    }
    if let Some(city) = city_named(NO_RADIUS_CITY).and_then(|index| CITIES.get(index)) {
        records.push((NO_RADIUS.into(), place(city, None, Mark::None)));
    }
    if let Some(ground_station) = city_named("Frankfurt am Main").and_then(|i| CITIES.get(i)) {
        let value = place(ground_station, Some(100), Mark::Satellite);
        records.push((SATELLITE.into(), value));
    }
    records.push((COUNTRY_ONLY.into(), country_only()));
    records.push((NULL_ISLAND.into(), null_island()));
    records
}

#[derive(PartialEq)]
enum Mark {
    None,
    Satellite,
}

fn names(english: &str) -> Value {
    Value::map([("en", Value::from(english))])
}

fn place(city: &City, radius_km: Option<u16>, mark: Mark) -> Value {
    let mut location = vec![
        ("latitude", Value::from(city.latitude)),
        ("longitude", Value::from(city.longitude)),
        ("time_zone", Value::from(city.time_zone)),
    ];
    if let Some(km) = radius_km {
        location.push(("accuracy_radius", Value::from(km)));
    }
    let country = || Value::map([("iso_code", Value::from(city.country)), ("names", names(city.country_name))]);
    let mut record = vec![
        ("city", Value::map([("names", names(city.name))])),
        ("continent", Value::map([("code", Value::from(city.continent))])),
        ("country", country()),
        ("registered_country", country()),
        ("location", Value::map(location)),
    ];
    let (code, name) = city.subdivision;
    if !code.is_empty() {
        let subdivision = Value::map([("iso_code", Value::from(code)), ("names", names(name))]);
        record.push(("subdivisions", Value::array([subdivision])));
    }
    if mark == Mark::Satellite {
        let traits = Value::map([("is_satellite_provider", true)]);
        record.push(("traits", traits));
    }
    Value::map(record)
}

fn country_only() -> Value {
    Value::map([
        ("continent", Value::map([("code", "NA")])),
        ("country", Value::map([("iso_code", Value::from("US")), ("names", names("United States"))])),
        (
            "location",
            Value::map([
                ("latitude", Value::from(37.751)),
                ("longitude", Value::from(-97.822)),
                ("accuracy_radius", Value::from(1000_u16)),
                ("time_zone", Value::from("America/Chicago")),
            ]),
        ),
    ])
}

fn null_island() -> Value {
    Value::map([("location", Value::map([("latitude", Value::from(0.0)), ("longitude", Value::from(0.0))]))])
}

fn asn_records() -> Vec<(IpNet, Value)> {
    let mut records: Vec<(IpNet, Value)> = Vec::new();
    for (index, city) in CITIES.iter().enumerate() {
        let first = AS_FIRST_CITY + 4 * index as u32;
        for (number, access) in (first..).zip(Access::ALL) {
            let name = format!("Example {} {}", access.word(), city.name);
            records.push((networks::access_v4(index, access).into(), system(number, &name)));
            if access == Access::ResidentialA {
                records.push((networks::access_v6(index).into(), system(number, &name)));
            }
        }
        records.push((networks::relay_v6(index).into(), relay_system()));
    }
    records.push((networks::RELAY_V4.into(), relay_system()));
    records.push((SATELLITE.into(), system(AS_SATELLITE, "Example Satellite")));
    for placed in PLACED {
        let (number, name) = match placed.usage {
            Use::Hosting | Use::PublicProxy => (AS_HOSTING, "Example Hosting"),
            Use::CommercialVpn => (AS_VPN, "Example VPN"),
            Use::CorporateVpn => (AS_CORPORATE, "Example Corporate Networks"),
            Use::TorExit => (AS_TOR, "Example Tor Exits"),
            Use::Abuse | Use::Reputation => (AS_BULLETPROOF, "Example Bulletproof Hosting"),
        };
        records.push((placed.network.into(), system(number, name)));
    }
    records
}

fn relay_system() -> Value {
    system(AS_RELAY, "Example Relay")
}

fn system(number: u32, name: &str) -> Value {
    Value::map([
        ("autonomous_system_number", Value::from(number)),
        ("autonomous_system_organization", Value::from(name)),
    ])
}

fn anonymous_ip_records() -> Vec<(IpNet, Value)> {
    let mut records: Vec<(IpNet, Value)> = Vec::new();
    for Placed { network, usage, .. } in PLACED {
        let flag = match usage {
            Use::Hosting => "is_hosting_provider",
            Use::CommercialVpn => "is_anonymous_vpn",
            Use::TorExit => "is_tor_exit_node",
            Use::PublicProxy => "is_public_proxy",
            Use::CorporateVpn | Use::Abuse | Use::Reputation => continue,
        };
        records.push(((*network).into(), anonymous(flag)));
    }
    for city in 0..CITIES.len() {
        for access in [Access::ResidentialA, Access::ResidentialB] {
            for host in RENTED_OUT {
                let address = networks::access_host(city, access, host);
                let network = IpNet::from(IpAddr::V4(address));
                records.push((network, anonymous("is_residential_proxy")));
            }
        }
    }
    records
}

fn anonymous(flag: &str) -> Value {
    Value::map([("is_anonymous", true), (flag, true)])
}
