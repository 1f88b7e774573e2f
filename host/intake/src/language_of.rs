//! The language of an order's site, if the program that makes it writes only some languages.

use sitewright_order::{Locale, Notice, NoticeLevel, Problem};

use super::{InvalidKind, InvalidOrder, OrderSnapshot};

/// The language in which `template` makes the site of an order, if it is not the ordered one, and
/// what is said about that; `None` if it writes the ordered one. `writes`: the languages that it
/// writes; empty if it names none, which means any. `fallback`: the operator's language for sites
/// whose own language a template does not write. A site in a language that nobody ordered is never
/// made.
///
/// # Errors
/// It writes neither the ordered language nor `fallback`.
pub fn other_language(
    order: &OrderSnapshot,
    template: &str,
    writes: &[Locale],
    fallback: Option<&Locale>,
) -> Result<Option<(Locale, Notice)>, InvalidOrder> {
    let known = |wanted: &Locale| {
        writes.is_empty() || writes.iter().any(|locale| locale.language() == wanted.language())
    };
    let ordered = &order.order().locale;
    if known(ordered) {
        return Ok(None);
    }
    if let Some(fallback) = fallback.filter(|fallback| known(fallback)) {
        let text = format!(
            "the template `{template}` does not write `{ordered}`: the site is made in `{fallback}` \
             (`orders.fallback_locale`)"
        );
        let notice = Notice::new(NoticeLevel::Warning, "/locale", text);
        return Ok(Some((fallback.clone(), notice)));
    }
    let names: Vec<String> = writes.iter().map(ToString::to_string).collect();
    let message = format!(
        "the template `{template}` does not write `{ordered}`, the language of this order; it \
         writes `{}`: use another template, or set `orders.fallback_locale` to a language that it \
         writes",
        names.join("`, `")
    );
    let problem = Problem::new("/locale", message);
    Err(InvalidOrder::one(InvalidKind::Language, order.id().clone(), problem))
}
