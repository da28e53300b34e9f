//! Everything that a running instance consists of, and how it is wired: data, workers, admin port,
//! reloading. `run` and `demo` start it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use admin::auth::JwtConfig;
use admin::{Admin, Api, ApiConfig, ApiConfigError, Limits, Probes};
use anyhow::{Context as _, Result};
use delivery::LocalState;
use intel::Agents;
use prometheus::Registry;
use stream::{Connection, Health, Running, StreamConfig, Topics};
use tempfile::TempDir;

use crate::config::Config;
use crate::data::{self, InForce};
use crate::errors::all_errors;
use crate::handler::ScoringHandler;
use crate::metrics::{DataMetrics, ScoringMetrics, SettingsMetrics};
use crate::reload::{Reloader, now_s};
use crate::scoring::Scoring;
use crate::settings_follower::SettingsFollower;
use crate::settings_store::SettingsStore;
use crate::state::{self, DiskStores, ProfileStores};
use crate::tenant_book::TenantBook;

/// A worker whose loop has not gone round for so long stands still.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// The stream's settings by the configuration.
pub fn stream_config(config: &Config, instance_id: &str) -> StreamConfig {
    let mut settings = StreamConfig::new(connection(config), config.group_id.clone(), instance_id);
    settings.topics = topics(config);
    settings.workers = config.workers;
    settings.batch_interval = config.commit_interval;
    settings.batch_max_records = config.commit_max_records;
    settings.max_in_flight_records = config.max_in_flight;
    settings.session_timeout = config.session_timeout;
    settings.shutdown_deadline = config.shutdown_deadline;
    settings
}

/// What is wrong with the stream's settings beyond single keys, each with the key as this configuration
/// names it: librdkafka's properties, topics of one name.
pub fn stream_problems(config: &Config) -> Vec<String> {
    match stream_config(config, "any").check() {
        Ok(()) => Vec::new(),
        Err(stream::Error::Config(problems)) => {
            let prefix = |key: &str| if key.starts_with("topics.") { "" } else { "kafka." };
            problems.iter().map(|problem| format!("{}{problem}", prefix(&problem.key))).collect()
        }
        Err(other) => vec![other.to_string()],
    }
}

/// How to reach the brokers.
pub fn connection(config: &Config) -> Connection {
    let mut connection = Connection::new(config.brokers.clone());
    connection.properties = config.properties.clone();
    connection
}

/// The settings API as it is configured.
///
/// # Errors
/// What is missing or wrong.
pub fn api_config(config: &Config) -> Result<ApiConfig, Vec<String>> {
    let mut problems = Vec::new();
    let jwt = config.api_jwks.as_ref().map(|jwks| {
        for (key, value) in [("issuer", &config.api_jwt_issuer), ("audience", &config.api_jwt_audience)] {
            if value.is_empty() {
                problems.push(format!("`api.jwt_{key}` is not set, and `api.jwks` needs it"));
            }
        }
        let (issuer, audience) = (&config.api_jwt_issuer, &config.api_jwt_audience);
        let jwt = JwtConfig::new(issuer, audience, &config.api_jwt_tenant_claim, jwks.clone());
        JwtConfig { leeway_s: config.api_jwt_leeway_s, ..jwt }
    });
    let limits = Limits {
        requests_per_s: config.api_requests_per_s,
        burst: config.api_burst,
        document_bytes: policy::document::MAX_DOCUMENT_BYTES,
        ..Limits::default()
    };
    let api = ApiConfig { tokens: config.api_tokens.clone(), jwt, limits };
    if !problems.is_empty() {
        return Err(problems);
    }
    let named = |problem: String| format!("settings API: {problem}");
    match Api::check(&api) {
        Ok(()) => Ok(api),
        Err(ApiConfigError(problems)) => Err(problems.into_iter().map(named).collect()),
    }
}

/// The names of the topics.
pub fn topics(config: &Config) -> Topics {
    Topics {
        events: config.topic_events.clone(),
        verdicts: config.topic_verdicts.clone(),
        logs: config.topic_logs.clone(),
        profiles: config.topic_profiles.clone(),
        dead: config.topic_dead.clone(),
        settings: config.topic_settings.clone(),
    }
}

/// Everything that a running instance consists of.
pub struct Service {
    /// The workers.
    pub running: Running,
    /// The admin port.
    pub admin: Admin,
    reload: Sender<()>,
    /// Reads settings for as long as the instance runs.
    _follower: SettingsFollower,
    /// Removed in the end, where no folder was configured.
    _temporary: Option<TempDir>,
}

/// The folder of the local state; a temporary one where none is configured.
fn state_folder(config: &Config) -> Result<(PathBuf, Option<TempDir>)> {
    if let Some(folder) = &config.state_folder {
        return Ok((folder.clone(), None));
    }
    let folder =
        tempfile::Builder::new().prefix("credence-state-").tempdir().context("a temporary folder for the state")?;
    tracing::info!("state.folder is not set: profiles are read from topic {} at each start", config.topic_profiles);
    Ok((folder.path().to_owned(), Some(folder)))
}

/// Health for the admin port: before the stream has started there is none yet.
#[derive(Default)]
struct StreamProbes {
    health: OnceLock<Arc<Health>>,
}

