//! The login event: one try of a login, as the auth server tells it.
//!
//! Field names follow the reference's post-login `event` object. `Wire` is the event as it is
//! written; [`LoginEvent`] is what remains once it has been checked: required fields there and in
//! bounds, texts trimmed, the address read.

mod wire;

use std::borrow::Cow;
use std::net::IpAddr;

use crate::address::parse_ip;
use crate::codec::Encoding;
use crate::lenient::{Field, Text};
use crate::time::Timestamp;
use crate::unreadable::Unreadable;

pub(crate) use self::wire::{Method, Wire};

/// Longest `id` in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// Longest `tenant.id` in bytes.
pub const MAX_TENANT_BYTES: usize = 128;
/// Longest `user.user_id` in bytes.
pub const MAX_USER_BYTES: usize = 1024;
/// City and country names are cut after so many characters before anything keeps them.
pub const MAX_PLACE_NAME_CHARS: usize = 100;

/// Whether a verdict is wanted or the login is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The first factor was tried.
    Attempt,
    /// The login is over.
    Completion,
}

/// How the stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The factor was right, or the login succeeded.
    Success,
    /// Wrong password.
    FailedPassword,
    /// No such user.
    FailedUsername,
    /// The challenge was not passed.
    FailedMfa,
    /// Anything else.
    FailedOther,
}

impl Stage {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Attempt => "attempt",
            Stage::Completion => "completion",
        }
    }
}

impl Outcome {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::FailedPassword => "failed_password",
            Outcome::FailedUsername => "failed_username",
            Outcome::FailedMfa => "failed_mfa",
            Outcome::FailedOther => "failed_other",
        }
    }
}

/// Where the auth server itself places the address (`request.geoip`), texts trimmed and cut.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventGeo<'a> {
    /// Degrees north; only a number from -90 to 90 is kept.
    pub latitude: Option<f64>,
    /// Degrees east; only a number from -180 to 180 is kept.
    pub longitude: Option<f64>,
    /// `cityName`.
    pub city: Option<&'a str>,
    /// `countryCode`.
    pub country: Option<&'a str>,
}

/// A login event that can be processed.
#[derive(Debug)]
pub struct LoginEvent<'a> {
    /// Names one try of a login; its completion carries the same.
    pub id: Cow<'a, str>,
    /// When it happened.
    pub time: Timestamp,
    /// Attempt or completion.
    pub stage: Stage,
    /// How that ended.
    pub outcome: Outcome,
    /// `tenant.id`.
    pub tenant_id: Cow<'a, str>,
    /// `user.user_id`; there unless the outcome is a failure.
    pub user_id: Option<Cow<'a, str>>,
    /// `request.ip`, if it is an address, in canonical form.
    pub address: Option<IpAddr>,
    /// Fields of a wrong type, which count as absent, by their path.
    pub wrong_fields: Vec<&'static str>,
    /// The event as it was written, without what is above.
    pub(crate) wire: Wire<'a>,
    /// The bytes that it was read from.
    pub(crate) source: Source<'a>,
}

/// The bytes that an event was read from, and how to read them.
pub(crate) struct Source<'a>(pub(crate) &'a [u8], pub(crate) Encoding);

impl std::fmt::Debug for Source<'_> {
    /// The event's fields are shown beside it: not the bytes once more.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

impl LoginEvent<'_> {
    /// What the event was read from, for who wants fields that are not kept. JSON that no value can be made of
    /// (half of a surrogate pair, a number beyond what floats hold) is mended in it already.
    #[must_use]
    pub fn source(&self) -> (&[u8], Encoding) {
        (self.source.0, self.source.1)
    }

    /// Whether the user has a second factor: `user.multifactor` or `user.enrolledFactors` names one.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        let user = self.wire.user.or_empty();
        user.multifactor.given().is_some_and(|list| list.any) || user.enrolled_factors.given().is_some_and(|l| l.any)
    }

    /// `user.email`, trimmed.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        trimmed(&self.wire.user.or_empty().email)
    }

    /// `user.email_verified`.
    #[must_use]
    pub fn email_verified(&self) -> Option<bool> {
        self.wire.user.or_empty().email_verified.given().copied()
    }

    /// `mfa.remembered`: the browser was remembered when a challenge was passed in it.
    #[must_use]
    pub fn browser_is_remembered(&self) -> bool {
        self.wire.mfa.or_empty().remembered.given().copied().unwrap_or_default()
    }

    /// `transaction.protocol`, trimmed.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        trimmed(&self.wire.transaction.or_empty().protocol)
    }

    /// `transaction.idp_initiated`: a SAML login that the identity provider began.
    #[must_use]
    pub fn is_idp_initiated(&self) -> bool {
        self.wire.transaction.or_empty().idp_initiated.given().copied().unwrap_or_default()
    }

    /// Whether `transaction.prompt` holds `none`: the user must not be asked anything.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.wire.transaction.or_empty().prompt.given().is_some_and(|prompt| prompt.found)
    }

    /// Whether `transaction.acr_values` asks for a second factor
    /// (`http://schemas.openid.net/pape/policies/2007/06/multi-factor`).
    #[must_use]
    pub fn asks_for_multi_factor(&self) -> bool {
        self.wire.transaction.or_empty().acr_values.given().is_some_and(|values| values.found)
    }

    /// `request.ip` as it was given, trimmed.
    #[must_use]
    pub fn ip_text(&self) -> Option<&str> {
        trimmed(&self.wire.request.or_empty().ip)
    }

    /// `request.user_agent`, trimmed.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        trimmed(&self.wire.request.or_empty().user_agent)
    }

    /// `device.id`, the device cookie, trimmed.
    #[must_use]
    pub fn cookie(&self) -> Option<&str> {
        trimmed(&self.wire.device.or_empty().id)
    }

    /// `stats.logins_count`; it counts this login.
    #[must_use]
    pub fn logins_count(&self) -> Option<i64> {
        self.wire.stats.or_empty().logins_count.given().copied()
    }

    /// `request.geoip` as far as scoring goes.
    #[must_use]
    pub fn geo(&self) -> EventGeo<'_> {
        let Some(geo) = self.wire.request.or_empty().geoip.given() else { return EventGeo::default() };
        let degrees = |field: &Field<f64>, limit: f64| field.given().copied().filter(|d| d.abs() <= limit);
        EventGeo {
            latitude: degrees(&geo.latitude, 90.0),
            longitude: degrees(&geo.longitude, 180.0),
            city: trimmed(&geo.city_name).map(cut_place_name),
            country: trimmed(&geo.country_code).map(cut_place_name),
        }
    }
}

