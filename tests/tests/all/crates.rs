//! The layout of the workspace: which crate may depend on which, and which library belongs to one
//! crate alone. ARCHITECTURE.md explains the invariants; `cargo metadata` says what is the case.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use sitewright_tests::root;

/// The crates of the workspace that each crate of the host, or of what host and SDK share, may
/// depend on. A dependency that is not in this table is an arrow that the design does not have.
const ARROWS: [(&str, &[&str]); 28] = [
    ("sitewright-copy", &[]),
    ("sitewright-cpu-time", &[]),
    ("sitewright-files", &[]),
    ("sitewright-rules", &[]),
    ("sitewright-order", &[]),
    ("sitewright-script", &["sitewright-rules"]),
    ("sitewright-model", &["sitewright-rules"]),
    ("sitewright-confined", &["sitewright-model"]),
    ("sitewright-http", &["sitewright-model"]),
    ("sitewright-otlp", &["sitewright-http", "sitewright-model"]),
    ("sitewright-json-schema", &["sitewright-confined", "sitewright-model", "sitewright-order"]),
    ("sitewright-intake", &["sitewright-json-schema", "sitewright-model", "sitewright-order"]),
    (
        "sitewright-ai",
        &[
            "sitewright-confined",
            "sitewright-cpu-time",
            "sitewright-files",
            "sitewright-http",
            "sitewright-json-schema",
            "sitewright-model",
            "sitewright-rules",
            "sitewright-script",
        ],
    ),
    (
        "sitewright-site",
        &[
            "sitewright-confined",
            "sitewright-copy",
            "sitewright-cpu-time",
            "sitewright-http",
            "sitewright-model",
            "sitewright-order",
            "sitewright-rules",
        ],
    ),
    ("sitewright-browser", &["sitewright-model", "sitewright-site"]),
    ("sitewright-failure", &["sitewright-cpu-time", "sitewright-files", "sitewright-model"]),
    ("sitewright-jobs", &["sitewright-failure", "sitewright-model", "sitewright-order"]),
    (
        "sitewright-runtime",
        &[
            "sitewright-ai",
            "sitewright-confined",
            "sitewright-copy",
            "sitewright-cpu-time",
            "sitewright-failure",
            "sitewright-files",
            "sitewright-intake",
            "sitewright-json-schema",
            "sitewright-model",
            "sitewright-order",
            "sitewright-rules",
            "sitewright-site",
        ],
    ),
    (
        "sitewright-author",
        &[
            "sitewright-ai",
            "sitewright-confined",
            "sitewright-failure",
            "sitewright-http",
            "sitewright-intake",
            "sitewright-model",
            "sitewright-runtime",
            "sitewright-site",
        ],
    ),
    (
        "sitewright-conformance",
        &[
            "sitewright-ai",
            "sitewright-failure",
            "sitewright-files",
            "sitewright-http",
            "sitewright-intake",
            "sitewright-model",
            "sitewright-order",
            "sitewright-runtime",
            "sitewright-script",
            "sitewright-site",
        ],
    ),
    (
        "sitewright-replay",
        &[
            "sitewright-ai",
            "sitewright-confined",
            "sitewright-failure",
            "sitewright-files",
            "sitewright-http",
            "sitewright-intake",
            "sitewright-jobs",
            "sitewright-model",
            "sitewright-order",
            "sitewright-runtime",
            "sitewright-site",
        ],
    ),
    (
        "sitewright-control",
        &[
            "sitewright-failure",
            "sitewright-intake",
            "sitewright-jobs",
            "sitewright-model",
            "sitewright-order",
            "sitewright-site",
        ],
    ),
    ("sitewright-webhooks", &["sitewright-http", "sitewright-jobs", "sitewright-model"]),
    (
        "sitewright-console",
        &[
            "sitewright-control",
            "sitewright-failure",
            "sitewright-jobs",
            "sitewright-model",
            "sitewright-site",
        ],
    ),
    (
        "sitewright-server",
        &[
            "sitewright-console",
            "sitewright-control",
            "sitewright-failure",
            "sitewright-http",
            "sitewright-intake",
            "sitewright-jobs",
            "sitewright-model",
            "sitewright-order",
            "sitewright-site",
            "sitewright-webhooks",
        ],
    ),
    (
        "sitewright-worker",
        &[
            "sitewright-ai",
            "sitewright-control",
            "sitewright-failure",
            "sitewright-jobs",
            "sitewright-model",
            "sitewright-order",
            "sitewright-runtime",
            "sitewright-site",
            "sitewright-webhooks",
        ],
    ),
    // The binary: everything below it.
    (
        "sitewright",
        &[
            "sitewright-ai",
            "sitewright-author",
            "sitewright-browser",
            "sitewright-confined",
            "sitewright-conformance",
            "sitewright-control",
            "sitewright-failure",
            "sitewright-files",
            "sitewright-http",
            "sitewright-intake",
            "sitewright-jobs",
            "sitewright-json-schema",
            "sitewright-model",
            "sitewright-order",
            "sitewright-otlp",
            "sitewright-replay",
            "sitewright-runtime",
            "sitewright-server",
            "sitewright-site",
            "sitewright-webhooks",
            "sitewright-worker",
        ],
    ),
    // What a template's author depends on: nothing of the host.
    ("sitewright-sdk", &["sitewright-order", "sitewright-rules", "sitewright-script"]),
];

