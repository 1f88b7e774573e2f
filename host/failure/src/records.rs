//! The records that no database has: `<sites>/.records/<id>.json`, links to the records of attempts
//! that did not come from the queue.
//!
//! A worker stores each record in the database too, so a list is one query. Without these links it
//! would also have to look into the folder of every order for those of `sitewright generate`: 16 s
//! with 23,000 orders.
//!
//! The file `complete` says that no record of earlier versions is missing. It is written when the
//! sites folder is new, or after all folders were read once.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use super::store;

/// The folder of the links, beside the orders' folders. No order's name begins with a dot.
pub const FOLDER: &str = ".records";
const COMPLETE: &str = "complete";

/// Prepares a new sites folder, so that no list ever has to read the folders of all orders. Does
/// nothing if orders are there already. Blocking.
///
/// # Errors
/// If the file system returns an error.
pub fn begin(sites: &Path) -> io::Result<()> {
    if sites.join(FOLDER).exists() || has_orders(sites)? {
        return Ok(());
    }
    finish(sites, &[])
}

/// Whether there is a folder of an order: one that is neither hidden nor that of visitors.
fn has_orders(sites: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(sites)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = name == "public" || name.to_string_lossy().starts_with('.');
        if !is_ours && entry.file_type()?.is_dir() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds the record of an order. Blocking.
///
/// # Errors
/// If the file system returns an error.
pub fn add(sites: &Path, order: &str, id: &str) -> io::Result<()> {
    let target = format!("../{order}/{}/{id}.json", store::FOLDER);
    let link = sites.join(FOLDER).join(format!("{id}.json"));
    match symlink(&target, &link) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(sites)?;
            symlink(&target, &link)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        added => added,
    }
}

/// Adds records by their files, and says that none is missing. Blocking.
///
/// # Errors
/// If the file system returns an error: then lists go on reading all folders.
pub fn finish(sites: &Path, files: &[PathBuf]) -> io::Result<()> {
    make_folder(sites)?;
    for file in files {
        let order = file.parent().and_then(Path::parent).and_then(Path::file_name);
        if let (Some(order), Some(id)) = (order, file.file_stem()) {
            add(sites, &order.to_string_lossy(), &id.to_string_lossy())?;
        }
    }
    let mut file = std::fs::OpenOptions::new();
    let complete = sites.join(FOLDER).join(COMPLETE);
    file.write(true).create(true).truncate(true).mode(0o600).open(complete).map(drop)
}

fn make_folder(sites: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(sites.join(FOLDER)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Removes the link to a record that is removed. Blocking.
///
/// # Errors
/// If the file system returns an error. A link that does not exist is none.
pub fn remove(sites: &Path, id: &str) -> io::Result<()> {
    match std::fs::remove_file(sites.join(FOLDER).join(format!("{id}.json"))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The files of all records that no database has, newest first; `None` if records of earlier
/// versions may be missing. Blocking.
///
/// # Errors
/// If the file system returns an error.
pub fn list(sites: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    let folder = sites.join(FOLDER);
    if !folder.join(COMPLETE).exists() {
        return Ok(None);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Some(file) = file_of(sites, &std::fs::read_link(&path)?)
        {
            files.push(file);
        }
    }
    files.retain(|file| file.exists());
    files.sort_by(|a, b| b.file_name().cmp(&a.file_name()));
    Ok(Some(files))
}

/// The record's file, if the link leads to one and nowhere else.
fn file_of(sites: &Path, target: &Path) -> Option<PathBuf> {
    let mut parts = target.components();
    let (up, order, folder, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (Component::Normal(order), Component::Normal(folder), Component::Normal(name)) =
        (order, folder, name)
    else {
        return None;
    };
    let is_record = up == Component::ParentDir && folder == store::FOLDER && parts.next().is_none();
    is_record.then(|| sites.join(order).join(folder).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sites: &Path, order: &str, id: &str) -> PathBuf {
        let folder = sites.join(order).join(store::FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{id}.json"));
        std::fs::write(&file, "{}").unwrap();
        file
    }

    #[test]
    fn records_are_listed_once_none_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let sites = folder.path();
        let (first, second) = (record(sites, "a", "01A"), record(sites, "b", "01B"));
        begin(sites).unwrap();
        assert_eq!(list(sites).unwrap(), None, "an order is there, and its records are not read");
        add(sites, "b", "01B").unwrap();
        assert_eq!(list(sites).unwrap(), None);
        finish(sites, std::slice::from_ref(&first)).unwrap();
        assert_eq!(list(sites).unwrap(), Some(vec![second.clone(), first.clone()]));
        add(sites, "b", "01B").unwrap();
        std::fs::remove_file(&first).unwrap();
        assert_eq!(list(sites).unwrap(), Some(vec![second]), "a removed record is not listed");
        remove(sites, "01B").unwrap();
        remove(sites, "01B").unwrap();
        assert_eq!(list(sites).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_new_folder_of_sites_needs_no_reading() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("public")).unwrap();
        begin(folder.path()).unwrap();
        assert_eq!(list(folder.path()).unwrap(), Some(Vec::new()));
        let file = record(folder.path(), "a", "01A");
        add(folder.path(), "a", "01A").unwrap();
        assert_eq!(list(folder.path()).unwrap(), Some(vec![file]));
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_no_record() {
        for target in [
            "../../etc/failures/passwd",
            "/etc/passwd",
            "../a/failures/../../x",
            "../a/manifests/x.json",
            "a/failures/x.json",
            "../a",
            "../a/failures/b/x.json",
        ] {
            assert_eq!(file_of(Path::new("/sites"), Path::new(target)), None, "{target}");
        }
    }
}
