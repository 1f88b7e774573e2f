//! Which pages the site has, from names that people typed.

use std::collections::HashSet;

use sitewright_order::{Niche, Order};

use crate::language::Language;

/// The most pages a site gets: each is one AI call, and a menu must stay one.
pub const MOST_PAGES: usize = 16;

/// What a page is about.
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
    /// A page we know only the name of.
    Custom,
}

impl Kind {
    /// As in the line `page: …` of its prompt.
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
    /// What it is about.
    pub kind: Kind,
    /// Its name in menus.
    pub label: String,
    /// Its folder: lower-case ASCII letters, digits and `-`; empty for the home page.
    pub slug: String,
}

impl Page {
    /// Path of its file in the site.
    pub fn path(&self) -> String {
        if self.slug.is_empty() {
            "index.html".to_owned()
        } else {
            format!("{}/index.html", self.slug)
        }
    }

    /// From this page to the root of the site: empty or `../`.
    pub fn root(&self) -> &'static str {
        if self.slug.is_empty() { "" } else { "../" }
    }
}

/// A wish that was not fulfilled, for the order's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Short and stable.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// The pages in the order of the menu, home first and contact last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Never empty; slugs are unique.
    pub pages: Vec<Page>,
    /// What was left out, and why.
    pub notes: Vec<Note>,
}

impl Plan {
    /// The page of that kind.
    pub fn page(&self, kind: Kind) -> Option<&Page> {
        self.pages.iter().find(|page| page.kind == kind)
    }

