//! The settings API: what is asked, who may, and what becomes of it.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::auth::{Authenticator, JwtConfig, Principal, StaticToken, Tenants, is_name};
use crate::error::{ApiError, JSON};
use crate::json;
use crate::limit::{Key, Limiter, Standing};
use crate::metrics::Metrics;
use crate::operations::{Call, OPERATIONS, Operation, Size};
use crate::payload::{self, Change};
use crate::store::{Audit, Document, Expected, Problem, StoreError, TenantSettings, WriteError};

/// A change of one field is tried again so often when others change the document meanwhile.
const MAX_TRIES: usize = 64;
/// The reference's longest user id, in characters.
const MAX_USER_ID_CHARS: usize = 1024;
/// More of a path or a query is not kept for the log, in bytes.
const MAX_AUDIT_PATH_BYTES: usize = 2048;
/// More of a user agent is not.
const MAX_AUDIT_AGENT_BYTES: usize = 512;
/// Of a body that is too large so much more is read, in so much time, so that a client that is still sending
/// sees the answer and not a connection that breaks.
const MAX_DRAIN_BYTES: usize = 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_millis(500);
/// Tags of an `If-Match`.
const MAX_TAGS: usize = 16;

/// How the settings API is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiConfig {
    /// Tokens that do not change.
    pub tokens: Vec<StaticToken>,
    /// JWTs of an issuer.
    pub jwt: Option<JwtConfig>,
    /// How much may be asked.
    pub limits: Limits,
}

/// How much may be asked. Every figure is at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests that a static token, or all JWTs of a tenant together, may go on with, a second.
    pub requests_per_s: u32,
    /// Requests of them at once, after a pause.
    pub burst: u32,
    /// Requests without a good token that an address (a v6 network of 64 bits) may go on with, a second, before
    /// they are refused as too many. A good token is served whatever else comes from its address.
    pub unauthenticated_per_s: u32,
    /// Such requests at once, after a pause.
    pub unauthenticated_burst: u32,
    /// The largest document, in bytes, at most 16 MiB.
    pub document_bytes: usize,
    /// Any other body, in bytes, at most 16 MiB.
    pub body_bytes: usize,
    /// A body has to be there in that time, in milliseconds.
    pub body_timeout_ms: u64,
    /// The store has to answer in that time, in milliseconds.
    pub store_timeout_ms: u64,
    /// The store is asked so many things at a time; others wait within their deadline. At most 256.
    pub store_calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_s: 10,
            burst: 50,
            unauthenticated_per_s: 1,
            unauthenticated_burst: 20,
            document_bytes: 256 * 1024,
            body_bytes: 16 * 1024,
            body_timeout_ms: 10_000,
            store_timeout_ms: 10_000,
            store_calls: 8,
        }
    }
}

/// The configuration of the API has problems: all of them, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the settings API cannot be served: {}", .0.join("; "))]
pub struct ApiConfigError(pub Vec<String>);

/// The settings API, ready to be served by [`Admin::start`](crate::Admin::start).
pub struct Api {
    auth: Authenticator,
    store: Arc<dyn TenantSettings>,
    limits: Limits,
    limiter: Limiter,
    unauthenticated: Limiter,
    calls: Arc<Semaphore>,
}

impl Api {
    /// None where no token of either kind is configured: nobody could ask.
    ///
    /// # Errors
    /// All that is wrong with the configuration. A JWKS file is read here; a JWKS URL is not asked before the
    /// port is served.
    pub fn new(config: &ApiConfig, store: Arc<dyn TenantSettings>) -> Result<Option<Self>, ApiConfigError> {
        let Gates { auth, limiter, unauthenticated } = Gates::of(config)?;
        let (limits, calls) = (config.limits, Arc::new(Semaphore::new(config.limits.store_calls)));
        let nobody = config.tokens.is_empty() && config.jwt.is_none();
        Ok((!nobody).then_some(Self { auth, store, limits, limiter, unauthenticated, calls }))
    }

    /// What [`Api::new`] would say of a configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn check(config: &ApiConfig) -> Result<(), ApiConfigError> {
        Gates::of(config).map(drop)
    }

    /// Adds the routes.
    pub(crate) fn mount(self: &Arc<Self>, router: Router, metrics: &Metrics) -> Router {
        OPERATIONS.iter().fold(router, |router, operation| {
            let (api, metrics) = (self.clone(), metrics.clone());
            let handler = move |request: Request| serve(api.clone(), metrics.clone(), operation, request);
            router.route(operation.path, on(operation.filter, handler))
        })
    }

    /// What has to go on beside the requests.
    pub(crate) async fn keep_fresh(&self, metrics: &Metrics) {
        self.auth.keep_fresh(metrics).await;
    }
}

