//! The rules of a style sheet, as far as they decide which colours a text and its background have,
//! and the place of an image.
//!
//! What cannot be known from the sheet alone (rules for some screens only, states, features of a
//! browser) is kept as rules that may apply; what is not understood makes the sheet
//! [`unknown`](Sheet::unknown).

use std::collections::HashMap;
use std::rc::Rc;

use cssparser::{Parser, Token, serialize_identifier};
use scraper::Selector;

use crate::excerpt::excerpt;

/// Maximum bytes of a style sheet that is read for its colours.
const MAX_SHEET: usize = 512 << 10;
/// Maximum number of selectors of a style sheet. Real ones have less than 5,000.
const MAX_RULES: usize = 20_000;
/// Maximum number of selectors with declarations, of rules that never apply too.
const MAX_SELECTORS: usize = 2 * MAX_RULES;
/// Maximum bytes of all selectors, with those that they are nested in, for each byte of the sheet,
/// and of every sheet. Once read, a selector takes up to 40 bytes for each of its own.
const SELECTOR_BYTES: usize = 4;
const SELECTOR_BYTES_OF_ALL: usize = 64 << 10;
/// Maximum number of rules that show something in a state. Real sheets have less than 100.
const MAX_REVEALS: usize = 1_000;
/// Maximum bytes of one selector, with those that it is nested in.
const MAX_SELECTOR: usize = 1_000;
/// Maximum bytes of a value. Those of colours and sizes are short.
const MAX_VALUE: usize = 1_000;
/// Maximum nesting of rules, and of `:is()` and the like in a selector.
const MAX_DEPTH: usize = 8;
/// Maximum characters of a selector in a message.
const SHOWN: usize = 120;
/// States that an element does not have before a visitor does something.
const STATES: [&str; 14] = [
    "hover",
    "focus",
    "focus-visible",
    "focus-within",
    "active",
    "visited",
    "target",
    "target-within",
    "user-invalid",
    "user-valid",
    "autofill",
    "fullscreen",
    "popover-open",
    "host",
];

/// When something applies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Applies {
    #[default]
    Always,
    /// On some screens, in some browsers, in some states.
    Maybe,
    /// Not on a screen with the settings that browsers come with, before a visitor does something.
    Never,
}

/// What a declaration decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Property {
    Color,
    /// The colour of the background.
    Background,
    /// The image in front of it.
    Image,
    Size,
    Weight,
    Position,
    Opacity,
    Display,
    Visibility,
    /// Moves the element from its place: it may be in front of something else than its parent.
    Displaced,
    /// Leaves nothing of the element to see.
    Clip,
    /// Where the first line begins.
    Indent,
    Width,
    Height,
    /// The ratio of the two.
    Ratio,
    /// How an image fills its box.
    Fit,
    /// Changes or hides what is painted in a way that is not computed here.
    Effect,
    Animation,
    Custom(Rc<str>),
}

/// One declaration. `value` is as written, without `!important`.
#[derive(Debug, Clone)]
pub(super) struct Declaration {
    pub(super) property: Property,
    /// `None` if it is too long.
    pub(super) value: Option<Rc<str>>,
    pub(super) important: bool,
}

/// A selector with its declarations.
#[derive(Debug)]
pub(super) struct StyleRule {
    pub(super) selector: Selector,
    /// As written, cut.
    pub(super) shown: Rc<str>,
    /// Counted from 0.
    pub(super) line: u32,
    /// Its place among the rules of the sheet.
    pub(super) order: usize,
    /// Numbers of ids; of classes, attributes and pseudo-classes; of types and pseudo-elements.
    pub(super) specificity: [u32; 3],
    pub(super) applies: Applies,
    /// Whether it is for `::before` or `::after` of the elements that match.
    pub(super) pseudo: bool,
    /// What matching it takes.
    pub(super) effort: Effort,
    /// Whether matching it looks at all siblings.
    pub(super) siblings: bool,
    pub(super) declarations: Rc<[Declaration]>,
}

/// A rule that shows elements in a state that a visitor brings about, or in print.
#[derive(Debug)]
pub(super) struct Reveal {
    /// Matches at least the elements that the rule is for; `None` if it may be any.
    pub(super) selector: Option<Selector>,
    /// What matching it takes.
    pub(super) effort: Effort,
}

/// Highest power of the elements around one with which matching a selector grows. 1 for most, and 2
/// for one with several steps in an `:is()`.
const MAX_POWER: usize = 3;

/// How often an element is compared with simple selectors until it is known whether it matches: a
/// number for each power of the elements around it.
///
/// Each combinator looks at all elements around, and an `:is()` in one of its sides does so again
/// for each of them: eight in each other would take years.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Effort([u32; MAX_POWER + 1]);

