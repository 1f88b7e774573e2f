//! What version 0.2.0 of the contract brought: files in chunks.

use std::fs;

use serde_json::json;
use sitewright_tests::{ANY_ANSWER, Workbench, faulty, guest};

#[test]
fn a_file_in_chunks_is_written_when_it_is_finished_and_not_before() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let done = bench.generate(&guest("guest-faulty"), &faulty("chunks", json!({ "n": 3 })));
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    let site = bench.sites().join("102/current");
    let text = fs::read_to_string(site.join("chunks.txt")).unwrap();
    assert_eq!(text.len(), 3 * 1_024);
    assert!(text.ends_with("02\n"), "{text}");
    assert!(!site.join("left.txt").exists(), "it was not finished");
    let diagnostics = done.json()["release"]["diagnostics"].take();
    assert_eq!(diagnostics[0]["message"], "[false, false] [true, false]", "{diagnostics}");
    assert_eq!(diagnostics[1]["code"], "conflict", "{diagnostics}");
}

#[test]
fn f2_a_file_in_chunks_has_the_limits_of_a_whole_one() {
    let bench = Workbench::scripted(ANY_ANSWER, "[limits]\nfile_bytes = 4096\n");
    let made =
        |n: u32| bench.generate(&guest("guest-faulty"), &faulty("chunks", json!({ "n": n })));
    let done = made(4);
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    let record = made(5).failure();
    assert_eq!(record["kind"], "output_limit", "{record}");
    for says in ["while adding a chunk", "file_bytes"] {
        assert!(record.to_string().contains(says), "{says:?} is missing in {record}");
    }
}
