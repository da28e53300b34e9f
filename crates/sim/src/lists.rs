//! Deny lists and a relay list of the small world, in the formats in which such lists are
//! published.

use std::fmt::Write as _;

use crate::networks::{self, ABUSE_V6, Access, Placed, RELAY_V4, RENTED_OUT, Use, host_in, used_for};
use crate::world::CITIES;

/// A deny list as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenyList {
    /// Name of the list in the configuration.
    pub name: &'static str,
    /// Category in the configuration: `tor`, `vpn`, `abuse` and so on.
    pub category: &'static str,
    /// Suggested file name.
    pub file_name: &'static str,
    /// Contents.
    pub text: String,
}

/// File name of the relay list.
pub const RELAY_FILE_NAME: &str = "egress-ip-ranges.csv";

/// All deny lists.
pub fn deny_lists() -> Vec<DenyList> {
    let list = |name, category, file_name, text| DenyList { name, category, file_name, text };
    vec![
        list("tor-exits", "tor", "exit-addresses", tor()),
        list("residential-proxies", "residential_proxy", "residential-proxies.csv", residential_proxies()),
        list("vpn-exits", "vpn", "vpn-ipv4.txt", vpn()),
        list("datacenters", "datacenter", "datacenter-ipv4.txt", hosting()),
        list("attackers", "abuse", "attackers.netset", attackers()),
        list("bad-reputation", "reputation", "ipsum.txt", reputation()),
    ]
}

/// Relay egress ranges, a line each: prefix, country, region, city, and an empty last field.
pub fn relay_csv() -> String {
    let mut text = String::new();
    for (index, city) in CITIES.iter().enumerate() {
        let (code, _) = city.subdivision;
        let region = if code.is_empty() { String::new() } else { format!("{}-{code}", city.country) };
        let place = format!("{},{region},{},", city.country, city.name);
        line(&mut text, format_args!("{},{place}", networks::relay_v4(index)));
        line(&mut text, format_args!("{},{place}", networks::relay_v6(index)));
    }
    text
}

/// Tor exits of the list: the first 24 addresses of each network used so.
pub(crate) const TOR_EXITS: std::ops::Range<u32> = 1..25;

fn tor() -> String {
    let mut text = String::new();
    for (number, placed) in used_for(Use::TorExit).enumerate() {
        for host in TOR_EXITS {
            let address = host_in(placed.network, host);
            let minute = host % 60;
            line(&mut text, format_args!("ExitNode {:040X}", u64::from(host) << 8 | number as u64));
            line(&mut text, format_args!("Published 2025-12-31 17:{minute:02}:41"));
            line(&mut text, format_args!("LastStatus 2025-12-31 22:00:00"));
            line(&mut text, format_args!("ExitAddress {address} 2025-12-31 22:{minute:02}:09"));
        }
    }
    text
}

fn residential_proxies() -> String {
    let mut text = String::from("# address, provider, last seen\n");
    for (index, city) in CITIES.iter().enumerate() {
        for access in [Access::ResidentialA, Access::ResidentialB] {
            for host in RENTED_OUT {
                let address = networks::access_host(index, access, host);
                let provider = access.word();
                line(&mut text, format_args!("{address},Example {provider} {},2025-12-31", city.name));
            }
        }
    }
    text
}

fn vpn() -> String {
    let mut text = plain(used_for(Use::CommercialVpn));
    // Published VPN lists hold the relays' IPv4 addresses too, so this one does.
    line(&mut text, format_args!("{RELAY_V4}"));
    text
}

fn hosting() -> String {
    plain(used_for(Use::Hosting))
}

fn plain(networks: impl Iterator<Item = &'static Placed>) -> String {
    let mut text = String::new();
    for placed in networks {
        line(&mut text, format_args!("{}", placed.network));
    }
    text
}

fn attackers() -> String {
    let mut text = String::from(
        "#\n# attackers\n#\n# ipv4 and ipv6 hash:net netset\n#\n\
         # Maintainer      : nobody, this is sample data\n\
         # Category        : attacks\n#\n",
    );
    // Such lists often hold private networks. A reader must not hold that against an intranet.
    line(&mut text, format_args!("10.0.0.0/8"));
    line(&mut text, format_args!("192.168.0.0/16"));
    for (number, placed) in used_for(Use::Abuse).enumerate() {
        if number == 0 {
            line(&mut text, format_args!("{}", placed.network));
        } else {
            // Addresses one by one, as most of such a list is.
            for host in (1..127).step_by(2) {
                line(&mut text, format_args!("{}", host_in(placed.network, host)));
            }
        }
    }
    line(&mut text, format_args!("{ABUSE_V6}"));
    text
}

fn reputation() -> String {
    let mut text = String::from("# Sample reputation feed\n#\n# IP\tnumber of (black)lists\n#\n");
    for placed in used_for(Use::Reputation) {
        for host in 1..=200 {
            let count = 10 - host / 21;
            let address = host_in(placed.network, host);
            line(&mut text, format_args!("{address}\t{count}"));
        }
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(arguments);
    text.push('\n');
}
