//! Fuzzes the framing of JSON lines.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sitewright_ai::fuzzing::ndjson(bytes));
