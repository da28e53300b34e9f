//! The login event: one try of a login, as the auth server tells it.
//!
//! Field names follow the reference's post-login `event` object. `Wire` is the event as it is
//! written; [`LoginEvent`] is what remains once it has been checked: required fields there and in
//! bounds, texts trimmed, the address read.

use std::borrow::Cow;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::MapAccess;

use crate::address::parse_ip;
use crate::codec::Encoding;
use crate::json_in::{FromJson, Reader};
use crate::lenient::{Anything, Expect, Field, FreeObject, Mentions, Sought, Text, Unread, UnreadList, object};
use crate::time::Timestamp;
use crate::unreadable::Unreadable;
use crate::when::When;

/// Longest `id` in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// Longest `tenant.id` in bytes.
pub const MAX_TENANT_BYTES: usize = 128;
/// Longest `user.user_id` in bytes.
pub const MAX_USER_BYTES: usize = 1024;
/// City and country names are cut after so many characters before anything keeps them.
pub const MAX_PLACE_NAME_CHARS: usize = 100;

/// Whether a verdict is wanted or the login is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The first factor was tried.
    Attempt,
    /// The login is over.
    Completion,
}

/// How the stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The factor was right, or the login succeeded.
    Success,
    /// Wrong password.
    FailedPassword,
    /// No such user.
    FailedUsername,
    /// The challenge was not passed.
    FailedMfa,
    /// Anything else.
    FailedOther,
}

impl Stage {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Attempt => "attempt",
            Stage::Completion => "completion",
        }
    }
}

impl Outcome {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::FailedPassword => "failed_password",
            Outcome::FailedUsername => "failed_username",
            Outcome::FailedMfa => "failed_mfa",
            Outcome::FailedOther => "failed_other",
        }
    }
}

/// Where the auth server itself places the address (`request.geoip`), texts trimmed and cut.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventGeo<'a> {
    /// Degrees north; only a number from -90 to 90 is kept.
    pub latitude: Option<f64>,
    /// Degrees east; only a number from -180 to 180 is kept.
    pub longitude: Option<f64>,
    /// `cityName`.
    pub city: Option<&'a str>,
    /// `countryCode`.
    pub country: Option<&'a str>,
}

/// A login event that can be processed.
#[derive(Debug)]
pub struct LoginEvent<'a> {
    /// Names one try of a login; its completion carries the same.
    pub id: Cow<'a, str>,
    /// When it happened.
    pub time: Timestamp,
    /// Attempt or completion.
    pub stage: Stage,
    /// How that ended.
    pub outcome: Outcome,
    /// `tenant.id`.
    pub tenant_id: Cow<'a, str>,
    /// `user.user_id`; there unless the outcome is a failure.
    pub user_id: Option<Cow<'a, str>>,
    /// `request.ip`, if it is an address, in canonical form.
    pub address: Option<IpAddr>,
    /// Fields of a wrong type, which count as absent, by their path.
    pub wrong_fields: Vec<&'static str>,
    /// The event as it was written, without what is above.
    pub(crate) wire: Wire<'a>,
    /// The bytes that it was read from.
    pub(crate) source: Source<'a>,
}

/// The bytes that an event was read from, and how to read them.
pub(crate) struct Source<'a>(pub(crate) &'a [u8], pub(crate) Encoding);

impl std::fmt::Debug for Source<'_> {
    /// The event's fields are shown beside it: not the bytes once more.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

/// `prompt=none`: the user must not be asked anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NoPrompt;

impl Sought for NoPrompt {
    const TEXT: &'static str = "none";
}

/// The authentication context by which an application asks for a second factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MultiFactor;

impl Sought for MultiFactor {
    const TEXT: &'static str = "http://schemas.openid.net/pape/policies/2007/06/multi-factor";
}

