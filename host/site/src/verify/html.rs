//! The rules of one page, except those of its head.

use std::collections::HashSet;

use scraper::{ElementRef, Node};
use sitewright_order::Locale;

use super::css;
use super::page::{Page, parse};
use super::placeholders::Literals;
use super::problem::{EXCERPT, Problems, Rule};
use super::reference::Facts;
use crate::excerpt::excerpt;
use crate::path::SitePath;
use sitewright_model::message;

/// Minimum number of visible characters of a page, runs of white space counted as one.
const MIN_TEXT: usize = 20;

/// Elements that contain code or text that is not shown as written: placeholders in them are
/// allowed.
const CODE: [&str; 5] = ["code", "pre", "script", "style", "template"];
/// Elements whose text is not visible.
const INVISIBLE: [&str; 5] = ["head", "script", "style", "template", "noscript"];

/// Checks one page and collects its references.
pub(super) fn check(
    file: &SitePath,
    text: &str,
    languages: &[Locale],
    literals: &Literals,
    problems: &mut Problems,
) -> Facts {
    let page = parse(text);
    let mut check = PageCheck { file, page: &page, literals, problems, facts: Facts::default() };
    check.syntax(text);
    check.head(languages);
    check.nodes();
    check.facts
}

/// The check of one page.
pub(super) struct PageCheck<'a> {
    file: &'a SitePath,
    pub(super) page: &'a Page,
    literals: &'a Literals,
    problems: &'a mut Problems,
    pub(super) facts: Facts,
}

