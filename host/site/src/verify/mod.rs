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
//! | `json_ld`, `robots` | structured data; `robots.txt` |
//! | `images`, `image_size` | files of images; the places that pages have for them |
//! | `picture` | whether the pixels of an image decode |
//! | `script`, `nesting` | whether scripts parse as JavaScript; how deep they nest |
//! | `handlers`, `trackers` | which attributes are scripts; which trackers scripts load |
//! | `copy` | the texts of a page, held against the order |
//! | `contrast` | whether texts can be told from their background |
//! | `hidden` | which texts no visitor sees |
//! | `cascade`, `style` | which declarations win for an element; the rules of a style sheet |
//! | `reference`, `hosts` | whether a reference leads to a file and an anchor, or to a real host |
//! | `reference_kind` | what a reference is; whether browsers load it, show it, or lead there |
//! | `site` | the rules that compare pages |
//! | `published`, `unused` | what visitors should see of the order, and what no page shows |
//! | `owner` | whether the page that visitors see first says whose site it is |
//! | `placeholders`, `automaton` | which placeholders a template forgot, and which are the customer's |
//! | [`page`], `markup`, [`css`], `data` | the parsers: HTML; style sheets; JSON and XML |
//! | `problem` | the rules, and the bounded list of violations |
//! | `work`, `cpu` | how many steps a check may take; how much processor time it took |
//! | `viewer` | who looks at a site in a browser, if somebody asked for it |
//! | `confined` | how a site is checked in a child process, with limits on time and memory |
//!
//! A template writes what is checked, so every parser here reads each byte a bounded number of
//! times, is bounded in depth, and counts before it collects. What the libraries below do is
//! counted as [`Work`] as far as it can be seen, and otherwise held by the limits of the child.

mod automaton;
mod cascade;
mod confined;
mod contrast;
mod copy;
mod cpu;
pub mod css;
mod data;
mod files;
mod handlers;
mod head;
mod hidden;
mod hosts;
mod html;
mod image_size;
mod images;
mod json_ld;
mod links;
mod markup;
mod nesting;
mod owner;
pub mod page;
mod picture;
mod placeholders;
mod problem;
mod published;
mod reference;
mod reference_kind;
mod robots;
mod script;
mod site;
mod style;
mod trackers;
mod unused;
mod viewer;
mod work;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sitewright_order::{Locale, Order};

use self::contrast::Styles;
use self::copy::Copy;
use self::files::{FileCheck, is_text};
use self::owner::Owner;
use self::picture::{Effort, QUICK_MEMORY};
use self::placeholders::{Literals, is_marked};
use self::problem::Problems;
use self::reference::{Facts, Index, MAX_SITE_ANCHORS, MAX_SITE_REFERENCES, other_page};
use self::unused::Search;
use super::path::SitePath;
use super::staging::StagedSite;
use super::storage::{StorageError, open_file};
use sitewright_model::message;

pub use self::confined::{
    CheckStopped, Checked, IMAGE_CHECK, QUICK_BYTES, QUICK_IMAGE_BYTES, QuickCheck, SITE_CHECK,
};
pub use self::contrast::{CONTRAST, CONTRAST_LARGE, contrast_ratio};
pub use self::images::ImageFile;
pub use self::problem::{Level, Levels, Rule, SiteProblem, Verdict};
pub use self::published::{MAX_FIELDS, PublishedField, PublishedValue};
pub use self::viewer::{ViewFuture, ViewedSite, Viewer};
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
    /// The host names reserved for examples that the order has, such as `joes.example`: links to
    /// them are the customer's. At most [`MAX_EXAMPLE_HOSTS`].
    #[serde(default)]
    pub example_hosts: BTreeSet<String>,
    /// Hosts that pages may load from, by name.
    #[serde(default)]
    pub external_hosts: BTreeSet<String>,
    /// Addresses of the web that the order has, without scheme, `www.` and `/` at the end: pages
    /// may load from them. At most [`MAX_OWN_ADDRESSES`].
    #[serde(default)]
    pub own_addresses: BTreeSet<String>,
    /// The fields of the order that pages should show, at most [`MAX_FIELDS`].
    #[serde(default)]
    pub fields: Vec<PublishedField>,
    /// Whether the order has its address for forms from the operator: a form that posts there is a
    /// way to reach the business, but a site without one lacks nothing of the order. Default:
    /// `false`.
    #[serde(default)]
    pub forms_of_operator: bool,
    /// What the texts of pages are held against; `None` checks no texts.
    #[serde(default)]
    pub copy: Option<CopyOptions>,
    /// The levels of rules that the operator chose.
    #[serde(default)]
    pub levels: Levels,
    /// Whether the operator's web server answers `/about` with `about.html`. Default: `false`.
    #[serde(default)]
    pub clean_urls: bool,
}

