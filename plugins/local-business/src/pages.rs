//! The plan of pages, from the page names that a customer typed.

use std::collections::HashSet;

use sitewright_order::{Niche, Order};

use crate::drawing::Drawing;
use crate::language::{Language, PageNames};

/// Maximum number of pages of a site: each costs one AI call, and the menu has to stay usable.
pub const MAX_PAGES: usize = 16;

/// Subject of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    Home,
    About,
    Services,
    Gallery,
    Testimonials,
    Faq,
    Pricing,
    Contact,
    /// A page of which only the title is known.
    Custom,
}

impl Kind {
    /// Name in the `page:` line of the prompt.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Home => "home",
            Kind::About => "about",
            Kind::Services => "services",
            Kind::Gallery => "gallery",
            Kind::Testimonials => "testimonials",
            Kind::Faq => "faq",
            Kind::Pricing => "pricing",
            Kind::Contact => "contact",
            Kind::Custom => "custom",
        }
    }
}

/// One page of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Subject of the page.
    pub kind: Kind,
    /// Name in menus.
    pub label: String,
    /// Folder of the page: lower-case ASCII letters, digits and `-`; empty for the home page.
    pub slug: String,
}

impl Page {
    /// Path of the page's file in the site.
    pub fn path(&self) -> String {
        if self.slug.is_empty() {
            "index.html".to_owned()
        } else {
            format!("{}/index.html", self.slug)
        }
    }

    /// Relative path from this page to the root of the site: empty or `../`.
    pub fn root(&self) -> &'static str {
        if self.slug.is_empty() { "" } else { "../" }
    }
}

/// A warning about a part of the order that the site does not contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Stable code of the diagnostic.
    pub code: &'static str,
    /// Text for the operator: what is missing, why, and how to get it.
    pub message: String,
}

/// The pages in the order of the menu, home first and contact last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// At least the home page and the contact page; slugs are unique.
    pub pages: Vec<Page>,
    /// The page that says who is responsible for the site, which no model writes. `None` without
    /// its data: an address, and a way to reach the business.
    pub imprint: Option<Page>,
    /// The page about the data that the site processes, which no model writes. `None` if nobody
    /// asked for it, or without the data of who is responsible.
    pub privacy: Option<Page>,
    /// The page with the order's posts, which no model writes. `None` without posts.
    pub news: Option<Page>,
    /// Warnings about requested pages that are left out.
    pub notes: Vec<Note>,
}

impl Plan {
    /// The first page of this kind.
    pub fn page(&self, kind: Kind) -> Option<&Page> {
        self.pages.iter().find(|page| page.kind == kind)
    }

    /// The pages of the menu: home first and contact last.
    pub fn menu(&self) -> Vec<&Page> {
        let mut menu: Vec<&Page> = self.pages.iter().collect();
        if let Some(news) = &self.news {
            menu.insert(menu.len().saturating_sub(1), news);
        }
        menu
    }

