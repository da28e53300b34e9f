//! The keys of the deployment's own configuration, in one table: name, meaning, limits.

use std::time::Duration;

use admin::auth::{JwksSource, StaticToken};
use assess::settings::{SettingError, nearest};
use model::codec::Encoding;
use policy::document::MfaPolicy;

use super::assignments::DENY_LIST_FORM;
use super::{Assignment, Config, ConfigError, LogFormat, deny_list_text, parse_deny_list, resolve};

/// Keys that begin so are librdkafka's.
pub const PROPERTIES_PREFIX: &str = "kafka.properties.";
/// What stands for a secret.
const MASK: &str = "[masked]";

/// A key of the configuration.
pub struct Key {
    /// The name, dotted.
    pub name: &'static str,
    /// What it means, with its unit.
    pub about: &'static str,
    /// What is allowed.
    pub allowed: &'static str,
    get: fn(&Config) -> Shown,
    set: fn(&mut Config, &Assignment) -> Option<()>,
}

/// A value as it is shown.
enum Shown {
    Text(String),
    Number(String),
    List(Vec<String>),
    /// Not set, and without a value to show.
    Unset,
}

fn text(value: &str) -> Shown {
    Shown::Text(value.to_owned())
}

fn path(value: &Option<std::path::PathBuf>) -> Shown {
    value.as_ref().map_or(Shown::Unset, |path| Shown::Text(path.display().to_string()))
}

fn number(value: impl ToString) -> Shown {
    Shown::Number(value.to_string())
}

fn whole(assignment: &Assignment, min: u64, max: u64) -> Option<u64> {
    assignment.text().trim().parse().ok().filter(|value| (min..=max).contains(value))
}

fn words(assignment: &Assignment, max_bytes: usize) -> Option<String> {
    let value = assignment.text().trim().to_owned();
    (!value.is_empty() && value.len() <= max_bytes).then_some(value)
}

/// A topic's or group's name by Kafka's rules.
fn kafka_name(assignment: &Assignment) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    words(assignment, 249).filter(|name| name.chars().all(legal) && name != "." && name != "..")
}

const KAFKA_NAME: &str = "1 to 249 letters, digits, dots, underscores and hyphens";

macro_rules! keys {
    ($($name:literal, $about:literal, $allowed:expr, |$c:ident| $get:expr, |$t:ident, $a:ident| $set:expr;)*) => {
        /// The keys of the deployment's own configuration, in the order in which they are shown.
        pub const KEYS: &[Key] = &[$(Key {
            name: $name,
            about: $about,
            allowed: $allowed,
            get: |$c| $get,
            set: |$t, $a| { $set; Some(()) },
        },)*];
    };
}

