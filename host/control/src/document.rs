//! Whether a document is an order.

use sitewright_intake::{self as intake, InvalidOrder, OrderSnapshot};
use sitewright_model::message;
use sitewright_order::Locale;

use super::Error;

/// How documents are read: `[orders]`, `default_locale` and `limits.order_bytes`.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Maximum size of a document, as sent and as normalised, in bytes.
    pub max_bytes: usize,
    /// The language of orders that name none, if nothing else says which one.
    pub default_locale: Locale,
    /// Whether a document is refused if a value of it cannot be used.
    pub strict: bool,
}

/// A document that was read.
#[derive(Debug)]
pub enum Document {
    Order(OrderSnapshot),
    /// It is no order, with all of its problems.
    Invalid(InvalidOrder),
}

/// Reads a document, on the blocking pool.
///
/// # Errors
/// [`Error::Host`] if reading did not end.
pub async fn read(bytes: Vec<u8>, reading: &Reading) -> Result<Document, Error> {
    let reading = reading.clone();
    let read = tokio::task::spawn_blocking(move || {
        let Reading { max_bytes, default_locale, strict } = &reading;
        let (max_bytes, strict) = (*max_bytes, *strict);
        intake::load_as(&bytes, intake::Reading { max_bytes, default_locale, strict })
    });
    match read.await {
        Ok(Ok(order)) => Ok(Document::Order(order)),
        Ok(Err(invalid)) => Ok(Document::Invalid(invalid)),
        Err(error) => Err(Error::Host(message!("checking an order failed: {error}"))),
    }
}
