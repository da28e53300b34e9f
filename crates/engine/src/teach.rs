//! What a completed login teaches.

use assess::Settings;
use model::Timestamp;
use model::time::DAY_MS;
use profile::devices::Shown;
use profile::{Profile, Spot};

/// How much a login teaches, unless it is the first: that teaches everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything: its device and place are the user's.
    Everything,
    /// What is known already is renewed; nothing new is added.
    Refresh,
}

/// A login that is complete.
#[derive(Debug)]
pub(crate) struct Lesson<'a> {
    pub(crate) time: Timestamp,
    pub(crate) shown: &'a Shown,
    /// The place, unless the address hides it.
    pub(crate) spot: Option<&'a Spot>,
    pub(crate) extent: Extent,
}

pub(crate) fn teach(profile: &mut Profile, lesson: &Lesson<'_>, settings: &Settings) {
    let Lesson { time, shown, spot, mut extent } = *lesson;
    if profile.is_forgotten_at(time, settings.profile_days) {
        profile.forget_history();
        // A first login, or a system that has just been put in: there is nothing to compare with.
        extent = Extent::Everything;
    }
    let expiry = Timestamp(time.0 + i64::from(settings.remember_for_days) * DAY_MS);
    match extent {
        Extent::Everything => profile.devices.learn(shown, time, expiry, settings.device_max),
        Extent::Refresh => profile.devices.refresh(shown, time, expiry),
    }
    if let Some(spot) = spot {
        match extent {
            Extent::Everything => profile.places.learn(spot, time, settings.floor_km, settings.max_known_places),
            Extent::Refresh => profile.places.refresh(spot, time, settings.floor_km),
        }
    }
    profile.renew_mark(time);
}
