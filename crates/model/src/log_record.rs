//! The tenant log record: what the analyst reads, in the format of the reference's log records.
//!
//! Every text that comes from the event is cut at [`MAX_TEXT_BYTES`], so that a hostile event cannot
//! make a record that the topic refuses.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use smol_str::SmolStr;

use crate::address::Ip;
use crate::assessment::{Risk, RiskAssessment};
use crate::country::country_code3;
use crate::event::Method;
use crate::event::{LoginEvent, Outcome, text};
use crate::evidence::{AddressFacts, AgentFacts};
use crate::json_out::{JsonWriter, ToJson, Word, record};
use crate::lenient::{Field, Text};
use crate::time::Timestamp;
use crate::verdict::Decision;

/// Longest text that is copied from an event, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;
/// Most authentication methods that are copied from an event.
pub const MAX_PROMPTS: usize = 16;
/// `ip` where the event brought no address: the reference's schema wants one in every record.
pub const UNSPECIFIED_IP: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The type of a log record, as the reference names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub enum LogType {
    /// Successful login.
    #[serde(rename = "s")]
    Success,
    /// Failed login.
    #[serde(rename = "f")]
    Failed,
    /// Wrong password.
    #[serde(rename = "fp")]
    FailedPassword,
    /// Unknown user.
    #[serde(rename = "fu")]
    FailedUsername,
    /// A challenge was asked for.
    #[serde(rename = "mfar")]
    MfaRequired,
}

impl LogType {
    /// All types.
    pub const ALL: [LogType; 5] =
        [LogType::Success, LogType::Failed, LogType::FailedPassword, LogType::FailedUsername, LogType::MfaRequired];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LogType::Success => "s",
            LogType::Failed => "f",
            LogType::FailedPassword => "fp",
            LogType::FailedUsername => "fu",
            LogType::MfaRequired => "mfar",
        }
    }

    /// The record's words where the event has none of its own.
    fn description(self) -> &'static str {
        match self {
            LogType::Success => "Successful login",
            LogType::Failed => "Failed login",
            LogType::FailedPassword => "Wrong password",
            LogType::FailedUsername => "Unknown user",
            LogType::MfaRequired => "Second factor required",
        }
    }
}

/// The id of a log record: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogId([u8; 32]);

