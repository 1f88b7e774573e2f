//! Parsing of prices, menus, places, people, photos and legal identifiers.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::fields::{Fields, is_empty, list_inside};
use super::{MAX_ENTRIES, MAX_NAME, MAX_TEXT, hours};
use crate::{Legal, MenuItem, MenuSection, Person, Photo, Place, Price, child, excerpt};

/// Names of a field for the name of an entry.
const NAME: [&str; 10] =
    ["name", "title", "service", "item", "plan", "label", "product", "nome", "nombre", "nom"];
/// Names of a field for a price.
const AMOUNT: [&str; 15] = [
    "price",
    // What `Prix` and other names mean.
    "prices",
    "price_range",
    "sale_price",
    "regular_price",
    "amount",
    "cost",
    "value",
    "fee",
    "rate",
    "preco",
    "precio",
    "prix",
    "preis",
    "prezzo",
];
/// Names of a field for a currency.
const CURRENCY: [&str; 4] = ["currency", "currency_code", "moeda", "moneda"];
const DESCRIPTION: [&str; 9] = [
    "description",
    "site_description",
    "details",
    "text",
    "note",
    "notes",
    "beschreibung",
    "descripcion", // typos:ignore
    "descricao",
];

/// The lists of prices that forms send, and the group that each becomes.
const PRICE_LISTS: [(&str, &str); 10] = [
    ("service_prices", "services"),
    ("plans", "plans"),
    ("memberships", "plans"),
    ("packages", "packages"),
    ("fees", "fees"),
    ("prices", "prices"),
    ("price_list", "prices"),
    ("pricing", "prices"),
    ("rates", "prices"),
    ("treatments", "services"),
];

/// The entries of a list of objects. `{"Cut": "$45"}` is a list, too: of names and what is said of
/// them.
pub(super) enum Entry<'a> {
    Object(String, &'a Map<String, Value>),
    Text(String),
    Pair(String, &'a str, &'a Value),
}

pub(super) fn entries<'a>(f: &mut Fields<'a>, at: &str, value: &'a Value) -> Vec<Entry<'a>> {
    let is_map = |fields: &Map<String, Value>| {
        !fields.keys().all(|name| name.bytes().all(|b| b.is_ascii_digit()))
    };
    // `{"items": […], "total": 3}`
    if let Value::Object(fields) = value
        && let Some((name, list)) = list_inside(fields)
    {
        others_dropped(f, at, fields, &[name]);
        return entries(f, &child(at, name), list);
    }
    match value {
        Value::Object(fields) if is_map(fields) => {
            if fields.len() > MAX_ENTRIES {
                let message =
                    format!("has {} entries; only the first {MAX_ENTRIES} are read", fields.len());
                f.dropped(at, message);
            }
            for (name, _) in fields.iter().take(MAX_ENTRIES).filter(|(_, value)| is_empty(value)) {
                f.dropped(&child(at, name), "has no value; left out");
            }
            let pairs = fields.iter().take(MAX_ENTRIES).filter(|(_, value)| !is_empty(value));
            pairs.map(|(name, value)| Entry::Pair(child(at, name), name, value)).collect()
        }
        value => {
            let list = f.as_list(at, value).unwrap_or_default();
            let mut entries = Vec::with_capacity(list.len());
            for (index, entry) in list.into_iter().enumerate() {
                let at = child(at, index);
                match entry {
                    entry if is_empty(&entry) => {}
                    Cow::Borrowed(Value::Object(fields)) => entries.push(Entry::Object(at, fields)),
                    entry => {
                        entries.extend(f.as_text(&at, &entry, MAX_TEXT).map(Entry::Text));
                    }
                }
            }
            entries
        }
    }
}

/// Names what of an object is not read.
fn others_dropped(f: &mut Fields<'_>, at: &str, fields: &Map<String, Value>, read: &[&str]) {
    let is_other = |name: &str, value: &Value| !read.contains(&name) && !is_empty(value);
    for (name, value) in fields.iter().filter(|(name, value)| is_other(name, value)) {
        f.drop_unread(at, name, value);
    }
}

