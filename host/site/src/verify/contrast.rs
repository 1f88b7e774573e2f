//! The contrast of a page's texts with their backgrounds, where style sheets make it certain.
//!
//! A text is judged if its colour and the background behind it are both known: opaque colours that
//! apply to every visitor before anything happens. Images, gradients, transparency, effects,
//! elements in front of others, and rules for some screens only make a colour or background
//! unknown, and such a text is not judged.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use ego_tree::iter::Edge;
use scraper::{ElementRef, Node};
use sitewright_order::{Color, ColorError};

use super::cascade::{Cascade, Custom, Declared, SHEET_STEPS, Source, Used, Value};
use super::hidden::{self, HiddenTexts, How, OFF_SCREEN};
use super::html::own_text;
use super::image_size::{PageImages, ShownImage};
use super::page::{NodeId, Page};
use super::problem::{Problems, Rule, shown};
use super::reference::path_in_site;
use super::style::{self, Applies, Property, Sheet};
use super::work::Work;
use crate::path::SitePath;
use sitewright_model::message;

/// Minimum contrast of text: WCAG 2 level AA, criterion 1.4.3.
pub const CONTRAST: f64 = 4.5;
/// As [`CONTRAST`], for large text: from 24 px, or from 18.66 px if it is bold.
pub const CONTRAST_LARGE: f64 = 3.0;
const LARGE: f64 = 24.0;
const LARGE_BOLD: f64 = 18.66;
/// Steps for each byte of a page, and those that every page may take. A page that takes more is not
/// judged to its end.
const STEPS_PER_BYTE: usize = 16;
const STEPS: usize = 1 << 20;
/// Maximum number of style sheets of a page.
const MAX_SHEETS: usize = 32;
/// Number of `<style>` elements whose rules are kept for the next page, and maximum bytes of each.
const INLINE: usize = 2;
const MAX_INLINE: usize = 64 << 10;
/// Maximum number of style sheets that import each other in a row.
const MAX_IMPORTS: usize = 4;
/// Maximum number of elements in an element that is in front of others, in which an image is
/// looked for.
const LOOKED_AT: usize = 32;
/// Hosts whose style sheets only define fonts.
const FONT_HOSTS: [&str; 4] = [
    "https://fonts.googleapis.com/",
    "https://fonts.bunny.net/",
    "https://use.typekit.net/",
    "https://api.fontshare.com/",
];
/// Elements whose text is not in the page, or is not painted in the colours of style sheets alone.
const SKIPPED: [&str; 20] = [
    "head", "script", "style", "template", "noscript", "svg", "math", "select", "datalist",
    "textarea", "iframe", "object", "video", "audio", "canvas", "dialog", "title", "meter",
    "progress", "frameset",
];
/// Elements that show something that is no text.
const MEDIA: [&str; 7] = ["img", "picture", "video", "canvas", "svg", "iframe", "object"];
/// Elements with colours of the browser's own.
const CONTROLS: [&str; 5] = ["button", "input", "mark", "optgroup", "option"];
/// Attributes that set colours.
const ATTRIBUTES: [&str; 5] = ["bgcolor", "background", "color", "text", "link"];