/// What the texts of pages are held against.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CopyOptions {
    /// The order document as JSON.
    pub document: String,
    /// The site's language: the first part of its tag. `None` if it may have several.
    pub language: Option<String>,
    /// The current year, which a text may name; 0 for none.
    pub year: u16,
    /// As [`SitePolicy::forbidden_words`].
    pub forbidden_words: Vec<String>,
    /// What the document says, if it was read before. Default: `None`, then it is read. Not for a
    /// child process, which reads it again.
    #[serde(skip)]
    pub facts: Option<Arc<sitewright_copy::Facts>>,
}

/// What an operator says about all sites: `[site]` in the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SitePolicy {
    /// The levels of rules that have another one than [`Rule::level`].
    pub levels: Levels,
    /// As [`VerifyOptions::clean_urls`].
    pub clean_urls: bool,
    /// Whether AI replies and the texts of pages are held against the order. Default here: `false`.
    pub copy: bool,
    /// Words and phrases that no text may have, in any case.
    pub forbidden_words: Vec<String>,
    /// Purposes whose AI replies are not checked as copy.
    pub exempt_purposes: Vec<String>,
    /// Names of hosts that pages may load from: those that the template declares.
    pub external_hosts: Vec<String>,
}

/// Maximum number of [`VerifyOptions::example_hosts`]. Further ones count as left by the template.
pub const MAX_EXAMPLE_HOSTS: usize = 64;
/// Maximum number of [`VerifyOptions::own_addresses`]. Further ones count as those of other hosts.
pub const MAX_OWN_ADDRESSES: usize = 1_000;
/// Maximum bytes of one of them. Browsers and servers accept 8 KiB or less.
const MAX_OWN_ADDRESS: usize = 8 << 10;

impl VerifyOptions {
    /// The options for an order, which is a JSON document. Every text in it may be shown literally.
    ///
    /// # Errors
    /// If the order is not JSON.
    pub fn for_order(document: &str, languages: Vec<Locale>) -> Result<Self, serde_json::Error> {
        let language = match languages.as_slice() {
            [only] => Some(only.language().to_owned()),
            _ => None,
        };
        let copy = CopyOptions { document: document.to_owned(), language, ..Default::default() };
        let copy = Some(copy);
        // A document of another form has no fields that are known.
        let order = serde_json::from_str::<Order>(document).ok();
        let fields = order.as_ref().map(published::published).unwrap_or_default();
        let mut options = VerifyOptions { languages, copy, fields, ..VerifyOptions::default() };
        data::read_json(document, |_, text| {
            if is_marked(text) {
                options.literal_texts.push(text.to_owned());
            }
            let is_address = text.starts_with("https://") || text.starts_with("http://");
            if is_address
                && text.len() <= MAX_OWN_ADDRESS
                && options.own_addresses.len() < MAX_OWN_ADDRESSES
            {
                options.own_addresses.insert(unused::key(text));
            }
            for host in hosts::for_examples(text) {
                if options.example_hosts.len() < MAX_EXAMPLE_HOSTS {
                    options.example_hosts.insert(host);
                }
            }
        })?;
        Ok(options)
    }