keys! {
    "on_missing_data", "Whether to start without a database or list that cannot be loaded.", "refuse, degrade",
        |c| text(if c.sources.degrade { "degrade" } else { "refuse" }),
        |c, a| c.sources.degrade = match a.text().trim() { "refuse" => false, "degrade" => true, _ => return None };
    "data.city", "City database in MaxMind's format.", "a path",
        |c| path(&c.sources.city),
        |c, a| c.sources.city = Some(resolve(a.base(), &words(a, 4096)?));
    "data.asn", "ASN database in MaxMind's format.", "a path",
        |c| path(&c.sources.asn),
        |c, a| c.sources.asn = Some(resolve(a.base(), &words(a, 4096)?));
    "data.anonymous_ip", "Anonymous-IP database in MaxMind's format.", "a path",
        |c| path(&c.sources.anonymous),
        |c, a| c.sources.anonymous = Some(resolve(a.base(), &words(a, 4096)?));
    "data.deny_lists", "Deny lists; files of one name are one list.", DENY_LIST_FORM,
        |c| Shown::List(c.sources.deny_lists.iter().map(deny_list_text).collect()),
        |c, a| c.sources.deny_lists =
            a.value.iter().filter(|v| !v.is_empty()).map(|v| parse_deny_list(v, a.base())).collect::<Option<_>>()?;
    "data.relay_lists", "Lists of relay networks.", "a list of paths",
        |c| Shown::List(c.sources.relay_lists.iter().map(|path| path.display().to_string()).collect()),
        |c, a| c.sources.relay_lists = match &a.origin {
            // A path of the command line is taken as it is, commas and all.
            super::Origin::Option("--relay-list") => a.value.iter().map(std::path::PathBuf::from).collect(),
            _ => a.elements().into_iter().map(|path| resolve(a.base(), path)).collect(),
        };
    "data.reload_seconds", "How often the files are looked at for changes; 0: only on SIGHUP.", "0 to 86400 seconds",
        |c| number(c.reload_interval.as_secs()),
        |c, a| c.reload_interval = Duration::from_secs(whole(a, 0, 86_400)?);
    "kafka.brokers", "Bootstrap servers.", "host:port, several with commas between",
        |c| text(&c.brokers), |c, a| c.brokers = words(a, 4096)?;
    "kafka.group_id", "Consumer group; instances of one group share the partitions.", KAFKA_NAME,
        |c| text(&c.group_id), |c, a| c.group_id = kafka_name(a)?;
    "kafka.workers", "Threads, each with a consumer of its own.", "1 to 64",
        |c| number(c.workers), |c, a| c.workers = whole(a, 1, 64)? as usize;
    "kafka.commit_interval_ms", "Time between two commits: log records can be read after theirs.",
        "10 to 60000 milliseconds",
        |c| number(c.commit_interval.as_millis()),
        |c, a| c.commit_interval = Duration::from_millis(whole(a, 10, 60_000)?);
    "kafka.commit_max_records", "Login events in a batch, which is committed early when it is full.", "1 to 1000000",
        |c| number(c.commit_max_records), |c, a| c.commit_max_records = whole(a, 1, 1_000_000)? as usize;
    "kafka.max_in_flight", "Verdicts under way before consumption pauses.", "100 to 1000000",
        |c| number(c.max_in_flight), |c, a| c.max_in_flight = whole(a, 100, 1_000_000)? as usize;
    "kafka.session_timeout_seconds", "How long a silent instance keeps its partitions.", "6 to 300 seconds",
        |c| number(c.session_timeout.as_secs()),
        |c, a| c.session_timeout = Duration::from_secs(whole(a, 6, 300)?);
    "kafka.shutdown_deadline_seconds", "How long a stop may take.", "1 to 600 seconds",
        |c| number(c.shutdown_deadline.as_secs()),
        |c, a| c.shutdown_deadline = Duration::from_secs(whole(a, 1, 600)?);
    "topics.events", "Topic of login events.", KAFKA_NAME,
        |c| text(&c.topic_events), |c, a| c.topic_events = kafka_name(a)?;
    "topics.verdicts", "Topic of verdicts.", KAFKA_NAME,
        |c| text(&c.topic_verdicts), |c, a| c.topic_verdicts = kafka_name(a)?;
    "topics.logs", "Topic of tenant log records.", KAFKA_NAME,
        |c| text(&c.topic_logs), |c, a| c.topic_logs = kafka_name(a)?;
    "topics.profiles", "Changelog of the profiles.", KAFKA_NAME,
        |c| text(&c.topic_profiles), |c, a| c.topic_profiles = kafka_name(a)?;
    "topics.dead", "Topic of records that cannot be read.", KAFKA_NAME,
        |c| text(&c.topic_dead), |c, a| c.topic_dead = kafka_name(a)?;
    "topics.settings", "Topic of the tenants' settings documents.", KAFKA_NAME,
        |c| text(&c.topic_settings), |c, a| c.topic_settings = kafka_name(a)?;
    "policy.mfa", "Who is asked for a second factor, where a tenant's document does not say; unset: who logs in with \
        low confidence, whether he has a second factor or not.",
        "unset, never, all-applications, confidence-score",
        |c| text(c.mfa_policy.as_str()), |c, a| c.mfa_policy = MfaPolicy::parse(a.text().trim())?;
    "policy.risk_assessment", "Whether logins are assessed and logged where the policy does not need it.",
        "true, false",
        |c| number(c.risk_assessment), |c, a| c.risk_assessment = a.text().trim().parse().ok()?;
    "output.encoding", "How verdicts and log records are written.", "json, msgpack",
        |c| text(match c.encoding { Encoding::Json => "json", Encoding::MessagePack => "msgpack" }),
        |c, a| c.encoding = match a.text().trim() {
            "json" => Encoding::Json, "msgpack" => Encoding::MessagePack, _ => return None
        };
    "output.environment_name", "Name of the deployment in log records.", "1 to 100 bytes",
        |c| text(&c.environment_name), |c, a| c.environment_name = words(a, 100)?;
    "output.log_challenges", "Whether a challenged attempt is logged as `mfar`.", "true, false",
        |c| number(c.log_challenges), |c, a| c.log_challenges = a.text().trim().parse().ok()?;
    "admin.listen", "Where /metrics, /livez and /readyz are served.", "an IP address and a port",
        |c| text(&c.admin_listen),
        |c, a| c.admin_listen = words(a, 100).filter(|l| l.parse::<std::net::SocketAddr>().is_ok())?;
    "api.jwks", "Where the keys are that JWTs for the settings API are checked with (RS256, ES256).",
        "a path, or an https URL",
        |c| c.api_jwks.as_ref().map_or(Shown::Unset, |source| match source {
            JwksSource::File(path) => Shown::Text(path.display().to_string()),
            JwksSource::Url(url) => text(url),
        }),
        |c, a| c.api_jwks = Some(jwks(a)?);
    "api.jwt_issuer", "Who makes these JWTs (`iss`).", "1 to 1024 bytes",
        |c| unset_if_empty(&c.api_jwt_issuer), |c, a| c.api_jwt_issuer = words(a, 1024)?;
    "api.jwt_audience", "For whom they are made (`aud`).", "1 to 1024 bytes",
        |c| unset_if_empty(&c.api_jwt_audience), |c, a| c.api_jwt_audience = words(a, 1024)?;
    "api.jwt_tenant_claim", "The claim that names the tenant.", "1 to 256 bytes",
        |c| text(&c.api_jwt_tenant_claim), |c, a| c.api_jwt_tenant_claim = words(a, 256)?;
    "api.jwt_leeway_seconds", "By how much the clocks of issuer and instance may differ.", "0 to 600 seconds",
        |c| number(c.api_jwt_leeway_s), |c, a| c.api_jwt_leeway_s = whole(a, 0, 600)?;
    "api.tokens", "Tokens for the settings API that do not change, each known by its SHA-256 in hexadecimal digits.",
        STATIC_TOKEN_FORM,
        |c| Shown::List(c.api_tokens.iter().map(static_token_text).collect()),
        |c, a| c.api_tokens =
            a.value.iter().filter(|v| !v.trim().is_empty()).map(|v| static_token(v)).collect::<Option<_>>()?;
    "api.requests_per_second", "Requests to the settings API with a token, or with all JWTs of a tenant together.",
        "1 to 100000", |c| number(c.api_requests_per_s), |c, a| c.api_requests_per_s = whole(a, 1, 100_000)? as u32;
    "api.burst", "Such requests at once, after a pause.", "1 to 100000",
        |c| number(c.api_burst), |c, a| c.api_burst = whole(a, 1, 100_000)? as u32;
    "state.folder", "Local copy of the profiles; without one, it is temporary and read anew at each start.", "a path",
        |c| path(&c.state_folder),
        |c, a| c.state_folder = Some(resolve(a.base(), &words(a, 4096)?));
    "state.memory_bytes", "Memory for profiles; those beyond it are read from state.folder.",
        "16777216 to 1099511627776 bytes",
        |c| number(c.memory_bytes), |c, a| c.memory_bytes = whole(a, 16 << 20, 1 << 40)? as usize;
    "state.hash_key", "Secret of the hashes in profiles, the same for all instances and for ever.",
        "32 hexadecimal digits",
        |c| c.hash_key.map_or(Shown::Unset, |_| text(MASK)),
        |c, a| c.hash_key = Some(hash_key(a.text().trim())?);
    "log.format", "How this program's own log lines are written.", "text, json",
        |c| text(match c.log_format { LogFormat::Text => "text", LogFormat::Json => "json" }),
        |c, a| c.log_format = match a.text().trim() {
            "text" => LogFormat::Text, "json" => LogFormat::Json, _ => return None
        };
    "log.level", "Which of this program's own log lines are written.", "error, warn, info, debug, trace",
        |c| text(&c.log_level),
        |c, a| c.log_level =
            words(a, 10).filter(|l| ["error", "warn", "info", "debug", "trace"].contains(&l.as_str()))?;
}

