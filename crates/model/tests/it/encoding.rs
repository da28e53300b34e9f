//! What is written says the same in both encodings, and hostile texts stay within limits.

use model::assessment::{Category, ListDetails, NamedPoint, Speed, TravelDetails};
use model::codec::{Record, decode};
use model::evidence::{AddressFacts, AgentFacts, DataVersions, Network};
use model::log_record::{LogContext, LogId, LogType};
use model::{
    Action, Answer, Assessment, Confidence, Decision, Details, Encoding, LogRecord, Reason, RiskAssessment, Timestamp,
    Verdict,
};
use serde_json::{Value, json};

use crate::support::{put, to_json, with};

static CHALLENGE: Decision = Decision::new(Action::Challenge, Reason::ConfidenceLow);

fn risk() -> RiskAssessment {
    let point = |city: &str, latitude, longitude| NamedPoint {
        city: Some(city.into()),
        country: Some("GB".into()),
        latitude,
        longitude,
    };
    let travel = TravelDetails {
        from: point("London", 51.5, -0.125),
        from_time: Timestamp(1_772_438_400_000),
        to: NamedPoint { city: None, country: None, ..point("", 35.5, 139.75) },
        distance_km: 9_558.04,
        effective_distance_km: 9_458.06,
        speed: Some(Speed { elapsed_ms: 500, speed_kmh: 34_049_016.0 }),
        known_place: false,
    };
    let list = ListDetails {
        ip: "2001:db8::7".parse().unwrap(),
        prefix_len: 32,
        source: "exits".into(),
        category: Category::Tor,
    };
    let assessment = |answer, confidence, details| Some(Assessment { answer, confidence, details: Some(details) });
    RiskAssessment {
        confidence: Confidence::Low,
        impossible_travel: assessment(Answer::ImpossibleTravel, Confidence::Low, Details::Travel(Box::new(travel))),
        new_device: assessment(
            Answer::DevicePartialMatch,
            Confidence::Medium,
            Details::Device { device: true, useragent: false },
        ),
        untrusted_ip: assessment(Answer::ListedTor, Confidence::Low, Details::List(list)),
    }
}

/// The record in JSON, once it is certain that it is what `serde_json` writes and that MessagePack says the
/// same.
fn both<T: Record>(record: &T) -> Value {
    let mut json = Vec::new();
    Encoding::Json.encode(record, &mut json).unwrap();
    assert_eq!(String::from_utf8_lossy(&json), serde_json::to_string(record).unwrap());
    let mut msgpack = vec![1, 2, 3];
    Encoding::MessagePack.encode(record, &mut msgpack).unwrap();
    let from_json: Value = serde_json::from_slice(&json).unwrap();
    let from_msgpack: Value = rmp_serde::from_slice(&msgpack).unwrap();
    assert_eq!(from_json, from_msgpack);
    assert_eq!((Encoding::of(&json), Encoding::of(&msgpack)), (Encoding::Json, Encoding::MessagePack));
    from_json
}

#[test]
fn a_verdict_has_the_references_words() {
    let risk = risk();
    let versions = DataVersions { city: Some("c1".into()), ..DataVersions::default() };
    let verdict = Verdict {
        event_id: "e1".into(),
        tenant: "acme.example".into(),
        user_id: "u1".into(),
        time: Timestamp(1_772_438_400_500),
        risk_assessment: (&risk).into(),
        decision: &CHALLENGE,
        data_versions: &versions,
    };
    let wanted = json!({
        "event_id": "e1",
        "tenant": "acme.example",
        "user_id": "u1",
        "time": "2026-03-02T08:00:00.500Z",
        "risk_assessment": {
            "confidence": "low",
            "version": "1",
            "assessments": {
                "ImpossibleTravel": {
                    "confidence": "low",
                    "code": "impossible_travel_from_last_login",
                    "details": {
                        "from": {
                            "city": "London", "country": "GB", "latitude": 51.5, "longitude": -0.125,
                            "time": "2026-03-02T08:00:00.000Z"
                        },
                        "to": { "latitude": 35.5, "longitude": 139.75 },
                        "distance_km": 9558.0,
                        "effective_distance_km": 9458.1,
                        "elapsed_s": 0.5,
                        "speed_kmh": 34_049_016.0,
                        "known_place": false
                    }
                },
                "NewDevice": {
                    "confidence": "medium",
                    "code": "partial_match",
                    "details": { "device": "known", "useragent": "unknown" }
                },
                "UntrustedIP": {
                    "confidence": "low",
                    "code": "found_on_deny_list",
                    "details": {
                        "ip": "2001:db8::7", "matches": "2001:db8::/32", "source": "exits", "category": "anonymizer"
                    }
                }
            }
        },
        "decision": { "action": "challenge", "reason": "confidence_low" },
        "data_versions": { "city": "c1" }
    });
    assert_eq!(both(&verdict), wanted);
}

