//! `cargo xtask test`: checks everything that must hold.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use xshell::{Cmd, Shell};

use crate::args::{Part, TestArgs};
use crate::build::{self, Compiler};
use crate::console;
use crate::disk;
use crate::guests::{self, Selection};
use crate::links;
use crate::process;
use crate::skipped;
use crate::standins::{self, Standins};
use crate::steps::Steps;
use crate::tools::{self, Tool, Tools};
use crate::workspace::Workspace;

/// Runs the selected parts up to the first that fails, and prints how long each took.
pub(crate) fn run(workspace: &Workspace, args: &TestArgs) -> anyhow::Result<ExitCode> {
    skipped::clear(workspace)?;
    let mut steps = Steps::start();
    let result = all(workspace, args, &mut steps);
    console::line(&format!("\n{steps}"));
    if result.is_err() {
        console::line(&disk::free_space(workspace)?);
    }
    if let Some(summary) = skipped::summary(workspace) {
        console::line(&format!("\n{summary}"));
        ensure!(
            result.is_err() || !standins::are_required(),
            "{}=1 requires that no test is skipped; see the list above",
            standins::REQUIRE
        );
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn all(workspace: &Workspace, args: &TestArgs, steps: &mut Steps) -> anyhow::Result<()> {
    let sh = workspace.shell()?;
    let wanted = |part| args.includes(part);
    // The parts that take seconds come first.
    steps.run("disk", || disk::check_space(workspace))?;
    if wanted(Part::Format) {
        let cargo = process::cargo(&sh).args(["fmt", "--all", "--check"]);
        steps.run("format", || process::run(cargo))?;
    }
    let needed: Vec<Tool> = [
        (Part::Typos, Tool::Typos),
        (Part::Book, Tool::MdBook),
        (Part::Dependencies, Tool::Deny),
        (Part::Tests, Tool::Nextest),
    ]
    .into_iter()
    .filter_map(|(part, tool)| wanted(part).then_some(tool))
    .collect();
    let tools = steps.run("tools", || Ok(Tools::find(workspace, &needed)))?;
    if wanted(Part::Typos) {
        with_tool(&tools, steps, "typos", Tool::Typos, |tool| {
            process::run(tools::call(&sh, tool))
        })?;
    }
    if wanted(Part::Links) {
        steps.run("links", || links::check(&workspace.root))?;
    }
    if wanted(Part::Book) {
        book(workspace, &tools, &sh, steps)?;
    }
    if wanted(Part::Dependencies) {
        dependencies(&tools, &sh, steps)?;
    }
    if !Part::BUILT.into_iter().any(wanted) {
        return Ok(());
    }
    let compiler = Compiler::find(workspace)?;
    let mut warnings = 0;
    // Before the build of all features: it leaves the smaller binary in target/debug.
    if wanted(Part::Features) {
        if workspace.features.iter().any(|feature| feature == "default") {
            warnings += steps.run("features", || build::minimal_host(workspace, &compiler))?;
        } else {
            steps.not_checked("features", "the package sitewright has no default features");
        }
    }
    warnings += build_all(workspace, &compiler, wanted(Part::Tests), steps)?;
    if wanted(Part::Lints) {
        if compiler.lints() {
            steps.run("lints", || {
                ensure!(
                    warnings == 0,
                    "the build has {warnings} warnings, printed above; fix all of them"
                );
                Ok(())
            })?;
        } else {
            steps.not_checked("lints", "clippy is not installed: rustup component add clippy");
        }
    }
    let binary = build::binary(workspace);
    if wanted(Part::DocTests) {
        // With `--doc`, cargo would also look into the crates that say `doctest = false`. The tests
        // of the binaries have no such names; those of examples all do: `a.rs - b (line 3)`.
        let cargo = process::cargo(&sh).arg("test").args(compiler.arguments()).args([
            "--workspace",
            "--",
            "(line ",
        ]);
        steps.run("doc tests", || process::run(build::with_paths(cargo, workspace, &binary)))?;
    }
    if wanted(Part::Tests) {
        disk::check_space(workspace)?;
        let command = runner(&tools, &compiler, &sh, steps);
        let command = build::with_paths(command.args(&args.rest), workspace, &binary);
        let command = if args.storm { command.envs(STORM) } else { command };
        let command = if args.pages { command.env("TESTS_PAGES", "all") } else { command };
        steps.run("tests", || process::run(command))?;
    }
    Ok(())
}

/// The sizes of the storm tests with `--storm`: kills and orders, seconds and orders, orders.
const STORM: [(&str, &str); 3] =
    [("TESTS_STORM", "50,500"), ("TESTS_OUTAGE", "40,200"), ("TESTS_DRAIN", "1000")];

/// Builds everything that is tested and returns the number of warnings. The stand-ins and the
/// guests are prepared at the same time: the build of the workspace often waits for one crate or
/// linker.
fn build_all(
    workspace: &Workspace,
    compiler: &Compiler,
    with_guests: bool,
    steps: &mut Steps,
) -> anyhow::Result<usize> {
    thread::scope(|scope| {
        let preparation = scope.spawn(|| if with_guests { prepare(workspace) } else { Vec::new() });
        let built = steps.run("build", || build::everything(workspace, compiler));
        let mut prepared = Ok(());
        for Prepared { name, result, duration } in
            preparation.join().map_err(|_| anyhow::anyhow!("the preparation of guests panicked"))?
        {
            steps.ran_beside(name, result.is_ok(), duration);
            prepared = prepared.and(result);
        }
        prepared?;
        built
    })
}

/// A step of the preparation.
struct Prepared {
    name: &'static str,
    result: anyhow::Result<()>,
    duration: Duration,
}

/// Installs the stand-ins and builds the guests.
fn prepare(workspace: &Workspace) -> Vec<Prepared> {
    let timed = |name, step: &dyn Fn() -> anyhow::Result<()>| {
        let start = Instant::now();
        let result = step().with_context(|| format!("the step {name} failed"));
        Prepared { name, result, duration: start.elapsed() }
    };
    let install = || Standins::load(workspace)?.install_all(workspace);
    let build = || guests::build_all(workspace, Selection::All);
    vec![timed("stand-ins", &install), timed("guests", &build)]
}

/// The command that runs the tests: cargo-nextest, or `cargo test` if it cannot be had.
fn runner<'a>(tools: &Tools, compiler: &Compiler, sh: &'a Shell, steps: &mut Steps) -> Cmd<'a> {
    match tools.get(Tool::Nextest) {
        Ok(nextest) => {
            let profile = if std::env::var_os("CI").is_some() { "ci" } else { "default" };
            tools::call(sh, nextest)
                .args(["nextest", "run", "--workspace", "--profile", profile])
                .args(compiler.arguments())
        }
        Err(why) => {
            steps.not_checked("nextest", &format!("{why}; the tests run with `cargo test`"));
            process::cargo(sh)
                .arg("test")
                .args(compiler.arguments())
                .args(["--workspace", "--tests"])
        }
    }
}

