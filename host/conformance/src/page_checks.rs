//! Checks a site's pages without rendering them: accessibility and weight.
//!
//! The template wrote the pages: each node is visited a fixed number of times, whatever its depth,
//! and what is collected is bounded. The steps are counted, as those of the site's own checks.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ego_tree::NodeId;
use ego_tree::iter::Edge;
use scraper::{ElementRef, Node};
use sitewright_order::Color;

use super::rule::PageRule;
use sitewright_site::verify::page::{Page, parse};
use sitewright_site::verify::{CONTRAST, CONTRAST_LARGE, Work, contrast_ratio};

/// Maximum bytes of a page with everything that it loads from its own site. 3 MiB.
pub(super) const MAX_WEIGHT: u64 = 3 << 20;
/// Maximum problems that are collected of one site. Reports show some of each rule.
const MAX_PROBLEMS: usize = 10_000;
/// Maximum characters of a text of the page in a message.
const SHOWN: usize = 200;

/// A place in a page that breaks a rule.
#[derive(Debug, Clone)]
pub(super) struct PageProblem {
    pub(super) rule: PageRule,
    pub(super) file: String,
    pub(super) line: Option<u64>,
    pub(super) message: String,
}

/// The findings of a whole site.
#[derive(Debug, Default)]
pub(super) struct PageFindings {
    pub(super) problems: Vec<PageProblem>,
    /// Bytes of the heaviest page with everything that it loads.
    pub(super) heaviest: u64,
}

/// Checks all pages. Blocking: parses every page.
pub(super) fn check_pages(files: &BTreeMap<String, Vec<u8>>) -> PageFindings {
    check_pages_counted(files, &Work::unlimited())
}

/// As [`check_pages`]. The steps are nodes that are visited, marks that are set and bytes of
/// inline styles that are read.
fn check_pages_counted(files: &BTreeMap<String, Vec<u8>>, work: &Work) -> PageFindings {
    let mut seen = PageFindings::default();
    let is_page = |path: &str| path.ends_with(".html") || path.ends_with(".htm");
    for (path, bytes) in files.iter().filter(|(path, _)| is_page(path)) {
        let page = parse(&String::from_utf8_lossy(bytes));
        let names = Names::of(&page, work);
        let mut look = PageCheck { path, page: &page, names: &names, files, work, seen: &mut seen };
        look.head();
        look.body();
        look.loads(bytes.len() as u64);
    }
    seen
}

/// Which elements of a page have a name or show text.
struct Names<'a> {
    /// Elements with text in them.
    with_text: HashSet<NodeId>,
    /// Elements with text, a named image or a named element in them.
    named: HashSet<NodeId>,
    /// The fields that labels with a name point to.
    labelled: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(page: &'a Page, work: &Work) -> Self {
        let (mut with_text, mut named) = (HashSet::new(), HashSet::new());
        let mark = |marked: &mut HashSet<NodeId>, id| {
            work.spend(1);
            marked.insert(id)
        };
        for node in page.html.root_element().descendants() {
            work.spend(1);
            let is_named = match node.value() {
                Node::Text(text) if !text.trim().is_empty() => {
                    // Up to the first element that is marked already: each is marked once.
                    let above = node.ancestors().map(|outer| outer.id());
                    above.take_while(|id| mark(&mut with_text, *id)).for_each(drop);
                    true
                }
                Node::Element(element) => {
                    let name = if element.name() == "img" { "alt" } else { "aria-label" };
                    element.attr(name).is_some_and(|name| !name.trim().is_empty())
                }
                _ => false,
            };
            if is_named {
                let here = std::iter::once(node.id());
                let above = here.chain(node.ancestors().map(|outer| outer.id()));
                above.take_while(|id| mark(&mut named, *id)).for_each(drop);
            }
        }
        let mut names = Names { with_text, named, labelled: HashSet::new() };
        let labels = page.html.root_element().descendent_elements();
        names.labelled = labels
            .inspect(|_| work.spend(1))
            .filter(|label| label.value().name() == "label" && names.has_name(label))
            .filter_map(|label| label.value().attr("for"))
            .collect();
        names
    }

    /// Whether an element has an accessible name.
    fn has_name(&self, element: &ElementRef<'_>) -> bool {
        self.named.contains(&element.id())
            || ["aria-label", "aria-labelledby", "title"]
                .iter()
                .any(|name| element.attr(name).is_some_and(|text| !text.trim().is_empty()))
    }
}

/// What an element has from those around it.
#[derive(Debug, Clone, Copy, Default)]
struct Around {
    hidden: bool,
    in_label: bool,
    /// Of its own inline style, or of the nearest element around it that has one.
    background: Option<Color>,
}

