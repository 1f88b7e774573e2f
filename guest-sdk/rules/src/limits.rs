//! Default limits of a run. The operator's configuration can change them for the host; the SDK's
//! test harness always applies the defaults.

/// Maximum number of AI calls in a run.
pub const AI_CALLS: u32 = 64;

/// Maximum number of files in a site.
pub const SITE_FILES: u64 = 2_000;

/// Maximum size of one file of a site, in bytes: 8 MiB.
pub const FILE_BYTES: u64 = 8 * 1024 * 1024;

/// Maximum size of all files of a site together, in bytes: 64 MiB.
pub const SITE_BYTES: u64 = 64 * 1024 * 1024;

/// Maximum length of a path inside a site, in bytes of UTF-8.
pub const PATH_BYTES: u64 = 255;
