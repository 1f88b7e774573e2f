//! Contact links of the business: phone, WhatsApp, email, map and social networks.

use askama::filters::urlencode;
use sitewright_order::{Cta, Order};

use crate::content;
use crate::language::Words;
use crate::pages::{Kind, Note, Plan};

/// How a visitor gets in touch. Decides the icon of the button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Means {
    Phone,
    Whatsapp,
    Form,
    Booking,
}

/// Where a link goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// URL outside the site: `tel:`, `https:`.
    Outside(String),
    /// The form on the contact page.
    Form,
}

/// A call-to-action button.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Action {
    pub means: Means,
    pub target: Target,
    pub label: String,
}

impl Action {
    /// The link. `root` is the relative path to the site's root, `contact` the folder of the
    /// contact page.
    pub fn href(&self, root: &str, contact: &str) -> String {
        match &self.target {
            Target::Outside(href) => href.clone(),
            Target::Form => format!("{root}{contact}/index.html#form"),
        }
    }
}

/// A link to another site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// `https:` or `http:` URL, percent-encoded where HTML requires it.
    pub href: String,
    /// Text of the link.
    pub label: String,
}

/// All contact links of the site.
#[derive(Debug, Clone)]
pub struct Contact {
    /// Primary button: the call to action that the order names.
    pub first: Action,
    /// Secondary button, with other [`Means`] than the primary one; `None` if there is one way only
    /// to reach the business.
    pub second: Option<Action>,
    /// `tel:` URL of the phone number.
    pub tel: Option<String>,
    /// The phone number for display.
    pub phone: Option<String>,
    /// The number on WhatsApp for display.
    pub whatsapp_number: Option<String>,
    /// `https://wa.me/…`; `None` if the order does not want WhatsApp or the number has no country
    /// code.
    pub whatsapp: Option<String>,
    /// `mailto:` URL of the email address.
    pub mailto: Option<String>,
    /// Where the form posts to; `None` if nobody would receive it.
    pub form: Option<String>,
    /// Map search for the street address; `None` without one.
    pub map: Option<String>,
    /// The number for emergencies: `tel:` URL, and the number for display.
    pub emergency: Option<Link>,
    /// Lines of the address, without empty ones. Postal code and city are the last one if the
    /// street address lacks the code.
    pub address: Vec<String>,
    /// Profiles on social networks, labelled with the network's name.
    pub social: Vec<Link>,
    /// The other addresses at which visitors act: booking, orders, menu, vouchers, donations.
    pub links: Vec<Link>,
    /// Page with the business's reviews.
    pub reviews: Option<String>,
    /// Folder of the contact page.
    pub page: String,
}