impl LogId {
    /// 12 digits of the event's time in milliseconds, so that ids sort by time, and 20 of a hash of what
    /// makes the event that event.
    #[must_use]
    pub fn new(time: Timestamp, hash: u128) -> Self {
        // The digits behind one another, the lowest last: 48 bits of the time, then 80 of the hash.
        let digits = u128::from(time.0 as u64) << 80 | (hash >> 64 & u128::from(u64::MAX)) << 16 | hash & 0xffff;
        let mut id = [0; 32];
        for (number, digits_of) in id.chunks_exact_mut(8).enumerate() {
            digits_of.copy_from_slice(&hex((digits >> (96 - 32 * number)) as u32));
        }
        Self(id)
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever written to it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The hexadecimal digits of a number, all eight at once: each of its halves of bytes is moved to a byte of
/// its own, and those beyond 9 are lifted from behind the digits to the letters.
fn hex(number: u32) -> [u8; 8] {
    const ONES: u64 = u64::MAX / 0xff;
    let mut halves = u64::from(number);
    halves = (halves << 16 | halves) & 0x0000_ffff_0000_ffff;
    halves = (halves << 8 | halves) & 0x00ff_00ff_00ff_00ff;
    halves = (halves << 4 | halves) & 0x0f0f_0f0f_0f0f_0f0f;
    let beyond_9 = (halves + ONES * 6) >> 4 & ONES;
    (halves + ONES * u64::from(b'0') + beyond_9 * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

impl ToJson for LogId {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.quoted(&self.0);
    }
}

impl ToJson for LogType {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.quoted(self.as_str().as_bytes());
    }
}

impl Serialize for LogId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

record! {
    /// A record of the tenant log topic.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct LogRecord<'a> {
        /// Unique, opaque, sortable by time; the same for a repeated event.
        #[schemars(with = "String")]
        pub log_id: LogId,
        /// The record itself.
        pub data: LogData<'a>,
    }

    /// The record itself; field names and types are the reference's.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct LogData<'a> {
        /// When it happened: ISO 8601, UTC, milliseconds.
        #[schemars(with = "String", extend("format" = "date-time"))]
        pub date: Timestamp,
        /// Which kind of record.
        pub kind as "type": LogType,
        /// In words.
        pub description: Cow<'a, str>,
        /// Name of the connection.
        pub connection unless "Option::is_none": Option<Cow<'a, str>>,
        /// Id of the connection.
        pub connection_id unless "Option::is_none": Option<Cow<'a, str>>,
        /// Id of the application.
        pub client_id unless "Option::is_none": Option<Cow<'a, str>>,
        /// Name of the application; empty where the event has none.
        pub client_name: Cow<'a, str>,
        /// The user's address, canonical; `0.0.0.0` where the event brought none (see `details.invalid_ip`).
        #[schemars(with = "String")]
        pub ip: Ip,
        /// The same, where there is one.
        #[schemars(with = "Option<String>")]
        pub client_ip unless "Option::is_none": Option<Ip>,
        /// The user agent.
        pub user_agent unless "Option::is_none": Option<Cow<'a, str>>,
        /// The host that was asked; empty where the event has none.
        pub hostname: Cow<'a, str>,
        /// Id of the user.
        pub user_id unless "Option::is_none": Option<Cow<'a, str>>,
        /// Login name, else e-mail address, else name of the user.
        pub user_name unless "Option::is_none": Option<Cow<'a, str>>,
        /// The connection's strategy; empty where the event has none.
        pub strategy: Cow<'a, str>,
        /// `database`, `social`, `enterprise`, `passwordless`, or empty.
        #[schemars(with = "String")]
        pub strategy_type: Word,
        /// Id of the organization.
        pub organization_id unless "Option::is_none": Option<Cow<'a, str>>,
        /// Name of the organization.
        pub organization_name unless "Option::is_none": Option<Cow<'a, str>>,
        /// The same as the envelope's.
        #[schemars(with = "String")]
        pub log_id: LogId,
        /// The tenant.
        pub tenant_name: Cow<'a, str>,
        /// Name of the deployment.
        pub environment_name: Cow<'a, str>,
        /// Whether the user agent is a phone's; absent without a user agent.
        pub is_mobile unless "Option::is_none": Option<bool>,
        /// TLS fingerprints.
        pub security_context unless "Option::is_none": Option<SecurityInfo<'a>>,
        /// Where the address is.
        pub location_info unless "Option::is_none": Option<LocationInfo<'a>>,
        /// The rest.
        pub details: LogDetails<'a>,
    }

