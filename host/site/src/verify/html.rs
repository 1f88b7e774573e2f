//! The rules of one page, except those of its head.

use std::borrow::Cow;

use ego_tree::iter::Edge;
use scraper::{ElementRef, Node};
use serde_json::Value;

use super::copy::Blocks;
use super::data::read_json;
use super::files::{FileCheck, report_script};
use super::handlers::is_handler;
use super::page::{Page, parse_within};
use super::placeholders::Literals;
use super::problem::{EXCERPT, Problems, Rule, shown};
use super::reference::Facts;
use super::reference_kind::ReferenceKind;
use super::script::Kind;
use super::trackers::trackers;
use super::unused::Search;
use super::work::Work;
use super::{contrast, css, json_ld};
use crate::excerpt::excerpt;
use crate::path::SitePath;
use sitewright_model::message;
use sitewright_model::message::Message;

/// Maximum bytes of JSON-LD whose content is looked at. 64 KiB.
const MAX_JSON_LD: usize = 64 << 10;
/// Minimum number of visible characters of a page, runs of white space counted as one.
const MIN_TEXT: usize = 20;

/// Steps for each byte of text that is held against the order.
const COPY_STEPS: usize = 8;
/// Steps for each byte of text in which the fields of the order are looked for.
const SEARCH_STEPS: usize = 4;
/// Attributes whose text visitors see or hear.
const SHOWN: [&str; 5] = ["alt", "aria-label", "title", "placeholder", "value"];
/// Maximum number of elements of a table or section that are looked at.
const TABLE_ELEMENTS: usize = 200;
/// Maximum number of elements of a form that are searched for a button with an address.
const FORM_ELEMENTS: usize = 1_000;

/// Where an element is. Counted on the way down: looking for ancestors again in each element takes
/// long in deep pages.
#[derive(Debug, Clone, Copy, Default)]
struct Inside {
    /// In an element that shows code.
    shown_code: bool,
    /// In an element that contains code or text that is not shown as written: placeholders in it
    /// are allowed.
    code: bool,
    /// In an element whose text is not visible.
    invisible: bool,
    /// In a `<template>`: its content is not in the page until a script copies it.
    template: bool,
    /// In an element that hides itself, from those who see or from those who listen.
    hidden: bool,
    /// In an element that says that it is in another language than the page.
    foreign: bool,
}

impl Inside {
    /// In this place, in this element of a page in `language`, the first part of its tag.
    fn element(self, element: &ElementRef<'_>, language: &str) -> Self {
        let name = element.value().name();
        let hidden =
            element.attr("hidden").is_some() || element.attr("aria-hidden") == Some("true");
        let shown_code = matches!(name, "code" | "pre");
        let code = shown_code || matches!(name, "script" | "style" | "template");
        let invisible = matches!(name, "head" | "script" | "style" | "template" | "noscript");
        let own = element.attr("lang").map(main_language);
        Inside {
            shown_code: self.shown_code || shown_code,
            code: self.code || code,
            invisible: self.invisible || invisible,
            template: self.template || name == "template",
            hidden: self.hidden || hidden,
            foreign: own.map_or(self.foreign, |own| !own.eq_ignore_ascii_case(language)),
        }
    }
}

/// The first part of a language tag: `pt` of `pt-BR`.
fn main_language(tag: &str) -> &str {
    let tag = tag.trim();
    tag.split('-').next().unwrap_or(tag)
}

/// The headings of a page so far.
#[derive(Debug, Default)]
struct Headings {
    /// The number of `<h1>`.
    first: u32,
    /// The level of the last one; 0 before the first.
    level: u32,
}

/// The level of a heading; `None` for other elements.
fn heading_level(name: &str) -> Option<u32> {
    match name {
        "h1" => Some(1),
        "h2" => Some(2),
        "h3" => Some(3),
        "h4" => Some(4),
        "h5" => Some(5),
        "h6" => Some(6),
        _ => None,
    }
}

