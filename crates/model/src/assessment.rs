//! The words of an assessment: assessors, answers, confidences, evidence.
//!
//! They are the reference's: `riskAssessment` as written here is read unchanged by code that was made
//! for it. An [`Answer`] is one row of the confidence tables: a code, with a suffix where one code has
//! several meanings.

mod written;

use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use smol_str::SmolStr;

use crate::json_out::{JsonWriter, ToJson};
use crate::time::Timestamp;

/// How sure it is that the login is genuine; low confidence is high risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Ask for a second factor.
    Low,
    /// In between.
    Medium,
    /// Do not ask.
    High,
    /// Nothing could be said.
    Neutral,
}

impl Confidence {
    /// All, from low to neutral.
    pub const ALL: [Confidence; 4] = [Confidence::Low, Confidence::Medium, Confidence::High, Confidence::Neutral];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
            Confidence::Neutral => "neutral",
        }
    }

    /// The confidence of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == name)
    }
}

/// One of the three ways to look at a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assessor {
    /// Is the place reachable from the last one?
    ImpossibleTravel,
    /// Does the user use this device?
    NewDevice,
    /// Is the address on a list?
    UntrustedIp,
}

impl Assessor {
    /// All, in the order in which they are written.
    pub const ALL: [Assessor; 3] = [Assessor::ImpossibleTravel, Assessor::NewDevice, Assessor::UntrustedIp];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Assessor::ImpossibleTravel => "ImpossibleTravel",
            Assessor::NewDevice => "NewDevice",
            Assessor::UntrustedIp => "UntrustedIP",
        }
    }
}

macro_rules! answers {
    ($($variant:ident = $assessor:ident $key:literal : $doc:literal,)*) => {
        /// What an assessor can answer: a row of the confidence tables.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Answer {
            $(#[doc = $doc] $variant,)*
        }

        impl Answer {
            /// All answers.
            pub const ALL: &'static [Answer] = &[$(Answer::$variant,)*];

            /// Who answers so.
            #[must_use]
            pub fn assessor(self) -> Assessor {
                match self { $(Answer::$variant => Assessor::$assessor,)* }
            }

            /// The row's key within the assessor: the code, with a suffix where a code has several rows.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Answer::$variant => $key,)* }
            }
        }
    };
}

answers! {
    DeviceNotAvailable = NewDevice "assessment_not_available": "The assessor failed.",
    DeviceInitialLogin = NewDevice "initial_login": "The user has not logged in before.",
    UnknownDevice = NewDevice "unknown_device": "Neither cookie nor user agent was given.",
    NoDeviceHistory = NewDevice "no_device_history": "No unexpired device is remembered.",
    DeviceMatch = NewDevice "match": "Cookie and user agent are known.",
    DevicePartialMatch = NewDevice "partial_match": "One of cookie and user agent is known.",
    DeviceNoMatch = NewDevice "no_match": "Neither is known.",
    TravelNotAvailable = ImpossibleTravel "assessment_not_available": "The assessor failed.",
    GeoipNonPublic = ImpossibleTravel "missing_geoip.non_public": "A non-public address has no place.",
    AnonymousProxy = ImpossibleTravel "anonymous_proxy": "The address hides its user's place.",
    LocationRelay = ImpossibleTravel "unknown_location.relay": "A relay's place is not its user's.",
    MissingGeoip = ImpossibleTravel "missing_geoip": "No place is known for the address.",
    UnknownLocation = ImpossibleTravel "unknown_location": "What is known is no usable point.",
    TravelInitialLogin = ImpossibleTravel "initial_login": "The user has not logged in before.",
    LocationHistoryNotFound = ImpossibleTravel "location_history_not_found": "No place of the user is recent enough.",
    InvalidTravel = ImpossibleTravel "invalid_travel": "The computation gave no finite number.",
    MinimalTravel = ImpossibleTravel "minimal_travel_from_last_login": "As good as the same place.",
    TravelKnownPlace = ImpossibleTravel "travel_from_last_login.known_place": "Another place that the user is known at.",
    ImpossibleTravel = ImpossibleTravel "impossible_travel_from_last_login": "Too fast for a person.",
    Travel = ImpossibleTravel "travel_from_last_login": "Not far.",
    SubstantialTravel = ImpossibleTravel "substantial_travel_from_last_login": "Far, but possible.",
    InvalidIp = UntrustedIp "invalid_ip_address": "No address, or not one.",
    IpNotAvailable = UntrustedIp "assessment_not_available": "The assessor failed.",
    IpNonPublic = UntrustedIp "not_found_on_deny_list.non_public": "A non-public address is on no list.",
    ListedTor = UntrustedIp "found_on_deny_list.tor": "A Tor exit.",
    ListedResidentialProxy = UntrustedIp "found_on_deny_list.residential_proxy": "A residential proxy.",
    ListedAbuse = UntrustedIp "found_on_deny_list.abuse": "An address that attacks.",
    ListedReputation = UntrustedIp "found_on_deny_list.reputation": "An address of bad repute.",
    ListedUnroutable = UntrustedIp "found_on_deny_list.unroutable": "An address that should not occur.",
    ListedAnonymizer = UntrustedIp "found_on_deny_list.anonymizer": "An anonymizer of unknown kind.",
    ListedVpn = UntrustedIp "found_on_deny_list.vpn": "A VPN exit.",
    ListedProxy = UntrustedIp "found_on_deny_list.proxy": "An open proxy.",
    ListedDatacenter = UntrustedIp "found_on_deny_list.datacenter": "A hosting network.",
    IpNotFound = UntrustedIp "not_found_on_deny_list": "On no list.",
}

