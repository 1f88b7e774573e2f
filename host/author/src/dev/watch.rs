//! What has been saved in a project, told when nothing more comes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::project::MADE;

/// How long nothing more must come before a change counts as whole: editors write a file in several
/// steps, and several files at once.
const QUIET: Duration = Duration::from_millis(30);
/// How long is waited for that at most.
const PATIENCE: Duration = Duration::from_millis(500);
/// Most files that are named in one change.
const MAX_PATHS: usize = 1_000;
/// What tools write into a project's own folder; the change that made them do it is told already.
const WRITTEN_BY_TOOLS: [&str; 2] = ["Cargo.lock", "package-lock.json"];

/// Tells what has been saved.
pub struct Watcher {
    watcher: RecommendedWatcher,
    root: PathBuf,
    shared: Arc<Shared>,
}

/// Files that have been saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When the last of them was.
    pub at: Instant,
    /// Which: absolute.
    pub paths: Vec<PathBuf>,
}

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
#[error("changes in {} cannot be watched: {source}", .path.display())]
pub struct WatchError {
    /// The folder or file.
    pub path: PathBuf,
    /// Why.
    pub source: notify::Error,
}

struct Shared {
    pending: Mutex<Pending>,
    came: Notify,
    root: PathBuf,
    /// Files outside of the project.
    others: Vec<PathBuf>,
}

#[derive(Default)]
struct Pending {
    paths: BTreeSet<PathBuf>,
    last: Option<Instant>,
    broken: Option<notify::Error>,
}

impl Watcher {
    /// Watches a project's folder, but nothing that is made in it, and these files outside of it.
    /// Blocking.
    ///
    /// # Errors
    /// When the system cannot watch them.
    pub fn new(root: &Path, others: &[&Path]) -> Result<Self, WatchError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| WatchError { path, source }
        };
        let others: Vec<PathBuf> = others
            .iter()
            .filter(|other| !other.starts_with(root))
            .map(|other| (*other).to_owned())
            .collect();
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            came: Notify::new(),
            root: root.to_owned(),
            others: others.clone(),
        });
        let heard = shared.clone();
        let mut watcher =
            notify::recommended_watcher(move |event| heard.hear(event)).map_err(at(root))?;
        // Not the whole folder at once: what is made in it has more folders than a system likes to
        // watch.
        watcher.watch(root, RecursiveMode::NonRecursive).map_err(at(root))?;
        for other in others.iter().filter_map(|other| other.parent()).collect::<BTreeSet<_>>() {
            watcher.watch(other, RecursiveMode::NonRecursive).map_err(at(other))?;
        }
        let entries = std::fs::read_dir(root).map_err(notify::Error::io).map_err(at(root))?;
        let folders: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && !is_made(root, path))
            .collect();
        for folder in folders {
            watcher.watch(&folder, RecursiveMode::Recursive).map_err(at(&folder))?;
        }
        Ok(Watcher { watcher, root: root.to_owned(), shared })
    }

    /// The next change, once nothing more comes. When this is dropped, nothing is lost.
    ///
    /// # Errors
    /// When the system cannot watch any more.
    pub async fn next(&mut self) -> Result<Change, WatchError> {
        let first = loop {
            match self.shared.last()? {
                Some(at) => break at,
                None => self.shared.came.notified().await,
            }
        };
        let mut last = first;
        while last.duration_since(first) < PATIENCE {
            // The sleep may be cut short by something new, which makes it begin again.
            match tokio::time::timeout_at((last + QUIET).into(), self.shared.came.notified()).await
            {
                Ok(()) => last = self.shared.last()?.unwrap_or(last),
                Err(_) => break,
            }
        }
        let (paths, at) = self.shared.take();
        for folder in paths.iter().filter(|path| path.parent() == Some(&self.root) && path.is_dir())
        {
            // A new folder. One that is gone again is no loss.
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::Recursive) {
                tracing::warn!(folder = %folder.display(), %error, "a new folder cannot be watched");
            }
        }
        Ok(Change { at: at.unwrap_or(last), paths })
    }
}

impl Shared {
    fn hear(&self, event: notify::Result<notify::Event>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(event) if is_change(&event.kind) => {
                let paths = event.paths.into_iter().filter(|path| self.matters(path));
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
        self.came.notify_one();
    }

    fn matters(&self, path: &Path) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if self.others.iter().any(|other| other == path) {
            return true;
        }
        path.starts_with(&self.root)
            && path != self.root
            && !is_made(&self.root, path)
            && !WRITTEN_BY_TOOLS.contains(&name.as_ref())
            && !is_an_editors(&name)
    }

    fn last(&self) -> Result<Option<Instant>, WatchError> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        match pending.broken.take() {
            Some(source) => Err(WatchError { path: self.root.clone(), source }),
            None => Ok(pending.last),
        }
    }

    fn take(&self) -> (Vec<PathBuf>, Option<Instant>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = std::mem::take(&mut pending.paths);
        (paths.into_iter().collect(), pending.last.take())
    }
}

/// Reading a file, or its permissions, is none.
fn is_change(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)))
}

/// Whether a path lies in a folder whose contents are made, not written.
fn is_made(root: &Path, path: &Path) -> bool {
    path.strip_prefix(root).is_ok_and(|path| {
        path.components().any(|part| MADE.iter().any(|made| part.as_os_str() == *made))
    })
}

/// What editors put beside a file while it is open.
fn is_an_editors(name: &str) -> bool {
    name.ends_with('~')
        || name.starts_with(".#")
        || (name.starts_with('.') && (name.ends_with(".swp") || name.ends_with(".swx")))
        || name == "4913"
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "each test has a runtime of its own")]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_is_saved_is_told_and_what_is_made_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("project"), folder.path().join("orders"));
        for path in ["src", "target", ".sitewright"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::create_dir(&outside).unwrap();
        let order = outside.join("order.json");
        let mut watcher = Watcher::new(&root, &[&order, &root.join("inside.json")]).unwrap();
        for unseen in
            ["target/a.wasm", ".sitewright/b", "src/.lib.rs.swp", "src/lib.rs~", "Cargo.lock"]
        {
            fs::write(root.join(unseen), "x").unwrap();
        }
        fs::write(outside.join("another.json"), "x").unwrap();
        fs::write(root.join("src/lib.rs"), "one").unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [root.join("src/lib.rs")]);

        // A new folder is watched from then on; what was written meanwhile may be told with it or
        // not.
        fs::create_dir(root.join("templates")).unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [root.join("templates")]);
        fs::write(root.join("templates/index.html"), "x").unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [root.join("templates/index.html")]);

        fs::write(&order, "{}").unwrap();
        assert_eq!(watcher.next().await.unwrap().paths, [order]);
    }
}
