use maxminddb::{PathElement, Reader, geoip2};
use sim::networks::{self, Access, PLACED, Use};
use sim::world::{CITIES, city_named};
use sim::{Demo, databases};
use std::net::IpAddr;

fn reader(bytes: Vec<u8>) -> Reader<Vec<u8>> {
    let reader = Reader::from_source(bytes).unwrap();
    reader.verify().unwrap();
    reader
}

fn city_of(reader: &Reader<Vec<u8>>, address: IpAddr) -> Option<geoip2::City<'_>> {
    reader.lookup(address).unwrap().decode().unwrap()
}

#[test]
fn every_city_is_found_from_each_of_its_networks() {
    let reader = reader(databases::city().unwrap());
    assert_eq!(reader.metadata().database_type, "GeoLite2-City");
    for (index, city) in CITIES.iter().enumerate() {
        let mut addresses: Vec<(IpAddr, u16)> =
            Access::ALL.map(|access| (networks::access_host(index, access, 77).into(), access.radius_km())).to_vec();
        addresses.push((networks::access_host_v6(index, 9, 9).into(), 20));
        addresses.push((networks::relay_v4(index).network().into(), 50));
        addresses.push((networks::relay_v6(index).network().into(), 50));
        for (address, radius) in addresses {
            let record = city_of(&reader, address).unwrap();
            assert_eq!(record.city.names.english, Some(city.name));
            assert_eq!(record.country.iso_code, Some(city.country));
            assert_eq!(record.country.names.english, Some(city.country_name));
            assert_eq!(record.continent.code, Some(city.continent));
            assert_eq!(record.location.latitude, Some(city.latitude));
            assert_eq!(record.location.longitude, Some(city.longitude));
            assert_eq!(record.location.time_zone, Some(city.time_zone));
            assert_eq!(record.location.accuracy_radius, Some(radius));
            let subdivision = record.subdivisions.first();
            let expected = Some(city.subdivision.0).filter(|code| !code.is_empty());
            assert_eq!(subdivision.and_then(|s| s.iso_code), expected);
        }
    }
    for placed in PLACED {
        let record = city_of(&reader, placed.network.network().into()).unwrap();
        assert_eq!(record.city.names.english, Some(placed.city));
    }
}

#[test]
fn odd_networks_are_odd() {
    let reader = reader(databases::city().unwrap());
    let at = |network: ipnet::Ipv4Net| city_of(&reader, networks::host_in(network, 1).into());

    let satellite = at(networks::SATELLITE).unwrap();
    let address = networks::host_in(networks::SATELLITE, 1);
    let path = ["traits", "is_satellite_provider"].map(PathElement::Key);
    let marked = reader.lookup(address.into()).unwrap().decode_path(&path);
    assert_eq!(marked.unwrap(), Some(true));
    assert!(satellite.location.latitude.is_some());

    let country = at(networks::COUNTRY_ONLY).unwrap();
    assert_eq!(country.country.iso_code, Some("US"));
    assert_eq!(country.location.accuracy_radius, Some(1000));
    assert_eq!(country.city.names.english, None);

    let no_radius = at(networks::NO_RADIUS).unwrap();
    assert_eq!(no_radius.location.accuracy_radius, None);
    assert_eq!(no_radius.city.names.english, Some(networks::NO_RADIUS_CITY));

    let nowhere = at(networks::NULL_ISLAND).unwrap();
    assert_eq!(nowhere.location.latitude, Some(0.0));

    assert!(at(networks::NO_RECORD).is_none());
}

#[test]
fn providers_are_found() {
    let reader = reader(databases::asn().unwrap());
    let asn = |address: IpAddr| -> geoip2::Asn<'_> { reader.lookup(address).unwrap().decode().unwrap().unwrap() };
    let tokyo = city_named("Tokyo").unwrap();
    let home = asn(networks::access_host(tokyo, Access::ResidentialA, 20).into());
    assert_eq!(home.autonomous_system_organization, Some("Example Broadband Tokyo"));
    let home_v6 = asn(networks::access_host_v6(tokyo, 1, 1).into());
    assert_eq!(home_v6.autonomous_system_number, home.autonomous_system_number);
    for placed in PLACED {
        let number = asn(placed.network.network().into()).autonomous_system_number;
        assert!((64_512..65_535).contains(&number.unwrap()), "{number:?}");
    }
}

#[test]
fn anonymizers_are_marked() {
    let reader = reader(databases::anonymous_ip().unwrap());
    let flags = |address: IpAddr| -> Option<geoip2::AnonymousIp> { reader.lookup(address).unwrap().decode().unwrap() };
    for placed in PLACED {
        let found = flags(placed.network.network().into());
        let set = |flag: fn(&geoip2::AnonymousIp) -> Option<bool>| {
            assert_eq!(found.as_ref().and_then(flag), Some(true), "{placed:?}");
            assert_eq!(found.as_ref().and_then(|f| f.is_anonymous), Some(true));
        };
        match placed.usage {
            Use::Hosting => set(|f| f.is_hosting_provider),
            Use::CommercialVpn => set(|f| f.is_anonymous_vpn),
            Use::TorExit => set(|f| f.is_tor_exit_node),
            Use::PublicProxy => set(|f| f.is_public_proxy),
            Use::CorporateVpn | Use::Abuse | Use::Reputation => assert!(found.is_none()),
        }
    }
    let rented = networks::access_host(3, Access::ResidentialB, networks::RENTED_OUT.start);
    assert_eq!(flags(rented.into()).unwrap().is_residential_proxy, Some(true));
    let customer = networks::access_host(3, Access::ResidentialB, networks::CUSTOMERS.start);
    assert!(flags(customer.into()).is_none());
}

#[test]
fn files_are_written_and_always_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let first = Demo::write(&folder.path().join("a/b")).unwrap();
    let second = Demo::write(&folder.path().join("c")).unwrap();
    let files = |demo: &Demo| {
        let mut paths = vec![demo.city.clone(), demo.asn.clone(), demo.anonymous.clone()];
        paths.extend(demo.deny_lists.iter().map(|list| list.path.clone()));
        paths.extend(demo.relay_lists.clone());
        paths
    };
    let (first, second) = (files(&first), files(&second));
    assert_eq!(first.len(), 3 + 6 + 1);
    for (a, b) in first.iter().zip(&second) {
        assert_eq!(a.file_name(), b.file_name());
        let bytes = std::fs::read(a).unwrap();
        assert!(!bytes.is_empty(), "{}", a.display());
        assert!(bytes == std::fs::read(b).unwrap(), "{}", a.display());
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Demo::write(&file).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
}
