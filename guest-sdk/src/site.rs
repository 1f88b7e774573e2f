//! The site that is being made.

use std::{error::Error as StdError, fmt};

use serde::Serialize;

use crate::{Result, backend};

/// The site that is being made: a handle, to be cloned freely. The site becomes visible only when
/// `generate` has succeeded and the site has passed the host's checks.
#[derive(Debug, Clone)]
pub struct Site {
    // Only the SDK makes one: there is a site only while there is a run.
    _run: (),
}

impl Site {
    pub(crate) fn new() -> Self {
        Site { _run: () }
    }

    /// Writes one file. The path is relative, with `/` between its parts: `about/index.html`. A
    /// file is written once.
    ///
    /// # Errors
    /// The path is not allowed or taken, a limit is reached (2,000 files, 8 MiB a file, 64 MiB in
    /// all, unless the operator set others), or the host could not store the file.
    pub fn write(&self, path: impl AsRef<str>, bytes: impl AsRef<[u8]>) -> Result<(), WriteError> {
        backend::write(path.as_ref(), bytes.as_ref())
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// The value cannot be JSON, or as [`Site::write`].
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

/// Why a file was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteError {
    /// What kind of failure.
    pub kind: WriteErrorKind,
    /// Never empty; names the path, and the limit with its value.
    pub message: String,
}

/// What kind of failure a write met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteErrorKind {
    /// The path is not allowed: absolute, `..` or `.` parts, `\`, NUL or control characters, empty
    /// parts, reserved device names, a trailing dot or space, or over 255 bytes.
    InvalidPath,
    /// A file of this path, or one that differs only in upper and lower case, exists, or a part is
    /// a file.
    Conflict,
    /// A limit is reached: files, bytes of a file, or bytes in all.
    Limit,
    /// The host could not store the file. Nothing the template does can help.
    Storage,
    /// Anything newer.
    Other,
}

impl WriteErrorKind {
    /// The kind's name in the contract: `invalid-path`.
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
