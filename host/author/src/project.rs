//! A template's project: finds the language and name of the project in a folder.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::name::TemplateName;
use sitewright_model::message;
use sitewright_model::message::Message;

/// A language in which templates can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Language {
    /// Rust, with cargo.
    Rust,
    /// Python, with componentize-py.
    Python,
    /// JavaScript, with componentize-js.
    Js,
}

impl Language {
    pub const ALL: &'static [Language] = &[Language::Rust, Language::Python, Language::Js];

    /// The file in a project's root by which the language is recognized.
    pub fn project_file(self) -> &'static str {
        match self {
            Language::Rust => "Cargo.toml",
            Language::Python => "pyproject.toml",
            Language::Js => "package.json",
        }
    }

    /// What installs the tools that a build needs, once, in the project's folder: in the versions
    /// that are tested with the contract.
    pub fn install_command(self) -> Option<&'static str> {
        match self {
            Language::Rust => None,
            Language::Python => {
                Some("python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1")
            }
            Language::Js => Some("npm install"),
        }
    }
}

/// A project on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Absolute path.
    pub folder: PathBuf,
    pub name: TemplateName,
    pub language: Language,
}

impl Project {
    /// Opens the project in a folder. Blocking.
    ///
    /// # Errors
    /// If the folder has no project file, or the project file has no valid template name.
    pub fn open(folder: &Path) -> Result<Self, Message> {
        let full = folder.canonicalize().map_err(|error| {
            message!(
                "cannot open the project {}: {error}; give the folder of a template",
                folder.display()
            )
        })?;
        for language in Language::ALL {
            let file = full.join(language.project_file());
            if file.is_file() {
                let name = name_in(*language, &file)?;
                return Ok(Project { folder: full, name, language: *language });
            }
        }
        let files: Vec<&str> =
            Language::ALL.iter().map(|language| language.project_file()).collect();
        Err(message!(
            "the folder {} is not a template project: it has no {}; create one with `sitewright \
             template new <name>`",
            full.display(),
            files.join(", ")
        ))
    }

    /// The folder for finished components.
    pub fn dist(&self) -> PathBuf {
        self.folder.join("dist")
    }

    /// The folder for files of this machine: sites and builds of `dev`.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join(SCRATCH)
    }
}

/// See [`Project::scratch`].
const SCRATCH: &str = ".sitewright";

/// Folders with generated files. `dev` ignores changes in them.
pub const GENERATED_FOLDERS: [&str; 8] =
    [SCRATCH, ".git", "target", "dist", "node_modules", ".venv", "__pycache__", ".pytest_cache"];

/// The template's name in the project file.
fn name_in(language: Language, file: &Path) -> Result<TemplateName, Message> {
    /// `[package]` of Cargo.toml, `[project]` of pyproject.toml.
    #[derive(Deserialize)]
    struct Tables {
        package: Option<Named>,
        project: Option<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: Option<String>,
    }
    let wrong = |error: String| message!("the file {} cannot be read: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let tables = || toml::from_str::<Tables>(&text).map_err(|error| wrong(error.to_string()));
    let (key, named) = match language {
        Language::Rust => ("package.name", tables()?.package),
        Language::Python => ("project.name", tables()?.project),
        Language::Js => {
            ("name", serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?)
        }
    };
    let name = named.and_then(|named| named.name).ok_or_else(|| {
        message!(
            "the file {} has no `{key}`, so it is not a template's; give the folder of the \
             template itself",
            file.display()
        )
    })?;
    name.parse().map_err(|error| message!("in {}, `{key}`: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_project_is_told_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let says = |part: &str| {
            let error = Project::open(folder.path()).unwrap_err();
            assert!(error.as_str().contains(part), "{part:?} is missing in {error}");
        };
        says("has no Cargo.toml, pyproject.toml, package.json");
        let write = |text: &str| std::fs::write(folder.path().join("Cargo.toml"), text).unwrap();
        write("[workspace]\n");
        says("has no `package.name`");
        write("[package]\nname = 1\n");
        says("Cargo.toml cannot be read");
        write("[package]\nname = \"Green_Gate\"\n");
        says("`green-gate` would be one");
        write("[package]\nname = \"green-gate\"\n");
        assert_eq!(Project::open(folder.path()).unwrap().name.as_str(), "green-gate");

        for (file, text, language) in [
            ("pyproject.toml", "[project]\nname = \"a\"\n", Language::Python),
            ("package.json", "{ \"name\": \"a\" }", Language::Js),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(file), text).unwrap();
            assert_eq!(Project::open(folder.path()).unwrap().language, language);
        }
    }
}
