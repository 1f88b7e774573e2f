//! Fuzzes complete responses and error bodies of every provider.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sitewright_ai::fuzzing::answers(bytes));
