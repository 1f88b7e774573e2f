//! The rules of a site, and the bounded list of their violations.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::excerpt::excerpt as cut;
use crate::path::SitePath;
use sitewright_model::message::Message;

/// Maximum number of problems listed for one file. Further ones are counted.
const PER_FILE: usize = 50;
/// Maximum number of problems listed for a site.
const PER_SITE: usize = 500;
/// Maximum number of characters of an excerpt.
pub(super) const EXCERPT: usize = 120;
/// Maximum number of characters of a text of the site in a message.
const SHOWN: usize = 300;

/// A text of the site as messages show it.
pub(super) fn shown(text: &str) -> String {
    cut(text, SHOWN)
}

/// A rule that every site must keep.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// `index.html` exists.
    EntryPage,
    /// Text files are UTF-8.
    Utf8,
    /// HTML parses without errors that change what is shown.
    HtmlSyntax,
    /// CSS has no broken strings, URLs or blocks.
    CssSyntax,
    /// XML and SVG are well-formed and declare no entities.
    XmlSyntax,
    /// JSON files parse.
    JsonSyntax,
    /// JSON-LD in pages parses.
    JsonLd,
    /// `<html lang>` is a language tag of one of the allowed languages.
    Language,
    /// Each page has a `<title>`.
    Title,
    /// Each page has a meta description.
    Description,
    /// Each page sets the viewport.
    Viewport,
    /// Each page has at least 20 characters of visible text.
    EmptyPage,
    /// Each id is unique in its page.
    DuplicateId,
    /// Each image has an `alt`, which may be empty.
    ImageAlt,
    /// Each form has an address that it sends its data to.
    FormAction,
    /// References inside the site lead to an existing file in exactly its spelling.
    BrokenReference,
    /// The anchor that a link names with `#` exists.
    BrokenFragment,
    /// Links have a scheme that a visitor's browser can follow; not `javascript:`.
    LinkScheme,
    /// Text and attributes contain no placeholder: `{{`, `}}` or `${`.
    Placeholder,
    /// Sitemaps list absolute URLs.
    Sitemap,
    /// Each file is small enough to be checked: elements, nesting, attributes, references.
    TooLarge,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One violation of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteProblem {
    pub file: SitePath,
    pub rule: Rule,
    /// What is wrong, and what would be right.
    pub message: Message,
    /// The line in the file, counted from 1; for text in a page, the line where its element begins.
    /// `None` if it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The offending text, cut to 120 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

impl fmt::Display for SiteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {} [{}]", self.message, self.rule)
    }
}

/// The result of checking a site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Sorted by file and line; at most 50 of one file and 500 of the site.
    pub problems: Vec<SiteProblem>,
    /// The number of further problems.
    pub omitted: u64,
}

impl Verdict {
    /// Whether the site breaks no rule.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.omitted == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.problems.len() as u64 + self.omitted;
        write!(f, "{all} problem{}", if all == 1 { "" } else { "s" })?;
        for problem in self.problems.iter().take(10) {
            write!(f, "; {problem}")?;
        }
        match all.saturating_sub(10) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Collects problems up to the limits.
#[derive(Debug, Default)]
pub(super) struct Problems {
    verdict: Verdict,
    of_file: HashMap<SitePath, usize>,
}

impl Problems {
    pub(super) fn add(
        &mut self,
        file: &SitePath,
        rule: Rule,
        line: Option<u64>,
        excerpt: Option<&str>,
        message: Message,
    ) {
        // Only a file's first problem copies its path: there may be millions of problems.
        let listed = match self.of_file.get_mut(file) {
            Some(listed) => listed,
            None => self.of_file.entry(file.clone()).or_default(),
        };
        if *listed >= PER_FILE || self.verdict.problems.len() >= PER_SITE {
            self.verdict.omitted += 1;
            return;
        }
        *listed += 1;
        let excerpt = excerpt.map(|text| cut(text, EXCERPT)).filter(|text| !text.is_empty());
        self.verdict.problems.push(SiteProblem {
            file: file.clone(),
            rule,
            message,
            line,
            excerpt,
        });
    }

    /// Counts problems that are not listed.
    pub(super) fn omit(&mut self, number: u64) {
        self.verdict.omitted += number;
    }

    pub(super) fn finish(mut self) -> Verdict {
        self.verdict
            .problems
            .sort_by(|a, b| (&a.file, a.line, a.rule).cmp(&(&b.file, b.line, b.rule)));
        self.verdict
    }
}
