//! Orders to the owner of a partition, which travel among the login events, so that they take effect in their place
//! in the user's history: exactly once, and on whichever instance his partition is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{MAX_TENANT_BYTES, MAX_USER_BYTES};
use crate::unreadable::Unreadable;

/// The `content-type` of a record that is an order and no login event. A record without it is never one, whatever
/// it holds: who may only try to log in orders nothing.
pub const CONTENT_TYPE: &str = "application/vnd.credence.command+json";

/// Largest order, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Forgets the devices of a user; everything else about him is kept.
    ClearDevices {
        /// `tenant.id`.
        tenant: String,
        /// `user.user_id`.
        user_id: String,
    },
}

impl Command {
    /// The name of the order.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Command::ClearDevices { .. } => "clear_devices",
        }
    }

    /// Reads an order.
    ///
    /// # Errors
    /// It is none that can be carried out.
    pub fn read(payload: &[u8]) -> Result<Self, Unreadable> {
        if payload.is_empty() {
            return Err(Unreadable::Empty);
        }
        if payload.len() > MAX_BYTES {
            return Err(Unreadable::TooLarge(payload.len()));
        }
        let command: Self = serde_json::from_slice(payload).map_err(Unreadable::not_json)?;
        let Command::ClearDevices { tenant, user_id } = &command;
        let bounds = [("tenant", tenant, MAX_TENANT_BYTES), ("user_id", user_id, MAX_USER_BYTES)];
        for (path, text, limit) in bounds {
            if text.is_empty() || text.len() > limit {
                return Err(Unreadable::OutOfBounds { path, limits: format!("1 to {limit} bytes of text") });
            }
        }
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive_and_nothing_else_is_one() {
        let command = Command::ClearDevices { tenant: "acme.example".to_owned(), user_id: "auth0|1".to_owned() };
        let written = serde_json::to_vec(&command).unwrap_or_default();
        assert_eq!(written, br#"{"command":"clear_devices","tenant":"acme.example","user_id":"auth0|1"}"#);
        assert_eq!(Command::read(&written), Ok(command));
        let wrong = [
            (&b""[..], "empty"),
            (b"{", "not_json"),
            (b"[]", "not_json"),
            (br#"{"command":"clear_all","tenant":"a","user_id":"b"}"#, "not_json"),
            (br#"{"command":"clear_devices","tenant":"a"}"#, "not_json"),
            (br#"{"command":"clear_devices","tenant":"a","user_id":"b","more":1}"#, "not_json"),
            (br#"{"command":"clear_devices","tenant":"","user_id":"b"}"#, "out_of_bounds"),
        ];
        for (payload, reason) in wrong {
            assert_eq!(Command::read(payload).map_err(|error| error.reason()), Err(reason));
        }
        assert_eq!(Command::read(&[b' '; MAX_BYTES + 1]), Err(Unreadable::TooLarge(MAX_BYTES + 1)));
    }
}
