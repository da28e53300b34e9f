//! JSON Schemas of what goes over the topics.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::json;

use crate::audit_record::AuditRecord;
use crate::command::Command;
use crate::event::Wire;
use crate::log_record::LogRecord;
use crate::verdict::Verdict;

/// For what is read.
fn input() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

/// For what is written: a field that may be left out is not required.
fn output() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

/// The schema of a login event.
#[must_use]
pub fn login_event() -> Schema {
    let mut schema = titled(input().into_root_schema_for::<Wire<'static>>(), "LoginEvent");
    // The type itself has a default for every field: what is missing is found after reading.
    schema.insert("required".to_owned(), json!(["id", "time", "tenant"]));
    // Whoever got his first factor right is known.
    let failures = ["failed_password", "failed_username", "failed_mfa", "failed_other"];
    schema
        .insert("if".to_owned(), json!({ "required": ["outcome"], "properties": { "outcome": { "enum": failures } } }));
    let known = json!({ "type": "object", "required": ["user_id"], "properties": { "user_id": { "type": "string" } } });
    schema.insert("else".to_owned(), json!({ "required": ["user"], "properties": { "user": known } }));
    schema
}

/// The schema of a verdict.
#[must_use]
pub fn verdict() -> Schema {
    titled(output().into_root_schema_for::<Verdict<'static>>(), "Verdict")
}

/// The schema of a tenant log record.
#[must_use]
pub fn tenant_log() -> Schema {
    titled(output().into_root_schema_for::<LogRecord<'static>>(), "TenantLogRecord")
}

/// The schema of a tenant log record that tells of a change of settings.
#[must_use]
pub fn tenant_audit() -> Schema {
    titled(output().into_root_schema_for::<AuditRecord<'static>>(), "TenantAuditRecord")
}

/// The schema of an order to the owner of a partition.
#[must_use]
pub fn command() -> Schema {
    titled(input().into_root_schema_for::<Command>(), "Command")
}

fn titled(mut schema: Schema, title: &str) -> Schema {
    schema.insert("title".to_owned(), title.into());
    schema
}