/// The WCAG 2 contrast ratio of two colours, 1 to 21.
pub fn contrast_ratio(one: Color, other: Color) -> f64 {
    let luminance = |color: Color| {
        let channel = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(color.r) + 0.7152 * channel(color.g) + 0.0722 * channel(color.b)
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// The style sheets of a site, and what was reported of them.
#[derive(Debug)]
pub(super) struct Styles {
    is_checked: bool,
    sheets: HashMap<String, Rc<Sheet>>,
    /// The `<style>` elements that were read last, by their text: pages of a site have the same.
    inline: Vec<(String, Rc<Sheet>)>,
    /// What sets the colour of a text, with the colours of text and background.
    reported: HashSet<(String, Color, Color)>,
    /// Hidden texts.
    hidden: HashSet<String>,
}

impl Styles {
    pub(super) fn new(is_checked: bool) -> Self {
        let (sheets, inline) = (HashMap::new(), Vec::new());
        let (reported, hidden) = (HashSet::new(), HashSet::new());
        Styles { is_checked, sheets, inline, reported, hidden }
    }

    /// Reads the text of a `<style>`.
    fn read_inline(&mut self, text: &str) -> Rc<Sheet> {
        if let Some((_, sheet)) = self.inline.iter().find(|(known, _)| known == text) {
            return sheet.clone();
        }
        let sheet = Rc::new(style::read(text));
        if text.len() <= MAX_INLINE {
            if self.inline.len() >= INLINE {
                self.inline.remove(0);
            }
            self.inline.push((text.to_owned(), sheet.clone()));
        }
        sheet
    }

    /// Reads a style sheet. Those of a site come before its pages.
    pub(super) fn add(&mut self, file: &SitePath, text: &str, work: &Work) {
        if self.is_checked {
            work.spend(SHEET_STEPS * text.len());
            self.sheets.insert(file.as_str().to_owned(), Rc::new(style::read(text)));
        }
    }

    /// Puts a style sheet and those that it imports into `used`, in their order. `None` if one is
    /// not known.
    fn put(&self, sheet: Used, depth: usize, used: &mut Vec<Used>) -> Option<()> {
        if sheet.sheet.unknown || depth > MAX_IMPORTS || used.len() >= MAX_SHEETS {
            return None;
        }
        for import in &sheet.sheet.imports {
            let applies = import.applies.max(sheet.applies);
            if applies == Applies::Never || is_of_fonts(&import.address) {
                continue;
            }
            self.put(self.find(&sheet.file, &import.address, applies)?, depth + 1, used)?;
        }
        used.push(sheet);
        Some(())
    }

    fn find(&self, from: &SitePath, address: &str, applies: Applies) -> Option<Used> {
        let path = path_in_site(from, address)?;
        let sheet = self.sheets.get(&path)?.clone();
        let file = SitePath::parse(&path, path.len()).ok()?;
        Some(Used { sheet, file, first_line: 1, applies })
    }

    /// The style sheets of a page in their order. `None` if one of them is not known.
    fn of_page(&mut self, file: &SitePath, page: &Page, work: &Work) -> Option<Vec<Used>> {
        let mut used = Vec::new();
        for element in page.html.root_element().descendent_elements() {
            work.spend(1);
            let name = element.value().name();
            if name == "base" {
                return None;
            }
            if !matches!(name, "link" | "style") || is_in_noscript(&element) {
                continue;
            }
            let applies = style::media(element.attr("media").unwrap_or_default());
            if name == "style" {
                let text = own_text(&element);
                work.spend(SHEET_STEPS * text.len());
                let sheet = self.read_inline(&text);
                let first_line = page.lines.get(&element.id()).copied().unwrap_or(1);
                if applies != Applies::Never {
                    let sheet = Used { sheet, file: file.clone(), first_line, applies };
                    self.put(sheet, 0, &mut used)?;
                }
                continue;
            }
            let relations = element.attr("rel").unwrap_or_default().to_ascii_lowercase();
            let is = |relation: &str| relations.split_ascii_whitespace().any(|one| one == relation);
            let is_style = element.attr("as").is_some_and(|kind| kind == "style");
            let href = element.attr("href").unwrap_or_default().trim();
            let is_sheet = is("stylesheet") || is("preload") && is_style;
            if !is_sheet || is("alternate") || is_of_fonts(href) {
                continue;
            }
            // A script may let it apply.
            if element.attr("onload").is_some() || element.attr("disabled").is_some() {
                return None;
            }
            if is("stylesheet") && applies != Applies::Never {
                self.put(self.find(file, href, applies)?, 0, &mut used)?;
            }
        }
        Some(used)
    }
}

fn is_of_fonts(address: &str) -> bool {
    FONT_HOSTS.iter().any(|host| address.starts_with(host))
}

fn is_in_noscript(element: &ElementRef<'_>) -> bool {
    let parent = element.parent().and_then(ElementRef::wrap);
    parent.is_some_and(|parent| parent.value().name() == "noscript")
}

/// A colour, and what set it.
#[derive(Debug, Clone)]
struct Paint {
    color: Color,
    source: Source,
}

/// What an element and those in it look like.
#[derive(Debug, Clone)]
struct Look {
    /// `None` if it is not known, as all others.
    color: Option<Paint>,
    /// The colour behind the text.
    ground: Option<Paint>,
    /// Pixels.
    size: Option<f64>,
    is_bold: Option<bool>,
    custom: Rc<Custom>,
    /// Whether its texts are not judged.
    is_skipped: bool,
    /// What keeps it and all in it from being rendered.
    removed: Option<How>,
    is_invisible: bool,
    /// CSS pixels.
    indent: Option<f64>,
    /// Whether it may be hidden.
    is_exempt: bool,
    /// What hides its texts, and the number of the element that begins to.
    hidden: Option<(How, Option<usize>)>,
}

/// Judges the texts of a page of `bytes` bytes, and finds those that are hidden. Returns the images
/// of the page with what is certain of their places.
pub(super) fn check(
    file: &SitePath,
    page: &Page,
    bytes: usize,
    styles: &mut Styles,
    work: &Work,
    problems: &mut Problems,
) -> Vec<ShownImage> {
    if !styles.is_checked {
        return Vec::new();
    }
    let Some(used) = styles.of_page(file, page, work) else { return Vec::new() };
    let cascade = Cascade::new(&used, work, STEPS + STEPS_PER_BYTE * bytes, page);
    let is_dark = used.iter().any(|used| used.sheet.dark) || asks_for_dark(page);
    let mut judge = Judge {
        file,
        page,
        cascade,
        animates: used.iter().any(|used| used.sheet.animates),
        is_dark,
        rem: Some(16.0),
        declared: HashMap::new(),
        covered: HashSet::new(),
        describing: hidden::describing(page),
        may_show: hidden::has_scripts(page) || hidden::has_other_sheets(page),
        hidden: HiddenTexts::default(),
        images: PageImages::default(),
        reported: &mut styles.reported,
        problems,
    };
    if judge.declare() {
        judge.texts();
    }
    let Judge { hidden, images, problems, .. } = judge;
    hidden.report(file, &mut styles.hidden, problems);
    images.into_images()
}

fn asks_for_dark(page: &Page) -> bool {
    page.html.root_element().descendent_elements().any(|element| {
        element.value().name() == "meta"
            && element.attr("name").is_some_and(|name| name.eq_ignore_ascii_case("color-scheme"))
            && element.attr("content").is_some_and(|schemes| schemes.contains("dark"))
    })
}

/// The check of one page.
struct Judge<'a> {
    file: &'a SitePath,
    page: &'a Page,
    cascade: Cascade<'a>,
    animates: bool,
    /// Whether the browser's own colours may be those for the dark.
    is_dark: bool,
    /// The size of the text of `<html>`.
    rem: Option<f64>,
    /// What style sheets say of the elements that may show text.
    declared: HashMap<NodeId, Declared>,
    /// Elements whose background may be behind something else than their text.
    covered: HashSet<NodeId>,
    /// The ids of elements that describe others.
    describing: HashSet<String>,
    /// Whether scripts or other style sheets may show what is hidden.
    may_show: bool,
    hidden: HiddenTexts,
    images: PageImages,
    reported: &'a mut HashSet<(String, Color, Color)>,
    problems: &'a mut Problems,
}

impl Judge<'_> {
    /// Reads what style sheets say of all elements. Returns `false` if there are no steps left.
    fn declare(&mut self) -> bool {
        let page = self.page;
        // The number of open elements, and of those among them that show no text.
        let (mut depth, mut skipped) = (0_usize, 0_usize);
        // The number of nodes in each open element, and in all that are around it.
        let mut children = vec![1_usize];
        for edge in page.html.root_element().traverse() {
            match edge {
                Edge::Open(node) => {
                    let Some(element) = ElementRef::wrap(node) else { continue };
                    depth += 1;
                    if skipped > 0 {
                        skipped += 1;
                        continue;
                    }
                    let siblings = children.last().copied().unwrap_or_default();
                    let Some(declared) = self.cascade.declared(&element, depth, siblings) else {
                        return false;
                    };
                    match SKIPPED.contains(&element.value().name()) {
                        true => skipped = 1,
                        false => children.push(siblings + element.children().count()),
                    }
                    if element.value().name() == "img" {
                        let line = page.lines.get(&element.id()).copied();
                        self.images.add(&element, &declared, line, &self.cascade);
                    }
                    self.declared.insert(element.id(), declared);
                    self.cover(&element);
                }
                Edge::Close(node) if node.value().is_element() => {
                    depth -= 1;
                    match skipped {
                        0 => drop(children.pop()),
                        _ => skipped -= 1,
                    }
                }
                Edge::Close(_) => {}
            }
        }
        true
    }

    /// Notes which backgrounds an element may be in front of: those of the elements around it, up
    /// to the one by which it is placed.
    fn cover(&mut self, element: &ElementRef<'_>) {
        let Some(declared) = self.declared.get(&element.id()) else { return };
        if !is_out_of_flow(declared) || is_unseen(declared) {
            return;
        }
        let image = declared.get(&Property::Image).is_some_and(|image| match &image.value {
            None => true,
            Some(value) => value.contains("url(") || value.contains("gradient("),
        });
        self.cascade.spend(LOOKED_AT);
        let mut inside = element.descendent_elements().take(LOOKED_AT);
        let has_image = image || inside.any(|inner| MEDIA.contains(&inner.value().name()));
        for around in element.ancestors().filter_map(ElementRef::wrap) {
            self.cascade.spend(1);
            // At the top, bars and links that skip them are in front of little.
            let is_top = matches!(around.value().name(), "html" | "body");
            if !is_top || has_image {
                self.covered.insert(around.id());
            }
            if self.declared.get(&around.id()).is_some_and(is_placed) {
                return;
            }
        }
    }

    /// Judges all texts.
    fn texts(&mut self) {
        let page = self.page;
        let mut looks = vec![self.initial()];
        for edge in page.html.root_element().traverse() {
            let node = match edge {
                Edge::Open(node) => node,
                Edge::Close(node) => {
                    if node.value().is_element() {
                        looks.pop();
                    }
                    continue;
                }
            };
            let Some(around) = looks.last() else { return };
            if let (Node::Text(text), Some((_, Some(number)))) = (node.value(), around.hidden) {
                self.hidden.text(number, text);
            }
            match node.value() {
                Node::Text(text)
                    if !around.is_skipped && text.chars().any(char::is_alphanumeric) =>
                {
                    let line = node.parent().and_then(|of| page.lines.get(&of.id())).copied();
                    self.text(around, text, line);
                }
                Node::Element(_) => {
                    let Some(element) = ElementRef::wrap(node) else { continue };
                    if !self.cascade.spend(1) {
                        return;
                    }
                    let mut look = match self.declared.remove(&element.id()) {
                        Some(declared) => self.look(&element, &declared, around),
                        None => Look { is_skipped: true, is_exempt: true, ..around.clone() },
                    };
                    look.hidden = match (self.how(&look), around.hidden) {
                        (None, _) => None,
                        (Some(how), Some((before, number))) if how == before => Some((how, number)),
                        (Some(how), _) => Some((how, self.begin(how, &element, looks.len()))),
                    };
                    looks.push(look);
                }
                _ => {}
            }
        }
    }

    /// What the browser begins with.
    fn initial(&self) -> Look {
        let own = |r, g, b| {
            (!self.is_dark).then_some(Paint { color: Color { r, g, b }, source: Source::Browser })
        };
        Look {
            color: own(0, 0, 0),
            ground: own(255, 255, 255),
            size: Some(16.0),
            is_bold: Some(false),
            custom: Rc::default(),
            is_skipped: false,
            removed: None,
            is_invisible: false,
            indent: Some(0.0),
            is_exempt: false,
            hidden: None,
        }
    }

    /// Notes what an element says of whether it is shown.
    fn hide(&self, element: &ElementRef<'_>, declared: &Declared, look: &mut Look) {
        look.is_exempt |=
            SKIPPED.contains(&element.value().name()) || hidden::is_exempt(element, declared);
        look.is_exempt |= element.attr("id").is_some_and(|id| self.describing.contains(id));
        let value = |property: &Property| {
            declared.get(property).map(|winner| winner.value.as_deref().unwrap_or("?"))
        };
        look.removed = look.removed.or(match value(&Property::Display) {
            Some("none") => Some(How::Display),
            None if element.attr("hidden").is_some() => Some(How::Attribute),
            _ => None,
        });
        match value(&Property::Visibility) {
            None | Some("inherit" | "unset") => {}
            // An animation may begin with it.
            Some(text) => {
                look.is_invisible =
                    matches!(text, "hidden" | "collapse") && !declared.has(&Property::Animation);
            }
        }
        match value(&Property::Indent) {
            None | Some("inherit" | "unset") => {}
            Some(text) => {
                let negative = text.strip_prefix('-');
                let length = negative.and_then(|text| size(text, look.size, self.rem));
                look.indent = length.map(|length| -length);
            }
        }
    }

    /// What hides the texts of an element for certain.
    fn how(&self, look: &Look) -> Option<How> {
        if look.is_exempt {
            return None;
        }
        let removed = look.removed.or(look.is_invisible.then_some(How::Visibility));
        if removed.is_some() {
            return removed.filter(|_| !self.may_show);
        }
        if look.indent.is_some_and(|indent| indent <= OFF_SCREEN) {
            return Some(How::Indent);
        }
        if look.is_skipped {
            return None;
        }
        if look.size.is_some_and(|size| size <= 0.0) {
            return Some(How::Size);
        }
        match (&look.color, &look.ground) {
            (Some(color), Some(ground)) if color.color == ground.color => Some(How::Color),
            _ => None,
        }
    }

    /// An element begins to hide its texts. Returns its number, if they are looked at.
    fn begin(&mut self, how: How, element: &ElementRef<'_>, depth: usize) -> Option<usize> {
        if how.may_end() && self.cascade.is_revealed(element, depth) {
            return None;
        }
        let line = self.page.lines.get(&element.id()).copied();
        self.hidden.begin(how, line)
    }

    fn look(&mut self, element: &ElementRef<'_>, declared: &Declared, around: &Look) -> Look {
        let name = element.value().name();
        let has = |attribute: &str| element.attr(attribute).is_some();
        let mut look = around.clone();
        self.hide(element, declared, &mut look);
        look.is_skipped |= SKIPPED.contains(&name)
            || has("hidden")
            || has("popover")
            || has("disabled")
            || element.attr("aria-hidden") == Some("true")
            || is_unseen(declared)
            || declared.has(&Property::Effect)
            || (self.animates && declared.has(&Property::Animation));
        if look.is_skipped {
            return look;
        }
        look.custom = self.cascade.custom(declared, &around.custom);
        let value = |property| declared.value(property, &look.custom);
        let is_opaque = match value(&Property::Opacity) {
            Value::None => true,
            Value::Unknown => false,
            Value::Text(text) => {
                let (number, whole) = match text.strip_suffix('%') {
                    Some(percent) => (percent, 100.0),
                    None => (text.as_str(), 1.0),
                };
                number.trim().parse::<f64>().is_ok_and(|value| value >= whole)
            }
        };
        if !is_opaque {
            look.is_skipped = true;
            return look;
        }
        look.color = self.color(element, declared, &look, around);
        look.ground = match declared.is_covered || self.covered.contains(&element.id()) {
            // Something of its own is in front of it.
            true => None,
            false => ground(element, declared, &look, around),
        };
        let own_size = match name {
            "h1" => 2.0,
            "h2" => 1.5,
            "h3" => 1.17,
            "h5" | "small" | "sub" | "sup" => 0.83,
            "h6" => 0.67,
            _ => 1.0,
        };
        look.size = match value(&Property::Size) {
            Value::None => around.size.map(|size| size * own_size),
            Value::Unknown => None,
            Value::Text(text) => size(&text, around.size, self.rem),
        };
        if name == "html" {
            self.rem = look.size;
        }
        let is_bold =
            matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "b" | "strong" | "th");
        look.is_bold = match value(&Property::Weight) {
            Value::None if is_bold => Some(true),
            Value::None => around.is_bold,
            Value::Unknown => None,
            Value::Text(text) => match text.trim() {
                "bold" | "bolder" => Some(true),
                "normal" | "lighter" | "initial" => Some(false),
                "inherit" | "unset" => around.is_bold,
                number => number.parse::<f64>().ok().map(|weight| weight >= 700.0),
            },
        };
        look
    }

    fn color(
        &self,
        element: &ElementRef<'_>,
        declared: &Declared,
        look: &Look,
        around: &Look,
    ) -> Option<Paint> {
        let name = element.value().name();
        match declared.value(&Property::Color, &look.custom) {
            Value::Unknown => None,
            Value::None if CONTROLS.contains(&name) || has_colors(element) => None,
            Value::None if name == "a" && element.attr("href").is_some() => {
                // The colour of links in all browsers.
                let color = Color { r: 0, g: 0, b: 0xee };
                (!self.is_dark).then_some(Paint { color, source: Source::Browser })
            }
            Value::None => around.color.clone(),
            Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "inherit" | "unset" | "currentcolor" => around.color.clone(),
                _ => match Painted::of(&text) {
                    Painted::Opaque(color) => {
                        Some(Paint { color, source: source(element, declared, &Property::Color) })
                    }
                    Painted::Transparent | Painted::Other => None,
                },
            },
        }
    }

    /// Judges a text.
    fn text(&mut self, look: &Look, text: &str, line: Option<u64>) {
        let (Some(color), Some(ground)) = (&look.color, &look.ground) else { return };
        let is_large = match (look.size, look.is_bold) {
            (Some(size), Some(is_bold)) => size >= if is_bold { LARGE_BOLD } else { LARGE },
            (Some(size), None) => size >= LARGE_BOLD,
            // It may be.
            (None, _) => true,
        };
        let wanted = if is_large { CONTRAST_LARGE } else { CONTRAST };
        // As it is shown: 4.499 is no 4.50.
        let found = (contrast_ratio(color.color, ground.color) * 100.0).floor() / 100.0;
        if found >= wanted {
            return;
        }
        let (file, at) = self.cascade.place(&color.source).unwrap_or((self.file.clone(), line));
        let name = self.cascade.name(&color.source);
        let key = match color.source {
            Source::Rule { .. } => name.clone(),
            Source::Attribute(_) | Source::Browser => format!("{file}:{at:?}"),
        };
        if !self.reported.insert((key, color.color, ground.color)) {
            return;
        }
        let seen = match (line, file == *self.file) {
            (_, true) | (None, _) => String::new(),
            (Some(line), false) => format!(" in line {line} of `{}`", self.file),
        };
        let large = if is_large { " for large text" } else { "" };
        let message = message!(
            "text in {} ({}) on {} ({}){seen} has a contrast of {found:.2}:1, less than the \
             {wanted}:1 that WCAG AA asks for{large}; {} has enough",
            color.color,
            shown(&name),
            ground.color,
            shown(&self.cascade.name(&ground.source)),
            readable(color.color, ground.color, wanted),
        );
        let words: Vec<&str> = text.split_whitespace().take(30).collect();
        self.problems.add(&file, Rule::Contrast, at, Some(&words.join(" ")), message);
    }
}

