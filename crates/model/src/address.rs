//! Addresses as evidence: which text is an address, its one canonical form, and which addresses say
//! nothing about a place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use smol_str::{SmolStr, ToSmolStr};

/// The NAT64 well-known prefix `64:ff9b::/96` of RFC 6052, as its upper 96 bits.
const NAT64_PREFIX: u128 = 0x0064_ff9b_0000_0000_0000_0000;
/// The IPv4-mapped prefix `::ffff:0:0/96` of RFC 4291, as its upper 96 bits.
const MAPPED_PREFIX: u128 = 0xffff;

/// Reads an address: an IPv4 dotted quad or an IPv6 address, in canonical form. Anything else (a port,
/// brackets, a zone, leading zeros in a quad) is not an address. The text must be trimmed already.
#[must_use]
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    // The standard parser has just these rules: no zones, no brackets, no leading zeros in a quad.
    text.parse().ok().map(canonical_ip)
}

/// An IPv4-mapped or NAT64 IPv6 address is its IPv4 address; all others are what they are.
#[must_use]
pub fn canonical_ip(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => embedded_v4(v6).map_or(ip, IpAddr::V4),
    }
}

/// The IPv4 address inside an IPv4-mapped or NAT64 address.
#[must_use]
pub fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = v6.to_bits();
    let upper = bits >> 32;
    (upper == MAPPED_PREFIX || upper == NAT64_PREFIX).then(|| Ipv4Addr::from_bits(bits as u32))
}

/// Reads a network: an address or CIDR notation, host bits cleared, in canonical form. A network of
/// length 0 is none: it would hold everybody.
#[must_use]
pub fn parse_network(text: &str) -> Option<IpNet> {
    let (address, prefix_len) = match text.split_once('/') {
        None => (text, None),
        Some((address, length)) => {
            let digits = length.len() <= 3 && length.bytes().all(|b| b.is_ascii_digit());
            (address, Some(length.parse::<u8>().ok().filter(|_| digits)?))
        }
    };
    let ip: IpAddr = address.parse().ok()?;
    let width = if ip.is_ipv4() { 32 } else { 128 };
    let prefix_len = prefix_len.unwrap_or(width);
    let network = match ip {
        IpAddr::V6(v6) if prefix_len >= 96 && embedded_v4(v6).is_some() => {
            IpNet::V4(Ipv4Net::new(embedded_v4(v6)?, prefix_len.checked_sub(96).filter(|&len| len <= 32)?).ok()?)
        }
        _ => IpNet::new(ip, prefix_len).ok()?,
    };
    (network.prefix_len() > 0).then(|| network.trunc())
}

/// The address in canonical text. IPv4 is written by hand: it is in most records, and formatting it
/// generally costs as much as scoring it. It is kept without memory of its own.
#[must_use]
pub fn ip_text(ip: IpAddr) -> SmolStr {
    let IpAddr::V4(v4) = ip else { return ip.to_smolstr() };
    let mut text = [0; 15];
    let mut end = 0;
    let mut push = |byte: u8| {
        text[end] = byte;
        end += 1;
    };
    for (index, octet) in v4.octets().into_iter().enumerate() {
        if index > 0 {
            push(b'.');
        }
        if octet >= 100 {
            push(b'0' + octet / 100);
        }
        if octet >= 10 {
            push(b'0' + octet / 10 % 10);
        }
        push(b'0' + octet % 10);
    }
    // Only ASCII is ever written to the buffer.
    std::str::from_utf8(&text[..end]).unwrap_or_default().into()
}

/// Whether the (canonical) address belongs to a range that is never routed publicly, so that no list
/// and no database can say anything about it: private and carrier-grade NAT ranges, link-local,
/// loopback, unique local.
#[must_use]
pub fn is_non_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            a == 10
                || a == 127
                || (a == 172 && (16..32).contains(&b))
                || (a == 192 && b == 168)
                || (a == 100 && (64..128).contains(&b))
                || (a == 169 && b == 254)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80 || v6 == Ipv6Addr::LOCALHOST
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_in_canonical_form() {
        let cases: &[(&str, Option<&str>)] = &[
            ("192.0.2.1", Some("192.0.2.1")),
            ("2001:DB8::1", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("::FFFF:c000:0201", Some("192.0.2.1")),
            ("64:ff9b::192.0.2.1", Some("192.0.2.1")),
            ("64:ff9b:1::192.0.2.1", Some("64:ff9b:1::c000:201")),
            ("::192.0.2.1", Some("::c000:201")),
            ("192.0.2.1:443", None),
            ("[2001:db8::1]", None),
            ("fe80::1%eth0", None),
            ("192.0.2.01", None),
            ("192.0.2", None),
            ("192.0.2.256", None),
            ("3221225985", None),
            ("0xc0000201", None),
            ("2001:db8::1/64", None),
            ("", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_ip(text).map(|ip| ip.to_string()).as_deref(), *wanted, "{text}");
        }
    }

    #[test]
    fn reads_networks_in_canonical_form() {
        let cases: &[(&str, Option<&str>)] = &[
            ("192.0.2.77", Some("192.0.2.77/32")),
            ("192.0.2.77/24", Some("192.0.2.0/24")),
            ("2001:db8::7/64", Some("2001:db8::/64")),
            ("2001:DB8::1", Some("2001:db8::1/128")),
            ("::ffff:192.0.2.77/120", Some("192.0.2.0/24")),
            ("64:ff9b::192.0.2.77", Some("192.0.2.77/32")),
            ("::ffff:0.0.0.0/96", None),
            ("0.0.0.0/0", None),
            ("::/0", None),
            ("192.0.2.0/33", None),
            ("192.0.2.0/+8", None),
            ("192.0.2.0/", None),
            ("192.0.2.0/255.255.255.0", None),
            ("192.0.2.0-192.0.2.9", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_network(text).map(|net| net.to_string()).as_deref(), *wanted, "{text}");
        }
    }

    #[test]
    fn address_text_is_the_standard_one() {
        for bits in (0..=u32::MAX).step_by(65_521).chain([0, 1, 0x0a64_630a, u32::MAX]) {
            let ip = IpAddr::from(std::net::Ipv4Addr::from_bits(bits));
            assert_eq!(ip_text(ip), ip.to_string());
        }
        assert_eq!(ip_text(IpAddr::V6(Ipv6Addr::LOCALHOST)), "::1");
    }

    #[test]
    fn non_public_ranges_have_exact_edges() {
        let cases = [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("172.15.255.255", false),
            ("172.16.0.0", true),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("192.167.255.255", false),
            ("192.168.0.1", true),
            ("100.63.255.255", false),
            ("100.64.0.0", true),
            ("100.127.255.255", true),
            ("100.128.0.0", false),
            ("169.254.1.1", true),
            ("127.0.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("fbff::1", false),
            ("fc00::1", true),
            ("fdff::1", true),
            ("fe00::1", false),
            ("fe80::1", true),
            ("febf::1", true),
            ("fec0::1", false),
            ("::1", true),
            ("::", false),
            ("::2", false),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_ip(text).map(is_non_public), Some(wanted), "{text}");
        }
    }
}