impl Effort {
    const ONE: Effort = Effort([1, 0, 0, 0]);

    fn add(&mut self, other: Effort) {
        for (own, more) in self.0.iter_mut().zip(other.0) {
            *own = own.saturating_add(more);
        }
    }

    /// If it is made for each element around. `None` if it is too much.
    fn for_each(self) -> Option<Self> {
        let Effort([zero, one, two, three]) = self;
        (three == 0).then_some(Effort([0, zero, one, two]))
    }

    /// The number of comparisons, with so many elements around.
    pub(super) fn comparisons(self, around: usize) -> usize {
        let powers = self.0.iter().rev();
        powers.fold(0, |sum: usize, count| {
            let count = usize::try_from(*count).unwrap_or(usize::MAX);
            sum.saturating_mul(around).saturating_add(count)
        })
    }
}

/// A style sheet that another one imports.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) address: String,
    pub(super) applies: Applies,
}

/// A style sheet.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) rules: Vec<StyleRule>,
    pub(super) imports: Vec<Import>,
    pub(super) reveals: Vec<Reveal>,
    /// Whether it has something that is not understood and may matter.
    pub(super) unknown: bool,
    /// Whether an animation changes colours.
    pub(super) animates: bool,
    /// Whether it asks for the browser's dark colours.
    pub(super) dark: bool,
    by_id: HashMap<Rc<str>, Vec<usize>>,
    by_class: HashMap<Rc<str>, Vec<usize>>,
    by_type: HashMap<Rc<str>, Vec<usize>>,
    by_nothing: Vec<usize>,
}

impl Sheet {
    /// The rules that may match an element, in no order: those whose last compound selector has its
    /// id, one of its classes or its type, or none of these.
    pub(super) fn candidates<'a>(
        &'a self,
        element: &'a scraper::node::Element,
    ) -> impl Iterator<Item = usize> + 'a {
        let id = element.id().and_then(|id| self.by_id.get(id));
        let classes = element.classes().filter_map(|class| self.by_class.get(class));
        let of_type = self.by_type.get(element.name());
        let named = id.into_iter().chain(classes).chain(of_type);
        named.chain([&self.by_nothing]).flatten().copied()
    }

    fn add(&mut self, rule: StyleRule, key: Key) {
        if self.rules.len() == MAX_RULES {
            self.unknown = true;
            return;
        }
        let number = self.rules.len();
        self.rules.push(rule);
        match key {
            Key::Id(id) => self.by_id.entry(id).or_default().push(number),
            Key::Class(class) => self.by_class.entry(class).or_default().push(number),
            Key::Type(name) => self.by_type.entry(name).or_default().push(number),
            Key::Any => self.by_nothing.push(number),
        }
    }
}

/// Reads a style sheet. Each byte is read a bounded number of times.
pub(super) fn read(text: &str) -> Sheet {
    let mut reader = Reader::of(text);
    if text.len() > MAX_SHEET {
        reader.sheet.unknown = true;
    } else {
        reader.block(&mut Parser::new(text), &Within::default());
    }
    reader.sheet
}

/// The declarations of a `style` attribute.
pub(super) fn read_attribute(text: &str) -> Vec<Declaration> {
    // Most elements have none.
    if text.is_empty() {
        return Vec::new();
    }
    let mut reader = Reader::of(text);
    reader.block(&mut Parser::new(text), &Within::default())
}

/// What a block is in.
#[derive(Debug, Clone, Default)]
struct Within {
    applies: Applies,
    depth: usize,
    /// The selectors of the rule that the block belongs to.
    parent: Option<Rc<Outer>>,
    line: u32,
    /// The place of the block's own declarations among the rules.
    order: usize,
}

/// How an item of a block ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Semicolon,
    Block,
    Text,
}

struct Reader {
    sheet: Sheet,
    /// The number of blocks so far.
    blocks: usize,
    /// The number of selectors with declarations so far.
    selectors: usize,
    /// Bytes that selectors may still have.
    bytes: usize,
}

impl Reader {
    fn of(text: &str) -> Self {
        let bytes = SELECTOR_BYTES * text.len() + SELECTOR_BYTES_OF_ALL;
        Reader { sheet: Sheet::default(), blocks: 0, selectors: 0, bytes }
    }

