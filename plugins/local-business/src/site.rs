//! Renders the files of a site from an order and its copy. Pure: the same input gives the same
//! bytes.

use askama::Template;
use sitewright_order::{Cta, Niche, Order};

use crate::contact::Contact;
use crate::copy::{Copy, Strategy};
use crate::hours::{self, Row};
use crate::language::{Language, Words};
use crate::pages::{Kind, Note, Page, Plan};
use crate::palette::Palette;
use crate::trade::{self, Fact};
use crate::views::{self, Card, Frame, Item, Quote, Stars};
use crate::{art, escape, extras, structured};

/// Maximum number of services with a description; the others are listed by name.
pub const MAX_DESCRIBED: usize = 24;

/// Maximum number of services on the home page.
pub const MAX_ON_HOME: usize = 6;

/// One file of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Path in the site.
    pub path: String,
    /// Content of the file.
    pub text: String,
}

/// A page cannot be rendered: always a bug in this template.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The HTML template failed.
    #[error("the page `{path}` could not be rendered")]
    Html {
        /// Path of the page in the site.
        path: String,
        /// Error of the template engine.
        source: askama::Error,
    },
    /// The structured data could not be written.
    #[error("the structured data of `{path}` could not be written as JSON")]
    Json {
        /// Path of the page in the site.
        path: String,
        /// Error of the serializer.
        source: serde_json::Error,
    },
}

/// The services of the order without duplicates, in its sequence. The primary service comes first
/// if the list does not contain it.
pub fn offers(order: &Order) -> Vec<&str> {
    let primary = order.primary_service.as_deref().unwrap_or_default().trim();
    let services = order.services.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let mut offers: Vec<&str> = Vec::new();
    if !primary.is_empty() && !order.services.iter().any(|name| name.trim() == primary) {
        offers.push(primary);
    }
    for name in services {
        if !offers.contains(&name) {
            offers.push(name);
        }
    }
    offers
}

/// An order prepared for rendering.
pub struct Site<'a> {
    order: &'a Order,
    strategy: &'a Strategy,
    language: Language,
    words: &'static Words,
    plan: &'a Plan,
    contact: Contact,
    palette: Palette,
    hours: Vec<Row>,
    facts: Vec<Fact>,
    trade: String,
    initials: String,
    /// City and state, as far as they are known.
    place: String,
    /// Public URL of the site with a trailing slash.
    address: Option<String>,
    notes: Vec<Note>,
}

