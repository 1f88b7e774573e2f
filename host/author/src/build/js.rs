//! Builds JavaScript: esbuild bundles the sources, componentize-js makes the component.

use std::path::{Path, PathBuf};

use super::tool::{Listener, Tool};
use super::{BuildError, contract};
use crate::project::Project;

/// The file that exports `generatorSync`.
const ENTRY: &str = "src/template.js";
/// Extensions of files that are imported as text.
const TEXTS: [&str; 5] = ["css", "svg", "html", "txt", "md"];

/// Builds the component and returns its path.
pub(super) async fn build(
    project: &Project,
    listener: Option<Listener<'_>>,
) -> Result<PathBuf, BuildError> {
    let wit = contract::folder(project).await?;
    let folder = project.scratch().join("build");
    let (bundle, out) = (
        folder.join(format!("{}.js", project.name)),
        folder.join(format!("{}.wasm", project.name)),
    );
    let esbuild = tool(project, "esbuild").configure(|command| {
        command.args([
            ENTRY,
            "--bundle",
            "--format=esm",
            "--external:sitewright:*",
            "--log-level=warning",
            "--color=true",
        ]);
        command.args(TEXTS.map(|text| format!("--loader:.{text}=text")));
        command.arg(format!("--outfile={}", bundle.display()));
    });
    let ended = esbuild.run(listener).await?;
    if !ended.status.success() {
        return Err(ended.failed("esbuild"));
    }
    let componentize = tool(project, "componentize-js").configure(|command| {
        command.arg(&bundle).arg("--wit").arg(&wit).args(["--world-name", "template-sync"]);
        command.args(["--disable", "http", "fetch-event", "--out"]).arg(&out);
    });
    let ended = componentize.run(listener).await?;
    if !ended.status.success() {
        return Err(ended.failed("componentize-js"));
    }
    Ok(out)
}

/// The tool in the project's `node_modules`, otherwise on the PATH.
fn tool(project: &Project, name: &'static str) -> Tool {
    let own = project.folder.join("node_modules/.bin").join(name);
    let program: &Path = if own.is_file() { &own } else { Path::new(name) };
    let hint = format!(
        "run `npm install` in {} (it needs Node.js, 20 or newer: https://nodejs.org)",
        project.folder.display()
    );
    Tool::new(program, name, hint).configure(|command| {
        command.current_dir(&project.folder);
    })
}
