//! Failure records on disk: `<root>/<order>/failures/<id>.json`.

use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};

use super::group::{Brief, Outline};
use super::version_1;
use sitewright_files::{FileError, FileProblem, Limit};
use sitewright_model::failure::{FailureRecord, RECORD_VERSION};

/// Maximum bytes of a record that is read.
const MAX_BYTES: u64 = 16 << 20;
/// Maximum values and names of fields of a record that is read.
const MAX_VALUES: usize = 200_000;

/// The folder of an order that holds its records.
pub const FOLDER: &str = "failures";

/// A record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system returned an error.
    #[error("{what} {}: {source}", .path.display())]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    /// The file is not a plain one, or too large.
    #[error(transparent)]
    File(#[from] FileError),
    /// The record has more values than any has, which take many times its bytes of memory.
    #[error(
        "{} is not a failure record: it has {values} values; at most {MAX_VALUES} are read",
        .path.display()
    )]
    TooManyValues { path: PathBuf, values: usize },
    /// The file is not a record.
    #[error("{} is not a failure record: {source}", .path.display())]
    NotARecord { path: PathBuf, source: serde_json::Error },
    /// The record was written by a newer host.
    #[error(
        "{} was written by a newer Sitewright (record version {version}, this one reads at most \
         {RECORD_VERSION}); read it with that version",
        .path.display()
    )]
    Newer { path: PathBuf, version: u32 },
    /// The record cannot be serialized: a bug of the host.
    #[error("the record cannot be serialized: {0}")]
    Serialize(serde_json::Error),
    /// There is no such record.
    #[error(
        "there is no failure {id:?} under {}; `sitewright failures list` shows those there are",
        .root.display()
    )]
    Unknown { id: String, root: PathBuf },
    /// There is no such file.
    #[error(
        "there is no file {}; `sitewright failures list` shows the records there are",
        .path.display()
    )]
    NoFile { path: PathBuf },
    /// Several records fit.
    #[error("{id:?} fits several failures: {}; give more of the id", .found.join(", "))]
    Ambiguous { id: String, found: Vec<String> },
}

fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { what, path: path.to_owned(), source }
}

/// Writes a record atomically, with mode 0600, into an order's open folder and returns its file;
/// `shown` is the path of the folder, for messages. No symbolic link is followed, also if somebody
/// replaces a folder meanwhile. Blocking.
///
/// # Errors
/// If the file system returns an error.
pub fn write(order: &Dir, shown: &Path, record: &FailureRecord) -> Result<PathBuf, StoreError> {
    let folder = shown.join(FOLDER);
    // The customer's data is in it: the modes do not depend on the umask.
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    let made = match order.create_dir_with(FOLDER, &builder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => order.open_dir_nofollow(FOLDER),
    };
    let dir = made.map_err(io("cannot make the folder", &folder))?;
    let text = serde_json::to_vec_pretty(record).map_err(StoreError::Serialize)?;
    let (name, temporary) = (format!("{}.json", record.id), format!(".{}.tmp", record.id));
    let (path, shown) = (folder.join(&name), folder.join(&temporary));
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).to_owned();
    let mut file = dir.open_with(&temporary, &new).map_err(io("cannot write", &shown))?;
    file.write_all(&text)
        .and_then(|()| file.write_all(b"\n"))
        .map_err(io("cannot write", &shown))?;
    file.sync_all().map_err(io("cannot sync", &shown))?;
    dir.rename(&temporary, &dir, &name).map_err(io("cannot put in place", &path))?;
    dir.open(".").and_then(|folder| folder.sync_all()).map_err(io("cannot sync", &folder))?;
    Ok(path)
}

/// Reads one record, of any version up to [`RECORD_VERSION`]. Blocking.
///
/// # Errors
/// If the file cannot be read, is not a record, or is of a newer version.
pub fn read(path: &Path) -> Result<FailureRecord, StoreError> {
    let bytes = bytes_of(path)?;
    let wrong = |source| StoreError::NotARecord { path: path.to_owned(), source };
    parse(serde_json::from_slice(&bytes).map_err(wrong)?, path)
}

/// The text of a record, which may be that of a stranger.
fn bytes_of(path: &Path) -> Result<Vec<u8>, StoreError> {
    let bytes = match sitewright_files::read(path, Limit::fixed(MAX_BYTES)) {
        Ok(bytes) => bytes,
        Err(FileError { problem: FileProblem::Io(source), .. }) => {
            return Err(io("cannot read", path)(source));
        }
        Err(error) => return Err(error.into()),
    };
    let values = sitewright_files::json::count(&bytes);
    if values > MAX_VALUES {
        return Err(StoreError::TooManyValues { path: path.to_owned(), values });
    }
    Ok(bytes)
}

