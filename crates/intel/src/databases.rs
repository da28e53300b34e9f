//! Databases in MaxMind's format: City (GeoIP2 and GeoLite2, nested, and DB-IP Lite, flat), ASN,
//! Anonymous-IP.
//!
//! Fields of a type that is not expected count as absent: schemas differ between vendors and versions.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ahash::RandomState;
use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use model::assessment::Category;
use model::event::cut_place_name;
use model::evidence::{GeoRecord, LookupFailed, Network};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use smol_str::SmolStr;

/// Most records of a database that are kept decoded. A City record takes some 500 bytes.
const DECODED_RECORDS: usize = 16_384;

/// A database, whole in memory.
pub struct Database {
    reader: Reader<Vec<u8>>,
    /// Decoded records by their place in the file: many networks share one.
    decoded: Cache<usize, Record, UnitWeighter, RandomState>,
}

/// What a record says, by what the database was asked for.
#[derive(Clone)]
enum Record {
    City(Arc<GeoRecord>),
    Asn(Option<Network>),
    Anonymous(Option<Category>),
}

/// A database cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(String);

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.reader.metadata().database_type)
    }
}

impl Database {
    /// Takes a database and checks its whole structure: a truncated or damaged one must never replace a
    /// good one.
    ///
    /// # Errors
    /// The bytes are no database in MaxMind's format, or a damaged one, or one without a network.
    pub fn new(bytes: Vec<u8>) -> Result<Self, DatabaseError> {
        let reader = Reader::from_source(bytes)
            .map_err(|error| DatabaseError(format!("no database in MaxMind's format: {error}")))?;
        verify(&reader)?;
        let mut networks = reader.networks(WithinOptions::default()).map_err(damaged)?;
        if networks.next().is_none() {
            return Err(DatabaseError("a database without a single network".to_owned()));
        }
        let lifecycle = DefaultLifecycle::default();
        let decoded = Cache::with(DECODED_RECORDS, DECODED_RECORDS as u64, UnitWeighter, RandomState::new(), lifecycle);
        Ok(Self { reader, decoded })
    }

    /// When it was built, in seconds since the epoch.
    #[must_use]
    pub fn build_epoch(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    /// What it says it is, for instance `GeoLite2-City`.
    #[must_use]
    pub fn database_type(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// Where the record of an address is, with the record's place in the file; `None` where there is none.
    fn find(&self, ip: IpAddr) -> Result<Option<(Found<'_>, usize)>, LookupFailed> {
        if ip.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(None);
        }
        let found = self.reader.lookup(ip).map_err(|_| LookupFailed)?;
        Ok(found.offset().map(|offset| (found, offset)))
    }

    /// The City record of an address.
    ///
    /// # Errors
    /// The database is damaged at this place.
    pub fn city(&self, ip: IpAddr) -> Result<Option<Arc<GeoRecord>>, LookupFailed> {
        let Some((found, offset)) = self.find(ip)? else { return Ok(None) };
        if let Some(Record::City(known)) = self.decoded.get(&offset) {
            return Ok(Some(known));
        }
        let record = Arc::new(city_record(&decode(&found)?));
        self.decoded.insert(offset, Record::City(record.clone()));
        Ok(Some(record))
    }

    /// The ASN record of an address.
    ///
    /// # Errors
    /// The database is damaged at this place.
    pub fn asn(&self, ip: IpAddr) -> Result<Option<Network>, LookupFailed> {
        let Some((found, offset)) = self.find(ip)? else { return Ok(None) };
        if let Some(Record::Asn(known)) = self.decoded.get(&offset) {
            return Ok(known);
        }
        let record = decode(&found)?;
        let number = record.get(&["autonomous_system_number"]).number().filter(|number| *number >= 0.0);
        let organization = record.get(&["autonomous_system_organization"]).text();
        let network = number.map(|number| Network { number: number as u32, organization });
        self.decoded.insert(offset, Record::Asn(network.clone()));
        Ok(network)
    }

    /// The category of an address by the Anonymous-IP database's marks, with the length of the network
    /// that it holds for. The first mark that applies decides.
    ///
    /// # Errors
    /// The database is damaged at this place.
    pub fn anonymous(&self, ip: IpAddr) -> Result<Option<(Category, u8)>, LookupFailed> {
        let Some((found, offset)) = self.find(ip)? else { return Ok(None) };
        let category = match self.decoded.get(&offset) {
            Some(Record::Anonymous(known)) => known,
            _ => {
                let category = marked(&decode(&found)?);
                self.decoded.insert(offset, Record::Anonymous(category));
                category
            }
        };
        let Some(category) = category else { return Ok(None) };
        let network = found.network().map_err(|_| LookupFailed)?;
        let host = if ip.is_ipv4() { 32 } else { 128 };
        // A record above the IPv4 part of the tree has no IPv4 network: it is taken for the address alone.
        let prefix_len = if network.is_ipv4() == ip.is_ipv4() { network.prefix() } else { host };
        Ok(Some((category, prefix_len)))
    }
}

type Found<'a> = LookupResult<'a, Vec<u8>>;

fn decode<'a>(found: &Found<'a>) -> Result<Value<'a>, LookupFailed> {
    found.decode().ok().flatten().ok_or(LookupFailed)
}

