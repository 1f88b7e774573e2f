//! `sitewright template record`: records one run against real models as a conformance case.

use std::path::PathBuf;

use super::exit::Exit;
use super::generate::read_document;
use super::output;
use super::setup::{Setup, SetupError};
use sitewright_conformance::record::{Recorded, record};
use sitewright_failure::render;
use sitewright_model::message;
use sitewright_runtime::run::Outcome;

/// Record one run against real models as a conformance case.
///
/// Makes one order with the configured models and writes the order and the replies to the folder
/// `--out`, best below `conformance` beside the template. `sitewright conformance` then repeats the
/// run offline and without cost.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the template, or path to a `.wasm` file.
    #[arg(long, value_name = "NAME|FILE.wasm")]
    template: String,
    /// Order document. It is copied unchanged: use one without data of a customer.
    #[arg(long, value_name = "FILE")]
    order: PathBuf,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let Some(folder) = &setup.out else {
        return Err(SetupError::Usage(message!(
            "the case needs a folder: `--out conformance/<name>`"
        )));
    };
    if folder.join("case.toml").exists() {
        return Err(SetupError::Usage(message!(
            "the folder {} (--out) holds a case already; name another, or remove it",
            folder.display()
        )));
    }
    let scratch = tempfile::tempdir().map_err(|error| {
        SetupError::Host(message!("a folder for the site cannot be made: {error}"))
    })?;
    let mut config = setup.author_config()?;
    let document =
        read_document(&args.order, config.limits.order_bytes).await.map_err(|error| {
            SetupError::Usage(message!(
                "the order {} (--order) cannot be read: {error}",
                args.order.display()
            ))
        })?;
    config.sites = scratch.path().join("sites");
    let host = Setup::host(&config, 1)?;
    Setup::check_template(&host, &args.template).await?;
    let recorded =
        record(&host, args.template, document, folder).await.map_err(SetupError::Usage)?;
    Ok(told(&recorded, json))
}

fn told(recorded: &Recorded, json: bool) -> Exit {
    let Recorded { outcome, answered, files, notes } = recorded;
    let (exit, failure) = match outcome {
        Outcome::Released(_) => (Exit::Done, None),
        Outcome::Failed { record, .. } => (Exit::from(record.kind), Some(record)),
    };
    if json {
        output::print_json(&serde_json::json!({
            "outcome": if failure.is_some() { "failed" } else { "released" },
            "files": files,
            "ai_calls": answered,
            "notes": notes,
            "failure": failure,
        }));
        return exit;
    }
    if let Some(record) = failure {
        output::print(&render::terminal(record, output::width()));
    }
    let mut text = String::new();
    if files.is_empty() {
        text.push_str("Nothing ran, so there is no case.\n");
    } else {
        text.push_str(&format!(
            "A case with {}:\n",
            output::count(i64::try_from(*answered).unwrap_or(i64::MAX), "AI answer")
        ));
        text.extend(files.iter().map(|file| format!("  {}\n", file.display())));
        text.push_str(
            "Try it with `sitewright conformance`; `--update` keeps its site as a snapshot.\n",
        );
    }
    text.extend(notes.iter().map(|note| format!("! {}\n", output::lines(&note.to_string(), "  "))));
    output::print(&text);
    exit
}
