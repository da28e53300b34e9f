//! Labels: what the story behind a login is.

use std::fmt;

/// The truth about a login, known because it was made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// The owner of the account.
    Genuine(GenuineKind),
    /// Somebody else.
    Attack(AttackKind),
}

/// What is special about an owner's login. Where several things are, the first of this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GenuineKind {
    /// The first login of an account.
    FirstLogin,
    /// The first one after more than 30 days.
    ReturnAfterAbsence,
    /// From another city, or the first one back home. The owner had time to travel.
    BusinessTrip,
    /// Through a VPN that the owner alternates with his own line; some are listed, some are not.
    HomeVpn,
    /// Through a privacy relay, on an Apple device.
    Relay,
    /// From a network that says little about a place: satellite, country only, no record, intranet.
    OddNetwork,
    /// A new phone replaces the old one.
    NewPhone,
    /// The first login on a second or third device.
    SecondDevice,
    /// A known device without its cookie.
    ClearedCookies,
    /// The browser has updated itself since this device's last login.
    BrowserUpdate,
    /// Nothing special.
    Usual,
}

/// How somebody who is not the owner tries to get in. All have the right password; none passes MFA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttackKind {
    /// From another continent within half an hour of the owner's login, on a new device.
    StolenPasswordAbroad,
    /// Through a listed Tor exit, on a new device.
    TorExit,
    /// From the victim's own city through a listed home proxy, on a new device.
    ResidentialProxyNearby,
    /// A script or a headless browser on a listed hosting network.
    DatacenterBot,
    /// With the victim's own cookie and user agent, from far away, soon after the owner's login.
    CookieTheft,
    /// One listed address tries many accounts; a few passwords are right.
    CredentialStuffing,
    /// From an unlisted address, at a speed that a traveller could have, on a new device. Hard to
    /// tell from a genuine trip with a new device.
    SlowTraveller,
}

impl GenuineKind {
    /// All kinds.
    pub const ALL: [GenuineKind; 11] = [
        GenuineKind::FirstLogin,
        GenuineKind::ReturnAfterAbsence,
        GenuineKind::BusinessTrip,
        GenuineKind::HomeVpn,
        GenuineKind::Relay,
        GenuineKind::OddNetwork,
        GenuineKind::NewPhone,
        GenuineKind::SecondDevice,
        GenuineKind::ClearedCookies,
        GenuineKind::BrowserUpdate,
        GenuineKind::Usual,
    ];

    /// Name in snake case.
    pub fn name(self) -> &'static str {
        match self {
            GenuineKind::FirstLogin => "first_login",
            GenuineKind::ReturnAfterAbsence => "return_after_absence",
            GenuineKind::BusinessTrip => "business_trip",
            GenuineKind::HomeVpn => "home_vpn",
            GenuineKind::Relay => "relay",
            GenuineKind::OddNetwork => "odd_network",
            GenuineKind::NewPhone => "new_phone",
            GenuineKind::SecondDevice => "second_device",
            GenuineKind::ClearedCookies => "cleared_cookies",
            GenuineKind::BrowserUpdate => "browser_update",
            GenuineKind::Usual => "usual",
        }
    }
}

impl AttackKind {
    /// All kinds.
    pub const ALL: [AttackKind; 7] = [
        AttackKind::StolenPasswordAbroad,
        AttackKind::TorExit,
        AttackKind::ResidentialProxyNearby,
        AttackKind::DatacenterBot,
        AttackKind::CookieTheft,
        AttackKind::CredentialStuffing,
        AttackKind::SlowTraveller,
    ];

    /// Name in snake case.
    pub fn name(self) -> &'static str {
        match self {
            AttackKind::StolenPasswordAbroad => "stolen_password_abroad",
            AttackKind::TorExit => "tor_exit",
            AttackKind::ResidentialProxyNearby => "residential_proxy_nearby",
            AttackKind::DatacenterBot => "datacenter_bot",
            AttackKind::CookieTheft => "cookie_theft",
            AttackKind::CredentialStuffing => "credential_stuffing",
            AttackKind::SlowTraveller => "slow_traveller",
        }
    }

    /// What happens, in a few words for a reader.
    pub fn describe(self) -> &'static str {
        match self {
            AttackKind::StolenPasswordAbroad => "stolen password, another continent minutes after the owner",
            AttackKind::TorExit => "stolen password through a Tor exit",
            AttackKind::ResidentialProxyNearby => "home proxy in the victim's own city",
            AttackKind::DatacenterBot => "script on a rented server",
            AttackKind::CookieTheft => "stolen cookie, used far away soon after the owner",
            AttackKind::CredentialStuffing => "one listed address tries many accounts",
            AttackKind::SlowTraveller => "unlisted address, at a traveller's speed",
        }
    }
}

impl Label {
    /// Whether somebody other than the owner is behind it.
    pub fn is_attack(self) -> bool {
        matches!(self, Label::Attack(_))
    }

    /// Name of the kind in snake case; no genuine kind shares its name with an attack.
    pub fn name(self) -> &'static str {
        match self {
            Label::Genuine(kind) => kind.name(),
            Label::Attack(kind) => kind.name(),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
