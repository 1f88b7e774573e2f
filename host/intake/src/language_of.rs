//! The language of an order's site, if the program that makes it writes only some languages.

use serde::{Deserialize, Serialize};
use sitewright_order::{Locale, Notice, NoticeLevel, Problem};

use super::{InvalidKind, InvalidOrder, OrderSnapshot};

/// The languages that a template writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateLanguages {
    /// Empty if it names none, which means any.
    pub locales: Vec<Locale>,
    /// Its own choice for an order in another language, where the operator allows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Locale>,
}

/// The language in which `template` makes the site of an order, if it is not the ordered one, and
/// what is said about that; `None` if it writes the ordered one. `fallback`: the operator's language
/// for sites whose own language a template does not write; if it does not write that one either, the
/// template's own choice. Without it, a site in a language that nobody ordered is never made.
///
/// # Errors
/// It writes neither the ordered language nor one of the others.
pub fn other_language(
    order: &OrderSnapshot,
    template: &str,
    writes: &TemplateLanguages,
    fallback: Option<&Locale>,
) -> Result<Option<(Locale, Notice)>, InvalidOrder> {
    let TemplateLanguages { locales, fallback: own } = writes;
    let known = |wanted: &Locale| {
        locales.is_empty() || locales.iter().any(|locale| locale.language() == wanted.language())
    };
    let ordered = &order.order().locale;
    if known(ordered) {
        return Ok(None);
    }
    let chosen = fallback.and_then(|operator| match known(operator) {
        true => Some((operator, "`orders.fallback_locale`")),
        false => own.as_ref().map(|own| {
            (own, "the template's own choice, because it does not write `orders.fallback_locale`")
        }),
    });
    if let Some((fallback, why)) = chosen {
        let text = format!(
            "the template `{template}` does not write `{ordered}`: the site is made in `{fallback}` \
             ({why})"
        );
        let notice = Notice::new(NoticeLevel::Warning, "/locale", text);
        return Ok(Some((fallback.clone(), notice)));
    }
    let names: Vec<String> = locales.iter().map(ToString::to_string).collect();
    let message = format!(
        "the template `{template}` does not write `{ordered}`, the language of this order; it \
         writes `{}`: use another template, or set `orders.fallback_locale` to a language that it \
         writes",
        names.join("`, `")
    );
    let problem = Problem::new("/locale", message);
    let invalid = InvalidOrder::one(InvalidKind::Language, order.id().clone(), problem);
    Err(invalid.noticing(order.order().notices.clone()))
}