impl LoginEvent<'_> {
    /// What the event was read from, for who wants fields that are not kept. JSON that no value can be made of
    /// (half of a surrogate pair, a number beyond what floats hold) is mended in it already.
    #[must_use]
    pub fn source(&self) -> (&[u8], Encoding) {
        (self.source.0, self.source.1)
    }

    /// Whether the user has a second factor: `user.multifactor` or `user.enrolledFactors` names one.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        let user = self.wire.user.or_empty();
        user.multifactor.given().is_some_and(|list| list.any) || user.enrolled_factors.given().is_some_and(|l| l.any)
    }

    /// `user.email`, trimmed.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        trimmed(&self.wire.user.or_empty().email)
    }

    /// `user.email_verified`.
    #[must_use]
    pub fn email_verified(&self) -> Option<bool> {
        self.wire.user.or_empty().email_verified.given().copied()
    }

    /// `mfa.remembered`: the browser was remembered when a challenge was passed in it.
    #[must_use]
    pub fn browser_is_remembered(&self) -> bool {
        self.wire.mfa.or_empty().remembered.given().copied().unwrap_or_default()
    }

    /// `transaction.protocol`, trimmed.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        trimmed(&self.wire.transaction.or_empty().protocol)
    }

    /// `transaction.idp_initiated`: a SAML login that the identity provider began.
    #[must_use]
    pub fn is_idp_initiated(&self) -> bool {
        self.wire.transaction.or_empty().idp_initiated.given().copied().unwrap_or_default()
    }

    /// Whether `transaction.prompt` holds `none`: the user must not be asked anything.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.wire.transaction.or_empty().prompt.given().is_some_and(|prompt| prompt.found)
    }

    /// Whether `transaction.acr_values` asks for a second factor
    /// (`http://schemas.openid.net/pape/policies/2007/06/multi-factor`).
    #[must_use]
    pub fn asks_for_multi_factor(&self) -> bool {
        self.wire.transaction.or_empty().acr_values.given().is_some_and(|values| values.found)
    }

    /// `request.ip` as it was given, trimmed.
    #[must_use]
    pub fn ip_text(&self) -> Option<&str> {
        trimmed(&self.wire.request.or_empty().ip)
    }

    /// `request.user_agent`, trimmed.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        trimmed(&self.wire.request.or_empty().user_agent)
    }

    /// `device.id`, the device cookie, trimmed.
    #[must_use]
    pub fn cookie(&self) -> Option<&str> {
        trimmed(&self.wire.device.or_empty().id)
    }

    /// `stats.logins_count`; it counts this login.
    #[must_use]
    pub fn logins_count(&self) -> Option<i64> {
        self.wire.stats.or_empty().logins_count.given().copied()
    }

    /// `request.geoip` as far as scoring goes.
    #[must_use]
    pub fn geo(&self) -> EventGeo<'_> {
        let Some(geo) = self.wire.request.or_empty().geoip.given() else { return EventGeo::default() };
        let degrees = |field: &Field<f64>, limit: f64| field.given().copied().filter(|d| d.abs() <= limit);
        EventGeo {
            latitude: degrees(&geo.latitude, 90.0),
            longitude: degrees(&geo.longitude, 180.0),
            city: trimmed(&geo.city_name).map(cut_place_name),
            country: trimmed(&geo.country_code).map(cut_place_name),
        }
    }
}

/// Cuts a place name after [`MAX_PLACE_NAME_CHARS`] characters.
#[must_use]
pub fn cut_place_name(name: &str) -> &str {
    match name.char_indices().nth(MAX_PLACE_NAME_CHARS) {
        Some((end, _)) => &name[..end],
        None => name,
    }
}

fn trimmed<'f>(field: &'f Field<Text<'_>>) -> Option<&'f str> {
    text(field).map(str::trim).filter(|text| !text.is_empty())
}

pub(crate) fn text<'f>(field: &'f Field<Text<'_>>) -> Option<&'f str> {
    field.given().map(|Text(text)| text.as_ref())
}

/// The name of a field on the wire: its own, or the one that it is given.
macro_rules! wire_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $named:literal) => {
        $named
    };
}

