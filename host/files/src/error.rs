//! What is wrong with a file.

use std::fmt;
use std::path::PathBuf;

/// Maximum bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub bytes: u64,
    /// The configuration key that sets it; `None` if it is fixed.
    pub key: Option<&'static str>,
}

impl Limit {
    /// A limit that no configuration changes.
    pub const fn fixed(bytes: u64) -> Self {
        Limit { bytes, key: None }
    }

    /// The limit of a configuration key, like `limits.order_bytes`.
    pub const fn of_key(key: &'static str, bytes: u64) -> Self {
        Limit { bytes, key: Some(key) }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes)?;
        match self.key {
            Some(key) => write!(f, ", the limit `{key}`"),
            None => Ok(()),
        }
    }
}

/// A file or folder cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the file {} cannot be read: {problem}", .path.display())]
pub struct FileError {
    /// As it was named, below the folder that it was named in.
    pub path: PathBuf,
    #[source]
    pub problem: FileProblem,
}

impl FileError {
    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(&self.problem, FileProblem::Io(error)
            if error.kind() == std::io::ErrorKind::NotFound)
    }
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// A name that could lead out of its folder.
    #[error(
        "it is not inside the folder {}; use a relative path of at most 255 bytes and 8 parts, \
         without `..`",
        .folder.display()
    )]
    Name { folder: PathBuf },
    #[error("it is {0}, and only regular files are read")]
    NotAFile(&'static str),
    #[error("it is {0}, and a folder is needed")]
    NotAFolder(&'static str),
    /// The size is that of the file's metadata, or the limit if the file grew.
    #[error("it has more than {0}")]
    TooLarge(Limit),
    #[error("it is not UTF-8 text")]
    NotText,
    /// A folder with more entries than are listed.
    #[error("it has more than {0} entries")]
    TooManyEntries(usize),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
