//! The AI requests.
//!
//! Instructions are constants in English. All text written by a customer or by another model goes
//! in as marked data (failure catalogue E14). Scripted rules match the first three lines of each
//! prompt: `page: <kind>`, `locale: <tag>` and `order: <id>`.

use serde_json::json;
use sitewright_order::{Cta, Niche, Order, Tone};
use sitewright_sdk::ai::{self, Ask};

use crate::copy::{Strategy, cut};
use crate::language::Language;
use crate::pages::{Kind, Page};
use crate::site::{MAX_DESCRIBED, MAX_ON_HOME, offers};
use crate::trade;

/// The purpose of the first call.
pub const STRATEGY: &str = "strategy";

/// The purpose of the calls that write pages.
pub const COPYWRITING: &str = "copywriting";

/// Rules in the system message of every call.
const RULES: &str = "Rules, without exception:
- Write only in the language the request names, as an educated native speaker of that place writes.
- Use only facts from the data. Never invent prices, numbers, years, awards, \
                     certificates, guarantees, names, addresses, opening hours, team members, \
                     clients or quotations. Where a fact is missing, write well without it.
- Be concrete and plain. No clichés ('we are passionate about', 'one-stop shop', 'look no \
                     further'), no superlatives without proof, no exclamation marks, no emoji.
- Plain text only: no HTML, no Markdown, no links, no placeholders.
- Respect the length each field of the schema names.";

/// The request for the strategy.
pub fn strategy(order: &Order) -> Ask {
    ai::ask(STRATEGY)
        .system(format!(
            "You are the strategist of a web design agency that makes sites for local businesses. \
             From the facts of one order you decide how the site speaks: positioning, audience, \
             one idea for the headline, the words people search for, and a guide to the tone. \
             Copywriters follow what you decide.\n\n{RULES}"
        ))
        .user(format!("{}Decide the strategy of this site.", markers(None, order)))
        .data("order", &facts(order))
        .temperature(0.4)
}

/// The request for the copy of one page.
pub fn page(order: &Order, strategy: &Strategy, page: &Page) -> Ask {
    let mut ask = ai::ask(COPYWRITING)
        .system(format!(
            "You are a senior copywriter of a web design agency that makes sites for local \
             businesses. You write the copy of one page, following the strategy. Each page says \
             something the others do not.\n\n{RULES}"
        ))
        .user(format!("{}{}", markers(Some(page.kind), order), task(page.kind, order)))
        .data("order", &facts(order))
        .data(
            "strategy",
            &json!({
                "positioning": strategy.positioning,
                "audience": strategy.audience,
                "headline_angle": strategy.headline_angle,
                "keywords": strategy.keywords,
                "tone_guide": strategy.tone_guide,
            })
            .to_string(),
        )
        .temperature(0.7);
    let listed = match page.kind {
        Kind::Home => MAX_ON_HOME,
        Kind::Services | Kind::Gallery => MAX_DESCRIBED,
        _ => 0,
    };
    if listed > 0 {
        let lines = offers(order).into_iter().take(listed).enumerate();
        let lines: Vec<String> =
            lines.map(|(at, name)| format!("{}. {}", at + 1, cut(name, 200))).collect();
        ask = ask.data("services", &lines.join("\n"));
    }
    if page.kind == Kind::Custom {
        ask = ask.data("page name", &page.label);
    }
    ask
}

fn markers(page: Option<Kind>, order: &Order) -> String {
    let language = Language::of(&order.locale);
    let voice = language.voice();
    format!(
        "page: {}\nlocale: {}\norder: {}\n\nLanguage: {} ({}).{}{voice}\n",
        page.map_or("none", Kind::name),
        language.tag(&order.locale),
        order.id,
        language.name(),
        language.tag(&order.locale),
        if voice.is_empty() { "" } else { " " },
    )
}

fn task(kind: Kind, order: &Order) -> String {
    let restaurant = order.niche == Niche::Restaurant;
    let what = match kind {
        Kind::Home => {
            "Write the home page. The headline carries the strategy's idea and names a benefit, \
             not the business. `services` has one line for each entry of the data `services`, in \
             its order. Each reason rests on a fact of the order."
        }
        Kind::About => {
            "Write the page about the business: its story as far as the order tells it, and what \
             it stands for. Write in the first person plural."
        }
        Kind::Services if restaurant => {
            "Write the menu page. `descriptions` has one appetising text for each entry of the \
             data `services`, in its order, without inventing ingredients or prices."
        }
        Kind::Services => {
            "Write the page of services. `descriptions` has one text for each entry of the data \
             `services`, in its order: what the customer gets, and when it is the right choice."
        }
        Kind::Gallery => {
            "Write the gallery. It shows drawings, not photos: `captions` has one line for each \
             entry of the data `services`, in its order."
        }
        Kind::Testimonials => {
            "Write the beginning of the page that shows what customers said. Do not quote them."
        }
        Kind::Faq => {
            "Write the questions a customer really asks before the first contact, with honest \
             answers. Where the order has no answer, leave the question out, or say how to find \
             out."
        }
        Kind::Pricing => {
            "Write the page about prices without any price: how a customer gets a quote, step by \
             step, and what it depends on."
        }
        Kind::Contact => {
            "Write the beginning of the contact page: invite, and say which way of contact suits \
             what."
        }
        Kind::Custom => {
            "Write a page of which only the title is known: the data `page name`. Write what a \
             visitor expects under that name, of lasting value. No news, no dates, no events."
        }
    };
    let action = match order.primary_cta {
        Cta::Call => "call",
        Cta::Whatsapp => "write on WhatsApp",
        Cta::Form => "fill in the contact form",
        Cta::BookOnline => "ask for an appointment with the form",
    };
    let tone = match order.tone {
        Tone::Professional => "competent, calm, clear",
        Tone::Friendly => "warm, personal, close",
        Tone::Premium => "assured, restrained, elegant",
    };
    format!("{what}\nVisitors should {action}. Tone: {tone}.")
}

/// The fields of the order that the model sees, truncated: no payment data, and only the contact
/// data that copy needs.
fn facts(order: &Order) -> String {
    let language = Language::of(&order.locale);
    let testimonials: Vec<_> =
        order.testimonials.iter().take(12).map(|testimonial| cut(&testimonial.text, 300)).collect();
    let hours: Vec<String> = crate::hours::rows(&order.business_hours, language)
        .into_iter()
        .map(|row| format!("{}: {}", row.days, row.times.join(", ")))
        .collect();
    let short = |text: &Option<String>, max| text.as_deref().map(|text| cut(text, max));
    let areas = order.service_areas.iter().take(30).map(|area| cut(area, 80));
    let services = offers(order).into_iter().take(60).map(|name| cut(name, 200));
    let facts = json!({
        "business_name": cut(&order.business_name, 200),
        "trade": cut(&trade::name(order, language), 200),
        "city": short(&order.primary_city, 100),
        "state": short(&order.state, 100),
        "address": short(&order.business_address, 300),
        "service_areas": areas.collect::<Vec<_>>(),
        "services": services.collect::<Vec<_>>(),
        "primary_service": short(&order.primary_service, 200),
        "objective": short(&order.site_objective, 200),
        "description": short(&order.site_description, 2000),
        "owner": short(&order.about_owner, 2000),
        "years_in_business": order.years_in_business,
        "opening_hours": hours,
        "customers_said": testimonials,
        "whatsapp": order.has_whatsapp,
    });
    // Indented JSON is easier to read for the model.
    format!("{facts:#}")
}
