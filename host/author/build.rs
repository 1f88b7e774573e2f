//! Embeds the SDKs, so that a project made by an installed binary needs no checkout.
//!
//! Writes `sdk.rs`: for each language, the files of its SDK with their paths below the SDK's root.
//! The manifest of the Rust crates' workspace and the lock file are cut to what they need.

#![allow(clippy::panic, clippy::expect_used, reason = "an error must stop the build")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use toml::{Table, Value};

/// Maximum bytes of all embedded files. The binary carries them.
const MAX_BYTES: u64 = 3 << 20;
/// Folders of the Rust crates, with the SDK first.
const CRATES: [&str; 4] = ["guest-sdk", "guest-sdk/order", "guest-sdk/rules", "guest-sdk/script"];

fn main() {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let root = manifest_dir.join("../..").canonicalize().expect("the root of the workspace");

    let common = ["LICENSE", "wit/0.2.0/template.wit"].map(|file| root.join(file));
    let mut rust = common.to_vec();
    for folder in CRATES {
        rust.push(root.join(folder).join("Cargo.toml"));
        rust.extend(files(&root.join(folder).join("src")));
    }
    let with = |folder: &str| {
        let mut all = common[..1].to_vec();
        all.extend(files(&root.join(folder)));
        all
    };
    let languages =
        [("RUST", rust), ("PYTHON", with("guest-sdk/python")), ("JS", with("guest-sdk/js"))];

    let mut bytes = 0;
    let mut code = String::new();
    for (name, files) in &languages {
        writeln!(code, "pub(super) const {name}: &[(&str, &[u8])] = &[").expect("a string");
        for file in files {
            println!("cargo::rerun-if-changed={}", file.display());
            bytes += fs::metadata(file).map_or(0, |metadata| metadata.len());
            let path = file.strip_prefix(&root).expect("below the root").display().to_string();
            writeln!(code, "({path:?}, include_bytes!({:?})),", file.display().to_string())
                .expect("a string");
        }
        code.push_str("];\n");
    }
    assert!(bytes <= MAX_BYTES, "the embedded SDKs have {bytes} bytes; at most {MAX_BYTES}");
    fs::write(out.join("sdk.rs"), code).expect("OUT_DIR can be written");

    let read = |file: &str| {
        let path = root.join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        text.parse::<Table>().unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let crates = CRATES.map(|folder| read(&format!("{folder}/Cargo.toml")));
    let workspace = workspace(&read("Cargo.toml"), &crates);
    fs::write(out.join("workspace.toml"), workspace).expect("OUT_DIR can be written");
    fs::write(out.join("sdk.lock"), lock(&read("Cargo.lock"))).expect("OUT_DIR can be written");
}

/// All files below a folder, sorted. Caches of interpreters are not part of an SDK.
fn files(folder: &Path) -> Vec<PathBuf> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| {
        panic!("{}: {error}", folder.display());
    });
    for entry in entries {
        let path = entry.expect("an entry").path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("__pycache__" | "node_modules") => {}
            _ if path.is_dir() => found.extend(files(&path)),
            _ => found.push(path),
        }
    }
    found.sort();
    found
}

/// The manifest of a workspace of the SDK's crates alone.
fn workspace(root: &Table, crates: &[Table]) -> String {
    let of = |key: &str| root["workspace"][key].as_table().expect("a table").clone();
    let used: BTreeSet<&str> = crates
        .iter()
        .flat_map(dependency_tables)
        .flat_map(|table| table.keys().map(String::as_str))
        .collect();
    let mut dependencies = of("dependencies");
    dependencies.retain(|name, _| used.contains(name));
    let members = CRATES.map(|folder| Value::String(folder.to_owned())).to_vec();
    let mut workspace = Table::new();
    workspace.insert("resolver".to_owned(), root["workspace"]["resolver"].clone());
    workspace.insert("members".to_owned(), Value::Array(members));
    workspace.insert("package".to_owned(), Value::Table(of("package")));
    workspace.insert("dependencies".to_owned(), Value::Table(dependencies));
    workspace.insert("lints".to_owned(), Value::Table(Table::new()));
    let mut manifest = Table::new();
    manifest.insert("workspace".to_owned(), Value::Table(workspace));
    toml::to_string(&manifest).expect("a table is TOML")
}

/// The tables of dependencies in a manifest, also those of targets.
fn dependency_tables(manifest: &Table) -> Vec<&Table> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(targets)
        .flat_map(|table| {
            ["dependencies", "dev-dependencies", "build-dependencies"]
                .into_iter()
                .filter_map(|kind| table.get(kind)?.as_table())
        })
        .collect()
}

/// The lock file with the packages that the SDK uses: the versions with which it was tested.
fn lock(whole: &Table) -> String {
    let text = |package: &Value, key: &str| {
        package.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let packages = whole["package"].as_array().expect("packages");
    let mut wanted: Vec<String> = vec!["sitewright-sdk".to_owned()];
    let mut kept = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        // `name`, or `name version` if several versions are used.
        let mut parts = name.split(' ');
        let (name, version) = (parts.next().unwrap_or_default(), parts.next());
        for (at, package) in packages.iter().enumerate() {
            let fits = text(package, "name") == name
                && version.is_none_or(|version| text(package, "version") == version);
            if !fits || !kept.insert(at) {
                continue;
            }
            let dependencies = package.get("dependencies").and_then(Value::as_array);
            wanted.extend(
                dependencies.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
            );
        }
    }
    let kept = kept.into_iter().map(|at| packages[at].clone()).collect();
    let mut lock = Table::new();
    lock.insert("version".to_owned(), whole["version"].clone());
    lock.insert("package".to_owned(), Value::Array(kept));
    toml::to_string(&lock).expect("a table is TOML")
}
