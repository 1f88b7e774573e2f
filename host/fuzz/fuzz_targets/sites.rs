//! Fuzzes the checks of a site: the first byte chooses the kind of a file, the rest is its content.
#![no_main]

use std::collections::BTreeMap;

use sitewright_site::verify::verify_counted;
use sitewright_site::{SitePath, VerifyOptions};

/// Steps for each byte, and for the whole site, that every check may take.
const STEPS: (u64, u64) = (70, 16 << 20);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, content)) = bytes.split_first() else { return };
    let kinds = ["html", "css", "svg", "xml", "json", "webmanifest", "txt"];
    let name = format!("index.{}", kinds[usize::from(*kind) % kinds.len()]);
    let path = SitePath::parse(&name, 255).expect("a fixed name");
    let literal_texts = vec!["a {{ b".to_owned(), "}} c ${".to_owned()];
    let options = VerifyOptions { literal_texts, ..VerifyOptions::default() };
    let files = BTreeMap::from([(path, content.to_vec())]);
    let (verdict, steps) = verify_counted(&files, &options).expect("files in memory");
    assert!(steps <= STEPS.0 * content.len() as u64 + STEPS.1, "{steps} steps");
    assert!(verdict.problems.len() <= 500);
});
