//! The id of a log record: derived from the event, so that a replay gives the same one.

use std::hash::Hasher;

use model::LoginEvent;
use siphasher::sip128::{Hasher128, SipHasher24};

/// Not a secret: every instance must derive the same id.
const KEY: [u8; 16] = *b"credence log id1";

/// 12 hexadecimal digits of the event's time in milliseconds, so that ids sort by time, and 20 of a hash
/// of what makes the event that event: tenant, user, id, stage, outcome, time and evidence.
#[must_use]
pub fn log_id(event: &LoginEvent<'_>) -> String {
    let mut hasher = SipHasher24::new_with_key(&KEY);
    let address = event.address.map(|ip| ip.to_string());
    let texts = [
        Some(&*event.tenant_id),
        event.user_id.as_deref(),
        Some(&*event.id),
        Some(event.stage.as_str()),
        Some(event.outcome.as_str()),
        address.as_deref(),
        event.user_agent(),
        event.cookie(),
    ];
    for text in texts {
        hasher.write_u8(u8::from(text.is_some()));
        let text = text.unwrap_or_default();
        hasher.write_u64(text.len() as u64);
        hasher.write(text.as_bytes());
    }
    hasher.write_i64(event.time.0);
    let hash = hasher.finish128();
    format!("{:012x}{:016x}{:04x}", event.time.0, hash.h1, hash.h2 & 0xffff)
}
