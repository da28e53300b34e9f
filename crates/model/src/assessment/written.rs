//! What an assessment is written as, in either encoding, and the JSON Schema of that.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Assessment, Confidence, Details, ListDetails, NamedPoint, RiskAssessment, TravelDetails};
use crate::address::{Ip, NetworkOf};
use crate::json_out::{JsonWriter, ToJson, Word, record};
use crate::time::Timestamp;

record! {
    #[derive(Serialize)]
    struct WrittenRisk<'a> {
        confidence: Confidence,
        version: Word,
        assessments: ByName<'a>,
    }

    #[derive(Serialize)]
    struct WrittenAssessment<'a> {
        confidence: Confidence,
        code: Word,
        details unless "Option::is_none": Option<&'a Details>,
    }

    #[derive(Serialize)]
    struct WrittenDevice {
        device: Word,
        useragent: Word,
    }

    #[derive(Serialize)]
    struct WrittenTravel<'a> {
        from: WrittenPoint<'a>,
        to: WrittenPoint<'a>,
        distance_km: f64,
        effective_distance_km: f64,
        elapsed_s unless "Option::is_none": Option<f64>,
        speed_kmh unless "Option::is_none": Option<f64>,
        known_place: bool,
    }

    #[derive(Serialize)]
    struct WrittenPoint<'a> {
        city unless "Option::is_none": Option<&'a str>,
        country unless "Option::is_none": Option<&'a str>,
        latitude: f64,
        longitude: f64,
        time unless "Option::is_none": Option<Timestamp>,
    }

    #[derive(Serialize)]
    struct WrittenList<'a> {
        ip: Ip,
        matches: NetworkOf,
        source: &'a str,
        category: Word,
    }
}

/// The answers, each under its assessor's name.
struct ByName<'a>(&'a RiskAssessment);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.assessments().count()))?;
        for assessment in self.0.assessments() {
            map.serialize_entry(assessment.answer.assessor().as_str(), assessment)?;
        }
        map.end()
    }
}

impl ToJson for ByName<'_> {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.byte(b'{');
        for (number, assessment) in self.0.assessments().enumerate() {
            if number > 0 {
                json.byte(b',');
            }
            json.quoted(assessment.answer.assessor().as_str().as_bytes());
            json.byte(b':');
            assessment.write_json(json);
        }
        json.byte(b'}');
    }
}

/// To a tenth, as distances and speeds are written.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

impl RiskAssessment {
    fn written(&self) -> WrittenRisk<'_> {
        WrittenRisk { confidence: self.confidence, version: Word(Self::VERSION), assessments: ByName(self) }
    }
}

impl Assessment {
    fn written(&self) -> WrittenAssessment<'_> {
        let code = Word(self.answer.code());
        WrittenAssessment { confidence: self.confidence, code, details: self.details.as_ref() }
    }
}

impl TravelDetails {
    fn written(&self) -> WrittenTravel<'_> {
        WrittenTravel {
            from: self.from.written(Some(self.from_time)),
            to: self.to.written(None),
            distance_km: tenths(self.distance_km),
            effective_distance_km: tenths(self.effective_distance_km),
            elapsed_s: self.speed.map(|speed| speed.elapsed_ms as f64 / 1000.0),
            speed_kmh: self.speed.map(|speed| tenths(speed.speed_kmh)),
            known_place: self.known_place,
        }
    }
}

impl NamedPoint {
    fn written(&self, time: Option<Timestamp>) -> WrittenPoint<'_> {
        WrittenPoint {
            city: self.city.as_deref(),
            country: self.country.as_deref(),
            latitude: self.latitude,
            longitude: self.longitude,
            time,
        }
    }
}

impl ListDetails {
    fn written(&self) -> WrittenList<'_> {
        WrittenList {
            ip: Ip(self.ip),
            matches: NetworkOf { ip: self.ip, prefix_len: self.prefix_len },
            source: &self.source,
            category: Word(self.category.reported()),
        }
    }
}

/// What a device's cookie or user agent is to the user.
fn known(known: bool) -> Word {
    Word(if known { "known" } else { "unknown" })
}

impl Serialize for RiskAssessment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(serializer)
    }
}