macro_rules! wire_objects {
    ($($(#[$meta:meta])* $name:ident $(<$a:lifetime>)? {
        $($(#[$fmeta:meta])* $field:ident $(as $named:literal)? : $type:ty,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        #[serde(default)]
        pub(crate) struct $name $(<$a>)? {
            $($(#[$fmeta])* $(#[serde(rename = $named)])? pub(crate) $field: Field<$type>,)*
        }

        impl<$($a,)? 'de $(: $a)?> Expect<'de> for $name $(<$a>)? {
            fn from_map<M: MapAccess<'de>>(map: M) -> Result<Option<Self>, M::Error> {
                object(map)
            }
        }

        impl<$($a,)? 'json $(: $a)?> FromJson<'json> for $name $(<$a>)? {
            fn read(&mut self, json: &mut Reader<'json>) -> Option<()> {
                $(let mut $field = false;)*
                let mut more = json.open()?;
                while more {
                    // A producer writes its fields in one order, and mostly in this one: a field is
                    // looked for where it would stand, which takes a comparison with a literal.
                    $(if more && json.expected(concat!("\"", wire_name!($field $($named)?), "\":")) {
                        self.$field.read_once(&mut $field, json)?;
                        more = json.more()?;
                    })*
                    if !more {
                        break;
                    }
                    match json.name()? {
                        $(name if name == wire_name!($field $($named)?).as_bytes() => {
                            self.$field.read_once(&mut $field, json)?;
                        })*
                        _ => json.skip(0)?,
                    }
                    more = json.more()?;
                }
                Some(())
            }
        }

        impl $(<$a>)? Field<$name $(<$a>)?> {
            /// The object, or one without a field.
            #[allow(dead_code)]
            pub(crate) fn or_empty(&self) -> &$name $(<$a>)? {
                self.given().unwrap_or(const { &$name { $($field: Field::Absent,)* } })
            }
        }

        impl $(<$a>)? $name $(<$a>)? {
            /// Adds the paths of the fields that were of a wrong type.
            #[allow(dead_code)]
            fn note_wrong(&self, names: &[&'static str], wrong: &mut Vec<&'static str>) {
                let flags = [$(self.$field.is_wrong()),*];
                if !flags.contains(&true) {
                    return;
                }
                wrong.extend(flags.iter().zip(names).filter(|(flag, _)| **flag).map(|(_, name)| *name));
            }
        }
    )*};
}

wire_objects! {
    /// A login event: one try of a login at its first factor (`attempt`) or at its end (`completion`).
    /// Fields that are not named here are ignored.
    Wire<'a> {
        /// Names one try of a login; its completion carries the same.
        #[serde(borrow)] #[schemars(schema_with = "schema::id")] id: Text<'a>,
        /// RFC 3339 with offset, or integer milliseconds since the epoch; from 2000 up to 2100.
        #[schemars(schema_with = "schema::time")] time: When,
        /// `attempt` (default): a verdict is wanted. `completion`: the login is over.
        #[serde(borrow)] #[schemars(schema_with = "schema::stage")] stage: Text<'a>,
        /// Default `success`; only success teaches.
        #[serde(borrow)] #[schemars(schema_with = "schema::outcome")] outcome: Text<'a>,
        /// Why it failed.
        #[serde(borrow)] error: ErrorInfo<'a>,
        /// Whose settings and users these are.
        #[serde(borrow)] #[schemars(schema_with = "schema::tenant")] tenant: TenantInfo<'a>,
        /// Who tries to log in; the id may be absent only when the outcome is a failure.
        #[serde(borrow)] user: User<'a>,
        /// The application.
        #[serde(borrow)] client: Client<'a>,
        /// The identity source.
        #[serde(borrow)] connection: Connection<'a>,
        /// The organization.
        #[serde(borrow)] organization: Organization<'a>,
        /// What the user may do.
        authorization: Authorization,
        /// The API asked for.
        resource_server: ResourceServer,
        /// The HTTP request.
        #[serde(borrow)] request: Request<'a>,
        /// The device cookie.
        #[serde(borrow)] device: Device<'a>,
        /// The remembered browser.
        mfa: Mfa,
        /// The protocol transaction.
        #[serde(borrow)] transaction: Transaction<'a>,
        /// The factors used so far.
        #[serde(borrow)] authentication: Authentication<'a>,
        /// The session.
        #[serde(borrow)] session: Session<'a>,
        /// The refresh token.
        refresh_token: Anything,
        /// TLS fingerprints.
        #[serde(borrow)] security_context: SecurityContext<'a>,
        /// Counters of the auth server.
        stats: Stats,
    }
    /// Why a login failed.
    ErrorInfo<'a> {
        /// In words.
        #[serde(borrow)] message: Text<'a>,
        /// As a code.
        #[serde(borrow)] code: Text<'a>,
    }
    /// The tenant.
    TenantInfo<'a> {
        /// 1 to 128 bytes.
        #[serde(borrow)] id: Text<'a>,
    }
    /// The user.
    User<'a> {
        /// 1 to 1024 bytes.
        #[serde(borrow)] #[schemars(schema_with = "schema::user_id")] user_id: Text<'a>,
        /// Address for an e-mail challenge.
        #[serde(borrow)] email: Text<'a>,
        /// Whether it is verified.
        email_verified: bool,
        /// Login name.
        #[serde(borrow)] username: Text<'a>,
        /// Display name.
        #[serde(borrow)] name: Text<'a>,
        /// Phone number.
        phone_number: Unread<Text<'static>>,
        /// Enrolled factors, by name.
        multifactor: UnreadList<Unread<Text<'static>>>,
        /// Enrolled factors, by type.
        enrolled_factors as "enrolledFactors": UnreadList<Factor>,
        /// The tenant's own.
        user_metadata: FreeObject,
        /// The tenant's own.
        app_metadata: FreeObject,
        /// When the user was made.
        created_at: Anything,
    }
    /// An enrolled factor.
    Factor {
        /// Its type.
        kind as "type": Unread<Text<'static>>,
    }
    /// The application.
    Client<'a> {
        /// Its id.
        #[serde(borrow)] client_id: Text<'a>,
        /// Its name.
        #[serde(borrow)] name: Text<'a>,
        /// The tenant's own.
        metadata: FreeObject,
    }
    /// The identity source.
    Connection<'a> {
        /// Its id.
        #[serde(borrow)] id: Text<'a>,
        /// Its name.
        #[serde(borrow)] name: Text<'a>,
        /// Its kind, for instance `auth0` or `google-oauth2`.
        #[serde(borrow)] strategy: Text<'a>,
    }
    /// The organization.
    Organization<'a> {
        /// Its id.
        #[serde(borrow)] id: Text<'a>,
        /// Its name.
        #[serde(borrow)] name: Text<'a>,
        /// The tenant's own.
        metadata: FreeObject,
    }
    /// What the user may do.
    Authorization {
        /// Role names.
        roles: UnreadList<Unread<Text<'static>>>,
    }
    /// The API asked for.
    ResourceServer {
        /// Its identifier.
        identifier: Unread<Text<'static>>,
    }
    /// The HTTP request.
    Request<'a> {
        /// The user's address: IPv4 dotted quad or IPv6; other text is kept for the log alone.
        #[serde(borrow)] ip: Text<'a>,
        /// The `User-Agent` header.
        #[serde(borrow)] user_agent: Text<'a>,
        /// The host that was asked.
        #[serde(borrow)] hostname: Text<'a>,
        /// The browser's language.
        language: Unread<Text<'static>>,
        /// The HTTP method.
        method: Unread<Text<'static>>,
        /// The autonomous system.
        asn: Anything,
        /// Where the auth server itself places the address; used where no City database is configured.
        #[serde(borrow)] geoip: Geoip<'a>,
    }
    /// Where the auth server itself places the address.
    Geoip<'a> {
        /// ISO 3166-1 alpha-2.
        #[serde(borrow)] country_code as "countryCode": Text<'a>,
        /// ISO 3166-1 alpha-3.
        #[serde(borrow)] country_code3 as "countryCode3": Text<'a>,
        /// The country in words.
        #[serde(borrow)] country_name as "countryName": Text<'a>,
        /// The city in words.
        #[serde(borrow)] city_name as "cityName": Text<'a>,
        /// Degrees north, -90 to 90.
        latitude: f64,
        /// Degrees east, -180 to 180.
        longitude: f64,
        /// IANA time zone.
        #[serde(borrow)] time_zone as "timeZone": Text<'a>,
        /// Two letters.
        #[serde(borrow)] continent_code as "continentCode": Text<'a>,
        /// ISO 3166-2 without the country.
        #[serde(borrow)] subdivision_code as "subdivisionCode": Text<'a>,
        /// The subdivision in words.
        #[serde(borrow)] subdivision_name as "subdivisionName": Text<'a>,
    }
    /// The device.
    Device<'a> {
        /// The device cookie.
        #[serde(borrow)] id: Text<'a>,
    }
    /// The remembered browser.
    Mfa {
        /// Whether the browser was remembered.
        remembered: bool,
    }
    /// The protocol transaction.
    Transaction<'a> {
        /// For instance `oidc-basic-profile`.
        #[serde(borrow)] protocol: Text<'a>,
        /// Correlates the log records of one transaction.
        #[serde(borrow)] id: Text<'a>,
        /// Requested authentication contexts.
        acr_values: Mentions<MultiFactor>,
        /// Requested scopes.
        requested_scopes: UnreadList<Unread<Text<'static>>>,
        /// Requested prompts.
        prompt: Mentions<NoPrompt>,
        /// SAML started by the identity provider.
        idp_initiated: bool,
    }
    /// The factors used so far.
    Authentication<'a> {
        /// In order.
        #[serde(borrow)] methods: Vec<Method<'a>>,
    }
    /// A factor used.
    Method<'a> {
        /// For instance `pwd` or `mfa`.
        #[serde(borrow)] name: Text<'a>,
        /// When.
        timestamp: When,
    }
    /// The session.
    Session<'a> {
        /// Its id.
        #[serde(borrow)] id: Text<'a>,
    }
    /// TLS fingerprints.
    SecurityContext<'a> {
        /// JA3.
        #[serde(borrow)] ja3: Text<'a>,
        /// JA4.
        #[serde(borrow)] ja4: Text<'a>,
    }
    /// Counters of the auth server.
    Stats {
        /// The user's logins, this one counted.
        logins_count: i64,
    }
}

