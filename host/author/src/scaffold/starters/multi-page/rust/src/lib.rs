//! @@name@@: a site of four pages, whose texts are asked for at the same time.

mod head;

use std::collections::HashMap;

use sitewright_sdk::prelude::*;

/// The template: `manifest` describes it and its needs, `generate` makes the site of one order.
pub struct @@type@@;

/// The pages, the entry page first.
const PAGES: [Kind; 4] = [Kind::Home, Kind::Services, Kind::About, Kind::Contact];

/// What a page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Home,
    Services,
    About,
    Contact,
}

impl Kind {
    /// Its name, and what the model is asked to write about.
    fn brief(self) -> (&'static str, &'static str) {
        match self {
            Kind::Home => ("home", "the business, for somebody who does not know it"),
            Kind::Services => ("services", "its services, as an introduction to their list"),
            Kind::About => ("about", "the people of the business"),
            Kind::Contact => ("contact", "how to get in touch with the business"),
        }
    }

    /// Its name in the menu.
    fn label(self, own: &Words) -> &str {
        match self {
            Kind::Home => &own.home,
            Kind::Services => &own.services,
            Kind::About => &own.about,
            Kind::Contact => &own.contact,
        }
    }

    /// Its folder in the site; the entry page is in the root.
    fn folder(self) -> &'static str {
        match self {
            Kind::Home => "",
            Kind::Services => "services/",
            Kind::About => "about/",
            Kind::Contact => "contact/",
        }
    }
}

/// The model's reply about a page. The comments of the fields are sent to the model in the schema.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "sitewright_sdk::schemars")]
struct Copy {
    /// At most eight words, without a full stop.
    #[schemars(length(min = 1, max = 120))]
    heading: String,
    /// Two or three sentences.
    #[schemars(length(min = 40, max = 1000))]
    text: String,
}

/// The template's own words in a language: an entry of `assets/words.json`.
#[derive(Debug, Deserialize)]
#[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
struct Words {
    /// The direction in which the language is written: `ltr` or `rtl`.
    dir: String,
    /// Between the parts of a list.
    comma: String,
    home: String,
    services: String,
    about: String,
    contact: String,
}

/// The page `templates/page.html`. askama escapes inserted text.
#[derive(askama::Template)]
#[template(askama = sitewright_sdk::askama, path = "page.html")]
struct Page<'a> {
    order: &'a Order,
    kind: Kind,
    /// The texts of this page.
    copy: &'a Copy,
    description: String,
    own: &'a Words,
    /// Its name in the menu.
    label: &'a str,
    /// Address and label of each page, and whether it is this one.
    menu: Vec<(String, &'a str, bool)>,
    /// The way to the root: relative addresses work wherever the site is served.
    root: &'a str,
}

impl Template for @@type@@ {
    fn manifest() -> Manifest {
        let summary = "A site of four pages: home, services, about and contact.";
        let manifest = Manifest::new("@@name@@", env!("CARGO_PKG_VERSION"), summary)
            .purpose("copywriting", "the texts of a page");
        let locales = ["en", "pt-BR", "es", "fr", "de", "it", "ar", "he", "ja"];
        locales.into_iter().fold(manifest, Manifest::locale)
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        progress("copy", 0, 4);
        let copy: Vec<Copy> =
            try_join_all(PAGES.iter().map(|page| write_copy(&order, *page))).await?;

        let own = words(&order)?;
        for (done, (&kind, text)) in (0..).zip(PAGES.iter().zip(&copy)) {
            progress("pages", done, 4);
            let root = if kind == Kind::Home { "" } else { "../" };
            let menu = PAGES.iter().map(|page| {
                let href = format!("{root}{}", page.folder());
                let href = if href.is_empty() { "./".to_owned() } else { href };
                (href, page.label(&own), *page == kind)
            });
            let menu = menu.collect();
            let label = kind.label(&own);
            let page = Page {
                order: &order,
                kind,
                copy: text,
                description: head::description(&text.text),
                own: &own,
                label,
                menu,
                root,
            };
            let html = askama::Template::render(&page)?;
            site.write(format!("{}index.html", kind.folder()), html)?;
        }
        site.write("assets/site.css", include_str!("../assets/site.css"))?;
        head::write_icon(&order, &site)
    }
}

/// Asks for the texts of a page.
async fn write_copy(order: &Order, page: Kind) -> Result<Copy> {
    let (name, about) = page.brief();
    ai::ask("copywriting")
        .system("You write for small businesses: plainly, and nothing that is not in the data.")
        .user(format!(
            "page: {name}\nWrite about {about}, in the language of the locale {}.",
            order.locale
        ))
        .data("name", &order.business_name)
        .data("city", order.primary_city.as_deref().unwrap_or_default())
        .data("services", &order.services.join("\n"))
        .data("owner", order.about_owner.as_deref().unwrap_or_default())
        .json()
        .await
        .context(format!("while writing the page {name}"))
}

/// The template's own words in the language of the order.
fn words(order: &Order) -> Result<Words> {
    let file = include_str!("../assets/words.json");
    let mut all: HashMap<String, Words> =
        serde_json::from_str(file).context("while reading assets/words.json")?;
    let found = all.remove(order.locale.language()).or_else(|| all.remove("en"));
    found.context("assets/words.json has no words in English")
}

sitewright_sdk::export!(@@type@@);