    /// Reads the rules of a block or of a whole sheet. Returns the declarations among them.
    fn block(&mut self, parser: &mut Parser<'_>, within: &Within) -> Vec<Declaration> {
        let mut declarations = Vec::new();
        loop {
            if self.sheet.unknown {
                // Nobody uses it.
                return declarations;
            }
            parser.skip_whitespace();
            let start = parser.position();
            let line = parser.current_source_location().line;
            let mut keyword = None;
            let mut is_custom = false;
            let (text, end) = loop {
                // Also leaves a block of parentheses whose beginning was read.
                parser.skip_whitespace();
                let at = parser.position();
                let is_first = at == start;
                match parser.next() {
                    Err(_) => break (parser.slice(start..at), End::Text),
                    Ok(Token::Semicolon) => break (parser.slice(start..at), End::Semicolon),
                    Ok(Token::CurlyBracketBlock) if !is_custom => {
                        break (parser.slice(start..at), End::Block);
                    }
                    Ok(Token::AtKeyword(name)) if is_first => {
                        keyword = Some(name.to_ascii_lowercase());
                    }
                    Ok(Token::Ident(name)) if is_first => is_custom = name.starts_with("--"),
                    Ok(_) => {}
                }
            };
            let text = text.trim();
            match (keyword.as_deref(), end) {
                (None, End::Text | End::Semicolon) => self.declare(text, &mut declarations),
                (None, End::Block) => self.style_rule(parser, text, line, within),
                (Some(name), end) => {
                    // The name has `@` in front.
                    let prelude = text.get(name.len() + 1..).unwrap_or_default().trim();
                    match end {
                        End::Block => self.at_rule(parser, name, prelude, within),
                        _ if name == "import" => self.import(prelude, within),
                        _ => {}
                    }
                }
            }
            if end == End::Text {
                return declarations;
            }
        }
    }

    fn declare(&mut self, text: &str, declarations: &mut Vec<Declaration>) {
        let Some((name, value)) = text.split_once(':') else { return };
        let mut value = value.trim();
        let mut important = false;
        if let Some((before, mark)) = value.rsplit_once('!')
            && mark.trim().eq_ignore_ascii_case("important")
        {
            (value, important) = (before.trim_end(), true);
        }
        let name = name.trim();
        if name.eq_ignore_ascii_case("color-scheme") {
            self.sheet.dark |= value.to_ascii_lowercase().contains("dark");
        }
        properties(name, value, |property, value| {
            let value = (value.len() <= MAX_VALUE).then(|| Rc::from(value));
            declarations.push(Declaration { property, value, important });
        });
    }

    fn import(&mut self, prelude: &str, within: &Within) {
        let mut parser = Parser::new(prelude);
        let Ok(address) = parser.expect_url_or_string() else {
            self.sheet.unknown = true;
            return;
        };
        let rest = prelude.get(parser.position().byte_index()..).unwrap_or_default();
        let applies = media(rest).max(within.applies);
        self.sheet.imports.push(Import { address: address.to_string(), applies });
    }

    fn at_rule(&mut self, parser: &mut Parser<'_>, name: &str, prelude: &str, within: &Within) {
        let applies = match name {
            "media" => media(prelude),
            // Layers change the order of rules, scopes and containers where they apply.
            "supports" | "layer" | "scope" | "container" | "document" => Applies::Maybe,
            "property" => {
                self.sheet.unknown = true;
                return;
            }
            _ if name.ends_with("keyframes") => {
                let start = parser.position();
                parser.skip_whitespace();
                let text = parser.slice_from(start).to_ascii_lowercase();
                self.sheet.animates |= text.contains("color") || text.contains("background");
                return;
            }
            _ => return,
        };
        let applies = applies.max(within.applies);
        let inside = Within { applies, order: self.order(), ..within.clone() };
        let declarations = self.nested(parser, inside.clone());
        if let Some(parent) = &inside.parent {
            self.rules(&parent.selectors, declarations, &inside);
        }
    }

    fn style_rule(&mut self, parser: &mut Parser<'_>, text: &str, line: u32, within: &Within) {
        let parent = within.parent.as_deref();
        let selectors: Option<Vec<Scanned>> =
            split(text).take(MAX_RULES + 1).map(|one| scan(one, parent, 0)).collect();
        let Some(selectors) = selectors.filter(|selectors| selectors.len() <= MAX_RULES) else {
            self.sheet.unknown = true;
            return;
        };
        let parent = Rc::new(Outer::of(selectors));
        let order = self.order();
        let inside = Within { parent: Some(parent.clone()), line, order, ..within.clone() };
        let declarations = self.nested(parser, inside.clone());
        self.rules(&parent.selectors, declarations, &inside);
    }

    /// The place of the block that begins here.
    fn order(&mut self) -> usize {
        self.blocks += 1;
        self.blocks
    }

