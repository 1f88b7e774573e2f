//! The two shapes of a document, and the locations of its sections.

use serde_json::{Map, Value};

use super::fields::is_empty;
use super::findings::Findings;
use crate::{Locale, Problem, excerpt};

/// A JSON object with its pointer.
pub(super) struct Section<'a> {
    pub(super) at: &'static str,
    pub(super) fields: &'a Map<String, Value>,
}

/// The sections of a document.
pub(super) struct Shape<'a> {
    /// The data of the business; `None` if it is missing, which is one of the problems.
    pub(super) business: Option<Section<'a>>,
    /// The CRM's record of the order, beside the data of the business.
    pub(super) order: Option<&'a Map<String, Value>>,
    /// The values at the possible locations of the locale. The first one that is not blank applies.
    pub(super) locales: Vec<(&'static str, &'a Value)>,
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
    pub(super) fn of(document: &'a Value) -> Result<Self, Problem> {
        let Value::Object(top) = document else {
            let found = excerpt(document);
            let message = format!(
                "an order is a JSON object, `{{\"order\": …, \"onboarding\": …}}` or flat; this \
                 is {found}"
            );
            return Err(Problem::new("", message));
        };
        let is_crm = is_crm(document);
        let pointers: &[&'static str] =
            if is_crm { &["/onboarding/locale", "/order/locale", "/locale"] } else { &["/locale"] };
        let locales = pointers.iter().filter_map(|at| Some((*at, document.pointer(at)?))).collect();
        if !is_crm {
            let business = Some(Section { at: "", fields: top });
            return Ok(Shape { business, order: None, locales, problems: Vec::new() });
        }
        let mut problems = Vec::new();
        let order = document.get("order").filter(|order| !order.is_null());
        if let Some(other) = order.filter(|order| !order.is_object()) {
            problems.push(Problem::new(
                "/order",
                format!("must be an object with `id`, but is {}", excerpt(other)),
            ));
        }
        let business = match document.get("onboarding") {
            Some(Value::Object(fields)) => Some(Section { at: "/onboarding", fields }),
            None | Some(Value::Null) => {
                let message = "is missing; it must be an object with `business_name`, `services` \
                               and what else the customer filled in";
                problems.push(Problem::new("/onboarding", message));
                None
            }
            Some(other) => {
                let message = format!(
                    "must be an object with `business_name`, `services` and more, but is {}",
                    excerpt(other)
                );
                problems.push(Problem::new("/onboarding", message));
                None
            }
        };
        let order = order.and_then(Value::as_object);
        Ok(Shape { business, order, locales, problems })
    }
}

/// The first locale that is not empty, with its pointer.
pub(super) fn given<'a>(
    locales: &[(&'static str, &'a Value)],
) -> Option<(&'static str, &'a Value)> {
    locales.iter().find(|(_, value)| !is_empty(value)).copied()
}

/// The locale of one value.
pub(super) fn read(value: &Value) -> Result<Locale, String> {
    match value {
        Value::String(tag) => Locale::read(tag).map_err(|wrong| wrong.to_string()),
        other => {
            Err(format!("must be a language tag like `pt-BR` or `en`, but is {}", excerpt(other)))
        }
    }
}

/// The first locale that is not empty; the default if it cannot be read.
pub(super) fn locale(
    locales: &[(&'static str, &Value)],
    default: &Locale,
    findings: &mut Findings,
) -> Locale {
    let Some((at, value)) = given(locales) else { return default.clone() };
    match read(value) {
        Ok(locale) => {
            let written = value.as_str().unwrap_or_default();
            if written.parse::<Locale>().is_err() {
                findings.note(at, format!("`{written}` is read as `{locale}`"));
            }
            locale
        }
        Err(wrong) => {
            findings.dropped(at, format!("{wrong}; left out"));
            default.clone()
        }
    }
}
