//! Running other programs.

use std::ffi::OsString;
use std::fmt;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::Context as _;

/// What `cargo run` puts into our environment about xtask itself. Handed on, build scripts that
/// watch these variables (ring's does) would run again each time somebody goes from `cargo xtask`
/// to plain `cargo` or back, and with them everything above.
const OF_CARGO_RUN: [&str; 6] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_CRATE_NAME",
    "CARGO_BIN_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command =
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_cargo_run) {
            command.env_remove(&name);
        }
    }
    command
}

fn is_of_cargo_run(name: &str) -> bool {
    OF_CARGO_RUN.contains(&name)
        || name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_BIN_EXE_")
}

/// Runs a program on this terminal and asks for success.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    check(command, status)
}

/// Runs a program and gives its stdout; its stderr stays on this terminal.
pub(crate) fn capture(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| cannot_start(command))?;
    check(command, output.status)?;
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed bytes that are not UTF-8", shown(command)))
}

/// Turns a status into a result that keeps the code.
pub(crate) fn check(command: &Command, status: ExitStatus) -> anyhow::Result<()> {
    if status.success() { Ok(()) } else { Err(Ended { program: shown(command), status }.into()) }
}

/// What to say when a program did not start at all.
pub(crate) fn cannot_start(command: &Command) -> String {
    format!(
        "`{}` could not be started; is it installed and in PATH?",
        command.get_program().to_string_lossy()
    )
}

/// A program that ran and failed. It has explained itself on the terminal.
#[derive(Debug)]
pub(crate) struct Ended {
    program: String,
    status: ExitStatus,
}

impl Ended {
    /// The program's own code; 1 when a signal ended it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        exit_code(self.status)
    }
}

/// A status as our own code; 1 when a signal ended the program.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `ExitStatus` says "exit status: 101" or "signal: 9 (SIGKILL)".
        write!(f, "`{}` failed ({}); its own output above says why", self.program, self.status)
    }
}

impl std::error::Error for Ended {}

/// The program's name without its folder, and its first arguments: enough to recognise it, short
/// enough to read.
fn shown(command: &Command) -> String {
    const ARGUMENTS: usize = 6;
    let program = std::path::Path::new(command.get_program());
    let mut text =
        program.file_stem().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    for argument in command.get_args().take(ARGUMENTS) {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    if command.get_args().len() > ARGUMENTS {
        text.push_str(" …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_about_xtask_itself_are_not_handed_on() {
        for (name, ours) in [
            ("CARGO_PKG_NAME", true),
            ("CARGO_PKG_VERSION_MAJOR", true),
            ("CARGO_MANIFEST_DIR", true),
            ("CARGO_HOME", false),
            ("CARGO_TARGET_DIR", false),
            ("CARGO_NET_OFFLINE", false),
            ("RUSTUP_TOOLCHAIN", false),
        ] {
            assert_eq!(is_of_cargo_run(name), ours, "{name}");
        }
    }

    #[test]
    fn a_failed_program_is_named_with_its_code() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 6"]);
        let error = run(&mut command).unwrap_err();
        assert_eq!(error.downcast_ref::<Ended>().unwrap().status.code(), Some(6));
        let text = error.to_string();
        assert!(text.contains("`sh -c exit 6` failed") && text.contains('6'), "{text}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-of-sitewright")).unwrap_err();
        assert!(format!("{error:#}").contains("no-such-program-of-sitewright"), "{error:#}");
    }
}