    /// TLS fingerprints.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct SecurityInfo<'a> {
        /// JA3.
        pub ja3 unless "Option::is_none": Option<Cow<'a, str>>,
        /// JA4.
        pub ja4 unless "Option::is_none": Option<Cow<'a, str>>,
    }

    /// Where the address is: from the City database, else from the event.
    #[derive(Debug, Clone, Default, Serialize, JsonSchema)]
    pub struct LocationInfo<'a> {
        /// ISO 3166-1 alpha-2.
        pub country_code unless "Option::is_none": Option<Cow<'a, str>>,
        /// ISO 3166-1 alpha-3.
        pub country_code3 unless "Option::is_none": Option<Cow<'a, str>>,
        /// Country in words.
        pub country_name unless "Option::is_none": Option<Cow<'a, str>>,
        /// City in words.
        pub city_name unless "Option::is_none": Option<Cow<'a, str>>,
        /// Degrees north.
        pub latitude unless "Option::is_none": Option<f64>,
        /// Degrees east.
        pub longitude unless "Option::is_none": Option<f64>,
        /// IANA time zone.
        pub time_zone unless "Option::is_none": Option<Cow<'a, str>>,
        /// Continent code.
        pub continent_code unless "Option::is_none": Option<Cow<'a, str>>,
        /// ISO 3166-2 subdivision without the country.
        pub subdivision_code unless "Option::is_none": Option<Cow<'a, str>>,
        /// Subdivision in words.
        pub subdivision_name unless "Option::is_none": Option<Cow<'a, str>>,
    }

    /// The rest of a record.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct LogDetails<'a> {
        /// The `id` of the login event, as the verdict names it.
        pub event_id: Cow<'a, str>,
        /// Id of the session.
        pub session_id unless "Option::is_none": Option<Cow<'a, str>>,
        /// Id of the transaction.
        pub transaction_id unless "Option::is_none": Option<Cow<'a, str>>,
        /// When the login began, in milliseconds since the epoch.
        pub initiated_at as "initiatedAt": i64,
        /// When it ended, in milliseconds since the epoch; absent while a challenge is open.
        pub completed_at as "completedAt" unless "Option::is_none": Option<i64>,
        /// Time between both in milliseconds.
        pub elapsed_ms as "elapsedTime" unless "Option::is_none": Option<i64>,
        /// The factors used so far.
        #[schemars(with = "Vec<PromptInfo<'_>>")]
        pub prompts unless "Prompts::is_empty": Prompts<'a>,
        /// Counters of the auth server.
        pub stats unless "Option::is_none": Option<StatsInfo>,
        /// Why the login failed.
        pub error unless "Option::is_none": Option<ErrorDetails<'a>>,
        /// `request.ip`, where it is not an address.
        pub invalid_ip unless "Option::is_none": Option<Cow<'a, str>>,
        /// The autonomous system of the address.
        pub autonomous_system unless "Option::is_none": Option<AutonomousSystem<'a>>,
        /// In records of type `mfar`: the combined confidence, where the reference has it.
        pub confidence unless "Option::is_none": Option<crate::Confidence>,
        /// In records of type `mfar`: the assessment's version, where the reference has it.
        #[schemars(with = "Option<String>")]
        pub version unless "Option::is_none": Option<Word>,
        /// What the assessors said of the attempt.
        #[schemars(with = "Option<RiskAssessment>")]
        pub risk_assessment as "riskAssessment" unless "Option::is_none": Option<Risk<'a>>,
        /// What was decided.
        #[schemars(with = "Option<Decision>")]
        pub decision unless "Option::is_none": Option<&'a Decision>,
    }

    /// The autonomous system of an address.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct AutonomousSystem<'a> {
        /// Its number.
        pub number: u32,
        /// Its organization.
        pub organization unless "Option::is_none": Option<Cow<'a, str>>,
    }

    /// A factor used.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct PromptInfo<'a> {
        /// For instance `pwd` or `mfa`.
        pub name: Cow<'a, str>,
        /// When, in milliseconds since the epoch.
        pub completed_at as "completedAt" unless "Option::is_none": Option<i64>,
        /// Id of the session; empty where the event has none.
        pub session_id: Cow<'a, str>,
        /// The reference's schema wants it; login events do not tell of captchas.
        pub required_captcha as "requiredCaptcha": bool,
    }

    /// Counters of the auth server.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct StatsInfo {
        /// The user's logins, this one counted.
        pub logins_count as "loginsCount": i64,
    }

    /// Why a login failed.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct ErrorDetails<'a> {
        /// In words.
        pub message: Cow<'a, str>,
        /// As a code.
        pub oauth_error as "oauthError": Cow<'a, str>,
    }
}

/// The factors used so far, at most [`MAX_PROMPTS`], as the event has them: they are put into the record's
/// form when it is written.
#[derive(Debug, Clone)]
pub struct Prompts<'a> {
    methods: &'a [Method<'a>],
    session_id: Option<Cow<'a, str>>,
}

impl Prompts<'_> {
    fn is_empty(&self) -> bool {
        self.methods.is_empty()
    }

    fn iter(&self) -> impl ExactSizeIterator<Item = PromptInfo<'_>> {
        self.methods.iter().map(|method| PromptInfo {
            name: get(&method.name).unwrap_or_default(),
            completed_at: method.timestamp.given().and_then(|when| when.0).map(|t| t.0),
            session_id: Cow::Borrowed(self.session_id.as_deref().unwrap_or_default()),
            required_captcha: false,
        })
    }
}

