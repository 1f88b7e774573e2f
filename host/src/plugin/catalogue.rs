//! The templates an operator has: a folder of `.wasm` files, or one file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::template::{Loader, Template, TemplateError};

/// Finds templates by name or file.
#[derive(Clone)]
pub struct Catalogue {
    folder: PathBuf,
    loader: Loader,
}

/// A template could not be found or used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The folder cannot be read.
    #[error("the templates' folder {} cannot be read: {source}; set `templates` or pass a `.wasm` file", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No template has this name.
    #[error("there is no template `{name}` in {}; there {}", .folder.display(), names(.known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// Names of the files that are there.
        known: Vec<String>,
    },
    /// The template cannot be used.
    #[error(transparent)]
    Unusable(#[from] TemplateError),
}

fn names(known: &[String]) -> String {
    if known.is_empty() {
        "are no templates; `cargo xtask build` makes those of this repository".to_owned()
    } else {
        format!("are: {}", known.join(", "))
    }
}

impl Catalogue {
    /// The templates in `folder`. Nothing is read yet.
    pub fn new(folder: PathBuf, loader: Loader) -> Self {
        Catalogue { folder, loader }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The template that `name` means: a path when it ends in `.wasm`, otherwise `<folder>/<name>.wasm`.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub async fn load(&self, name: &str) -> Result<Arc<Template>, CatalogueError> {
        let path = if Path::new(name).extension().is_some_and(|extension| extension == "wasm") {
            PathBuf::from(name)
        } else {
            let files = self.files().await?;
            match files.iter().find(|file| file.file_stem().is_some_and(|stem| stem == name)) {
                Some(path) => path.clone(),
                None => {
                    let known = files.iter().filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())).collect();
                    return Err(CatalogueError::Unknown { name: name.to_owned(), folder: self.folder.clone(), known });
                }
            }
        };
        Ok(Arc::new(self.loader.load(&path).await?))
    }

    /// Every template of the folder in the order of the file names, each loaded or with the reason why not.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn load_all(&self) -> Result<Vec<Result<Arc<Template>, TemplateError>>, CatalogueError> {
        let mut templates = Vec::new();
        for path in self.files().await? {
            templates.push(self.loader.load(&path).await.map(Arc::new));
        }
        Ok(templates)
    }

    /// The `.wasm` files of the folder, sorted.
    async fn files(&self) -> Result<Vec<PathBuf>, CatalogueError> {
        let wrong = |source| CatalogueError::Folder { folder: self.folder.clone(), source };
        let mut entries = tokio::fs::read_dir(&self.folder).await.map_err(wrong)?;
        let mut files = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(wrong)? {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "wasm") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}
