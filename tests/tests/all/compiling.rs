//! Templates are compiled by a child process, and every way it can end has its error message.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sitewright_model::failure::FailureKind;
use sitewright_runtime::plugin::{
    Cache, CacheOutcome, Catalogue, Compiler, Engine, Limits, Loader, Template, TemplateError,
};
use sitewright_runtime::run::Outcome;
use sitewright_tests::crafted::{Bomb, Crafted};
use sitewright_tests::factory::until;
use sitewright_tests::{ANY_ANSWER, Done, Workbench, binary, compiled, order};
use tempfile::TempDir;

use crate::lab::{Lab, Started, numbered_order};

fn limits(compile_ms: u64) -> Limits {
    Limits { compile_ms, compile_memory_bytes: 512 << 20, ..Limits::default() }
}

fn loader(compiler: &Path, limits: &Limits, cache: Cache) -> Loader {
    let loader = Loader::new(Engine::new(limits, 1).unwrap(), cache, limits.clone()).unwrap();
    loader.with_compiler(Compiler::program(compiler, limits))
}

fn why(loaded: Result<Template, TemplateError>) -> String {
    let Err(error) = loaded else { panic!("it was loaded") };
    let causes: Vec<String> = error.causes().iter().map(ToString::to_string).collect();
    causes.join(": ")
}

/// What a template is not loaded for, if the machine has no time for the compiler.
const BUSY: &str = "the machine is busy. It is compiled again for a later order";
/// Maximum compilers started while that is the answer.
const MAX_TRIES: usize = 20;

/// Why the template is not loaded, and the loader that knows it. An answer that is about the machine
/// and not about the template is asked again, as for a later order: on a machine that runs other
/// programs too, a compiler may get less than a fifth of a core. Each try has a loader of its own,
/// because one remembers the answer for a time.
async fn refused(new_loader: impl Fn() -> Loader, path: &Path) -> (Loader, String) {
    for _ in 0..MAX_TRIES {
        let loader = new_loader();
        let message = why(loader.load(path).await);
        if !message.contains(BUSY) {
            return (loader, message);
        }
    }
    panic!("the machine was too busy for the compiler, {MAX_TRIES} times in a row");
}

/// Lines that a stand-in has appended to a file: one for each of its starts.
fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// A good template in a folder.
fn good(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("good.wasm");
    fs::write(&path, Crafted::default().component()).unwrap();
    path
}

/// A shell script in place of the compiler.
fn stand_in(folder: &TempDir, script: &str) -> PathBuf {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = folder.path().join(format!("compiler-{number}"));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

#[tokio::test]
async fn the_binary_compiles_for_the_library_and_a_warm_cache_asks_nobody() {
    let folder = TempDir::new().unwrap();
    let cache = || Cache::open(&folder.path().join("cache"));
    let path = good(&folder);
    let limits = limits(60_000);
    let compiled = loader(&binary(), &limits, cache()).load(&path).await.unwrap();
    assert_eq!((compiled.cache, &*compiled.manifest.name), (CacheOutcome::Miss, "crafted"));
    // There is no compiler here.
    let loaded =
        loader(Path::new("/no/such/compiler"), &limits, cache()).load(&path).await.unwrap();
    assert_eq!((loaded.cache, &*loaded.manifest.name), (CacheOutcome::Hit, "crafted"));
    let message =
        why(loader(Path::new("/no/such/compiler"), &limits, Cache::off()).load(&path).await);
    assert!(message.contains("/no/such/compiler does not start"), "{message}");
}

#[tokio::test]
async fn every_end_of_a_compiler_has_its_error() {
    let folder = TempDir::new().unwrap();
    let path = good(&folder);
    // For a compiler that ends by itself, on a slow machine too.
    let long = 60_000;
    let rows = [
        // (script of the compiler, `compile_ms`, part of the error)
        (
            "while :; do :; done",
            700,
            "not compiled within 700 ms of CPU time, the limit `compile_ms`",
        ),
        (
            "echo 300000000 >&2; exit 12",
            long,
            "300000000 bytes; at most 134217728 are allowed, the limit `artifact_bytes`",
        ),
        ("kill -9 $$", long, "the compiler failed over it: signal: 9"),
        ("kill -11 $$", long, "the compiler failed over it: signal: 11"),
        ("kill -24 $$", long, "the limit `compile_ms`"),
        (
            "echo memory allocation of 7 bytes failed >&2; kill -6 $$",
            long,
            "more than 536870912 bytes of memory, the limit `compile_memory_bytes`",
        ),
        ("echo no such thing >&2; exit 10", long, "does not compile: no such thing"),
        ("echo bad day >&2; exit 11", long, "the host could not compile it: bad day"),
        ("exit 101", long, "the compiler failed over it: exit status: 101"),
        ("head -c 100000 /dev/zero >&2; exit 101", long, "the compiler failed over it"),
        ("exit 0", long, "the engine does not take it"),
        ("echo something else", long, "the engine does not take it"),
        ("cat", long, "the engine does not take it"),
    ];
    let cache = folder.path().join("cache");
    for (script, compile_ms, words) in rows {
        let compiler = stand_in(&folder, script);
        let new = || loader(&compiler, &limits(compile_ms), Cache::open(&cache));
        let (_, message) = refused(new, &path).await;
        assert!(message.contains(words), "{script}: {message}");
        assert!(message.len() < 10_000, "{script}");
    }
    // One that waits and does not compute is the machine's fault. It is killed: at its own end it
    // would have compiled nothing, which is another error.
    let waits = stand_in(&folder, "exec sleep 100");
    let message = why(loader(&waits, &limits(700), Cache::open(&cache)).load(&path).await);
    let words =
        "not compiled within 3500 ms, and used less CPU time than the limit `compile_ms` (700 ms)";
    assert!(message.contains(words) && message.contains(BUSY), "{message}");
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0, "nothing of that is kept");
}

