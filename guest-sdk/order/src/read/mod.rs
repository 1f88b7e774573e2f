//! Parsing of the documents of a CRM as an [`Order`].

mod content;
mod envelope;
mod extra;
mod fields;
mod findings;
mod hours;
mod names;
mod posts;
mod shape;
mod values;

use std::borrow::Cow;
use std::cell::LazyCell;
use std::iter;

use serde_json::{Map, Value};

use self::fields::Fields;
use self::findings::Findings;
use self::shape::Shape;
use crate::problem::truncated;
use crate::{
    Locale, Niche, Notice, Order, Problem, Testimonial, check_id, child, country_languages,
    excerpt, folder_id,
};

/// Maximum number of entries in a list: services, places, pages, testimonials, reference sites.
pub const MAX_ENTRIES: usize = 200;
/// Maximum length of a name or a short text, in characters.
pub const MAX_NAME: usize = 300;
/// Maximum length of a long text, in characters.
pub const MAX_TEXT: usize = 20_000;
/// The number of names that the fields of most orders can have, in all.
const ORDER_NAMES: usize = 224;
/// Maximum age of a business, in years. The oldest known one is younger.
pub const MAX_YEARS: u32 = 1_500;

/// Reads an order document tolerantly: the CRM's `{order, onboarding}`, the flat form (the fields
/// of [`Order`] at the top level), or the JSON of an [`Order`], which yields the same [`Order`].
///
/// Required are an id, a name, and one way to reach the business: `business_phone`,
/// `business_email` or `whatsapp_number`. Every other value that cannot be used is left out, and
/// every value that was read for what it means is said, in [`Order::notices`]. `null`, blank texts,
/// `[]` and `{}` count as absent. Unknown fields are kept in [`Order::extra`], except secrets,
/// payment data and the CRM's bookkeeping. `default_locale` applies if the document has no locale.
///
/// # Errors
/// All problems for which there is no order, in the order of the fields; never an empty list.
pub fn read(document: &Value, default_locale: &Locale) -> Result<Order, Vec<Problem>> {
    Document::open(document).read(default_locale)
}

/// Reads a document like [`read`], but refuses it if a value would be left out or an expected field
/// is missing.
///
/// # Errors
/// All problems, in the order of the fields; never an empty list.
pub fn read_strictly(document: &Value, default_locale: &Locale) -> Result<Order, Vec<Problem>> {
    Document::open(document).read_strictly(default_locale)
}

/// Why there is no order in a document, and what else was found in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// All problems, in the order of the fields; never empty.
    pub problems: Vec<Problem>,
    /// What would be left out or was read for what it means, as in [`Order::notices`]. Nothing that
    /// is among the problems.
    pub notices: Vec<Notice>,
}

/// A document without its envelopes, which are looked for once: for callers that read several
/// things of it.
///
/// Around an order may be envelopes, as in `{"data": {"order": …, "onboarding": …}}`.
pub struct Document<'a> {
    opened: envelope::Opened<'a>,
}

impl<'a> Document<'a> {
    /// Looks for the order in a document. A document without one is read as an order all the same.
    pub fn open(document: &'a Value) -> Self {
        Document { opened: envelope::open(document) }
    }

    /// The order: see [`read`].
    ///
    /// # Errors
    /// As of [`read`].
    pub fn read(&self, default_locale: &Locale) -> Result<Order, Vec<Problem>> {
        self.read_noticing(default_locale, false).map_err(|refusal| refusal.problems)
    }

    /// The order: see [`read_strictly`].
    ///
    /// # Errors
    /// As of [`read_strictly`].
    pub fn read_strictly(&self, default_locale: &Locale) -> Result<Order, Vec<Problem>> {
        self.read_noticing(default_locale, true).map_err(|refusal| refusal.problems)
    }

    /// The order: see [`read`] and, if `strict`, [`read_strictly`].
    ///
    /// # Errors
    /// As of these, and what else was found.
    pub fn read_noticing(&self, default_locale: &Locale, strict: bool) -> Result<Order, Refusal> {
        read_as(&self.opened, default_locale, strict)
    }

    /// The id alone: see [`read_id`].
    ///
    /// # Errors
    /// As of [`read_id`].
    pub fn read_id(&self) -> Result<String, Problem> {
        found_id(&self.opened).map(|found| found.id)
    }

