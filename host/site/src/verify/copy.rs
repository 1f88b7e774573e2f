//! The texts of a page as a visitor reads them, held against the order.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use sitewright_copy::{CopyCheck, CopyRule, Facts, Finding, ForbiddenWords, SearchRoom, TextKind};
use sitewright_order::Locale;

use super::CopyOptions;
use super::placeholders::is_marked;
use super::problem::Rule;

/// Maximum bytes of one text. Real ones have less than 10,000.
const MAX_TEXT: usize = 64 << 10;
/// Maximum bytes of text of a page that are looked at. Real pages have less than 50,000.
const MAX_PAGE: usize = 256 << 10;
/// Maximum number of labels without findings that are remembered, and the maximum bytes of each.
const MAX_LABELS: usize = 1_000;
const MAX_LABEL: usize = 200;
/// Bytes of the order that the texts of a site may search, which takes a quarter of a second: those
/// of a real order, which has less than 10,000, 50,000 times.
const SEARCHED: usize = 512 << 20;
/// Elements that stand within a line of text.
const INLINE: [&str; 34] = [
    "a", "abbr", "b", "bdi", "bdo", "br", "cite", "code", "data", "del", "dfn", "em", "font", "i",
    "img", "ins", "kbd", "mark", "picture", "q", "ruby", "s", "samp", "small", "source", "span",
    "strike", "strong", "sub", "sup", "time", "u", "var", "wbr",
];

/// What the order says, read once for all pages.
pub(super) struct Copy {
    facts: Arc<Facts>,
    year: u16,
    language: Option<String>,
    words: ForbiddenWords,
    /// Labels without findings: the navigation and the footer are the same on all pages. Each with
    /// whether it has to be in the language of the site.
    labels: RefCell<HashSet<(bool, String)>>,
    /// What all pages together may search of the order.
    room: SearchRoom,
}

impl Copy {
    /// `None` if the document is not JSON: then there is nothing to hold texts against.
    pub(super) fn new(options: &CopyOptions) -> Option<Self> {
        let facts = match &options.facts {
            Some(facts) => facts.clone(),
            None => Arc::new(Facts::of_order(&options.document).ok()?),
        };
        Some(Copy {
            facts,
            year: options.year,
            language: options.language.clone(),
            words: ForbiddenWords::new(options.forbidden_words.iter().map(String::as_str)),
            labels: RefCell::default(),
            room: SearchRoom::new(SEARCHED),
        })
    }

    pub(super) fn check(&self, of_page: Option<&Locale>) -> PageCopy<'_> {
        // A page may be in another language than the first one of the site.
        let language = self.language.as_deref();
        let language = language.filter(|only| of_page.is_none_or(|page| page.language() == *only));
        let check = CopyCheck::new(&self.facts, self.year).language(language);
        let check = check.searching(self.room.clone());
        PageCopy {
            check: check.forbid_all(self.words.clone()),
            has_language: language.is_some(),
            labels: &self.labels,
        }
    }
}

/// The check of the texts of one page.
pub(super) struct PageCopy<'a> {
    check: CopyCheck<'a>,
    has_language: bool,
    labels: &'a RefCell<HashSet<(bool, String)>>,
}

impl PageCopy<'_> {
    fn findings(&self, text: &str, kind: TextKind) -> Vec<Finding> {
        if kind != TextKind::Label || text.len() > MAX_LABEL {
            return self.check.check(text, kind);
        }
        let key = (self.has_language, text.to_owned());
        let mut labels = self.labels.borrow_mut();
        if labels.contains(&key) {
            return Vec::new();
        }
        let findings = self.check.check(text, kind);
        if findings.is_empty() && labels.len() < MAX_LABELS {
            labels.insert(key);
        }
        findings
    }
}

/// Collects the texts of a page, block by block.
pub(super) struct Blocks<'a> {
    check: Option<PageCopy<'a>>,
    text: String,
    /// The line where the block begins.
    line: Option<u64>,
    kind: TextKind,
    /// Bytes of the text that say that they are in another language than the page.
    foreign: usize,
    findings: Vec<(Option<u64>, Finding)>,
    /// Bytes of text so far.
    seen: usize,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(check: Option<PageCopy<'a>>) -> Self {
        let (text, kind, findings) = (String::new(), TextKind::Text, Vec::new());
        Blocks { check, text, line: None, kind, foreign: 0, findings, seen: 0 }
    }

    /// An element begins or ends. A block ends the text before it.
    pub(super) fn element(&mut self, name: &str) {
        match name {
            "br" => self.text.push(' '),
            name if INLINE.contains(&name) => {}
            name => {
                self.end();
                self.kind = kind_of(name);
            }
        }
    }

    /// A visible text, and whether it says that it is in another language than the page.
    pub(super) fn text(&mut self, text: &str, line: Option<u64>, is_foreign: bool) {
        self.seen += text.len();
        let fits = self.seen <= MAX_PAGE && self.text.len() + text.len() <= MAX_TEXT;
        if self.check.is_some() && fits {
            if self.text.is_empty() {
                self.line = line;
            }
            if is_foreign {
                self.foreign += text.trim().len();
            }
            self.text.push_str(text);
        }
    }

    fn end(&mut self) {
        let (text, foreign) = (std::mem::take(&mut self.text), std::mem::take(&mut self.foreign));
        let Some(check) = self.check.as_ref().filter(|_| !text.trim().is_empty()) else { return };
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ");
        let findings = check.findings(&text, self.kind);
        // A word in another language, or white space around the others, decides nothing.
        let is_foreign = foreign > text.len() / 2;
        let findings = findings
            .into_iter()
            .filter(|finding| is_of_pages(finding, &text))
            .filter(|finding| !is_foreign || finding.rule != CopyRule::Language);
        self.findings.extend(findings.map(|finding| (self.line, finding)));
    }

    /// What is wrong, each with its line and the rule that the page breaks.
    pub(super) fn finish(mut self) -> impl Iterator<Item = (Option<u64>, Rule, Finding)> {
        self.end();
        self.findings
            .into_iter()
            .map(|(line, finding)| (line, Rule::of_copy(finding.rule), finding))
    }
}

