//! From a project to a component.

mod contract;
mod js;
mod python;
mod rust;
mod tool;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

pub use tool::Listener;

use super::project::{Language, Project};
use super::strip;

/// What a build is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To be given away: small and quick, debug information in a file of its own.
    Release,
    /// To be looked at: built in a moment.
    Dev,
}

/// A component that was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// The component.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Where its debug information is, when that is a file of its own.
    pub debug: Option<PathBuf>,
    /// How long the language's tools took.
    pub took: Duration,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A program is not installed.
    #[error("{tool} is missing: {advice}")]
    Missing {
        /// What people call it.
        tool: &'static str,
        /// How to get it.
        advice: String,
    },
    /// A program could not be started or listened to.
    #[error("{tool} cannot be run: {source}")]
    Start {
        /// What people call it.
        tool: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A program failed: most likely the template's source has a mistake.
    #[error("{tool} failed ({status}); it said above what is wrong")]
    Failed {
        /// What people call it.
        tool: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The beginning of what it said, with the colours of a terminal.
        said: String,
    },
    /// A file could not be read or written.
    #[error("{} {doing}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What could not be done with it.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A tool's result is not what was to be expected.
    #[error("{0}")]
    Unexpected(String),
}

impl BuildError {
    /// What the tool itself said, with the colours of a terminal; nothing when no tool failed.
    pub fn said(&self) -> Option<&str> {
        match self {
            BuildError::Failed { said, .. } => Some(said),
            _ => None,
        }
    }
}

/// Builds one project, again and again: what does not change between builds is looked at once.
#[derive(Debug)]
pub struct Builder {
    project: Project,
    mode: Mode,
    rust: tokio::sync::OnceCell<rust::Toolchain>,
}

impl Builder {
    /// A builder for a project.
    pub fn new(project: Project, mode: Mode) -> Self {
        Builder { project, mode, rust: tokio::sync::OnceCell::new() }
    }

    /// The project.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Builds it. What the tools say is told as they say it. When this is dropped, they are ended.
    ///
    /// # Errors
    /// When a tool is missing or fails, or a file cannot be written.
    pub async fn build(&self, listener: Option<Listener<'_>>) -> Result<Built, BuildError> {
        let start = Instant::now();
        let component = match self.project.language {
            Language::Rust => {
                let toolchain =
                    self.rust.get_or_try_init(|| rust::Toolchain::find(&self.project)).await?;
                toolchain.build(&self.project, self.mode, listener).await?
            }
            Language::Python => python::build(&self.project, listener).await?,
            Language::Js => js::build(&self.project, listener).await?,
        };
        let took = start.elapsed();
        let (name, mode) = (self.project.name.to_string(), self.mode);
        let folder = match mode {
            Mode::Release => self.project.dist(),
            Mode::Dev => self.project.scratch().join("dev"),
        };
        let put = move || put(&component, &folder, &name, mode);
        let (file, bytes, debug) = tokio::task::spawn_blocking(put).await.map_err(|error| {
            BuildError::Unexpected(format!("putting the component in place failed: {error}"))
        })??;
        Ok(Built { file, bytes, debug, took })
    }
}

/// Puts a component where it is looked for: whole, or in two files. Blocking.
fn put(
    from: &Path,
    folder: &Path,
    name: &str,
    mode: Mode,
) -> Result<(PathBuf, u64, Option<PathBuf>), BuildError> {
    let wasm = std::fs::read(from).map_err(|source| BuildError::File {
        path: from.to_owned(),
        doing: "cannot be read after it was built",
        source,
    })?;
    let file = folder.join(format!("{name}.wasm"));
    let beside = folder.join(format!("{name}.debug.wasm"));
    let stripped = match mode {
        Mode::Release => strip::without_debug(&wasm).filter(|stripped| stripped.len() < wasm.len()),
        Mode::Dev => None,
    };
    // The debug information first: there is never a component that runs with that of another build.
    let debug = match &stripped {
        Some(_) => {
            replace(&beside, &wasm)?;
            Some(beside)
        }
        None => {
            remove(&beside)?;
            None
        }
    };
    let component = stripped.as_deref().unwrap_or(&wasm);
    replace(&file, component)?;
    Ok((file, component.len() as u64, debug))
}

/// Writes a file beside and renames it: whoever reads sees the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let write = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let part = path.with_extension(format!("{}.part", std::process::id()));
        std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path)).inspect_err(|_| {
            std::fs::remove_file(&part).ok();
        })
    };
    write().map_err(|source| BuildError::File {
        path: path.to_owned(),
        doing: "cannot be written",
        source,
    })
}

fn remove(path: &Path) -> Result<(), BuildError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BuildError::File { path: path.to_owned(), doing: "cannot be removed", source })
        }
        _ => Ok(()),
    }
}
