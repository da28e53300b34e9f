//! What the owner of an account does when he logs in.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::browsers::PHONES;
use crate::event::{Login, Outcome, hex32};
use crate::labels::{GenuineKind, Label};
use crate::networks::{self, Access, CUSTOMERS, Use, host_in};
use crate::people::{Person, Vpn};
use crate::random::{Random, mix};
use crate::time::{DAY, HOUR, SECOND, hour, is_weekend, solar_offset};
use crate::traffic::{Role, Traffic};
use crate::world::{CITIES, city_named};

/// Longer than this without a login is an absence.
const ABSENCE_MS: i64 = 30 * DAY;
/// A device that rested this long may be forgotten, so its owner is ready for a challenge.
const STALE_MS: i64 = 25 * DAY;
/// Logins an account needs before anybody attacks it.
pub(crate) const HISTORY: u32 = 3;

/// An address, and the city it is in where it says so honestly.
pub(crate) struct Origin {
    pub(crate) ip: IpAddr,
    pub(crate) city: Option<usize>,
    /// What the network makes of the login, when it is not an ordinary one.
    kind: Option<GenuineKind>,
}

/// Which device it is, and what has happened to it.
struct DeviceUse {
    user_agent: String,
    /// Cookie that the attempt brings.
    cookie: Option<String>,
    /// Cookie that the completion brings where the attempt has none.
    cookie_at_end: Option<String>,
    on_phone: bool,
    on_apple: bool,
    tls: u64,
    stale: bool,
    kind: Option<GenuineKind>,
}

impl Traffic {
    /// The owner logs in: perhaps mistypes the password, tries, perhaps is challenged. Then plans
    /// the next login, and perhaps an attacker turns up.
    pub(crate) fn owner_logs_in(&mut self, user: usize, now: i64) {
        let tenants = Arc::clone(&self.tenants);
        let person = &self.people[user];
        let tenant = &tenants[person.tenant as usize];
        let first = person.logins == 0;
        let returns = !first && now - person.last_login > ABSENCE_MS;
        let travelled = person.is_away() || person.just_moved;
        let account = person.account(tenant);
        let enrolled = account.enrolled;
        let has_password = person.has_password();

        let device = self.choose_device(user, now, tenant.cookie_at_end);
        let origin = self.choose_origin(user, now, &device);
        let kind = if first {
            GenuineKind::FirstLogin
        } else if returns {
            GenuineKind::ReturnAfterAbsence
        } else if travelled && origin.kind.is_none() {
            GenuineKind::BusinessTrip
        } else {
            origin.kind.or(device.kind).unwrap_or(GenuineKind::Usual)
        };
        let label = Label::Genuine(kind);

        let mut login = Login {
            id: String::new(),
            tenant,
            account,
            ip: origin.ip,
            city: origin.city,
            user_agent: device.user_agent,
            cookie: device.cookie,
            tls: device.tls,
            session: self.random.next(),
        };

        let mut time = now;
        if has_password && !first && self.random.percent(4) {
            for _ in 0..=self.random.below(2) {
                login.id = self.new_id();
                self.event(&login, Role::Failure, Outcome::FailedPassword, label, time);
                time += self.random.between(6 * SECOND, 20 * SECOND);
            }
        } else if self.random.permille(1) {
            login.id = self.new_id();
            self.event(&login, Role::Failure, Outcome::FailedOther, label, time);
            time += self.random.between(20 * SECOND, 60 * SECOND);
        }

        login.id = self.new_id();
        self.attempt(&login, label, time);
        let person = &mut self.people[user];
        person.logins += 1;
        person.last_login = time;

        // Whoever does something out of the ordinary is ready to be challenged, and passes. Where
        // nothing is special, some servers report the end of the login all the same.
        if kind != GenuineKind::Usual || device.stale || self.random.percent(6) {
            let mut end = time + self.random.between(3 * SECOND, 45 * SECOND);
            if login.cookie.is_none() {
                login.cookie = device.cookie_at_end;
            }
            if enrolled && self.random.percent(3) {
                self.event(&login, Role::Completion, Outcome::FailedMfa, label, end);
                end += self.random.between(5 * SECOND, 30 * SECOND);
            }
            self.event(&login, Role::Completion, Outcome::Success, label, end);
        }

        let next = self.plan_next_login(user, time);
        let in_plain_sight =
            matches!(kind, GenuineKind::Usual | GenuineKind::BrowserUpdate | GenuineKind::BusinessTrip);
        let due = self.config.attack_fraction * self.logins as f64;
        let has_history = self.people[user].logins >= HISTORY;
        if in_plain_sight && has_history && self.wants_more() && (self.attacks as f64) < due {
            // The plan may have moved the owner on; the attacker goes by the last login.
            self.attack(user, origin.city, time, next);
        }
    }

