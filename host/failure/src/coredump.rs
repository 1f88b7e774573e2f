//! Dumps of stopped guests on disk: `<sites>/.coredumps/<failure>.coredump`.
//!
//! A dump is the guest's complete memory and contains the order's data: it is written only if
//! configured, with file mode 0600, and the oldest dumps are removed.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The folder of the dumps, beside the orders' folders. No order's name begins with a dot.
pub const FOLDER: &str = ".coredumps";
const SUFFIX: &str = ".coredump";

/// Writes a dump atomically and removes the oldest until `keep` (at least 1) are left. Blocking.
///
/// # Errors
/// If the file system returns an error.
pub fn write(sites: &Path, failure: &str, dump: &[u8], keep: usize) -> std::io::Result<PathBuf> {
    let folder = sites.join(FOLDER);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let path = folder.join(format!("{failure}{SUFFIX}"));
    let temporary = folder.join(format!("{failure}.tmp"));
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(dump).and_then(|()| std::fs::rename(&temporary, &path));
    if let Err(error) = written {
        if let Err(left) = std::fs::remove_file(&temporary) {
            let file = temporary.display();
            tracing::debug!(%file, error = %left, "cannot remove a temporary file of a core dump");
        }
        return Err(error);
    }
    keep_newest(&folder, keep.max(1));
    Ok(path)
}

/// Removes the dump of a failure, if there is one. Blocking.
///
/// # Errors
/// If the file system returns an error.
pub fn remove(sites: &Path, failure: &str) -> std::io::Result<()> {
    match std::fs::remove_file(sites.join(FOLDER).join(format!("{failure}{SUFFIX}"))) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Names begin with the failure's id, which sorts by time. A dump that cannot be removed is logged,
/// and removed with the next one.
fn keep_newest(folder: &Path, keep: usize) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut dumps: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(SUFFIX))
        .collect();
    dumps.sort();
    for old in &dumps[..dumps.len().saturating_sub(keep)] {
        if let Err(error) = std::fs::remove_file(old)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(file = %old.display(), %error, "cannot remove an old core dump");
        }
    }
}
