//! What version 0.2.0 of the contract brought: files in chunks, the manifest in the file, and what
//! templates of version 0.1.0 are told.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};
use sitewright_runtime::plugin::bindings::types;
use sitewright_runtime::plugin::{
    Cache, Catalogue, Determinism, Engine, Limits, Loader, with_manifest,
};
use sitewright_tests::{ANY_ANSWER, Workbench, faulty, guest, root};

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
    for refused in 1..=3 {
        assert_eq!(diagnostics[refused]["code"], "conflict", "{diagnostics}");
    }
    assert_eq!(fs::read_to_string(site.join("twice.txt")).unwrap(), "first");
    assert!(!site.join("Twice.txt").exists(), "it has the name of another one");
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

#[test]
fn a_site_larger_than_its_manifest_says_is_published_with_a_warning() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    for (bytes, is_large) in [(1_000, false), (1_100_000, true)] {
        let order = faulty("big-file", json!({ "n": bytes }));
        let done = bench.generate(&guest("guest-faulty"), &order);
        assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
        let diagnostics = done.json()["release"]["diagnostics"].take();
        let found = diagnostics.as_array().unwrap().iter().find(|one| one["code"] == "site-bytes");
        assert_eq!(found.is_some(), is_large, "{bytes}: {diagnostics}");
        let Some(found) = found else { continue };
        assert_eq!(found["severity"], "warning", "{found}");
        let message = found["message"].as_str().unwrap();
        assert!(message.contains("its template `faulty` says at most 1048576"), "{message}");
    }
}

fn new_loader() -> Loader {
    let limits = Limits::default();
    Loader::new(Engine::new(&limits, 1).unwrap(), Cache::off(), limits).unwrap()
}

/// The manifest that the guest `minimal` returns.
async fn described(loader: &Loader) -> types::Manifest {
    let template = loader.load(&guest("guest-minimal")).await.unwrap();
    let determinism = Determinism { seed: 0, start_unix_ms: 0 };
    template.describe(&Limits::default(), determinism).await.unwrap().manifest
}

#[tokio::test]
async fn a_manifest_in_the_file_is_listed_without_a_run_and_held_against_describe() {
    let loader = new_loader();
    let manifest = described(&loader).await;
    let wasm = fs::read(guest("guest-minimal")).unwrap();
    let bench = Workbench::scripted(ANY_ANSWER, "");
    fs::create_dir_all(bench.path().join("templates")).unwrap();
    let file = |name: &str, manifest: &types::Manifest| {
        let bytes = with_manifest(&wasm, manifest).unwrap();
        bench.write(&format!("templates/{name}.wasm"), bytes)
    };
    let right = file("right", &manifest);
    let other = types::Manifest { version: "9.9.9".to_owned(), ..manifest.clone() };
    let wrong = file("wrong", &other);
    let worse = types::Manifest { version: "nine".to_owned(), ..manifest.clone() };
    file("worse", &worse);

    let listed = bench.run(&["--json", "--templates", "templates", "template", "list"]);
    let listed = listed.json()["templates"].take();
    let of = |name: &str| -> Value {
        let all = listed.as_array().unwrap();
        let file = |one: &&Value| one["file"].as_str().unwrap().ends_with(&format!("{name}.wasm"));
        all.iter().find(file).unwrap().clone()
    };
    assert_eq!(
        (&of("right")["version"], &of("right")["loaded"]),
        (&json!(manifest.version), &json!(false))
    );
    // Nobody has run it yet.
    assert_eq!(of("wrong")["version"], "9.9.9");
    assert!(of("worse")["causes"].to_string().contains("`version` is"), "{listed}");
    let inspected = bench.run(&["template", "inspect", &right.to_string_lossy()]).stdout;
    assert!(inspected.contains("not compiled: the manifest is in the file"), "{inspected}");

    assert_eq!(loader.load(&right).await.unwrap().manifest.version, manifest.version);
    let Err(error) = loader.load(&wrong).await else { panic!("it was loaded") };
    let causes = error.causes().iter().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    for says in ["another `version` than `describe` returns", "sitewright template build"] {
        assert!(causes.contains(says), "{says:?} is missing: {causes}");
    }
}

/// As `template dev` does it, which would compile each build twice.
#[tokio::test]
async fn a_template_whose_manifest_is_written_into_its_file_stays_loaded() {
    let loader = new_loader();
    let wasm = with_manifest(&fs::read(guest("guest-minimal")).unwrap(), &described(&loader).await)
        .unwrap();
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let file = bench.write("minimal.wasm", fs::read(guest("guest-minimal")).unwrap());
    let name = file.to_string_lossy();
    let catalogue = Catalogue::new(bench.path().to_owned(), loader);
    let bare = catalogue.load(&name).await.unwrap();
    bench.write("minimal.wasm", &wasm);
    catalogue.keep(&bare, &wasm).await;
    let (kept, again) =
        (catalogue.load(&name).await.unwrap(), catalogue.load(&name).await.unwrap());
    assert!(Arc::ptr_eq(&kept, &again) && std::ptr::eq(bare.linked(), kept.linked()), "compiled");
    assert_ne!(kept.digest(), bare.digest());
    // Its digest is that of the file: a catalogue that reads the file finds the same one.
    let read = Catalogue::new(bench.path().to_owned(), new_loader()).load(&name).await.unwrap();
    assert_eq!((kept.digest(), kept.bytes), (read.digest(), read.bytes));
}

#[test]
fn a_component_that_other_tools_built_is_packed_with_its_manifest() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let wasm = fs::read(guest("guest-minimal")).unwrap();
    let file = bench.write("minimal.wasm", &wasm).to_string_lossy().into_owned();
    let inspected = || bench.run(&["--json", "template", "inspect", &file]).json();
    let before = inspected();
    assert_eq!(before["loaded"], true, "{before}");
    let packed = bench.run(&["--json", "template", "pack", &file]);
    assert_eq!(packed.code, 0, "{}", packed.stderr);
    let packed = packed.json()["templates"][0].take();
    let after = inspected();
    assert_eq!((&after["loaded"], &after["digest"]), (&json!(false), &packed["digest"]));
    assert_eq!(after["version"], before["version"]);
    // The same once more changes nothing, and what is no component is refused.
    assert_eq!(bench.run(&["template", "pack", &file]).code, 0);
    assert_eq!(inspected(), after);
    let text = bench.write("text.wasm", "no component").to_string_lossy().into_owned();
    let refused = bench.run(&["template", "pack", &text]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("text.wasm"), "{}", refused.stderr);
}

#[test]
fn conformance_warns_of_what_a_template_of_an_older_version_lacks() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    for (file, verdict, lacks) in [
        (root().join("tests/contract/0.1.0/green-gate.wasm"), "warned", true),
        (guest("guest-one-page"), "passed", false),
    ] {
        let arguments =
            ["--json", "conformance", &file.to_string_lossy(), "--filter", "contract/newest"];
        let done = bench.run(&arguments);
        assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
        let report = done.json();
        let rule = &report["templates"][0]["rules"][0];
        assert_eq!((&rule["rule"], &rule["verdict"]), (&json!("contract/newest"), &json!(verdict)));
        let found = rule["findings"].to_string();
        assert_eq!(found.contains("0.2.0 has files in chunks"), lacks, "{report}");
    }
}
