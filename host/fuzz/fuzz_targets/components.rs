//! Fuzzes loading a template from arbitrary bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sitewright_runtime::plugin::fuzzing::component(bytes));
