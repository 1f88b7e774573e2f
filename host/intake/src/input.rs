//! Reads an order document.

use std::sync::LazyLock;

use serde_json::Value;
use sitewright_order::{Locale, Problem};

use super::json;
use super::{InvalidKind, InvalidOrder, OrderId, OrderSnapshot};
use sitewright_json_schema::{CompiledSchema, parser_reason};

/// The JSON Schema of the documents that [`load`] accepts, in both shapes.
pub const INPUT_SCHEMA: &str = include_str!("../../schema/order.schema.json");
/// The JSON Schema of [`OrderSnapshot::document`], generated from [`sitewright_order::Order`].
pub const NORMALISED_SCHEMA: &str = include_str!("../../schema/order-normalised.schema.json");

#[allow(clippy::expect_used, reason = "the text is part of the program, and a test compiles it")]
static INPUT: LazyLock<CompiledSchema> = LazyLock::new(|| {
    CompiledSchema::compile(INPUT_SCHEMA).expect("the published order schema compiles")
});

/// Reads, checks and normalises an order document in either shape (see [`sitewright_order::read`]).
/// Orders without a locale get `default_locale`. Default of `max_bytes`:
/// [`MAX_BYTES`](crate::MAX_BYTES).
///
/// # Errors
/// Every problem of the document. Its size as sent or as normalised exceeds `max_bytes`, it is not
/// UTF-8 or not JSON, or its content is not an order.
pub fn load(
    bytes: &[u8],
    max_bytes: usize,
    default_locale: &Locale,
) -> Result<OrderSnapshot, InvalidOrder> {
    within(max_bytes, bytes.len(), "the document has")?;
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let message = format!(
            "is not UTF-8: byte {offset} (counted from 0) is wrong; save the file as UTF-8"
        );
        InvalidOrder::unreadable(InvalidKind::NotUtf8 { offset }, message)
    })?;
    // Some editors on Windows write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (value, duplicates) = json::parse(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let reason = if text.trim().is_empty() {
            "the document is empty".to_owned()
        } else {
            parser_reason(&error)
        };
        let message = format!("is not JSON: {reason} (line {line}, column {column})");
        InvalidOrder::unreadable(InvalidKind::NotJson { line, column }, message)
    })?;
    let id = sitewright_order::read_id(&value).ok().and_then(|id| OrderId::try_from(id).ok());
    let kind =
        if duplicates.is_empty() { InvalidKind::Content } else { InvalidKind::DuplicateFields };
    let (order, found) = match sitewright_order::read(&value, default_locale) {
        Ok(order) => (Some(order), Vec::new()),
        Err(problems) => (None, problems),
    };
    let problems = merged(duplicates, found, &value);
    let (id, order) = match (InvalidOrder::content(kind, id.clone(), problems), id, order) {
        (Some(invalid), _, _) => return Err(invalid),
        (None, Some(id), Some(order)) => (id, order),
        (None, ..) => {
            return Err(InvalidOrder::unreadable(kind, "could not be read as an order".to_owned()));
        }
    };
    let document = serde_json::to_string(&order).map_err(|error| {
        InvalidOrder::unreadable(InvalidKind::Content, format!("could not be normalised: {error}"))
    })?;
    // Templates get the normalised document, which may be larger because of its defaults.
    within(max_bytes, document.len(), "with its defaults filled in, the document has")?;
    Ok(OrderSnapshot::new(id, order, document))
}

fn within(max: usize, used: usize, what: &str) -> Result<(), InvalidOrder> {
    if used <= max {
        return Ok(());
    }
    let message = format!("is too large: {what} {used} bytes; at most {max} are allowed");
    Err(InvalidOrder::unreadable(InvalidKind::TooLarge { max, used }, message))
}

/// All problems, one for each location in the document: the messages of `read` are more helpful
/// than those of the schema.
fn merged(duplicates: Vec<Problem>, found: Vec<Problem>, value: &Value) -> Vec<Problem> {
    let mut problems = duplicates;
    problems.extend(found);
    for problem in INPUT.check(value) {
        if !problems.iter().any(|known| overlaps(&known.pointer, &problem.pointer)) {
            problems.push(problem);
        }
    }
    problems
}

/// Whether one JSON pointer is equal to the other or inside it.
fn overlaps(one: &str, other: &str) -> bool {
    let (outer, inner) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