    /// The JSON pointer to the object with the fields of the business: `/onboarding`, or empty for
    /// a flat document.
    pub fn business_pointer(&self) -> String {
        let opened = &self.opened;
        let section = if shape::is_crm(&opened.order) { opened.section.as_str() } else { "" };
        format!("{}{section}", opened.at)
    }

    /// The locale that the document names; `None` if it names none that can be read.
    pub fn given_locale(&self) -> Option<Locale> {
        let shape = Shape::of(&self.opened).ok()?;
        let (_, value) = shape::given(&shape.locales)?;
        shape::read(value).ok()
    }

    /// The language of the names of the fields (`Firmenname`, `Branche`), as a language tag; `None`
    /// if fewer than two of them are words of one language.
    pub fn language_of_names(&self) -> Option<&'static str> {
        let shape = Shape::of(&self.opened).ok()?;
        names::language_of(shape.business?.fields.keys())
    }
}

fn read_as(
    opened: &envelope::Opened<'_>,
    default_locale: &Locale,
    strict: bool,
) -> Result<Order, Refusal> {
    let mut findings = Findings::default();
    let shape = Shape::of(opened)
        .map_err(|problem| Refusal { problems: vec![problem], notices: Vec::new() })?;
    for problem in &shape.problems {
        findings.refuse(&problem.pointer, &problem.message);
    }
    note_envelopes(opened, &mut findings);
    let id = match found_id(opened) {
        Ok(found) => {
            if let Some(wrong) = found.unsafe_name {
                if strict {
                    findings.refuse(&found.at, wrong);
                } else {
                    let message =
                        format!("{wrong}; the order is `{}` here; commands take either", found.id);
                    findings.note(&found.at, message);
                }
            }
            Some(found.id)
        }
        Err(problem) => {
            findings.refuse(&problem.pointer, problem.message);
            None
        }
    };
    let locale = shape::locale(&shape.locales, default_locale, &mut findings);
    let Some(business) = shape.business else { return Err(findings.into_refusal(strict)) };
    let stored = stored_notices(business.fields);
    // A document with notices was read before: its entities are decoded, its lists are lists.
    let is_sent = stored.is_none() && !strict;
    let mut unpacked = if is_sent { values::unpacked(business.fields) } else { None };
    let moved = unpacked.as_mut().map(|unpacked| std::mem::take(&mut unpacked.moved));
    let fields = unpacked.as_ref().map_or(business.fields, |unpacked| &unpacked.fields);
    let mut f = Fields::new(&business.at, fields, findings, stored.is_none());
    f.moved = moved.unwrap_or_default();
    f.expect_names(ORDER_NAMES);
    // Fields of the order, not of the business: already parsed.
    f.skip(["id", "locale"]);
    if shape::given(&shape.locales).is_some_and(|(at, _)| at.ends_with("/language")) {
        f.skip(["language"]);
    } else if shape::given(&shape.locales).is_some_and(|(at, _)| at.ends_with("/lang")) {
        f.skip(["lang"]);
    }
    if stored.is_some() {
        f.skip(["notices"]);
    }
    let told = shape::given(&shape.locales).and_then(|(_, value)| shape::read(value).ok());
    let default_language = locale.language().to_owned();

    let order = (|| {
        let business_name = business_name(&mut f);
        let business_email =
            f.email(&["business_email", "email", "email_address", "contact_email"], true);
        let business_phone = f.phone(&PHONES, true);
        let (whatsapp_phone, on_whatsapp) = whatsapp(&mut f);
        let has_whatsapp = f.flag(&["has_whatsapp"]) || on_whatsapp;
        let whatsapp_phone = whatsapp_phone.filter(|phone| {
            business_phone.as_ref().is_none_or(|known| known.dial() != phone.dial())
        });
        if !strict
            && business_email.is_none()
            && business_phone.is_none()
            && whatsapp_phone.is_none()
        {
            let fields = ["business_phone", "business_email", "whatsapp_number"];
            let places = fields.map(|name| f.place(name));
            f.findings.blame(&places);
            let at = f.place("business_phone");
            let is_blamed = f.findings.problems(false).iter().any(|problem| problem.pointer == at);
            let message = if is_blamed {
                "was the last one: no way to reach the business is left, since `business_email` \
                 and `whatsapp_number` are missing or cannot be used either; send a phone number \
                 like `+55 19 95550-1011` or an e-mail address like `office@example.com`"
            } else {
                "is missing, and so are `business_email` and `whatsapp_number`: visitors need one \
                 way to reach the business; send a phone number like `+55 19 95550-1011` or an \
                 e-mail address like `office@example.com`"
            };
            f.findings.refuse(&at, message);
        }
        let emergency_phone = f.phone(&["emergency_phone", "emergency_number"], false);
        let address = content::address(&mut f, &["business_address", "address", "street_address"]);
        let (niche, named) = niche(&mut f);
        let custom_niche = f.text(&["custom_niche", "trade", "industry"], MAX_NAME).or(named);
        let niche =
            niche.unwrap_or(if custom_niche.is_some() { Niche::Other } else { Niche::General });
        let primary_city = f
            .expected_text(&["primary_city", "city"], "the city the business works from", MAX_NAME)
            .or(address.city);
        let neighborhood = f.text(&["neighborhood", "neighbourhood", "bairro"], MAX_NAME);
        let state = f
            .expected_text(&["state", "region"], "the state or region", MAX_NAME)
            .or(address.state);
        let postal_code = f
            .text(&["postal_code", "postcode", "zip", "zip_code", "cep"], MAX_NAME)
            .or(address.postal_code)
            .map(fields::without_fraction);
        let country = country(&mut f).or(address.country).or_else(|| {
            // What was read before has its country, or none.
            let is_sent = f.is_sent();
            is_sent.then(|| billed(&business.at, fields, opened, &mut f.findings)).flatten()
        });
        let service_areas = f.texts(&["service_areas"], MAX_NAME);
        let (services, mut service_prices) = services(&mut f);
        let primary_service =
            f.expected_text(&["primary_service"], "what matters most of what is offered", MAX_NAME);
        let primary_service = primary_service.or_else(|| services.first().cloned());
        let mut prices = content::prices(&mut f);
        prices.append(&mut service_prices);
        let menu_is_link = fields.get("menu").and_then(Value::as_str).is_some_and(|text| {
            crate::web_address(text).is_ok() && !text.trim().contains(char::is_whitespace)
        });
        let menu = if menu_is_link { Vec::new() } else { content::menu(&mut f) };
        let posts = posts::posts(&mut f);
        let site_objective = f.text(&["site_objective"], MAX_NAME);
        let site_description = f.text(&["site_description", "description"], MAX_TEXT);
        let site_url = f.link(&["site_url", "domain"]).or_else(|| {
            let value = shape.order?.get("site_url").filter(|value| !fields::is_empty(value))?;
            f.as_link(&format!("{}/order/site_url", opened.at), value)
        });
        let selected_pages = f.texts(&["selected_pages", "pages"], MAX_NAME);
        let tone = f.choice("tone");
        let primary_cta = f.choice("primary_cta");
        let cta_text = f.text(&["cta_text"], MAX_NAME);
        let booking_url = f.link(&["booking_url", "booking_link", "appointment_url"]);
        let order_url = f.link(&["order_url", "ordering_url", "online_ordering_url"]);
        let donation_url = f.link(&["donation_url", "donate_url", "donate_link"]);
        let menu_url = f.link(if menu_is_link { &["menu_url", "menu"] } else { &["menu_url"] });
        let gift_card_url = f.link(&["gift_card_url", "voucher_url"]);
        let form_endpoint = form_endpoint(&mut f);
        let primary_color = color(&mut f, "primary_color");
        let secondary_color = color(&mut f, "secondary_color");
        let accent_color = color(&mut f, "accent_color");
        let logo_url = f.link(&["logo_url", "logo"]);
        let photos = content::photos(&mut f);
        let reference_sites = f.texts(&["reference_sites"], crate::MAX_LINK);
        let design_notes = f.text(&["design_notes"], MAX_TEXT);
        let of_country = country.as_deref().map(country_languages).unwrap_or_default();
        // Without a locale, the language is likely that of the names of the fields, or one of the
        // country. The names are looked at only if the locale does not answer.
        let of_names = LazyCell::new(|| {
            names::language_of(business.fields.keys())
                .filter(|name| of_country.is_empty() || of_country.contains(name))
        });
        let languages = told
            .iter()
            .map(Locale::language)
            .chain(iter::once(()).filter_map(|()| *of_names))
            .chain(of_country.iter().copied())
            .chain([default_language.as_str()]);
        let (business_hours, found) =
            hours::read(&mut f, &["business_hours", "opening_hours", "hours"], languages.clone());
        let hours_notes = [content::notes(&mut f), found].concat();
        let locations = content::locations(&mut f, languages);
        let mut profiles = PROFILES.map(|(field, names)| f.profile(field, names));
        to_their_networks(&mut f, &mut profiles);
        let [
            social_facebook,
            social_instagram,
            social_linkedin,
            social_youtube,
            social_tiktok,
            social_x,
            social_threads,
            social_pinterest,
            social_telegram,
            social_tripadvisor,
            social_yelp,
        ] = profiles;
        let testimonials = testimonials(&mut f);
        let google_reviews_link = f.link(&["google_reviews_link", "reviews_url"]);
        let about_owner = f.text(&["about_owner"], MAX_TEXT);
        let team = content::team(&mut f);
        let years_in_business = f.years("years_in_business");
        let legal = content::legal(&mut f);
        let extra = extra::read(&mut f);
        Some(Order {
            id: id?,
            locale,
            business_name: business_name?,
            business_email,
            business_phone,
            has_whatsapp,
            whatsapp_phone,
            emergency_phone,
            business_address: address.street,
            niche,
            custom_niche,
            primary_city,
            neighborhood,
            state,
            postal_code,
            country,
            service_areas,
            services,
            primary_service,
            prices,
            menu,
            posts,
            site_objective,
            site_description,
            site_url,
            selected_pages,
            tone: tone.unwrap_or_default(),
            primary_cta: primary_cta.unwrap_or_default(),
            cta_text,
            booking_url,
            order_url,
            donation_url,
            menu_url,
            gift_card_url,
            form_endpoint,
            primary_color,
            secondary_color,
            accent_color,
            logo_url,
            photos,
            reference_sites,
            design_notes,
            business_hours,
            hours_notes,
            locations,
            social_facebook,
            social_instagram,
            social_linkedin,
            social_youtube,
            social_tiktok,
            social_x,
            social_threads,
            social_pinterest,
            social_telegram,
            social_tripadvisor,
            social_yelp,
            testimonials,
            google_reviews_link,
            about_owner,
            team,
            years_in_business,
            legal,
            extra,
            notices: Vec::new(),
        })
    })();
    let problems = f.findings.problems(strict);
    match order {
        Some(order) if problems.is_empty() => {
            // What was done to a normalized order was said when it was read first.
            Ok(Order { notices: stored.unwrap_or_else(|| f.findings.into_notices()), ..order })
        }
        // A missing required field has added a problem.
        _ => Err(f.findings.into_refusal(strict)),
    }
}

