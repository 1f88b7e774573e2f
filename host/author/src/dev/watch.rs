//! Watches a project and reports saved files after a quiet period.
//!
//! This is not `notify-debouncer-full`: it debounces each path separately, so that one "save all"
//! would start several builds, and it queues files that tools wrote before they can be ignored.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::contents::Contents;
use crate::project::GENERATED_FOLDERS;

/// Quiet period after which a change is complete: editors write a file in several steps, and
/// several files at once.
const QUIET_PERIOD: Duration = Duration::from_millis(30);
/// Maximum time from the first save to the report.
const MAX_DELAY: Duration = Duration::from_millis(500);
/// Maximum number of files in one change; later ones are not listed.
const MAX_PATHS: usize = 1_000;
/// Files that tools write into the project's folder. The save that ran the tool is reported
/// already, so these are not changes.
const WRITTEN_BY_TOOLS: [&str; 2] = ["Cargo.lock", "package-lock.json"];
/// End of the names of logs. No build reads one, and the program that writes it does so for ever.
const LOG: &str = ".log";

/// Reports saved files of one project.
pub struct Watcher {
    watcher: RecommendedWatcher,
    root: PathBuf,
    shared: Arc<Shared>,
    /// What the project's files contained when they were looked at last.
    contents: Contents,
}

/// Files that were saved together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedFiles {
    /// The time of the last save.
    pub at: Instant,
    /// Absolute paths, at most 1,000.
    pub paths: Vec<PathBuf>,
}

/// A folder or file cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {} for changes: {source}", .path.display())]
pub struct WatchError {
    pub path: PathBuf,
    pub source: notify::Error,
}

struct Shared {
    pending: Mutex<Pending>,
    changed: Notify,
    root: PathBuf,
    /// Files that are reported whenever they are saved, wherever they are.
    others: Vec<PathBuf>,
    /// What this program prints to. Each build prints, so that a report of it would start another
    /// build, for ever.
    outputs: Vec<FileId>,
}

/// Identifies a file, whatever its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }

    /// The regular file that is open; `None` for terminals and pipes.
    fn opened(open: BorrowedFd<'_>) -> Option<Self> {
        let metadata = File::from(open.try_clone_to_owned().ok()?).metadata().ok()?;
        metadata.is_file().then(|| FileId::of(&metadata))
    }

    /// The files that stdout and stderr of this process are.
    fn outputs() -> Vec<Self> {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        [stdout.as_fd(), stderr.as_fd()].into_iter().filter_map(FileId::opened).collect()
    }
}

#[derive(Default)]
struct Pending {
    paths: BTreeSet<PathBuf>,
    last: Option<Instant>,
    broken: Option<notify::Error>,
}

impl Watcher {
    /// Watches a project's folder, and `others`: files that are reported whenever they are saved,
    /// in the project or outside it. Of the project's other files, those are reported whose content
    /// has changed; build folders, logs and the files to which this process prints are left out.
    /// Blocking.
    ///
    /// # Errors
    /// If the system cannot watch a folder, for example because its limit is reached.
    pub fn new(root: &Path, others: &[&Path]) -> Result<Self, WatchError> {
        Watcher::without(FileId::outputs(), root, others)
    }

    /// The same, for a process that prints to these files.
    fn without(outputs: Vec<FileId>, root: &Path, others: &[&Path]) -> Result<Self, WatchError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| WatchError { path, source }
        };
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            changed: Notify::new(),
            root: root.to_owned(),
            others: others.iter().map(|other| (*other).to_owned()).collect(),
            outputs,
        });
        let handler = shared.clone();
        let mut watcher =
            notify::recommended_watcher(move |event| handler.handle(event)).map_err(at(root))?;
        // Not recursively from the root: build folders can exceed the system's limit of watches.
        watcher.watch(root, RecursiveMode::NonRecursive).map_err(at(root))?;
        let outside = others.iter().filter(|other| !other.starts_with(root));
        for other in outside.filter_map(|other| other.parent()).collect::<BTreeSet<_>>() {
            watcher.watch(other, RecursiveMode::NonRecursive).map_err(at(other))?;
        }
        let entries = std::fs::read_dir(root).map_err(notify::Error::io).map_err(at(root))?;
        let folders: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && !is_generated(root, path))
            .collect();
        for folder in folders {
            watcher.watch(&folder, RecursiveMode::Recursive).map_err(at(&folder))?;
        }
        // After the watches: a save in between is compared with what was there before it or with
        // itself, and no build has begun.
        let mut contents = Contents::default();
        contents.remember(root, &|path| shared.is_relevant(path));
        Ok(Watcher { watcher, root: root.to_owned(), shared, contents })
    }

    /// Waits for the next change. Cancel-safe: a dropped call loses no change.
    ///
    /// # Errors
    /// If the system can no longer watch.
    pub async fn next(&mut self) -> Result<SavedFiles, WatchError> {
        loop {
            let saved = self.saved().await?;
            let shared = &self.shared;
            let contents = &mut self.contents;
            // Nothing is awaited from here on, or a dropped call would lose what was taken.
            let paths = saved.paths.into_iter().filter(|path| {
                shared.others.contains(path)
                    || contents.changed(path, &|path| shared.is_relevant(path))
            });
            let paths: Vec<PathBuf> = paths.collect();
            if !paths.is_empty() {
                return Ok(SavedFiles { at: saved.at, paths });
            }
        }
    }

    /// Waits for the next files that are saved, whatever was in them before.
    async fn saved(&mut self) -> Result<SavedFiles, WatchError> {
        let first = loop {
            match self.shared.last()? {
                Some(at) => break at,
                None => self.shared.changed.notified().await,
            }
        };
        let mut last = first;
        while last.duration_since(first) < MAX_DELAY {
            // Another save starts the quiet period again.
            match tokio::time::timeout_at(
                (last + QUIET_PERIOD).into(),
                self.shared.changed.notified(),
            )
            .await
            {
                Ok(()) => last = self.shared.last()?.unwrap_or(last),
                Err(_) => break,
            }
        }
        let (paths, at) = self.shared.take();
        for folder in paths.iter().filter(|path| path.parent() == Some(&self.root) && path.is_dir())
        {
            // A new folder. It may be gone again already.
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::Recursive) {
                let folder = folder.display();
                tracing::warn!(%folder, %error, "cannot watch a new folder; restart `dev`");
            }
        }
        Ok(SavedFiles { at: at.unwrap_or(last), paths })
    }
}