    fn nested(&mut self, parser: &mut Parser<'_>, mut inside: Within) -> Vec<Declaration> {
        inside.depth += 1;
        if inside.depth > MAX_DEPTH {
            self.sheet.unknown = true;
            return Vec::new();
        }
        let read: Result<_, cssparser::ParseError<()>> =
            parser.parse_nested_block(|parser| Ok(self.block(parser, &inside)));
        // A block deeper than the library reads.
        read.unwrap_or_else(|_| {
            self.sheet.unknown = true;
            Vec::new()
        })
    }

    fn rules(&mut self, selectors: &[Scanned], found: Vec<Declaration>, inside: &Within) {
        if found.is_empty() {
            return;
        }
        let declarations: Rc<[Declaration]> = found.into();
        for scanned in selectors {
            self.selectors += 1;
            let left = self.bytes.checked_sub(scanned.text.len());
            let Some(left) = left.filter(|_| self.selectors <= MAX_SELECTORS) else {
                self.sheet.unknown = true;
                return;
            };
            self.bytes = left;
            let applies = scanned.applies.max(inside.applies);
            if applies == Applies::Never {
                self.reveal(scanned, &declarations);
                continue;
            }
            let Ok(selector) = Selector::parse(&scanned.text) else {
                self.sheet.unknown = true;
                return;
            };
            let rule = StyleRule {
                selector,
                shown: scanned.shown.clone(),
                line: inside.line,
                order: inside.order,
                specificity: scanned.specificity,
                applies,
                pseudo: scanned.pseudo,
                effort: scanned.effort,
                siblings: scanned.siblings,
                declarations: declarations.clone(),
            };
            self.sheet.add(rule, scanned.key.clone());
        }
    }
}

impl Reader {
    /// Keeps a rule that never applies at first, if it shows what others hide.
    fn reveal(&mut self, scanned: &Scanned, declarations: &[Declaration]) {
        let shows = declarations.iter().any(|declaration| {
            let value = declaration.value.as_deref();
            match declaration.property {
                Property::Display => value != Some("none"),
                Property::Visibility => value != Some("hidden"),
                _ => false,
            }
        });
        let number = self.sheet.reveals.len();
        if !shows || number > MAX_REVEALS {
            return;
        }
        // Matching one with siblings looks at all of them.
        let selector = Selector::parse(&scanned.text).ok();
        let selector = selector.filter(|_| number < MAX_REVEALS && !scanned.siblings);
        self.sheet.reveals.push(Reveal { selector, effort: scanned.effort });
    }
}

/// Calls `add` with what a declaration decides.
fn properties(name: &str, value: &str, mut add: impl FnMut(Property, &str)) {
    if name.starts_with("--") {
        return add(Property::Custom(name.into()), value);
    }
    let lower = value.to_ascii_lowercase();
    let is_set = !matches!(lower.as_str(), "none" | "normal" | "auto" | "initial" | "unset");
    match name.to_ascii_lowercase().as_str() {
        "color" => add(Property::Color, value),
        "background" => {
            add(Property::Background, value);
            add(Property::Image, value);
        }
        "background-color" => add(Property::Background, value),
        "background-image" => add(Property::Image, value),
        "font-size" => add(Property::Size, &lower),
        "font-weight" => add(Property::Weight, &lower),
        "font" => {
            let (size, weight) = font(&lower);
            add(Property::Size, size);
            add(Property::Weight, weight);
        }
        "position" => add(Property::Position, &lower),
        "opacity" => add(Property::Opacity, &lower),
        "display" => add(Property::Display, &lower),
        "visibility" => add(Property::Visibility, &lower),
        "transform" | "translate" | "scale" | "rotate" | "offset-path" if is_set => {
            add(Property::Displaced, &lower);
        }
        // Several elements may be in the same area.
        "grid-area" | "grid-row" | "grid-row-start" if is_set => add(Property::Displaced, &lower),
        margin if margin.starts_with("margin") => {
            let mut two = lower.as_bytes().windows(2);
            if two.any(|two| two[0] == b'-' && (two[1].is_ascii_digit() || two[1] == b'.')) {
                add(Property::Displaced, &lower);
            }
        }
        "width" | "inline-size" => add(Property::Width, &lower),
        "height" | "block-size" => add(Property::Height, &lower),
        "aspect-ratio" => add(Property::Ratio, &lower),
        "object-fit" => add(Property::Fit, &lower),
        "text-indent" => {
            add(Property::Indent, &lower);
            if lower.starts_with('-') || lower.contains("100%") {
                add(Property::Effect, &lower);
            }
        }
        "background-clip" | "-webkit-background-clip" if lower.contains("text") => {
            add(Property::Effect, &lower);
        }
        "clip" if is_set => add(Property::Clip, &lower),
        "clip-path" if lower.starts_with("inset(50%") || lower.starts_with("inset(100%") => {
            add(Property::Clip, &lower);
        }
        "all"
        | "clip-path"
        | "content-visibility"
        | "filter"
        | "-webkit-filter"
        | "mask"
        | "mask-image"
        | "-webkit-mask"
        | "-webkit-mask-image"
        | "mix-blend-mode"
        | "text-shadow"
        | "-webkit-text-fill-color"
        | "-webkit-text-stroke"
        | "-webkit-text-stroke-width"
            if is_set =>
        {
            add(Property::Effect, &lower);
        }
        "animation" | "animation-name" | "-webkit-animation" if is_set => {
            add(Property::Animation, &lower);
        }
        _ => {}
    }
}