/// The notices of a normalized order; `None` for other documents.
fn stored_notices(fields: &serde_json::Map<String, Value>) -> Option<Vec<Notice>> {
    // A form may have a list of that name; it does not have the fields that always have a value.
    const ALWAYS: [&str; 4] = ["locale", "niche", "tone", "primary_cta"];
    let is_whole = ALWAYS.iter().all(|name| fields.get(*name).is_some_and(Value::is_string));
    let notices = fields.get("notices").filter(|notices| is_whole && notices.is_array());
    notices.and_then(|notices| serde_json::from_value(notices.clone()).ok())
}

/// Parses only the id, to identify an order whose document is invalid.
///
/// # Errors
/// The problem with the id: where it is expected and what it must look like.
pub fn read_id(document: &Value) -> Result<String, Problem> {
    Document::open(document).read_id()
}

/// The id of a document.
struct FoundId {
    /// Its pointer.
    at: String,
    /// The id, as it names the order's folder.
    id: String,
    /// Why the id that was sent does not name a folder, if it does not.
    unsafe_name: Option<String>,
}

fn found_id(opened: &envelope::Opened<'_>) -> Result<FoundId, Problem> {
    let document = opened.order.as_ref();
    let is_crm = shape::is_crm(document);
    let expected = if is_crm { "/order/id" } else { "/id" };
    // A CRM may send the id next to `order` and `onboarding`; a flat document has no `order`.
    let sections: &[&str] = if is_crm { &["/order", ""] } else { &[""] };
    let within = |names: &[&str]| {
        names.iter().find_map(|name| {
            sections.iter().find_map(|section| {
                let fields = document.pointer(section)?.as_object()?;
                let (name, value) = envelope::field_of(fields, name)?;
                Some((child(&format!("{}{section}", opened.at), name), value))
            })
        })
    };
    let around = |names: &[&str]| {
        opened.around.iter().find_map(|(at, fields)| {
            names.iter().find_map(|name| {
                let (name, value) = envelope::field_of(fields, name)?;
                Some((child(at, name), value))
            })
        })
    };
    // The hidden fields of a form.
    let hidden = || {
        opened.around.iter().find_map(|(at, fields)| {
            let (section, inner) = ["hidden", "metadata", "custom_data"]
                .iter()
                .find_map(|name| envelope::field_of(fields, name))?;
            let (name, value) = envelope::field_of(inner.as_object()?, "order_id")?;
            Some((child(&child(at, section), name), value))
        })
    };
    const IDS: [&str; 2] = ["id", "order_id"];
    // A form that knows no orders has one for each time that it is sent.
    const OF_FORMS: [&str; 5] =
        ["submission_id", "response_id", "entry_id", "record_id", "event_id"];
    let found = within(&IDS)
        .or_else(hidden)
        .or_else(|| around(&IDS))
        .or_else(|| within(&OF_FORMS))
        .or_else(|| around(&OF_FORMS));
    let Some((at, value)) = found else {
        let message = "the order's id is missing; it must be a number, or a text like `2026-0117`";
        return Err(Problem::new(format!("{}{expected}", opened.at), message));
    };
    let unwrapped = values::plain(value).or_else(|| value.get("value").cloned());
    let sent = match unwrapped.as_ref().unwrap_or(value) {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        Value::Number(number) if fields::whole(number).is_some() => {
            fields::whole(number).unwrap_or_default().to_string()
        }
        other => {
            let message = format!("must be a whole number or a text, but is {}", excerpt(other));
            return Err(Problem::new(at, message));
        }
    };
    let wrong = check_id(&sent).err();
    let id = folder_id(&sent).map_err(|wrong| Problem::new(at.clone(), wrong.to_string()))?;
    Ok(FoundId { at, id: id.into_owned(), unsafe_name: wrong.map(|wrong| wrong.to_string()) })
}