/// A required text field: there, text, and from 1 to `limit` bytes.
fn required<'a>(path: &'static str, field: Field<Text<'a>>, limit: usize) -> Result<Cow<'a, str>, Unreadable> {
    match field {
        Field::Absent => Err(Unreadable::Missing(path)),
        Field::Wrong => Err(Unreadable::WrongType(path)),
        Field::Given(Text(text)) if text.is_empty() || text.len() > limit => {
            Err(Unreadable::OutOfBounds { path, limits: format!("1 to {limit} bytes of text") })
        }
        Field::Given(Text(text)) => Ok(text),
    }
}

/// A field of few known words, with a default where it is absent.
fn word<T: Copy>(
    path: &'static str,
    field: &Field<Text<'_>>,
    default: T,
    words: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, Unreadable> {
    match field {
        Field::Absent => Ok(default),
        Field::Wrong => Err(Unreadable::WrongType(path)),
        Field::Given(Text(given)) => words.iter().copied().find(|&w| name(w) == given).ok_or_else(|| {
            let allowed: Vec<_> = words.iter().map(|&w| name(w)).collect();
            Unreadable::OutOfBounds { path, limits: allowed.join(", ") }
        }),
    }
}

impl Wire<'_> {
    /// The paths of the fields that were of a wrong type.
    pub(crate) fn wrong_fields(&self) -> Vec<&'static str> {
        let mut wrong = Vec::new();
        self.note_wrong(WIRE_PATHS, &mut wrong);
        self.user.or_empty().note_wrong(USER_PATHS, &mut wrong);
        let request = self.request.or_empty();
        request.note_wrong(REQUEST_PATHS, &mut wrong);
        request.geoip.or_empty().note_wrong(GEOIP_PATHS, &mut wrong);
        self.authorization.or_empty().note_wrong(&["authorization.roles"], &mut wrong);
        self.resource_server.or_empty().note_wrong(&["resource_server.identifier"], &mut wrong);
        self.mfa.or_empty().note_wrong(&["mfa.remembered"], &mut wrong);
        self.error.or_empty().note_wrong(&["error.message", "error.code"], &mut wrong);
        self.client.or_empty().note_wrong(&["client.client_id", "client.name", "client.metadata"], &mut wrong);
        let connection = &["connection.id", "connection.name", "connection.strategy"];
        self.connection.or_empty().note_wrong(connection, &mut wrong);
        let organization = &["organization.id", "organization.name", "organization.metadata"];
        self.organization.or_empty().note_wrong(organization, &mut wrong);
        self.device.or_empty().note_wrong(&["device.id"], &mut wrong);
        self.transaction.or_empty().note_wrong(TRANSACTION_PATHS, &mut wrong);
        self.authentication.or_empty().note_wrong(&["authentication.methods"], &mut wrong);
        self.session.or_empty().note_wrong(&["session.id"], &mut wrong);
        let security_context = &["security_context.ja3", "security_context.ja4"];
        self.security_context.or_empty().note_wrong(security_context, &mut wrong);
        self.stats.or_empty().note_wrong(&["stats.logins_count"], &mut wrong);
        wrong
    }
}

