//! The keys that JWTs are verified with: a JWKS from a file or a URL, read again from time to time and when a
//! token names a key that is not among them. What is read badly leaves the old keys in force.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use prometheus::{Gauge, IntCounter};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::{RootCerts, TlsConfig};

/// A JWKS of more bytes is refused.
const MAX_BYTES: u64 = 256 * 1024;
/// A JWKS of more keys is refused.
const MAX_KEYS: usize = 64;
/// What the `ring` backend takes, in bytes of the modulus.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// `0x04`, x and y of a point on P-256.
const P256_POINT_BYTES: usize = 65;

/// Where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// A file.
    File(PathBuf),
    /// `https://...`, or `http://` on this machine. Certificates are checked against the operating system's
    /// roots. Redirects are not followed.
    Url(String),
}

/// One key, for one algorithm.
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// The keys of one JWKS. Those that are of no use here are left out.
pub(super) struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Jwks {
            keys: Vec<Value>,
        }
        let jwks: Jwks = serde_json::from_slice(bytes).map_err(|error| format!("it is no JWKS: {error}"))?;
        if jwks.keys.len() > MAX_KEYS {
            return Err(format!("it has {} keys, allowed are {MAX_KEYS}", jwks.keys.len()));
        }
        // A key of a kind that nobody here knows must not hide the others.
        let keys: Vec<Key> =
            jwks.keys.into_iter().filter_map(|key| usable(&serde_json::from_value(key).ok()?)).collect();
        if keys.is_empty() {
            return Err("it has no key for RS256 (2,048 to 8,192 bits) or ES256".to_owned());
        }
        Ok(Self { keys })
    }

    /// The key with the id that the token names. A token that names none is taken when there is one key for its
    /// algorithm, so that nothing has to be guessed.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut found =
            self.keys.iter().filter(|key| key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id));
        match (found.next(), found.next()) {
            (Some(one), None) => Some(&one.key),
            // Of several with the same id the first counts; without an id nothing does.
            (Some(first), Some(_)) => id.map(|_| &first.key),
            (None, _) => None,
        }
    }
}

fn usable(jwk: &Jwk) -> Option<Key> {
    let common = &jwk.common;
    let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let verifies = common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    if !signs || !verifies || common.key_algorithm.is_some_and(|algorithm| algorithm != named) {
        return None;
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let fits = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => {
            RSA_BYTES.contains(&n.iter().skip_while(|byte| **byte == 0).count())
        }
        DecodingKeyKind::SecretOrDer(point) => point.len() == P256_POINT_BYTES,
    };
    fits.then(|| Key { id: common.key_id.clone(), algorithm, key })
}

/// What is told about the keys.
#[derive(Clone)]
pub(crate) struct KeyMetrics {
    pub(crate) loaded: IntCounter,
    pub(crate) failed: IntCounter,
    pub(crate) loaded_at_s: Gauge,
}

/// The keys in force and how to get newer ones.
pub(super) struct Keys {
    source: Source,
    current: ArcSwapOption<KeySet>,
    /// When it was last tried; held while it is being tried.
    tried: Mutex<Option<Instant>>,
    at_least_between: Duration,
    at_most_between: Duration,
}

enum Source {
    File(PathBuf),
    Url { url: String, agent: Agent },
}

impl Keys {
    /// # Errors
    /// The URL is not one that keys may come from.
    pub(super) fn new(
        source: &JwksSource,
        timeout: Duration,
        at_least_between: Duration,
        at_most_between: Duration,
    ) -> Result<Self, String> {
        let source = match source {
            JwksSource::File(path) => Source::File(path.clone()),
            JwksSource::Url(url) => Source::Url { agent: agent(url, timeout)?, url: url.clone() },
        };
        Ok(Self { source, current: ArcSwapOption::empty(), tried: Mutex::new(None), at_least_between, at_most_between })
    }

    /// The keys in force, none before the first were loaded.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        self.current.load_full()
    }

    /// A file is read at once, so that a wrong path is found at the start. Blocks.
    pub(super) fn load_file(&self) -> Result<(), String> {
        if let Source::File(_) = self.source {
            let keys = self.source.load()?;
            self.current.store(Some(Arc::new(keys)));
        }
        Ok(())
    }

    /// Reads the keys anew, unless that was tried a short time ago: then, and while somebody else tries, this
    /// waits for nothing but him. Goes on when the caller does not.
    pub(super) async fn refresh(self: &Arc<Self>, metrics: &KeyMetrics) {
        let (keys, metrics) = (self.clone(), metrics.clone());
        let task = tokio::spawn(async move {
            let mut tried = keys.tried.lock().await;
            if tried.is_some_and(|at| at.elapsed() < keys.at_least_between) {
                return;
            }
            *tried = Some(Instant::now());
            let again = keys.clone();
            let loaded = match tokio::task::spawn_blocking(move || again.source.load()).await {
                Ok(loaded) => loaded,
                Err(error) => Err(error.to_string()),
            };
            match loaded {
                Ok(loaded) => {
                    keys.current.store(Some(Arc::new(loaded)));
                    metrics.loaded.inc();
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    metrics.loaded_at_s.set(now.as_secs_f64());
                }
                Err(error) => {
                    metrics.failed.inc();
                    tracing::warn!("the keys of {} were not loaded, the old ones stay in force: {error}", keys.source);
                }
            }
        });
        if let Err(error) = task.await {
            tracing::error!("loading keys ended badly: {error}");
        }
    }

    /// Reads the keys again and again, so that one that was withdrawn is not good for longer.
    pub(super) async fn keep_fresh(self: Arc<Self>, metrics: KeyMetrics) {
        loop {
            self.refresh(&metrics).await;
            let pause = match self.current.load().is_some() {
                true => self.at_most_between,
                false => self.at_least_between,
            };
            tokio::time::sleep(pause).await;
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url { url, .. } => url.fmt(f),
        }
    }
}

impl Source {
    fn load(&self) -> Result<KeySet, String> {
        let bytes = match self {
            Self::File(path) => read(path).map_err(|error| error.to_string())?,
            Self::Url { url, agent } => fetch(agent, url)?,
        };
        KeySet::parse(&bytes)
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(std::io::Error::other(format!("it has more than {MAX_BYTES} bytes"))),
        false => Ok(bytes),
    }
}

fn fetch(agent: &Agent, url: &str) -> Result<Vec<u8>, String> {
    let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("it answered {}", response.status()));
    }
    response.body_mut().with_config().limit(MAX_BYTES).read_to_vec().map_err(|error| error.to_string())
}

fn agent(url: &str, timeout: Duration) -> Result<Agent, String> {
    let uri: ureq::http::Uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
    let local = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let local = match (uri.scheme_str(), local) {
        (Some("https"), local) => local,
        (Some("http"), true) => true,
        _ => {
            return Err(format!(
                "{url:?} is not where keys may come from; allowed is https://..., or http:// on this machine"
            ));
        }
    };
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent("credence");
    // What is on this machine is not asked through the environment's proxy.
    let config = if local { config.proxy(None) } else { config };
    Ok(config.build().new_agent())
}