/// Notes which fields of the envelopes are not read. What programs say about a message (its id, its
/// type, its times) is no part of an order.
fn note_envelopes(opened: &envelope::Opened<'_>, findings: &mut Findings) {
    const OF_MESSAGES: [&str; 45] = [
        "action",
        "api_version",
        "archived",
        "attempt",
        "code",
        "count",
        "created",
        "date",
        "definition",
        "delivery",
        "event",
        "event_type",
        "form",
        "form_name",
        "hidden",
        "hook",
        "id",
        "kind",
        "live_mode",
        "livemode",
        "locale",
        "meta",
        "name",
        "number",
        "object",
        "offset",
        "page",
        "pending_webhooks",
        "request",
        "sent",
        "source",
        "status",
        "success",
        "time",
        "timestamp",
        "title",
        "topic",
        "total",
        "type",
        "uid",
        "url",
        "uuid",
        "v",
        "version",
        "webhook",
    ];
    const ENDS: [&str; 6] = ["_id", "_at", "_time", "_date", "_type", "_token"];
    for (at, fields) in &opened.around {
        let is_read = |name: &String| {
            let rest = opened.at.strip_prefix(child(at, name).as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let is_of_message = |name: &String| {
            let meant = fields::meant_name(name);
            OF_MESSAGES.contains(&&*meant) || ENDS.iter().any(|end| meant.ends_with(end))
        };
        let names = fields.iter().filter(|(name, value)| {
            name.len() <= 60 && !fields::is_empty(value) && !is_read(name) && !is_of_message(name)
        });
        let names: Vec<String> =
            names.take(8).map(|(name, _)| format!("`{}`", truncated(name))).collect();
        if !names.is_empty() {
            let message = format!(
                "of what is around the order, {} are not read; send them with the fields of the \
                 business",
                names.join(", ")
            );
            findings.note(at, message);
        }
    }
}

/// The names of the phone number in forms.
const PHONES: [&str; 8] = [
    "business_phone",
    "phone",
    "telephone",
    "phone_number",
    "contact_phone",
    "mobile",
    "mobile_phone",
    "telefone",
];

/// The name of the business. A form for one business has no other name.
fn business_name(f: &mut Fields<'_>) -> Option<String> {
    let names = ["business_name", "company_name", "business", "company", "trading_name"];
    if !f.says(&names)
        && let (at, Some(value)) = f.first(&["name"])
    {
        f.findings.note(&at, "is used as the name of the business: there is no `business_name`");
        return f.as_text(&at, value, MAX_NAME);
    }
    f.required_text(&names, "the business's name", MAX_NAME)
}

/// The number on WhatsApp. Some forms have a flag in that field.
fn whatsapp(f: &mut Fields<'_>) -> (Option<crate::Phone>, bool) {
    let (at, value) = f.first(&["whatsapp_phone", "whatsapp_number", "whatsapp"]);
    let Some(value) = value else { return (None, false) };
    let is_plain = !value.is_object() && !value.is_array();
    if is_plain && let Some(flag) = fields::as_flag(value) {
        return (None, flag);
    }
    // `same`, `o mesmo número`: the phone number is on WhatsApp.
    if value.as_str().is_some_and(is_same_number) {
        return (None, true);
    }
    // `https://wa.me/5531995550133`
    let linked = value.as_str().and_then(|text| {
        let (_, number) = text.split_once("wa.me/").or_else(|| text.split_once("phone="))?;
        let digits: String =
            number.trim_start_matches('+').chars().take_while(char::is_ascii_digit).collect();
        Some(Value::from(format!("+{digits}")))
    });
    let phone = f.as_phone(&at, linked.as_ref().unwrap_or(value));
    let is_there = phone.is_some();
    (phone, is_there)
}

/// Whether a text says that a number is the one that was given already.
fn is_same_number(text: &str) -> bool {
    const SAME: [&str; 18] = [
        "same",
        "idem",
        "mesmo",
        "mesma",
        "mismo",
        "misma",
        "meme",
        "gleiche",
        "gleich",
        "dieselbe",
        "stesso",
        "stessa",
        "hetzelfde",
        "dezelfde",
        "samen",
        "ditto",
        "igual",
        "identique",
    ];
    let folded = crate::hours::fold_words(text);
    let is_short = folded.len() <= 60 && !folded.contains(|c: char| c.is_ascii_digit());
    is_short && folded.split([' ', ',', '.', '(', ')']).any(|word| SAME.contains(&word))
}

/// The trade, or its name if it is none that the CRM knows.
fn niche(f: &mut Fields<'_>) -> (Option<Niche>, Option<String>) {
    let (at, value) = f.first(&["niche"]);
    let Some(value) = value else {
        f.expected(&at, &fields::one_of(&fields::names::<Niche>()));
        return (None, None);
    };
    let Some(text) = f.as_text(&at, value, MAX_NAME) else { return (None, None) };
    match fields::chosen(&text) {
        Ok(niche) => (Some(niche), None),
        Err(wrong) => {
            f.dropped(&at, format!("{wrong}; it is used as `custom_niche` of `other`"));
            (Some(Niche::Other), Some(text))
        }
    }
}

fn country(f: &mut Fields<'_>) -> Option<String> {
    let (at, value) = f.first(&["country", "country_code"]);
    let text = f.as_text(&at, value?, MAX_NAME)?;
    let code = crate::country_code(&text);
    if code.is_none() {
        let message = format!(
            "`{}` is not a country; write its code, like `BR` or `DE`; left out",
            truncated(&text)
        );
        f.dropped(&at, message);
    }
    code
}

/// The country of a shop's customer, `billing.country`, beside the fields of the business or around
/// them: that of the business if there is no other.
fn billed(
    at: &str,
    fields: &Map<String, Value>,
    opened: &envelope::Opened<'_>,
    findings: &mut Findings,
) -> Option<String> {
    let around = opened.around.iter().map(|(at, fields)| (at.as_str(), *fields));
    let (at, text, code) =
        std::iter::once((at, fields)).chain(around).find_map(|(at, fields)| {
            let text = fields.get("billing")?.get("country")?.as_str()?;
            Some((format!("{at}/billing/country"), text, crate::country_code(text)?))
        })?;
    findings.note(&at, format!("`{}` is used as the country of the business", truncated(text)));
    Some(code)
}

/// The services, and the prices of those that have one.
fn services<'a>(f: &mut Fields<'a>) -> (Vec<String>, Vec<crate::Price>) {
    let (at, value) = f.first(&["services"]);
    let Some(value) = value else {
        if !f.is_list("services") {
            f.expected(&at, "the list of what is offered (it may be empty)");
        }
        return (Vec::new(), Vec::new());
    };
    // `{"Cut": "$45"}`: the names of the services, and their prices.
    if let Value::Object(pairs) = value
        && !pairs.keys().all(|name| name.bytes().all(|b| b.is_ascii_digit()))
        && !fields::are_flags(pairs)
    {
        let found = excerpt(value);
        let message = match fields::list_inside(pairs) {
            Some((name, _)) => format!("must be a list, but is {found}: its `{name}` are read"),
            None => format!("must be a list, but is {found}: read as names and prices"),
        };
        f.dropped(&at, message);
        let mut prices = content::prices_of(f, &at, value, "services");
        let services = prices.iter().map(|price| price.name.clone()).collect();
        // In a list, one without a price is a service and nothing more.
        let is_list = fields::list_inside(pairs).is_some();
        prices.retain(|price| {
            !is_list
                || price.price.is_some()
                || price.duration.is_some()
                || price.description.is_some()
        });
        return (services, prices);
    }
    let mut services: Vec<String> = Vec::new();
    let mut prices: Vec<crate::Price> = Vec::new();
    let mut has_groups = false;
    let entries: Vec<Cow<'a, Value>> = f.as_list(&at, value).unwrap_or_default();
    for (index, entry) in entries.iter().enumerate() {
        let group = match entry {
            Cow::Borrowed(Value::Object(fields)) => {
                content::services_of_group(f, &child(&at, index), fields)
            }
            _ => None,
        };
        match group {
            Some((names, of_group)) => {
                has_groups = true;
                services.extend(names);
                prices.extend(of_group);
            }
            None => services.extend(f.as_entry(&child(&at, index), entry, MAX_NAME)),
        }
    }
    prices.append(&mut content::prices_of_services(f, Some(value)));
    // One service may belong to two groups.
    if has_groups && f.is_sent() {
        let sent = services.len();
        let mut seen = std::collections::HashSet::new();
        services.retain(|service| seen.insert(service.to_lowercase()));
        if services.len() < sent {
            let twice = sent - services.len();
            f.dropped(&at, format!("has {twice} entries that are there before: left out"));
        }
    }
    // Each of the groups has as many at the most.
    f.at_most(&at, &mut services);
    f.at_most(&at, &mut prices);
    (services, prices)
}

/// A colour in a notation that CSS does not have: `0x1b4332`, `27, 67, 50`, `Dark Green`,
/// `#1b4332;`. The result may still be none.
fn in_css(text: &str) -> Option<String> {
    const LONGEST: usize = 40;
    let plain = text.trim().trim_end_matches(';').trim_end();
    if plain.len() > LONGEST {
        return None;
    }
    if let Some(hex) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        return Some(format!("#{hex}"));
    }
    let separators = [',', ';', ' ', '-', '_'];
    let parts: Vec<&str> = plain.split(separators).filter(|part| !part.is_empty()).collect();
    let is_word = |part: &&str| part.bytes().all(|b| b.is_ascii_alphabetic());
    match parts.as_slice() {
        [red, green, blue] if parts.iter().all(|part| part.parse::<u8>().is_ok()) => {
            Some(format!("rgb({red}, {green}, {blue})"))
        }
        [_, _] | [_, _, _] if parts.iter().all(is_word) => Some(parts.concat().to_lowercase()),
        _ if plain.len() < text.trim().len() => Some(plain.to_owned()),
        _ => None,
    }
}