impl<'a> LoginEvent<'a> {
    /// Checks an event. `wrong_fields` are those of [`Wire::wrong_fields`]; an ordinary event has none.
    #[inline]
    pub(crate) fn check(
        mut wire: Wire<'a>,
        wrong_fields: Vec<&'static str>,
        source: Source<'a>,
    ) -> Result<Self, Unreadable> {
        let id = required("id", std::mem::take(&mut wire.id), MAX_ID_BYTES)?;
        let time = match &wire.time {
            Field::Absent => return Err(Unreadable::Missing("time")),
            Field::Wrong => return Err(Unreadable::WrongType("time")),
            Field::Given(when) => when.0.ok_or_else(|| Unreadable::OutOfBounds {
                path: "time",
                limits: "RFC 3339 with offset or integer milliseconds, from 2000 up to 2100".to_owned(),
            })?,
        };
        let stage = word("stage", &wire.stage, Stage::Attempt, &[Stage::Attempt, Stage::Completion], Stage::as_str)?;
        let outcome = word(
            "outcome",
            &wire.outcome,
            Outcome::Success,
            &[
                Outcome::Success,
                Outcome::FailedPassword,
                Outcome::FailedUsername,
                Outcome::FailedMfa,
                Outcome::FailedOther,
            ],
            Outcome::as_str,
        )?;
        let tenant_id = match &mut wire.tenant {
            Field::Given(tenant) => std::mem::take(&mut tenant.id),
            _ => Field::Absent,
        };
        let tenant_id = required("tenant.id", tenant_id, MAX_TENANT_BYTES)?;
        let user_id = match &mut wire.user {
            Field::Given(user) => std::mem::take(&mut user.user_id),
            _ => Field::Absent,
        };
        let user_id = match user_id {
            Field::Absent if outcome != Outcome::Success => None,
            field => Some(required("user.user_id", field, MAX_USER_BYTES)?),
        };
        let address = trimmed(&wire.request.or_empty().ip).and_then(parse_ip);
        Ok(LoginEvent { id, time, stage, outcome, tenant_id, user_id, address, wrong_fields, wire, source })
    }
}