/// All lists of prices.
pub(super) fn prices(f: &mut Fields<'_>) -> Vec<Price> {
    let mut prices = Vec::new();
    for (name, group) in PRICE_LISTS {
        let (at, Some(value)) = f.first(&[name]) else { continue };
        prices.extend(prices_of(f, &at, value, group));
    }
    prices
}

/// The prices of one list or object.
pub(super) fn prices_of<'a>(
    f: &mut Fields<'a>,
    at: &str,
    value: &'a Value,
    group: &str,
) -> Vec<Price> {
    let entries = entries(f, at, value);
    entries.into_iter().filter_map(|entry| price(f, entry, group)).collect()
}

fn price<'a>(f: &mut Fields<'a>, entry: Entry<'a>, group: &str) -> Option<Price> {
    let group = Some(group.to_owned());
    match entry {
        Entry::Object(at, fields) => f.below(&at, fields, |f| {
            let name = f.text(&NAME, MAX_NAME);
            let price = amount(f, &at);
            let per = f.text(&["period", "interval", "per", "unit"], 60);
            let duration = f.text(&["duration", "time", "length"], MAX_NAME);
            // Packages of photographers and craftsmen: `{"hours": 3}`.
            let duration = duration.or_else(|| {
                let hours = f.text(&["hours"], 60)?;
                let bare = hours.bytes().all(|b| b.is_ascii_digit() || b == b'.');
                Some(if bare { format!("{hours} h") } else { hours })
            });
            let description = f.text(&DESCRIPTION, MAX_TEXT);
            let includes = f.texts(&["includes", "features", "included", "items"], MAX_NAME);
            // Its own group wins: the normalized form has it.
            let own = f.text(&["group", "category", "section"], MAX_NAME);
            let Some(name) = name else {
                f.dropped(&at, "has no `name`; left out");
                return None;
            };
            let price = match (price, per) {
                (Some(price), Some(per)) => Some(format!("{price} / {per}")),
                (price, _) => price,
            };
            Some(Price { name, price, duration, description, includes, group: own.or(group) })
        }),
        Entry::Pair(at, name, value) => {
            let price = match value {
                Value::Object(fields) => f.below(&at, fields, |f| amount(f, &at)),
                value => {
                    let price = f.as_text(&at, value, MAX_NAME);
                    price.map(|price| with_currency(f, &at, price, None))
                }
            };
            let name = f.as_text(&at, &Value::from(name), MAX_NAME)?;
            Some(Price { name, price, group, ..Price::default() })
        }
        Entry::Text(text) => {
            let split = [" - ", " – ", " — ", ": ", "\t"].iter().find_map(|sign| {
                let (name, price) = text.rsplit_once(sign)?;
                let is_price = price.contains(|c: char| c.is_numeric());
                (is_price && !name.trim().is_empty()).then_some((name, price))
            });
            let (name, price) =
                split.map_or((text.as_str(), None), |(name, price)| (name, Some(price)));
            Some(Price {
                name: name.trim().to_owned(),
                price: price.map(|price| price.trim().to_owned()),
                group,
                ..Price::default()
            })
        }
    }
}

/// The price of an entry, with its currency: that beside it, or that inside of it, as in
/// `{"amount": 50, "currency": "EUR"}`.
fn amount(f: &mut Fields<'_>, entry: &str) -> Option<String> {
    let (price, inner) = match f.first(&AMOUNT) {
        (at, Some(Value::Object(fields))) => f.below(&at, fields, |f| {
            let price = f.text(&["amount", "value", "price"], MAX_NAME);
            // A range, as `{"min": 10, "max": 20}`.
            let least = f.text(&["min", "minimum", "low"], 60);
            let most = f.text(&["max", "maximum", "high"], 60);
            let range = match (least, most) {
                (Some(least), Some(most)) => Some(format!("{least}-{most}")),
                (least, most) => least.or(most),
            };
            (price.or(range), f.text(&CURRENCY, 20))
        }),
        (at, Some(value)) => (f.as_text(&at, value, MAX_NAME), None),
        (_, None) => (None, None),
    };
    let currency = f.text(&CURRENCY, 20).or(inner);
    price.map(|price| with_currency(f, entry, price, currency))
}

