//! Input of the HTML templates. Every value is escaped by [`crate::escape::Html`]; the templates
//! use `|safe` only for our own SVG and CSS and for JSON that is escaped already.

use askama::Template;
use sitewright_order::Order;

use crate::contact::{Contact, Link, Means};
use crate::content::{Article, Identifier, Location, Member};
use crate::copy;
use crate::hours::Row;
use crate::icons;
use crate::language::Words;
use crate::trade::Fact;

/// Values that all pages use.
pub(crate) struct Frame<'a> {
    pub(crate) lang: &'a str,
    pub(crate) right_to_left: bool,
    pub(crate) og_locale: String,
    pub(crate) title: String,
    pub(crate) description: &'a str,
    pub(crate) keywords: String,
    pub(crate) theme: String,
    pub(crate) url: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) structured: Vec<String>,
    pub(crate) kind: &'static str,
    pub(crate) label: &'a str,
    pub(crate) root: &'static str,
    pub(crate) menu: Vec<Item<'a>>,
    pub(crate) w: &'static Words,
    pub(crate) order: &'a Order,
    pub(crate) place: &'a str,
    pub(crate) trade: &'a str,
    pub(crate) initials: &'a str,
    pub(crate) contact: &'a Contact,
    pub(crate) first_href: String,
    pub(crate) second: Option<Second<'a>>,
    pub(crate) about_href: Option<String>,
    pub(crate) services_href: Option<String>,
    pub(crate) testimonials_href: Option<String>,
    pub(crate) contact_href: String,
    pub(crate) hours: &'a [Row],
    pub(crate) hours_partial: bool,
    pub(crate) imprint: Option<Item<'a>>,
    pub(crate) privacy: Option<Item<'a>>,
    pub(crate) identifiers: &'a [Identifier<'a>],
    pub(crate) team: &'a [Member<'a>],
    pub(crate) locations: &'a [Location<'a>],
    pub(crate) photos: &'a [Link],
    pub(crate) has_gallery: bool,
}

impl Frame<'_> {
    fn first_icon(&self) -> &'static str {
        icon_of(self.contact.first.means)
    }

    /// Whether anything is known about opening hours.
    fn has_hours(&self) -> bool {
        !self.hours.is_empty() || !self.order.hours_notes.is_empty()
    }
}

/// The secondary button.
pub(crate) struct Second<'a> {
    pub(crate) href: String,
    pub(crate) label: &'a str,
    pub(crate) means: Means,
}

impl Second<'_> {
    fn icon(&self) -> &'static str {
        icon_of(self.means)
    }
}

fn icon_of(means: Means) -> &'static str {
    match means {
        Means::Phone => icons::PHONE,
        Means::Whatsapp => icons::CHAT,
        Means::Form => icons::MAIL,
        Means::Booking => icons::CALENDAR,
    }
}

/// An entry of the menu.
pub(crate) struct Item<'a> {
    pub(crate) label: &'a str,
    pub(crate) href: String,
    pub(crate) current: bool,
}

/// A service with its illustration.
pub(crate) struct Card<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    pub(crate) art: String,
    pub(crate) featured: bool,
    pub(crate) price: Option<&'a str>,
    pub(crate) details: String,
}

/// A line of the price list.
pub(crate) struct PriceLine<'a> {
    pub(crate) name: &'a str,
    pub(crate) price: Option<&'a str>,
    pub(crate) details: String,
}

/// A testimonial.
pub(crate) struct Quote<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    pub(crate) role: Option<&'a str>,
    pub(crate) stars: Option<Stars>,
}

/// A rating: as star characters, and as text for screen readers.
pub(crate) struct Stars {
    pub(crate) signs: String,
    pub(crate) words: String,
}

#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct HomePage<'a> {
    pub(crate) f: Frame<'a>,
    pub(crate) copy: &'a copy::Home,
    pub(crate) art: String,
    pub(crate) facts: &'a [Fact],
    pub(crate) about_heading: &'a str,
    pub(crate) about_text: &'a str,
    pub(crate) services_id: &'static str,
    pub(crate) services_heading: &'a str,
    pub(crate) see_services: &'static str,
    pub(crate) cards: Vec<Card<'a>>,
    pub(crate) prices: Vec<PriceLine<'a>>,
    pub(crate) shows_menu: bool,
    pub(crate) quotes: Vec<Quote<'a>>,
    pub(crate) team: &'a [Member<'a>],
    pub(crate) closing_heading: &'a str,
    pub(crate) closing_text: &'a str,
}