/// A colour. Digits without `#` are one, and so are notations of design programs, which is said.
fn color(f: &mut Fields<'_>, name: &'static str) -> Option<crate::Color> {
    let (at, value) = f.first(&[name]);
    if let Some(text) = value.and_then(Value::as_str)
        && let Err(missing @ crate::ColorError::MissingHash(_)) = text.parse::<crate::Color>()
        && let Ok(color) = format!("#{}", text.trim()).parse()
    {
        f.dropped(&at, format!("{missing}; read as that"));
        return Some(color);
    }
    if let Some(text) = value.and_then(Value::as_str)
        && let Err(wrong) = text.parse::<crate::Color>()
        && let Some(color) = in_css(text).and_then(|css| css.parse::<crate::Color>().ok())
    {
        f.dropped(&at, format!("{wrong}; read as `{color}`"));
        return Some(color);
    }
    f.parsed(&[name])
}

/// The fields of the profiles, each with its names in forms, in the order in which they are read.
const PROFILES: [(&str, &[&str]); 11] = [
    ("social_facebook", &["social_facebook", "facebook", "facebook_url", "facebook_link"]),
    ("social_instagram", &["social_instagram", "instagram", "instagram_url", "instagram_link"]),
    ("social_linkedin", &["social_linkedin", "linkedin", "linkedin_url", "linkedin_link"]),
    ("social_youtube", &["social_youtube", "youtube", "youtube_url", "youtube_link"]),
    ("social_tiktok", &["social_tiktok", "tiktok", "tiktok_url", "tiktok_link"]),
    ("social_x", &["social_x", "social_twitter", "twitter", "twitter_url"]),
    ("social_threads", &["social_threads", "threads", "threads_url", "threads_link"]),
    ("social_pinterest", &["social_pinterest", "pinterest", "pinterest_url", "pinterest_link"]),
    ("social_telegram", &["social_telegram", "telegram", "telegram_url", "telegram_link"]),
    (
        "social_tripadvisor",
        &["social_tripadvisor", "tripadvisor", "tripadvisor_url", "tripadvisor_link"],
    ),
    ("social_yelp", &["social_yelp", "yelp", "yelp_url", "yelp_link"]),
];