#[test]
fn log_records_of_every_type_in_both_encodings() {
    let mut event = with("outcome", json!("failed_mfa"));
    for (path, value) in [
        ("error", json!({"message": "code mistyped", "code": "mfa_invalid_code"})),
        ("client", json!({"client_id": "app1", "name": "App"})),
        ("connection", json!({"id": "con1", "name": "users", "strategy": "auth0"})),
        ("organization", json!({"id": "org1", "name": "Org"})),
        ("request", json!({"ip": "192.0.2.7:443", "user_agent": "Example/1.0", "hostname": "login.example"})),
        ("session.id", json!("s1")),
        ("transaction.id", json!("t1")),
        ("authentication.methods", json!([{"name": "pwd", "timestamp": 1_772_438_399_000_i64}])),
        ("security_context", json!({"ja3": "j3", "ja4": "j4"})),
        ("stats.logins_count", json!(4)),
    ] {
        put(&mut event, path, value);
    }
    let payload = to_json(&event);
    let mut scratch = String::new();
    let event = decode(&payload, None, &mut scratch).unwrap();
    let facts = AddressFacts {
        non_public: false,
        relay: false,
        matches: Ok(Vec::new()),
        geo: Ok(None),
        network: Some(Network { number: 64_512, organization: Some("Example Net".into()) }),
    };
    let agent = AgentFacts { browser: None, is_mobile: true };
    let risk = risk();
    for kind in LogType::ALL {
        let context = LogContext {
            kind,
            environment_name: "prod",
            ip: None,
            address: Some(&facts),
            agent: Some(&agent),
            risk: Some(&risk),
            decision: Some(&CHALLENGE),
            attempted_at: Some(Timestamp(1_772_438_390_000)),
        };
        let record = both(&LogRecord::new(&event, LogId::new(event.time, u128::MAX), context));
        let data = &record["data"];
        assert_eq!(
            (&record["log_id"], &data["type"]),
            (&json!("019cad8fac00ffffffffffffffffffff"), &json!(kind.as_str()))
        );
        assert_eq!(data["ip"], json!("0.0.0.0"));
        assert_eq!(data["details"]["invalid_ip"], json!("192.0.2.7:443"));
        assert_eq!(data["details"]["initiatedAt"], json!(1_772_438_390_000_i64));
        let ended = kind != LogType::MfaRequired;
        assert_eq!(data["details"]["elapsedTime"], if ended { json!(10_000) } else { Value::Null });
    }
}

#[test]
fn texts_of_a_log_record_are_cut_between_characters() {
    let long = "é".repeat(5_000);
    let mut event = with("request.user_agent", json!(long));
    for path in ["request.hostname", "client.name", "connection.strategy", "session.id", "error.message", "request.ip"]
    {
        put(&mut event, path, json!(long));
    }
    put(&mut event, "authentication.methods", json!(vec![json!({ "name": long }); 50]));
    put(&mut event, "outcome", json!("failed_other"));
    let payload = to_json(&event);
    let mut scratch = String::new();
    let event = decode(&payload, None, &mut scratch).unwrap();
    let context = LogContext {
        kind: LogType::Failed,
        environment_name: "prod",
        ip: None,
        address: None,
        agent: None,
        risk: None,
        decision: None,
        attempted_at: None,
    };
    let record = both(&LogRecord::new(&event, LogId::new(event.time, u128::MAX), context));
    assert_eq!(record["data"]["user_agent"], json!("é".repeat(512)));
    assert_eq!(record["data"]["details"]["prompts"].as_array().unwrap().len(), 16);
    // 16 prompts of two texts each and some more: a record that every topic takes.
    assert!(record.to_string().len() < 64 * 1024);
}

#[test]
fn the_content_type_names_the_encoding() {
    for (content_type, wanted) in [
        ("application/json", Some(Encoding::Json)),
        ("Application/JSON; charset=utf-8", Some(Encoding::Json)),
        ("application/msgpack", Some(Encoding::MessagePack)),
        ("application/x-msgpack", Some(Encoding::MessagePack)),
        ("application/vnd.msgpack", Some(Encoding::MessagePack)),
        ("text/plain", None),
        ("", None),
    ] {
        assert_eq!(Encoding::from_content_type(content_type), wanted, "{content_type}");
    }
}

#[test]
fn an_assessment_that_is_written_already_is_used_as_it_is() {
    let risk = risk();
    let mut json = Vec::new();
    Encoding::Json.encode(&risk, &mut json).unwrap();
    let versions = DataVersions::default();
    let mut verdict = Verdict {
        event_id: "e1".into(),
        tenant: "acme.example".into(),
        user_id: "u1".into(),
        time: Timestamp(0),
        risk_assessment: (&risk).into(),
        decision: &CHALLENGE,
        data_versions: &versions,
    };
    let (mut wanted, mut written) = (Vec::new(), Vec::new());
    Encoding::Json.encode(&verdict, &mut wanted).unwrap();
    verdict.risk_assessment = verdict.risk_assessment.with_json(&json);
    Encoding::Json.encode(&verdict, &mut written).unwrap();
    assert_eq!(written, wanted);
}