fn source(element: &ElementRef<'_>, declared: &Declared, property: &Property) -> Source {
    match declared.get(property).and_then(|winner| winner.rule) {
        Some((sheet, rule)) => Source::Rule { sheet, rule },
        None => Source::Attribute(element.value().name().into()),
    }
}

/// Whether it is taken out of the flow of its parent, or may be.
fn is_out_of_flow(declared: &Declared) -> bool {
    declared.get(&Property::Position).is_some_and(|position| {
        !matches!(position.value.as_deref(), Some("static" | "relative" | "sticky"))
    })
}

/// Whether what is taken out of the flow inside it is placed by it, for certain.
fn is_placed(declared: &Declared) -> bool {
    declared.get(&Property::Position).is_some_and(|position| {
        matches!(position.value.as_deref(), Some("relative" | "absolute" | "fixed" | "sticky"))
    })
}

/// Whether it is not painted, or only for screen readers.
fn is_unseen(declared: &Declared) -> bool {
    let is = |property, value: &[&str]| {
        declared
            .get(property)
            .and_then(|winner| winner.value.as_deref())
            .is_some_and(|found| value.contains(&found))
    };
    is(&Property::Display, &["none"])
        || is(&Property::Visibility, &["hidden", "collapse"])
        || declared.has(&Property::Clip)
}

