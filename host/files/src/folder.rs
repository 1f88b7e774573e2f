//! Files that a stranger names, inside one folder.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::error::{FileError, FileProblem, Limit};
use super::plain::{FLAGS, checked, content, io, name_of, regular, text};

/// Maximum bytes of a name, as most file systems have it for one part.
const MAX_NAME_BYTES: usize = 255;
/// Maximum parts of a name.
const MAX_PARTS: usize = 8;

/// An open folder. A name that is looked up in it is a relative path without `..`, no part of it
/// may be a symbolic link, and only regular files are read. So it means a file inside the folder,
/// also if somebody changes the folder meanwhile.
#[derive(Debug)]
pub struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder at `path`, which the operator named and which may contain links.
    ///
    /// # Errors
    /// If it is not a folder, or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        match rustix::fs::open(path, FLAGS | OFlags::DIRECTORY, Mode::empty()) {
            Ok(handle) => Ok(Folder { handle, path: path.to_owned() }),
            Err(error) => Err(FileError { path: path.to_owned(), problem: io(error) }),
        }
    }

    /// The path, for messages and for programs that the operator runs. Files are read through
    /// [`Folder::read`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is an entry with this name, of whatever kind.
    pub fn contains(&self, name: &str) -> bool {
        self.lookup(name).is_ok()
    }

    /// Reads the regular file `name` of at most `limit` bytes.
    ///
    /// # Errors
    /// If the name could lead out of the folder, there is no such file, or it is not a regular one
    /// within the limit.
    pub fn read(&self, name: &str, limit: Limit) -> Result<Vec<u8>, FileError> {
        self.open_file(name, limit)
            .and_then(|file| content(file, limit))
            .map_err(|problem| self.error(name, problem))
    }

    /// Reads the text file `name` of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Folder::read`], and if it is not UTF-8.
    pub fn read_text(&self, name: &str, limit: Limit) -> Result<String, FileError> {
        text(self.read(name, limit)?).map_err(|problem| self.error(name, problem))
    }

    /// Opens the folder `name` in it.
    ///
    /// # Errors
    /// If the name could lead out of the folder, or means something else.
    pub fn folder(&self, name: &str) -> Result<Folder, FileError> {
        match self.open_folder(name) {
            Ok(handle) => Ok(Folder { handle, path: self.path.join(name) }),
            Err(problem) => Err(self.error(name, problem)),
        }
    }

    /// The names of its folders, sorted. Files are left out, as are names that are not UTF-8.
    ///
    /// # Errors
    /// If it has more than `max` entries, one of them is a link to a folder, or it cannot be
    /// listed.
    pub fn folders(&self, max: usize) -> Result<Vec<String>, FileError> {
        let failed = |problem| FileError { path: self.path.clone(), problem };
        let mut names = Vec::new();
        let entries =
            rustix::fs::Dir::read_from(&self.handle).map_err(|error| failed(io(error)))?;
        for (number, entry) in entries.enumerate() {
            // `.` and `..` are two of them.
            if number >= max.saturating_add(2) {
                return Err(failed(FileProblem::TooManyEntries(max)));
            }
            let entry = entry.map_err(|error| failed(io(error)))?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => self.kind_of(&self.handle, name),
                kind => Ok(kind),
            };
            match kind.map_err(|problem| self.error(name, problem))? {
                FileType::Directory => names.push(name.to_owned()),
                // Left out without a word, it would look as if it was read.
                FileType::Symlink if self.leads_to_a_folder(name) => {
                    let problem = FileProblem::NotAFolder(name_of(FileType::Symlink));
                    return Err(self.error(name, problem));
                }
                _ => {}
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn leads_to_a_folder(&self, link: &str) -> bool {
        rustix::fs::statat(&self.handle, link, AtFlags::empty())
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    fn error(&self, name: &str, problem: FileProblem) -> FileError {
        // A name that is too long is shown in part.
        let shown: String = name.chars().take(MAX_NAME_BYTES).collect();
        FileError { path: self.path.join(shown), problem }
    }

    fn open_file(&self, name: &str, limit: Limit) -> Result<File, FileProblem> {
        let (parent, name) = self.parent(name)?;
        let parent = parent.as_ref().unwrap_or(&self.handle);
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io)?;
        checked(&stat, limit)?;
        let file = rustix::fs::openat(parent, name, FLAGS | OFlags::NOFOLLOW, Mode::empty());
        regular(File::from(file.map_err(io)?), limit)
    }

    fn open_folder(&self, name: &str) -> Result<OwnedFd, FileProblem> {
        let (parent, name) = self.parent(name)?;
        self.open_part(parent.as_ref().unwrap_or(&self.handle), name)
    }

    fn lookup(&self, name: &str) -> Result<(), FileProblem> {
        let (parent, name) = self.parent(name)?;
        self.kind_of(parent.as_ref().unwrap_or(&self.handle), name).map(drop)
    }

    /// The folder that holds the last part of the name (`None`: this one), and the last part.
    fn parent<'a>(&self, name: &'a str) -> Result<(Option<OwnedFd>, &'a str), FileProblem> {
        let outside = || FileProblem::Name { folder: self.path.clone() };
        let parts = parts(name).ok_or_else(outside)?;
        let (last, folders) = parts.split_last().ok_or_else(outside)?;
        let mut at: Option<OwnedFd> = None;
        for part in folders {
            at = Some(self.open_part(at.as_ref().unwrap_or(&self.handle), part)?);
        }
        Ok((at, last))
    }

    fn open_part(&self, parent: &OwnedFd, name: &str) -> Result<OwnedFd, FileProblem> {
        let flags = FLAGS | OFlags::NOFOLLOW | OFlags::DIRECTORY;
        match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Ok(folder) => Ok(folder),
            // The error of the system for a link or a file is `Not a directory`.
            Err(error) => Err(match self.kind_of(parent, name) {
                Ok(FileType::Directory) | Err(_) => io(error),
                Ok(kind) => FileProblem::NotAFolder(name_of(kind)),
            }),
        }
    }

    fn kind_of(&self, parent: &OwnedFd, name: &str) -> Result<FileType, FileProblem> {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }
}

