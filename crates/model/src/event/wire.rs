//! The event as it is written: its objects, each field held to its type, read by either reader.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::MapAccess;

use crate::json_in::{FromJson, Reader};
use crate::lenient::{Anything, Expect, Field, FreeObject, Mentions, Sought, Text, Unread, UnreadList, object};
use crate::when::When;

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

    use crate::event::{MAX_ID_BYTES, MAX_TENANT_BYTES, MAX_USER_BYTES};

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
