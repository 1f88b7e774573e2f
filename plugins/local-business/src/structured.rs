//! Structured data for search engines (JSON-LD with the vocabulary of schema.org).

use serde_json::{Map, Value, json};
use sitewright_order::{Day, Niche, Order, Range};

use crate::contact::Contact;
use crate::copy::Question;

/// The business. `site` is the public URL of the site.
pub fn business(order: &Order, contact: &Contact, site: Option<&str>, description: &str) -> Value {
    let mut it = Map::new();
    it.insert("@context".to_owned(), json!("https://schema.org"));
    it.insert("@type".to_owned(), json!(kind(order.niche)));
    it.insert("name".to_owned(), json!(order.business_name));
    it.insert("description".to_owned(), json!(description));
    if let Some(phone) = order.business_phone.as_ref().or(order.whatsapp_phone.as_ref()) {
        it.insert("telephone".to_owned(), json!(phone.dial()));
    }
    if let Some(email) = &order.business_email {
        it.insert("email".to_owned(), json!(email));
    }
    if let Some(site) = site {
        it.insert("url".to_owned(), json!(site));
    }
    let lines = order.business_address.iter().flat_map(|address| address.lines());
    let lines: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    let street = (!lines.is_empty()).then(|| lines.join(", "));
    let parts = [
        ("addressLocality", order.primary_city.as_ref()),
        ("addressRegion", order.state.as_ref()),
        ("postalCode", order.postal_code.as_ref()),
        ("addressCountry", order.country.as_ref()),
        ("streetAddress", street.as_ref()),
    ];
    if parts.iter().any(|(_, part)| part.is_some()) {
        let mut address = Map::new();
        address.insert("@type".to_owned(), json!("PostalAddress"));
        for (name, part) in parts {
            if let Some(part) = part {
                address.insert(name.to_owned(), json!(part));
            }
        }
        it.insert("address".to_owned(), Value::Object(address));
    }
    let identifiers = [
        ("legalName", &order.legal.legal_name),
        ("vatID", &order.legal.vat_id),
        ("taxID", &order.legal.tax_id),
        ("logo", &order.logo_url),
    ];
    for (name, value) in identifiers {
        if let Some(value) = value {
            it.insert(name.to_owned(), json!(value));
        }
    }
    if !order.photos.is_empty() {
        let photos = order.photos.iter().take(50).map(|photo| json!(photo.url));
        it.insert("image".to_owned(), photos.collect());
    }
    if !order.service_areas.is_empty() {
        it.insert("areaServed".to_owned(), json!(order.service_areas));
    }
    let hours = opening_hours(order);
    if !hours.is_empty() {
        it.insert("openingHoursSpecification".to_owned(), Value::Array(hours));
    }
    if !contact.social.is_empty() {
        it.insert(
            "sameAs".to_owned(),
            contact.social.iter().map(|link| json!(link.href)).collect(),
        );
    }
    if let Some(map) = &contact.map {
        it.insert("hasMap".to_owned(), json!(map));
    }
    let offers = crate::site::offers(order).into_iter().take(50);
    it.insert(
        "makesOffer".to_owned(),
        offers
            .map(
                |name| json!({"@type": "Offer", "itemOffered": {"@type": "Service", "name": name}}),
            )
            .collect(),
    );
    Value::Object(it)
}

/// The page of questions and answers.
pub fn questions(questions: &[Question]) -> Value {
    let entities: Vec<Value> = questions
        .iter()
        .map(|q| {
            json!({
                "@type": "Question",
                "name": q.question,
                "acceptedAnswer": {"@type": "Answer", "text": q.answer},
            })
        })
        .collect();
    json!({"@context": "https://schema.org", "@type": "FAQPage", "mainEntity": entities})
}

/// The most specific schema.org type for the trade; there is none for landscaping and cleaning.
fn kind(niche: Niche) -> &'static str {
    match niche {
        Niche::Restaurant => "Restaurant",
        Niche::Lawyer => "Attorney",
        Niche::Dentist => "Dentist",
        Niche::RealEstate => "RealEstateAgent",
        Niche::Plumber => "Plumber",
        Niche::Electrician => "Electrician",
        Niche::Landscaping | Niche::Cleaning => "HomeAndConstructionBusiness",
        Niche::General | Niche::Other => "LocalBusiness",
    }
}

fn opening_hours(order: &Order) -> Vec<Value> {
    let known = order.business_hours.0.iter();
    known
        .flat_map(|hours| {
            let closed = [("00:00".to_owned(), "00:00".to_owned())];
            let ranges: Vec<(String, String)> = match hours.ranges.as_slice() {
                // Search engines read an empty range at midnight as "closed on this day".
                [] => closed.to_vec(),
                ranges => ranges.iter().map(|range| (range.opens(), closes(range))).collect(),
            };
            ranges.into_iter().map(|(opens, closes)| {
                json!({
                    "@type": "OpeningHoursSpecification",
                    "dayOfWeek": day(hours.day),
                    "opens": opens,
                    "closes": closes,
                })
            })
        })
        .collect()
}

fn closes(range: &Range) -> String {
    if range.close == 1440 { "23:59".to_owned() } else { range.closes() }
}

fn day(day: Day) -> &'static str {
    match day {
        Day::Monday => "Monday",
        Day::Tuesday => "Tuesday",
        Day::Wednesday => "Wednesday",
        Day::Thursday => "Thursday",
        Day::Friday => "Friday",
        Day::Saturday => "Saturday",
        Day::Sunday => "Sunday",
    }
}