/// The price with its currency, if it is a number and nothing more. One without a currency is shown
/// as it was written.
fn with_currency(f: &mut Fields<'_>, at: &str, price: String, currency: Option<String>) -> String {
    // One note for the whole document: a form without currencies has none anywhere.
    const NO_CURRENCY: &str = "has no currency";
    if !price.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'-')) {
        return price;
    }
    if let Some(currency) = currency {
        return format!("{price} {currency}");
    }
    if !f.findings.has_note(NO_CURRENCY) {
        let message = format!(
            "`{price}` {NO_CURRENCY}, and is shown without one, as are others like it; write it \
             like `€{price}`"
        );
        f.findings.note(at, message);
    }
    price
}

/// The prices of services that are objects: `{"name": "Cut", "price": "$45"}`.
pub(super) fn prices_of_services<'a>(f: &mut Fields<'a>, value: Option<&'a Value>) -> Vec<Price> {
    let Some(Value::Array(services)) = value else { return Vec::new() };
    let at = child(&f.at, "services");
    let mut prices = Vec::new();
    for (index, service) in services.iter().enumerate().take(MAX_ENTRIES) {
        let Value::Object(fields) = service else { continue };
        if fields.len() < 2 || list_of_group(fields).is_some() {
            continue;
        }
        let entry = Entry::Object(child(&at, index), fields);
        // Without a price it is a service and nothing more.
        prices.extend(price(f, entry, "services").filter(|price| {
            price.price.is_some() || price.duration.is_some() || price.description.is_some()
        }));
    }
    prices
}

/// The list of a group of services. A package has a price, and its list is what it includes.
fn list_of_group(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    let is_list = |name: &str, value: &Value| {
        value.is_array() && (ITEMS.contains(&name) || name == "services")
    };
    let has_price = AMOUNT.iter().any(|name| fields.contains_key(*name));
    let (name, list) = fields.iter().find(|(name, value)| is_list(name, value))?;
    (!has_price).then_some((name.as_str(), list))
}

/// The services of a group (`{"category": "Hair", "items": ["Cut", "Colour"]}`) and their prices;
/// `None` if the entry is no group.
pub(super) fn services_of_group<'a>(
    f: &mut Fields<'a>,
    at: &str,
    fields: &'a Map<String, Value>,
) -> Option<(Vec<String>, Vec<Price>)> {
    const GROUP: [&str; 5] = ["category", "group", "section", "name", "title"];
    let (list, items) = list_of_group(fields)?;
    others_dropped(f, at, fields, &[&GROUP[..], &[list]].concat());
    let at = child(at, list);
    let group = GROUP
        .iter()
        .find_map(|name| fields.get(*name)?.as_str())
        .and_then(|group| f.as_text(&at, &Value::from(group), MAX_NAME));
    let entries = entries(f, &at, items);
    let group = group.unwrap_or_else(|| "services".to_owned());
    let priced: Vec<Price> =
        entries.into_iter().filter_map(|entry| price(f, entry, &group)).collect();
    let names = priced.iter().map(|price| price.name.clone()).collect();
    let says_more = |price: &Price| {
        price.price.is_some() || price.duration.is_some() || price.description.is_some()
    };
    Some((names, priced.into_iter().filter(says_more).collect()))
}