/// Size and weight in a `font`: `?` if they are not known.
fn font(value: &str) -> (&str, &str) {
    if matches!(value, "inherit" | "unset" | "initial") {
        return (value, value);
    }
    if value.contains("var(") {
        return ("?", "?");
    }
    let mut weight = "normal";
    for word in value.split_ascii_whitespace() {
        match word {
            "bold" | "bolder" | "lighter" => weight = word,
            "normal" | "italic" | "oblique" | "small-caps" => {}
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => weight = number,
            // The first of the others is the size, with the height of lines behind a slash.
            size => return (size.split('/').next().unwrap_or(size), weight),
        }
    }
    ("?", "?")
}

/// When rules for a list of media apply, on the screen that is judged: with light colours and
/// without wishes of the visitor.
pub(super) fn media(list: &str) -> Applies {
    let all = split(list).map(|query| {
        let mut query: String = query.chars().filter(|c| !c.is_whitespace()).collect();
        query.make_ascii_lowercase();
        media_query(query.strip_prefix("only").unwrap_or(&query))
    });
    all.min().unwrap_or_default()
}

/// `query` is without blanks.
fn media_query(query: &str) -> Applies {
    let features = match query {
        "" | "all" | "screen" | "notprint" | "notspeech" => return Applies::Always,
        "notall" | "notscreen" => return Applies::Never,
        _ if query.starts_with("print") || query.starts_with("speech") => return Applies::Never,
        _ => query.strip_prefix("screenand").or(query.strip_prefix("alland")).unwrap_or(query),
    };
    let Some(features) = features.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else {
        return Applies::Maybe;
    };
    let each = features.split(")and(").map(|feature| match feature {
        "prefers-color-scheme:light" | "prefers-reduced-motion:no-preference" => Applies::Always,
        "scripting:enabled" | "forced-colors:none" => Applies::Always,
        "prefers-color-scheme:dark"
        | "forced-colors:active"
        | "inverted-colors:inverted"
        | "prefers-contrast:more"
        | "prefers-contrast:less"
        | "prefers-contrast:custom"
        | "prefers-reduced-motion"
        | "prefers-reduced-motion:reduce"
        | "prefers-reduced-transparency:reduce"
        | "prefers-reduced-data:reduce"
        | "scripting:none" => Applies::Never,
        _ => Applies::Maybe,
    });
    each.max().unwrap_or(Applies::Maybe)
}

/// The parts of a list, at the commas that are in no brackets.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut parser = Parser::new(list);
    let mut is_done = false;
    std::iter::from_fn(move || {
        if is_done {
            return None;
        }
        parser.skip_whitespace();
        let start = parser.position();
        loop {
            parser.skip_whitespace();
            let at = parser.position();
            match parser.next() {
                Ok(Token::Comma) => return Some(parser.slice(start..at).trim()),
                Ok(_) => {}
                Err(_) => {
                    is_done = true;
                    return Some(parser.slice(start..at).trim());
                }
            }
        }
    })
}

/// By what the elements that a selector matches can be found.
#[derive(Debug, Clone, Default)]
enum Key {
    Id(Rc<str>),
    Class(Rc<str>),
    Type(Rc<str>),
    #[default]
    Any,
}

/// A selector that the library can match: it matches at least the elements that the written one
/// does, and only those if it always applies.
#[derive(Debug, Clone, Default)]
struct Scanned {
    text: String,
    shown: Rc<str>,
    specificity: [u32; 3],
    applies: Applies,
    pseudo: bool,
    key: Key,
    /// What matching all of it takes, once it is read.
    effort: Effort,
    /// What the compound selectors before the last one take, and the last one.
    before: Effort,
    last: Effort,
    siblings: bool,
    /// Whether a part of its own looks at siblings, and none in an `:is()`.
    looks_beside: bool,
    /// Whether the next simple selector begins a compound selector.
    is_between: bool,
    /// Whether something of the compound selector is in `text`.
    is_written: bool,
    /// Whether something of the compound selector is not in `text`.
    is_dropped: bool,
}

