//! Tests that measure their process: each runs in a process of its own, because other tests of
//! this binary may run in the same process.

use std::process::Command;

/// The environment variable with the name of the test, set in that test's own process.
const VARIABLE: &str = "SITEWRIGHT_TEST_ALONE";

/// The C library's allocator, which the binary does not use, keeps freed memory in an arena for
/// each thread: up to 100 MiB that look like a leak. With these it returns most of it.
const RETURNS_MEMORY: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "2"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
];

/// Runs `test`, the body of the test `name`, in a new process.
pub(crate) fn alone<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F) {
    if std::env::var_os(VARIABLE).is_some_and(|set| set == name) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(test());
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .env(VARIABLE, name)
        .envs(RETURNS_MEMORY)
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stdout.contains("1 passed"), "{name}:\n{stdout}");
    eprintln!("{stdout}");
}

/// Memory of this process in MiB (its proportional set size). `VmRSS` would count a page of a
/// template's memory image once per instance.
pub(crate) fn memory_mib() -> u64 {
    let sums = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = sums.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    let kib: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    kib / 1_024
}
