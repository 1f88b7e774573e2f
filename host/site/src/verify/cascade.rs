//! Which declarations of a page's style sheets win for an element, and what custom properties mean.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use scraper::ElementRef;

use super::page::Page;
use super::style::{self, Applies, Declaration, Property, Sheet, StyleRule};
use super::work::Work;
use crate::path::SitePath;

/// Maximum bytes of a value in which custom properties are filled in.
const MAX_VALUE: usize = 1_000;
/// Maximum number of custom properties that refer to each other in a row.
const MAX_DEPTH: usize = 16;

/// Steps for each byte of a style sheet.
pub(super) const SHEET_STEPS: usize = 8;

/// A style sheet of a page.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) sheet: Rc<Sheet>,
    /// The file that has it.
    pub(super) file: SitePath,
    /// Where it begins in the file, counted from 1.
    pub(super) first_line: u64,
    pub(super) applies: Applies,
}

/// The value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing sets it.
    None,
    Unknown,
    /// Custom properties are filled in.
    Text(String),
}

/// What set a colour.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The numbers of a style sheet and of a rule in it.
    Rule { sheet: usize, rule: usize },
    /// The `style` of an element of this name.
    Attribute(Rc<str>),
    /// The browser's own style sheet.
    Browser,
}

/// The values of custom properties; `None` if one is not known.
pub(super) type Custom = HashMap<Rc<str>, Option<Rc<str>>>;

/// A declaration that wins.
#[derive(Debug)]
pub(super) struct Winner {
    /// As written; `None` if it is not known.
    pub(super) value: Option<Rc<str>>,
    /// The numbers of its style sheet and rule; `None` for a `style` attribute.
    pub(super) rule: Option<(usize, usize)>,
}

/// What style sheets say of one element.
#[derive(Debug, Default)]
pub(super) struct Declared {
    winners: BTreeMap<Property, Winner>,
    /// Whether its `::before` or `::after` may be in front of its background.
    pub(super) is_covered: bool,
}

impl Declared {
    pub(super) fn get(&self, property: &Property) -> Option<&Winner> {
        self.winners.get(property)
    }

    pub(super) fn has(&self, property: &Property) -> bool {
        self.winners.contains_key(property)
    }

    /// The value of a property, custom properties filled in.
    pub(super) fn value(&self, property: &Property, custom: &Custom) -> Value {
        let Some(winner) = self.winners.get(property) else { return Value::None };
        let mut find = |name: &str| value_of(name, custom);
        let value = winner.value.as_deref().and_then(|value| fill(value, &mut find, 0));
        value.map_or(Value::Unknown, Value::Text)
    }
}

/// The cascade of a page, with a number of steps that it may take.
#[derive(Debug)]
pub(super) struct Cascade<'a> {
    used: &'a [Used],
    work: &'a Work,
    left: Cell<usize>,
    /// Steps of comparing an element of the page with a simple selector.
    weight: usize,
}

/// The largest number of steps of comparing an element with a simple selector: 1, and more if the
/// page has elements with far more attributes, classes or comments around them than others.
fn weight(page: &Page) -> usize {
    const ATTRIBUTES: usize = 16;
    const CLASS_BYTES: usize = 256;
    const BETWEEN: usize = 8;
    let mut weight = 1;
    for element in page.html.root_element().descendent_elements() {
        let attributes = element.value().attrs().count() / ATTRIBUTES;
        let classes = element.attr("class").map_or(0, str::len) / CLASS_BYTES;
        // Nodes that are no elements, between two that are.
        let (mut between, mut longest) = (0, 0);
        for child in element.children() {
            between = if child.value().is_element() { 0 } else { between + 1 };
            longest = longest.max(between);
        }
        weight = weight.max(1 + attributes + classes + longest / BETWEEN);
    }
    weight
}

/// A declaration for an element: its rank, how surely it applies, and the sheet and rule that have
/// it; `None` if the element's own `style` has it.
type Found<'a> = (Rank, &'a Declaration, Applies, Option<(usize, usize)>);

