//! What conditions see of a login, field by field: names, types, and how each is read.
//!
//! The event's fields are those of its contract (`model::event`), under the same names. As in CEL over
//! protocol buffers, a field that is absent (or null, or of a wrong type, which the contract counts as
//! absent) reads as the default of its type, and `has` tells whether it is there.

use std::sync::Arc;

use model::{Assessment, Confidence, RiskAssessment, Timestamp, parse_ip};

use super::data::{Items, Pairs, Text, Val};
use crate::value::Value;

/// What is known about one login.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// `event`: the login event, with all its fields.
    pub event: &'a Value<'a>,
    /// `risk`: what the assessors say, where the login was assessed.
    pub risk: Option<&'a RiskAssessment>,
    /// `profile`: what is remembered about the user.
    pub profile: ProfileFacts<'a>,
    /// `enrolled`: whether the user has a second factor.
    pub enrolled: bool,
}

/// What is remembered about the user.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProfileFacts<'a> {
    /// Whether the user has logged in before.
    pub known: bool,
    /// When the user last did.
    pub last_login: Option<Timestamp>,
    /// How many unexpired devices are remembered.
    pub devices: u32,
    /// How many places are remembered.
    pub places: u32,
    /// Where the user last was.
    pub last_place: Option<PlaceFacts<'a>>,
}

/// Where the user last was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlaceFacts<'a> {
    /// The city, where it has a name.
    pub city: Option<&'a str>,
    /// ISO 3166-1 alpha-2 code, where it is known.
    pub country: Option<&'a str>,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// When.
    pub time: Timestamp,
}

/// An object of known fields.
#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    /// As it is called in errors.
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