// Paths in the order of the fields above, for the metric that counts wrong types.
const WIRE_PATHS: &[&str] = &[
    "id",
    "time",
    "stage",
    "outcome",
    "error",
    "tenant",
    "user",
    "client",
    "connection",
    "organization",
    "authorization",
    "resource_server",
    "request",
    "device",
    "mfa",
    "transaction",
    "authentication",
    "session",
    "refresh_token",
    "security_context",
    "stats",
];
const USER_PATHS: &[&str] = &[
    "user.user_id",
    "user.email",
    "user.email_verified",
    "user.username",
    "user.name",
    "user.phone_number",
    "user.multifactor",
    "user.enrolledFactors",
    "user.user_metadata",
    "user.app_metadata",
    "user.created_at",
];
const REQUEST_PATHS: &[&str] = &[
    "request.ip",
    "request.user_agent",
    "request.hostname",
    "request.language",
    "request.method",
    "request.asn",
    "request.geoip",
];
const GEOIP_PATHS: &[&str] = &[
    "request.geoip.countryCode",
    "request.geoip.countryCode3",
    "request.geoip.countryName",
    "request.geoip.cityName",
    "request.geoip.latitude",
    "request.geoip.longitude",
    "request.geoip.timeZone",
    "request.geoip.continentCode",
    "request.geoip.subdivisionCode",
    "request.geoip.subdivisionName",
];
const TRANSACTION_PATHS: &[&str] = &[
    "transaction.protocol",
    "transaction.id",
    "transaction.acr_values",
    "transaction.requested_scopes",
    "transaction.prompt",
    "transaction.idp_initiated",
];

