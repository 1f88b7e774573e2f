//! Why a document is not an order.

use std::fmt;

use sitewright_order::{Notice, Problem};

use super::OrderId;

/// A document that is not an order, with all of its problems.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidOrder {
    kind: InvalidKind,
    id: Option<OrderId>,
    found: Box<Found>,
}

/// What was found in a document. On the heap, so that results with an invalid order stay small.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    first: Problem,
    others: Vec<Problem>,
    notices: Vec<Notice>,
}

impl Found {
    fn one(problem: Problem) -> Box<Self> {
        Box::new(Found { first: problem, others: Vec::new(), notices: Vec::new() })
    }
}

/// The step at which reading a document failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKind {
    /// The document has more bytes than allowed.
    TooLarge {
        /// Maximum size in bytes.
        max: usize,
        /// Its size in bytes.
        used: usize,
    },
    /// The document is not UTF-8.
    NotUtf8 {
        /// Position of the first wrong byte, counted from 0.
        offset: usize,
    },
    /// The document is not JSON.
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A field is given more than once, so that its value is ambiguous. Other problems are listed
    /// as well.
    DuplicateFields,
    /// The document is JSON, but not an order.
    Content,
    /// It is an order in a language that its template does not write.
    Language,
}

impl InvalidOrder {
    /// A document that cannot be read, with one problem of the whole document.
    pub(super) fn unreadable(kind: InvalidKind, message: String) -> Self {
        InvalidOrder { kind, id: None, found: Found::one(Problem::new("", message)) }
    }

    /// A document whose content is wrong. Returns `None` if `problems` is empty.
    pub(super) fn content(
        kind: InvalidKind,
        id: Option<OrderId>,
        problems: Vec<Problem>,
    ) -> Option<Self> {
        let mut problems = problems.into_iter();
        let first = problems.next()?;
        let found = Found { first, others: problems.collect(), notices: Vec::new() };
        Some(InvalidOrder { kind, id, found: Box::new(found) })
    }

    /// An order that is refused for one reason.
    pub(super) fn one(kind: InvalidKind, id: OrderId, problem: Problem) -> Self {
        InvalidOrder { kind, id: Some(id), found: Found::one(problem) }
    }

    /// The same with what else was found.
    #[must_use]
    pub(super) fn noticing(mut self, notices: Vec<Notice>) -> Self {
        self.found.notices = notices;
        self
    }

    pub fn kind(&self) -> InvalidKind {
        self.kind
    }

    /// The order's id; `None` if it could not be read.
    pub fn id(&self) -> Option<&OrderId> {
        self.id.as_ref()
    }

    /// What follows `is not valid` in a message: the number of problems, and the first.
    pub fn reason(&self) -> String {
        let Found { first, others, .. } = &*self.found;
        match others.len() {
            0 => format!(": {first}"),
            others => format!(", {} problems; the first: {first}", others + 1),
        }
    }

    /// All problems, at least one.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        std::iter::once(&self.found.first).chain(&self.found.others)
    }

    /// What an order of this document would be warned of besides its problems: values that would be
    /// left out, or were read for what they mean. Empty if the document cannot be read at all.
    pub fn notices(&self) -> &[Notice] {
        &self.found.notices
    }
}

impl fmt::Display for InvalidOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "order {id} is not valid")?,
            None => write!(f, "the order is not valid")?,
        }
        f.write_str(&self.reason())
    }
}
