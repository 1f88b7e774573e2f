//! Reads an order document.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::Value;
use sitewright_order::{Document, Locale, Notice, NoticeLevel, Order, Problem, Refusal};

use super::{InvalidKind, InvalidOrder, OrderId, OrderSnapshot};
use super::{enrich, json, sent, surrogates};
use sitewright_json_schema::{CompiledSchema, parser_reason};

/// The JSON Schema of the documents that [`load`] accepts, in both shapes.
pub const INPUT_SCHEMA: &str = include_str!("../../schema/order.schema.json");
/// The JSON Schema of [`OrderSnapshot::document`], generated from [`sitewright_order::Order`].
pub const NORMALISED_SCHEMA: &str = include_str!("../../schema/order-normalised.schema.json");

#[allow(clippy::expect_used, reason = "the text is part of the program, and a test compiles it")]
static INPUT: LazyLock<CompiledSchema> = LazyLock::new(|| {
    CompiledSchema::compile(INPUT_SCHEMA).expect("the published order schema compiles")
});

/// How documents are read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Maximum size of a document, as sent and as normalised, in bytes. Default:
    /// [`MAX_BYTES`](crate::MAX_BYTES).
    pub max_bytes: usize,
    /// The language of orders that name none, if nothing else says which one.
    pub default_locale: &'a Locale,
    /// Whether a document is refused if a value of it cannot be used, or if it is not valid against
    /// [`INPUT_SCHEMA`]. Otherwise such a value is left out, and a notice names it.
    pub strict: bool,
}

/// Reads and normalises an order document in either shape, tolerantly: see [`Reading`] and
/// [`sitewright_order::read`].
///
/// # Errors
/// As of [`load_as`].
pub fn load(
    bytes: &[u8],
    max_bytes: usize,
    default_locale: &Locale,
) -> Result<OrderSnapshot, InvalidOrder> {
    load_as(bytes, Reading { max_bytes, default_locale, strict: false })
}

/// JSON that somebody sent, parsed as leniently as a document: without a byte order mark, and with
/// `\ufffd` in the place of each half of a surrogate pair.
#[derive(Debug)]
pub struct Parsed<'a> {
    /// Of a field that is given more than once, it has the last value.
    pub value: Value,
    /// One problem for each field that is given more than once.
    pub duplicates: Vec<Problem>,
    /// What was parsed.
    text: Cow<'a, str>,
    /// The number of halves of surrogate pairs that were replaced.
    halves: usize,
}

/// Parses JSON that may have an order document in it, so that a document means the same in it as
/// alone.
///
/// # Errors
/// It is not JSON.
pub fn parse(text: &str) -> Result<Parsed<'_>, InvalidOrder> {
    // Some editors on Windows write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (text, halves) = surrogates::mended(text);
    let (value, duplicates) = json::parse(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let reason = if text.trim().is_empty() {
            "the document is empty".to_owned()
        } else {
            parser_reason(&error)
        };
        let message = format!("is not JSON: {reason} (line {line}, column {column})");
        InvalidOrder::unreadable(InvalidKind::NotJson { line, column }, message)
    })?;
    Ok(Parsed { value, duplicates, text, halves })
}