/// Runs a step with a tool, or records why it cannot be had.
fn with_tool(
    tools: &Tools,
    steps: &mut Steps,
    name: &'static str,
    tool: Tool,
    step: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match tools.get(tool) {
        Ok(path) => steps.run(name, || step(path)),
        Err(why) => {
            steps.not_checked(name, why);
            Ok(())
        }
    }
}

/// Builds the book in docs/ into target/book.
fn book(workspace: &Workspace, tools: &Tools, sh: &Shell, steps: &mut Steps) -> anyhow::Result<()> {
    if !workspace.root.join("docs/book.toml").is_file() {
        steps.not_checked("book", "there is no docs/book.toml");
        return Ok(());
    }
    let out = workspace.target.join("book");
    with_tool(tools, steps, "book", Tool::MdBook, |tool| {
        process::run(tools::call(sh, tool).args(["build", "docs", "--dest-dir"]).arg(out))
    })
}

/// Checks what deny.toml demands of the dependencies.
fn dependencies(tools: &Tools, sh: &Shell, steps: &mut Steps) -> anyhow::Result<()> {
    let deny = match tools.get(Tool::Deny) {
        Ok(deny) => deny,
        Err(why) => {
            steps.not_checked("dependencies", why);
            steps.not_checked("advisories", why);
            return Ok(());
        }
    };
    let check = |offline: &[&str], rules: &[&str]| {
        process::run(
            tools::call(sh, deny)
                .args(offline)
                // Plain `cargo deny check` lists the crates that are there in two versions.
                .args(["--all-features", "check", "--hide-inclusion-graph", "-A", "duplicate"])
                .args(rules),
        )
    };
    steps.run("dependencies", || check(&[], &["bans", "licenses", "sources"]))?;
    if process::quietly(tools::call(sh, deny).args(["fetch", "db"])).is_err() {
        steps.not_checked("advisories", "the advisory database cannot be fetched");
        return Ok(());
    }
    steps.run("advisories", || check(&["--offline"], &["advisories"]))
}
