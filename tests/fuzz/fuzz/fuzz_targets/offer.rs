//! See `fuzz::offer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::offer::run(data));
