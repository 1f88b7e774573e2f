//! From the bytes of an order document to an immutable, complete [`OrderSnapshot`].
//!
//! All problems of a document are found before a job, a run or a template sees the order, and are
//! reported together, each with a JSON pointer into the document as it was sent.
//!
//! | file | answers |
//! |---|---|
//! | `input` | how a document is read: size, UTF-8, JSON, content, normalisation |
//! | `json` | which fields are given more than once |
//! | `invalid` | what is wrong with a document |
//! | `id` | which texts are order ids |
//! | `surrogates` | which escapes of a document are no characters |
//! | `enrich`, `phones`, `language`, `function_words` | what number plans and languages say about an order |
//! | `language_of` | may a site be made by a program that writes these languages? |
//! | `sent` | whether a document is one that was sent before |
//! | `snapshot` | what an accepted order is |
//!
//! What a customer's fields mean, and how they are read tolerantly, is in the crate
//! `sitewright-order`, which templates share.
//!
//! **Invariant:** this crate does not know where a document comes from or where it goes: no
//! templates, no queue, no files. It does no I/O.
//!
//! **Invariant:** there is no order without a snapshot: [`load`] is the only way to make one.

mod enrich;
mod function_words;
mod id;
mod input;
mod invalid;
mod json;
mod language;
mod language_of;
mod phones;
mod sent;
mod snapshot;
mod surrogates;
#[cfg(test)]
mod tests;

pub use id::OrderId;
pub use input::{INPUT_SCHEMA, NORMALISED_SCHEMA, Parsed, Reading, load, load_as, parse};
pub use invalid::{InvalidKind, InvalidOrder};
pub use language_of::{TemplateLanguages, other_language};
pub use sitewright_order::{IdError, Locale, Notice, NoticeLevel, Order, Problem, folder_id};
pub use snapshot::OrderSnapshot;

/// Default maximum size of an order document, as sent and as normalised, in bytes: 1 MiB. The
/// contract promises it to templates.
pub const MAX_BYTES: usize = 1 << 20;
