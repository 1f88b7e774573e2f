//! A template for small models: one AI call with a small schema, one page.
#![cfg(target_family = "wasm")]

use sitewright_sdk::prelude::*;

struct OnePage;

/// Reply of the model. Short, so that a small model finishes it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Copy {
    /// The page's headline.
    #[schemars(length(min = 1, max = 40))]
    headline: String,
    /// One sentence about the business.
    #[schemars(length(min = 1, max = 90))]
    lead: String,
}

impl Template for OnePage {
    fn manifest() -> Manifest {
        Manifest::new("one-page", env!("CARGO_PKG_VERSION"), "One call and one page.")
            .purpose("copywriting", "a headline and a sentence")
            .locale("en")
            .locale("pt-BR")
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        let copy: Copy = ai::ask("copywriting")
            .system("You write short copy for small businesses.")
            .user("Write a headline and one sentence for this business.")
            .data("name", &order.business_name)
            .data("service", order.primary_service.as_deref().unwrap_or_default())
            .temperature(0.2)
            .seed(7)
            .json()
            .await
            .context("while writing the page")?;
        let (name, headline, lead) =
            (escaped(&order.business_name), escaped(&copy.headline), escaped(&copy.lead));
        let locale = escaped(&order.locale.to_string());
        let phone = order.business_phone.as_ref().map(|phone| phone.as_str());
        let ways = [order.business_email.as_deref(), phone, order.business_address.as_deref()];
        let way = escaped(ways.into_iter().flatten().next().unwrap_or_default());
        let page = format!(
            "<!doctype html>\n<html lang=\"{locale}\">\n<head><meta \
             charset=\"utf-8\"><title>{name}</title><meta name=\"description\" \
             content=\"{lead}\"><meta name=\"viewport\" \
             content=\"width=device-width\"></head>\n<body><h1>{headline}</h1><p>{lead}</p>\
             <address>{name}, {way}</address></body>\n</html>\n"
        );
        site.write("index.html", page)?;
        Ok(())
    }
}

/// Escapes text of the order or the model for HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // The host's checks reject pages with placeholders and control characters.
            '{' | '}' => {}
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

sitewright_sdk::export!(OnePage);
