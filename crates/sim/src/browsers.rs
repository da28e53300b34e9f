//! User agents of browsers as they are written today, with versions that move on with time.

use crate::time::DAY;

/// A browser on an operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Browser {
    ChromeWindows,
    ChromeMac,
    ChromeLinux,
    EdgeWindows,
    FirefoxWindows,
    FirefoxLinux,
    OperaWindows,
    SafariMac,
    SafariIphone,
    ChromeIphone,
    ChromeAndroid,
    SamsungAndroid,
    FirefoxAndroid,
}

/// Browsers of computers; common ones more than once.
pub(crate) const COMPUTERS: &[Browser] = &[
    Browser::ChromeWindows,
    Browser::ChromeWindows,
    Browser::ChromeWindows,
    Browser::ChromeMac,
    Browser::SafariMac,
    Browser::SafariMac,
    Browser::EdgeWindows,
    Browser::EdgeWindows,
    Browser::FirefoxWindows,
    Browser::FirefoxLinux,
    Browser::ChromeLinux,
    Browser::OperaWindows,
];

/// Browsers of phones; common ones more than once.
pub(crate) const PHONES: &[Browser] = &[
    Browser::SafariIphone,
    Browser::SafariIphone,
    Browser::SafariIphone,
    Browser::ChromeIphone,
    Browser::ChromeAndroid,
    Browser::ChromeAndroid,
    Browser::ChromeAndroid,
    Browser::SamsungAndroid,
    Browser::FirefoxAndroid,
];

/// What attackers' scripts call themselves.
pub(crate) const BOTS: &[&str] = &[
    "python-requests/2.32.5",
    "curl/8.14.1",
    "Go-http-client/2.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
];

// Days since 1970-01-01 on which the version counted from came out.
const CHROME_120: i64 = 19_696; // 2023-12-05
const FIREFOX_121: i64 = 19_710; // 2023-12-19
const SAFARI_17: i64 = 19_618; // 2023-09-18
const SAMSUNG_23: i64 = 19_645; // 2023-10-15

/// Safari's version is packed as year * 8 + minor: a new major each September, a minor every two
/// months.
const SAFARI_MINORS: u16 = 8;

impl Browser {
    /// Version that is current at a time. Never goes back as time goes on.
    pub(crate) fn version_at(self, epoch_ms: i64) -> u16 {
        let today = epoch_ms.div_euclid(DAY);
        let since = |first: i64, days: i64| ((today - first).max(0) / days).min(900) as u16;
        match self {
            Browser::FirefoxWindows | Browser::FirefoxLinux | Browser::FirefoxAndroid => 121 + since(FIREFOX_121, 29),
            Browser::SafariMac | Browser::SafariIphone => {
                let years = since(SAFARI_17, 365);
                let day_of_year = (today - SAFARI_17).max(0) % 365;
                years * SAFARI_MINORS + (day_of_year / 61) as u16
            }
            Browser::SamsungAndroid => 23 + since(SAMSUNG_23, 130),
            _ => 120 + since(CHROME_120, 31),
        }
    }

    /// Whether it runs on an Apple device, where the privacy relay is.
    pub(crate) fn on_apple(self) -> bool {
        matches!(self, Browser::SafariMac | Browser::SafariIphone)
    }

    /// Whether it runs on a phone.
    pub(crate) fn on_phone(self) -> bool {
        PHONES.contains(&self)
    }

    /// The user agent header of a version.
    pub(crate) fn user_agent(self, v: u16) -> String {
        const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
        const SAFARI: &str = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
        const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)";
        const MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)";
        const ANDROID: &str = "Mozilla/5.0 (Linux; Android 10; K)";
        match self {
            Browser::ChromeWindows => {
                format!("{WINDOWS} {WEBKIT} Chrome/{v}.0.0.0 Safari/537.36")
            }
            Browser::ChromeMac => format!("{MAC} {WEBKIT} Chrome/{v}.0.0.0 Safari/537.36"),
            Browser::ChromeLinux => {
                format!("Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/{v}.0.0.0 Safari/537.36")
            }
            Browser::EdgeWindows => {
                format!("{WINDOWS} {WEBKIT} Chrome/{v}.0.0.0 Safari/537.36 Edg/{v}.0.0.0")
            }
            Browser::OperaWindows => {
                let opera = v.saturating_sub(15);
                format!("{WINDOWS} {WEBKIT} Chrome/{v}.0.0.0 Safari/537.36 OPR/{opera}.0.0.0")
            }
            Browser::FirefoxWindows => {
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0")
            }
            Browser::FirefoxLinux => format!("Mozilla/5.0 (X11; Linux x86_64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0"),
            Browser::FirefoxAndroid => {
                format!("Mozilla/5.0 (Android 15; Mobile; rv:{v}.0) Gecko/{v}.0 Firefox/{v}.0")
            }
            Browser::SafariMac => {
                let (major, minor) = safari(v);
                format!("{MAC} {SAFARI} Version/{major}.{minor} Safari/605.1.15")
            }
            Browser::SafariIphone => {
                let (major, minor) = safari(v);
                // From 26 on the system's version in this header stands still.
                let (os, os_minor) = if major < 26 { (major, minor) } else { (18, 7) };
                format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS {os}_{os_minor} like Mac OS X) {SAFARI} \
                     Version/{major}.{minor} Mobile/15E148 Safari/604.1"
                )
            }
            Browser::ChromeIphone => format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) {SAFARI} \
                 CriOS/{v}.0.7000.50 Mobile/15E148 Safari/604.1"
            ),
            Browser::ChromeAndroid => {
                format!("{ANDROID} {WEBKIT} Chrome/{v}.0.0.0 Mobile Safari/537.36")
            }
            Browser::SamsungAndroid => {
                // Each of its versions comes with an engine four versions newer.
                let chrome = 115 + 4 * v.saturating_sub(23);
                format!("{ANDROID} {WEBKIT} SamsungBrowser/{v}.0 Chrome/{chrome}.0.0.0 Mobile Safari/537.36")
            }
        }
    }
}

/// Major and minor of Safari; the majors 19 to 25 were left out.
fn safari(packed: u16) -> (u16, u16) {
    let year = packed / SAFARI_MINORS;
    let major = if year < 2 { 17 + year } else { 24 + year };
    (major, packed % SAFARI_MINORS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_move_on_and_never_back() {
        let start = 1_704_067_200_000; // 2024-01-01
        for browser in COMPUTERS.iter().chain(PHONES) {
            let versions: Vec<u16> = (0..900).map(|day| browser.version_at(start + day * DAY)).collect();
            assert!(versions.is_sorted(), "{browser:?}");
            assert!(versions.first() < versions.last(), "{browser:?}");
        }
    }

    #[test]
    fn user_agents_look_as_they_do_today() {
        let new_year_2026 = 1_767_225_600_000;
        let agent = |browser: Browser| browser.user_agent(browser.version_at(new_year_2026));
        assert_eq!(
            agent(Browser::ChromeWindows),
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/144.0.0.0 Safari/537.36"
        );
        assert_eq!(
            agent(Browser::SafariIphone),
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1"
        );
    }
}
