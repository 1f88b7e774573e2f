//! Tells the host which commit it is built from, so that every record can say which code ran
//! (catalogue G1).

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../../.git/HEAD");
    println!("cargo::rerun-if-changed=../../.git/refs/heads");
    println!("cargo::rerun-if-env-changed=SITEWRIGHT_COMMIT");
    let commit = std::env::var("SITEWRIGHT_COMMIT").ok().or_else(|| {
        let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    });
    println!("cargo::rustc-env=SITEWRIGHT_COMMIT={}", commit.as_deref().unwrap_or("unknown"));

    // Without optimization the program has 440,000 relocations of its own addresses, which each
    // process applies to 3 MB before it begins; tests start the host and its children thousands of
    // times. At a fixed address there are none. A release stays at a random address.
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let is_gnu = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is_gnu && is("PROFILE", "debug") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