    /// Plans the pages of an order.
    pub fn of(order: &Order) -> Plan {
        let language = Language::of(&order.locale);
        let mut notes = Vec::new();
        let mut pages = vec![known(Kind::Home, order.niche, language)];
        let mut slugs: HashSet<String> = HashSet::from([String::new(), "assets".to_owned()]);
        slugs.insert(known(Kind::Contact, order.niche, language).slug);
        let words = language.words();
        slugs.insert(words.slugs.imprint.to_owned());
        slugs.insert(words.slugs.privacy.to_owned());
        if !order.posts.is_empty() {
            slugs.insert(words.slugs.news.to_owned());
        }
        let mut wants_imprint = !order.legal.is_empty();
        let mut wants_privacy = false;
        let trade = Drawing::of(order);
        let requested: Vec<Requested<'_>> =
            if order.selected_pages.iter().all(|name| name.trim().is_empty()) {
                let defaults =
                    [Kind::About, Kind::Services, Kind::Testimonials, Kind::Faq].into_iter();
                defaults
                    .filter(|kind| *kind != Kind::Testimonials || has_reviews(order))
                    .filter(|kind| *kind != Kind::Services || has_offers(order))
                    .map(Requested::Known)
                    .collect()
            } else {
                order
                    .selected_pages
                    .iter()
                    .enumerate()
                    .filter(|(_, name)| !name.trim().is_empty())
                    .map(|(at, name)| parse_name(name, at + 1, trade))
                    .collect()
            };
        for page in requested {
            let page = match page {
                Requested::Known(Kind::Home | Kind::Contact) => continue,
                Requested::Known(Kind::Testimonials) if !has_reviews(order) => {
                    notes.push(Note {
                        code: "page-empty",
                        message: "the page for testimonials was left out: the order has no \
                                  testimonials and no link to reviews; add one and generate again"
                            .to_owned(),
                    });
                    continue;
                }
                Requested::Known(Kind::Services) if !has_offers(order) => {
                    notes.push(Note {
                        code: "page-empty",
                        message: "the page for services was left out: the order has no services, \
                                  no prices and no menu; add some and generate again"
                            .to_owned(),
                    });
                    continue;
                }
                Requested::Known(kind) => known(kind, order.niche, language),
                Requested::Imprint if order.business_address.is_some() => {
                    wants_imprint = true;
                    continue;
                }
                Requested::Privacy if order.business_address.is_some() => {
                    wants_privacy = true;
                    continue;
                }
                page @ (Requested::Imprint | Requested::Privacy) => {
                    let is_imprint = matches!(page, Requested::Imprint);
                    notes.push(Note {
                        code: "page-empty",
                        message: format!(
                            "the page `{}` was left out: the order has no `business_address`, \
                             which it must show; add it and generate again",
                            if is_imprint { words.imprint } else { words.privacy }
                        ),
                    });
                    continue;
                }
                Requested::Custom { label, slug } => Page { kind: Kind::Custom, label, slug },
                Requested::Refused { name, reason } => {
                    notes.push(Note {
                        code: "page-unknown",
                        message: format!(
                            "the page `{name}` of `selected_pages` was left out: {reason}"
                        ),
                    });
                    continue;
                }
            };
            if slugs.contains(&page.slug) {
                continue;
            }
            if pages.len() + 1 == MAX_PAGES {
                let label = &page.label;
                notes.push(Note {
                    code: "page-limit",
                    message: format!(
                        "the page `{label}` was left out: a site has at most {MAX_PAGES} pages"
                    ),
                });
                continue;
            }
            slugs.insert(page.slug.clone());
            pages.push(page);
        }
        pages.push(known(Kind::Contact, order.niche, language));
        let by_form = |label: &str, slug: &str| Page {
            kind: Kind::Custom,
            label: label.to_owned(),
            slug: slug.to_owned(),
        };
        let imprint = (wants_imprint && order.business_address.is_some())
            .then(|| by_form(words.imprint, words.slugs.imprint));
        let privacy = wants_privacy.then(|| by_form(words.privacy, words.slugs.privacy));
        let news = (!order.posts.is_empty()).then(|| by_form(words.news, words.slugs.news));
        Plan { pages, imprint, privacy, news, notes }
    }
}

/// Whether a page for services has something to show.
fn has_offers(order: &Order) -> bool {
    !crate::site::offers(order).is_empty()
        || !order.menu.is_empty()
        || order.prices.iter().any(|price| price.price.is_some())
}

fn has_reviews(order: &Order) -> bool {
    !order.testimonials.is_empty() || order.google_reviews_link.is_some()
}

