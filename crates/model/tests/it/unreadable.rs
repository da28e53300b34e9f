//! Every reason why a record is no event, in both encodings, and what is only just one.

use model::unreadable::{MAX_DEPTH, MAX_EVENT_BYTES};
use serde_json::{Value, json};

use crate::support::{
    JSON, MSGPACK, check, check_both, map, minimal, minimal_and, text, to_json, to_msgpack, with, without,
};

#[test]
fn required_fields_and_their_bounds() {
    let text_of = |bytes: usize| Value::from("x".repeat(bytes));
    // Two bytes a character: limits count bytes.
    let wide = |characters: usize| Value::from("é".repeat(characters));
    let cases = [
        ("minimal", minimal(), "read"),
        ("no id", without("id"), "missing_field"),
        ("no time", without("time"), "missing_field"),
        ("no tenant", without("tenant"), "missing_field"),
        ("no tenant.id", without("tenant.id"), "missing_field"),
        ("no user", without("user"), "missing_field"),
        ("no user.user_id", without("user.user_id"), "missing_field"),
        ("null id", with("id", Value::Null), "missing_field"),
        ("null time", with("time", Value::Null), "missing_field"),
        ("null tenant", with("tenant", Value::Null), "missing_field"),
        ("null user_id", with("user.user_id", Value::Null), "missing_field"),
        ("id is a number", with("id", json!(7)), "wrong_type"),
        ("id is a list", with("id", json!(["e1"])), "wrong_type"),
        ("time is a flag", with("time", json!(true)), "wrong_type"),
        ("time is a float", with("time", json!(1_772_438_400_000.5)), "wrong_type"),
        ("time is an object", with("time", json!({"ms": 1})), "wrong_type"),
        ("tenant.id is a number", with("tenant.id", json!(7)), "wrong_type"),
        ("user_id is a flag", with("user.user_id", json!(false)), "wrong_type"),
        ("stage is a number", with("stage", json!(1)), "wrong_type"),
        ("outcome is a list", with("outcome", json!([])), "wrong_type"),
        ("empty id", with("id", json!("")), "out_of_bounds"),
        ("id of 1 byte", with("id", text_of(1)), "read"),
        ("id of white space is taken as it is", with("id", json!(" ")), "read"),
        ("id of 256 bytes", with("id", text_of(256)), "read"),
        ("id of 257 bytes", with("id", text_of(257)), "out_of_bounds"),
        ("id of 128 two-byte characters", with("id", wide(128)), "read"),
        ("id of 129 two-byte characters", with("id", wide(129)), "out_of_bounds"),
        ("empty tenant.id", with("tenant.id", json!("")), "out_of_bounds"),
        ("tenant.id of 128 bytes", with("tenant.id", text_of(128)), "read"),
        ("tenant.id of 129 bytes", with("tenant.id", text_of(129)), "out_of_bounds"),
        ("empty user_id", with("user.user_id", json!("")), "out_of_bounds"),
        ("user_id of 1024 bytes", with("user.user_id", text_of(1024)), "read"),
        ("user_id of 1025 bytes", with("user.user_id", text_of(1025)), "out_of_bounds"),
        ("stage attempt", with("stage", json!("attempt")), "read"),
        ("stage completion", with("stage", json!("completion")), "read"),
        ("stage null", with("stage", Value::Null), "read"),
        ("stage of another case", with("stage", json!("Attempt")), "out_of_bounds"),
        ("empty stage", with("stage", json!("")), "out_of_bounds"),
        ("outcome success", with("outcome", json!("success")), "read"),
        ("outcome unknown", with("outcome", json!("failed")), "out_of_bounds"),
        ("names are case-sensitive", with("ID", json!(7)), "read"),
        ("an event is an object", json!([minimal()]), "not_an_object"),
    ];
    for (name, event, wanted) in cases {
        check_both(name, &event, wanted);
    }
}

