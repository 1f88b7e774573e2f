//! `sitewright template test`: all tests of a project, in one go.

use std::path::PathBuf;

use serde_json::json;

use super::build::{self, Ended};
use crate::cli::conformance;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use crate::cli::signals::StopSignals;
use sitewright_author::dev::watch::{SavedFiles, WatchError, Watcher};
use sitewright_author::native::{self, NativeTests};
use sitewright_author::project::Project;
use sitewright_model::message;

/// The folder of a project with the author's conformance cases.
const CASES: &str = "conformance";
/// Saved files that are named when they start another run.
const NAMED_FILES: usize = 3;

/// Run all tests of a template's project: its own, and the conformance suite with its cases.
///
/// First the tests in the template's language, which run without WebAssembly: `cargo test`, those
/// in `tests/` for Python, those in `test/` for JavaScript. Then the template is built, and the
/// conformance suite checks it with the cases in `conformance/`. The first part that fails ends the
/// run.
///
/// With `--watch`, all of it runs again whenever a file of the project is saved, until Ctrl-C.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Exit codes:
  0 everything passed
  2 there is no project, or a tool is missing
  4 a native test fails, or the template cannot be built
  10 a rule of the conformance suite is broken

Examples:
  sitewright template test
  sitewright template test my-template --native    only the tests in the template's language
  sitewright template test --native --watch        again whenever a file is saved")]
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
    /// Run again whenever a file of the project is saved, until Ctrl-C, which exits with 0. With
    /// `--json`, each run prints one object.
    #[arg(long)]
    watch: bool,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let project = build::open(args.folder.clone()).await?;
    if !args.watch {
        return once(setup, &project, args, json).await;
    }
    let mut stop = StopSignals::new()?;
    let root = project.folder.clone();
    let unwatched =
        |error: WatchError| SetupError::Host(message!("the project cannot be watched: {error}"));
    let mut watcher = tokio::task::spawn_blocking(move || Watcher::new(&root, &[]))
        .await
        .map_err(|error| SetupError::Host(message!("watching the project failed: {error}")))?
        .map_err(unwatched)?;
    loop {
        // A file that is saved during a run is seen after it.
        tokio::select! {
            () = stop.next() => return Ok(Exit::Done),
            tested = once(setup, &project, args.clone(), json) => drop(tested?),
        }
        output::complain("waiting for a file to be saved; Ctrl-C ends this\n");
        let saved = tokio::select! {
            () = stop.next() => return Ok(Exit::Done),
            saved = watcher.next() => saved.map_err(unwatched)?,
        };
        output::complain(&format!("\n{}\n", named(&project, &saved)));
    }
}

/// The files that start another run.
fn named(project: &Project, saved: &SavedFiles) -> String {
    let names = saved.paths.iter().take(NAMED_FILES);
    let names =
        names.map(|path| path.strip_prefix(&project.folder).unwrap_or(path).display().to_string());
    let names = names.collect::<Vec<_>>().join(", ");
    match saved.paths.len().saturating_sub(NAMED_FILES) {
        0 => format!("saved: {names}"),
        more => format!("saved: {names} and {more} more"),
    }
}

/// One run of all tests.
async fn once(
    setup: &Setup,
    project: &Project,
    args: Args,
    json: bool,
) -> Result<Exit, SetupError> {
    let config = setup.author_config()?;
    let program = std::env::current_exe().map_err(|error| {
        SetupError::Host(message!("the path of this program cannot be found: {error}"))
    })?;
    let heard = |line: &str| output::complain(&format!("{line}\n"));
    let tests = match native::run(project, &program, &heard).await {
        Ok(tests) => tests,
        Err(error) => return Ok(build::untested(&error, json)),
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
    let made = match build::make(&config, project.clone(), json).await? {
        Ended::Made(made) => made,
        Ended::Refused(exit) => return Ok(exit),
    };
    // Its report is the one of this command.
    let conformance = conformance::Args::of(made.built.file, cases, args.filter);
    conformance::run(setup, conformance, json).await
}