fn known(kind: Kind, niche: Niche, language: Language) -> Page {
    let words = language.words();
    let slugs = &words.slugs;
    let (label, slug) = match kind {
        Kind::Home | Kind::Custom => (words.home, ""),
        Kind::About => (words.about, slugs.about),
        Kind::Services if niche == Niche::Restaurant => (words.menu, slugs.menu),
        Kind::Services => (words.services, slugs.services),
        Kind::Gallery => (words.gallery, slugs.gallery),
        Kind::Testimonials => (words.testimonials, slugs.testimonials),
        Kind::Faq => (words.faq, slugs.faq),
        Kind::Pricing => (words.pricing, slugs.pricing),
        Kind::Contact => (words.contact, slugs.contact),
    };
    Page { kind, label: label.to_owned(), slug: slug.to_owned() }
}

enum Requested<'a> {
    Known(Kind),
    Imprint,
    Privacy,
    Custom { label: String, slug: String },
    Refused { name: &'a str, reason: &'static str },
}

/// Finds the kind of page that a typed name stands for, in any supported language. Any other name
/// becomes a custom page if it reads like a title. `number` is the place of the name in the order.
fn parse_name(name: &str, number: usize, trade: Drawing) -> Requested<'_> {
    let name = name.trim();
    let folded = fold(name);
    let is = |list: fn(&PageNames) -> &'static [&'static str]| {
        Language::ALL.iter().any(|language| {
            let known = list(&language.words().page_names);
            known.iter().any(|word| has_word(&folded, word, *language))
        })
    };
    if is(|names| names.legal) && !is_baked(&folded, trade) {
        return Requested::Refused {
            name,
            reason: "legal texts are not written by a model; add the text of your lawyer",
        };
    }
    if is(|names| names.privacy) {
        return Requested::Privacy;
    }
    if is(|names| names.imprint) && !is_advice(&folded, trade) {
        return Requested::Imprint;
    }
    let title = name.chars().count() <= 60
        && name.chars().any(char::is_alphabetic)
        && name.chars().all(is_title_character)
        && !name.contains("..");
    if !title {
        return Requested::Refused {
            name,
            reason: "it does not read like a page's title; use letters, digits and spaces, at \
                     most 60 characters",
        };
    }
    let kind = if is(|names| names.home) {
        Kind::Home
    } else if is(|names| names.contact) {
        Kind::Contact
    } else if is(|names| names.faq) {
        Kind::Faq
    } else if is(|names| names.testimonials) {
        Kind::Testimonials
    } else if is(|names| names.pricing) {
        Kind::Pricing
    } else if is(|names| names.gallery) {
        Kind::Gallery
    } else if is(|names| names.services) {
        Kind::Services
    } else if is(|names| names.about) {
        Kind::About
    } else {
        let slug = slug(name);
        // Names in other scripts have no letter that a folder can have.
        let slug = if slug.is_empty() { format!("page-{number}") } else { slug };
        return Requested::Custom { label: name.to_owned(), slug };
    };
    Requested::Known(kind)
}

/// Whether a name is of what a law firm offers: "Legal advice", and not "Legal notice".
fn is_advice(folded: &str, trade: Drawing) -> bool {
    const OF_LAW: [&str; 6] = ["legal", "legales", "legais", "legali", "قانونيه", "משפטי"];
    const NOTICES: [&str; 29] = [
        "imprint",
        "impressum",
        "notice",
        "notices",
        "info",
        "information",
        "informations", // typos:ignore
        "disclosure",
        "disclaimer",
        "mentions",
        "aviso",
        "avisos",
        "nota",
        "note",
        "informacion", // typos:ignore
        "informacao",
        "informacoes",
        "informazioni",
        "dati",
        "datos",
        "dados",
        "بيانات",
        "معلومات",
        "اشعار",
        "تنويه",
        "מידע",
        "הודעה",
        "הודעות",
        "גילוי",
    ];
    let is_several = folded.split(' ').filter(|word| !word.is_empty()).count() > 1;
    trade == Drawing::Lawyer && is_several && has_any(folded, &OF_LAW) && !has_any(folded, &NOTICES)
}

