//! @@name@@: a portfolio, with the work of the business and what its clients say.

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
    /// Two or three sentences about the work, for those who may order it.
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
    work: String,
    /// A photo without a text; its number is put into `{}`.
    photo: String,
    services: String,
    testimonials: String,
}

/// The page `templates/index.html`. askama escapes inserted text.
#[derive(askama::Template)]
#[template(askama = sitewright_sdk::askama, path = "index.html")]
struct Page<'a> {
    order: &'a Order,
    copy: &'a Copy,
    description: String,
    own: &'a Words,
    /// Address and text of the links to the photos: the page loads nothing from other sites.
    work: Vec<(&'a str, String)>,
    /// What clients say, as the customer wrote it, and who says it.
    said: Vec<(&'a str, String)>,
}

impl Template for @@type@@ {
    fn manifest() -> Manifest {
        let manifest = Manifest::new("@@name@@", env!("CARGO_PKG_VERSION"), "@@summary@@")
            .purpose("copywriting", "the headline and the text below it");
        let locales = ["en", "pt-BR", "es", "fr", "de", "it", "ar", "he", "ja"];
        locales.into_iter().fold(manifest, Manifest::locale)
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        progress("copy", 0, 1);
        if order.photos.is_empty() {
            // The site is made all the same; the operator sees what it lacks.
            report(Diagnostic::warning("no-work", "the site shows no work: `photos` is empty"));
        }
        let photos: Vec<&str> =
            order.photos.iter().filter_map(|photo| photo.alt.as_deref()).collect();
        let copy: Copy = ai::ask("copywriting")
            .system(
                "You write for people who show their work: plainly, and nothing that is not in \
                 the data.",
            )
            .user(format!(
                "Write the copy of a portfolio, in the language of the locale {}.",
                order.locale
            ))
            .data("name", &order.business_name)
            .data("city", order.primary_city.as_deref().unwrap_or_default())
            .data("about", order.site_description.as_deref().unwrap_or_default())
            .data("owner", order.about_owner.as_deref().unwrap_or_default())
            .data("services", &order.services.join("\n"))
            .data("photos", &photos.join("\n"))
            .json()
            .await
            .context("while writing the copy")?;

        progress("page", 0, 1);
        let own = words(&order)?;
        let (work, said) = (work(&order, &own), said(&order, &own));
        let description = head::description(&copy.about);
        let page = Page { order: &order, copy: &copy, description, own: &own, work, said };
        site.write("index.html", askama::Template::render(&page)?)?;
        site.write("assets/site.css", include_str!("../assets/site.css"))?;
        head::write_icon(&order, &site)
    }
}

/// A photo without a text has a number.
fn work<'a>(order: &'a Order, own: &Words) -> Vec<(&'a str, String)> {
    let photos = (1..).zip(&order.photos);
    let numbered = |number: usize| own.photo.replace("{}", &number.to_string());
    let link = photos.map(|(number, photo)| {
        (photo.url.as_str(), photo.alt.clone().unwrap_or_else(|| numbered(number)))
    });
    link.collect()
}

fn said<'a>(order: &'a Order, own: &Words) -> Vec<(&'a str, String)> {
    let said = order.testimonials.iter().map(|said| {
        let who: Vec<&str> =
            [said.name.as_deref(), said.role.as_deref()].into_iter().flatten().collect();
        (said.text.as_str(), who.join(own.comma.as_str()))
    });
    said.collect()
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
