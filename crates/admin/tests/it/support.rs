//! The server, a client, a store in memory, and an issuer of tokens.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use admin::auth::{JwtConfig, SCOPES, StaticToken};
use admin::{
    Admin, Api, ApiConfig, Audit, Document, Expected, InForce, MfaPolicy, Probes, Problem, StoreError, TenantSettings,
    WriteError,
};
use prometheus::Registry;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rsa::pkcs8::EncodePrivateKey;
use serde_json::{Map, Value, json};
use ureq::Agent;
use ureq::http::{HeaderMap, HeaderName, Request};

/// One document a tenant, in memory.
#[derive(Default)]
pub(crate) struct Memory {
    documents: Mutex<HashMap<String, (Value, u64)>>,
    pub(crate) audits: Mutex<Vec<Audit>>,
    /// Tenant, user and connection.
    pub(crate) cleared: Mutex<Vec<(String, String, String)>>,
    pub(crate) unavailable: AtomicBool,
    /// Every call waits while it is shut.
    pub(crate) gate: Gate,
    /// So many writes find that somebody else was faster.
    pub(crate) lose: AtomicUsize,
}

#[derive(Default)]
pub(crate) struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
    pub(crate) waiting: AtomicUsize,
}

impl Gate {
    pub(crate) fn set(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.opened.notify_all();
    }

    fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(self.opened.wait_while(self.shut.lock().unwrap(), |shut| *shut).unwrap());
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Memory {
    fn reachable(&self) -> Result<(), StoreError> {
        self.gate.pass();
        match self.unavailable.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable { reason: "secret-host:9092 does not answer".to_owned() }),
            false => Ok(()),
        }
    }

    pub(crate) fn put(&self, tenant: &str, json: Value) {
        self.documents.lock().unwrap().insert(tenant.to_owned(), (json, 1));
    }

    pub(crate) fn get(&self, tenant: &str) -> Option<Value> {
        self.documents.lock().unwrap().get(tenant).map(|(json, _)| json.clone())
    }
}

fn problems(json: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |path: &str, value: &Value, allowed: &str| {
        problems.push(Problem { path: path.to_owned(), value: value.clone(), allowed: allowed.to_owned() });
    };
    for (key, value) in json.as_object().unwrap() {
        match key.as_str() {
            "mfa_policy" if !["never", "all-applications", "confidence-score"].iter().any(|word| value == word) => {
                wrong(key, value, "never, all-applications or confidence-score");
            }
            "scoring" => {
                for (key, value) in value.as_object().unwrap() {
                    if !value.is_number() {
                        wrong(&format!("scoring.{key}"), value, "a number");
                    }
                }
            }
            "mfa_policy" | "risk_assessment" | "note" => {}
            _ => wrong(key, value, "absent"),
        }
    }
    problems
}

impl TenantSettings for Memory {
    fn document(&self, tenant: &str) -> Result<Option<Document>, StoreError> {
        self.reachable()?;
        let documents = self.documents.lock().unwrap();
        Ok(documents.get(tenant).map(|(json, version)| Document { json: json.clone(), version: format!("v{version}") }))
    }

    fn in_force(&self, tenant: &str) -> Result<InForce, StoreError> {
        self.reachable()?;
        let json = self.get(tenant).unwrap_or_else(|| json!({}));
        let mfa_policy = match json["mfa_policy"].as_str() {
            Some("all-applications") => MfaPolicy::AllApplications,
            Some("confidence-score") => MfaPolicy::ConfidenceScore,
            _ => MfaPolicy::Never,
        };
        let enabled = json["risk_assessment"]["enabled"].as_bool().unwrap_or(false);
        Ok(InForce {
            mfa_policy,
            // As in the reference: the policy turns it on.
            risk_enabled: enabled || mfa_policy == MfaPolicy::ConfidenceScore,
            remember_for_days: json["scoring"]["device.remember_for_days"].as_u64().unwrap_or(30) as u32,
        })
    }

    fn check(&self, _tenant: &str, json: &Value) -> Result<(), Vec<Problem>> {
        let problems = problems(json);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn write(
        &self,
        tenant: &str,
        json: Option<Value>,
        expected: &Expected,
        audit: &Audit,
    ) -> Result<Option<Document>, WriteError> {
        self.reachable()?;
        if let Some(json) = &json {
            self.check(tenant, json).map_err(WriteError::Invalid)?;
        }
        if self.lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(WriteError::VersionMismatch);
        }
        let mut documents = self.documents.lock().unwrap();
        let current = documents.get(tenant).map(|(_, version)| *version);
        let fits = match expected {
            Expected::Any => true,
            Expected::Absent => current.is_none(),
            Expected::Version(version) => current.is_some_and(|current| *version == format!("v{current}")),
        };
        if !fits {
            return Err(WriteError::VersionMismatch);
        }
        self.audits.lock().unwrap().push(audit.clone());
        match json {
            Some(json) => {
                let version = current.unwrap_or(0) + 1;
                documents.insert(tenant.to_owned(), (json.clone(), version));
                Ok(Some(Document { json, version: format!("v{version}") }))
            }
            None => {
                documents.remove(tenant);
                Ok(None)
            }
        }
    }

    fn clear_devices(&self, tenant: &str, user_id: &str, connection: &str, audit: &Audit) -> Result<(), StoreError> {
        self.reachable()?;
        let mut cleared = self.cleared.lock().unwrap();
        cleared.push((tenant.to_owned(), user_id.to_owned(), connection.to_owned()));
        self.audits.lock().unwrap().push(audit.clone());
        Ok(())
    }
}

struct Healthy;

impl Probes for Healthy {
    fn live(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        Err("the changelog is being read".to_owned())
    }