#[tokio::test]
async fn a_compiler_sees_the_template_and_nothing_of_this_process() {
    let folder = TempDir::new().unwrap();
    let path = good(&folder);
    let seen = folder.path().join("seen");
    // `CARGO_MANIFEST_DIR` and others are in the environment of a test.
    assert!(std::env::vars_os().count() > 2);
    let script =
        format!("/usr/bin/env > {0}; pwd >> {0}; /usr/bin/cksum >> {0}; exit 10", seen.display());
    why(loader(&stand_in(&folder, &script), &limits(20_000), Cache::off()).load(&path).await);
    let seen = fs::read_to_string(seen).unwrap();
    let lines: Vec<&str> = seen.lines().collect();
    // The variables that a shell itself sets; then its folder and the template.
    let own = ["PWD=", "OLDPWD=", "SHLVL=", "_="];
    let (variables, rest) = lines.split_at(lines.len() - 2);
    assert!(variables.iter().all(|line| own.iter().any(|own| line.starts_with(own))), "{seen}");
    assert_eq!(rest[0], "/", "{seen}");
    assert!(rest[1].ends_with(&format!(" {}", fs::metadata(&path).unwrap().len())), "{seen}");
}

#[tokio::test]
async fn a_template_that_takes_too_long_is_given_up_and_not_tried_again_for_each_order() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("slow.wasm");
    fs::write(&path, Bomb::ManyFunctions(100_000).component()).unwrap();
    // The real compiler, whose starts are counted.
    let starts = folder.path().join("starts");
    let script =
        format!("echo started >> '{}'; exec '{}' \"$@\"", starts.display(), binary().display());
    let compiler = stand_in(&folder, &script);
    let new = || loader(&compiler, &limits(1_000), Cache::off());
    let (loader, message) = refused(new, &path).await;
    assert!(
        message.contains("not compiled within 1000 ms of CPU time, the limit `compile_ms`"),
        "{message}"
    );
    let before = lines(&starts);
    assert!(before >= 1, "no compiler was started");
    for _ in 0..20 {
        assert_eq!(why(loader.load(&path).await), message);
    }
    assert_eq!(lines(&starts), before, "it was tried again");

    // Another file is not affected.
    let good = loader.load(&good(&folder)).await;
    assert!(
        good.is_ok() || why(good).contains("compile_ms"),
        "a slow machine may give up on that one too"
    );
    assert_eq!(lines(&starts), before + 1, "the other file was not tried");
}

