//! The site of a run.

use std::{error::Error as StdError, fmt};

use serde::Serialize;

use crate::{Result, backend};

/// A handle to the site of the run; cheap to clone. The site is published only if `generate`
/// succeeds and the site passes the host's checks.
#[derive(Debug, Clone)]
pub struct Site {
    // Private, so that only the SDK creates one: a site belongs to a run.
    _run: (),
}

impl Site {
    pub(crate) fn new() -> Self {
        Site { _run: () }
    }

    /// Writes a file. The path is relative, with `/` between its parts: `about/index.html`. A file
    /// can be written once.
    ///
    /// # Errors
    /// The path is invalid or taken, a limit is exceeded (default: 2,000 files, 8 MiB in one file,
    /// 64 MiB in all files), or the host could not store the file.
    pub fn write(&self, path: impl AsRef<str>, bytes: impl AsRef<[u8]>) -> Result<(), WriteError> {
        backend::write(path.as_ref(), bytes.as_ref())
    }

    /// Whether the run has written a file with exactly this path.
    pub fn exists(&self, path: impl AsRef<str>) -> bool {
        backend::exists(path.as_ref())
    }

    /// Begins a file that is written in chunks, so that a large one need not be in the template's
    /// memory at once.
    ///
    /// ```
    /// # use sitewright_sdk::prelude::*;
    /// # fn sitemap(site: &Site, pages: &[&str]) -> Result<()> {
    /// let mut file = site.create("sitemap.txt")?;
    /// for page in pages {
    ///     file.append(format!("{page}\n"))?;
    /// }
    /// file.finish()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The path is invalid or taken, or there are too many files.
    pub fn create(&self, path: impl AsRef<str>) -> Result<FileWriter, WriteError> {
        backend::Writer::create(path.as_ref()).map(FileWriter)
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// The value cannot be serialized as JSON; otherwise as [`Site::write`].
    #[track_caller]
    pub fn write_json(
        &self,
        path: impl AsRef<str>,
        value: &(impl Serialize + ?Sized),
    ) -> Result<()> {
        self.write(path, serde_json::to_vec_pretty(value)?)?;
        Ok(())
    }
}

/// A file that is written in chunks; see [`Site::create`]. One that is dropped before
/// [`finish`](Self::finish) is not written.
#[derive(Debug)]
#[must_use = "a file is written by `finish`"]
pub struct FileWriter(backend::Writer);

impl FileWriter {
    /// Adds bytes at the end. After an error, the file has what it had before.
    ///
    /// # Errors
    /// A limit is exceeded: 8 MiB in one file, 64 MiB in all files.
    pub fn append(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), WriteError> {
        self.0.append(bytes.as_ref())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// As [`Site::write`].
    pub fn finish(self) -> Result<(), WriteError> {
        self.0.finish()
    }
}

/// A rejected write. Files that were written before are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteError {
    /// The kind of the error.
    pub kind: WriteErrorKind,
    /// Never empty. Names the path, and for a limit its value.
    pub message: String,
}

/// The kind of a rejected write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteErrorKind {
    /// The path is invalid: it is absolute, has over 255 bytes or over 32 parts, has an empty, `.`
    /// or `..` part, a control character or one of `\ : * ? " < > |`, a part that is a device name
    /// of Windows, or begins with a space or ends with a space or a dot.
    InvalidPath,
    /// A file or folder with this path exists, perhaps with another spelling in upper and lower
    /// case, or a folder of the path is a file.
    Conflict,
    /// A limit is exceeded: the number of files, or the bytes of one file or of all files.
    Limit,
    /// The host could not store the file. The host fails the run; the template cannot recover.
    Storage,
    /// A kind of a later version of the contract.
    Other,
}

impl WriteErrorKind {
    /// The name in the contract, in kebab case: `invalid-path`.
    pub fn name(self) -> &'static str {
        match self {
            WriteErrorKind::InvalidPath => "invalid-path",
            WriteErrorKind::Conflict => "conflict",
            WriteErrorKind::Limit => "limit",
            WriteErrorKind::Storage => "storage",
            WriteErrorKind::Other => "other",
        }
    }
}

impl fmt::Display for WriteErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a file was not written ({}): {}", self.kind, self.message)
    }
}

impl StdError for WriteError {}
