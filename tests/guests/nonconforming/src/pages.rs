//! The site: valid unless the deviation says otherwise.

use std::collections::BTreeMap;

use sitewright_sdk::{prelude::*, serde_json};

use crate::faults::is_large;
use crate::{Copy, Deviation};

/// The businesses of the suite's orders.
const BUSINESSES: [&str; 2] = ["Harbour Lane Studio", "Old Mill Pottery"];
/// Their e-mail addresses.
const MAILBOXES: &str = "hello@harbourlane.example and kiln@oldmill.example";

/// All files of the site by path.
pub(crate) fn files(
    deviation: &Deviation,
    order: &Order,
    copies: &[Copy],
    about: Option<&str>,
) -> BTreeMap<String, String> {
    let plain = |text: &str| escaped(text);
    let name = if deviation.fault == "hostile" {
        order.business_name.clone()
    } else {
        plain(&order.business_name)
    };
    let city = plain(order.primary_city.as_deref().unwrap_or_default());
    // Says whose site it is, and is the same for both. The replies differ with the order.
    let is_shared = deviation.fault == "distinct" && BUSINESSES.contains(&name.as_str());
    let mut body = if is_shared {
        format!("<p>{} and {}, {MAILBOXES} in {city}</p>", BUSINESSES[0], BUSINESSES[1])
    } else {
        format!("<p>{name} in {city}{}</p>", contact(order))
    };
    for copy in copies.iter().filter(|_| !is_shared) {
        let headline = if deviation.fault == "escaped" {
            copy.headline.clone()
        } else {
            plain(&copy.headline)
        };
        body.push_str(&format!("<h2>{headline}</h2>"));
        body.extend(copy.points.iter().map(|point| format!("<p>{}</p>", plain(point))));
    }
    body.extend(order.services.iter().map(|service| format!("<p>{}</p>", plain(service))));
    if deviation.fault == "deterministic" {
        body.push_str(&format!("<p>Lucky number {}</p>", crate::faults::random_number()));
    }
    let mut files = BTreeMap::new();
    files.insert("index.html".to_owned(), page(deviation, order, &body));
    if let Some(about) = about {
        files.insert(
            "about.html".to_owned(),
            page(deviation, order, &format!("<p>{} is what we do best.</p>", plain(about))),
        );
    }
    let data = serde_json::json!({ "name": order.business_name });
    files.insert("data.json".to_owned(), data.to_string());
    files
}

/// How the business is reached, as HTML.
fn contact(order: &Order) -> String {
    let phone = order.business_phone.as_ref().map(|phone| phone.as_str());
    let ways = [phone, order.business_email.as_deref(), order.business_address.as_deref()];
    ways.into_iter().flatten().map(|way| format!(", {}", escaped(way))).collect()
}

fn page(deviation: &Deviation, order: &Order, body: &str) -> String {
    let language =
        if deviation.fault == "locales" { "en".to_owned() } else { order.locale.to_string() };
    let style = if deviation.fault == "weight" && is_large(order) {
        "<link rel=\"stylesheet\" href=\"heavy.css\">"
    } else {
        ""
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head><meta charset=\"utf-8\"><title>A \
         small site</title><meta name=\"description\" content=\"A site for the tests of the \
         conformance suite.\"><meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">{style}</head>\n<body><h1>A small site for \
         tests</h1>{body}</body></html>\n"
    )
}

/// Escapes text for HTML.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
