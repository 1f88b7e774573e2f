//! Installs packages of other languages' registries into folders of their own.
//!
//! A folder holds a file `installed` that names what is in it, and a file `place` with its own path,
//! because programs of a virtual environment do not work after it was moved or copied. Nothing is
//! downloaded while both are as wanted. A file lock keeps two processes from installing into the
//! same folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::process;

/// Packages of PyPI in a virtual environment.
#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct Python {
    /// Name and version: `typos==1.52.0`.
    pub(crate) packages: Vec<String>,
    /// Whether the dependencies of the packages are installed too. Default: true.
    #[serde(default = "yes")]
    pub(crate) dependencies: bool,
}

fn yes() -> bool {
    true
}

/// Installs packages of PyPI into `folder` and returns the folder of their programs, or why they
/// cannot be installed. Only wheels are installed: nothing is compiled.
///
/// The environments of a target folder share one pip, because making an environment with a pip of
/// its own takes seconds.
pub(crate) fn python(target: &Path, folder: &Path, wanted: &Python) -> Result<PathBuf, String> {
    let venv = folder.join("venv");
    let programs = venv.join("bin");
    let key = wanted.packages.join("\n");
    once(folder, &key, || {
        let pip = pip(target)?;
        let sh = Shell::new().map_err(|error| error.to_string())?;
        process::quietly(cmd!(sh, "python3 -m venv --clear --without-pip {venv}"))?;
        let python = programs.join("python");
        let no_deps = (!wanted.dependencies).then_some("--no-deps");
        let packages = &wanted.packages;
        process::quietly(cmd!(
            sh,
            "{pip} --python {python} install --quiet --disable-pip-version-check --no-input
             --only-binary :all: --no-compile --timeout 20 --retries 1 {no_deps...} {packages...}"
        ))
    })?;
    Ok(programs)
}

/// The pip that installs into all environments of a target folder.
fn pip(target: &Path) -> Result<PathBuf, String> {
    let folder = target.join("tools/pip");
    let venv = folder.join("venv");
    let pip = venv.join("bin/pip");
    // Older versions take three times as long to install the stand-ins.
    let wanted = "pip>=26";
    once(&folder, wanted, || {
        let sh = Shell::new().map_err(|error| error.to_string())?;
        process::quietly(cmd!(sh, "python3 -m venv --clear {venv}"))?;
        process::quietly(cmd!(sh, "{pip} install --quiet --disable-pip-version-check {wanted}"))
    })?;
    Ok(pip)
}

/// Installs the packages of npm that the lock file in the folder `manifest` names into `folder`.
/// Returns the folder of their programs, or why they cannot be installed.
pub(crate) fn npm(folder: &Path, manifest: &Path) -> Result<PathBuf, String> {
    let lock_file = manifest.join("package-lock.json");
    let key = fs::read_to_string(&lock_file)
        .map_err(|error| format!("cannot read {}: {error}", lock_file.display()))?;
    once(folder, &key, || {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(manifest.join(file), folder.join(file)).map_err(|error| error.to_string())?;
        }
        let sh = Shell::new().map_err(|error| error.to_string())?;
        sh.change_dir(folder);
        // Not `npm ci`: it fails if a registry lacks packages for other operating systems.
        process::quietly(cmd!(
            sh,
            "npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error"
        ))
    })?;
    Ok(folder.join("node_modules/.bin"))
}

/// Runs `install` unless the files `installed` and `place` in `folder` say `key` and its own path,
/// and then writes both.
fn once(
    folder: &Path,
    key: &str,
    install: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let in_folder = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(in_folder)?;
    let lock = File::create(folder.join("lock")).map_err(in_folder)?;
    lock.lock().map_err(in_folder)?;
    let installed = folder.join("installed");
    let place = folder.join("place");
    let here = folder.display().to_string();
    let says = |file: &Path, text: &str| fs::read_to_string(file).is_ok_and(|said| said == text);
    if says(&installed, key) && says(&place, &here) {
        return Ok(());
    }
    install()?;
    fs::write(&place, here).and_then(|()| fs::write(&installed, key)).map_err(in_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_not_installed_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("standin");
        let mut installs = 0;
        for (key, expected) in [("a==1", 1), ("a==1", 1), ("a==2", 2), ("a==2", 2)] {
            once(&folder, key, || {
                installs += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(installs, expected, "{key}");
        }
    }

    #[test]
    fn a_copied_folder_is_installed_again() {
        let folder = tempfile::tempdir().unwrap();
        let (made, moved) = (folder.path().join("made"), folder.path().join("moved"));
        once(&made, "a==1", || Ok(())).unwrap();
        fs::rename(&made, &moved).unwrap();
        let mut installs = 0;
        once(&moved, "a==1", || {
            installs += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(installs, 1);
    }

    #[test]
    fn what_failed_to_install_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        for attempt in 0..2 {
            let why = once(folder.path(), "a==1", || Err(format!("{attempt}"))).unwrap_err();
            assert_eq!(why, attempt.to_string());
        }
    }
}
