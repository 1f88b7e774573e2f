//! Whether a site can work, before anybody sees it (catalogue A7, F5).
//!
//! Each file is read once and by itself (`html`, `css`, `data`); then everything a file refers to
//! is looked up among all files (`reference`). Each rule is a value of [`Rule`], each place where
//! it is broken a [`SiteProblem`].
//!
//! All of it is CPU work on whole files: it belongs on the blocking pool, and every parser here is
//! bounded in depth. What runs long is at most linear in what the run's limits let a template
//! write.

pub mod css;
mod data;
mod html;
pub mod page;
mod placeholders;
mod problem;
mod reference;

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};

use sitewright_order::Locale;

use self::placeholders::Literals;
use self::problem::Problems;
use self::reference::{Facts, Index, Reference};
use super::path::SitePath;
use super::staging::StagedSite;
use super::storage::{StorageError, open_file};
use sitewright_model::message;

pub use self::problem::{Rule, SiteProblem, Verdict};

/// What the checks need to know of the order.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The languages the site may be in; any when empty. Only the first part of a tag is compared:
    /// `pt` of `pt-BR`.
    pub languages: Vec<Locale>,
    /// All strings of the order document. A customer may write `{{` or `${`, and the site shows it
    /// literally: inside these texts, whole or cut at the end, it is no placeholder.
    pub literal_texts: Vec<String>,
}

impl VerifyOptions {
    /// The options for an order: any text in its document may be shown literally.
    pub fn for_order(document: &serde_json::Value, languages: Vec<Locale>) -> Self {
        let mut literal_texts = Vec::new();
        data::texts_of(document, &mut |text| literal_texts.push(text.to_owned()));
        VerifyOptions { languages, literal_texts }
    }
}

/// The files of a site.
pub trait SiteFiles {
    /// All paths.
    fn paths(&self) -> Vec<SitePath>;
    /// The bytes of one of them.
    ///
    /// # Errors
    /// When it cannot be read.
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

/// A staged site that broke no rule. Only such a site can be published.
#[derive(Debug)]
pub struct VerifiedSite(StagedSite);

/// Why a staged site may not be published. Its staging area is removed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It broke rules.
    #[error("the site does not pass its checks: {0}")]
    Rejected(Verdict),
    /// A file could not be read back.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl StagedSite {
    /// Checks the site. Blocking and heavy on the CPU: call it from `spawn_blocking`, or use
    /// [`verify_async`](Self::verify_async).
    ///
    /// # Errors
    /// When it broke rules or could not be read back.
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

    pub(super) fn into_staged(self) -> StagedSite {
        self.0
    }

    pub(super) fn staged(&self) -> &StagedSite {
        &self.0
    }
}

/// Checks all files of a site. Blocking and heavy on the CPU.
///
/// # Errors
/// When a file could not be read. What is wrong with the site is no error but the result.
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

/// Whether a file of this name is text; all such files must be UTF-8.
fn is_text(path: &SitePath) -> bool {
    const TEXT: [&str; 15] = [
        "html",
        "htm",
        "css",
        "js",
        "mjs",
        "json",
        "webmanifest",
        "xml",
        "svg",
        "txt",
        "md",
        "csv",
        "vtt",
        "map",
        "rss",
    ];
    path.extension().is_some_and(|extension| TEXT.contains(&extension.as_str()))
}

fn check_file(
    file: &SitePath,
    bytes: Vec<u8>,
    options: &VerifyOptions,
    literals: &Literals,
    problems: &mut Problems,
) -> Facts {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let line =
                error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            let message =
                message!("the file is not UTF-8 from byte {at} on; write text files as UTF-8");
            problems.add(file, Rule::Utf8, Some(line), None, message);
            return Facts::default();
        }
    };
    match file.extension().as_deref() {
        Some("html" | "htm") => html::check(file, &text, &options.languages, literals, problems),
        Some("css") => check_css(file, &text, problems),
        Some("json" | "webmanifest" | "map") => check_json(file, &text, literals, problems),
        Some("xml" | "svg" | "rss") => check_xml(file, &text, literals, problems),
        Some("txt") => {
            placeholder(file, None, literals.leftover(&text), problems);
            Facts::default()
        }
        _ => Facts::default(),
    }
}

fn check_css(file: &SitePath, text: &str, problems: &mut Problems) -> Facts {
    let sheet = css::read(text);
    for (error, line) in sheet.errors {
        let message = message!("the style sheet has {error}; close strings, URLs and blocks");
        problems.add(file, Rule::CssSyntax, Some(u64::from(line) + 1), None, message);
    }
    let refer =
        |(target, line)| reference(target, "style sheet's `url()`", Some(u64::from(line) + 1));
    Facts { references: sheet.urls.into_iter().map(refer).collect(), ..Facts::default() }
}

fn check_json(file: &SitePath, text: &str, literals: &Literals, problems: &mut Problems) -> Facts {
    let value: serde_json::Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let message =
                message!("the JSON does not parse: {error}; write it with a JSON library");
            problems.add(file, Rule::JsonSyntax, Some(error.line() as u64), None, message);
            return Facts::default();
        }
    };
    placeholder(file, None, literals.leftover_in_json(&value), problems);
    if file.extension().as_deref() != Some("webmanifest") {
        return Facts::default();
    }
    let references = data::manifest_references(&value).into_iter();
    let references =
        references.map(|target| reference(target, "web app manifest's address", None)).collect();
    Facts { references, ..Facts::default() }
}

fn check_xml(file: &SitePath, text: &str, literals: &Literals, problems: &mut Problems) -> Facts {
    let xml = match data::read_xml(text) {
        Ok(xml) => xml,
        Err(error) => {
            let message = message!(
                "the XML is not well-formed: {}; write it with an escaping template",
                error.why
            );
            problems.add(file, Rule::XmlSyntax, Some(error.line), None, message);
            return Facts::default();
        }
    };
    for (text, line) in &xml.texts {
        placeholder(file, Some(*line), literals.leftover(text), problems);
    }
    let mut facts = Facts::default();
    if file.extension().as_deref() == Some("svg") {
        facts.anchors = Some(HashSet::from_iter(xml.ids));
        let links = xml.links.into_iter();
        facts
            .references
            .extend(links.map(|(target, line)| reference(target, "drawing's link", Some(line))));
    }
    if matches!(xml.root.as_str(), "urlset" | "sitemapindex") {
        for (target, line) in xml.locations {
            if !target.starts_with("https://") && !target.starts_with("http://") {
                let message = message!(
                    "the sitemap lists `{target}`; sitemaps need whole addresses with `https://`"
                );
                problems.add(file, Rule::Sitemap, Some(line), Some(&target), message);
            } else {
                let line = Some(line);
                facts.references.push(Reference {
                    target,
                    what: "sitemap's entry",
                    line,
                    canonical: true,
                });
            }
        }
    }
    facts
}

fn reference(target: String, what: &'static str, line: Option<u64>) -> Reference {
    Reference { target, what, line, canonical: false }
}

fn placeholder(
    file: &SitePath,
    line: Option<u64>,
    leftover: Option<String>,
    problems: &mut Problems,
) {
    if let Some(leftover) = leftover {
        let shown = problem::cut(&leftover);
        let message = message!("a placeholder of the template is left: `{shown}`; fill it in");
        problems.add(file, Rule::Placeholder, line, Some(&leftover), message);
    }
}
