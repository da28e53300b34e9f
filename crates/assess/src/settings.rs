//! The settings that scoring and learning depend on: every number and every confidence of the tables.
//!
//! Each setting has a key by which the configuration names it. The table of keys below is the one
//! place where name, limits and documentation stand.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use model::time::{DAY_MS, MINUTE_MS};
use model::{Answer, Assessor, Confidence, parse_network};
use prefix_trie::joint::JointPrefixSet;

/// How one confidence is made of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combiner {
    /// The lower median of those that are not neutral.
    Median,
    /// The lowest of those that are not neutral.
    Strict,
}

/// When an attempt is complete and teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learning {
    /// A challenged attempt waits for its completion; any other is complete at once.
    OnDecision,
    /// Every scored attempt is complete at once.
    OnAttempt,
}

/// Settings to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The confidence tables as they stand.
    Reference,
    /// A dormant account on an unknown device is asked, and a strong signal asks by itself.
    Cautious,
}

/// The settings in force.
#[derive(Debug, Clone)]
pub struct Settings {
    preset: Preset,
    /// How one confidence is made of several.
    pub combiner: Combiner,
    /// A failed assessor is neutral instead of `low`.
    pub abstain_on_failure: bool,
    /// When an attempt teaches.
    pub learning: Learning,
    /// How far ahead of its record an event's time may be and still teach, in milliseconds.
    pub max_ahead_ms: i64,
    /// Most recent answers that are remembered.
    pub dedup_max: usize,
    /// How far away in time a repeated attempt may be, in milliseconds.
    pub dedup_ms: i64,
    /// After so many days without a learned login a profile is forgotten.
    pub profile_days: u32,
    /// How long a device is remembered after its last use, in days.
    pub remember_for_days: u32,
    /// Most devices that are remembered.
    pub device_max: usize,
    /// From this accuracy radius on a point is of no use, in kilometres.
    pub unusable_radius_km: f64,
    /// The accuracy radius where the source has none, in kilometres.
    pub default_radius_km: f64,
    /// How long the last place is a reference, in milliseconds.
    pub retention_ms: i64,
    /// How long a stored place is known, in milliseconds.
    pub known_place_ms: i64,
    /// Effective distances below this are no travel, in kilometres.
    pub floor_km: f64,
    /// Speeds above this are impossible, in kilometres an hour.
    pub max_speed_kmh: f64,
    /// Effective distances from here on are substantial, in kilometres.
    pub substantial_km: f64,
    /// Most places that are stored.
    pub max_known_places: usize,
    /// Most attempts that wait.
    pub pending_max: usize,
    /// How long an attempt waits, in milliseconds.
    pub pending_ms: i64,
    confidences: Vec<Confidence>,
    force_low: Vec<String>,
    force_low_answers: Vec<bool>,
    allow: Vec<IpNet>,
    allow_set: JointPrefixSet<IpNet>,
    lists: BTreeMap<Box<str>, ListUse>,
}

/// What a deny list is to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListUse {
    /// Whether its entries count.
    pub counts: bool,
    /// The confidence of its entries, where it is not the list's own or its category's.
    pub confidence: Option<Confidence>,
}

impl Default for Settings {
    fn default() -> Self {
        Self::of_preset(Preset::Reference)
    }
}

/// The confidence of an answer in the reference's tables.
fn reference_confidence(answer: Answer) -> Confidence {
    use Answer::*;
    use Confidence::*;
    match answer {
        DeviceNotAvailable | UnknownDevice | NoDeviceHistory | DeviceNoMatch => Low,
        DeviceInitialLogin | DevicePartialMatch => Medium,
        DeviceMatch => High,
        TravelNotAvailable | AnonymousProxy | MissingGeoip | InvalidTravel | Answer::ImpossibleTravel => Low,
        UnknownLocation | SubstantialTravel => Medium,
        LocationHistoryNotFound | MinimalTravel | TravelKnownPlace | Travel => High,
        GeoipNonPublic | LocationRelay | TravelInitialLogin => Neutral,
        InvalidIp | IpNotAvailable => Low,
        ListedTor | ListedResidentialProxy | ListedAbuse | ListedReputation | ListedUnroutable => Low,
        ListedAnonymizer | ListedVpn | ListedProxy | ListedDatacenter => Medium,
        IpNotFound => High,
        IpNonPublic => Neutral,
    }
}