/// Cuts a place name after [`MAX_PLACE_NAME_CHARS`] characters.
#[must_use]
pub fn cut_place_name(name: &str) -> &str {
    match name.char_indices().nth(MAX_PLACE_NAME_CHARS) {
        Some((end, _)) => &name[..end],
        None => name,
    }
}

fn trimmed<'f>(field: &'f Field<Text<'_>>) -> Option<&'f str> {
    text(field).map(str::trim).filter(|text| !text.is_empty())
}

pub(crate) fn text<'f>(field: &'f Field<Text<'_>>) -> Option<&'f str> {
    field.given().map(|Text(text)| text.as_ref())
}

/// A required text field: there, text, and from 1 to `limit` bytes.
fn required<'a>(path: &'static str, field: Field<Text<'a>>, limit: usize) -> Result<Cow<'a, str>, Unreadable> {
    match field {
        Field::Absent => Err(Unreadable::Missing(path)),
        Field::Wrong => Err(Unreadable::WrongType(path)),
        Field::Given(Text(text)) if text.is_empty() || text.len() > limit => {
            Err(Unreadable::OutOfBounds { path, limits: format!("1 to {limit} bytes of text") })
        }
        Field::Given(Text(text)) => Ok(text),
    }
}

/// A field of few known words, with a default where it is absent.
fn word<T: Copy>(
    path: &'static str,
    field: &Field<Text<'_>>,
    default: T,
    words: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, Unreadable> {
    match field {
        Field::Absent => Ok(default),
        Field::Wrong => Err(Unreadable::WrongType(path)),
        Field::Given(Text(given)) => words.iter().copied().find(|&w| name(w) == given).ok_or_else(|| {
            let allowed: Vec<_> = words.iter().map(|&w| name(w)).collect();
            Unreadable::OutOfBounds { path, limits: allowed.join(", ") }
        }),
    }
}

impl<'a> LoginEvent<'a> {
    /// Checks an event. `wrong_fields` are those of [`Wire::wrong_fields`]; an ordinary event has none.
    #[inline]
    pub(crate) fn check(
        mut wire: Wire<'a>,
        wrong_fields: Vec<&'static str>,
        source: Source<'a>,
    ) -> Result<Self, Unreadable> {
        let id = required("id", std::mem::take(&mut wire.id), MAX_ID_BYTES)?;
        let time = match &wire.time {
            Field::Absent => return Err(Unreadable::Missing("time")),
            Field::Wrong => return Err(Unreadable::WrongType("time")),
            Field::Given(when) => when.0.ok_or_else(|| Unreadable::OutOfBounds {
                path: "time",
                limits: "RFC 3339 with offset or integer milliseconds, from 2000 up to 2100".to_owned(),
            })?,
        };
        let stage = word("stage", &wire.stage, Stage::Attempt, &[Stage::Attempt, Stage::Completion], Stage::as_str)?;
        let outcome = word(
            "outcome",
            &wire.outcome,
            Outcome::Success,
            &[
                Outcome::Success,
                Outcome::FailedPassword,
                Outcome::FailedUsername,
                Outcome::FailedMfa,
                Outcome::FailedOther,
            ],
            Outcome::as_str,
        )?;
        let tenant_id = match &mut wire.tenant {
            Field::Given(tenant) => std::mem::take(&mut tenant.id),
            _ => Field::Absent,
        };
        let tenant_id = required("tenant.id", tenant_id, MAX_TENANT_BYTES)?;
        let user_id = match &mut wire.user {
            Field::Given(user) => std::mem::take(&mut user.user_id),
            _ => Field::Absent,
        };
        let user_id = match user_id {
            Field::Absent if outcome != Outcome::Success => None,
            field => Some(required("user.user_id", field, MAX_USER_BYTES)?),
        };
        let address = trimmed(&wire.request.or_empty().ip).and_then(parse_ip);
        Ok(LoginEvent { id, time, stage, outcome, tenant_id, user_id, address, wrong_fields, wire, source })
    }
}
