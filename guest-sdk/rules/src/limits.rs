//! Default limits of a run. The operator's configuration can change them for the host; the SDK's
//! test harness always applies the defaults.

#[cfg(feature = "path")]
use crate::path::SitePath;

/// Default maximum number of AI calls in a run.
pub const AI_CALLS: u32 = 64;

/// How much one run may write. The host's staging area enforces each limit and reports it beside
/// what was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct SiteLimits {
    /// Maximum number of files. Default: 2,000.
    pub files: u64,
    /// Maximum size of one file, in bytes. Default: 8 MiB.
    pub file_bytes: u64,
    /// Maximum size of all files together, in bytes. Default: 64 MiB.
    pub total_bytes: u64,
    /// Maximum length of a path, in bytes of UTF-8. Default: 255.
    pub path_bytes: u64,
}

impl Default for SiteLimits {
    fn default() -> Self {
        SiteLimits {
            files: 2000,
            file_bytes: 8 * 1024 * 1024,
            total_bytes: 64 * 1024 * 1024,
            path_bytes: 255,
        }
    }
}

/// One of the limits of [`SiteLimits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum SiteLimit {
    /// Number of files.
    Files,
    /// Bytes in one file.
    FileBytes,
    /// Bytes in all files.
    TotalBytes,
    /// Bytes in a path.
    PathBytes,
}

impl SiteLimit {
    /// The name in the configuration and in failure records, in snake case: `file_bytes`.
    pub fn name(self) -> &'static str {
        match self {
            SiteLimit::Files => "files",
            SiteLimit::FileBytes => "file_bytes",
            SiteLimit::TotalBytes => "total_bytes",
            SiteLimit::PathBytes => "path_bytes",
        }
    }

    /// What the limit counts, for messages.
    pub fn unit(self) -> &'static str {
        match self {
            SiteLimit::Files => "files",
            SiteLimit::FileBytes => "bytes a file",
            SiteLimit::TotalBytes => "bytes in all files",
            SiteLimit::PathBytes => "bytes a path",
        }
    }
}

/// How much of one limit was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Used {
    /// The limit.
    pub max: u64,
    /// What was used. Rejected writes do not count.
    pub used: u64,
}

/// How much of each limit a run has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SiteUsage {
    /// Number of files.
    pub files: Used,
    /// Bytes in the largest file.
    pub file_bytes: Used,
    /// Bytes in all files.
    pub total_bytes: Used,
    /// Bytes in the longest path.
    pub path_bytes: Used,
}

impl SiteUsage {
    /// The usage of a run that has written nothing.
    pub fn none(limits: &SiteLimits) -> Self {
        let of = |max| Used { max, used: 0 };
        SiteUsage {
            files: of(limits.files),
            file_bytes: of(limits.file_bytes),
            total_bytes: of(limits.total_bytes),
            path_bytes: of(limits.path_bytes),
        }
    }

    /// The usage after one more file of `bytes` bytes.
    ///
    /// # Errors
    /// The first limit that the file exceeds, in this order: the size of one file, the number of
    /// files, the size of all files. The length of the path is checked by [`SitePath::parse`].
    #[cfg(feature = "path")]
    pub fn with(mut self, path: &SitePath, bytes: u64) -> Result<Self, LimitHit> {
        let hit = |limit, used: &Used, would_be| {
            if would_be <= used.max {
                return Ok(would_be);
            }
            Err(LimitHit { limit, max: used.max, would_be, path: path.to_string() })
        };
        let largest = hit(SiteLimit::FileBytes, &self.file_bytes, bytes)?;
        self.files.used = hit(SiteLimit::Files, &self.files, self.files.used + 1)?;
        self.total_bytes.used = hit(
            SiteLimit::TotalBytes,
            &self.total_bytes,
            self.total_bytes.used.saturating_add(bytes),
        )?;
        self.file_bytes.used = self.file_bytes.used.max(largest);
        self.path_bytes.used = self.path_bytes.used.max(path.as_str().len() as u64);
        Ok(self)
    }

    /// Each limit with its usage, for a failure record.
    pub fn entries(&self) -> [(SiteLimit, Used); 4] {
        [
            (SiteLimit::Files, self.files),
            (SiteLimit::FileBytes, self.file_bytes),
            (SiteLimit::TotalBytes, self.total_bytes),
            (SiteLimit::PathBytes, self.path_bytes),
        ]
    }
}

/// A write that exceeds a limit.
#[cfg(feature = "path")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[error(
    "writing `{path}` would make {would_be} {}, more than the limit `{}` of {max}",
    .limit.unit(),
    .limit.name()
)]
pub struct LimitHit {
    /// The exceeded limit.
    pub limit: SiteLimit,
    /// Its value.
    pub max: u64,
    /// The value that the write would have reached.
    pub would_be: u64,
    /// The path of the write; only its beginning if the path is too long.
    pub path: String,
}
