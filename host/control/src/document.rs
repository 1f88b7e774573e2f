//! Whether a document is an order.

use serde_json::{Map, Value};
use sitewright_intake::{self as intake, InvalidOrder, OrderSnapshot};
use sitewright_model::message;
use sitewright_order::Locale;

use super::Error;
use super::submit::different_fields;

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

/// Fields that are derived from others where a document does not name them. Not `locale`: the
/// language of a site does not change because a text of its order does.
const DERIVED: [&str; 2] = ["primary_service", "country"];

/// A stored document as a person edits it: without the notices of its reading, which are about what
/// was sent, and without values that reading derives from others, so that they follow what is
/// changed. It means the same order. A document that is none, or would mean another order, is
/// returned as it is.
///
/// # Errors
/// [`Error::Host`] if reading did not end.
pub async fn editable(document: String, reading: &Reading) -> Result<String, Error> {
    let reading = reading.clone();
    let shortened = tokio::task::spawn_blocking(move || {
        let Ok(Value::Object(fields)) = serde_json::from_str(&document) else { return document };
        let means_the_same = |fields: &Map<String, Value>| {
            let text = Value::Object(fields.clone()).to_string();
            let read = load(text.as_bytes(), &reading);
            read.is_ok_and(|order| different_fields(&document, order.document()).is_empty())
        };
        let mut shortened = without(&fields, "notices");
        if !means_the_same(&shortened) {
            // Without the field it is read as one that was sent; with it, as one that was read.
            shortened.insert("notices".to_owned(), Value::Array(Vec::new()));
            if !means_the_same(&shortened) {
                return document;
            }
        }
        for name in DERIVED {
            let shorter = without(&shortened, name);
            if shorter.len() < shortened.len() && means_the_same(&shorter) {
                shortened = shorter;
            }
        }
        Value::Object(shortened).to_string()
    });
    shortened
        .await
        .map_err(|error| Error::Host(message!("preparing a document to be edited failed: {error}")))
}

/// All fields but one, in the sequence that they have.
fn without(fields: &Map<String, Value>, left_out: &str) -> Map<String, Value> {
    let kept = fields.iter().filter(|(name, _)| *name != left_out);
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn load(bytes: &[u8], reading: &Reading) -> Result<OrderSnapshot, InvalidOrder> {
    let Reading { max_bytes, default_locale, strict } = reading;
    let (max_bytes, strict) = (*max_bytes, *strict);
    intake::load_as(bytes, intake::Reading { max_bytes, default_locale, strict })
}

/// Reads a document, on the blocking pool.
///
/// # Errors
/// [`Error::Host`] if reading did not end.
pub async fn read(bytes: Vec<u8>, reading: &Reading) -> Result<Document, Error> {
    let reading = reading.clone();
    let read = tokio::task::spawn_blocking(move || load(&bytes, &reading));
    match read.await {
        Ok(Ok(order)) => Ok(Document::Order(order)),
        Ok(Err(invalid)) => Ok(Document::Invalid(invalid)),
        Err(error) => Err(Error::Host(message!("checking an order failed: {error}"))),
    }
}
