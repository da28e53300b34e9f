//! NewDevice: device cookie and user agent against the user's remembered devices.

use model::{Answer, Timestamp};
use profile::Profile;
use profile::devices::Shown;

/// Answers, and tells whether it is the cookie that is known.
/// A profile that is not there is one that cannot be read: nothing can be compared.
pub(crate) fn assess(shown: &Shown, time: Timestamp, profile: Option<&Profile>, first_login: bool) -> (Answer, bool) {
    let Some(profile) = profile else { return (Answer::DeviceNotAvailable, false) };
    if first_login {
        return (Answer::DeviceInitialLogin, false);
    }
    if shown.is_nothing() {
        return (Answer::UnknownDevice, false);
    }
    if profile.devices.unexpired(time).next().is_none() {
        return (Answer::NoDeviceHistory, false);
    }
    let cookie_known = shown.cookie.is_some_and(|cookie| profile.devices.knows_cookie(cookie, time));
    let agent_known = profile.devices.knows_agent(shown, time);
    let answer = match (cookie_known, agent_known) {
        (true, true) => Answer::DeviceMatch,
        (false, false) => Answer::DeviceNoMatch,
        _ => Answer::DevicePartialMatch,
    };
    (answer, cookie_known)
}
