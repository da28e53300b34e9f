//! What a tenant relies on: what conditions see, what they mean, what is refused and how it is told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bounds;
mod conditions;
mod cookbook;
mod decisions;
mod documents;
mod handbook;
mod mistakes;
mod page;
mod reference;
mod values;

use model::assessment::{
    Answer, Assessment, Assessor, Confidence, Details, ListDetails, NamedPoint, Speed, TravelDetails,
};
use model::{RiskAssessment, Timestamp};
use policy::rules::{ConditionSet, EvalError, Facts, PlaceFacts, ProfileFacts};
use policy::value::Value;

/// A login with something in every corner.
const EVENT: &str = r#"{
    "id": "e1", "time": "2026-03-02T08:00:00.250+01:00", "tenant": {"id": "acme.example"},
    "user": {
        "user_id": "u1", "email": "kim@example.com", "email_verified": true, "username": null, "name": 7,
        "multifactor": ["otp", "push"], "enrolledFactors": [{"type": "otp"}, {}], "created_at": "2020-05-01T00:00:00Z",
        "user_metadata": {"theme": "dark"},
        "app_metadata": {
            "level": 3, "ratio": 0.5, "plan": "gold", "tags": ["a", "b"], "flags": {"beta": true, "old": null},
            "big": 18446744073709551615, "zero": 0
        }
    },
    "client": {"client_id": "c1", "name": "Shop", "metadata": {"tier": "1"}},
    "connection": {"id": "con1", "name": "Users", "strategy": "auth0"},
    "organization": {"id": "org1", "name": "acme"},
    "authorization": {"roles": ["admin", "staff"]},
    "resource_server": {"identifier": "https://api.example.com"},
    "request": {
        "ip": " 2001:DB8:0::1 ", "user_agent": " Mozilla/5.0 ", "hostname": " login.example.com ", "language": "en",
        "method": "POST", "asn": 64500,
        "geoip": {"countryCode": " CH ", "cityName": "Zürich", "latitude": 47, "longitude": 8.5, "continentCode": "EU"}
    },
    "device": {"id": "  "},
    "mfa": {"remembered": "yes"},
    "transaction": {
        "protocol": "oidc-basic-profile", "acr_values": ["http://schemas.openid.net/pape/policies/2007/06/multi-factor"],
        "requested_scopes": ["openid", 5], "prompt": [], "idp_initiated": false
    },
    "authentication": {"methods": [
        {"name": "pwd", "timestamp": "2026-03-02T06:59:00Z"}, {"name": "mfa", "timestamp": 1772434800000}
    ]},
    "session": {"id": "s1", "device": {"initial_ip": "192.0.2.7"}},
    "refresh_token": null,
    "stats": {"logins_count": 17}
}"#;

fn risk() -> RiskAssessment {
    let point = |city: Option<&str>, latitude| NamedPoint {
        city: city.map(Into::into),
        country: Some("CH".into()),
        latitude,
        longitude: 8.5,
    };
    RiskAssessment {
        confidence: Confidence::Medium,
        impossible_travel: Some(Assessment {
            answer: Answer::TravelKnownPlace,
            confidence: Confidence::High,
            details: Some(Details::Travel(Box::new(TravelDetails {
                from: point(Some("Bern"), 46.9),
                from_time: Timestamp(1_772_430_000_000),
                to: point(None, 47.0),
                distance_km: 123.456,
                effective_distance_km: 23.456,
                speed: Some(Speed { elapsed_ms: 3_600_000, speed_kmh: 23.456 }),
                known_place: true,
            }))),
        }),
        new_device: Some(Assessment {
            answer: Answer::DevicePartialMatch,
            confidence: Confidence::Medium,
            details: Some(Details::Device { device: false, useragent: true }),
        }),
        untrusted_ip: None,
    }
}

fn listed() -> RiskAssessment {
    let details = ListDetails {
        ip: "192.0.2.7".parse().unwrap(),
        prefix_len: 24,
        source: "example".into(),
        category: model::assessment::Category::Tor,
    };
    let answer = Answer::ListedTor;
    assert_eq!(answer.assessor(), Assessor::UntrustedIp);
    RiskAssessment {
        confidence: Confidence::Low,
        impossible_travel: None,
        new_device: None,
        untrusted_ip: Some(Assessment { answer, confidence: Confidence::Low, details: Some(Details::List(details)) }),
    }
}

fn profile() -> ProfileFacts<'static> {
    ProfileFacts {
        known: true,
        last_login: Some(Timestamp(1_772_348_400_000)),
        devices: 2,
        places: 3,
        last_place: Some(PlaceFacts {
            city: Some("Bern"),
            country: None,
            latitude: 46.9,
            longitude: 7.4,
            time: Timestamp(1_772_348_400_000),
        }),
    }
}

/// What the conditions say of the login above.
fn evaluate(texts: &[&str]) -> Vec<Result<bool, EvalError>> {
    let event = Value::from_json(EVENT.as_bytes()).unwrap();
    let risk = risk();
    let facts = Facts { event: &event, risk: Some(&risk), profile: profile(), enrolled: true };
    evaluate_over(texts, &facts)
}

fn evaluate_over(texts: &[&str], facts: &Facts<'_>) -> Vec<Result<bool, EvalError>> {
    let set = ConditionSet::compile(texts).unwrap_or_else(|errors| {
        let told = |(index, error): &(usize, policy::rules::ConditionError)| format!("{}: {error}", texts[*index]);
        panic!("{}", errors.iter().map(told).collect::<Vec<_>>().join("\n"))
    });
    set.evaluate(facts).collect()
}
