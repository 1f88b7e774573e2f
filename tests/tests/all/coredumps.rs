//! Core dumps: only on request, within their limits, and readable by public tools.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sitewright_tests::languages::wasm_tools;
use sitewright_tests::{ANY_ANSWER, Workbench, faulty, guest};
use wasmparser::{KnownCustom, Parser, Payload};

use crate::failures::names_in;

const FOLDER: &str = ".coredumps";
/// Configuration that enables dumps of the template.
const WANTED: &str = "[template.guest-faulty]\ncoredump = true\n";

/// The record of a failure, made with additional flags.
fn record(bench: &Workbench, fault: &str, flags: &[&str]) -> Value {
    let order = bench.write("order.json", faulty(fault, Value::Null).to_string());
    let (template, order) = (guest("guest-faulty"), order.to_string_lossy().into_owned());
    let template = template.to_string_lossy();
    let arguments = ["--json", "generate", "--template", &template, "--order", &order];
    bench.run(&[&arguments, flags].concat()).failure()
}

fn dumps(bench: &Workbench) -> Vec<String> {
    names_in(&bench.sites().join(FOLDER))
}

/// Content of a dump, read with `wasmparser`.
#[derive(Debug, Default)]
struct Found {
    process: String,
    modules: usize,
    instances: usize,
    memories: usize,
    /// Code offsets of the frames, innermost first.
    frames: Vec<(u32, u32)>,
    data: Vec<u8>,
}

fn read(dump: &[u8]) -> Found {
    let mut found = Found::default();
    for payload in Parser::new(0).parse_all(dump) {
        match payload.unwrap() {
            Payload::MemorySection(memories) => found.memories += memories.into_iter().count(),
            Payload::DataSection(segments) => {
                for segment in segments {
                    found.data.extend_from_slice(segment.unwrap().data);
                }
            }
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::CoreDump(core) => found.process = core.name.to_owned(),
                KnownCustom::CoreDumpModules(modules) => found.modules = modules.modules.len(),
                KnownCustom::CoreDumpInstances(instances) => {
                    found.instances = instances.instances.len()
                }
                KnownCustom::CoreDumpStack(stack) => {
                    found.frames = stack
                        .frames
                        .iter()
                        .map(|frame| (frame.funcidx, frame.codeoffset))
                        .collect();
                }
                _ => {}
            },
            _ => {}
        }
    }
    found
}

#[test]
fn a_dump_that_was_asked_for_is_read_by_others() {
    let by_flag = (Workbench::scripted(ANY_ANSWER, ""), &["--coredump"][..]);
    let by_configuration = (Workbench::scripted(ANY_ANSWER, WANTED), &[][..]);
    for (bench, flags) in [by_flag, by_configuration] {
        let record = record(&bench, "oob", flags);
        let dump = &record["coredump"];
        let path =
            PathBuf::from(dump["path"].as_str().unwrap_or_else(|| panic!("no dump: {record:#}")));
        let path = bench.path().join(path);
        assert_eq!(dumps(&bench), [format!("{}.coredump", record["id"].as_str().unwrap())]);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(dump["bytes"], bytes.len());
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600,
            "the order's data"
        );
        assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);

        let found = read(&bytes);
        assert_eq!(found.process, "faulty");
        assert!(found.modules > 0 && found.instances > 0 && found.memories > 0, "{found:?}");
        let has =
            |text: &str| found.data.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(has("Bright Oak Dental"), "the guest's memory holds its order");
        // The frames are those of the record, without the inlined ones.
        let frames = record["trap"]["frames"].as_array().unwrap();
        let real = frames.iter().filter(|frame| frame["inlined"] != true).count();
        assert_eq!(found.frames.len(), real);
        assert_eq!(
            record["trap"]["code"], "out_of_bounds",
            "the dump changes nothing in the report"
        );
        let shown = bench.run(&["failures", "show", record["id"].as_str().unwrap()]).stdout;
        assert!(shown.contains("Core dump") && shown.contains("holds the order's data"), "{shown}");
    }
}

