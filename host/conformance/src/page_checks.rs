//! Checks a site's pages without rendering them: accessibility, requests to other hosts, weight.

use std::collections::{BTreeMap, BTreeSet};

use scraper::ElementRef;
use sitewright_order::Color;

use super::rule::PageRule;
use sitewright_site::verify::page::{Page, parse};

/// Maximum bytes of a page with everything that it loads from its own site. 3 MiB.
pub(super) const MAX_WEIGHT: u64 = 3 << 20;
/// Minimum contrast of text, from WCAG 2 level AA.
const CONTRAST: f64 = 4.5;
/// Minimum contrast of headings, which count as large text.
const CONTRAST_LARGE: f64 = 3.0;

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

/// Checks all pages. Pages may load from `external` hosts. Blocking: parses every page.
pub(super) fn check_pages(files: &BTreeMap<String, Vec<u8>>, external: &[String]) -> PageFindings {
    let mut seen = PageFindings::default();
    for (path, bytes) in files {
        let text = String::from_utf8_lossy(bytes);
        if path.ends_with(".html") || path.ends_with(".htm") {
            let page = parse(&text);
            let mut look = PageCheck { path, page: &page, files, external, seen: &mut seen };
            look.head();
            look.body();
            look.loads(bytes.len() as u64);
        } else if path.ends_with(".css") {
            for (url, line) in sitewright_site::verify::css::read(&text).urls {
                outside(
                    path,
                    &url,
                    "style sheet",
                    Some(u64::from(line) + 1),
                    external,
                    &mut seen.problems,
                );
            }
        }
    }
    seen
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
                && element.text().any(|text| {
                    // Inside a JSON text of the template's own script it is harmless.
                    text.trim_start().starts_with("swHostile()")
                        || text.contains("<script>swHostile()")
                });
            let handler = element
                .value()
                .attrs()
                .any(|(name, value)| name.starts_with("on") && value.contains("swHostile"));
            if name == "sw-hostile" || script || handler {
                found.push(format!("{path}{line}: a `<{name}>` that was text"));
            }
        }
    }
    found
}

struct PageCheck<'a> {
    path: &'a str,
    page: &'a Page,
    files: &'a BTreeMap<String, Vec<u8>>,
    external: &'a [String],
    seen: &'a mut PageFindings,
}

impl PageCheck<'_> {
    fn add(&mut self, rule: PageRule, element: Option<ElementRef<'_>>, message: impl Into<String>) {
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
                        format!("the viewport's `{part}` keeps visitors from zooming"),
                    );
                }
            }
        }
    }

    fn body(&mut self) {
        let (mut first, mut level) = (0, 0);
        for element in self.page.html.root_element().descendent_elements() {
            if hidden(&element) {
                continue;
            }
            let name = element.value().name();
            if let Some(next) = heading(name) {
                first += u32::from(next == 1);
                if next > level + 1 && level > 0 {
                    let message = format!("an `<h{next}>` follows an `<h{level}>`");
                    self.add(PageRule::HeadingOrder, Some(element), message);
                }
                level = next;
            }
            self.element(element, name);
        }
        if first != 1 {
            self.add(PageRule::OneH1, None, format!("the page has {first} `<h1>`"));
        }
    }

    fn element(&mut self, element: ElementRef<'_>, name: &str) {
        match name {
            "a" if element.attr("href").is_some() && accessible_name(&element).is_empty() => {
                let target = element.attr("href").unwrap_or_default().to_owned();
                self.add(
                    PageRule::LinkText,
                    Some(element),
                    format!("the link to `{target}` has no text"),
                );
            }
            "button" if accessible_name(&element).is_empty() => {
                self.add(PageRule::ButtonText, Some(element), "the button has no text");
            }
            "iframe" if element.attr("title").is_none_or(|title| title.trim().is_empty()) => {
                self.add(PageRule::FrameTitle, Some(element), "the frame has no title");
            }
            "input" | "select" | "textarea" => self.field(element, name),
            _ => {}
        }
        if let Some(order) =
            element.attr("tabindex").and_then(|index| index.trim().parse::<i64>().ok())
            && order > 0
        {
            let message = format!("`tabindex` {order} takes it out of the page's order");
            self.add(PageRule::TabOrder, Some(element), message);
        }
        self.contrast(element, name);
    }

    fn field(&mut self, element: ElementRef<'_>, name: &str) {
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
        let wrapped = element
            .ancestors()
            .filter_map(ElementRef::wrap)
            .any(|outer| outer.value().name() == "label");
        let id = element.attr("id").unwrap_or_default();
        let pointed = !id.is_empty()
            && self.page.html.root_element().descendent_elements().any(|label| {
                label.value().name() == "label"
                    && label.attr("for") == Some(id)
                    && !accessible_name(&label).is_empty()
            });
        if !(wrapped
            || pointed
            || filled("aria-label")
            || filled("aria-labelledby")
            || filled("title"))
        {
            let shown = element.attr("name").unwrap_or(id).to_owned();
            self.add(PageRule::Labels, Some(element), format!("the field `{shown}` has no label"));
        }
    }

    /// Checks contrast where text and background colour are both inline styles.
    fn contrast(&mut self, element: ElementRef<'_>, name: &str) {
        let Some(ink) = styled(&element, &["color"]) else { return };
        let background = std::iter::once(element)
            .chain(element.ancestors().filter_map(ElementRef::wrap))
            .find_map(|outer| styled(&outer, &["background-color", "background"]));
        let Some(background) = background else { return };
        let shows = element.text().any(|text| !text.trim().is_empty());
        let contrast = ratio(ink, background);
        let wanted = if matches!(name, "h1" | "h2") { CONTRAST_LARGE } else { CONTRAST };
        if shows && contrast < wanted {
            let message = format!(
                "text in {ink} on {background} has a contrast of {contrast:.1}:1, less than \
                 {wanted}:1"
            );
            self.add(PageRule::Contrast, Some(element), message);
        }
    }

    /// Checks what the page loads: no other hosts, and at most [`MAX_WEIGHT`].
    fn loads(&mut self, own: u64) {
        let mut local = BTreeSet::new();
        for element in self.page.html.root_element().descendent_elements() {
            let line = self.page.lines.get(&element.id()).copied();
            let mut addresses: Vec<String> = Vec::new();
            let mut hints = Vec::new();
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
                    } else if is(&["preconnect", "dns-prefetch", "prefetch"]) {
                        hints.extend(attr("href"));
                    }
                }
                "style" => {
                    let text: String = element.text().collect();
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
                addresses.extend(
                    sitewright_site::verify::css::read(style).urls.into_iter().map(|(url, _)| url),
                );
            }
            let what = element.value().name();
            for address in addresses.iter().chain(&hints) {
                outside(self.path, address, what, line, self.external, &mut self.seen.problems);
            }
            local.extend(addresses.iter().filter_map(|address| self.local(address)));
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

