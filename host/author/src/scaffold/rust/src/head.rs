//! What the head of every page leads to: a description, the icon, the web app manifest.

use sitewright_sdk::prelude::*;

/// The colour of businesses that have none: that of `assets/site.css`.
const BRAND: &str = "#2f6f4f";

/// Maximum length of a description in characters: search results show no more.
const LONGEST: usize = 160;

/// The first sentences of a text for search results; if they are too long, its first words.
pub(crate) fn description(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let start: String = text.chars().take(LONGEST - 1).collect();
    let is_end = |(at, c): &(usize, char)| match *c {
        '。' | '！' | '？' => true,
        '.' | '!' | '?' | '؟' => start[at + c.len_utf8()..].starts_with(char::is_whitespace),
        _ => false,
    };
    if let Some((at, c)) = start.char_indices().skip(39).filter(is_end).last() {
        return start[..at + c.len_utf8()].to_owned();
    }
    let words = start.rsplit_once(char::is_whitespace).map_or(start.as_str(), |(words, _)| words);
    format!("{}…", words.trim_end())
}

/// The icon `templates/icon.svg`: the first letter of the name, on white in a frame, so that any
/// colour will do. askama escapes inserted text.
#[derive(askama::Template)]
#[template(askama = sitewright_sdk::askama, path = "icon.svg")]
struct Icon<'a> {
    letter: String,
    brand: &'a str,
}

/// Writes the icon, and the manifest with name, colour and icon on home screens. iPhones want a
/// PNG: to give them one, write it beside the icon, and link to it with `rel="apple-touch-icon"`.
pub(crate) fn write_icon(order: &Order, site: &Site) -> Result<()> {
    let brand = order.primary_color.map_or_else(|| BRAND.to_owned(), |color| color.to_string());
    let letter = order.business_name.chars().take(1).flat_map(char::to_uppercase).collect();
    let icon = askama::Template::render(&Icon { letter, brand: &brand })?;
    site.write("assets/icon.svg", icon)?;
    let manifest = serde_json::json!({
        "name": order.business_name,
        "lang": order.locale.to_string(),
        "start_url": "index.html",
        "display": "minimal-ui",
        "background_color": "#ffffff",
        "theme_color": brand,
        "icons": [{ "src": "assets/icon.svg", "sizes": "any", "type": "image/svg+xml" }],
    });
    site.write_json("site.webmanifest", &manifest)
}
