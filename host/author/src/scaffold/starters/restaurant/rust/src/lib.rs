//! @@name@@: the site of a restaurant, with its menu and its opening hours.

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
    /// The heading above the menu.
    #[schemars(length(min = 1, max = 60))]
    menu_heading: String,
    /// The heading above the opening hours.
    #[schemars(length(min = 1, max = 60))]
    hours_heading: String,
    /// What stands beside a day on which it is closed: one word.
    #[schemars(length(min = 1, max = 60))]
    closed: String,
    /// The link to book a table: a few words.
    #[schemars(length(min = 1, max = 60))]
    book: String,
}

/// The page `templates/index.html`. askama escapes inserted text.
#[derive(askama::Template)]
#[template(askama = sitewright_sdk::askama, path = "index.html")]
struct Page<'a> {
    order: &'a Order,
    copy: &'a Copy,
    /// Day and times. A day that is not listed has hours that nobody knows.
    hours: Vec<(&'static str, String)>,
}

impl Template for @@type@@ {
    fn manifest() -> Manifest {
        let summary = "The site of a restaurant, with its menu and its opening hours.";
        Manifest::new("@@name@@", env!("CARGO_PKG_VERSION"), summary)
            .purpose("copywriting", "the headline, the text below it, and the headings")
            .locale("en")
            .locale("pt-BR")
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
        let hours = order.business_hours.0.iter().map(|day| hours(day, &order, &copy)).collect();
        let html = askama::Template::render(&Page { order: &order, copy: &copy, hours })?;
        site.write("index.html", html)?;
        site.write("assets/site.css", include_str!("../assets/site.css"))?;
        site.write("assets/icon.svg", include_str!("../assets/icon.svg"))?;
        Ok(())
    }
}

/// A day and its times, in the language of the order.
fn hours(hours: &DayHours, order: &Order, copy: &Copy) -> (&'static str, String) {
    let is_portuguese = order.locale.language() == "pt";
    let name = match (hours.day, is_portuguese) {
        (Day::Monday, false) => "Monday",
        (Day::Tuesday, false) => "Tuesday",
        (Day::Wednesday, false) => "Wednesday",
        (Day::Thursday, false) => "Thursday",
        (Day::Friday, false) => "Friday",
        (Day::Saturday, false) => "Saturday",
        (Day::Sunday, false) => "Sunday",
        (Day::Monday, true) => "segunda-feira",
        (Day::Tuesday, true) => "terça-feira",
        (Day::Wednesday, true) => "quarta-feira",
        (Day::Thursday, true) => "quinta-feira",
        (Day::Friday, true) => "sexta-feira",
        (Day::Saturday, true) => "sábado",
        (Day::Sunday, true) => "domingo",
    };
    let times: Vec<String> =
        hours.ranges.iter().map(|range| format!("{} – {}", range.opens(), range.closes())).collect();
    (name, if times.is_empty() { copy.closed.clone() } else { times.join(", ") })
}

sitewright_sdk::export!(@@type@@);
