//! xtask as people meet it: its help and its refusals.
//!
//! This is also the test that `xtask/src/host.rs` names when it builds the host.

use std::process::{Command, Output};

#[expect(
    clippy::unwrap_used,
    reason = "test code; clippy's exception covers only the test functions themselves"
)]
fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).output().unwrap()
}

#[test]
fn every_command_teaches() {
    for (arguments, taught) in [
        (&["--help"][..], &["build", "demo", "test", "bench", "New here?"][..]),
        (
            &["build", "--help"],
            &["target/templates/<name>.wasm", "wasm32-wasip2", "--all", "Examples:"],
        ),
        (
            &["demo", "--help"],
            &["--order", "--template", "--keep", "Examples:", "6 output rejected"],
        ),
        (&["test", "--help"], &["--no-lint", "clippy", "Examples:"]),
        (&["bench", "--help"], &["release", "Examples:"]),
    ] {
        let output = xtask(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}");
        for word in taught {
            assert!(text.contains(word), "{arguments:?} does not say `{word}`:\n{text}");
        }
    }
}

#[test]
fn mistakes_are_refused_before_anything_is_built() {
    for (arguments, code, said) in [
        (
            &["demo", "--order", "no-such-order.json"][..],
            1,
            &["no-such-order.json", "tests/orders"][..],
        ),
        (&["demo", "--template", "no-such-template"], 1, &["no-such-template", "plugins/"]),
        (&["build", "--all", "--tests-only"], 2, &["--all", "--tests-only"]),
        (&["biuld"], 2, &["biuld", "build"]),
        (&[], 2, &["Usage"]),
    ] {
        let output = xtask(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}:\n{text}");
        for word in said {
            assert!(text.contains(word), "{arguments:?} does not say `{word}`:\n{text}");
        }
    }
}
