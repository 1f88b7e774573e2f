//! What was asked: from the bytes of an order document to an immutable, complete [`OrderSnapshot`].
//!
//! Whatever is wrong is found before a job, a run or a template sees the order, and all of it is
//! named at once, each with a JSON pointer into the document as it was sent.

mod id;
mod input;
mod invalid;
mod json;
mod snapshot;
#[cfg(test)]
mod tests;

pub use id::OrderId;
pub use input::{INPUT_SCHEMA, NORMALISED_SCHEMA, load};
pub use invalid::{InvalidKind, InvalidOrder};
pub use sitewright_order::{IdError, Locale, Order, Problem};
pub use snapshot::OrderSnapshot;

/// Most bytes of an order's document, as sent and as normalised, unless the operator says
/// otherwise: what the contract promises to templates.
pub const MAX_BYTES: usize = 1 << 20;