/// Libraries, and the only crate of the host that may depend on each.
const OWNERS: [(&str, &str); 14] = [
    ("wasmtime", "sitewright-runtime"),
    ("wasmtime-wasi", "sitewright-runtime"),
    ("sqlx", "sitewright-jobs"),
    ("riverqueue", "sitewright-jobs"),
    ("riverqueue-migrate", "sitewright-jobs"),
    ("object_store", "sitewright-site"),
    ("gimli", "sitewright-failure"),
    ("landlock", "sitewright-confined"),
    ("seccompiler", "sitewright-confined"),
    ("opentelemetry", "sitewright-otlp"),
    ("opentelemetry_sdk", "sitewright-otlp"),
    ("opentelemetry-otlp", "sitewright-otlp"),
    ("opentelemetry-http", "sitewright-otlp"),
    ("openidconnect", "sitewright-server"),
];

/// What does I/O or waits: no part of `sitewright-model`, nor of its dependencies' names.
const NOT_IN_MODEL: [&str; 6] = ["tokio", "reqwest", "cap-std", "cap-fs-ext", "rustix", "sqlx"];

/// Modules of the standard library that do I/O or depend on the process.
const IO_MODULES: [&str; 5] = ["std::fs", "std::net", "std::process", "std::env", "std::os"];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap()
}

/// The packages below `host/`.
fn host(metadata: &Metadata) -> BTreeMap<&str, &Package> {
    let folder = root().join("host").canonicalize().unwrap();
    let is_host = |package: &&Package| package.manifest_path.as_std_path().starts_with(&folder);
    let packages = metadata.packages.iter().filter(is_host);
    packages.map(|package| (package.name.as_str(), package)).collect()
}