impl<'a> Site<'a> {
    /// Prepares the site of an order.
    pub fn new(order: &'a Order, plan: &'a Plan, strategy: &'a Strategy) -> Site<'a> {
        let language = Language::of(&order.locale);
        let words = language.words();
        let mut notes = plan.notes.clone();
        let contact = Contact::of(order, plan, words, &mut notes);
        let rows = hours::rows(&order.business_hours, language);
        if rows.is_empty() {
            notes.push(Note {
                code: "no-opening-hours",
                message: "the site shows no opening hours: `business_hours` is empty".to_owned(),
            });
        }
        if language.tag(&order.locale) != order.locale.as_str() {
            notes.push(Note {
                code: "locale-unsupported",
                message: format!(
                    "the site is in English: this template does not write in `{}`",
                    order.locale
                ),
            });
        }
        let address = extras::site_address(order);
        if address.is_none() {
            notes.push(Note {
                code: "no-site-address",
                message: "`sitemap.xml` and `robots.txt` name a placeholder address: give the \
                          order a `site_url`, or replace it before going live"
                    .to_owned(),
            });
        }
        Site {
            order,
            strategy,
            language,
            words,
            plan,
            contact,
            palette: Palette::of(order),
            hours: rows,
            facts: trade::facts(order, language),
            trade: trade::name(order, language),
            initials: trade::initials(&order.business_name),
            place: [order.primary_city.as_deref(), order.state.as_deref()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", "),
            address,
            notes,
        }
    }

    /// Warnings about parts of the order that the site does not contain.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Renders one page of the plan.
    ///
    /// # Errors
    /// [`RenderError`]: a bug in this template.
    pub fn page(&self, page: &Page, copy: &Copy) -> Result<File, RenderError> {
        let f = self.frame(page, copy)?;
        let order = self.order;
        let w = self.words;
        let band = art::band(&format!("{} {}", order.business_name, page.slug));
        let html = match copy {
            Copy::Home(copy) => views::HomePage {
                f,
                copy,
                art: art::hero(order.niche, &order.business_name),
                facts: &self.facts,
                about_heading: or(&copy.about_heading, w.about),
                about_text: or(&copy.about_text, &self.strategy.positioning),
                services_id: if order.niche == Niche::Restaurant {
                    "menu-preview"
                } else {
                    "services"
                },
                services_heading: or(&copy.services_heading, self.services_heading()),
                see_services: if order.niche == Niche::Restaurant {
                    w.see_menu
                } else {
                    w.see_services
                },
                cards: self.cards(&copy.services, MAX_ON_HOME, art::sign),
                quotes: self.quotes(3),
                closing_heading: or(&copy.closing_heading, w.closing),
                closing_text: or(&copy.closing_text, w.closing_lead),
            }
            .render(),
            Copy::About(copy) => {
                let portrait = art::portrait(order.niche);
                views::AboutPage { f, copy, art: band, portrait, facts: &self.facts }.render()
            }
            Copy::Services(copy) => views::ServicesPage {
                f,
                copy,
                art: band,
                cards: self.cards(&copy.descriptions, MAX_DESCRIBED, art::sign),
                others: offers(order).into_iter().skip(MAX_DESCRIBED).collect(),
            }
            .render(),
            Copy::Gallery(copy) => {
                let cards = self.cards(&copy.captions, MAX_DESCRIBED, art::picture);
                views::GalleryPage { f, copy, art: band, cards }.render()
            }
            Copy::Testimonials(copy) => {
                views::TestimonialsPage { f, copy, art: band, quotes: self.quotes(usize::MAX) }
                    .render()
            }
            Copy::Faq(copy) => views::FaqPage { f, copy, art: band }.render(),
            Copy::Pricing(copy) => {
                // Those whose price was sent are listed with it.
                let priced = |name: &str| order.prices.iter().any(|price| price.name == name);
                let offers = offers(order).into_iter().filter(|name| !priced(name)).collect();
                views::PricingPage { f, copy, art: band, offers }.render()
            }
            Copy::Contact(copy) => {
                let booking = order.primary_cta == Cta::BookOnline;
                let offers = offers(order).into_iter().take(MAX_DESCRIBED).collect();
                views::ContactPage { f, copy, art: band, booking, offers }.render()
            }
            Copy::Custom(copy) => views::CustomPage { f, copy, art: band }.render(),
        };
        file(page.path(), html)
    }

    /// Renders all files that are not pages of the plan: stylesheet, icon, `404.html`, sitemap and
    /// `robots.txt`.
    ///
    /// # Errors
    /// [`RenderError`]: a bug in this template.
    pub fn other_files(&self) -> Result<Vec<File>, RenderError> {
        let not_found =
            Page { kind: Kind::Custom, label: self.words.lost.to_owned(), slug: String::new() };
        let mut f = self.bare_frame(&not_found);
        f.title = format!("{} · {}", self.words.lost, self.order.business_name);
        f.description = self.words.lost_text;
        let page = views::NotFoundPage {
            f,
            style: extras::not_found_style(&self.palette),
            art: art::band(&self.order.business_name),
        };
        let icon = views::Favicon {
            background: self.palette.brand.to_string(),
            ink: self.palette.on_brand.to_string(),
            initials: &self.initials,
            size: if self.initials.chars().count() > 1 { 30 } else { 38 },
        };
        let placeholder = extras::placeholder_address(self.order);
        let address = self.address.as_deref().unwrap_or(&placeholder);
        Ok(vec![
            File {
                path: "assets/site.css".to_owned(),
                text: extras::stylesheet(&self.palette, self.order),
            },
            file("favicon.svg".to_owned(), icon.render())?,
            file("404.html".to_owned(), page.render())?,
            File {
                path: "sitemap.xml".to_owned(),
                text: extras::sitemap(address, &self.plan.pages),
            },
            File { path: "robots.txt".to_owned(), text: extras::robots(address) },
        ])
    }

    fn services_heading(&self) -> &'static str {
        if self.order.niche == Niche::Restaurant { self.words.menu } else { self.words.services }
    }

