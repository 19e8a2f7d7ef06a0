//! See `fuzz::enrolment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::enrolment::run(data));
