//! The sites folder, which contains all sites, and the two folders of one order in it.
//!
//! ```text
//! <sites>/public/<order>/releases/<id>/     files of a release and nothing else
//! <sites>/public/<order>/current            a link to the release that visitors see: serve this
//! <sites>/<order>/                          what belongs to the host
//!     manifests/<id>.json                   the release's manifest
//!     staging/<attempt>/                    a site that is not finished
//!     failures/  documents/  journal/  attempts/
//!     current                               a link to `public/<order>/current`
//! ```
//!
//! Everything private has the modes 0700 and 0600, whatever the umask is, and `<sites>/<order>` has
//! 0711: the link `current` in it is for people, and for web servers that were configured before
//! there was a public folder. Only the host writes to `public`; the umask decides who may read it.
//! Both are on one file system, because a rename leads from one to the other.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::layout;
use super::manifest::ReleaseId;
use super::release::release_id;
use super::staging_buffer::BufferBudget;
use super::storage::{
    Access, PASSAGE, SameButCase, StorageError, create_file, create_folder, ensure_folder, lock,
    make_link, open_folder, open_root, read_link, remove_folder, rename, rename_new, replace_link,
    sync_folder, try_lock,
};

/// The folder in the sites folder that is for visitors. No order may have its name.
pub const PUBLIC: &str = "public";
/// The folder of an order's manifests, `<release>.json`.
pub const MANIFESTS: &str = "manifests";
pub(super) const STAGING: &str = "staging";
pub(super) const RELEASES: &str = "releases";
/// Prefix of a folder in `releases` while a site is written to it.
pub(super) const NEW_PREFIX: &str = ".new-";
/// Name of the link in an order's public folder that points to its current release.
pub const CURRENT: &str = "current";
/// The folder of links that remember how an id with upper-case letters is written: the link's name
/// is the id in lower case. No order's name begins with a dot.
const SPELLINGS: &str = ".spellings";

/// The name of an order's folder, or of an attempt's folder in its staging area: 1 to 64 ASCII
/// letters, digits, `.`, `_` or `-`, not beginning with a dot, and not `public` in any case. So it
/// is always exactly one part of a path (failure catalogue F1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderDir(String);

/// A text that is not an [`OrderDir`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a folder; use 1 to 64 letters, digits, `.`, `_` or `-`, not beginning with \
     a dot, and not the reserved name `public`"
)]
pub struct OrderDirError(pub String);

impl OrderDir {
    /// Validates `name`.
    ///
    /// # Errors
    /// If it is empty, too long, reserved, begins with a dot or has any other character.
    pub fn new(name: &str) -> Result<Self, OrderDirError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=64).contains(&name.len())
            && !name.starts_with('.')
            && !name.eq_ignore_ascii_case(PUBLIC)
            && name.bytes().all(allowed)
        {
            Ok(OrderDir(name.to_owned()))
        } else {
            Err(OrderDirError(name.chars().take(80).collect()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrderDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for OrderDir {
    type Error = OrderDirError;
    fn try_from(name: String) -> Result<Self, OrderDirError> {
        OrderDir::new(&name)
    }
}

impl From<OrderDir> for String {
    fn from(dir: OrderDir) -> String {
        dir.0
    }
}

/// Why the sites folder cannot be used. The host does not start with it.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It does not exist and cannot be created, or is not a folder.
    #[error(
        "the sites folder `{}` cannot be opened: {source}; make it, or name another in the \
         configuration",
        .path.display()
    )]
    Open {
        /// As configured.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It exists, but a test file could not be written to it.
    #[error(
        "the sites folder `{}` is not writable: {source}; give the host's user write access to \
         it, or name another in the configuration",
        .path.display()
    )]
    NotWritable {
        /// Absolute, links resolved.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The folder for visitors cannot be used.
    #[error(
        "the folder `{}`, from which visitors get their sites, cannot be used: {source}; it must \
         be a folder, not a link, on the file system of the sites folder",
        .path.display()
    )]
    Public {
        /// Absolute, links resolved.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// An earlier version has made a site for an order with the name of that folder.
    #[error(
        "the folder `{}` has the site of an order with the id `public`, and this version serves \
         all sites from a folder of that name; rename it, and give the order another id",
        .path.display()
    )]
    OrderNamedPublic {
        /// Absolute, links resolved.
        path: PathBuf,
    },
}