impl Around {
    fn inside(self, element: &ElementRef<'_>, work: &Work) -> Self {
        Around {
            hidden: self.hidden || is_hidden(element),
            in_label: self.in_label || element.value().name() == "label",
            background: styled(element, &["background-color", "background"], work)
                .or(self.background),
        }
    }
}

/// The elements that hostile text created because it was not escaped, as `file: element`.
pub(super) fn unescaped_elements(files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut found = Vec::new();
    for (path, bytes) in files
        .iter()
        .filter(|(path, _)| [".html", ".htm", ".svg"].iter().any(|end| path.ends_with(end)))
    {
        let page = parse(&String::from_utf8_lossy(bytes));
        for element in page.html.root_element().descendent_elements() {
            let name = element.value().name();
            let line =
                page.lines.get(&element.id()).map(|line| format!(":{line}")).unwrap_or_default();
            let script = name == "script"
                && element.attr("type").is_none_or(|kind| {
                    kind.is_empty() || kind.contains("javascript") || kind == "module"
                })
                && own_texts(&element).any(|text| {
                    // Inside a JSON text of the template's own script it is harmless.
                    text.trim_start().starts_with("swHostile()")
                        || text.contains("<script>swHostile()")
                });
            let handler = element
                .value()
                .attrs()
                .any(|(name, value)| name.starts_with("on") && value.contains("swHostile"));
            if (name == "sw-hostile" || script || handler) && found.len() < MAX_PROBLEMS {
                found.push(format!("{path}{line}: a `<{name}>` that was text"));
            }
        }
    }
    found
}

struct PageCheck<'a> {
    path: &'a str,
    page: &'a Page,
    names: &'a Names<'a>,
    files: &'a BTreeMap<String, Vec<u8>>,
    work: &'a Work,
    seen: &'a mut PageFindings,
}

