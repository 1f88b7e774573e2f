//! Builds JavaScript: esbuild bundles the sources, componentize-js makes the component.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::tool::{Listener, Tool};
use super::{BuildError, contract, source_map};
use crate::project::Project;

/// The file that exports `generatorSync`.
pub(crate) const ENTRY: &str = "src/template.js";
/// The same in TypeScript, which is taken if both are there. The bundler drops the types.
pub(crate) const TYPED_ENTRY: &str = "src/template.ts";
/// What the bundler does with files and syntax. Native tests read the same table.
const TABLE: &str = include_str!("../../../../guest-sdk/js/build.json");

/// See [`TABLE`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Extensions of files that are imported as text.
    text: Vec<String>,
    /// Extensions of files that are imported as a `Uint8Array`.
    binary: Vec<String>,
    /// Syntax that is rewritten: the engine runs no promises, so the SDK refuses them, and it sees
    /// those of async functions only in rewritten form. Its `Uint8Array` has no `fromBase64`.
    unsupported: Vec<String>,
}

impl Table {
    fn read() -> Result<Self, BuildError> {
        serde_json::from_str(TABLE).map_err(|error| {
            BuildError::Unexpected(format!("the table of the bundler cannot be read: {error}"))
        })
    }

    /// The table as arguments of esbuild.
    fn arguments(&self) -> impl Iterator<Item = String> {
        let Table { text, binary, unsupported } = self;
        let loaders = [(text, "text"), (binary, "binary")].into_iter().flat_map(|(all, loader)| {
            all.iter().map(move |extension| format!("--loader:.{extension}={loader}"))
        });
        let off = |syntax: &String| format!("--supported:{syntax}=false");
        loaders.chain(unsupported.iter().map(off))
    }
}

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
    let map = bundle.with_extension("js.map");
    let found = project.clone();
    let (sdk, entry) = tokio::task::spawn_blocking(move || (sdk(&found), entry(&found)))
        .await
        .map_err(|error| BuildError::Unexpected(format!("finding the SDK failed: {error}")))?;
    let table = Table::read()?;
    let esbuild = tool(project, "esbuild").configure(|command| {
        command.args([
            entry,
            "--bundle",
            "--format=esm",
            "--external:sitewright:*",
            "--log-level=warning",
            "--color=true",
            "--charset=utf8",
            "--sourcemap=external",
            "--sources-content=false",
        ]);
        command.arg(format!("--metafile={}", metafile(project).display()));
        command.args(table.arguments());
        command.args(
            sdk.iter().map(|sdk| format!("--alias:sitewright={}", sdk.join("index.js").display())),
        );
        command.arg(format!("--outfile={}", bundle.display()));
    });
    let ended = esbuild.run(listener).await?;
    if !ended.status.success() {
        return Err(ended.failed("esbuild"));
    }
    let (with_lines, root) = (bundle.clone(), project.folder.clone());
    tokio::task::spawn_blocking(move || source_map::append_lines(&with_lines, &map, &root))
        .await
        .map_err(|error| {
            BuildError::Unexpected(format!("reading the source map failed: {error}"))
        })??;
    let componentize = tool(project, "componentize-js").configure(|command| {
        command.arg(&bundle).arg("--wit").arg(&wit).args(["--world-name", "template-sync"]);
        command.args(["--disable", "http", "fetch-event", "--out"]).arg(&out);
    });
    // An older component must not be taken for the new one: the tool reports some errors and exits
    // with 0.
    super::remove(&out)?;
    let ended = componentize.run(listener).await?;
    if !ended.status.success() || !out.is_file() {
        return Err(ended.failed("componentize-js"));
    }
    Ok(out)
}

/// The file in which esbuild lists what it bundled.
pub(super) fn metafile(project: &Project) -> PathBuf {
    project.scratch().join("build").join(format!("{}.meta.json", project.name))
}

/// The file that is bundled. Blocking.
fn entry(project: &Project) -> &'static str {
    if project.folder.join(TYPED_ENTRY).is_file() { TYPED_ENTRY } else { ENTRY }
}

/// The folder of the SDK, if package.json names one; otherwise esbuild looks in `node_modules`.
pub(crate) fn sdk(project: &Project) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Package {
        dependencies: Dependencies,
    }
    #[derive(Deserialize)]
    struct Dependencies {
        sitewright: String,
    }
    let text = std::fs::read_to_string(project.folder.join("package.json")).ok()?;
    let package: Package = serde_json::from_str(&text).ok()?;
    let folder = project.folder.join(package.dependencies.sitewright.strip_prefix("file:")?);
    folder.join("index.js").is_file().then_some(folder)
}

/// The tool in the project's `node_modules`, otherwise on the PATH.
fn tool(project: &Project, name: &'static str) -> Tool {
    let own = project.folder.join("node_modules/.bin").join(name);
    let program: &Path = if own.is_file() { &own } else { Path::new(name) };
    let install = project.language.install_command().unwrap_or_default();
    let hint = format!(
        "run `{install}` in {} (it needs Node.js, 20 or newer: https://nodejs.org)",
        project.folder.display()
    );
    Tool::new(program, name, hint).configure(|command| {
        command.current_dir(&project.folder);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template in the repository is built by hand; a copy of it, with this table.
    #[test]
    fn the_table_has_all_that_the_template_in_the_repository_imports() {
        let package = include_str!("../../../../plugins/landing-js/package.json");
        let arguments: Vec<String> = Table::read().unwrap().arguments().collect();
        let wanted: Vec<&str> =
            package.split_whitespace().filter(|part| part.starts_with("--loader:")).collect();
        assert!(wanted.contains(&"--loader:.css=text"), "{wanted:?}");
        for loader in wanted {
            assert!(arguments.iter().any(|argument| argument == loader), "{loader}: {arguments:?}");
        }
    }
}
