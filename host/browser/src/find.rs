//! Which program is the browser?

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Names of Chromium and of browsers made of it, the most open first.
const NAMES: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome-headless-shell",
    "microsoft-edge",
];

/// There is no browser. The message says what to install.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoBrowser {
    #[error(
        "there is no browser {} ({from}): name the program of Chromium or Google Chrome, or leave \
         it out to search in PATH",
        .program.display()
    )]
    Named { program: PathBuf, from: &'static str },
    #[error(
        "there is no browser in PATH ({}): install Chromium (`apt-get install chromium`, `dnf \
         install chromium`, `apk add chromium`) or Google Chrome, or name its program with \
         --browser=PATH or the key `browser` of the configuration",
        NAMES.join(", ")
    )]
    Missing,
}

/// The program to start. `named` is what somebody chose, with where from: a path, or a name in
/// `path`. Without it, the first of some names in `path`, the value of the variable `PATH`.
///
/// # Errors
/// If it is not there.
pub fn find(
    named: Option<(&Path, &'static str)>,
    path: Option<&OsStr>,
) -> Result<PathBuf, NoBrowser> {
    let folders: Vec<PathBuf> =
        path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    let search =
        |name: &Path| folders.iter().map(|folder| folder.join(name)).find(|at| at.is_file());
    let Some((program, from)) = named else {
        return NAMES.iter().find_map(|name| search(Path::new(name))).ok_or(NoBrowser::Missing);
    };
    let found = match program.components().count() {
        1 if !program.is_absolute() => {
            search(program).or_else(|| program.is_file().then(|| Path::new(".").join(program)))
        }
        _ => program.is_file().then(|| program.to_owned()),
    };
    found.ok_or_else(|| NoBrowser::Named { program: program.to_owned(), from })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_path_or_name_and_otherwise_said_to_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        for (at, name) in [(&first, "google-chrome"), (&second, "chromium"), (&second, "brave")] {
            std::fs::create_dir_all(at).unwrap();
            std::fs::write(at.join(name), "").unwrap();
        }
        let path = std::env::join_paths([&first, &second]).unwrap();
        let found = |named: Option<&Path>, path: Option<&OsStr>| {
            find(named.map(|named| (named, "--browser")), path)
        };
        let own = second.join("brave");
        // The name counts, not the folder.
        assert_eq!(found(None, Some(&path)), Ok(second.join("chromium")));
        assert_eq!(found(Some(Path::new("brave")), Some(&path)), Ok(own.clone()));
        assert_eq!(found(Some(&own), None), Ok(own));
        for (named, path, words) in [
            (None, Some(OsStr::new("/nowhere")), "apt-get install chromium"),
            (None, None, "--browser=PATH"),
            (Some(Path::new("safari")), Some(path.as_os_str()), "no browser safari (--browser)"),
            (Some(first.as_path()), None, "name the program"),
        ] {
            let error = found(named, path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
