//! @@name@@: the site of a restaurant, with its menu and its opening hours.

mod head;

use std::collections::HashMap;

use sitewright_sdk::prelude::*;

/// The template: `manifest` describes it and its needs, `generate` makes the site of one order.
pub struct @@type@@;

/// The model's reply. The comments of the fields are sent to the model in the schema.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "sitewright_sdk::schemars")]
struct Copy {
    /// At most eight words, without a full stop.
    #[schemars(length(min = 1, max = 120))]
    headline: String,
    /// Two or three sentences about the restaurant, for its guests.
    #[schemars(length(min = 40, max = 1000))]
    about: String,
}

/// The template's own words in a language: an entry of `assets/words.json`.
#[derive(Debug, Deserialize)]
#[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
struct Words {
    /// The direction in which the language is written: `ltr` or `rtl`.
    dir: String,
    /// Between the parts of a list.
    comma: String,
    menu: String,
    hours: String,
    closed: String,
    book: String,
    days: HashMap<Day, String>,
}

/// The page `templates/index.html`. askama escapes inserted text.
#[derive(askama::Template)]
#[template(askama = sitewright_sdk::askama, path = "index.html")]
struct Page<'a> {
    order: &'a Order,
    copy: &'a Copy,
    description: String,
    own: &'a Words,
    /// Day and times. A day that is not listed has hours that nobody knows.
    hours: Vec<(&'a str, String)>,
}

impl Template for @@type@@ {
    fn manifest() -> Manifest {
        let summary = "The site of a restaurant, with its menu and its opening hours.";
        let manifest = Manifest::new("@@name@@", env!("CARGO_PKG_VERSION"), summary)
            .purpose("copywriting", "the headline and the text below it");
        let locales = ["en", "pt-BR", "es", "fr", "de", "it", "ar", "he", "ja"];
        locales.into_iter().fold(manifest, Manifest::locale)
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        progress("copy", 0, 1);
        if order.menu.is_empty() {
            // The site is made all the same; the operator sees what it lacks.
            report(Diagnostic::warning("no-menu", "the site shows no menu: `menu` is empty"));
        }
        let sections: Vec<&str> =
            order.menu.iter().filter_map(|section| section.section.as_deref()).collect();
        let copy: Copy = ai::ask("copywriting")
            .system(
                "You write for restaurants: plainly, and nothing that is not in the data. Name no \
                 dish, price or time: they stand beside your text.",
            )
            .user(format!(
                "Write the copy of a website, in the language of the locale {}.",
                order.locale
            ))
            .data("name", &order.business_name)
            .data("city", order.primary_city.as_deref().unwrap_or_default())
            .data("about", order.site_description.as_deref().unwrap_or_default())
            .data("services", &order.services.join("\n"))
            .data("sections", &sections.join("\n"))
            .json()
            .await
            .context("while writing the copy")?;

        progress("page", 0, 1);
        let own = words(&order)?;
        let hours = order.business_hours.0.iter().map(|day| hours(day, &own)).collect();
        let description = head::description(&copy.about);
        let page = Page { order: &order, copy: &copy, description, own: &own, hours };
        let html = askama::Template::render(&page)?;
        site.write("index.html", html)?;
        site.write("assets/site.css", include_str!("../assets/site.css"))?;
        head::write_icon(&order, &site)
    }
}

/// A day and its times, in the language of the order.
fn hours<'a>(hours: &DayHours, own: &'a Words) -> (&'a str, String) {
    let name = own.days.get(&hours.day).map(String::as_str).unwrap_or_default();
    let times: Vec<String> = hours
        .ranges
        .iter()
        .map(|range| format!("{} – {}", range.opens(), range.closes()))
        .collect();
    (name, if times.is_empty() { own.closed.clone() } else { times.join(own.comma.as_str()) })
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
