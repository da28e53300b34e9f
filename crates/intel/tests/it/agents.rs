//! Which browser a user agent is.

use intel::Agents;

#[test]
fn browsers_systems_and_versions() {
    let windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)";
    let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
         Version/17.2 Mobile/15E148 Safari/604.1";
    let long = format!("{windows} Chrome/120.0.0.0 Safari/537.36 {}", "x".repeat(1024));
    let cases = [
        (format!("{windows} Chrome/120.0.0.0 Safari/537.36"), Some(("Chrome", "Windows 10", &[120][..])), false),
        (phone.to_owned(), Some(("Safari", "iPhone", &[17, 2])), true),
        ("curl/8.5.0".to_owned(), None, false),
        (String::new(), None, false),
        ("\u{0}\u{1f600}".to_owned(), None, false),
        // Beyond 1,024 bytes only the text counts.
        (long, None, false),
    ];
    let agents = Agents::default();
    for (text, browser, is_mobile) in cases {
        // Twice: the second answer is the cache's.
        for _ in 0..2 {
            let facts = agents.facts(&text);
            let got = facts.browser.as_ref().map(|b| (&*b.name, &*b.os, b.version.as_ref().unwrap().parts().to_vec()));
            assert_eq!(got, browser.map(|(name, os, version)| (name, os, version.to_vec())), "{text}");
            assert_eq!(facts.is_mobile, is_mobile, "{text}");
        }
    }
}