impl ToJson for Prompts<'_> {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.byte(b'[');
        for (number, prompt) in self.iter().enumerate() {
            if number > 0 {
                json.byte(b',');
            }
            prompt.write_json(json);
        }
        json.byte(b']');
    }
}

impl Serialize for Prompts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// What a record tells beyond the event itself.
#[derive(Debug, Clone, Copy)]
pub struct LogContext<'a> {
    /// Which kind of record.
    pub kind: LogType,
    /// Name of the deployment.
    pub environment_name: &'a str,
    /// The login's address: the event's own, else that of the attempt that it completes.
    pub ip: Option<IpAddr>,
    /// What is known about that address.
    pub address: Option<&'a AddressFacts>,
    /// What the event's user agent says.
    pub agent: Option<&'a AgentFacts>,
    /// The attempt's assessment, unless nobody asked for one.
    pub risk: Option<&'a RiskAssessment>,
    /// The attempt's decision.
    pub decision: Option<&'a Decision>,
    /// When the attempt was, where this event completes one.
    pub attempted_at: Option<Timestamp>,
}

impl<'a> LogRecord<'a> {
    /// The record of an event.
    #[must_use]
    pub fn new(event: &'a LoginEvent<'_>, log_id: LogId, context: LogContext<'a>) -> Self {
        let wire = &event.wire;
        let failed = event.outcome != Outcome::Success;
        let message = get(&wire.error.or_empty().message);
        let strategy = get(&wire.connection.or_empty().strategy).unwrap_or_default();
        let user_agent = event.user_agent().map(cut);
        let security = SecurityInfo {
            ja3: get(&wire.security_context.or_empty().ja3),
            ja4: get(&wire.security_context.or_empty().ja4),
        };
        let description = match &message {
            Some(message) if failed => message.clone(),
            _ => context.kind.description().into(),
        };
        LogRecord {
            log_id,
            data: LogData {
                date: event.time,
                kind: context.kind,
                connection: get(&wire.connection.or_empty().name),
                connection_id: get(&wire.connection.or_empty().id),
                client_id: get(&wire.client.or_empty().client_id),
                client_name: get(&wire.client.or_empty().name).unwrap_or_default(),
                ip: Ip(context.ip.unwrap_or(UNSPECIFIED_IP)),
                client_ip: context.ip.map(Ip),
                is_mobile: context.agent.filter(|_| user_agent.is_some()).map(|agent| agent.is_mobile),
                user_agent,
                hostname: get(&wire.request.or_empty().hostname).unwrap_or_default(),
                user_id: event.user_id.as_deref().map(cut),
                user_name: [&wire.user.or_empty().username, &wire.user.or_empty().email, &wire.user.or_empty().name]
                    .into_iter()
                    .find_map(get),
                strategy_type: Word(strategy_type(&strategy)),
                strategy,
                organization_id: get(&wire.organization.or_empty().id),
                organization_name: get(&wire.organization.or_empty().name),
                log_id,
                tenant_name: cut(&event.tenant_id),
                environment_name: context.environment_name.into(),
                security_context: (security.ja3.is_some() || security.ja4.is_some()).then_some(security),
                location_info: location(event, context.address),
                details: details(event, context, failed, message),
                description,
            },
        }
    }
}

