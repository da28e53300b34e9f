//! A small world to log in from: an in-memory double of the data, and events as JSON text.

use std::net::IpAddr;
use std::sync::Arc;

use assess::Settings;
use engine::{BackingError, Context, Partition};
use model::assessment::Category;
use model::codec::decode;
use model::evidence::{
    AddressFacts, AgentFacts, DataVersions, GeoRecord, Intelligence, ListMatch, LookupFailed, SourceState,
};
use model::{Confidence, Encoding, LoginEvent, Timestamp, is_non_public, parse_network};
use policy::{Defaults, Tenant, Tenants};
use profile::{Fingerprints, HashKey, Profile};
use serde_json::{Value, json};

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// 2026-03-02T08:00:00Z.
pub(crate) const START: i64 = 1_772_438_400_000;

// One address a place.
pub(crate) const LONDON: &str = "198.51.100.1";
pub(crate) const LONDON_SUBURB: &str = "198.51.100.2";
pub(crate) const PARIS: &str = "198.51.100.3";
pub(crate) const BERLIN: &str = "198.51.100.4";
pub(crate) const TOKYO: &str = "198.51.100.5";
pub(crate) const FIJI: &str = "198.51.100.6";
pub(crate) const SAMOA: &str = "198.51.100.7";
pub(crate) const NORTH_POLE: &str = "198.51.100.8";
pub(crate) const NORTH_POLE_TOO: &str = "198.51.100.9";
pub(crate) const NOWHERE: &str = "198.51.100.99";
// What addresses may be beside a place.
pub(crate) const VPN: &str = "203.0.113.1";
pub(crate) const TOR: &str = "203.0.113.2";
pub(crate) const ABUSE: &str = "203.0.113.3";
pub(crate) const RELAY: &str = "203.0.113.4";
pub(crate) const RELAY6: &str = "2001:db8:4::1";
pub(crate) const SATELLITE: &str = "198.51.100.20";
pub(crate) const NULL_ISLAND: &str = "198.51.100.21";
pub(crate) const NO_COORDINATES: &str = "198.51.100.22";
pub(crate) const CENTROID: &str = "198.51.100.23";
pub(crate) const CENTROID_WITHOUT_RADIUS: &str = "198.51.100.24";
pub(crate) const WIDE_CITY: &str = "198.51.100.25";
pub(crate) const NOT_A_NUMBER: &str = "198.51.100.26";

pub(crate) const CHROME_120: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/120.0.0.0 Safari/537.36";
pub(crate) const CHROME_121: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/121.0.0.0 Safari/537.36";
pub(crate) const CHROME_121_MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, \
     like Gecko) Chrome/121.0.0.0 Safari/537.36";
pub(crate) const FIREFOX_121: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 Firefox/121.0";

/// The double of databases and lists: every fact is a network's.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) places: Vec<(&'static str, GeoRecord)>,
    pub(crate) entries: Vec<(&'static str, ListMatch)>,
    pub(crate) relays: Vec<&'static str>,
    pub(crate) city: SourceState,
    pub(crate) lists: SourceState,
    /// Every lookup fails.
    pub(crate) broken: bool,
    pub(crate) agents: intel::Agents,
    pub(crate) versions: DataVersions,
}

fn place(city: &str, country: &str, latitude: f64, longitude: f64, radius_km: f64) -> GeoRecord {
    GeoRecord {
        latitude: Some(latitude),
        longitude: Some(longitude),
        radius_km: Some(radius_km),
        city: Some(city.into()),
        country: Some(country.into()),
        ..GeoRecord::default()
    }
}

/// An entry of a list, at the length of the network that it is filed under.
pub(crate) fn entry(network: &'static str, list: &str, category: Category) -> (&'static str, ListMatch) {
    let prefix_len = parse_network(network).unwrap().prefix_len();
    (network, ListMatch { list: list.into(), category, confidence: None, prefix_len })
}