/// A declaration for an element, in the order of the cascade.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    important: bool,
    /// Whether it is of a `style` attribute.
    is_attribute: bool,
    specificity: [u32; 3],
    sheet: usize,
    order: usize,
    number: usize,
}

impl<'a> Cascade<'a> {
    pub(super) fn new(used: &'a [Used], work: &'a Work, steps: usize, page: &Page) -> Self {
        Cascade { used, work, left: Cell::new(steps), weight: weight(page) }
    }

    /// Returns whether there are steps left.
    pub(super) fn spend(&self, steps: usize) -> bool {
        self.work.spend(steps);
        self.left.set(self.left.get().saturating_sub(steps));
        self.left.get() > 0 && !self.work.is_exhausted()
    }

    /// Spends so many steps if they are left; otherwise none is left from then on. A selector that
    /// takes too much leaves a page unjudged, and is no fault of it.
    fn afford(&self, steps: usize) -> bool {
        if steps > self.left.get() {
            self.left.set(0);
            return false;
        }
        self.spend(steps)
    }

    /// What the style sheets say of an element so deep. `siblings` are the nodes beside it and
    /// beside all elements around it. `None` if there are no steps left.
    pub(super) fn declared(
        &self,
        element: &ElementRef<'_>,
        depth: usize,
        siblings: usize,
    ) -> Option<Declared> {
        let mut declared = Declared::default();
        let text = element.attr("style").unwrap_or_default();
        self.spend(SHEET_STEPS * text.len());
        let attribute = style::read_attribute(text);
        let mut found: Vec<Found<'_>> = Vec::new();
        for (number, declaration) in attribute.iter().enumerate() {
            let important = declaration.important;
            let specificity = [0; 3];
            let rank =
                Rank { important, is_attribute: true, specificity, sheet: 0, order: 0, number };
            found.push((rank, declaration, Applies::Always, None));
        }
        for (sheet, used) in self.used.iter().enumerate() {
            for number in used.sheet.candidates(element.value()) {
                let rule = &used.sheet.rules[number];
                let around = 1 + if rule.siblings { depth + siblings } else { depth };
                let steps = rule.effort.comparisons(around).saturating_mul(self.weight);
                if !self.afford(steps.saturating_add(1 + rule.declarations.len())) {
                    return None;
                }
                if !rule.selector.matches(element) {
                    continue;
                }
                let applies = rule.applies.max(used.applies);
                if rule.pseudo {
                    declared.is_covered |= covers(rule);
                    continue;
                }
                for (place, declaration) in rule.declarations.iter().enumerate() {
                    let rank = Rank {
                        important: declaration.important,
                        is_attribute: false,
                        specificity: rule.specificity,
                        sheet,
                        order: rule.order,
                        number: place,
                    };
                    found.push((rank, declaration, applies, Some((sheet, number))));
                }
            }
        }
        if !self.spend(1 + 4 * found.len()) {
            return None;
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        for (_, declaration, applies, rule) in found {
            let value = declaration.value.clone().filter(|_| applies == Applies::Always);
            declared.winners.insert(declaration.property.clone(), Winner { value, rule });
        }
        Some(declared)
    }

    /// Whether an element so deep may be shown by what a visitor does, or in print.
    pub(super) fn is_revealed(&self, element: &ElementRef<'_>, depth: usize) -> bool {
        let mut reveals = self.used.iter().flat_map(|used| &used.sheet.reveals);
        // Without steps it is not known.
        reveals.any(|reveal| {
            let steps = reveal.effort.comparisons(1 + depth).saturating_mul(self.weight);
            !self.afford(steps.saturating_add(1))
                || reveal.selector.as_ref().is_none_or(|selector| selector.matches(element))
        })
    }

    /// The custom properties of an element.
    pub(super) fn custom(&self, declared: &Declared, around: &Rc<Custom>) -> Rc<Custom> {
        let own = || {
            declared.winners.iter().filter_map(|(property, winner)| match property {
                Property::Custom(name) => Some((name, winner)),
                _ => None,
            })
        };
        if own().next().is_none() {
            return around.clone();
        }
        // If no steps are left, the check ends before the next element.
        self.spend(around.len());
        let mut custom = Custom::clone(around);
        let mut written: HashMap<&str, &Winner> =
            own().map(|(name, winner)| (name.as_ref(), winner)).collect();
        for (name, winner) in own() {
            self.spend(1 + winner.value.as_ref().map_or(0, |value| value.len()));
            set(name, &mut written, &mut custom, 0);
        }
        Rc::new(custom)
    }

    /// The file and line of what set a colour; `None` if nothing of the site did.
    pub(super) fn place(&self, source: &Source) -> Option<(SitePath, Option<u64>)> {
        match source {
            Source::Rule { sheet, rule } => {
                let used = self.used.get(*sheet)?;
                let line = used.first_line + u64::from(used.sheet.rules.get(*rule)?.line);
                Some((used.file.clone(), Some(line)))
            }
            Source::Attribute(_) | Source::Browser => None,
        }
    }

    /// What set a colour, for messages.
    pub(super) fn name(&self, source: &Source) -> String {
        match source {
            Source::Rule { sheet, rule } => {
                let rule = self.used.get(*sheet).and_then(|used| used.sheet.rules.get(*rule));
                rule.map_or_else(String::new, |rule| format!("`{}`", rule.shown))
            }
            Source::Attribute(element) => format!("`style` of a `<{element}>`"),
            Source::Browser => "the browser's own colour".to_owned(),
        }
    }
}

/// Whether what a rule says of a `::before` or `::after` lets it be in front of a background.
fn covers(rule: &StyleRule) -> bool {
    rule.declarations.iter().any(|declaration| {
        let value = declaration.value.as_deref();
        match declaration.property {
            Property::Position => !matches!(value, Some("static" | "relative")),
            _ => false,
        }
    })
}

fn value_of(name: &str, custom: &Custom) -> Value {
    match custom.get(name) {
        None => Value::None,
        Some(None) => Value::Unknown,
        Some(Some(value)) => Value::Text(value.to_string()),
    }
}

/// Fills a custom property of `written` into `custom`, and before it those that it refers to.
fn set(name: &str, written: &mut HashMap<&str, &Winner>, custom: &mut Custom, depth: usize) {
    // Taken out first: one that refers to itself is not known.
    let Some(winner) = written.remove(name) else { return };
    custom.insert(name.into(), None);
    let mut value = None;
    if let Some(text) = winner.value.as_deref().filter(|_| depth < MAX_DEPTH) {
        if text.eq_ignore_ascii_case("initial") {
            custom.remove(name);
            return;
        }
        let mut find = |other: &str| {
            set(other, written, custom, depth + 1);
            value_of(other, custom)
        };
        value = fill(text, &mut find, 0);
    }
    custom.insert(name.into(), value.map(Rc::from));
}

/// A value with `var()` filled in. `None` if it is not known, or too long.
fn fill(text: &str, find: &mut dyn FnMut(&str) -> Value, depth: usize) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("var(") {
        filled.push_str(&rest[..at]);
        let inside = &rest[at + "var(".len()..];
        let end = closing(inside)?;
        rest = inside.get(end + 1..).unwrap_or_default();
        let inside = &inside[..end];
        let (name, fallback) = match inside.split_once(',') {
            Some((name, fallback)) => (name, Some(fallback)),
            None => (inside, None),
        };
        match (find(name.trim()), fallback) {
            (Value::Text(value), _) => filled.push_str(&value),
            (Value::None, Some(fallback)) if depth < MAX_DEPTH => {
                filled.push_str(&fill(fallback.trim(), find, depth + 1)?);
            }
            _ => return None,
        }
        if filled.len() > MAX_VALUE {
            return None;
        }
    }
    filled.push_str(rest);
    (filled.len() <= MAX_VALUE && !filled.contains("env(")).then_some(filled)
}

/// Where the parenthesis before `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return Some(at),
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}
