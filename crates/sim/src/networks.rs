//! The address plan: which made-up network is where, and what it is used for.
//!
//! Only addresses set aside for benchmarks and documentation are used (RFC 2544, 5737, 3849), so
//! that no real network is named.
//!
//! | range | use |
//! |---|---|
//! | 198.18.0.0/16 | access networks: four /24 a city, see [`Access`] |
//! | 198.19.0.0/16 | hosting, VPN, Tor, relay and odd networks, see [`PLACED`] and the constants |
//! | 198.51.100.0/24, 203.0.113.0/24 | addresses with a bad name |
//! | 2001:db8:1000::/40 and on | access networks: one /48 a city |
//! | 2001:db8:f000::/40 and on | relay egress: one /48 a city |
//! | 2001:db8:bad::/48 | IPv6 with a bad name |

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::world::city_named;

/// A city's four access networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// First provider of homes.
    ResidentialA,
    /// Second provider of homes.
    ResidentialB,
    /// Mobile provider.
    Mobile,
    /// Offices and hotels.
    Business,
}

impl Access {
    /// All of them, in the order of their networks.
    pub const ALL: [Access; 4] = [Access::ResidentialA, Access::ResidentialB, Access::Mobile, Access::Business];

    /// Accuracy radius of the network's record in the City database, in km.
    pub fn radius_km(self) -> u16 {
        match self {
            Access::ResidentialA => 20,
            Access::ResidentialB => 10,
            Access::Mobile => 50,
            Access::Business => 5,
        }
    }

    /// A word for the provider's name.
    pub fn word(self) -> &'static str {
        match self {
            Access::ResidentialA => "Broadband",
            Access::ResidentialB => "Fibre",
            Access::Mobile => "Mobile",
            Access::Business => "Business",
        }
    }
}

/// What a network outside the access networks is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Use {
    /// Servers for rent; on the datacenter list.
    Hosting,
    /// Exits of a VPN that anybody can buy; on the VPN list.
    CommercialVpn,
    /// Exits of companies' own VPNs; on no list.
    CorporateVpn,
    /// Tor exits; on the Tor list.
    TorExit,
    /// Open proxies; known to the Anonymous-IP database only.
    PublicProxy,
    /// Known attackers; on the abuse list.
    Abuse,
    /// Addresses of bad reputation; on the reputation list.
    Reputation,
}

/// A network with one place and one use.
#[derive(Debug, Clone, Copy)]
pub struct Placed {
    /// The network.
    pub network: Ipv4Net,
    /// Name of the city it is in.
    pub city: &'static str,
    /// Accuracy radius of its record in the City database, in km.
    pub radius_km: u16,
    /// What it is used for.
    pub usage: Use,
}

impl Placed {
    /// Index of its city.
    pub fn city_index(&self) -> Option<usize> {
        city_named(self.city)
    }
}

const fn net(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn placed(network: Ipv4Net, city: &'static str, radius_km: u16, usage: Use) -> Placed {
    Placed { network, city, radius_km, usage }
}

/// Networks outside the access networks.
#[rustfmt::skip]
pub const PLACED: &[Placed] = &[
    placed(net(198, 19, 0, 0, 23), "Ashburn", 10, Use::Hosting),
    placed(net(198, 19, 2, 0, 23), "Frankfurt am Main", 10, Use::Hosting),
    placed(net(198, 19, 4, 0, 23), "Amsterdam", 10, Use::Hosting),
    placed(net(198, 19, 6, 0, 23), "Singapore", 10, Use::Hosting),
    placed(net(198, 19, 8, 0, 23), "Sydney", 10, Use::Hosting),
    placed(net(198, 19, 10, 0, 23), "São Paulo", 10, Use::Hosting),
    placed(net(198, 19, 12, 0, 23), "Tokyo", 10, Use::Hosting),
    placed(net(198, 19, 14, 0, 23), "Johannesburg", 10, Use::Hosting),
    placed(net(198, 19, 16, 0, 24), "Zurich", 20, Use::CommercialVpn),
    placed(net(198, 19, 17, 0, 24), "Amsterdam", 20, Use::CommercialVpn),
    placed(net(198, 19, 18, 0, 24), "London", 20, Use::CommercialVpn),
    placed(net(198, 19, 19, 0, 24), "New York", 20, Use::CommercialVpn),
    placed(net(198, 19, 20, 0, 24), "Stockholm", 20, Use::CommercialVpn),
    placed(net(198, 19, 21, 0, 24), "Singapore", 20, Use::CommercialVpn),
    placed(net(198, 19, 22, 0, 24), "Toronto", 20, Use::CommercialVpn),
    placed(net(198, 19, 23, 0, 24), "Tokyo", 20, Use::CommercialVpn),
    placed(net(198, 19, 24, 0, 25), "Frankfurt am Main", 20, Use::CorporateVpn),
    placed(net(198, 19, 24, 128, 25), "Ashburn", 20, Use::CorporateVpn),
    placed(net(198, 19, 26, 0, 24), "Jakarta", 50, Use::PublicProxy),
    placed(net(198, 19, 32, 0, 26), "Frankfurt am Main", 20, Use::TorExit),
    placed(net(198, 19, 32, 64, 26), "Amsterdam", 20, Use::TorExit),
    placed(net(198, 19, 32, 128, 26), "Zurich", 20, Use::TorExit),
    placed(net(198, 19, 32, 192, 26), "Stockholm", 20, Use::TorExit),
    placed(net(198, 51, 100, 0, 25), "Chicago", 20, Use::Abuse),
    placed(net(198, 51, 100, 128, 25), "Hong Kong", 20, Use::Abuse),
    placed(net(203, 0, 113, 0, 24), "Madrid", 20, Use::Reputation),
];

/// Networks of one use.
pub fn used_for(usage: Use) -> impl Iterator<Item = &'static Placed> {
    PLACED.iter().filter(move |placed| placed.usage == usage)
}