impl Contact {
    /// Builds the links of an order. Every link that has to be left out adds an entry to `notes`.
    pub fn of(order: &Order, plan: &Plan, words: &Words, notes: &mut Vec<Note>) -> Contact {
        let tel = order.business_phone.as_ref().map(|phone| format!("tel:{}", phone.dial()));
        let wants_whatsapp = order.has_whatsapp || order.primary_cta == Cta::Whatsapp;
        let own = order.business_phone.as_ref().filter(|_| wants_whatsapp);
        let on_whatsapp = order.whatsapp_phone.as_ref().or(own);
        let whatsapp = on_whatsapp
            .filter(|phone| phone.is_international())
            .map(|phone| format!("https://wa.me/{}", phone.digits()));
        if let (Some(phone), None) = (on_whatsapp, &whatsapp) {
            notes.push(Note {
                code: "whatsapp-number",
                message: format!(
                    "WhatsApp needs an international number and `business_phone` is `{phone}`; \
                     the site offers a phone call instead; write the number with `+` and the \
                     country code"
                ),
            });
        }
        let phone = tel.as_ref().map(|tel| Action {
            means: Means::Phone,
            target: Target::Outside(tel.clone()),
            label: words.call.to_owned(),
        });
        let email = order.business_email.as_deref().map(mailto);
        let form_action = order.form_endpoint.clone().or_else(|| email.clone());
        let form = form_action.as_ref().map(|_| Action {
            means: Means::Form,
            target: Target::Form,
            label: words.write_us.to_owned(),
        });
        let chat = whatsapp.as_ref().map(|href| Action {
            means: Means::Whatsapp,
            target: Target::Outside(href.clone()),
            label: words.whatsapp.to_owned(),
        });
        let booking_target = match &order.booking_url {
            Some(url) => Some(Target::Outside(url.clone())),
            None => form.as_ref().map(|_| Target::Form),
        };
        let booking = booking_target.map(|target| Action {
            means: Means::Booking,
            target,
            label: words.book.to_owned(),
        });
        // The ways to reach the business, the ordered one first.
        let mut ways = match order.primary_cta {
            Cta::Call => vec![phone, chat, form],
            Cta::Whatsapp => vec![chat, phone, form],
            Cta::Form => vec![form, phone, chat],
            Cta::BookOnline => vec![booking, phone, chat],
        }
        .into_iter()
        .flatten();
        // An order names at least one of them.
        let mut first = ways.next().unwrap_or_else(|| Action {
            means: Means::Form,
            target: Target::Form,
            label: words.write_us.to_owned(),
        });
        let second = ways.next();
        if let Some(text) = order.cta_text.as_deref().map(str::trim).filter(|text| !text.is_empty())
        {
            first.label = crate::copy::cut(text, 40);
        }
        let address = address_lines(order);
        let is_new = |city: &String| !address.iter().any(|line| has_words(line, city));
        let city = order.primary_city.clone().filter(is_new);
        let place = [
            std::slice::from_ref(&order.business_name),
            address.as_slice(),
            &[city, order.state.clone()].into_iter().flatten().collect::<Vec<_>>(),
        ];
        let map = (!address.is_empty()).then(|| {
            format!(
                "https://www.google.com/maps/search/?api=1&query={}",
                encode(&place.concat().join(", "))
            )
        });
        let mut web = |href: &Option<String>, field: &str| {
            let href = href.as_deref()?;
            let safe = web_address(href);
            if safe.is_none() {
                notes.push(Note {
                    code: "link-refused",
                    message: format!(
                        "`{field}` is left out: `{href}` is not a URL that begins with `https://`"
                    ),
                });
            }
            safe
        };
        let social = [
            ("Instagram", &order.social_instagram, "social_instagram"),
            ("Facebook", &order.social_facebook, "social_facebook"),
            ("LinkedIn", &order.social_linkedin, "social_linkedin"),
            ("YouTube", &order.social_youtube, "social_youtube"),
            ("TikTok", &order.social_tiktok, "social_tiktok"),
            ("X", &order.social_x, "social_x"),
            ("Threads", &order.social_threads, "social_threads"),
            ("Pinterest", &order.social_pinterest, "social_pinterest"),
            ("Telegram", &order.social_telegram, "social_telegram"),
            ("Tripadvisor", &order.social_tripadvisor, "social_tripadvisor"),
            ("Yelp", &order.social_yelp, "social_yelp"),
        ]
        .into_iter()
        .filter_map(|(label, href, field)| {
            Some(Link { href: web(href, field)?, label: label.to_owned() })
        })
        .collect();
        let emergency = order.emergency_phone.as_ref().map(|phone| Link {
            href: format!("tel:{}", phone.dial()),
            label: readable_phone(phone.as_str()),
        });
        Contact {
            links: content::links(order, words, [Some(&first), second.as_ref()]),
            emergency,
            first,
            second,
            tel,
            phone: order.business_phone.as_ref().map(|phone| readable_phone(phone.as_str())),
            whatsapp_number: on_whatsapp.map(|phone| readable_phone(phone.as_str())),
            whatsapp,
            mailto: email,
            form: form_action,
            map,
            address,
            social,
            reviews: web(&order.google_reviews_link, "google_reviews_link"),
            page: plan.page(Kind::Contact).map(|page| page.slug.clone()).unwrap_or_default(),
        }
    }
}

fn address_lines(order: &Order) -> Vec<String> {
    let street = order.business_address.iter().flat_map(|address| address.lines());
    let mut lines: Vec<String> = street.map(|line| line.trim().to_owned()).collect();
    lines.retain(|line| !line.is_empty());
    let part = order.neighborhood.as_deref().map(str::trim).filter(|part| !part.is_empty());
    if let Some(part) = part
        && !lines.is_empty()
        && !lines.iter().any(|line| has_words(line, part))
    {
        lines.push(part.to_owned());
    }
    let has = |text: &str| lines.iter().any(|line| has_words(line, text));
    let Some(code) = order.postal_code.as_deref().map(str::trim).filter(|code| !has(code)) else {
        return lines;
    };
    let city = order.primary_city.as_deref().filter(|city| !has(city));
    let is_after = matches!(
        order.country.as_deref(),
        Some("AU" | "BR" | "CA" | "GB" | "IE" | "IN" | "NZ" | "US")
    );
    lines.push(match city {
        Some(city) if is_after => format!("{city} {code}"),
        Some(city) => format!("{code} {city}"),
        None => code.to_owned(),
    });
    lines
}

