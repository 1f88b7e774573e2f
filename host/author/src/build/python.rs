//! Builds Python with componentize-py.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::tool::{Listener, Tool};
use super::{BuildError, contract};
use crate::project::Project;

/// The module in `src` with the class `Generator`.
const MODULE: &str = "app";
/// The project's virtual environment.
const VENV: &str = ".venv";
/// Value of `tool.sitewright.sdk` if the package is installed in the project's `.venv`.
const INSTALLED: &str = "installed";

/// Interpreters on the PATH, the one of components first.
const PYTHONS: [&str; 4] = ["python3.14", "python3.13", "python3.12", "python3"];
/// The oldest Python of which an error of syntax is one in a component, too.
const KNOWS_THE_SYNTAX: (u32, u32) = (3, 13);

/// Builds the component and returns its path.
pub(super) async fn build(
    project: &Project,
    listener: Option<Listener<'_>>,
) -> Result<PathBuf, BuildError> {
    let wit = contract::folder(project).await?;
    let found = project.clone();
    let (program, sdk) =
        tokio::task::spawn_blocking(move || Ok::<_, BuildError>((program(&found), sdk(&found)?)))
            .await
            .map_err(|error| {
                BuildError::Unexpected(format!("finding the project's tools failed: {error}"))
            })??;
    let out = project.scratch().join("build").join(format!("{}.wasm", project.name));
    let folder = out.parent().unwrap_or(&project.folder).to_owned();
    tokio::fs::create_dir_all(&folder).await.map_err(|source| BuildError::File {
        path: folder,
        operation: "cannot be created",
        source,
    })?;
    check_syntax(project, &sdk, listener).await?;
    let packages = packages(project).await?;
    let install = project.language.install_command().unwrap_or_default();
    let hint = format!("run `{install}` in {}, or put it on the PATH", project.folder.display());
    let tool = Tool::new(program, "componentize-py", hint).configure(|command| {
        command.current_dir(&project.folder).arg("-d").arg(&wit).args([
            "-w",
            "template",
            "componentize",
            "-p",
            "src",
        ]);
        command.arg("-p").arg(&sdk).arg("-o").arg(&out).arg(MODULE);
        // Only the packages of the project: without the variable, the tool adds those of the
        // machine's interpreter.
        command.env("VIRTUAL_ENV", &packages);
        // Keeps `__pycache__` out of the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        // The tool's own backtrace would hide the author's traceback.
        command.env("RUST_BACKTRACE", "0");
    });
    let shown = |line: &str| {
        if let Some(listener) = listener {
            listener(&in_sources(line));
        }
    };
    let ended = tool.run(Some(&shown)).await?;
    if !ended.status.success() {
        return Err(explained(ended.failed("componentize-py")));
    }
    Ok(out)
}

/// The error of the tool with the author's paths, and with what to do about a module that was not
/// found: its output names the module, and not where it is looked for.
fn explained(error: BuildError) -> BuildError {
    match error {
        BuildError::Failed { tool, status, todo, output } => {
            let output = in_sources(&output);
            let todo = match output.contains("ModuleNotFoundError") {
                true => {
                    "a module was not found, which its output above names: install it into .venv \
                     (`.venv/bin/pip install NAME`), or correct its name, and build again"
                }
                false => todo,
            };
            BuildError::Failed { tool, status, todo, output }
        }
        error => error,
    }
}

/// The tool's output with the author's paths: a component has the first folder, `src`, as `/0`.
fn in_sources(output: &str) -> String {
    output.replace("File \"/0/", "File \"src/")
}

/// Checks the syntax of the sources, which takes a fraction of a second; the tool takes ten before
/// it finds an error. Without an interpreter that is new enough, the tool finds it.
async fn check_syntax(
    project: &Project,
    sdk: &Path,
    listener: Option<Listener<'_>>,
) -> Result<(), BuildError> {
    let Ok(interpreter) = interpreter(project, KNOWS_THE_SYNTAX).await else { return Ok(()) };
    let check = Tool::new(interpreter, "python3", "").configure(|command| {
        command.current_dir(&project.folder).args(["-m", "sitewright._syntax", "src"]);
        command.env("PYTHONPATH", sdk).env("PYTHONDONTWRITEBYTECODE", "1");
    });
    // An SDK of an earlier version has no such module.
    if !sdk.join("sitewright/_syntax.py").is_file() {
        return Ok(());
    }
    let ended = check.run(listener).await?;
    if ended.status.success() { Ok(()) } else { Err(ended.failed("python3")) }
}

