//! A template's project: a folder whose files say in which language it is written and what it is
//! called.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::name::TemplateName;
use sitewright_model::message;
use sitewright_model::message::Message;

/// A language that templates are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust, with cargo.
    Rust,
    /// Python, with componentize-py.
    Python,
    /// JavaScript, with componentize-js.
    Js,
}

impl Language {
    /// All of them.
    pub const ALL: &'static [Language] = &[Language::Rust, Language::Python, Language::Js];

    /// The file that a project of this language has at its top.
    pub fn project_file(self) -> &'static str {
        match self {
            Language::Rust => "Cargo.toml",
            Language::Python => "pyproject.toml",
            Language::Js => "package.json",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Language::Rust => "rust",
            Language::Python => "python",
            Language::Js => "js",
        })
    }
}

/// A project on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its folder: absolute.
    pub folder: PathBuf,
    /// What the template is called.
    pub name: TemplateName,
    /// What it is written in.
    pub language: Language,
}

impl Project {
    /// Looks at a folder. Blocking.
    ///
    /// # Errors
    /// When it is no project: what is missing, or which key of which file is wrong.
    pub fn open(folder: &Path) -> Result<Self, Message> {
        let full = folder.canonicalize().map_err(|error| {
            message!(
                "the project {} cannot be opened: {error}; give the folder of a template",
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
            "the folder {} is no template's project: it has no {}; `sitewright template new \
             <name>` makes one",
            full.display(),
            files.join(", ")
        ))
    }

    /// Where finished components go.
    pub fn dist(&self) -> PathBuf {
        self.folder.join("dist")
    }

    /// What belongs to this machine: the sites of `dev`, what was built for them.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join(SCRATCH)
    }
}

/// The folder of what belongs to this machine.
const SCRATCH: &str = ".sitewright";

/// Folders of a project that are made, not written: nothing in them is a change.
pub const MADE: [&str; 8] =
    [SCRATCH, ".git", "target", "dist", "node_modules", ".venv", "__pycache__", ".pytest_cache"];

/// The name that the project's file tells.
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
            "the file {} has no `{key}`, so it is no template's; give the folder of the template \
             itself",
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
