//! Another document for an order: the form, and what sending it would do.

use askama::Template as _;
use sitewright_failure::render::is_obeyed;
use sitewright_jobs::{Order, OrderState};

use super::address;
use super::escape::length;
use super::frame::Frame;
use super::text::short;

/// Bytes of a document in the form: a page has at most 60 KiB.
const MAX_DOCUMENT: usize = 44 << 10;
/// Problems, warnings and fields that are listed.
const SHOWN: usize = 40;

/// What the pages are made of.
#[derive(Debug)]
pub struct ReviseFacts {
    pub order: Order,
    /// The document: that of the order, or as it was typed.
    pub document: String,
    /// The template that was typed, or that of the order.
    pub template: String,
    /// Names of templates, to choose from.
    pub templates: Vec<String>,
    pub step: ReviseStep,
}

/// How far somebody is.
#[derive(Debug)]
pub enum ReviseStep {
    /// The document is to be changed.
    Edit {
        /// Why it was not accepted: places in the document, each with what is wrong there.
        problems: Vec<(String, String)>,
    },
    /// The document is an order.
    Confirm {
        /// Places in the document, each with what was left out there or read for what it means.
        warnings: Vec<(String, String)>,
        /// Places in which it differs from the one that the order has.
        fields: Vec<String>,
    },
}

#[derive(askama::Template)]
#[template(path = "revise.html")]
struct Page<'a> {
    f: &'a Frame,
    id: &'a str,
    href: String,
    document: String,
    is_too_long: bool,
    template: &'a str,
    templates: &'a [String],
    revision: i64,
    is_running: bool,
    problems: Vec<Place>,
    confirm: Option<Confirm>,
}

struct Confirm {
    warnings: Vec<Place>,
    fields: Vec<String>,
    more_fields: usize,
    new_template: Option<String>,
    /// Nothing would change.
    is_same: bool,
    has_release: bool,
    is_queued: bool,
}

struct Place {
    at: String,
    text: String,
}

fn places(all: &[(String, String)]) -> Vec<Place> {
    let place =
        |(at, text): &(String, String)| Place { at: short(at, 120), text: short(text, 400) };
    all.iter().take(SHOWN).map(place).collect()
}

/// The form for another document, or what sending it would do.
///
/// # Errors
/// Never, as far as is known.
pub fn revise(frame: &Frame, facts: &ReviseFacts) -> Result<String, askama::Error> {
    let ReviseFacts { order, document, template, templates, step } = facts;
    let document = typed(document);
    let (problems, confirm) = match step {
        ReviseStep::Edit { problems } => (places(problems), None),
        ReviseStep::Confirm { warnings, fields } => {
            let new_template = (*template != order.template).then(|| short(template, 80));
            let confirm = Confirm {
                warnings: places(warnings),
                fields: fields.iter().take(SHOWN).map(|field| field_name(field)).collect(),
                more_fields: fields.len().saturating_sub(SHOWN),
                is_same: fields.is_empty() && new_template.is_none(),
                new_template,
                has_release: order.current_release.is_some(),
                is_queued: matches!(order.state, OrderState::Queued | OrderState::Waiting),
            };
            (Vec::new(), Some(confirm))
        }
    };
    let is_too_long = length(&document) > MAX_DOCUMENT;
    Page {
        f: frame,
        id: &order.id,
        href: address::order(&order.id),
        document: if is_too_long { String::new() } else { document },
        is_too_long,
        template,
        templates,
        revision: order.revision,
        is_running: order.state == OrderState::Running,
        problems,
        confirm,
    }
    .render()
}

fn field_name(pointer: &str) -> String {
    if pointer.is_empty() { "the whole document".to_owned() } else { short(pointer, 120) }
}

/// A document on several lines, in which a form changes nothing: what a page does not show is
/// written as JSON escapes it.
fn typed(document: &str) -> String {
    let pretty = match document.contains('\n') {
        true => None,
        false => serde_json::from_str(document)
            .ok()
            .and_then(|value: serde_json::Value| serde_json::to_string_pretty(&value).ok()),
    };
    let text = pretty.as_deref().unwrap_or(document);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) && !matches!(c, '\n' | '\r' | '\t') {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_changes_nothing_in_a_document() {
        let document = serde_json::json!({ "a": "x\u{202e}\u{200b}\u{e0041}\u{7f}é\n", "b": [1] });
        let text = typed(&document.to_string());
        assert!(!text.chars().any(|c| is_obeyed(c) && c != '\n'), "{text}");
        assert!(text.starts_with("{\n  \"a\": \"x\\u202e\\u200b\\udb40\\udc41\\u007fé"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), document);
        assert_eq!(typed("{\n  1"), "{\n  1");
    }
}
