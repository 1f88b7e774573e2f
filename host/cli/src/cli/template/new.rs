//! `sitewright template new`: a project to begin with.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::output::{self, Exit};
use crate::cli::setup::SetupError;
use sitewright_author::name::TemplateName;
use sitewright_author::project::Language;
use sitewright_author::scaffold::{NewError, NewProject};
use sitewright_author::sdk::{Sdk, SdkSource};
use sitewright_model::message;

/// Begins a template: a small project with a page, an order to try, scripted AI replies, tests and
/// a conformance case. It builds and passes as it is. Nothing that exists is overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sitewright template new green-gate
  sitewright template new green-gate --sdk ../sitewright      the SDK of a checkout: works offline
  sitewright template new green-gate --sdk 0.1                a published SDK")]
pub(in crate::cli) struct Args {
    /// What the template is called: lower-case letters, digits and `-`, beginning with a letter.
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is written in.
    #[arg(long, value_name = "LANGUAGE", default_value = "rust")]
    lang: Language,
    /// The SDK: a checkout of Sitewright's repository, or a published version. Without this, the
    /// checkout that this program was built in, and otherwise the version of this program.
    #[arg(long, value_name = "PATH|VERSION")]
    sdk: Option<SdkSource>,
    /// The project's folder; NAME in this folder when not given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) async fn run(args: Args, json: bool) -> Result<Exit, SetupError> {
    let Args { name, lang, sdk, dir } = args;
    let name: TemplateName =
        name.parse().map_err(|error| SetupError::Usage(message!("no project is made: {error}")))?;
    let folder = dir.unwrap_or_else(|| PathBuf::from(name.as_str()));
    let made = tokio::task::spawn_blocking(move || {
        let sdk = Sdk::find(sdk.as_ref()).map_err(SetupError::Usage)?;
        let project = NewProject { name, language: lang, sdk, folder };
        let files = project.create().map_err(|error| refused(&error))?;
        Ok::<_, SetupError>((project, files))
    });
    let (project, files) = made
        .await
        .map_err(|error| SetupError::Host(message!("making the project failed: {error}")))??;
    if json {
        output::print_json(&json!({
            "name": project.name.as_str(),
            "language": project.language,
            "folder": project.folder,
            "sdk": project.sdk.to_string(),
            "files": files,
        }));
        return Ok(Exit::Done);
    }
    let good = anstyle::AnsiColor::Green.on_default().bold();
    let mut text = format!(
        "{good}✓ {} is a template{good:#} in {}, with the SDK {}\n\n",
        project.name,
        project.folder.display(),
        project.sdk
    );
    for file in &files {
        text.push_str(&format!("  {file}\n"));
    }
    text.push_str(&format!(
        "\n  cd {}\n  sitewright template dev --order order.json    the site in a browser, made \
         again whenever you save\n  sitewright template build                     dist/{}.wasm\n",
        project.folder.display(),
        project.name
    ));
    output::print(&text);
    Ok(Exit::Done)
}

fn refused(error: &NewError) -> SetupError {
    let message = message!("no project is made: {error}");
    match error {
        NewError::Name(_) | NewError::Taken(_) | NewError::Io { .. } => SetupError::Usage(message),
        NewError::Scaffold { .. } => SetupError::Host(message),
    }
}
