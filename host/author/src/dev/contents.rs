//! What the files of a project contained when they were looked at last: a file that is written
//! again as it was is no change.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Files above this size in bytes are compared by size and time: reading them takes too long.
const MAX_READ: u64 = 4 << 20;
/// Maximum number of files whose content is known before their first change.
const MAX_FILES: usize = 20_000;

/// Digests of files.
#[derive(Debug, Default)]
pub(super) struct Contents {
    digests: BTreeMap<PathBuf, u64>,
    /// Whether there were too many files to look at them all.
    partial: bool,
}

impl Contents {
    /// Looks at the file, or at all wanted files in the folder. Blocking.
    pub(super) fn remember(&mut self, path: &Path, wanted: &dyn Fn(&Path) -> bool) {
        let mut rest = vec![path.to_owned()];
        while let Some(path) = rest.pop() {
            if self.digests.len() >= MAX_FILES {
                self.partial = true;
                return;
            }
            // Links to folders can lead in circles.
            if path.is_dir() && !path.is_symlink() {
                // A folder that cannot be read has no files to look at.
                let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
                rest.extend(entries.map(|entry| entry.path()).filter(|path| wanted(path)));
            } else if let Some(digest) = digest(&path) {
                self.digests.insert(path, digest);
            }
        }
    }

    /// Whether the file is another one than at the last look, or is gone; a folder always is
    /// another one. Blocking.
    pub(super) fn changed(&mut self, path: &Path, wanted: &dyn Fn(&Path) -> bool) -> bool {
        if path.is_dir() {
            self.remember(path, wanted);
            return true;
        }
        match digest(path) {
            Some(now) => self.digests.insert(path.to_owned(), now) != Some(now),
            None => self.forget(path),
        }
    }

    /// Whether there was such a file, or a folder with files, before it was removed. A temporary
    /// file that came and went between two looks was not.
    fn forget(&mut self, path: &Path) -> bool {
        let known = self.digests.range(path.to_path_buf()..).map(|(known, _)| known);
        let gone: Vec<PathBuf> =
            known.take_while(|known| known.starts_with(path)).cloned().collect();
        for path in &gone {
            self.digests.remove(path);
        }
        self.partial || !gone.is_empty()
    }
}

/// `None` if it is not a regular file, or cannot be read.
fn digest(path: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
    let mut hasher = DefaultHasher::new();
    if metadata.len() > MAX_READ {
        hasher.write_u64(metadata.len());
        hasher.write_i64(metadata.mtime());
        hasher.write_i64(metadata.mtime_nsec());
    } else {
        hasher.write(&std::fs::read(path).ok()?);
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_has_changed_if_its_content_has() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let all = |_: &Path| true;
        fs::create_dir_all(root.join("src/pages")).unwrap();
        for name in ["src/lib.rs", "src/pages/home.rs", "skipped"] {
            fs::write(root.join(name), "one").unwrap();
        }
        let mut contents = Contents::default();
        contents.remember(root, &|path| !path.ends_with("skipped"));
        let mut changed = |name: &str| contents.changed(&root.join(name), &all);
        let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();

        write("src/lib.rs", "one");
        assert!(!changed("src/lib.rs"), "written as it was");
        write("src/lib.rs", "two");
        assert!(changed("src/lib.rs") && !changed("src/lib.rs"));
        assert!(changed("skipped") && !changed("skipped"), "seen for the first time");
        assert!(!changed("src/lib.rs.tmp"), "it came and went");

        fs::remove_dir_all(root.join("src/pages")).unwrap();
        assert!(changed("src/pages") && !changed("src/pages"));
        fs::create_dir(root.join("src/pages")).unwrap();
        write("src/pages/home.rs", "one");
        assert!(changed("src/pages") && !changed("src/pages/home.rs"), "it came with its folder");

        // Too large to be read: one byte more than the limit.
        let large = fs::File::create(root.join("large")).unwrap();
        large.set_len(MAX_READ + 1).unwrap();
        assert!(changed("large") && !changed("large"));
        large.set_len(MAX_READ + 2).unwrap();
        assert!(changed("large"));
    }
}
