//! The record key: which user of which tenant a record is about.

/// Writes `<tenant>/<user>` (only the tenant where there is no user) into `out`, replacing what it
/// held. Every topic that has to do with a user uses this key, so that one user's records are ordered.
pub fn write_key(tenant: &str, user: Option<&str>, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(tenant.as_bytes());
    if let Some(user) = user {
        out.push(b'/');
        out.extend_from_slice(user.as_bytes());
    }
}
