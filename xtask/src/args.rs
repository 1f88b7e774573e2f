//! The commands, and what their `--help` teaches.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::guests::Selection;

/// Builds, shows, tests and measures Sitewright. Works in a fresh clone.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true,
    after_help = "New here? `cargo xtask demo` builds what is needed and makes a \
                  website.\nChanged something? `cargo xtask test` says whether it still holds."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Build(BuildArgs),
    Demo(DemoArgs),
    Test(TestArgs),
    Bench(BenchArgs),
}

/// Builds the templates to target/templates/<name>.wasm.
///
/// Every crate under plugins/ that is a `cdylib` is a template; every one under tests/guests/ is a
/// guest for tests (target/test-templates/<name>.wasm). A file is replaced only when its bytes
/// changed, and in one step, so a host that is running never sees half a template. The same sources
/// give the same bytes on every machine: paths in the debug information are relative to the
/// repository.
///
/// Needs the target wasm32-wasip2 and adds it with rustup when it is missing. Folders of plugins/
/// without a Cargo.toml are templates in Python and JavaScript: their tools are installed into
/// target/standins with python3 and npm; where they cannot be had, that is said and the rest is
/// built (SITEWRIGHT_REQUIRE_STANDINS=1 makes it an error).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask build               the templates\n  cargo \
                        xtask build --all         and the guests of the tests\n  sitewright \
                        template list --templates target/templates")]
pub(crate) struct BuildArgs {
    /// Only the guests of the tests, to target/test-templates.
    #[arg(long, conflicts_with = "all")]
    tests_only: bool,
    /// The templates and the guests of the tests.
    #[arg(long)]
    all: bool,
}

impl BuildArgs {
    pub(crate) fn selection(&self) -> Selection {
        match (self.tests_only, self.all) {
            (true, _) => Selection::TestGuests,
            (_, true) => Selection::All,
            _ => Selection::Templates,
        }
    }
}

/// Makes one website from a sample order, with scripted AI replies: no key, no network, no money.
///
/// Builds the templates and the host, runs one order through the real command line and says where
/// the site is. Needs crates from the registry the first time; after that it works offline.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --order \
                        tests/orders/04-other-hostile-text.json\n  cargo xtask demo --keep \
                        --order tests/orders/02-dentist-us-minimal.json\n\nThe exit code is the \
                        host's: 0 done, 2 configuration, 3 invalid order, 4 template failed, 5 \
                        AI failed,\n6 output rejected, 7 cancelled, 1 host error or failed build.")]
pub(crate) struct DemoArgs {
    /// The order to make, a JSON file [default: tests/orders/01-restaurant-ptbr-full.json].
    #[arg(long, value_name = "FILE")]
    pub(crate) order: Option<PathBuf>,
    /// The template to use, a folder of plugins/. Its demo/sitewright.toml is the configuration.
    #[arg(long, value_name = "NAME", default_value = "local-business")]
    pub(crate) template: String,
    /// Keep the sites of earlier demos in target/demo; otherwise it starts empty.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Runs everything that must hold: format, lints, dependencies, all tests.
///
/// Steps, in this order: cargo fmt --check, templates and test guests, host, clippy with warnings
/// as errors, cargo deny check (when cargo-deny is there and its database can be reached), cargo
/// test of the whole workspace with doc tests. It stops at the first step that fails, with that
/// step's exit code, and prints what each step took.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask test\n  \
    cargo xtask test --no-lint -- f6_          only tests whose name contains f6_\n  \
    cargo xtask test --no-lint -- -- --nocapture")]
pub(crate) struct TestArgs {
    /// Leave out format, clippy and cargo-deny: for the tenth run in an hour, not for the last.
    #[arg(long)]
    pub(crate) no_lint: bool,
    /// The storms at their full size: 50 kills in 500 orders, a database that is away for 40 s
    /// with 200 orders in flight, a worker that is told to go with 1,000. Takes some two
    /// minutes more.
    #[arg(long)]
    pub(crate) storm: bool,
    /// Handed to `cargo test --workspace` as they are.
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) rest: Vec<String>,
}

/// Measures, in one optimised process, and prints the numbers beside what they are compared with.
///
/// Builds the templates and test guests, then runs the program `bench` of sitewright-tests in
/// release mode.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask bench overhead      CPU per order beside a bare \
                        wasmtime loop\n  cargo xtask bench gateway       CPU and latency of an \
                        AI call beside bare reqwest\n  cargo xtask bench templates     loading, \
                        CPU and memory of the templates in Rust, Python and JavaScript\n  cargo \
                        xtask bench worker        orders through the durable queue, SQLite and \
                        PostgreSQL\n  cargo xtask bench conformance   how long the conformance \
                        suite takes for a template\n  cargo xtask bench -- --help     what there \
                        is to measure")]
pub(crate) struct BenchArgs {
    /// The benchmark's name and its own arguments, handed on as they are.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "NAME [ARGS]"
    )]
    pub(crate) rest: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["xtask"], line].concat())
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn build_selects_templates_unless_told_otherwise() {
        for (line, expected) in [
            (&["build"][..], Selection::Templates),
            (&["build", "--tests-only"], Selection::TestGuests),
            (&["build", "--all"], Selection::All),
        ] {
            let Command::Build(build) = parse(line).unwrap().command else {
                panic!("{line:?} is not build")
            };
            assert_eq!(build.selection(), expected, "{line:?}");
        }
        assert!(parse(&["build", "--all", "--tests-only"]).is_err());
    }

    #[test]
    fn what_follows_the_dashes_goes_to_cargo_test_untouched() {
        let Command::Test(test) =
            parse(&["test", "--no-lint", "--", "f6_", "--", "--nocapture"]).unwrap().command
        else {
            panic!("not test")
        };
        assert!(test.no_lint);
        assert_eq!(test.rest, ["f6_", "--", "--nocapture"]);
    }

    #[test]
    fn a_benchmark_gets_its_own_flags() {
        for (line, handed_on) in [
            (&["bench", "overhead", "--orders", "9"][..], &["overhead", "--orders", "9"][..]),
            (&["bench", "--", "--help"], &["--help"]),
        ] {
            let Command::Bench(bench) = parse(line).unwrap().command else {
                panic!("{line:?} is not bench")
            };
            assert_eq!(bench.rest, handed_on, "{line:?}");
        }
        assert!(parse(&["bench"]).is_err());
    }
}
