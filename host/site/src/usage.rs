//! The account of one run's files: names taken, limits used, what is stored. In memory only; it
//! touches no file system.

use std::collections::{BTreeMap, HashMap};

use super::limits::{LimitHit, SiteLimit, SiteLimits, SiteUsage};
use super::path::{PathError, SitePath, case_key};
use super::staging::{StoredFile, WriteError};

/// What is in the way of a file. `existing` is the spelling that is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The file was written before.
    #[error("the file `{0}` has been written already; write each file once")]
    Written(SitePath),
    /// A name differs only in upper and lower case or in how an accent is spelled.
    #[error(
        "the path `{path}` differs from `{existing}` only in upper and lower case or in the \
         spelling of accents; use one spelling"
    )]
    Case {
        /// The refused path.
        path: SitePath,
        /// The file or folder that is there.
        existing: String,
    },
    /// A folder of the path is a file.
    #[error("the path `{path}` needs the folder `{file}`, which is a file; rename one of them")]
    PartIsFile {
        /// The refused path.
        path: SitePath,
        /// The file that is there.
        file: String,
    },
    /// The path is a folder that has files.
    #[error("the path `{0}` is a folder with files in it; give the file another name")]
    IsFolder(SitePath),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: SiteLimits,
    usage: SiteUsage,
    last_hit: Option<LimitHit>,
    /// By case key: the spelling, and what it is.
    names: HashMap<String, (String, Kind)>,
    /// Nothing until the file is whole on the disk.
    files: BTreeMap<SitePath, Option<StoredFile>>,
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

impl Ledger {
    pub(super) fn new(limits: SiteLimits) -> Self {
        Ledger {
            limits,
            usage: SiteUsage::none(&limits),
            last_hit: None,
            names: HashMap::new(),
            files: BTreeMap::new(),
            closed: false,
        }
    }

    /// Takes the path and counts the bytes, or says why not; then nothing is taken.
    pub(super) fn reserve(&mut self, path: &str, bytes: u64) -> Result<SitePath, WriteError> {
        let max = usize::try_from(self.limits.path_bytes).unwrap_or(usize::MAX);
        let path = SitePath::parse(path, max).inspect_err(|error| {
            if let PathError::TooLong { shown, bytes, .. } = error {
                let (would_be, max) = (*bytes as u64, self.limits.path_bytes);
                self.last_hit = Some(LimitHit {
                    limit: SiteLimit::PathBytes,
                    max,
                    would_be,
                    path: shown.clone(),
                });
            }
        })?;
        if self.closed {
            return Err(WriteError::Closed(path));
        }
        self.check_names(&path)?;
        self.usage =
            self.usage.with(&path, bytes).inspect_err(|hit| self.last_hit = Some(hit.clone()))?;
        for folder in path.folders() {
            self.names.entry(case_key(folder)).or_insert_with(|| (folder.to_owned(), Kind::Folder));
        }
        self.names.insert(case_key(path.as_str()), (path.to_string(), Kind::File));
        self.files.insert(path.clone(), None);
        Ok(path)
    }

    /// The file is whole on the disk.
    pub(super) fn stored(&mut self, path: SitePath, file: StoredFile) {
        self.files.insert(path, Some(file));
    }

    /// Refuses further files, and returns those there are: with nothing for one that was never
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

    fn check_names(&self, path: &SitePath) -> Result<(), Conflict> {
        for folder in path.folders() {
            match self.names.get(&case_key(folder)) {
                Some((existing, _)) if existing != folder => {
                    return Err(Conflict::Case { path: path.clone(), existing: existing.clone() });
                }
                Some((file, Kind::File)) => {
                    return Err(Conflict::PartIsFile { path: path.clone(), file: file.clone() });
                }
                _ => {}
            }
        }
        match self.names.get(&case_key(path.as_str())) {
            Some((existing, _)) if existing != path.as_str() => {
                Err(Conflict::Case { path: path.clone(), existing: existing.clone() })
            }
            Some((_, Kind::File)) => Err(Conflict::Written(path.clone())),
            Some((_, Kind::Folder)) => Err(Conflict::IsFolder(path.clone())),
            None => Ok(()),
        }
    }
}
