//! What is known about an address and a user agent before any user is looked at.

use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::assessment::{Category, Confidence};
use crate::json_out::record;

/// What a City database (or the event itself) says about an address.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GeoRecord {
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// Accuracy radius in kilometres.
    pub radius_km: Option<f64>,
    /// City, at most 100 characters.
    pub city: Option<SmolStr>,
    /// ISO 3166-1 alpha-2 code.
    pub country: Option<SmolStr>,
    /// The network belongs to a satellite provider: its users are anywhere.
    pub is_satellite: bool,
    /// Country in words, for the log.
    pub country_name: Option<SmolStr>,
    /// IANA time zone, for the log.
    pub time_zone: Option<SmolStr>,
    /// Continent code, for the log.
    pub continent_code: Option<SmolStr>,
    /// ISO 3166-2 subdivision code without the country, for the log.
    pub subdivision_code: Option<SmolStr>,
    /// Subdivision in words, for the log.
    pub subdivision_name: Option<SmolStr>,
}

/// What an ASN database says about an address.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Autonomous system number.
    pub number: u32,
    /// Its organization.
    pub organization: Option<SmolStr>,
}

/// An entry of a deny list that covers an address.
#[derive(Debug, Clone, PartialEq)]
pub struct ListMatch {
    /// The list's name.
    pub list: Arc<str>,
    /// The list's category.
    pub category: Category,
    /// The list's own confidence, if it has one.
    pub confidence: Option<Confidence>,
    /// Length of the entry's prefix in bits.
    pub prefix_len: u8,
}

/// A source could not answer: a damaged database, for instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupFailed;

/// Everything that the loaded data say about one address; the same for all tenants.
#[derive(Debug, Clone, PartialEq)]
pub struct AddressFacts {
    /// Private, loopback and the like: on no list, in no database.
    pub non_public: bool,
    /// On a relay list.
    pub relay: bool,
    /// The longest entry of each deny list that covers the address.
    pub matches: Result<Vec<ListMatch>, LookupFailed>,
    /// The City database's record.
    pub geo: Result<Option<Arc<GeoRecord>>, LookupFailed>,
    /// The ASN database's record.
    pub network: Option<Network>,
}

/// A user agent's browser, when both its family and its operating system are recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    /// Browser family.
    pub name: Box<str>,
    /// Operating system.
    pub os: Box<str>,
    /// Version, if it is dotted numbers.
    pub version: Option<Version>,
}

/// What a user agent's text says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentFacts {
    /// The browser, if it is recognised.
    pub browser: Option<Browser>,
    /// Whether it is a phone's.
    pub is_mobile: bool,
}

/// A version of dotted numbers; missing parts are 0, so trailing zeros do not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Version(SmallVec<[u64; Version::USUAL_PARTS]>);

impl Version {
    /// Most parts that are kept.
    pub const MAX_PARTS: usize = 16;
    /// Versions of so many parts take no memory of their own.
    const USUAL_PARTS: usize = 4;

    /// Reads dotted numbers. A number that does not fit 64 bits takes several parts; parts beyond
    /// [`Version::MAX_PARTS`] are dropped.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = SmallVec::<[u64; Self::USUAL_PARTS]>::new();
        for part in text.split('.') {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            match part.parse() {
                Ok(number) if number < u64::MAX => parts.push(number),
                _ => parts.extend(Self::large(part)),
            }
            parts.truncate(Self::MAX_PARTS);
        }
        Some(Self::from_parts(&parts))
    }

    /// A number that is as large as the largest part, or larger, as parts that compare as such numbers do: more than
    /// any smaller one, then by the number of digits, then by the digits.
    fn large(digits: &str) -> impl Iterator<Item = u64> {
        /// So many digits always fit a part.
        const FITTING: usize = 18;
        let digits = digits.trim_start_matches('0').as_bytes();
        let number = |digits: &[u8]| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        [u64::MAX, digits.len() as u64].into_iter().chain(digits.chunks(FITTING).map(number))
    }

    /// The version of these parts.
    #[must_use]
    pub fn from_parts(parts: &[u64]) -> Self {
        let mut parts = SmallVec::from_slice(&parts[..parts.len().min(Self::MAX_PARTS)]);
        while parts.last() == Some(&0) {
            parts.pop();
        }
        Self(parts)
    }

    /// The parts, without trailing zeros. Comparing them in order compares the versions.
    #[must_use]
    pub fn parts(&self) -> &[u64] {
        &self.0
    }
}

