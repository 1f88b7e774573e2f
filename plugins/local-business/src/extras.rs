//! The files that are not pages: stylesheet, sitemap, robots.

use std::fmt::Write;

use sitewright_order::{Niche, Order, Tone};

use crate::pages::{Page, slug};
use crate::palette::Palette;

/// The stylesheet: the brand's colours as custom properties, then rules that are the same for
/// everyone. Colours are a type and fonts are our own constants, so nothing of the order can change
/// a rule.
pub fn stylesheet(palette: &Palette, order: &Order) -> String {
    format!(
        ":root {{\n{}  --display: {};\n}}\n\n{}",
        properties(palette),
        display_font(order),
        include_str!("../assets/site.css")
    )
}

/// The style of the page for lost visitors, which stands in the page itself: that page is shown
/// under any address, where a relative stylesheet would not be found.
pub fn lost_style(palette: &Palette) -> String {
    format!(":root {{\n{}}}\n{}", properties(palette), include_str!("../assets/lost.css"))
}

fn properties(palette: &Palette) -> String {
    let mut text = String::new();
    for (name, color) in palette.properties() {
        // A String takes everything.
        let _written = writeln!(text, "  --{name}: {color};");
    }
    text
}

/// Fonts that computers have: nothing is downloaded.
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

/// The address the site will have, from the order's `site_url` or `domain`, with a slash at the
/// end.
pub fn site_address(order: &Order) -> Option<String> {
    let text =
        ["site_url", "domain"].iter().find_map(|key| order.extra.get(*key)?.as_str())?.trim();
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

/// What stands in the sitemap as long as nobody knows the address; `.example` can belong to nobody.
pub fn placeholder_address(order: &Order) -> String {
    let name = slug(&order.business_name);
    let name = if name.is_empty() { "site" } else { &name };
    format!("https://{name}.example/")
}

/// The page's place below the site's address.
pub fn folder(page: &Page) -> String {
    if page.slug.is_empty() { String::new() } else { format!("{}/index.html", page.slug) }
}

/// All pages, for search engines. Slugs and addresses hold nothing that XML would mind.
pub fn sitemap(address: &str, pages: &[Page]) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
    );
    for page in pages {
        let _written = writeln!(xml, "  <url><loc>{address}{}</loc></url>", folder(page));
    }
    xml.push_str("</urlset>\n");
    xml
}

/// Everyone may read everything.
pub fn robots(address: &str) -> String {
    format!("User-agent: *\nAllow: /\n\nSitemap: {address}sitemap.xml\n")
}