impl Default for Data {
    fn default() -> Self {
        let london = || place("London", "GB", 51.5074, -0.1278, 20.0);
        let tokyo = || place("Tokyo", "JP", 35.6895, 139.6917, 20.0);
        let places = vec![
            (LONDON, GeoRecord { country_name: Some("United Kingdom".into()), ..london() }),
            (LONDON_SUBURB, place("Croydon", "GB", 51.3714, -0.0977, 5.0)),
            (PARIS, place("Paris", "FR", 48.8566, 2.3522, 20.0)),
            (BERLIN, place("Berlin", "DE", 52.52, 13.405, 20.0)),
            (TOKYO, tokyo()),
            (FIJI, place("Suva", "FJ", -18.1416, 178.4419, 20.0)),
            (SAMOA, place("Apia", "WS", -13.8333, -171.7667, 20.0)),
            (NORTH_POLE, place("Pole", "XX", 89.9, 0.0, 5.0)),
            (NORTH_POLE_TOO, place("Pole", "XX", 89.9, 180.0, 5.0)),
            // Whatever hides its user stands in Tokyo.
            (VPN, tokyo()),
            (TOR, tokyo()),
            (ABUSE, london()),
            (RELAY, tokyo()),
            ("2001:db8:4::/48", tokyo()),
            (SATELLITE, GeoRecord { is_satellite: true, ..tokyo() }),
            (NULL_ISLAND, place("Null", "XX", 0.0, 0.0, 20.0)),
            (NO_COORDINATES, GeoRecord { latitude: None, longitude: None, ..london() }),
            (CENTROID, GeoRecord { city: None, ..place("", "GB", 59.0, 5.0, 500.0) }),
            (CENTROID_WITHOUT_RADIUS, GeoRecord { city: None, radius_km: None, ..place("", "GB", 59.0, 5.0, 0.0) }),
            (WIDE_CITY, place("Wide", "GB", 59.0, 5.0, 499.0)),
            (NOT_A_NUMBER, place("Broken", "GB", f64::NAN, f64::INFINITY, 20.0)),
        ];
        let entries = vec![
            entry("203.0.113.1/32", "exits", Category::Vpn),
            entry("203.0.113.2/32", "onion", Category::Tor),
            entry("203.0.113.3/32", "attackers", Category::Abuse),
            // Lists of VPNs hold the relays' IPv4 networks and not their IPv6 ones.
            entry("203.0.113.4/32", "exits", Category::Vpn),
        ];
        Self {
            places,
            entries,
            relays: vec!["203.0.113.4/30", "2001:db8:4::/48"],
            city: SourceState::Ready,
            lists: SourceState::Ready,
            broken: false,
            agents: intel::Agents::default(),
            versions: DataVersions { city: Some("city-1".into()), ..DataVersions::default() },
        }
    }
}

fn covers(network: &str, ip: IpAddr) -> bool {
    parse_network(network).unwrap().contains(&ip)
}

impl Intelligence for Data {
    fn address(&self, ip: IpAddr) -> AddressFacts {
        let non_public = is_non_public(ip);
        if non_public {
            let geo = Ok(None);
            return AddressFacts { non_public, relay: false, matches: Ok(Vec::new()), geo, network: None };
        }
        let geo = self.places.iter().find(|(network, _)| covers(network, ip)).map(|(_, record)| record.clone());
        let entries = self.entries.iter().filter(|(network, _)| covers(network, ip));
        AddressFacts {
            non_public,
            relay: self.relays.iter().any(|network| covers(network, ip)),
            matches: if self.broken {
                Err(LookupFailed)
            } else {
                Ok(entries.map(|(_, entry)| entry.clone()).collect())
            },
            geo: if self.broken { Err(LookupFailed) } else { Ok(geo.map(Arc::new)) },
            network: None,
        }
    }
    fn agent(&self, text: &str) -> Arc<AgentFacts> {
        self.agents.facts(text)
    }
    fn city(&self) -> SourceState {
        self.city
    }
    fn lists(&self) -> SourceState {
        self.lists
    }
    fn versions(&self) -> &DataVersions {
        &self.versions
    }
}