    fn started(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Names and values.
pub(crate) type Headers<'a> = &'a [(&'a str, &'a str)];

pub(crate) struct Server {
    pub(crate) admin: Admin,
    pub(crate) store: Arc<Memory>,
    agent: Agent,
}

/// What came back. Without a body the JSON is null.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> &str {
        self.json["errorCode"].as_str().unwrap_or_default()
    }
}

impl Server {
    pub(crate) fn start(config: &ApiConfig) -> Self {
        let store = Arc::new(Memory::default());
        let api = Api::new(config, store.clone()).unwrap();
        let admin = Admin::start("127.0.0.1:0".parse().unwrap(), Registry::new(), Arc::new(Healthy), api).unwrap();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Self { admin, store, agent }
    }

    /// A bearer token where it is not empty, any further headers, a body where there is one.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.admin.address()));
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = match body {
            Some(body) => {
                if !headers.iter().any(|(name, _)| *name == "content-type") {
                    request = request.header("content-type", "application/json");
                }
                self.agent.run(request.body(body.to_owned()).unwrap()).unwrap()
            }
            None => self.agent.run(request.body(()).unwrap()).unwrap(),
        };
        let text = response.body_mut().read_to_string().unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, token, &[], None)
    }

    /// Sends bytes as they are, and reads one answer.
    pub(crate) fn raw(&self, parts: &[&str]) -> Answer {
        let mut stream = TcpStream::connect(self.admin.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        for part in parts {
            // The other end may have answered already and closed.
            let _closed = stream.write_all(part.as_bytes());
        }
        let mut reader = BufReader::new(stream);
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let status = line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        while let Some((name, value)) = line().split_once(": ") {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let length = headers.get("content-length").map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        let mut text = String::new();
        reader.take(length).read_to_string(&mut text).unwrap();
        Answer { status, headers, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    pub(crate) fn send(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        self.ask(method, path, token, &[], Some(&body.to_string()))
    }

    /// The value of a metric's line, 0 where there is none.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.get("/metrics", "").text;
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ').map(str::to_owned));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// Waits for a condition, and fails when it does not come about.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < until, "{what}: it did not come about");
        std::thread::yield_now();
    }
}

pub(crate) fn sha256(text: &str) -> String {
    ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

pub(crate) fn token(name: &str, tenant: &str, scopes: &[&str]) -> StaticToken {
    StaticToken {
        name: name.to_owned(),
        sha256: sha256(name),
        tenant: tenant.to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    }
}

/// Static tokens, each of which is its own name: `acme` and `globex` for these tenants, `all` for everybody,
/// `reader` for what can be read of acme. And limits that are not reached by accident.
pub(crate) fn config() -> ApiConfig {
    let mut config = ApiConfig {
        tokens: vec![
            token("acme", "acme", &SCOPES),
            token("globex", "globex", &SCOPES),
            token("all", "*", &SCOPES),
            token("reader", "acme", &["read:mfa_policies", "read:attack_protection", "read:tenant_settings"]),
        ],
        ..ApiConfig::default()
    };
    config.limits.burst = 1_000_000;
    config.limits.unauthenticated_burst = 1_000_000;
    config
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().enumerate().fold(0_u32, |bits, (i, byte)| bits | u32::from(*byte) << (16 - 8 * i));
        for i in 0..=three.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * i)) as usize & 63]));
        }
    }
    text
}

pub(crate) enum SigningKey {
    Rsa(RsaKeyPair, Value),
    Ec(EcdsaKeyPair),
}

/// Made once: it takes a moment.
static RSA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    key.to_pkcs8_der().unwrap().as_bytes().to_vec()
});

impl SigningKey {
    pub(crate) fn rsa() -> Self {
        let key = RsaKeyPair::from_pkcs8(&RSA).unwrap();
        let public: ring::rsa::PublicKeyComponents<Vec<u8>> = key.public().into();
        let jwk = json!({ "kty": "RSA", "n": base64url(&public.n), "e": base64url(&public.e) });
        Self::Rsa(key, jwk)
    }

    pub(crate) fn ec() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(..) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    pub(crate) fn jwk(&self, id: &str) -> Value {
        let mut jwk = match self {
            Self::Rsa(_, jwk) => jwk.clone(),
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": base64url(&point[1..33]), "y": base64url(&point[33..]) })
            }
        };
        jwk["kid"] = json!(id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm());
        jwk
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key, _) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
        }
    }

    /// A token with this header and these claims, whatever they are.
    pub(crate) fn issue(&self, header: &Value, claims: &Value) -> String {
        signed(header, claims, |message| self.sign(message))
    }
}

pub(crate) fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    format!("{message}.{}", base64url(&sign(message.as_bytes())))
}

pub(crate) const ISSUER: &str = "https://login.example.com/";
pub(crate) const AUDIENCE: &str = "https://credence.example.com/";
pub(crate) const TENANT_CLAIM: &str = "https://example.com/tenant";

pub(crate) fn jwt_config(jwks: admin::auth::JwksSource) -> JwtConfig {
    JwtConfig { min_refresh_s: 1, ..JwtConfig::new(ISSUER, AUDIENCE, TENANT_CLAIM, jwks) }
}

/// Good claims for acme, with all scopes.
pub(crate) fn claims() -> Map<String, Value> {
    let claims = json!({
        "iss": ISSUER, "aud": [AUDIENCE, "https://other.example.com/"], "exp": now_s() + 600, "nbf": now_s() - 5,
        "sub": "auth0|42", "azp": "client-1", "jti": "token-1", "scope": SCOPES.join(" "), TENANT_CLAIM: "acme",
    });
    claims.as_object().unwrap().clone()
}
