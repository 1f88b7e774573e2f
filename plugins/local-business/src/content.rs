//! What the order says of the business beside the copy: where visitors act, the places, the people,
//! the photos, and the identifiers that the law wants to be shown.

use sitewright_order::{Legal, Order, Person, Photo, Place, Post};

use crate::contact::{self, Action, Link, Target};
use crate::hours::{self, Row};
use crate::language::{Language, Words, fill};

/// An identifier with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier<'a> {
    /// `USt-IdNr.`, `SIRET`.
    pub label: &'static str,
    /// As typed.
    pub value: &'a str,
}

/// A person of the team.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Member<'a> {
    pub name: &'a str,
    pub role: Option<&'a str>,
    pub bio: Option<&'a str>,
    /// The photo is on another site, which pages link to and load nothing from.
    pub photo: Option<Link>,
}

/// A place of a business that has several.
#[derive(Debug, Clone)]
pub struct Location<'a> {
    /// Its name, or else its city or its address.
    pub name: Option<&'a str>,
    /// Lines of the address, with the city if no line has it.
    pub address: Vec<&'a str>,
    /// `tel:` URL, and the number for display.
    pub phone: Option<Link>,
    /// `mailto:` URL, and the address for display.
    pub email: Option<Link>,
    /// Opening hours of the place.
    pub hours: Vec<Row>,
    /// What else is said of its hours: the days as typed, and the text.
    pub notes: Vec<(Option<&'a str>, &'a str)>,
}

/// A post of the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article<'a> {
    /// Unique among the posts.
    pub slug: &'a str,
    /// Never blank.
    pub title: &'a str,
    /// The day of its publication: `2026-03-09`.
    pub day: Option<&'a str>,
    /// The same as the language writes it; empty if the day is not known.
    pub date: String,
    /// Without empty ones.
    pub paragraphs: Vec<&'a str>,
    /// The picture is on another site, which pages link to and load nothing from.
    pub image: Option<Link>,
}

/// The posts, in the sequence of the order.
pub fn articles(order: &Order, language: Language) -> Vec<Article<'_>> {
    let words = language.words();
    let posts = (1..).zip(&order.posts).map(|(number, post)| {
        let Post { title, slug, date, summary: _, text, image_url, image_alt } = post;
        let shown = date.as_deref().and_then(|day| language.date(&order.locale, day));
        let picture = image_url.as_deref().and_then(contact::web_address);
        Article {
            slug,
            title,
            day: date.as_deref().filter(|_| shown.is_some()),
            date: shown.unwrap_or_default(),
            paragraphs: text.lines().map(str::trim).filter(|line| !line.is_empty()).collect(),
            image: picture.map(|href| Link { href, label: photo_name(image_alt, number, words) }),
        }
    });
    posts.collect()
}

/// What a photo shows, or its number.
fn photo_name(alt: &Option<String>, number: usize, words: &Words) -> String {
    alt.clone().unwrap_or_else(|| fill(words.photo, &[&number.to_string()]))
}

/// The addresses at which visitors act, but those of the buttons `shown`.
pub fn links(order: &Order, words: &Words, shown: [Option<&Action>; 2]) -> Vec<Link> {
    let is_shown = |href: &str| {
        let targets = shown.iter().flatten().map(|action| &action.target);
        targets.into_iter().any(|target| *target == Target::Outside(href.to_owned()))
    };
    [
        (&order.booking_url, words.book),
        (&order.order_url, words.order_online),
        (&order.menu_url, words.see_menu),
        (&order.gift_card_url, words.gift_cards),
        (&order.donation_url, words.donate),
    ]
    .into_iter()
    .filter_map(|(url, label)| {
        let href = contact::web_address(url.as_deref()?)?;
        (!is_shown(&href)).then(|| Link { href, label: label.to_owned() })
    })
    .collect()
}

/// The identifiers in the order in which they are shown.
pub fn identifiers<'a>(order: &'a Order, words: &'static Words) -> Vec<Identifier<'a>> {
    let Legal {
        legal_name,
        representative,
        vat_id,
        tax_id,
        siret,
        siren,
        ein,
        company_number,
        license_number,
    } = &order.legal;
    // Proper names of numbers are the same in all languages.
    let tax_number = match order.country.as_deref() {
        Some("BR") => "CNPJ",
        Some("PT" | "ES") => "NIF",
        Some("AU") => "ABN",
        _ => words.tax_number,
    };
    [
        (words.responsible, legal_name),
        (words.representative, representative),
        (words.vat, vat_id),
        (tax_number, tax_id),
        ("SIRET", siret),
        ("SIREN", siren),
        ("EIN", ein),
        (words.company_number, company_number),
        (words.license, license_number),
    ]
    .into_iter()
    .filter_map(|(label, value)| Some(Identifier { label, value: value.as_deref()? }))
    .collect()
}

/// The people of the business.
pub fn team<'a>(order: &'a Order, words: &Words) -> Vec<Member<'a>> {
    let member = |person: &'a Person| {
        let Person { name, role, bio, photo_url } = person;
        let photo = photo_url.as_deref().and_then(contact::web_address);
        let label = fill(words.photo, &[name]);
        Member {
            name,
            role: role.as_deref(),
            bio: bio.as_deref(),
            photo: photo.map(|href| Link { href, label }),
        }
    };
    order.team.iter().map(member).collect()
}

/// The photos, each named by what it shows or by its number.
pub fn photos(order: &Order, words: &Words) -> Vec<Link> {
    let photos = (1..).zip(&order.photos).filter_map(|(number, Photo { url, alt })| {
        Some(Link { href: contact::web_address(url)?, label: photo_name(alt, number, words) })
    });
    photos.collect()
}

/// The places of the business.
pub fn locations(order: &Order, language: Language) -> Vec<Location<'_>> {
    order.locations.iter().map(|place| location(place, language)).collect()
}

fn location(place: &Place, language: Language) -> Location<'_> {
    let Place { name, address, city, phone, email, hours, hours_notes } = place;
    let mut lines: Vec<&str> = address.iter().flat_map(|address| address.lines()).collect();
    lines.retain(|line| !line.trim().is_empty());
    if let Some(city) = city.as_deref().filter(|city| !lines.iter().any(|line| line.contains(city)))
    {
        lines.push(city);
    }
    let notes = hours_notes.iter().map(|note| (note.label.as_deref(), note.text.as_str()));
    Location {
        name: name.as_deref().or(city.as_deref()).or_else(|| lines.first().copied()),
        address: lines,
        phone: phone.as_ref().map(|phone| Link {
            href: format!("tel:{}", phone.dial()),
            label: contact::readable_phone(phone.as_str()),
        }),
        email: email
            .as_ref()
            .map(|email| Link { href: contact::mailto(email), label: email.clone() }),
        hours: hours::rows(hours, language),
        notes: notes.collect(),
    }
}
