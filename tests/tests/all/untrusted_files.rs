//! Bundles and conformance folders that a stranger made: the host's limits hold, nothing outside is
//! read, and nothing is kept.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sitewright_tests::hostile::amplifiers;
use sitewright_tests::nonconforming::good;
use sitewright_tests::{ANY_ANSWER, Done, Workbench, binary, faulty, guest, order};

use crate::replay_export::entries;

/// Names and contents of the files in a bundle.
type Files = BTreeMap<String, Vec<u8>>;

/// The bundle of these files, with a manifest that fits them.
fn bundle(files: &Files) -> Vec<u8> {
    let mut manifest = serde_json::Map::new();
    let mut tar = Vec::new();
    for (name, content) in files.iter().filter(|(name, _)| *name != "manifest.json") {
        let sha256: String =
            Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        manifest.insert(name.clone(), json!({ "size": content.len(), "sha256": sha256 }));
        tar.extend(entry(name, content));
    }
    tar.extend(entry("manifest.json", Value::from(manifest).to_string().as_bytes()));
    tar
}

fn entry(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..263].copy_from_slice(b"ustar\0");
    header[263..265].copy_from_slice(b"00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut entry = header.to_vec();
    entry.extend_from_slice(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// The files of the bundle of a failed attempt.
fn exported(fault: &str, parameters: Value, configuration: &str) -> Files {
    let bench = Workbench::scripted(ANY_ANSWER, configuration);
    let done = bench.generate(&guest("guest-faulty"), &faulty(fault, parameters));
    assert_eq!(done.code, 4, "{fault}: {}", done.stdout);
    let id = done.failure()["id"].as_str().unwrap().to_owned();
    let exported = bench.run(&["failures", "export", &id, "-o", "b.tar"]);
    assert_eq!(exported.code, 0, "{fault}: {}", exported.stderr);
    entries(&std::fs::read(bench.path().join("b.tar")).unwrap())
}

/// Replays a bundle with a cache that must stay empty.
fn replayed(files: &Files, configuration: &str) -> (Done, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("b.tar"), bundle(files)).unwrap();
    std::fs::write(at("sitewright.toml"), configuration).unwrap();
    let mut command = Command::new(binary());
    command.env_clear().env("SITEWRIGHT_CACHE", at("cache")).current_dir(folder.path());
    command.args(["--config", "sitewright.toml", "--json", "replay", "b.tar"]);
    let began = Instant::now();
    let done = command.output().unwrap().into();
    let cached = std::fs::read_dir(at("cache")).map_or(0, Iterator::count);
    assert_eq!(cached, 0, "a template of a bundle is not kept");
    (done, began.elapsed())
}

#[test]
fn a_bundle_gets_no_more_than_this_host_allows() {
    let rows: [(&str, Value, &str, &str, &str, &str); 3] = [
        (
            "spin",
            json!({}),
            "[limits]\ncpu_ms = 100\n",
            "cpu_ms",
            "[limits]\ncpu_ms = 300\n",
            "cpu_limit",
        ),
        (
            "memory-bomb",
            json!({}),
            "[limits]\nmemory_bytes = 16777216\n",
            "memory_bytes",
            "[limits]\nmemory_bytes = 33554432\n",
            "memory_limit",
        ),
        (
            "calls-in-turn",
            json!({ "n": 9 }),
            "[limits]\nai_calls = 2\n",
            "ai_calls",
            "[limits]\nai_calls = 2\n",
            "call_limit",
        ),
    ];
    for (fault, parameters, theirs, key, ours, kind) in rows {
        let mut files = exported(fault, parameters, theirs);
        let mut attempt: Value = serde_json::from_slice(&files["attempt.json"]).unwrap();
        for limits in ["/limits", "/recording/limits"] {
            let limits = attempt.pointer_mut(limits).unwrap().as_object_mut().unwrap();
            for limit in limits.values_mut() {
                *limit = json!(u64::MAX / 2);
            }
        }
        files.insert("attempt.json".to_owned(), attempt.to_string().into_bytes());
        let (done, took) = replayed(&files, ours);
        let report = done.json();
        assert_eq!(report["now"]["kind"], kind, "{fault}: {report:#}{}", done.stderr);
        let notes = report["notes"].to_string();
        assert!(
            notes.contains("this host's limits") && notes.contains(&format!("`{key}`")),
            "{fault}: {notes}"
        );
        assert!(took < Duration::from_secs(60), "{fault}: {took:?}");
    }
}

#[test]
fn a_bundle_names_no_template_of_this_machine() {
    let mut files = exported("panic-str", json!({}), "");
    let template = guest("guest-faulty").display().to_string();
    let mut attempt: Value = serde_json::from_slice(&files["attempt.json"]).unwrap();
    attempt["recording"]["template"] = json!(template);
    attempt["template"]["digest"] = json!("");
    files.insert("attempt.json".to_owned(), attempt.to_string().into_bytes());
    let mut record: Value = serde_json::from_slice(&files["record.json"]).unwrap();
    // An order that could not be read had no template, so none is missing.
    record["stage"] = json!("order");
    record["template"]["digest"] = json!("");
    files.insert("record.json".to_owned(), record.to_string().into_bytes());
    files.remove("template.wasm");
    let (done, _) = replayed(&files, "");
    assert_ne!(done.code, 0, "{}", done.stdout);
    let report = done.json();
    assert_eq!(report["now"]["kind"], "template_load", "{report:#}");
    assert!(!done.stdout.contains(&template) || report["failure"]["trap"].is_null(), "{report:#}");
}

#[test]
fn a_record_of_somebody_else_names_no_file_outside_of_the_sites_folder() {
    let files = exported("panic-str", json!({}), "");
    let attempt: Value = serde_json::from_slice(&files["attempt.json"]).unwrap();
    let bench = Workbench::scripted(ANY_ANSWER, "");
    for (field, text, says) in [
        ("order", json!("../.."), "is no id of an order"),
        ("order", json!("/etc"), "is no id of an order"),
        ("document", json!("../../../../etc/passwd"), "is no digest of a document"),
        ("template", json!("/dev/zero.wasm"), "cannot be replayed"),
    ] {
        let mut record: Value = serde_json::from_slice(&files["record.json"]).unwrap();
        record["recording"] = attempt["recording"].clone();
        match field {
            "order" => record["order"] = text,
            field => record["recording"][field] = text,
        }
        // A template can write files below the sites folder, too.
        let released = bench.sites().join("public/1/releases/r");
        std::fs::create_dir_all(&released).unwrap();
        for file in [bench.path().join("record.json"), released.join("record.json")] {
            std::fs::write(&file, record.to_string()).unwrap();
            let done = bench.run(&["replay", &file.display().to_string()]);
            assert!(done.code == 2 || done.code == 9, "{field}: {}{}", done.stdout, done.stderr);
            let printed = format!("{}{}", done.stdout, done.stderr);
            assert!(printed.contains(says), "{field}: {printed}");
        }
    }
    let large = bench.write("large.json", format!("[{}0]", "0,".repeat(300_000)));
    let done = bench.run(&["replay", &large.display().to_string()]);
    assert!(done.code == 2 && done.stderr.contains("more than 200000 values"), "{}", done.stderr);
}

/// A template, and a case in its folder.
fn case(text: &str) -> Workbench {
    let bench = Workbench::configured("");
    bench.write("bakery.wasm", good());
    let folder = bench.path().join("conformance/first");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("case.toml"), text).unwrap();
    std::fs::write(folder.join("order.json"), order("03-plumber-us-premium").to_string()).unwrap();
    bench
}

