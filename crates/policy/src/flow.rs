//! Which flow a login takes, by the names that the reference gives to `transaction.protocol`.

use model::LoginEvent;

/// What is done with a login of some flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// A user in front of a browser: assessed. So is every flow that is not known.
    Browser,
    /// The application takes the password itself (`oauth2-password`, WS-Trust) or the passkey: assessed with an
    /// adaptive policy only, and without NewDevice, since there is no cookie. Nobody can be asked to enrol in it.
    Password,
    /// A user in front of a browser, but not assessed: SAML that the identity provider began, device codes.
    Unassessed,
    /// Nobody is there who could be asked: client credentials, a token for another token, a request that the user
    /// approves elsewhere. Not assessed: address and user agent are not the user's.
    Machine,
    /// No login at all: a refresh token is used. Only rules run.
    Refresh,
}

/// The protocols that are known: those of the reference's `transaction.protocol`, those of its older `context.protocol`
/// (`delegation`, `redirect-callback`), and client credentials, which have no such name there.
pub const PROTOCOLS: &[(&str, Flow)] = &[
    ("oidc-basic-profile", Flow::Browser),
    ("oidc-implicit-profile", Flow::Browser),
    ("oidc-hybrid-profile", Flow::Browser),
    ("oidc-ciba-web-link", Flow::Browser),
    ("samlp", Flow::Browser),
    ("wsfed", Flow::Browser),
    ("redirect-callback", Flow::Browser),
    ("oauth2-password", Flow::Password),
    ("oauth2-resource-owner", Flow::Password),
    ("oauth2-webauthn", Flow::Password),
    ("wstrust-usernamemixed", Flow::Password),
    ("oauth2-device-code", Flow::Unassessed),
    ("oauth2-client-credentials", Flow::Machine),
    ("oauth2-token-exchange", Flow::Machine),
    ("oauth2-access-token", Flow::Machine),
    ("oauth2-resource-owner-jwt-bearer", Flow::Machine),
    ("delegation", Flow::Machine),
    ("oidc-ciba", Flow::Machine),
    ("oauth2-refresh-token", Flow::Refresh),
];

impl Flow {
    /// The flow of an event.
    #[must_use]
    pub fn of(event: &LoginEvent<'_>) -> Self {
        let Some(protocol) = event.protocol() else { return Flow::Browser };
        if protocol == "samlp" && event.is_idp_initiated() {
            return Flow::Unassessed;
        }
        PROTOCOLS.iter().find(|(name, _)| *name == protocol).map_or(Flow::Browser, |(_, flow)| *flow)
    }
}