/// A login event, by what tests change.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    /// Milliseconds after [`START`].
    pub(crate) at: i64,
    pub(crate) tenant: &'static str,
    pub(crate) user: &'static str,
    pub(crate) ip: &'static str,
    pub(crate) agent: &'static str,
    pub(crate) cookie: &'static str,
    pub(crate) stage: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) logins_count: Option<i64>,
}

/// An attempt from London with the user's usual browser and cookie; its id is its time.
pub(crate) fn attempt(at: i64) -> Event {
    Event {
        id: format!("e{at}"),
        at,
        tenant: "acme.example",
        user: "u1",
        ip: LONDON,
        agent: CHROME_120,
        cookie: "cookie-1",
        stage: "attempt",
        outcome: "success",
        logins_count: None,
    }
}

impl Event {
    pub(crate) fn id(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }
    pub(crate) fn from(self, ip: &'static str) -> Self {
        Self { ip, ..self }
    }
    pub(crate) fn with(self, agent: &'static str, cookie: &'static str) -> Self {
        Self { agent, cookie, ..self }
    }
    pub(crate) fn user(self, user: &'static str) -> Self {
        Self { user, ..self }
    }
    pub(crate) fn outcome(self, outcome: &'static str) -> Self {
        Self { outcome, ..self }
    }
    /// The completion of this attempt.
    pub(crate) fn completed(&self, at: i64, outcome: &'static str) -> Self {
        Self { at, stage: "completion", outcome, ..self.clone() }
    }

    pub(crate) fn json(&self) -> Value {
        let some = |text: &str| (!text.is_empty()).then(|| Value::from(text));
        json!({
            "id": self.id,
            "time": START + self.at,
            "stage": self.stage,
            "outcome": self.outcome,
            "tenant": { "id": self.tenant },
            "user": { "user_id": some(self.user) },
            "request": { "ip": some(self.ip), "user_agent": some(self.agent) },
            "device": { "id": some(self.cookie) },
            "stats": { "logins_count": self.logins_count },
        })
    }
}

/// What came of an event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) verdict: Option<Vec<u8>>,
    pub(crate) log: Option<Value>,
}

impl Seen {
    pub(crate) fn verdict(&self) -> Value {
        serde_json::from_slice(self.verdict.as_ref().unwrap()).unwrap()
    }
    /// One assessment; null where it is absent.
    pub(crate) fn assessment(&self, assessor: &str) -> Value {
        self.verdict()["risk_assessment"]["assessments"][assessor].clone()
    }
    fn code(&self, assessor: &str) -> String {
        self.assessment(assessor)["code"].as_str().unwrap_or_default().to_owned()
    }
    pub(crate) fn overall(&self) -> String {
        self.verdict()["risk_assessment"]["confidence"].as_str().unwrap().to_owned()
    }
    pub(crate) fn travel(&self) -> String {
        self.code("ImpossibleTravel")
    }
    pub(crate) fn device(&self) -> String {
        self.code("NewDevice")
    }
    pub(crate) fn ip(&self) -> String {
        self.code("UntrustedIP")
    }
    /// The type of the log record; `-` for none.
    pub(crate) fn log_type(&self) -> String {
        self.log.as_ref().map_or("-".to_owned(), |log| log["data"]["type"].as_str().unwrap().to_owned())
    }
    /// The log record's assessment, if it has one.
    pub(crate) fn logged_assessment(&self) -> Option<&Value> {
        self.log.as_ref().and_then(|log| log["data"]["details"].get("riskAssessment"))
    }
}