/// The parts of a relative path; `None` if it could lead out of its folder. `./a` is `a`.
fn parts(name: &str) -> Option<Vec<&str>> {
    if name.len() > MAX_NAME_BYTES || name.starts_with('/') || name.contains('\0') {
        return None;
    }
    let parts: Vec<&str> = name.split('/').filter(|part| *part != ".").collect();
    let good = |part: &&str| !matches!(*part, "" | "..");
    (!parts.is_empty() && parts.len() <= MAX_PARTS && parts.iter().all(good)).then_some(parts)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const LIMIT: Limit = Limit::fixed(10);

    /// A folder with one entry of each kind, beside a secret that no name may reach.
    fn folder() -> (tempfile::TempDir, Folder) {
        let top = tempfile::tempdir().unwrap();
        std::fs::write(top.path().join("secret"), "secret").unwrap();
        let inside = top.path().join("inside");
        std::fs::create_dir_all(inside.join("sub/deep")).unwrap();
        std::fs::write(inside.join("plain"), "plain").unwrap();
        std::fs::write(inside.join("sub/deep/plain"), "deep").unwrap();
        std::fs::write(inside.join("large"), "01234567890").unwrap();
        std::fs::write(inside.join("binary"), [0xff]).unwrap();
        symlink("../secret", inside.join("out")).unwrap();
        symlink("plain", inside.join("in")).unwrap();
        symlink("/dev/zero", inside.join("zero")).unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("sub", inside.join("other")).unwrap();
        let fifo = inside.join("fifo");
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, mode, 0).unwrap();
        drop(std::os::unix::net::UnixListener::bind(inside.join("socket")).unwrap());
        let opened = Folder::open(&inside).unwrap();
        (top, opened)
    }

    #[test]
    fn a_name_means_a_plain_file_inside_the_folder_or_nothing() {
        let (top, folder) = folder();
        let absolute = top.path().join("secret").display().to_string();
        let long = "x".repeat(256);
        let deep = "a/".repeat(9) + "b";
        let rows: [(&str, Result<&str, &str>); 24] = [
            ("plain", Ok("plain")),
            ("./plain", Ok("plain")),
            ("sub/deep/plain", Ok("deep")),
            ("", Err("it is not inside the folder")),
            (".", Err("it is not inside the folder")),
            ("..", Err("it is not inside the folder")),
            ("../secret", Err("it is not inside the folder")),
            ("sub/../../secret", Err("it is not inside the folder")),
            ("sub//deep", Err("it is not inside the folder")),
            ("/dev/zero", Err("it is not inside the folder")),
            (&absolute, Err("it is not inside the folder")),
            (&long, Err("it is not inside the folder")),
            (&deep, Err("it is not inside the folder")),
            ("pl\0ain", Err("it is not inside the folder")),
            ("out", Err("it is a symbolic link")),
            ("in", Err("it is a symbolic link")),
            ("zero", Err("it is a symbolic link")),
            ("up/secret", Err("it is a symbolic link, and a folder is needed")),
            ("other/deep/plain", Err("it is a symbolic link, and a folder is needed")),
            ("fifo", Err("it is a FIFO")),
            ("socket", Err("it is a socket")),
            ("sub", Err("it is a folder")),
            ("large", Err("it has more than 10 bytes")),
            ("missing", Err("No such file")),
        ];
        for (name, expected) in rows {
            let read = folder.read_text(name, LIMIT).map_err(|error| error.to_string());
            match expected {
                Ok(content) => assert_eq!(read.as_deref(), Ok(content), "{name:?}"),
                Err(part) => {
                    let error = read.unwrap_err();
                    assert!(error.contains(part) && error.contains("inside"), "{name:?}: {error}");
                }
            }
        }
        assert!(folder.read("missing", LIMIT).unwrap_err().is_missing());
        let binary = folder.read_text("binary", LIMIT).unwrap_err().to_string();
        assert!(binary.contains("not UTF-8"), "{binary}");
        let named = Limit::of_key("limits.order_bytes", 3);
        let large = folder.read("plain", named).unwrap_err().to_string();
        assert!(large.ends_with("3 bytes, the limit `limits.order_bytes`"), "{large}");
    }

    #[test]
    fn only_real_folders_are_listed_and_entered() {
        let (_top, folder) = folder();
        for link in ["up", "other"] {
            let error = folder.folders(100).unwrap_err().to_string();
            assert!(error.contains("it is a symbolic link, and a folder is needed"), "{error}");
            std::fs::remove_file(folder.path().join(link)).unwrap();
        }
        assert_eq!(folder.folders(100).unwrap(), ["sub"]);
        let few = folder.folders(3).unwrap_err().to_string();
        assert!(few.contains("more than 3 entries"), "{few}");
        symlink("..", folder.path().join("up")).unwrap();
        let sub = folder.folder("sub/deep").unwrap();
        assert_eq!(sub.read_text("plain", LIMIT).unwrap(), "deep");
        for name in ["up", "other", "plain", "..", "missing"] {
            assert!(folder.folder(name).is_err(), "{name}");
        }
        assert!(folder.contains("fifo") && folder.contains("sub/deep"));
        assert!(!folder.contains("missing") && !folder.contains("../secret"));
    }

    #[test]
    fn what_the_operator_names_may_be_a_link_but_never_waits() {
        let (top, folder) = folder();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(crate::read_text(&at("in"), LIMIT).unwrap(), "plain");
        assert_eq!(crate::read_text(&at("out"), LIMIT).unwrap(), "secret");
        for (name, part) in [
            ("zero", "a device"),
            ("fifo", "a FIFO"),
            ("socket", "a socket"),
            ("sub", "a folder"),
            ("large", "more than 10 bytes"),
            ("missing", "No such file"),
        ] {
            let error = crate::read(&at(name), LIMIT).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
        drop(top);
    }
}
