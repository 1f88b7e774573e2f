//! Copies a built file to the folder where the host looks for it.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;

/// Whether a copy changed the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The file had the same bytes already and was not written.
    Same,
    /// The file is new or was replaced.
    Written,
}

/// An installed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Installed {
    /// Its size.
    pub(crate) bytes: u64,
    pub(crate) change: Change,
}

/// Copies `from` to `to` if the bytes differ. A reader sees the old file or the new one, never a
/// part of it: the copy is written to a temporary file and renamed.
pub(crate) fn install(from: &Path, to: &Path) -> anyhow::Result<Installed> {
    let new =
        fs::read(from).with_context(|| format!("cannot read the built file {}", from.display()))?;
    let bytes = new.len() as u64;
    let old = match fs::read(to) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", to.display())),
    };
    if old.is_some_and(|old| old == new) {
        return Ok(Installed { bytes, change: Change::Same });
    }
    replace(to, &new).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(Installed { bytes, change: Change::Written })
}

fn replace(to: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    // The process id keeps two builds at once apart. The name does not end with `.wasm`, so a host
    // that reads the folder does not load it as a template.
    let mut name = to.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = Path::new(&name);
    let result = fs::write(part, bytes).and_then(|()| fs::rename(part, to));
    if result.is_err() && part.exists() {
        // The first error is the one to report.
        fs::remove_file(part).ok();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn writes_only_new_or_changed_files() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("built"), folder.path().join("templates/a-b.wasm"));
        for (content, change) in [
            ("one", Change::Written),
            ("one", Change::Same),
            ("two", Change::Written),
            ("two", Change::Same),
        ] {
            fs::write(&from, content).unwrap();
            assert_eq!(install(&from, &to).unwrap(), Installed { bytes: 3, change }, "{content}");
            assert_eq!(fs::read_to_string(&to).unwrap(), content);
            assert_eq!(names(&folder.path().join("templates")), ["a-b.wasm"]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_open_reader_reads_the_old_bytes() {
        use std::io::Read as _;
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("built"), folder.path().join("a.wasm"));
        fs::write(&to, "old old old").unwrap();
        let mut reader = fs::File::open(&to).unwrap();
        fs::write(&from, "new").unwrap();
        install(&from, &to).unwrap();
        let mut seen = String::new();
        reader.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, "old old old");
    }

    #[test]
    fn errors_name_the_file_and_leave_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("built"), folder.path().join("a.wasm"));
        let error = install(&from, &to).unwrap_err();
        assert!(format!("{error:#}").contains("built"), "{error:#}");
        fs::write(&from, "x").unwrap();
        fs::create_dir(&to).unwrap();
        let error = install(&from, &to).unwrap_err();
        assert!(format!("{error:#}").contains("a.wasm"), "{error:#}");
        assert_eq!(names(folder.path()), ["a.wasm", "built"]);
    }
}
