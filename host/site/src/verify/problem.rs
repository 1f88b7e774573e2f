//! What the checks of a site find.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::path::SitePath;
use sitewright_model::message::Message;

/// Most problems kept of one file; further ones are counted.
const PER_FILE: usize = 50;
/// Most problems kept of a site.
const IN_ALL: usize = 500;
/// Most characters of an excerpt.
const EXCERPT: usize = 120;

/// What a site must hold to.
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
    /// XML and SVG are well-formed, without entities of their own.
    XmlSyntax,
    /// JSON files parse.
    JsonSyntax,
    /// JSON-LD in pages parses.
    JsonLd,
    /// `<html lang>` is a language tag, of one of the order's languages.
    Language,
    /// Each page has a `<title>`.
    Title,
    /// Each page has a meta description.
    Description,
    /// Each page sets the viewport.
    Viewport,
    /// Each page shows at least 20 characters of text.
    EmptyPage,
    /// An id stands once in a page.
    DuplicateId,
    /// Each image has an `alt`, which may be empty.
    ImageAlt,
    /// Each form has somewhere to send what is typed into it.
    FormAction,
    /// What a file refers to inside the site exists, in exactly this spelling.
    BrokenReference,
    /// The part of a page that a link names with `#` exists.
    BrokenFragment,
    /// No `javascript:` links, and no schemes that a visitor's browser cannot follow.
    LinkScheme,
    /// No `{{`, `}}` or `${` of a template is left in text or attributes.
    Placeholder,
    /// A sitemap lists absolute addresses.
    Sitemap,
    /// A file is simple enough to be checked: elements, nesting, attributes, references.
    TooLarge,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One place where a site breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteProblem {
    /// The file at fault.
    pub file: SitePath,
    /// The rule.
    pub rule: Rule,
    /// What is wrong and what would be right.
    pub message: Message,
    /// The line in the file, from 1, where it is known; of a text, the line where its element
    /// begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The text at fault, cut to 120 characters.
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

/// What the checks say about a whole site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is wrong, by file; at most 50 of a file and 500 in all.
    pub problems: Vec<SiteProblem>,
    /// How many more there are.
    pub omitted: u64,
}

impl Verdict {
    /// Whether the site may be shown to visitors.
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

/// Collects problems, bounded.
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
        let of_file = self.of_file.entry(file.clone()).or_default();
        *of_file += 1;
        if *of_file > PER_FILE || self.verdict.problems.len() >= IN_ALL {
            self.verdict.omitted += 1;
            return;
        }
        let excerpt = excerpt.map(cut).filter(|text| !text.is_empty());
        self.verdict.problems.push(SiteProblem {
            file: file.clone(),
            rule,
            message,
            line,
            excerpt,
        });
    }

    pub(super) fn finish(mut self) -> Verdict {
        self.verdict
            .problems
            .sort_by(|a, b| (&a.file, a.line, a.rule).cmp(&(&b.file, b.line, b.rule)));
        self.verdict
    }
}

/// At most [`EXCERPT`] characters, blanks collapsed.
pub(super) fn cut(text: &str) -> String {
    let mut out = String::new();
    let mut count = 0;
    for word in text.split_whitespace() {
        if count > 0 {
            out.push(' ');
            count += 1;
        }
        for character in word.chars() {
            if count >= EXCERPT {
                out.push('…');
                return out;
            }
            out.push(character);
            count += 1;
        }
    }
    out
}