impl Answer {
    /// The code, as the reference has it: the key without its suffix.
    #[must_use]
    pub fn code(self) -> &'static str {
        const CODES: [&str; Answer::ALL.len()] = {
            let mut codes = [""; Answer::ALL.len()];
            let mut number = 0;
            while number < codes.len() {
                codes[number] = without_suffix(Answer::ALL[number].key());
                number += 1;
            }
            codes
        };
        CODES[self as usize]
    }

    /// The answer of that number, the inverse of `as u8`.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// A key up to its dot.
const fn without_suffix(key: &'static str) -> &'static str {
    let mut dot = 0;
    while dot < key.len() && key.as_bytes()[dot] != b'.' {
        dot += 1;
    }
    key.split_at(dot).0
}

/// What a deny list lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Category {
    /// Tor exits.
    Tor,
    /// Residential proxies.
    ResidentialProxy,
    /// VPN exits.
    Vpn,
    /// Open proxies.
    Proxy,
    /// Anonymizers of unknown kind.
    Anonymizer,
    /// Hosting networks.
    Datacenter,
    /// Addresses that attack.
    Abuse,
    /// Addresses of bad repute.
    Reputation,
    /// Addresses that should not occur.
    Unroutable,
}

impl Category {
    /// All categories.
    pub const ALL: [Category; 9] = [
        Category::Tor,
        Category::ResidentialProxy,
        Category::Vpn,
        Category::Proxy,
        Category::Anonymizer,
        Category::Datacenter,
        Category::Abuse,
        Category::Reputation,
        Category::Unroutable,
    ];

    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Category::Tor => "tor",
            Category::ResidentialProxy => "residential_proxy",
            Category::Vpn => "vpn",
            Category::Proxy => "proxy",
            Category::Anonymizer => "anonymizer",
            Category::Datacenter => "datacenter",
            Category::Abuse => "abuse",
            Category::Reputation => "reputation",
            Category::Unroutable => "unroutable",
        }
    }

    /// The category of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == name)
    }

    /// The name in evidence: the kinds of anonymizers are reported as what they have in common.
    #[must_use]
    pub fn reported(self) -> &'static str {
        if self.is_anonymizer() { Category::Anonymizer.as_str() } else { self.as_str() }
    }

    /// Whether an entry of this category means that the user's place is hidden.
    #[must_use]
    pub fn is_anonymizer(self) -> bool {
        matches!(
            self,
            Category::Tor | Category::ResidentialProxy | Category::Vpn | Category::Proxy | Category::Anonymizer
        )
    }

    /// Whether an entry of this category says nothing about a relay's address: a relay is of that kind
    /// by its nature.
    #[must_use]
    pub fn is_natural_for_relays(self) -> bool {
        matches!(self, Category::Vpn | Category::Proxy | Category::Anonymizer | Category::Datacenter)
    }

    /// The answer of UntrustedIP for an entry of this category.
    #[must_use]
    pub fn answer(self) -> Answer {
        match self {
            Category::Tor => Answer::ListedTor,
            Category::ResidentialProxy => Answer::ListedResidentialProxy,
            Category::Vpn => Answer::ListedVpn,
            Category::Proxy => Answer::ListedProxy,
            Category::Anonymizer => Answer::ListedAnonymizer,
            Category::Datacenter => Answer::ListedDatacenter,
            Category::Abuse => Answer::ListedAbuse,
            Category::Reputation => Answer::ListedReputation,
            Category::Unroutable => Answer::ListedUnroutable,
        }
    }
}