#[test]
fn a_user_may_be_absent_only_when_the_outcome_is_a_failure() {
    for outcome in ["failed_password", "failed_username", "failed_mfa", "failed_other"] {
        let mut event = with("outcome", json!(outcome));
        check_both(outcome, &event, "read");
        event["user"]["user_id"] = Value::Null;
        check_both(outcome, &event, "read");
        event["user"]["user_id"] = json!("");
        check_both(outcome, &event, "out_of_bounds");
        event["user"]["user_id"] = json!(5);
        check_both(outcome, &event, "wrong_type");
        event["user"] = json!("u1");
        check_both(outcome, &event, "read without user");
        event.as_object_mut().unwrap().remove("user");
        check_both(outcome, &event, "read");
    }
}

#[test]
fn bounds_of_time() {
    let cases = [
        (json!(946_684_800_000_i64), "read"),
        (json!(946_684_799_999_i64), "out_of_bounds"),
        (json!(4_102_444_799_999_i64), "read"),
        (json!(4_102_444_800_000_i64), "out_of_bounds"),
        (json!(0), "out_of_bounds"),
        (json!(-1), "out_of_bounds"),
        (json!(i64::MIN), "out_of_bounds"),
        (json!(i64::MAX), "out_of_bounds"),
        (json!(u64::MAX), "out_of_bounds"),
        (json!("2000-01-01T00:00:00Z"), "read"),
        (json!("1999-12-31T23:59:59.999Z"), "out_of_bounds"),
        (json!("2099-12-31T23:59:59.999999Z"), "read"),
        (json!("2100-01-01T00:00:00Z"), "out_of_bounds"),
        (json!("2000-01-01T00:30:00+01:00"), "out_of_bounds"),
        (json!("2026-03-02T08:00:00"), "out_of_bounds"),
        (json!("1772438400000"), "out_of_bounds"),
        (json!("yesterday"), "out_of_bounds"),
        (json!(""), "out_of_bounds"),
    ];
    for (time, wanted) in cases {
        check_both(&time.to_string(), &with("time", time.clone()), wanted);
    }
}

#[test]
fn what_is_no_json() {
    let event = to_json(&minimal());
    let fields = String::from_utf8(event[1..event.len() - 1].to_vec()).unwrap();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("blanks", b"  ".to_vec(), "not_json"),
        ("a word", b"login".to_vec(), "not_json"),
        ("cut off", event[..event.len() - 1].to_vec(), "not_json"),
        ("more behind it", [&event[..], b"x"].concat(), "not_json"),
        ("two events", [&event[..], &event[..]].concat(), "not_json"),
        ("blanks behind it", [&event[..], b" \r\n\t"].concat(), "read"),
        ("a comma too many", format!("{{{fields},}}").into_bytes(), "not_json"),
        ("NaN ignored", format!("{{{fields},\"x\":NaN}}").into_bytes(), "not_json"),
        ("Infinity ignored", format!("{{{fields},\"x\":-Infinity}}").into_bytes(), "not_json"),
        ("leading zero ignored", format!("{{{fields},\"x\":01}}").into_bytes(), "not_json"),
        ("a comment", format!("{{{fields}/**/}}").into_bytes(), "not_json"),
        ("single quotes", format!("{{{fields},'x':1}}").into_bytes(), "not_json"),
        ("control character in text", format!("{{{fields},\"x\":\"\u{1}\"}}").into_bytes(), "not_json"),
        ("bad escape ignored", format!("{{{fields},\"x\":\"\\q\"}}").into_bytes(), "not_json"),
        ("null", b"null".to_vec(), "not_an_object"),
        ("a number", b"5".to_vec(), "not_an_object"),
        ("a text", b"\"x\"".to_vec(), "not_an_object"),
        ("a list", b"[]".to_vec(), "not_an_object"),
        ("an empty object", b"{}".to_vec(), "missing_field"),
    ];
    for (name, payload, wanted) in cases {
        check(name, payload, JSON, wanted);
    }
    check("empty", b"", JSON, "empty");
}

