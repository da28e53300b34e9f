//! Who asks. Two kinds of tokens, either or both: JWTs of an issuer, and static ones known by their hash.

mod keys;
mod verify;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

pub use self::keys::JwksSource;
pub(crate) use self::keys::KeyMetrics;
use self::keys::Keys;
use crate::error::{ApiError, EXPIRED, INVALID, MISSING};
use crate::limit::Key;
use crate::metrics::Metrics;

/// A token of more bytes is not looked at.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Static tokens that may be configured.
const MAX_STATIC_TOKENS: usize = 1024;
/// A tenant's name, a token's, a `sub` has at most so many bytes.
pub(crate) const MAX_NAME_BYTES: usize = 256;
/// A token's scopes, of which more are not looked at.
const MAX_SCOPES: usize = 4096;

/// Every scope that a call may need.
pub const SCOPES: [&str; 7] = [
    "read:mfa_policies",
    "update:mfa_policies",
    "read:attack_protection",
    "update:attack_protection",
    "update:users",
    "read:tenant_settings",
    "update:tenant_settings",
];

/// JWTs of one issuer, RS256 or ES256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtConfig {
    /// `iss` has to be this.
    pub issuer: String,
    /// `aud` has to be this or to hold it.
    pub audience: String,
    /// The claim that names the tenant, whatever characters its name has.
    pub tenant_claim: String,
    /// Where the keys are.
    pub jwks: JwksSource,
    /// By how much the clocks of issuer and this machine may differ, in seconds, at most 600.
    pub leeway_s: u64,
    /// Keys are read anew that often, in seconds, 1 to 86,400.
    pub refresh_s: u64,
    /// However many tokens name unknown keys, they are not read more often than that, in seconds, 1 to
    /// `refresh_s`.
    pub min_refresh_s: u64,
    /// A URL has to answer in that time, in milliseconds, 1 to 60,000.
    pub fetch_timeout_ms: u64,
}

impl JwtConfig {
    /// With the usual figures: a leeway of a minute, keys read every five minutes and at most every thirty
    /// seconds, five seconds for the URL.
    #[must_use]
    pub fn new(issuer: &str, audience: &str, tenant_claim: &str, jwks: JwksSource) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            tenant_claim: tenant_claim.to_owned(),
            jwks,
            leeway_s: 60,
            refresh_s: 300,
            min_refresh_s: 30,
            fetch_timeout_ms: 5_000,
        }
    }
}

/// A token that does not change. It should be as good as random: only its SHA-256 is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticToken {
    /// What the log calls who shows it.
    pub name: String,
    /// The SHA-256 of the token, in hex.
    pub sha256: String,
    /// Whose settings it is for; `*` for everybody's.
    pub tenant: String,
    /// What it may do, of [`SCOPES`].
    pub scopes: Vec<String>,
}

/// Whose settings somebody may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tenants {
    One(Arc<str>),
    /// Only from a static token's `*`.
    All,
}

/// Somebody whose token is good.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) actor: String,
    pub(crate) client_id: Option<String>,
    pub(crate) token_id: Option<String>,
    pub(crate) tenants: Tenants,
    scopes: Arc<HashSet<String>>,
    pub(crate) bucket: Key,
}

impl Principal {
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }
}

/// Why nobody is let in; the word is the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Missing,
    Malformed,
    UnknownToken,
    Algorithm,
    UnknownKey,
    NoKeys,
    Signature,
    Expired,
    NotYetValid,
    Issuer,
    Audience,
    Claims,
    Tenant,
}

impl Failure {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::UnknownToken => "unknown_token",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::NoKeys => "no_keys",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claims => "claims",
            Self::Tenant => "tenant",
        }
    }

    /// What is told: nothing that helps to find a better token.
    pub(crate) fn error(self) -> ApiError {
        match self {
            Self::Missing => ApiError::unauthorized(MISSING),
            Self::Expired => ApiError::unauthorized(EXPIRED),
            Self::NoKeys => ApiError::no_keys(),
            _ => ApiError::unauthorized(INVALID),
        }
    }
}

struct Known {
    hash: [u8; SHA256_OUTPUT_LEN],
    principal: Principal,
}

struct Jwt {
    keys: Arc<Keys>,
    rs256: Validation,
    es256: Validation,
    tenant_claim: String,
}

/// Looks at tokens.
pub(crate) struct Authenticator {
    known: Vec<Known>,
    jwt: Option<Jwt>,
}

