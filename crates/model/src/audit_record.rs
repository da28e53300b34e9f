//! The log record of a change of settings: type `sapi`, in the format of the reference's log records.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::address::Ip;
use crate::json_out::{JsonWriter, ToJson, Word, record};
use crate::log_record::LogId;
use crate::time::Timestamp;

record! {
    /// A record of the tenant log topic that tells of a change of settings.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct AuditRecord<'a> {
        /// Unique, opaque, sortable by time.
        #[schemars(with = "String")]
        pub log_id: LogId,
        /// The record itself.
        pub data: AuditData<'a>,
    }

    /// The record itself; field names and types are the reference's.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct AuditData<'a> {
        /// When it happened: ISO 8601, UTC, milliseconds.
        #[schemars(with = "String", extend("format" = "date-time"))]
        pub date: Timestamp,
        /// Which kind of record.
        #[schemars(with = "String", extend("const" = "sapi"))]
        pub kind as "type": Word,
        /// In words.
        pub description: Cow<'a, str>,
        /// The client that the token was made for.
        pub client_id unless "Option::is_none": Option<Cow<'a, str>>,
        /// Whose token it was.
        pub client_name: Cow<'a, str>,
        /// The other end of the connection.
        #[schemars(with = "String")]
        pub ip: Ip,
        /// Its user agent.
        pub user_agent unless "Option::is_none": Option<Cow<'a, str>>,
        /// The user whom the change is about.
        pub user_id unless "Option::is_none": Option<Cow<'a, str>>,
        /// The same as the envelope's.
        #[schemars(with = "String")]
        pub log_id: LogId,
        /// The tenant.
        pub tenant_name: Cow<'a, str>,
        /// Name of the deployment.
        pub environment_name: Cow<'a, str>,
        /// The call.
        pub details: AuditDetails<'a>,
    }

    /// A call of the settings API.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    #[schemars(rename = "AuditDetails")]
    pub struct AuditDetails<'a> {
        /// What was asked.
        pub request: AuditRequest<'a>,
        /// What was answered.
        pub response: AuditResponse,
    }

    /// What was asked.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct AuditRequest<'a> {
        /// For instance `patch`.
        pub method: Cow<'a, str>,
        /// The path.
        pub path: Cow<'a, str>,
        /// The query.
        pub query unless "Option::is_none": Option<Cow<'a, str>>,
        /// The body.
        #[schemars(with = "Option<Value>")]
        pub body unless "Option::is_none": Option<AuditBody<'a>>,
        /// Who was allowed to.
        pub auth: AuditAuth<'a>,
    }

    /// Who was allowed to.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct AuditAuth<'a> {
        /// Whose token it was: its `sub`, or the name of a static one.
        pub subject: Cow<'a, str>,
        /// The token.
        pub credentials: AuditCredentials<'a>,
    }

    /// A token.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct AuditCredentials<'a> {
        /// Its id.
        pub jti unless "Option::is_none": Option<Cow<'a, str>>,
        /// The scopes that were needed.
        #[schemars(with = "Vec<String>")]
        pub scopes: Scopes<'a>,
    }

    /// What was answered.
    #[derive(Debug, Clone, Serialize, JsonSchema)]
    pub struct AuditResponse {
        /// HTTP status.
        pub status_code as "statusCode": u32,
    }
}

/// A body that was sent, as JSON.
#[derive(Debug, Clone)]
pub struct AuditBody<'a>(pub &'a Value);

impl Serialize for AuditBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl ToJson for AuditBody<'_> {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        // Writing a value to memory does not fail.
        json.put(&serde_json::to_vec(self.0).unwrap_or_else(|_| b"null".to_vec()));
    }
}

/// A list of scopes.
#[derive(Debug, Clone)]
pub struct Scopes<'a>(pub &'a [String]);

impl Serialize for Scopes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0)
    }
}

impl ToJson for Scopes<'_> {
    fn write_json(&self, json: &mut JsonWriter<'_>) {
        json.put(&serde_json::to_vec(self.0).unwrap_or_else(|_| b"[]".to_vec()));
    }
}

impl AuditRecord<'_> {
    /// The type of these records.
    pub const KIND: &'static str = "sapi";

    /// `data.type`, as it is written.
    #[must_use]
    pub fn kind() -> Word {
        Word(Self::KIND)
    }
}