/// Whether a line of an address has a text as whole words: `Ulm` is not in `Ulmenweg 3`. Scripts
/// that may have no spaces between words have it anywhere.
fn has_words(line: &str, text: &str) -> bool {
    let is_latin = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && c < '\u{250}');
    let (line, text) = (line.to_lowercase(), text.trim().to_lowercase());
    line.match_indices(text.as_str()).any(|(at, found)| {
        let (before, behind) = (&line[..at], &line[at + found.len()..]);
        let goes_on_before = is_latin(found.chars().next()) && is_latin(before.chars().next_back());
        let goes_on_behind = is_latin(found.chars().next_back()) && is_latin(behind.chars().next());
        !(goes_on_before || goes_on_behind)
    })
}

/// Groups the digits of a Brazilian or North American number that was typed without separators.
/// Other numbers stay as typed.
pub fn readable_phone(typed: &str) -> String {
    let bare = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    match typed.trim().strip_prefix('+') {
        Some(digits)
            if bare(digits) && digits.starts_with("55") && (12..=13).contains(&digits.len()) =>
        {
            let (area, local) = digits[2..].split_at(2);
            let (first, last) = local.split_at(local.len() - 4);
            format!("+55 {area} {first}-{last}")
        }
        Some(digits) if bare(digits) && digits.starts_with('1') && digits.len() == 11 => {
            format!("+1 ({}) {}-{}", &digits[1..4], &digits[4..7], &digits[7..])
        }
        _ => typed.trim().to_owned(),
    }
}

/// `mailto:` URL in which every character that could start a header or a second address is encoded.
pub fn mailto(address: &str) -> String {
    match address.trim().rsplit_once('@') {
        Some((name, domain)) => {
            format!("mailto:{}@{}", encode(name).replace('/', "%2F"), encode(domain))
        }
        None => format!("mailto:{}", encode(address.trim())),
    }
}

/// The host of a web address, as a visitor reads it: `forms.example.com`.
pub(crate) fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = &rest[..end];
    host.rsplit_once('@').map_or(host, |(_, host)| host)
}

/// The URL if it is `http:` or `https:`, with the characters encoded that HTML forbids in one.
pub(crate) fn web_address(text: &str) -> Option<String> {
    let text = text.trim();
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    if host.is_empty() || host.starts_with(['/', '.', '?', '#']) || text.len() > 2000 {
        return None;
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "-._~:/?#@!$&()*+,;=%".contains(c) {
            safe.push(c);
        } else {
            safe.push_str(&encode(&c.to_string()));
        }
    }
    Some(safe)
}

/// Percent-encodes everything except unreserved characters and `/`.
fn encode(text: &str) -> String {
    match urlencode(text) {
        Ok(encoded) => encoded.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_digits_are_grouped_as_their_country_does() {
        for (typed, shown) in [
            ("+5519955501011", "+55 19 95550-1011"),
            ("+551938501011", "+55 19 3850-1011"),
            ("+15550103301", "+1 (555) 010-3301"),
            ("(555) 010-2200", "(555) 010-2200"),
            ("+44 20 7946 0000", "+44 20 7946 0000"),
        ] {
            assert_eq!(readable_phone(typed), shown);
        }
    }

    #[test]
    fn postal_code_and_city_follow_an_address_that_lacks_them() {
        let table: [(&str, &str, &str, &[&str]); 5] = [
            ("Ulmenweg 3", "Ulm", "89073", &["Ulmenweg 3", "89073 Ulm"]),
            ("Marktplatz 1, ULM", "Ulm", "89073", &["Marktplatz 1, ULM", "89073"]),
            ("Marktplatz 1, 89073 Ulm", "Ulm", "89073", &["Marktplatz 1, 89073 Ulm"]),
            ("Am Markt 11010", "Wien", "1010", &["Am Markt 11010", "1010 Wien"]),
            ("渋谷区宇田川町1-1", "渋谷区", "150-0042", &["渋谷区宇田川町1-1", "150-0042"]),
        ];
        for (street, city, code, lines) in table {
            let document = serde_json::json!({
                "id": 1, "locale": "en", "business_name": "Alpha", "email": "a@alpha.fr",
                "business_address": street, "primary_city": city, "postal_code": code,
            });
            let order = sitewright_order::read(&document, &"en".parse().unwrap()).unwrap();
            assert_eq!(address_lines(&order), lines, "{street}");
        }
    }

    #[test]
    fn f6_no_link_leaves_its_scheme() {
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//evil.example",
            "https://",
            "https:///x",
            "ftp://x.example",
        ] {
            assert_eq!(web_address(bad), None, "{bad}");
        }
        assert_eq!(
            web_address(" https://x.example/a b\"'<> ").unwrap(),
            "https://x.example/a%20b%22%27%3C%3E"
        );
        assert_eq!(mailto("a?bcc=b@x.example"), "mailto:a%3Fbcc%3Db@x.example");
    }
}
