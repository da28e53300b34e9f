//! The id of a log record: derived from the event, so that a replay gives the same one.

use std::net::IpAddr;

use model::LoginEvent;
use profile::fingerprint::push_text;
use siphasher::sip128::SipHasher24;

/// Not a secret: every instance must derive the same id.
const KEY: [u8; 16] = *b"credence log id1";

/// 12 hexadecimal digits of the event's time in milliseconds, so that ids sort by time, and 20 of a hash
/// of what makes the event that event: tenant, user, id, stage, outcome, time and evidence.
#[must_use]
pub fn log_id(event: &LoginEvent<'_>) -> String {
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

    let mut id = String::with_capacity(32);
    push_hex(&mut id, event.time.0 as u64, 12);
    push_hex(&mut id, hash.h1, 16);
    push_hex(&mut id, hash.h2, 4);
    id
}

/// Appends the lowest hexadecimal digits of a number.
fn push_hex(text: &mut String, number: u64, digits: u32) {
    for digit in (0..digits).rev() {
        let nibble = (number >> (4 * digit) & 0xf) as u8;
        text.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
    }
}
