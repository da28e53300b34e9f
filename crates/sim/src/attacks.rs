//! What somebody does who has another's password. Whoever attacks never passes MFA.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::browsers::{BOTS, Browser, COMPUTERS};
use crate::event::{Account, Login, Outcome, hex32};
use crate::labels::{AttackKind, Label};
use crate::lists::TOR_EXITS;
use crate::networks::{self, Access, RENTED_OUT, Use, host_in};
use crate::owners::{HISTORY, customer};
use crate::people::DATABASE;
use crate::random::mix;
use crate::time::{DAY, HOUR, MINUTE, SECOND};
use crate::traffic::{Role, Traffic};
use crate::world::CITIES;

/// Farther than this, nobody gets in an hour and a half.
const FAR_KM: i64 = 3_000;
/// Another continent, and really elsewhere.
const ABROAD_KM: i64 = 4_000;
/// Speed of an attack that wants to look like a traveller, in km/h.
const TRAVELLER_KMH: i64 = 300;
/// Accounts that one round of credential stuffing tries, and right passwords among them.
const STUFFING_TRIES: u64 = 24;
const STUFFING_HITS: u64 = 3;

/// How an attacker appears.
struct Disguise {
    ip: IpAddr,
    city: Option<usize>,
    user_agent: String,
    cookie: Option<String>,
    tls: u64,
}

impl Traffic {
    /// Somebody attacks an account whose owner logged in at `now` from `place`, and will again at
    /// `next`.
    pub(crate) fn attack(&mut self, victim: usize, place: Option<usize>, now: i64, next: i64) {
        let Some(place) = place else { return };
        let wanted = match self.random.below(100) {
            0..25 => AttackKind::StolenPasswordAbroad,
            25..40 => AttackKind::TorExit,
            40..55 => AttackKind::ResidentialProxyNearby,
            55..70 => AttackKind::DatacenterBot,
            70..82 => AttackKind::CookieTheft,
            82..87 => AttackKind::CredentialStuffing,
            _ => AttackKind::SlowTraveller,
        };
        match wanted {
            AttackKind::CredentialStuffing => self.stuff_credentials(victim, now),
            AttackKind::SlowTraveller => {
                // Before the owner's next login, or his own would be the one that looks odd.
                let latest = (next - now - HOUR).min(14 * HOUR);
                let delay = self.random.between(4 * HOUR, latest);
                let range = 150..TRAVELLER_KMH * delay / HOUR;
                let cities = self.atlas.within(place, range);
                match self.any_of(&cities) {
                    Some(city) if latest > 4 * HOUR => {
                        let disguise = self.new_device_in(city);
                        self.strike(victim, wanted, disguise, now + delay);
                    }
                    _ => self.attack_from_abroad(victim, place, now),
                }
            }
            AttackKind::TorExit => {
                let host = TOR_EXITS.start + self.random.below(u64::from(TOR_EXITS.end - 1)) as u32;
                let ip = self.listed(Use::TorExit, host);
                let disguise = self.new_device(ip.into(), None);
                let delay = self.random.between(5 * MINUTE, 4 * HOUR);
                self.strike(victim, wanted, disguise, now + delay);
            }
            AttackKind::ResidentialProxyNearby => {
                let near = self.atlas.within(place, 1..100);
                let city = match self.any_of(&near) {
                    Some(neighbour) if self.random.percent(40) => neighbour,
                    _ => place,
                };
                let line = [Access::ResidentialA, Access::ResidentialB][self.random.index(2)];
                let host = RENTED_OUT.start + self.random.below(RENTED_OUT.len() as u64) as u8;
                let ip = networks::access_host(city, line, host);
                let disguise = self.new_device(ip.into(), Some(city));
                let delay = self.random.between(10 * MINUTE, 10 * HOUR);
                self.strike(victim, wanted, disguise, now + delay);
            }
            AttackKind::DatacenterBot => {
                let host = 1 + self.random.below(500) as u32;
                let ip = self.listed(Use::Hosting, host);
                let bot = self.random.index(BOTS.len());
                let disguise = Disguise {
                    ip: ip.into(),
                    city: None,
                    user_agent: BOTS[bot].to_owned(),
                    cookie: None,
                    tls: mix(&[0xb075, bot as u64]),
                };
                let delay = self.random.between(MINUTE, 2 * HOUR);
                self.strike(victim, wanted, disguise, now + delay);
            }
            AttackKind::CookieTheft => {
                let cities = self.atlas.within(place, FAR_KM..i64::MAX);
                let Some(city) = self.any_of(&cities) else {
                    return;
                };
                let mut disguise = self.new_device_in(city);
                let (user_agent, cookie) = self.owners_device(victim);
                disguise.user_agent = user_agent;
                disguise.cookie = Some(cookie);
                let delay = self.random.between(10 * MINUTE, 90 * MINUTE);
                self.strike(victim, wanted, disguise, now + delay);
            }
            AttackKind::StolenPasswordAbroad => self.attack_from_abroad(victim, place, now),
        }
    }

    fn attack_from_abroad(&mut self, victim: usize, place: usize, now: i64) {
        let continent = |index: usize| CITIES.get(index).map(|city| city.continent);
        let mut cities = self.atlas.within(place, ABROAD_KM..i64::MAX);
        cities.retain(|&city| continent(city) != continent(place));
        let Some(city) = self.any_of(&cities) else {
            return;
        };
        let disguise = self.new_device_in(city);
        let delay = self.random.between(2 * MINUTE, 30 * MINUTE);
        let kind = AttackKind::StolenPasswordAbroad;
        self.strike(victim, kind, disguise, now + delay);
    }