impl PageCheck<'_> {
    fn add(&mut self, rule: PageRule, element: Option<ElementRef<'_>>, message: impl Into<String>) {
        if self.seen.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let line = element.and_then(|element| self.page.lines.get(&element.id()).copied());
        self.seen.problems.push(PageProblem {
            rule,
            file: self.path.to_owned(),
            line,
            message: message.into(),
        });
    }

    fn head(&mut self) {
        for element in self.page.html.root_element().descendent_elements() {
            self.work.spend(1);
            let is_viewport = element.value().name() == "meta"
                && element.attr("name").is_some_and(|name| name.eq_ignore_ascii_case("viewport"));
            if !is_viewport {
                continue;
            }
            let content =
                element.attr("content").unwrap_or_default().to_ascii_lowercase().replace(' ', "");
            for part in content.split([',', ';']) {
                let (key, value) = part.split_once('=').unwrap_or((part, ""));
                let blocked = match key {
                    "user-scalable" => matches!(value, "no" | "0"),
                    "maximum-scale" => value.parse::<f64>().is_ok_and(|scale| scale < 2.0),
                    _ => false,
                };
                if blocked {
                    self.add(
                        PageRule::Zoom,
                        Some(element),
                        format!("the viewport's `{}` keeps visitors from zooming", shown(part)),
                    );
                }
            }
        }
    }

    fn body(&mut self) {
        let mut around = vec![Around::default()];
        for edge in self.page.html.root_element().traverse() {
            self.work.spend(1);
            let element = match edge {
                Edge::Open(node) => ElementRef::wrap(node),
                Edge::Close(node) => {
                    if node.value().is_element() {
                        around.pop();
                    }
                    None
                }
            };
            let Some(element) = element else { continue };
            let outside = around.last().copied().unwrap_or_default();
            let here = outside.inside(&element, self.work);
            around.push(here);
            if here.hidden {
                continue;
            }
            let name = element.value().name();
            self.element(element, name, outside.in_label, here.background);
        }
    }

    fn element(
        &mut self,
        element: ElementRef<'_>,
        name: &str,
        in_label: bool,
        background: Option<Color>,
    ) {
        match name {
            "a" if element.attr("href").is_some() && !self.names.has_name(&element) => {
                let target = shown(element.attr("href").unwrap_or_default());
                self.add(
                    PageRule::LinkText,
                    Some(element),
                    format!("the link to `{target}` has no text"),
                );
            }
            "button" if !self.names.has_name(&element) => {
                self.add(PageRule::ButtonText, Some(element), "the button has no text");
            }
            "iframe" if element.attr("title").is_none_or(|title| title.trim().is_empty()) => {
                self.add(PageRule::FrameTitle, Some(element), "the frame has no title");
            }
            "input" | "select" | "textarea" => self.field(element, name, in_label),
            _ => {}
        }
        if let Some(order) =
            element.attr("tabindex").and_then(|index| index.trim().parse::<i64>().ok())
            && order > 0
        {
            let message = format!("`tabindex` {order} takes it out of the page's order");
            self.add(PageRule::TabOrder, Some(element), message);
        }
        self.contrast(element, name, background);
    }

    fn field(&mut self, element: ElementRef<'_>, name: &str, in_label: bool) {
        let kind = element.attr("type").unwrap_or("text").to_ascii_lowercase();
        let filled =
            |attribute| element.attr(attribute).is_some_and(|text: &str| !text.trim().is_empty());
        match (name, kind.as_str()) {
            ("input", "hidden" | "submit" | "reset") => return,
            ("input", "button") if !filled("value") && !filled("aria-label") => {
                return self.add(PageRule::ButtonText, Some(element), "the button has no `value`");
            }
            ("input", "image") if !filled("alt") && !filled("aria-label") => {
                return self.add(
                    PageRule::ButtonText,
                    Some(element),
                    "the image button has no `alt`",
                );
            }
            ("input", "button" | "image") => return,
            _ => {}
        }
        let id = element.attr("id").unwrap_or_default();
        let pointed = !id.is_empty() && self.names.labelled.contains(id);
        if !(in_label
            || pointed
            || filled("aria-label")
            || filled("aria-labelledby")
            || filled("title"))
        {
            let name = shown(element.attr("name").unwrap_or(id));
            self.add(PageRule::Labels, Some(element), format!("the field `{name}` has no label"));
        }
    }

    /// Checks contrast where text and background colour are both inline styles.
    fn contrast(&mut self, element: ElementRef<'_>, name: &str, background: Option<Color>) {
        let Some(ink) = styled(&element, &["color"], self.work) else { return };
        let Some(background) = background else { return };
        let shows = self.names.with_text.contains(&element.id());
        let contrast = contrast_ratio(ink, background);
        // Headings count as large text.
        let wanted = if matches!(name, "h1" | "h2") { CONTRAST_LARGE } else { CONTRAST };
        if shows && contrast < wanted {
            let message = format!(
                "text in {ink} on {background} has a contrast of {contrast:.1}:1, less than \
                 {wanted}:1"
            );
            self.add(PageRule::InlineContrast, Some(element), message);
        }
    }

    /// Checks what the page loads from its site: at most [`MAX_WEIGHT`].
    fn loads(&mut self, own: u64) {
        let mut local = BTreeSet::new();
        for element in self.page.html.root_element().descendent_elements() {
            self.work.spend(1);
            let mut addresses: Vec<String> = Vec::new();
            let attr = |name| element.attr(name).map(str::to_owned);
            match element.value().name() {
                "img" | "source" | "script" | "iframe" | "embed" | "audio" | "track" | "input" => {
                    addresses.extend(attr("src"));
                    addresses.extend(attr("srcset").into_iter().flat_map(|set| {
                        set.split(',')
                            .filter_map(|part| part.split_whitespace().next().map(str::to_owned))
                            .collect::<Vec<_>>()
                    }));
                }
                "video" => addresses.extend(attr("src").into_iter().chain(attr("poster"))),
                "object" => addresses.extend(attr("data")),
                "link" => {
                    let relation = element.attr("rel").unwrap_or_default().to_ascii_lowercase();
                    let is = |names: &[&str]| {
                        relation.split_ascii_whitespace().any(|found| names.contains(&found))
                    };
                    if is(&[
                        "stylesheet",
                        "preload",
                        "modulepreload",
                        "icon",
                        "apple-touch-icon",
                        "manifest",
                    ]) {
                        addresses.extend(attr("href"));
                    }
                }
                "style" => {
                    let text: String = own_texts(&element).collect();
                    addresses.extend(
                        sitewright_site::verify::css::read(&text)
                            .urls
                            .into_iter()
                            .map(|(url, _)| url),
                    );
                }
                _ => {}
            }
            if let Some(style) = element.attr("style") {
                self.work.spend(style.len());
                addresses.extend(
                    sitewright_site::verify::css::read(style).urls.into_iter().map(|(url, _)| url),
                );
            }
            self.work.spend(addresses.iter().map(String::len).sum());
            let found = addresses.iter().filter_map(|address| self.local(address));
            local.extend(found.filter(|path| self.files.contains_key(path)));
        }
        let loaded: u64 = local
            .iter()
            .filter_map(|path| self.files.get(path))
            .map(|bytes| bytes.len() as u64)
            .sum();
        let weight = own + loaded;
        self.seen.heaviest = self.seen.heaviest.max(weight);
        if weight > MAX_WEIGHT {
            let message = format!("the page loads {weight} bytes; the maximum is {MAX_WEIGHT}");
            self.add(PageRule::Weight, None, message);
        }
    }

    /// The file of the site to which an address resolves; `None` for other hosts.
    fn local(&self, address: &str) -> Option<String> {
        let base = url::Url::parse("http://site.invalid/").ok()?.join(self.path).ok()?;
        let url = base.join(address).ok()?;
        let path = url.path().trim_start_matches('/');
        (url.host_str() == Some("site.invalid"))
            .then(|| percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned())
    }
}