impl Scanned {
    /// A simple selector begins.
    fn simple(&mut self) {
        if self.is_between {
            (self.is_between, self.is_written, self.is_dropped) = (false, false, false);
            self.key = Key::Any;
            self.before.add(std::mem::take(&mut self.last));
        }
        self.last.add(Effort::ONE);
    }

    /// The compound selector, or a combinator, looks at the siblings of an element.
    fn look_beside(&mut self) {
        (self.siblings, self.looks_beside) = (true, true);
    }

    /// All of it was read. `None` if matching it takes too much.
    fn finish(mut self) -> Option<Self> {
        self.end();
        let (mut each, mut once) = (self.before, self.last);
        if self.looks_beside {
            each.add(std::mem::take(&mut once));
        }
        once.add(each.for_each()?);
        self.effort = once;
        Some(self)
    }

    /// A compound selector ends.
    fn end(&mut self) {
        if !self.is_between && self.is_dropped && !self.is_written {
            self.text.push('*');
        }
        self.is_between = true;
    }

    fn write(&mut self, text: &str) {
        self.text.push_str(text);
        self.is_written = true;
    }

    fn name(&mut self, mark: &str, name: &str) {
        self.write(mark);
        // Writing to a string does not fail.
        let _infallible = serialize_identifier(name, &mut self.text);
    }

    /// Leaves a part out that decides whether the selector matches.
    fn maybe(&mut self) {
        self.applies = self.applies.max(Applies::Maybe);
        self.is_dropped = true;
    }

    fn count(&mut self, other: [u32; 3]) {
        for (own, more) in self.specificity.iter_mut().zip(other) {
            *own += more;
        }
    }
}

/// The selectors of a rule. What nested rules need of them is made once: a nested rule must not
/// look at all of them again.
#[derive(Debug)]
struct Outer {
    selectors: Vec<Scanned>,
    /// In the place of `&`; `None` if nothing can be nested in any of them.
    nested: Option<Scanned>,
}

impl Outer {
    fn of(selectors: Vec<Scanned>) -> Self {
        let mut nested: Option<Scanned> = None;
        // Nothing can be nested in a pseudo-element.
        let open = selectors.iter().filter(|one| one.applies != Applies::Never && !one.pseudo);
        for one in open {
            let all = nested.get_or_insert_default();
            all.text.push_str(if all.text.is_empty() { ":is(" } else { "," });
            all.text.push_str(one.text.trim());
            all.applies = all.applies.max(one.applies);
            all.siblings |= one.siblings;
            all.specificity = all.specificity.max(one.specificity);
            all.effort.add(one.effort);
            if all.text.len() > MAX_SELECTOR {
                // What has it is not understood, whatever follows.
                break;
            }
        }
        if let Some(all) = &mut nested {
            all.text.push(')');
        }
        Outer { selectors, nested }
    }
}

/// Reads one selector without commas. `None` if it is not understood, or takes too much to match.
fn scan(text: &str, parent: Option<&Outer>, depth: usize) -> Option<Scanned> {
    if text.is_empty() || text.len() > MAX_SELECTOR || depth > MAX_DEPTH {
        return None;
    }
    let nested;
    let text = match parent.filter(|_| depth == 0 && !text.contains('&')) {
        Some(_) => {
            nested = format!("& {text}");
            nested.as_str()
        }
        None => text,
    };
    let mut parser = Parser::new(text);
    let mut found = Scanned { is_between: true, shown: shown(text, parent), ..Scanned::default() };
    while let Ok(token) = parser.next_including_whitespace().cloned() {
        match token {
            Token::WhiteSpace(_) => {
                found.end();
                found.text.push(' ');
            }
            Token::Delim(combinator @ ('>' | '+' | '~')) => {
                found.end();
                if combinator == '~' {
                    found.look_beside();
                }
                found.text.push(combinator);
            }
            Token::Delim('*') => {
                found.simple();
                found.write("*");
            }
            Token::Delim('&') => {
                found.simple();
                outer(&mut found, parent)?;
            }
            Token::Delim('.') => {
                let class = parser.expect_ident().ok()?;
                found.simple();
                found.name(".", class);
                found.count([0, 1, 0]);
                if !matches!(found.key, Key::Id(_)) {
                    found.key = Key::Class(Rc::from(&**class));
                }
            }
            Token::IDHash(id) => {
                found.simple();
                found.name("#", &id);
                found.count([1, 0, 0]);
                found.key = Key::Id(Rc::from(&*id));
            }
            Token::Ident(name) => {
                found.simple();
                found.name("", &name);
                found.count([0, 0, 1]);
                if matches!(found.key, Key::Any) {
                    found.key = Key::Type(name.to_ascii_lowercase().into());
                }
            }
            Token::SquareBracketBlock => {
                let inside = brackets(&mut parser)?;
                found.simple();
                match is_search(inside) {
                    true => found.maybe(),
                    false => found.write(&format!("[{inside}]")),
                }
                found.count([0, 1, 0]);
            }
            Token::Colon => {
                found.simple();
                if pseudo(&mut parser, &mut found, parent, depth)? {
                    break;
                }
            }
            _ => return None,
        }
        if found.text.len() > MAX_SELECTOR {
            return None;
        }
    }
    found.finish()
}

