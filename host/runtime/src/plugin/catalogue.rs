//! Finds and keeps the operator's templates: a folder of `.wasm` files, or one file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::contract::Target;
use super::manifest::Manifest;
use super::stated::StatedTemplate;
use super::symbols::DEBUG_SUFFIX;
use super::template::{Loader, Template, TemplateError};
use sitewright_failure::render::clean;

/// Finds templates by name or file, and keeps loaded ones: a file is read again only if it has
/// changed.
#[derive(Clone)]
pub struct Catalogue {
    folder: PathBuf,
    loader: Loader,
    /// Locked for look-ups only, never while a template is loaded.
    loaded: Arc<Mutex<HashMap<PathBuf, LoadedFile>>>,
    /// The templates of the last [`refresh`](Catalogue::refresh), by the file's name: served
    /// without reading the folder.
    serving: Arc<Mutex<HashMap<String, Arc<Template>>>>,
    /// Files that cannot be used, and since when.
    refused: Arc<Mutex<HashMap<PathBuf, (FileVersion, Instant)>>>,
}

/// A file that cannot be used is not loaded again by a refresh for this long, unless it has changed:
/// to find out may take seconds of processor time.
const REFUSED_FOR: Duration = Duration::from_mins(15);
/// A template that takes longer to load is named in the log.
const SLOW_LOAD: Duration = Duration::from_secs(5);

/// A change that [`Catalogue::refresh`] found.
pub enum Change {
    /// A new template.
    Added(Arc<Template>),
    /// A template whose file has changed. Runs in progress keep the old one.
    Replaced { old: Arc<Template>, new: Arc<Template> },
    /// A file that cannot be used. The template served under its name so far is kept.
    Refused {
        /// The file's name without `.wasm`.
        name: String,
        error: TemplateError,
        /// The template that is still served under this name.
        kept: Option<Arc<Template>>,
    },
    /// A template whose file was deleted.
    Removed(Arc<Template>),
}

/// What is known of a template.
pub enum Listed {
    /// Its file says it. Nothing was compiled or run.
    Stated(Box<StatedTemplate>),
    /// Its file has no manifest, so it was loaded.
    Loaded(Arc<Template>),
}

impl Listed {
    pub fn manifest(&self) -> &Manifest {
        match self {
            Listed::Stated(stated) => &stated.manifest,
            Listed::Loaded(template) => &template.manifest,
        }
    }

    pub fn path(&self) -> &Path {
        match self {
            Listed::Stated(stated) => &stated.path,
            Listed::Loaded(template) => &template.path,
        }
    }

    /// Size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Listed::Stated(stated) => stated.bytes,
            Listed::Loaded(template) => template.bytes,
        }
    }

    /// The version and world of the contract that it was built for.
    pub fn target(&self) -> &Target {
        match self {
            Listed::Stated(stated) => &stated.target,
            Listed::Loaded(template) => &template.target,
        }
    }

    /// `sha256:` and the file's digest in hexadecimal digits.
    pub fn digest(&self) -> String {
        match self {
            Listed::Stated(stated) => stated.digest(),
            Listed::Loaded(template) => template.digest(),
        }
    }

    /// The name by which orders name it: that of its file.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Listed::Stated(stated) => stated.name(),
            Listed::Loaded(template) => template.name(),
        }
    }
}

/// One file's template. The first caller loads it; the others wait.
#[derive(Clone)]
struct LoadedFile {
    version: FileVersion,
    template: Arc<OnceCell<Arc<Template>>>,
}

/// Metadata that changes with a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileVersion {
    /// `None` if the file has no metadata; loading it then reports why.
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

/// A template cannot be found or used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error(
        "the templates' folder {} cannot be read: {source}; set `templates`, pass a `.wasm` file, \
         or run this in the folder of a template's project",
        .folder.display()
    )]
    Folder { folder: PathBuf, source: std::io::Error },
    /// No template has this name.
    #[error("there is no template `{name}` in {}; there {}", .folder.display(), names(.known))]
    Unknown {
        name: String,
        /// The folder that was searched.
        folder: PathBuf,
        /// Names of the templates in the folder.
        known: Vec<String>,
    },
    /// The template cannot be used.
    #[error(transparent)]
    Unusable(#[from] TemplateError),
}

fn names(known: &[String]) -> String {
    if known.is_empty() {
        "are no templates; build one with `sitewright template build`, or name another folder \
         (`templates`)"
            .to_owned()
    } else {
        // A file can have any name.
        format!("are: {}", clean(&known.join(", ")))
    }
}

