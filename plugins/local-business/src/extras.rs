//! Files other than pages: stylesheet, sitemap, `robots.txt`, the preview of a link.

use std::fmt::Write;

use sitewright_order::{Color, Niche, Order, Tone};

use crate::app_icon::recolored;
use crate::header::{Header, narrower};
use crate::pages::Page;
use crate::palette::Palette;

/// The stylesheet: the brand's colours as custom properties, followed by the same rules for every
/// order. Colours are parsed values and fonts are constants, so no text of the order enters it.
pub fn stylesheet(palette: &Palette, order: &Order, header: Header) -> String {
    let rules = include_str!("../assets/site.css")
        .replace("(max-width: 62rem)", &narrower(header.with_button))
        .replace("(max-width: 56rem)", &narrower(header.with_menu));
    format!(
        ":root {{\n  color-scheme: light dark;\n{}  --display: {};\n  --header: {}rem;\n}}\n\n\
         {}\n{}",
        properties(&palette.properties()),
        display_font(order),
        header.max,
        dark(palette),
        rules
    )
}

/// The colours for readers who prefer a dark screen, and those of drawings, which stay.
fn dark(palette: &Palette) -> String {
    format!(
        "@media (prefers-color-scheme: dark) {{\n:root {{\n{}}}\n}}\n.art {{\n{}}}\n",
        properties(&palette.dark().properties()),
        properties(&palette.drawn())
    )
}

fn properties(colors: &[(&'static str, Color)]) -> String {
    let mut text = String::new();
    for (name, color) in colors {
        // Writing to a `String` cannot fail.
        let _written = writeln!(text, "  --{name}: {color};");
    }
    text
}

/// Font stack of the headings: installed fonts only, so that a page downloads none.
fn display_font(order: &Order) -> &'static str {
    let serif = matches!(order.niche, Niche::Restaurant | Niche::Lawyer | Niche::RealEstate)
        || order.tone == Tone::Premium;
    if serif {
        "\"Iowan Old Style\", P052, \"Palatino Linotype\", Palatino, \"URW Palladio L\", \"Book \
         Antiqua\", Georgia, serif"
    } else {
        "\"Avenir Next\", Avenir, \"Segoe UI Variable Display\", \"Segoe UI\", Inter, Roboto, \
         \"Helvetica Neue\", Arial, sans-serif"
    }
}

/// Public URL of the site with a trailing slash, from the order's `site_url`. `None` if
/// the order has none or it is not a host name with an optional path.
pub fn site_address(order: &Order) -> Option<String> {
    let text = order.site_url.as_deref()?.trim();
    let host_and_path =
        text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let clean = !host_and_path.is_empty()
        && host_and_path
            .split('/')
            .next()
            .is_some_and(|host| host.contains('.') && !host.starts_with('.'))
        && host_and_path.chars().all(|c| c.is_ascii_alphanumeric() || "-._~/:".contains(c));
    clean.then(|| format!("https://{}/", host_and_path.trim_end_matches('/')))
}

/// Where `404.html` finds the files at the top of the site, given [`site_address`]: web servers
/// send the page for URLs at any depth, where a relative path leads nowhere.
pub fn top_of(address: &str) -> String {
    let path = address.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
    match path {
        // Also right for a preview of the site at another host.
        Some((_, "")) => "/".to_owned(),
        _ => address.to_owned(),
    }
}

/// Path of the page relative to [`site_address`]; empty for the home page.
pub fn folder(page: &Page) -> String {
    if page.slug.is_empty() { String::new() } else { format!("{}/index.html", page.slug) }
}

/// The sitemap. Slugs and addresses contain no character that XML would need escaped.
pub fn sitemap<'a>(address: &str, pages: impl IntoIterator<Item = &'a Page>) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
    );
    for page in pages {
        let _written = writeln!(xml, "  <url><loc>{address}{}</loc></url>", folder(page));
    }
    xml.push_str("</urlset>\n");
    xml
}

/// `robots.txt`, which allows everything.
pub fn robots(address: &str) -> String {
    format!("User-agent: *\nAllow: /\n\nSitemap: {address}sitemap.xml\n")
}

/// Path of [`card`] in the site.
pub const CARD: &str = "assets/card.png";

/// The picture that shows when somebody shares a link to the site, as PNG of 1200 by 630 in the
/// brand's colours. `art/card.py` draws the original, whose palette this replaces.
pub fn card(palette: &Palette) -> Vec<u8> {
    let colors = [palette.brand, palette.accent, palette.second, palette.brand_soft];
    recolored(include_bytes!("../assets/card.png"), &colors)
}

#[cfg(test)]
mod tests {
    use sitewright_order::Color;

    use super::*;
    use crate::app_icon::crc;

    #[test]
    fn files_at_the_top_are_found_from_any_depth() {
        for (address, top) in
            [("https://webb.test/", "/"), ("https://sites.test/webb/", "https://sites.test/webb/")]
        {
            assert_eq!(top_of(address), top);
        }
    }

    #[test]
    fn the_card_is_the_original_with_another_palette() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        let original = include_bytes!("../assets/card.png");
        let color = |text: &str| text.parse::<Color>().unwrap();
        let placeholders = Palette {
            brand: color("#4b3f8f"),
            accent: color("#f4a261"),
            second: color("#222233"),
            brand_soft: color("#eeeef8"),
            ..Palette::from_colors(color("#4b3f8f"), None, None)
        };
        assert_eq!(card(&placeholders), original);
        let other = card(&Palette::from_colors(color("#ff0000"), None, None));
        assert_eq!((other.len(), &other[41..44]), (original.len(), &[255_u8, 0, 0][..]));
    }
}
