//! Judges text that visitors will read: AI replies and the text of pages.
//!
//! | file | question |
//! |---|---|
//! | `rule` | which rules are there, what does each demand, and what is a finding? |
//! | `facts` | what does the order say? |
//! | `check` | what does one text break? |
//! | `reply` | which texts does an AI reply have? |
//! | `known`, `phrase` | which phrases does no text for visitors have, and where are they? |
//! | `remark` | which sentences speak about the text instead of the business? |
//! | `marks` | which brackets, Markdown, markup and escapes are in a text? |
//! | `words` | is `null`, `None` or `TODO` a word here, or a value? |
//! | `stated`, `award`, `address`, `figure`, `money`, `number`, `spoken` | which facts does a text state? |
//! | `prose` | does it loop, is it cut, does a heading say something? |
//! | `language` | is it in the language of the site? |
//! | `text` | how are texts compared? |
//!
//! The rules are tuned on `corpus/`: good and bad texts in nine languages. A test measures false
//! alarms and misses; `docs/src/reference/copy-check.md` has the table.
//!
//! **Invariant:** what the order has word for word is no finding, except of the operator's words.
//!
//! **Invariant:** a check takes time in proportion to its text, whatever the text is, and has a
//! bounded number of findings.
//!
//! **Invariant:** no I/O.

mod address;
mod award;
mod check;
mod facts;
mod figure;
mod known;
mod language;
mod marks;
mod money;
mod number;
mod phrase;
mod prose;
mod remark;
mod reply;
mod rule;
mod spoken;
mod stated;
mod text;
mod words;

pub use check::{CopyCheck, ForbiddenWords, MAX_FINDINGS, MAX_TEXT_BYTES, SearchRoom};
pub use facts::Facts;
pub use reply::MAX_REPLY_FINDINGS;
pub use rule::{CopyRule, Finding, TextKind};
