//! Fuzzes reading a bundle of an attempt.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sitewright_replay::fuzzing::bundle(bytes));
