//! Files other than pages: stylesheet, sitemap, `robots.txt`.

use std::fmt::Write;

use sitewright_order::{Niche, Order, Tone};

use crate::pages::{Page, slug};
use crate::palette::Palette;

/// The stylesheet: the brand's colours as custom properties, followed by the same rules for every
/// order. Colours are parsed values and fonts are constants, so no text of the order enters it.
pub fn stylesheet(palette: &Palette, order: &Order) -> String {
    format!(
        ":root {{\n{}  --display: {};\n}}\n\n{}",
        properties(palette),
        display_font(order),
        include_str!("../assets/site.css")
    )
}

/// The style of `404.html`, which that page contains inline: a web server sends the page for URLs
/// at any depth, where a relative link to the stylesheet would not resolve.
pub fn not_found_style(palette: &Palette) -> String {
    format!(":root {{\n{}}}\n{}", properties(palette), include_str!("../assets/lost.css"))
}

fn properties(palette: &Palette) -> String {
    let mut text = String::new();
    for (name, color) in palette.properties() {
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

/// URL for the sitemap of an order without one. Nobody can register a name under `.example`.
pub fn placeholder_address(order: &Order) -> String {
    let name = slug(&order.business_name);
    let name = if name.is_empty() { "site" } else { &name };
    format!("https://{name}.example/")
}

/// Path of the page relative to [`site_address`]; empty for the home page.
pub fn folder(page: &Page) -> String {
    if page.slug.is_empty() { String::new() } else { format!("{}/index.html", page.slug) }
}

/// The sitemap. Slugs and addresses contain no character that XML would need escaped.
pub fn sitemap(address: &str, pages: &[Page]) -> String {
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
