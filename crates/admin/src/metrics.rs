//! What the port tells about itself. Labels are route templates, statuses and words of this crate.

use prometheus::{Gauge, IntCounterVec, Opts, Registry};

use crate::auth::Failure;
use crate::auth::KeyMetrics;

/// Handles of the port's own metrics.
#[derive(Clone)]
pub(crate) struct Metrics {
    requests: IntCounterVec,
    auth_failures: IntCounterVec,
    pub(crate) keys: KeyMetrics,
}

impl Metrics {
    /// # Errors
    /// The registry has them already: a process has one admin port.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("credence_admin_requests_total", "Requests to the admin port by route and status."),
            &["path", "status"],
        )?;
        let auth_failures = IntCounterVec::new(
            Opts::new(
                "credence_admin_auth_failures_total",
                "Requests to the settings API that were not let in, by reason.",
            ),
            &["reason"],
        )?;
        let loads = IntCounterVec::new(
            Opts::new("credence_admin_jwks_loads_total", "Tries to load the keys of JWTs, by result."),
            &["result"],
        )?;
        let loaded_at_s = Gauge::new(
            "credence_admin_jwks_loaded_timestamp_seconds",
            "When the keys of JWTs were last loaded; 0 where they were not.",
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(auth_failures.clone()))?;
        registry.register(Box::new(loads.clone()))?;
        registry.register(Box::new(loaded_at_s.clone()))?;
        let keys = KeyMetrics {
            loaded: loads.with_label_values(&["loaded"]),
            failed: loads.with_label_values(&["failed"]),
            loaded_at_s,
        };
        Ok(Self { requests, auth_failures, keys })
    }

    pub(crate) fn request(&self, path: &'static str, status: u16) {
        self.requests.with_label_values(&[path, status.to_string().as_str()]).inc();
    }

    pub(crate) fn not_authenticated(&self, failure: Failure) {
        self.auth_failures.with_label_values(&[failure.label()]).inc();
    }

    /// The token is good, for something else.
    pub(crate) fn not_allowed(&self, reason: &'static str) {
        self.auth_failures.with_label_values(&[reason]).inc();
    }
}
