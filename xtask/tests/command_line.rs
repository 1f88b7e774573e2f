//! The help and the errors of xtask.
//!
//! `xtask/src/build.rs` names this test, because it is the smallest one of the workspace.

use std::process::{Command, Output};

#[expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests covers only the test functions themselves"
)]
fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).output().unwrap()
}

#[test]
fn every_command_has_a_help_text() {
    for (arguments, contained) in [
        (
            &["--help"][..],
            &["build", "demo", "test", "standins", "bench", "dist", "CONTRIBUTING.md"][..],
        ),
        (
            &["build", "--help"],
            &["target/templates/<name>.wasm", "wasm32-wasip2", "--all", "Examples:"],
        ),
        (
            &["demo", "--help"],
            &["--order", "--template", "--keep", "Examples:", "6 output rejected"],
        ),
        (
            &["test", "--help"],
            &["--no-lint", "--only", "--storm", "--pages", "clippy", "Examples:"],
        ),
        (&["standins", "--help"], &["target/standins", "SKIPPED"]),
        (&["bench", "--help"], &["release", "Examples:"]),
        (
            &["dist", "--help"],
            &["target/dist", "--profile", "--no-build", "SHA256SUMS", "SOURCE_DATE_EPOCH"],
        ),
    ] {
        let output = xtask(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}");
        for word in contained {
            assert!(text.contains(word), "{arguments:?} does not contain `{word}`:\n{text}");
        }
    }
}

#[test]
fn wrong_arguments_are_an_error_before_anything_is_built() {
    for (arguments, code, contained) in [
        (
            &["demo", "--order", "no-such-order.json"][..],
            1,
            &["no-such-order.json", "tests/orders"][..],
        ),
        (&["demo", "--template", "no-such-template"], 1, &["no-such-template", "plugins/"]),
        (&["build", "--all", "--tests-only"], 2, &["--all", "--tests-only"]),
        (&["test", "--only", "typo"], 2, &["typo", "typos"]),
        (&["dist", "--profile", "debug"], 2, &["debug", "release", "dev"]),
        (&["biuld"], 2, &["biuld", "build"]), // typos:ignore
        (&[], 2, &["Usage"]),
    ] {
        let output = xtask(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}:\n{text}");
        for word in contained {
            assert!(text.contains(word), "{arguments:?} does not contain `{word}`:\n{text}");
        }
    }
}
