//! Any bytes as a settings document, and a login decided by what compiles.
#![no_main]

use model::codec::decode;
use policy::document::MAX_PROBLEMS;
use policy::rules::ProfileFacts;
use policy::{Defaults, Tenant};

const EVENT: &[u8] = br#"{"id":"e1","time":1772442000000,"tenant":{"id":"acme"},"user":{"user_id":"u1","email":"u1@example.com",
"app_metadata":{"plan":"free","level":3}},"authorization":{"roles":["admin"]},"request":{"ip":"203.0.113.9"},
"authentication":{"methods":[{"name":"pwd","timestamp":1772442000000}]}}"#;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(json) = serde_json::from_slice(bytes) else { return };
    match Tenant::compile(&json, Some("acme"), &Defaults::default()) {
        Err(problems) => assert!(!problems.is_empty() && problems.len() <= MAX_PROBLEMS),
        Ok(tenant) => {
            let mut scratch = String::new();
            let Ok(event) = decode(EVENT, None, &mut scratch) else { return };
            let plan = tenant.plan(&event);
            let decide = || tenant.decide(&event, plan, None, ProfileFacts::default);
            assert_eq!(decide(), decide());
        }
    }
});