#[test]
fn a_conformance_folder_reads_only_its_own_plain_files() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "{\"a secret\": 1}").unwrap();
    let secret = secret.path().display().to_string();
    let mkfifo = |path: &Path| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    for field in ["order", "ai.script"] {
        for name in
            [secret.as_str(), "/dev/zero", "/etc/passwd", "../../../x", "link", "fifo", "up/x"]
        {
            let bench = case(&format!("{field} = {name:?}"));
            let folder = bench.path().join("conformance/first");
            symlink(&secret, folder.join("link")).unwrap();
            symlink("/", folder.join("up")).unwrap();
            mkfifo(&folder.join("fifo"));
            let done = bench.run(&["conformance", "bakery.wasm", "--filter", "author/"]);
            assert_eq!(done.code, 2, "{field} {name}: {}{}", done.stdout, done.stderr);
            assert!(done.stderr.contains("cannot be read"), "{field} {name}: {}", done.stderr);
            assert!(!done.stderr.contains("a secret"), "{field} {name}: {}", done.stderr);
        }
    }
}

#[test]
fn a_snapshot_that_is_a_link_is_not_written_through() {
    let bench = case("");
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("snapshot.json"), "{\"files\": {}}").unwrap();
    std::fs::write(other.path().join("kept"), "kept").unwrap();
    symlink(other.path(), bench.path().join("conformance/first/snapshot")).unwrap();
    for arguments in [&["--update"][..], &[]] {
        let command = [&["conformance", "bakery.wasm", "--filter", "author/"][..], arguments];
        let done = bench.run(&command.concat());
        assert_eq!(done.code, 2, "{arguments:?}: {}{}", done.stdout, done.stderr);
    }
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 2);
}

