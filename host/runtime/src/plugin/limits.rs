//! The limits of a run, each with its unit and default.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use sitewright_intake as order;
use sitewright_site::SiteLimits;

/// What one run may use. Each limit is enforced, and reports show it beside what was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct Limits {
    /// Bytes of linear memory and tables over all of the template's instances, and four times the
    /// AI requests that are in flight. Default 256 MiB: a Python template needs 40 MiB.
    pub memory_bytes: u64,
    /// Milliseconds of processor time. Default 10 s: a large site takes 100 ms.
    pub cpu_ms: u64,
    /// Milliseconds from start to end, AI calls included. Default 10 min.
    pub deadline_ms: u64,
    /// AI calls. Default 64.
    pub ai_calls: u64,
    /// Files of the site. Default 2,000.
    pub files: u64,
    /// Bytes of one file. Default 8 MiB.
    pub file_bytes: u64,
    /// Bytes of all files. Default 64 MiB.
    pub total_bytes: u64,
    /// Bytes of a file's path. Default 255: what every file system can hold.
    pub path_bytes: u64,
    /// Bytes of log text kept; older lines are dropped first. Default 256 KiB.
    pub log_bytes: u64,
    /// Bytes kept of each of stdout and stderr, the tail. Default 256 KiB.
    pub stderr_bytes: u64,
    /// Diagnostics kept; older ones are dropped first. Default 256.
    pub diagnostics: u64,
    /// Bytes of the order document. Default 1 MiB.
    pub order_bytes: u64,
    /// Milliseconds of processor time that compiling a template may take, in a process of its own;
    /// on the clock it may take five times as long. Compiled templates are cached. Default 2 min: a
    /// Python template takes 10 s.
    pub compile_ms: u64,
    /// Bytes of memory that compiling a template may take, in a process of its own. Default 2 GiB.
    pub compile_memory_bytes: u64,
    /// Bytes of a template's compiled form. Default 128 MiB: a Python template has 40 MiB.
    pub artifact_bytes: u64,
    /// Milliseconds of processor time that the checks of a site may take. Default 10 s: a large
    /// site takes 500 ms.
    pub check_ms: u64,
    /// Bytes of memory that the checks of a site may take, in a process of its own. Default 512
    /// MiB.
    pub check_memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let SiteLimits { files, file_bytes, total_bytes, path_bytes } = SiteLimits::default();
        Limits {
            memory_bytes: 256 << 20,
            cpu_ms: 10_000,
            deadline_ms: 600_000,
            ai_calls: 64,
            files,
            file_bytes,
            total_bytes,
            path_bytes,
            log_bytes: 256 << 10,
            stderr_bytes: 256 << 10,
            diagnostics: 256,
            order_bytes: order::MAX_BYTES as u64,
            compile_ms: 120_000,
            compile_memory_bytes: 2 << 30,
            artifact_bytes: 128 << 20,
            check_ms: 10_000,
            check_memory_bytes: 512 << 20,
        }
    }
}

impl Limits {
    /// `cpu_ms` as a duration.
    pub fn cpu(&self) -> Duration {
        Duration::from_millis(self.cpu_ms)
    }

    /// `order_bytes` as a length.
    pub fn order_max_bytes(&self) -> usize {
        usize::try_from(self.order_bytes).unwrap_or(usize::MAX)
    }

    /// The limits of the site.
    pub fn site(&self) -> SiteLimits {
        SiteLimits {
            files: self.files,
            file_bytes: self.file_bytes,
            total_bytes: self.total_bytes,
            path_bytes: self.path_bytes,
        }
    }

    /// `deadline_ms` as a duration.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}
