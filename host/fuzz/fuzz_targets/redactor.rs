//! Fuzzes the redactor of API keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sitewright_ai::fuzzing::redactor(bytes));
