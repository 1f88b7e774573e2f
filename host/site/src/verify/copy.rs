//! The texts of a page as a visitor reads them, held against the order.

use std::sync::Arc;

use sitewright_copy::{CopyCheck, CopyRule, Facts, Finding, ForbiddenWords, TextKind};
use sitewright_order::Locale;

use super::CopyOptions;
use super::placeholders::is_marked;
use super::problem::Rule;

/// Maximum bytes of one text. Real ones have less than 10,000.
const MAX_TEXT: usize = 64 << 10;
/// Maximum bytes of text of a page that are looked at. Real pages have less than 50,000.
const MAX_PAGE: usize = 256 << 10;
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
        })
    }

    pub(super) fn check(&self, of_page: Option<&Locale>) -> CopyCheck<'_> {
        // A page may be in another language than the first one of the site.
        let language = self.language.as_deref();
        let language = language.filter(|only| of_page.is_none_or(|page| page.language() == *only));
        CopyCheck::new(&self.facts, self.year).language(language).forbid_all(self.words.clone())
    }
}

/// Collects the texts of a page, block by block.
pub(super) struct Blocks<'a> {
    check: Option<CopyCheck<'a>>,
    text: String,
    /// The line where the block begins.
    line: Option<u64>,
    kind: TextKind,
    findings: Vec<(Option<u64>, Finding)>,
    /// Bytes of text so far.
    seen: usize,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(check: Option<CopyCheck<'a>>) -> Self {
        let (text, kind, findings) = (String::new(), TextKind::Text, Vec::new());
        Blocks { check, text, line: None, kind, findings, seen: 0 }
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

    /// A visible text.
    pub(super) fn text(&mut self, text: &str, line: Option<u64>) {
        self.seen += text.len();
        let fits = self.seen <= MAX_PAGE && self.text.len() + text.len() <= MAX_TEXT;
        if self.check.is_some() && fits {
            if self.text.is_empty() {
                self.line = line;
            }
            self.text.push_str(text);
        }
    }

    fn end(&mut self) {
        let text = std::mem::take(&mut self.text);
        let Some(check) = self.check.as_ref().filter(|_| !text.trim().is_empty()) else { return };
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ");
        let findings = check.check(&text, self.kind);
        let findings = findings.into_iter().filter(|finding| is_of_pages(finding, &text));
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
            let findings = copy.check(None).check(text, TextKind::Text);
            let found = findings.iter().any(|finding| finding.rule == rule);
            assert_eq!(found, expected, "{text}: {findings:?}");
        }
    }
}
