//! Whole records of a full event, as they are written.

use serde_json::{Value, json};

use crate::world::*;

/// An event in which every field is given.
fn full(id: &str, at: i64, stage: &str, outcome: &str, ip: &str) -> Value {
    json!({
        "id": id,
        "time": START + at,
        "stage": stage,
        "outcome": outcome,
        "error": { "message": "That went wrong.", "code": "access_denied" },
        "tenant": { "id": "acme.example" },
        "user": {
            "user_id": "u1", "email": "user@mail.example", "username": "user", "name": "A User",
            "enrolledFactors": [{ "type": "otp" }]
        },
        "client": { "client_id": "app1", "name": "App", "metadata": { "tier": "gold" } },
        "connection": { "id": "con_1", "name": "users", "strategy": "auth0" },
        "organization": { "id": "org_1", "name": "org" },
        "request": {
            "ip": ip, "user_agent": FIREFOX_121, "hostname": "login.acme.example", "language": "en", "method": "POST",
            "geoip": { "countryCode": "XX", "cityName": "Elsewhere", "latitude": 1.5, "longitude": 2.5 }
        },
        "device": { "id": "cookie-2" },
        "transaction": { "id": "tx1", "protocol": "oidc-basic-profile", "acr_values": [], "prompt": ["login"] },
        "authentication": { "methods": [{ "name": "pwd", "timestamp": START + at - 1500 }] },
        "session": { "id": "session1" },
        "security_context": { "ja3": "e7d705a3286e19ea42f587b344ee6865", "ja4": "t13d1516h2_8daaf6152771_b186095e22b6" },
        "stats": { "logins_count": 7 }
    })
}

#[test]
fn records_of_each_type() {
    let mut world = World::new();
    world.send(&attempt(-HOUR));
    let record = |seen: &Seen| seen.log.clone().unwrap();
    let success = world.send_json(&full("e1", 0, "attempt", "success", LONDON));
    insta::assert_json_snapshot!("verdict_high", success.verdict());
    insta::assert_json_snapshot!("log_s", record(&success));
    let challenged = world.send_json(&full("e2", MINUTE, "attempt", "success", TOKYO));
    assert_eq!(challenged.overall(), "high", "the device was learnt");
    let mut world = World::with_settings(&[("preset", "cautious")]);
    world.send(&attempt(-HOUR));
    let challenged = world.send_json(&full("e2", MINUTE, "attempt", "success", TOKYO));
    insta::assert_json_snapshot!("verdict_low", challenged.verdict());
    insta::assert_json_snapshot!("log_mfar", record(&challenged));
    let failed = world.send_json(&full("e2", 2 * MINUTE, "completion", "failed_mfa", TOKYO));
    insta::assert_json_snapshot!("log_f", record(&failed));
    let completed = world.send_json(&full("e2", 3 * MINUTE, "completion", "success", TOKYO));
    insta::assert_json_snapshot!("log_s_completion", record(&completed));
    let wrong_password = world.send_json(&full("e3", 0, "attempt", "failed_password", TOR));
    insta::assert_json_snapshot!("log_fp", record(&wrong_password));
    let mut unknown = full("e4", 0, "attempt", "failed_username", "192.0.2.1:443");
    unknown["user"] = json!({ "email": "nobody@mail.example" });
    insta::assert_json_snapshot!("log_fu", record(&world.send_json(&unknown)));
}
