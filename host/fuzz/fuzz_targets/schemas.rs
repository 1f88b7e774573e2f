//! Fuzzes the bound of the steps of a schema check: a schema, a zero byte, a document.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sitewright_json_schema::fuzzing::schemas(bytes));