/// Whether an attribute selector looks through a whole value, or may. Values of other attributes
/// than `class` may be very long: an address can be an image.
fn is_search(inside: &str) -> bool {
    // Comments and escapes can hide the operator.
    if inside.contains(['/', '\\']) && inside.contains(['*', '~']) {
        return true;
    }
    let name = inside.split_once('=').and_then(|(name, _)| name.strip_suffix(['*', '~']));
    name.is_some_and(|name| !name.trim().eq_ignore_ascii_case("class"))
}

/// The text in the brackets that were just opened. Leaves them.
fn brackets<'a>(parser: &mut Parser<'a>) -> Option<&'a str> {
    let read: Result<&str, cssparser::ParseError<()>> = parser.parse_nested_block(|inside| {
        let start = inside.position();
        while inside.next().is_ok() {}
        Ok(inside.slice_from(start).trim())
    });
    read.ok()
}

/// The selector as written, with those that it is nested in.
fn shown(text: &str, parent: Option<&Outer>) -> Rc<str> {
    /// More of them make it longer than what is shown.
    const MOST: usize = 8;
    let outer = parent.and_then(|parent| parent.selectors.first()).filter(|_| text.contains('&'));
    let text = match outer {
        Some(outer) => text.replacen('&', &outer.shown, MOST),
        None => text.to_owned(),
    };
    excerpt(&text, SHOWN).into()
}

/// Puts the selectors of the outer rule in the place of a `&`.
fn outer(found: &mut Scanned, parent: Option<&Outer>) -> Option<()> {
    let Some(parent) = parent else {
        found.write(":scope");
        found.count([0, 1, 0]);
        return Some(());
    };
    let Some(nested) = &parent.nested else {
        found.applies = Applies::Never;
        found.is_dropped = true;
        return Some(());
    };
    found.write(&nested.text);
    found.applies = found.applies.max(nested.applies);
    found.siblings |= nested.siblings;
    found.last.add(nested.effort);
    found.count(nested.specificity);
    Some(())
}

/// Reads what follows a colon. Returns whether it ends the selector.
fn pseudo(
    parser: &mut Parser<'_>,
    found: &mut Scanned,
    parent: Option<&Outer>,
    depth: usize,
) -> Option<bool> {
    let mut token = parser.next_including_whitespace().ok()?.clone();
    let is_element = token == Token::Colon;
    if is_element {
        token = parser.next_including_whitespace().ok()?.clone();
    }
    match token {
        Token::Ident(name) => {
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "before" | "after" => {
                    found.pseudo = true;
                    found.is_dropped = true;
                    found.count([0, 0, 1]);
                    return Some(true);
                }
                _ if is_element || matches!(name.as_str(), "first-line" | "first-letter") => {
                    found.applies = Applies::Never;
                    found.is_dropped = true;
                    return Some(true);
                }
                "root" | "first-child" | "last-child" | "only-child" | "first-of-type"
                | "last-of-type" | "only-of-type" | "empty" | "scope" => {
                    if name.ends_with("of-type") {
                        found.look_beside();
                    }
                    found.name(":", &name);
                }
                "link" | "any-link" => found.write("[href]"),
                state if STATES.contains(&state) => {
                    found.applies = Applies::Never;
                    found.is_dropped = true;
                }
                _ => found.maybe(),
            }
            found.count([0, 1, 0]);
        }
        Token::Function(name) => {
            let name = name.to_ascii_lowercase();
            let inside = brackets(parser)?;
            if is_element || matches!(name.as_str(), "host" | "host-context") {
                found.applies = Applies::Never;
                found.is_dropped = true;
                return Some(is_element);
            }
            function(&name, inside, found, parent, depth)?;
        }
        _ => return None,
    }
    Some(false)
}

