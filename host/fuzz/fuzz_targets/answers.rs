//! Whole answers of every provider, errors too.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sitewright_ai::fuzzing::answers(bytes));