impl PageCheck<'_> {
    pub(super) fn add(
        &mut self,
        rule: Rule,
        line: Option<u64>,
        excerpt: Option<&str>,
        message: message::Message,
    ) {
        self.problems.add(self.file, rule, line, excerpt, message);
    }

    fn line(&self, element: &ElementRef<'_>) -> Option<u64> {
        self.page.lines.get(&element.id()).copied()
    }

    fn syntax(&mut self, text: &str) {
        if self.page.quirks {
            let message =
                message!("the page has no `<!DOCTYPE html>` at its top; begin it with one");
            self.add(Rule::HtmlSyntax, Some(1), None, message);
        }
        if let Some(why) = self.page.stopped {
            let message = message!(
                "the rest of the page was not checked: {why}; close elements where they end and \
                 make the page smaller"
            );
            self.add(Rule::TooLarge, None, None, message);
        }
        // A missing DOCTYPE is reported above, with a better message.
        let errors = self
            .page
            .errors
            .iter()
            .filter(|(_, error)| !(self.page.quirks && error.ends_with("mode Initial")));
        for (line, error) in errors {
            let source = usize::try_from(*line)
                .ok()
                .and_then(|line| text.lines().nth(line.saturating_sub(1)));
            let message = message!(
                "the HTML is not well-formed here ({error}); check that elements are nested and \
                 closed and quotes and `&` are escaped"
            );
            self.problems.add(self.file, Rule::HtmlSyntax, Some(*line), source, message);
        }
    }

    fn nodes(&mut self) {
        let mut ids = HashSet::new();
        let mut shown = 0;
        for node in self.page.html.tree.root().descendants() {
            if let Some(element) = ElementRef::wrap(node) {
                self.element(&element, &mut ids);
            } else if let Node::Text(text) = node.value()
                && let Some(parent) = node.parent().and_then(ElementRef::wrap)
            {
                if !within(&parent, &INVISIBLE) {
                    shown +=
                        text.split_whitespace().map(|word| word.chars().count() + 1).sum::<usize>();
                }
                if !within(&parent, &CODE) {
                    let leftover = self.literals.leftover(text);
                    self.placeholder(leftover, self.line(&parent), "text");
                }
            }
        }
        // The white space after the last word was counted.
        let shown = shown.saturating_sub(1);
        if shown < MIN_TEXT {
            let message = message!(
                "the page shows {shown} characters of text, fewer than {MIN_TEXT}; write its \
                 content or leave the page out"
            );
            self.add(Rule::EmptyPage, None, None, message);
        }
        self.facts.anchors = Some(ids);
    }

    fn element(&mut self, element: &ElementRef<'_>, ids: &mut HashSet<String>) {
        let line = self.line(element);
        let name = element.value().name();
        if let Some(id) = element.attr("id")
            && !ids.insert(id.to_owned())
        {
            let message = message!(
                "the id `{id}` is used more than once in the page; give each element its own"
            );
            self.add(Rule::DuplicateId, line, Some(id), message);
        }
        if name == "a"
            && let Some(anchor) = element.attr("name")
        {
            ids.insert(anchor.to_owned());
        }
        if name == "img" && element.attr("alt").is_none() {
            let source = element.attr("src").unwrap_or_default();
            let message = message!(
                "the image `{source}` has no `alt`; describe it, or write `alt=\"\"` if it is \
                 decoration"
            );
            self.add(Rule::ImageAlt, line, Some(&element.html()), message);
        }
        if name == "form" {
            self.form(element, line);
        }
        if !within(element, &CODE[..2]) {
            for (attribute, value) in element.value().attrs() {
                let leftover = self.literals.leftover_in_attribute(attribute, value);
                self.placeholder(leftover, line, attribute);
            }
        }
        if name == "script" && is_json_ld(element) {
            self.json_ld(element, line);
        }
        if name == "style" {
            let sheet: String = element.text().collect();
            self.sheet(&sheet, line);
        }
        if let Some(style) = element.attr("style") {
            self.sheet(style, line);
        }
        self.references(element, name, line);
    }

    fn form(&mut self, element: &ElementRef<'_>, line: Option<u64>) {
        let dialog =
            element.attr("method").is_some_and(|method| method.eq_ignore_ascii_case("dialog"));
        // Some static hosts handle a form with this attribute.
        let hosted = element.attr("data-netlify").is_some() || element.attr("netlify").is_some();
        let action = element.attr("action").map(str::trim).unwrap_or_default();
        if !dialog && !hosted && (action.is_empty() || action.starts_with('#')) {
            let message = message!(
                "the form has no address to send to, so what visitors type is lost; give it an \
                 `action` that a server or mail program takes"
            );
            self.add(Rule::FormAction, line, None, message);
        }
    }

    fn placeholder(&mut self, leftover: Option<String>, line: Option<u64>, place: &str) {
        if let Some(leftover) = leftover {
            let shown = excerpt(&leftover, EXCERPT);
            let message = message!(
                "a placeholder of the template is left in the {place}: `{shown}`; fill it in, or \
                 escape braces that are meant"
            );
            self.add(Rule::Placeholder, line, Some(&leftover), message);
        }
    }

    fn json_ld(&mut self, element: &ElementRef<'_>, line: Option<u64>) {
        let json: String = element.text().collect();
        match serde_json::from_str::<serde_json::Value>(&json) {
            Ok(value) => {
                let leftover = self.literals.leftover_in_json(&value);
                self.placeholder(leftover, line, "JSON-LD");
            }
            Err(error) => {
                let message = message!(
                    "the JSON-LD does not parse: {error}; write it with a JSON library and escape \
                     `<`"
                );
                self.add(Rule::JsonLd, line, Some(&json), message);
            }
        }
    }

    fn sheet(&mut self, text: &str, line: Option<u64>) {
        let sheet = css::read(text);
        let at = |offset: u32| line.map(|line| line + u64::from(offset));
        for (url, offset) in sheet.urls {
            self.refer(&url, "style's `url()`", at(offset), false);
        }
        for (error, offset) in sheet.errors {
            self.add(
                Rule::CssSyntax,
                at(offset),
                None,
                message!("the style has {error}; close strings, URLs and blocks"),
            );
        }
    }
}

fn is_json_ld(element: &ElementRef<'_>) -> bool {
    element.attr("type").is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/ld+json"))
}

/// Whether `element` or one of its ancestors has one of `names`.
pub(super) fn within(element: &ElementRef<'_>, names: &[&str]) -> bool {
    let is = |element: &ElementRef<'_>| names.contains(&element.value().name());
    is(element) || element.ancestors().filter_map(ElementRef::wrap).any(|ancestor| is(&ancestor))
}
