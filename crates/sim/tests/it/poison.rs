use std::collections::HashSet;

#[test]
fn poison_is_varied_repeatable_and_fits_on_a_line() {
    let records: Vec<_> = sim::poison(100).collect();
    assert_eq!(records.len(), 100);
    assert!(records.iter().eq(sim::poison(100).collect::<Vec<_>>().iter()));
    let kinds: HashSet<_> = sim::poison(32).map(|poison| poison.what).collect();
    assert_eq!(kinds.len(), 32);
    let different: HashSet<_> = records.iter().map(|poison| &poison.bytes).collect();
    assert_eq!(different.len(), 100);
    for poison in &records {
        assert!(!poison.bytes.contains(&b'\n') && !poison.bytes.is_empty());
    }
}

/// Kinds that a JSON parser refuses; the others are refused for what they say.
const NOT_JSON: [&str; 7] = [
    "invalid_utf8",
    "truncated",
    "nested_too_deeply",
    "nested_without_end",
    "time_not_a_number",
    "not_json",
    "broken_messagepack",
];

#[test]
fn poison_is_as_bad_as_it_says() {
    for poison in sim::poison(32) {
        let parsed = serde_json::from_slice::<serde_json::Value>(&poison.bytes);
        let readable_json = !NOT_JSON.contains(&poison.what);
        assert_eq!(parsed.is_ok(), readable_json, "{}", poison.what);
        let too_large = poison.what == "too_large";
        assert_eq!(poison.bytes.len() > 1024 * 1024, too_large, "{}", poison.what);
    }
}
