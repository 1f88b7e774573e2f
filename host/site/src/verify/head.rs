//! The rules of a page's head: language, title, description, viewport.

use ego_tree::iter::Edge;
use scraper::ElementRef;
use sitewright_order::Locale;

use super::html::{PageCheck, own_text};
use super::problem::{Rule, shown};
use sitewright_model::message;

/// Maximum number of languages that a message lists.
const LISTED: usize = 10;

impl PageCheck<'_> {
    pub(super) fn head(&mut self, languages: &[Locale]) {
        let root = self.page.html.root_element();
        self.language(root.attr("lang").map(str::trim).unwrap_or_default(), languages);
        let (mut title, mut description, mut viewport) = (false, false, false);
        // Number of open `<head>` elements. An SVG drawing in the body may have a title of its own.
        let mut heads = 0_usize;
        for edge in root.traverse() {
            let (node, opens) = match edge {
                Edge::Open(node) => (node, true),
                Edge::Close(node) => (node, false),
            };
            let Some(element) = ElementRef::wrap(node) else { continue };
            let name = element.value().name();
            match (name, opens) {
                ("head", true) => heads += 1,
                ("head", false) => heads -= 1,
                ("title", true) if heads > 0 => title |= !own_text(&element).trim().is_empty(),
                ("meta", true) => {
                    let kind = element.attr("name").unwrap_or_default();
                    description |= kind.eq_ignore_ascii_case("description")
                        && element.attr("content").is_some_and(|text| !text.trim().is_empty());
                    viewport |= kind.eq_ignore_ascii_case("viewport");
                }
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
        let locale = Some(tag)
            .filter(|tag| tag.len() <= 64 && !tag.contains('_'))
            .and_then(|tag| tag.parse::<Locale>().ok());
        let message = match locale {
            _ if tag.is_empty() => {
                message!("the page does not say its language; write `<html lang=\"…\">`")
            }
            None => message!(
                "the page's language `{}` is not a language tag; write it like `pt-BR` or `en`",
                shown(tag)
            ),
            Some(locale)
                if languages.is_empty()
                    || languages.iter().any(|l| l.language() == locale.language()) =>
            {
                return;
            }
            Some(locale) => message!(
                "the page's language is `{locale}`, but the order's is `{}`; write the page in \
                 it, or correct `<html lang>`",
                list(languages)
            ),
        };
        self.add(Rule::Language, Some(1), Some(tag), message);
    }
}

fn list(languages: &[Locale]) -> String {
    let mut list: Vec<&str> = languages.iter().take(LISTED).map(Locale::as_str).collect();
    if languages.len() > LISTED {
        list.push("…");
    }
    list.join("`, `")
}
