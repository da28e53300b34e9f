//! Records that are not login events, for tests of what happens to them.

use crate::random::Random;

/// A hostile record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// What is wrong with it, in snake case.
    pub what: &'static str,
    /// The record. It holds no line feed, so it can also be a line of a file.
    pub bytes: Vec<u8>,
}

/// Makes `n` records that are all unreadable, one kind after the other, no two alike.
///
/// The kinds are: not text, cut off, nested too deeply, a field given twice, required fields
/// missing, of a wrong type or out of bounds, too large, not JSON, and broken MessagePack. With
/// 32 and more every kind occurs. The largest record has a little more than 1 MiB.
pub fn poison(n: usize) -> impl Iterator<Item = Poison> {
    let mut random = Random::new(0x0bad_0bad);
    KINDS.iter().cycle().take(n).map(move |(what, make)| {
        let name = format!("poison-{:016x}", random.next());
        Poison { what, bytes: make(&name) }
    })
}

type Make = fn(&str) -> Vec<u8>;

const TIME: &str = r#""time":"2026-01-05T08:00:00.000Z""#;
const TENANT: &str = r#""tenant":{"id":"north.example"}"#;
const USER: &str = r#""user":{"user_id":"auth0|000001"}"#;

const KINDS: &[(&str, Make)] = &[
    ("invalid_utf8", |id| {
        let mut bytes = fields(&[&quoted("id", id), TIME, TENANT, USER]);
        if let Some(byte) = bytes.get_mut(9) {
            *byte = 0xff;
        }
        bytes
    }),
    ("truncated", |id| {
        let mut bytes = fields(&[&quoted("id", id), TIME, TENANT, USER]);
        bytes.truncate(bytes.len() * 2 / 3);
        bytes
    }),
    ("nested_too_deeply", |id| {
        let deep = format!(r#""x":{}{}"#, "[".repeat(200), "]".repeat(200));
        fields(&[&quoted("id", id), TIME, TENANT, USER, &deep])
    }),
    ("nested_without_end", |id| {
        let deep = format!(r#""x":{}"#, r#"{"x":"#.repeat(50_000));
        fields(&[&quoted("id", id), TIME, TENANT, USER, &deep])
    }),
    ("id_twice", |id| {
        let id = quoted("id", id);
        fields(&[&id, &id, TIME, TENANT, USER])
    }),
    ("tenant_twice", |id| fields(&[&quoted("id", id), TIME, TENANT, USER, TENANT])),
    ("user_id_twice", |id| {
        let user = r#""user":{"user_id":"auth0|000001","user_id":"auth0|000002"}"#;
        fields(&[&quoted("id", id), TIME, TENANT, user])
    }),
    ("id_missing", |id| fields(&[TIME, TENANT, USER, &quoted("x", id)])),
    ("id_empty", |id| fields(&[&quoted("id", ""), TIME, TENANT, USER, &quoted("x", id)])),
    ("id_a_number", |id| fields(&[r#""id":17"#, TIME, TENANT, USER, &quoted("x", id)])),
    ("id_too_long", |id| fields(&[&quoted("id", &id.repeat(12)), TIME, TENANT, USER])),
    ("time_missing", |id| fields(&[&quoted("id", id), TENANT, USER])),
    ("time_not_a_time", |id| with_time(id, r#""yesterday""#)),
    ("time_without_offset", |id| with_time(id, r#""2026-01-05T08:00:00""#)),
    ("time_negative", |id| with_time(id, "-1")),
    ("time_absurd", |id| with_time(id, "9e99")),
    ("time_not_a_number", |id| with_time(id, "NaN")),
    ("time_before_2000", |id| with_time(id, r#""1999-12-31T23:59:59.999Z""#)),
    ("time_in_2100", |id| with_time(id, "4102444800000")),
    ("tenant_missing", |id| fields(&[&quoted("id", id), TIME, USER])),
    ("tenant_empty", |id| fields(&[&quoted("id", id), TIME, r#""tenant":{"id":""}"#, USER])),
    ("tenant_a_text", |id| fields(&[&quoted("id", id), TIME, &quoted("tenant", "north.example"), USER])),
    ("user_missing", |id| fields(&[&quoted("id", id), TIME, TENANT])),
    ("user_id_null", |id| fields(&[&quoted("id", id), TIME, TENANT, r#""user":{"user_id":null}"#])),
    ("user_id_an_object", |id| fields(&[&quoted("id", id), TIME, TENANT, r#""user":{"user_id":{}}"#])),
    ("stage_unknown", |id| fields(&[&quoted("id", id), TIME, TENANT, USER, &quoted("stage", "later")])),
    ("outcome_unknown", |id| fields(&[&quoted("id", id), TIME, TENANT, USER, &quoted("outcome", "maybe")])),
    ("too_large", |id| {
        let filling = quoted("x", &"x".repeat(1024 * 1024));
        fields(&[&quoted("id", id), TIME, TENANT, USER, &filling])
    }),
    ("a_list", |id| format!(r#"["{id}"]"#).into_bytes()),
    ("a_text", |id| format!(r#""{id}""#).into_bytes()),
    ("not_json", |id| format!("<html><body>{id}</body></html>").into_bytes()),
    ("broken_messagepack", |id| {
        // A map of three, of which only the first key and half of its value are there.
        let mut bytes = vec![0x83, 0xa2, b'i', b'd', 0xd9, 0xff];
        bytes.extend_from_slice(id.as_bytes());
        bytes
    }),
];

fn fields(fields: &[&str]) -> Vec<u8> {
    format!("{{{}}}", fields.join(",")).into_bytes()
}

fn quoted(key: &str, value: &str) -> String {
    format!(r#""{key}":"{value}""#)
}

fn with_time(id: &str, time: &str) -> Vec<u8> {
    let time = format!(r#""time":{time}"#);
    fields(&[&quoted("id", id), &time, TENANT, USER])
}