/// What a command or a worker reads is a plain file within a limit: nothing waits for a FIFO, and
/// nothing is read without an end.
#[test]
fn a_file_that_is_none_or_has_no_end_is_refused_by_name() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let path = |name: &str| bench.path().join(name).display().to_string();
    std::fs::create_dir_all(bench.path().join("odd")).unwrap();
    assert!(Command::new("mkfifo").arg(path("odd/fifo.wasm")).status().unwrap().success());
    symlink("/dev/zero", path("odd/zero.wasm")).unwrap();
    std::fs::copy(guest("guest-minimal"), path("odd/good.wasm")).unwrap();
    let large = std::fs::File::create(path("large.json")).unwrap();
    large.set_len(8 << 30).unwrap();
    bench.write("many.json", format!("[{}0]", "0,".repeat(300_000)));
    let (odd, large, many) = (path("odd"), path("large.json"), path("many.json"));
    let (fifo, good) = (path("odd/fifo.wasm"), path("odd/good.wasm"));
    let rows: [(&[&str], &str); 7] = [
        (&["template", "list", "--templates", &odd], "it is a FIFO"),
        (&["template", "list", "--templates", &odd], "it is a device"),
        (&["template", "inspect", &fifo], "it is a FIFO"),
        (&["failures", "show", &large], "it has more than 16777216 bytes"),
        (&["failures", "show", &many], "300002 values"),
        (
            &["ai", "call", "--purpose", "text", "--prompt", "x", "--schema", "/dev/zero"],
            "it is a device",
        ),
        (
            &["template", "record", "--template", &good, "--order", "/dev/zero", "--out", "case"],
            "the order is not valid",
        ),
    ];
    for (arguments, says) in rows {
        let done = bench.run(arguments);
        let printed = format!("{}{}", done.stdout, done.stderr);
        assert!(printed.contains(says), "{arguments:?}: {printed}");
    }
}

/// Peak memory of a command, children excluded, in MiB.
const MAX_MIB: u64 = 400;

/// Runs the command; its end, and its peak memory in MiB. The peak is gone with the process, so it
/// is read again and again.
fn measured(folder: &Path, arguments: &[&str]) -> (Done, u64) {
    let mut command = Command::new(binary());
    command.env_clear().env("SITEWRIGHT_CACHE", folder.join("cache")).current_dir(folder);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let peak = thread::spawn(move || {
        let mut peak = 0;
        // A process that has ended and was not waited for has no memory any more.
        while let Ok(text) = std::fs::read_to_string(&status) {
            let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:")) else { break };
            let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
            peak = kib.unwrap_or(peak);
            thread::sleep(Duration::from_millis(2));
        }
        peak >> 10
    });
    let done = child.wait_with_output().unwrap().into();
    (done, peak.join().unwrap())
}

/// Templates that become large when they are compiled, wherever a command meets one: in a bundle, in
/// a folder of templates, in a conformance run.
#[test]
fn h2_a_template_of_a_stranger_takes_no_memory_of_the_command_that_opens_it() {
    let exported = exported("panic-str", json!({}), "");
    // Every second one is as large as compiling may become; the others are as fast to refuse.
    for sample in amplifiers().iter().step_by(2) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let component = sample.component.as_ref().unwrap();
        std::fs::create_dir(at("templates")).unwrap();
        std::fs::write(at("templates/bakery.wasm"), component).unwrap();
        std::fs::write(at("b.tar"), bundle(&with_template(&exported, component))).unwrap();
        let configuration = "[limits]\ncompile_ms = 20000\ncompile_memory_bytes = 268435456\n";
        std::fs::write(at("sitewright.toml"), configuration).unwrap();
        let commands: [&[&str]; 4] = [
            &["replay", "b.tar"],
            &["template", "inspect", "templates/bakery.wasm"],
            &["template", "list", "--templates", "templates"],
            &["conformance", "templates/bakery.wasm"],
        ];
        for command in commands {
            let arguments = [&["--config", "sitewright.toml"][..], command].concat();
            let (done, peak) = measured(folder.path(), &arguments);
            let what = format!("{command:?} of {}: {}{}", sample.name, done.stdout, done.stderr);
            assert!((0..=10).contains(&done.code), "it ended by itself: {} {what}", done.code);
            assert!(peak < MAX_MIB, "{peak} MiB: {what}");
        }
    }
}

/// The files of a bundle, with another template that its attempt is said to be of.
fn with_template(files: &Files, component: &[u8]) -> Files {
    let digest: String =
        Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut files = files.clone();
    for name in ["attempt.json", "record.json"] {
        let mut document: Value = serde_json::from_slice(&files[name]).unwrap();
        document["template"]["digest"] = json!(digest);
        files.insert(name.to_owned(), document.to_string().into_bytes());
    }
    files.insert("template.wasm".to_owned(), component.to_vec());
    files
}
