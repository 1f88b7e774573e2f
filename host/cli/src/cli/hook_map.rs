//! Misspelt fields of `[hooks.NAME] map`. A field that no order has is kept as further business
//! data, so that nothing else would tell of a slip of the pen.

use serde_json::{Value, json};
use sitewright_intake::{INPUT_SCHEMA, Locale, MAX_BYTES, load};
use sitewright_webhooks::HookConfig;

/// Characters that may be wrong, left out, added or swapped in a misspelt name.
const MOST_WRONG: usize = 2;
/// Of so many characters of a name, one may be wrong: of a short one, another name is soon made.
const PER_WRONG: usize = 4;

/// What is said of each misspelt field of `map`, with the field that was probably meant.
pub(super) fn misspelt(config: &HookConfig, locale: &Locale) -> Vec<String> {
    if config.map.is_empty() {
        return Vec::new();
    }
    let known = names();
    let said = |field: &String| {
        let (wrong, meant) = known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(field, known), known))
            .min_by_key(|(wrong, _)| *wrong)?;
        let is_near = wrong <= MOST_WRONG && wrong * PER_WRONG <= meant.len();
        let is_slip = is_near && bare(field) != bare(meant);
        (wrong > 0 && is_slip && is_unknown(field, locale)).then(|| {
            format!(
                "`map` has {field:?}, which is not a field of an order and is kept as further \
                 data; did you mean `{meant}`?"
            )
        })
    };
    config.map.keys().filter_map(said).collect()
}

/// The fields of an order that its schema names.
fn names() -> Vec<String> {
    let schema: Value = serde_json::from_str(INPUT_SCHEMA).unwrap_or_default();
    let fields = schema.pointer("/$defs/business/properties").and_then(Value::as_object);
    let fields = fields.into_iter().flat_map(|fields| fields.keys().cloned());
    fields.chain(["id", "locale"].map(str::to_owned)).collect()
}

/// A name without what notations differ in, which the reader does not mind: `businessName`.
fn bare(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether a document with this field has it among its further data. The reader knows more names
/// than the schema.
fn is_unknown(field: &str, locale: &Locale) -> bool {
    let mut document = json!({
        "id": "1", "business_name": "Flora", "business_email": "hello@flora.example",
    });
    document[field] = json!("text");
    let order = load(document.to_string().as_bytes(), MAX_BYTES, locale);
    order.is_ok_and(|order| order.order().extra.contains_key(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slip_of_the_pen_is_told_of() {
        let locale: Locale = "en".parse().unwrap();
        let said = |field: &str| {
            let mut config =
                json!({ "kind": "bearer", "template": "flora", "map": { "id": "/id" } });
            config["map"][field] = json!("/a");
            misspelt(&serde_json::from_value(config).unwrap(), &locale).join(" ")
        };
        for (field, meant) in [
            ("business_names", "business_name"),
            ("business_nmae", "business_name"), // typos:ignore
            ("business_emails", "business_email"),
            ("primary_serivce", "primary_service"), // typos:ignore
            ("testimonial", "testimonials"),
            ("selected_page", "selected_pages"),
        ] {
            let said = said(field);
            // The reader may know a name that the schema does not.
            let is_right = said.is_empty() && !is_unknown(field, &locale);
            assert!(is_right || said.ends_with(&format!("did you mean `{meant}`?")), "{said}");
        }
        assert!(said("business_names").contains("\"business_names\""));
        for field in ["business_name", "businessName", "phone", "locale", "cart", "menus_of_week"] {
            assert_eq!(said(field), "", "{field}");
        }
    }
}
