//! The calls of the API in one table, which the router and the OpenAPI document are made from.

use axum::routing::MethodFilter;

/// Which call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    GetPolicies,
    PutPolicies,
    GetRisk,
    PatchRisk,
    GetNewDevice,
    PatchNewDevice,
    Clear,
    GetDocument,
    PutDocument,
    DeleteDocument,
}

/// How large a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Document,
    Small,
}

/// One path and method.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) call: Call,
    pub(crate) path: &'static str,
    /// In lower case, as OpenAPI has it.
    pub(crate) method: &'static str,
    pub(crate) filter: MethodFilter,
    pub(crate) scope: &'static str,
    pub(crate) summary: &'static str,
    /// The body it takes, and its schema.
    pub(crate) body: Option<(Size, &'static str)>,
    /// The status of a success and the schema of its body.
    pub(crate) success: (u16, Option<&'static str>),
}

const POLICIES: &str = "/api/v2/guardian/policies";
const RISK: &str = "/api/v2/risk-assessments/settings";
const NEW_DEVICE: &str = "/api/v2/risk-assessments/settings/new-device";
const CLEAR: &str = "/api/v2/users/{id}/risk-assessments/clear";
const DOCUMENT: &str = "/v1/tenants/{tenant}/settings";

/// Every call there is.
pub(crate) static OPERATIONS: [Operation; 10] = [
    Operation {
        call: Call::GetPolicies,
        path: POLICIES,
        method: "get",
        filter: MethodFilter::GET,
        scope: "read:mfa_policies",
        summary: "When a second factor is asked for.",
        body: None,
        success: (200, Some("MfaPolicies")),
    },
    Operation {
        call: Call::PutPolicies,
        path: POLICIES,
        method: "put",
        filter: MethodFilter::PUT,
        scope: "update:mfa_policies",
        summary: "Sets when a second factor is asked for.",
        body: Some((Size::Small, "MfaPolicies")),
        success: (200, Some("MfaPolicies")),
    },
    Operation {
        call: Call::GetRisk,
        path: RISK,
        method: "get",
        filter: MethodFilter::GET,
        scope: "read:attack_protection",
        summary: "Whether logins are assessed.",
        body: None,
        success: (200, Some("RiskSettings")),
    },
    Operation {
        call: Call::PatchRisk,
        path: RISK,
        method: "patch",
        filter: MethodFilter::PATCH,
        scope: "update:attack_protection",
        summary: "Sets whether logins are assessed; answers what is in force, which an MFA policy that needs it keeps on.",
        body: Some((Size::Small, "RiskSettings")),
        success: (200, Some("RiskSettings")),
    },
    Operation {
        call: Call::GetNewDevice,
        path: NEW_DEVICE,
        method: "get",
        filter: MethodFilter::GET,
        scope: "read:attack_protection",
        summary: "How long a device is remembered.",
        body: None,
        success: (200, Some("NewDeviceSettings")),
    },
    Operation {
        call: Call::PatchNewDevice,
        path: NEW_DEVICE,
        method: "patch",
        filter: MethodFilter::PATCH,
        scope: "update:attack_protection",
        summary: "Sets how long a device is remembered.",
        body: Some((Size::Small, "NewDeviceSettings")),
        success: (200, Some("NewDeviceSettings")),
    },
    Operation {
        call: Call::Clear,
        path: CLEAR,
        method: "post",
        filter: MethodFilter::POST,
        scope: "update:users",
        summary: "Forgets the devices of a user.",
        body: Some((Size::Small, "Clear")),
        success: (204, None),
    },
    Operation {
        call: Call::GetDocument,
        path: DOCUMENT,
        method: "get",
        filter: MethodFilter::GET,
        scope: "read:tenant_settings",
        summary: "The tenant's own settings, whole.",
        body: None,
        success: (200, Some("Settings")),
    },
    Operation {
        call: Call::PutDocument,
        path: DOCUMENT,
        method: "put",
        filter: MethodFilter::PUT,
        scope: "update:tenant_settings",
        summary: "Replaces the tenant's own settings, or looks whether they could be (dry_run).",
        body: Some((Size::Document, "Settings")),
        success: (200, Some("SettingsOrValid")),
    },
    Operation {
        call: Call::DeleteDocument,
        path: DOCUMENT,
        method: "delete",
        filter: MethodFilter::DELETE,
        scope: "update:tenant_settings",
        summary: "Removes the tenant's own settings: those of the deployment are in force again.",
        body: None,
        success: (204, None),
    },
];

/// A route beside the API, which needs no token and answers text.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) statuses: &'static [(u16, &'static str)],
}

pub(crate) const METRICS: &str = "/metrics";
pub(crate) const LIVE: &str = "/livez";
pub(crate) const READY: &str = "/readyz";
pub(crate) const STARTED: &str = "/startupz";

const PROBE: &[(u16, &str)] = &[(200, "Yes."), (503, "No; the text says why.")];

/// The routes that are always there.
pub(crate) static PLAIN: [Plain; 4] = [
    Plain { path: METRICS, summary: "Metrics for Prometheus.", statuses: &[(200, "The metrics.")] },
    Plain { path: LIVE, summary: "Whether the process does its work; a restart helps when not.", statuses: PROBE },
    Plain { path: READY, summary: "Whether it can answer logins now.", statuses: PROBE },
    Plain { path: STARTED, summary: "Whether it has started.", statuses: PROBE },
];
