//! The two shapes of a document, and the locations of its sections.

use serde_json::{Map, Value};

use super::envelope::Opened;
use super::fields::is_empty;
use super::findings::Findings;
use crate::{Locale, Problem, child, excerpt};

/// A JSON object with its pointer.
pub(super) struct Section<'a> {
    pub(super) at: String,
    pub(super) fields: &'a Map<String, Value>,
}

/// The sections of a document.
pub(super) struct Shape<'a> {
    /// The data of the business; `None` if it is missing, which is one of the problems.
    pub(super) business: Option<Section<'a>>,
    /// The CRM's record of the order, beside the data of the business.
    pub(super) order: Option<&'a Map<String, Value>>,
    /// The values at the possible locations of the locale. The first one that is not blank applies.
    pub(super) locales: Vec<(String, &'a Value)>,
    /// The problems of the sections themselves.
    pub(super) problems: Vec<Problem>,
}

/// Whether the document has the shape `{order, onboarding}`: it has at least one of the two.
pub(super) fn is_crm(document: &Value) -> bool {
    ["order", "onboarding"]
        .iter()
        .any(|name| document.get(name).is_some_and(|value| !value.is_null()))
}

impl<'a> Shape<'a> {
    pub(super) fn of(opened: &'a Opened<'a>) -> Result<Self, Problem> {
        let document = opened.order.as_ref();
        let at = |pointer: &str| match pointer.strip_prefix("/onboarding") {
            Some(rest) => format!("{}{}{rest}", opened.at, opened.section),
            None => format!("{}{pointer}", opened.at),
        };
        let Value::Object(top) = document else {
            let found = excerpt(document);
            let message = format!(
                "an order is a JSON object, `{{\"order\": …, \"onboarding\": …}}` or flat; this \
                 is {found}"
            );
            return Err(Problem::new(opened.at.clone(), message));
        };
        let is_crm = is_crm(document);
        let pointers: &[&'static str] =
            if is_crm { &["/onboarding/locale", "/order/locale", "/locale"] } else { &["/locale"] };
        let within =
            pointers.iter().filter_map(|pointer| Some((at(pointer), document.pointer(pointer)?)));
        let around = opened
            .around
            .iter()
            .filter_map(|(at, fields)| Some((child(at, "locale"), fields.get("locale")?)));
        // `language` may be the language of anything, so it counts only if it is one.
        let others: &[&'static str] = if is_crm {
            &["/onboarding/language", "/onboarding/lang", "/order/language", "/language"]
        } else {
            &["/language", "/lang"]
        };
        let others = others.iter().filter_map(|pointer| {
            let value = document.pointer(pointer).filter(|value| read(value).is_ok())?;
            Some((at(pointer), value))
        });
        let locales = within.chain(around).chain(others).collect();
        if !is_crm {
            let business = Some(Section { at: opened.at.clone(), fields: top });
            return Ok(Shape { business, order: None, locales, problems: Vec::new() });
        }
        let mut problems = Vec::new();
        let order = document.get("order").filter(|order| !order.is_null());
        if let Some(other) = order.filter(|order| !order.is_object()) {
            problems.push(Problem::new(
                at("/order"),
                format!("must be an object with `id`, but is {}", excerpt(other)),
            ));
        }
        let business = match document.get("onboarding") {
            Some(Value::Object(fields)) => Some(Section { at: at("/onboarding"), fields }),
            None | Some(Value::Null) => {
                let message = "is missing; it must be an object with `business_name`, `services` \
                               and what else the customer filled in";
                problems.push(Problem::new(at("/onboarding"), message));
                None
            }
            Some(other) => {
                let message = format!(
                    "must be an object with `business_name`, `services` and more, but is {}",
                    excerpt(other)
                );
                problems.push(Problem::new(at("/onboarding"), message));
                None
            }
        };
        let order = order.and_then(Value::as_object);
        Ok(Shape { business, order, locales, problems })
    }
}

/// The first locale that is not empty, with its pointer.
pub(super) fn given<'a, 'v>(locales: &'a [(String, &'v Value)]) -> Option<(&'a str, &'v Value)> {
    let (at, value) = locales.iter().find(|(_, value)| !is_empty(value))?;
    Some((at.as_str(), *value))
}

/// The locale of one value.
pub(super) fn read(value: &Value) -> Result<Locale, String> {
    match value {
        Value::String(tag) => Locale::read(tag).map_err(|wrong| wrong.to_string()),
        // The first of several languages, as browsers send them.
        Value::Array(entries) if entries.iter().all(Value::is_string) && !entries.is_empty() => {
            read(&entries[0])
        }
        Value::Object(fields) => match ["code", "tag", "locale", "language", "value", "name"]
            .iter()
            .find_map(|name| fields.get(*name).filter(|value| value.is_string()))
        {
            Some(tag) => read(tag),
            None => Err(format!(
                "must be a language tag like `pt-BR` or `en`, but is {}",
                excerpt(value)
            )),
        },
        other => {
            Err(format!("must be a language tag like `pt-BR` or `en`, but is {}", excerpt(other)))
        }
    }
}

/// The first locale that is not empty; the default if it cannot be read.
pub(super) fn locale(
    locales: &[(String, &Value)],
    default: &Locale,
    findings: &mut Findings,
) -> Locale {
    let Some((at, value)) = given(locales) else { return default.clone() };
    match read(value) {
        Ok(locale) => {
            let message = format!("{} is read as `{locale}`", excerpt(value));
            match value.as_str().map(str::parse::<Locale>) {
                Some(Ok(_)) => {}
                Some(Err(_)) => findings.note(at, message),
                // Not a text, as it has to be.
                None => findings.dropped(at, message),
            }
            locale
        }
        Err(wrong) => {
            findings.dropped(at, format!("{wrong}; left out"));
            default.clone()
        }
    }
}
