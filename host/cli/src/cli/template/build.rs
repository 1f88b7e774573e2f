//! `sitewright template build`: builds a project, and loads the component as a host does.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::inspect::{contract, outlook};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_author::build::{BuildError, Builder, Built, Mode};
use sitewright_author::project::{Language, Project};
use sitewright_failure::render;
use sitewright_model::message;
use sitewright_model::message::{Message, causes_of};
use sitewright_model::time::millis;
use sitewright_runtime::plugin::{CacheOutcome, StartCost, Template, start_cost};

/// Build a template's project and check that a host loads it.
///
/// Builds with the tools of the project's language and reports size, imports and start time. The
/// component is `dist/NAME.wasm`. `dist/NAME.debug.wasm` has the debug information from which
/// failure records take files and lines.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0 the template is built, and a host loads it
  2 there is no project, or a tool is missing
  4 the build fails, or a host does not load the template

Examples:
  sitewright template build
  sitewright template build my-template --release-name    dist/my-template-1.4.0.wasm")]
pub(in crate::cli) struct Args {
    /// Folder of the project.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Add the template's version to the names of the files.
    #[arg(long)]
    release_name: bool,
}

/// A build that has ended.
pub(super) enum Ended {
    /// A host loads the component.
    Made(Box<Made>),
    /// The reason has been reported.
    Refused(Exit),
}

/// A component that a host loads.
pub(super) struct Made {
    pub(super) built: Built,
    language: Language,
    template: Template,
    cost: StartCost,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let config = setup.author_config()?;
    let project = open(args.folder).await?;
    let made = match make(&config, project, json).await? {
        Ended::Made(made) => *made,
        Ended::Refused(exit) => return Ok(exit),
    };
    let Made { built, language, template, cost } = made;
    let built = if args.release_name { named_by_version(built, &template).await? } else { built };
    if json {
        output::print_json(&json!({
            "outcome": "built",
            "name": template.manifest.name,
            "version": template.manifest.version,
            "language": language,
            "file": built.file,
            "bytes": built.bytes,
            "debug_file": built.debug,
            "digest": template.digest(),
            "contract": contract_json(&template),
            "imports": template.target.imports,
            "exports": template.target.exports,
            "build_ms": millis(built.took),
            "start": { "compiled": template.cache != CacheOutcome::Hit, "first_ms": millis(cost.first), "each_us": u64::try_from(cost.each.as_micros()).unwrap_or(u64::MAX) },
        }));
    } else {
        output::print(&told(&built, &template, cost));
    }
    Ok(Exit::Done)
}

/// Opens the project in a folder.
pub(super) async fn open(folder: PathBuf) -> Result<Project, SetupError> {
    tokio::task::spawn_blocking(move || Project::open(&folder))
        .await
        .map_err(|error| SetupError::Host(message!("opening the project failed: {error}")))?
        .map_err(SetupError::Usage)
}

/// Builds a project and loads the component as a host does.
pub(super) async fn make(
    config: &Config,
    project: Project,
    json: bool,
) -> Result<Ended, SetupError> {
    let language = project.language;
    let builder = Builder::new(project, Mode::Release);
    // An interpreter takes its time, and its tools print nothing.
    let bar = (output::watched() && !json).then(output::spinner);
    let stage = |text: String| {
        match &bar {
            Some(bar) => bar.set_message(text),
            // For the log of a CI system: some of these take minutes.
            None if !json => output::complain(&format!("{text} …\n")),
            None => {}
        }
    };
    let end = || {
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
    };
    let tool = |line: &str| {
        let print = || output::complain(&format!("{line}\n"));
        bar.as_ref().map_or_else(print, |bar| bar.suspend(print));
    };
    stage(format!("building with the tools of {language}"));
    let built = match builder.build(Some(&tool)).await {
        Ok(built) => built,
        Err(error) => {
            end();
            return Ok(Ended::Refused(failed(&error, json)));
        }
    };
    stage("compiling it as a host does".to_owned());
    let (cache, functions) = (Setup::cache(config), Setup::functions(config));
    let started = start_cost(&built.file, cache, functions, &config.limits).await;
    end();
    match started {
        Ok((template, cost)) => {
            let (built, template) = stated(config, built, template).await?;
            Ok(Ended::Made(Box::new(Made { built, language, template, cost })))
        }
        Err(error) => {
            let error = SetupError::Templates(error.into());
            output::refuse(&error, json);
            Ok(Ended::Refused(Exit::Template))
        }
    }
}

