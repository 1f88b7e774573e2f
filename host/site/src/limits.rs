//! What one run may write, and what it has written.

use serde::{Deserialize, Serialize};

use super::path::SitePath;

/// What one run may write. Each limit is enforced by [`Staging`](super::Staging) and shown beside
/// what was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SiteLimits {
    /// Most files. Default 2,000.
    pub files: u64,
    /// Most bytes in one file. Default 8 MiB.
    pub file_bytes: u64,
    /// Most bytes in all files together. Default 64 MiB.
    pub total_bytes: u64,
    /// Most bytes in a path. Default 255.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SiteLimit {
    /// Number of files.
    Files,
    /// Bytes in one file.
    FileBytes,
    /// Bytes in all.
    TotalBytes,
    /// Bytes in a path.
    PathBytes,
}

impl SiteLimit {
    /// Its name in the configuration and in failure records.
    pub fn name(self) -> &'static str {
        match self {
            SiteLimit::Files => "files",
            SiteLimit::FileBytes => "file_bytes",
            SiteLimit::TotalBytes => "total_bytes",
            SiteLimit::PathBytes => "path_bytes",
        }
    }

    /// What it counts, for messages.
    pub fn unit(self) -> &'static str {
        match self {
            SiteLimit::Files => "files",
            SiteLimit::FileBytes => "bytes a file",
            SiteLimit::TotalBytes => "bytes in all files",
            SiteLimit::PathBytes => "bytes a path",
        }
    }
}

/// A write that a limit refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("writing `{path}` would make {would_be} {}, more than the limit `{}` of {max}", .limit.unit(), .limit.name())]
pub struct LimitHit {
    /// Which limit.
    pub limit: SiteLimit,
    /// Its value.
    pub max: u64,
    /// What the value would have been with the write.
    pub would_be: u64,
    /// The beginning of the path that was to be written.
    pub path: String,
}

/// How much of one limit was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Most that is allowed.
    pub max: u64,
    /// What was used: of refused writes, nothing.
    pub used: u64,
}

/// How much of each limit a run has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteUsage {
    /// Files.
    pub files: Used,
    /// Bytes of the largest file.
    pub file_bytes: Used,
    /// Bytes of all files.
    pub total_bytes: Used,
    /// Bytes of the longest path.
    pub path_bytes: Used,
}

impl SiteUsage {
    pub(super) fn none(limits: &SiteLimits) -> Self {
        let of = |max| Used { max, used: 0 };
        SiteUsage {
            files: of(limits.files),
            file_bytes: of(limits.file_bytes),
            total_bytes: of(limits.total_bytes),
            path_bytes: of(limits.path_bytes),
        }
    }

    /// The usage after one more file, or the limit that refuses it.
    pub(super) fn with(mut self, path: &SitePath, bytes: u64) -> Result<Self, LimitHit> {
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

    /// Each limit with its name, for a failure record.
    pub fn entries(&self) -> [(SiteLimit, Used); 4] {
        [
            (SiteLimit::Files, self.files),
            (SiteLimit::FileBytes, self.file_bytes),
            (SiteLimit::TotalBytes, self.total_bytes),
            (SiteLimit::PathBytes, self.path_bytes),
        ]
    }
}