/// Whether a finding in the text of a block counts for pages. They have texts of the template, which
/// replies have not: labels of one word, names of keys and files, and the ratings of the order.
fn is_of_pages(finding: &Finding, text: &str) -> bool {
    const LABEL: usize = 12;
    const MARKS: [&str; 6] = ["**", "__", "](", "```", "~~", "# "];
    match finding.rule {
        CopyRule::Repetition | CopyRule::UnknownAward => false,
        // Another rule finds those, and knows which are the customer's.
        CopyRule::Placeholder if is_marked(text) => false,
        CopyRule::Placeholder => {
            let is_shouted = !text.chars().any(char::is_lowercase);
            text.chars().count() > LABEL || (is_shouted && text.chars().any(char::is_uppercase))
        }
        CopyRule::Markdown => MARKS.iter().any(|mark| text.contains(mark)),
        _ => true,
    }
}

fn kind_of(block: &str) -> TextKind {
    match block {
        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => TextKind::Heading,
        "button" | "label" | "option" | "th" | "td" | "dt" | "li" | "nav" | "summary"
        | "legend" | "figcaption" | "caption" | "footer" | "header" | "address" => TextKind::Label,
        _ => TextKind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_that_were_read_before_are_not_read_again() {
        let facts = Facts::of_order(r#"{"business_phone": "+44 20 7946 0000"}"#).unwrap();
        let unread = CopyOptions {
            document: "no JSON".to_owned(),
            forbidden_words: vec!["cheap".to_owned()],
            ..CopyOptions::default()
        };
        assert!(Copy::new(&unread).is_none());
        let copy = Copy::new(&CopyOptions { facts: Some(Arc::new(facts)), ..unread }).unwrap();
        for (text, rule, expected) in [
            ("Call 020 7946 0000", CopyRule::UnknownPhone, false),
            ("Call 020 7946 1111", CopyRule::UnknownPhone, true),
            ("Our bread is cheap", CopyRule::ForbiddenWord, true),
            ("Our bread is good", CopyRule::ForbiddenWord, false),
        ] {
            let findings = copy.check(None).findings(text, TextKind::Text);
            let found = findings.iter().any(|finding| finding.rule == rule);
            assert_eq!(found, expected, "{text}: {findings:?}");
        }
    }

    #[test]
    fn a_part_in_another_language_need_not_be_in_that_of_the_page() {
        let options = CopyOptions {
            document: "{}".to_owned(),
            language: Some("pt".to_owned()),
            ..CopyOptions::default()
        };
        let copy = Copy::new(&options).unwrap();
        let text =
            "Book your table today and enjoy the best pasta in the city. Call 020 7946 1111.";
        let rows: [(&[(&str, bool)], bool); 5] = [
            (&[(text, false)], true),
            (&[(text, true)], false),
            (&[("\n  ", false), (text, true), ("\n", false)], false),
            (&[("Pasta. ", true), (text, false)], true),
            (&[("Massas: ", false), (text, true)], false),
        ];
        for (pieces, is_found) in rows {
            let mut blocks = Blocks::new(Some(copy.check(None)));
            // What another block said does not count.
            for text in ["Hello", ""] {
                blocks.element("p");
                blocks.text(text, Some(1), true);
            }
            for (text, is_foreign) in pieces {
                blocks.text(text, Some(1), *is_foreign);
            }
            let found: Vec<Rule> = blocks.finish().map(|(_, rule, _)| rule).collect();
            assert_eq!(found.contains(&Rule::CopyLanguage), is_found, "{pieces:?}: {found:?}");
            assert!(found.contains(&Rule::CopyUnknownPhone), "{pieces:?}: {found:?}");
        }
    }

    #[test]
    fn labels_are_remembered_with_the_language_that_they_must_have() {
        let options = CopyOptions {
            document: "{}".to_owned(),
            language: Some("pt".to_owned()),
            ..CopyOptions::default()
        };
        let copy = Copy::new(&options).unwrap();
        let other: Locale = "en".parse().unwrap();
        let label = "Book your table today and enjoy the best pasta in the city with your family.";
        for (page, text, rule, expected) in [
            (Some(&other), label, CopyRule::Language, false),
            (None, label, CopyRule::Language, true),
            (None, label, CopyRule::Language, true),
            (Some(&other), label, CopyRule::Language, false),
            (None, "Call 020 7946 1111", CopyRule::UnknownPhone, true),
            (None, "Call 020 7946 1111", CopyRule::UnknownPhone, true),
        ] {
            let findings = copy.check(page).findings(text, TextKind::Label);
            let found = findings.iter().any(|finding| finding.rule == rule);
            assert_eq!(found, expected, "{text} on a page in {page:?}: {findings:?}");
        }
    }
}