/// Writes the template's manifest into its file, so that it can be read without running it.
pub(super) async fn stated(
    config: &Config,
    built: Built,
    template: Template,
) -> Result<(Built, Template), SetupError> {
    let (built, bytes) =
        built.with_manifest_of(&template, &config.limits).await.map_err(SetupError::Host)?;
    Ok((built, template.with_file(&bytes)))
}

fn contract_json(template: &Template) -> serde_json::Value {
    let target = &template.target;
    json!({ "version": target.contract.version, "world": target.world })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Reports why the tests of the template's language did not run.
pub(super) fn untested(error: &BuildError, json: bool) -> Exit {
    let exit = match error {
        BuildError::Missing { .. } => Exit::Usage,
        BuildError::Failed { .. } => Exit::Template,
        BuildError::Start { .. } | BuildError::File { .. } | BuildError::Unexpected(_) => {
            Exit::Host
        }
    };
    told_of(error, &message!("the native tests did not run: {error}"), json);
    exit
}

/// Reports the error; the output of the build tool was printed before.
pub(super) fn failed(error: &BuildError, json: bool) -> Exit {
    let (message, exit) = match error {
        BuildError::Missing { .. } => (message!("nothing was built: {error}"), Exit::Usage),
        BuildError::Failed { .. } => {
            (message!("the template was not built: {error}"), Exit::Template)
        }
        BuildError::Start { .. } | BuildError::File { .. } | BuildError::Unexpected(_) => {
            (message!("the template was not built: {error}"), Exit::Host)
        }
    };
    told_of(error, &message, json);
    exit
}

/// Prints the message, and what a tool said as JSON.
fn told_of(error: &BuildError, message: &Message, json: bool) {
    if json {
        output::print_json(&json!({
            "outcome": "error",
            "error": { "message": message, "causes": causes_of(error) },
            "tool_said": error.output().map(|said| anstream::adapter::strip_str(said).to_string()),
        }));
    }
    output::complain(&format!(
        "{bad}error{bad:#}: {message}\n",
        bad = anstyle::AnsiColor::Red.on_default().bold()
    ));
}

/// Renames the files to names that contain the version.
async fn named_by_version(built: Built, template: &Template) -> Result<Built, SetupError> {
    let name = format!("{}-{}", template.manifest.name, template.manifest.version);
    let renamed = |from: PathBuf, end: &str| {
        let to = from.with_file_name(format!("{name}.{end}"));
        async move {
            tokio::fs::rename(&from, &to).await.map(|()| to.clone()).map_err(|error| {
                SetupError::Host(message!(
                    "the file {} cannot be renamed to {}: {error}",
                    from.display(),
                    to.display()
                ))
            })
        }
    };
    let debug = match built.debug {
        Some(debug) => Some(renamed(debug, "debug.wasm").await?),
        None => None,
    };
    Ok(Built { file: renamed(built.file, "wasm").await?, debug, ..built })
}

fn told(built: &Built, template: &Template, cost: StartCost) -> String {
    let good = anstyle::AnsiColor::Green.on_default().bold();
    let (manifest, target) = (&template.manifest, &template.target);
    let debug = match &built.debug {
        Some(debug) => {
            format!(
                "{}: keep it beside the component, for files and lines in failure records",
                debug.display()
            )
        }
        None => "inside the component".to_owned(),
    };
    let own = |name: &&String| name.starts_with(sitewright_runtime::plugin::contract::PACKAGE);
    let imports: Vec<&str> = target.imports.iter().filter(own).map(String::as_str).collect();
    let system = target.imports.len() - imports.len();
    let mut text = format!(
        "{good}✓ {} {} is built{good:#} in {}\n  {}\n\n",
        manifest.name,
        manifest.version,
        render::duration(micros(built.took)),
        built.file.display()
    );
    for (what, value) in [
        ("size", render::bytes(built.bytes)),
        ("digest", template.digest()),
        ("debug", debug),
        ("contract", format!("{} ({})", contract(target), outlook(target))),
        ("imports", format!("{} and {system} of WASI", imports.join(", "))),
        (
            "start",
            format!(
                "{} to {}, once; then {} for each order",
                render::duration(micros(cost.first)),
                if template.cache == CacheOutcome::Hit {
                    "load it from the cache"
                } else {
                    "compile it"
                },
                render::duration(micros(cost.each))
            ),
        ),
    ] {
        text.push_str(&format!("  {what:<9} {value}\n"));
    }
    text
}