    fn choose_device(&mut self, user: usize, now: i64, cookie_at_end: bool) -> DeviceUse {
        let random = &mut self.random;
        let person = &mut self.people[user];
        let first = person.logins == 0;
        let wanted = match random.below(100) {
            _ if first => 0,
            0..65 => 0,
            65..90 => 1,
            _ => 2,
        };
        let (slot, device) = person.device_mut(wanted);

        let mut kind = None;
        if device.browser.on_phone() && device.last_used.is_some() && random.permille(8) {
            device.replace(PHONES[random.index(PHONES.len())]);
            kind = Some(GenuineKind::NewPhone);
        }
        let version = device.browser.version_at(now - i64::from(device.late_days) * DAY);
        let stale = device.last_used.is_some_and(|at| now - at > STALE_MS);
        match device.last_used {
            None => kind = kind.or(Some(GenuineKind::SecondDevice)),
            Some(_) if random.permille(6) => {
                device.has_cookie = false;
                device.cookie = device.cookie.wrapping_add(1);
                kind = Some(GenuineKind::ClearedCookies);
            }
            Some(_) if version > device.version => kind = Some(GenuineKind::BrowserUpdate),
            Some(_) => {}
        }
        device.version = device.version.max(version);
        device.last_used = Some(now);

        let cookie = cookie(self.config.seed, user, slot, device.cookie);
        // A server sets the cookie when it shows the login page, or when the login is over.
        let brings_it = device.has_cookie || !cookie_at_end;
        device.has_cookie = true;
        DeviceUse {
            user_agent: device.browser.user_agent(device.version),
            cookie: brings_it.then(|| cookie.clone()),
            cookie_at_end: (!brings_it).then_some(cookie),
            on_phone: device.browser.on_phone(),
            on_apple: device.browser.on_apple(),
            tls: mix(&[device.browser as u64, u64::from(device.version) / 8]),
            stale,
            kind,
        }
    }

    fn choose_origin(&mut self, user: usize, now: i64, device: &DeviceUse) -> Origin {
        let random = &mut self.random;
        let person = &self.people[user];
        let city = usize::from(person.city);
        let first = person.logins == 0;
        if !first && random.permille(4) {
            return odd_network(random);
        }
        if !first && person.uses_relay && device.on_apple && random.percent(60) {
            return relay(random, city);
        }
        if !first && person.vpn != Vpn::None && !person.is_away() && random.percent(45) {
            return vpn(random, person);
        }
        let ip: IpAddr = if device.on_phone && random.percent(50) {
            if city_named(networks::NO_RADIUS_CITY) == Some(city) && random.percent(50) {
                host_in(networks::NO_RADIUS, 1 + random.below(254) as u32).into()
            } else {
                let host = 2 + random.below(250) as u8;
                networks::access_host(city, Access::Mobile, host).into()
            }
        } else if person.is_away() {
            let host = 2 + random.below(250) as u8;
            networks::access_host(city, Access::Business, host).into()
        } else if at_work(now, city) && !device.on_phone && random.percent(60) {
            let office = usize::from(person.office);
            let host = 2 + (person.tenant % 200) as u8;
            let ip = networks::access_host(office, Access::Business, host).into();
            return ordinary(ip, office);
        } else {
            self.home_address(user, now)
        };
        ordinary(ip, city)
    }