impl StreamProbes {
    fn health(&self) -> Result<&Health, String> {
        self.health.get().map(Arc::as_ref).ok_or_else(|| "starting: waiting for the brokers".to_owned())
    }

    fn states(health: &Health) -> String {
        let state = |status: stream::WorkerStatus| {
            format!("worker {}: {}, silent for {:?}", status.worker, status.state, status.silent_for)
        };
        health.workers().into_iter().map(state).collect::<Vec<_>>().join("; ")
    }
}

impl Probes for StreamProbes {
    fn live(&self) -> Result<(), String> {
        match self.health() {
            // The start has a limit of its own and ends the process when it cannot go on.
            Err(_) => Ok(()),
            Ok(health) if health.is_live(MAX_SILENCE) => Ok(()),
            Ok(health) => Err(Self::states(health)),
        }
    }

    fn ready(&self) -> Result<(), String> {
        let health = self.health()?;
        if health.is_ready() { Ok(()) } else { Err(Self::states(health)) }
    }

    fn started(&self) -> Result<(), String> {
        self.health().map(|_| ())
    }
}

impl Service {
    /// Checks everything, loads the data, and starts workers and admin port.
    pub fn start(config: Config) -> Result<Self> {
        let agents = Agents::default();
        // Everything that can be wrong without a broker, at once.
        let mut errors = stream_problems(&config);
        let api = api_config(&config).map_err(|missing| errors.extend(missing)).unwrap_or_default();
        let loaded = match intel::load(&config.sources, agents.clone()) {
            Ok(loaded) => Some(loaded),
            Err(failed) => {
                errors.extend(failed.iter().map(ToString::to_string));
                None
            }
        };
        let address: SocketAddr = config.admin_listen.parse().context("admin.listen")?;
        let loaded = loaded.filter(|_| errors.is_empty()).ok_or_else(|| all_errors("the configuration", &errors))?;

        for warning in data::warnings(&config, &loaded) {
            tracing::warn!("{warning}");
        }
        if config.hash_key.is_none() {
            tracing::warn!(
                "state.hash_key is not set: the hashes of cookies and user agents in profiles are not secret; set it \
                 before there are profiles worth keeping, for instance to the output of `openssl rand -hex 16`"
            );
        }
        let registry = Registry::new();
        let scoring_metrics = ScoringMetrics::register(&registry)?;
        let data_metrics = DataMetrics::register(&registry)?;
        data_metrics.loaded(&loaded.sources, now_s());
        let fingerprints = data::fingerprints(&config);
        let book = TenantBook::new(data::defaults(&config));
        let in_force = Arc::new(InForce::new(Arc::new(loaded.snapshot), fingerprints.clone(), book));

        let probes = Arc::new(StreamProbes::default());
        let store = Arc::new(SettingsStore::new(
            in_force.clone(),
            topics(&config),
            config.encoding,
            &config.environment_name,
            &registry,
        )?);
        let api = Api::new(&api, store.clone()).map_err(|ApiConfigError(errors)| all_errors("api", &errors))?;
        tracing::info!(settings_api = api.is_some(), "admin port");
        let admin = Admin::start(address, registry.clone(), probes.clone(), api)?;
        let (folder, temporary) = state_folder(&config)?;
        let settings = stream_config(&config, &state::instance_id(&folder)?);
        let cluster = stream::inspect(&settings)?;
        let settings_metrics = SettingsMetrics::register(&registry)?;
        let follower = SettingsFollower::start(
            &settings.connection,
            &settings.topics.settings,
            in_force.clone(),
            settings_metrics,
            settings.start_timeout,
        )?;
        store.open(&settings.connection)?;
        let foreign = scoring_metrics.foreign_changes();
        let stores = Arc::new(DiskStores::open(&folder, &config, &cluster, &fingerprints, foreign)?);
        let local_state: Arc<dyn LocalState> = stores.clone();
        let worker_bytes = state::profile_bytes(&config) / config.workers.max(1);
        let running = stream::start(settings, &cluster, &registry, &local_state, |worker| {
            let scoring = Scoring::new(config.encoding, &config.environment_name);
            let stores: Arc<dyn ProfileStores> = stores.clone();
            let metrics = scoring_metrics.clone();
            Box::new(ScoringHandler::new(worker, scoring, in_force.clone(), stores, worker_bytes, metrics))
        })?;
        // Set once, here.
        let _set = probes.health.set(running.health());

        let (reload, asked) = channel();
        let reloader = Reloader::new(config, agents, in_force, data_metrics);
        std::thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || reloader.run(&asked))
            .context("the reload thread cannot be started")?;
        Ok(Self { running, admin, reload, _follower: follower, _temporary: temporary })
    }

    /// Loads databases and lists anew.
    pub fn reload(&self) {
        if self.reload.send(()).is_err() {
            tracing::error!("the reload thread has ended; restart to load new data");
        }
    }

    /// Stops the workers within their deadline.
    pub fn stop(self) -> ExitCode {
        let summary = self.running.stop();
        for worker in &summary.workers {
            match &worker.error {
                None => tracing::info!(worker = worker.worker, handled = worker.handled, "worker stopped"),
                Some(error) => tracing::error!(worker = worker.worker, handled = worker.handled, "{error}"),
            }
        }
        for worker in &summary.abandoned {
            tracing::error!(worker, "worker did not stop within kafka.shutdown_deadline_seconds");
        }
        if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