/// What a configuration makes of the API, whatever it stands on.
struct Gates {
    auth: Authenticator,
    limiter: Limiter,
    unauthenticated: Limiter,
}

impl Gates {
    fn of(config: &ApiConfig) -> Result<Self, ApiConfigError> {
        let mut problems = Vec::new();
        let limits = config.limits;
        let millis = u64::from(u32::MAX);
        for (name, value, most) in [
            ("requests_per_s", limits.requests_per_s.into(), u32::MAX.into()),
            ("burst", limits.burst.into(), u32::MAX.into()),
            ("unauthenticated_per_s", limits.unauthenticated_per_s.into(), u32::MAX.into()),
            ("unauthenticated_burst", limits.unauthenticated_burst.into(), u32::MAX.into()),
            ("document_bytes", limits.document_bytes as u64, 16 << 20),
            ("body_bytes", limits.body_bytes as u64, 16 << 20),
            ("body_timeout_ms", limits.body_timeout_ms, millis),
            ("store_timeout_ms", limits.store_timeout_ms, millis),
            ("store_calls", limits.store_calls as u64, 256),
        ] {
            if !(1..=most).contains(&value) {
                problems.push(format!("limits.{name} is {value}; allowed are 1 to {most}"));
            }
        }
        let limiter = Limiter::new(limits.requests_per_s, limits.burst);
        let unauthenticated = Limiter::new(limits.unauthenticated_per_s, limits.unauthenticated_burst);
        let auth =
            Authenticator::new(&config.tokens, config.jwt.as_ref()).map_err(|errors| problems.extend(errors)).ok();
        let (Some(auth), Some(limiter), Some(unauthenticated), true) =
            (auth, limiter, unauthenticated, problems.is_empty())
        else {
            return Err(ApiConfigError(problems));
        };
        Ok(Self { auth, limiter, unauthenticated })
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The other end of the connection a request came on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

async fn serve(api: Arc<Api>, metrics: Metrics, operation: &'static Operation, request: Request) -> Response {
    let mut standing = None;
    let answer = api.answer(&metrics, operation, request, &mut standing).await;
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    if let Some(standing) = standing {
        standing.write(response.headers_mut());
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    metrics.request(operation.path, response.status().as_u16());
    response
}

/// Somebody who may, and what he asks.
struct Asked {
    operation: &'static Operation,
    tenant: Arc<str>,
    /// Of the path.
    user_id: String,
    precondition: Precondition,
    dry_run: bool,
    /// Null where the call takes none.
    body: Value,
    audit: Audit,
}

impl Api {
    async fn answer(
        &self,
        metrics: &Metrics,
        operation: &'static Operation,
        request: Request,
        standing: &mut Option<Standing>,
    ) -> Result<Response, ApiError> {
        let (mut parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        let principal = match self.auth.authenticate(&parts.headers, metrics).await {
            Ok(principal) => principal,
            Err(failure) => {
                metrics.not_authenticated(failure);
                let taken = self.unauthenticated.take(&Key::peer(peer));
                return Err(match taken {
                    Ok(_) => failure.error(),
                    Err(refused) => {
                        *standing = Some(refused.0);
                        refused.error()
                    }
                });
            }
        };
        match self.limiter.take(&principal.bucket) {
            Ok(now) => *standing = Some(now),
            Err(refused) => {
                *standing = Some(refused.0);
                return Err(refused.error());
            }
        }
        if !principal.has(operation.scope) {
            metrics.not_allowed("scope");
            return Err(ApiError::scope(operation.scope));
        }
        let params = Params::of(&mut parts, operation).await?;
        let tenant = match (&principal.tenants, params.tenant) {
            (Tenants::One(own), None) => own.clone(),
            (Tenants::One(own), Some(asked)) if **own == *asked => own.clone(),
            (Tenants::All, Some(asked)) => asked.into(),
            (Tenants::One(_), Some(_)) => {
                metrics.not_allowed("other_tenant");
                return Err(ApiError::other_tenant());
            }
            (Tenants::All, None) => {
                metrics.not_allowed("no_tenant");
                return Err(ApiError::no_tenant());
            }
        };
        let dry_run = dry_run(operation, parts.uri.query())?;
        let precondition = match operation.call {
            Call::PutDocument | Call::DeleteDocument => Precondition::of(&parts.headers)?,
            _ => Precondition::None,
        };
        let body = match operation.body {
            Some((size, _)) => self.read(&parts.headers, body, size).await?,
            None => Value::Null,
        };
        let audit = audit(operation, principal, &parts, peer, &body);
        let asked = Asked { operation, tenant, user_id: params.user_id, precondition, dry_run, body, audit };
        self.call(asked).await
    }

    async fn call(&self, asked: Asked) -> Result<Response, ApiError> {
        match asked.operation.call {
            Call::GetPolicies => self.in_force(asked, |settings| payload::policies(settings.mfa_policy)).await,
            Call::GetRisk => self.in_force(asked, |settings| payload::risk(settings.risk_enabled)).await,
            Call::GetNewDevice => {
                self.in_force(asked, |settings| payload::new_device(settings.remember_for_days)).await
            }
            Call::PutPolicies => self.change(asked, payload::read_policies).await,
            Call::PatchRisk => self.change(asked, payload::read_risk).await,
            Call::PatchNewDevice => self.change(asked, payload::read_new_device).await,
            Call::Clear => {
                let connection = payload::read_clear(&asked.body).map_err(ApiError::problems)?;
                let clear = move |store: &dyn TenantSettings| {
                    Ok(store.clear_devices(&asked.tenant, &asked.user_id, &connection, &asked.audit)?)
                };
                self.blocking(true, clear).await?;
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            Call::GetDocument => {
                let document = self.blocking(false, move |store| Ok(store.document(&asked.tenant)?)).await?;
                document_answer(document.ok_or_else(ApiError::no_document)?)
            }
            Call::PutDocument => self.put(asked).await,
            Call::DeleteDocument => {
                self.blocking(true, move |store| {
                    let expected = asked.precondition.expected(store, &asked.tenant)?;
                    store.write(&asked.tenant, None, &expected, &asked.audit)?;
                    Ok(())
                })
                .await?;
                Ok(StatusCode::NO_CONTENT.into_response())
            }
        }
    }

    async fn in_force(
        &self,
        asked: Asked,
        render: impl FnOnce(&crate::store::InForce) -> Value,
    ) -> Result<Response, ApiError> {
        let settings = self.blocking(false, move |store| Ok(store.in_force(&asked.tenant)?)).await?;
        Ok(answer(&render(&settings)))
    }

    /// Changes one field of the document and leaves the others as they are, whoever changes them meanwhile.
    async fn change(
        &self,
        asked: Asked,
        read: impl FnOnce(&Value) -> Result<Change, Vec<Problem>>,
    ) -> Result<Response, ApiError> {
        let change = read(&asked.body).map_err(ApiError::problems)?;
        // Who asked is told after this time that it is not known what became of it, so it must end, too.
        let until = Instant::now() + Duration::from_millis(self.limits.store_timeout_ms);
        let body = self.blocking(true, move |store| apply(store, &asked.tenant, change, &asked.audit, until)).await?;
        Ok(answer(&body))
    }

    async fn put(&self, asked: Asked) -> Result<Response, ApiError> {
        let Asked { tenant, precondition, dry_run, body, audit, .. } = asked;
        if !body.is_object() {
            let problem =
                Problem { path: String::new(), value: body, allowed: "a settings document: an object".to_owned() };
            return Err(ApiError::problems(vec![problem]));
        }
        if dry_run {
            let checked = self.blocking(false, move |store| Ok(store.check(&tenant, &body))).await?;
            checked.map_err(ApiError::problems)?;
            return Ok(answer(&json!({ "valid": true })));
        }
        let written = self.blocking(true, move |store| {
            let expected = precondition.expected(store, &tenant)?;
            Ok(store.write(&tenant, Some(body), &expected, &audit)?)
        });
        let Some(document) = written.await? else {
            tracing::error!("the store answered a written document with none");
            return Err(ApiError::store());
        };
        document_answer(document)
    }

    /// Asks the store on a thread where it may block, within the deadline. A call that takes longer goes on
    /// without anybody who waits, and keeps its place among the calls until it ends.
    async fn blocking<T: Send + 'static>(
        &self,
        write: bool,
        call: impl FnOnce(&dyn TenantSettings) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (store, calls) = (self.store.clone(), self.calls.clone());
        let work = async {
            // Closed is what it never is.
            let place = calls.acquire_owned().await.map_err(|_| ApiError::store())?;
            let work = move || {
                let _place = place;
                call(&*store)
            };
            tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
                tracing::error!("a call of the settings store ended badly: {error}");
                Err(ApiError::store())
            })
        };
        let deadline = Duration::from_millis(self.limits.store_timeout_ms);
        tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| Err(ApiError::store_timeout(write)))
    }

    /// A whole body as JSON.
    async fn read(&self, headers: &HeaderMap, body: Body, size: Size) -> Result<Value, ApiError> {
        let max_bytes = match size {
            Size::Document => self.limits.document_bytes,
            Size::Small => self.limits.body_bytes,
        };
        // Without a type it is JSON, as in the reference.
        if let Some(kind) = headers.get(header::CONTENT_TYPE) {
            let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
            if !essence.eq_ignore_ascii_case("application/json") {
                return Err(ApiError::media_type("The body has to be application/json"));
            }
        }
        if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(ApiError::media_type("The body must not be encoded"));
        }
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|bytes| bytes > max_bytes as u64) {
            drain(body).await;
            return Err(ApiError::too_large(max_bytes));
        }
        let time = Duration::from_millis(self.limits.body_timeout_ms);
        let bytes = match tokio::time::timeout(time, gather(body, max_bytes)).await {
            Ok(bytes) => bytes?,
            Err(_) => return Err(ApiError::slow_body()),
        };
        json::parse(&bytes).map_err(|error| ApiError::body(format!("Invalid request payload JSON format: {error}")))
    }
}

