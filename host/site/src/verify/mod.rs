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
//! | `placeholders` | which placeholders a template forgot, and which braces are the customer's |
//! | [`page`], [`css`], `data` | the parsers: HTML; style sheets; JSON and XML |
//! | `problem` | the rules, and the bounded list of violations |
//!
//! All of it is CPU work on whole files for the blocking pool. Every parser is bounded in depth,
//! and the work is at most linear in what the run's limits let a template write.

pub mod css;
mod data;
mod files;
mod head;
mod html;
mod links;
pub mod page;
mod placeholders;
mod problem;
mod reference;

use std::collections::BTreeMap;
use std::io::{self, Read};

use sitewright_order::Locale;

use self::files::{check_file, is_text};
use self::placeholders::Literals;
use self::problem::Problems;
use self::reference::Index;
use super::path::SitePath;
use super::staging::StagedSite;
use super::storage::{StorageError, open_file};
use sitewright_model::message;

pub use self::problem::{Rule, SiteProblem, Verdict};

/// What the checks need from the order.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The languages the site may be in; empty allows any. Only the first part of a tag is
    /// compared: `pt` of `pt-BR`.
    pub languages: Vec<Locale>,
    /// All strings of the order document. A customer may write `{{` or `${`, which the site shows
    /// literally: in these texts, whole or cut at the end, it is not a placeholder.
    pub literal_texts: Vec<String>,
}

impl VerifyOptions {
    /// The options for an order. Every text in `document` may be shown literally.
    pub fn for_order(document: &serde_json::Value, languages: Vec<Locale>) -> Self {
        let mut literal_texts = Vec::new();
        data::texts_of(document, &mut |text| literal_texts.push(text.to_owned()));
        VerifyOptions { languages, literal_texts }
    }
}

/// The files of a site.
pub trait SiteFiles {
    fn paths(&self) -> Vec<SitePath>;
    /// # Errors
    /// If the file cannot be read.
    fn read(&self, path: &SitePath) -> Result<Vec<u8>, StorageError>;
}

/// A site in memory, for tests and tools.
impl SiteFiles for BTreeMap<SitePath, Vec<u8>> {
    fn paths(&self) -> Vec<SitePath> {
        self.keys().cloned().collect()
    }

    fn read(&self, path: &SitePath) -> Result<Vec<u8>, StorageError> {
        let missing = || StorageError::on("read", path.as_str())(io::ErrorKind::NotFound.into());
        self.get(path).cloned().ok_or_else(missing)
    }
}

impl SiteFiles for StagedSite {
    fn paths(&self) -> Vec<SitePath> {
        self.files.keys().cloned().collect()
    }

    fn read(&self, path: &SitePath) -> Result<Vec<u8>, StorageError> {
        if let Some(bytes) = self.area.buffer().get(path) {
            return Ok(bytes.to_vec());
        }
        let mut bytes = Vec::new();
        let folder = self.area.folder()?;
        open_file(&folder.dir, path.as_str())
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(StorageError::on("read", self.area.path().join(path)))?;
        Ok(bytes)
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
    /// A file could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl StagedSite {
    /// Checks the site. Blocking and heavy on the CPU: call it from `spawn_blocking`.
    ///
    /// # Errors
    /// If it breaks rules or a file could not be read.
    pub fn verify(self, options: &VerifyOptions) -> Result<VerifiedSite, VerifyError> {
        let verdict = verify(&self, options)?;
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
    let literals = Literals::new(&options.literal_texts);
    let mut problems = Problems::default();
    let mut facts = BTreeMap::new();
    for path in files.paths() {
        let bytes = if is_text(&path) { files.read(&path)? } else { Vec::new() };
        let found = check_file(&path, bytes, options, &literals, &mut problems);
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
    Index::new(&facts).check(&mut problems);
    Ok(problems.finish())
}
