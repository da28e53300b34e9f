//! What a record is called and whose it is, found in its bytes.

use std::borrow::Cow;

use serde::Deserialize;

use crate::check::hash;

/// A record's name and owner, as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    /// Which record it is.
    pub(crate) record: u64,
    /// Which user's records it is in order with.
    pub(crate) owner: u64,
}

#[derive(Deserialize)]
struct Verdict<'a> {
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    #[serde(borrow)]
    event_id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Log<'a> {
    #[serde(borrow)]
    log_id: Cow<'a, str>,
    #[serde(borrow)]
    data: LogData<'a>,
}

#[derive(Deserialize)]
struct LogData<'a> {
    #[serde(borrow)]
    tenant_name: Cow<'a, str>,
    #[serde(borrow)]
    user_id: Option<Cow<'a, str>>,
}

/// A verdict is named by tenant, user and event.
pub(crate) fn verdict(record: &[u8]) -> Option<Name> {
    let Verdict { tenant, user_id, event_id } = serde_json::from_slice(record).ok()?;
    Some(Name { record: hash((&tenant, &user_id, &event_id)), owner: hash((&tenant, Some(&user_id))) })
}

/// A log record is named by its id.
pub(crate) fn log(record: &[u8]) -> Option<Name> {
    let Log { log_id, data } = serde_json::from_slice(record).ok()?;
    Some(Name { record: hash(&log_id), owner: hash((&data.tenant_name, &data.user_id)) })
}