impl Shared {
    fn handle(&self, event: notify::Result<notify::Event>) {
        let mut pending = self.pending.lock();
        match event {
            Ok(event) if is_change(&event.kind) => {
                let paths = event.paths.into_iter().filter(|path| self.is_relevant(path));
                let before = pending.paths.len();
                let mut any = false;
                for path in paths.take(MAX_PATHS.saturating_sub(before).max(1)) {
                    any = true;
                    pending.paths.insert(path);
                }
                if !any {
                    return;
                }
                pending.last = Some(Instant::now());
            }
            Ok(_) => return,
            Err(error) => pending.broken = Some(error),
        }
        drop(pending);
        self.changed.notify_one();
    }

    fn is_relevant(&self, path: &Path) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if self.others.iter().any(|other| other == path) {
            return true;
        }
        path.starts_with(&self.root)
            && path != self.root
            && !is_generated(&self.root, path)
            && !WRITTEN_BY_TOOLS.contains(&name.as_ref())
            && !is_editor_file(&name)
            && !name.ends_with(LOG)
            && !self.is_output(path)
    }

    /// Whether this process prints to the file. The others are not asked for what they are.
    fn is_output(&self, path: &Path) -> bool {
        !self.outputs.is_empty()
            && std::fs::metadata(path)
                .is_ok_and(|metadata| self.outputs.contains(&FileId::of(&metadata)))
    }

    fn last(&self) -> Result<Option<Instant>, WatchError> {
        let mut pending = self.pending.lock();
        match pending.broken.take() {
            Some(source) => Err(WatchError { path: self.root.clone(), source }),
            None => Ok(pending.last),
        }
    }

    fn take(&self) -> (Vec<PathBuf>, Option<Instant>) {
        let mut pending = self.pending.lock();
        let paths = std::mem::take(&mut pending.paths);
        (paths.into_iter().collect(), pending.last.take())
    }
}

/// Whether an event can change content. Reads and metadata changes cannot.
fn is_change(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)))
}

/// Whether a path is inside a build folder.
fn is_generated(root: &Path, path: &Path) -> bool {
    path.strip_prefix(root).is_ok_and(|path| {
        path.components().any(|part| GENERATED_FOLDERS.iter().any(|name| part.as_os_str() == *name))
    })
}

/// Whether the name is that of a file which no build reads and which an editor, a file manager or a
/// tool for coverage writes: temporary files, swap files, `.coverage`.
fn is_editor_file(name: &str) -> bool {
    let swap = |end: &str| end.starts_with("sw") && end.len() == 3;
    name.ends_with('~')
        || name.starts_with(".#")
        || (name.starts_with('#') && name.ends_with('#'))
        || (name.starts_with('.') && name.rsplit('.').next().is_some_and(swap))
        || name == "4913"
        || name == ".DS_Store"
        || name == ".coverage"
        || name.starts_with(".coverage.")
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "each test has a runtime of its own")]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn saved_files_are_reported_and_generated_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("project"), folder.path().join("orders"));
        for path in ["src", "target", ".sitewright"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::create_dir(&outside).unwrap();
        let order = outside.join("order.json");
        // As with `sitewright template dev > printed.txt 2> dev.log` in the project.
        let printed = File::create(root.join("printed.txt")).unwrap();
        let outputs = vec![FileId::opened(printed.as_fd()).unwrap()];
        let inside = root.join("inside.json");
        let mut watcher = Watcher::without(outputs, &root, &[&order, &inside]).unwrap();
        for unseen in [
            "target/a.wasm",
            ".sitewright/b",
            "src/.lib.rs.swp",
            "src/.lib.rs.swo",
            "src/lib.rs~",
            "src/#lib.rs#",
            ".coverage",
            "Cargo.lock",
            "dev.log",
            "printed.txt",
        ] {
            fs::write(root.join(unseen), "x").unwrap();
        }
        fs::write(outside.join("another.json"), "x").unwrap();
        fs::write(root.join("src/lib.rs"), "one").unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [root.join("src/lib.rs")]);

        // A new folder is watched from now on; earlier writes in it may or may not be reported.
        fs::create_dir(root.join("templates")).unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [root.join("templates")]);
        fs::write(root.join("templates/index.html"), "x").unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [root.join("templates/index.html")]);

        fs::write(&order, "{}").unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [order.as_path()]);

        // Saved again as they are: the source is no change, the inputs of a run are.
        fs::write(root.join("src/lib.rs"), "one").unwrap();
        fs::write(root.join("templates/index.html"), "x").unwrap();
        fs::write(&order, "{}").unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [order]);
        fs::write(&inside, "{}").unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [inside]);
        fs::write(root.join("src/lib.rs"), "two").unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [root.join("src/lib.rs")]);
        fs::remove_file(root.join("src/lib.rs")).unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [root.join("src/lib.rs")]);
    }
}