impl Message {
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A field of a message.
#[derive(Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// The type of a field, with how it is read from JSON.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Text as it is.
    Text,
    /// Text without white space around it; what is then empty is absent.
    Trimmed,
    /// Such a text, in canonical form where it is an address.
    Address,
    /// Text with a default.
    Word(&'static str),
    /// A truth value.
    Bool,
    /// A whole number; held at the ends of its range when it is beyond them.
    Int,
    /// A finite number.
    Double,
    /// RFC 3339 text or milliseconds since the epoch.
    Time,
    /// A list of texts.
    Texts,
    /// A list of messages.
    Messages(&'static Message),
    /// A message.
    Message(&'static Message),
    /// An object of unknown fields.
    Object,
    /// Anything.
    Any,
}

macro_rules! messages {
    ($($id:ident $name:literal { $($field:literal: $kind:expr,)* })*) => {$(
        static $id: Message = Message {
            name: $name,
            fields: &[$(Field { name: $field, kind: $kind },)*],
        };
    )*};
}

pub(crate) static ROOT: Message = Message {
    name: "a condition",
    fields: &[
        Field { name: "event", kind: Kind::Message(&EVENT) },
        Field { name: "risk", kind: Kind::Message(&RISK) },
        Field { name: "profile", kind: Kind::Message(&PROFILE) },
        Field { name: "enrolled", kind: Kind::Bool },
    ],
};

messages! {
    EVENT "event" {
        "id": Kind::Text,
        "time": Kind::Time,
        "stage": Kind::Word("attempt"),
        "outcome": Kind::Word("success"),
        "error": Kind::Message(&ERROR),
        "tenant": Kind::Message(&TENANT),
        "user": Kind::Message(&USER),
        "client": Kind::Message(&CLIENT),
        "connection": Kind::Message(&CONNECTION),
        "organization": Kind::Message(&ORGANIZATION),
        "authorization": Kind::Message(&AUTHORIZATION),
        "resource_server": Kind::Message(&RESOURCE_SERVER),
        "request": Kind::Message(&REQUEST),
        "device": Kind::Message(&DEVICE),
        "mfa": Kind::Message(&MFA),
        "transaction": Kind::Message(&TRANSACTION),
        "authentication": Kind::Message(&AUTHENTICATION),
        "session": Kind::Object,
        "refresh_token": Kind::Any,
        "security_context": Kind::Message(&SECURITY_CONTEXT),
        "stats": Kind::Message(&STATS),
    }
    ERROR "event.error" {
        "message": Kind::Text,
        "code": Kind::Text,
    }
    TENANT "event.tenant" {
        "id": Kind::Text,
    }
    USER "event.user" {
        "user_id": Kind::Text,
        "email": Kind::Text,
        "email_verified": Kind::Bool,
        "username": Kind::Text,
        "name": Kind::Text,
        "phone_number": Kind::Text,
        "multifactor": Kind::Texts,
        "enrolledFactors": Kind::Messages(&FACTOR),
        "user_metadata": Kind::Object,
        "app_metadata": Kind::Object,
        "created_at": Kind::Time,
    }
    FACTOR "event.user.enrolledFactors[]" {
        "type": Kind::Text,
    }
    CLIENT "event.client" {
        "client_id": Kind::Text,
        "name": Kind::Text,
        "metadata": Kind::Object,
    }
    CONNECTION "event.connection" {
        "id": Kind::Text,
        "name": Kind::Text,
        "strategy": Kind::Text,
    }
    ORGANIZATION "event.organization" {
        "id": Kind::Text,
        "name": Kind::Text,
        "metadata": Kind::Object,
    }
    AUTHORIZATION "event.authorization" {
        "roles": Kind::Texts,
    }
    RESOURCE_SERVER "event.resource_server" {
        "identifier": Kind::Text,
    }
    REQUEST "event.request" {
        "ip": Kind::Address,
        "user_agent": Kind::Trimmed,
        "hostname": Kind::Text,
        "language": Kind::Text,
        "method": Kind::Text,
        "asn": Kind::Any,
        "geoip": Kind::Message(&GEOIP),
    }
    GEOIP "event.request.geoip" {
        "countryCode": Kind::Trimmed,
        "countryCode3": Kind::Text,
        "countryName": Kind::Text,
        "cityName": Kind::Trimmed,
        "latitude": Kind::Double,
        "longitude": Kind::Double,
        "timeZone": Kind::Text,
        "continentCode": Kind::Text,
        "subdivisionCode": Kind::Text,
        "subdivisionName": Kind::Text,
    }
    DEVICE "event.device" {
        "id": Kind::Trimmed,
    }
    MFA "event.mfa" {
        "remembered": Kind::Bool,
    }
    TRANSACTION "event.transaction" {
        "protocol": Kind::Text,
        "id": Kind::Text,
        "acr_values": Kind::Texts,
        "requested_scopes": Kind::Texts,
        "prompt": Kind::Texts,
        "idp_initiated": Kind::Bool,
    }
    AUTHENTICATION "event.authentication" {
        "methods": Kind::Messages(&METHOD),
    }
    METHOD "event.authentication.methods[]" {
        "name": Kind::Text,
        "timestamp": Kind::Time,
    }
    SECURITY_CONTEXT "event.security_context" {
        "ja3": Kind::Text,
        "ja4": Kind::Text,
    }
    STATS "event.stats" {
        "logins_count": Kind::Int,
    }
    RISK "risk" {
        "confidence": Kind::Text,
        "assessments": Kind::Message(&ASSESSMENTS),
    }
    ASSESSMENTS "risk.assessments" {
        "ImpossibleTravel": Kind::Message(&ASSESSMENT),
        "NewDevice": Kind::Message(&ASSESSMENT),
        "UntrustedIP": Kind::Message(&ASSESSMENT),
    }
    ASSESSMENT "an assessment" {
        "confidence": Kind::Text,
        "code": Kind::Text,
        "details": Kind::Object,
    }
    PROFILE "profile" {
        "known": Kind::Bool,
        "last_login": Kind::Time,
        "devices": Kind::Int,
        "places": Kind::Int,
        "last_place": Kind::Message(&PLACE),
    }
    PLACE "profile.last_place" {
        "city": Kind::Text,
        "country": Kind::Text,
        "latitude": Kind::Double,
        "longitude": Kind::Double,
        "time": Kind::Time,
    }
}

/// Where a message's fields are read from; a source that is not there has no field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    Facts(&'a Facts<'a>),
    Json(Option<&'a Value<'a>>),
    Risk(Option<&'a RiskAssessment>),
    Assessments(Option<&'a RiskAssessment>),
    Assessment(Option<&'a Assessment>),
    Profile(&'a ProfileFacts<'a>),
    Place(Option<&'a PlaceFacts<'a>>),
}

impl<'a> Source<'a> {
    /// The message in a field, and whether it is there.
    fn message(self, field: &Field) -> (Source<'a>, bool) {
        match self {
            Source::Facts(facts) => match field.name {
                "event" => (Source::Json(Some(facts.event)), true),
                "risk" => (Source::Risk(facts.risk), facts.risk.is_some()),
                _ => (Source::Profile(&facts.profile), true),
            },
            Source::Json(value) => {
                let value = value.and_then(|value| value.get(field.name)).filter(|v| matches!(v, Value::Map(_)));
                (Source::Json(value), value.is_some())
            }
            Source::Risk(risk) | Source::Assessments(risk) if field.name == "assessments" => {
                (Source::Assessments(risk), risk.is_some())
            }
            Source::Risk(risk) | Source::Assessments(risk) => {
                let assessment = risk.and_then(|risk| match field.name {
                    "ImpossibleTravel" => risk.impossible_travel.as_ref(),
                    "NewDevice" => risk.new_device.as_ref(),
                    _ => risk.untrusted_ip.as_ref(),
                });
                (Source::Assessment(assessment), assessment.is_some())
            }
            Source::Profile(profile) => (Source::Place(profile.last_place.as_ref()), profile.last_place.is_some()),
            Source::Assessment(_) | Source::Place(_) => (Source::Json(None), false),
        }
    }

    /// The value of a field, `None` where it is absent.
    pub(crate) fn read(self, field: &'static Field) -> Option<Val<'a>> {
        if let Kind::Message(_) = field.kind {
            let (source, there) = self.message(field);
            return there.then_some(Val::Message(source));
        }
        match self {
            Source::Json(value) => read_json(value?.get(field.name)?, field.kind),
            Source::Facts(facts) => Some(Val::Bool(facts.enrolled)),
            Source::Risk(risk) => Some(confidence(risk?.confidence)),
            Source::Assessments(_) => None,
            Source::Assessment(assessment) => match field.name {
                "confidence" => Some(confidence(assessment?.confidence)),
                "code" => Some(Val::Text(Text::Lent(assessment?.answer.code()))),
                _ => details(assessment?),
            },
            Source::Profile(profile) => match field.name {
                "known" => Some(Val::Bool(profile.known)),
                "last_login" => profile.last_login.map(|time| Val::Time(time.0)),
                "devices" => Some(Val::Int(profile.devices.into())),
                _ => Some(Val::Int(profile.places.into())),
            },
            Source::Place(place) => {
                let place = place?;
                match field.name {
                    "city" => place.city.map(|city| Val::Text(Text::Lent(city))),
                    "country" => place.country.map(|country| Val::Text(Text::Lent(country))),
                    "latitude" => Some(Val::Double(place.latitude)),
                    "longitude" => Some(Val::Double(place.longitude)),
                    _ => Some(Val::Time(place.time.0)),
                }
            }
        }
    }

    /// What a field reads as: its value, or the default of its type.
    pub(crate) fn read_or_default(self, field: &'static Field) -> Val<'a> {
        match field.kind {
            Kind::Message(_) => Val::Message(self.message(field).0),
            kind => self.read(field).unwrap_or_else(|| default(kind)),
        }
    }

    /// Whether there is something at the end of a path that begins here, and what it reads as.
    pub(crate) fn follow(self, path: &[&'static Field]) -> (bool, Val<'a>) {
        let Some((last, before)) = path.split_last() else { return (false, Val::Null) };
        let mut source = self;
        for field in before {
            source = source.message(field).0;
        }
        match source.read(last) {
            Some(value) => (true, value),
            None => (false, source.read_or_default(last)),
        }
    }
}

fn confidence<'a>(confidence: Confidence) -> Val<'a> {
    Val::Text(Text::Lent(confidence.as_str()))
}

/// The evidence as the verdict has it.
fn details<'a>(assessment: &Assessment) -> Option<Val<'a>> {
    let written = serde_json::to_vec(assessment.details.as_ref()?).ok()?;
    Value::from_json(&written).map(|value| Val::from_owned(value.into_owned()))
}

/// The default of a type.
fn default<'a>(kind: Kind) -> Val<'a> {
    match kind {
        Kind::Text | Kind::Trimmed | Kind::Address => Val::Text(Text::Lent("")),
        Kind::Word(default) => Val::Text(Text::Lent(default)),
        Kind::Bool => Val::Bool(false),
        Kind::Int => Val::Int(0),
        Kind::Double => Val::Double(0.0),
        Kind::Time => Val::Time(0),
        Kind::Texts | Kind::Messages(_) => Val::List(Items::Vals(&[])),
        Kind::Message(_) => Val::Message(Source::Json(None)),
        Kind::Object | Kind::Any => Val::Map(Pairs::Vals(&[])),
    }
}

/// A value of the event as its field's type has it, `None` where it is of another one.
fn read_json<'a>(value: &'a Value<'a>, kind: Kind) -> Option<Val<'a>> {
    match (kind, value) {
        (Kind::Text | Kind::Word(_), Value::String(text)) => Some(Val::Text(Text::Lent(text))),
        (Kind::Trimmed, Value::String(text)) => {
            Some(text.trim()).filter(|text| !text.is_empty()).map(|text| Val::Text(Text::Lent(text)))
        }
        (Kind::Address, Value::String(text)) => {
            let text = Some(text.trim()).filter(|text| !text.is_empty())?;
            // The text of an IPv4 address that is one is its canonical text.
            let canonical = parse_ip(text).filter(|ip| ip.is_ipv6() || text.contains(':')).map(|ip| ip.to_string());
            Some(Val::Text(match canonical {
                Some(canonical) if canonical != text => Text::Owned(Arc::from(canonical)),
                _ => Text::Lent(text),
            }))
        }
        (Kind::Bool, Value::Bool(value)) => Some(Val::Bool(*value)),
        (Kind::Int, Value::Int(value)) => Some(Val::Int(*value)),
        (Kind::Int, Value::Double(value)) => {
            // A whole number that no 64-bit integer holds arrives as a float.
            const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
            (value.abs() >= TWO_TO_63).then_some(Val::Int(*value as i64))
        }
        (Kind::Double, Value::Double(value)) => Some(Val::Double(*value)),
        (Kind::Double, Value::Int(value)) => Some(Val::Double(*value as f64)),
        (Kind::Time, Value::String(text)) => Timestamp::parse_rfc3339(text).map(|time| Val::Time(time.0)),
        (Kind::Time, Value::Int(ms)) => Timestamp::in_range(*ms).map(|time| Val::Time(time.0)),
        (Kind::Texts, Value::List(values)) => {
            values.iter().all(|value| matches!(value, Value::String(_))).then_some(Val::List(Items::Json(values)))
        }
        (Kind::Messages(_), Value::List(values)) => {
            values.iter().all(|v| matches!(v, Value::Map(_))).then_some(Val::List(Items::Messages(values)))
        }
        (Kind::Object, Value::Map(_)) => Some(Val::from(value)),
        (Kind::Any, value) if !matches!(value, Value::Null) => Some(Val::from(value)),
        _ => None,
    }
}

/// Texts of names, for errors.
pub(crate) fn names(message: &Message) -> impl Iterator<Item = &'static str> {
    message.fields.iter().map(|field| field.name)
}