    /// Makes the plan of an order.
    pub fn of(order: &Order) -> Plan {
        let language = Language::of(&order.locale);
        let mut notes = Vec::new();
        let mut pages = vec![known(Kind::Home, order.niche, language)];
        let mut slugs: HashSet<String> = HashSet::from([String::new(), "assets".to_owned()]);
        slugs.insert(known(Kind::Contact, order.niche, language).slug);
        let wishes: Vec<Wish<'_>> =
            if order.selected_pages.iter().all(|name| name.trim().is_empty()) {
                let usual =
                    [Kind::About, Kind::Services, Kind::Testimonials, Kind::Faq].into_iter();
                usual
                    .filter(|kind| *kind != Kind::Testimonials || has_praise(order))
                    .map(Wish::Known)
                    .collect()
            } else {
                order
                    .selected_pages
                    .iter()
                    .filter(|name| !name.trim().is_empty())
                    .map(|name| wish(name))
                    .collect()
            };
        for wish in wishes {
            let page = match wish {
                Wish::Known(Kind::Home | Kind::Contact) => continue,
                Wish::Known(Kind::Testimonials) if !has_praise(order) => {
                    notes.push(Note {
                        code: "page-empty",
                        message: "the page for testimonials was left out: the order has no \
                                  testimonials and no link to reviews; add one and generate again"
                            .to_owned(),
                    });
                    continue;
                }
                Wish::Known(kind) => known(kind, order.niche, language),
                Wish::Custom { label, slug } => Page { kind: Kind::Custom, label, slug },
                Wish::Refused { name, reason } => {
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
            if pages.len() + 1 == MOST_PAGES {
                let label = &page.label;
                notes.push(Note {
                    code: "page-limit",
                    message: format!(
                        "the page `{label}` was left out: a site has at most {MOST_PAGES} pages"
                    ),
                });
                continue;
            }
            slugs.insert(page.slug.clone());
            pages.push(page);
        }
        pages.push(known(Kind::Contact, order.niche, language));
        Plan { pages, notes }
    }
}

fn has_praise(order: &Order) -> bool {
    !order.testimonials.is_empty() || order.google_reviews_link.is_some()
}

fn known(kind: Kind, niche: Niche, language: Language) -> Page {
    let words = language.words();
    let portuguese = language == Language::Portuguese;
    let (label, slug) = match kind {
        Kind::Home | Kind::Custom => (words.home, ""),
        Kind::About => (words.about, if portuguese { "sobre" } else { "about" }),
        Kind::Services if niche == Niche::Restaurant => {
            (words.menu, if portuguese { "cardapio" } else { "menu" })
        }
        Kind::Services => (words.services, if portuguese { "servicos" } else { "services" }),
        Kind::Gallery => (words.gallery, if portuguese { "galeria" } else { "gallery" }),
        Kind::Testimonials => {
            (words.testimonials, if portuguese { "depoimentos" } else { "testimonials" })
        }
        Kind::Faq => (words.faq, if portuguese { "perguntas-frequentes" } else { "faq" }),
        Kind::Pricing => (words.pricing, if portuguese { "orcamento" } else { "pricing" }),
        Kind::Contact => (words.contact, if portuguese { "contato" } else { "contact" }),
    };
    Page { kind, label: label.to_owned(), slug: slug.to_owned() }
}

enum Wish<'a> {
    Known(Kind),
    Custom { label: String, slug: String },
    Refused { name: &'a str, reason: &'static str },
}

/// What a typed name means. A name that is none of the usual ones becomes a page of its own if it
/// reads like a title.
fn wish(name: &str) -> Wish<'_> {
    let name = name.trim();
    let slug = slug(name);
    let words: Vec<&str> = slug.split('-').collect();
    let any = |list: &[&str]| words.iter().any(|word| list.contains(word));
    if any(&["privacy", "privacidade", "terms", "termos", "cookies", "legal", "lgpd", "gdpr"]) {
        return Wish::Refused {
            name,
            reason: "legal texts are not written by a model; add the text of your lawyer",
        };
    }
    let title = name.chars().count() <= 60
        && name.chars().any(char::is_alphabetic)
        && name.chars().all(|c| c.is_alphanumeric() || " &'’-–,.!?()+:".contains(c))
        && !name.contains("..");
    if !title || slug.is_empty() {
        return Wish::Refused {
            name,
            reason: "it does not read like a page's title; use letters, digits and spaces, at \
                     most 60 characters",
        };
    }
    let kind = if any(&["home", "inicio", "homepage", "principal", "index"]) {
        Some(Kind::Home)
    } else if any(&[
        "contact",
        "contacts",
        "contato",
        "contatos",
        "contacto",
        "fale",
        "localizacao",
        "location",
    ]) {
        Some(Kind::Contact)
    } else if any(&["faq", "faqs", "perguntas", "questions", "duvidas"]) {
        Some(Kind::Faq)
    } else if any(&["testimonials", "testimonial", "depoimentos", "reviews", "avaliacoes"]) {
        Some(Kind::Testimonials)
    } else if any(&[
        "pricing",
        "prices",
        "price",
        "precos",
        "preco",
        "orcamento",
        "orcamentos",
        "quote",
        "valores",
    ]) {
        Some(Kind::Pricing)
    } else if any(&["gallery", "galeria", "portfolio", "fotos", "photos"]) {
        Some(Kind::Gallery)
    } else if any(&[
        "services",
        "service",
        "servicos",
        "servico",
        "cardapio",
        "menu",
        "especialidades",
        "areas",
    ]) {
        Some(Kind::Services)
    } else if any(&["about", "sobre", "historia", "story", "quem"]) {
        Some(Kind::About)
    } else {
        None
    };
    match kind {
        Some(kind) => Wish::Known(kind),
        None => Wish::Custom { label: name.to_owned(), slug },
    }
}

/// A folder name: lower-case ASCII letters, digits and single `-`, at most 48 bytes. Empty when
/// nothing of the text can stand in one.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        let plain = match c {
            'á' | 'à' | 'â' | 'ã' | 'ä' | 'å' => 'a',
            'é' | 'è' | 'ê' | 'ë' => 'e',
            'í' | 'ì' | 'î' | 'ï' => 'i',
            'ó' | 'ò' | 'ô' | 'õ' | 'ö' | 'ø' => 'o',
            'ú' | 'ù' | 'û' | 'ü' => 'u',
            'ç' => 'c',
            'ñ' => 'n',
            '\'' | '’' => continue,
            c if c.is_ascii_alphanumeric() => c,
            _ => '-',
        };
        if slug.len() >= 48 {
            break;
        }
        if plain != '-' || (!slug.is_empty() && !slug.ends_with('-')) {
            slug.push(plain);
        }
    }
    let slug = slug.trim_end_matches('-').to_owned();
    // Names that Windows keeps for devices, even as folders.
    let reserved = ["con", "prn", "aux", "nul"].contains(&slug.as_str())
        || (slug.len() == 4
            && (slug.starts_with("com") || slug.starts_with("lpt"))
            && slug.ends_with(|c: char| c.is_ascii_digit()));
    if reserved { format!("{slug}-page") } else { slug }
}
