//! Compiled templates: hosts share a cache, and an unusable cache never fails an order.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::{fs, iter};

use sitewright_runtime::plugin::{Cache, CacheOutcome, Compiler, Engine, Limits, Loader};
use sitewright_tests::{Workbench, compiled as entries, guest};
use tempfile::TempDir;

/// Minimal templates: the cache does not depend on their content.
const SMALL: [&str; 2] = [
    "(component (core module (func (export \"one\"))))",
    "(component (core module (func (export \"another\") (result i32) i32.const 2)))",
];

fn engine() -> Engine {
    Engine::new(&Limits::default(), 1).unwrap()
}

fn loader(limits: &Limits, cache: Cache) -> Loader {
    Loader::new(Engine::new(limits, 1).unwrap(), cache, limits.clone()).unwrap()
}

/// The outcome of the cache for a host that starts now.
async fn load(cache: &Path, small: usize) -> CacheOutcome {
    let digest = [u8::try_from(small).unwrap(); 32];
    let wasm = wat::parse_str(SMALL[small]).unwrap();
    let (component, outcome) = Cache::open(cache)
        .component(&engine(), &Compiler::here(), wasm.into(), &digest)
        .await
        .unwrap();
    assert!(component.image_range().end > component.image_range().start);
    outcome
}

#[tokio::test]
async fn what_one_engine_compiled_another_with_the_same_configuration_loads() {
    let cache = TempDir::new().unwrap();
    let limits = Limits::default();
    for expected in [CacheOutcome::Miss, CacheOutcome::Hit] {
        // Each loader has its own engine, as after a restart.
        let loaded =
            loader(&limits, Cache::open(cache.path())).load(&guest("guest-minimal")).await.unwrap();
        assert_eq!(loaded.cache, expected);
        assert_eq!(loaded.manifest.name, "minimal", "it runs");
    }
    assert_eq!(entries(cache.path()).len(), 1);

    // Limits of a run do not change the code; if they ever do, the entry must not be used.
    let limits = Limits { memory_bytes: 64 << 20, cpu_ms: 5, ..Limits::default() };
    let one = engine().compatibility_key();
    let other = loader(&limits, Cache::open(cache.path()));
    let same = other.engine().compatibility_key() == one;
    let expected = if same { CacheOutcome::Hit } else { CacheOutcome::Miss };
    assert_eq!(other.load(&guest("guest-minimal")).await.unwrap().cache, expected);
    // Neither does the concurrency: `doctor` and a worker share the cache.
    assert_eq!(Engine::new(&Limits::default(), 100).unwrap().compatibility_key(), one);
}