/// Whether attributes of HTML set colours.
fn has_colors(element: &ElementRef<'_>) -> bool {
    ATTRIBUTES.iter().any(|attribute| element.attr(attribute).is_some())
}

/// The colour behind the text of an element.
fn ground(
    element: &ElementRef<'_>,
    declared: &Declared,
    look: &Look,
    around: &Look,
) -> Option<Paint> {
    let name = element.value().name();
    let image = declared.value(&Property::Image, &look.custom);
    let has_image = match &image {
        Value::None => false,
        Value::Unknown => true,
        Value::Text(text) => matches!(Ground::of(text), Ground::Unknown),
    };
    let color = declared.value(&Property::Background, &look.custom);
    let own = match &color {
        _ if has_image || has_colors(element) => Ground::Unknown,
        Value::None if CONTROLS.contains(&name) => Ground::Unknown,
        Value::None => Ground::Clear,
        Value::Unknown => Ground::Unknown,
        Value::Text(text) => Ground::of(text),
    };
    let is_moved = declared.has(&Property::Displaced)
        || declared.get(&Property::Position).is_some_and(|position| {
            !matches!(position.value.as_deref(), Some("static" | "relative"))
        });
    match own {
        Ground::Solid(color) => {
            Some(Paint { color, source: source(element, declared, &Property::Background) })
        }
        Ground::Clear if !is_moved => around.ground.clone(),
        Ground::Clear | Ground::Unknown => None,
    }
}