    fn frame(&self, page: &'a Page, copy: &'a Copy) -> Result<Frame<'_>, RenderError> {
        let name = &self.order.business_name;
        let intro = copy.intro();
        let mut f = self.bare_frame(page);
        f.title = if intro.title.contains(name.as_str()) {
            intro.title.clone()
        } else {
            format!("{} · {}", intro.title, name)
        };
        f.description = &intro.description;
        let mut structured = Vec::new();
        if matches!(page.kind, Kind::Home | Kind::Contact) {
            structured.push(structured::business(
                self.order,
                &self.contact,
                self.address.as_deref(),
                &self.strategy.positioning,
            ));
        }
        if let Copy::Faq(copy) = copy {
            structured.push(structured::questions(&copy.questions));
        }
        for value in structured {
            let json = escape::json_in_script(&value);
            f.structured
                .push(json.map_err(|source| RenderError::Json { path: page.path(), source })?);
        }
        Ok(f)
    }

    fn bare_frame<'b>(&'b self, page: &'b Page) -> Frame<'b> {
        let root = page.root();
        let href = |page: &Page| format!("{root}{}", page.path());
        let link = |kind| self.plan.page(kind).map(&href);
        Frame {
            lang: self.language.tag(&self.order.locale),
            og_locale: self.language.tag(&self.order.locale).replace('-', "_"),
            title: String::new(),
            description: "",
            keywords: self.strategy.keywords.join(", "),
            theme: self.palette.brand.to_string(),
            url: self.address.as_ref().map(|address| format!("{address}{}", extras::folder(page))),
            structured: Vec::new(),
            kind: page.kind.name(),
            label: &page.label,
            root,
            menu: self
                .plan
                .pages
                .iter()
                .map(|other| Item {
                    label: &other.label,
                    href: href(other),
                    current: other == page,
                })
                .collect(),
            w: self.words,
            order: self.order,
            place: &self.place,
            trade: &self.trade,
            initials: &self.initials,
            contact: &self.contact,
            first_href: self.contact.first.href(root, &self.contact.page),
            second: self.contact.second.as_ref().map(|action| views::Second {
                href: action.href(root, &self.contact.page),
                label: &action.label,
                means: action.means,
            }),
            about_href: link(Kind::About),
            services_href: link(Kind::Services),
            testimonials_href: link(Kind::Testimonials),
            contact_href: format!("{root}{}/index.html", self.contact.page),
            hours: &self.hours,
            hours_partial: hours::is_partial(&self.order.business_hours),
        }
    }

    fn cards<'b>(
        &'b self,
        texts: &'b [String],
        max: usize,
        draw: fn(&str) -> String,
    ) -> Vec<Card<'b>> {
        let offers = offers(self.order);
        let several = offers.len() > 1;
        offers
            .into_iter()
            .take(max)
            .enumerate()
            .map(|(at, name)| Card {
                name,
                text: texts.get(at).map_or("", String::as_str),
                art: draw(&format!("{} {name}", self.order.business_name)),
                featured: several
                    && self
                        .order
                        .primary_service
                        .as_deref()
                        .is_some_and(|main| main.trim() == name),
            })
            .collect()
    }

    fn quotes(&self, max: usize) -> Vec<Quote<'_>> {
        let testimonials = self
            .order
            .testimonials
            .iter()
            .filter(|testimonial| !testimonial.text.trim().is_empty());
        testimonials
            .take(max)
            .map(|testimonial| Quote {
                name: testimonial
                    .name
                    .as_deref()
                    .map(str::trim)
                    .filter(|name| !name.is_empty())
                    .unwrap_or(self.words.anonymous),
                text: testimonial.text.trim(),
                role: testimonial.role.as_deref(),
                stars: testimonial
                    .rating
                    .filter(|rating| rating.is_finite())
                    .map(|rating| self.stars(rating)),
            })
            .collect()
    }

    fn stars(&self, rating: f64) -> Stars {
        let rating = rating.clamp(0.0, 5.0);
        let full = rating.round() as usize;
        let words =
            if rating.fract() == 0.0 { format!("{rating:.0}") } else { format!("{rating:.1}") };
        Stars {
            signs: "★".repeat(full) + &"☆".repeat(5 - full),
            words: if self.language == Language::Portuguese {
                words.replace('.', ",")
            } else {
                words
            },
        }
    }
}

fn or<'t>(text: &'t str, instead: &'t str) -> &'t str {
    if text.is_empty() { instead } else { text }
}

fn file(path: String, html: Result<String, askama::Error>) -> Result<File, RenderError> {
    match html {
        Ok(text) => Ok(File { path, text }),
        Err(source) => Err(RenderError::Html { path, source }),
    }
}