/// The same order may be made on a machine that has time: it waits, and its failure is the host's.
#[tokio::test]
async fn an_order_waits_while_the_machine_is_too_busy_to_compile() {
    let folder = TempDir::new().unwrap();
    let limits = limits(300);
    // It gets no processor time at all.
    let starts = folder.path().join("starts");
    let script = format!("echo started >> '{}'; exec sleep 100", starts.display());
    let compiler = Compiler::program(&stand_in(&folder, &script), &limits);
    let mut lab = Lab::compiling(limits.clone(), 1, ANY_ANSWER, compiler.clone());
    let loader = Loader::new(Engine::new(&limits, 1).unwrap(), Cache::off(), limits).unwrap();
    lab.host.catalogue = Catalogue::new(folder.path().to_owned(), loader.with_compiler(compiler));
    let template = good(&folder);
    let order = numbered_order(1, "ok", serde_json::json!({}));
    let start = || Started::of(lab.host.clone(), &template.to_string_lossy(), &order).ended();
    let Outcome::Failed { record, refused, .. } = start().await else { panic!("it was made") };
    assert_eq!(record.kind, FailureKind::Host);
    assert!(
        record.causes.iter().any(|cause| cause.to_string().contains("the machine is busy")),
        "{record:?}"
    );
    assert_eq!(refused, Some(std::io::ErrorKind::ResourceBusy));
    // Orders that waited with it do not wait for the compiler again.
    let Outcome::Failed { refused, .. } = start().await else { panic!("it was made") };
    assert_eq!(refused, Some(std::io::ErrorKind::ResourceBusy));
    assert_eq!(lines(&starts), 1, "a compiler for each order");
}

#[tokio::test]
async fn a_compiled_form_has_a_limit() {
    let folder = TempDir::new().unwrap();
    let path = good(&folder);
    let with = |artifact_bytes| Limits { artifact_bytes, ..limits(60_000) };
    let most = with(u64::MAX);
    let cache = folder.path().join("cache");
    loader(&binary(), &most, Cache::open(&cache)).load(&path).await.unwrap();
    let entry = &compiled(&cache)[0];
    // 88 bytes of it are the entry's header.
    let bytes = entry.metadata().unwrap().len() - 88;
    let fits = loader(&binary(), &with(bytes), Cache::off()).load(&path).await;
    assert!(fits.is_ok(), "{}", why(fits));
    let message = why(loader(&binary(), &with(bytes - 1), Cache::off()).load(&path).await);
    let words = format!(
        "its compiled form has {bytes} bytes; at most {} are allowed, the limit `artifact_bytes`",
        bytes - 1
    );
    assert!(message.contains(&words), "{message}");
}

#[tokio::test]
async fn the_cache_keeps_what_was_used_last_within_its_budget() {
    let folder = TempDir::new().unwrap();
    let cache = folder.path().join("cache");
    let limits = limits(60_000);
    let templates: Vec<PathBuf> = ["generate one", "generate two", "generate three"]
        .into_iter()
        .map(|name| {
            let path = folder.path().join(format!("{name}.wasm"));
            fs::write(&path, built_again(name)).unwrap();
            path
        })
        .collect();
    let load = async |at: usize, max_bytes| {
        let cache = Cache::open(&cache).with_max_bytes(max_bytes);
        let loaded = loader(&binary(), &limits, cache).load(&templates[at]).await;
        // The clock of a file system may be coarse.
        tokio::time::sleep(Duration::from_millis(20)).await;
        loaded.unwrap_or_else(|error| panic!("{}", why(Err(error)))).cache
    };
    assert_eq!(load(0, u64::MAX).await, CacheOutcome::Miss);
    let two = fs::metadata(&compiled(&cache)[0]).unwrap().len() * 5 / 2;
    assert_eq!(load(1, two).await, CacheOutcome::Miss);
    assert_eq!(load(0, two).await, CacheOutcome::Hit);
    assert_eq!(load(2, two).await, CacheOutcome::Miss);
    assert_eq!(compiled(&cache).len(), 2);
    assert_eq!(load(0, two).await, CacheOutcome::Hit, "it was used after the second");
    assert_eq!(load(1, two).await, CacheOutcome::Miss, "it was used before the others");
    // An entry that is larger than the whole cache is not kept, and the template works.
    fs::remove_dir_all(&cache).unwrap();
    assert_eq!(load(0, 10).await, CacheOutcome::Miss);
    assert_eq!(compiled(&cache).len(), 0);
}

/// A good template with a custom section: the same functions, another digest.
fn built_again(name: &str) -> Vec<u8> {
    let mut component = Crafted::default().component();
    component.extend([&[0, 1 + name.len() as u8, name.len() as u8], name.as_bytes()].concat());
    component
}