async fn gather(mut body: Body, max_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(data) = next(&mut body).await {
        let data = data.map_err(|_| ApiError::body("The body ended early"))?;
        if data.len() > max_bytes.saturating_sub(bytes.len()) {
            drain(body).await;
            return Err(ApiError::too_large(max_bytes));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

async fn drain(mut body: Body) {
    let read = async {
        let mut left = MAX_DRAIN_BYTES;
        while let Some(Ok(data)) = next(&mut body).await {
            left = left.saturating_sub(data.len());
            if left == 0 {
                break;
            }
        }
    };
    // What is left over is the reason to close the connection.
    let _late = tokio::time::timeout(DRAIN_TIME, read).await;
}

/// The next piece of a body; trailers are nothing.
async fn next(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

fn apply(
    store: &dyn TenantSettings,
    tenant: &str,
    change: Change,
    audit: &Audit,
    until: Instant,
) -> Result<Value, ApiError> {
    for _ in 0..MAX_TRIES {
        let (mut json, expected) = match store.document(tenant)? {
            Some(Document { json: Value::Object(json), version }) => (json, Expected::Version(version)),
            Some(Document { version, .. }) => (Map::new(), Expected::Version(version)),
            None => (Map::new(), Expected::Absent),
        };
        change.apply(&mut json);
        if Instant::now() >= until {
            break;
        }
        match store.write(tenant, Some(Value::Object(json)), &expected, audit) {
            Ok(_) => {
                // It is made; that the rest cannot be read must not look as if it were not.
                let in_force = store.in_force(tenant);
                return Ok(in_force.map_or_else(|_| change.echo(), |in_force| change.answer(&in_force)));
            }
            Err(WriteError::VersionMismatch) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::busy())
}

/// What has to be so for a change of the whole document.
#[derive(Debug, PartialEq, Eq)]
enum Precondition {
    None,
    /// `If-Match: *`.
    Exists,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match` with versions.
    OneOf(Vec<String>),
}

impl Precondition {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let text = |name: HeaderName| {
            let values: Vec<&str> = headers
                .get_all(&name)
                .iter()
                .map(|value| value.to_str().map_err(|_| ApiError::request_header(format!("{name} is no text"))))
                .collect::<Result<_, _>>()?;
            Ok::<_, ApiError>((!values.is_empty()).then(|| values.join(",")))
        };
        let (matched, none_matched) = (text(header::IF_MATCH)?, text(header::IF_NONE_MATCH)?);
        match (matched.as_deref().map(str::trim), none_matched.as_deref().map(str::trim)) {
            (None, None) => Ok(Self::None),
            (Some("*"), None) => Ok(Self::Exists),
            (Some(tags), None) => tags_of(tags).map(Self::OneOf).ok_or_else(|| {
                let message = "If-Match has to be * or entity tags in quotation marks, at most 16, as ETag gave them";
                ApiError::request_header(message)
            }),
            (None, Some("*")) => Ok(Self::Absent),
            (None, Some(_)) => Err(ApiError::request_header("If-None-Match has to be *")),
            (Some(_), Some(_)) => Err(ApiError::request_header("If-Match and If-None-Match exclude each other")),
        }
    }

    fn expected(self, store: &dyn TenantSettings, tenant: &str) -> Result<Expected, ApiError> {
        let current = || Ok::<_, StoreError>(store.document(tenant)?.map(|document| document.version));
        match self {
            Self::None => Ok(Expected::Any),
            Self::Absent => Ok(Expected::Absent),
            Self::Exists => current()?.map(Expected::Version).ok_or_else(ApiError::version),
            Self::OneOf(versions) => {
                let current = current()?.filter(|current| versions.contains(current));
                current.map(Expected::Version).ok_or_else(ApiError::version)
            }
        }
    }
}

/// The versions of a list of entity tags (RFC 9110, section 8.8.3). A weak tag never matches here.
fn tags_of(text: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    let mut rest = text;
    for _ in 0..MAX_TAGS {
        let (strong, opened) = match rest.strip_prefix("W/") {
            Some(weak) => (false, weak),
            None => (true, rest),
        };
        let (tag, after) = opened.strip_prefix('"')?.split_once('"')?;
        if strong {
            tags.push(tag.to_owned());
        }
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(tags);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
    None
}

struct Params {
    tenant: Option<String>,
    user_id: String,
}

impl Params {
    async fn of(parts: &mut Parts, operation: &Operation) -> Result<Self, ApiError> {
        let mut params = Self { tenant: None, user_id: String::new() };
        if !operation.path.contains('{') {
            return Ok(params);
        }
        let unreadable = |_| ApiError::uri("The path is not UTF-8");
        for (name, value) in &RawPathParams::from_request_parts(parts, &()).await.map_err(unreadable)? {
            match name {
                "tenant" => params.tenant = Some(value.to_owned()),
                _ => params.user_id = value.to_owned(),
            }
        }
        if params.tenant.as_deref().is_some_and(|tenant| !is_name(tenant)) {
            return Err(ApiError::uri("The tenant's name has to have 1 to 256 bytes and no control characters"));
        }
        let user_id = &params.user_id;
        let none = params.tenant.is_none() && user_id.is_empty();
        if none || user_id.chars().count() > MAX_USER_ID_CHARS || user_id.contains(char::is_control) {
            return Err(ApiError::uri("The user's id has to have 1 to 1024 characters, none for control"));
        }
        Ok(params)
    }
}

fn dry_run(operation: &Operation, query: Option<&str>) -> Result<bool, ApiError> {
    match (operation.call, query) {
        (_, None | Some("")) | (Call::PutDocument, Some("dry_run=false")) => Ok(false),
        (Call::PutDocument, Some("dry_run=true")) => Ok(true),
        (Call::PutDocument, Some(_)) => Err(ApiError::query("Allowed are dry_run=true and dry_run=false")),
        (_, Some(_)) => Err(ApiError::query("No query parameters are allowed")),
    }
}

fn audit(operation: &Operation, principal: Principal, parts: &Parts, peer: IpAddr, body: &Value) -> Audit {
    let agent = parts.headers.get(header::USER_AGENT);
    Audit {
        actor: principal.actor,
        client_id: principal.client_id,
        token_id: principal.token_id,
        scopes: vec![operation.scope.to_owned()],
        method: parts.method.as_str().to_owned(),
        path: cut(parts.uri.path(), MAX_AUDIT_PATH_BYTES),
        query: parts.uri.query().map(|query| cut(query, MAX_AUDIT_PATH_BYTES)),
        peer,
        user_agent: agent.map(|agent| cut(&String::from_utf8_lossy(agent.as_bytes()), MAX_AUDIT_AGENT_BYTES)),
        body: (!body.is_null()).then(|| body.clone()),
        status: operation.success.0,
    }
}

fn cut(text: &str, max_bytes: usize) -> String {
    let end = (0..=max_bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default().to_owned()
}

fn answer(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
}

fn document_answer(document: Document) -> Result<Response, ApiError> {
    let Document { json, version } = document;
    let visible = version.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    let Some(tag) = HeaderValue::from_str(&format!("\"{version}\"")).ok().filter(|_| visible) else {
        tracing::error!("the version {version:?} of a settings document is no entity tag");
        return Err(ApiError::store());
    };
    let mut response = answer(&json);
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}