/// A satellite provider: its record has a place, that of a ground station, and is marked.
pub const SATELLITE: Ipv4Net = net(198, 19, 48, 0, 24);
/// A network of which the City database knows the country only (radius 1000 km, no city).
pub const COUNTRY_ONLY: Ipv4Net = net(198, 19, 49, 0, 24);
/// A network whose record has a city ([`NO_RADIUS_CITY`]) but no accuracy radius.
pub const NO_RADIUS: Ipv4Net = net(198, 19, 50, 0, 24);
/// The city of [`NO_RADIUS`].
pub const NO_RADIUS_CITY: &str = "Lagos";
/// A network whose record has the coordinates 0/0, as databases write "somewhere".
pub const NULL_ISLAND: Ipv4Net = net(198, 19, 51, 0, 24);
/// A network that the City database does not know.
pub const NO_RECORD: Ipv4Net = net(198, 19, 63, 0, 24);
/// All relay egress addresses of IPv4: 16 a city.
pub const RELAY_V4: Ipv4Net = net(198, 19, 40, 0, 22);
/// IPv6 of bad reputation, on the abuse list.
pub const ABUSE_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0), 48);

/// Host numbers of ordinary customers in a residential network.
pub const CUSTOMERS: std::ops::Range<u8> = 16..216;
/// Host numbers, in a residential network, of homes whose line is rented out as a proxy.
pub const RENTED_OUT: std::ops::Range<u8> = 240..248;

/// A city's access network of one kind.
pub fn access_v4(city: usize, access: Access) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(198, 18, third_octet(city, access), 0), 24)
}

/// An address in a city's access network.
pub fn access_host(city: usize, access: Access, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, third_octet(city, access), host)
}

fn third_octet(city: usize, access: Access) -> u8 {
    (city as u8 % 64) * 4 + access as u8
}

/// A city's IPv6 access network. It belongs to [`Access::ResidentialA`].
pub fn access_v6(city: usize) -> Ipv6Net {
    Ipv6Net::new_assert(v6(0x1000 + city as u16, 0, 0), 48)
}

/// An address in a city's IPv6 access network: a home's subnet and an interface in it.
pub fn access_host_v6(city: usize, subnet: u16, interface: u64) -> Ipv6Addr {
    v6(0x1000 + city as u16, subnet, interface)
}

/// A city's relay egress addresses of IPv4.
pub fn relay_v4(city: usize) -> Ipv4Net {
    let offset = (city as u16 % 64) * 16;
    let [high, low] = offset.to_be_bytes();
    Ipv4Net::new_assert(Ipv4Addr::new(198, 19, 40 + high, low), 28)
}

/// A city's relay egress network of IPv6.
pub fn relay_v6(city: usize) -> Ipv6Net {
    Ipv6Net::new_assert(v6(0xf000 + city as u16, 0, 0), 48)
}

/// The address with a number in a network. The number is taken modulo the network's size.
pub fn host_in(network: Ipv4Net, number: u32) -> Ipv4Addr {
    let hosts = !u32::from(network.netmask());
    Ipv4Addr::from(u32::from(network.network()) | (number & hosts))
}

fn v6(third_group: u16, subnet: u16, interface: u64) -> Ipv6Addr {
    let base = Ipv6Addr::new(0x2001, 0xdb8, third_group, subnet, 0, 0, 0, 0);
    Ipv6Addr::from(u128::from(base) | u128::from(interface))
}