#[tokio::test]
async fn an_entry_that_cannot_be_trusted_is_compiled_again_and_replaced() {
    type Spoil = fn(&Path);
    /// Inverts the byte at `at`; a negative `at` counts from the end.
    fn flip(entry: &Path, at: isize) {
        let mut bytes = fs::read(entry).unwrap();
        let index = if at < 0 { bytes.len() - at.unsigned_abs() } else { at.unsigned_abs() };
        bytes[index] ^= 0x40;
        fs::write(entry, bytes).unwrap();
    }
    fn cut(entry: &Path, length: u64) {
        fs::OpenOptions::new().write(true).open(entry).unwrap().set_len(length).unwrap();
    }
    const ANOTHER: &str = "belongs to another template or engine";
    let cases: [(&str, Spoil, &str); 14] = [
        ("magic", |entry| flip(entry, 0), "another version"),
        ("the engine's key: a stale entry", |entry| flip(entry, 16), ANOTHER),
        ("digest, first byte", |entry| flip(entry, 24), ANOTHER),
        ("digest, last byte", |entry| flip(entry, 55), ANOTHER),
        ("checksum", |entry| flip(entry, 56), "damaged"),
        ("artifact, first byte", |entry| flip(entry, 88), "damaged"),
        ("artifact, last byte", |entry| flip(entry, -1), "damaged"),
        ("nothing left", |entry| cut(entry, 0), "cut short"),
        ("cut in the header", |entry| cut(entry, 87), "cut short"),
        ("cut after the header", |entry| cut(entry, 88), "damaged"),
        (
            "cut in the artifact",
            |entry| cut(entry, fs::metadata(entry).unwrap().len() - 1),
            "damaged",
        ),
        ("something else", |entry| fs::write(entry, vec![7; 4_096]).unwrap(), "another version"),
        (
            "another template's entry under this name",
            |entry| {
                let other = entries(entry.parent().unwrap())
                    .into_iter()
                    .find(|other| other != entry)
                    .unwrap();
                fs::copy(other, entry).unwrap();
            },
            ANOTHER,
        ),
        (
            "writable for others",
            |entry| fs::set_permissions(entry, fs::Permissions::from_mode(0o666)).unwrap(),
            "others may write",
        ),
    ];
    let cache = TempDir::new().unwrap();
    load(cache.path(), 1).await;
    let others = entries(cache.path());
    load(cache.path(), 0).await;
    let entry = entries(cache.path()).into_iter().find(|entry| !others.contains(entry)).unwrap();
    for (name, spoil, reason) in cases {
        spoil(&entry);
        match load(cache.path(), 0).await {
            CacheOutcome::Refused(why) => assert!(why.contains(reason), "{name}: {why}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(load(cache.path(), 0).await, CacheOutcome::Hit, "{name}: not replaced");
        assert_eq!(fs::metadata(&entry).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(entries(cache.path()).len(), 2, "nothing else is left behind");
}

#[tokio::test]
async fn an_entry_that_can_be_neither_read_nor_replaced_is_bypassed() {
    let cache = TempDir::new().unwrap();
    load(cache.path(), 0).await;
    let entry = entries(cache.path()).remove(0);
    fs::remove_file(&entry).unwrap();
    fs::create_dir(&entry).unwrap();
    for _ in 0..2 {
        let outcome = load(cache.path(), 0).await;
        assert!(
            matches!(&outcome, CacheOutcome::Refused(why) if why.contains("cannot be read")),
            "{outcome:?}"
        );
    }
    assert_eq!(entries(cache.path()), [entry], "no temporary file stays");
}

#[tokio::test]
async fn a_cache_that_cannot_be_had_is_not_used() {
    let folder = TempDir::new().unwrap();
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(load(&open, 0).await, CacheOutcome::Off, "{mode:o}");
        assert!(entries(&open).is_empty(), "{mode:o}: nothing is written there");
    }
    assert_eq!(load(&file, 0).await, CacheOutcome::Off);
    assert_eq!(load(&file.join("below"), 0).await, CacheOutcome::Off);
}

#[test]
fn a_cache_that_others_may_write_to_is_warned_about() {
    let bench = Workbench::configured("");
    let cache = bench.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = bench.command(&[
        "--log",
        "warn",
        "template",
        "inspect",
        &guest("guest-minimal").to_string_lossy(),
    ]);
    let output = command.env("SITEWRIGHT_CACHE", &cache).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    for part in ["the compile cache is not used", "chmod 700", &*cache.to_string_lossy()] {
        assert!(stderr.contains(part), "{part} is missing: {stderr}");
    }
    assert!(entries(&cache).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_tasks_that_load_the_same_template_at_once_compile_it_once() {
    let cache = TempDir::new().unwrap();
    let loader = loader(&Limits::default(), Cache::open(cache.path()));
    let tasks: Vec<_> = iter::repeat_with(|| {
        let loader = loader.clone();
        tokio::spawn(async move { loader.load(&guest("guest-minimal")).await })
    })
    .take(8)
    .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap().unwrap().cache);
    }
    outcomes.retain(|outcome| *outcome != CacheOutcome::Hit);
    assert_eq!(outcomes, [CacheOutcome::Miss], "compiled once, the others waited for it");
    assert_eq!(entries(cache.path()).len(), 1, "one entry, and no temporary file");
}