/// Whether a kind of data was configured and could be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceState {
    /// Not configured: what depends on it is absent.
    #[default]
    Absent,
    /// Configured, but it could not be loaded: what depends on it has failed.
    Unavailable,
    /// Loaded.
    Ready,
}

record! {
    /// Which data an answer was computed with: a digest of each source's content.
    #[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, JsonSchema)]
    pub struct DataVersions {
        /// The City database.
        #[schemars(with = "Option<String>")]
        pub city unless "Option::is_none": Option<Arc<str>>,
        /// The ASN database.
        #[schemars(with = "Option<String>")]
        pub asn unless "Option::is_none": Option<Arc<str>>,
        /// The Anonymous-IP database.
        #[schemars(with = "Option<String>")]
        pub anonymous_ip unless "Option::is_none": Option<Arc<str>>,
        /// All deny lists together.
        #[schemars(with = "Option<String>")]
        pub deny_lists unless "Option::is_none": Option<Arc<str>>,
        /// All relay lists together.
        #[schemars(with = "Option<String>")]
        pub relay_lists unless "Option::is_none": Option<Arc<str>>,
        /// The settings that scoring depends on.
        #[schemars(with = "Option<String>")]
        pub settings unless "Option::is_none": Option<Arc<str>>,
    }
}

/// Where the engine asks about addresses and user agents. One value of this is one immutable state of
/// the data.
pub trait Intelligence {
    /// What is known about an address (canonical).
    fn address(&self, ip: IpAddr) -> AddressFacts;
    /// What a user agent's text says.
    fn agent(&self, text: &str) -> Arc<AgentFacts>;
    /// Whether there is a City database.
    fn city(&self) -> SourceState;
    /// Whether there are deny lists or an Anonymous-IP database.
    fn lists(&self) -> SourceState;
    /// Which data these are.
    fn versions(&self) -> &DataVersions;
}

impl<T: Intelligence> Intelligence for Arc<T> {
    fn address(&self, ip: IpAddr) -> AddressFacts {
        (**self).address(ip)
    }
    fn agent(&self, text: &str) -> Arc<AgentFacts> {
        (**self).agent(text)
    }
    fn city(&self) -> SourceState {
        (**self).city()
    }
    fn lists(&self) -> SourceState {
        (**self).lists()
    }
    fn versions(&self) -> &DataVersions {
        (**self).versions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_part_by_part() {
        let cases = [
            ("119.0.0.0", "120.0.0.0", Some(true)),
            ("120.0", "120.0.0.0", Some(true)),
            ("120.0.0.1", "120", Some(false)),
            ("9", "10", Some(true)),
            ("18446744073709551616", "18446744073709551617", Some(true)),
            ("18446744073709551617", "18446744073709551616", Some(false)),
            ("18446744073709551614", "18446744073709551615", Some(true)),
            ("18446744073709551615", "18446744073709551614", Some(false)),
            ("18446744073709551615.1", "0018446744073709551615", Some(false)),
            ("99999999999999999999.0", "18446744073709551616.0", Some(false)),
            ("99999999999999999999", "100000000000000000000", Some(true)),
            ("100000000000000000000.0.7", "100000000000000000000.0.6", Some(false)),
            ("1.99999999999999999999.9", "1.99999999999999999999.10", Some(true)),
            ("1.", "2", None),
            ("1..2", "2", None),
            ("UNKNOWN", "2", None),
            ("", "2", None),
        ];
        for (old, new, not_older) in cases {
            let got = Version::parse(old).zip(Version::parse(new)).map(|(old, new)| new >= old);
            assert_eq!(got, not_older, "{old} to {new}");
        }
    }
}