impl Catalogue {
    /// A catalogue of the templates in `folder`, which is not read yet.
    pub fn new(folder: PathBuf, loader: Loader) -> Self {
        Catalogue {
            folder,
            loader,
            loaded: Arc::default(),
            serving: Arc::default(),
            refused: Arc::default(),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The template `name`: a path if it ends in `.wasm`, otherwise `<folder>/<name>.wasm`.
    ///
    /// # Errors
    /// If there is no such template, or it cannot be used.
    pub async fn load(&self, name: &str) -> Result<Arc<Template>, CatalogueError> {
        if !is_path(name) {
            let serving = self.serving.lock().get(name).cloned();
            if let Some(template) = serving {
                return Ok(template);
            }
        }
        let path = self.path_of(name).await?;
        Ok(self.loaded(&path).await?)
    }

    /// Keeps a loaded template for its file, into which its manifest was written since, so that it
    /// is not compiled again. `bytes` is what the file contains now.
    pub async fn keep(&self, template: &Template, bytes: &[u8]) {
        let same = Arc::new(template.clone().with_file(bytes));
        // Without metadata, the next load says why.
        if let Some(version) = FileVersion::of(&template.path).await {
            let entry = LoadedFile { version, template: Arc::new(OnceCell::new_with(Some(same))) };
            self.loaded.lock().insert(template.path.clone(), entry);
        }
    }

    /// What is known of the template `name`, as for [`load`](Self::load). It is loaded only if its
    /// file has no manifest.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn look_up(&self, name: &str) -> Result<Listed, CatalogueError> {
        let path = self.path_of(name).await?;
        Ok(self.listed(&path).await?)
    }

    async fn listed(&self, path: &Path) -> Result<Listed, TemplateError> {
        match StatedTemplate::read(path, self.loader.confined()).await? {
            Some(stated) => Ok(Listed::Stated(Box::new(stated))),
            None => self.loaded(path).await.map(Listed::Loaded),
        }
    }

    /// The file of the template `name`.
    async fn path_of(&self, name: &str) -> Result<PathBuf, CatalogueError> {
        if is_path(name) {
            return Ok(PathBuf::from(name));
        }
        let files = files(&self.folder).await?;
        match files.iter().find(|file| file.file_stem().is_some_and(|stem| stem == name)) {
            Some(path) => Ok(path.clone()),
            None => {
                let known = files
                    .iter()
                    .filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned()))
                    .collect();
                Err(CatalogueError::Unknown {
                    name: name.to_owned(),
                    folder: self.folder.clone(),
                    known,
                })
            }
        }
    }

    /// Whether an order for this template can be attempted without reading the folder: the last
    /// [`refresh`](Catalogue::refresh) found it. A path of a file counts as found.
    pub fn has(&self, name: &str) -> bool {
        is_path(name) || self.serving.lock().contains_key(name)
    }

    /// The template of this name that the last [`refresh`](Catalogue::refresh) found.
    pub fn served(&self, name: &str) -> Option<Arc<Template>> {
        self.serving.lock().get(name).cloned()
    }

    /// Name and digest of each template that the last [`refresh`](Catalogue::refresh) found.
    pub fn all_served(&self) -> Vec<(String, String)> {
        let serving = self.serving.lock();
        serving
            .iter()
            .map(|(name, template)| (name.clone(), template.digest().to_string()))
            .collect()
    }

    /// The file's template. An error is not kept: the next call loads again.
    async fn loaded(&self, path: &Path) -> Result<Arc<Template>, TemplateError> {
        let Some(version) = FileVersion::of(path).await else {
            return Ok(Arc::new(self.loader.load(path).await?));
        };
        let entry = {
            let mut loaded = self.loaded.lock();
            let new = || LoadedFile { version, template: Arc::default() };
            let entry = loaded.entry(path.to_owned()).or_insert_with(new);
            if entry.version != version {
                // The old template is dropped with the last run that has it.
                *entry = new();
            }
            entry.clone()
        };
        let load = || async { self.loader.load(path).await.map(Arc::new) };
        entry.template.get_or_try_init(load).await.cloned()
    }

    /// As [`loaded`](Self::loaded). The log names a template that takes long, whose compilation may
    /// hold up all others.
    async fn loaded_with_notice(&self, path: &Path) -> Result<Arc<Template>, TemplateError> {
        let mut loading = std::pin::pin!(self.loaded(path));
        let begun = Instant::now();
        loop {
            tokio::select! {
                loaded = &mut loading => return loaded,
                () = tokio::time::sleep(SLOW_LOAD) => tracing::info!(
                    file = %path.display(),
                    seconds = begun.elapsed().as_secs(),
                    "a template is still being compiled; it is done once for each version"
                ),
            }
        }
    }

    /// Whether the file was refused lately and has not changed since.
    async fn is_refused(&self, path: &Path) -> bool {
        let Some(version) = FileVersion::of(path).await else { return false };
        self.refused
            .lock()
            .get(path)
            .is_some_and(|(refused, since)| *refused == version && since.elapsed() < REFUSED_FOR)
    }

    /// Lets the next refresh load the files again that were refused lately.
    pub fn forget_refused(&self) {
        self.refused.lock().clear();
    }

    async fn refuse(&self, path: &Path, error: &TemplateError) {
        let version = if error.is_of_host() { None } else { FileVersion::of(path).await };
        let mut refused = self.refused.lock();
        match version {
            Some(version) => drop(refused.insert(path.to_owned(), (version, Instant::now()))),
            None => drop(refused.remove(path)),
        }
    }

    /// Loads what is new or changed in the folder. From now on the catalogue serves these templates
    /// without reading the folder for each order. A file that cannot be used changes nothing.
    ///
    /// # Errors
    /// If the folder cannot be read; the templates served so far are kept.
    pub async fn refresh(&self) -> Result<Vec<Change>, CatalogueError> {
        let mut found = HashMap::new();
        let mut changes = Vec::new();
        let served = |name: &str| self.serving.lock().get(name).cloned();
        for path in files(&self.folder).await? {
            let Some(name) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned())
            else {
                continue;
            };
            let before = served(&name);
            if self.is_refused(&path).await {
                if let Some(kept) = before {
                    found.insert(name, kept);
                }
                continue;
            }
            let template = match (self.loaded_with_notice(&path).await, before) {
                (Ok(new), None) => {
                    changes.push(Change::Added(new.clone()));
                    new
                }
                (Ok(new), Some(old)) => {
                    // A file that was rewritten with the same bytes is not a change.
                    if new.digest() != old.digest() {
                        changes.push(Change::Replaced { old, new: new.clone() });
                    }
                    new
                }
                (Err(error), kept) => {
                    self.refuse(&path, &error).await;
                    changes.push(Change::Refused { name: name.clone(), error, kept: kept.clone() });
                    let Some(kept) = kept else { continue };
                    kept
                }
            };
            found.insert(name, template);
        }
        let before = {
            let mut serving = self.serving.lock();
            std::mem::replace(&mut *serving, found.clone())
        };
        let gone = before.into_iter().filter(|(name, _)| !found.contains_key(name));
        changes.extend(gone.map(|(_, template)| Change::Removed(template)));
        Ok(changes)
    }

    /// Loads every template of the folder, in the order of the file names.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub async fn load_all(
        &self,
    ) -> Result<Vec<Result<Arc<Template>, TemplateError>>, CatalogueError> {
        let mut templates = Vec::new();
        for path in files(&self.folder).await? {
            templates.push(self.loaded(&path).await);
        }
        Ok(templates)
    }

    /// What is known of every template of the folder, in the order of the file names. Those whose
    /// file has no manifest are loaded.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub async fn list(&self) -> Result<Vec<Result<Listed, TemplateError>>, CatalogueError> {
        let mut templates = Vec::new();
        for path in files(&self.folder).await? {
            templates.push(self.listed(&path).await);
        }
        Ok(templates)
    }
}

/// Whether this name of a template is the path of its file.
fn is_path(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "wasm")
}

/// Names of the templates in a folder, without loading them.
///
/// # Errors
/// If the folder cannot be read.
pub async fn template_names(folder: &Path) -> Result<Vec<String>, CatalogueError> {
    let files = files(folder).await?;
    Ok(files
        .iter()
        .filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned()))
        .collect())
}

/// Names of the templates in a folder that have a component in a plain file, without loading them:
/// to be shown to somebody who looks for one that can be used.
///
/// # Errors
/// If the folder cannot be read.
pub async fn component_names(folder: &Path) -> Result<Vec<String>, CatalogueError> {
    let mut names = Vec::new();
    for file in files(folder).await? {
        if let Some(name) = file.file_stem()
            && is_component(&file).await
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// Whether the file begins as a component does. A named pipe is not opened, because that waits.
async fn is_component(path: &Path) -> bool {
    if !tokio::fs::metadata(path).await.is_ok_and(|found| found.is_file()) {
        return false;
    }
    let Ok(mut file) = tokio::fs::File::open(path).await else { return false };
    let mut begin = [0; 8];
    file.read_exact(&mut begin).await.is_ok() && begin == *b"\0asm\x0d\0\x01\0"
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
