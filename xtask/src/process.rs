//! Runs other programs.

use std::fmt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::Context as _;
use xshell::{Cmd, Shell, cmd};

/// Variables that `cargo run` sets for xtask itself, besides `CARGO_PKG_*` and `CARGO_BIN_EXE_*`.
///
/// They are not passed on: build scripts that watch them (ring's does) would run again whenever a
/// developer changes between `cargo xtask` and plain `cargo`, and every crate above them would be
/// compiled again.
const SET_BY_CARGO_RUN: [&str; 6] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_CRATE_NAME",
    "CARGO_BIN_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];

/// The path of the cargo that runs xtask.
pub(crate) fn cargo_path() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// A call of the cargo that runs xtask.
pub(crate) fn cargo(sh: &Shell) -> Cmd<'_> {
    without_cargo_run(sh.cmd(cargo_path()))
}

/// Removes the variables that `cargo run` has set from the environment of `command`.
pub(crate) fn without_cargo_run(command: Cmd<'_>) -> Cmd<'_> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_str().is_some_and(is_set_by_cargo_run))
        .fold(command, |command, name| command.env_remove(name))
}

fn is_set_by_cargo_run(name: &str) -> bool {
    SET_BY_CARGO_RUN.contains(&name)
        || name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_BIN_EXE_")
}

/// Runs a program with the terminal of xtask. Returns [`Failed`] if its exit code is not 0.
pub(crate) fn run(command: Cmd<'_>) -> anyhow::Result<()> {
    let text = command.to_string();
    let status = Command::from(command)
        .status()
        .with_context(|| format!("cannot start `{text}`; is the program installed?"))?;
    check(&text, status)
}

/// Runs a program without output. Returns the last line of its stderr if it fails or cannot start.
pub(crate) fn quietly(command: Cmd<'_>) -> Result<(), String> {
    let program = program(&command.to_string());
    let output = Command::from(command)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    Err(format!("{program} ended with {}: {last}", output.status))
}

/// Whether a program of this name is in `PATH` and answers `--version`.
pub(crate) fn is_installed(sh: &Shell, name: &str) -> bool {
    quietly(cmd!(sh, "{name} --version")).is_ok()
}

/// Turns an exit status into a result that keeps the code.
pub(crate) fn check(command: &str, status: ExitStatus) -> anyhow::Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(Failed { command: shortened(command), status }.into())
}

/// The exit status of a program as the exit code of xtask; 1 if a signal ended the program.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// A program that ran and failed. Its own output has explained why.
#[derive(Debug)]
pub(crate) struct Failed {
    command: String,
    status: ExitStatus,
}

impl Failed {
    /// The exit code of the program; 1 if a signal ended it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        exit_code(self.status)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `ExitStatus` prints "exit status: 101" or "signal: 9 (SIGKILL)".
        write!(f, "`{}` failed ({}); its output above says why", self.command, self.status)
    }
}

impl std::error::Error for Failed {}

/// The name of the program of a command line, without its folder.
fn program(command: &str) -> String {
    let path = command.split(' ').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// A command line without the folder of the program and with the first arguments only.
fn shortened(command: &str) -> String {
    const WORDS: usize = 7;
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let mut text = program(command);
    for word in words.iter().take(WORDS) {
        text.push(' ');
        text.push_str(word);
    }
    if words.len() > WORDS {
        text.push_str(" …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_cargo_run_are_not_passed_on() {
        for (name, removed) in [
            ("CARGO_PKG_NAME", true),
            ("CARGO_PKG_VERSION_MAJOR", true),
            ("CARGO_MANIFEST_DIR", true),
            ("CARGO_HOME", false),
            ("CARGO_TARGET_DIR", false),
            ("CARGO_NET_OFFLINE", false),
            ("RUSTUP_TOOLCHAIN", false),
        ] {
            assert_eq!(is_set_by_cargo_run(name), removed, "{name}");
        }
    }

    #[test]
    fn the_error_of_a_failed_program_has_its_name_and_code() {
        let sh = Shell::new().unwrap();
        let error = run(cmd!(sh, "sh -c 'exit 6'")).unwrap_err();
        assert_eq!(error.downcast_ref::<Failed>().unwrap().status.code(), Some(6));
        let text = error.to_string();
        assert!(text.contains("`sh -c") && text.contains("failed (exit status: 6)"), "{text}");
    }

    #[test]
    fn the_error_of_a_missing_program_has_its_name() {
        let sh = Shell::new().unwrap();
        let error = run(cmd!(sh, "no-such-program-of-sitewright")).unwrap_err();
        assert!(format!("{error:#}").contains("no-such-program-of-sitewright"), "{error:#}");
        let error = quietly(cmd!(sh, "no-such-program-of-sitewright")).unwrap_err();
        assert!(error.contains("no-such-program-of-sitewright"), "{error}");
    }

    #[test]
    fn a_quiet_program_that_fails_is_reported_with_its_last_line() {
        let sh = Shell::new().unwrap();
        let error = quietly(cmd!(sh, "sh -c 'echo one >&2; echo two >&2; exit 3'")).unwrap_err();
        assert_eq!(error, "sh ended with exit status: 3: two");
    }

    #[test]
    fn long_command_lines_are_shortened() {
        assert_eq!(shortened("/usr/bin/cargo a b"), "cargo a b");
        assert_eq!(shortened("cargo 1 2 3 4 5 6 7 8"), "cargo 1 2 3 4 5 6 7 …");
    }
}
