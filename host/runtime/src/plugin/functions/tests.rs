use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::plugin::{Cache, engine};

/// The key of the engine.
const ENGINE: u64 = 7;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Counts what a compiler asks for, and what it gets.
#[derive(Debug)]
struct Counted {
    functions: Functions,
    asked: AtomicUsize,
    found: AtomicUsize,
}

impl CacheStore for Counted {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let found = self.functions.get(key);
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.found.fetch_add(usize::from(found.is_some()), Ordering::Relaxed);
        found
    }

    fn insert(&self, key: &[u8], code: Vec<u8>) -> bool {
        self.functions.insert(key, code)
    }
}

/// A component with this data, and a function that multiplies by this factor.
fn component(data: &str, factor: u32) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $module
                (memory (export "memory") 1)
                (data (i32.const 0) "{data}")
                (func $twice (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
                (func (export "times") (param i32) (result i32)
                    (i32.mul (call $twice (local.get 0)) (i32.const {factor})))
                (func (export "first") (result i32) (i32.load (i32.const 0))))
            (core instance (instantiate $module)))"#
    );
    wat::parse_str(text).unwrap()
}

/// The compiled form without a cache.
fn plain(wasm: &[u8]) -> Vec<u8> {
    engine::for_compiling(None).unwrap().precompile_component(wasm).unwrap()
}

/// Compiles as a host and its child do. How many functions were asked for, and found.
fn compile(cache: &FunctionCache, wasm: &[u8]) -> (usize, usize) {
    let session = cache.begin(ENGINE).unwrap();
    let opened = Opened::open(session.packs(), session.new_file(), session.max_bytes()).unwrap();
    let store = Arc::new(Counted {
        functions: opened.read(),
        asked: AtomicUsize::new(0),
        found: AtomicUsize::new(0),
    });
    let engine = engine::for_compiling(Some(store.clone())).unwrap();
    let compiled = engine.precompile_component(wasm).unwrap();
    assert!(compiled == plain(wasm), "the code is another with the cache than without");
    store.functions.finish().unwrap();
    session.finish().unwrap();
    (store.asked.load(Ordering::Relaxed), store.found.load(Ordering::Relaxed))
}

/// Whether all functions were found, but for two: compilers on several threads now and then give a
/// function another key.
fn nearly_all((asked, found): (usize, usize)) -> bool {
    0 < found && found <= asked && asked <= found + 2
}

fn folder() -> (TempDir, FunctionCache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = FunctionCache::new(folder.path().to_owned(), DEFAULT_FUNCTION_CACHE_BYTES);
    (folder, cache)
}

fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn another_build_compiles_only_the_functions_that_have_changed() {
    let (folder, cache) = folder();
    let (asked, found) = compile(&cache, &component("first", 3));
    assert!(asked >= 3, "{asked}");
    assert_eq!(found, 0);
    assert_eq!(names(folder.path()).len(), 1, "one file, which is a pack");
    // A snapshot of an interpreter differs in its data.
    let counts = compile(&cache, &component("other", 3));
    assert!(nearly_all(counts), "{counts:?}");
    let (asked, found) = compile(&cache, &component("other", 4));
    assert!(0 < found && found < asked, "{found} of {asked}");
    assert!(names(folder.path()).len() >= 2);
    let counts = compile(&cache, &component("first", 4));
    assert!(nearly_all(counts), "of two packs: {counts:?}");
    let other = cache.begin(ENGINE + 1).unwrap();
    assert_eq!(other.packs(), [] as [PathBuf; 0], "they are of another engine");
}

#[test]
fn compilers_at_the_same_time_keep_what_each_has_compiled() {
    let (folder, cache) = folder();
    std::thread::scope(|threads| {
        for factor in 3..7 {
            let cache = &cache;
            threads.spawn(move || compile(cache, &component("first", factor)));
        }
    });
    for factor in 3..7 {
        let counts = compile(&cache, &component("other", factor));
        assert!(nearly_all(counts), "{factor}: {counts:?}");
    }
    assert!(names(folder.path()).iter().all(|name| name.ends_with(".functions")));
}

