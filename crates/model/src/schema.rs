//! JSON Schemas of what goes over the topics.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};

use crate::event::Wire;
use crate::log_record::LogRecord;
use crate::verdict::Verdict;

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

/// The schema of a login event.
#[must_use]
pub fn login_event() -> Schema {
    titled(generator().into_root_schema_for::<Wire<'static>>(), "LoginEvent")
}

/// The schema of a verdict.
#[must_use]
pub fn verdict() -> Schema {
    titled(generator().into_root_schema_for::<Verdict<'static>>(), "Verdict")
}

/// The schema of a tenant log record.
#[must_use]
pub fn tenant_log() -> Schema {
    titled(generator().into_root_schema_for::<LogRecord<'static>>(), "TenantLogRecord")
}

fn titled(mut schema: Schema, title: &str) -> Schema {
    schema.insert("title".to_owned(), title.into());
    schema
}