#[test]
fn text_that_is_no_utf8() {
    let broken: [&[u8]; 4] = [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"];
    for broken in broken {
        for field in ["request", "x"] {
            let payload = [
                br#"{"id":"e1","time":1772438400000,"tenant":{"id":"a"},"user":{"user_id":"u"},""#.as_slice(),
                field.as_bytes(),
                br#"":{"user_agent":""#,
                broken,
                br#""}}"#,
            ]
            .concat();
            check("JSON", &payload, JSON, "invalid_utf8");
            let mut bad_text = vec![0xa0 | broken.len() as u8];
            bad_text.extend_from_slice(broken);
            let object = map(&[(text("user_agent"), bad_text.clone())]);
            check("MessagePack", &minimal_and(&[(text(field), object)]), MSGPACK, "invalid_utf8");
            check("a key", &minimal_and(&[(bad_text, vec![0xc0])]), MSGPACK, "invalid_utf8");
        }
    }
}

#[test]
fn nan_in_messagepack_anywhere() {
    let nan64 = [&[0xcb_u8][..], &f64::NAN.to_be_bytes()].concat();
    let nan32 = [&[0xca_u8][..], &f32::NAN.to_be_bytes()].concat();
    let infinite = [&[0xcb_u8][..], &f64::INFINITY.to_be_bytes()].concat();
    for nan in [nan64, nan32] {
        let geo = map(&[(text("geoip"), map(&[(text("latitude"), nan.clone())]))]);
        check("read", &minimal_and(&[(text("request"), geo)]), MSGPACK, "nan");
        check("ignored", &minimal_and(&[(text("x"), nan.clone())]), MSGPACK, "nan");
        check("in a list", &minimal_and(&[(text("x"), [vec![0x91], nan].concat())]), MSGPACK, "nan");
    }
    let geo = map(&[(text("geoip"), map(&[(text("latitude"), infinite)]))]);
    check("infinity", &minimal_and(&[(text("request"), geo)]), MSGPACK, "read without request.geoip.latitude");
}

#[test]
fn nesting_counts_the_event_itself() {
    let lists = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let objects = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({ "a": inner }));
    // The event is the first level, a section of it the second.
    for (path, level, answer) in [
        ("x", 1, "read"),
        ("request.x", 2, "read"),
        ("refresh_token", 1, "read"),
        ("user.user_metadata", 2, ""),
        ("user.multifactor", 2, "read without user.multifactor"),
        ("request.ip", 2, "read without request.ip"),
        ("stats", 1, ""),
        ("id", 1, "wrong_type"),
    ] {
        for (shape, make) in [("lists", &lists as &dyn Fn(usize) -> Value), ("objects", &objects)] {
            let just = with(path, make(MAX_DEPTH - level));
            let beyond = with(path, make(MAX_DEPTH - level + 1));
            let name = format!("{shape} in {path}");
            let wanted = match (path, shape) {
                ("user.user_metadata", "lists") => "read without user.user_metadata",
                ("user.user_metadata", _) => "read",
                ("stats", "lists") => "read without stats",
                ("stats", _) => "read",
                _ => answer,
            };
            check_both(&name, &just, wanted);
            check_both(&format!("{name}, one deeper"), &beyond, "too_deep");
        }
    }
    let in_text = with("request.user_agent", Value::from("[{\"".repeat(500)));
    check_both("brackets in text nest nothing", &in_text, "read");
}

