//! A login event as text. The field names are those of the login event's description; they are
//! spelt out here once more on purpose, so that a renamed field in the reader is noticed.

use std::net::IpAddr;

use serde::Serialize;

use crate::people::{Connection, Tenant};
use crate::random::mix;
use crate::time::rfc3339;
use crate::traffic::Role;
use crate::world::{CITIES, City};

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    FailedPassword,
    FailedUsername,
    FailedMfa,
    FailedOther,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::FailedPassword => "failed_password",
            Outcome::FailedUsername => "failed_username",
            Outcome::FailedMfa => "failed_mfa",
            Outcome::FailedOther => "failed_other",
        }
    }

    fn error(self) -> Option<Problem> {
        let (code, message) = match self {
            Outcome::Success => return None,
            Outcome::FailedPassword => ("invalid_user_password", "Wrong email or password."),
            Outcome::FailedUsername => ("invalid_user_password", "Wrong email or password."),
            Outcome::FailedMfa => ("mfa_invalid_code", "The code is not valid."),
            Outcome::FailedOther => ("unauthorized", "The account is blocked."),
        };
        Some(Problem { code, message })
    }
}

/// Everything about one login that its events have in common.
#[derive(Debug, Clone)]
pub(crate) struct Login<'a> {
    pub(crate) id: String,
    pub(crate) tenant: &'a Tenant,
    pub(crate) account: Account,
    pub(crate) ip: IpAddr,
    /// Index of the city that the address is in, where it honestly is in one.
    pub(crate) city: Option<usize>,
    pub(crate) user_agent: String,
    pub(crate) cookie: Option<String>,
    /// What the TLS fingerprints are derived from.
    pub(crate) tls: u64,
    /// What session and transaction ids are derived from.
    pub(crate) session: u64,
}

/// Whose login it is said to be.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// Absent where the name was unknown.
    pub(crate) user_id: Option<String>,
    pub(crate) email: String,
    pub(crate) enrolled: bool,
    pub(crate) connection: &'static Connection,
    /// Logins so far, this one included.
    pub(crate) logins: u32,
}

#[derive(Serialize)]
struct Event<'a> {
    id: &'a str,
    time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'a str>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
    tenant: Id<'a>,
    user: User<'a>,
    client: Client<'a>,
    connection: &'static Connection,
    request: Request<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Id<'a>>,
    transaction: Transaction<'a>,
    authentication: Authentication<'a>,
    session: Id<'a>,
    security_context: SecurityContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Stats>,
}

#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct Problem {
    message: &'static str,
    code: &'static str,
}

#[derive(Serialize)]
struct User<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(rename = "enrolledFactors", skip_serializing_if = "Option::is_none")]
    enrolled_factors: Option<[Factor; 1]>,
}

#[derive(Serialize)]
struct Factor {
    r#type: &'static str,
}

#[derive(Serialize)]
struct Client<'a> {
    client_id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Request<'a> {
    ip: IpAddr,
    user_agent: &'a str,
    hostname: &'a str,
    language: &'a str,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    geoip: Option<GeoIp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GeoIp {
    country_code: &'static str,
    country_code3: &'static str,
    country_name: &'static str,
    city_name: &'static str,
    latitude: f64,
    longitude: f64,
    time_zone: &'static str,
    continent_code: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subdivision_code: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subdivision_name: &'static str,
}

#[derive(Serialize)]
struct Transaction<'a> {
    id: &'a str,
    protocol: &'a str,
    requested_scopes: &'a [&'a str],
}

#[derive(Serialize)]
struct Authentication<'a> {
    methods: &'a [Method<'a>],
}

#[derive(Serialize)]
struct Method<'a> {
    name: &'a str,
    timestamp: &'a str,
}

#[derive(Serialize)]
struct SecurityContext<'a> {
    ja3: &'a str,
    ja4: &'a str,
}

#[derive(Serialize)]
struct Stats {
    logins_count: u32,
}

impl GeoIp {
    fn of(city: &'static City) -> GeoIp {
        GeoIp {
            country_code: city.country,
            country_code3: city.country3,
            country_name: city.country_name,
            city_name: city.name,
            latitude: city.latitude,
            longitude: city.longitude,
            time_zone: city.time_zone,
            continent_code: city.continent,
            subdivision_code: city.subdivision.0,
            subdivision_name: city.subdivision.1,
        }
    }
}

/// One event of a login, as a JSON text without a line feed.
pub(crate) fn render(login: &Login<'_>, role: Role, outcome: Outcome, time_ms: i64) -> Vec<u8> {
    let time = rfc3339(time_ms);
    let tenant = login.tenant;
    let account = &login.account;
    let stage = match role {
        Role::Completion => Some("completion"),
        // The default may be left out, and some senders do.
        _ => tenant.names_the_stage.then_some("attempt"),
    };
    let both = [Method { name: "pwd", timestamp: &time }, Method { name: "mfa", timestamp: &time }];
    let passed = match (role, outcome) {
        (Role::Completion, Outcome::Success) => 2,
        (_, Outcome::Success | Outcome::FailedMfa) => 1,
        _ => 0,
    };
    let geoip = login.city.filter(|_| tenant.sends_geoip);
    let session = hex32(login.session);
    let transaction = hex32(login.session ^ 1);
    let ja3 = hex32(login.tls);
    let event = Event {
        id: &login.id,
        time: &time,
        stage,
        outcome: outcome.name(),
        error: outcome.error(),
        tenant: Id { id: &tenant.name },
        user: User {
            user_id: account.user_id.as_deref(),
            email: &account.email,
            email_verified: account.user_id.is_some().then_some(true),
            enrolled_factors: account.enrolled.then_some([Factor { r#type: "otp" }]),
        },
        client: Client { client_id: &tenant.client_id, name: "Web portal" },
        connection: account.connection,
        request: Request {
            ip: login.ip,
            user_agent: &login.user_agent,
            hostname: &tenant.hostname,
            language: "en",
            method: "POST",
            geoip: geoip.and_then(|index| CITIES.get(index)).map(GeoIp::of),
        },
        device: login.cookie.as_deref().map(|id| Id { id }),
        transaction: Transaction {
            id: &transaction,
            protocol: "oidc-basic-profile",
            requested_scopes: &["openid", "profile", "email"],
        },
        authentication: Authentication { methods: both.get(..passed).unwrap_or_default() },
        session: Id { id: &session },
        security_context: SecurityContext {
            ja3: &ja3,
            ja4: &format!("t13d1516h2_{}_{}", slice(&ja3, 0), slice(&ja3, 12)),
        },
        stats: tenant.counts_logins.then_some(Stats { logins_count: account.logins }),
    };
    // Cannot fail: the event has no map with keys that are not text, and memory takes everything.
    serde_json::to_vec(&event).unwrap_or_default()
}

/// 32 hexadecimal digits that look like an id or a hash.
pub(crate) fn hex32(seed: u64) -> String {
    format!("{:016x}{:016x}", mix(&[seed, 1]), mix(&[seed, 2]))
}

fn slice(hex: &str, from: usize) -> &str {
    hex.get(from..from + 12).unwrap_or_default()
}
