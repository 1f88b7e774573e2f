//! Which of the two shapes a document has, and where things are in it.

use serde_json::{Map, Value};

use crate::problem::is_blank;
use crate::{Locale, Problem, excerpt};

/// A JSON object and the pointer to it.
pub(super) struct Section<'a> {
    pub(super) at: &'static str,
    pub(super) fields: &'a Map<String, Value>,
}

/// A document taken apart.
pub(super) struct Shape<'a> {
    /// The business's data; nothing when a problem says that it is missing.
    pub(super) business: Option<Section<'a>>,
    /// Where a locale may stand; the first that does counts.
    pub(super) locales: Vec<(&'static str, &'a Value)>,
    /// What is wrong with the sections themselves.
    pub(super) problems: Vec<Problem>,
}

/// Whether the document is meant to be `{order, onboarding}`: it has one of the two.
pub(super) fn is_crm(document: &Value) -> bool {
    ["order", "onboarding"]
        .iter()
        .any(|name| document.get(name).is_some_and(|value| !value.is_null()))
}

impl<'a> Shape<'a> {
    pub(super) fn of(document: &'a Value) -> Result<Self, Vec<Problem>> {
        let Value::Object(top) = document else {
            let found = excerpt(document);
            let message = format!(
                "an order is a JSON object, `{{\"order\": …, \"onboarding\": …}}` or flat; this \
                 is {found}"
            );
            return Err(vec![Problem::new("", message)]);
        };
        let is_crm = is_crm(document);
        let places: &[&'static str] =
            if is_crm { &["/onboarding/locale", "/order/locale", "/locale"] } else { &["/locale"] };
        let locales = places.iter().filter_map(|at| Some((*at, document.pointer(at)?))).collect();
        if !is_crm {
            let business = Some(Section { at: "", fields: top });
            return Ok(Shape { business, locales, problems: Vec::new() });
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
        Ok(Shape { business, locales, problems })
    }
}

/// The first locale that is given, or the default; nothing when what is given is wrong.
pub(super) fn locale(
    given: &[(&'static str, &Value)],
    default: &Locale,
    problems: &mut Vec<Problem>,
) -> Option<Locale> {
    let is_given = |value: &Value| !value.is_null() && !value.as_str().is_some_and(is_blank);
    let Some((at, value)) = given.iter().find(|(_, value)| is_given(value)) else {
        return Some(default.clone());
    };
    let read = match value {
        Value::String(tag) => tag.parse::<Locale>().map_err(|wrong| wrong.to_string()),
        other => {
            Err(format!("must be a language tag like `pt-BR` or `en`, but is {}", excerpt(other)))
        }
    };
    read.map_err(|message| problems.push(Problem::new(*at, message))).ok()
}