/// Moves each profile to the field of the network that it leads to. A site names the network beside
/// the link, so one in a wrong field would be wrong for visitors; if that field has a profile
/// already, it is left out.
fn to_their_networks(f: &mut Fields<'_>, profiles: &mut [Option<String>; PROFILES.len()]) {
    for (index, (field, _)) in PROFILES.iter().enumerate() {
        let leads_to = |address: &String| crate::link::other_network(field, address);
        let Some(other) = profiles[index].as_ref().and_then(leads_to) else { continue };
        let Some(target) = PROFILES.iter().position(|(known, _)| *known == other) else { continue };
        let Some(address) = profiles[index].take() else { continue };
        let at = f.place(field);
        match &profiles[target] {
            None => {
                let message =
                    format!("`{}` is a page for `{other}`: used as that", truncated(&address));
                f.findings.note(&at, message);
                profiles[target] = Some(address);
            }
            Some(known) if *known == address => {}
            Some(_) => {
                let message = format!(
                    "`{}` is a page for `{other}`, which has one already; left out",
                    truncated(&address)
                );
                f.dropped(&at, message);
            }
        }
    }
}

/// Where forms post to: `form_endpoint`, or `endpoint` in an object `forms`.
fn form_endpoint(f: &mut Fields<'_>) -> Option<String> {
    match f.first(&["forms"]) {
        (at, Some(Value::Object(fields))) => {
            let inner = f.below(&at, fields, |f| f.link(&["endpoint", "url", "action"]));
            let outer = f.link(&["form_endpoint"]);
            inner.or(outer)
        }
        (at, Some(other)) => {
            let message =
                format!("must be an object with `endpoint`, but is {}: left out", excerpt(other));
            f.dropped(&at, message);
            f.link(&["form_endpoint"])
        }
        (_, None) => f.link(&["form_endpoint"]),
    }
}