/// The menu: sections with dishes, or dishes alone.
pub(super) fn menu(f: &mut Fields<'_>) -> Vec<MenuSection> {
    let (at, Some(value)) = f.first(&["menu", "menu_sections"]) else { return Vec::new() };
    let mut sections: Vec<MenuSection> = Vec::new();
    let mut loose = Vec::new();
    for entry in entries(f, &at, value) {
        match entry {
            Entry::Object(at, fields) if has_items(fields) => {
                sections.extend(f.below(&at, fields, |f| {
                    let section = f.text(&["section", "name", "title", "category"], MAX_NAME);
                    let (at, value) = f.first(&ITEMS);
                    let items = value.map(|value| dishes(f, &at, value)).unwrap_or_default();
                    (!items.is_empty()).then_some(MenuSection { section, items })
                }));
            }
            Entry::Pair(at, name, value @ (Value::Array(_) | Value::Object(_))) => {
                let items = dishes(f, &at, value);
                let section = f.as_text(&at, &Value::from(name), MAX_NAME);
                if !items.is_empty() {
                    sections.push(MenuSection { section, items });
                }
            }
            // `{"category": "Desserts", "name": "Tiramisu", "price": "€6"}`
            Entry::Object(at, fields) => {
                let (section, item) = f.below(&at, fields, |f| {
                    let section = f.text(&["category", "section", "group", "course"], MAX_NAME);
                    (section, dish_of(f, &at))
                });
                let Some(item) = item else { continue };
                let of_section =
                    |known: &&mut MenuSection| section.is_some() && known.section == section;
                match sections.iter_mut().find(of_section) {
                    Some(known) => known.items.push(item),
                    None if section.is_some() => {
                        sections.push(MenuSection { section, items: vec![item] });
                    }
                    None => loose.push(item),
                }
            }
            entry => loose.extend(dish(f, entry)),
        }
    }
    if !loose.is_empty() {
        sections.insert(0, MenuSection { section: None, items: loose });
    }
    sections
}

const ITEMS: [&str; 4] = ["items", "dishes", "products", "entries"];
/// Names of a field for the name of a dish.
const DISH: [&str; 8] = ["name", "title", "dish", "item", "nome", "nombre", "nom", "plat"];

fn has_items(fields: &Map<String, Value>) -> bool {
    ITEMS
        .iter()
        .any(|name| fields.get(*name).is_some_and(|value| value.is_array() || value.is_object()))
}

fn dishes<'a>(f: &mut Fields<'a>, at: &str, value: &'a Value) -> Vec<MenuItem> {
    let entries = entries(f, at, value);
    entries.into_iter().filter_map(|entry| dish(f, entry)).collect()
}

fn dish<'a>(f: &mut Fields<'a>, entry: Entry<'a>) -> Option<MenuItem> {
    let Entry::Object(at, fields) = entry else {
        let price = price(f, entry, "menu")?;
        return Some(MenuItem {
            name: price.name,
            description: None,
            price: price.price,
            allergens: Vec::new(),
        });
    };
    f.below(&at, fields, |f| dish_of(f, &at))
}

/// The dish of an object.
fn dish_of(f: &mut Fields<'_>, at: &str) -> Option<MenuItem> {
    let name = f.text(&DISH, MAX_NAME);
    let description = f.text(&DESCRIPTION, MAX_TEXT);
    let price = amount(f, at);
    let allergens = match f.first(&["allergens", "allergies", "contains"]) {
        (at, Some(Value::String(text))) => {
            let parts = text.split([',', ';', '/']).map(str::trim).filter(|part| !part.is_empty());
            let parts: Vec<_> = parts.map(|part| Cow::Owned(Value::from(part))).collect();
            f.as_texts(&at, &parts, MAX_NAME)
        }
        (at, Some(value)) => {
            let list = f.as_list(&at, value).unwrap_or_default();
            f.as_texts(&at, &list, MAX_NAME)
        }
        (_, None) => Vec::new(),
    };
    if name.is_none() {
        f.dropped(at, "has no `name`; left out");
    }
    Some(MenuItem { name: name?, description, price, allergens })
}

/// A postal address, which some CRMs send as an object.
#[derive(Debug, Default)]
pub(super) struct Address {
    /// Street and number, or the whole address if it is one text.
    pub(super) street: Option<String>,
    pub(super) city: Option<String>,
    pub(super) state: Option<String>,
    pub(super) postal_code: Option<String>,
    /// The two-letter code.
    pub(super) country: Option<String>,
}

