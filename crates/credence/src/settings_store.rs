//! What the settings API stands on: the settings topic to write to, the book of what was read from it, the tenant log
//! for what was changed, and the events topic for orders to the owners of partitions.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use admin::{
    Audit, Document, Expected, InForce as Settings, MfaPolicy as Policy, StoreError, TenantSettings, WriteError,
};
use model::address::Ip;
use model::audit_record::{
    AuditAuth, AuditBody, AuditCredentials, AuditData, AuditDetails, AuditRecord, AuditRequest, AuditResponse, Scopes,
};
use model::command::{self, Command};
use model::key::write_key;
use model::log_record::LogId;
use model::{Encoding, Timestamp};
use policy::document::MfaPolicy;
use prometheus::{IntCounter, Registry};
use serde_json::Value;
use stream::feed::{FeedRecord, Feeder};
use stream::{Connection, Topics};

use crate::data::InForce;
use crate::handler::wall_clock;

/// How long a write may take to be acknowledged, and again to be read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(4);

/// The settings of tenants, as the API sees and changes them.
pub struct SettingsStore {
    in_force: Arc<InForce>,
    /// There when everything was read that was there at the start.
    feeder: OnceLock<Feeder>,
    topics: Topics,
    encoding: Encoding,
    environment_name: String,
    /// One change at a time, so that what is replaced is what was looked at.
    changing: Mutex<()>,
    lost_audits: IntCounter,
}

impl SettingsStore {
    /// Over what is in force. Nothing is answered before [`SettingsStore::open`] was called.
    ///
    /// # Errors
    /// The metrics are registered already.
    pub fn new(
        in_force: Arc<InForce>,
        topics: Topics,
        encoding: Encoding,
        environment_name: &str,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let lost_audits = IntCounter::new(
            "credence_audit_records_lost_total",
            "Changes of settings that were made and could not be written to the tenant log.",
        )?;
        registry.register(Box::new(lost_audits.clone()))?;
        Ok(Self {
            in_force,
            feeder: OnceLock::new(),
            topics,
            encoding,
            environment_name: environment_name.to_owned(),
            changing: Mutex::new(()),
            lost_audits,
        })
    }

    /// Everything was read that was there at the start: from now on the store answers.
    ///
    /// # Errors
    /// No producer can be made.
    pub fn open(&self, connection: &Connection) -> anyhow::Result<()> {
        // Once is enough.
        let _opened = self.feeder.set(Feeder::new(connection)?);
        Ok(())
    }

    fn ready(&self) -> Result<&Feeder, StoreError> {
        self.feeder.get().ok_or_else(|| unavailable("the settings topic is not read yet"))
    }

    /// Writes the record of a change. The change is made: what goes wrong here is told to ops, not to the caller.
    fn audit(
        &self,
        feeder: &Feeder,
        tenant: &str,
        user_id: Option<&str>,
        description: &str,
        audit: &Audit,
        place: (i32, i64),
    ) {
        let date = wall_clock();
        let record = audit_record(tenant, user_id, description, audit, &self.environment_name, date, place);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        write_key(tenant, None, &mut key);
        let written = self.encoding.encode(&record, &mut value).map_err(|error| error.to_string()).and_then(|()| {
            let record = FeedRecord {
                topic: &self.topics.logs,
                key: Some(&key),
                payload: Some(&value),
                ..FeedRecord::default()
            };
            feeder.send_and_wait(record, WRITE_TIMEOUT).map(drop).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            self.lost_audits.inc();
            tracing::error!(
                tenant,
                actor = audit.actor,
                method = audit.method,
                path = audit.path,
                "a change of settings is not in the tenant log: {error}"
            );
        }
    }
}

fn unavailable(reason: impl ToString) -> StoreError {
    StoreError::Unavailable { reason: reason.to_string() }
}

fn problem(problem: policy::Problem) -> admin::Problem {
    let value = serde_json::from_str(&problem.value).unwrap_or(Value::String(problem.value));
    admin::Problem { path: problem.path, value, allowed: problem.allowed }
}

impl TenantSettings for SettingsStore {
    fn document(&self, tenant: &str) -> Result<Option<Document>, StoreError> {
        self.ready()?;
        let document = self.in_force.book.document(tenant);
        Ok(document.map(|own| Document { json: own.json.clone(), version: own.version.to_string() }))
    }

    fn in_force(&self, tenant: &str) -> Result<Settings, StoreError> {
        self.ready()?;
        let tenant = self.in_force.book.in_force(tenant);
        Ok(Settings {
            mfa_policy: match tenant.mfa_policy() {
                MfaPolicy::Never => Policy::Never,
                MfaPolicy::Always => Policy::AllApplications,
                // Without a policy low confidence is challenged, too.
                MfaPolicy::Unset | MfaPolicy::Adaptive => Policy::ConfidenceScore,
            },
            risk_enabled: tenant.assesses(),
            remember_for_days: tenant.settings().remember_for_days,
        })
    }