/// Names of a field for who wrote a testimonial.
const REVIEWER: [&str; 8] = [
    "name",
    "author",
    "author_name",
    "reviewer",
    "reviewer_name",
    "customer",
    "customer_name",
    "client_name",
];

/// The testimonials that have a text.
fn testimonials(f: &mut Fields<'_>) -> Vec<Testimonial> {
    let Some((list_at, entries)) = f.list(&["testimonials", "reviews"]) else { return Vec::new() };
    let mut testimonials = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let at = child(&list_at, index);
        match entry {
            entry if fields::is_empty(&entry) => {}
            Cow::Borrowed(Value::Object(fields)) => {
                testimonials.extend(f.below(&at, fields, |f| {
                    let name = f.text(&REVIEWER, MAX_NAME);
                    let text = f.text(
                        &["text", "quote", "review", "comment", "content", "review_text", "body"],
                        MAX_TEXT,
                    );
                    let rating = f.rating(&["rating", "stars", "score", "star_rating"]);
                    let role = f.text(&["role", "title", "source"], MAX_NAME);
                    let rest = [name.is_some(), rating.is_some(), role.is_some()];
                    if text.is_none() && rest.contains(&true) {
                        f.dropped(&at, "has no `text`; left out");
                    }
                    Some(Testimonial { name, text: text?, rating, role })
                }))
            }
            entry if entry.is_string() => {
                let text = f.as_text(&at, &entry, MAX_TEXT);
                testimonials.extend(text.map(|text| Testimonial {
                    name: None,
                    text,
                    rating: None,
                    role: None,
                }));
            }
            entry => {
                let message =
                    format!("must be an object with `text`, but is {}: left out", excerpt(&entry));
                f.dropped(&at, message);
            }
        }
    }
    testimonials
}
