//! The rules of a page's head: language, title, description, viewport.

use sitewright_order::Locale;

use super::html::{PageCheck, within};
use super::problem::Rule;
use sitewright_model::message;

impl PageCheck<'_> {
    pub(super) fn head(&mut self, languages: &[Locale]) {
        let root = self.page.html.root_element();
        self.language(root.attr("lang").map(str::trim).unwrap_or_default(), languages);
        let mut title = false;
        let mut description = false;
        let mut viewport = false;
        for element in root.descendent_elements() {
            let named = |name| {
                element.attr("name").is_some_and(|found: &str| found.eq_ignore_ascii_case(name))
            };
            let content =
                || element.attr("content").is_some_and(|content| !content.trim().is_empty());
            match element.value().name() {
                // An SVG drawing in the body may have a title of its own.
                "title" if within(&element, &["head"]) => {
                    title |= !element.text().all(|text| text.trim().is_empty())
                }
                "meta" if named("description") => description |= content(),
                "meta" if named("viewport") => viewport |= content(),
                _ => {}
            }
        }
        if !title {
            let message =
                message!("the page has no title; put a `<title>` with text into its head");
            self.add(Rule::Title, None, None, message);
        }
        if !description {
            let message = message!(
                "the page has no description; put `<meta name=\"description\" content=\"…\">` \
                 into its head"
            );
            self.add(Rule::Description, None, None, message);
        }
        if !viewport {
            let message = message!(
                "the page sets no viewport, so phones show it tiny; put `<meta name=\"viewport\" \
                 content=\"width=device-width, initial-scale=1\">` into its head"
            );
            self.add(Rule::Viewport, None, None, message);
        }
    }

    fn language(&mut self, tag: &str, languages: &[Locale]) {
        let wanted = languages.iter().map(Locale::as_str).collect::<Vec<_>>().join("`, `");
        let locale =
            Some(tag).filter(|tag| !tag.contains('_')).and_then(|tag| tag.parse::<Locale>().ok());
        let message = match locale {
            _ if tag.is_empty() => {
                message!("the page does not say its language; write `<html lang=\"…\">`")
            }
            None => message!(
                "the page's language `{tag}` is not a language tag; write it like `pt-BR` or `en`"
            ),
            Some(locale)
                if languages.is_empty()
                    || languages.iter().any(|l| l.language() == locale.language()) =>
            {
                return;
            }
            Some(locale) => message!(
                "the page's language is `{locale}`, but the order's is `{wanted}`; write the page \
                 in it, or correct `<html lang>`"
            ),
        };
        self.add(Rule::Language, Some(1), Some(tag), message);
    }
}
