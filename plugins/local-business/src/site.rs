//! Renders the files of a site from an order and its copy. Pure: the same input gives the same
//! bytes.

use askama::Template;
use sitewright_order::{Cta, Niche, Order, Price};

use crate::contact::{self, Contact, Link};
use crate::content::{Identifier, Location, Member};
use crate::copy::{Copy, Strategy, cut};
use crate::drawing::Drawing;
use crate::header::Header;
use crate::hours::{self, Row};
use crate::language::{Language, Words, fill};
use crate::pages::{Kind, Note, Page, Plan};
use crate::palette::Palette;
use crate::trade::{self, Fact};
use crate::views::{self, Card, Frame, Item, PriceLine, Quote, Stars};
use crate::{app_icon, art, content, escape, extras, structured, title};

/// Maximum number of services with a description; the others are listed by name.
pub const MAX_DESCRIBED: usize = 24;

/// Maximum number of services on the home page.
pub const MAX_ON_HOME: usize = 6;

/// Maximum number of testimonials on the home page, beside a page for them and without one.
const QUOTES_ON_HOME: [usize; 2] = [3, 12];

/// One file of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Path in the site.
    pub path: String,
    /// Content of the file.
    pub bytes: Vec<u8>,
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
    /// The structured data of a page, or the web app manifest, could not be written.
    #[error("the data of `{path}` could not be written as JSON")]
    Json {
        /// Path of the file in the site.
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

/// What the page with posts is about, for search engines: their titles.
fn news_text(order: &Order, words: &Words) -> String {
    let titles: Vec<&str> = order.posts.iter().map(|post| post.title.as_str()).collect();
    let titles = titles.join(words.comma);
    cut(&format!("{} · {}{}{titles}", order.business_name, words.news, words.colon), 155)
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
    identifiers: Vec<Identifier<'a>>,
    team: Vec<Member<'a>>,
    locations: Vec<Location<'a>>,
    photos: Vec<Link>,
    /// For search engines, of the page that says who is responsible.
    imprint_text: String,
    /// The same of the page about data.
    privacy_text: String,
    /// The same of the page with posts.
    news_text: String,
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
        if rows.is_empty() && order.hours_notes.is_empty() {
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
                message: "the site has no `sitemap.xml`, no `robots.txt`, no canonical links and \
                          no card for previews of links, because the order has no `site_url`; \
                          add one and generate again"
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
            place: language.place(order.primary_city.as_deref(), order.state.as_deref()),
            address,
            identifiers: content::identifiers(order, words),
            team: content::team(order, words),
            locations: content::locations(order, language),
            photos: content::photos(order, words),
            imprint_text: fill(words.imprint_text, &[&cut(&order.business_name, 60)]),
            privacy_text: fill(words.privacy_text, &[&cut(&order.business_name, 60)]),
            news_text: news_text(order, words),
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
        // What has no page of its own is on the home page.
        let on_home = if self.has_page(&[Kind::Services]) { MAX_ON_HOME } else { MAX_DESCRIBED };
        let quotes_on_home = QUOTES_ON_HOME[usize::from(!self.has_page(&[Kind::Testimonials]))];
        let band = art::band(&format!("{} {}", order.business_name, page.slug));
        let html = match copy {
            Copy::Home(copy) => views::HomePage {
                f,
                copy,
                art: art::hero(Drawing::of(order), &order.business_name),
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
                cards: self.cards(&copy.services, on_home, art::sign),
                prices: if self.has_page(&[Kind::Services, Kind::Pricing]) {
                    Vec::new()
                } else {
                    self.other_prices(on_home)
                },
                shows_menu: !order.menu.is_empty() && !self.has_page(&[Kind::Services]),
                quotes: self.quotes(quotes_on_home),
                team: if self.has_page(&[Kind::About]) { &[] } else { &self.team },
                closing_heading: or(&copy.closing_heading, w.closing),
                closing_text: or(&copy.closing_text, w.closing_lead),
            }
            .render(),
            Copy::About(copy) => {
                let portrait = art::portrait(Drawing::of(order));
                views::AboutPage { f, copy, art: band, portrait, facts: &self.facts }.render()
            }
            Copy::Services(copy) => views::ServicesPage {
                f,
                copy,
                art: band,
                cards: self.cards(&copy.descriptions, MAX_DESCRIBED, art::sign),
                prices: self.other_prices(MAX_DESCRIBED),
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
                let priced = |name: &str| order.prices.iter().any(|price| same(&price.name, name));
                let offers = offers(order).into_iter().filter(|name| !priced(name)).collect();
                let prices = order.prices.iter().map(|price| self.price(price)).collect();
                views::PricingPage { f, copy, art: band, prices, offers }.render()
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

    /// Renders all files that are not pages of the plan: stylesheet, icons, web app manifest and
    /// `404.html`, and, if the order has a `site_url`, the sitemap, `robots.txt` and the preview of
    /// links.
    ///
    /// # Errors
    /// [`RenderError`]: a bug in this template.
    pub fn other_files(&self) -> Result<Vec<File>, RenderError> {
        let not_found =
            Page { kind: Kind::Custom, label: self.words.lost.to_owned(), slug: String::new() };
        let mut f = self.bare_frame(&not_found);
        f.title = title::of(&self.order.business_name, self.words.lost, self.words.lost);
        f.description = self.words.lost_text;
        let page = views::NotFoundPage {
            f,
            top: self.address.as_deref().map(extras::top_of).unwrap_or_default(),
            art: art::band(&self.order.business_name),
        };
        let icon = views::Favicon {
            background: self.palette.brand.to_string(),
            ink: self.palette.on_brand.to_string(),
            initials: &self.initials,
            size: if self.initials.chars().count() > 1 { 30 } else { 38 },
        };
        let header = Header::of(self.order, self.plan, &self.contact);
        let style = extras::stylesheet(&self.palette, self.order, header);
        let new = |path: &str, bytes: Vec<u8>| File { path: path.to_owned(), bytes };
        let mut files = vec![
            new("assets/site.css", style.into_bytes()),
            file("favicon.svg".to_owned(), icon.render())?,
            file("404.html".to_owned(), page.render())?,
        ];
        let app = app_icon::App {
            name: &self.order.business_name,
            lang: self.language.tag(&self.order.locale),
            right_to_left: self.language.is_right_to_left(),
        };
        let manifest = app_icon::manifest(app, &self.palette)
            .map_err(|source| RenderError::Json { path: app_icon::MANIFEST.to_owned(), source })?;
        files.push(new(app_icon::MANIFEST, manifest.into_bytes()));
        for (path, side) in app_icon::FILES {
            files.push(new(path, app_icon::icon(&self.initials, &self.palette, side)));
        }
        if let Some(page) = &self.plan.imprint {
            let mut f = self.bare_frame(page);
            f.title = title::of(&self.order.business_name, self.words.imprint, self.words.imprint);
            f.description = &self.imprint_text;
            files.push(file(page.path(), views::ImprintPage { f }.render())?);
        }
        if let Some(page) = &self.plan.privacy {
            let mut f = self.bare_frame(page);
            f.title = title::of(&self.order.business_name, self.words.privacy, self.words.privacy);
            f.description = &self.privacy_text;
            let form =
                self.contact.form.as_deref().map(|action| match action.starts_with("mailto:") {
                    true => self.words.privacy_mail.to_owned(),
                    false => fill(self.words.privacy_post, &[contact::host(action)]),
                });
            files.push(file(page.path(), views::PrivacyPage { f, form }.render())?);
        }
        if let Some(page) = &self.plan.news {
            let mut f = self.bare_frame(page);
            f.title = title::of(&self.order.business_name, self.words.news, self.words.news);
            f.description = &self.news_text;
            let posts = content::articles(self.order, self.language);
            files.push(file(page.path(), views::NewsPage { f, posts }.render())?);
        }
        if let Some(address) = &self.address {
            let legal = self.plan.imprint.iter().chain(&self.plan.privacy);
            let pages = self.plan.pages.iter().chain(&self.plan.news).chain(legal);
            let sitemap = extras::sitemap(address, pages);
            files.push(new("sitemap.xml", sitemap.into_bytes()));
            files.push(new("robots.txt", extras::robots(address).into_bytes()));
            files.push(new(extras::CARD, extras::card(&self.palette)));
        }
        Ok(files)
    }

    fn has_page(&self, kinds: &[Kind]) -> bool {
        self.plan.pages.iter().any(|page| kinds.contains(&page.kind))
    }

    /// URL of the picture that shows beside a link to the site: the first photo of the order, or
    /// the card.
    fn preview(&self) -> Option<String> {
        let photo = self.order.photos.iter().find_map(|photo| contact::web_address(&photo.url));
        photo.or_else(|| Some(format!("{}{}", self.address.as_ref()?, extras::CARD)))
    }

    /// The prices of everything but the first `shown` services, whose cards show theirs.
    fn other_prices(&self, shown: usize) -> Vec<PriceLine<'_>> {
        let offers = offers(self.order);
        let shown = offers.get(..shown).unwrap_or(&offers);
        let on_card = |price: &Price| shown.iter().any(|name| same(&price.name, name));
        let others = self.order.prices.iter().filter(|price| price.price.is_some());
        others.filter(|price| !on_card(price)).map(|price| self.price(price)).collect()
    }

    fn price<'b>(&self, price: &'b Price) -> PriceLine<'b> {
        let includes = price.includes.join(self.words.comma);
        let details = [price.duration.as_deref(), price.description.as_deref(), Some(&includes)];
        let details: Vec<&str> =
            details.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        PriceLine {
            name: &price.name, price: price.price.as_deref(), details: details.join(" · ")
        }
    }

    fn services_heading(&self) -> &'static str {
        if self.order.niche == Niche::Restaurant { self.words.menu } else { self.words.services }
    }

    /// What the title of the home page says beside the business's name if its own title does not
    /// fit: "Home" tells a reader of search results nothing.
    fn home_label(&self) -> Option<&str> {
        let name = self.order.business_name.to_lowercase();
        let says_more = |text: &&str| {
            let fits = (1..=title::MAX / 2).contains(&text.chars().count());
            fits && !name.contains(&text.to_lowercase())
        };
        let city = self.order.primary_city.as_deref();
        [Some(self.trade.as_str()), city].into_iter().flatten().map(str::trim).find(says_more)
    }

    fn frame(&self, page: &'a Page, copy: &'a Copy) -> Result<Frame<'_>, RenderError> {
        let name = &self.order.business_name;
        let intro = copy.intro();
        let mut f = self.bare_frame(page);
        // Several pages may have no subject but their name, which tells them apart.
        let subject = if page.kind == Kind::Custom { &page.label } else { &intro.title };
        let label = self.home_label().filter(|_| page.kind == Kind::Home);
        f.title = title::of(name, subject, label.unwrap_or(&page.label));
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
            right_to_left: self.language.is_right_to_left(),
            og_locale: self.language.tag(&self.order.locale).replace('-', "_"),
            image: self.preview(),
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
                .menu()
                .into_iter()
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
            imprint: self.plan.imprint.as_ref().map(|imprint| Item {
                label: &imprint.label,
                href: href(imprint),
                current: imprint == page,
            }),
            privacy: self.plan.privacy.as_ref().map(|privacy| Item {
                label: &privacy.label,
                href: href(privacy),
                current: privacy == page,
            }),
            identifiers: &self.identifiers,
            team: &self.team,
            locations: &self.locations,
            photos: &self.photos,
            has_gallery: self.has_page(&[Kind::Gallery]),
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
            .map(|(at, name)| {
                (at, name, self.order.prices.iter().find(|price| same(&price.name, name)))
            })
            .map(|(at, name, price)| Card {
                name,
                text: texts.get(at).map_or("", String::as_str),
                price: price.and_then(|price| price.price.as_deref()),
                details: price.map(|price| self.price(price).details).unwrap_or_default(),
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
        Stars {
            signs: "★".repeat(full) + &"☆".repeat(5 - full),
            words: fill(self.words.stars, &[&self.language.decimal(rating)]),
        }
    }
}

/// Whether two names of a service are the same for a reader.
fn same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

fn or<'t>(text: &'t str, instead: &'t str) -> &'t str {
    if text.is_empty() { instead } else { text }
}

fn file(path: String, html: Result<String, askama::Error>) -> Result<File, RenderError> {
    match html {
        Ok(text) => Ok(File { path, bytes: text.into_bytes() }),
        Err(source) => Err(RenderError::Html { path, source }),
    }
}
