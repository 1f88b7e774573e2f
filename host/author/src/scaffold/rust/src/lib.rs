//! @@name@@: a site of one page.

mod head;

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
    /// Two or three sentences about the business, for its customers.
    #[schemars(length(min = 40, max = 1000))]
    about: String,
    /// The heading above the list of services: one or two words.
    #[schemars(length(min = 1, max = 60))]
    services_heading: String,
}

/// The page `templates/index.html`. askama escapes inserted text.
#[derive(askama::Template)]
#[template(askama = sitewright_sdk::askama, path = "index.html")]
struct Page<'a> {
    order: &'a Order,
    copy: &'a Copy,
    description: String,
}

impl Template for @@type@@ {
    fn manifest() -> Manifest {
        Manifest::new("@@name@@", env!("CARGO_PKG_VERSION"), "A site of one page.")
            .purpose("copywriting", "the headline and the text below it")
            .locale("en")
            .locale("pt-BR")
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        progress("copy", 0, 1);
        let copy: Copy = ai::ask("copywriting")
            .system("You write for small businesses: plainly, and nothing that is not in the data.")
            .user(format!(
                "Write the copy of a one-page website, in the language of the locale {}.",
                order.locale
            ))
            .data("name", &order.business_name)
            .data("city", order.primary_city.as_deref().unwrap_or_default())
            .data("services", &order.services.join("\n"))
            .json()
            .await
            .context("while writing the copy")?;

        progress("page", 0, 1);
        let description = head::description(&copy.about);
        let page = Page { order: &order, copy: &copy, description };
        let html = askama::Template::render(&page)?;
        site.write("index.html", html)?;
        site.write("assets/site.css", include_str!("../assets/site.css"))?;
        head::write_icon(&order, &site)
    }
}

sitewright_sdk::export!(@@type@@);
