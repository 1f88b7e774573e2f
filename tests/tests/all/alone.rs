//! Tests that measure their process: each has one of its own, because the others of this binary run
//! beside it.

use std::process::Command;

/// Set in the process of a test's own, to the test's name.
const VARIABLE: &str = "SITEWRIGHT_TEST_ALONE";

/// Runs `test`, the body of the test `name`, in a process of its own.
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
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{name}:\n{said}");
    eprintln!("{said}");
}

/// The memory that this process has, in MiB: its own pages and what it shares, each page once.
/// `VmRSS` counts a page of a template's memory image once for each instance.
pub(crate) fn memory_mib() -> u64 {
    let sums = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = sums.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    let kib: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    kib / 1_024
}
