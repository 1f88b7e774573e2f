//! The checks of a site before its release (failure catalogue A7, F5). Each rule is a value of
//! [`Rule`], each violation a [`SiteProblem`].
//!
//! Each file is read once and checked on its own; then all its references are looked up among the
//! files of the site.
//!
//! | file | answers |
//! |---|---|
//! | `files` | which checks a kind of file gets; style sheets, JSON and XML |
//! | `html`, `head`, `links` | the rules of one page, of its head, and what it refers to |
//! | `reference` | whether a reference leads to a file and an anchor |
//! | `placeholders`, `automaton` | which placeholders a template forgot, and which are the customer's |
//! | [`page`], `markup`, [`css`], `data` | the parsers: HTML; style sheets; JSON and XML |
//! | `problem` | the rules, and the bounded list of violations |
//! | `work` | how many steps a check may take |
//! | `confined` | how a site is checked in a child process, with limits on time and memory |
//!
//! A template writes what is checked, so every parser here reads each byte a bounded number of
//! times, is bounded in depth, and counts before it collects. What the libraries below do is
//! counted as [`Work`] as far as it can be seen, and otherwise held by the limits of the child.

mod automaton;
mod confined;
pub mod css;
mod data;
mod files;
mod head;
mod html;
mod links;
mod markup;
pub mod page;
mod placeholders;
mod problem;
mod reference;
mod work;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sitewright_order::Locale;

use self::files::{FileCheck, is_text};
use self::placeholders::{Literals, is_marked};
use self::problem::Problems;
use self::reference::{Facts, Index, MAX_SITE_ANCHORS, MAX_SITE_REFERENCES};
use super::path::SitePath;
use super::staging::StagedSite;
use super::storage::{StorageError, open_file};
use sitewright_model::message;

pub use self::confined::{CheckStopped, Checked, QUICK_BYTES, QuickCheck, SITE_CHECK};
pub use self::problem::{Rule, SiteProblem, Verdict};
pub use self::work::Work;

/// What the checks need from the order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VerifyOptions {
    /// The languages the site may be in; empty allows any. Only the first part of a tag is
    /// compared: `pt` of `pt-BR`.
    pub languages: Vec<Locale>,
    /// Strings of the order document. A customer may write `{{` or `${`, which the site shows
    /// literally: in these texts, whole or cut at the end, it is not a placeholder. Those without
    /// such marks may be left out.
    pub literal_texts: Vec<String>,
}

impl VerifyOptions {
    /// The options for an order, which is a JSON document. Every text in it may be shown literally.
    ///
    /// # Errors
    /// If the order is not JSON.
    pub fn for_order(document: &str, languages: Vec<Locale>) -> Result<Self, serde_json::Error> {
        let mut literal_texts = Vec::new();
        data::read_json(document, |_, text| {
            if is_marked(text) {
                literal_texts.push(text.to_owned());
            }
        })?;
        Ok(VerifyOptions { languages, literal_texts })
    }
}

/// The files of a site.
pub trait SiteFiles {
    fn paths(&self) -> Vec<SitePath>;
    /// # Errors
    /// If the file cannot be read.
    fn read(&self, path: &SitePath) -> Result<Cow<'_, [u8]>, StorageError>;
}

/// A site in memory, for tests and tools.
impl SiteFiles for BTreeMap<SitePath, Vec<u8>> {
    fn paths(&self) -> Vec<SitePath> {
        self.keys().cloned().collect()
    }

    fn read(&self, path: &SitePath) -> Result<Cow<'_, [u8]>, StorageError> {
        let missing = || StorageError::on("read", path.as_str())(io::ErrorKind::NotFound.into());
        self.get(path).map(|bytes| Cow::Borrowed(bytes.as_slice())).ok_or_else(missing)
    }
}

impl SiteFiles for StagedSite {
    fn paths(&self) -> Vec<SitePath> {
        self.files.keys().cloned().collect()
    }

    fn read(&self, path: &SitePath) -> Result<Cow<'_, [u8]>, StorageError> {
        if let Some(bytes) = self.area.buffer().get(path) {
            return Ok(Cow::Owned(bytes.to_vec()));
        }
        let mut bytes = Vec::new();
        let folder = self.area.folder()?;
        open_file(&folder.dir, path.as_str())
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(StorageError::on("read", self.area.path().join(path)))?;
        Ok(Cow::Owned(bytes))
    }
}

/// A staged site that breaks no rule. Only such a site can be published.
#[derive(Debug)]
pub struct VerifiedSite(StagedSite);