#[test]
fn a_known_field_given_twice() {
    let start = r#"{"id":"e1","time":1772438400000,"tenant":{"id":"a"},"user":{"user_id":"u"}"#;
    let cases = [
        (r#","id":"e1""#, "duplicate_field"),
        (r#","id":null"#, "duplicate_field"),
        (r#","\u0069d":"e1""#, "duplicate_field"),
        (r#","time":1"#, "duplicate_field"),
        (r#","tenant":{"id":"a"}"#, "duplicate_field"),
        (r#","stage":"attempt","stage":"attempt""#, "duplicate_field"),
        (r#","request":{"ip":"192.0.2.1","ip":"192.0.2.2"}"#, "duplicate_field"),
        (r#","request":{"ip":"192.0.2.1","\u0069\u0070":null}"#, "duplicate_field"),
        (r#","request":{},"request":{}"#, "duplicate_field"),
        (r#","request":null,"request":{}"#, "duplicate_field"),
        (r#","request":5,"request":{}"#, "duplicate_field"),
        (r#","request":{"geoip":{"latitude":1,"latitude":2}}"#, "duplicate_field"),
        (r#","user_metadata":{"a":1,"a":2}"#, "read"),
        (r#","device":{"id":"c","id":"c"}"#, "duplicate_field"),
        (r#","stats":{"logins_count":1,"logins_count":1}"#, "duplicate_field"),
        (r#","authentication":{"methods":[{"name":"pwd","name":"mfa"}]}"#, "duplicate_field"),
        (r#","authentication":{"methods":[5,{"name":"pwd","name":"mfa"}]}"#, "duplicate_field"),
        (r#","error":{"code":"a","code":"a"}"#, "duplicate_field"),
        (r#","session":{"id":"a","id":"b"}"#, "duplicate_field"),
        (r#","x":1,"x":2"#, "read"),
        (r#","x":{"id":1,"id":2}"#, "read"),
        (r#","request":{"x":1,"x":2}"#, "read"),
        (r#","ID":1,"ID":2"#, "read"),
        (r#","mfa":{"remembered":true,"remembered":true}"#, "duplicate_field"),
    ];
    for (more, wanted) in cases {
        check(more, format!("{start}{more}}}").as_bytes(), JSON, wanted);
    }
    let twice = |key: &str, value: Vec<u8>| vec![(text(key), value.clone()), (text(key), value)];
    check("MessagePack, id", &minimal_and(&[(text("id"), text("e1"))]), MSGPACK, "duplicate_field");
    check("MessagePack, request", &minimal_and(&twice("request", map(&[]))), MSGPACK, "duplicate_field");
    let ip_twice = map(&twice("ip", text("192.0.2.1")));
    check("MessagePack, ip", &minimal_and(&[(text("request"), ip_twice)]), MSGPACK, "duplicate_field");
    check("MessagePack, unknown", &minimal_and(&twice("x", vec![0xc0])), MSGPACK, "read");
}

#[test]
fn keys_of_messagepack_that_are_no_text() {
    // Integers, floats, nil, flags, binary and containers as keys: whoever reads by position would take
    // key 0 for `id`.
    let keys: [Vec<u8>; 9] = [
        vec![0x00],
        vec![0x01],
        vec![0xc0],
        vec![0xc3],
        vec![0xff],
        [&[0xcb_u8][..], &1.0f64.to_be_bytes()].concat(),
        vec![0xc4, 2, b'i', b'd'],
        vec![0x90],
        vec![0x81, 0x01, 0x02],
    ];
    for key in keys {
        let name = format!("{key:02x?}");
        check(&name, &minimal_and(&[(key.clone(), text("192.0.2.1"))]), MSGPACK, "read");
        check(&name, &minimal_and(&[(text("request"), map(&[(key, text("x"))]))]), MSGPACK, "read");
    }
}

#[test]
fn what_is_no_messagepack() {
    let event = to_msgpack(&minimal());
    for end in 1..event.len() {
        check(&format!("cut off after {end}"), &event[..end], MSGPACK, "not_msgpack");
    }
    check("a byte behind it", &[&event[..], &[0xc0]].concat(), MSGPACK, "not_msgpack");
    check("two events", &[&event[..], &event[..]].concat(), MSGPACK, "not_msgpack");
    check("reserved marker", &minimal_and(&[(text("x"), vec![0xc1])]), MSGPACK, "not_msgpack");
    check("nil", &[0xc0], MSGPACK, "not_an_object");
    check("a list", &[0x90], MSGPACK, "not_an_object");
    check("a text", &text("x".repeat(40).as_str()), MSGPACK, "not_an_object");
    check("an empty map", &[0x80], MSGPACK, "missing_field");
    check("a map of 4 billion fields", &[0xdf, 0xff, 0xff, 0xff, 0xff], MSGPACK, "not_msgpack");
    check("a text of 4 GB", &[0xdb, 0xff, 0xff, 0xff, 0xff, b'x'], MSGPACK, "not_msgpack");
    let extension = vec![0xd4, 0x01, 0x02];
    check("an extension ignored", &minimal_and(&[(text("x"), extension.clone())]), MSGPACK, "read");
    let agent = map(&[(text("user_agent"), extension)]);
    check("an extension", &minimal_and(&[(text("request"), agent)]), MSGPACK, "read without request.user_agent");
    let binary = map(&[(text("user_agent"), vec![0xc4, 1, b'x'])]);
    check("binary", &minimal_and(&[(text("request"), binary)]), MSGPACK, "read without request.user_agent");
    let id = map(&[(text("id"), vec![0xc4, 1, b'x'])]);
    check("binary id", &id, MSGPACK, "wrong_type");
}

#[test]
fn the_largest_record() {
    for (content_type, encode) in [(JSON, to_json as fn(&Value) -> Vec<u8>), (MSGPACK, to_msgpack)] {
        for path in ["x", "request.user_agent"] {
            // Texts of this length all have a header of one size, so the rest is constant.
            let around = encode(&with(path, Value::from("y".repeat(70_000)))).len() - 70_000;
            let of = |length: usize| encode(&with(path, Value::from("y".repeat(length - around))));
            assert_eq!(of(MAX_EVENT_BYTES).len(), MAX_EVENT_BYTES);
            check("1 MiB", &of(MAX_EVENT_BYTES), content_type, "read");
            check("a byte more", &of(MAX_EVENT_BYTES + 1), content_type, "too_large");
        }
    }
}

#[test]
fn json_that_rust_has_no_value_for() {
    let start = r#"{"id":"e1","time":1772438400000,"tenant":{"id":"a"},"user":{"user_id":"u"}"#;
    let cases = [
        (r#","x":1e400"#, "read"),
        (r#","x":[-1e400,{"y":1E+999}]"#, "read"),
        (r#","stats":{"logins_count":1e400}"#, "read without stats.logins_count"),
        (r#","request":{"geoip":{"latitude":1e400}}"#, "read without request.geoip.latitude"),
        (r#","request":{"user_agent":1e400}"#, "read without request.user_agent"),
        (r#","request":{"asn":1e400}"#, "read"),
        (r#","x":"1e400 \" 1e400""#, "read"),
        (r#","x":1e400e"#, "not_json"),
        (r#","x":1e400,"id":"e1""#, "duplicate_field"),
        (r#","x":"\ud800""#, "read"),
        // Half of a surrogate pair makes the string no text.
        (r#","request":{"user_agent":"\ud800"}"#, "read without request.user_agent"),
        (r#","request":{"user_agent":"\udc00\ud800"}"#, "read without request.user_agent"),
        (r#","request":{"user_agent":"\ud83d\ude00"}"#, "read"),
        (r#","request":{"user_agent":"\\ud800"}"#, "read"),
        (r#","request":{"user_agent":"\ud800\n\ud800\u0041"}"#, "read without request.user_agent"),
        (r#","request":{"user_agent":"\ud8"}"#, "not_json"),
        (r#","\ud800":1"#, "read"),
    ];
    for (more, wanted) in cases {
        check(more, format!("{start}{more}}}").as_bytes(), JSON, wanted);
    }
    let time = start.replace("1772438400000", "1e400") + "}";
    check("time", time.as_bytes(), JSON, "wrong_type");
    let id = start.replace("\"e1\"", "1e400") + "}";
    check("id", id.as_bytes(), JSON, "wrong_type");
    let id = start.replace("\"e1\"", "\"\\ud800\"") + "}";
    check("half of a surrogate pair in id", id.as_bytes(), JSON, "wrong_type");
}
