//! Runs the tests that a project has in its own language: `cargo test`, `unittest`, `node --test`.
//!
//! They run the template without WebAssembly. In Python and JavaScript they ask this program (see
//! [`harness`](crate::harness)), whose path they get in the variable [`PROGRAM`].

use std::env;
use std::path::{Path, PathBuf};

use crate::build::tool::{Tool, ToolOutput};
use crate::build::{BuildError, Listener, js, python};
use crate::project::{Language, Project};

/// The variable with the path of this program.
pub const PROGRAM: &str = "SITEWRIGHT";
/// The oldest Python whose f-strings the SDK can turn into template strings.
const OLDEST_PYTHON: (u32, u32) = (3, 12);
/// Ends of the names of JavaScript's tests.
const JS_TESTS: [&str; 4] = [".test.js", ".test.mjs", ".test.ts", ".test.mts"];
/// Maximum nesting of folders in which tests are looked for.
const MAX_DEPTH: usize = 8;

/// How the tests ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NativeTests {
    Passed,
    Failed,
    /// The project has none.
    Missing,
}

/// Runs the tests of a project. `program` is this program; `listener` gets their output: first
/// stderr while they run, then stdout. Dropping the future kills them.
///
/// # Errors
/// If a tool is missing or cannot be started.
pub async fn run(
    project: &Project,
    program: &Path,
    listener: Listener<'_>,
) -> Result<NativeTests, BuildError> {
    let found = match project.language {
        Language::Rust => Some(rust(project)),
        Language::Python => python_tests(project).await?,
        Language::Js => js_tests(project).await?,
    };
    let Some(tests) = found else { return Ok(NativeTests::Missing) };
    let tests = tests.configure(|command| {
        command.current_dir(&project.folder).env(PROGRAM, program);
    });
    let ToolOutput { status, stdout, stderr: _ } = tests.run(Some(listener)).await?;
    stdout.lines().for_each(listener);
    Ok(if status.success() { NativeTests::Passed } else { NativeTests::Failed })
}

fn rust(project: &Project) -> Tool {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let hint = format!(
        "install Rust with rustup (https://rustup.rs) to test {}",
        project.folder.display()
    );
    Tool::new(cargo, "cargo", hint).configure(|command| {
        command.args(["test", "--color", "always"]);
    })
}

async fn python_tests(project: &Project) -> Result<Option<Tool>, BuildError> {
    let folder = project.folder.join("tests");
    let is_test = |name: &str| name.starts_with("test") && name.ends_with(".py");
    if files(folder, is_test).await?.is_empty() {
        return Ok(None);
    }
    let interpreter = python::interpreter(project, OLDEST_PYTHON).await?;
    let project = project.clone();
    let paths = blocking(move || {
        let sdk = python::sdk(&project)?;
        let packages = python::site_packages_of(&project.folder);
        let folders = [Some(project.folder.join("src")), Some(sdk), packages];
        env::join_paths(folders.into_iter().flatten()).map_err(|error| {
            BuildError::Unexpected(format!("a folder of the project cannot be on a path: {error}"))
        })
    })
    .await??;
    Ok(Some(Tool::new(interpreter, "python3", "").configure(|command| {
        command
            .args(["-m", "sitewright.testing"])
            .env("PYTHONPATH", paths)
            .env("PYTHONDONTWRITEBYTECODE", "1");
    })))
}

async fn js_tests(project: &Project) -> Result<Option<Tool>, BuildError> {
    let tests =
        files(project.folder.join("test"), |name| JS_TESTS.iter().any(|end| name.ends_with(end)))
            .await?;
    if tests.is_empty() {
        return Ok(None);
    }
    let found = project.clone();
    let sdk = blocking(move || js::sdk(&found)).await?;
    let sdk = sdk.unwrap_or_else(|| project.folder.join("node_modules/sitewright"));
    let hint = "install Node.js, 20 or newer (https://nodejs.org)";
    Ok(Some(Tool::new("node", "node", hint).configure(|command| {
        command.arg("--import").arg(sdk.join("testing/register.js")).arg("--test").args(tests);
    })))
}

/// The files below a folder whose names are tests, sorted. Links are not followed.
async fn files(
    folder: PathBuf,
    is_test: impl Fn(&str) -> bool + Send + 'static,
) -> Result<Vec<PathBuf>, BuildError> {
    blocking(move || {
        let (mut found, mut folders) = (Vec::new(), vec![(folder, 0)]);
        while let Some((folder, depth)) = folders.pop() {
            // A folder that is missing or cannot be read has no tests.
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() && depth < MAX_DEPTH {
                    folders.push((entry.path(), depth + 1));
                } else if kind.is_file() && is_test(&entry.file_name().to_string_lossy()) {
                    found.push(entry.path());
                }
            }
        }
        found.sort();
        found
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BuildError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| BuildError::Unexpected(format!("finding the tests failed: {error}")))
}