/// Reads, checks and normalises an order document in either shape.
///
/// What was left out or read for what it means is in the order's `notices`. A document that was
/// normalised before keeps those that it has.
///
/// # Errors
/// Every problem of the document for which there is no order. Its size as sent or as normalised
/// exceeds the limit, it is not UTF-8 or not JSON, or its content is not an order.
pub fn load_as(bytes: &[u8], reading: Reading<'_>) -> Result<OrderSnapshot, InvalidOrder> {
    let Reading { max_bytes, default_locale, strict } = reading;
    within(max_bytes, bytes.len(), "the document has")?;
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let message = format!(
            "is not UTF-8: byte {offset} (counted from 0) is wrong; save the file as UTF-8"
        );
        InvalidOrder::unreadable(InvalidKind::NotUtf8 { offset }, message)
    })?;
    let Parsed { value, duplicates, text, halves } = parse(text)?;
    let opened = Document::open(&value);
    let id = opened.read_id().ok().and_then(|id| OrderId::try_from(id).ok());
    let kind =
        if duplicates.is_empty() { InvalidKind::Content } else { InvalidKind::DuplicateFields };
    let (order, found, noticed) = match opened.read_noticing(default_locale, strict) {
        Ok(order) => (Some(order), Vec::new(), Vec::new()),
        Err(Refusal { problems, notices }) => (None, problems, notices),
    };
    let mut problems = duplicates;
    problems.extend(found);
    if strict {
        add_problems_of_schema(&mut problems, &value);
    }
    let mut new = Vec::new();
    if halves > 0 {
        let message = format!(
            "{halves} halves of a surrogate pair (`\\ud83d` without its other half) were replaced \
             by `\u{fffd}`; cut texts between characters, not between UTF-16 units"
        );
        new.push(Notice::new(NoticeLevel::Warning, "", message));
    }
    let (id, mut order) = match (InvalidOrder::content(kind, id.clone(), problems), id, order) {
        (Some(invalid), _, order) => {
            let noticed = order.map_or(noticed, |order| order.notices);
            return Err(invalid.noticing([noticed, new].concat()));
        }
        (None, Some(id), Some(order)) => (id, order),
        (None, ..) => {
            return Err(InvalidOrder::unreadable(kind, "could not be read as an order".to_owned()));
        }
    };
    // What the host wrote itself is complete, and its locale may be the default one, which says
    // nothing about the country of a number.
    let own = serde_json::to_string(&order).ok().filter(|own| **own == *text);
    let doubts = match own.is_some() {
        true => Vec::new(),
        false => enrich::enrich(&mut order, &value, &opened, default_locale, &mut new),
    };
    let new_problems: Vec<Problem> = new
        .iter()
        .filter(|notice| strict && notice.is_warning())
        .map(|notice| notice.clone().into_problem())
        .collect();
    if let Some(invalid) = InvalidOrder::content(kind, Some(id.clone()), new_problems) {
        new.retain(|notice| !notice.is_warning());
        return Err(invalid.noticing([order.notices, new].concat()));
    }
    // Strict reading refuses what would be left out. These values are used as they are.
    new.extend(doubts);
    let unchanged = own.filter(|_| new.is_empty());
    add_notices(&mut order, new);
    if order.business_email.is_none()
        && order.business_phone.is_none()
        && order.whatsapp_phone.is_none()
    {
        let problems = order.notices.iter().filter(|notice| notice.is_warning());
        let mut problems: Vec<Problem> =
            problems.map(|notice| notice.clone().into_problem()).collect();
        // That each value was left out does not say why there is no order.
        let message = "has no way left to reach the business: none of `business_phone`, \
                       `business_email` and `whatsapp_number` can be used; send a phone number \
                       like `+55 19 95550-1011` or an e-mail address like `office@example.com`";
        problems.push(Problem::new("", message));
        let unreachable = InvalidOrder::content(kind, Some(id.clone()), problems)
            .unwrap_or_else(|| InvalidOrder::unreadable(kind, message.to_owned()));
        order.notices.retain(|notice| !notice.is_warning());
        return Err(unreachable.noticing(order.notices));
    }
    let sent = unchanged.is_none().then(|| sent::digest(&value));
    let normalised = unchanged.map_or_else(|| serde_json::to_string(&order), Ok);
    let document = normalised.map_err(|error| {
        InvalidOrder::unreadable(InvalidKind::Content, format!("could not be normalised: {error}"))
    })?;
    // Templates get the normalised document, which may be larger because of its defaults.
    within(max_bytes, document.len(), "with its defaults filled in, the document has")?;
    Ok(OrderSnapshot::new(id, order, document, sent))
}

/// Adds notices that the order does not have yet: a normalised document is read again.
fn add_notices(order: &mut Order, new: Vec<Notice>) {
    for notice in new {
        if order.notices.len() < sitewright_order::MAX_NOTICES && !order.notices.contains(&notice) {
            order.notices.push(notice);
        }
    }
}

fn within(max: usize, used: usize, what: &str) -> Result<(), InvalidOrder> {
    if used <= max {
        return Ok(());
    }
    let message = format!("is too large: {what} {used} bytes; at most {max} are allowed");
    Err(InvalidOrder::unreadable(InvalidKind::TooLarge { max, used }, message))
}

/// Adds the problems of [`INPUT_SCHEMA`] at other locations: the messages of the reader are more
/// helpful.
fn add_problems_of_schema(problems: &mut Vec<Problem>, value: &Value) {
    for problem in INPUT.check(value) {
        if !problems.iter().any(|known| overlaps(&known.pointer, &problem.pointer)) {
            problems.push(problem);
        }
    }
}

/// Whether one JSON pointer is equal to the other or inside it.
fn overlaps(one: &str, other: &str) -> bool {
    let (outer, inner) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
