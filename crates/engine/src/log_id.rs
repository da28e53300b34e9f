//! The id of a log record: derived from the event, so that a replay gives the same one.

use std::net::IpAddr;

use model::LoginEvent;
use model::log_record::LogId;
use profile::fingerprint::push_text;
use siphasher::sip128::SipHasher24;

/// Not a secret: every instance must derive the same id.
const KEY: [u8; 16] = *b"credence log id1";

/// The id from the event's time and what makes the event that event: tenant, user, id, stage, outcome, time
/// and evidence.
#[must_use]
pub fn log_id(event: &LoginEvent<'_>) -> LogId {
    let texts = [
        Some(&*event.tenant_id),
        event.user_id.as_deref(),
        Some(&*event.id),
        Some(event.stage.as_str()),
        Some(event.outcome.as_str()),
        event.user_agent(),
        event.cookie(),
    ];
    // One pass over one buffer: hashing in small pieces costs several times as much.
    let mut named = Vec::with_capacity(512);
    for text in texts {
        push_text(&mut named, text);
    }
    match event.address {
        None => named.push(0),
        Some(IpAddr::V4(v4)) => {
            named.push(4);
            named.extend_from_slice(&v4.octets());
        }
        Some(IpAddr::V6(v6)) => {
            named.push(6);
            named.extend_from_slice(&v6.octets());
        }
    }
    named.extend_from_slice(&event.time.0.to_le_bytes());
    let hash = SipHasher24::new_with_key(&KEY).hash(&named);
    LogId::new(event.time, u128::from(hash.h1) << 64 | u128::from(hash.h2))
}
