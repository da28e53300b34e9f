//! Addresses as evidence: which text is an address, its one canonical form, and which addresses say
//! nothing about a place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use serde::{Serialize, Serializer};

use crate::json_out::{JsonWriter, ToJson};

/// The NAT64 well-known prefix `64:ff9b::/96` of RFC 6052, as its upper 96 bits.
const NAT64_PREFIX: u128 = 0x0064_ff9b_0000_0000_0000_0000;
/// The IPv4-mapped prefix `::ffff:0:0/96` of RFC 4291, as its upper 96 bits.
const MAPPED_PREFIX: u128 = 0xffff;

/// Reads an address: an IPv4 dotted quad or an IPv6 address, in canonical form. Anything else (a port,
/// brackets, a zone, leading zeros in a quad) is not an address. The text must be trimmed already.
#[must_use]
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    // The standard parser has just these rules: no zones, no brackets, no leading zeros in a quad.
    if let Some(v4) = parse_v4(text.as_bytes()) {
        return Some(IpAddr::V4(v4));
    }
    text.parse().ok().map(canonical_ip)
}

/// Reads a dotted quad, which nearly every address is; `None` of anything else.
fn parse_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut bits, mut octet, mut digits, mut points) = (0u32, 0u32, 0u32, 0u32);
    for &byte in text {
        match byte {
            // No digit may follow a leading zero.
            b'0'..=b'9' if digits == 0 || octet > 0 => {
                octet = octet * 10 + u32::from(byte - b'0');
                digits += 1;
                if octet > 255 {
                    return None;
                }
            }
            b'.' if digits > 0 && points < 3 => {
                bits = bits << 8 | octet;
                (octet, digits) = (0, 0);
                points += 1;
            }
            _ => return None,
        }
    }
    (points == 3 && digits > 0).then(|| Ipv4Addr::from_bits(bits << 8 | octet))
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

/// The text of an address or a network, kept on the stack.
#[derive(Clone, Copy)]
struct IpText {
    bytes: [u8; IpText::MAX_LEN],
    len: usize,
}

impl IpText {
    /// Eight groups of four digits, or six and an IPv4 address, and the length of a prefix.
    const MAX_LEN: usize = 50;

    fn new(ip: IpAddr) -> Self {
        let mut text = Self { bytes: [0; Self::MAX_LEN], len: 0 };
        match ip {
            IpAddr::V4(v4) => text.v4(v4),
            IpAddr::V6(v6) => text.v6(v6),
        }
        text
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        // Only ASCII is ever written to it.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn decimal(&mut self, number: u8) {
        if number >= 100 {
            self.push(b'0' + number / 100);
        }
        if number >= 10 {
            self.push(b'0' + number / 10 % 10);
        }
        self.push(b'0' + number % 10);
    }

    fn v4(&mut self, v4: Ipv4Addr) {
        for (index, octet) in v4.octets().into_iter().enumerate() {
            if index > 0 {
                self.push(b'.');
            }
            self.decimal(octet);
        }
    }

    /// As RFC 5952 wants it: the first of the longest runs of zeros is left out, if it is of two groups at
    /// least.
    fn v6(&mut self, v6: Ipv6Addr) {
        if let Some(v4) = v6.to_ipv4_mapped() {
            b"::ffff:".iter().for_each(|&byte| self.push(byte));
            return self.v4(v4);
        }
        let groups = v6.segments();
        let (mut longest, mut run) = (0..0, 0..0);
        for (index, group) in groups.into_iter().enumerate() {
            run = if group == 0 { run.start..index + 1 } else { index + 1..index + 1 };
            if run.len() > longest.len() {
                longest = run.clone();
            }
        }
        if longest.len() < 2 {
            longest = 8..8;
        }
        for (index, group) in groups.into_iter().enumerate() {
            if longest.contains(&index) {
                if index == longest.start {
                    self.push(b':');
                    // Between two groups there is a colon; at the end there is none to come.
                    if longest.end == 8 {
                        self.push(b':');
                    }
                }
                continue;
            }
            if index > 0 {
                self.push(b':');
            }
            for shift in [12, 8, 4, 0] {
                if shift == 0 || group >> shift != 0 {
                    self.push(b"0123456789abcdef"[usize::from(group >> shift & 0xf)]);
                }
            }
        }
    }
}

/// An address as a part of a record: its canonical text in every encoding. It is written by hand, because
/// it is in most records and formatting it generally costs as much as scoring it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ip(pub IpAddr);

impl ToJson for Ip {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.quoted(IpText::new(self.0).as_bytes());
    }
}

impl Serialize for Ip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(IpText::new(self.0).as_str())
    }
}

/// The network of an address as a part of a record: in CIDR notation, host bits cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NetworkOf {
    pub(crate) ip: IpAddr,
    pub(crate) prefix_len: u8,
}

impl NetworkOf {
    fn text(self) -> IpText {
        let host_bits = |width: u8| u32::from(width.saturating_sub(self.prefix_len));
        let network = match self.ip {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(host_bits(32)).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(host_bits(128)).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        };
        let mut text = IpText::new(network);
        text.push(b'/');
        text.decimal(self.prefix_len);
        text
    }
}

impl ToJson for NetworkOf {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.quoted(self.text().as_bytes());
    }
}

impl Serialize for NetworkOf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
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
            assert_eq!(IpText::new(ip).as_str(), ip.to_string());
        }
        // Groups that are zero, short or long in every combination, and two addresses with an IPv4 one inside.
        for kinds in 0..3u32.pow(8) {
            let group = |index: u32| [0, 0xa0, 0xbcde][(kinds / 3u32.pow(index) % 3) as usize];
            let ip = IpAddr::from(std::array::from_fn::<u16, 8, _>(|index| group(index as u32)));
            assert_eq!(IpText::new(ip).as_str(), ip.to_string());
        }
        for text in ["::ffff:192.0.2.1", "::192.0.2.1", "::ffff:0:0"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(IpText::new(ip).as_str(), ip.to_string());
        }
    }

    #[test]
    fn a_network_is_written_without_host_bits() {
        let cases = [
            ("192.0.2.77", 24, "192.0.2.0/24"),
            ("192.0.2.77", 32, "192.0.2.77/32"),
            ("192.0.2.77", 0, "0.0.0.0/0"),
            ("2001:db8::7", 32, "2001:db8::/32"),
            ("2001:db8::7", 128, "2001:db8::7/128"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 127, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"),
        ];
        for (ip, prefix_len, wanted) in cases {
            assert_eq!(NetworkOf { ip: ip.parse().unwrap(), prefix_len }.text().as_str(), wanted);
        }
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
