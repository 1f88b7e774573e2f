//! The rules for one page.

use std::collections::HashSet;

use scraper::{ElementRef, Node};
use sitewright_order::Locale;

use super::css;
use super::page::{Page, parse};
use super::placeholders::Literals;
use super::problem::{Problems, Rule};
use super::reference::{Facts, Reference};
use crate::path::SitePath;
use sitewright_model::message;

/// Fewest characters a page must show, blanks collapsed.
const MIN_TEXT: usize = 20;

/// What is written in these is code or not shown as written: no placeholder is searched in it.
const CODE: [&str; 5] = ["code", "pre", "script", "style", "template"];
/// What is written in these is not part of the page's visible text.
const UNSEEN: [&str; 5] = ["head", "script", "style", "template", "noscript"];

/// Checks one page and collects what it refers to.
pub(super) fn check(
    file: &SitePath,
    text: &str,
    languages: &[Locale],
    literals: &Literals,
    problems: &mut Problems,
) -> Facts {
    let page = parse(text);
    let mut check = Check { file, page: &page, literals, problems, facts: Facts::default() };
    check.syntax(text);
    check.head(languages);
    check.nodes();
    check.facts
}

struct Check<'a> {
    file: &'a SitePath,
    page: &'a Page,
    literals: &'a Literals,
    problems: &'a mut Problems,
    facts: Facts,
}