#[test]
fn damaged_packs_are_deleted_and_compiled_again() {
    type Damage = fn(&mut Vec<u8>);
    let rows: [(&str, Damage); 6] = [
        ("empty", |bytes| bytes.clear()),
        ("cut", |bytes| bytes.truncate(bytes.len() - 1)),
        // Several functions, of which one may get another key.
        ("code", |bytes| bytes[..600].iter_mut().for_each(|byte| *byte ^= 1)),
        ("index", |bytes| flip(bytes, FOOTER_BYTES + 1)),
        ("magic", |bytes| flip(bytes, FOOTER_BYTES)),
        ("entries", |bytes| flip(bytes, FOOTER_BYTES - 23)),
    ];
    let wasm = component("first", 3);
    for (name, damage) in rows {
        let (folder, cache) = folder();
        compile(&cache, &wasm);
        let pack = folder.path().join(&names(folder.path())[0]);
        let mut bytes = fs::read(&pack).unwrap();
        damage(&mut bytes);
        fs::write(&pack, bytes).unwrap();
        let (asked, found) = compile(&cache, &wasm);
        assert!(found < asked, "{name}: {found} of {asked}");
        assert!(!pack.exists(), "{name}");
        compile(&cache, &wasm);
        let counts = compile(&cache, &wasm);
        assert!(nearly_all(counts), "{name}: {counts:?}");
    }
}

#[test]
fn a_pack_that_others_may_write_to_is_not_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let (folder, cache) = folder();
    let wasm = component("first", 3);
    compile(&cache, &wasm);
    let pack = folder.path().join(&names(folder.path())[0]);
    fs::set_permissions(&pack, fs::Permissions::from_mode(0o622)).unwrap();
    assert_eq!(compile(&cache, &wasm).1, 0);
}

#[test]
fn a_cache_has_at_most_its_budget() {
    let (folder, cache) = folder();
    // Not room for one function.
    let small = FunctionCache::new(folder.path().to_owned(), 150);
    assert_eq!(compile(&small, &component("first", 3)).1, 0);
    assert_eq!(compile(&small, &component("first", 3)).1, 0);
    drop(cache.begin(ENGINE).unwrap());
    assert_eq!(names(folder.path()), [] as [&str; 0], "what was begun is gone");

    let file = |name: &str, hours: u32| {
        let path = folder.path().join(name);
        fs::write(&path, [0; 100]).unwrap();
        let used = SystemTime::now() - HOUR * hours;
        File::open(path).unwrap().set_modified(used).unwrap();
    };
    let rows: [(u64, &[&str]); 4] = [
        (300, &["a.functions", "b.functions", "c.functions"]),
        (299, &["a.functions", "c.functions"]),
        (100, &["a.functions"]),
        (99, &[]),
    ];
    for (max_bytes, left) in rows {
        for (name, hours) in [("a.functions", 1), ("b.functions", 9), ("c.functions", 5)] {
            file(name, hours);
        }
        evict(folder.path(), max_bytes).unwrap();
        assert_eq!(names(folder.path()), left, "{max_bytes}");
    }
    for number in 0..=MAX_PACKS {
        file(&format!("{number}.functions"), u32::try_from(number).unwrap());
    }
    file("notes.txt", 1_000);
    evict(folder.path(), u64::MAX).unwrap();
    let left = names(folder.path());
    assert_eq!(left.len(), MAX_PACKS + 1);
    assert!(!left.contains(&format!("{MAX_PACKS}.functions")), "the oldest is deleted");
}

#[test]
fn a_pack_that_is_used_stays() {
    let (folder, cache) = folder();
    compile(&cache, &component("first", 3));
    let pack = folder.path().join(&names(folder.path())[0]);
    let age = || fs::metadata(&pack).unwrap().modified().unwrap().elapsed().unwrap_or_default();
    let old = SystemTime::now() - HOUR * 2;
    File::open(&pack).unwrap().set_modified(old).unwrap();
    assert!(age() > HOUR);
    compile(&cache, &component("other", 3));
    assert!(age() < HOUR, "{:?}", age());
}

#[test]
fn a_cache_without_a_folder_or_a_budget_has_none() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Cache::off().functions(1), None);
    assert_eq!(Cache::open(folder.path()).functions(0), None);
    assert!(Cache::open(folder.path()).functions(1).is_some());
}

/// Changes the byte that is so far from the end.
fn flip(bytes: &mut [u8], before_end: usize) {
    let at = bytes.len() - before_end;
    bytes[at] ^= 1;
}