#[test]
fn a_public_tool_prints_a_dump() {
    let Some(tool) = wasm_tools("a_public_tool_prints_a_dump") else { return };
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let record = record(&bench, "panic-str", &["--coredump"]);
    let path = bench.path().join(record["coredump"]["path"].as_str().unwrap());
    let done = Command::new(tool).arg("print").arg(path).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && text.contains("(@custom \"corestack\""), "{done:?}");
}

#[test]
fn there_is_no_dump_without_a_request() {
    let bench = Workbench::scripted(ANY_ANSWER, "[template.another]\ncoredump = true\n");
    let record = record(&bench, "oob", &[]);
    assert_eq!(record.get("coredump"), None);
    assert!(!bench.sites().join(FOLDER).exists());
}

#[test]
fn a_dump_that_cannot_be_is_explained() {
    let rows = [
        ("oob", "[coredump]\nmax_bytes = 65536\n", "`coredump.max_bytes` allows dumps of 65536"),
        ("oob", "[coredump]\nmax_bytes = 1300000\n", ""),
        ("error", "", "stopped in its own code"),
        ("sleep", "[limits]\ndeadline_ms = 5000\n", "stopped in its own code"),
    ];
    for (fault, configuration, why) in rows {
        let bench = Workbench::scripted(ANY_ANSWER, &format!("{WANTED}{configuration}"));
        let record = record(&bench, fault, &[]);
        if why.is_empty() {
            assert!(record["coredump"]["path"].is_string(), "{record:#}");
            continue;
        }
        let missing =
            record["coredump"]["missing"].as_str().unwrap_or_else(|| panic!("{record:#}"));
        assert!(missing.contains(why), "{missing}");
        assert_eq!(record["coredump"].get("path"), None);
        assert_eq!(dumps(&bench), [""; 0], "{fault}");
    }
    // A memory limit has a dump; with a file at the path of the dump folder there is none.
    let bench =
        Workbench::scripted(ANY_ANSWER, &format!("{WANTED}[limits]\nmemory_bytes = 8388608\n"));
    let full = record(&bench, "memory-bomb", &[]);
    assert_eq!(full["kind"], "memory_limit");
    assert!(
        full["coredump"]["bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000),
        "{:#}",
        full["coredump"]
    );
    let bench = Workbench::scripted(ANY_ANSWER, WANTED);
    std::fs::create_dir_all(bench.sites()).unwrap();
    std::fs::write(bench.sites().join(FOLDER), "").unwrap();
    let refused = record(&bench, "oob", &[]);
    assert_eq!(
        refused["trap"]["code"], "out_of_bounds",
        "a dump that fails takes nothing from the record"
    );
    assert!(
        refused["coredump"]["missing"].as_str().unwrap().starts_with("it could not be written")
    );
}

#[test]
fn the_newest_dumps_stay() {
    let bench = Workbench::scripted(ANY_ANSWER, &format!("{WANTED}[coredump]\nkeep = 2\n"));
    let ids: Vec<String> = (0..4)
        .map(|_| format!("{}.coredump", record(&bench, "oob", &[])["id"].as_str().unwrap()))
        .collect();
    assert_eq!(dumps(&bench), ids[2..]);
    // The records stay even if their dumps are removed.
    let records = names_in(&bench.sites().join("102/failures"));
    assert_eq!(records.len(), 4);
    assert!(!Path::new(FOLDER).exists());
    let listed = bench.run(&["--json", "failures", "list", "--flat"]).json();
    assert_eq!(listed["failures"].as_array().map(Vec::len), Some(4), "dumps are no records");
}

#[test]
fn limits_of_dumps_are_checked() {
    for (configuration, key) in [
        ("[coredump]\nkeep = 0\n", "`coredump.keep`"),
        ("[coredump]\nmax_bytes = 1\n", "`coredump.max_bytes`"),
        ("[template.x]\ncore_dump = true\n", "core_dump"),
    ] {
        let bench = Workbench::scripted(ANY_ANSWER, configuration);
        let done = bench.run(&["failures", "list"]);
        assert_eq!(done.code, 2, "{configuration}: {}", done.stderr);
        assert!(done.stderr.contains(key), "{configuration}: {}", done.stderr);
    }
}
