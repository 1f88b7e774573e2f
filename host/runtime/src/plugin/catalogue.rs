//! The templates an operator has: a folder of `.wasm` files, or one file.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::symbols::DEBUG_SUFFIX;
use super::template::{Loader, Template, TemplateError};

/// Finds templates by name or file, and keeps those it has loaded: a file is read again only when
/// it has changed.
#[derive(Clone)]
pub struct Catalogue {
    folder: PathBuf,
    loader: Loader,
    /// Held for look-ups only, never while a template is loaded.
    loaded: Arc<Mutex<HashMap<PathBuf, Slot>>>,
    /// What [`refresh`](Catalogue::refresh) found good, by the file's name: these are served
    /// without a look at the disk.
    serving: Arc<Mutex<HashMap<String, Arc<Template>>>>,
}

/// What [`Catalogue::refresh`] found different.
pub enum Change {
    /// A new template.
    Added(Arc<Template>),
    /// A template whose file has changed. Runs that have the old one keep it.
    Replaced {
        /// The one until now.
        old: Arc<Template>,
        /// The one from now on.
        new: Arc<Template>,
    },
    /// A file that is no good. The template that was served under its name, when there was one,
    /// stays.
    Refused {
        /// The file's name without `.wasm`.
        name: String,
        /// What is wrong with it.
        error: TemplateError,
        /// What is served under this name nevertheless.
        kept: Option<Arc<Template>>,
    },
    /// A template whose file has gone.
    Removed(Arc<Template>),
}

/// One file's template, loaded by the first who wants it; the others wait for that.
#[derive(Clone)]
struct Slot {
    version: FileVersion,
    template: Arc<OnceCell<Arc<Template>>>,
}

/// Tells one content of a file from the next, as far as the file system does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileVersion {
    /// Nothing when the file cannot be looked at: then loading it says why.
    async fn of(path: &Path) -> Option<Self> {
        let metadata = tokio::fs::metadata(path).await.ok()?;
        Some(FileVersion {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
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
        Catalogue { folder, loader, loaded: Arc::default(), serving: Arc::default() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The template that `name` means: a path when it ends in `.wasm`, otherwise
    /// `<folder>/<name>.wasm`.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub async fn load(&self, name: &str) -> Result<Arc<Template>, CatalogueError> {
        let path = if Path::new(name).extension().is_some_and(|extension| extension == "wasm") {
            PathBuf::from(name)
        } else {
            let serving =
                self.serving.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
            if let Some(template) = serving {
                return Ok(template);
            }
            let files = files(&self.folder).await?;
            match files.iter().find(|file| file.file_stem().is_some_and(|stem| stem == name)) {
                Some(path) => path.clone(),
                None => {
                    let known = files
                        .iter()
                        .filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned()))
                        .collect();
                    return Err(CatalogueError::Unknown {
                        name: name.to_owned(),
                        folder: self.folder.clone(),
                        known,
                    });
                }
            }
        };
        Ok(self.loaded(&path).await?)
    }

    /// The file's template. A file that cannot be used is tried again each time.
    async fn loaded(&self, path: &Path) -> Result<Arc<Template>, TemplateError> {
        let Some(version) = FileVersion::of(path).await else {
            return Ok(Arc::new(self.loader.load(path).await?));
        };
        let slot = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Slot { version, template: Arc::default() };
            let slot = loaded.entry(path.to_owned()).or_insert_with(new);
            if slot.version != version {
                // Runs that have the old template keep it; it goes with the last of them.
                *slot = new();
            }
            slot.clone()
        };
        let load = || async { self.loader.load(path).await.map(Arc::new) };
        slot.template.get_or_try_init(load).await.cloned()
    }

    /// Loads what is new or changed in the folder and serves it from now on, without looking at the
    /// disk for each order as a catalogue that was never refreshed does. A file that is no good
    /// changes nothing but what is told of it.
    ///
    /// # Errors
    /// When the folder cannot be read; what was served stays.
    pub async fn refresh(&self) -> Result<Vec<Change>, CatalogueError> {
        let mut found = HashMap::new();
        let mut changes = Vec::new();
        let served = |name: &str| {
            self.serving.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
        };
        for path in files(&self.folder).await? {
            let Some(name) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned())
            else {
                continue;
            };
            let before = served(&name);
            let template = match (self.loaded(&path).await, before) {
                (Ok(new), None) => {
                    changes.push(Change::Added(new.clone()));
                    new
                }
                (Ok(new), Some(old)) => {
                    // The same bytes written again are no change.
                    if new.digest() != old.digest() {
                        changes.push(Change::Replaced { old, new: new.clone() });
                    }
                    new
                }
                (Err(error), kept) => {
                    changes.push(Change::Refused { name: name.clone(), error, kept: kept.clone() });
                    let Some(kept) = kept else { continue };
                    kept
                }
            };
            found.insert(name, template);
        }
        let before = {
            let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *serving, found.clone())
        };
        let gone = before.into_iter().filter(|(name, _)| !found.contains_key(name));
        changes.extend(gone.map(|(_, template)| Change::Removed(template)));
        Ok(changes)
    }

    /// Every template of the folder in the order of the file names, each loaded or with the reason
    /// why not.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn load_all(
        &self,
    ) -> Result<Vec<Result<Arc<Template>, TemplateError>>, CatalogueError> {
        let mut templates = Vec::new();
        for path in files(&self.folder).await? {
            templates.push(self.loaded(&path).await);
        }
        Ok(templates)
    }
}

/// The names of the templates in a folder. Nothing of them is read.
///
/// # Errors
/// When the folder cannot be read.
pub async fn template_names(folder: &Path) -> Result<Vec<String>, CatalogueError> {
    let files = files(folder).await?;
    Ok(files
        .iter()
        .filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned()))
        .collect())
}

/// The `.wasm` files of the folder, sorted.
async fn files(folder: &Path) -> Result<Vec<PathBuf>, CatalogueError> {
    let wrong = |source| CatalogueError::Folder { folder: folder.to_owned(), source };
    let mut entries = tokio::fs::read_dir(folder).await.map_err(wrong)?;
    let mut files = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(wrong)? {
        let path = entry.path();
        let is_template = path.extension().is_some_and(|extension| extension == "wasm");
        // `<name>.debug.wasm` is the debug information of the template beside it.
        if is_template && !path.to_string_lossy().ends_with(DEBUG_SUFFIX) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