/// Checks one page and collects its references in `facts`.
pub(super) fn check(of: &mut FileCheck<'_>, text: &str, facts: Facts) -> Facts {
    let FileCheck { file, languages, literals, copy, search, owner, styles, work, problems } = of;
    let page = parse_within(text, work);
    let search: &mut Search = search;
    let mut searches = vec![search];
    if owner.is_of(file) {
        if page.stopped.is_some() {
            owner.forget();
        }
        searches.push(&mut owner.search);
        searches.push(&mut owner.names);
    }
    searches.retain(|search| !search.is_empty());
    searches.iter_mut().for_each(|search| search.page());
    let mut check = PageCheck { file, page: &page, literals, searches, work, problems, facts };
    check.syntax(text);
    check.head(text, languages);
    let locale = page.html.root_element().attr("lang").and_then(|tag| tag.trim().parse().ok());
    check.nodes(Blocks::new(copy.map(|copy| copy.check(locale.as_ref()))));
    let mut facts = check.facts;
    facts.images = contrast::check(file, &page, text.len(), styles, work, problems);
    facts
}

/// The check of one page.
pub(super) struct PageCheck<'a> {
    file: &'a SitePath,
    pub(super) page: &'a Page,
    literals: &'a Literals,
    /// What the texts of the page are searched for.
    searches: Vec<&'a mut Search>,
    work: &'a Work,
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

    pub(super) fn is_entry(&self) -> bool {
        *self.file == SitePath::entry_page()
    }

    pub(super) fn line(&self, element: &ElementRef<'_>) -> Option<u64> {
        self.page.lines.get(&element.id()).copied()
    }

    pub(super) fn spend(&self, steps: usize) {
        self.work.spend(steps);
    }

    fn in_searches(&mut self, mut read: impl FnMut(&mut Search)) {
        self.searches.iter_mut().for_each(|search| read(search));
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
        let page = self.page;
        let errors = page
            .errors
            .iter()
            .filter(|(_, error)| !(page.quirks && error.ends_with("mode Initial")));
        // The lines of errors increase: one pass over the text finds all of them.
        let mut lines = (1_u64..).zip(text.lines()).peekable();
        for (line, error) in errors {
            while lines.next_if(|(number, _)| number < line).is_some() {}
            let source =
                lines.peek().filter(|(number, _)| number == line).map(|(_, source)| *source);
            let message = message!(
                "the HTML is not well-formed here ({error}); check that elements are nested and \
                 closed and quotes and `&` are escaped"
            );
            self.problems.add(self.file, Rule::HtmlSyntax, Some(*line), source, message);
        }
    }

    fn nodes(&mut self, mut blocks: Blocks<'_>) {
        self.facts.has_anchors();
        let mut characters = 0;
        let mut headings = Headings::default();
        let mut inside = vec![Inside::default()];
        let page = self.page;
        let language = page.html.root_element().attr("lang").map_or("", main_language);
        for edge in page.html.tree.root().traverse() {
            let node = match edge {
                Edge::Open(node) => node,
                Edge::Close(node) => {
                    inside.pop();
                    if let Node::Element(element) = node.value() {
                        blocks.element(element.name());
                        self.in_searches(|search| search.element(element.name()));
                    }
                    continue;
                }
            };
            let outer = inside.last().copied().unwrap_or_default();
            self.work.spend(1);
            if self.work.is_exhausted() {
                return;
            }
            let Some(element) = ElementRef::wrap(node) else {
                inside.push(outer);
                if let Node::Text(text) = node.value() {
                    let parent = node.parent().and_then(ElementRef::wrap);
                    if !outer.invisible {
                        self.work.spend(text.len());
                        for search in &mut self.searches {
                            self.work.spend(SEARCH_STEPS * text.len());
                            search.text(text);
                        }
                        let words = text.split_whitespace();
                        characters += words.map(|word| word.chars().count() + 1).sum::<usize>();
                        if !outer.shown_code {
                            self.work.spend(COPY_STEPS * text.len());
                            let line = parent.and_then(|parent| self.line(&parent));
                            blocks.text(text, line, outer.foreign);
                        }
                    }
                    if !outer.code {
                        let leftover = self.literals.leftover(text, self.work);
                        let line = parent.and_then(|parent| self.line(&parent));
                        self.placeholder(leftover, line, "text");
                    }
                }
                continue;
            };
            let here = outer.element(&element, language);
            inside.push(here);
            if !here.hidden && !here.template {
                self.heading(&element, &mut headings);
            }
            blocks.element(element.value().name());
            self.in_searches(|search| search.element(element.value().name()));
            self.element(&element, here);
        }
        for (line, rule, finding) in blocks.finish() {
            let message = Message::or(&finding.message, message!("the text is no copy"));
            self.add(rule, line, Some(&finding.excerpt), message);
        }
        self.first_headings(&headings);
        // The white space after the last word was counted.
        let characters = characters.saturating_sub(1);
        if characters < MIN_TEXT {
            let message = message!(
                "the page shows {characters} characters of text, fewer than {MIN_TEXT}; write its \
                 content or leave the page out"
            );
            self.add(Rule::EmptyPage, None, None, message);
        }
    }

    fn element(&mut self, element: &ElementRef<'_>, inside: Inside) {
        let line = self.line(element);
        let name = element.value().name();
        let bytes: usize =
            element.value().attrs().map(|(name, value)| name.len() + value.len()).sum();
        self.work.spend(2 * bytes);
        if let Some(id) = element.attr("id").filter(|_| !inside.template)
            && !self.facts.anchor(id)
        {
            let message = message!(
                "the id `{}` is used more than once in the page; give each element its own",
                shown(id)
            );
            self.add(Rule::DuplicateId, line, Some(id), message);
        }
        if name == "a"
            && let Some(anchor) = element.attr("name")
        {
            self.facts.anchor(anchor);
        }
        if name == "img" && element.attr("alt").is_none() {
            let source = shown(element.attr("src").unwrap_or_default());
            let message = message!(
                "the image `{source}` has no `alt`; describe it, or write `alt=\"\"` if it is \
                 decoration"
            );
            self.add(Rule::ImageAlt, line, Some(&start_tag(element)), message);
        }
        let is_button = name == "input"
            && element.attr("type").is_some_and(|kind| kind.trim().eq_ignore_ascii_case("image"));
        let is_region = name == "area" && element.attr("href").is_some();
        if (is_button || is_region) && element.attr("alt").is_none() {
            let message = message!(
                "the `<{name}>` has no `alt`, so it has no name for those who do not see the \
                 image; say where it leads or what it does"
            );
            self.add(Rule::ImageAlt, line, Some(&start_tag(element)), message);
        }
        if matches!(name, "a" | "area")
            && element.attr("download").is_none()
            && let Some(target) = element.attr("href")
            && target.trim().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
        {
            let message = message!(
                "the link `{}` contains what it leads to, and browsers do not open that; link to \
                 a page, or write `download`",
                shown(target)
            );
            self.add(Rule::LinkScheme, line, Some(&start_tag(element)), message);
        }
        if name != "html" && !inside.template {
            self.part_language(element, line);
        }
        match name {
            "form" => self.form(element, line),
            "table" => self.table(element, line),
            "section" => self.section(element, line),
            _ => {}
        }
        if !inside.invisible && !self.searches.is_empty() {
            let attributes = element.value().attrs();
            for (_, value) in attributes.filter(|(name, _)| SHOWN.contains(name)) {
                self.work.spend(SEARCH_STEPS * value.len() * self.searches.len());
                self.in_searches(|search| search.alone(value));
            }
        }
        // What a script fills when it copies the template.
        if !inside.shown_code && !inside.template {
            for (attribute, value) in element.value().attrs() {
                let leftover = self.literals.leftover_in_attribute(attribute, value, self.work);
                self.placeholder(leftover, line, attribute);
            }
        }
        if name == "script" {
            self.script(element, inside, line);
        }
        if !inside.template {
            for (_, value) in element.value().attrs().filter(|(name, _)| is_handler(name)) {
                let line = line.unwrap_or(1);
                report_script(self.file, value, Kind::Handler, line, self.work, self.problems);
            }
        }
        if name == "style" {
            self.sheet(&own_text(element), line);
        }
        if let Some(style) = element.attr("style") {
            self.sheet(style, line);
        }
        self.references(element, name, line, inside.template);
    }

    fn heading(&mut self, element: &ElementRef<'_>, headings: &mut Headings) {
        let Some(level) = heading_level(element.value().name()) else { return };
        let before = std::mem::replace(&mut headings.level, level);
        headings.first += u32::from(level == 1);
        if before > 0 && level > before + 1 {
            let message = message!(
                "an `<h{level}>` follows an `<h{before}>`, so that a level is missing; use \
                 headings for the structure of the page, and CSS for how they look"
            );
            self.add(Rule::HeadingOrder, self.line(element), Some(&start_tag(element)), message);
        }
    }

    fn first_headings(&mut self, headings: &Headings) {
        // What was not read may have one, and nobody reads a page that leads elsewhere.
        let is_read = self.page.stopped.is_none() && self.facts.redirection().is_none();
        if headings.first == 1 || !is_read {
            return;
        }
        let message = message!(
            "the page has {} `<h1>`; write one, which says what is on the page",
            headings.first
        );
        self.add(Rule::OneH1, None, None, message);
    }

    fn form(&mut self, element: &ElementRef<'_>, line: Option<u64>) {
        let dialog =
            element.attr("method").is_some_and(|method| method.eq_ignore_ascii_case("dialog"));
        // Some static hosts handle a form with this attribute.
        let hosted = element.attr("data-netlify").is_some() || element.attr("netlify").is_some();
        let action = element.attr("action").map(str::trim).unwrap_or_default();
        let leads = |address: Option<&str>| {
            let address = address.map(str::trim).unwrap_or_default();
            !address.is_empty() && !address.starts_with('#')
        };
        // A button may have an address of its own. Forms are not nested, so each element is looked
        // at once.
        let by_button = || {
            let mut inner = element.descendent_elements().take(FORM_ELEMENTS);
            inner.any(|inner| leads(inner.attr("formaction")))
        };
        if !dialog && !hosted && !leads(Some(action)) && !by_button() {
            let message = message!(
                "the form has no address to send to, so what visitors type is lost; give it an \
                 `action` that a server or mail program takes"
            );
            self.add(Rule::FormAction, line, None, message);
        }
    }

    /// Looks at the table's first rows only: headers stand there.
    fn table(&mut self, element: &ElementRef<'_>, line: Option<u64>) {
        let (mut rows, mut header) = (0, false);
        let first = element.descendent_elements().take(TABLE_ELEMENTS);
        for inner in first {
            self.work.spend(1);
            match inner.value().name() {
                "tr" => rows += 1,
                "th" => header = true,
                _ => {}
            }
        }
        let decoration = matches!(element.attr("role"), Some("presentation" | "none"));
        if rows > 1 && !header && !decoration {
            let message = message!(
                "the table has no `<th>`, so screen readers cannot say what its columns are; use \
                 `<th>` for its headers"
            );
            self.add(Rule::TableHeader, line, None, message);
        }
    }

    /// A section is empty if none of its first elements shows something.
    fn section(&mut self, element: &ElementRef<'_>, line: Option<u64>) {
        let mut left = TABLE_ELEMENTS;
        for node in element.descendants() {
            self.work.spend(1);
            let shows = match node.value() {
                Node::Text(text) => !text.trim().is_empty(),
                Node::Element(inner) => matches!(
                    inner.name(),
                    "img" | "svg" | "video" | "audio" | "iframe" | "form" | "canvas" | "object"
                ),
                _ => false,
            };
            left -= 1;
            if shows || left == 0 {
                return;
            }
        }
        // Filled by a script or by a style sheet.
        if element.attr("id").is_none() && element.attr("style").is_none() {
            let message = message!("the section is empty; write its content or leave it out");
            self.add(Rule::EmptySection, line, Some(&start_tag(element)), message);
        }
    }

    fn placeholder(&mut self, leftover: Option<String>, line: Option<u64>, place: &str) {
        if let Some(leftover) = leftover {
            let text = excerpt(&leftover, EXCERPT);
            let message = message!(
                "a placeholder of the template is left in the {}: `{text}`; fill it in, or escape \
                 braces that are meant",
                shown(place)
            );
            self.add(Rule::Placeholder, line, Some(&leftover), message);
        }
    }

    fn script(&mut self, element: &ElementRef<'_>, inside: Inside, line: Option<u64>) {
        let kind = match ScriptType::of(element) {
            ScriptType::JsonLd => return self.json_ld(element, line),
            ScriptType::Json => return self.json(element, line),
            ScriptType::Data => return,
            ScriptType::JavaScript(kind) => kind,
        };
        // Browsers ignore the text of a script that has an address, and do not run templates.
        if element.attr("src").is_none() && !inside.template {
            let text = own_text(element);
            report_script(self.file, &text, kind, line.unwrap_or(1), self.work, self.problems);
            self.work.spend(text.len());
            for host in trackers(&text) {
                self.facts.refer(&format!("https://{host}/"), ReferenceKind::Tracker, line, false);
            }
        }
    }

    fn json(&mut self, element: &ElementRef<'_>, line: Option<u64>) {
        let json = own_text(element);
        self.work.spend(json.len());
        if element.attr("src").is_none()
            && let Err(error) = read_json(&json, |_, _| {})
        {
            let message = message!(
                "the JSON in the script does not parse: {}; write it with a JSON library and \
                 escape `<`",
                shown(&error.to_string())
            );
            self.add(Rule::JsonSyntax, line, Some(&json), message);
        }
    }

    fn json_ld(&mut self, element: &ElementRef<'_>, line: Option<u64>) {
        let json = own_text(element);
        match self.literals.leftover_in_json(&json, self.work) {
            Ok(leftover) => {
                self.placeholder(leftover, line, "JSON-LD");
                self.json_ld_content(&json, line);
            }
            Err(error) => {
                let message = message!(
                    "the JSON-LD does not parse: {}; write it with a JSON library and escape `<`",
                    shown(&error.to_string())
                );
                self.add(Rule::JsonLd, line, Some(&json), message);
            }
        }
    }

    fn json_ld_content(&mut self, json: &str, line: Option<u64>) {
        // It is parsed into values: a large one is data for something else.
        if json.len() > MAX_JSON_LD {
            return;
        }
        self.work.spend(8 * json.len());
        let value: Option<Value> = serde_json::from_str(json).ok();
        if let Some(value) = &value {
            self.work.spend(8 * json.len() * self.searches.len());
            self.in_searches(|search| search.data(value, 0));
        }
        if let Some(wrong) = value.as_ref().and_then(json_ld::problem) {
            let message = message!(
                "search engines ignore the JSON-LD: {}; see schema.org for its type",
                shown(&wrong)
            );
            self.add(Rule::JsonLdType, line, Some(json), message);
        }
    }

    fn sheet(&mut self, text: &str, line: Option<u64>) {
        self.work.spend(2 * text.len());
        let sheet = css::read(text);
        let at = |offset: u32| line.map(|line| line + u64::from(offset));
        for (url, offset) in &sheet.urls {
            self.facts.refer(url, ReferenceKind::StyleUrl, at(*offset), false);
        }
        self.facts.refer_more(sheet.more_urls);
        for (error, offset) in &sheet.errors {
            self.add(
                Rule::CssSyntax,
                at(*offset),
                None,
                message!("the style has {error}; write it as CSS, and to its end"),
            );
        }
        self.problems.omit(sheet.more_errors);
    }
}