/// Whether a name is of what a bakery sells: "Cookies & cakes", and not "Cookie policy".
fn is_baked(folded: &str, trade: Drawing) -> bool {
    const TEXTS: [&str; 14] = [
        "policy",
        "terms",
        "notice",
        "settings",
        "privacy",
        "politica",
        "politique",
        "termos",
        "terminos",
        "condiciones",
        "termini",
        "richtlinie",
        "richtlinien",
        "hinweise",
    ];
    let bakes = matches!(trade, Drawing::Bakery | Drawing::Restaurant);
    bakes && has_any(folded, &["cookies"]) && !has_any(folded, &TEXTS)
}

/// Whether a folded name has one of the words, perhaps with an Arabic or Hebrew article.
fn has_any(folded: &str, words: &[&str]) -> bool {
    folded.split(' ').any(|typed| {
        let bare = typed.strip_prefix("ال").or_else(|| typed.strip_prefix('ה'));
        words.contains(&typed) || bare.is_some_and(|bare| words.contains(&bare))
    })
}

fn is_title_character(c: char) -> bool {
    // Vowel marks of Arabic and Hebrew are not alphabetic.
    let is_mark =
        matches!(c, '\u{591}'..='\u{5c7}' | '\u{5f3}' | '\u{5f4}' | '\u{64b}'..='\u{65f}');
    c.is_alphanumeric() || is_mark || " &'’-–,.!?()+:、・，。！？（）／ー～،؟".contains(c)
}

/// Lower-case letters without accents and variants; everything else becomes a space.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'أ' | 'إ' | 'آ' => folded.push('ا'),
            'ة' => folded.push('ه'),
            'ى' => folded.push('ي'),
            'ß' => folded.push_str("ss"),
            'œ' => folded.push_str("oe"),
            '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}' => {}
            c if c.is_alphanumeric() || c == 'ー' => folded.push(plain(c).unwrap_or(c)),
            _ => folded.push(' '),
        }
    }
    folded
}

/// Whether the folded name has the word. Japanese has no spaces between words; an Arabic article
/// and a Hebrew prefix are written together with their word.
fn has_word(folded: &str, word: &str, language: Language) -> bool {
    match language {
        Language::Japanese => folded.contains(word),
        Language::Arabic => {
            folded.split(' ').any(|typed| typed.strip_prefix("ال").unwrap_or(typed) == word)
        }
        Language::Hebrew => {
            folded.split(' ').any(|typed| typed == word || typed.strip_prefix('ה') == Some(word))
        }
        _ => folded.split(' ').any(|typed| typed == word),
    }
}

/// The letter without its accent; `None` if it has none.
fn plain(c: char) -> Option<char> {
    Some(match c {
        'á' | 'à' | 'â' | 'ã' | 'ä' | 'å' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' | 'ø' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        'ÿ' => 'y',
        _ => return None,
    })
}

/// Folder name: lower-case ASCII letters, digits and single `-`, at most 48 bytes. Letters of other
/// alphabets and scripts are transliterated. Empty if no character has a letter or a digit.
pub fn slug(text: &str) -> String {
    const MAX: usize = 48;
    let mut slug = String::new();
    for c in text.chars().filter(|c| !matches!(c, '\'' | '’')) {
        // Names of emoji are no part of a title.
        let letters = if c.is_alphanumeric() { deunicode::deunicode_char(c) } else { None };
        for c in letters.unwrap_or("-").chars() {
            match c.to_ascii_lowercase() {
                c if c.is_ascii_alphanumeric() => slug.push(c),
                _ if slug.is_empty() || slug.ends_with('-') => {}
                _ => slug.push('-'),
            }
        }
        if slug.len() >= MAX {
            slug.truncate(MAX);
            break;
        }
    }
    let slug = slug.trim_end_matches('-').to_owned();
    // Windows reserves these device names for folders too.
    let reserved = ["con", "prn", "aux", "nul"].contains(&slug.as_str())
        || (slug.len() == 4
            && (slug.starts_with("com") || slug.starts_with("lpt"))
            && slug.ends_with(|c: char| c.is_ascii_digit()));
    if reserved { format!("{slug}-page") } else { slug }
}
