//! Which code this is.

/// Version and commit: `0.1.0+1a2b3c4d5e6f`. Stands in every record, manifest and `--version`
/// (catalogue G1).
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "+", env!("SITEWRIGHT_COMMIT"));
