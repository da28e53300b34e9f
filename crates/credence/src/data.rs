//! What is in force: databases and lists, looked at again while running and swapped whole, and the settings of the
//! tenants.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use arc_swap::ArcSwap;
use engine::Context;
use intel::{Agents, Loaded, Snapshot};
use policy::document::MfaPolicy;
use policy::{Defaults, Tenant, Tenants};
use profile::{Fingerprints, HashKey};

use crate::config::Config;
use crate::errors::all_errors;
use crate::tenant_book::TenantBook;

/// The data and settings that a step depends on.
pub type ScoringContext = Context<Arc<Snapshot>>;

/// Loads the sources of a configuration.
pub fn load(config: &Config, agents: &Agents) -> Result<Loaded> {
    intel::load(&config.sources, agents.clone()).map_err(|errors| all_errors("databases and lists", &errors))
}

/// Says at start which assessors will be absent, for want of a source.
pub fn warnings(config: &Config, loaded: &Loaded) -> Vec<String> {
    let mut warnings = loaded.warnings.clone();
    if config.sources.deny_lists.is_empty() && config.sources.anonymous.is_none() {
        warnings.push(
            "neither a deny list nor an Anonymous-IP database is configured: UntrustedIP is absent from assessments"
                .to_owned(),
        );
    }
    if config.sources.city.is_none() {
        warnings.push(
            "no City database is configured: ImpossibleTravel is absent where an event brings no coordinates itself"
                .to_owned(),
        );
    }
    warnings
}

/// What is in force for a tenant without a settings document.
pub fn defaults(config: &Config) -> Defaults {
    let mut entries = config.settings.entries();
    // What is as it was before there were policies leaves the version as it was.
    if config.mfa_policy != MfaPolicy::Unset || config.risk_assessment {
        entries.push(("policy.mfa".to_owned(), config.mfa_policy.as_str().to_owned()));
        entries.push(("policy.risk_assessment".to_owned(), config.risk_assessment.to_string()));
    }
    let parts: Vec<String> = entries.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Defaults {
        mfa_policy: config.mfa_policy,
        risk_assessment: config.risk_assessment,
        settings: config.settings.clone(),
        log_challenges: config.log_challenges,
        version: intel::load::digest_of(&parts),
    }
}

/// What is in force for all tenants: by the configuration, and by a file of settings documents where there is one.
///
/// # Errors
/// The file cannot be read, or holds documents that are wrong: all of it at once.
pub fn tenants(config: &Config, settings: Option<&Path>) -> Result<Tenants> {
    let defaults = defaults(config);
    match settings {
        Some(path) => crate::settings_file::read(path, &defaults)
            .map_err(|errors| all_errors(&format!("{}", path.display()), &errors)),
        None => Ok(Tenants::new(Arc::new(Tenant::by_default(&defaults)))),
    }
}

/// The context of a run whose data and settings stay as they are.
pub fn context(config: &Config, tenants: &Tenants, snapshot: Arc<Snapshot>) -> ScoringContext {
    Context::of_tenants(tenants, snapshot, fingerprints(config))
}

/// The hashes of profiles: with the configured key, else with one that everybody knows. Profiles outlive the
/// process and move between instances, so a key made at random would make every device a new one.
pub fn fingerprints(config: &Config) -> Fingerprints {
    Fingerprints::new(HashKey(config.hash_key.unwrap_or(*b"credence-no-key!")))
}

/// Contexts that are kept, so that workers and partitions share them.
const KEPT_CONTEXTS: usize = 8;

/// What is in force in a running instance, shared by its workers.
#[derive(Debug)]
pub struct InForce {
    snapshot: ArcSwap<Snapshot>,
    fingerprints: Fingerprints,
    /// The documents, by their places in the topic.
    pub book: TenantBook,
    kept: Mutex<Vec<Kept>>,
}

/// A context that was made already.
#[derive(Debug)]
struct Kept {
    snapshot: Arc<Snapshot>,
    position: i64,
    context: Arc<ScoringContext>,
}

impl InForce {
    /// With data, and with no tenant's document yet.
    pub fn new(snapshot: Arc<Snapshot>, fingerprints: Fingerprints, book: TenantBook) -> Self {
        Self { snapshot: ArcSwap::new(snapshot), fingerprints, book, kept: Mutex::new(Vec::new()) }
    }

    /// The hashes of profiles.
    pub fn fingerprints(&self) -> &Fingerprints {
        &self.fingerprints
    }

    /// Puts other data in force, from the next batch of each worker on.
    pub fn set_snapshot(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
    }

    /// What a step depends on, with the settings that were in force at this place of their topic.
    pub fn context_at(&self, position: i64) -> Arc<ScoringContext> {
        let snapshot = self.snapshot.load_full();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |kept: &&Kept| kept.position == position && Arc::ptr_eq(&kept.snapshot, &snapshot);
        if let Some(kept) = kept.iter().find(is_it) {
            return kept.context.clone();
        }
        let tenants = self.book.at(position);
        let context = Arc::new(Context::of_tenants(&tenants, snapshot.clone(), self.fingerprints.clone()));
        kept.retain(|kept| Arc::ptr_eq(&kept.snapshot, &snapshot));
        if kept.len() >= KEPT_CONTEXTS {
            kept.remove(0);
        }
        kept.push(Kept { snapshot, position, context: context.clone() });
        context
    }
}