/// Whether an element hides itself and what is in it.
fn is_hidden(element: &ElementRef<'_>) -> bool {
    element.attr("hidden").is_some()
        || element.attr("aria-hidden") == Some("true")
        || element.value().name() == "template"
}

/// The texts directly in an element. Style sheets and scripts in an SVG may contain each other.
fn own_texts<'a>(element: &ElementRef<'a>) -> impl Iterator<Item = &'a str> {
    element.children().filter_map(|child| child.value().as_text().map(|text| &**text))
}

/// The beginning of a text of the page.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A colour of an element's inline style.
fn styled(element: &ElementRef<'_>, properties: &[&str], work: &Work) -> Option<Color> {
    let style = element.attr("style")?;
    work.spend(style.len());
    style.split(';').rev().find_map(|declaration| {
        let (property, value) = declaration.split_once(':')?;
        let value = value.trim().trim_end_matches("!important").trim();
        properties
            .contains(&property.trim().to_ascii_lowercase().as_str())
            .then(|| value.parse().ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(page: &str) -> Vec<String> {
        let files = BTreeMap::from([("index.html".to_owned(), page.as_bytes().to_vec())]);
        let found = check_pages(&files);
        found.problems.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn names_labels_and_colours_come_from_around_and_inside() {
        let rows: [(&str, &[&str]); 15] = [
            ("<a href=x>text</a>", &[]),
            ("<a href=x><b><i> </i></b></a>", &["the link to `x` has no text"]),
            ("<a href=x><b><img alt=name></b></a>", &[]),
            ("<a href=x><img alt=' '></a>", &["the link to `x` has no text"]),
            ("<a href=x title=name></a>", &[]),
            ("<a href=x><span aria-label=name></span></a>", &[]),
            ("<div hidden><p><a href=x></a></p></div>", &[]),
            (
                "<div aria-hidden=true><button></button></div><button></button>",
                &["the button has no text"],
            ),
            ("<template><a href=x></a></template>", &[]),
            ("<label>a<div><input name=n></div></label>", &[]),
            ("<label for=i>a</label><input id=i><input id=j>", &["the field `j` has no label"]),
            ("<label for=i></label><input id=i>", &["the field `i` has no label"]),
            (
                "<div style='background:#fff'><p style='color:#fff'>a</p></div>",
                &["text in #ffffff on #ffffff has a contrast of 1.0:1, less than 4.5:1"],
            ),
            ("<div style='background:#fff'><p style='color:#fff;background:#000'>a</p></div>", &[]),
            ("<div style='background:#fff'><p style='color:#fff'> <b></b></p></div>", &[]),
        ];
        for (body, expected) in rows {
            let page = format!("<!DOCTYPE html><html><body><h1>h</h1>{body}</body></html>");
            assert_eq!(checked(&page), expected, "{body}");
        }
    }

    /// The steps that the check of a page takes.
    fn steps(page: String) -> u64 {
        let files = BTreeMap::from([("index.html".to_owned(), page.into_bytes())]);
        let work = Work::unlimited();
        drop(check_pages_counted(&files, &work));
        work.used()
    }

    #[test]
    fn pages_of_one_kind_of_element_are_checked_in_linear_work() {
        type Page = fn(usize) -> String;
        let kinds: [(&str, Page); 5] = [
            ("fields with ids", |size| (0..size).map(|at| format!("<input id=a{at}>")).collect()),
            ("labels of other fields", |size| {
                (0..size).map(|at| format!("<label for=b{at}>x</label><input id=a{at}>")).collect()
            }),
            ("a long style around", |size| {
                let inner = "<p style='color:#fff'>a</p>".repeat(size);
                format!("<div style='{}'>{inner}</div>", "top:1;".repeat(size))
            }),
            ("links", |size| "<a href=x></a>".repeat(size)),
            ("elements in each other", |size| format!("{}x", "<div><img alt=a>".repeat(size / 4))),
        ];
        for (name, page) in kinds {
            let (small, large) = (steps(page(1_000)), steps(page(8_000)));
            assert!(small > 1_000, "{name}: {small} steps are less than the page has elements");
            assert!(large <= 8 * small, "{name}: {small} steps, {large} for eight times the size");
        }
    }

    #[test]
    fn what_is_collected_is_bounded() {
        let page = "<a href=x></a>".repeat(MAX_PROBLEMS + 10);
        assert_eq!(checked(&page).len(), MAX_PROBLEMS);
        let long = format!("<a href={}></a>", "x".repeat(100_000));
        let longest = checked(&long).into_iter().map(|message| message.len()).max().unwrap();
        assert!(longest < 400, "{longest}");
    }
}