/// Why a staged site cannot be published. Its staging area is removed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The site breaks rules.
    #[error("the site does not pass its checks: {0}")]
    Rejected(Verdict),
    /// The checks did not end.
    #[error(transparent)]
    Stopped(#[from] Box<CheckStopped>),
    /// A file could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl StagedSite {
    /// Checks the site in this process, without limits on time and memory: for tests and for sites
    /// that no stranger wrote. Blocking and heavy on the CPU.
    ///
    /// # Errors
    /// If it breaks rules or a file could not be read.
    pub fn verify(self, options: &VerifyOptions) -> Result<VerifiedSite, VerifyError> {
        let verdict = verify(&self, options)?;
        self.verified(verdict)
    }

    fn verified(self, verdict: Verdict) -> Result<VerifiedSite, VerifyError> {
        if verdict.is_good() { Ok(VerifiedSite(self)) } else { Err(VerifyError::Rejected(verdict)) }
    }
}

impl VerifiedSite {
    /// Number of files.
    pub fn files(&self) -> usize {
        self.0.files.len()
    }

    pub(crate) fn into_staged(self) -> StagedSite {
        self.0
    }

    pub(crate) fn staged(&self) -> &StagedSite {
        &self.0
    }
}

/// Checks all files of a site. Blocking and heavy on the CPU.
///
/// # Errors
/// If a file could not be read. Violations of rules are not errors but the result.
pub fn verify(files: &impl SiteFiles, options: &VerifyOptions) -> Result<Verdict, StorageError> {
    Ok(verify_counted(files, options)?.0)
}

/// As [`verify`]. Also returns the number of steps it took, which grows at most linearly with the
/// site.
///
/// # Errors
/// As [`verify`].
pub fn verify_counted(
    files: &impl SiteFiles,
    options: &VerifyOptions,
) -> Result<(Verdict, u64), StorageError> {
    let (problems, steps) = check(files, options, None)?;
    Ok((problems.finish(), steps))
}

/// Checks all files. With `whole`, the check of the whole site stops when that work is exhausted,
/// and its result counts for nothing; otherwise each file has a work of its own, and exhausting it
/// is a problem of the file.
fn check(
    files: &impl SiteFiles,
    options: &VerifyOptions,
    whole: Option<&Work>,
) -> Result<(Problems, u64), StorageError> {
    let literals = Literals::new(&options.literal_texts);
    let mut problems = Problems::default();
    let mut facts = BTreeMap::new();
    let (mut references, mut anchors) = (MAX_SITE_REFERENCES, MAX_SITE_ANCHORS);
    let (mut steps, mut bytes) = (0, 0);
    for path in files.paths() {
        let content = if is_text(&path) { files.read(&path)? } else { Cow::default() };
        bytes += content.len();
        let own;
        let work = match whole {
            Some(whole) => whole,
            None => {
                own = Work::of_file(content.len());
                &own
            }
        };
        let mut check = FileCheck {
            file: &path,
            languages: &options.languages,
            literals: &literals,
            work,
            problems: &mut problems,
        };
        let found = check.check(&content, Facts::new(references, anchors));
        references -= found.references();
        anchors -= found.anchors();
        if whole.is_none() {
            steps += work.used();
            too_much(work, &path, content.len(), &mut problems);
        } else if work.is_exhausted() {
            return Ok((problems, work.used()));
        }
        facts.insert(path, found);
    }
    let entry = SitePath::entry_page();
    if !facts.contains_key(&entry) {
        let message = message!(
            "the site has no `index.html`, so visitors see nothing; write it at the top of the \
             site"
        );
        problems.add(&entry, Rule::EntryPage, None, None, message);
    }
    let own;
    let work = match whole {
        Some(whole) => whole,
        None => {
            own = Work::of_file(bytes);
            &own
        }
    };
    let stopped = Index::new(&facts).check(work, &mut problems);
    if let Some(stopped) = stopped.filter(|_| whole.is_none()) {
        too_much(work, stopped, bytes, &mut problems);
    }
    Ok((problems, steps + work.used()))
}

/// Reports a file whose check took all of its work.
fn too_much(work: &Work, file: &SitePath, bytes: usize, problems: &mut Problems) {
    if work.is_exhausted() {
        let message = message!(
            "the file takes more than {} steps to check, which are allowed for {bytes} bytes; make \
             it simpler",
            work.max()
        );
        problems.add(file, Rule::TooLarge, None, None, message);
    }
}