    /// The fields that the customer gave the order.
    fn fields_of_customer(&self) -> Cow<'_, [PublishedField]> {
        if !self.forms_of_operator {
            return Cow::Borrowed(&self.fields[..]);
        }
        let is_own = |field: &&PublishedField| field.pointer != published::FORM_ENDPOINT;
        self.fields.iter().filter(is_own).cloned().collect()
    }

    /// With what the operator says.
    pub fn with(self, policy: &SitePolicy, year: u16) -> Self {
        let SitePolicy { levels, clean_urls, forbidden_words, external_hosts, .. } = policy.clone();
        let copy = self.copy.filter(|_| policy.copy);
        let copy = copy.map(|copy| CopyOptions { forbidden_words, year, ..copy });
        let external_hosts = external_hosts.into_iter().collect();
        VerifyOptions { levels, clean_urls, copy, external_hosts, ..self }
    }
}

/// The files of a site.
pub trait SiteFiles {
    fn paths(&self) -> Vec<SitePath>;
    /// # Errors
    /// If the file cannot be read.
    fn read(&self, path: &SitePath) -> Result<Cow<'_, [u8]>, StorageError>;
    /// What a file is as an image. Of a large one, only the beginning is read. Its pixels are
    /// decoded as far as `work` allows.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn image(&self, path: &SitePath, work: &Work) -> Result<ImageFile, StorageError> {
        let content = self.read(path)?;
        Ok(ImageFile::of(&content, content.len() as u64, Effort::new(work, u64::MAX)))
    }
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
        self.read_file(path, u64::MAX)
    }

    fn image(&self, path: &SitePath, work: &Work) -> Result<ImageFile, StorageError> {
        let bytes = self.files.get(path).map_or(0, |file| file.bytes);
        let read = usize::try_from(bytes).unwrap_or(usize::MAX).min(images::MAX_READ);
        let _memory = images::MEMORY.take(read + QUICK_MEMORY);
        let start = self.read_start(path, images::MAX_READ)?;
        let effort = Effort::new(work, u64::MAX);
        // The file may have been changed by someone else since it was sealed.
        Ok(ImageFile::of(&start, bytes.max(start.len() as u64), effort))
    }
}

impl StagedSite {
    /// The first `bytes` bytes of a file, or all if it has fewer.
    fn read_start(&self, path: &SitePath, bytes: usize) -> Result<Cow<'_, [u8]>, StorageError> {
        if let Some(content) = self.area.buffer().get(path) {
            return Ok(Cow::Owned(content[..content.len().min(bytes)].to_vec()));
        }
        self.read_file(path, bytes as u64)
    }

    fn read_file(&self, path: &SitePath, most: u64) -> Result<Cow<'_, [u8]>, StorageError> {
        let mut bytes = Vec::new();
        let folder = self.area.folder()?;
        open_file(&folder.dir, path.as_str())
            .and_then(|file| file.take(most).read_to_end(&mut bytes))
            .map_err(StorageError::on("read", self.area.path().join(path)))?;
        Ok(Cow::Owned(bytes))
    }
}

/// A staged site that breaks no rule. Only such a site can be published.
#[derive(Debug)]
pub struct VerifiedSite {
    site: StagedSite,
    verdict: Verdict,
}

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
        match verdict.is_good() {
            true => Ok(VerifiedSite { site: self, verdict }),
            false => Err(VerifyError::Rejected(verdict)),
        }
    }
}

impl VerifiedSite {
    /// Number of files.
    pub fn files(&self) -> usize {
        self.site.files.len()
    }

