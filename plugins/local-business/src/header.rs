//! The width that the header of the site needs, so that its menu collapses into a button before it
//! would wrap: menus have up to 16 pages, and labels of any length in any language.

use sitewright_order::Order;

use crate::contact::Contact;
use crate::pages::Plan;

/// Maximum width of the content, in rem.
const CONTENT: f32 = 74.0;

/// Maximum width of a header that needs more than [`CONTENT`]: on a screen of 1440 pixels.
const WIDEST: f32 = 86.0;

/// Space on both sides of the header, in rem.
const SIDES: f32 = 2.5;

/// Widths in rem. Screens that are narrower show less of the menu.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Header {
    /// Maximum width of the header.
    pub max: f32,
    /// Minimum width of a screen that shows the menu and the button; `None`: no screen does.
    pub with_button: Option<f32>,
    /// Minimum width of a screen that shows the menu; `None`: no screen does.
    pub with_menu: Option<f32>,
}

impl Header {
    /// Estimates the widths from the labels. Fonts differ, so letters count as rather wide.
    pub fn of(order: &Order, plan: &Plan, contact: &Contact) -> Header {
        // The name wraps into two lines.
        let logo = 3.7 + (0.78 * ems(&order.business_name)).min(17.3);
        let links: f32 = plan.menu().iter().map(|page| 1.9 + 0.66 * ems(&page.label)).sum();
        let button = 1.25 + (4.6 + 0.66 * ems(&contact.first.label)).min(16.0);
        let menu = logo + 1.5 + links;
        let shown = |width: f32| (width <= WIDEST).then_some((width + SIDES).max(56.0));
        Header {
            max: if menu + button > CONTENT { WIDEST } else { CONTENT },
            with_button: shown(menu + button).map(|width| width.max(62.0)),
            with_menu: shown(menu),
        }
    }
}

/// The length of the text, in Latin letters.
fn ems(text: &str) -> f32 {
    // Letters of Chinese, Japanese and Korean are as wide as two others.
    text.chars().map(|c| if c >= '\u{2e80}' { 1.8 } else { 1.0 }).sum()
}

/// The media query of screens that are too narrow for `min`.
pub fn narrower(min: Option<f32>) -> String {
    min.map_or_else(|| "all".to_owned(), |min| format!("(max-width: {min:.1}rem)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use sitewright_order::Locale;

    fn header(name: &str, pages: &[&str]) -> Header {
        let document = serde_json::json!({
            "id": "1", "business_name": name, "business_phone": "+1 555 010 3301",
            "services": [], "selected_pages": pages,
        });
        let locale: Locale = Language::English.code().parse().unwrap();
        let order = sitewright_order::read(&document, &locale).unwrap();
        let plan = Plan::of(&order);
        let words = Language::English.words();
        let contact = Contact::of(&order, &plan, words, &mut Vec::new());
        Header::of(&order, &plan, &contact)
    }

    #[test]
    fn a_longer_menu_collapses_on_wider_screens() {
        let short = header("Joe's", &["about"]);
        assert_eq!((short.max, short.with_menu, short.with_button), (74.0, Some(56.0), Some(62.0)));
        let long =
            header("Webb & Sons Plumbing", &["about", "services", "gallery", "faq", "prices"]);
        assert!(long.with_menu > short.with_menu && long.with_button > long.with_menu, "{long:?}");
        let names: Vec<String> = (0..14).map(|at| format!("A page with number {at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let crowded = header("Joe's", &names);
        assert_eq!((crowded.with_menu, crowded.with_button), (None, None));
        assert_eq!(narrower(crowded.with_menu), "all");
        assert_eq!(narrower(short.with_menu), "(max-width: 56.0rem)");
    }
}