    /// User agent and cookie of the device that an owner used last.
    pub(crate) fn owners_device(&self, user: usize) -> (String, String) {
        let (slot, device) = self.people[user].latest_device();
        (device.browser.user_agent(device.version), cookie(self.config.seed, user, slot, device.cookie))
    }

    /// The address of a person's line at home: IPv6 where there is some, or an IPv4 address that
    /// changes every month.
    fn home_address(&mut self, user: usize, now: i64) -> IpAddr {
        let person = &self.people[user];
        let home = usize::from(person.home);
        let month = now.div_euclid(30 * DAY) as u64;
        let number = mix(&[self.config.seed, 0x4000, user as u64, month]);
        if person.home_has_v6 && self.random.percent(70) {
            let subnet = mix(&[self.config.seed, 0x6000, user as u64]) as u16;
            let day = now.div_euclid(DAY) as u64;
            networks::access_host_v6(home, subnet, mix(&[number, day])).into()
        } else {
            networks::access_host(home, person.line, customer(number)).into()
        }
    }
}

/// Host number of an ordinary customer, for any number.
pub(crate) fn customer(number: u64) -> u8 {
    CUSTOMERS.start + (number % CUSTOMERS.len() as u64) as u8
}

/// The cookie of a device.
fn cookie(seed: u64, user: usize, slot: usize, generation: u16) -> String {
    hex32(mix(&[seed, 0xc00c_1e00, user as u64, slot as u64, u64::from(generation)]))
}

fn ordinary(ip: IpAddr, city: usize) -> Origin {
    Origin { ip, city: Some(city), kind: None }
}

fn odd_network(random: &mut Random) -> Origin {
    let host = 1 + random.below(254) as u32;
    let ip = match random.below(5) {
        0 => host_in(networks::SATELLITE, host),
        1 => host_in(networks::COUNTRY_ONLY, host),
        2 => host_in(networks::NULL_ISLAND, host),
        3 => host_in(networks::NO_RECORD, host),
        _ => Ipv4Addr::new(10, 20, 30, host as u8),
    };
    Origin { ip: ip.into(), city: None, kind: Some(GenuineKind::OddNetwork) }
}

fn relay(random: &mut Random, city: usize) -> Origin {
    let ip: IpAddr = if random.percent(50) {
        host_in(networks::relay_v4(city), random.below(16) as u32).into()
    } else {
        let network = u128::from(networks::relay_v6(city).network());
        let ip = network | u128::from(random.next());
        std::net::Ipv6Addr::from(ip).into()
    };
    Origin { ip, city: None, kind: Some(GenuineKind::Relay) }
}

fn vpn(random: &mut Random, person: &Person) -> Origin {
    let (usage, number, host) = match person.vpn {
        Vpn::Commercial(exit) => (Use::CommercialVpn, usize::from(exit), 1 + random.below(250) as u32),
        // A tenant's staff all leave through one address.
        _ => (Use::CorporateVpn, person.tenant as usize, 1 + person.tenant % 120),
    };
    let count = networks::used_for(usage).count().max(1);
    let exit = networks::used_for(usage).nth(number % count);
    let ip = exit.map_or(Ipv4Addr::UNSPECIFIED, |placed| host_in(placed.network, host));
    Origin { ip: ip.into(), city: None, kind: Some(GenuineKind::HomeVpn) }
}

/// A weekday between eight and six, by the sun.
fn at_work(now: i64, city: usize) -> bool {
    let local = now + offset(city);
    !is_weekend(local) && (8..18).contains(&hour(local))
}

/// The same time, or the next morning when people are asleep then.
pub(crate) fn waking_hour(at: i64, city: usize, random: &mut Random) -> i64 {
    let local = at + offset(city);
    let asleep_until = 6 * HOUR - local.rem_euclid(DAY);
    if asleep_until > 0 { at + asleep_until + random.between(0, 3 * HOUR) } else { at }
}

fn offset(city: usize) -> i64 {
    CITIES.get(city).map_or(0, |city| solar_offset(city.longitude))
}