/// The interpreter in the project's `.venv`, otherwise on the PATH, that is new enough.
///
/// # Errors
/// If there is none; with the versions that were found.
pub(crate) async fn interpreter(
    project: &Project,
    oldest: (u32, u32),
) -> Result<OsString, BuildError> {
    let own = project.folder.join(VENV).join("bin/python").into_os_string();
    let mut seen = Vec::new();
    for program in std::iter::once(own).chain(PYTHONS.map(OsString::from)) {
        let asked = Tool::new(&program, "python3", "").configure(|command| {
            command.args(["-c", "import sys; print(*sys.version_info[:2])"]);
        });
        // A shim of a version that is not installed fails like a missing program.
        let Ok(printed) = asked.print().await else { continue };
        let mut parts = printed.split_whitespace().map_while(|part| part.parse::<u32>().ok());
        let (Some(major), Some(minor)) = (parts.next(), parts.next()) else { continue };
        if (major, minor) >= oldest {
            return Ok(program);
        }
        let version = format!("{major}.{minor}");
        if !seen.contains(&version) {
            seen.push(version);
        }
    }
    let (major, minor) = oldest;
    Err(BuildError::Missing {
        tool: "a Python that is new enough",
        hint: format!(
            "tests need Python {major}.{minor} or newer, and 3.14 is that of components; found: \
             {}. Install one that is on the PATH as `python3.{minor}` or later, or make `.venv` \
             anew with it",
            if seen.is_empty() { "none".to_owned() } else { seen.join(", ") }
        ),
    })
}

/// The project's virtual environment; an empty one if it has none.
async fn packages(project: &Project) -> Result<PathBuf, BuildError> {
    let own = project.folder.join(VENV);
    if tokio::fs::metadata(&own).await.is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(own);
    }
    let empty = project.scratch().join("no-packages");
    let folder = empty.join("lib/site-packages");
    tokio::fs::create_dir_all(&folder).await.map_err(|source| BuildError::File {
        path: folder,
        operation: "cannot be created",
        source,
    })?;
    Ok(empty)
}

/// The tool in the project's `.venv`, otherwise on the PATH.
fn program(project: &Project) -> PathBuf {
    let own = project.folder.join(".venv/bin/componentize-py");
    if own.is_file() { own } else { PathBuf::from("componentize-py") }
}

/// The folder with the package `sitewright`.
pub(crate) fn sdk(project: &Project) -> Result<PathBuf, BuildError> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct File {
        tool: Tools,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Tools {
        sitewright: Own,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Own {
        sdk: Option<String>,
    }
    let file = project.folder.join("pyproject.toml");
    let text = std::fs::read_to_string(&file).map_err(|source| BuildError::File {
        path: file.clone(),
        operation: "cannot be read",
        source,
    })?;
    let keys: File = toml::from_str(&text).map_err(|error| {
        BuildError::Unexpected(format!("{} cannot be read: {error}", file.display()))
    })?;
    let asked = keys.tool.sitewright.sdk;
    let found = match asked.as_deref() {
        None | Some(INSTALLED) => site_packages(&project.folder),
        Some(path) => {
            let path = project.folder.join(path);
            [path.join("guest-sdk/python"), path].into_iter().find(|folder| has_package(folder))
        }
    };
    found.ok_or_else(|| BuildError::Missing {
        tool: "the package `sitewright`",
        hint: format!(
            "`tool.sitewright.sdk` in {} is {}: set it to a checkout of Sitewright, or to \
             {INSTALLED:?} if the package is in the project's .venv",
            file.display(),
            asked.map_or_else(
                || "not set, and it is not in .venv".to_owned(),
                |asked| format!("{asked:?}, which does not contain it")
            )
        ),
    })
}

fn site_packages(folder: &Path) -> Option<PathBuf> {
    all_site_packages(folder).find(|folder| has_package(folder))
}

/// The folder with the packages of the project's virtual environment. Blocking.
pub(crate) fn site_packages_of(folder: &Path) -> Option<PathBuf> {
    all_site_packages(folder).find(|folder| folder.is_dir())
}

fn all_site_packages(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let versions = std::fs::read_dir(folder.join(VENV).join("lib")).into_iter().flatten();
    versions.flatten().map(|version| version.path().join("site-packages"))
}

fn has_package(folder: &Path) -> bool {
    folder.join("sitewright/__init__.py").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_output_names_the_authors_files() {
        for (output, expected) in [
            ("  File \"/0/app.py\", line 90\n", "  File \"src/app.py\", line 90\n"),
            ("  File \"/0/pages/a.py\", line 1, in b", "  File \"src/pages/a.py\", line 1, in b"),
            (
                "  File \"/1/sitewright/html.py\", line 1",
                "  File \"/1/sitewright/html.py\", line 1",
            ),
        ] {
            assert_eq!(in_sources(output), expected);
        }
    }
}
