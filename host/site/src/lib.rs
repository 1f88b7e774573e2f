//! Everything between a guest's `site.write` and a finished release.
//!
//! A site passes through four types, each made only from the one before:
//!
//! ```text
//! Staging ──seal──> StagedSite ──verify──> VerifiedSite ──publish──> Release
//! write, limits     whole on the disk      breaks no rule            what visitors see
//! ```
//!
//! - [`path`]: what a guest may call a file;
//! - [`limits`]: how much it may write, and how much it has written;
//! - [`root`]: the one folder of all sites, and an order's folder in it;
//! - [`staging`]: where a run writes, with the account of its files in `usage` and the small ones
//!   in `staging_buffer`;
//! - [`verify`]: whether the site can work;
//! - [`manifest`], [`release`]: what is published, and how it is switched in one step; `sync_batcher`: of
//!   many sites at once;
//! - [`store`]: where a worker keeps releases: that folder, or an object store that several share.
//!
//! Functions here block on the file system unless they are `async`: call them from
//! `spawn_blocking`.

pub mod limits;
pub mod manifest;
pub mod path;
pub mod release;
pub mod root;
pub mod staging;
mod staging_buffer;
mod storage;
pub mod store;
mod sync_batcher;
mod usage;
pub mod verify;

pub use limits::{LimitHit, SiteLimit, SiteLimits, SiteUsage, Used};
pub use manifest::{
    MANIFEST_FORMAT, Manifest, ManifestFile, ReleaseId, ReleaseInfo, ReleaseTemplate,
};
pub use path::{MANIFEST_FILE, PathError, SitePath};
pub use release::{
    DEFAULT_KEEP, ListedRelease, PublishError, ReadError, Release, activate, discard,
    list_releases, place, publish, read_current,
};
pub use root::{CURRENT, OrderDir, OrderDirError, RootError, SitesRoot};
pub use staging::{Reserved, SealError, StagedSite, Staging, StoredFile, WriteError};
pub use storage::StorageError;
pub use store::connect::StoreLimits;
pub use store::request_error::{StoreError, StoreErrorKind};
pub use store::{ObjectSites, POINTER_FILE, Pointer, SiteStore};
pub use sync_batcher::place_prepared;
pub use usage::Conflict;
pub use verify::{
    Rule, SiteFiles, SiteProblem, Verdict, VerifiedSite, VerifyError, VerifyOptions, verify,
};
