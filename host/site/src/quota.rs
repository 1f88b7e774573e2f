//! What one run has used of its limits: the paths it took, the bytes it wrote, and which of its
//! files are stored. In memory only; no file system call.

use std::collections::BTreeMap;

use super::limits::{LimitHit, SiteLimit, SiteLimits, SiteUsage};
use super::names::TakenNames;
use super::path::{PathError, SitePath};
use super::staging::{StoredFile, WriteError};

/// The quota of one run.
#[derive(Debug)]
pub(super) struct Quota {
    limits: SiteLimits,
    usage: SiteUsage,
    last_hit: Option<LimitHit>,
    names: TakenNames,
    /// `None` until the file is stored.
    files: BTreeMap<SitePath, Option<StoredFile>>,
    closed: bool,
}

impl Quota {
    pub(super) fn new(limits: SiteLimits) -> Self {
        Quota {
            limits,
            usage: SiteUsage::none(&limits),
            last_hit: None,
            names: TakenNames::new(),
            files: BTreeMap::new(),
            closed: false,
        }
    }

    /// Takes the path and counts the bytes. After an error, nothing is taken or counted.
    pub(super) fn reserve(&mut self, path: &str, bytes: u64) -> Result<SitePath, WriteError> {
        let (path, usage) = self.checked(path, bytes)?;
        self.usage = usage;
        self.names.insert(&path);
        self.files.insert(path.clone(), None);
        Ok(path)
    }

    /// Whether [`reserve`](Self::reserve) would accept the file.
    pub(super) fn check(&mut self, path: &str, bytes: u64) -> Result<(), WriteError> {
        self.checked(path, bytes).map(drop)
    }

    /// Whether a file with exactly this path was accepted.
    pub(super) fn has(&self, path: &str) -> bool {
        SitePath::parse(path, usize::MAX).is_ok_and(|path| self.files.contains_key(&path))
    }

    /// The path, and the usage with the file.
    fn checked(&mut self, path: &str, bytes: u64) -> Result<(SitePath, SiteUsage), WriteError> {
        let max = usize::try_from(self.limits.path_bytes).unwrap_or(usize::MAX);
        let path = SitePath::parse(path, max).inspect_err(|error| {
            if let PathError::TooLong { shown, bytes, .. } = error {
                self.last_hit = Some(LimitHit {
                    limit: SiteLimit::PathBytes,
                    max: self.limits.path_bytes,
                    would_be: *bytes as u64,
                    path: shown.clone(),
                });
            }
        })?;
        if self.closed {
            return Err(WriteError::Closed(path));
        }
        self.names.check(&path)?;
        let usage =
            self.usage.with(&path, bytes).inspect_err(|hit| self.last_hit = Some(hit.clone()))?;
        Ok((path, usage))
    }

    /// Records that the file is whole, in memory or on the disk.
    pub(super) fn stored(&mut self, path: SitePath, file: StoredFile) {
        self.files.insert(path, Some(file));
    }

    /// Rejects further files and returns those that were reserved: `None` for one that was never
    /// stored.
    pub(super) fn close(&mut self) -> BTreeMap<SitePath, Option<StoredFile>> {
        self.closed = true;
        self.files.clone()
    }

    pub(super) fn files_stored(&self) -> Vec<(SitePath, StoredFile)> {
        let stored =
            |(path, file): (&SitePath, &Option<StoredFile>)| Some((path.clone(), file.clone()?));
        self.files.iter().filter_map(stored).collect()
    }

    pub(super) fn usage(&self) -> SiteUsage {
        self.usage
    }

    pub(super) fn last_hit(&self) -> Option<LimitHit> {
        self.last_hit.clone()
    }
}