/// One partition with its data and settings.
pub(crate) struct World {
    pub(crate) data: Data,
    pub(crate) settings: Settings,
    pub(crate) partition: Partition,
    pub(crate) log_challenges: bool,
    /// Settings documents by tenant.
    pub(crate) documents: Vec<(String, Value)>,
    context: Option<Context<Arc<Data>>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_settings(&[])
    }

    pub(crate) fn with_settings(settings: &[(&str, &str)]) -> Self {
        Self::of(Data::default(), settings)
    }

    pub(crate) fn of(data: Data, pairs: &[(&str, &str)]) -> Self {
        let mut settings = Settings::default();
        for (key, value) in pairs {
            settings.set(key, value).unwrap();
        }
        Self {
            data,
            settings,
            partition: Partition::default(),
            log_challenges: true,
            documents: Vec::new(),
            context: None,
        }
    }

    fn fingerprints() -> Fingerprints {
        Fingerprints::new(HashKey(*b"0123456789abcdef"))
    }

    pub(crate) fn send(&mut self, event: &Event) -> Seen {
        self.send_json(&event.json())
    }

    pub(crate) fn send_json(&mut self, event: &Value) -> Seen {
        self.send_bytes(&serde_json::to_vec(event).unwrap(), None).unwrap()
    }

    /// Decodes and processes a record that arrived at `record_time`.
    pub(crate) fn send_bytes(&mut self, payload: &[u8], record_time: Option<i64>) -> Result<Seen, model::Unreadable> {
        let mut scratch = String::new();
        let event = decode(payload, None, &mut scratch)?;
        Ok(self.step(&event, record_time).unwrap())
    }

    /// Processes an event where the state may fail.
    pub(crate) fn try_send(&mut self, event: &Event) -> Result<Seen, BackingError> {
        let payload = serde_json::to_vec(&event.json()).unwrap();
        let mut scratch = String::new();
        self.step(&decode(&payload, None, &mut scratch).unwrap(), None)
    }

    fn step(&mut self, event: &LoginEvent<'_>, record_time: Option<i64>) -> Result<Seen, BackingError> {
        let record_time = record_time.map(|ms| Timestamp(START + ms));
        self.with_context(|partition, context| {
            let step = partition.step(event, record_time, context)?;
            let verdict = step.verdict(event).map(|verdict| {
                let mut bytes = Vec::new();
                Encoding::Json.encode(&verdict, &mut bytes).unwrap();
                bytes
            });
            let log = step.log_record(event, "test").map(|log| serde_json::to_value(log).unwrap());
            Ok(Seen { verdict, log })
        })
    }

    /// Lets profiles go that are over at this time after [`START`].
    pub(crate) fn sweep(&mut self, at: i64, limit: usize) -> Result<usize, BackingError> {
        self.with_context(|partition, context| partition.sweep(Timestamp(START + at), context, limit))
    }

    fn with_context<T>(&mut self, work: impl FnOnce(&mut Partition, &Context<Arc<Data>>) -> T) -> T {
        let context = self.context.get_or_insert_with(|| {
            let defaults = Defaults {
                settings: self.settings.clone(),
                log_challenges: self.log_challenges,
                version: "settings-1".into(),
                ..Defaults::default()
            };
            let mut tenants = Tenants::new(Arc::new(Tenant::by_default(&defaults)));
            for (name, document) in &self.documents {
                tenants.set(name, Some(Arc::new(Tenant::compile(document, Some(name), &defaults).unwrap())));
            }
            Context::of_tenants(&tenants, Arc::new(self.data.clone()), Self::fingerprints())
        });
        work(&mut self.partition, context)
    }

    /// Data or settings were changed: the next event sees them.
    pub(crate) fn changed(&mut self) {
        self.context = None;
    }

    pub(crate) fn clear_devices(&mut self, user: &str) -> bool {
        self.partition.clear_devices("acme.example", user, &Self::fingerprints()).unwrap()
    }

    pub(crate) fn profile(&mut self, user: &str) -> Profile {
        self.partition.profile("acme.example", user, &Self::fingerprints()).unwrap()
    }

    /// Puts these bytes in the place of a user's profile.
    pub(crate) fn restore(&mut self, user: &str, bytes: &[u8]) {
        self.partition.restore("acme.example", user, &Self::fingerprints(), bytes.into());
    }
}

/// A list of this category with a confidence of its own.
pub(crate) fn own(mut entry: (&'static str, ListMatch), confidence: Confidence) -> (&'static str, ListMatch) {
    entry.1.confidence = Some(confidence);
    entry
}
