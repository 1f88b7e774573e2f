//! Fuzzes symbolizing with arbitrary debug information.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sitewright_runtime::plugin::fuzzing::symbols(bytes));