/// A point of evidence: where, with names.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedPoint {
    /// City, at most 100 characters.
    pub city: Option<SmolStr>,
    /// ISO 3166-1 alpha-2 code, as the source has it.
    pub country: Option<SmolStr>,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// Evidence of ImpossibleTravel.
#[derive(Debug, Clone, PartialEq)]
pub struct TravelDetails {
    /// The reference point.
    pub from: NamedPoint,
    /// When the user was there.
    pub from_time: Timestamp,
    /// The point of this login.
    pub to: NamedPoint,
    /// Great-circle distance.
    pub distance_km: f64,
    /// Distance less both accuracy radiuses.
    pub effective_distance_km: f64,
    /// Time between both and speed, where speed was computed.
    pub speed: Option<Speed>,
    /// Whether the user is known at the point of this login.
    pub known_place: bool,
}

/// Time and speed between two points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Time between both in milliseconds.
    pub elapsed_ms: i64,
    /// Effective distance over time, which counts as one second at least.
    pub speed_kmh: f64,
}

/// Evidence of UntrustedIP.
#[derive(Debug, Clone, PartialEq)]
pub struct ListDetails {
    /// The address, canonical.
    pub ip: IpAddr,
    /// Length of the entry's prefix in bits.
    pub prefix_len: u8,
    /// The list's name.
    pub source: Arc<str>,
    /// The list's category.
    pub category: Category,
}

/// The evidence behind an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Details {
    /// NewDevice: whether the cookie and the user agent are known.
    Device {
        /// The cookie is known.
        device: bool,
        /// The user agent is known.
        useragent: bool,
    },
    /// ImpossibleTravel.
    Travel(Box<TravelDetails>),
    /// UntrustedIP.
    List(ListDetails),
}

/// One assessor's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// What it answers.
    pub answer: Answer,
    /// How sure that makes it that the login is genuine.
    pub confidence: Confidence,
    /// Why.
    pub details: Option<Details>,
}

/// What all assessors together say: Auth0's `riskAssessment` object.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskAssessment {
    /// The combined confidence.
    pub confidence: Confidence,
    /// ImpossibleTravel's answer, absent where it has no data source.
    pub impossible_travel: Option<Assessment>,
    /// NewDevice's answer.
    pub new_device: Option<Assessment>,
    /// UntrustedIP's answer, absent where it has no data source.
    pub untrusted_ip: Option<Assessment>,
}

impl RiskAssessment {
    /// The version of this object's format.
    pub const VERSION: &'static str = "1";

    /// The answers that are there, in the order in which they are written.
    pub fn assessments(&self) -> impl Iterator<Item = &Assessment> {
        [&self.impossible_travel, &self.new_device, &self.untrusted_ip].into_iter().flatten()
    }
}

/// A risk assessment as a part of a record. Verdict and log record hold the same one, so its JSON may be
/// written once and be used in both.
#[derive(Debug, Clone, Copy)]
pub struct Risk<'a> {
    value: &'a RiskAssessment,
    json: Option<&'a [u8]>,
}

impl<'a> Risk<'a> {
    /// The assessment.
    #[must_use]
    pub fn value(self) -> &'a RiskAssessment {
        self.value
    }

    /// With its JSON, which [`Encoding::Json`](crate::Encoding) made of it.
    #[must_use]
    pub fn with_json(self, json: &'a [u8]) -> Self {
        Self { json: Some(json), ..self }
    }
}

impl<'a> From<&'a RiskAssessment> for Risk<'a> {
    fn from(value: &'a RiskAssessment) -> Self {
        Self { value, json: None }
    }
}

impl PartialEq for Risk<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Serialize for Risk<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl ToJson for Risk<'_> {
    #[inline]
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        match self.json {
            None => self.value.write_json(json),
            Some(written) => json.put(written),
        }
    }
}