#[test]
fn only_the_builds_of_an_author_share_compiled_functions() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let [one, two] = ["one", "two"].map(|name| {
        let path = bench.write(&format!("{name}.wasm"), built_again(name));
        path.to_string_lossy().into_owned()
    });
    let document = bench.write("order.json", order("02-dentist-us-minimal").to_string());
    let document = document.to_string_lossy();
    let default = (512 << 20).to_string();
    let inspect_one: [&str; 3] = ["template", "inspect", &one];
    let inspect_two: [&str; 3] = ["template", "inspect", &two];
    let generate: [&str; 5] = ["generate", "--template", &one, "--order", &document];
    // (cache, command, `function_cache_bytes`, compiled templates, and whether there are packs, both
    // afterwards). A second build may add a pack: now and then a function gets another key.
    let rows: [(&str, &[&str], &str, (usize, bool)); 5] = [
        ("own", &inspect_one, &default, (1, true)),
        ("own", &inspect_two, &default, (2, true)),
        ("off", &inspect_one, "0", (1, false)),
        // What strangers' templates are compiled for leaves none and takes none.
        ("orders", &generate, &default, (1, false)),
        ("own", &generate, &default, (2, true)),
    ];
    for (cache, arguments, max_bytes, expected) in rows {
        let cache = bench.path().join(cache);
        let mut command = bench.command(arguments);
        command.env("SITEWRIGHT_CACHE", &cache);
        command.env("SITEWRIGHT_FUNCTION_CACHE_BYTES", max_bytes);
        let done = Done::from(command.output().unwrap());
        let files: Vec<PathBuf> =
            fs::read_dir(&cache).unwrap().map(|file| file.unwrap().path()).collect();
        let count = |suffix: &str| {
            files.iter().filter(|file| file.extension().is_some_and(|end| end == suffix)).count()
        };
        let found = (count("cwasm"), count("functions") > 0);
        assert_eq!(found, expected, "{arguments:?}: {}{}", done.stdout, done.stderr);
        assert_eq!(count("tmp"), 0, "{arguments:?}");
    }
}

/// Child processes of a process.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists =
        tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| {
            list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()
        })
        .collect()
}

fn runs(pid: u32) -> bool {
    // A zombie has no command line.
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn a_compiler_ends_with_the_process_that_asked_and_with_the_wish() {
    let folder = TempDir::new().unwrap();
    let bench = Workbench::configured("");
    let path = bench.write("slow.wasm", Bomb::ManyFunctions(300_000).component());
    let mut host = bench
        .command(&["template", "inspect", &path.to_string_lossy()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("a compiler has been started", || async { !children(host.id()).is_empty() }).await;
    let compiler = children(host.id())[0];
    until("it compiles", || async {
        fs::read(format!("/proc/{compiler}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains("compile-template"))
    })
    .await;
    // It asks the kernel to end with its parent before it sets its limits.
    until("it is within its limits", || async {
        fs::read_to_string(format!("/proc/{compiler}/limits")).is_ok_and(|limits| {
            limits
                .lines()
                .any(|line| line.starts_with("Max data size") && !line.contains("unlimited"))
        })
    })
    .await;
    if Path::new("/proc/sys/kernel/seccomp").exists() {
        until("it may make few system calls", || async {
            fs::read_to_string(format!("/proc/{compiler}/status"))
                .is_ok_and(|status| status.lines().any(|line| line == "Seccomp:\t2"))
        })
        .await;
    }
    // SIGKILL, so the parent cannot clean up.
    host.kill().unwrap();
    host.wait().unwrap();
    until("the compiler has gone too", || async { !runs(compiler) }).await;

    let pid = folder.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", pid.display());
    let loader = loader(&stand_in(&folder, &script), &limits(600_000), Cache::off());
    let good = good(&folder);
    let loading = tokio::spawn(async move { loader.load(&good).await.map(|_| ()) });
    until("the stand-in has started", || async { pid.exists() }).await;
    let compiler: u32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    assert!(runs(compiler));
    loading.abort();
    until("the stand-in has gone", || async { !runs(compiler) }).await;
}

#[test]
fn the_subcommands_of_children_are_not_for_people_and_work_for_their_parent_only() {
    let help = Workbench::configured("").run(&["--help"]).stdout;
    assert!(!help.contains("compile-template") && !help.contains("confined"), "{help}");
    let no_parent = "the parent process has ended";
    let compile = [
        "compile-template",
        "--parent",
        "1",
        "--cpu-s",
        "1",
        "--memory-bytes",
        "1000000000",
        "--artifact-bytes",
        "1000000000",
    ];
    let rows: [(&[&str], &str); 3] = [
        (&compile, no_parent),
        (&["confined", "--parent", "1"], no_parent),
        (&["confined"], "this subcommand is for `sitewright` itself"),
    ];
    for (arguments, words) in rows {
        let done = std::process::Command::new(binary())
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(11), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert!(done.stdout.is_empty(), "{arguments:?}");
    }
}