#[derive(Template)]
#[template(path = "about.html")]
pub(crate) struct AboutPage<'a> {
    pub(crate) f: Frame<'a>,
    pub(crate) copy: &'a copy::About,
    pub(crate) art: String,
    pub(crate) portrait: String,
    pub(crate) facts: &'a [Fact],
}

#[derive(Template)]
#[template(path = "services.html")]
pub(crate) struct ServicesPage<'a> {
    pub(crate) f: Frame<'a>,
    pub(crate) copy: &'a copy::Services,
    pub(crate) art: String,
    pub(crate) cards: Vec<Card<'a>>,
    pub(crate) prices: Vec<PriceLine<'a>>,
    pub(crate) others: Vec<&'a str>,
}

#[derive(Template)]
#[template(path = "gallery.html")]
pub(crate) struct GalleryPage<'a> {
    pub(crate) f: Frame<'a>,
    pub(crate) copy: &'a copy::Gallery,
    pub(crate) art: String,
    pub(crate) cards: Vec<Card<'a>>,
}

#[derive(Template)]
#[template(path = "testimonials.html")]
pub(crate) struct TestimonialsPage<'a> {
    pub(crate) f: Frame<'a>,
    pub(crate) copy: &'a copy::Testimonials,
    pub(crate) art: String,
    pub(crate) quotes: Vec<Quote<'a>>,
}

#[derive(Template)]
#[template(path = "faq.html")]
pub(crate) struct FaqPage<'a> {
    pub(crate) f: Frame<'a>,
    pub(crate) copy: &'a copy::Faq,
    pub(crate) art: String,
}

#[derive(Template)]
#[template(path = "pricing.html")]
pub(crate) struct PricingPage<'a> {
    pub(crate) f: Frame<'a>,
    pub(crate) copy: &'a copy::Pricing,
    pub(crate) art: String,
    pub(crate) prices: Vec<PriceLine<'a>>,
    pub(crate) offers: Vec<&'a str>,
}

#[derive(Template)]
#[template(path = "contact.html")]
pub(crate) struct ContactPage<'a> {
    pub(crate) f: Frame<'a>,
    pub(crate) copy: &'a copy::Contact,
    pub(crate) art: String,
    pub(crate) booking: bool,
    pub(crate) offers: Vec<&'a str>,
}

#[derive(Template)]
#[template(path = "custom.html")]
pub(crate) struct CustomPage<'a> {
    pub(crate) f: Frame<'a>,
    pub(crate) copy: &'a copy::Custom,
    pub(crate) art: String,
}

#[derive(Template)]
#[template(path = "imprint.html")]
pub(crate) struct ImprintPage<'a> {
    pub(crate) f: Frame<'a>,
}

#[derive(Template)]
#[template(path = "privacy.html")]
pub(crate) struct PrivacyPage<'a> {
    pub(crate) f: Frame<'a>,
    /// What happens to what a visitor writes in the form, if there is one.
    pub(crate) form: Option<String>,
}

#[derive(Template)]
#[template(path = "news.html")]
pub(crate) struct NewsPage<'a> {
    pub(crate) f: Frame<'a>,
    pub(crate) posts: Vec<Article<'a>>,
}

#[derive(Template)]
#[template(path = "404.html")]
pub(crate) struct NotFoundPage<'a> {
    pub(crate) f: Frame<'a>,
    /// Where the files at the top of the site are; empty if the address of the site is not known.
    pub(crate) top: String,
    pub(crate) art: String,
}

#[derive(Template)]
#[template(path = "favicon.svg")]
pub(crate) struct Favicon<'a> {
    pub(crate) background: String,
    pub(crate) ink: String,
    pub(crate) initials: &'a str,
    pub(crate) size: u8,
}