/// What a colour paints.
enum Painted {
    Opaque(Color),
    Transparent,
    /// It is partly transparent, or no colour that is understood.
    Other,
}

impl Painted {
    fn of(text: &str) -> Self {
        match text.parse::<Color>() {
            Err(ColorError::Transparent(_)) => Painted::Transparent,
            Err(_) => Painted::Other,
            Ok(color) => match csscolorparser::parse(text.trim()) {
                Ok(parsed) if parsed.a >= 1.0 => Painted::Opaque(color),
                _ => Painted::Other,
            },
        }
    }
}

/// What a `background` paints.
enum Ground {
    Solid(Color),
    Clear,
    Unknown,
}

impl Ground {
    fn of(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        let mut ground = Ground::Clear;
        for word in words(&text) {
            let is_of_images = matches!(
                word,
                "none"
                    | "initial"
                    | "unset"
                    | "no-repeat"
                    | "repeat"
                    | "repeat-x"
                    | "repeat-y"
                    | "center"
                    | "top"
                    | "bottom"
                    | "left"
                    | "right"
                    | "fixed"
                    | "scroll"
                    | "local"
                    | "border-box"
                    | "padding-box"
                    | "content-box"
                    | "cover"
                    | "contain"
                    | "auto"
                    | "/"
            );
            if is_of_images || word.starts_with(|c: char| c.is_ascii_digit()) {
                continue;
            }
            match (Painted::of(word), &ground) {
                (Painted::Opaque(color), Ground::Clear) => ground = Ground::Solid(color),
                (Painted::Transparent, Ground::Clear) => {}
                _ => return Ground::Unknown,
            }
        }
        ground
    }
}