/// What the content of a `<script>` is.
enum ScriptType {
    JavaScript(Kind),
    JsonLd,
    Json,
    /// What browsers do not look at.
    Data,
}

impl ScriptType {
    fn of(element: &ElementRef<'_>) -> Self {
        let kind = element.attr("type").unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/ld+json" => ScriptType::JsonLd,
            "application/json" | "importmap" | "speculationrules" => ScriptType::Json,
            "module" => ScriptType::JavaScript(Kind::Module),
            // The types of JavaScript in the HTML standard, with the forms that are still in use.
            ""
            | "text/javascript"
            | "application/javascript"
            | "text/ecmascript"
            | "application/ecmascript"
            | "application/x-javascript"
            | "text/x-javascript" => ScriptType::JavaScript(Kind::Classic),
            _ => ScriptType::Data,
        }
    }
}

/// The text directly in an element, without that of elements in it: what browsers take as style
/// sheet, script or title. In an SVG, a `<style>` may contain elements, and even more of them.
pub(super) fn own_text<'a>(element: &ElementRef<'a>) -> Cow<'a, str> {
    let mut texts = element.children().filter_map(|child| child.value().as_text());
    let first: &str = texts.next().map_or("", |text| &**text);
    let mut whole = Cow::Borrowed(first);
    for text in texts {
        whole.to_mut().push_str(text);
    }
    whole
}

/// The beginning of an element as HTML, for an excerpt.
fn start_tag(element: &ElementRef<'_>) -> String {
    let mut tag = format!("<{}", element.value().name());
    for (name, value) in element.value().attrs() {
        if tag.len() > EXCERPT {
            break;
        }
        tag.push_str(&format!(" {}=\"{}\"", shown(name), shown(value)));
    }
    tag.push('>');
    tag
}
