//! The devices that a user is remembered with.

use model::Timestamp;

use crate::fingerprint::AgentPrint;

/// A remembered device. At least one of cookie and user agent is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Hash of the device cookie.
    pub cookie: Option<u64>,
    /// The user agent's print.
    pub agent: Option<AgentPrint>,
    /// Remembered while `time < expiry`.
    pub expiry: Timestamp,
}

/// A user's devices, in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices(pub Vec<Device>);

/// A device as a login shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// Hash of the device cookie.
    pub cookie: Option<u64>,
    /// The user agent's print.
    pub agent: Option<AgentPrint>,
}

impl Shown {
    /// Whether the login shows no device at all: then it teaches none.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.cookie.is_none() && self.agent.is_none()
    }
}

impl Devices {
    /// The devices that are remembered at this time.
    pub fn unexpired(&self, time: Timestamp) -> impl Iterator<Item = &Device> {
        self.0.iter().filter(move |device| time < device.expiry)
    }

    /// Whether an unexpired device has this cookie.
    #[must_use]
    pub fn knows_cookie(&self, cookie: u64, time: Timestamp) -> bool {
        self.unexpired(time).any(|device| device.cookie == Some(cookie))
    }

    /// Whether this user agent is known: by its text with any device, or as an upgrade of the device
    /// with the given cookie (no cookie given: of one without a cookie).
    #[must_use]
    pub fn knows_agent(&self, shown: &Shown, time: Timestamp) -> bool {
        let Some(agent) = &shown.agent else { return false };
        self.unexpired(time).any(|device| {
            device.agent.as_ref().is_some_and(|old| {
                old.text == agent.text || (device.cookie == shown.cookie && agent.is_upgrade_of(old))
            })
        })
    }

    /// Learns the device of a login at `time`: remembered until `expiry`, at most `max` devices.
    pub fn learn(&mut self, shown: &Shown, time: Timestamp, expiry: Timestamp, max: usize) {
        if shown.is_nothing() {
            return;
        }
        self.drop_expired(time);
        let found = match shown.cookie {
            Some(_) => self.0.iter().position(|device| device.cookie == shown.cookie),
            None => self.position_without_cookie(shown),
        };
        match found {
            Some(index) => self.renew(index, shown, expiry),
            None => {
                self.0.push(Device { cookie: shown.cookie, agent: shown.agent.clone(), expiry });
                while self.0.len() > max {
                    remove_first_min(&mut self.0, |device| device.expiry);
                }
            }
        }
    }

    /// Refreshes a device that the login continues, and adds none.
    pub fn refresh(&mut self, shown: &Shown, time: Timestamp, expiry: Timestamp) {
        if shown.is_nothing() {
            return;
        }
        self.drop_expired(time);
        let found = match shown.cookie {
            Some(_) => self.0.iter().position(|device| {
                device.cookie == shown.cookie
                    && match (&shown.agent, &device.agent) {
                        (Some(new), Some(old)) => new.continues(old),
                        (None, None) => true,
                        _ => false,
                    }
            }),
            None => self.position_without_cookie(shown),
        };
        if let Some(index) = found {
            self.renew(index, shown, expiry);
        }
    }

    /// The cookie-less device with the same user agent, else the first one that this is an upgrade of.
    fn position_without_cookie(&self, shown: &Shown) -> Option<usize> {
        let agent = shown.agent.as_ref()?;
        let position = |matches: &dyn Fn(&AgentPrint) -> bool| {
            self.0.iter().position(|device| device.cookie.is_none() && device.agent.as_ref().is_some_and(matches))
        };
        position(&|old| old.text == agent.text).or_else(|| position(&|old| agent.is_upgrade_of(old)))
    }

    fn renew(&mut self, index: usize, shown: &Shown, expiry: Timestamp) {
        let device = &mut self.0[index];
        if shown.agent.is_some() {
            device.agent.clone_from(&shown.agent);
        }
        device.expiry = device.expiry.max(expiry);
    }

    fn drop_expired(&mut self, time: Timestamp) {
        self.0.retain(|device| time < device.expiry);
    }
}

/// Removes the element with the least key; of equals the first.
pub(crate) fn remove_first_min<T, K: Ord>(list: &mut Vec<T>, key: impl Fn(&T) -> K) {
    // `min_by_key` answers the first of equals.
    if let Some((index, _)) = list.iter().enumerate().min_by_key(|(_, element)| key(element)) {
        list.remove(index);
    }
}
