//! Fuzzes the response streams of every provider.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sitewright_ai::fuzzing::streams(bytes));