/// What a static token may be.
const STATIC_TOKEN_FORM: &str =
    "a list of name=NAME,sha256=DIGITS,tenant=TENANT or *,scopes=SCOPE SCOPE ...; scopes are those of the API";

fn unset_if_empty(value: &str) -> Shown {
    if value.is_empty() { Shown::Unset } else { text(value) }
}

fn jwks(assignment: &Assignment) -> Option<JwksSource> {
    let value = words(assignment, 4096)?;
    let is_url = value.starts_with("https://") || value.starts_with("http://");
    Some(if is_url { JwksSource::Url(value) } else { JwksSource::File(resolve(assignment.base(), &value)) })
}

fn static_token(text: &str) -> Option<StaticToken> {
    let (mut name, mut sha256, mut tenant, mut scopes) = (None, None, None, None);
    for field in text.split(',') {
        let (key, value) = field.split_once('=')?;
        let value = value.trim().to_owned();
        let place = match key.trim() {
            "name" => &mut name,
            "sha256" => &mut sha256,
            "tenant" => &mut tenant,
            "scopes" => &mut scopes,
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    let scopes = scopes?.split_whitespace().map(str::to_owned).collect();
    Some(StaticToken { name: name?, sha256: sha256?, tenant: tenant?, scopes })
}

/// A static token as it is shown. Its hash is no secret, but nothing that has to be seen.
fn static_token_text(token: &StaticToken) -> String {
    format!("name={},sha256={MASK},tenant={},scopes={}", token.name, token.tenant, token.scopes.join(" "))
}

fn hash_key(digits: &str) -> Option<[u8; 16]> {
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some(u128::from_str_radix(digits, 16).ok()?.to_be_bytes())
}

/// The names of all keys but librdkafka's properties.
pub fn all_keys() -> impl Iterator<Item = String> {
    KEYS.iter().map(|key| key.name.to_owned()).chain(assess::settings::all_keys())
}

impl Config {
    pub(super) fn apply(&mut self, assignment: &Assignment) -> Result<(), ConfigError> {
        let name = assignment.key.as_str();
        let secret = is_secret(name);
        let bad_value = |allowed: &str| ConfigError::BadValue {
            origin: assignment.origin.to_string(),
            key: name.to_owned(),
            value: if secret { MASK.to_owned() } else { assignment.text().chars().take(200).collect() },
            allowed: allowed.to_owned(),
        };
        if let Some(property) = name.strip_prefix(PROPERTIES_PREFIX).filter(|property| !property.is_empty()) {
            self.properties.insert(property.to_owned(), assignment.text());
            return Ok(());
        }
        if let Some(key) = KEYS.iter().find(|key| key.name == name) {
            return (key.set)(self, assignment).ok_or_else(|| bad_value(key.allowed));
        }
        self.settings.set(name, &assignment.text()).map_err(|error| match error {
            SettingError::BadValue { allowed, .. } => bad_value(&allowed),
            SettingError::UnknownKey { .. } => {
                let known: Vec<String> = all_keys().collect();
                ConfigError::UnknownKey {
                    origin: assignment.origin.to_string(),
                    key: name.to_owned(),
                    nearest: nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
                }
            }
        })
    }
}

/// Whether a key's value must not be shown.
fn is_secret(name: &str) -> bool {
    name == "state.hash_key"
        || name.strip_prefix(PROPERTIES_PREFIX).is_some_and(|property| {
            ["password", "secret", "key", "jaas", "token", "credential", "sasl.username", "sasl.oauthbearer.config"]
                .iter()
                .any(|word| property.contains(word))
                && !property.ends_with(".location")
        })
}

/// All keys with their values in force.
pub(super) fn to_toml(config: &Config) -> String {
    let mut rows: Vec<(String, &str, Shown)> = Vec::new();
    for key in assess::settings::KEYS {
        let value = config.settings.entries().into_iter().find(|(name, _)| name == key.name);
        let value = value.map(|(_, value)| value).unwrap_or_default();
        let is_number = value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok();
        let list = matches!(key.name, "force_low" | "allow");
        let shown = match value {
            value if list => Shown::List(value.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect()),
            value if is_number => Shown::Number(value),
            value => Shown::Text(value),
        };
        rows.push((key.name.to_owned(), key.about, shown));
    }
    rows.extend(KEYS.iter().map(|key| (key.name.to_owned(), key.about, (key.get)(config))));
    let mut text = String::new();
    for (name, about, shown) in rows {
        let quote = |value: &str| toml::Value::from(value).to_string();
        let value = match shown {
            Shown::Text(value) => quote(&value),
            Shown::Number(value) => value,
            Shown::List(items) => format!("[{}]", items.iter().map(|item| quote(item)).collect::<Vec<_>>().join(", ")),
            Shown::Unset => {
                text.push_str(&format!("# {about}\n# {name} is not set\n"));
                continue;
            }
        };
        text.push_str(&format!("# {about}\n{name} = {value}\n"));
    }
    for (property, value) in &config.properties {
        let name = format!("{PROPERTIES_PREFIX}{property}");
        let value = if is_secret(&name) { MASK } else { value };
        text.push_str(&format!(
            "kafka.properties.{} = {}\n",
            toml::Value::from(property.as_str()),
            toml::Value::from(value)
        ));
    }
    text.push_str("# Confidences of the answers.\n");
    for (name, value) in config.settings.entries() {
        if let Some((assessor, key)) = name.strip_prefix("confidence.").and_then(|name| name.split_once('.')) {
            text.push_str(&format!("confidence.{assessor}.\"{key}\" = \"{value}\"\n"));
        }
    }
    text
}