/// The sites folder, open. Cheap to clone. Everything in it is opened relative to this handle, so
/// that neither a change of the working directory (failure catalogue F3) nor a symbolic link inside
/// leads out of it.
#[derive(Debug, Clone)]
pub struct SitesRoot {
    dir: Arc<Dir>,
    public: Arc<Dir>,
    path: Arc<Path>,
    buffer_budget: Arc<BufferBudget>,
}

impl SitesRoot {
    /// Creates the folder if it is missing, resolves its path once and checks that it is writable.
    /// Blocking: call it from `spawn_blocking`, or before the host serves anything.
    ///
    /// # Errors
    /// Each names the folder and what to do.
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let open = |source| RootError::Open { path: path.to_owned(), source };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Dir::create_ambient_dir_all(parent, ambient_authority()).map_err(open)?;
        }
        match std::fs::DirBuilder::new().mode(PASSAGE).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(open(error)),
            _ => {}
        }
        let path_resolved = std::fs::canonicalize(path).map_err(open)?;
        let dir = open_root(&path_resolved).map_err(open)?;
        probe(&dir)
            .map_err(|source| RootError::NotWritable { path: path_resolved.clone(), source })?;
        let public = open_public(&dir, &path_resolved)?;
        Ok(SitesRoot {
            dir: Arc::new(dir),
            public: Arc::new(public),
            path: path_resolved.into(),
            buffer_budget: Arc::default(),
        })
    }

    /// Keeps small sites in memory until they are released, at most `bytes` bytes of all sites
    /// together: most sites then touch the disk once, after their checks. Default: 0, every file
    /// goes to the disk when it is written.
    #[must_use]
    pub fn with_staging_buffer(mut self, bytes: u64) -> Self {
        self.buffer_budget = Arc::new(BufferBudget::new(bytes));
        self
    }

    pub(super) fn buffer_budget(&self) -> &Arc<BufferBudget> {
        &self.buffer_budget
    }

    /// The open folder.
    pub(super) fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    /// The folder: absolute, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that is for visitors: absolute, links resolved.
    pub fn public_path(&self) -> PathBuf {
        self.path.join(PUBLIC)
    }

    /// The path of the order's private folder, for messages; it may not exist.
    pub fn order_path(&self, order: &OrderDir) -> PathBuf {
        self.path.join(order.as_str())
    }

    /// The path of the order's public folder, for messages; it may not exist.
    pub fn public_order_path(&self, order: &OrderDir) -> PathBuf {
        self.path.join(PUBLIC).join(order.as_str())
    }

    /// The file of a release's manifest.
    pub fn manifest_path(&self, order: &OrderDir, id: ReleaseId) -> PathBuf {
        self.order_path(order).join(MANIFESTS).join(manifest_name(id))
    }

    /// Opens the order's public folder; `None` if the order has no release. Blocking.
    ///
    /// # Errors
    /// If it exists and cannot be opened, or is a symbolic link.
    pub(super) fn open_public(&self, order: &OrderDir) -> Result<Option<Dir>, StorageError> {
        match open_folder(&self.public, order.as_str()) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(StorageError::on("open the folder", self.public_order_path(order))(error))
            }
        }
    }

    /// Gives the order's folders the present layout, if an earlier version has made them. Waits
    /// while a publication of the order is in progress. Blocking.
    ///
    /// # Errors
    /// If the folders cannot be changed.
    pub(super) fn migrate(&self, order: &OrderDir) -> Result<(), StorageError> {
        let Some(dir) = self.open_order(order)? else { return Ok(()) };
        let is_old = layout::is_old(&dir)
            .map_err(StorageError::on("open the folder of releases in", self.order_path(order)))?;
        match is_old {
            true => {
                lock(&dir).map_err(StorageError::on("lock the folder", self.order_path(order)))?;
                layout::migrate(self, order, &dir).map(drop)
            }
            false => Ok(()),
        }
    }

    /// Opens or creates the order's public folder, and returns whether it is new. The caller syncs
    /// a new one with [`sync_public`](Self::sync_public).
    pub(super) fn ensure_public(&self, order: &OrderDir) -> Result<(Dir, bool), StorageError> {
        ensure_folder(&self.public, order.as_str(), Access::Public)
            .map_err(StorageError::on("create the folder", self.public_order_path(order)))
    }

    /// As [`ensure_public`](Self::ensure_public), for a folder that is probably missing.
    pub(super) fn create_public(&self, order: &OrderDir) -> Result<(Dir, bool), StorageError> {
        create_folder(&self.public, order.as_str(), Access::Public)
            .map_err(StorageError::on("create the folder", self.public_order_path(order)))
    }

    /// Writes the entries of the public folder to the disk.
    pub(super) fn sync_public(&self) -> Result<(), StorageError> {
        sync_folder(&self.public).map_err(StorageError::on("write to the disk", self.public_path()))
    }

    /// Opens the order's private folder; `None` if it does not exist. Blocking.
    ///
    /// # Errors
    /// If it exists and cannot be opened, or is a symbolic link.
    pub fn open_order(&self, order: &OrderDir) -> Result<Option<Dir>, StorageError> {
        match open_folder(&self.dir, order.as_str()) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StorageError::on("open the folder", self.order_path(order))(error)),
        }
    }

    /// Opens the order's private folder. Creates it, with mode 0711, if it is missing; a new one is
    /// on the disk when this returns. What is made in it must have the modes 0700 and 0600.
    /// Blocking.
    ///
    /// # Errors
    /// If it cannot be created or opened, or is a symbolic link; or if the id of the order differs
    /// from that of another one only in case.
    pub fn ensure_order(&self, order: &OrderDir) -> Result<Dir, StorageError> {
        Ok(self.ensure_order_synced(order)?.0)
    }

    /// As [`ensure_order`](Self::ensure_order). Returns whether the folder is new as well.
    pub(super) fn ensure_order_synced(
        &self,
        order: &OrderDir,
    ) -> Result<(Dir, bool), StorageError> {
        let (dir, made) = self.ensure_order_unsynced(order)?;
        if made {
            sync_folder(&self.dir)
                .map_err(StorageError::on("create the folder", self.order_path(order)))?;
        }
        Ok((dir, made))
    }

    /// Opens or creates the order's folder without syncing the sites folder, and returns whether
    /// the order's folder is new.
    pub(super) fn ensure_order_unsynced(
        &self,
        order: &OrderDir,
    ) -> Result<(Dir, bool), StorageError> {
        self.check_spelling(order)
            .and_then(|()| ensure_folder(&self.dir, order.as_str(), Access::Passage))
            .map_err(StorageError::on("create the folder", self.order_path(order)))
    }

    /// Refuses an order whose id differs from that of another one only in case, in one or two
    /// system calls: an id with upper-case letters leaves a link that is named after its lower-case
    /// spelling.
    fn check_spelling(&self, order: &OrderDir) -> io::Result<()> {
        let id = order.as_str();
        let lower = id.to_ascii_lowercase();
        let same_but_case = |existing: &str| {
            let (order, existing) = (id.to_owned(), existing.to_owned());
            Err(io::Error::new(io::ErrorKind::AlreadyExists, SameButCase { order, existing }))
        };
        let has_upper_case = lower != id;
        let spellings = match open_folder(&self.dir, SPELLINGS) {
            Ok(spellings) => spellings,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !has_upper_case => {
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                ensure_folder(&self.dir, SPELLINGS, Access::Private)?.0
            }
            Err(error) => return Err(error),
        };
        if let Some(spelled) = read_link(&spellings, &lower)? {
            let spelled = spelled.to_string_lossy();
            return if spelled == id { Ok(()) } else { same_but_case(&spelled) };
        }
        if !has_upper_case {
            return Ok(());
        }
        // `lower` may be the folder of this order, on a file system that ignores case.
        if self.dir.symlink_metadata(&lower).is_ok() && self.has_entry(&lower)? {
            return same_but_case(&lower);
        }
        match make_link(&spellings, id, &lower) {
            // Another thread was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.check_spelling(order)
            }
            made => made,
        }
    }

    /// Whether an entry of the sites folder is spelled exactly so.
    fn has_entry(&self, name: &str) -> io::Result<bool> {
        for entry in self.dir.entries()? {
            if entry?.file_name() == name {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes the order's public folder.
    pub(super) fn remove_public(&self, order: &OrderDir) -> io::Result<()> {
        remove_folder(&self.public, order.as_str())?;
        sync_folder(&self.public)
    }

    /// Forgets how a removed order's id was written.
    pub(super) fn forget_spelling(&self, order: &OrderDir) -> io::Result<()> {
        let removed = open_folder(&self.dir, SPELLINGS).and_then(|spellings| {
            let lower = order.as_str().to_ascii_lowercase();
            match read_link(&spellings, &lower)? {
                Some(spelled) if spelled == Path::new(order.as_str()) => {
                    spellings.remove_file(&lower)
                }
                _ => Ok(()),
            }
        });
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Makes the link in the order's private folder that people use to find its site.
    pub(super) fn link_current(&self, order: &OrderDir, dir: &Dir) -> io::Result<()> {
        let target = format!("../{PUBLIC}/{order}/{CURRENT}");
        match read_link(dir, CURRENT) {
            Ok(None) => return make_link(dir, &target, CURRENT),
            Ok(Some(found)) if found == Path::new(&target) => return Ok(()),
            _ => {}
        }
        replace_link(dir, &target, CURRENT, &format!(".{CURRENT}"))
    }

    /// Writes a small file to `<order>/<folder>/<name>`, mode 0600, whole or not at all, and never
    /// through a symbolic link. Creates missing folders, mode 0700. An existing file of that name
    /// is left as it is, which is not an error. The file is not synced: it may be missing after a
    /// power cut. Blocking.
    ///
    /// # Errors
    /// The file system call that failed.
    pub fn archive(
        &self,
        order: &OrderDir,
        folder: &str,
        name: &str,
        content: &[u8],
    ) -> Result<(), StorageError> {
        let shown = self.order_path(order).join(folder).join(name);
        let order = self.ensure_order(order)?;
        // Missing for most orders, which have one attempt.
        let written = create_folder(&order, folder, Access::Private).and_then(|(dir, _)| {
            let temporary = format!(".{name}.{}.tmp", Ulid::generate());
            let written = create_file(&dir, &temporary, Access::Private)
                .and_then(|mut file| file.write_all(content))
                .and_then(|()| match rename_new(&dir, &temporary, name) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        dir.remove_file(&temporary)
                    }
                    renamed => renamed,
                });
            written.inspect_err(|_| drop(dir.remove_file(&temporary)))
        });
        written.map_err(StorageError::on("write", shown))
    }

    /// Removes what crashed runs left behind, and returns the number of removed folders. A live run
    /// holds a lock on its folder, in this process or another one, and is skipped. Folders that an
    /// earlier version has made get the present layout and modes. Blocking.
    ///
    /// # Errors
    /// The first folder that could not be read or removed; the others are swept nevertheless.
    pub fn sweep(&self) -> Result<u64, StorageError> {
        let (mut swept, mut migrated) = (0, 0);
        let mut first = None;
        let entries = self
            .dir
            .entries()
            .map_err(StorageError::on("read the folder", self.path.to_path_buf()))?;
        for entry in entries {
            let name = match entry {
                Ok(entry) => entry.file_name(),
                Err(error) => {
                    let path = self.path.to_path_buf();
                    first = first.or(Some(StorageError::on("read the folder", path)(error)));
                    continue;
                }
            };
            // Any other name is not an order's folder.
            let Ok(order) = OrderDir::new(&name.to_string_lossy()) else { continue };
            match self.sweep_order(&order, &mut migrated) {
                Ok(count) => swept += count,
                Err(error) => first = first.or(Some(error)),
            }
        }
        if migrated > 0 {
            tracing::info!(
                orders = migrated,
                folder = %self.public_path().display(),
                "releases that an earlier version has made were moved to the folder for visitors"
            );
        }
        first.map_or(Ok(swept), Err)
    }

    fn sweep_order(&self, name: &OrderDir, migrated: &mut u64) -> Result<u64, StorageError> {
        let path = self.order_path(name);
        let order = match open_folder(&self.dir, name.as_str()) {
            Ok(order) => order,
            Err(error) if is_no_folder(&error) => return Ok(0),
            Err(error) => return Err(StorageError::on("open the folder", path)(error)),
        };
        // Folders of earlier versions have left no link. Two that differ in case both stay.
        if let Err(error) = self.check_spelling(name) {
            tracing::debug!(order = name.as_str(), %error, "the order's id is not remembered");
        }
        layout::tighten(&order).map_err(StorageError::on("change the modes in", &path))?;
        let mut swept = sweep_folder(&order, STAGING, &path, |_| true)?;
        // A publication holds this lock, so what is unfinished here belongs to a dead process.
        if try_lock(&order).map_err(StorageError::on("lock the folder", &path))? {
            *migrated += u64::from(layout::migrate(self, name, &order)?);
            if let Some(public) = self.open_public(name)? {
                let path = self.public_order_path(name);
                swept +=
                    sweep_folder(&public, RELEASES, &path, |entry| entry.starts_with(NEW_PREFIX))?;
            }
            self.sweep_manifests(name, &order)?;
        }
        Ok(swept)
    }

    /// Removes manifests whose release does not exist. The caller holds the order's lock.
    fn sweep_manifests(&self, name: &OrderDir, order: &Dir) -> Result<(), StorageError> {
        let path = self.order_path(name).join(MANIFESTS);
        let manifests = match open_folder(order, MANIFESTS) {
            Ok(manifests) => manifests,
            Err(error) if is_no_folder(&error) => return Ok(()),
            Err(error) => return Err(StorageError::on("open the folder", path)(error)),
        };
        let releases = match self.open_public(name)? {
            None => None,
            Some(public) => match open_folder(&public, RELEASES) {
                Ok(releases) => Some(releases),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    let path = self.public_order_path(name).join(RELEASES);
                    return Err(StorageError::on("open the folder", path)(error));
                }
            },
        };
        let removed = manifests.entries().and_then(|mut entries| {
            entries.try_for_each(|entry| {
                let file = entry?.file_name();
                let file = file.to_string_lossy();
                let Some(id) = file.strip_suffix(".json").and_then(release_id) else {
                    return Ok(());
                };
                let exists = releases
                    .as_ref()
                    .is_some_and(|releases| releases.symlink_metadata(id.to_string()).is_ok());
                if exists { Ok(()) } else { manifests.remove_file(file.as_ref()) }
            })
        });
        removed.map_err(StorageError::on("remove manifests of missing releases in", path))
    }
}

