//! Why a document is no order.

use std::fmt;

use sitewright_order::Problem;

use super::OrderId;

/// A document that is no order, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidOrder {
    kind: InvalidKind,
    id: Option<OrderId>,
    first: Problem,
    others: Vec<Problem>,
}

/// At which step reading an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKind {
    /// The document has more bytes than allowed.
    TooLarge {
        /// Most bytes allowed.
        max: usize,
        /// Bytes it has.
        used: usize,
    },
    /// Its bytes are not UTF-8.
    NotUtf8 {
        /// Where the first wrong byte is, from 0.
        offset: usize,
    },
    /// It is not JSON.
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A field is given twice, so nobody can say which one counts. Other problems are named as
    /// well.
    DuplicateFields,
    /// It is JSON, but not an order.
    Content,
}

impl InvalidOrder {
    /// A document that cannot be read at all.
    pub(super) fn unreadable(kind: InvalidKind, message: String) -> Self {
        InvalidOrder { kind, id: None, first: Problem::new("", message), others: Vec::new() }
    }

    /// A document whose content is wrong; nothing when there is no problem.
    pub(super) fn content(
        kind: InvalidKind,
        id: Option<OrderId>,
        problems: Vec<Problem>,
    ) -> Option<Self> {
        let mut problems = problems.into_iter();
        let first = problems.next()?;
        Some(InvalidOrder { kind, id, first, others: problems.collect() })
    }

    /// At which step reading ended.
    pub fn kind(&self) -> InvalidKind {
        self.kind
    }

    /// The order's id, when at least that could be read.
    pub fn id(&self) -> Option<&OrderId> {
        self.id.as_ref()
    }

    /// Everything that is wrong; at least one problem.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl fmt::Display for InvalidOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "order {id} is not valid")?,
            None => write!(f, "the order is not valid")?,
        }
        match self.others.len() {
            0 => write!(f, ": {}", self.first),
            others => write!(f, ", {} problems; the first: {}", others + 1, self.first),
        }
    }
}
