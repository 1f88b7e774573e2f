//! How much a run may write.

use sitewright_rules::limits::{SiteLimit, SiteLimits, SiteUsage};
use sitewright_rules::path::SitePath;

const LIMITS: SiteLimits = SiteLimits { files: 2, file_bytes: 10, total_bytes: 15, path_bytes: 9 };

#[test]
fn f2_a_write_up_to_a_limit_counts_and_one_beyond_it_does_not() {
    let path = SitePath::parse("page.html", 9).unwrap();
    let usage = SiteUsage::none(&LIMITS);
    let hit = usage.with(&path, 11).unwrap_err();
    assert_eq!((hit.limit, hit.max, hit.would_be), (SiteLimit::FileBytes, 10, 11));
    assert_eq!(
        hit.to_string(),
        "writing `page.html` would make 11 bytes a file, more than the limit `file_bytes` of 10"
    );
    let usage = usage.with(&path, 10).unwrap();
    let hit = usage.with(&path, 6).unwrap_err();
    assert_eq!((hit.limit, hit.max, hit.would_be), (SiteLimit::TotalBytes, 15, 16));
    let usage = usage.with(&path, 5).unwrap();
    let hit = usage.with(&path, 0).unwrap_err();
    assert_eq!((hit.limit, hit.max, hit.would_be), (SiteLimit::Files, 2, 3));
    let used = usage.entries().map(|(limit, used)| (limit.name(), used.used));
    assert_eq!(used, [("files", 2), ("file_bytes", 10), ("total_bytes", 15), ("path_bytes", 9)]);
}

#[test]
fn the_defaults_are_those_that_the_contract_names() {
    let contract = include_str!("../../../../wit/0.2.0/template.wit").replace("\n    /// ", " ");
    let limits = SiteLimits::default();
    let mib = |bytes: u64| bytes / 1024 / 1024;
    assert_eq!(
        (limits.files, mib(limits.file_bytes), mib(limits.total_bytes), limits.path_bytes),
        (2000, 8, 64, 255)
    );
    for text in ["2,000 files", "8 MiB", "64 MiB", "255 bytes"] {
        assert!(contract.contains(text), "{text}");
    }
    let calls = format!("{} calls", sitewright_rules::limits::AI_CALLS);
    assert!(contract.contains(&calls), "{calls}");
}
