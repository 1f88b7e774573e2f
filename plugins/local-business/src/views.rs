//! The pages as the HTML templates see them. Every value is escaped by [`crate::escape::Html`]; `|safe` stands only where
//! the text is our own drawing, sign or already escaped JSON.

use askama::Template;
use sitewright_order::Order;

use crate::contact::{Contact, Means};
use crate::copy;
use crate::hours::Row;
use crate::icons;
use crate::language::Words;
use crate::trade::Fact;

/// What all pages share.
pub struct Frame<'a> {
    pub lang: &'a str,
    pub og_locale: String,
    pub title: String,
    pub description: &'a str,
    pub keywords: String,
    pub theme: String,
    pub url: Option<String>,
    pub structured: Vec<String>,
    pub kind: &'static str,
    pub label: &'a str,
    pub root: &'static str,
    pub menu: Vec<Item<'a>>,
    pub w: &'static Words,
    pub order: &'a Order,
    pub phone: &'a str,
    pub trade: &'a str,
    pub initials: &'a str,
    pub contact: &'a Contact,
    pub first_href: String,
    pub second_href: String,
    pub about_href: Option<String>,
    pub services_href: Option<String>,
    pub testimonials_href: Option<String>,
    pub contact_href: String,
    pub hours: &'a [Row],
    pub hours_partial: bool,
}

impl Frame<'_> {
    fn first_icon(&self) -> &'static str {
        sign(self.contact.first.means)
    }

    fn second_icon(&self) -> &'static str {
        sign(self.contact.second.means)
    }
}

fn sign(means: Means) -> &'static str {
    match means {
        Means::Phone => icons::PHONE,
        Means::Whatsapp => icons::CHAT,
        Means::Form => icons::MAIL,
        Means::Booking => icons::CALENDAR,
    }
}

/// A line of the menu.
pub struct Item<'a> {
    pub label: &'a str,
    pub href: String,
    pub current: bool,
}

/// Something offered, with its drawing.
pub struct Card<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub art: String,
    pub featured: bool,
}

/// What one customer said.
pub struct Quote<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub role: Option<&'a str>,
    pub stars: Option<Stars>,
}

/// A rating: as signs, and as words for those who cannot see them.
pub struct Stars {
    pub signs: String,
    pub words: String,
}

#[derive(Template)]
#[template(path = "home.html")]
pub struct HomePage<'a> {
    pub f: Frame<'a>,
    pub copy: &'a copy::Home,
    pub art: String,
    pub facts: &'a [Fact],
    pub about_heading: &'a str,
    pub about_text: &'a str,
    pub services_id: &'static str,
    pub services_heading: &'a str,
    pub see_services: &'static str,
    pub cards: Vec<Card<'a>>,
    pub quotes: Vec<Quote<'a>>,
    pub closing_heading: &'a str,
    pub closing_text: &'a str,
}

#[derive(Template)]
#[template(path = "about.html")]
pub struct AboutPage<'a> {
    pub f: Frame<'a>,
    pub copy: &'a copy::About,
    pub art: String,
    pub portrait: String,
    pub facts: &'a [Fact],
}

#[derive(Template)]
#[template(path = "services.html")]
pub struct ServicesPage<'a> {
    pub f: Frame<'a>,
    pub copy: &'a copy::Services,
    pub art: String,
    pub cards: Vec<Card<'a>>,
    pub others: Vec<&'a str>,
}

#[derive(Template)]
#[template(path = "gallery.html")]
pub struct GalleryPage<'a> {
    pub f: Frame<'a>,
    pub copy: &'a copy::Gallery,
    pub art: String,
    pub cards: Vec<Card<'a>>,
}

#[derive(Template)]
#[template(path = "testimonials.html")]
pub struct TestimonialsPage<'a> {
    pub f: Frame<'a>,
    pub copy: &'a copy::Testimonials,
    pub art: String,
    pub quotes: Vec<Quote<'a>>,
}

#[derive(Template)]
#[template(path = "faq.html")]
pub struct FaqPage<'a> {
    pub f: Frame<'a>,
    pub copy: &'a copy::Faq,
    pub art: String,
}

#[derive(Template)]
#[template(path = "pricing.html")]
pub struct PricingPage<'a> {
    pub f: Frame<'a>,
    pub copy: &'a copy::Pricing,
    pub art: String,
    pub offers: Vec<&'a str>,
}

#[derive(Template)]
#[template(path = "contact.html")]
pub struct ContactPage<'a> {
    pub f: Frame<'a>,
    pub copy: &'a copy::Contact,
    pub art: String,
    pub booking: bool,
    pub offers: Vec<&'a str>,
}

#[derive(Template)]
#[template(path = "custom.html")]
pub struct CustomPage<'a> {
    pub f: Frame<'a>,
    pub copy: &'a copy::Custom,
    pub art: String,
}

#[derive(Template)]
#[template(path = "404.html")]
pub struct LostPage<'a> {
    pub f: Frame<'a>,
    pub style: String,
    pub art: String,
}

#[derive(Template)]
#[template(path = "favicon.svg")]
pub struct Favicon<'a> {
    pub ground: String,
    pub ink: String,
    pub initials: &'a str,
    pub size: u8,
}
