//! Tenants and the owners of accounts: where they live, what they log in with, what they are up to.

use std::sync::Arc;

use serde::Serialize;

use crate::browsers::{Browser, COMPUTERS, PHONES};
use crate::event::Account;
use crate::networks::Access;
use crate::random::{Random, mix};
use crate::world::Atlas;

/// A customer of the login service, and what its auth server sends.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) name: Arc<str>,
    pub(crate) hostname: String,
    pub(crate) client_id: String,
    /// Writes `stage` although `attempt` is the default.
    pub(crate) names_the_stage: bool,
    /// Sends `stats.logins_count`.
    pub(crate) counts_logins: bool,
    /// Sends `request.geoip`.
    pub(crate) sends_geoip: bool,
    /// Sets the device cookie at the end of a login, so that only the completion brings it.
    pub(crate) cookie_at_end: bool,
}

const TENANT_NAMES: [&str; 8] = ["north", "harbour", "orchard", "lantern", "granite", "meadow", "compass", "willow"];

impl Tenant {
    pub(crate) fn new(index: usize) -> Tenant {
        let name = match TENANT_NAMES.get(index) {
            Some(name) => format!("{name}.example"),
            None => format!("tenant-{index}.example"),
        };
        Tenant {
            hostname: format!("login.{name}"),
            client_id: format!("portal-{:016x}", mix(&[index as u64])),
            names_the_stage: index.is_multiple_of(2),
            counts_logins: index % 4 < 2,
            sends_geoip: index.is_multiple_of(3),
            cookie_at_end: index % 3 == 1,
            name: name.into(),
        }
    }
}

/// How users prove who they are.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Connection {
    id: &'static str,
    name: &'static str,
    strategy: &'static str,
}

/// The first has passwords of its own; with the others a wrong password is never seen here.
const CONNECTIONS: [Connection; 3] = [
    Connection { id: "con_users", name: "Username-Password-Authentication", strategy: "auth0" },
    Connection { id: "con_social", name: "google-oauth2", strategy: "google-oauth2" },
    Connection { id: "con_staff", name: "staff", strategy: "waad" },
];

/// The connection of accounts that do not exist.
pub(crate) const DATABASE: &Connection = &CONNECTIONS[0];

/// Most devices that a person has.
pub(crate) const MAX_DEVICES: usize = 3;

/// A person's device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Device {
    pub(crate) browser: Browser,
    /// Version of the browser at the last login.
    pub(crate) version: u16,
    /// Days by which this device is late with updates.
    pub(crate) late_days: u8,
    /// Counts the cookies that it has had; names the present one.
    pub(crate) cookie: u16,
    pub(crate) has_cookie: bool,
    /// Time of the last login; `None` before the first.
    pub(crate) last_used: Option<i64>,
}

impl Device {
    fn new(browser: Browser, late_days: u8) -> Device {
        Device { browser, version: 0, late_days, cookie: 0, has_cookie: false, last_used: None }
    }

    /// Another device in the place of this one.
    pub(crate) fn replace(&mut self, browser: Browser) {
        let cookie = self.cookie.wrapping_add(1);
        *self = Device::new(browser, self.late_days);
        self.cookie = cookie;
    }
}

/// A VPN that a person alternates with his own line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vpn {
    None,
    /// Bought, with exits that are on lists; the number chooses the exit.
    Commercial(u8),
    /// The employer's own, on no list.
    Corporate,
}

/// The owner of an account.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// Index of the tenant.
    pub(crate) tenant: u32,
    /// Number within the tenant: the same numbers, and user ids, occur in every tenant.
    pub(crate) number: u32,
    pub(crate) home: u8,
    /// City of the office: home, or one near it.
    pub(crate) office: u8,
    pub(crate) line: Access,
    pub(crate) home_has_v6: bool,
    pub(crate) vpn: Vpn,
    pub(crate) uses_relay: bool,
    pub(crate) travels: bool,
    /// Number of logins after which this person is away for more than a month; 0: never.
    pub(crate) absence_after: u32,
    pub(crate) enrolled: bool,
    connection: u8,
    /// Per cent of the mean time between two logins.
    pub(crate) pace: u16,
    devices: [Device; MAX_DEVICES],
    device_count: u8,
    pub(crate) logins: u32,
    pub(crate) last_login: i64,
    /// Where the next login will be, and whether the one before was elsewhere.
    pub(crate) city: u8,
    pub(crate) just_moved: bool,
    /// When the trip ends, while on one.
    pub(crate) away_until: i64,
}

