//! `sitewright template new`: creates the project of a template.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use sitewright_author::build::BuildError;
use sitewright_author::fetch::{FetchError, GitUrl, fetch};
use sitewright_author::name::TemplateName;
use sitewright_author::project::Language;
use sitewright_author::scaffold::{NewError, NewProject, Starter};
use sitewright_author::sdk::{Sdk, SdkSource};
use sitewright_model::message;

/// Create the project of a new template.
///
/// The project has a page, a sample order, scripted AI replies, tests and a conformance case. It
/// builds and passes its tests. Existing files are never overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sitewright template new green-gate
  sitewright template new ladle --lang js --starter restaurant
  sitewright template new green-gate --sdk ../sitewright      use the SDK of a checkout
  sitewright template new green-gate --sdk 0.1                use a published SDK
  sitewright template new green-gate --from https://example.com/green-gate.git
                                                              begin with a template of others")]
pub(in crate::cli) struct Args {
    /// Name of the template: lower-case letters, digits and `-`, starting with a letter.
    #[arg(value_name = "NAME")]
    name: String,
    /// Programming language.
    #[arg(long, value_name = "LANGUAGE", default_value = "rust")]
    lang: Language,
    /// The site with which the project begins.
    #[arg(long, value_name = "STARTER", default_value = "one-page")]
    starter: Starter,
    /// SDK to use: a checkout of Sitewright's repository, or a published version [default: the SDK
    /// of this program, which is copied to `vendor/sitewright` in the project].
    #[arg(long, value_name = "PATH|VERSION")]
    sdk: Option<SdkSource>,
    /// Folder of the project [default: NAME in the working directory].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Fetch the project from this git repository: its newest commit, without history. It keeps its
    /// own name, language and SDK.
    #[arg(long, value_name = "GIT-URL", conflicts_with_all = ["lang", "sdk", "starter"])]
    from: Option<GitUrl>,
}

pub(super) async fn run(_: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let Args { name, lang, starter, sdk, dir, from } = args;
    let name: TemplateName =
        name.parse().map_err(|error| SetupError::Usage(message!("no project is made: {error}")))?;
    let folder = dir.unwrap_or_else(|| PathBuf::from(name.as_str()));
    if let Some(url) = from {
        return fetched(&url, &name, &folder, json).await;
    }
    let made = tokio::task::spawn_blocking(move || {
        let sdk = Sdk::find(sdk.as_ref()).map_err(SetupError::Usage)?;
        let project = NewProject { name, language: lang, starter, sdk, folder };
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
            "starter": project.starter,
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
    let install = project.language.install_command();
    let install = install.map(|command| format!("  {command}\n")).unwrap_or_default();
    text.push_str(&format!(
        "\n  cd {}\n{install}  sitewright template dev --order order.json    the site in a browser, made \
         again whenever you save\n  sitewright template build                     dist/{}.wasm\n",
        project.folder.display(),
        project.name
    ));
    output::print(&text);
    Ok(Exit::Done)
}

/// Makes the project of a git repository.
async fn fetched(
    url: &GitUrl,
    name: &TemplateName,
    folder: &Path,
    json: bool,
) -> Result<Exit, SetupError> {
    let tool = |line: &str| output::complain(&format!("{line}\n"));
    let project = fetch(url, name, folder, &tool).await.map_err(|error| {
        let message = message!("no project is made: {error}");
        match error {
            FetchError::Git(BuildError::Unexpected(_)) => SetupError::Host(message),
            FetchError::Taken(_)
            | FetchError::Git(_)
            | FetchError::NoProject(_)
            | FetchError::Io { .. } => SetupError::Usage(message),
        }
    })?;
    if json {
        output::print_json(&json!({
            "name": project.name.as_str(),
            "language": project.language,
            "folder": folder,
        }));
        return Ok(Exit::Done);
    }
    let good = anstyle::AnsiColor::Green.on_default().bold();
    let install = project.language.install_command();
    let install = install.map(|command| format!("  {command}\n")).unwrap_or_default();
    output::print(&format!(
        "{good}✓ {} is a template{good:#} in {}, in {}. Read its code before you build it.\n\n  cd \
         {}\n{install}  sitewright template test\n",
        project.name,
        folder.display(),
        project.language,
        folder.display()
    ));
    Ok(Exit::Done)
}

fn refused(error: &NewError) -> SetupError {
    let message = message!("no project is made: {error}");
    match error {
        NewError::Name(_) | NewError::Starter { .. } | NewError::Taken(_) | NewError::Io { .. } => {
            SetupError::Usage(message)
        }
        NewError::Scaffold { .. } => SetupError::Host(message),
    }
}