    fn check(&self, tenant: &str, json: &Value) -> Result<(), Vec<admin::Problem>> {
        self.in_force.book.check(tenant, json).map_err(|problems| problems.into_iter().map(problem).collect())
    }

    fn write(
        &self,
        tenant: &str,
        json: Option<Value>,
        expected: &Expected,
        audit: &Audit,
    ) -> Result<Option<Document>, WriteError> {
        let feeder = self.ready()?;
        if let Some(json) = &json {
            self.check(tenant, json).map_err(WriteError::Invalid)?;
        }
        let place = {
            let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
            let found = self.in_force.book.document(tenant).map(|own| own.version.to_string());
            let is_expected = match expected {
                Expected::Any => true,
                Expected::Absent => found.is_none(),
                Expected::Version(version) => found.as_ref() == Some(version),
            };
            if !is_expected {
                return Err(WriteError::VersionMismatch);
            }
            let value = json.as_ref().map(|json| json.to_string().into_bytes());
            let record = FeedRecord {
                topic: &self.topics.settings,
                key: Some(tenant.as_bytes()),
                payload: value.as_deref(),
                ..FeedRecord::default()
            };
            let place = feeder.send_and_wait(record, WRITE_TIMEOUT).map_err(unavailable)?;
            if !self.in_force.book.wait_until_read(place.1 + 1, WRITE_TIMEOUT) {
                return Err(unavailable("the change is written and was not read back in time").into());
            }
            place
        };
        let description = if json.is_some() { "Update tenant settings" } else { "Remove tenant settings" };
        self.audit(feeder, tenant, None, description, audit, place);
        Ok(self.document(tenant)?)
    }

    fn clear_devices(&self, tenant: &str, user_id: &str, _connection: &str, audit: &Audit) -> Result<(), StoreError> {
        let feeder = self.ready()?;
        let command = Command::ClearDevices { tenant: tenant.to_owned(), user_id: user_id.to_owned() };
        let value = serde_json::to_vec(&command).map_err(unavailable)?;
        let mut key = Vec::new();
        write_key(tenant, Some(user_id), &mut key);
        let record = FeedRecord {
            topic: &self.topics.events,
            key: Some(&key),
            payload: Some(&value),
            headers: &[("content-type", command::CONTENT_TYPE.as_bytes())],
            ..FeedRecord::default()
        };
        let place = feeder.send_and_wait(record, WRITE_TIMEOUT).map_err(unavailable)?;
        self.audit(feeder, tenant, Some(user_id), "Clear risk assessments of a user", audit, place);
        Ok(())
    }
}

/// The record of a change. `place`: partition and offset of the record that makes it.
fn audit_record<'a>(
    tenant: &'a str,
    user_id: Option<&'a str>,
    description: &'a str,
    audit: &'a Audit,
    environment_name: &'a str,
    date: Timestamp,
    (partition, offset): (i32, i64),
) -> AuditRecord<'a> {
    // Two changes have two places, in one of two topics. An id takes the upper half of a hash and its last 16 bits.
    let offset = u128::from(offset as u64);
    let upper = u128::from(user_id.is_some()) << 63 | u128::from(partition as u16 & 0x7fff) << 48 | offset >> 16;
    let log_id = LogId::new(date, upper << 64 | offset & 0xffff);
    AuditRecord {
        log_id,
        data: AuditData {
            date,
            kind: AuditRecord::kind(),
            description: description.into(),
            client_id: audit.client_id.as_deref().map(Into::into),
            client_name: audit.actor.as_str().into(),
            ip: Ip(audit.peer),
            user_agent: audit.user_agent.as_deref().map(Into::into),
            user_id: user_id.map(Into::into),
            log_id,
            tenant_name: tenant.into(),
            environment_name: environment_name.into(),
            details: AuditDetails {
                request: AuditRequest {
                    method: audit.method.to_ascii_lowercase().into(),
                    path: audit.path.as_str().into(),
                    query: audit.query.as_deref().map(Into::into),
                    body: audit.body.as_ref().map(AuditBody),
                    auth: AuditAuth {
                        subject: audit.actor.as_str().into(),
                        credentials: AuditCredentials {
                            jti: audit.token_id.as_deref().map(Into::into),
                            scopes: Scopes(&audit.scopes),
                        },
                    },
                },
                response: AuditResponse { status_code: audit.status.into() },
            },
        },
    }
}