/// Removes the folders in `name` that `unfinished` accepts by their name and that no run has
/// locked. Returns their number.
fn sweep_folder(
    order: &Dir,
    name: &str,
    path: &Path,
    unfinished: impl Fn(&str) -> bool,
) -> Result<u64, StorageError> {
    let path = path.join(name);
    let folder = match open_folder(order, name) {
        Ok(folder) => folder,
        Err(error) if is_no_folder(&error) => return Ok(0),
        Err(error) => return Err(StorageError::on("open the folder", path)(error)),
    };
    let mut swept = 0;
    for entry in folder.entries().map_err(StorageError::on("read the folder", &path))? {
        let entry = entry.map_err(StorageError::on("read the folder", &path))?.file_name();
        let entry = entry.to_string_lossy();
        let left = path.join(entry.as_ref());
        if !unfinished(&entry) {
            continue;
        }
        let Ok(inner) = open_folder(&folder, &entry) else { continue };
        if !try_lock(&inner).map_err(StorageError::on("lock the folder", &left))? {
            continue;
        }
        remove_folder(&folder, &entry).map_err(StorageError::on("remove the folder", &left))?;
        swept += 1;
    }
    Ok(swept)
}

pub(super) fn is_no_folder(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The name of a release's manifest in the folder [`MANIFESTS`].
pub(super) fn manifest_name(id: ReleaseId) -> String {
    format!("{id}.json")
}

/// Opens or creates the public folder.
fn open_public(dir: &Dir, path: &Path) -> Result<Dir, RootError> {
    let path = path.join(PUBLIC);
    let public = ensure_folder(dir, PUBLIC, Access::Public).and_then(|(public, new)| {
        if new {
            sync_folder(dir)?;
        }
        // A mount point would refuse every release that is moved there.
        let name = format!(".probe-{}", Ulid::generate());
        drop(create_file(&public, &name, Access::Private)?);
        match rename(&public, &name, dir, &name) {
            Ok(()) => dir.remove_file(&name)?,
            Err(error) => {
                // The first error is the one to report.
                drop(public.remove_file(&name));
                return Err(error);
            }
        }
        Ok(public)
    });
    let public = public.map_err(|source| RootError::Public { path: path.clone(), source })?;
    // In the public folder, `current` could only be the folder of an order.
    if public.read_link_contents(CURRENT).is_ok() {
        return Err(RootError::OrderNamedPublic { path });
    }
    Ok(public)
}

fn probe(dir: &Dir) -> io::Result<()> {
    let name = format!(".probe-{}", Ulid::generate());
    let mut file = create_file(dir, &name, Access::Private)?;
    let written =
        file.write_all(b"written by the host to see whether it can").and_then(|()| file.sync_all());
    let removed = dir.remove_file(&name);
    written.and(removed)
}
