//! Which paths of a site are taken. Two paths that are the same file on a file system that ignores
//! case or Unicode normalization collide.

use std::collections::HashMap;

use crate::path::{SitePath, case_key};

/// Why a path collides with one that is taken. `existing` is the spelling that was used first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The file was written before.
    #[error("the file `{0}` has been written already; write each file once")]
    Written(SitePath),
    /// The path differs from another one only in case or in Unicode normalization.
    #[error(
        "the path `{path}` differs from `{existing}` only in upper and lower case or in the \
         spelling of accents; use one spelling"
    )]
    Case {
        /// The rejected path.
        path: SitePath,
        /// The existing file or folder.
        existing: String,
    },
    /// A folder of the path is a file.
    #[error("the path `{path}` needs the folder `{file}`, which is a file; rename one of them")]
    PartIsFile {
        /// The rejected path.
        path: SitePath,
        /// The existing file.
        file: String,
    },
    /// The path is a folder that contains files.
    #[error("the path `{0}` is a folder with files in it; give the file another name")]
    IsFolder(SitePath),
}

/// The files and folders of a site that are taken.
#[derive(Debug, Clone, Default)]
pub struct TakenNames {
    /// By case key: the spelling, and what it is.
    names: HashMap<String, (String, Kind)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

impl TakenNames {
    /// No file or folder is taken.
    pub fn new() -> Self {
        TakenNames::default()
    }

    /// Whether a file may be written to `path`.
    ///
    /// # Errors
    /// The path or one of its folders collides with a file or folder that is taken; the outermost
    /// collision is reported.
    pub fn check(&self, path: &SitePath) -> Result<(), Conflict> {
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

    /// Takes `path` as a file, and its folders. [`check`](Self::check) it before; this does not.
    pub fn insert(&mut self, path: &SitePath) {
        for folder in path.folders() {
            self.names.entry(case_key(folder)).or_insert_with(|| (folder.to_owned(), Kind::Folder));
        }
        self.names.insert(case_key(path.as_str()), (path.to_string(), Kind::File));
    }
}
