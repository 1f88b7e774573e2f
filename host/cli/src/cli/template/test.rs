//! `sitewright template test`: all tests of a project, in one go.

use std::path::PathBuf;

use serde_json::json;

use super::build::{self, Ended};
use crate::cli::conformance;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use sitewright_author::native::{self, NativeTests};
use sitewright_model::message;

/// The folder of a project with the author's conformance cases.
const CASES: &str = "conformance";

/// Run all tests of a template's project: its own, and the conformance suite with its cases.
///
/// First the tests in the template's language, which run without WebAssembly: `cargo test`, those
/// in `tests/` for Python, those in `test/` for JavaScript. Then the template is built, and the
/// conformance suite checks it with the cases in `conformance/`. The first part that fails ends the
/// run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0 everything passed
  2 there is no project, or a tool is missing
  4 a native test fails, or the template cannot be built
  10 a rule of the conformance suite is broken

Examples:
  sitewright template test
  sitewright template test my-template --native    only the tests in the template's language")]
pub(in crate::cli) struct Args {
    /// Folder of the project.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Run only the tests in the template's language: build nothing.
    #[arg(long)]
    native: bool,
    /// Of the conformance suite, check only rules and cases whose names contain this text.
    #[arg(long, value_name = "TEXT", conflicts_with = "native")]
    filter: Option<String>,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let project = build::open(args.folder).await?;
    let program = std::env::current_exe().map_err(|error| {
        SetupError::Host(message!("the path of this program cannot be found: {error}"))
    })?;
    let heard = |line: &str| output::complain(&format!("{line}\n"));
    let tests = match native::run(&project, &program, &heard).await {
        Ok(tests) => tests,
        Err(error) => return Ok(build::failed(&error, json)),
    };
    let (good, bad) = (anstyle::AnsiColor::Green, anstyle::AnsiColor::Red);
    match tests {
        NativeTests::Failed => {
            if json {
                output::print_json(&json!({ "outcome": "failed", "native": tests }));
            }
            let bad = bad.on_default().bold();
            output::complain(&format!(
                "{bad}✗ a native test fails{bad:#}: its output is above; nothing was built\n"
            ));
            return Ok(Exit::Template);
        }
        NativeTests::Passed => {
            let good = good.on_default().bold();
            output::complain(&format!("{good}✓ the native tests pass{good:#}\n"));
        }
        NativeTests::Missing => output::complain(
            "the project has no native tests; `sitewright template new` shows how they look\n",
        ),
    }
    if args.native {
        if json {
            output::print_json(&json!({ "outcome": "passed", "native": tests }));
        }
        return Ok(Exit::Done);
    }
    let cases = project.folder.join(CASES);
    let cases = cases.is_dir().then_some(cases);
    let made = match build::make(&config, project, json).await? {
        Ended::Made(made) => made,
        Ended::Refused(exit) => return Ok(exit),
    };
    // Its report is the one of this command.
    let conformance = conformance::Args::of(made.built.file, cases, args.filter);
    conformance::run(setup, conformance, json).await
}