/// Schemas of the fields whose absence or value makes a record unreadable.
mod schema {
    use schemars::{Schema, SchemaGenerator, json_schema};

    use super::{MAX_ID_BYTES, MAX_TENANT_BYTES, MAX_USER_BYTES};

    pub(super) fn id(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES })
    }
    pub(super) fn time(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "format": "date-time" },
            { "type": "integer", "minimum": crate::time::MIN_MS, "exclusiveMaximum": crate::time::END_MS }
        ]})
    }
    pub(super) fn stage(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["attempt", "completion", null] })
    }
    pub(super) fn outcome(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["success", "failed_password", "failed_username", "failed_mfa", "failed_other", null] })
    }
    pub(super) fn tenant(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": { "id": { "type": "string", "minLength": 1, "maxLength": MAX_TENANT_BYTES } },
            "required": ["id"]
        })
    }
    pub(super) fn user_id(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "null"], "minLength": 1, "maxLength": MAX_USER_BYTES })
    }
}

#[cfg(test)]
mod tests {
    use super::Wire;
    use crate::json_in;

    /// What is read at once must not quietly become less.
    #[test]
    fn an_ordinary_event_is_read_at_once() {
        let event = r#" {"id":"e1", "time":"2026-03-02T08:00:00Z", "stage":"attempt", "outcome":null,
            "tenant":{"id":"acme.example"}, "user":{"user_id":"u1","email_verified":true,"app_metadata":{"a":[1,-2.5e3,{}]},
            "created_at":"2020-01-01","enrolledFactors":[{"type":"otp"},{"type":null}], "multifactor":[]},
            "request":{"ip":"192.0.2.1","user_agent":"Say \"hello\" \u00e9","geoip":{"latitude":51.5,"longitude":-0.125,
            "cityName":"Zürich"}}, "stats":{"logins_count":17}, "mfa":{"remembered":false},
            "authentication":{"methods":[{"name":"pwd","timestamp":1772438400000}]}, "own":["\/\ud83d\ude00", null]}
            "#;
        assert!(json_in::read(event, &mut Wire::default()).is_some());
    }
}
