//! Parses an HTML page as a browser without scripts does, with the line of each element.

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;

use html5ever::QualName;
use html5ever::driver::{self, ParseOpts};
use html5ever::interface::{Attribute, ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::TreeBuilderOpts;
use scraper::{Html, HtmlTreeSink};

/// Maximum nesting of elements that is parsed. Browsers stop at about 512; the parser's time grows
/// with the depth.
const MAX_DEPTH: u32 = 256;
/// Maximum number of elements and comments that are parsed. Real pages stay below 10,000.
const MAX_NODES: u32 = 100_000;
/// Maximum number of white-space characters, quotes and slashes in a row of chunks that produce no
/// element, text or comment: about the maximum number of attributes of a tag. The parser compares
/// each attribute with all others of its tag.
const MAX_SEPARATORS: usize = 8192;
/// Maximum number of syntax errors kept of a page.
const MAX_ERRORS: usize = 64;
/// Bytes that are parsed between two checks of the limits.
const CHUNK: usize = 4096;

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
    /// Syntax errors that a visitor may see: the line, and the parser's message.
    pub errors: Vec<(u64, String)>,
    /// Why the rest of the page was not parsed; `None` if all of it was.
    pub stopped: Option<&'static str>,
    /// Whether browsers render the page in quirks mode.
    pub quirks: bool,
}

/// Parses a page up to the limits.
pub fn parse(text: &str) -> Page {
    let options = ParseOpts {
        tree_builder: TreeBuilderOpts {
            exact_errors: true,
            scripting_enabled: false,
            ..TreeBuilderOpts::default()
        },
        ..ParseOpts::default()
    };
    let mut parser = driver::parse_document(LinedSink::new(), options);
    let mut rest = text;
    let mut stopped = None;
    let mut quiet = 0;
    while !rest.is_empty() && stopped.is_none() {
        let (chunk, after) = rest.split_at(rest.floor_char_boundary(CHUNK));
        parser.process(StrTendril::from_slice(chunk));
        rest = after;
        let sink = &parser.tokenizer.sink.sink;
        if sink.busy.replace(false) {
            quiet = 0;
        } else {
            quiet += chunk
                .bytes()
                .filter(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'/'))
                .count();
        }
        stopped = if sink.deepest.get() > MAX_DEPTH {
            Some("it nests elements deeper than 256")
        } else if sink.nodes.get() > MAX_NODES {
            Some("it has more than 100,000 elements")
        } else if quiet > MAX_SEPARATORS {
            Some("one of its tags or comments is longer than can be checked")
        } else {
            None
        };
    }
    let sink = parser.finish();
    let html = sink.inner.finish();
    let quirks = html.quirks_mode == QuirksMode::Quirks;
    Page { html, lines: sink.lines.into_inner(), errors: sink.errors.into_inner(), stopped, quirks }
}

/// [`HtmlTreeSink`] that also records lines, errors and the depth.
struct LinedSink {
    inner: HtmlTreeSink,
    line: Cell<u64>,
    lines: RefCell<HashMap<NodeId, u64>>,
    depths: RefCell<HashMap<NodeId, u32>>,
    deepest: Cell<u32>,
    nodes: Cell<u32>,
    /// Whether the parser has produced anything since the last check of the limits.
    busy: Cell<bool>,
    errors: RefCell<Vec<(u64, String)>>,
}

impl LinedSink {
    fn new() -> Self {
        LinedSink {
            inner: HtmlTreeSink::new(Html::new_document()),
            line: Cell::new(1),
            lines: RefCell::default(),
            depths: RefCell::default(),
            deepest: Cell::new(0),
            nodes: Cell::new(0),
            busy: Cell::new(false),
            errors: RefCell::default(),
        }
    }

    fn made(&self) {
        self.nodes.set(self.nodes.get() + 1);
        self.busy.set(true);
    }

    fn placed(&self, parent: &NodeId, child: &NodeOrText<NodeId>) {
        self.busy.set(true);
        if let NodeOrText::AppendNode(child) = child {
            let mut depths = self.depths.borrow_mut();
            let depth = depths.get(parent).copied().unwrap_or(0) + 1;
            depths.insert(*child, depth);
            self.deepest.set(self.deepest.get().max(depth));
        }
    }
}

impl TreeSink for LinedSink {
    type Handle = NodeId;
    type Output = Self;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, message: Cow<'static, str>) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < MAX_ERRORS
            && !HARMLESS.iter().any(|harmless| message.starts_with(harmless))
        {
            errors.push((self.line.get(), message.into_owned()));
        }
    }

    fn set_current_line(&self, line: u64) {
        self.line.set(line);
    }

    fn create_element(&self, name: QualName, attrs: Vec<Attribute>, flags: ElementFlags) -> NodeId {
        self.made();
        let id = self.inner.create_element(name, attrs, flags);
        self.lines.borrow_mut().insert(id, self.line.get());
        id
    }

    fn append(&self, parent: &NodeId, child: NodeOrText<NodeId>) {
        self.placed(parent, &child);
        self.inner.append(parent, child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &NodeId,
        previous: &NodeId,
        child: NodeOrText<NodeId>,
    ) {
        self.placed(previous, &child);
        self.inner.append_based_on_parent_node(element, previous, child);
    }

    fn get_document(&self) -> NodeId {
        self.inner.get_document()
    }

    fn elem_name<'a>(&'a self, target: &'a NodeId) -> Ref<'a, QualName> {
        self.inner.elem_name(target)
    }

    fn create_comment(&self, text: StrTendril) -> NodeId {
        self.made();
        self.inner.create_comment(text)
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> NodeId {
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
        self.inner.same_node(x, y)
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.inner.set_quirks_mode(mode);
    }

    fn append_before_sibling(&self, sibling: &NodeId, new_node: NodeOrText<NodeId>) {
        self.inner.append_before_sibling(sibling, new_node);
    }

    fn add_attrs_if_missing(&self, target: &NodeId, attrs: Vec<Attribute>) {
        self.inner.add_attrs_if_missing(target, attrs);
    }

    fn remove_from_parent(&self, target: &NodeId) {
        self.inner.remove_from_parent(target);
    }

    fn reparent_children(&self, node: &NodeId, new_parent: &NodeId) {
        self.inner.reparent_children(node, new_parent);
    }
}
