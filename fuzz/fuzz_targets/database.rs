//! Any bytes as a database in MaxMind's format: refused, or it answers.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use intel::databases::Database;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(database) = Database::new(bytes.to_vec()) else { return };
    let some_v4 = [0, 0xc633_0001, 0xc612_0001, u32::MAX].map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
    let some_v6 = [0, 0x2001_0db8 << 96, u128::MAX].map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)));
    for ip in some_v4.into_iter().chain(some_v6) {
        let _ = (database.city(ip), database.asn(ip), database.anonymous(ip));
    }
});