fn outside(
    file: &str,
    address: &str,
    what: &str,
    line: Option<u64>,
    external: &[String],
    problems: &mut Vec<PageProblem>,
) {
    let address = address.trim();
    let whole =
        if address.starts_with("//") { format!("https:{address}") } else { address.to_owned() };
    let Ok(url) = url::Url::parse(&whole) else { return };
    let Some(host) =
        url.host_str().filter(|_| matches!(url.scheme(), "http" | "https" | "ws" | "wss"))
    else {
        return;
    };
    if !external.iter().any(|allowed| allowed == host) {
        problems.push(PageProblem {
            rule: PageRule::External,
            file: file.to_owned(),
            line,
            message: format!("a `{what}` loads from `{host}`, which gets each visitor's address"),
        });
    }
}

fn heading(name: &str) -> Option<u32> {
    name.strip_prefix('h')
        .filter(|level| level.len() == 1)?
        .parse()
        .ok()
        .filter(|level| (1..=6).contains(level))
}

fn hidden(element: &ElementRef<'_>) -> bool {
    std::iter::once(*element).chain(element.ancestors().filter_map(ElementRef::wrap)).any(|outer| {
        outer.attr("hidden").is_some()
            || outer.attr("aria-hidden") == Some("true")
            || outer.value().name() == "template"
    })
}

/// The accessible name of an element.
fn accessible_name(element: &ElementRef<'_>) -> String {
    let attribute =
        |element: &ElementRef<'_>, name| element.attr(name).unwrap_or_default().trim().to_owned();
    let named =
        ["aria-label", "aria-labelledby", "title"].map(|name| attribute(element, name)).concat();
    let inner = element.descendent_elements().map(|inner| match inner.value().name() {
        "img" => attribute(&inner, "alt"),
        _ => attribute(&inner, "aria-label"),
    });
    let text: String = element.text().collect();
    format!("{named}{}{}", text.trim(), inner.collect::<String>())
}

/// A colour of an element's inline style.
fn styled(element: &ElementRef<'_>, properties: &[&str]) -> Option<Color> {
    let style = element.attr("style")?;
    style.split(';').rev().find_map(|declaration| {
        let (property, value) = declaration.split_once(':')?;
        let value = value.trim().trim_end_matches("!important").trim();
        properties
            .contains(&property.trim().to_ascii_lowercase().as_str())
            .then(|| value.parse().ok())
            .flatten()
    })
}

/// The WCAG 2 contrast ratio, 1 to 21.
fn ratio(one: Color, other: Color) -> f64 {
    let luminance = |colour: Color| {
        let hex = colour.to_string();
        let channel = |at: usize| {
            let value =
                f64::from(u8::from_str_radix(hex.get(at..at + 2).unwrap_or("0"), 16).unwrap_or(0))
                    / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}
