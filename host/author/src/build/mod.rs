//! Builds a project into a component.

mod contract;
mod files_read;
pub(crate) mod js;
pub(crate) mod python;
mod rust;
mod source_map;
pub(crate) mod tool;

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

pub use files_read::FilesRead;
pub use tool::Listener;

use super::project::{Language, Project};
use super::strip;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::plugin::bindings::types;
use sitewright_runtime::plugin::{Determinism, Limits, Template, with_manifest};

/// The kind of build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For distribution: optimized, with debug information in a separate file.
    Release,
    /// For `template dev`: fast to build, not stripped.
    Dev,
}

/// A component that was built.
#[derive(Debug, Clone)]
pub struct Built {
    pub file: PathBuf,
    pub bytes: u64,
    /// The component with its debug information; `None` if `file` is not stripped.
    pub debug: Option<PathBuf>,
    /// Duration of the language's tools.
    pub took: Duration,
    /// The files of which it is made, for the watcher of `template dev`. Only builds of
    /// [`Mode::Dev`] list them: of others, any file counts.
    pub read: FilesRead,
}

impl Built {
    /// The same component with its manifest in a custom section, from which it is read without
    /// running the template, and the file's new content. `template` was loaded from the file.
    ///
    /// # Errors
    /// `describe` fails, or the file cannot be read or written.
    pub async fn with_manifest_of(
        self,
        template: &Template,
        limits: &Limits,
    ) -> Result<(Self, Vec<u8>), Message> {
        let failed = |error: &dyn Display| {
            message!("the manifest could not be written into the component: {error}")
        };
        let determinism = Determinism { seed: 0, start_unix_ms: 0 };
        let described = template.describe(limits, determinism).await;
        let manifest = described.map_err(|error| failed(&error))?.manifest;
        tokio::task::spawn_blocking(move || self.with_manifest(&manifest))
            .await
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))
    }

    /// Blocking.
    fn with_manifest(self, described: &types::Manifest) -> Result<(Self, Vec<u8>), BuildError> {
        let wasm = std::fs::read(&self.file).map_err(|source| BuildError::File {
            path: self.file.clone(),
            operation: "cannot be read after the build",
            source,
        })?;
        let stated = with_manifest(&wasm, described)
            .map_err(|error| BuildError::Unexpected(format!("the component: {error}")))?;
        replace(&self.file, &stated)?;
        Ok((Built { bytes: stated.len() as u64, ..self }, stated))
    }
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A tool is not installed.
    #[error("{tool} is missing: {hint}")]
    Missing {
        tool: &'static str,
        /// How to install it.
        hint: String,
    },
    /// A tool could not be started, or its output could not be read.
    #[error("cannot run {tool}: {source}; check the file and its permissions")]
    Start { tool: &'static str, source: io::Error },
    /// A tool failed, usually because of an error in the template's source.
    #[error("{tool} failed ({status}); {todo}")]
    Failed {
        tool: &'static str,
        status: ExitStatus,
        /// What to do next.
        todo: &'static str,
        /// The start of its output, with ANSI colours.
        output: String,
    },
    /// A file could not be read or written.
    #[error("{} {operation}: {source}", .path.display())]
    File {
        path: PathBuf,
        /// The failed operation, for example `cannot be written`.
        operation: &'static str,
        source: io::Error,
    },
    /// A tool's result is not the expected one.
    #[error("{0}")]
    Unexpected(String),
}

impl BuildError {
    /// The output of the failed tool, with ANSI colours; `None` if no tool failed.
    pub fn output(&self) -> Option<&str> {
        match self {
            BuildError::Failed { output, .. } => Some(output),
            _ => None,
        }
    }
}

/// Builds one project repeatedly. The Rust toolchain is looked up once.
#[derive(Debug)]
pub struct Builder {
    project: Project,
    mode: Mode,
    rust: tokio::sync::OnceCell<rust::Toolchain>,
}

impl Builder {
    pub fn new(project: Project, mode: Mode) -> Self {
        Builder { project, mode, rust: tokio::sync::OnceCell::new() }
    }

    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Builds the project. `listener` gets the tools' output line by line. Dropping the future
    /// kills the tools.
    ///
    /// # Errors
    /// If a tool is missing or fails, or a file cannot be written.
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
        let project = self.project.clone();
        let write = move || {
            let (file, bytes, debug) = write_component(&component, &folder, &name, mode)?;
            let read = match mode {
                Mode::Dev => FilesRead::by(&project, &component),
                Mode::Release => FilesRead::default(),
            };
            Ok::<_, BuildError>(Built { file, bytes, debug, took, read })
        };
        tokio::task::spawn_blocking(write).await.map_err(|error| {
            BuildError::Unexpected(format!("writing the component failed: {error}"))
        })?
    }
}

/// Writes a component into `folder`: as one file, or stripped with its debug file. Blocking.
fn write_component(
    from: &Path,
    folder: &Path,
    name: &str,
    mode: Mode,
) -> Result<(PathBuf, u64, Option<PathBuf>), BuildError> {
    let wasm = std::fs::read(from).map_err(|source| BuildError::File {
        path: from.to_owned(),
        operation: "cannot be read after the build",
        source,
    })?;
    let file = folder.join(format!("{name}.wasm"));
    let debug_file = folder.join(format!("{name}.debug.wasm"));
    let stripped = match mode {
        Mode::Release => strip::without_debug(&wasm).filter(|stripped| stripped.len() < wasm.len()),
        Mode::Dev => None,
    };
    // The debug file first, so that a component is never paired with an older debug file.
    let debug = match &stripped {
        Some(_) => {
            replace(&debug_file, &wasm)?;
            Some(debug_file)
        }
        None => {
            remove(&debug_file)?;
            None
        }
    };
    let component = stripped.as_deref().unwrap_or(&wasm);
    replace(&file, component)?;
    Ok((file, component.len() as u64, debug))
}

/// Writes a temporary file and renames it, so that readers see the old or the new content.
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
        operation: "cannot be written",
        source,
    })
}

fn remove(path: &Path) -> Result<(), BuildError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BuildError::File { path: path.to_owned(), operation: "cannot be removed", source })
        }
        _ => Ok(()),
    }
}