/// A pseudo-class with something in parentheses.
fn function(
    name: &str,
    inside: &str,
    found: &mut Scanned,
    parent: Option<&Outer>,
    depth: usize,
) -> Option<()> {
    match name {
        "is" | "where" | "matches" | "-webkit-any" | "not" => {
            let all: Vec<Scanned> =
                split(inside).map(|one| scan(one, parent, depth + 1)).collect::<Option<_>>()?;
            if all.iter().any(|one| one.pseudo) {
                return None;
            }
            let specificity = all.iter().map(|one| one.specificity).max().unwrap_or_default();
            let may_match: Vec<&Scanned> =
                all.iter().filter(|one| one.applies != Applies::Never).collect();
            let applies = may_match.iter().map(|one| one.applies).max();
            found.siblings |= may_match.iter().any(|one| one.siblings);
            for one in &may_match {
                found.last.add(one.effort);
            }
            let texts: Vec<&str> = may_match.iter().map(|one| one.text.trim()).collect();
            match applies {
                // What is not in a state is what all elements are at first.
                None if name == "not" => found.is_dropped = true,
                None => {
                    found.applies = Applies::Never;
                    found.is_dropped = true;
                }
                Some(Applies::Maybe) if name == "not" => found.maybe(),
                Some(applies) => {
                    let name = if name == "not" { "not" } else { "is" };
                    found.write(&format!(":{name}({})", texts.join(",")));
                    found.applies = found.applies.max(applies);
                }
            }
            if name != "where" {
                found.count(specificity);
            }
        }
        "nth-child" | "nth-last-child" | "nth-of-type" | "nth-last-of-type"
            if !inside.contains("of") =>
        {
            found.write(&format!(":{name}({inside})"));
            found.look_beside();
            found.count([0, 1, 0]);
        }
        _ => {
            found.maybe();
            found.count([0, 1, 0]);
        }
    }
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// What matching takes grows with each `:is()` that has steps of its own, and at most that.
    #[test]
    fn the_effort_of_a_selector_counts_what_is_in_its_parentheses() {
        for (selector, expected) in [
            ("a", Some([1, 0, 0, 0])),
            ("a.b[c]", Some([3, 0, 0, 0])),
            ("a > b c", Some([1, 2, 0, 0])),
            ("a ~ b", Some([0, 2, 0, 0])),
            ("li:nth-child(2) a", Some([0, 3, 0, 0])),
            (":is(a, b) c", Some([1, 3, 0, 0])),
            (":is(a b) c", Some([1, 2, 1, 0])),
            ("c:not(a b)", Some([3, 1, 0, 0])),
            (":is(:is(a b) c) d", Some([1, 2, 2, 1])),
            (":is(:is(:is(a b) c) d) e", None),
        ] {
            let scanned = scan(selector, None, 0);
            assert_eq!(scanned.map(|scanned| scanned.effort.0), expected, "{selector}");
        }
        assert_eq!(Effort([1, 2, 3, 0]).comparisons(10), 321);
        assert_eq!(Effort([0, 0, 0, 2]).comparisons(usize::MAX), usize::MAX);
    }

    #[test]
    fn rules_in_a_rule_do_not_look_at_all_of_its_selectors() {
        let selectors = |one: &str, count| vec![scan(one, None, 0).unwrap(); count];
        let nested = |one, count| Outer::of(selectors(one, count)).nested;
        assert_eq!(nested("a b", 2).unwrap().text, ":is(a b,a b)");
        let long = nested("a b", 100_000).unwrap().text.len();
        assert!(long <= MAX_SELECTOR + 8, "{long} bytes are copied into each rule");
        assert!(nested("a:hover", 3).is_none(), "none of them applies");
    }

    #[test]
    fn a_sheet_is_read_up_to_a_number_of_selectors() {
        let sheet = |selectors: &str, times| {
            let list = selectors.repeat(times);
            read(&format!("{list}b{{{}}}", "@media print{color:red}".repeat(times)))
        };
        for selectors in ["a,", "a:hover,"] {
            assert!(!sheet(selectors, 100).unknown, "{selectors}");
            assert!(sheet(selectors, 5_000).unknown, "{selectors}");
            let long = format!("{}b{{color:red}}", selectors.repeat(MAX_RULES));
            assert!(read(&long).unknown, "{selectors}");
        }
        // A list of selectors in front of each rule that is nested in theirs.
        for (times, is_known) in [(10, true), (1_000, false)] {
            let sheet = format!("{}b{{{}}}", "a,".repeat(400), "b{color:red}".repeat(times));
            assert_eq!(read(&sheet).unknown, !is_known, "{times}");
        }
    }
}
