//! The data in force: loaded at start, looked at again while running, swapped whole.

use std::sync::Arc;

use anyhow::Result;
use engine::Context;
use intel::{Agents, Loaded, Snapshot};
use profile::{Fingerprints, HashKey};

use crate::config::Config;
use crate::errors::all_errors;

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

/// The context of a configuration with loaded data.
pub fn context(config: &Config, snapshot: Arc<Snapshot>, fingerprints: &Fingerprints) -> ScoringContext {
    let settings = Arc::new(config.settings.clone());
    let entries = settings.entries();
    let parts: Vec<String> = entries.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let version = intel::load::digest_of(&parts);
    Context::new(settings, version, snapshot, fingerprints.clone()).log_challenges(config.log_challenges)
}

/// The hashes of profiles: with the configured key, else with one that everybody knows. Profiles outlive the
/// process and move between instances, so a key made at random would make every device a new one.
pub fn fingerprints(config: &Config) -> Fingerprints {
    Fingerprints::new(HashKey(config.hash_key.unwrap_or(*b"credence-no-key!")))
}
