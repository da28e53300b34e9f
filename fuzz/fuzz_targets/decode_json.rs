//! Any bytes as a JSON login event.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| credence_fuzz::record(bytes, "application/json"));