impl Authenticator {
    /// # Errors
    /// All that is wrong with the configuration. A file of keys is read here; a URL is not asked before
    /// [`keep_fresh`](Self::keep_fresh).
    pub(crate) fn new(tokens: &[StaticToken], jwt: Option<&JwtConfig>) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut names = HashSet::new();
        let mut known = Vec::new();
        if tokens.len() > MAX_STATIC_TOKENS {
            problems.push(format!("there are {} tokens, allowed are {MAX_STATIC_TOKENS}", tokens.len()));
        }
        for token in tokens.iter().take(MAX_STATIC_TOKENS) {
            if !names.insert(token.name.as_str()) {
                problems.push(format!("two tokens are named {:?}", token.name));
            }
            match Known::new(token) {
                Ok(token) => known.push(token),
                Err(errors) => problems.extend(errors),
            }
        }
        let jwt = jwt.and_then(|jwt| match Jwt::new(jwt) {
            Ok(jwt) => Some(jwt),
            Err(errors) => {
                problems.extend(errors);
                None
            }
        });
        match problems.is_empty() {
            true => Ok(Self { known, jwt }),
            false => Err(problems),
        }
    }

    /// Reads keys again and again; returns at once where no JWTs are taken.
    pub(crate) async fn keep_fresh(&self, metrics: &Metrics) {
        if let Some(jwt) = &self.jwt {
            jwt.keys.clone().keep_fresh(metrics.keys.clone()).await;
        }
    }

    pub(crate) async fn authenticate(&self, headers: &HeaderMap, metrics: &Metrics) -> Result<Principal, Failure> {
        let token = bearer(headers)?;
        if let Some(principal) = self.known(token) {
            return Ok(principal);
        }
        match &self.jwt {
            // Whatever has two dots wants to be a JWT.
            Some(jwt) if token.bytes().filter(|byte| *byte == b'.').count() == 2 => jwt.verify(token, metrics).await,
            _ => Err(Failure::UnknownToken),
        }
    }

    /// Looks at all of them, so that the time it takes tells nothing.
    fn known(&self, token: &str) -> Option<Principal> {
        let hash = digest(&SHA256, token.as_bytes());
        let mut found = None;
        for known in &self.known {
            if bool::from(known.hash.as_slice().ct_eq(hash.as_ref())) {
                found = Some(&known.principal);
            }
        }
        found.cloned()
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Failure> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (all.next().ok_or(Failure::Missing)?, all.next());
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Failure::Malformed)?;
    let token = token.trim();
    let good = more.is_none()
        && scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && token.len() <= MAX_TOKEN_BYTES
        && !token.contains(char::is_whitespace);
    good.then_some(token).ok_or(Failure::Malformed)
}

/// A name as it may stand in a log and in a bucket's key.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains(char::is_control)
}

impl Known {
    fn new(token: &StaticToken) -> Result<Self, Vec<String>> {
        let StaticToken { name, sha256, tenant, scopes } = token;
        let mut problems = Vec::new();
        let mut check = |good: bool, what: String| {
            if !good {
                problems.push(what);
            }
        };
        check(is_name(name), format!("{name:?} is no name for a token; allowed are 1 to {MAX_NAME_BYTES} bytes"));
        check(is_name(tenant), format!("token {name:?}: {tenant:?} is no tenant; allowed is its name, or * for all"));
        check(!scopes.is_empty(), format!("token {name:?} has no scopes; allowed are {}", SCOPES.join(", ")));
        for scope in scopes {
            let allowed = SCOPES.join(", ");
            check(
                SCOPES.contains(&scope.as_str()),
                format!("token {name:?}: {scope:?} is no scope; allowed are {allowed}"),
            );
        }
        let hash = from_hex(sha256);
        // Not the value: it may be the token itself, put there by mistake.
        check(hash.is_some(), format!("token {name:?}: sha256 is not the token's SHA-256 in 64 hex digits"));
        let Some(hash) = hash.filter(|_| problems.is_empty()) else {
            return Err(problems);
        };
        let tenants = match tenant.as_str() {
            "*" => Tenants::All,
            one => Tenants::One(one.into()),
        };
        let principal = Principal {
            actor: name.clone(),
            client_id: None,
            token_id: None,
            tenants,
            scopes: Arc::new(scopes.iter().cloned().collect()),
            bucket: Key::Token(name.as_str().into()),
        };
        Ok(Self { hash, principal })
    }
}

fn from_hex(text: &str) -> Option<[u8; SHA256_OUTPUT_LEN]> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8)).collect();
    (digits.len() == 2 * SHA256_OUTPUT_LEN).then(|| bytes.try_into().ok()).flatten()
}

