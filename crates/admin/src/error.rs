//! What the API answers when it does not do what was asked, in the shape of the reference's errors.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::store::{Problem, StoreError, WriteError};

/// No answer lists more; the message says how many there are.
const MAX_PROBLEMS: usize = 100;
/// No message names more.
const MAX_NAMED: usize = 5;

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: Option<&'static str>,
    message: String,
    problems: Vec<Problem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What it looks like.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape<'a> {
    status_code: u16,
    error: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Problem]>::is_empty")]
    problems: &'a [Problem],
}

impl ApiError {
    fn new(status: StatusCode, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), problems: Vec::new(), headers: Vec::new() }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The address does not say what is allowed to say there.
    pub(crate) fn uri(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Some("invalid_uri"), message)
    }

    pub(crate) fn query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Some("invalid_query_string"), message)
    }

    pub(crate) fn request_header(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Some("invalid_headers"), message)
    }

    /// The body is not the JSON that it should be.
    pub(crate) fn body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Some("invalid_body"), message)
    }

    /// The body is JSON, with problems.
    pub(crate) fn problems(mut problems: Vec<Problem>) -> Self {
        let total = problems.len();
        let named: Vec<String> = problems
            .iter()
            .take(MAX_NAMED)
            .map(|problem| match problem.path.as_str() {
                "" => format!("the body: allowed are {}", problem.allowed),
                path => format!("{path}: allowed are {}", problem.allowed),
            })
            .collect();
        let more = match total.saturating_sub(named.len()) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        problems.truncate(MAX_PROBLEMS);
        let message = format!("Payload validation error: {}{more}", named.join("; "));
        Self { problems, ..Self::body(message) }
    }

    /// No token, or none that is good. Why is not told, but for a good token whose time is up.
    pub(crate) fn unauthorized(message: &'static str) -> Self {
        let challenge = match message {
            MISSING => HeaderValue::from_static("Bearer"),
            _ => HeaderValue::from_static("Bearer error=\"invalid_token\""),
        };
        Self::new(StatusCode::UNAUTHORIZED, None, message).with(header::WWW_AUTHENTICATE, challenge)
    }

    pub(crate) fn scope(needed: &str) -> Self {
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"");
        let error = Self::new(
            StatusCode::FORBIDDEN,
            Some("insufficient_scope"),
            format!("Insufficient scope, expected any of: {needed}"),
        );
        match HeaderValue::from_str(&challenge) {
            Ok(challenge) => error.with(header::WWW_AUTHENTICATE, challenge),
            Err(_) => error,
        }
    }

    /// The same whether that tenant exists or not.
    pub(crate) fn other_tenant() -> Self {
        Self::new(StatusCode::FORBIDDEN, Some("other_tenant"), "The token is not for this tenant")
    }

    pub(crate) fn no_tenant() -> Self {
        let message = "The token is for all tenants; this path takes the tenant from the token and needs one that is \
                       for one tenant";
        Self::new(StatusCode::FORBIDDEN, Some("no_tenant"), message)
    }

    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, None, "Not Found")
    }

    pub(crate) fn no_document() -> Self {
        let message = "The tenant has no settings of its own: those of the deployment are in force";
        Self::new(StatusCode::NOT_FOUND, Some("inexistent_settings"), message)
    }

    pub(crate) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, None, "Method Not Allowed")
    }

    /// Closes the connection: the rest of the body is not waited for.
    pub(crate) fn slow_body() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, None, "The body did not arrive in time")
            .with(header::CONNECTION, HeaderValue::from_static("close"))
    }

    pub(crate) fn version() -> Self {
        let message = "Another version of the settings is stored; read them again and repeat the change";
        Self::new(StatusCode::PRECONDITION_FAILED, Some("version_mismatch"), message)
    }

    /// Closes the connection: the rest of the body is not read.
    pub(crate) fn too_large(max_bytes: usize) -> Self {
        let message = format!("The body has more than {max_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Some("payload_too_large"), message)
            .with(header::CONNECTION, HeaderValue::from_static("close"))
    }

    pub(crate) fn media_type(message: &'static str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, message)
    }

    pub(crate) fn too_many(retry_after_s: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Some("too_many_requests"), "Global limit has been reached")
            .with(header::RETRY_AFTER, HeaderValue::from(retry_after_s))
    }

    fn unavailable(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Some("service_unavailable"), message)
            .with(header::RETRY_AFTER, HeaderValue::from(5_u64))
    }

    /// The store cannot be asked.
    pub(crate) fn store() -> Self {
        Self::unavailable("The settings are not available now")
    }

    /// The store takes too long.
    pub(crate) fn store_timeout(write: bool) -> Self {
        Self::unavailable(if write {
            "The settings did not answer in time; whether the change is made can be seen by reading them"
        } else {
            "The settings did not answer in time"
        })
    }

    /// Others change the same document all the time.
    pub(crate) fn busy() -> Self {
        Self::unavailable("The settings are being changed by others; repeat the change")
    }

    /// No key has been loaded yet.
    pub(crate) fn no_keys() -> Self {
        Self::unavailable("The keys that tokens are verified with are not available now")
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

/// Nothing was shown.
pub(crate) const MISSING: &str = "Missing authentication";
/// What was shown is not good.
pub(crate) const INVALID: &str = "Invalid token";
/// It was, but its time is up.
pub(crate) const EXPIRED: &str = "Expired token received for JSON Web Token validation";

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::warn!("a request to the settings API failed: {error}");
        Self::store()
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Invalid(problems) => Self::problems(problems),
            WriteError::VersionMismatch => Self::version(),
            WriteError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let shape = Shape {
            status_code: self.status.as_u16(),
            error: self.status.canonical_reason().unwrap_or("Error"),
            message: &self.message,
            error_code: self.code,
            problems: &self.problems,
        };
        let body = serde_json::to_vec(&shape).unwrap_or_default();
        let mut response = (self.status, Body::from(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, JSON);
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

/// As the reference writes it.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
