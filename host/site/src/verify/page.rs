//! Parses an HTML page as a browser without scripts does, with the line of each element.
//!
//! The page is handed to the parser in pieces that end with one tag or comment each, see `markup`.
//! The limits are checked between two pieces, and count before the parser collects.

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;

use html5ever::QualName;
use html5ever::driver::{self, ParseOpts};
use html5ever::interface::{Attribute, ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::ns;
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tokenizer::TokenSink;
use html5ever::tree_builder::TreeBuilderOpts;
use scraper::{Html, HtmlTreeSink};

use super::markup::{Mode, Tag, piece};
use super::work::Work;
use crate::excerpt::excerpt;

/// Maximum nesting of elements that is parsed. Browsers stop at about 512; the parser's time grows
/// with the depth.
const MAX_DEPTH: usize = 256;
/// Maximum number of elements and comments that are parsed. Real pages stay below 10,000.
const MAX_NODES: u32 = 100_000;
/// Maximum number of attributes of one tag. Real ones stay below 50.
const MAX_ATTRIBUTES: usize = 256;
/// Maximum number of attributes of all tags of a page.
const MAX_PAGE_ATTRIBUTES: usize = 200_000;
/// Maximum number of syntax errors that are reported of a page. The first one rejects the site, and
/// the parser's repairs of misnested elements are what takes long.
const MAX_ERRORS: usize = 64;
/// Maximum number of characters of a syntax error, which quotes the page.
const ERROR_CHARS: usize = 200;
/// Elements that the parser keeps a list of and compares with each other.
const FORMATTING: [&str; 14] = [
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
];

/// Syntax errors that change nothing a visitor sees (a character reference without `;`), or that
/// the HTML standard allows by now (elements inside an `option`).
const HARMLESS: [&str; 5] = [
    "Character reference does not end with semicolon",
    "Semicolon missing after numeric character reference",
    "Bad DOCTYPE",
    "nested options",
    "hr in option",
];

pub type NodeId = <HtmlTreeSink as TreeSink>::Handle;

/// A parsed page.
pub struct Page {
    pub html: Html,
    /// The line where each element begins, counted from 1.
    pub lines: HashMap<NodeId, u64>,
    /// Syntax errors that a visitor may see: the line, and the parser's message. At most 64.
    pub errors: Vec<(u64, String)>,
    /// Why the rest of the page was not parsed; `None` if all of it was.
    pub stopped: Option<&'static str>,
    /// Whether browsers render the page in quirks mode.
    pub quirks: bool,
}

/// Parses a page up to the limits.
pub fn parse(text: &str) -> Page {
    parse_within(text, &Work::of_file(text.len()))
}

/// Parses a page up to the limits, and as long as `work` is not exhausted.
pub fn parse_within(text: &str, work: &Work) -> Page {
    let options = ParseOpts {
        tree_builder: TreeBuilderOpts {
            exact_errors: true,
            scripting_enabled: false,
            ..TreeBuilderOpts::default()
        },
        ..ParseOpts::default()
    };
    let mut parser = driver::parse_document(LinedSink::new(work), options);
    let mut at = 0;
    let mut mode = Mode::Data;
    let mut attributes = 0;
    let mut stopped = None;
    while at < text.len() && stopped.is_none() {
        let foreign =
            parser.tokenizer.sink.adjusted_current_node_present_but_not_in_html_namespace();
        let piece = piece(text, at, &mode, foreign);
        // The scanner and the tokenizer read each byte.
        work.spend(2 * (piece.end - at));
        if let Some(tag) = piece.tag {
            attributes += tag.attributes;
            if tag.attributes > MAX_ATTRIBUTES {
                stopped = Some("one of its tags has more than 256 attributes");
                break;
            }
            if attributes > MAX_PAGE_ATTRIBUTES {
                stopped = Some("its tags have more than 200,000 attributes");
                break;
            }
            // The tokenizer compares each attribute with those before it. Formatting elements are
            // compared with each other.
            let depth = parser.tokenizer.sink.sink.depth.get();
            let formatting = FORMATTING.iter().any(|name| name.eq_ignore_ascii_case(tag.name));
            let compared = tag.attributes * if formatting { depth } else { 1 };
            work.spend(tag.attributes * tag.attributes / 2 + compared);
        }
        parser.tokenizer.sink.sink.created.set(None);
        parser.process(StrTendril::from_slice(&text[at..piece.end]));
        at = piece.end;
        let sink = &parser.tokenizer.sink.sink;
        mode = sink.mode_after(piece.tag);
        stopped = sink.stopped();
    }
    // The end of a page that was not read to its end is no error of the page.
    let of_page = stopped.map(|_| parser.tokenizer.sink.sink.errors.borrow().len());
    let sink = parser.finish();
    if let Some(of_page) = of_page {
        sink.errors.borrow_mut().truncate(of_page);
    }
    let html = sink.inner.finish();
    let quirks = html.quirks_mode == QuirksMode::Quirks;
    Page { html, lines: sink.lines.into_inner(), errors: sink.errors.into_inner(), stopped, quirks }
}

/// [`HtmlTreeSink`] that also records lines, errors and the depth, and counts the parser's steps.
struct LinedSink<'a> {
    inner: HtmlTreeSink,
    work: &'a Work,
    line: Cell<u64>,
    lines: RefCell<HashMap<NodeId, u64>>,
    /// Depth of the element that was placed last.
    depth: Cell<usize>,
    deepest: Cell<usize>,
    nodes: Cell<u32>,
    /// The element that was created last.
    created: Cell<Option<NodeId>>,
    errors: RefCell<Vec<(u64, String)>>,
}

