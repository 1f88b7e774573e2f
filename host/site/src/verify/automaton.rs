//! Searches many texts at once: which parts of a text are one of the customer's, and which of the
//! customer's texts are there.
//!
//! An Aho-Corasick automaton, which looks at each symbol (byte or word) of the text a bounded
//! number of times, however many texts are searched for. Own code because three things are needed that the
//! `aho-corasick` crate does not have: the longest of all overlapping matches at each place, how
//! much of a text the end of the input is the beginning of, and words as symbols.

use std::collections::{HashMap, VecDeque};

/// Maximum number of symbols that memory is reserved for in advance: texts may begin alike.
const MAX_RESERVED: usize = 4_096;

/// The automaton over all searched texts.
#[derive(Debug, Default)]
pub(super) struct Automaton {
    nodes: Vec<Node>,
    next: HashMap<(u32, u32), u32>,
    /// Length of the longest searched text.
    longest: usize,
}

/// The beginning of a searched text.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// Its length.
    depth: u32,
    /// The longest end of it that is the beginning of a searched text.
    fail: u32,
    /// The length of the longest searched text that it ends with; 0 if there is none.
    found: u32,
    /// The longest end of it, not all of it, that is a searched text; [`ROOT`] if there is none.
    inner: u32,
}

impl Node {
    /// Whether it is a searched text itself.
    fn is_searched(&self) -> bool {
        self.depth > 0 && self.found == self.depth
    }
}

/// A place in an automaton: what of the searched texts the text so far ends with. The default is
/// nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// Its index among [`Automaton::places`].
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The beginning of all searched texts: the empty one.
const ROOT: u32 = 0;

impl Automaton {
    pub(super) fn new(texts: &[String]) -> Self {
        let symbols: usize = texts.iter().map(String::len).sum();
        Self::of_symbols(texts.iter().map(|text| text.bytes().map(u32::from)), symbols).0
    }

    /// The automaton over texts of symbols, and the place in it where each text ends. Empty texts
    /// end at its beginning. `symbols` is the number of symbols of all texts.
    pub(super) fn of_symbols<T: IntoIterator<Item = u32>>(
        texts: impl IntoIterator<Item = T>,
        symbols: usize,
    ) -> (Self, Vec<Place>) {
        let expected = symbols.min(MAX_RESERVED);
        let mut automaton = Automaton {
            nodes: Vec::with_capacity(expected + 1),
            next: HashMap::with_capacity(expected),
            longest: 0,
        };
        automaton.nodes.push(Node::default());
        let mut by_depth: Vec<(u32, u32, u32, u32)> = Vec::with_capacity(expected);
        let mut ends = Vec::new();
        for text in texts {
            let mut node = ROOT;
            for (depth, symbol) in (1..).zip(text) {
                let new = u32::try_from(automaton.nodes.len()).unwrap_or(u32::MAX);
                let child = *automaton.next.entry((node, symbol)).or_insert(new);
                if child == new {
                    automaton.nodes.push(Node { depth, ..Node::default() });
                    by_depth.push((depth, node, symbol, child));
                }
                node = child;
            }
            let end = &mut automaton.nodes[node as usize];
            end.found = end.depth;
            automaton.longest = automaton.longest.max(end.depth as usize);
            ends.push(Place(node));
        }
        by_depth.sort_unstable();
        for (_, parent, symbol, child) in by_depth {
            let fail = match parent {
                ROOT => ROOT,
                parent => automaton.step(automaton.nodes[parent as usize].fail, symbol),
            };
            let end = automaton.nodes[fail as usize];
            let node = &mut automaton.nodes[child as usize];
            node.fail = fail;
            node.inner = if end.is_searched() { fail } else { end.inner };
            node.found = node.found.max(end.found);
        }
        (automaton, ends)
    }

    /// The place after one more symbol, `None` for one that is in no searched text. Each searched
    /// text that ends there is marked in `seen`, which has [`Automaton::places`] entries.
    pub(super) fn mark(&self, at: Place, symbol: Option<u32>, seen: &mut [bool]) -> Place {
        let Some(symbol) = symbol else { return Place::default() };
        let node = self.step(at.0, symbol);
        let Node { inner, .. } = self.nodes[node as usize];
        let mut end = if self.nodes[node as usize].is_searched() { node } else { inner };
        // What ends with a text that was seen was marked with it: each text is marked once.
        while end != ROOT && !std::mem::replace(&mut seen[end as usize], true) {
            end = self.nodes[end as usize].inner;
        }
        Place(node)
    }

    /// The number of places in the automaton.
    pub(super) fn places(&self) -> usize {
        self.nodes.len()
    }

    fn step(&self, mut node: u32, symbol: u32) -> u32 {
        loop {
            if let Some(next) = self.next.get(&(node, symbol)) {
                return *next;
            }
            if node == ROOT {
                return ROOT;
            }
            node = self.nodes[node as usize].fail;
        }
    }

    /// The first of the `marks` in `text` that is outside of every searched text. The part of a
    /// searched text that ends at `end` counts if it is its beginning, as in a text that is cut.
    ///
    /// `marks` are positions, in increasing order.
    pub(super) fn first_outside(
        &self,
        text: &str,
        end: usize,
        marks: impl IntoIterator<Item = usize>,
    ) -> Option<usize> {
        let mut marks = marks.into_iter().peekable();
        // Marks that were passed, and that a longer text may still cover. Bounded by the longest
        // one.
        let mut open: VecDeque<usize> = VecDeque::new();
        let mut node = ROOT;
        for (at, byte) in text.bytes().enumerate() {
            if at == end {
                self.cover_beginning(node, at, &mut open);
            }
            if let Some(mark) = marks.next_if(|mark| *mark <= at) {
                open.push_back(mark);
            }
            node = self.step(node, u32::from(byte));
            let Node { found, .. } = self.nodes[node as usize];
            cover(found as usize, at + 1, &mut open);
            if open.front().is_some_and(|mark| mark + self.longest <= at) {
                break;
            }
        }
        if end >= text.len() {
            self.cover_beginning(node, text.len(), &mut open);
        }
        open.front().copied()
    }

    fn cover_beginning(&self, node: u32, at: usize, open: &mut VecDeque<usize>) {
        cover(self.nodes[node as usize].depth as usize, at, open);
    }
}

/// Removes the marks in the `length` bytes before `end`.
fn cover(length: usize, end: usize, open: &mut VecDeque<usize>) {
    while open.back().is_some_and(|mark| mark + length >= end) && length > 0 {
        open.pop_back();
    }
}
