//! The configuration: one TOML file, environment variables, options of the command line, in this order
//! of precedence; every key has one name in all three.
//!
//! Reading it is a pure function of these three. It reports every error at once.

mod assignments;
mod keys;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use admin::auth::{JwksSource, StaticToken};
use assess::Settings;
use intel::{DenyListSource, Sources};
use model::codec::Encoding;
use policy::document::MfaPolicy;

pub use assignments::{Assignment, ConfigError, Origin, parse_deny_list};
pub use keys::{KEYS, PROPERTIES_PREFIX, all_keys};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The whole configuration in force.
#[derive(Debug, Clone)]
pub struct Config {
    /// What scoring and learning depend on.
    pub settings: Settings,
    /// GeoIP databases and lists.
    pub sources: Sources,
    /// How often the files are looked at for changes.
    pub reload_interval: Duration,
    /// Bootstrap servers.
    pub brokers: String,
    /// Consumer group.
    pub group_id: String,
    /// Threads, each with a consumer.
    pub workers: usize,
    /// librdkafka properties that are passed through.
    pub properties: BTreeMap<String, String>,
    /// Topic of login events.
    pub topic_events: String,
    /// Topic of verdicts.
    pub topic_verdicts: String,
    /// Topic of tenant log records.
    pub topic_logs: String,
    /// Changelog of the profiles.
    pub topic_profiles: String,
    /// Topic of unreadable records.
    pub topic_dead: String,
    /// Topic of the tenants' settings documents.
    pub topic_settings: String,
    /// Who is asked for a second factor, where a tenant's document does not say.
    pub mfa_policy: MfaPolicy,
    /// Whether logins are assessed where the policy does not need it and a tenant's document does not say.
    pub risk_assessment: bool,
    /// How verdicts and log records are written.
    pub encoding: Encoding,
    /// Name of the deployment in log records.
    pub environment_name: String,
    /// Whether a challenged attempt is logged as `mfar`.
    pub log_challenges: bool,
    /// Where /metrics and the health checks are served.
    pub admin_listen: String,
    /// Where the keys are that JWTs for the settings API are checked with: a path or a URL.
    pub api_jwks: Option<JwksSource>,
    /// Who makes these JWTs.
    pub api_jwt_issuer: String,
    /// For whom they are made.
    pub api_jwt_audience: String,
    /// The claim that names the tenant.
    pub api_jwt_tenant_claim: String,
    /// By how much clocks may differ, in seconds.
    pub api_jwt_leeway_s: u64,
    /// Tokens for the settings API that do not change.
    pub api_tokens: Vec<StaticToken>,
    /// Requests a second of a token, or of all JWTs of a tenant.
    pub api_requests_per_s: u32,
    /// Requests of them at once.
    pub api_burst: u32,
    /// Time between two commits.
    pub commit_interval: Duration,
    /// Records of a batch at most.
    pub commit_max_records: usize,
    /// Outputs that may be under way before consumption pauses.
    pub max_in_flight: usize,
    /// How long a silent instance keeps its partitions.
    pub session_timeout: Duration,
    /// How long a stop may take.
    pub shutdown_deadline: Duration,
    /// Folder of the local copy of the state; none: a temporary one.
    pub state_folder: Option<PathBuf>,
    /// Memory for profiles in bytes.
    pub memory_bytes: usize,
    /// Secret key of the hashes in profiles, in hexadecimal digits.
    pub hash_key: Option<[u8; 16]>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_level: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            sources: Sources::default(),
            reload_interval: Duration::from_secs(10),
            brokers: "127.0.0.1:9092".to_owned(),
            group_id: "credence".to_owned(),
            workers: 1,
            properties: BTreeMap::new(),
            topic_events: "login-events".to_owned(),
            topic_verdicts: "login-verdicts".to_owned(),
            topic_logs: "tenant-logs".to_owned(),
            topic_profiles: "credence-profiles".to_owned(),
            topic_dead: "login-events-dead".to_owned(),
            topic_settings: "tenant-settings".to_owned(),
            mfa_policy: MfaPolicy::Unset,
            risk_assessment: false,
            encoding: Encoding::Json,
            environment_name: "credence".to_owned(),
            log_challenges: true,
            admin_listen: "127.0.0.1:9464".to_owned(),
            api_jwks: None,
            api_jwt_issuer: String::new(),
            api_jwt_audience: String::new(),
            api_jwt_tenant_claim: "tenant".to_owned(),
            api_jwt_leeway_s: 60,
            api_tokens: Vec::new(),
            api_requests_per_s: 10,
            api_burst: 50,
            commit_interval: Duration::from_millis(100),
            commit_max_records: 10_000,
            max_in_flight: 20_000,
            session_timeout: Duration::from_secs(20),
            shutdown_deadline: Duration::from_secs(20),
            state_folder: None,
            memory_bytes: 1 << 30,
            hash_key: None,
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
        }
    }
}

/// Where a configuration is read from.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The file's path and text.
    pub file: Option<(PathBuf, String)>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// `--set KEY=VALUE`.
    pub set: Vec<String>,
    /// `--city`.
    pub city: Option<PathBuf>,
    /// `--asn`.
    pub asn: Option<PathBuf>,
    /// `--anonymous`.
    pub anonymous: Option<PathBuf>,
    /// `--deny-list`.
    pub deny_lists: Vec<String>,
    /// `--relay-list`.
    pub relay_lists: Vec<PathBuf>,
    /// `--allow`.
    pub allow: Vec<String>,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn read(inputs: &Inputs) -> Result<Self, Vec<ConfigError>> {
        let (config, errors) = Self::read_what_is_right(inputs);
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// Reads the configuration as far as it is right, and everything that is wrong with it: whoever
    /// reports that can go on and look for what is wrong with the files that it names.
    #[must_use]
    pub fn read_what_is_right(inputs: &Inputs) -> (Self, Vec<ConfigError>) {
        let (assignments, mut errors) = assignments::collect(inputs);
        let mut config = Config::default();
        // A preset replaces all settings, so it goes first, wherever it was set.
        let is_preset = |assignment: &&Assignment| assignment.key == "preset";
        let ordered = assignments.iter().filter(is_preset).chain(assignments.iter().filter(|a| !is_preset(a)));
        for assignment in ordered {
            if let Err(error) = config.apply(assignment) {
                errors.push(error);
            }
        }
        (config, errors)
    }

    /// The configuration as TOML, every key with its value in force; secrets are masked.
    #[must_use]
    pub fn to_toml(&self) -> String {
        keys::to_toml(self)
    }
}

/// Relative paths in a configuration file are relative to that file.
fn resolve(base: Option<&std::path::Path>, path: &str) -> PathBuf {
    base.map_or_else(|| PathBuf::from(path), |base| base.join(path))
}

/// The text of a deny list option, `name=NAME,category=CAT,path=PATH[,confidence=...]`.
fn deny_list_text(list: &DenyListSource) -> String {
    let confidence = list.confidence.map(|c| format!(",confidence={}", c.as_str())).unwrap_or_default();
    format!("name={},category={},path={}{confidence}", list.name, list.category.as_str(), list.path.display())
}