/// Answers that force `low` with `preset = "cautious"`.
const CAUTIOUS_FORCE_LOW: [&str; 3] = [
    "ImpossibleTravel.impossible_travel_from_last_login",
    "UntrustedIP.found_on_deny_list.tor",
    "UntrustedIP.found_on_deny_list.residential_proxy",
];

/// A setting cannot take this value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such key.
    #[error("`{key}` is no setting{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownKey {
        /// The key as given.
        key: String,
        /// The known key that is most like it.
        nearest: Option<String>,
    },
    /// The key does not take this value.
    #[error("`{key}` = \"{value}\": allowed are {allowed}")]
    BadValue {
        /// The key.
        key: String,
        /// The value as given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

/// A key of the configuration.
pub struct Key {
    /// The name, dotted.
    pub name: &'static str,
    /// What it means, with its unit.
    pub about: &'static str,
    /// What is allowed.
    pub allowed: &'static str,
    get: fn(&Settings) -> String,
    set: fn(&mut Settings, &str) -> Option<()>,
}

fn whole(text: &str, min: u32, max: u32) -> Option<u32> {
    text.parse().ok().filter(|value| (min..=max).contains(value))
}

fn decimal(text: &str, min: f64, max: f64) -> Option<f64> {
    text.parse().ok().filter(|value| (min..=max).contains(value))
}

fn span_ms(text: &str, max: f64, unit_ms: i64) -> Option<i64> {
    decimal(text, 0.0, max).map(|value| (value * unit_ms as f64).round() as i64)
}

fn span(ms: i64, unit_ms: i64) -> String {
    (ms as f64 / unit_ms as f64).to_string()
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

macro_rules! keys {
    ($($name:literal, $about:literal, $allowed:literal, |$s:ident| $get:expr, |$t:ident, $v:ident| $set:expr;)*) => {
        /// The keys of all settings but the confidence table's, in the order in which they are shown.
        pub const KEYS: &[Key] = &[$(Key {
            name: $name,
            about: $about,
            allowed: $allowed,
            get: |$s| $get,
            set: |$t, $v| { $set; Some(()) },
        },)*];
    };
}

keys! {
    "preset", "Settings to start from; keys that are set win over it.", "reference, cautious",
        |s| match s.preset { Preset::Reference => "reference", Preset::Cautious => "cautious" }.to_owned(),
        |s, v| *s = Settings::of_preset(preset(v)?);
    "combiner", "How one confidence is made of several: the lower median or the lowest.", "median, strict",
        |s| match s.combiner { Combiner::Median => "median", Combiner::Strict => "strict" }.to_owned(),
        |s, v| s.combiner = match v { "median" => Combiner::Median, "strict" => Combiner::Strict, _ => return None };
    "force_low", "Answers that make the whole `low` by themselves.",
        "a comma-separated list of Assessor.code, with or without a suffix of the confidence table",
        |s| s.force_low.join(","),
        |s, v| s.set_force_low(list(v).map(str::to_owned).collect())?;
    "abstain_on_failure", "A failed assessor is neutral instead of low.", "true, false",
        |s| s.abstain_on_failure.to_string(),
        |s, v| s.abstain_on_failure = v.parse().ok()?;
    "learning", "When an attempt teaches: a challenged one when it is completed, or every one at once.",
        "on_decision, on_attempt",
        |s| match s.learning { Learning::OnDecision => "on_decision", Learning::OnAttempt => "on_attempt" }.to_owned(),
        |s, v| s.learning = match v {
            "on_decision" => Learning::OnDecision, "on_attempt" => Learning::OnAttempt, _ => return None
        };
    "allow", "Networks that are on no deny list and of no class.",
        "a comma-separated list of addresses and CIDR networks, none of length 0",
        |s| s.allow.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        |s, v| s.set_allow(list(v).map(parse_network).collect::<Option<_>>()?);
    "time.max_ahead_minutes", "An event further ahead of its record's timestamp teaches nothing.",
        "0 to 1440 minutes",
        |s| span(s.max_ahead_ms, MINUTE_MS), |s, v| s.max_ahead_ms = span_ms(v, 1440.0, MINUTE_MS)?;
    "dedup.max", "How many answers of a user are remembered for repeated attempts.", "0 to 64",
        |s| s.dedup_max.to_string(), |s, v| s.dedup_max = whole(v, 0, 64)? as usize;
    "dedup.minutes", "How far away in event time a repeated attempt may be.", "0 to 1440 minutes",
        |s| span(s.dedup_ms, MINUTE_MS), |s, v| s.dedup_ms = span_ms(v, 1440.0, MINUTE_MS)?;
    "profile.days", "After so many days without a learned login a profile is forgotten.", "366 to 3660 days",
        |s| s.profile_days.to_string(), |s, v| s.profile_days = whole(v, 366, 3660)?;
    "device.remember_for_days", "How long a device is remembered after its last use.", "1 to 365 days",
        |s| s.remember_for_days.to_string(), |s, v| s.remember_for_days = whole(v, 1, 365)?;
    "device.max", "How many devices of a user are remembered.", "1 to 100",
        |s| s.device_max.to_string(), |s, v| s.device_max = whole(v, 1, 100)? as usize;
    "travel.unusable_radius_km", "From this accuracy radius on a point is of no use.", "1 to 20100 km",
        |s| s.unusable_radius_km.to_string(), |s, v| s.unusable_radius_km = decimal(v, 1.0, 20_100.0)?;
    "travel.default_radius_km", "The accuracy radius where the source has none.", "0 to 20100 km",
        |s| s.default_radius_km.to_string(), |s, v| s.default_radius_km = decimal(v, 0.0, 20_100.0)?;
    "travel.retention_days", "How long the last place is a reference.", "0 to 3660 days",
        |s| span(s.retention_ms, DAY_MS), |s, v| s.retention_ms = span_ms(v, 3660.0, DAY_MS)?;
    "travel.known_place_days", "How long a stored place is known.", "0 to 3660 days",
        |s| span(s.known_place_ms, DAY_MS), |s, v| s.known_place_ms = span_ms(v, 3660.0, DAY_MS)?;
    "travel.floor_km", "Effective distances below this are no travel.", "0 to 20100 km",
        |s| s.floor_km.to_string(), |s, v| s.floor_km = decimal(v, 0.0, 20_100.0)?;
    "travel.max_speed_kmh", "Speeds above this are impossible.", "1 to 1000000000 km/h",
        |s| s.max_speed_kmh.to_string(), |s, v| s.max_speed_kmh = decimal(v, 1.0, 1e9)?;
    "travel.substantial_km", "Effective distances from here on are substantial.", "0 to 20100 km",
        |s| s.substantial_km.to_string(), |s, v| s.substantial_km = decimal(v, 0.0, 20_100.0)?;
    "travel.max_known_places", "How many places of a user are stored.", "1 to 100",
        |s| s.max_known_places.to_string(), |s, v| s.max_known_places = whole(v, 1, 100)? as usize;
    "pending.max", "How many challenged attempts of a user wait for their completion.", "1 to 64",
        |s| s.pending_max.to_string(), |s, v| s.pending_max = whole(v, 1, 64)? as usize;
    "pending.minutes", "How long a challenged attempt waits.", "0 to 1440 minutes",
        |s| span(s.pending_ms, MINUTE_MS), |s, v| s.pending_ms = span_ms(v, 1440.0, MINUTE_MS)?;
}

fn preset(name: &str) -> Option<Preset> {
    match name {
        "reference" => Some(Preset::Reference),
        "cautious" => Some(Preset::Cautious),
        _ => None,
    }
}

/// What a confidence may be.
const CONFIDENCES: &str = "low, medium, high, neutral";

/// The key of a row of the confidence table: `confidence.<Assessor>.<key>`.
#[must_use]
pub fn confidence_key(answer: Answer) -> String {
    format!("confidence.{}.{}", answer.assessor().as_str(), answer.key())
}

/// The names of all settings.
pub fn all_keys() -> impl Iterator<Item = String> {
    KEYS.iter().map(|key| key.name.to_owned()).chain(Answer::ALL.iter().map(|&answer| confidence_key(answer)))
}

/// The known name that is most like this one, if any is like it at all.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let similarity = |candidate: &&str| strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase());
    known
        .map(|candidate| (similarity(&candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

impl Settings {
    /// The settings of a preset.
    #[must_use]
    pub fn of_preset(preset: Preset) -> Self {
        let mut settings = Self {
            preset,
            combiner: Combiner::Median,
            abstain_on_failure: false,
            learning: Learning::OnDecision,
            max_ahead_ms: 5 * MINUTE_MS,
            dedup_max: 8,
            dedup_ms: 10 * MINUTE_MS,
            profile_days: 400,
            remember_for_days: 30,
            device_max: 10,
            unusable_radius_km: 500.0,
            default_radius_km: 50.0,
            retention_ms: 30 * DAY_MS,
            known_place_ms: 90 * DAY_MS,
            floor_km: 100.0,
            max_speed_kmh: 1000.0,
            substantial_km: 500.0,
            max_known_places: 10,
            pending_max: 8,
            pending_ms: 60 * MINUTE_MS,
            confidences: Answer::ALL.iter().map(|&answer| reference_confidence(answer)).collect(),
            force_low: Vec::new(),
            force_low_answers: vec![false; Answer::ALL.len()],
            allow: Vec::new(),
            allow_set: JointPrefixSet::default(),
            lists: BTreeMap::new(),
        };
        if preset == Preset::Cautious {
            settings.confidences[Answer::LocationHistoryNotFound as usize] = Confidence::Neutral;
            // The names are those of the table, so they are all known.
            let _known = settings.set_force_low(CAUTIOUS_FORCE_LOW.map(str::to_owned).to_vec());
        }
        settings
    }

    /// Sets one key from text. `preset` replaces everything, so it must be set before the others.
    ///
    /// # Errors
    /// The key is not known, or it does not take this value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let bad_value = |allowed: &str| SettingError::BadValue {
            key: name.to_owned(),
            value: value.chars().take(200).collect(),
            allowed: allowed.to_owned(),
        };
        if let Some(key) = KEYS.iter().find(|key| key.name == name) {
            return (key.set)(self, value.trim()).ok_or_else(|| bad_value(key.allowed));
        }
        if let Some(&answer) = Answer::ALL.iter().find(|&&answer| confidence_key(answer) == name) {
            self.confidences[answer as usize] =
                Confidence::parse(value.trim()).ok_or_else(|| bad_value(CONFIDENCES))?;
            return Ok(());
        }
        let known: Vec<String> = all_keys().collect();
        Err(SettingError::UnknownKey {
            key: name.to_owned(),
            nearest: nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
        })
    }

    /// All keys with their values in force, as text that [`Settings::set`] takes.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, String)> {
        let keys = KEYS.iter().map(|key| (key.name.to_owned(), (key.get)(self)));
        let table = Answer::ALL
            .iter()
            .map(|&answer| (confidence_key(answer), self.confidences[answer as usize].as_str().to_owned()));
        keys.chain(table).collect()
    }

    /// The confidence of an answer.
    #[must_use]
    pub fn confidence(&self, answer: Answer) -> Confidence {
        if self.abstain_on_failure && answer.code() == "assessment_not_available" {
            return Confidence::Neutral;
        }
        self.confidences[answer as usize]
    }

    /// Whether an answer makes the whole `low` by itself.
    #[must_use]
    pub fn forces_low(&self, answer: Answer) -> bool {
        self.force_low_answers[answer as usize]
    }

    /// Whether the address is allow-listed.
    #[must_use]
    pub fn allows(&self, ip: IpAddr) -> bool {
        !self.allow.is_empty() && self.allow_set.get_lpm(&IpNet::from(ip)).is_some()
    }

    /// What a deny list is to the tenant, where he says so.
    #[must_use]
    pub fn list_use(&self, list: &str) -> Option<ListUse> {
        if self.lists.is_empty() { None } else { self.lists.get(list).copied() }
    }

    /// Says what a deny list is to the tenant.
    pub fn set_list_use(&mut self, list: &str, list_use: ListUse) {
        self.lists.insert(list.into(), list_use);
    }

    /// Adds a network to the allow-list.
    pub fn add_allowed(&mut self, network: IpNet) {
        self.allow.push(network);
        self.allow_set.insert(network);
    }

    fn set_allow(&mut self, networks: Vec<IpNet>) {
        self.allow_set = networks.iter().copied().collect();
        self.allow = networks;
    }

    /// A name without a suffix stands for the code, whatever its suffix.
    fn set_force_low(&mut self, names: Vec<String>) -> Option<()> {
        let mut forced = vec![false; Answer::ALL.len()];
        for name in &names {
            let (assessor, key) = name.split_once('.')?;
            let assessor = Assessor::ALL.into_iter().find(|known| known.as_str() == assessor)?;
            let named =
                |answer: &&Answer| answer.assessor() == assessor && (answer.key() == key || answer.code() == key);
            let mut any = false;
            for &answer in Answer::ALL.iter().filter(named) {
                forced[answer as usize] = true;
                any = true;
            }
            any.then_some(())?;
        }
        self.force_low = names;
        self.force_low_answers = forced;
        Some(())
    }
}