    /// What the checks found; without problems.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// All files, to be looked at in a browser. Blocking.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read_files(&self) -> Result<BTreeMap<SitePath, Vec<u8>>, StorageError> {
        let read = |path: SitePath| {
            let bytes = self.site.read(&path)?.into_owned();
            Ok((path, bytes))
        };
        self.site.paths().into_iter().map(read).collect()
    }

    /// The same site, with what a browser found in it.
    ///
    /// # Errors
    /// If it breaks a rule whose level is [`Level::Error`].
    pub fn with_findings(
        self,
        found: Vec<SiteProblem>,
        levels: &Levels,
    ) -> Result<Self, VerifyError> {
        let mut problems = Problems::new(levels);
        for SiteProblem { file, rule, message, line, excerpt } in found {
            problems.add(&file, rule, line, excerpt.as_deref(), message);
        }
        let VerifiedSite { site, verdict } = self;
        site.verified(verdict.and(problems.finish()))
    }

    pub(crate) fn into_staged(self) -> StagedSite {
        self.site
    }

    pub(crate) fn staged(&self) -> &StagedSite {
        &self.site
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

/// Maximum redirections that are followed from the entry page to the page that visitors see. Each
/// looks through the paths of the site.
const MAX_HOPS: usize = 4;

/// Checks all files. With `whole`, the check of the whole site stops when that work is exhausted,
/// and its result counts for nothing; otherwise each file has a work of its own, and exhausting it
/// is a problem of the file.
fn check(
    files: &impl SiteFiles,
    options: &VerifyOptions,
    whole: Option<&Work>,
) -> Result<(Problems, u64), StorageError> {
    let literals = Literals::new(&options.literal_texts);
    let copy = options.copy.as_ref().and_then(Copy::new);
    let mut problems = Problems::new(&options.levels);
    let is_reported = options.levels.of(Rule::UnusedField) != Level::Off;
    let of_customer = options.fields_of_customer();
    let mut search = Search::new(if is_reported { &of_customer[..] } else { &[] });
    let is_named = options.levels.of(Rule::WhoseSite) != Level::Off;
    let mut owner = Owner::new(if is_named { &options.fields } else { &[] });
    let is_off = |rule| options.levels.of(rule) == Level::Off;
    let of_styles = [Rule::Contrast, Rule::HiddenText, Rule::ImageSize];
    let mut styles = Styles::new(of_styles.into_iter().any(|rule| !is_off(rule)));
    let mut facts: BTreeMap<SitePath, Facts> = BTreeMap::new();
    let (mut references, mut anchors) = (MAX_SITE_REFERENCES, MAX_SITE_ANCHORS);
    let (mut steps, mut bytes, mut hops) = (0, 0, 0_usize);
    let mut of_images = if is_off(Rule::ImageBroken) { 0 } else { work::IMAGES };
    let mut paths = files.paths();
    let entry = SitePath::entry_page();
    // The colours of a page are those of its style sheets, and the entry page says which page
    // visitors see first.
    paths.sort_by_key(|path| (path.extension().as_deref() != Some("css"), *path != entry));
    for path in paths {
        let mut image = None;
        if let Some(format) = images::Format::of(&path) {
            let own = Work::of_image(of_images);
            let work = whole.filter(|_| of_images > 0).unwrap_or(&own);
            let file = files.image(&path, work)?;
            if let Some(whole) = whole.filter(|whole| whole.is_exhausted()) {
                return Ok((problems, whole.used()));
            }
            of_images -= own.used_of_max();
            steps += own.used_of_max();
            file.check(&path, format, &mut problems);
            image = Some(file);
        }
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
            copy: copy.as_ref(),
            search: &mut search,
            owner: &mut owner,
            styles: &mut styles,
            work,
            problems: &mut problems,
        };
        let mut found = check.check(&content, Facts::new(references, anchors));
        found.image = found.image.or(image);
        if let Some(error) = problems.take_failure() {
            return Err(StorageError::on("check the scripts of", path.as_str())(error));
        }
        references -= found.references();
        anchors -= found.anchors();
        if whole.is_none() {
            steps += work.used();
            too_much(work, &path, content.len(), &mut problems);
        } else if work.is_exhausted() {
            return Ok((problems, work.used()));
        }
        if owner.is_of(&path)
            && let Some(address) = found.redirection()
            && let Some(page) = other_page(&path, address, &files.paths(), options.clean_urls)
        {
            hops += 1;
            // A page that was read before was not searched.
            if hops > MAX_HOPS || facts.contains_key(&page) {
                owner.forget();
            } else {
                owner.follow(page);
            }
        }
        facts.insert(path, found);
    }
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
    let index = Index::new(&facts, options);
    let stopped = index.check(work, &mut problems);
    if stopped.is_none() {
        site::check(&facts, &index.linked(), &mut problems);
        image_size::report(&facts, &index.shown(), work, &mut problems);
        if facts.contains_key(&entry) {
            owner.report(&facts, &mut problems);
            search.report(&facts, &mut problems);
        }
    }
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