/// Dependencies that end up in the artifact: not those of tests and build scripts.
fn dependencies(package: &Package) -> BTreeSet<&str> {
    let normal = package.dependencies.iter();
    let normal = normal.filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn arrows_between_crates_are_those_of_the_design() {
    let metadata = metadata();
    let ours: BTreeSet<&str> =
        metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.into_iter().map(|(from, to)| (from, to.iter().copied().collect())).collect();
    assert_eq!(allowed.len(), ARROWS.len(), "a crate is in the table twice");

    let sdk = ["sitewright-order", "sitewright-rules", "sitewright-script", "sitewright-sdk"];
    let shared = metadata.packages.iter().filter(|package| sdk.contains(&package.name.as_str()));
    let host = host(&metadata);
    assert!(host.len() >= 14, "{:?}", host.keys());
    let mut wrong = Vec::new();
    for package in host.into_values().chain(shared) {
        let name = package.name.as_str();
        let Some(allowed) = allowed.get(name) else {
            wrong.push(format!("{name} is not in the table"));
            continue;
        };
        let found = dependencies(package);
        let found = found.intersection(&ours).filter(|to| !allowed.contains(*to));
        wrong.extend(found.map(|to| format!("{name} must not depend on {to}")));
    }
    assert!(wrong.is_empty(), "see the table in tests/tests/all/crates.rs: {wrong:#?}");
}

/// If A may use B, then B may not use A, directly or through others.
#[test]
fn the_table_of_arrows_has_no_cycle() {
    let mut left: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.into_iter().map(|(from, to)| (from, to.iter().copied().collect())).collect();
    while !left.is_empty() {
        let lowest: Vec<&str> =
            left.iter().filter(|(_, to)| to.is_empty()).map(|(from, _)| *from).collect();
        assert!(!lowest.is_empty(), "a cycle, or a crate without a row of its own: {left:#?}");
        for name in lowest {
            left.remove(name);
            for to in left.values_mut() {
                to.remove(name);
            }
        }
    }
}

#[test]
fn a_library_with_an_owner_is_used_by_no_other_crate_of_the_host() {
    let metadata = metadata();
    let host = host(&metadata);
    for (library, owner) in OWNERS {
        let users: Vec<&str> = host
            .iter()
            .filter(|(_, package)| dependencies(package).contains(library))
            .map(|(name, _)| *name)
            .collect();
        assert!(
            users.iter().all(|user| *user == owner),
            "only {owner} may depend on {library}, and these do: {users:?}"
        );
    }
    for owner in [
        "sitewright-runtime",
        "sitewright-jobs",
        "sitewright-site",
        "sitewright-failure",
        "sitewright-otlp",
    ] {
        let used = dependencies(host[owner]);
        let owned = OWNERS.into_iter().filter(|(_, of)| *of == owner);
        assert!(
            owned.into_iter().any(|(library, _)| used.contains(library)),
            "{owner} uses none of the libraries that it owns: the table is out of date"
        );
    }
}

#[test]
fn the_model_does_no_io() {
    let metadata = metadata();
    let model = host(&metadata)["sitewright-model"];
    let found: Vec<&str> = dependencies(model)
        .into_iter()
        .filter(|dependency| NOT_IN_MODEL.contains(dependency))
        .collect();
    assert!(found.is_empty(), "sitewright-model must not depend on {found:?}");

    let folder = model.manifest_path.as_std_path().parent().unwrap().join("src");
    let mut wrong = Vec::new();
    for file in sources(&folder) {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            let used = IO_MODULES.iter().filter(|module| code.contains(**module));
            wrong.extend(used.map(|module| format!("{}:{number}: {module}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "sitewright-model does no I/O: {wrong:#?}");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "{} has no sources", folder.display());
    found
}

/// The languages of code blocks in comments that are not compiled.
const NOT_RUST: [&str; 7] = ["text", "toml", "json", "console", "sh", "html", "wit"];

/// The lines of a package's library at which an example in Rust begins.
fn examples(package: &Package) -> Vec<String> {
    let source = package.manifest_path.parent().unwrap().join("src");
    let mut found = Vec::new();
    for path in sources(source.as_std_path()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut is_open = false;
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
            let fence = comment.and_then(|comment| comment.trim_start().strip_prefix("```"));
            if let Some(language) = fence {
                if !is_open && !NOT_RUST.contains(&language.trim()) {
                    found.push(format!("{}:{}", path.display(), at + 1));
                }
                is_open = !is_open;
            } else if line.contains("doc = include_str!") {
                found.push(format!("{}:{}", path.display(), at + 1));
            }
        }
    }
    found
}

#[test]
fn every_example_in_a_comment_is_compiled() {
    let mut without_check = Vec::new();
    let mut compiled = 0;
    for package in &metadata().packages {
        let Some(library) =
            package.targets.iter().find(|target| target.is_lib() || target.is_rlib())
        else {
            continue;
        };
        // `cargo test` looks into a library for examples unless it says `doctest = false`, which takes
        // seconds for each.
        if library.doctest {
            compiled += 1;
        } else {
            without_check.extend(examples(package));
        }
    }
    assert!(
        without_check.is_empty(),
        "examples in crates with `doctest = false`: {without_check:?}"
    );
    assert!(compiled >= 2, "the crates with examples were not found");
}