/// Reads the fields of a record that lists show, and skips the rest. Blocking.
///
/// # Errors
/// As [`read`].
pub fn read_brief(path: &Path) -> Result<Brief, StoreError> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let bytes = bytes_of(path)?;
    let wrong = |source| StoreError::NotARecord { path: path.to_owned(), source };
    let outline = serde_json::from_slice::<Outline>(&bytes);
    let version = match &outline {
        Ok(outline) => outline.version,
        // The record may be of a newer version with other fields.
        Err(_) => {
            serde_json::from_slice::<Version>(&bytes).map_or(RECORD_VERSION, |found| found.version)
        }
    };
    if version > RECORD_VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), version });
    }
    let brief = match outline.map_err(wrong)?.brief() {
        Some(brief) => brief,
        // Written before records had fingerprints: computing one takes the whole record.
        None => Brief::of(&parse(serde_json::from_slice(&bytes).map_err(wrong)?, path)?),
    };
    Ok(Brief { file: Some(path.to_owned()), ..brief })
}

/// The record in this JSON value, of any version up to [`RECORD_VERSION`]. All stored records are
/// read by this function, wherever they come from; `path` names the source in errors.
///
/// # Errors
/// If the value is not a record, or is of a newer version.
pub fn parse(value: serde_json::Value, path: &Path) -> Result<FailureRecord, StoreError> {
    let wrong = |source| StoreError::NotARecord { path: path.to_owned(), source };
    let version = value.get("version").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if version > u64::from(RECORD_VERSION) {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            version: u32::try_from(version).unwrap_or(u32::MAX),
        });
    }
    let value = if version == 1 { version_1::upgraded(value) } else { value };
    serde_json::from_value(value).map_err(wrong)
}

/// The record's file for `id`: a path to a file, an id, or an unambiguous prefix of an id.
/// Blocking.
///
/// # Errors
/// If no record matches, or several do.
pub fn find(root: &Path, id: &str) -> Result<PathBuf, StoreError> {
    let file = Path::new(id);
    if file.extension().is_some_and(|extension| extension == "json") {
        let there = file.is_file().then(|| file.to_owned());
        return there.ok_or_else(|| StoreError::NoFile { path: file.to_owned() });
    }
    let wanted = id.to_ascii_uppercase();
    let mut found: Vec<PathBuf> = files(root)?;
    found.retain(|path| {
        path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with(&wanted))
    });
    let names = || {
        found
            .iter()
            .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
            .collect()
    };
    match found.as_slice() {
        _ if wanted.is_empty() => {
            Err(StoreError::Unknown { id: id.to_owned(), root: root.to_owned() })
        }
        [] => Err(StoreError::Unknown { id: id.to_owned(), root: root.to_owned() }),
        [path] => Ok(path.clone()),
        _ => Err(StoreError::Ambiguous { id: id.to_owned(), found: names() }),
    }
}

/// The files of an order's records, newest first. Blocking.
///
/// # Errors
/// If its folder cannot be read.
pub fn files_of(root: &Path, order: &str) -> Result<Vec<PathBuf>, StoreError> {
    let mut parts = Path::new(order).components();
    let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    if !is_name {
        return Ok(Vec::new());
    }
    let mut found = entries(&root.join(order).join(FOLDER))?;
    found.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    found.sort_by(|a, b| b.file_name().cmp(&a.file_name()));
    Ok(found)
}

/// The files of all records under `root`, newest first; none if `root` does not exist. A folder
/// that cannot be read is an error, not an empty list (catalogue B4). Blocking.
///
/// # Errors
/// If a folder cannot be read.
pub fn files(root: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for order in folders(root)? {
        for entry in entries(&order.join(FOLDER))? {
            if entry.extension().is_some_and(|extension| extension == "json") {
                found.push(entry);
            }
        }
    }
    found.sort_by(|a, b| b.file_name().cmp(&a.file_name()));
    Ok(found)
}

fn folders(root: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let wrong = || io("cannot read the folder", root);
    let entries = match std::fs::read_dir(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong()(error)),
        Ok(entries) => entries,
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry.map_err(wrong())?;
        // One system call less for each order than `Path::is_dir`.
        if entry.file_type().map_err(wrong())?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io("cannot read the folder", folder)(error)),
        Ok(entries) => entries
            .map(|entry| {
                entry.map(|entry| entry.path()).map_err(io("cannot read the folder", folder))
            })
            .collect(),
    }
}