impl Person {
    pub(crate) fn new(seed: u64, index: usize, tenants: u32, atlas: &Atlas) -> Person {
        let mut random = Random::new(mix(&[seed, 0x9e09_1e00, index as u64]));
        let home = atlas.weighted(random.next());
        let near = atlas.within(home, 1..100);
        let commutes = !near.is_empty() && random.percent(40);
        let office = if commutes { near.get(random.index(near.len())).copied().unwrap_or(home) } else { home };
        let vpn = match random.below(100) {
            0..6 => Vpn::Commercial(random.below(8) as u8),
            6..12 => Vpn::Corporate,
            _ => Vpn::None,
        };
        let phone = PHONES[random.index(PHONES.len())];
        let computer = COMPUTERS[random.index(COMPUTERS.len())];
        let second = COMPUTERS[random.index(COMPUTERS.len())];
        let first = if random.percent(15) { phone } else { computer };
        let mut device = |browser| Device::new(browser, random.below(15) as u8);
        let devices = [device(first), device(phone), device(second)];
        const PACES: [u16; 6] = [50, 75, 100, 100, 150, 250];
        Person {
            tenant: index as u32 % tenants,
            number: index as u32 / tenants,
            home: home as u8,
            office: office as u8,
            line: if random.percent(60) { Access::ResidentialA } else { Access::ResidentialB },
            home_has_v6: random.percent(25),
            vpn,
            uses_relay: random.percent(35),
            travels: random.percent(30),
            absence_after: if random.percent(8) { 2 + random.below(3) as u32 } else { 0 },
            enrolled: random.percent(75),
            connection: match random.below(100) {
                0..80 => 0,
                80..92 => 1,
                _ => 2,
            },
            pace: PACES[random.index(PACES.len())],
            devices,
            device_count: 1 + random.index(MAX_DEVICES) as u8,
            logins: 0,
            last_login: i64::MIN,
            city: home as u8,
            just_moved: false,
            away_until: 0,
        }
    }

    /// How the account is named in the events of its next login.
    pub(crate) fn account(&self, tenant: &Tenant) -> Account {
        Account {
            user_id: Some(self.user_id()),
            email: format!("user{:06}@{}", self.number, tenant.name),
            enrolled: self.enrolled,
            connection: self.connection(),
            logins: self.logins + 1,
        }
    }

    pub(crate) fn user_id(&self) -> String {
        format!("auth0|{:06}", self.number)
    }

    fn connection(&self) -> &'static Connection {
        CONNECTIONS.get(self.connection as usize).unwrap_or(DATABASE)
    }

    /// Whether this service checks the password itself.
    pub(crate) fn has_password(&self) -> bool {
        self.connection() == DATABASE
    }

    pub(crate) fn is_away(&self) -> bool {
        self.city != self.home
    }

    /// The device in a slot, and the slot; slots beyond the person's last device mean the first.
    pub(crate) fn device_mut(&mut self, slot: usize) -> (usize, &mut Device) {
        let has_it = slot < MAX_DEVICES.min(usize::from(self.device_count));
        let slot = if has_it { slot } else { 0 };
        (slot, &mut self.devices[slot])
    }

    /// The device that was used last, and its slot.
    pub(crate) fn latest_device(&self) -> (usize, &Device) {
        let [first, second, third] = &self.devices;
        let mut latest = (0, first);
        for (slot, device) in [(1, second), (2, third)] {
            if device.last_used > latest.1.last_used {
                latest = (slot, device);
            }
        }
        latest
    }
}
