//! Any bytes as a stored profile: an error, or a profile that survives being written and read again.
#![no_main]

use profile::packed::{pack, unpack};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(profile) = unpack(bytes) {
        assert_eq!(unpack(&pack(&profile)), Ok(profile));
    }
});