impl Check<'_> {
    fn add(
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
        // The missing DOCTYPE has been told already, in better words.
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

    fn head(&mut self, languages: &[Locale]) {
        let root = self.page.html.root_element();
        self.language(root.attr("lang").map(str::trim).unwrap_or_default(), languages);
        let mut title = false;
        let mut description = false;
        let mut viewport = false;
        for element in root.descendent_elements() {
            let named = |name| {
                element.attr("name").is_some_and(|found: &str| found.eq_ignore_ascii_case(name))
            };
            let content =
                || element.attr("content").is_some_and(|content| !content.trim().is_empty());
            match element.value().name() {
                // Not the title of a drawing.
                "title" if within(&element, &["head"]) => {
                    title |= !element.text().all(|text| text.trim().is_empty())
                }
                "meta" if named("description") => description |= content(),
                "meta" if named("viewport") => viewport |= content(),
                _ => {}
            }
        }
        if !title {
            let message =
                message!("the page has no title; put a `<title>` with text into its head");
            self.add(Rule::Title, None, None, message);
        }
        if !description {
            let message = message!(
                "the page has no description; put `<meta name=\"description\" content=\"…\">` \
                 into its head"
            );
            self.add(Rule::Description, None, None, message);
        }
        if !viewport {
            let message = message!(
                "the page sets no viewport, so phones show it tiny; put `<meta name=\"viewport\" \
                 content=\"width=device-width, initial-scale=1\">` into its head"
            );
            self.add(Rule::Viewport, None, None, message);
        }
    }

    fn language(&mut self, tag: &str, languages: &[Locale]) {
        let wanted = languages.iter().map(Locale::as_str).collect::<Vec<_>>().join("`, `");
        let locale =
            Some(tag).filter(|tag| !tag.contains('_')).and_then(|tag| tag.parse::<Locale>().ok());
        let message = match locale {
            _ if tag.is_empty() => {
                message!("the page does not say its language; write `<html lang=\"…\">`")
            }
            None => message!(
                "the page's language `{tag}` is no language tag; write it like `pt-BR` or `en`"
            ),
            Some(locale)
                if languages.is_empty()
                    || languages.iter().any(|l| l.language() == locale.language()) =>
            {
                return;
            }
            Some(locale) => message!(
                "the page's language is `{locale}`, but the order's is `{wanted}`; write the page \
                 in it, or correct `<html lang>`"
            ),
        };
        self.add(Rule::Language, Some(1), Some(tag), message);
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
                if !within(&parent, &UNSEEN) {
                    shown +=
                        text.split_whitespace().map(|word| word.chars().count() + 1).sum::<usize>();
                }
                if !within(&parent, &CODE) {
                    let leftover = self.literals.leftover(text);
                    self.placeholder(leftover, self.line(&parent), "text");
                }
            }
        }
        // One blank too many was counted.
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
                "the id `{id}` stands more than once in the page; give each element its own"
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
        // A service of some static hosts: it takes the form in while the site is uploaded.
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
            let shown = super::problem::cut(&leftover);
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

    fn refer(&mut self, target: &str, what: &'static str, line: Option<u64>, canonical: bool) {
        self.facts.references.push(Reference { target: target.to_owned(), what, line, canonical });
    }

    fn references(&mut self, element: &ElementRef<'_>, name: &str, line: Option<u64>) {
        if name == "base" {
            self.facts.base =
                self.facts.base.take().or_else(|| element.attr("href").map(str::to_owned));
            return;
        }
        for (attribute, value) in element.value().attrs() {
            let what = match (name, attribute) {
                ("a" | "area", "href") => "link",
                ("link", "href") => {
                    self.head_link(element, value, line);
                    continue;
                }
                ("script", "src") => "script",
                ("img" | "input", "src") | ("image", "href") | (_, "background" | "poster") => {
                    "image"
                }
                ("iframe" | "embed" | "frame", "src") | ("object", "data") => "embedded content",
                ("video" | "audio" | "track" | "source", "src") => "media file",
                ("use", "href") => "drawing",
                ("img" | "source", "srcset") | ("link", "imagesrcset") => {
                    for candidate in candidates(value) {
                        self.refer(candidate, "image of the `srcset`", line, false);
                    }
                    continue;
                }
                // An empty one has been told by the rule for forms.
                ("form", "action") if value.trim().is_empty() => continue,
                ("form", "action") | ("button" | "input", "formaction") => "form's `action`",
                ("meta", "content") => {
                    self.meta(element, value, line);
                    continue;
                }
                _ => continue,
            };
            self.refer(value, what, line, false);
        }
    }

    fn head_link(&mut self, element: &ElementRef<'_>, href: &str, line: Option<u64>) {
        let relations = element.attr("rel").unwrap_or_default().to_ascii_lowercase();
        let is = |relation| relations.split_ascii_whitespace().any(|found| found == relation);
        if is("canonical") {
            self.facts.canonical = Some(href.trim().to_owned());
        }
        let what = match () {
            () if is("stylesheet") => "style sheet",
            () if is("manifest") => "web app manifest",
            () if is("icon") || is("apple-touch-icon") => "icon",
            () if is("canonical") => "canonical address",
            () => "link in the head",
        };
        self.refer(href, what, line, is("canonical") || is("alternate"));
    }

    fn meta(&mut self, element: &ElementRef<'_>, content: &str, line: Option<u64>) {
        let name = element.attr("property").or_else(|| element.attr("name")).unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "og:image" | "og:image:url" | "og:image:secure_url" | "twitter:image" => {
                self.refer(content, "preview image", line, true);
            }
            "og:url" => self.refer(content, "address for previews", line, true),
            _ => {}
        }
        let refresh =
            element.attr("http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("refresh"));
        if refresh && let Some((_, target)) = content.split_once('=') {
            self.refer(target.trim().trim_matches(['\'', '"']), "redirection", line, false);
        }
    }
}

fn is_json_ld(element: &ElementRef<'_>) -> bool {
    element.attr("type").is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/ld+json"))
}

/// Whether `element` is, or stands in, one of the elements `names`.
fn within(element: &ElementRef<'_>, names: &[&str]) -> bool {
    let is = |element: &ElementRef<'_>| names.contains(&element.value().name());
    is(element) || element.ancestors().filter_map(ElementRef::wrap).any(|ancestor| is(&ancestor))
}

/// The addresses in a `srcset`, by the standard's rules: an address ends at a blank; commas at its
/// end are not part of it.
fn candidates(srcset: &str) -> Vec<&str> {
    let mut candidates = Vec::new();
    let mut rest = srcset;
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
        if rest.is_empty() {
            return candidates;
        }
        let (address, after) =
            rest.split_at(rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len()));
        let alone = address.trim_end_matches(',');
        candidates.push(alone);
        // Without a comma right behind the address, sizes follow until the next one.
        rest = if alone.len() < address.len() {
            after
        } else {
            after.split_once(',').map_or("", |(_, rest)| rest)
        };
    }
}
