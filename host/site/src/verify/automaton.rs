//! Searches many texts at once: which parts of a text are one of the customer's.
//!
//! An Aho-Corasick automaton, which looks at each byte of the text a bounded number of times,
//! however many texts are searched for. Own code because two things are needed that the
//! `aho-corasick` crate does not tell: the longest of all overlapping matches at each place, and
//! how much of a text the end of the input is the beginning of.

use std::collections::{HashMap, VecDeque};

/// The automaton over all searched texts.
#[derive(Debug, Default)]
pub(super) struct Automaton {
    nodes: Vec<Node>,
    next: HashMap<(u32, u8), u32>,
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
}

/// The beginning of all searched texts: the empty one.
const ROOT: u32 = 0;

impl Automaton {
    pub(super) fn new(texts: &[String]) -> Self {
        let mut automaton = Automaton { nodes: vec![Node::default()], ..Automaton::default() };
        let mut by_depth: Vec<(u32, u32, u8, u32)> = Vec::new();
        for text in texts {
            let mut node = ROOT;
            for (depth, byte) in (1..).zip(text.bytes()) {
                let new = u32::try_from(automaton.nodes.len()).unwrap_or(u32::MAX);
                let child = *automaton.next.entry((node, byte)).or_insert(new);
                if child == new {
                    automaton.nodes.push(Node { depth, ..Node::default() });
                    by_depth.push((depth, node, byte, child));
                }
                node = child;
            }
            let end = &mut automaton.nodes[node as usize];
            end.found = end.depth;
            automaton.longest = automaton.longest.max(text.len());
        }
        by_depth.sort_unstable();
        for (_, parent, byte, child) in by_depth {
            let fail = match parent {
                ROOT => ROOT,
                parent => automaton.step(automaton.nodes[parent as usize].fail, byte),
            };
            let found = automaton.nodes[fail as usize].found;
            let node = &mut automaton.nodes[child as usize];
            node.fail = fail;
            node.found = node.found.max(found);
        }
        automaton
    }

    fn step(&self, mut node: u32, byte: u8) -> u32 {
        loop {
            if let Some(next) = self.next.get(&(node, byte)) {
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
            node = self.step(node, byte);
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