fn details<'a>(
    event: &'a LoginEvent<'_>,
    context: LogContext<'a>,
    failed: bool,
    message: Option<Cow<'a, str>>,
) -> LogDetails<'a> {
    let wire = &event.wire;
    let session_id = get(&wire.session.or_empty().id);
    let methods = wire.authentication.or_empty().methods.given().map_or(&[][..], Vec::as_slice);
    let prompts = Prompts { methods: &methods[..methods.len().min(MAX_PROMPTS)], session_id: session_id.clone() };
    let time = event.time.0;
    // An attempt's own beginning is when its first factor was used, where the event tells.
    let first_factor = prompts.iter().filter_map(|prompt| prompt.completed_at).min();
    let initiated_at = context.attempted_at.map_or_else(|| first_factor.unwrap_or(time).min(time), |t| t.0);
    let completed_at = (context.kind != LogType::MfaRequired).then_some(time);
    let mfa_required = context.risk.filter(|_| context.kind == LogType::MfaRequired);
    let network = context.address.and_then(|facts| facts.network.as_ref());
    LogDetails {
        event_id: cut(&event.id),
        session_id,
        transaction_id: get(&wire.transaction.or_empty().id),
        initiated_at,
        completed_at,
        elapsed_ms: completed_at.map(|at| (at - initiated_at).max(0)),
        prompts,
        stats: event.logins_count().map(|logins_count| StatsInfo { logins_count }),
        error: failed.then(|| ErrorDetails {
            message: message.unwrap_or_else(|| context.kind.description().into()),
            oauth_error: get(&wire.error.or_empty().code).unwrap_or_else(|| event.outcome.as_str().into()),
        }),
        invalid_ip: event.ip_text().filter(|_| event.address.is_none()).map(cut),
        autonomous_system: network.map(|network| AutonomousSystem {
            number: network.number,
            organization: network.organization.as_deref().map(cut),
        }),
        confidence: mfa_required.map(|risk| risk.confidence),
        version: mfa_required.map(|_| Word(RiskAssessment::VERSION)),
        risk_assessment: context.risk.map(Into::into),
        decision: context.decision,
    }
}

fn location<'a>(event: &'a LoginEvent<'_>, address: Option<&'a AddressFacts>) -> Option<LocationInfo<'a>> {
    if let Some(geo) = address.and_then(|facts| facts.geo.as_ref().ok()).and_then(Option::as_ref) {
        let borrow = |text: &'a Option<SmolStr>| text.as_deref().map(cut);
        return Some(LocationInfo {
            country_code: borrow(&geo.country),
            country_code3: geo.country.as_deref().and_then(country_code3).map(Cow::Borrowed),
            country_name: borrow(&geo.country_name),
            city_name: borrow(&geo.city),
            // A damaged database may hold what JSON has no number for.
            latitude: geo.latitude.filter(|degrees| degrees.is_finite()),
            longitude: geo.longitude.filter(|degrees| degrees.is_finite()),
            time_zone: borrow(&geo.time_zone),
            continent_code: borrow(&geo.continent_code),
            subdivision_code: borrow(&geo.subdivision_code),
            subdivision_name: borrow(&geo.subdivision_name),
        });
    }
    let wire = event.wire.request.or_empty().geoip.given()?;
    let geo = event.geo();
    Some(LocationInfo {
        country_code: geo.country.map(Cow::Borrowed),
        country_code3: get(&wire.country_code3).or_else(|| geo.country.and_then(country_code3).map(Cow::Borrowed)),
        country_name: get(&wire.country_name),
        city_name: geo.city.map(Cow::Borrowed),
        latitude: geo.latitude,
        longitude: geo.longitude,
        time_zone: get(&wire.time_zone),
        continent_code: get(&wire.continent_code),
        subdivision_code: get(&wire.subdivision_code),
        subdivision_name: get(&wire.subdivision_name),
    })
}

fn get<'a>(field: &'a Field<Text<'_>>) -> Option<Cow<'a, str>> {
    text(field).map(cut)
}

/// Cuts a text at [`MAX_TEXT_BYTES`], between characters.
fn cut(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(&text[..text.floor_char_boundary(MAX_TEXT_BYTES)])
}

/// The kind of a connection's strategy, by the names that the reference uses.
fn strategy_type(strategy: &str) -> &'static str {
    match strategy {
        "auth0" | "auth0-adldap" | "database" => "database",
        "sms" | "email" | "passwordless" => "passwordless",
        "ad" | "adfs" | "custom-saml" | "google-apps" | "ip" | "oidc" | "office365" | "okta" | "oktawic"
        | "pingfederate" | "samlp" | "sharepoint" | "waad" => "enterprise",
        "amazon" | "apple" | "baidu" | "bitbucket" | "dropbox" | "evernote" | "facebook" | "github"
        | "google-oauth2" | "instagram" | "line" | "linkedin" | "oauth1" | "oauth2" | "paypal" | "salesforce"
        | "shopify" | "twitter" | "vkontakte" | "weibo" | "windowslive" | "wordpress" | "yahoo" | "yandex" => "social",
        _ => "",
    }
}
