//! Everything between a template's `site.write` and a published release.
//!
//! A site passes through four types, each made only from the one before:
//!
//! ```text
//! Staging ──seal──> StagedSite ──verify──> VerifiedSite ──publish──> Release
//! write, limits     every file is whole    breaks no rule            what visitors see
//! ```
//!
//! | module | answers |
//! |---|---|
//! | [`path`], [`names`], [`limits`] | which paths a template may write, which collide, how much |
//! | [`root`] | where the sites folder is, and an order's private and public folder in it |
//! | `layout` | how folders that an earlier version has made get this layout |
//! | [`staging`] | where a run writes |
//! | `quota` | which paths and how much of each limit a run has used |
//! | `staging_buffer` | which small sites stay in memory until they are released |
//! | [`verify`] | whether a site can work: one rule per value of [`Rule`] |
//! | [`manifest`] | what the manifest of a release contains; visitors do not get it |
//! | [`release`] | how a verified site becomes the current release, crash-safe in four steps |
//! | [`sync_batcher`] | how many releases share the wait for the disk (group commit) |
//! | `remove` | how is an order removed, and what crashed workers left of it? |
//! | [`store`] | where a worker keeps releases: the sites folder or an object store |
//! | `address` | which file a web server finds at an address |
//! | `storage` | file system calls relative to an open folder, and their errors |
//!
//! The rules in [`path`], [`names`] and [`limits`] are those of the SDK's test harness.
//!
//! Functions here block on the file system unless they are `async`: call them from
//! `spawn_blocking`.
//!
//! Object stores are the feature `object-store`, which is on by default.
//!
//! **Invariant:** only a [`VerifiedSite`] can be published.
//!
//! **Invariant:** the only crate of the host that depends on `object_store`. It does not know
//! templates, AI calls or the queue.
//!
//! **Invariant:** every file is opened relative to an open folder, without following links.
//!
//! **Invariant:** [`root`] and [`release`] do not know the group commit. Who publishes starts a
//! [`SyncBatcher`] and passes it on.

mod address;
mod excerpt;
mod layout;
pub mod manifest;
mod quota;
pub mod release;
mod remove;
pub mod root;
pub mod staging;
mod staging_buffer;
mod storage;
pub mod store;
pub mod sync_batcher;
pub mod verify;

pub use sitewright_rules::{limits, names, path};

pub use address::{Address, find_address};
pub use excerpt::excerpt;
pub use limits::{LimitHit, SiteLimit, SiteLimits, SiteUsage, Used};
pub use manifest::{
    MANIFEST_FORMAT, Manifest, ManifestFile, ReleaseId, ReleaseInfo, ReleaseTemplate,
};
pub use names::Conflict;
pub use path::{PathError, SitePath};
pub use release::{
    DEFAULT_KEEP, ListedRelease, PublishError, PublishOutcome, ReadError, Release, activate,
    discard, list_releases, place, publish, publish_prepared, read_current,
};
pub use remove::PRIVATE_FOLDERS;
pub use root::{CURRENT, MANIFESTS, OrderDir, OrderDirError, PUBLIC, RootError, SitesRoot};
pub use staging::{Reserved, SealError, StagedSite, Staging, StoredFile, WriteError};
pub use storage::StorageError;
pub use store::error::{StoreError, StoreErrorKind};
pub use store::limits::StoreLimits;
pub use store::{FolderSites, SiteStore, StoredRelease};
#[cfg(feature = "object-store")]
pub use store::{ObjectSites, POINTER_FILE, Pointer};
pub use sync_batcher::SyncBatcher;
pub use verify::{
    CheckStopped, Checked, CopyOptions, IMAGE_CHECK, Level, Levels, PublishedField, PublishedValue,
    QUICK_BYTES, QUICK_IMAGE_BYTES, QuickCheck, Rule, SITE_CHECK, SiteFiles, SitePolicy,
    SiteProblem, Verdict, VerifiedSite, VerifyError, VerifyOptions, ViewFuture, ViewedSite, Viewer,
    verify,
};