    /// One attack on one account: the try, and in half of the cases a challenge that is failed.
    fn strike(&mut self, victim: usize, kind: AttackKind, disguise: Disguise, time: i64) {
        let tenants = Arc::clone(&self.tenants);
        let person = &self.people[victim];
        let tenant = &tenants[person.tenant as usize];
        let account = person.account(tenant);
        let label = Label::Attack(kind);
        let login = Login {
            id: self.new_id(),
            tenant,
            account,
            ip: disguise.ip,
            city: disguise.city,
            user_agent: disguise.user_agent,
            cookie: disguise.cookie,
            tls: disguise.tls,
            session: self.random.next(),
        };
        self.attempt(&login, label, time);
        self.fail_challenge(&login, label, time);
    }

    fn fail_challenge(&mut self, login: &Login<'_>, label: Label, time: i64) {
        if self.random.percent(50) {
            let mut end = time + self.random.between(15 * SECOND, 60 * SECOND);
            for _ in 0..=self.random.below(2) {
                self.event(login, Role::Completion, Outcome::FailedMfa, label, end);
                end += self.random.between(10 * SECOND, 60 * SECOND);
            }
        }
    }

    /// One address tries many accounts within minutes. Most passwords are wrong, some names do
    /// not exist.
    fn stuff_credentials(&mut self, first_victim: usize, now: i64) {
        let tenants = Arc::clone(&self.tenants);
        let label = Label::Attack(AttackKind::CredentialStuffing);
        let wanted = self.config.logins - self.logins;
        let hits = STUFFING_HITS.min(wanted);
        let host = 1 + self.random.below(126) as u32;
        let ip = IpAddr::V4(self.listed_first(Use::Abuse, host));
        let mut time = now + self.random.between(5 * MINUTE, HOUR);
        let browser = COMPUTERS[self.random.index(COMPUTERS.len())];
        let user_agent = browser.user_agent(browser.version_at(time));
        for number in 0..STUFFING_TRIES {
            let hit = number < hits;
            let victim = if number == 0 { first_victim } else { self.random.index(self.people.len()) };
            let person = &self.people[victim];
            let tenant = &tenants[person.tenant as usize];
            let known = person.logins >= HISTORY && person.has_password();
            let account = if number == 0 || known {
                person.account(tenant)
            } else {
                Account {
                    user_id: None,
                    email: format!("someone{number:02}@{}", tenant.name),
                    enrolled: false,
                    connection: DATABASE,
                    logins: 0,
                }
            };
            let exists = account.user_id.is_some();
            let login = Login {
                id: self.new_id(),
                tenant,
                account,
                ip,
                city: None,
                user_agent: user_agent.clone(),
                cookie: None,
                tls: mix(&[0x57f, browser as u64]),
                session: self.random.next(),
            };
            match (hit, exists) {
                (true, true) => {
                    self.attempt(&login, label, time);
                    self.fail_challenge(&login, label, time);
                }
                (false, true) => {
                    self.event(&login, Role::Failure, Outcome::FailedPassword, label, time);
                }
                (_, false) => {
                    self.event(&login, Role::Failure, Outcome::FailedUsername, label, time);
                }
            }
            time += self.random.between(SECOND, 8 * SECOND);
        }
    }

    fn any_of(&mut self, cities: &[usize]) -> Option<usize> {
        cities.get(self.random.index(cities.len())).copied()
    }

    /// An address of some network with this use.
    fn listed(&mut self, usage: Use, host: u32) -> Ipv4Addr {
        let count = networks::used_for(usage).count();
        let choice = self.random.index(count);
        networks::used_for(usage).nth(choice).map_or(Ipv4Addr::UNSPECIFIED, |placed| host_in(placed.network, host))
    }

    /// An address of the first network with this use.
    fn listed_first(&self, usage: Use, host: u32) -> Ipv4Addr {
        networks::used_for(usage).next().map_or(Ipv4Addr::UNSPECIFIED, |placed| host_in(placed.network, host))
    }

    /// A device that the victim never had, on an unlisted home line.
    fn new_device_in(&mut self, city: usize) -> Disguise {
        let line = [Access::ResidentialA, Access::ResidentialB][self.random.index(2)];
        let host = customer(self.random.next());
        let ip = networks::access_host(city, line, host);
        self.new_device(ip.into(), Some(city))
    }

    /// A device that the victim never had.
    fn new_device(&mut self, ip: IpAddr, city: Option<usize>) -> Disguise {
        // Half of the servers set a cookie with the login page; the attacker's is a fresh one.
        let cookie = self.random.percent(50);
        let browser: Browser = COMPUTERS[self.random.index(COMPUTERS.len())];
        // Months behind the owners' versions, so that it is not by chance the owner's own text.
        let age = self.random.between(70 * DAY, 120 * DAY);
        let version = browser.version_at(self.config.start_time_ms - age);
        Disguise {
            ip,
            city,
            user_agent: browser.user_agent(version),
            cookie: cookie.then(|| hex32(self.random.next())),
            tls: mix(&[0xa77, browser as u64]),
        }
    }
}