/// The words of a value, at the blanks that are in no parentheses.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let words = text.split(move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && c.is_ascii_whitespace()
    });
    words.filter(|word| !word.is_empty())
}

/// A size of text in pixels.
fn size(text: &str, around: Option<f64>, rem: Option<f64>) -> Option<f64> {
    let text = text.trim();
    match text {
        "inherit" | "unset" => return around,
        "smaller" => return around.map(|size| size / 1.2),
        "larger" => return around.map(|size| size * 1.2),
        "xx-small" => return Some(9.0),
        "x-small" => return Some(10.0),
        "small" => return Some(13.0),
        "medium" | "initial" => return Some(16.0),
        "large" => return Some(18.0),
        "x-large" => return Some(24.0),
        "xx-large" => return Some(32.0),
        _ => {}
    }
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    match unit {
        "" if number <= 0.0 => Some(number),
        "px" => Some(number),
        "pt" => Some(number * 4.0 / 3.0),
        "em" => around.map(|size| size * number),
        "%" => around.map(|size| size * number / 100.0),
        "rem" => rem.map(|size| size * number),
        _ => None,
    }
}

/// The colour nearest to `color` that has enough contrast with `ground`, between `color` and black
/// or white.
fn readable(color: Color, ground: Color, wanted: f64) -> Color {
    const PARTS: u32 = 64;
    let towards = |end: u8, part: u32| {
        let mix = |from: u8| {
            let mixed = (u32::from(from) * (PARTS - part) + u32::from(end) * part) / PARTS;
            u8::try_from(mixed).unwrap_or(end)
        };
        Color { r: mix(color.r), g: mix(color.g), b: mix(color.b) }
    };
    let mixed = (1..=PARTS).flat_map(|part| [0, 255].map(|end| towards(end, part)));
    // Black or white has it with every colour.
    let mut enough = mixed.filter(|mixed| contrast_ratio(*mixed, ground) >= wanted);
    enough.next().unwrap_or(Color { r: 0, g: 0, b: 0 })
}