impl<'a> LinedSink<'a> {
    fn new(work: &'a Work) -> Self {
        LinedSink {
            inner: HtmlTreeSink::new(Html::new_document()),
            work,
            line: Cell::new(1),
            lines: RefCell::default(),
            depth: Cell::new(0),
            deepest: Cell::new(0),
            nodes: Cell::new(0),
            created: Cell::new(None),
            errors: RefCell::default(),
        }
    }

    /// Why the parser must not go on.
    fn stopped(&self) -> Option<&'static str> {
        match () {
            () if self.deepest.get() > MAX_DEPTH => Some("it nests elements deeper than 256"),
            () if self.nodes.get() > MAX_NODES => Some("it has more than 100,000 elements"),
            () if self.errors.borrow().len() >= MAX_ERRORS => {
                Some("it has more than 64 syntax errors")
            }
            () if self.work.is_exhausted() => {
                Some("reading it takes more work than its size allows")
            }
            () => None,
        }
    }

    /// How the text after `tag` is read, which depends on the element that it became.
    fn mode_after(&self, tag: Option<Tag<'_>>) -> Mode {
        let (Some(tag), Some(created)) = (tag.filter(|tag| !tag.end), self.created.get()) else {
            return Mode::Data;
        };
        let name = self.inner.elem_name(&created);
        if name.ns != ns!(html) || !(*name.local).eq_ignore_ascii_case(tag.name) {
            return Mode::Data;
        }
        match &*name.local {
            "script" => Mode::Script,
            "plaintext" => Mode::PlainText,
            text @ ("title" | "textarea" | "style" | "xmp" | "iframe" | "noembed" | "noframes") => {
                Mode::Text(text.to_owned())
            }
            _ => Mode::Data,
        }
    }

    fn made(&self) {
        self.nodes.set(self.nodes.get().saturating_add(1));
        self.work.spend(1);
    }

    fn placed(&self, child: Option<NodeId>) {
        let Some(child) = child else { return };
        let html = self.inner.0.borrow();
        // Counted in the tree: the parser moves whole branches, and what is in a `<template>` has
        // a root of its own.
        let depth = html.tree.get(child).map_or(0, |node| node.ancestors().count());
        self.work.spend(depth);
        self.depth.set(depth);
        self.deepest.set(self.deepest.get().max(depth));
    }
}

impl TreeSink for LinedSink<'_> {
    type Handle = NodeId;
    type Output = Self;
    type ElemName<'b>
        = Ref<'b, QualName>
    where
        Self: 'b;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, message: Cow<'static, str>) {
        self.work.spend(message.len());
        let mut errors = self.errors.borrow_mut();
        if errors.len() < MAX_ERRORS
            && !HARMLESS.iter().any(|harmless| message.starts_with(harmless))
        {
            errors.push((self.line.get(), excerpt(&message, ERROR_CHARS)));
        }
    }

    fn set_current_line(&self, line: u64) {
        self.line.set(line);
    }

    fn create_element(&self, name: QualName, attrs: Vec<Attribute>, flags: ElementFlags) -> NodeId {
        self.made();
        // The parser repeats formatting elements in each paragraph, attributes included.
        for attribute in &attrs {
            self.work.spend(attribute.name.local.len() + attribute.value.len());
        }
        let id = self.inner.create_element(name, attrs, flags);
        self.lines.borrow_mut().insert(id, self.line.get());
        self.created.set(Some(id));
        id
    }

    fn append(&self, parent: &NodeId, child: NodeOrText<NodeId>) {
        let placed = node_of(&child);
        self.inner.append(parent, child);
        self.placed(placed);
    }

    fn append_based_on_parent_node(
        &self,
        element: &NodeId,
        previous: &NodeId,
        child: NodeOrText<NodeId>,
    ) {
        let placed = node_of(&child);
        self.inner.append_based_on_parent_node(element, previous, child);
        self.placed(placed);
    }

    fn get_document(&self) -> NodeId {
        self.inner.get_document()
    }

    fn elem_name<'b>(&'b self, target: &'b NodeId) -> Ref<'b, QualName> {
        self.work.spend(1);
        self.inner.elem_name(target)
    }

    fn create_comment(&self, text: StrTendril) -> NodeId {
        self.made();
        self.inner.create_comment(text)
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> NodeId {
        self.made();
        self.inner.create_pi(target, data)
    }

    fn append_doctype_to_document(
        &self,
        name: StrTendril,
        public_id: StrTendril,
        system_id: StrTendril,
    ) {
        self.inner.append_doctype_to_document(name, public_id, system_id);
    }

    fn get_template_contents(&self, target: &NodeId) -> NodeId {
        self.inner.get_template_contents(target)
    }

    fn same_node(&self, x: &NodeId, y: &NodeId) -> bool {
        self.work.spend(1);
        self.inner.same_node(x, y)
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.inner.set_quirks_mode(mode);
    }

    fn append_before_sibling(&self, sibling: &NodeId, new_node: NodeOrText<NodeId>) {
        let placed = node_of(&new_node);
        self.inner.append_before_sibling(sibling, new_node);
        self.placed(placed);
    }

    fn add_attrs_if_missing(&self, target: &NodeId, attrs: Vec<Attribute>) {
        // A second `<html>` or `<body>`: an error each, so that their number is limited.
        self.work.spend(attrs.len());
        self.inner.add_attrs_if_missing(target, attrs);
    }

    fn remove_from_parent(&self, target: &NodeId) {
        self.inner.remove_from_parent(target);
    }

    fn reparent_children(&self, node: &NodeId, new_parent: &NodeId) {
        self.inner.reparent_children(node, new_parent);
    }
}

fn node_of(child: &NodeOrText<NodeId>) -> Option<NodeId> {
    match child {
        NodeOrText::AppendNode(node) => Some(*node),
        NodeOrText::AppendText(_) => None,
    }
}
