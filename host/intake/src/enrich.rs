//! What number plans and languages say about an order: phone numbers in the international form, the
//! country, and the language of an order that names none.

use serde_json::Value;
use sitewright_order::{Document, Locale, Notice, NoticeLevel, Order, Phone, child};

use super::language;
use super::phones::{Known, example, known, region};

/// Completes an order that was read from `document`, which is `opened`. What is changed or left out is added to
/// `notices`; the result is what is published as it is, and doubtful.
pub(super) fn enrich(
    order: &mut Order,
    document: &Value,
    opened: &Document<'_>,
    default_locale: &Locale,
    notices: &mut Vec<Notice>,
) -> Vec<Notice> {
    let business = opened.business_pointer();
    for field in plain_names(order) {
        let message = "has Markdown marks (`**`), which are left out: pages would show them";
        notices.push(Notice::new(NoticeLevel::Note, child(&business, field), message));
    }
    let given = opened.given_locale();
    if order.country.is_none() {
        let phones = [&order.business_phone, &order.whatsapp_phone];
        order.country = phones.into_iter().flatten().find_map(region);
    }
    // Without a country, the region of the language is only good enough for a number that is valid
    // there.
    let of_locale = given.as_ref().and_then(Locale::region).map(str::to_owned);
    let country = order.country.clone().or(of_locale);

    let mut numbers = Numbers { country: country.as_deref(), notices, doubts: Vec::new() };
    let at = |names: &[&str]| child(&business, sent(document, &business, names));
    numbers.complete(&mut order.business_phone, &at(&["business_phone", "phone", "telephone"]));
    numbers.complete(
        &mut order.whatsapp_phone,
        &at(&["whatsapp_phone", "whatsapp_number", "whatsapp"]),
    );
    numbers.complete(&mut order.emergency_phone, &at(&["emergency_phone", "emergency_number"]));
    let places = at(&["locations", "branches", "stores"]);
    for (index, place) in order.locations.iter_mut().enumerate() {
        numbers.complete(&mut place.phone, &child(&child(&places, index), "phone"));
    }
    let Numbers { doubts, .. } = numbers;
    if order.country.is_none() {
        // A number whose country the order's language told.
        order.country = order.business_phone.as_ref().and_then(region);
    }

    if given.is_none() {
        let of_names = opened.language_of_names();
        let found = language::found(order, country.as_deref(), of_names, default_locale);
        let message = match &found {
            None => Some(format!(
                "the language was not told: `{}` by default; send `locale`, like `en` or `pt-BR`",
                order.locale
            )),
            Some(found) if found.locale == order.locale => None,
            Some(found) => Some(format!(
                "names no language: the site is made in `{}`, from {}",
                found.locale, found.source
            )),
        };
        if let Some(message) = message {
            notices.push(Notice::new(NoticeLevel::Note, child(&business, "locale"), message));
        }
        if let Some(found) = found {
            order.locale = found.locale;
        }
    }
    doubts
}

/// Leaves the marks of emphasis out of the names of what is sold. Returns the fields that had some.
fn plain_names(order: &mut Order) -> Vec<&'static str> {
    let items = order.menu.iter_mut().flat_map(|section| section.items.iter_mut());
    let services = order.services.iter_mut().map(|name| ("services", name));
    let names = services
        .chain(order.primary_service.iter_mut().map(|name| ("primary_service", name)))
        .chain(order.prices.iter_mut().map(|price| ("prices", &mut price.name)))
        .chain(items.map(|item| ("menu", &mut item.name)));
    let mut fields = Vec::new();
    for (field, name) in names {
        if let Some(plain) = without_emphasis(name) {
            *name = plain;
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
    }
    fields
}

/// The text without the marks around `**words**`, as Markdown and chat programs have them. `None`
/// if it has none: four stars of a hotel are no marks.
fn without_emphasis(text: &str) -> Option<String> {
    const MARK: &str = "**";
    let is_edge = |c: char| c.is_whitespace() || c == '*';
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(MARK) {
        let Some((inside, after)) = behind.split_once(MARK) else { break };
        if inside.is_empty() || inside.starts_with(is_edge) || inside.ends_with(is_edge) {
            break;
        }
        plain.push_str(before);
        plain.push_str(inside);
        rest = after;
    }
    (rest.len() < text.len()).then(|| plain + rest)
}

/// The name under which a field was sent; the first of its names if it was not.
fn sent<'n>(document: &Value, business: &str, names: &[&'n str]) -> &'n str {
    let fields = document.pointer(business);
    let is_there = |name: &&&str| {
        fields.and_then(|fields| fields.get(**name)).is_some_and(|value| !value.is_null())
    };
    names.iter().find(is_there).or(names.first()).copied().unwrap_or_default()
}

/// The numbers of one order.
struct Numbers<'a> {
    country: Option<&'a str>,
    notices: &'a mut Vec<Notice>,
    doubts: Vec<Notice>,
}

impl Numbers<'_> {
    /// The international form of a number. One that cannot exist is left out: nobody can dial it.
    fn complete(&mut self, phone: &mut Option<Phone>, at: &str) {
        let Some(written) = phone.as_ref() else { return };
        match known(written, self.country) {
            Known::Unknown if written.is_international() => {}
            Known::Unknown => {
                let why = match self.country {
                    Some(country) => format!("is no number of the country (`{country}`)"),
                    None => "says no country, and neither does the order".to_owned(),
                };
                let message = format!(
                    "`{written}` {why}: it is dialled as written, which fails from abroad and on \
                     WhatsApp; write it like `{}`",
                    example(self.country)
                );
                self.doubts.push(Notice::new(NoticeLevel::Warning, at, message));
            }
            Known::Number(number) if number == *written => {}
            Known::Number(number) => {
                let message = format!("`{written}` is read as `{number}`");
                self.notices.push(Notice::new(NoticeLevel::Note, at, message));
                *phone = Some(number);
            }
            Known::Unassigned { code } => {
                let message = format!(
                    "`{written}` is not a number in use: the number plan of `+{code}` has no such \
                     area code or number; it is dialled as written; correct it, unless it is newer \
                     than the plan"
                );
                self.doubts.push(Notice::new(NoticeLevel::Warning, at, message));
            }
            Known::Impossible => {
                let message = format!(
                    "`{written}` is not a phone number: no country has its code, or no number of \
                     that country has as many digits; write it like `{}`; left out",
                    example(self.country)
                );
                self.notices.push(Notice::new(NoticeLevel::Warning, at, message));
                *phone = None;
            }
        }
    }
}