impl ToJson for RiskAssessment {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        self.written().write_json(json);
    }
}

impl Serialize for Assessment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(serializer)
    }
}

impl ToJson for Assessment {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        self.written().write_json(json);
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Details::Device { device, useragent } => {
                WrittenDevice { device: known(device), useragent: known(useragent) }.serialize(serializer)
            }
            Details::Travel(ref travel) => travel.written().serialize(serializer),
            Details::List(ref list) => list.written().serialize(serializer),
        }
    }
}

impl ToJson for Details {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        match *self {
            Details::Device { device, useragent } => {
                WrittenDevice { device: known(device), useragent: known(useragent) }.write_json(json);
            }
            Details::Travel(ref travel) => travel.written().write_json(json),
            Details::List(ref list) => list.written().write_json(json),
        }
    }
}

impl ToJson for Confidence {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.quoted(self.as_str().as_bytes());
    }
}

/// JSON Schemas of what is written above by hand. A test of the schema documents holds whole records of
/// every kind against them.
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use crate::assessment::RiskAssessment;

    impl JsonSchema for RiskAssessment {
        fn schema_name() -> Cow<'static, str> {
            "RiskAssessment".into()
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            let point = |time: bool| {
                let mut properties = serde_json::json!({
                    "city": { "type": "string", "description": "At most 100 characters." },
                    "country": { "type": "string", "description": "ISO 3166-1 alpha-2." },
                    "latitude": { "type": "number", "minimum": -90, "maximum": 90 },
                    "longitude": { "type": "number", "minimum": -180, "maximum": 180 }
                });
                let mut required = vec!["latitude", "longitude"];
                if time {
                    properties["time"] = serde_json::json!({ "type": "string", "format": "date-time" });
                    required.push("time");
                }
                serde_json::json!({ "type": "object", "properties": properties, "required": required })
            };
            let assessment = |details: serde_json::Value| {
                serde_json::json!({
                    "type": "object",
                    "properties": {
                        "confidence": { "enum": ["low", "medium", "high", "neutral"] },
                        "code": { "type": "string" },
                        "details": details
                    },
                    "required": ["confidence", "code"]
                })
            };
            let known = serde_json::json!({ "enum": ["known", "unknown"] });
            json_schema!({
                "description": "The reference's riskAssessment object. Readers tolerate assessors and codes that they do not know.",
                "type": "object",
                "properties": {
                    "confidence": {
                        "description": "Confidence that the login is genuine: low means high risk.",
                        "enum": ["low", "medium", "high", "neutral"]
                    },
                    "version": { "const": RiskAssessment::VERSION },
                    "assessments": {
                        "type": "object",
                        "properties": {
                            "ImpossibleTravel": assessment(serde_json::json!({
                                "type": "object",
                                "properties": {
                                    "from": point(true),
                                    "to": point(false),
                                    "distance_km": { "type": "number", "minimum": 0 },
                                    "effective_distance_km": { "type": "number", "minimum": 0 },
                                    "elapsed_s": { "type": "number", "minimum": 0 },
                                    "speed_kmh": { "type": "number", "minimum": 0 },
                                    "known_place": { "type": "boolean" }
                                },
                                "required": ["from", "to", "distance_km", "effective_distance_km", "known_place"]
                            })),
                            "NewDevice": assessment(serde_json::json!({
                                "type": "object",
                                "properties": { "device": known, "useragent": known },
                                "required": ["device", "useragent"]
                            })),
                            "UntrustedIP": assessment(serde_json::json!({
                                "type": "object",
                                "properties": {
                                    "ip": { "type": "string" },
                                    "matches": { "type": "string", "description": "The entry, in CIDR notation." },
                                    "source": { "type": "string", "description": "The list's name." },
                                    "category": { "enum": [
                                        "anonymizer", "datacenter", "abuse", "reputation", "unroutable"
                                    ] }
                                },
                                "required": ["ip", "matches", "source", "category"]
                            }))
                        },
                        "additionalProperties": assessment(serde_json::json!({ "type": "object" }))
                    }
                },
                "required": ["confidence", "version", "assessments"]
            })
        }
    }
}
