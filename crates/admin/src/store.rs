//! What the settings API stands on: a store of one document a tenant.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

/// Where the settings of tenants are kept. Calls may block; each runs on a thread for such calls, with a
/// deadline ([`Limits::store_timeout_ms`](crate::Limits)), after which the caller is told that the store is not
/// available and the call goes on alone.
pub trait TenantSettings: Send + Sync + 'static {
    /// The tenant's own document with its version, none where it has none.
    ///
    /// # Errors
    /// The store cannot be read now.
    fn document(&self, tenant: &str) -> Result<Option<Document>, StoreError>;

    /// What is in force for the three settings of the reference's API: the document's, else the deployment's.
    ///
    /// # Errors
    /// The store cannot be read now.
    fn in_force(&self, tenant: &str) -> Result<InForce, StoreError>;

    /// Looks whether a document could be stored.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn check(&self, tenant: &str, json: &Value) -> Result<(), Vec<Problem>>;

    /// Stores a document, or removes it (none), and answers what is stored now. Returns after the change is
    /// acknowledged and visible to [`document`](Self::document) and [`in_force`](Self::in_force), and after
    /// `audit` is on its way to the tenant's log.
    ///
    /// # Errors
    /// The document has problems, another version is stored than `expected`, or the store cannot be written
    /// now; nothing is changed then, but for a write of which nobody can say what became of it.
    fn write(
        &self,
        tenant: &str,
        json: Option<Value>,
        expected: &Expected,
        audit: &Audit,
    ) -> Result<Option<Document>, WriteError>;

    /// Forgets the devices of a user. Unknown users are no error: the reference does not tell them apart
    /// either.
    ///
    /// # Errors
    /// The order cannot be given now.
    fn clear_devices(&self, tenant: &str, user_id: &str, connection: &str, audit: &Audit) -> Result<(), StoreError>;
}

/// A tenant's document as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// A JSON object.
    pub json: Value,
    /// Names this state of it, in visible ASCII without quotation marks; another state has another version.
    pub version: String,
}

/// What a write replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// Nothing: the tenant has no document yet.
    Absent,
    /// The document of this version.
    Version(String),
}

/// The tenant's MFA policy (domain, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MfaPolicy {
    /// `[]`.
    Never,
    /// `["all-applications"]`.
    AllApplications,
    /// `["confidence-score"]`.
    ConfidenceScore,
}

/// The three settings of the reference's API as they are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// When a second factor is asked for.
    pub mfa_policy: MfaPolicy,
    /// Whether logins are assessed.
    pub risk_enabled: bool,
    /// How long a device is remembered, in days, 1 to 365.
    pub remember_for_days: u32,
}

/// One thing that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// Where, for instance `scoring.device.remember_for_days`; empty for the whole.
    pub path: String,
    /// What stands there.
    pub value: Value,
    /// What may.
    pub allowed: String,
}

/// Who changes what: what the store needs to write a tenant log record of type `sapi`. Texts are bounded here
/// and come from outside all the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// A static token's name, or the `sub` of a JWT.
    pub actor: String,
    /// The JWT's `azp` or `client_id`.
    pub client_id: Option<String>,
    /// The JWT's `jti`.
    pub token_id: Option<String>,
    /// The scopes that the call needed, all of which the token has.
    pub scopes: Vec<String>,
    /// For instance `PATCH`.
    pub method: String,
    /// As it was asked for, at most 2,048 bytes of it.
    pub path: String,
    /// Without the question mark, at most 2,048 bytes of it.
    pub query: Option<String>,
    /// The other end of the connection. Headers of proxies are not believed.
    pub peer: IpAddr,
    /// At most 512 bytes of it.
    pub user_agent: Option<String>,
    /// The request's JSON, within the limits for bodies.
    pub body: Option<Value>,
    /// What is answered when the change is made.
    pub status: u16,
}

/// The store does not answer as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be asked now; the same call may succeed later.
    #[error("the tenant settings are not available: {reason}")]
    Unavailable {
        /// For the log; callers of the API are not told.
        reason: String,
    },
}

/// A write did not come about.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// The document has problems: all of them.
    #[error("the document has {} problems", .0.len())]
    Invalid(Vec<Problem>),
    /// Another version is stored than the one to replace.
    #[error("the document was changed meanwhile")]
    VersionMismatch,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