/// The category by the marks of an Anonymous-IP record; the first that applies decides.
fn marked(marks: &Value<'_>) -> Option<Category> {
    [
        ("is_tor_exit_node", Category::Tor),
        ("is_residential_proxy", Category::ResidentialProxy),
        ("is_anonymous_vpn", Category::Vpn),
        ("is_public_proxy", Category::Vpn),
        ("is_hosting_provider", Category::Datacenter),
        ("is_anonymous", Category::Vpn),
    ]
    .into_iter()
    .find_map(|(mark, category)| marks.get(&[mark]).is_true().then_some(category))
}

fn damaged(error: MaxMindDbError) -> DatabaseError {
    DatabaseError(format!("a damaged database: {error}"))
}

/// Checks the whole structure. The library's own check also wants a description, which some writers
/// leave out and no lookup needs: a database without one is walked here instead.
fn verify(reader: &Reader<Vec<u8>>) -> Result<(), DatabaseError> {
    let metadata = reader.metadata();
    if !metadata.description.is_empty() && !metadata.database_type.is_empty() {
        return reader.verify().map_err(damaged);
    }
    // A tree of so many nodes has at most one leaf more; one with a cycle has no end of them.
    let most_leaves = metadata.node_count as usize + 1;
    let mut decoded = HashSet::new();
    let everything = WithinOptions::default().include_networks_without_data();
    for (count, leaf) in reader.networks(everything).map_err(damaged)?.enumerate() {
        if count > most_leaves {
            return Err(DatabaseError("a damaged database: its search tree has a cycle".to_owned()));
        }
        let leaf = leaf.map_err(damaged)?;
        if leaf.offset().is_some_and(|offset| decoded.insert(offset)) {
            leaf.decode::<Value<'_>>().map_err(damaged)?;
        }
    }
    Ok(())
}

/// The nested schema of GeoIP2 and GeoLite2, and the flat one of DB-IP Lite.
fn city_record(record: &Value<'_>) -> GeoRecord {
    let either = |nested: &[&str], flat: &str| match record.get(nested) {
        Value::Other => record.get(&[flat]),
        value => value,
    };
    GeoRecord {
        latitude: either(&["location", "latitude"], "latitude").any_number(),
        longitude: either(&["location", "longitude"], "longitude").any_number(),
        radius_km: record.get(&["location", "accuracy_radius"]).number().filter(|radius| *radius >= 0.0),
        city: either(&["city", "names", "en"], "city").text(),
        country: either(&["country", "iso_code"], "country_code").text(),
        is_satellite: record.get(&["traits", "is_satellite_provider"]).is_true(),
        country_name: record.get(&["country", "names", "en"]).text(),
        time_zone: either(&["location", "time_zone"], "timezone").text(),
        continent_code: record.get(&["continent", "code"]).text(),
        subdivision_code: record.get(&["subdivisions", "iso_code"]).text(),
        subdivision_name: either(&["subdivisions", "names", "en"], "state1").text(),
    }
}

/// The keys of records that mean something here; others are skipped while reading.
const KEYS: &[&str] = &[
    "accuracy_radius",
    "autonomous_system_number",
    "autonomous_system_organization",
    "city",
    "code",
    "continent",
    "country",
    "country_code",
    "en",
    "is_anonymous",
    "is_anonymous_vpn",
    "is_hosting_provider",
    "is_public_proxy",
    "is_residential_proxy",
    "is_satellite_provider",
    "is_tor_exit_node",
    "iso_code",
    "latitude",
    "location",
    "longitude",
    "names",
    "state1",
    "subdivisions",
    "time_zone",
    "timezone",
    "traits",
];

/// A value of a record, as far as it is of use.
#[derive(Debug, Clone, PartialEq)]
enum Value<'a> {
    Text(&'a str),
    Number(f64),
    Flag(bool),
    Map(Vec<(&'a str, Value<'a>)>),
    Other,
}

impl<'a> Value<'a> {
    /// The value at a path of keys.
    fn get(&self, path: &[&str]) -> &Value<'a> {
        let Some((first, rest)) = path.split_first() else { return self };
        let Value::Map(fields) = self else { return &Value::Other };
        fields.iter().find(|(key, _)| key == first).map_or(&Value::Other, |(_, value)| value.get(rest))
    }

    fn number(&self) -> Option<f64> {
        self.any_number().filter(|number| number.is_finite())
    }

    /// A number that need not be finite. A coordinate that is not must not look like none at all: the
    /// record has a place, and nothing can be computed with it.
    fn any_number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, trimmed and cut as names of places are; absent when empty.
    fn text(&self) -> Option<SmolStr> {
        match self {
            Value::Text(text) => Some(cut_place_name(text.trim())).filter(|text| !text.is_empty()).map(SmolStr::from),
            _ => None,
        }
    }

    fn is_true(&self) -> bool {
        *self == Value::Flag(true)
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Value<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Value::Text(text))
            }
            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Value::Other)
            }
            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(Value::Flag(flag))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Value::Number(number as f64))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Value::Number(number as f64))
            }
            fn visit_u128<E>(self, number: u128) -> Result<Self::Value, E> {
                Ok(Value::Number(number as f64))
            }
            // 32-bit floats arrive here too, widened.
            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Value::Number(number))
            }
            fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
                Ok(Value::Other)
            }
            /// Of a list the first element is of use: the largest subdivision.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let first = seq.next_element()?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(first.unwrap_or(Value::Other))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(key) = map.next_key::<&str>()? {
                    if KEYS.contains(&key) {
                        fields.push((key, map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Value::Map(fields))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