impl Address {
    /// The address as one text; `None` if it says nothing.
    fn joined(self) -> Option<String> {
        let place =
            [self.postal_code, self.city].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let parts = [self.street, Some(place), self.state, self.country];
        let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// An address, as a text or as an object.
pub(super) fn address<'a>(f: &mut Fields<'a>, names: &[&'a str]) -> Address {
    match f.first(names) {
        (at, Some(value @ Value::Object(fields))) => {
            f.dropped(
                &at,
                format!("must be a text, but is {}: its parts are used", excerpt(value)),
            );
            f.below(&at, fields, |f| {
                // The whole address in one field counts more than its parts.
                let whole =
                    f.text(&["formatted", "formatted_address", "full", "full_address"], MAX_TEXT);
                let street =
                    ["street", "street_address", "line1", "line_1", "address1", "address_1"];
                let street = f.text(
                    &[
                        &street[..],
                        &["address_line1", "address_line_1", "addr_line1", "address"],
                        &["street_name", "logradouro", "rua", "rue", "strasse", "straße"],
                        &["via", "indirizzo", "ulica", "straat"],
                        &["calle"], // typos:ignore
                    ]
                    .concat(),
                    MAX_TEXT,
                );
                let number = f.text(
                    &["number", "house_number", "street_number", "numero", "hausnummer", "nr"],
                    60,
                );
                let second = ["line2", "line_2", "address2", "address_2", "address_line2", "unit"];
                let second =
                    f.text(&[&second[..], &["complement", "complemento"]].concat(), MAX_NAME);
                let district = f.text(&["bairro", "district", "suburb", "barrio"], MAX_NAME);
                // Names in other languages mean the field of the business.
                let city = f.text(
                    &["city", "town", "locality", "address_locality", "cidade", "primary_city"],
                    MAX_NAME,
                );
                let state = f.text(
                    &["state", "region", "province", "county", "address_region", "estado"],
                    MAX_NAME,
                );
                let postal_code = f.text(
                    &[
                        "postal_code",
                        "postcode",
                        "zip",
                        "zip_code",
                        "zipcode",
                        "cep",
                        "plz",
                        "postal",
                    ],
                    MAX_NAME,
                );
                let country = f
                    .text(&["country_code", "country", "address_country", "land"], MAX_NAME)
                    .and_then(|country| crate::country_code(&country));
                f.skip(["type", "@type", "country"]);
                let street = match (street, number) {
                    (Some(street), Some(number)) => Some(format!("{street} {number}")),
                    (street, number) => street.or(number),
                };
                let lines: Vec<_> = [street, second, district].into_iter().flatten().collect();
                let lines = (!lines.is_empty()).then(|| lines.join(", "));
                Address { street: whole.or(lines), city, state, postal_code, country }
            })
        }
        (at, Some(value)) => {
            Address { street: f.as_text(&at, value, MAX_TEXT), ..Address::default() }
        }
        (_, None) => Address::default(),
    }
}

/// The places of a business.
pub(super) fn locations<'l>(
    f: &mut Fields<'_>,
    languages: impl Iterator<Item = &'l str> + Clone,
) -> Vec<Place> {
    let (at, Some(value)) = f.first(&["locations", "branches", "stores"]) else {
        return Vec::new();
    };
    let mut places = Vec::new();
    for entry in entries(f, &at, value) {
        match entry {
            Entry::Object(at, fields) => places.push(f.below(&at, fields, |f| {
                let (hours, hours_notes) = {
                    let names = ["hours", "business_hours", "opening_hours"];
                    hours::read(f, &names, languages.clone())
                };
                // The normalized form has the notes beside the hours.
                let hours_notes = [notes(f), hours_notes].concat();
                let mut address = address(f, &["address", "street", "business_address"]);
                let city = f.text(&["city", "town", "primary_city"], MAX_NAME);
                let city = city.or_else(|| address.city.take());
                Place {
                    name: f.text(&["name", "title", "label"], MAX_NAME),
                    address: address.joined(),
                    city,
                    phone: f.phone(&["phone", "business_phone", "telephone"], false),
                    email: f.email(&["email", "business_email"], false),
                    hours,
                    hours_notes,
                }
            })),
            Entry::Pair(at, name, value) => {
                let address = f.as_text(&at, value, MAX_TEXT);
                let name = f.as_text(&at, &Value::from(name), MAX_NAME);
                places.push(Place { name, address, ..Place::default() });
            }
            Entry::Text(address) => {
                places.push(Place { address: Some(address), ..Place::default() });
            }
        }
    }
    places.retain(|place| *place != Place::default());
    places
}

/// The notes about opening hours of the normalized form.
pub(super) fn notes(f: &mut Fields<'_>) -> Vec<crate::HoursNote> {
    let (at, value) = f.first(&["hours_notes"]);
    let Some(value) = value else { return Vec::new() };
    if let Ok(notes) = serde_json::from_value::<Vec<crate::HoursNote>>(value.clone()) {
        let mut cleaned = Vec::with_capacity(notes.len().min(MAX_ENTRIES));
        for (index, note) in notes.into_iter().take(MAX_ENTRIES).enumerate() {
            let at = child(&at, index);
            let label = note.label.and_then(|label| f.as_text(&at, &label.into(), MAX_NAME));
            let text = f.as_text(&at, &note.text.into(), MAX_TEXT);
            let days = note.days;
            cleaned.extend(text.map(|text| crate::HoursNote { days, label, text }));
        }
        return cleaned;
    }
    let list = f.as_list(&at, value).unwrap_or_default();
    let texts = f.as_texts(&at, &list, MAX_NAME);
    let note = |text| crate::HoursNote { days: Vec::new(), label: None, text };
    texts.into_iter().map(note).collect()
}

/// The people of the business.
pub(super) fn team(f: &mut Fields<'_>) -> Vec<Person> {
    let (at, Some(value)) = f.first(&["team", "team_members", "staff"]) else { return Vec::new() };
    let mut people = Vec::new();
    for entry in entries(f, &at, value) {
        match entry {
            Entry::Object(at, fields) => people.extend(f.below(&at, fields, |f| {
                let name = f.text(&["name", "full_name", "nome", "nombre", "nom"], MAX_NAME);
                let first = f.text(&["first_name", "given_name"], MAX_NAME);
                let last = f.text(&["last_name", "family_name", "surname"], MAX_NAME);
                let parts: Vec<String> = [first, last].into_iter().flatten().collect();
                let name = name.or_else(|| (!parts.is_empty()).then(|| parts.join(" ")));
                let role = f.text(&["role", "title", "position", "job", "job_title"], MAX_NAME);
                let bio = f.text(&["bio", "about", "description", "text"], MAX_TEXT);
                let photo_url = f.link(&["photo_url", "photo", "image", "picture", "image_url"]);
                if name.is_none() {
                    f.dropped(&at, "has no `name`; left out");
                }
                Some(Person { name: name?, role, bio, photo_url })
            })),
            Entry::Pair(at, name, value) => {
                let role = f.as_text(&at, value, MAX_NAME);
                let name = f.as_text(&at, &Value::from(name), MAX_NAME);
                people.extend(name.map(|name| Person { name, role, bio: None, photo_url: None }));
            }
            Entry::Text(name) => {
                people.push(Person { name, role: None, bio: None, photo_url: None });
            }
        }
    }
    people
}

/// The photos of all lists that forms send.
pub(super) fn photos(f: &mut Fields<'_>) -> Vec<Photo> {
    let mut photos: Vec<Photo> = Vec::new();
    for name in ["photos", "gallery", "portfolio", "images", "photo_urls"] {
        let (at, Some(value)) = f.first(&[name]) else { continue };
        let list: Vec<(String, Cow<'_, Value>)> = match value {
            // `{"hero": "https://…", "gallery": ["https://…"]}`
            Value::Object(fields) if !fields.contains_key("url") && !fields.contains_key("src") => {
                let found = excerpt(value);
                f.dropped(&at, format!("must be a list, but is {found}: its entries are used"));
                let entries = fields.iter().take(MAX_ENTRIES).flat_map(|(name, value)| {
                    let at = child(&at, name);
                    match value {
                        Value::Array(entries) => entries
                            .iter()
                            .take(MAX_ENTRIES)
                            .enumerate()
                            .map(|(index, entry)| (child(&at, index), Cow::Borrowed(entry)))
                            .collect(),
                        value => vec![(at, Cow::Borrowed(value))],
                    }
                });
                entries.take(MAX_ENTRIES).collect()
            }
            Value::Object(_) => {
                let found = excerpt(value);
                f.dropped(&at, format!("must be a list, but is {found}: read as one entry"));
                vec![(at, Cow::Borrowed(value))]
            }
            value => {
                let list = f.as_list(&at, value).unwrap_or_default();
                let list = list.into_iter().enumerate();
                list.map(|(index, entry)| (child(&at, index), entry)).collect()
            }
        };
        for (at, entry) in list {
            match entry {
                entry if is_empty(&entry) => {}
                Cow::Borrowed(Value::Object(fields)) => photos.extend(f.below(&at, fields, |f| {
                    let url = f.link(&["url", "src", "image", "link", "photo"]);
                    let names = ["alt", "title", "caption", "description", "name"];
                    let alt = f.text(&names, MAX_NAME);
                    Some(Photo { url: url?, alt })
                })),
                entry if entry.is_string() => {
                    let url = f.as_link(&at, &entry);
                    photos.extend(url.map(|url| Photo { url, alt: None }));
                }
                entry => {
                    let message = format!(
                        "must be an object with `url`, but is {}: left out",
                        excerpt(&entry)
                    );
                    f.dropped(&at, message);
                }
            }
        }
    }
    photos
}

/// The legal identifiers, beside the other fields or in an object `legal`.
pub(super) fn legal(f: &mut Fields<'_>) -> Legal {
    let inner = match f.first(&["legal"]) {
        (at, Some(Value::Object(fields))) => f.below(&at, fields, identifiers),
        (at, Some(other)) => {
            let message = format!(
                "must be an object with `vat_id`, `company_number` and more, but is {}: left out",
                excerpt(other)
            );
            f.dropped(&at, message);
            Legal::default()
        }
        (_, None) => Legal::default(),
    };
    let outer = identifiers(f);
    Legal {
        legal_name: inner.legal_name.or(outer.legal_name),
        representative: inner.representative.or(outer.representative),
        vat_id: inner.vat_id.or(outer.vat_id),
        tax_id: inner.tax_id.or(outer.tax_id),
        siret: inner.siret.or(outer.siret),
        siren: inner.siren.or(outer.siren),
        ein: inner.ein.or(outer.ein),
        company_number: inner.company_number.or(outer.company_number),
        license_number: inner.license_number.or(outer.license_number),
    }
}

fn identifiers(f: &mut Fields<'_>) -> Legal {
    let mut text = |names: &[&'static str]| f.text(names, MAX_NAME);
    Legal {
        legal_name: text(&["legal_name", "company_legal_name", "razao_social"]),
        representative: text(&["representative", "legal_representative", "geschaeftsfuehrer"]),
        vat_id: text(&["vat_id", "vat_number", "vat", "ust_id", "ustid", "partita_iva", "tva"]),
        tax_id: text(&["tax_id", "cnpj", "nif", "cif", "nip", "steuernummer", "abn"]),
        siret: text(&["siret"]),
        siren: text(&["siren"]),
        ein: text(&["ein"]),
        company_number: text(&["company_number", "registration_number", "handelsregister", "hrb"]),
        license_number: text(&["license_number", "licence_number", "license", "licence"]),
    }
}
