//! Fuzzes the framing of server-sent events.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sitewright_ai::fuzzing::sse(bytes));