impl Jwt {
    fn new(config: &JwtConfig) -> Result<Self, Vec<String>> {
        verify::install();
        let mut problems = Vec::new();
        for (name, value) in
            [("issuer", &config.issuer), ("audience", &config.audience), ("tenant_claim", &config.tenant_claim)]
        {
            if value.is_empty() {
                problems.push(format!("jwt.{name} is empty; what the tokens of the issuer say has to stand there"));
            }
        }
        for (name, value, most) in [
            ("refresh_s", config.refresh_s, 86_400),
            ("min_refresh_s", config.min_refresh_s, config.refresh_s),
            ("fetch_timeout_ms", config.fetch_timeout_ms, 60_000),
        ] {
            if !(1..=most).contains(&value) {
                problems.push(format!("jwt.{name} is {value}; allowed are 1 to {most}"));
            }
        }
        if config.leeway_s > 600 {
            problems.push(format!("jwt.leeway_s is {}; allowed are 0 to 600", config.leeway_s));
        }
        let keys = Keys::new(
            &config.jwks,
            Duration::from_millis(config.fetch_timeout_ms),
            Duration::from_secs(config.min_refresh_s),
            Duration::from_secs(config.refresh_s),
        );
        let keys = keys.and_then(|keys| keys.load_file().map(|()| keys));
        let keys = match keys {
            Ok(keys) if problems.is_empty() => Arc::new(keys),
            Ok(_) => return Err(problems),
            Err(error) => {
                problems.push(match &config.jwks {
                    JwksSource::File(path) => format!("jwt.jwks: {}: {error}", path.display()),
                    // It is named in the error.
                    JwksSource::Url(_) => format!("jwt.jwks: {error}"),
                });
                return Err(problems);
            }
        };
        let validation = |algorithm| {
            let mut validation = Validation::new(algorithm);
            validation.leeway = config.leeway_s;
            validation.validate_nbf = true;
            validation.set_issuer(&[&config.issuer]);
            validation.set_audience(&[&config.audience]);
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            validation
        };
        Ok(Self {
            keys,
            rs256: validation(Algorithm::RS256),
            es256: validation(Algorithm::ES256),
            tenant_claim: config.tenant_claim.clone(),
        })
    }

    async fn verify(&self, token: &str, metrics: &Metrics) -> Result<Principal, Failure> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Failure::Malformed)?;
        let validation = match header.alg {
            Algorithm::RS256 => &self.rs256,
            Algorithm::ES256 => &self.es256,
            _ => return Err(Failure::Algorithm),
        };
        // What it says is critical is not known here (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(Failure::Malformed);
        }
        let id = header.kid.as_deref();
        let mut keys = self.keys.current();
        if keys.as_ref().is_none_or(|keys| keys.find(id, header.alg).is_none()) {
            self.keys.refresh(&metrics.keys).await;
            keys = self.keys.current();
        }
        let keys = keys.ok_or(Failure::NoKeys)?;
        let key = keys.find(id, header.alg).ok_or(Failure::UnknownKey)?;
        let verified =
            jsonwebtoken::decode::<Map<String, Value>>(token, key, validation).map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => Failure::Signature,
                ErrorKind::ExpiredSignature => Failure::Expired,
                ErrorKind::ImmatureSignature => Failure::NotYetValid,
                ErrorKind::InvalidIssuer => Failure::Issuer,
                ErrorKind::InvalidAudience => Failure::Audience,
                ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Failure::Algorithm,
                ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Failure::Claims,
                _ => Failure::Malformed,
            })?;
        self.principal(&verified.claims)
    }

    fn principal(&self, claims: &Map<String, Value>) -> Result<Principal, Failure> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| is_name(text));
        let tenant: Arc<str> = text(&self.tenant_claim).ok_or(Failure::Tenant)?.into();
        let client_id = text("azp").or_else(|| text("client_id"));
        let actor = text("sub").or(client_id).ok_or(Failure::Claims)?;
        let scope = claims.get("scope").and_then(Value::as_str).unwrap_or_default();
        let permissions = claims.get("permissions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let scopes = scope.split(' ').chain(permissions.iter().filter_map(Value::as_str));
        Ok(Principal {
            actor: actor.to_owned(),
            client_id: client_id.map(str::to_owned),
            token_id: text("jti").map(str::to_owned),
            // Also when it is called `*`: a JWT is for one tenant.
            tenants: Tenants::One(tenant.clone()),
            scopes: Arc::new(scopes.take(MAX_SCOPES).filter(|s| !s.is_empty()).map(str::to_owned).collect()),
            bucket: Key::Tenant(tenant),
        })
    }
}
