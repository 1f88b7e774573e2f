//! `cargo xtask test`: everything that must hold.

use std::io::ErrorKind;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;

use crate::args::TestArgs;
use crate::disk;
use crate::guests::{self, Selection};
use crate::host;
use crate::process;
use crate::say;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// Runs every step, or all up to the first that fails, and prints what each took.
pub(crate) fn run(workspace: &Workspace, args: &TestArgs) -> anyhow::Result<ExitCode> {
    let mut steps = Steps::default();
    let result = all(workspace, args, &mut steps);
    say::line(&format!("\n{steps}"));
    if result.is_err() {
        say::line(&disk::left(workspace)?);
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn all(workspace: &Workspace, args: &TestArgs, steps: &mut Steps) -> anyhow::Result<()> {
    let cargo = |line: &[&str]| {
        let mut cargo = process::cargo();
        cargo.current_dir(&workspace.root).args(line);
        cargo
    };
    // What takes a second comes first.
    steps.run("disk", || disk::room(workspace))?;
    if !args.no_lint {
        steps.run("format", || process::run(&mut cargo(&["fmt", "--all", "--check"])))?;
    }
    steps.run("guests", || guests::build_all(workspace, Selection::All))?;
    let binary = steps.run("host", || host::build(workspace))?;
    if !args.no_lint {
        let clippy =
            ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
        steps.run("clippy", || process::run(&mut cargo(&clippy)))?;
        dependencies(&cargo, steps)?;
    }
    // Tests that need what may not be had here pass without it, and write that down.
    let skipped = workspace.root.join("target/skipped-tests.txt");
    if let Err(error) = std::fs::remove_file(&skipped)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("{} cannot be removed", skipped.display()));
    }
    steps.run("tests", || {
        disk::room(workspace)?;
        let mut test = cargo(&["test", "--workspace"]);
        test.args(&args.rest);
        if args.storm {
            test.envs([
                ("TESTS_STORM", "50,500"),
                ("TESTS_OUTAGE", "40,200"),
                ("TESTS_DRAIN", "1000"),
            ]);
        }
        host::tell(&mut test, workspace, Some(&binary));
        process::run(&mut test)
    })?;
    if let Ok(list) = std::fs::read_to_string(&skipped) {
        steps.skip("stand-ins", "some tests had nothing to test against:");
        say::line(list.trim_end());
    }
    Ok(())
}

/// What deny.toml asks. What cannot be tried here is named in the table, never passed over in
/// silence.
fn dependencies(cargo: &impl Fn(&[&str]) -> Command, steps: &mut Steps) -> anyhow::Result<()> {
    const INSTALL: &str = "needs cargo-deny: cargo install cargo-deny --locked";
    if !works(Command::new("cargo-deny").arg("--version")) {
        steps.skip("dependencies", INSTALL);
        steps.skip("advisories", INSTALL);
        return Ok(());
    }
    let rules = ["deny", "--all-features", "check", "bans", "licenses", "sources"];
    steps.run("dependencies", || process::run(&mut cargo(&rules)))?;
    if !works(&mut cargo(&["deny", "fetch", "db"])) {
        steps.skip("advisories", "the advisory database cannot be fetched from here");
        return Ok(());
    }
    let known = ["deny", "--offline", "--all-features", "check", "advisories"];
    steps.run("advisories", || process::run(&mut cargo(&known)))
}

fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}
